//! Reading differences out of cells.

use alloc::vec::Vec;

use super::{Cell, MAX_CELLS, ReconError, ShortKey, each_cell};

/// How far a decoding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every difference has been read: no cell holds anything any more.
    Done,
    /// More cells are needed.
    Stuck,
}

/// Short ids that are in one set only; in order once the outcome is [`Outcome::Done`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    /// What we have and they lack.
    pub ours: Vec<u64>,
    /// What they have and we lack.
    pub theirs: Vec<u64>,
}

/// Decodes the difference of two sets from cells that may come in several parts.
#[derive(Debug)]
pub struct Decoder {
    key: ShortKey,
    /// Ours less theirs, less what has been read.
    cells: Vec<Slot>,
    /// Numbers of cells that may hold one short id; each at most once.
    queue: Vec<u32>,
    differences: Differences,
}

/// A [`Cell`] and what is known of it, in 24 bytes that lie together: cells are visited in no order, and each visit of
/// another line of memory costs more than all that is done there.
#[derive(Debug, Clone, Copy)]
struct Slot {
    sum: u64,
    count: i64,
    check: u32,
    /// A difference was read from it: never again from the same cell.
    peeled: bool,
    queued: bool,
}

impl Slot {
    const fn new(cell: Cell) -> Self {
        let Cell { sum, check, count } = cell;
        Self { sum, count, check, peeled: false, queued: false }
    }

    const fn is_empty(&self) -> bool {
        self.sum == 0 && self.check == 0 && self.count == 0
    }

    /// Whether it is to be looked at now, and is not yet waiting for that.
    const fn joins_queue(&mut self) -> bool {
        let joins = self.count.unsigned_abs() == 1 && !self.queued && !self.peeled;
        self.queued |= joins;
        joins
    }
}

impl Decoder {
    /// Without a cell yet.
    #[must_use]
    pub const fn new(key: ShortKey) -> Self {
        let differences = Differences { ours: Vec::new(), theirs: Vec::new() };
        Self { key, cells: Vec::new(), queue: Vec::new(), differences }
    }

    /// How many cells it has; the next one has this number.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.cells.len()).unwrap_or(u32::MAX)
    }

    /// Whether it has no cell.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The differences that have been read; all of them once the outcome is [`Outcome::Done`].
    #[must_use]
    pub const fn differences(&self) -> &Differences {
        &self.differences
    }

    /// The differences that have been read.
    #[must_use]
    pub fn into_differences(self) -> Differences {
        self.differences
    }

    /// Takes the next cells of both sets and reads what can be read: at most one difference per cell.
    ///
    /// # Errors
    /// [`ReconError::Length`] if there are not as many of ours as of theirs, [`ReconError::TooMany`],
    /// [`ReconError::Contradiction`].
    pub fn extend(&mut self, theirs: &[Cell], ours: &[Cell]) -> Result<Outcome, ReconError> {
        let (first, end) = (self.cells.len(), self.cells.len().saturating_add(theirs.len()));
        if theirs.len() != ours.len() {
            return Err(ReconError::Length);
        }
        if end > MAX_CELLS as usize {
            return Err(ReconError::TooMany);
        }
        self.cells.extend(ours.iter().zip(theirs).map(|(ours, theirs)| Slot::new(ours.minus(*theirs))));
        let read = core::mem::take(&mut self.differences);
        for (shorts, times) in [(&read.ours, 1), (&read.theirs, -1)] {
            for short in shorts {
                self.take_out(*short, times, first as u32);
            }
        }
        self.differences = read;
        (first..end).for_each(|number| self.look_at(number as u32));
        self.peel();
        // Stuck comes first: cells that are left over decide, not the differences that have been read.
        if self.cells.iter().any(|cell| !cell.is_empty()) {
            return Ok(Outcome::Stuck);
        }
        self.check_once()
    }

    fn peel(&mut self) {
        while let Some(number) = self.queue.pop() {
            let Self { key, cells, differences, .. } = self;
            let Some(cell) = cells.get_mut(number as usize) else { continue };
            cell.queued = false;
            if cell.peeled || !is_single(key, number, cell) {
                continue;
            }
            cell.peeled = true;
            let (short, count) = (cell.sum, cell.count);
            if count > 0 {
                differences.ours.push(short)
            } else {
                differences.theirs.push(short)
            }
            self.take_out(short, count, 0);
        }
    }

    /// Takes a short id out of all its cells from `first` on.
    fn take_out(&mut self, short: u64, times: i64, first: u32) {
        let check = self.key.check(short);
        let Self { cells, queue, .. } = self;
        let end = u32::try_from(cells.len()).unwrap_or(u32::MAX);
        each_cell(short, first, end, |number| {
            if let Some(cell) = cells.get_mut(number as usize) {
                cell.sum ^= short;
                cell.check ^= check;
                cell.count = cell.count.wrapping_sub(times);
                if cell.joins_queue() {
                    queue.push(number);
                }
            }
        });
    }

    fn look_at(&mut self, number: u32) {
        if self.cells.get_mut(number as usize).is_some_and(Slot::joins_queue) {
            self.queue.push(number);
        }
    }

    /// No difference is read twice from the cells of sets.
    fn check_once(&mut self) -> Result<Outcome, ReconError> {
        let Differences { ours, theirs } = &mut self.differences;
        ours.sort_unstable();
        theirs.sort_unstable();
        let twice = |sorted: &[u64]| sorted.windows(2).any(|pair| pair.first() == pair.last());
        let (fewer, more) = if ours.len() < theirs.len() { (ours, theirs) } else { (theirs, ours) };
        if twice(fewer) || twice(more) || fewer.iter().any(|short| more.binary_search(short).is_ok()) {
            return Err(ReconError::Contradiction);
        }
        Ok(Outcome::Done)
    }
}

