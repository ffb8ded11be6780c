//! What follows when 32 cells are not enough: both ends derive the same from what both know.

use super::MAX_CELLS;

/// Differences up to which one table holds all.
const ONE_TABLE: u64 = 4_000;

/// Differences that a range is to hold at most, so that the first objects leave after a hundredth of the cells; the
/// estimate may be wrong by a factor of 1.6.
const PER_RANGE: u64 = 1_000;

/// Ids that a range of a list is to hold at most, in the mean; with 16,384 a list fits into one record, and far
/// fewer than [`super::MAX_LIST`] fall into one by chance.
pub const LIST_RANGE: u64 = 16_384;

/// How the smaller set tells what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// With cells, in `2^ranges` ranges of the short ids; in a single one they follow on the first 32.
    Cells {
        /// Logarithm of the number of ranges.
        ranges: u32,
    },
    /// With lists, in `2^ranges` ranges of the short ids.
    List {
        /// Logarithm of the number of ranges.
        ranges: u32,
    },
}

impl Plan {
    /// The plan for about `estimate` differences where the smaller set has `smaller` ids: cells up to 0.13 of
    /// that set, beyond which a list is shorter.
    #[must_use]
    pub fn new(estimate: u64, smaller: u64) -> Self {
        if u128::from(estimate) * 100 > u128::from(smaller) * 13 {
            return Self::List { ranges: halvings(smaller, LIST_RANGE) };
        }
        let ranges = if estimate > ONE_TABLE { halvings(estimate, PER_RANGE) } else { 0 };
        Self::Cells { ranges }
    }

    /// Logarithm of the number of ranges, at most 16.
    #[must_use]
    pub const fn ranges(self) -> u32 {
        match self {
            Self::Cells { ranges } | Self::List { ranges } => ranges,
        }
    }
}

/// How often `number` must be halved to be at most `limit`; never more than 16 times.
fn halvings(number: u64, limit: u64) -> u32 {
    (0..16).find(|halvings| number >> halvings <= limit).unwrap_or(16)
}

/// The range of a short id: its highest `ranges` bits.
#[must_use]
pub fn range_of(short: u64, ranges: u32) -> u32 {
    short.checked_shr(64 - ranges.min(32)).unwrap_or(0) as u32
}

/// How many cells to send at once for about `estimate` differences: a sixth more than the mean of what they take,
/// since asking for more costs a round trip.
#[must_use]
pub fn first_cells(estimate: u64) -> u32 {
    let cells = estimate.saturating_mul(7) / 5;
    u32::try_from(cells.saturating_add(8)).unwrap_or(MAX_CELLS).clamp(super::SKETCH_CELLS, MAX_CELLS)
}

/// How many cells to send at once of each further range, the first one of which had `found` differences.
#[must_use]
pub fn range_cells(found: u64) -> u32 {
    let cells = found.saturating_mul(5) / 4;
    u32::try_from(cells.saturating_add(8)).unwrap_or(MAX_CELLS).clamp(super::SKETCH_CELLS, MAX_CELLS)
}

/// How many cells there are to be after `have` were not enough: by half below 256, then by an eighth.
#[must_use]
pub fn more_cells(have: u32) -> u32 {
    let more = if have < 256 { have / 2 } else { have / 8 };
    have.saturating_add(more.max(16)).min(MAX_CELLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_follows_the_figures() {
        for (estimate, smaller, plan) in [
            (100, 1_000, Plan::Cells { ranges: 0 }),
            (130, 1_000, Plan::Cells { ranges: 0 }),
            (131, 1_000, Plan::List { ranges: 0 }),
            (4_000, 1_000_000, Plan::Cells { ranges: 0 }),
            (4_001, 1_000_000, Plan::Cells { ranges: 2 }),
            (100_000, 1_000_000, Plan::Cells { ranges: 7 }),
            (1_000_000, 1_000_000, Plan::List { ranges: 6 }),
            (5, 0, Plan::List { ranges: 0 }),
            (u64::MAX, u64::MAX, Plan::List { ranges: 16 }),
        ] {
            assert_eq!(Plan::new(estimate, smaller), plan, "{estimate} of {smaller}");
        }
        assert_eq!((range_of(u64::MAX, 0), range_of(u64::MAX, 6), range_of(1 << 62, 2)), (0, 63, 1));
    }

    #[test]
    fn more_is_always_more_until_the_last_cell() {
        let mut have = 32;
        let mut steps = 0;
        while have < MAX_CELLS {
            let next = more_cells(have);
            assert!(next > have && next <= MAX_CELLS);
            have = next;
            steps += 1;
        }
        assert!(steps < 70, "{steps}");
        assert_eq!([32, 100, 255, 256, 1_000].map(more_cells), [48, 150, 382, 288, 1_125]);
        assert_eq!((first_cells(0), first_cells(1_000), first_cells(u64::MAX)), (32, 1_408, MAX_CELLS));
    }
}
