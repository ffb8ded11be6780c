//! What an engine by itself promises.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::Place;
use super::fixture::Dice;
use crate::Engine;
use crate::engine::{Batch, Direction, Table};

fn get(engine: &impl Engine, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    let mut found = None;
    let there = engine.read(table, key, &mut |value| found = Some(value.to_vec())).unwrap();
    assert_eq!(there, found.is_some());
    found
}

fn keys(
    engine: &impl Engine,
    from: &[u8],
    to: Option<&[u8]>,
    direction: Direction,
    limit: usize,
) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        keys.len() < limit
    };
    engine.scan(Table::Meta, from, to, direction, &mut visit).unwrap();
    keys
}

fn with_keys<P: Place>(names: &[&[u8]]) -> P::Engine {
    let mut engine = P::default().open().unwrap();
    let mut batch = Batch::default();
    names.iter().for_each(|name| batch.put(Table::Meta, *name, vec![1]));
    engine.commit(&batch).unwrap();
    engine
}

pub fn batches_are_read_back<P: Place>() {
    let mut place = P::default();
    let mut engine = place.open().unwrap();
    assert_eq!(get(&engine, Table::Meta, b"a"), None);
    let mut batch = Batch::default();
    batch.put(Table::Meta, *b"a", vec![1]);
    batch.put(Table::Meta, *b"b", vec![]);
    engine.commit(&batch).unwrap();
    assert_eq!(get(&engine, Table::Meta, b"a"), Some(vec![1]));
    assert_eq!(get(&engine, Table::Meta, b"b"), Some(vec![]));
    let mut batch = Batch::default();
    batch.remove(Table::Meta, *b"a");
    batch.remove(Table::Meta, *b"not there");
    engine.commit(&batch).unwrap();
    assert_eq!(get(&engine, Table::Meta, b"a"), None);
    engine.check().unwrap();
    assert_eq!(get(&engine, Table::Meta, b"b"), Some(vec![]));
}

pub fn keys_are_ordered_bytes<P: Place>() {
    let engine = with_keys::<P>(&[b"b", b"", b"a\xff", b"a", b"a\0", b"\xff"]);
    let sorted: [&[u8]; 6] = [b"", b"a", b"a\0", b"a\xff", b"b", b"\xff"];
    assert_eq!(keys(&engine, b"", None, Direction::Up, 9), sorted);
}

pub fn scans_go_both_ways_and_stop<P: Place>() {
    let engine = with_keys::<P>(&[b"a", b"b", b"c", b"d"]);
    assert_eq!(keys(&engine, b"b", Some(b"d"), Direction::Up, 9), [b"b", b"c"]);
    assert_eq!(keys(&engine, b"b", Some(b"d"), Direction::Down, 9), [b"c", b"b"]);
    assert_eq!(keys(&engine, b"", None, Direction::Down, 2), [b"d", b"c"]);
    assert_eq!(keys(&engine, b"", None, Direction::Up, 1), [b"a"]);
    assert!(keys(&engine, b"c", Some(b"c"), Direction::Up, 9).is_empty());
    assert!(keys(&engine, b"d", Some(b"a"), Direction::Up, 9).is_empty());
}

pub fn the_last_change_of_a_batch_counts<P: Place>() {
    let mut engine = P::default().open().unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Meta, *b"k", vec![1]);
    batch.remove(Table::Meta, *b"k");
    batch.put(Table::Meta, *b"l", vec![1]);
    batch.put(Table::Meta, *b"l", vec![2]);
    engine.commit(&batch).unwrap();
    assert_eq!(get(&engine, Table::Meta, b"k"), None);
    assert_eq!(get(&engine, Table::Meta, b"l"), Some(vec![2]));
}

pub fn tables_are_apart<P: Place>() {
    let mut engine = P::default().open().unwrap();
    let mut batch = Batch::default();
    for (value, table) in (0..).zip(Table::ALL) {
        batch.put(table, *b"k", vec![value]);
    }
    engine.commit(&batch).unwrap();
    for (value, table) in (0..).zip(Table::ALL) {
        assert_eq!(get(&engine, table, b"k"), Some(vec![value]));
    }
}

pub fn what_was_committed_is_there_after_opening_again<P: Place>() {
    let mut place = P::default();
    for round in 0..5_u8 {
        let mut engine = place.open().unwrap();
        for earlier in 0..round {
            assert_eq!(get(&engine, Table::Index, &[earlier]), Some(vec![earlier; 100]));
        }
        let mut batch = Batch::default();
        batch.put(Table::Index, [round], vec![round; 100]);
        engine.commit(&batch).unwrap();
        place.keep(engine);
    }
}

pub fn large_values_come_back<P: Place>() {
    let mut place = P::default();
    let mut engine = place.open().unwrap();
    for size in [0_usize, 1, 4095, 4096, 65_400, 70_000, 1 << 20] {
        let mut batch = Batch::default();
        batch.put(Table::Log, size.to_be_bytes(), vec![7; size]);
        engine.commit(&batch).unwrap();
        assert_eq!(get(&engine, Table::Log, &size.to_be_bytes()).map(|value| value.len()), Some(size));
    }
}

/// Random changes to few keys, against a map.
pub fn random_batches_equal_the_model<P: Place>() {
    let mut place = P::default();
    let mut dice = Dice::new(11);
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for _ in 0..20 {
        let mut engine = place.open().unwrap();
        for _ in 0..5 {
            let mut batch = Batch::default();
            for _ in 0..dice.below(40) {
                let key = dice.below(100).to_be_bytes().to_vec();
                if dice.below(4) == 0 {
                    model.remove(&key);
                    batch.remove(Table::Meta, key);
                } else {
                    let value =
                        vec![dice.below(256).to_be_bytes()[7]; usize::try_from(dice.below(3000)).unwrap()];
                    model.insert(key.clone(), value.clone());
                    batch.put(Table::Meta, key, value);
                }
            }
            engine.commit(&batch).unwrap();
            let mut rows = BTreeMap::new();
            let mut visit = |key: &[u8], value: &[u8]| rows.insert(key.to_vec(), value.to_vec()).is_none();
            engine.scan(Table::Meta, b"", None, Direction::Up, &mut visit).unwrap();
            assert_eq!(rows, model);
        }
        place.keep(engine);
    }
}
