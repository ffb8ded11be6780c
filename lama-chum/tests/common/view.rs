//! A view log in memory, as a store keeps it for one person and one instance.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lama_chum::recon::{ShortKey, Sketch};
use lama_chum::{
    Acked, Cursor, Entry, Fingerprint, Fingerprinter, ImportOutcome, Lane, Lanes, NO_EPOCH, Past, Positions,
    Refusal, StoreFailure, ViewHead,
};
use lama_identity::{Cid, Codec, cbor};

use super::pair_key;

#[derive(Clone)]
pub struct View {
    pub log: Vec<(Cid, bool)>,
    /// Sequence numbers of entries that say an id is gone.
    pub tombstones: BTreeSet<u64>,
    /// Those of them that change no set.
    pub news: BTreeSet<u64>,
    pub objects: BTreeMap<Cid, Bytes>,
    pub members: BTreeSet<Cid>,
    pub head: ViewHead,
    /// Objects for which someone waits.
    pub waited: BTreeSet<Cid>,
    /// Objects that others wrote.
    pub relayed: BTreeSet<Cid>,
    /// The lane of each object that is known.
    pub lanes: BTreeMap<Cid, Lane>,
    /// Whether objects that link to nothing are in a lane that their ids name; else only chunks are in one of their own.
    pub mixed: bool,
    /// How far the peer's log was taken over.
    pub cursor: Cursor,
    /// The peer's epoch in which that was last.
    pub life: [u8; 8],
    pub acked_by: [u8; 8],
    pub acked: Cursor,
    /// Objects that were imported though they were there.
    pub repeated: usize,
    /// Ids to refuse on import.
    pub refuse: BTreeMap<Cid, Refusal>,
    /// Whether to look that every content link's target is there before the object that links it.
    pub strict: bool,
    fingerprinter: Fingerprinter,
    short_key: ShortKey,
    sketch: Sketch,
    /// What was agreed on last, and in which epoch of ours.
    pub agreed: Option<(u64, Fingerprint)>,
    pub agreed_in: [u8; 8],
    /// Entries that were looked at for reconciliation.
    pub looked_at: usize,
}

impl View {
    pub fn new(epoch: u8) -> Self {
        Self {
            log: Vec::new(),
            tombstones: BTreeSet::new(),
            news: BTreeSet::new(),
            objects: BTreeMap::new(),
            members: BTreeSet::new(),
            waited: BTreeSet::new(),
            relayed: BTreeSet::new(),
            lanes: BTreeMap::new(),
            mixed: false,
            head: ViewHead { epoch: [epoch; 8], ..ViewHead::default() },
            cursor: Cursor::default(),
            life: [0; 8],
            acked_by: [0; 8],
            acked: Cursor::default(),
            repeated: 0,
            refuse: BTreeMap::new(),
            strict: true,
            fingerprinter: pair_key().fingerprinter(),
            short_key: pair_key().short_key(0),
            sketch: Sketch::default(),
            agreed: None,
            agreed_in: [0; 8],
            looked_at: 0,
        }
    }

    /// What a store keeps beside head and cursor.
    pub fn past(&self) -> Past {
        let epoch = self.head.epoch;
        let seen = self.acked.epoch == epoch || self.agreed_in == epoch;
        let (acked, acked_in, life) = (self.acked.upto, self.acked.epoch, self.life);
        let last_news = self.news.last().copied().unwrap_or(0);
        let of_others = self.news.iter().rfind(|seq| !self.log[**seq as usize - 1].1);
        let news = of_others.copied().filter(|last| *last > acked.whole()).unwrap_or(0);
        let (sketch, agreed) = (self.sketch, self.agreed);
        let acked_by = self.acked_by;
        Past { sketch, seen, agreed, news, last_news, acked, acked_in, acked_by, life, ..Past::default() }
    }

    /// The peer's log is taken over up to there.
    pub fn take_cursor(&mut self, cursor: Cursor) {
        self.cursor = cursor;
    }

