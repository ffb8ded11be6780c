//! Which of our entries stand behind short ids: the host walks the log, newest entries first, until all are found.

use alloc::sync::Arc;
use alloc::vec::Vec;

use lama_core::Ticket;

use super::Picks;
use crate::ChumError;
use crate::recon::ShortKey;

/// Entries that one step of the walk looks at.
const STEP: usize = 65_536;

/// The next step of a walk: what [`crate::Output::Find`] says.
pub(crate) struct Step {
    pub(crate) key: ShortKey,
    pub(crate) shorts: Arc<[u64]>,
    pub(crate) upto: u64,
    pub(crate) limit: usize,
}

/// A walk through the log.
#[derive(Debug)]
pub(super) struct Finding {
    key: ShortKey,
    /// Ascending.
    shorts: Arc<[u64]>,
    /// Which of them are found, and how many are not.
    known: Vec<bool>,
    left: usize,
    seqs: Vec<u64>,
    /// What lies above has been looked at.
    upto: u64,
    snapshot: u64,
    ticket: Option<Ticket>,
}

impl Finding {
    /// Begins at the end of the snapshot.
    pub(super) fn new(key: ShortKey, mut shorts: Vec<u64>, snapshot: u64) -> Self {
        shorts.sort_unstable();
        shorts.dedup();
        let left = shorts.len();
        Self {
            key,
            known: alloc::vec![false; left],
            left,
            shorts: shorts.into(),
            seqs: Vec::with_capacity(left),
            upto: snapshot,
            snapshot,
            ticket: None,
        }
    }

    /// The next step, unless one is under way.
    pub(super) fn next(&self) -> Option<Step> {
        let step =
            || Step { key: self.key.clone(), shorts: Arc::clone(&self.shorts), upto: self.upto, limit: STEP };
        self.ticket.is_none().then(step)
    }

    pub(super) const fn asked(&mut self, ticket: Ticket) {
        self.ticket = Some(ticket);
    }

    pub(super) fn is_asked(&self, ticket: Ticket) -> bool {
        self.ticket == Some(ticket)
    }

    /// Takes what a step found above `from`; all entries once the walk is over. Of an id that stands in the log twice
    /// the last entry counts.
    pub(super) fn found(
        &mut self,
        mut found: Vec<(u64, u64)>,
        from: u64,
    ) -> Result<Option<Picks>, ChumError> {
        let misuse = ChumError::PageOutOfOrder;
        self.ticket = None;
        if from >= self.upto && self.upto > 0 {
            return Err(misuse);
        }
        found.sort_unstable_by_key(|(_, seq)| core::cmp::Reverse(*seq));
        for (short, seq) in found {
            if seq <= from || seq > self.upto {
                return Err(misuse);
            }
            let Ok(at) = self.shorts.binary_search(&short) else { continue };
            if let Some(known) = self.known.get_mut(at).filter(|known| !**known) {
                *known = true;
                self.left = self.left.saturating_sub(1);
                self.seqs.push(seq);
            }
        }
        self.upto = from;
        if self.left > 0 && from > 0 {
            return Ok(None);
        }
        Ok(Some(Picks::All { seqs: core::mem::take(&mut self.seqs), upto: self.snapshot }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PairKey;

    fn finding(shorts: &[u64], snapshot: u64) -> Finding {
        Finding::new(PairKey::new([1; 32]).short_key(0), shorts.to_vec(), snapshot)
    }

    fn all(seqs: &[u64], upto: u64) -> Result<Option<Picks>, ChumError> {
        Ok(Some(Picks::All { seqs: seqs.to_vec(), upto }))
    }

    #[test]
    fn the_walk_ends_where_all_are_found_or_the_log_begins() {
        let mut walk = finding(&[9, 7, 7], 300_000);
        let step = walk.next().unwrap();
        assert_eq!((step.shorts.to_vec(), step.upto, step.limit), (alloc::vec![7, 9], 300_000, STEP));
        walk.asked(Ticket(1));
        assert!(walk.is_asked(Ticket(1)) && !walk.is_asked(Ticket(2)) && walk.next().is_none());
        // Twice in the log, the last one counts; what was not asked for does not.
        let found = alloc::vec![(7, 234_465), (8, 234_500), (7, 300_000)];
        assert_eq!(walk.found(found, 234_464), Ok(None));
        assert_eq!(walk.next().unwrap().upto, 234_464);
        assert_eq!(walk.found(alloc::vec![(7, 5), (9, 4)], 3), all(&[300_000, 4], 300_000));
        // One that stands nowhere is left out.
        let mut walk = finding(&[7, 9], 100);
        assert_eq!(walk.found(alloc::vec![(9, 1)], 0), all(&[1], 100));
        assert_eq!(finding(&[7], 0).found(Vec::new(), 0), all(&[], 0), "of a log without entries");
    }

    #[test]
    fn a_step_that_leads_nowhere_or_elsewhere_is_misuse() {
        let misuse = Err(ChumError::PageOutOfOrder);
        for (found, from) in [
            (alloc::vec![], 100),
            (alloc::vec![], 101),
            (alloc::vec![(7, 50)], 50),
            (alloc::vec![(7, 49)], 50),
            (alloc::vec![(7, 101)], 50),
        ] {
            assert_eq!(finding(&[7], 100).found(found, from), misuse);
        }
        assert_eq!(finding(&[7], 100).found(alloc::vec![(7, 51)], 50), all(&[51], 100));
        assert_eq!(finding(&[7], 100).found(alloc::vec![(7, 100)], 50), all(&[100], 100));
        assert_eq!(finding(&[7], 1).found(Vec::new(), 1), misuse);
    }
}
