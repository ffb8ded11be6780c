//! What a disk says that is full, read-only or broken, how the store tells it, and that it goes on afterwards.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod common;

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex};

use common::{Cast, open};
use lama_store::{Redb, RedbOptions, Reply, Request, Store, StoreError};
use redb::StorageBackend;

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// Bytes that have room; writing beyond them fails, as on a file system where the rest is a hole.
    room: Option<usize>,
    /// What every write says.
    refuses: Option<ErrorKind>,
}

/// A file in memory on a disk that can be made to fail. A clone is the same file.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn store(&self) -> Store<Redb> {
        let disk = self.clone();
        open(Redb::with_backends(move || disk.clone(), RedbOptions::default()).unwrap(), 1)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let at = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.lock().unwrap().bytes[at..at + out.len()]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), Error> {
        let mut state = self.0.lock().unwrap();
        if let Some(kind) = state.refuses {
            return Err(kind.into());
        }
        state.bytes.resize(usize::try_from(length).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.0.lock().unwrap().refuses.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut state = self.0.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        if let Some(kind) = state.refuses {
            return Err(kind.into());
        }
        if state.room.is_some_and(|room| at + data.len() > room) {
            return Err(ErrorKind::StorageFull.into());
        }
        state.bytes[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn commit(store: &mut Store<Redb>, cast: &Cast, number: u64) -> Result<Reply, StoreError> {
    store.execute(&[Request::Commit(cast.writes(number))]).pop().unwrap()
}

#[test]
fn a_full_disk_is_told_what_is_there_can_be_read_and_with_room_it_goes_on() {
    let (disk, cast) = (Disk::default(), Cast::new());
    let mut store = disk.store();
    let (mut number, mut refused) = (0, 0);
    for round in 0..4 {
        disk.set(|state| state.room = Some(state.bytes.len()));
        let error = loop {
            match commit(&mut store, &cast, number + 1) {
                Ok(_) => number += 1,
                Err(error) => break error,
            }
            assert!(number < 4000, "the room never ends");
        };
        assert_eq!((error.code(), &error), ("store-full", &StoreError::Full), "round {round}");
        assert!(error.to_string().contains("make room"), "{error}");
        refused += 1;
        assert_eq!(cast.verify(&mut store), number, "what is durable is read");
        assert_eq!(commit(&mut store, &cast, number + 1), Err(StoreError::Full), "it stays so");
        disk.set(|state| state.room = None);
        commit(&mut store, &cast, number + 1).unwrap();
        number += 1;
        assert_eq!(cast.verify(&mut store), number);
    }
    assert!(refused == 4 && number > 4);
    drop(store.close().unwrap());
    assert_eq!(cast.verify(&mut disk.store()), number);
}

#[test]
fn a_disk_that_may_not_be_written_is_told_and_ends_nothing() {
    for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
        let (disk, cast) = (Disk::default(), Cast::new());
        let mut store = disk.store();
        commit(&mut store, &cast, 1).unwrap();
        disk.set(|state| state.refuses = Some(kind));
        for _ in 0..3 {
            let error = commit(&mut store, &cast, 2).unwrap_err();
            assert_eq!((error.code(), &error), ("store-not-writable", &StoreError::NotWritable));
            assert!(error.to_string().contains("make it writable"), "{error}");
        }
        disk.set(|state| state.refuses = None);
        commit(&mut store, &cast, 2).unwrap();
        assert_eq!(cast.verify(&mut store), 2);
    }
}

#[test]
fn a_disk_that_fails_is_told_in_its_own_words_and_ends_nothing() {
    let (disk, cast) = (Disk::default(), Cast::new());
    let mut store = disk.store();
    commit(&mut store, &cast, 1).unwrap();
    disk.set(|state| state.refuses = Some(ErrorKind::TimedOut));
    let error = commit(&mut store, &cast, 2).unwrap_err();
    assert_eq!(error.code(), "store-engine");
    assert!(error.to_string().contains("timed out"), "{error}");
    disk.set(|state| state.refuses = None);
    // Nobody knows whether what failed is durable: both are allowed, half of it is not.
    let there = cast.verify(&mut store);
    assert!(there == 1 || there == 2, "{there}");
    commit(&mut store, &cast, there + 1).unwrap();
    assert_eq!(cast.verify(&mut store), there + 1);
}

#[test]
fn a_store_on_a_disk_that_may_not_be_written_does_not_open() {
    let disk = Disk::default();
    drop(disk.store());
    disk.set(|state| state.refuses = Some(ErrorKind::ReadOnlyFilesystem));
    let backend = disk.clone();
    let opened = Redb::with_backends(move || backend.clone(), RedbOptions::default());
    let error = match opened {
        Err(error) => error,
        Ok(engine) => {
            let seed = lama_core::Seed::danger_fixed([1; 32]);
            let key = lama_store::conformance::fixture::storage_key();
            let config = lama_store::Config::default();
            lama_store::Store::open(engine, config, &key, seed, lama_store::Opening::Normal).unwrap_err()
        }
    };
    assert_eq!(error, StoreError::NotWritable);
}

#[test]
fn what_was_shown_and_then_lost_ends_the_life_that_others_know() {
    let (disk, cast) = (Disk::default(), Cast::new());
    let mut store = disk.store();
    commit(&mut store, &cast, 1).unwrap();
    let epoch = store.epoch();
    // Small enough not to be made durable for its size alone.
    let small = |text: &'static str| {
        let value = Some(text.as_bytes().into());
        [Request::Commit(vec![lama_store::Write::Setting { key: "small".to_owned(), value }])]
    };
    let said = |store: &mut Store<Redb>| match store
        .stage(&[Request::Read(lama_store::Read::Setting("small".to_owned()))])
        .pop()
    {
        Some(Ok(Reply::Setting(value))) => value.map(|value| value.to_vec()),
        other => panic!("{other:?}"),
    };
    assert!(matches!(store.stage(&small("shown")).pop(), Some(Ok(Reply::Committed(_)))));
    assert_eq!(said(&mut store).unwrap(), b"shown");
    assert!(matches!(store.stage(&small("shown, too")).pop(), Some(Ok(Reply::Committed(_)))));
    assert_eq!(said(&mut store).unwrap(), b"shown, too");
    store.make_durable().unwrap();
    assert_eq!(store.epoch(), epoch);
    // A commit that nobody has seen may fail without consequence.
    disk.set(|state| state.refuses = Some(ErrorKind::TimedOut));
    commit(&mut store, &cast, 2).unwrap_err();
    disk.set(|state| state.refuses = None);
    let there = cast.verify(&mut store);
    assert_eq!(store.epoch(), epoch);
    assert!(matches!(store.stage(&small("lost")).pop(), Some(Ok(Reply::Committed(_)))));
    disk.set(|state| state.refuses = Some(ErrorKind::TimedOut));
    store.make_durable().unwrap_err();
    disk.set(|state| state.refuses = None);
    assert_eq!(cast.verify(&mut store), there);
    let later = store.epoch();
    assert_ne!(later, epoch, "the numbers of its logs come to mean other things");
    commit(&mut store, &cast, there + 1).unwrap();
    drop(store.close().unwrap());
    let mut store = disk.store();
    assert_eq!((cast.verify(&mut store), store.epoch()), (there + 1, later));
}
