//! What opening says when it cannot be done.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use lama_core::Seed;
use lama_store::conformance::fixture::{note, storage_key};
use lama_store::engine::{Batch, Table};
use lama_store::{Config, Engine as _, Opening, Read, Redb, RedbOptions, Reply, Store, StoreError, Write};

fn open(engine: Redb) -> Result<Store<Redb>, StoreError> {
    Store::open(engine, Config::default(), &storage_key(), Seed::danger_fixed([1; 32]), Opening::Normal)
}

fn options() -> RedbOptions {
    RedbOptions::default()
}

#[test]
fn a_store_that_is_open_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(Redb::open(&path, options()).unwrap()).unwrap();
    let error = Redb::open(&path, options()).unwrap_err();
    assert_eq!(error, StoreError::Locked);
    assert!(error.to_string().contains("another process"), "{error}");
    drop(store);
    Redb::open(&path, options()).unwrap();
}

#[test]
fn what_was_deleted_gives_its_room_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut store = open(Redb::open(&path, options()).unwrap()).unwrap();
    let objects: Vec<_> = (0..400).map(|at| note(&format!("{at} {}", "x".repeat(10_000)))).collect();
    store.commit(vec![Write::Put { objects: objects.clone() }]).unwrap();
    let ids = objects[..300].iter().map(|object| object.0).collect();
    store.commit(vec![Write::Delete { ids }]).unwrap();
    let epoch = store.epoch();
    let (sizes, done) = store.compact_file(&path, options()).unwrap();
    assert_eq!((done.dropped, done.bytes), (300, objects[..300].iter().map(|o| o.1.len() as u64).sum()));
    assert!(sizes.after * 2 < sizes.before && sizes.after < 1_500_000, "{sizes:?}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), sizes.after);
    let mut store = open(Redb::open(&path, options()).unwrap()).unwrap();
    assert_eq!(store.epoch(), epoch);
    assert_eq!(store.check().unwrap().objects, 100);
    assert_eq!(store.ask(Read::Object(objects[300].0)), Ok(Reply::Object(Some(objects[300].1.clone()))));
    assert_eq!(store.ask(Read::Object(objects[0].0)), Ok(Reply::Object(None)));
}

#[test]
fn other_files_are_not_stores() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    for content in [&b"some text, and more of it"[..], &[0; 5000]] {
        std::fs::write(&path, content).unwrap();
        assert_eq!(
            Redb::open(&path, options()).unwrap_err(),
            StoreError::NotAStore,
            "{} bytes",
            content.len()
        );
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
    assert!(Redb::open(&directory.path().join("no/such/directory"), options()).is_err());
}

#[test]
fn a_newer_format_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut engine = Redb::open(&path, options()).unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Meta, *b"!", b"lama-store\x07".to_vec());
    engine.commit(&batch).unwrap();
    let error = open(engine).unwrap_err();
    assert_eq!(error, StoreError::NewerFormat { found: 7, supported: 4 });
    assert!(error.to_string().contains("newer program"), "{error}");
}

#[test]
fn a_store_can_be_read_by_many_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    assert!(Redb::open_read_only(&path, options()).is_err());
    let mut store = open(Redb::open(&path, options()).unwrap()).unwrap();
    store.commit(vec![Write::Put { objects: vec![note("here")] }]).unwrap();
    let epoch = store.epoch();
    assert_eq!(Redb::open_read_only(&path, options()).unwrap_err(), StoreError::Locked);
    drop(store.close().unwrap());
    let mut readers: Vec<_> =
        (0..2).map(|_| open(Redb::open_read_only(&path, options()).unwrap()).unwrap()).collect();
    for reader in &mut readers {
        assert_eq!(reader.ask(Read::Object(note("here").0)), Ok(Reply::Object(Some(note("here").1))));
        assert_eq!(reader.commit(vec![Write::Put { objects: vec![note("no")] }]), Err(StoreError::ReadOnly));
        assert_eq!(reader.epoch(), epoch);
        reader.check().unwrap();
    }
    assert_eq!(Redb::open(&path, options()).unwrap_err(), StoreError::Locked);
    readers.into_iter().for_each(|reader| drop(reader.close().unwrap()));
    // Reading left the mark of the clean end alone.
    assert_eq!(open(Redb::open(&path, options()).unwrap()).unwrap().epoch(), epoch);
}

#[test]
fn every_error_has_a_code_of_its_own_and_says_what_to_do() {
    let id = note("x").0;
    let errors = [
        StoreError::ObjectTooLarge { id, length: 5 },
        StoreError::Hole { stored: 1, after: 2 },
        StoreError::MissingLink { id, missing: id },
        StoreError::ReadOnly,
        StoreError::Limit { what: "things", limit: 1 },
        StoreError::Locked,
        StoreError::NewerFormat { found: 2, supported: 1 },
        StoreError::NotAStore,
        StoreError::Full,
        StoreError::Corrupt("a page is damaged"),
        StoreError::Engine("it failed".to_owned()),
    ];
    let mut codes: Vec<_> = errors.iter().map(StoreError::code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), errors.len());
    assert!(errors.iter().all(|error| !error.to_string().is_empty()));
}
