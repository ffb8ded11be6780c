//! What one side has to do in a round once 32 cells were not enough: send cells or a list, or read them.

use alloc::vec::Vec;

use crate::ChumError;
use crate::recon::{
    Cell, Decoder, Differences, MAX_CELLS, Outcome, ReconError, SKETCH_CELLS, ShortKey, compare, fill,
    more_cells, range_cells, range_of, read_cells, read_list, scale,
};
use crate::wire::{CELLS, LIST, MARKS};

/// One id of our set: 12 bytes in the table of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
pub(super) struct Item {
    pub(super) short: u64,
    /// Where it stands in the log; 0: it has left the set since RECON told of it.
    pub(super) seq: u32,
}

/// The entries behind short ids, of a table sorted by them. Unknown ones are left out.
pub(super) fn entries(table: &[Item], shorts: &[u64]) -> Vec<u64> {
    let entry = |short: &u64| {
        let at = table.binary_search_by_key(short, |item| item.short).ok()?;
        table.get(at).map(|item| u64::from(item.seq)).filter(|seq| *seq > 0)
    };
    shorts.iter().filter_map(entry).collect()
}

/// What a round waits for.
#[derive(Debug)]
pub(super) enum Work {
    /// Ours or their RECON is still to come.
    Waiting,
    /// Both came and do not suffice: our short ids are being read.
    Building,
    /// We read cells: the larger set.
    Decode(Decode),
    /// We send cells: the smaller set.
    Encode(Encode),
    /// We read a list and mark what we want of it: the larger set.
    Mark(Marking),
    /// We send a list: the smaller set.
    List(Listing),
}

/// The items of a range, of a table sorted by short id.
pub(super) fn in_range(table: &[Item], range: u32, ranges: u32) -> &[Item] {
    let first = table.partition_point(|item| range_of(item.short, ranges) < range);
    let end = table.partition_point(|item| range_of(item.short, ranges) <= range);
    table.get(first..end).unwrap_or_default()
}

/// The cells `first .. end` of some items.
pub(super) fn part_cells(key: &ShortKey, items: &[Item], first: u32, end: u32) -> Vec<Cell> {
    let mut cells = alloc::vec![Cell::default(); end.min(MAX_CELLS).saturating_sub(first) as usize];
    fill(key, items.iter().map(|item| item.short), first, &mut cells);
    cells
}

/// What the counts of a range's cells are written against: its share of the set.
pub(super) const fn share(total: u64, ranges: u32) -> u64 {
    total >> ranges
}

/// Scaled short ids, ascending.
pub(super) fn scaled(items: &[Item], total: u64) -> impl Iterator<Item = u64> {
    items.iter().map(move |item| scale(item.short, total))
}

/// Where the list of a range begins.
pub(super) fn list_base(range: u32, ranges: u32, total: u64) -> u64 {
    scale(u64::from(range).checked_shl(64 - ranges.min(32)).unwrap_or(0), total)
}

/// What follows from a part of the cells.
pub(super) enum Step {
    /// More of them are on their way.
    Wait,
    /// As many as there were to be did not suffice: more are to be asked for.
    More,
    /// There are no more cells, or more of them than are held.
    GiveUp,
    /// A range has been read.
    Read(Differences),
}

/// The cells of one range.
#[derive(Debug)]
struct RangeCells {
    decoder: Decoder,
    /// Came, and not taken yet: our own cells are computed once for all up to the goal.
    pending: Vec<Cell>,
    goal: u32,
}

/// Cells of unread ranges that may always be held: with what is beside them they take less than the credit.
const HELD: u64 = (MAX_CELLS + MAX_CELLS / 2) as u64;

/// Reading cells.
#[derive(Debug)]
pub(super) struct Decode {
    ranges: u32,
    /// Cells that may come for the ranges that have not been read.
    promised: u64,
    /// How many of them there may be. Twice as many as were to suffice follow from the sizes of both sets and so from
    /// what we hold anyway; a peer whose cells never decode makes us hold no more.
    limit: u64,
    /// `None` once a range has been read.
    tables: Vec<Option<RangeCells>>,
    left: usize,
    pub(super) ours: Vec<u64>,
}