    /// The peer has this log up to there.
    pub fn take_acked(&mut self, acked: Acked) {
        (self.acked, self.acked_by) = (acked.cursor, acked.life);
        if self.acked.upto.whole() >= self.news.last().copied().unwrap_or(0) {
            self.life = acked.life;
        }
    }

    /// Counts an id that is new in the set.
    fn count(&mut self, id: &Cid) {
        self.head.count += 1;
        self.head.fingerprint.add(&self.fingerprinter, id);
        self.sketch.add(&self.short_key, self.short_key.short(id));
    }

    /// Takes an id out of the set without a trace, as no honest store does.
    pub fn danger_forget(&mut self, id: &Cid) {
        self.objects.remove(id);
        self.members.remove(id);
        self.head.count -= 1;
        self.head.fingerprint.add(&self.fingerprinter, id);
        self.sketch.remove(&self.short_key, self.short_key.short(id));
        self.head.seq += 1;
        self.log.push((*id, true));
    }

    /// The same with objects in all lanes.
    pub fn mixed(epoch: u8) -> Self {
        Self { mixed: true, ..Self::new(epoch) }
    }

    /// Finds out the lane of an object: not before that of anything that it links to.
    fn sort_in(&mut self, id: &Cid, bytes: &[u8]) {
        let mut lane = match (id.codec(), self.mixed) {
            (Codec::Raw, _) => Lane::Blobs,
            (Codec::DagCbor, true) => Lane::ALL[id.digest()[0] as usize % Lane::ALL.len()],
            (Codec::DagCbor, false) if self.waited.contains(id) => Lane::Interactive,
            (Codec::DagCbor, false) => Lane::Objects,
        };
        if self.relayed.contains(id) {
            lane = Lane::Relayed;
        }
        if id.codec() == Codec::DagCbor {
            cbor::scan(bytes, &mut |part| lane = lane.max(self.lane(&part))).unwrap();
        }
        self.lanes.insert(*id, lane);
    }

    fn lane(&self, id: &Cid) -> Lane {
        self.lanes.get(id).copied().unwrap_or_default()
    }

    fn append(&mut self, id: Cid, from_peer: bool) {
        if self.members.insert(id) {
            self.log.push((id, from_peer));
            self.head.seq += 1;
            self.count(&id);
        }
    }

    /// Shares own objects.
    pub fn share(&mut self, objects: Vec<(Cid, Bytes)>) -> ViewHead {
        for (id, bytes) in objects {
            self.sort_in(&id, &bytes);
            self.objects.insert(id, bytes);
            self.append(id, false);
        }
        self.head
    }

    /// Deletes an object that may have been sent: it stays in the set.
    pub fn delete(&mut self, id: Cid, from_peer: bool) -> ViewHead {
        self.objects.remove(&id);
        let known = !self.members.insert(id);
        if !known {
            self.count(&id);
        }
        self.log.push((id, from_peer));
        self.head.seq += 1;
        self.tombstones.insert(self.head.seq);
        if known {
            self.news.insert(self.head.seq);
        }
        self.head
    }

    /// Answers a scan: entries, next, head.
    pub fn page(
        &self,
        after: u64,
        lanes: Lanes,
        max_bytes: usize,
        whole: bool,
    ) -> (Vec<Entry>, u64, ViewHead) {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut next = after;
        for (index, &(id, from_peer)) in self.log.iter().enumerate().skip(after as usize) {
            if bytes >= max_bytes {
                break;
            }
            next = index as u64 + 1;
            let lane = self.lane(&id);
            if !lanes.contains(lane) {
                continue;
            }
            if (!from_peer || whole) && self.tombstones.contains(&next) {
                let object = Bytes::new();
                let again = self.news.contains(&next);
                entries.push(Entry {
                    seq: next,
                    id,
                    lane,
                    source_is_peer: from_peer,
                    again,
                    gone: true,
                    object,
                });
            } else if (!from_peer || whole)
                && let Some(object) = self.objects.get(&id)
            {
                bytes += object.len();
                entries.push(Entry {
                    seq: next,
                    id,
                    lane,
                    source_is_peer: from_peer,
                    again: false,
                    gone: false,
                    object: object.clone(),
                });
            }
        }
        (entries, next, self.head)
    }

