//! What can be computed from the logs is mended; what is lost is said, and comes back from those who have it.

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::Cursor;
use lama_core::Seed;
use lama_identity::{Cid, LocalIdentity};

use super::Place;
use super::fixture::{World, ids, linked, note, notes, person, setting, world};
use crate::engine::{Batch, Direction, Table};
use crate::layout::kind;
use crate::{Engine, Object, Opening, Read, Repaired, Reply, StoreError};

/// A store with objects of two sides, one of which waits for a link.
fn filled<P: Place>() -> (World<P>, LocalIdentity, Vec<Object>) {
    let mut world = world::<P>();
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    world.befriend(&b);
    let mut own = notes("own", 40);
    own.push(linked("root", &ids(&own), &[]));
    world.put(&own);
    world.share(&[own[40].0], a.person_id());
    world.share(&[own[40].0], b.person_id());
    let theirs = notes("theirs", 20);
    world.receive(&a, &theirs);
    world.receive(&a, &[linked("waits", &[note("never").0], &[])]);
    world.put(&theirs[..3]);
    world.commit(vec![setting("name", "value")]);
    (world, a, [own, theirs].concat())
}

/// Changes rows behind the store's back.
fn damage<P: Place>(world: &mut World<P>, change: impl FnOnce(&P::Engine, &mut Batch)) {
    let mut engine = world.store.take().unwrap().close().unwrap();
    let mut batch = Batch::default();
    change(&engine, &mut batch);
    assert!(!batch.is_empty(), "something is damaged");
    engine.commit(&batch).unwrap();
    world.place.keep(engine);
    // Opening mends nothing of it.
    world.config.sample_entries = 0;
    world.open(Opening::Normal).unwrap();
    assert!(matches!(world.s().check(), Err(StoreError::Corrupt(_))), "the walk sees it");
}

fn keys(engine: &impl Engine, table: Table) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        true
    };
    engine.scan(table, &[], None, Direction::Up, &mut visit).unwrap();
    keys
}

fn repair<P: Place>(world: &mut World<P>) -> Repaired {
    let done = world.s().repair(Seed::danger_fixed([0x77; 32])).unwrap();
    world.s().check().unwrap();
    done
}

pub fn there_is_nothing_to_mend_in_a_sound_store<P: Place>() {
    let (mut world, _, objects) = filled::<P>();
    let before = world.s().check().unwrap();
    assert!(repair(&mut world).is_nothing());
    assert_eq!(world.s().check().unwrap(), before);
    world.again();
    assert_eq!(world.object(objects[0].0), Some(objects[0].1.clone()));
}

pub fn an_index_that_is_gone_is_built_from_the_logs<P: Place>() {
    let (mut world, a, objects) = filled::<P>();
    let (stats, view) = (world.s().check().unwrap(), world.view(a.person_id()));
    damage(&mut world, |engine, batch| {
        for table in [Table::Index, Table::Recent] {
            keys(engine, table).into_iter().for_each(|key| batch.remove(table, key));
        }
    });
    let done = repair(&mut world);
    assert!(done.index > 60 && done.lost == 0 && done.damaged == 0, "{done:?}");
    assert_eq!(world.s().check().unwrap(), stats);
    assert_eq!(world.view(a.person_id()), view);
    for (id, bytes) in &objects {
        assert_eq!(world.object(*id).as_ref(), Some(bytes));
    }
    world.again();
    assert!(repair(&mut world).is_nothing());
}

pub fn counts_and_fingerprints_are_computed_anew<P: Place>() {
    let (mut world, a, _) = filled::<P>();
    let head = world.head(&a).unwrap();
    damage(&mut world, |engine, batch| {
        for kind in [kind::PROGRESS, kind::COUNTS] {
            for key in keys(engine, Table::Meta).into_iter().filter(|key| key[0] == kind) {
                let mut row = Vec::new();
                engine.read(Table::Meta, &key, &mut |value| row = value.to_vec()).unwrap();
                row[0] ^= 1;
                batch.put(Table::Meta, key, row);
            }
        }
    });
    let done = repair(&mut world);
    assert_eq!((done.views, done.counts, done.lost, done.index), (2, true, 0, 0), "{done:?}");
    assert_eq!(world.head(&a).unwrap(), head);
    world.again();
}

pub fn what_is_lost_is_said_and_comes_back<P: Place>() {
    let (mut world, a, objects) = filled::<P>();
    let epoch = world.s().epoch();
    let victim: Object = objects[50].clone();
    damage(&mut world, |engine, batch| {
        for key in keys(engine, Table::Log) {
            let mut pack = Vec::new();
            engine.read(Table::Log, &key, &mut |value| pack = value.to_vec()).unwrap();
            let length = victim.1.len();
            if let Some(at) = pack.windows(length).position(|part| part == &victim.1[..]) {
                pack[at + length - 1] ^= 1;
                batch.put(Table::Log, key, pack);
            }
        }
    });
    let done = repair(&mut world);
    assert_eq!((done.lost, done.damaged), (1, 1), "{done:?}");
    assert_eq!(world.object(victim.0), None);
    let others = objects.iter().filter(|(id, _)| *id != victim.0);
    others.for_each(|(id, bytes)| assert_eq!(world.object(*id).as_ref(), Some(bytes)));
    assert_ne!(world.s().epoch(), epoch, "nobody trusts a cursor of before");
    assert_eq!(world.head(&a).unwrap().received, Cursor::default());
    let count = world.head(&a).unwrap().head.count;
    world.receive(&a, &[victim.clone()]);
    assert_eq!(world.object(victim.0), Some(victim.1));
    assert_eq!(world.head(&a).unwrap().head.count, count, "the set has not changed");
    world.again();
    let found = Reply::Setting(Some(Bytes::from_static(b"value")));
    assert_eq!(world.ask(Read::Setting("name".to_string())), found);
}

pub fn a_record_whose_length_is_damaged_hides_no_other<P: Place>() {
    let (mut world, _, objects) = filled::<P>();
    let victim: Cid = objects[10].0;
    damage(&mut world, |engine, batch| {
        for key in keys(engine, Table::Log) {
            let mut pack = Vec::new();
            engine.read(Table::Log, &key, &mut |value| pack = value.to_vec()).unwrap();
            let bytes = &objects[10].1;
            if let Some(at) = pack.windows(bytes.len()).position(|part| part == &bytes[..]) {
                // The byte before an object is the end of its length.
                pack[at - 1] = 0x7f;
                batch.put(Table::Log, key, pack);
            }
        }
    });
    let done = repair(&mut world);
    // The root links to what is lost, so it is set aside until that comes back.
    assert_eq!(done.lost, 1, "{done:?}");
    let readable = objects.iter().filter(|(id, _)| world.object(*id).is_some()).count();
    assert_eq!(readable, objects.len() - 2);
    assert_eq!(world.object(victim), None);
    world.put(&[objects[10].clone()]);
    assert_eq!(world.object(objects[40].0), Some(objects[40].1.clone()), "the root is back");
    world.again();
}
