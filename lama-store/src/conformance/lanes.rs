//! Lanes in a view: pages of some of them, and places that differ from lane to lane. And several calls that share one
//! durable commit.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::{Acked, Cursor, Entry, Lane, Lanes, NO_EPOCH, Positions};
use lama_identity::{Channel, Cid, LocalIdentity, Object as _};

use super::Place;
use super::fixture::{World, ids, linked, note, notes, person, setting, world, world_with};
use crate::{Config, Object, Page, Read, Reply, Request, StoreError, Write};

fn chunk(n: u8) -> Object {
    let bytes = Bytes::from(vec![n; 300]);
    (Cid::of_chunk(&bytes), bytes)
}

/// Something that someone waits for.
fn waited(name: &str, between: [&LocalIdentity; 2]) -> Object {
    let bytes = Channel::new(name, between.map(LocalIdentity::person_id)).unwrap().to_bytes().unwrap();
    (Cid::of_object(&bytes), bytes)
}

fn page<P: Place>(world: &mut World<P>, to: &LocalIdentity, after: u64, lanes: Lanes, max: usize) -> Page {
    let (person, instance) = (to.person_id(), to.instance_id());
    let read = Read::Page { person, instance, after, lanes, max_bytes: max, whole: false };
    let Reply::Page(page) = world.ask(read) else { panic!() };
    page
}

/// All entries of some lanes.
fn all<P: Place>(world: &mut World<P>, to: &LocalIdentity, lanes: Lanes, max: usize) -> Vec<Entry> {
    let (mut entries, mut after) = (Vec::new(), 0);
    loop {
        let page = page(world, to, after, lanes, max);
        entries.extend(page.entries);
        if page.next == after {
            return entries;
        }
        assert!(page.next > after);
        after = page.next;
    }
}

/// A view with objects in three lanes, mixed: what is in which, by sequence number.
fn mixed<P: Place>(world: &mut World<P>, me: &LocalIdentity, to: &LocalIdentity) -> Vec<(Cid, Lane)> {
    let mut shared = Vec::new();
    for n in 0..30_u8 {
        let (chunk, note) = (chunk(n), note(&alloc::format!("n {n}")));
        let file = linked(&alloc::format!("file {n}"), &[chunk.0], &[]);
        let waited = waited(&alloc::format!("c{n}"), [me, to]);
        let light = linked(&alloc::format!("light {n}"), &[note.0], &[]);
        let of = [
            (chunk, Lane::Blobs),
            (file, Lane::Blobs),
            (note, Lane::Objects),
            (light, Lane::Objects),
            (waited, Lane::Interactive),
        ];
        for (object, lane) in of {
            world.put(core::slice::from_ref(&object));
            world.share(&[object.0], to.person_id());
            shared.push((object.0, lane));
        }
    }
    shared
}

pub fn a_page_is_of_the_lanes_that_were_asked_for<P: Place>() {
    let mut world = world_with::<P>(Config { max_page_walk: 7, ..Config::default() });
    let (me, a) = (person("me"), person("a"));
    world.befriend(&a);
    let shared = mixed(&mut world, &me, &a);
    for _ in 0..2 {
        for some in 0..16_u8 {
            let lanes = Lane::ALL.into_iter().filter(|lane| some >> lane.index() & 1 == 1);
            let lanes = lanes.fold(Lanes::NONE, Lanes::with);
            for max in [1, 1_000, 1 << 20] {
                let found: Vec<(u64, Cid, Lane)> =
                    all(&mut world, &a, lanes, max).iter().map(|e| (e.seq, e.id, e.lane)).collect();
                let expected: Vec<(u64, Cid, Lane)> = (1..)
                    .zip(&shared)
                    .map(|(seq, (id, lane))| (seq, *id, *lane))
                    .filter(|(_, _, lane)| lanes.contains(*lane))
                    .collect();
                assert_eq!(found, expected, "{lanes:?}, {max}");
            }
        }
        // What is passed over is bounded, and the page says how far that came.
        let page = page(&mut world, &a, 0, Lanes::NONE, 1 << 20);
        assert_eq!((page.entries.len(), page.next, page.head.seq), (0, 7, shared.len() as u64));
        world.again();
    }
}

pub fn what_others_wrote_is_in_a_lane_of_its_own<P: Place>() {
    let mut world = world::<P>();
    let (me, a, b) = (person("me"), person("a"), person("b"));
    world.befriend(&a);
    world.befriend(&b);
    let (theirs, ours) = (waited("theirs", [&me, &b]), note("ours"));
    world.receive(&b, &[theirs.clone()]);
    world.put(&[ours.clone()]);
    world.share(&[theirs.0, ours.0], a.person_id());
    let lane = |world: &mut World<P>, id: Cid| {
        let entries = all(world, &a, Lanes::ALL, 1 << 20);
        entries.into_iter().find(|entry| entry.id == id).unwrap().lane
    };
    assert_eq!(lane(&mut world, ours.0), Lane::Objects);
    assert_eq!(lane(&mut world, theirs.0), Lane::Relayed, "whatever it is");
}

