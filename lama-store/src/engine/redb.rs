//! The engine on disk: redb, a copy-on-write B-tree in one file. Why this one: `docs/store-engine.md`.

extern crate std;

use alloc::string::ToString;
use core::fmt;
use std::boxed::Box;
use std::path::Path;
use std::{fs, io};

use ::redb::backends::FileBackend;
use ::redb::{
    Builder, CommitError, CompactionError, Database, DatabaseError, ReadOnlyDatabase, ReadOnlyTable,
    ReadableDatabase, StorageBackend, StorageError, TableDefinition, TableError, TransactionError,
    WriteTransaction,
};

use lama_core::Seed;

use super::{Batch, Direction, Engine, Table, Visit};
use crate::{Compacted, Config, Opening, StorageKey, Store, StoreError};

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

/// Lengths of a file in bytes, before and after [`Redb::rewrite`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20 }
    }
}

enum Access {
    Write(Database),
    Read(ReadOnlyDatabase),
    /// After a failure of the disk, until it can be opened again.
    Gone(StoreError),
}

/// Opens the database again after a failure of the disk: redb itself refuses everything from then on.
type Reopen = Box<dyn FnMut() -> Result<Database, StoreError> + Send>;

/// A redb database in a file, or on any [`StorageBackend`] (a browser's file, a backend that injects faults).
pub struct Redb {
    // Before `database`: a snapshot that outlives its database would keep it from closing.
    snapshot: Option<[Rows; 5]>,
    database: Access,
    reopen: Option<Reopen>,
}

impl Redb {
    /// Opens the file for reading and writing, and creates it, readable by its owner alone, if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::NotAStore`], [`StoreError::Full`], [`StoreError::NotWritable`],
    /// [`StoreError::Engine`].
    pub fn open(path: &Path, options: RedbOptions) -> Result<Self, StoreError> {
        let path = path.to_path_buf();
        Self::reopening(Box::new(move || {
            let file = file_options().open(&path).map_err(|error| io_error(&error))?;
            let backend = FileBackend::new(file).map_err(open_error)?;
            builder(options).create_with_backend(backend).map_err(open_error)
        }))
    }

    /// Opens a file that is there, for reading: other processes may do so at the same time.
    ///
    /// # Errors
    /// As [`Redb::open`]; a file that was not closed cleanly must be opened for writing once.
    pub fn open_read_only(path: &Path, options: RedbOptions) -> Result<Self, StoreError> {
        let database = builder(options).open_read_only(path).map_err(open_error)?;
        let mut this = Self { snapshot: None, database: Access::Read(database), reopen: None };
        this.look()?;
        Ok(this)
    }

    /// Opens a database on a backend of the caller's.
    ///
    /// # Errors
    /// As [`Redb::open`].
    pub fn with_backend(backend: impl StorageBackend, options: RedbOptions) -> Result<Self, StoreError> {
        let database = builder(options).create_with_backend(backend).map_err(open_error)?;
        Self::prepare(database, None)
    }

    /// Opens a database on a backend that `make` can make again: after a failure of the disk the database goes on
    /// where the last durable commit left it, as one in a file does.
    ///
    /// # Errors
    /// As [`Redb::open`].
    pub fn with_backends<B: StorageBackend>(
        mut make: impl FnMut() -> B + Send + 'static,
        options: RedbOptions,
    ) -> Result<Self, StoreError> {
        Self::reopening(Box::new(move || builder(options).create_with_backend(make()).map_err(open_error)))
    }

    /// Copies the store in the file at `path` into a new file and puts that in its place: no page of it holds what
    /// the store no longer says, and no room is left over. Needs room for both. The file must not be open.
    ///
    /// # Errors
    /// As [`Redb::open`]. Whatever happens, the store at `path` is the old one or the new one, whole.
    pub fn rewrite(path: &Path, options: RedbOptions) -> Result<Rewritten, StoreError> {
        Self::replace(path, options, |to| {
            let from = Self::open(path, options)?;
            super::copy(&from, to)
        })
        .map(|(sizes, ())| sizes)
    }

