//! What is kept of one instance of another person: cursors, and what is added up over the ids of the view towards it.
//!
//! The sums (a fingerprint and the first 32 cells of reconciliation) are kept up to date with every entry, so that no
//! session has to look at the whole view before it knows what to say. They follow from the log: a check compares
//! them with it, a repair and a look at opening ([`Store::sample`]) set them right.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::BytesMut;
use lama_chum::recon::{ShortKey, Sketch};
use lama_chum::{Cursor, Epoch, Fingerprint, Fingerprinter, Lane, NO_EPOCH, PairKey, Positions};
use lama_core::Seed;
use lama_identity::Cid;

use crate::api::PeerRecord;
use crate::codec::{Reader, Writer};
use crate::engine::Engine;
use crate::{Store, StoreError};

/// Form of what follows the cursors in a progress record: 2 begins with how far the first lanes are, 3 with the last life of
/// the instance that knew all and then that, 4 has between them the life of what it acknowledged.
const FORM: u8 = 4;

/// What is known of one instance of another person.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) record: PeerRecord,
    /// Number of its person, whose view it is served from.
    pub(crate) view: u32,
    pub(crate) keys: Keys,
    pub(crate) progress: Progress,
}

impl Peer {
    pub(crate) fn new(record: PeerRecord, view: u32) -> Self {
        let keys = Keys::new(&PairKey::new(*record.pair_key.expose()));
        Self { record, view, keys, progress: Progress::default() }
    }
}

/// The keys under which the ids of a view are added up for one instance.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    fingerprinter: Fingerprinter,
    short: ShortKey,
}

impl Keys {
    fn new(pair: &PairKey) -> Self {
        Self { fingerprinter: pair.fingerprinter(), short: pair.short_key(0) }
    }
}

/// What is added up over the ids of a view.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) fingerprint: Fingerprint,
    /// `None`: the record is older than sketches, and the view is to be looked through.
    pub(crate) sketch: Option<Box<Sketch>>,
}

impl Sums {
    /// Of no id yet.
    pub(crate) fn empty() -> Self {
        Self { fingerprint: Fingerprint::default(), sketch: Some(Box::default()) }
    }

    /// Adds an id that is not among them.
    #[inline]
    pub(crate) fn add(&mut self, keys: &Keys, id: &Cid) {
        self.fingerprint.add(&keys.fingerprinter, id);
        if let Some(sketch) = &mut self.sketch {
            sketch.add(&keys.short, keys.short.short(id));
        }
    }

    /// Takes out an id that is among them.
    pub(crate) fn remove(&mut self, keys: &Keys, id: &Cid) {
        self.fingerprint.add(&keys.fingerprinter, id);
        if let Some(sketch) = &mut self.sketch {
            sketch.remove(&keys.short, keys.short.short(id));
        }
    }

    /// Whether these are those of the log, as far as they are kept at all.
    pub(crate) fn agree_with(&self, rebuilt: &Self) -> bool {
        self.fingerprint == rebuilt.fingerprint && (self.sketch.is_none() || self.sketch == rebuilt.sketch)
    }
}

/// The set on which both ends were last seen to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Agreed {
    /// The life of this store in which that was; [`NO_EPOCH`]: never.
    pub(crate) epoch: Epoch,
    pub(crate) count: u64,
    pub(crate) fingerprint: Fingerprint,
}

/// What changes as one synchronises with an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Over all ids of the view.
    pub(crate) sums: Sums,
    /// Up to where its log was taken over.
    pub(crate) received: Cursor,
    /// Up to where it has our log...
    pub(crate) acked: Cursor,
    /// ...and in which life of its store; [`NO_EPOCH`]: that is not known.
    pub(crate) acked_by: Epoch,
    /// The last life of its store in which it had acknowledged all that changes no set; [`NO_EPOCH`]: there was none.
    pub(crate) life: Epoch,
    pub(crate) agreed: Agreed,
}

