//! The machine stops at every sync point, and whatever was not synced is lost, or torn.
//!
//! One run records all that the engine writes to its file. From that record the file is built as it may look after
//! a crash at each sync: everything before the previous sync is there, and of what came since nothing, or any
//! part, in any order. Each such file must open, pass the integrity walk, hold every commit that was acknowledged,
//! and of the one that was under way all or nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod common;

use std::sync::{Arc, Mutex};

use common::{Cast, open};
use lama_store::conformance::fixture::Dice;
use lama_store::{Redb, RedbOptions};
use redb::StorageBackend;
use std::io::Error as BackendIoError;

#[derive(Debug, Clone)]
enum Operation {
    Write(u64, Vec<u8>),
    Length(u64),
    Sync,
}

#[derive(Debug, Default)]
struct Disk {
    bytes: Vec<u8>,
    record: Vec<Operation>,
}

/// A file in memory that remembers everything done to it.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Disk>>);

impl StorageBackend for Recorder {
    fn len(&self) -> Result<u64, BackendIoError> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), BackendIoError> {
        let at = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.lock().unwrap().bytes[at..at + out.len()]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), BackendIoError> {
        let mut disk = self.0.lock().unwrap();
        disk.record.push(Operation::Length(length));
        disk.bytes.resize(usize::try_from(length).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), BackendIoError> {
        self.0.lock().unwrap().record.push(Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BackendIoError> {
        let mut disk = self.0.lock().unwrap();
        disk.record.push(Operation::Write(offset, data.to_vec()));
        write(&mut disk.bytes, offset, data);
        Ok(())
    }
}

fn write(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let at = usize::try_from(offset).unwrap();
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

fn apply(bytes: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Write(offset, data) => write(bytes, *offset, data),
        Operation::Length(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
        Operation::Sync => {}
    }
}

/// What of the unsynced operations reaches the disk.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Nothing.
    Drop,
    /// Whole operations, each or not.
    Some(u64),
    /// Sectors of 512 bytes, each or not, in any order.
    Tear(u64),
}

/// Lengths are kept (a file system may write them at any time), data is what is lost.
fn crash(durable: &[u8], unsynced: &[Operation], fault: Fault) -> Vec<u8> {
    let mut bytes = durable.to_vec();
    let (mut dice, sector) = match fault {
        Fault::Drop => return bytes,
        Fault::Some(seed) => (Dice::new(seed), usize::MAX),
        Fault::Tear(seed) => (Dice::new(seed), 512),
    };
    let mut pieces = Vec::new();
    for operation in unsynced {
        match operation {
            Operation::Write(offset, data) => {
                for (at, piece) in data.chunks(sector).enumerate() {
                    pieces
                        .push(Operation::Write(offset + (at.saturating_mul(sector)) as u64, piece.to_vec()));
                }
            }
            other => pieces.push(other.clone()),
        }
    }
    let keep_of_ten = dice.below(11);
    let longest = pieces
        .iter()
        .filter_map(|piece| if let Operation::Length(l) = piece { Some(*l) } else { None })
        .max();
    if let Some(longest) = longest.filter(|_| dice.below(2) == 0) {
        bytes.resize(bytes.len().max(usize::try_from(longest).unwrap()), 0);
    }
    for piece in pieces.iter().filter(|piece| matches!(piece, Operation::Write(..))) {
        if dice.below(10) < keep_of_ten {
            apply(&mut bytes, piece);
        }
    }
    bytes
}

/// How many commits had been acknowledged when the record had each length.
type Acknowledged = Vec<(usize, u64)>;

fn record(commits: u64) -> (Vec<Operation>, Acknowledged) {
    let disk = Recorder::default();
    let cast = Cast::new();
    let mut store = open(Redb::with_backend(disk.clone(), RedbOptions::default()).unwrap(), 1);
    let mut acknowledged = vec![(disk.0.lock().unwrap().record.len(), 0)];
    for number in 1..=commits {
        store.commit(cast.writes(number)).unwrap();
        acknowledged.push((disk.0.lock().unwrap().record.len(), number));
    }
    assert_eq!(cast.verify(&mut store), commits);
    let record = disk.0.lock().unwrap().record.clone();
    (record, acknowledged)
}

/// The control: a disk that lies about its last sync loses what was acknowledged, and these checks see it.
#[test]
fn a_lying_disk_is_noticed() {
    let (record, acknowledged) = record(12);
    let cast = Cast::new();
    let syncs: Vec<usize> = record
        .iter()
        .enumerate()
        .filter(|(_, done)| matches!(done, Operation::Sync))
        .map(|(at, _)| at)
        .collect();
    let mut noticed = 0;
    for (length, number) in acknowledged.iter().skip(2) {
        // The two syncs before the acknowledgement did not happen.
        let before = syncs.iter().rev().filter(|at| *at < length).nth(2).unwrap();
        let image = Recorder::default();
        record[..=*before].iter().for_each(|done| apply(&mut image.0.lock().unwrap().bytes, done));
        let mut store = open(Redb::with_backend(image, RedbOptions::default()).unwrap(), 2);
        noticed += u64::from(cast.verify(&mut store) < *number);
    }
    assert_eq!(noticed, 11);
}

#[test]
fn nothing_acknowledged_is_lost_at_any_sync_point() {
    let (record, acknowledged) = record(40);
    let cast = Cast::new();
    let mut durable = Vec::new();
    let (mut syncs, mut images, mut unopened) = (0, 0, 0);
    let mut unsynced: Vec<Operation> = Vec::new();
    for (at, operation) in record.iter().enumerate() {
        if !matches!(operation, Operation::Sync) {
            unsynced.push(operation.clone());
            continue;
        }
        syncs += 1;
        let floor = acknowledged.iter().rev().find(|(length, _)| *length <= at);
        for fault in [Fault::Drop, Fault::Some(at as u64), Fault::Tear(at as u64), Fault::Tear(!(at as u64))]
        {
            let image = Recorder::default();
            image.0.lock().unwrap().bytes = crash(&durable, &unsynced, fault);
            images += 1;
            let Some((_, floor)) = floor else {
                // The file was being made when the machine stopped: it may be no store yet, and holds nothing.
                unopened += 1;
                continue;
            };
            let engine = Redb::with_backend(image.clone(), RedbOptions::default())
                .unwrap_or_else(|error| panic!("sync {syncs}, {fault:?}: {error}"));
            let mut store = open(engine, 2);
            let last = cast.verify(&mut store);
            assert!(last == *floor || last == floor + 1, "sync {syncs}, {fault:?}: {last} after {floor}");
            // And life goes on.
            store.commit(cast.writes(last + 1)).unwrap();
            assert_eq!(cast.verify(&mut store), last + 1);
        }
        unsynced.drain(..).for_each(|operation| apply(&mut durable, &operation));
    }
    println!(
        "{syncs} sync points, {images} files after a crash, {unopened} of them before the store was made"
    );
    assert!(syncs > 40);
}
