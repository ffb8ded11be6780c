//! The engine on disk: redb, a copy-on-write B-tree in one file. Why this one: `docs/store-engine.md`.

extern crate std;

use alloc::string::ToString;
use core::fmt;
use std::io;
use std::path::Path;

use ::redb::{
    CommitError, Database, DatabaseError, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, StorageBackend,
    StorageError, TableDefinition, TableError, TransactionError, WriteTransaction,
};

use super::{Batch, Direction, Engine, Table, Visit};
use crate::StoreError;

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

const fn definition(table: Table) -> Definition {
    TableDefinition::new(match table {
        Table::Meta => "meta",
        Table::Log => "log",
        Table::Index => "index",
        Table::Recent => "recent",
        Table::Views => "views",
    })
}

/// How a database is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedbOptions {
    /// Bytes of pages kept in memory. Default 64 MiB.
    pub cache_bytes: usize,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20 }
    }
}

enum Access {
    Write(Database),
    Read(ReadOnlyDatabase),
}

/// A redb database in a file, or on any [`StorageBackend`] (a browser's file, a backend that injects faults).
pub struct Redb {
    // Before `database`: a snapshot that outlives its database would keep it from closing.
    snapshot: Option<[Rows; 5]>,
    database: Access,
}

impl Redb {
    /// Opens the file for reading and writing, and creates it if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::NotAStore`], [`StoreError::Engine`].
    pub fn open(path: &Path, options: RedbOptions) -> Result<Self, StoreError> {
        let database =
            Database::builder().set_cache_size(options.cache_bytes).create(path).map_err(open_error)?;
        Self::prepare(database)
    }

    /// Opens a file that is there, for reading: other processes may do so at the same time.
    ///
    /// # Errors
    /// As [`Redb::open`]; a file that was not closed cleanly must be opened for writing once.
    pub fn open_read_only(path: &Path, options: RedbOptions) -> Result<Self, StoreError> {
        let mut builder = Database::builder();
        let database =
            builder.set_cache_size(options.cache_bytes).open_read_only(path).map_err(open_error)?;
        let mut this = Self { snapshot: None, database: Access::Read(database) };
        this.refresh()?;
        Ok(this)
    }

    /// Opens a database on a backend of the caller's.
    ///
    /// # Errors
    /// As [`Redb::open`].
    pub fn with_backend(backend: impl StorageBackend, options: RedbOptions) -> Result<Self, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(options.cache_bytes);
        Self::prepare(builder.create_with_backend(backend).map_err(open_error)?)
    }

    fn prepare(database: Database) -> Result<Self, StoreError> {
        let mut this = Self { snapshot: None, database: Access::Write(database) };
        match this.refresh() {
            // A new file has no tables; an empty commit creates them.
            Err(StoreError::NotAStore) => this.commit(&Batch::default())?,
            other => other?,
        }
        Ok(this)
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        let read = match &self.database {
            Access::Write(database) => database.begin_read(),
            Access::Read(database) => database.begin_read(),
        }
        .map_err(transaction_error)?;
        let open = |table| read.open_table(definition(table)).map_err(table_error);
        let [meta, log, index, recent, views] = Table::ALL;
        self.snapshot = Some([open(meta)?, open(log)?, open(index)?, open(recent)?, open(views)?]);
        Ok(())
    }

    fn rows(&self, table: Table) -> Result<&Rows, StoreError> {
        let [meta, log, index, recent, views] = self
            .snapshot
            .as_ref()
            .ok_or(StoreError::Corrupt("an earlier commit failed; open the store again"))?;
        Ok(match table {
            Table::Meta => meta,
            Table::Log => log,
            Table::Index => index,
            Table::Recent => recent,
            Table::Views => views,
        })
    }

    fn apply(write: &WriteTransaction, batch: &Batch) -> Result<(), StoreError> {
        for table in Table::ALL {
            let mut rows = write.open_table(definition(table)).map_err(table_error)?;
            for (key, change) in batch.table(table) {
                match change {
                    Some(value) => rows.insert(key.as_slice(), &value[..]),
                    None => rows.remove(key.as_slice()),
                }
                .map_err(storage_error)?;
            }
        }
        Ok(())
    }
}

impl Engine for Redb {
    fn read(&self, table: Table, key: &[u8], with: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let found = self.rows(table)?.get(key).map_err(storage_error)?;
        found.as_ref().inspect(|guard| with(guard.value()));
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
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let rows = self.rows(table)?;
        let mut range = match to {
            Some(to) => rows.range(from..to),
            None => rows.range(from..),
        }
        .map_err(storage_error)?;
        while let Some(row) = if direction == Direction::Up { range.next() } else { range.next_back() } {
            let (key, value) = row.map_err(storage_error)?;
            if !visit(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let Access::Write(database) = &self.database else { return Err(StoreError::ReadOnly) };
        // An open snapshot would keep the pages that this commit frees from being used again.
        self.snapshot = None;
        let result = (|| {
            let mut write = database.begin_write().map_err(transaction_error)?;
            // Keeps the allocator's state in the file, so that opening after a crash does not walk all of it.
            write.set_quick_repair(true);
            Self::apply(&write, batch)?;
            write.commit().map_err(|error| match error {
                CommitError::Storage(error) => storage_error(error),
                other => StoreError::Engine(other.to_string()),
            })
        })();
        let refreshed = self.refresh();
        result.and(refreshed)
    }

    fn is_read_only(&self) -> bool {
        matches!(self.database, Access::Read(_))
    }

    fn check(&mut self) -> Result<(), StoreError> {
        self.snapshot = None;
        if let Access::Write(database) = &mut self.database {
            let sound = database.check_integrity().map_err(open_error)?;
            if !sound {
                return Err(StoreError::Corrupt(
                    "the database file was damaged, and has been repaired as far as possible",
                ));
            }
        }
        self.refresh()
    }
}

impl fmt::Debug for Redb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redb").field("read_only", &self.is_read_only()).finish_non_exhaustive()
    }
}

fn open_error(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StoreError::Locked,
        DatabaseError::UpgradeRequired(_) => StoreError::NotAStore,
        DatabaseError::RepairAborted => {
            StoreError::Engine("the store was not closed cleanly; open it once for writing".to_string())
        }
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            StoreError::NotAStore
        }
        DatabaseError::Storage(error) => storage_error(error),
        other => StoreError::Engine(other.to_string()),
    }
}

fn storage_error(error: StorageError) -> StoreError {
    match error {
        StorageError::Io(error) if error.kind() == io::ErrorKind::StorageFull => StoreError::Full,
        StorageError::Corrupted(_) => StoreError::Corrupt("a page of the database file is damaged"),
        other => StoreError::Engine(other.to_string()),
    }
}

fn table_error(error: TableError) -> StoreError {
    match error {
        TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. } => StoreError::NotAStore,
        TableError::Storage(error) => storage_error(error),
        other => StoreError::Engine(other.to_string()),
    }
}

fn transaction_error(error: TransactionError) -> StoreError {
    match error {
        TransactionError::Storage(error) => storage_error(error),
        other => StoreError::Engine(other.to_string()),
    }
}
