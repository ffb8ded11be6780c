//! The engine in memory: for tests, for the simulator (clone it: that is what a crash leaves), and the model
//! against which the engine on disk is tested.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use bytes::Bytes;

use super::{Batch, Direction, Engine, Table, Visit};
use crate::StoreError;

/// Ordered maps. Durable as long as the value lives.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Bytes>>,
}

impl Engine for Memory {
    fn read(&self, table: Table, key: &[u8], with: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let found = self.tables.get(&table).and_then(|table| table.get(key));
        found.inspect(|value| with(value));
        Ok(found.is_some())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let Some(table) = self.tables.get(&table) else { return Ok(()) };
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let mut range =
            table.range::<[u8], _>((Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded)));
        while let Some((key, value)) =
            if direction == Direction::Up { range.next() } else { range.next_back() }
        {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for table in Table::ALL {
            let rows = self.tables.entry(table).or_default();
            for (key, change) in batch.table(table) {
                match change {
                    // A copy of its own: a slice of a network buffer would keep the whole buffer alive.
                    Some(value) => rows.insert(key.clone(), Bytes::copy_from_slice(value)),
                    None => rows.remove(key),
                };
            }
        }
        Ok(())
    }
}
