//! What taking back costs follows what is taken back, and not what else the person may see.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::cell::Cell;
use std::rc::Rc;

use lama_core::Seed;
use lama_identity::{Cid, ContactState};
use lama_store::conformance::fixture::{contact, ids, linked, notes, peer, person, storage_key};
use lama_store::engine::{Batch, Direction, Table, Visit};
use lama_store::{Config, Engine, Memory, Opening, Reply, Store, StoreError, Write};

/// Memory that counts the bytes that are read from it and written to it.
#[derive(Debug, Clone)]
struct Counting {
    memory: Memory,
    bytes: Rc<Cell<u64>>,
}

impl Counting {
    fn add(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }
}

impl Engine for Counting {
    fn read(&self, table: Table, key: &[u8], with: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.memory.read(table, key, &mut |value| {
            self.add(value.len());
            with(value);
        })
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.memory.scan(table, from, to, direction, &mut |key, value| {
            self.add(key.len() + value.len());
            visit(key, value)
        })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for table in Table::ALL {
            let rows = batch.table(table).iter();
            rows.for_each(|(key, value)| self.add(key.len() + value.as_ref().map_or(0, bytes::Bytes::len)));
        }
        self.memory.commit(batch)
    }
}

/// Bytes that are read and written to take three objects and one with parts back, and to delete one, from a person who
/// may see `count` objects, a tenth of which have parts. All but the first time.
fn cost(count: usize) -> u64 {
    let bytes = Rc::new(Cell::new(0));
    let engine = Counting { memory: Memory::default(), bytes: Rc::clone(&bytes) };
    let (config, seed) = (Config::default(), Seed::danger_fixed([1; 32]));
    let mut store = Store::open(engine, config, &storage_key(), seed, Opening::Normal).unwrap();
    let a = person("a");
    let (who, at) = (a.person_id(), a.instance_id());
    store
        .commit(vec![Write::Contact(contact(&a, ContactState::Active)), Write::Peer(peer(who, at, 1))])
        .unwrap();
    let objects = notes("note", count);
    let roots: Vec<_> = objects
        .chunks(10)
        .enumerate()
        .map(|(at, part)| linked(&format!("root {at}"), &ids(part)[..2], &[]))
        .collect();
    for (objects, root) in objects.chunks(10).zip(&roots) {
        let objects = [objects, core::slice::from_ref(root)].concat();
        let ids = ids(&objects);
        store.commit(vec![Write::Put { objects }, Write::Share { ids, persons: vec![who] }]).unwrap();
    }
    let mut revoke = |ids: Vec<Cid>, stays: bool| {
        let done = store.commit(vec![Write::Revoke { ids, persons: vec![who] }]).unwrap();
        let Reply::Committed(done) = done else { panic!() };
        assert_eq!(done.revoked.is_empty(), stays);
    };
    revoke(vec![objects[5].0], false);
    let before = bytes.get();
    revoke(vec![objects[15].0, objects[16].0, objects[count / 2 + 5].0], false);
    revoke(vec![objects[20].0], true); // a part of what stays
    revoke(vec![roots[2].0], false);
    store.commit(vec![Write::Delete { ids: vec![objects[37].0] }]).unwrap();
    let done = bytes.get() - before;
    store.check().unwrap();
    done
}

#[test]
fn taking_back_costs_what_is_taken_back() {
    let (few, many) = (cost(4_000), cost(16_000));
    println!("{few} bytes among 4,000 objects, {many} among 16,000");
    assert!(many < few + few / 4, "{few} among 4,000, {many} among 16,000");
}
