//! Cells: what they hold, how they are filled, and how they travel.

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use super::mapping::chance;
use super::{MAX_CELLS, ReconError, ShortKey, each_cell};

/// One cell: the short ids that stand in it, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    /// XOR of the short ids.
    pub sum: u64,
    /// XOR of their checks.
    pub check: u32,
    /// How many there are; in a difference of two cells, ours less theirs.
    pub count: i64,
}

impl Cell {
    /// Adds a short id and its check `times` times: 1 to add, -1 to remove.
    #[inline]
    pub const fn add(&mut self, short: u64, check: u32, times: i64) {
        self.sum ^= short;
        self.check ^= check;
        self.count = self.count.wrapping_add(times);
    }

    /// What of this cell is not in the other one.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            sum: self.sum ^ other.sum,
            check: self.check ^ other.check,
            count: self.count.wrapping_sub(other.count),
        }
    }
}

/// Adds short ids to cells of which the first has the number `first`.
pub fn fill(key: &ShortKey, shorts: impl IntoIterator<Item = u64>, first: u32, cells: &mut [Cell]) {
    let end = first.saturating_add(u32::try_from(cells.len()).unwrap_or(u32::MAX));
    for short in shorts {
        let check = key.check(short);
        each_cell(short, first, end, |cell| {
            if let Some(cell) = cells.get_mut((cell - first) as usize) {
                cell.add(short, check, 1);
            }
        });
    }
}

/// The cells `first .. end` of a set of short ids. Rateless: any further cells of the same set follow on.
#[must_use]
pub fn cells(key: &ShortKey, shorts: &[u64], first: u32, end: u32) -> Vec<Cell> {
    let mut cells = alloc::vec![Cell::default(); end.min(MAX_CELLS).saturating_sub(first) as usize];
    fill(key, shorts.iter().copied(), first, &mut cells);
    cells
}

/// What a cell is expected to hold of a set of `total` ids: the total times the chance, rounded down.
fn expected(cell: u32, total: u64) -> i64 {
    ((u128::from(total) * u128::from(chance(cell))) >> 32) as i64
}

/// Appends cells of a set of `total` ids, the first of which has the number `first`: sum (8 bytes), check (4),
/// and what the count is above the expected one as a zigzag LEB128 number. Some 13.2 bytes each.
pub fn write_cells(cells: &[Cell], first: u32, total: u64, out: &mut BytesMut) {
    out.reserve(cells.len() * 14);
    for (number, cell) in (first..).zip(cells) {
        out.put_u64(cell.sum);
        out.put_u32(cell.check);
        let above = cell.count - expected(number, total);
        let mut code = ((above << 1) ^ (above >> 63)).cast_unsigned();
        while code > 0x7f {
            out.put_u8((code & 0x7f) as u8 | 0x80);
            code >>= 7;
        }
        out.put_u8(code as u8);
    }
}

/// Reads as many cells as the bytes hold, the first of which has the number `first`. `total` is what they were
/// written with, and no cell can hold more than `most` ids: the whole set where the cells are those of a range,
/// else the same as `total`, which is what cell 0 then has to hold.
///
/// # Errors
/// [`ReconError::Length`], [`ReconError::Encoding`], [`ReconError::Count`], [`ReconError::TooMany`].
pub fn read_cells(mut bytes: &[u8], first: u32, total: u64, most: u64) -> Result<Vec<Cell>, ReconError> {
    // A cell has 13 bytes at least: nothing is reserved that did not come.
    let mut cells = Vec::with_capacity(bytes.len() / 13);
    let mut number = first;
    while !bytes.is_empty() {
        if number >= MAX_CELLS {
            return Err(ReconError::TooMany);
        }
        let (fixed, rest) = bytes.split_first_chunk::<12>().ok_or(ReconError::Length)?;
        let (code, rest) = read_number(rest)?;
        bytes = rest;
        let above = (code >> 1).cast_signed() ^ -((code & 1).cast_signed());
        let count = expected(number, total).saturating_add(above);
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        if !(0..=limit).contains(&count) || (number == 0 && total == most && count != limit) {
            return Err(ReconError::Count);
        }
        let [sum, check] = [
            fixed.first_chunk::<8>().map(|sum| u64::from_be_bytes(*sum)),
            fixed.last_chunk::<4>().map(|check| u64::from(u32::from_be_bytes(*check))),
        ]
        .map(Option::unwrap_or_default);
        cells.push(Cell { sum, check: check as u32, count });
        number += 1;
    }
    Ok(cells)
}

/// A LEB128 number of at most 35 bits in its shortest form, and the bytes behind it.
pub(super) fn read_number(bytes: &[u8]) -> Result<(u64, &[u8]), ReconError> {
    let mut number = 0_u64;
    let mut rest = bytes;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, behind) = rest.split_first().ok_or(ReconError::Length)?;
        rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let shortest = *byte != 0 || shift == 0;
            return if shortest { Ok((number, rest)) } else { Err(ReconError::Encoding) };
        }
    }
    Err(ReconError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PairKey;

    fn some(count: u64) -> (ShortKey, Vec<u64>) {
        let shorts = (0..count).map(super::super::mapping::mix).collect();
        (PairKey::new([1; 32]).short_key(0), shorts)
    }

    #[test]
    fn cells_come_back() {
        for count in [0, 1, 2, 100, 5_000] {
            let (key, shorts) = some(count);
            for (first, end) in [(0, 32), (32, 100), (1_000, 1_001)] {
                let cells = cells(&key, &shorts, first, end);
                let mut out = BytesMut::new();
                write_cells(&cells, first, count, &mut out);
                assert_eq!(read_cells(&out, first, count, count), Ok(cells));
            }
        }
    }

    #[test]
    fn a_cell_takes_little_more_than_thirteen_bytes() {
        let (key, shorts) = some(100_000);
        let mut out = BytesMut::new();
        write_cells(&cells(&key, &shorts, 0, 1_200), 0, 100_000, &mut out);
        let each = out.len() as f64 / 1_200.0;
        assert!((13.0..13.2).contains(&each), "{each}");
    }

    #[test]
    fn what_is_not_a_cell_is_refused() {
        let (key, shorts) = some(10);
        let mut out = BytesMut::new();
        write_cells(&cells(&key, &shorts, 0, 3), 0, 10, &mut out);
        assert_eq!(read_cells(&out[..out.len() - 1], 0, 10, 10), Err(ReconError::Length));
        assert_eq!(read_cells(&out[..20], 0, 10, 10), Err(ReconError::Length));
        let cell = |count: &[u8]| [&[1; 12], count].concat();
        assert_eq!(read_cells(&cell(&[2]), 0, 10, 10), Err(ReconError::Count), "cell 0 holds all");
        assert_eq!(read_cells(&cell(&[1]), 0, 10, 10), Err(ReconError::Count), "cell 0 holds all");
        assert_eq!(read_cells(&cell(&[0x80, 0]), 1, 10, 10), Err(ReconError::Encoding));
        assert_eq!(read_cells(&cell(&[0xff; 6]), 1, 10, 10), Err(ReconError::Encoding));
        assert_eq!(read_cells(&cell(&[99]), 1, 10, 10), Err(ReconError::Count), "negative");
        assert_eq!(read_cells(&cell(&[98]), 1, 10, 10), Err(ReconError::Count), "more than there are");
        assert_eq!(read_cells(&cell(&[0]), MAX_CELLS, 10, 10), Err(ReconError::TooMany));
        assert!(read_cells(&cell(&[0]), MAX_CELLS - 1, 10, 10).is_ok());
    }
}
