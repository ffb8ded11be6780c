//! What can be computed from the logs is mended; what is lost is said, and comes back from those who have it.

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::Cursor;
use lama_core::Seed;
use lama_identity::{Cid, LocalIdentity};

use super::Place;
use super::channels::rule;
use super::fixture::{World, ids, linked, note, notes, person, setting, world};
use super::revoking::{Both, both, explain};
use crate::engine::{Batch, Direction, Table};
use crate::layout::{id_bytes, kind, meta};
use crate::{Engine, Object, Opening, Read, Repaired, Reply, StoreError, Write};

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

/// What was deleted and what was taken back stays so, though the whole index is lost, and cursors are as safe as before.
pub fn tombstones_and_revocations_outlive_a_repair<P: Place>() {
    for compacted in [false, true] {
        let mut both = both::<P>();
        let b = both.b.person_id();
        let (own, theirs) = (notes("own", 12), notes("theirs", 4));
        let root = linked("root", &[own[0].0, own[1].0], &[]);
        both.at_a.put(&own);
        both.at_a.put(&[root.clone()]);
        both.at_a.share(&ids(&own[2..]), b);
        both.at_a.share(&[root.0], b);
        both.at_b.put(&theirs);
        both.at_b.share(&ids(&theirs), both.a.person_id());
        both.settle();
        both.at_a.commit(vec![
            Write::Delete { ids: vec![own[0].0, own[2].0] },
            Write::Revoke { ids: vec![own[3].0, root.0], persons: vec![b] },
        ]);
        both.at_b.commit(vec![Write::Delete { ids: vec![theirs[0].0] }]);
        both.settle();
        if compacted {
            assert_eq!(both.at_a.compact().dropped, 3);
        }
        let (head, view) = (both.at_a.head(&both.b).unwrap(), both.at_a.view(b));
        let everything: Vec<Cid> = own.iter().chain(&theirs).chain([&root]).map(|object| object.0).collect();
        let standings = |world: &mut World<P>| -> Vec<_> {
            everything.iter().map(|id| (world.object(*id), explain(world, *id, b).standing)).collect()
        };
        let before = standings(&mut both.at_a);
        assert_eq!(before.iter().filter(|(object, _)| object.is_none()).count(), 3);
        damage(&mut both.at_a, |engine, batch| {
            for table in [Table::Index, Table::Recent] {
                keys(engine, table).into_iter().for_each(|key| batch.remove(table, key));
            }
        });
        let done = repair(&mut both.at_a);
        assert_eq!(done.lost, 0, "{done:?}");
        let after = standings(&mut both.at_a);
        for ((id, before), after) in everything.iter().zip(&before).zip(&after) {
            assert_eq!(before, after, "{id}, compacted: {compacted}");
        }
        assert_eq!((both.at_a.head(&both.b).unwrap(), both.at_a.view(b)), (head, view));
        both.at_a.receive(&both.b, &[own[2].clone()]);
        assert_eq!(both.at_a.object(own[2].0), None, "nobody brings back what was deleted here");
        both.at_a.receive(&both.b, &[theirs[0].clone()]);
        assert_eq!(both.at_a.object(theirs[0].0), Some(theirs[0].1.clone()), "but for its own person");
        both.at_a.share(&[own[3].0], b);
        assert_eq!(both.at_a.view(b).len(), head_count(&mut both));
    }
}

fn head_count<P: Place>(both: &mut Both<P>) -> usize {
    usize::try_from(both.at_a.head(&both.b).unwrap().head.count).unwrap()
}

/// A store from before there were rows of who links to what, and policies: opening makes both from the objects.
pub fn what_an_older_store_lacks_is_made_from_its_objects<P: Place>() {
    let (mut world, a, objects) = filled::<P>();
    let b = person("b");
    let theirs = objects[45].clone();
    let named = rule(&a, theirs.0, &b);
    world.receive(&a, &[named.clone()]);
    let rules = world.ask(Read::AccessRules(theirs.0));
    assert!(matches!(&rules, Reply::AccessRules(rows) if rows.len() == 1 && rows[0].in_effect));
    let seen = world.s().check().unwrap();
    let mut engine = world.store.take().unwrap().close().unwrap();
    let mut batch = Batch::default();
    for key in keys(&engine, Table::Meta) {
        let made = [kind::LINKED, kind::LINKED_MANY, kind::LINKS_KNOWN];
        if [&made[..], &[kind::ACCESS, kind::POLICY, kind::VERSION]].concat().contains(&key[0]) {
            batch.remove(Table::Meta, key);
        }
    }
    // As it was: by object and rule.
    let old = meta(kind::ACCESS, &[&id_bytes(&theirs.0), &id_bytes(&named.0)]);
    batch.put(Table::Meta, old, vec![1; 40]);
    engine.commit(&batch).unwrap();
    world.place.keep(engine);
    world.open(Opening::Normal).unwrap();
    assert_eq!(world.s().check().unwrap(), seen);
    assert_eq!(world.ask(Read::AccessRules(theirs.0)), rules);
    assert_eq!(world.ask(Read::AllAccessRules), rules);
    // A part of what stays is not taken back, and the whole is with its parts.
    let revoke = |id| vec![Write::Revoke { ids: vec![id], persons: vec![a.person_id()] }];
    assert_eq!(world.commit(revoke(objects[3].0)).revoked, []);
    assert_eq!(world.commit(revoke(objects[40].0)).revoked[0].taken_back, 41);
    world.again();
}
