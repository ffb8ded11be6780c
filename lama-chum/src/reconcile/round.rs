//! One round on our side: what we told of our set, and the short ids of all of it once they are needed.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::Ticket;
use lama_identity::Cid;

use super::work::{Item, Work};
use crate::recon::{Decoder, Outcome, ShortKey, Sketch};
use crate::wire::Recon;
use crate::{ChumError, StoreFailure};

/// Ids in one page of a scan.
const IDS: usize = 8_192;

/// Ids that may have left the set since the sketch of it was taken, and are made up for.
const MAX_LEFT: u64 = 1_024;

/// What a page of ids led to.
pub(crate) enum Scanned {
    /// More is to be read.
    Part,
    /// The set is known, and our RECON made.
    Said,
    /// All short ids are there, for a set of which RECON had told before.
    Built,
}

/// The round under way.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) number: u8,
    pub(super) key: ShortKey,
    /// Head of our log when it was looked at; `None` before.
    pub(super) snapshot: Option<u64>,
    scan: Option<Ticket>,
    /// The log has been looked at up to here.
    scanned: u64,
    /// Our set, sorted by short id once all of it is there: for as long as the round needs it.
    pub(super) table: Vec<Item>,
    /// Whether the table is complete.
    pub(super) built: bool,
    /// What RECON says of our set; `ready` once that is known.
    pub(super) sketch: Sketch,
    pub(super) count: u64,
    pub(super) ready: bool,
    pub(super) theirs: Option<Recon>,
    pub(super) work: Work,
    /// The cells of both RECONs, where they were not enough.
    pub(super) decoder: Option<Decoder>,
    /// What the peer said before our table was complete.
    pub(super) early: VecDeque<Bytes>,
}

impl Round {
    /// A round whose set is still to be read.
    pub(super) fn new(number: u8, key: ShortKey) -> Self {
        Self {
            number,
            key,
            snapshot: None,
            scan: None,
            scanned: 0,
            table: Vec::new(),
            built: false,
            sketch: Sketch::default(),
            count: 0,
            ready: false,
            theirs: None,
            work: Work::Waiting,
            decoder: None,
            early: VecDeque::new(),
        }
    }

    /// A round of which the host knows the sketch: nothing has to be read to say RECON.
    pub(super) fn kept(number: u8, key: ShortKey, snapshot: u64, sketch: Sketch) -> Self {
        let (snapshot, count) = (Some(snapshot), sketch.count());
        Self { snapshot, sketch, count, ready: true, ..Self::new(number, key) }
    }

    /// What we say of our set.
    pub(super) fn recon(&self) -> Recon {
        Recon {
            round: self.number,
            snapshot: self.snapshot.unwrap_or_default(),
            count: self.count,
            sketch: self.sketch,
        }
    }

    /// The next scan of ids: after which entry, and how many. Before RECON nothing of ours may be under way.
    pub(super) fn next_scan(&mut self, head: u64, drained: bool) -> Option<(u64, usize)> {
        let wanted =
            if self.ready { matches!(self.work, Work::Building) } else { drained || self.snapshot.is_some() };
        if !wanted || self.scan.is_some() {
            return None;
        }
        self.snapshot.get_or_insert(head);
        Some((self.scanned, IDS))
    }

    pub(super) const fn scanning(&mut self, ticket: Ticket) {
        self.scan = Some(ticket);
    }

    pub(super) fn is_scan(&self, ticket: Ticket) -> bool {
        self.scan == Some(ticket)
    }

    /// Takes a page of ids.
    pub(super) fn ids(&mut self, ids: &[(u64, Cid)], next: u64) -> Result<Scanned, ChumError> {
        let misuse = ChumError::PageOutOfOrder;
        self.scan.take().ok_or(misuse)?;
        let after = self.scanned;
        let snapshot = self.snapshot.ok_or(misuse)?;
        if next <= after && after < snapshot {
            return Err(misuse);
        }
        let mut last = after;
        for (seq, id) in ids {
            if *seq <= last || *seq > next {
                return Err(misuse);
            }
            last = *seq;
            if *seq <= snapshot {
                let seq = u32::try_from(*seq).map_err(|_| ChumError::ViewTooLong)?;
                self.table.push(Item { short: self.key.short(id), seq });
            }
        }
        self.scanned = next;
        if next < snapshot {
            return Ok(Scanned::Part);
        }
        self.table.sort_unstable();
        // An id that stands in the log twice counts once, where it stands last.
        self.table.reverse();
        self.table.dedup_by_key(|item| item.short);
        self.table.reverse();
        self.built = true;
        if self.ready {
            self.mend()?;
            return Ok(Scanned::Built);
        }
        for item in &self.table {
            self.sketch.add(&self.key, item.short);
        }
        self.count = self.table.len() as u64;
        self.ready = true;
        Ok(Scanned::Said)
    }

