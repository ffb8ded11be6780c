//! Bringing an index up to date that formats up to 3 wrote: a row of the tree for each key.
//!
//! Nobody reads such rows where they stand. They are written as segments when the store is opened, in commits of bounded
//! size, each of which removes the rows that it has written. A row of `Meta` says that there are any left, so an opening
//! that was stopped is gone on with by the next one.

use alloc::vec::Vec;

use super::segment::Builder;
use super::{AT_ONCE, Index, Rows, level_for};
use crate::StoreError;
use crate::codec::Reader;
use crate::engine::{Batch, Direction, Engine, Table};
use crate::layout::{ID, IndexKey, Slot, kind, meta};

/// Whether a key of `Index` is that of such a row: an id, or an id and a view.
pub(super) const fn is_row(key: &[u8]) -> bool {
    key.len() == ID || key.len() == ID + 4
}

fn read_row(key: &[u8], value: &[u8]) -> Result<(IndexKey, Slot), StoreError> {
    let mut reader = Reader(key);
    let mut row = IndexKey::read_object(&mut reader)?;
    if key.len() > ID {
        row.view = u32::from_be_bytes(reader.array()?);
    }
    let mut reader = Reader(value);
    let slot = Slot::read(&mut reader)?;
    reader.end()?;
    Ok((row, slot))
}

/// Whether there may be such rows.
pub(crate) fn is_there(engine: &impl Engine) -> Result<bool, StoreError> {
    engine.read(Table::Meta, &meta(kind::OLD_INDEX, &[]), &mut |_| {})
}

impl Index {
    /// Writes old rows as segments, behind all that there is.
    pub(crate) fn convert(&mut self, engine: &mut impl Engine, limit: usize) -> Result<(), StoreError> {
        let mut total = 0;
        engine.scan(Table::Index, &[], None, Direction::Up, &mut |key, _| {
            total += usize::from(is_row(key));
            true
        })?;
        // What was written before an opening was stopped stands on the same level or behind it.
        let level = usize::from(level_for(total, limit)).max(self.levels.len().saturating_sub(1)) as u8;
        let mut from = Some(Vec::new());
        while let Some(start) = from.take() {
            let (mut rows, mut batch) = (Rows::new(), Batch::default());
            engine.scan(Table::Index, &start, None, Direction::Up, &mut |key, value| {
                if !is_row(key) {
                    return true;
                }
                if rows.len() == AT_ONCE {
                    from = Some(key.to_vec());
                    return false;
                }
                batch.remove(Table::Index, key);
                // One that cannot be read is for the check to miss, and for the repair to write anew.
                rows.extend(read_row(key, value));
                true
            })?;
            let mut builder = Builder::new(&mut batch, &mut self.next, rows.len());
            rows.into_iter().for_each(|(key, slot)| builder.push(key, slot));
            for mut segment in builder.finish() {
                segment.level = level;
                segment.put(&mut batch);
            }
            if from.is_none() {
                batch.remove(Table::Meta, meta(kind::OLD_INDEX, &[]));
            }
            engine.commit(&batch)?;
        }
        *self = Self::load(engine, limit)?;
        Ok(())
    }
}