impl Progress {
    /// Of a view whose ids have these sums.
    pub(crate) fn of(sums: Sums) -> Self {
        Self { sums, ..Self::default() }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let row = Writer::default()
            .raw(&self.sums.fingerprint.0)
            .raw(&self.received.epoch)
            .num(self.received.upto.whole())
            .raw(&self.acked.epoch)
            .num(self.acked.upto.whole())
            .u8(FORM)
            .raw(&self.life)
            .raw(&self.acked_by)
            .num(self.received.upto.of(Lane::Blobs))
            .num(self.received.upto.of(Lane::Objects))
            .num(self.received.upto.of(Lane::Interactive))
            .num(self.acked.upto.of(Lane::Blobs))
            .num(self.acked.upto.of(Lane::Objects))
            .num(self.acked.upto.of(Lane::Interactive))
            .raw(&self.agreed.epoch)
            .num(self.agreed.count)
            .raw(&self.agreed.fingerprint.0);
        let Some(sketch) = &self.sums.sketch else { return row.0 };
        let mut cells = BytesMut::new();
        sketch.write(sketch.count(), &mut cells);
        row.num(sketch.count()).raw(&cells).0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let mut this = Self {
            sums: Sums { fingerprint: Fingerprint(reader.array()?), sketch: None },
            received: Cursor::all(reader.array()?, reader.num()?),
            acked: Cursor::all(reader.array()?, reader.num()?),
            acked_by: NO_EPOCH,
            life: NO_EPOCH,
            agreed: Agreed::default(),
        };
        this.life = this.received.epoch;
        // A record of the first kind ends here. Of a later form nothing is known, and nothing of it is needed.
        let form = if reader.0.is_empty() { 0 } else { reader.u8()? };
        if !(1..=FORM).contains(&form) {
            return Ok(this);
        }
        if form >= 3 {
            this.life = reader.array()?;
        }
        this.acked_by = if form >= 4 { reader.array()? } else { this.life };
        if form >= 2 {
            for cursor in [&mut this.received, &mut this.acked] {
                let (blobs, objects, interactive) = (reader.num()?, reader.num()?, reader.num()?);
                cursor.upto = Positions::new([interactive, objects, blobs, cursor.upto.whole()])
                    .ok_or(StoreError::Corrupt("a lane is ahead of one before it"))?;
            }
        }
        this.agreed = Agreed {
            epoch: reader.array()?,
            count: reader.num()?,
            fingerprint: Fingerprint(reader.array()?),
        };
        if !reader.0.is_empty() {
            let count = reader.num()?;
            // Cells that cannot be read are as good as none: they follow from the log.
            this.sums.sketch = Sketch::read(reader.0, count).ok().map(Box::new);
        }
        Ok(this)
    }

    /// Takes note of the life that acknowledged, if it knows the log up to `news`.
    pub(crate) fn note_life(&mut self, news: u64) {
        if self.acked_by != NO_EPOCH && self.acked.upto.whole() >= news {
            self.life = self.acked_by;
        }
    }

    /// Whether the peer has taken note of this life of the store, so that its cursor counts.
    pub(crate) fn is_seen(&self, epoch: Epoch) -> bool {
        self.acked.epoch == epoch || self.agreed.epoch == epoch
    }

    /// Count and fingerprint that were last agreed on.
    pub(crate) fn agreed(&self) -> Option<(u64, Fingerprint)> {
        (self.agreed.epoch != NO_EPOCH).then_some((self.agreed.count, self.agreed.fingerprint))
    }
}

impl<E: Engine> Store<E> {
    /// Adds up the ids of a view, from its log.
    pub(crate) fn rebuilt(&self, view: u32, keys: &Keys) -> Result<Sums, StoreError> {
        let mut sums = Sums::empty();
        self.each_entry(view, 0, &mut |entry| {
            if entry.counts() {
                sums.add(keys, &entry.id);
            }
            Ok(true)
        })?;
        Ok(sums)
    }

