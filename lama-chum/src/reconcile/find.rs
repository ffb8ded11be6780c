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