impl Decode {
    /// `goal` is that of the first range; what the others are to have follows from what is found in it. `first` has the
    /// sketches' cells already, if there is a single range.
    pub(super) fn new(key: &ShortKey, ranges: u32, goal: u32, first: Option<Decoder>) -> Self {
        let left = 1_usize << ranges;
        let mut first = first;
        let tables = (0..left)
            .map(|range| {
                let goal = if range == 0 { goal } else { 0 };
                let decoder = first.take().unwrap_or_else(|| Decoder::new(key.clone()));
                Some(RangeCells { decoder, pending: Vec::new(), goal })
            })
            .collect();
        let limit = (u64::from(goal) << ranges).saturating_mul(2).max(HELD);
        Self { ranges, promised: goal.into(), limit, tables, left, ours: Vec::new() }
    }

    /// Takes cells of a range, of a set of `total` ids.
    pub(super) fn cells(
        &mut self,
        key: &ShortKey,
        table: &[Item],
        range: u32,
        bytes: &[u8],
        total: u64,
    ) -> Result<Step, ChumError> {
        let out_of_turn = ChumError::ReconOutOfTurn { kind: CELLS };
        let place = self.tables.get_mut(range as usize).ok_or(out_of_turn)?;
        // Read already from fewer than were under way.
        let Some(cells) = place else { return Ok(Step::Wait) };
        let have = cells.decoder.len().saturating_add(cells.pending.len() as u32);
        cells.pending.extend(read_cells(bytes, have, share(total, self.ranges), total)?);
        let (first, end) = (cells.decoder.len(), cells.decoder.len() + cells.pending.len() as u32);
        if end > cells.goal {
            return Err(out_of_turn);
        }
        if end < cells.goal {
            return Ok(Step::Wait);
        }
        let ours = part_cells(key, in_range(table, range, self.ranges), first, end);
        let theirs = core::mem::take(&mut cells.pending);
        if cells.decoder.extend(&theirs, &ours)? == Outcome::Stuck {
            cells.goal = more_cells(end);
            self.promised = self.promised.saturating_add((cells.goal - end).into());
            let more = cells.goal > end && self.promised <= self.limit;
            return Ok(if more { Step::More } else { Step::GiveUp });
        }
        let Some(cells) = place.take() else { return Ok(Step::Wait) };
        self.promised = self.promised.saturating_sub(cells.goal.into());
        let found = cells.decoder.into_differences();
        self.ours.extend(&found.ours);
        self.left = self.left.saturating_sub(1);
        Ok(Step::Read(found))
    }

    /// Whether every range has been read.
    pub(super) const fn is_done(&self) -> bool {
        self.left == 0
    }

    /// The first of several ranges had so many differences: how many cells the others are to have; `None` if that is
    /// more than is held.
    pub(super) fn set_goal(&mut self, found: usize) -> Option<u32> {
        let goal = range_cells(found as u64);
        self.promised = self.promised.saturating_add(u64::from(goal).saturating_mul(self.left as u64));
        self.tables.iter_mut().flatten().for_each(|cells| cells.goal = goal);
        (self.promised <= self.limit).then_some(goal)
    }
}

/// Sending cells.
#[derive(Debug)]
pub(super) struct Encode {
    pub(super) ranges: u32,
    /// How many cells of each range were promised; 0: that is not known yet.
    pub(super) goals: Vec<u32>,
    pub(super) wanted: Vec<u64>,
}

impl Encode {
    /// The cells to send when those of a range were not enough; `None` if there are no more, or no such range.
    pub(super) fn more(&mut self, range: u32) -> Option<(u32, u32)> {
        let goal = self.goals.get_mut(range as usize).filter(|goal| **goal > 0)?;
        let first = *goal;
        *goal = more_cells(first);
        (*goal > first).then_some((first, *goal))
    }

    /// The first range was read, and of all others the peer wants so many cells. Whether it may.
    pub(super) fn set_goal(&mut self, cells: u32) -> bool {
        let rest = self.goals.get_mut(1..).unwrap_or_default();
        let fits = (SKETCH_CELLS..=MAX_CELLS).contains(&cells) && rest.first() == Some(&0);
        if fits {
            rest.fill(cells);
        }
        fits
    }
}