    /// Answers a scan of ids: a page and its end.
    pub fn ids(&mut self, after: u64, limit: usize) -> (Vec<(u64, Cid)>, u64) {
        self.looked_at += limit.min(self.log.len().saturating_sub(after as usize));
        let page = (1..).zip(&self.log).skip(after as usize).take(limit);
        let ids: Vec<(u64, Cid)> = page.map(|(seq, (id, _))| (seq, *id)).collect();
        let next = ids.last().map_or(after, |(seq, _)| *seq);
        (ids.into_iter().filter(|(_, id)| self.members.contains(id)).collect(), next)
    }

    /// Answers a step of looking for entries: what was found, and from where on.
    pub fn find(
        &mut self,
        key: &ShortKey,
        shorts: &[u64],
        upto: u64,
        limit: usize,
    ) -> (Vec<(u64, u64)>, u64) {
        let from = upto.saturating_sub(limit as u64);
        self.looked_at += (upto - from) as usize;
        let entries = (1..).zip(&self.log).skip(from as usize).take((upto - from) as usize);
        let found = entries
            .filter(|(_, (id, _))| self.members.contains(id))
            .map(|(seq, (id, _))| (key.short(id), seq))
            .filter(|(short, _)| shorts.binary_search(short).is_ok())
            .collect();
        (found, from)
    }

    /// Answers a fetch: entries, next, head.
    pub fn fetch(&self, seqs: &[u64], max_bytes: usize) -> (Vec<Entry>, u64, ViewHead) {
        let (mut entries, mut next, mut bytes) = (Vec::new(), 0, 0);
        for &seq in seqs {
            if bytes >= max_bytes {
                break;
            }
            next = seq;
            let (id, source_is_peer) = self.log[seq as usize - 1];
            let gone = self.tombstones.contains(&seq);
            let object = self.objects.get(&id).filter(|_| !gone).cloned().unwrap_or_default();
            bytes += object.len();
            if gone || !object.is_empty() {
                let (lane, again) = (self.lane(&id), self.news.contains(&seq));
                entries.push(Entry { seq, id, lane, source_is_peer, again, gone, object });
            }
        }
        (entries, next, self.head)
    }

    /// Answers an import.
    pub fn import(
        &mut self,
        objects: Vec<(Cid, Bytes)>,
        epoch: [u8; 8],
        after: Positions,
        upto: Positions,
    ) -> Result<ImportOutcome, StoreFailure> {
        if self.cursor.epoch == epoch && !self.cursor.upto.covers(after) {
            return Err(StoreFailure::Hole);
        }
        let before = self.head.seq;
        let mut outcome = ImportOutcome { before, ..ImportOutcome::default() };
        for (id, bytes) in objects {
            if bytes.is_empty() {
                self.delete(id, true);
                continue;
            }
            if let Some(&reason) = self.refuse.get(&id) {
                outcome.refused.push((id, reason));
            } else {
                self.check_parts(&id, &bytes);
                self.sort_in(&id, &bytes);
                self.repeated += usize::from(self.objects.contains_key(&id));
                self.objects.insert(id, Bytes::copy_from_slice(&bytes));
            }
            self.append(id, true);
        }
        if epoch != NO_EPOCH {
            self.take_cursor(self.cursor.then(Cursor { epoch, upto }));
        }
        outcome.head = self.head;
        Ok(outcome)
    }

    /// Children come before parents: no hole is ever visible.
    fn check_parts(&self, id: &Cid, bytes: &[u8]) {
        if self.strict && id.codec() == Codec::DagCbor {
            cbor::scan(bytes, &mut |part| assert!(self.objects.contains_key(&part), "{part} is missing"))
                .unwrap();
        }
    }
}
