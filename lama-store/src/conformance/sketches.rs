//! Sketches: kept with every entry, built where they are missing, and never believed more than the log.

use alloc::vec;
use alloc::vec::Vec;

use lama_chum::recon::Sketch;
use lama_chum::{Acked, Cursor, NO_EPOCH, PairKey};
use lama_identity::LocalIdentity;

use super::Place;
use super::fixture::{World, ids, notes, peer, person, setting, world};
use crate::engine::{Batch, Direction, Table};
use crate::layout::kind;
use crate::{Engine, Found, Opening, Read, Reply, StoreError, Write};

/// What follows from the ids that stand in the view now.
fn rebuilt<P: Place>(world: &mut World<P>, of: &LocalIdentity) -> Sketch {
    let pair_key = world.head(of).unwrap().pair_key;
    let key = PairKey::new(*pair_key.expose()).short_key(0);
    let mut sketch = Sketch::default();
    world.view(of.person_id()).iter().for_each(|id| sketch.add(&key, key.short(id)));
    sketch
}

fn assert_kept<P: Place>(world: &mut World<P>, of: &LocalIdentity) {
    let head = world.head(of).unwrap();
    assert_eq!(head.sketch.count(), head.head.count);
    assert_eq!(head.sketch, rebuilt(world, of));
}

/// Changes the progress records behind the store's back.
fn change_records<P: Place>(world: &mut World<P>, change: impl Fn(&mut Vec<u8>)) {
    let mut engine = world.store.take().unwrap().close().unwrap();
    let mut batch = Batch::default();
    engine
        .scan(
            Table::Meta,
            &[kind::PROGRESS],
            Some(&[kind::PROGRESS + 1]),
            Direction::Up,
            &mut |key, value| {
                let mut row = value.to_vec();
                change(&mut row);
                batch.put(Table::Meta, key, row);
                true
            },
        )
        .unwrap();
    engine.commit(&batch).unwrap();
    world.place.keep(engine);
    world.open(Opening::Normal).unwrap();
}

pub fn a_sketch_is_that_of_its_view<P: Place>() {
    let mut world = world::<P>();
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    assert_eq!(world.head(&a).unwrap().sketch, Sketch::default());
    let own = notes("own", 90);
    world.put(&own);
    world.share(&ids(&own[..70]), a.person_id());
    assert_kept(&mut world, &a);
    world.receive(&a, &notes("theirs", 60));
    world.page(&a, 0, 1_000, false);
    let revoke = Write::Revoke { ids: ids(&own), persons: vec![a.person_id()] };
    assert!(world.commit(vec![revoke]).revoked[0].taken_back > 0);
    assert_kept(&mut world, &a);
    // A failed commit leaves it as it was.
    world.fails(vec![
        Write::Share { ids: ids(&own[70..]), persons: vec![a.person_id()] },
        setting(&"n".repeat(300), "no such name"),
    ]);
    assert_kept(&mut world, &a);
    world.again();
    assert_kept(&mut world, &a);
    world.crash();
    assert_kept(&mut world, &a);
    // Another pair key, and another instance of the same person.
    world.commit(vec![Write::Peer(peer(a.person_id(), a.instance_id(), 8))]);
    assert_kept(&mut world, &a);
    world.befriend(&b);
    assert_kept(&mut world, &b);
}

pub fn a_record_from_before_sketches_gets_one_when_it_is_read<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    world.receive(&a, &notes("theirs", 40));
    // Fingerprint, two cursors of an epoch and a number below 128 each.
    change_records(&mut world, |row| row.truncate(16 + 9 + 9));
    world.s().check().unwrap();
    // Entries that come before it is read are not forgotten.
    world.receive(&a, &notes("later", 3));
    assert_kept(&mut world, &a);
    world.receive(&a, &notes("still later", 3));
    world.again();
    assert_kept(&mut world, &a);
}

pub fn a_wrong_sketch_is_found_by_a_sample_and_by_a_check<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    world.receive(&a, &notes("theirs", 40));
    assert!(!world.s().is_mended());
    let wrong = |row: &mut Vec<u8>| *row.last_mut().unwrap() ^= 2;
    change_records(&mut world, wrong);
    assert!(world.s().is_mended(), "there is one peer, so the sample is his");
    assert_kept(&mut world, &a);
    world.again();
    assert!(!world.s().is_mended());
    world.config.sample_entries = 10;
    change_records(&mut world, wrong);
    assert!(!world.s().is_mended(), "the view is too long");
    world.s().check().unwrap_err();
    let done = world.s().repair(lama_core::Seed::danger_fixed([1; 32])).unwrap();
    assert_eq!(done.views, 1);
    world.s().check().unwrap();
    assert_kept(&mut world, &a);
}

pub fn entries_are_found_behind_short_ids_from_the_end_on<P: Place>() {
    let mut world = world::<P>();
    let (a, stranger) = (person("a"), person("stranger"));
    world.befriend(&a);
    let theirs = notes("theirs", 60);
    world.receive(&a, &theirs);
    let key = PairKey::new([3; 32]).short_key(1);
    let mut shorts: Vec<u64> = [5, 41, 59].map(|at: usize| key.short(&theirs[at].0)).to_vec();
    shorts.push(77);
    shorts.sort_unstable();
    let find = |person, upto, limit| Read::Find {
        person,
        key: key.clone(),
        shorts: shorts.clone().into(),
        upto,
        limit,
    };
    let mut steps = Vec::new();
    let (mut upto, mut seqs) = (60, Vec::new());
    while upto > 0 {
        let Reply::Found(Found { found, from }) = world.ask(find(a.person_id(), upto, 25)) else { panic!() };
        steps.push(from);
        seqs.extend(found.iter().map(|(short, seq)| {
            assert_eq!(*short, key.short(&theirs[*seq as usize - 1].0));
            *seq
        }));
        upto = from;
    }
    assert_eq!(steps, [35, 10, 0]);
    assert_eq!(seqs, [42, 60, 6]);
    let refused = world.s().ask(find(stranger.person_id(), 60, 25));
    assert_eq!(refused, Err(StoreError::NotAContact(stranger.person_id())));
}

pub fn what_was_agreed_on_outlives_the_life_in_which_it_was<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    world.receive(&a, &notes("theirs", 4));
    let head = world.head(&a).unwrap();
    assert!(!head.seen);
    assert_eq!(head.agreed, None);
    let (count, fingerprint) = (head.head.count, head.head.fingerprint);
    world.commit(vec![Write::Agreed { instance: a.instance_id(), count, fingerprint }]);
    let head = world.head(&a).unwrap();
    assert!(head.seen);
    assert_eq!(head.agreed, Some((count, fingerprint)));
    world.again();
    assert_eq!(world.head(&a).unwrap(), head);
    world.crash();
    let head = world.head(&a).unwrap();
    assert!(!head.seen, "nobody has heard of the new epoch");
    assert_eq!(head.agreed, Some((count, fingerprint)));
    let epoch = world.s().epoch();
    world.commit(vec![Write::Acked {
        instance: a.instance_id(),
        acked: Acked { cursor: Cursor::all(epoch, 1), life: NO_EPOCH },
    }]);
    assert!(world.head(&a).unwrap().seen);
}
