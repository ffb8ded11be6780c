//! What reconciliation found the peer to lack: each entry is sent once, in an order of its own.
//!
//! While ranges are still being read, what stands in those that have been read leaves already, as far as it links to
//! nothing. With the last range the rest follows in the order of the log, so that children precede parents. Positions
//! are counted from 1 and mean the order of sending; what is found is never more than the snapshot has entries, so the
//! log after the snapshot goes on above them.
//!
//! Outside of a round, where sets are equal and only news is sent, nothing is counted anew: positions are those of the
//! log.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use lama_identity::{Codec, cbor};

use crate::{ChumError, Entry};

/// Entries asked for in one fetch, at most.
const FETCH: usize = 1_024;

/// What is to be sent of what a round found.
#[derive(Debug)]
pub(crate) struct Found {
    /// A bit for each entry that was named.
    named: Vec<u64>,
    /// Named entries that are still to be read, ascending unless `mixed`; with links or not.
    waiting: VecDeque<u64>,
    mixed: bool,
    /// Read, and put off because they link to something.
    put_off: Vec<u64>,
    /// Being read; `early`: asked for while others were still to be found.
    asked: VecDeque<u64>,
    early: bool,
    /// Whether every range has been read.
    complete: bool,
    /// End of the snapshot; known with the last range.
    upto: u64,
    /// Whether positions are those of the log.
    of_log: bool,
    /// Position up to which everything was given to be sent.
    position: u64,
}

impl Default for Found {
    /// Nothing, and nothing more will be found: outside of a round.
    fn default() -> Self {
        Self {
            named: Vec::new(),
            waiting: VecDeque::new(),
            mixed: false,
            put_off: Vec::new(),
            asked: VecDeque::new(),
            early: false,
            complete: true,
            upto: 0,
            of_log: true,
            position: 0,
        }
    }
}

impl Found {
    /// A round begins.
    pub(crate) fn begin() -> Self {
        Self { complete: false, of_log: false, ..Self::default() }
    }

    /// Entries that the peer lacks; others follow.
    pub(crate) fn some(&mut self, seqs: Vec<u64>) {
        for seq in seqs {
            if self.name(seq) {
                self.waiting.push_back(seq);
                self.mixed = true;
            }
        }
    }

    /// All that the peer lacks of the snapshot that ends at `upto`, those included that were named before.
    pub(crate) fn all(&mut self, seqs: Vec<u64>, upto: u64) {
        self.some(seqs);
        self.complete = true;
        self.upto = upto;
        self.named = Vec::new();
        self.take_up();
    }

    /// Whether it was not named before.
    fn name(&mut self, seq: u64) -> bool {
        let (at, bit) = ((seq / 64) as usize, 1 << (seq % 64));
        if self.named.len() <= at {
            self.named.resize(at.saturating_add(1), 0);
        }
        self.named.get_mut(at).is_some_and(|word| {
            let new = *word & bit == 0;
            *word |= bit;
            new
        })
    }

    /// With all known, what was put off is due.
    fn take_up(&mut self) {
        if self.complete && !self.put_off.is_empty() {
            self.waiting.extend(self.put_off.drain(..));
            self.mixed = true;
        }
    }

    /// Whether everything found has been read, and nothing more will be found.
    pub(crate) fn is_read(&self) -> bool {
        self.complete && self.waiting.is_empty() && self.asked.is_empty()
    }

    /// Position up to which everything has been read: the end of the snapshot with the last entry that was found.
    pub(crate) fn looked_at(&self) -> u64 {
        if self.is_read() { self.upto } else { self.position }
    }

    /// Whether a position says how far the log is taken over, and not only how much of what was found.
    pub(crate) const fn is_of_log(&self, position: u64) -> bool {
        self.of_log || (self.complete && position >= self.upto)
    }

    /// The entries to read next, ascending.
    pub(crate) fn next_fetch(&mut self) -> Option<Vec<u64>> {
        if self.waiting.is_empty() || !self.asked.is_empty() {
            return None;
        }
        if core::mem::take(&mut self.mixed) {
            self.waiting.make_contiguous().sort_unstable();
        }
        let some = self.waiting.len().min(FETCH);
        self.asked = self.waiting.drain(..some).collect();
        self.early = !self.complete;
        Some(self.asked.iter().copied().collect())
    }