/// Whether the cell holds one short id, which belongs there.
fn is_single(key: &ShortKey, number: u32, cell: &Slot) -> bool {
    let mut belongs = false;
    if cell.count.unsigned_abs() == 1 && key.check(cell.sum) == cell.check {
        each_cell(cell.sum, number, number + 1, |_| belongs = true);
        return belongs;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PairKey;

    /// What is crafted cannot make the queue longer than there are cells, nor have a cell looked at for ever.
    #[test]
    fn a_cell_waits_once_and_only_until_it_was_read() {
        for (count, waits) in [(1, true), (-1, true), (0, false), (2, false), (-2, false)] {
            let mut slot = Slot::new(Cell { sum: 7, check: 7, count });
            assert_eq!(
                (slot.joins_queue(), slot.queued, slot.joins_queue()),
                (waits, waits, false),
                "{count}"
            );
            slot.queued = false;
            assert_eq!(slot.joins_queue(), waits, "it is looked at again when it has changed");
            (slot.queued, slot.peeled) = (false, true);
            assert_eq!((slot.joins_queue(), slot.queued), (false, false));
        }
        let key = PairKey::new([1; 32]).short_key(0);
        let mut decoder = Decoder::new(key.clone());
        assert!(decoder.is_empty());
        let ours = super::super::cells(&key, &[3, 5, 8], 0, 16);
        assert_eq!(decoder.extend(&[Cell::default(); 16], &ours), Ok(Outcome::Done));
        assert_eq!((decoder.is_empty(), decoder.len(), decoder.differences().ours.len()), (false, 16, 3));
    }

    #[test]
    fn a_difference_that_is_read_twice_is_a_contradiction() {
        let mut decoder = Decoder::new(PairKey::new([1; 32]).short_key(0));
        decoder.differences.ours = alloc::vec![7, 5];
        decoder.differences.theirs = alloc::vec![6];
        assert_eq!(decoder.extend(&[], &[]), Ok(Outcome::Done));
        decoder.differences.theirs.push(7);
        assert_eq!(decoder.extend(&[], &[]), Err(ReconError::Contradiction));
        for (ours, theirs) in [(&[7, 5, 7][..], &[6][..]), (&[6], &[7, 5, 7]), (&[7, 7], &[])] {
            decoder.differences = Differences { ours: ours.to_vec(), theirs: theirs.to_vec() };
            assert_eq!(decoder.extend(&[], &[]), Err(ReconError::Contradiction), "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn an_id_is_read_from_the_cells_in_which_it_stands_alone() {
        let key = PairKey::new([1; 32]).short_key(0);
        let slot = |count, check| Slot::new(Cell { sum: 77, check, count });
        let mut stands = Vec::new();
        each_cell(77, 0, 64, |cell| stands.push(cell));
        for number in 0..64 {
            let expected = stands.contains(&number);
            for count in [1, -1] {
                assert_eq!(is_single(&key, number, &slot(count, key.check(77))), expected, "{number}");
            }
            assert!(!is_single(&key, number, &slot(2, key.check(77))));
            assert!(!is_single(&key, number, &slot(1, key.check(77) ^ 1)));
        }
    }
}
