//! What the store asks of an engine: ordered keys, atomic and durable batches. Nothing else.

pub(crate) mod copy;
mod memory;
#[cfg(feature = "redb")]
mod redb;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

pub use self::copy::copy;
pub use self::memory::Memory;
#[cfg(feature = "redb")]
pub use self::redb::{Redb, RedbOptions, Rewritten};
use crate::StoreError;

/// A key space of its own. Which keys and values stand in each is fixed in [`crate::layout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Small records: format, epoch, heads, contacts, tokens, typed indexes, settings.
    Meta,
    /// The object log: packs of records in the order in which they were stored.
    Log,
    /// Id to place in the log, and which views hold it: sorted, many to a value.
    Index,
    /// Rows that are not in [`Table::Index`] yet, a run for each commit.
    Recent,
    /// Pages of the view logs.
    Views,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Meta, Self::Log, Self::Index, Self::Recent, Self::Views];
}

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key up.
    Up,
    /// From the largest key down.
    Down,
}

/// The changes of one commit: for each table what its keys are set to, `None` for removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    tables: [BTreeMap<Vec<u8>, Option<Bytes>>; 5],
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Bytes>) {
        self.table_mut(table).insert(key.into(), Some(value.into()));
    }

    /// Removes a key, whether it is there or not.
    pub fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.table_mut(table).insert(key.into(), None);
    }

    /// The changes of one table, by key.
    #[must_use]
    pub fn table(&self, table: Table) -> &BTreeMap<Vec<u8>, Option<Bytes>> {
        let [meta, log, index, recent, views] = &self.tables;
        match table {
            Table::Meta => meta,
            Table::Log => log,
            Table::Index => index,
            Table::Recent => recent,
            Table::Views => views,
        }
    }

    fn table_mut(&mut self, table: Table) -> &mut BTreeMap<Vec<u8>, Option<Bytes>> {
        let [meta, log, index, recent, views] = &mut self.tables;
        match table {
            Table::Meta => meta,
            Table::Log => log,
            Table::Index => index,
            Table::Recent => recent,
            Table::Views => views,
        }
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }
}

/// Takes one pair; `false` ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> bool + 'a;

/// Ordered keys and values with atomic, durable batches. One writer; reads see the last commit.
///
/// Every engine passes [`engine_conformance!`](crate::engine_conformance).
pub trait Engine {
    /// Calls `with` with the value under `key` and returns `true`, or returns `false` if there is none.
    ///
    /// # Errors
    /// The engine's failure, as [`StoreError::Engine`], [`StoreError::Corrupt`] or [`StoreError::Full`].
    fn read(&self, table: Table, key: &[u8], with: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError>;

    /// Visits the pairs with `from <= key < to` (`to` `None`: to the end) in order until `visit` says `false`.
    ///
    /// # Errors
    /// As [`Engine::read`].
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError>;

    /// Applies all changes or none. When it returns `Ok`, they survive a crash of the machine.
    ///
    /// # Errors
    /// As [`Engine::read`], and [`StoreError::ReadOnly`]. Nothing was changed.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// After a failed commit: goes back to the last durable one, where that can be reached now.
    ///
    /// # Errors
    /// As [`Engine::read`].
    fn recover(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether [`Engine::commit`] is refused because the engine was opened for reading.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Walks the engine's own structures.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], and as [`Engine::read`].
    fn check(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