    /// Puts in the place of a file a new one that `fill` fills; `fill` closes the old one.
    fn replace<T>(
        path: &Path,
        options: RedbOptions,
        fill: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<(Rewritten, T), StoreError> {
        let fresh = path.with_extension("new");
        let done = Self::replace_by(path, &fresh, options, fill);
        if done.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        done
    }

    fn replace_by<T>(
        path: &Path,
        fresh: &Path,
        options: RedbOptions,
        fill: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<(Rewritten, T), StoreError> {
        let system = |error: io::Error| io_error(&error);
        // What an earlier run left behind that was stopped.
        match fs::remove_file(fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(system(error)),
            _ => {}
        }
        let before = fs::metadata(path).map_err(system)?.len();
        let mut to = Self::open(fresh, options)?;
        let done = fill(&mut to)?;
        if let Access::Write(database) = &mut to.database {
            to.snapshot = None;
            database.compact().map_err(|error| match error {
                CompactionError::Storage(error) => storage_error(error),
                other => StoreError::Engine(other.to_string()),
            })?;
        }
        drop(to);
        let file = fs::File::open(fresh).map_err(system)?;
        file.sync_all().map_err(system)?;
        let after = file.metadata().map_err(system)?.len();
        fs::rename(fresh, path).map_err(system)?;
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(system)?;
        }
        Ok((Rewritten { before, after }, done))
    }

    fn reopening(mut reopen: Reopen) -> Result<Self, StoreError> {
        let database = reopen()?;
        Self::prepare(database, Some(reopen))
    }

    fn prepare(database: Database, reopen: Option<Reopen>) -> Result<Self, StoreError> {
        let mut this = Self { snapshot: None, database: Access::Write(database), reopen };
        match this.look() {
            // A new file has no tables; an empty commit creates them.
            Err(StoreError::NotAStore) => this.commit(&Batch::default())?,
            other => other?,
        }
        Ok(this)
    }

    /// Opens the database again if a failure of the disk has ended it.
    fn revive(&mut self) -> Result<(), StoreError> {
        let Access::Gone(error) = &self.database else { return Ok(()) };
        let reopen = self.reopen.as_mut().ok_or_else(|| error.clone())?;
        self.database = Access::Write(reopen()?);
        self.look()
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let Access::Write(database) = &self.database else { return Err(StoreError::ReadOnly) };
        // An open snapshot would keep the pages that this commit frees from being used again.
        self.snapshot = None;
        let mut write = database.begin_write().map_err(transaction_error)?;
        // Keeps the allocator's state in the file, so that opening after a crash does not walk all of it.
        write.set_quick_repair(true);
        Self::apply(&write, batch)?;
        write.commit().map_err(|error| match error {
            CommitError::Storage(error) => storage_error(error),
            other => StoreError::Engine(other.to_string()),
        })
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let read = match &self.database {
            Access::Write(database) => database.begin_read(),
            Access::Read(database) => database.begin_read(),
            Access::Gone(error) => return Err(error.clone()),
        }
        .map_err(transaction_error)?;
        let open = |table| read.open_table(definition(table)).map_err(table_error);
        let [meta, log, index, recent, views] = Table::ALL;
        self.snapshot = Some([open(meta)?, open(log)?, open(index)?, open(recent)?, open(views)?]);
        Ok(())
    }

    fn rows(&self, table: Table) -> Result<&Rows, StoreError> {
        let [meta, log, index, recent, views] =
            self.snapshot.as_ref().ok_or_else(|| match &self.database {
                Access::Gone(error) => error.clone(),
                _ => StoreError::Corrupt("an earlier commit failed; open the store again"),
            })?;
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

impl Store<Redb> {
    /// Closes the store in the file at `path` and writes it anew, without the bytes of what was deleted
    /// ([`Store::compact_into`]); the new file takes the place of the old one. Needs room for both.
    ///
    /// # Errors
    /// As [`Store::compact_into`] and [`Redb::open`]. Whatever happens, the store at `path` is the old one or the new one,
    /// whole.
    pub fn compact_file(
        self,
        path: &Path,
        options: RedbOptions,
    ) -> Result<(Rewritten, Compacted), StoreError> {
        Redb::replace(path, options, |to| {
            self.compact_into(to).map(|(engine, done)| {
                drop(engine);
                done
            })
        })
    }

    /// Opens the store in the file at `path`; see [`Store::open`]. A store of an older format is brought up to date
    /// and then copied into a new file ([`Redb::rewrite`]), since free pages of the old one hold in clear what is
    /// sealed now. If there is no room for the copy it is made the next time; until then [`Store::is_stale`] says so.
    ///
    /// # Errors
    /// As [`Redb::open`] and [`Store::open`].
    pub fn open_file(
        path: &Path,
        options: RedbOptions,
        config: Config,
        key: &StorageKey,
        seed: Seed,
        opening: Opening,
    ) -> Result<Self, StoreError> {
        let again = seed.child("LAMA/store again");
        let store = Self::open(Redb::open(path, options)?, config, key, seed, opening)?;
        if !store.is_stale()? {
            return Ok(store);
        }
        drop(store.close()?);
        match Redb::rewrite(path, options) {
            Ok(_) | Err(StoreError::Full) => {}
            Err(error) => return Err(error),
        }
        Self::open(Redb::open(path, options)?, config, key, again, Opening::Normal)
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
        self.revive()?;
        let result = self.write(batch);
        if matches!(result, Ok(()) | Err(StoreError::ReadOnly)) {
            return result.and(self.look());
        }
        if let (Err(error), true) = (&result, self.reopen.is_some()) {
            // Closes the file, so that it can be opened again now or, if that fails, at the next commit.
            self.database = Access::Gone(error.clone());
            let _ = self.revive();
        } else {
            let _ = self.look();
        }
        result
    }

    fn recover(&mut self) -> Result<(), StoreError> {
        self.revive()
    }

    fn is_read_only(&self) -> bool {
        matches!(self.database, Access::Read(_))
    }

    fn check(&mut self) -> Result<(), StoreError> {
        self.snapshot = None;
        let sound = match &mut self.database {
            Access::Write(database) => database.check_integrity().map_err(open_error),
            _ => Ok(true),
        };
        // Whatever it says, what can be read is read on.
        let looked = self.look();
        if !sound? {
            return Err(StoreError::Corrupt(
                "the database file was damaged, and has been repaired as far as possible",
            ));
        }
        looked
    }
}

impl fmt::Debug for Redb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redb").field("read_only", &self.is_read_only()).finish_non_exhaustive()
    }
}

fn builder(options: RedbOptions) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes);
    builder
}

/// Read, write, make; nobody else may read it.
fn file_options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn io_error(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => StoreError::NotWritable,
        io::ErrorKind::InvalidData => StoreError::NotAStore,
        _ => StoreError::Engine(error.to_string()),
    }
}

fn open_error(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StoreError::Locked,
        DatabaseError::UpgradeRequired(_) => StoreError::NotAStore,
        DatabaseError::RepairAborted => {
            StoreError::Engine("the store was not closed cleanly; open it once for writing".to_string())
        }
        DatabaseError::Storage(StorageError::Io(error)) => io_error(&error),
        DatabaseError::Storage(error) => storage_error(error),
        other => StoreError::Engine(other.to_string()),
    }
}

fn storage_error(error: StorageError) -> StoreError {
    match error {
        StorageError::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            StoreError::Corrupt("a page of the database file is damaged")
        }
        StorageError::Io(error) => io_error(&error),
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
