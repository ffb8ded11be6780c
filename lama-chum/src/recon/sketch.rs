//! The first 32 cells of a set, kept up to date as it grows.

use bytes::BytesMut;

use super::{Cell, ReconError, ShortKey, each_cell, estimate, read_cells, write_cells};

/// Cells of a [`Sketch`].
pub const SKETCH_CELLS: u32 = 32;

/// The first 32 cells of a set: enough to read some ten differences out of, and to estimate more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sketch {
    cells: [Cell; SKETCH_CELLS as usize],
}

impl Sketch {
    /// Adds a short id that is not in the set.
    #[inline]
    pub fn add(&mut self, key: &ShortKey, short: u64) {
        self.change(key, short, 1);
    }

    /// Removes a short id that is in the set.
    #[inline]
    pub fn remove(&mut self, key: &ShortKey, short: u64) {
        self.change(key, short, -1);
    }

    #[inline]
    fn change(&mut self, key: &ShortKey, short: u64, times: i64) {
        let check = key.check(short);
        each_cell(short, 0, SKETCH_CELLS, |cell| {
            if let Some(cell) = self.cells.get_mut(cell as usize) {
                cell.add(short, check, times);
            }
        });
    }

    /// What of this set's cells is not in the other's.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut this = *self;
        this.cells.iter_mut().zip(other.cells).for_each(|(cell, other)| *cell = cell.minus(other));
        this
    }

    /// The cells.
    #[must_use]
    pub const fn cells(&self) -> &[Cell] {
        self.cells.as_slice()
    }

    /// How many ids the set has: cell 0 holds all of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.cells.first().map_or(0, |cell| cell.count.unsigned_abs())
    }

    /// Of a difference ([`Self::minus`]): about how many ids are in one set only. Both ends get the same number.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        estimate::estimate(&self.cells)
    }

    /// Appends the cells as they travel, of a set of `total` ids: some 440 bytes.
    pub fn write(&self, total: u64, out: &mut BytesMut) {
        write_cells(&self.cells, 0, total, out);
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// Those of [`read_cells`]; [`ReconError::Length`] unless there are exactly 32.
    pub fn read(bytes: &[u8], total: u64) -> Result<Self, ReconError> {
        // More bytes than 32 cells can take are not even looked at.
        if bytes.len() > SKETCH_CELLS as usize * 17 {
            return Err(ReconError::Length);
        }
        let cells = read_cells(bytes, 0, total, total)?;
        Ok(Self { cells: cells.try_into().map_err(|_| ReconError::Length)? })
    }
}
