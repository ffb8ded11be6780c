//! The bytes of the file itself: no secret stands in them, not even in pages that are free.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lama_core::Seed;
use lama_store::conformance::fixture::{note, notes, setting, storage_key};
use lama_store::conformance::sealed::{SECRET, betrays, format_1, holds_the_secrets, secrets};
use lama_store::engine::Table;
use lama_store::{Config, Engine as _, Opening, Redb, RedbOptions, Store, StoreError, Write};

fn options() -> RedbOptions {
    RedbOptions::default()
}

fn open(path: &Path) -> Result<Store<Redb>, StoreError> {
    let seed = Seed::danger_fixed([1; 32]);
    Store::open_file(path, options(), Config::default(), &storage_key(), seed, Opening::Normal)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn the_file_holds_no_secret_in_clear() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut store = open(&path).unwrap();
    store.commit(secrets()).unwrap();
    // Rows that are written again leave their old pages behind.
    for number in 0..20 {
        let text = format!("{SECRET} {number}");
        store
            .commit(vec![setting("join/1", &text), Write::Put { objects: vec![note(&text[43..])] }])
            .unwrap();
        assert!(!betrays(&fs::read(&path).unwrap()), "after {number}");
    }
    store.commit(vec![setting("join/1", SECRET), Write::Put { objects: vec![note("no secret")] }]).unwrap();
    holds_the_secrets(&mut store);
    drop(store.close().unwrap());
    let bytes = fs::read(&path).unwrap();
    assert!(!betrays(&bytes));
    assert!(contains(&bytes, "no secret"), "what is no secret is found");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    holds_the_secrets(&mut open(&path).unwrap());
}

#[test]
fn a_file_of_format_1_is_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut engine = Redb::open(&path, options()).unwrap();
    let mut rows = format_1();
    // So many that the pages in which they were are not all used again at once.
    for number in 0..500 {
        rows.put(Table::Meta, format!("Sother/{number}"), format!("{SECRET}, {number}"));
    }
    engine.commit(&rows).unwrap();
    drop(engine);
    assert!(betrays(&fs::read(&path).unwrap()));

    // The control: sealing the rows alone leaves free pages that betray them.
    let engine = Redb::open(&path, options()).unwrap();
    let seed = Seed::danger_fixed([1; 32]);
    let store = Store::open(engine, Config::default(), &storage_key(), seed, Opening::Normal).unwrap();
    assert_eq!(store.is_stale(), Ok(true));
    drop(store.close().unwrap());
    assert!(betrays(&fs::read(&path).unwrap()));

    // As after a crash between the two: the next opening ends it.
    let mut store = open(&path).unwrap();
    assert_eq!(store.is_stale(), Ok(false));
    holds_the_secrets(&mut store);
    assert_eq!(store.epoch(), *b"epoch 1!");
    drop(store.close().unwrap());
    assert!(!betrays(&fs::read(&path).unwrap()));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left over");
}

#[test]
fn a_reader_cannot_bring_a_store_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut engine = Redb::open(&path, options()).unwrap();
    engine.commit(&format_1()).unwrap();
    drop(engine);
    let engine = Redb::open_read_only(&path, options()).unwrap();
    let seed = Seed::danger_fixed([1; 32]);
    let error = Store::open(engine, Config::default(), &storage_key(), seed, Opening::Normal).unwrap_err();
    assert_eq!(error, StoreError::ReadOnly);
}

#[test]
fn what_a_stopped_copy_left_behind_is_in_nobodys_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut store = open(&path).unwrap();
    for batch in notes("many", 4_000).chunks(100) {
        store.commit(vec![Write::Put { objects: batch.to_vec() }]).unwrap();
    }
    let objects = store.check().unwrap();
    drop(store.close().unwrap());
    fs::write(path.with_extension("new"), b"half a copy").unwrap();
    let sizes = Redb::rewrite(&path, options()).unwrap();
    assert!(sizes.after <= sizes.before, "{sizes:?}");
    assert_eq!(fs::metadata(&path).unwrap().len(), sizes.after);
    assert!(!path.with_extension("new").exists());
    assert_eq!(open(&path).unwrap().check().unwrap(), objects);
}