/// Sending a list.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) ranges: u32,
    /// The range of which marks come next.
    pub(super) next: u32,
    pub(super) wanted: Vec<u64>,
}

impl Listing {
    /// Takes the marks of a range: the entries that are wanted, and whether these were the last marks.
    pub(super) fn marks(
        &mut self,
        table: &[Item],
        range: u32,
        bits: &[u8],
    ) -> Result<(Vec<u64>, bool), ChumError> {
        if range != self.next {
            return Err(ChumError::ReconOutOfTurn { kind: MARKS });
        }
        let part = in_range(table, range, self.ranges);
        if !bits.is_empty() && bits.len() != part.len().div_ceil(8) {
            return Err(ReconError::Length.into());
        }
        let is_wanted = |at: usize| bits.get(at / 8).is_none_or(|byte| byte >> (7 - at % 8) & 1 == 1);
        let wanted = part.iter().enumerate().filter(|(at, _)| is_wanted(*at));
        let wanted = wanted.map(|(_, item)| u64::from(item.seq));
        let wanted: Vec<u64> = wanted.filter(|seq| *seq > 0).collect();
        self.wanted.extend(&wanted);
        self.next = self.next.saturating_add(1);
        Ok((wanted, self.next == 1 << self.ranges))
    }
}

/// Reading a list.
#[derive(Debug)]
pub(super) struct Marking {
    pub(super) ranges: u32,
    /// The range whose list comes next.
    pub(super) next: u32,
    /// Ids in the other set, and how many of them were listed.
    pub(super) total: u64,
    pub(super) listed: u64,
    /// Our entries that were not listed.
    pub(super) unlisted: Vec<u64>,
}

/// What follows from a list.
pub(super) struct Marked {
    pub(super) bits: Vec<u8>,
    /// Our entries of that range that were not listed.
    pub(super) unlisted: Vec<u64>,
    /// Whether it was the last one.
    pub(super) done: bool,
}

impl Marking {
    /// Takes the list of a range.
    pub(super) fn list(&mut self, table: &[Item], range: u32, bytes: &[u8]) -> Result<Marked, ChumError> {
        let (count, bytes) = bytes.split_first_chunk::<2>().ok_or(ReconError::Length)?;
        if range != self.next {
            return Err(ChumError::ReconOutOfTurn { kind: LIST });
        }
        self.next = self.next.saturating_add(1);
        let done = self.next == 1 << self.ranges;
        let base = list_base(range, self.ranges, self.total);
        // Rounding down may take the last one of a range to where the next one begins.
        let end = if done { u64::MAX } else { list_base(self.next, self.ranges, self.total) };
        let count = usize::from(u16::from_be_bytes(*count));
        let listed = read_list(bytes, base, end.saturating_add(1), count)?;
        self.listed = self.listed.saturating_add(listed.len() as u64);
        if self.listed > self.total || (done && self.listed < self.total) {
            return Err(ReconError::Count.into());
        }
        let part = in_range(table, range, self.ranges);
        let ours: Vec<u64> = scaled(part, self.total).collect();
        let (wanted, unlisted) = compare(&listed, &ours);
        let missing = part.iter().zip(unlisted).filter(|(_, unlisted)| *unlisted);
        let unlisted: Vec<u64> =
            missing.map(|(item, _)| u64::from(item.seq)).filter(|seq| *seq > 0).collect();
        self.unlisted.extend(&unlisted);
        let byte = |bits: &[bool]| {
            bits.iter().zip(0..8_u32).fold(0, |byte, (wanted, at)| byte | u8::from(*wanted) << (7 - at))
        };
        // Where nothing is common, that is all there is to say.
        let all = wanted.iter().all(|wanted| *wanted);
        let bits = if all { Vec::new() } else { wanted.chunks(8).map(byte).collect() };
        Ok(Marked { bits, unlisted, done })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_left_the_set_is_no_entry() {
        let table = [(3, 9), (5, 0), (8, 1)].map(|(short, seq)| Item { short, seq });
        assert_eq!(entries(&table, &[3, 4, 5, 8]), [9, 1]);
    }
}
