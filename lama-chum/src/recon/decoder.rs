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

/// Short ids that are in one set only, in no order.
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
    cells: Vec<Cell>,
    marks: Vec<Mark>,
    /// Numbers of cells that may hold one short id; each at most once.
    queue: Vec<u32>,
    differences: Differences,
}

/// What is known of a cell.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// A difference was read from it: never again from the same cell.
    peeled: bool,
    queued: bool,
}

impl Decoder {
    /// Without a cell yet.
    #[must_use]
    pub const fn new(key: ShortKey) -> Self {
        let differences = Differences { ours: Vec::new(), theirs: Vec::new() };
        Self { key, cells: Vec::new(), marks: Vec::new(), queue: Vec::new(), differences }
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
        self.cells.extend(ours.iter().zip(theirs).map(|(ours, theirs)| ours.minus(*theirs)));
        self.marks.resize(end, Mark::default());
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
            let at = number as usize;
            let (Some(&cell), Some(mark)) = (self.cells.get(at), self.marks.get_mut(at)) else { continue };
            mark.queued = false;
            if mark.peeled || !self.is_single(number, &cell) {
                continue;
            }
            if let Some(mark) = self.marks.get_mut(at) {
                mark.peeled = true;
            }
            if cell.count > 0 {
                self.differences.ours.push(cell.sum);
            } else {
                self.differences.theirs.push(cell.sum);
            }
            self.take_out(cell.sum, cell.count, 0);
        }
    }

    /// Whether the cell holds one short id, which belongs there.
    fn is_single(&self, number: u32, cell: &Cell) -> bool {
        let mut belongs = number == 0;
        if cell.count.unsigned_abs() == 1 && self.key.check(cell.sum) == cell.check {
            each_cell(cell.sum, number, number + 1, |_| belongs = true);
            return belongs;
        }
        false
    }

    /// Takes a short id out of all its cells from `first` on.
    fn take_out(&mut self, short: u64, times: i64, first: u32) {
        let check = self.key.check(short);
        let Self { cells, marks, queue, .. } = self;
        let end = u32::try_from(cells.len()).unwrap_or(u32::MAX);
        each_cell(short, first, end, |number| {
            let at = number as usize;
            if let (Some(cell), Some(mark)) = (cells.get_mut(at), marks.get_mut(at)) {
                cell.add(short, check, -times);
                if cell.count.unsigned_abs() == 1 && !mark.queued && !mark.peeled {
                    mark.queued = true;
                    queue.push(number);
                }
            }
        });
    }

    fn look_at(&mut self, number: u32) {
        let at = number as usize;
        if let (Some(cell), Some(mark)) = (self.cells.get(at), self.marks.get_mut(at))
            && cell.count.unsigned_abs() == 1
            && !mark.queued
        {
            mark.queued = true;
            self.queue.push(number);
        }
    }

    /// No difference is read twice from the cells of sets.
    fn check_once(&self) -> Result<Outcome, ReconError> {
        let mut all = [self.differences.ours.as_slice(), self.differences.theirs.as_slice()].concat();
        all.sort_unstable();
        if all.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(ReconError::Contradiction);
        }
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PairKey;

    #[test]
    fn a_difference_that_is_read_twice_is_a_contradiction() {
        let mut decoder = Decoder::new(PairKey::new([1; 32]).short_key(0));
        decoder.differences.ours = alloc::vec![7, 5];
        decoder.differences.theirs = alloc::vec![6];
        assert_eq!(decoder.extend(&[], &[]), Ok(Outcome::Done));
        decoder.differences.theirs.push(7);
        assert_eq!(decoder.extend(&[], &[]), Err(ReconError::Contradiction));
    }
}
