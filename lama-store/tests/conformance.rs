//! Both engines pass the same suites.
#![allow(clippy::unwrap_used)]

use lama_store::conformance::{MemoryPlace, Place};
use lama_store::{Redb, RedbOptions, StoreError};

/// A database file in a directory of its own.
struct RedbPlace(tempfile::TempDir);

impl Default for RedbPlace {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Place for RedbPlace {
    type Engine = Redb;

    fn open(&mut self) -> Result<Redb, StoreError> {
        Redb::open(&self.0.path().join("store"), RedbOptions::default())
    }

    fn keep(&mut self, engine: Redb) {
        drop(engine);
    }
}

lama_store::engine_conformance!(memory_engine, MemoryPlace);
lama_store::engine_conformance!(redb_engine, RedbPlace);
lama_store::store_conformance!(memory_store, MemoryPlace);
lama_store::store_conformance!(redb_store, RedbPlace);