    /// Makes the table that of the set of which RECON told: ids may have left the set since. The sketch knows them; and
    /// if it does not, the table gets as many entries as were told of, and the next round tells of what there is.
    fn mend(&mut self) -> Result<(), ChumError> {
        let found = self.table.len() as u64;
        if found == self.count {
            return Ok(());
        }
        if found.abs_diff(self.count) > MAX_LEFT {
            return Err(ChumError::Store(StoreFailure::Corrupt));
        }
        let mut of_table = Sketch::default();
        self.table.iter().for_each(|item| of_table.add(&self.key, item.short));
        let mut decoder = Decoder::new(self.key.clone());
        if decoder.extend(of_table.cells(), self.sketch.cells()) == Ok(Outcome::Done) {
            let found = decoder.into_differences();
            self.table.extend(found.ours.into_iter().map(|short| Item { short, seq: 0 }));
            self.table.retain(|item| !found.theirs.contains(&{ item.short }));
        }
        let made_up = (1..).map(|n: u64| Item { short: n.wrapping_mul(0x9e37_79b9_7f4a_7c15), seq: 0 });
        let missing = self.count.saturating_sub(self.table.len() as u64);
        self.table.extend(made_up.take(usize::try_from(missing).unwrap_or_default()));
        self.table.sort_unstable();
        self.table.truncate(usize::try_from(self.count).unwrap_or(usize::MAX));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PairKey;

    fn key() -> ShortKey {
        PairKey::new([1; 32]).short_key(0)
    }

    fn ids(seqs: impl IntoIterator<Item = u64>) -> Vec<(u64, Cid)> {
        seqs.into_iter().map(|seq| (seq, Cid::of_chunk(&seq.to_be_bytes()))).collect()
    }

    /// A round that has asked for the ids of a log that ends at `head`.
    fn asked(head: u64) -> Round {
        let mut round = Round::new(1, key());
        assert_eq!(round.next_scan(head, false), None, "what was sent is not acknowledged");
        assert_eq!(round.next_scan(head, true), Some((0, IDS)));
        round.scanning(Ticket(1));
        assert!(round.is_scan(Ticket(1)) && !round.is_scan(Ticket(2)));
        assert_eq!(round.next_scan(head, true), None, "one at a time");
        round
    }

    /// A round that told of the set of `seqs`, and has read the ids of `read` since.
    fn mended(seqs: core::ops::Range<u64>, read: core::ops::Range<u64>) -> Result<Round, ChumError> {
        let mut sketch = Sketch::default();
        ids(seqs.clone()).iter().for_each(|(_, id)| sketch.add(&key(), key().short(id)));
        let mut round = Round::kept(0, key(), 9_999, sketch);
        round.work = Work::Building;
        assert!(round.next_scan(9_999, false).is_some());
        round.scanning(Ticket(1));
        round.ids(&ids(read), 9_999).map(|scanned| {
            assert!(matches!(scanned, Scanned::Built));
            round
        })
    }

    #[test]
    fn pages_lead_on_to_the_snapshot() {
        let mut round = asked(9);
        assert!(matches!(round.ids(&ids([1, 4]), 5), Ok(Scanned::Part)));
        assert_eq!(round.next_scan(12, true), Some((5, IDS)), "what grew since is of no account");
        round.scanning(Ticket(2));
        assert!(matches!(round.ids(&ids([6, 9, 10]), 11), Ok(Scanned::Said)));
        assert_eq!((round.count, round.snapshot, round.sketch.count()), (4, Some(9), 4));
        assert!(matches!(asked(0).ids(&[], 0), Ok(Scanned::Said)), "of a log without entries");
        for (seqs, next) in [(&[][..], 0), (&[0], 5), (&[3, 3], 5), (&[4, 3], 5), (&[6], 5)] {
            let read = asked(9).ids(&ids(seqs.iter().copied()), next);
            assert!(matches!(read, Err(ChumError::PageOutOfOrder)), "{seqs:?} {next}");
        }
        assert!(matches!(Round::new(1, key()).ids(&[], 5), Err(ChumError::PageOutOfOrder)), "nobody asked");
    }

    #[test]
    fn ids_that_left_since_recon_are_made_up_for() {
        // The sketch tells a few; of more there are as many as were told.
        for (told, read) in [(1..100, 1..98), (1..98, 1..100), (1..1_000, 1..200), (1..200, 1..1_000)] {
            let round = mended(told.clone(), read.clone()).unwrap();
            assert_eq!(round.table.len() as u64, told.end - 1);
            assert!(round.table.is_sorted());
            let (mut shorts, mut expected): (Vec<u64>, Vec<u64>) = (
                round.table.iter().map(|item| item.short).collect(),
                ids(told.clone()).iter().map(|(_, id)| key().short(id)).collect(),
            );
            shorts.sort_unstable();
            expected.sort_unstable();
            assert_eq!(shorts == expected, told.end.abs_diff(read.end) < 10, "{told:?} {read:?}");
            let gone = round.table.iter().filter(|item| item.seq == 0).count() as u64;
            assert_eq!(gone, told.end.saturating_sub(read.end));
        }
        assert!(mended(1..2_000, 1..976).is_ok());
        let corrupt = Err(ChumError::Store(StoreFailure::Corrupt));
        assert_eq!(mended(1..2_000, 1..975).map(|_| ()), corrupt, "{MAX_LEFT} at most");
        assert_eq!(mended(1..975, 1..2_000).map(|_| ()), corrupt);
    }
}