/// Each lane has a place of its own, in what was received and in what was acknowledged; both come back.
pub fn places_differ_from_lane_to_lane<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    let upto = Positions::new([9, 7, 3, 1]).unwrap();
    let mut import = world.import_of(&a, &notes("x", 5));
    import.upto = upto;
    world.commit(vec![Write::Import(import)]);
    let epoch = world.s().epoch();
    let acked = Positions::new([4, 4, 2, 2]).unwrap();
    world.commit(vec![Write::Acked {
        instance: a.instance_id(),
        acked: Acked { cursor: Cursor { epoch, upto: acked }, life: NO_EPOCH },
    }]);
    for _ in 0..2 {
        let head = world.head(&a).unwrap();
        assert_eq!((head.received.upto, head.acked), (upto, acked));
        world.again();
    }
    // Every lane that an import names is looked at, whichever is behind.
    for (lane, after) in [[9, 8, 3, 1], [9, 7, 4, 1], [10, 7, 3, 1], [9, 7, 3, 2]].into_iter().zip(1..) {
        let mut import = world.import_of(&a, &notes("y", 1));
        import.after = Positions::new(lane).unwrap();
        import.upto = Positions::all(20 + after);
        assert!(matches!(world.fails(vec![Write::Import(import)]), StoreError::Hole { .. }));
    }
    let mut import = world.import_of(&a, &notes("z", 1));
    (import.after, import.upto) = (upto, Positions::new([9, 9, 9, 1]).unwrap());
    world.commit(vec![Write::Import(import)]);
    assert_eq!(world.head(&a).unwrap().received.upto, Positions::new([9, 9, 9, 1]).unwrap());
}

/// What was given of one lane cannot be taken back; what lies before it in another can.
pub fn what_was_given_of_one_lane_stays_and_the_others_can_be_taken_back<P: Place>() {
    let mut world = world::<P>();
    let (me, a) = (person("me"), person("a"));
    world.befriend(&a);
    let shared = mixed(&mut world, &me, &a);
    let first = Lanes::NONE.with(Lane::Interactive);
    let given = page(&mut world, &a, 0, first, 1 << 20);
    assert_eq!(given.entries.len(), 30);
    let revoked = |world: &mut World<P>, of: Lane| {
        let of: Vec<Cid> = shared.iter().filter(|(_, lane)| *lane == of).map(|(id, _)| *id).collect();
        let done = world.commit(vec![Write::Revoke { ids: of, persons: vec![a.person_id()] }]);
        done.revoked.first().map(|done| (done.taken_back, done.stays)).unwrap()
    };
    assert_eq!(revoked(&mut world, Lane::Interactive), (0, 30));
    assert_eq!(revoked(&mut world, Lane::Objects), (60, 0));
    assert_eq!(revoked(&mut world, Lane::Blobs), (60, 0));
    world.s().check().unwrap();
}

/// Several calls that are staged share one durable commit.
pub fn what_is_staged_becomes_durable_together<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    let puts: Vec<Vec<Object>> = (0..5).map(|n| notes(&alloc::format!("staged {n}"), 10)).collect();
    let stage = |world: &mut World<P>| {
        for objects in &puts {
            let done = world.s().stage(&[Request::Commit(vec![Write::Put { objects: objects.clone() }])]);
            assert!(matches!(done[..], [Ok(Reply::Committed(_))]), "{done:?}");
            // And is there for whoever asks.
            assert_eq!(world.object(objects[3].0).as_ref(), Some(&objects[3].1));
        }
    };
    stage(&mut world);
    world.s().make_durable().unwrap();
    world.crash();
    assert!(puts.iter().flatten().all(|(id, bytes)| world.object(*id).as_ref() == Some(bytes)));
    world.s().check().unwrap();
}

/// A commit that fails takes nothing along that was staged before it, nor what was given to be sent of that.
pub fn a_commit_that_fails_leaves_what_was_staged_before_it<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    let objects = notes("n", 6);
    let lost = linked("lost", &[note("not here").0], &[]);
    let (person, instance) = (a.person_id(), a.instance_id());
    let read = Read::Page { person, instance, after: 0, lanes: Lanes::ALL, max_bytes: 1 << 20, whole: false };
    let mut share = vec![Write::Put { objects: objects[..3].to_vec() }];
    share.push(Write::Share { ids: ids(&objects[..3]), persons: vec![person] });
    let staged = world.s().stage(&[Request::Commit(share)]);
    assert!(matches!(staged[..], [Ok(Reply::Committed(_))]));
    let staged = world.s().stage(&[Request::Read(read)]);
    assert!(matches!(&staged[..], [Ok(Reply::Page(page))] if page.entries.len() == 3));
    let import = world.s().stage(&[
        Request::Commit(vec![Write::Put { objects: objects[3..5].to_vec() }, setting("k", "v")]),
        Request::Commit(vec![setting("k", "lost"), Write::Put { objects: vec![lost] }]),
        Request::Commit(vec![Write::Put { objects: objects[5..].to_vec() }]),
    ]);
    assert!(matches!(import[..], [Ok(_), Err(StoreError::MissingLink { .. }), Ok(_)]), "{import:?}");
    world.s().make_durable().unwrap();
    for _ in 0..2 {
        assert!(objects.iter().all(|(id, bytes)| world.object(*id).as_ref() == Some(bytes)));
        assert_eq!(world.ask(Read::Setting("k".into())), Reply::Setting(Some(Bytes::from_static(b"v"))));
        assert_eq!(world.view(person), ids(&objects[..3]));
        world.again();
    }
    let revoke = Write::Revoke { ids: ids(&objects[..3]), persons: vec![person] };
    let done = world.commit(vec![revoke]);
    assert_eq!(done.revoked[0].stays, 3, "they were given to be sent");
    world.s().check().unwrap();
}