    /// Whether a fetch is under way.
    pub(crate) fn is_fetching(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Takes what was read, up to `next`: the entries to send now, with their positions for numbers. What was asked for
    /// and is missing is not to be had any more.
    pub(crate) fn fetched(&mut self, entries: Vec<Entry>, next: u64) -> Result<Vec<Entry>, ChumError> {
        if self.asked.front().is_none_or(|first| *first > next) {
            return Err(ChumError::PageOutOfOrder);
        }
        let mut send = Vec::with_capacity(entries.len());
        for entry in entries {
            while self.asked.pop_front_if(|seq| *seq < entry.seq).is_some() {}
            if entry.seq > next || self.asked.pop_front_if(|seq| *seq == entry.seq).is_none() {
                return Err(ChumError::PageOutOfOrder);
            }
            if !self.early || is_leaf(&entry) {
                self.position = if self.of_log { entry.seq } else { self.position.saturating_add(1) };
                send.push(Entry { seq: self.position, ..entry });
            } else {
                self.put_off.push(entry.seq);
            }
        }
        while self.asked.pop_front_if(|seq| *seq <= next).is_some() {}
        if self.of_log {
            self.position = next;
        }
        while let Some(seq) = self.asked.pop_back() {
            self.waiting.push_front(seq);
        }
        self.take_up();
        Ok(send)
    }
}

/// Whether an entry links to nothing, so that it may precede anything.
fn is_leaf(entry: &Entry) -> bool {
    let mut links = false;
    let scanned = entry.gone || entry.id.codec() == Codec::Raw || {
        cbor::scan(&entry.object, &mut |_| links = true).is_ok()
    };
    scanned && !links
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lane;
    use bytes::Bytes;
    use lama_identity::Cid;

    fn entry(seq: u64, link: bool) -> Entry {
        let object = if link {
            lama_identity::cbor::encode(&[Cid::of_chunk(b"part")]).unwrap()
        } else {
            lama_identity::cbor::encode(&[seq]).unwrap()
        };
        let id = Cid::of_object(&object);
        Entry { seq, id, lane: Lane::Objects, source_is_peer: false, again: false, gone: false, object }
    }

    fn positions(entries: &[Entry]) -> Vec<(u64, Bytes)> {
        entries.iter().map(|entry| (entry.seq, entry.object.clone())).collect()
    }

    #[test]
    fn what_links_to_something_waits_for_the_last_range() {
        let mut found = Found::begin();
        found.some(alloc::vec![9, 4, 7]);
        found.some(alloc::vec![4]);
        assert_eq!(found.next_fetch(), Some(alloc::vec![4, 7, 9]));
        assert_eq!(found.next_fetch(), None, "one at a time");
        // 9 did not fit into the page.
        let sent = found.fetched(alloc::vec![entry(4, true), entry(7, false)], 7).unwrap();
        assert_eq!(positions(&sent), [(1, entry(7, false).object)]);
        assert_eq!(found.next_fetch(), Some(alloc::vec![9]));
        // Meanwhile the last range is read.
        found.all(alloc::vec![9, 7, 4, 2], 20);
        assert!(!found.is_of_log(19) && found.is_of_log(20));
        assert_eq!((found.is_read(), found.looked_at()), (false, 1));
        // It links to 2, for all that is known.
        assert!(found.fetched(alloc::vec![entry(9, true)], 9).unwrap().is_empty());
        assert_eq!(found.next_fetch(), Some(alloc::vec![2, 4, 9]));
        let read = alloc::vec![entry(2, true), entry(4, true), entry(9, true)];
        let sent = found.fetched(read.clone(), 9).unwrap();
        let expected: Vec<_> = (2..).zip(read).map(|(position, entry)| (position, entry.object)).collect();
        assert_eq!(positions(&sent), expected);
        assert_eq!((found.is_read(), found.looked_at(), found.position), (true, 20, 4));
    }

    #[test]
    fn chunks_deletions_and_objects_without_links_are_leaves() {
        let chunk = Bytes::from_static(b"not an object");
        let id = Cid::of_chunk(&chunk);
        let gone = Entry { gone: true, object: Bytes::new(), ..entry(1, true) };
        let broken = Entry { object: chunk.clone(), ..entry(1, false) };
        assert!(is_leaf(&entry(1, false)) && !is_leaf(&entry(1, true)));
        assert!(is_leaf(&Entry { id, object: chunk, ..entry(1, false) }) && is_leaf(&gone));
        assert!(!is_leaf(&broken), "what cannot be read may link to anything");
    }

    #[test]
    fn outside_of_a_round_positions_are_those_of_the_log() {
        let mut found = Found::default();
        assert!(found.is_of_log(3), "whatever is sent");
        found.all(alloc::vec![4, 9], 20);
        assert_eq!(found.next_fetch(), Some(alloc::vec![4, 9]));
        let sent = found.fetched(alloc::vec![entry(4, true)], 8).unwrap();
        assert_eq!(positions(&sent), [(4, entry(4, true).object)]);
        assert_eq!((found.is_read(), found.looked_at(), found.is_of_log(4)), (false, 8, true));
        assert_eq!(found.next_fetch(), Some(alloc::vec![9]));
        assert_eq!(positions(&found.fetched(alloc::vec![entry(9, false)], 9).unwrap())[0].0, 9);
        assert_eq!((found.is_read(), found.looked_at()), (true, 20));
    }

    #[test]
    fn a_fetch_that_goes_nowhere_or_elsewhere_is_misuse() {
        for (entries, next) in
            [(alloc::vec![], 3), (alloc::vec![entry(5, false)], 9), (alloc::vec![entry(9, false)], 8)]
        {
            let mut found = Found::begin();
            found.all(alloc::vec![4, 9], 20);
            found.next_fetch();
            assert_eq!(found.fetched(entries, next), Err(ChumError::PageOutOfOrder));
        }
        // What cannot be had any more is left out.
        let mut found = Found::begin();
        found.all(alloc::vec![4, 9], 20);
        found.next_fetch();
        assert_eq!(found.fetched(Vec::new(), 9), Ok(Vec::new()));
        assert_eq!(found.looked_at(), 20);
    }
}