    /// Builds the sketch of a peer whose record is older than sketches.
    pub(crate) fn build_sketch(&mut self, number: u32) -> Result<(), StoreError> {
        let Some(peer) = self.hot.peers.get(&number).filter(|peer| peer.progress.sums.sketch.is_none())
        else {
            return Ok(());
        };
        let rebuilt = self.rebuilt(peer.view, &peer.keys)?;
        if let Some(peer) = self.hot.peers.get_mut(&number) {
            peer.progress.sums.sketch = rebuilt.sketch;
            self.hot.lazy_peers.insert(number);
        }
        Ok(())
    }

    /// Compares the sums of one peer, drawn by the seed, with its view, and sets them right. Whether they were wrong.
    /// A view that is too long for that, or cannot be read, is left to the check.
    pub(crate) fn sample(&mut self, seed: &Seed) -> bool {
        let drawn =
            seed.derive("LAMA/store sample").iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let count = (self.hot.peers.len() as u64).max(1);
        let at = usize::try_from(drawn % count).unwrap_or_default();
        let Some((number, peer)) = self.hot.peers.iter().nth(at) else { return false };
        let long = self.hot.views.get(&peer.view).is_some_and(|log| log.seq > self.config.sample_entries);
        if long {
            return false;
        }
        let (number, right) = match self.rebuilt(peer.view, &peer.keys) {
            Ok(rebuilt) if !peer.progress.sums.agree_with(&rebuilt) => (*number, rebuilt),
            _ => return false,
        };
        if let Some(peer) = self.hot.peers.get_mut(&number) {
            peer.progress.sums = right;
            self.hot.lazy_peers.insert(number);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Progress {
        let keys = Keys::new(&PairKey::new([3; 32]));
        let mut sums = Sums::empty();
        (0..500_u32).for_each(|n| sums.add(&keys, &Cid::of_chunk(&n.to_be_bytes())));
        Progress {
            received: Cursor { epoch: [1; 8], upto: Positions::limited([900, 800, 700, 600]) },
            acked: Cursor::all([2; 8], 9),
            acked_by: [3; 8],
            life: [1; 8],
            agreed: Agreed { epoch: [2; 8], count: 499, fingerprint: Fingerprint([4; 16]) },
            ..Progress::of(sums)
        }
    }

    #[test]
    fn records_come_back_and_are_small() {
        for progress in [some(), Progress::default(), Progress::of(Sums::empty())] {
            let row = progress.to_bytes();
            assert!(row.len() < 528, "{}", row.len());
            assert_eq!(Progress::from_bytes(&row), Ok(progress));
        }
    }

    #[test]
    fn an_older_record_and_one_with_unreadable_cells_have_no_sketch() {
        let row = some().to_bytes();
        let bare = |progress: Progress| Progress { sums: Sums { sketch: None, ..progress.sums }, ..progress };
        assert_eq!(Progress::from_bytes(&row[..row.len() - 1]), Ok(bare(some())));
        let first = row[..16 + 8 + 2 + 8 + 1].to_vec();
        let received = Cursor::all([1; 8], 600);
        let old = Progress { agreed: Agreed::default(), received, acked_by: NO_EPOCH, ..bare(some()) };
        assert_eq!(Progress::from_bytes(&first), Ok(old.clone()));
        assert_eq!(Progress::from_bytes(&[first.as_slice(), &[9, 1, 2]].concat()), Ok(old));
        assert!(Progress::from_bytes(&first[..20]).is_err());
    }

    #[test]
    fn what_is_taken_out_leaves_nothing() {
        let keys = Keys::new(&PairKey::new([3; 32]));
        let mut sums = Sums::empty();
        sums.add(&keys, &Cid::of_chunk(b"a"));
        sums.remove(&keys, &Cid::of_chunk(b"a"));
        assert_eq!(sums, Sums::empty());
    }
}
