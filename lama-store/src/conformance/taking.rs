//! Objects coming in, from here and from others.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::{Cursor, NO_EPOCH, Positions, Refusal};
use lama_identity::{Cid, ContactState};

use super::Place;
use super::fixture::{Dice, contact, ids, linked, note, notes, peer, person, world, world_with};
use crate::{Config, Object, Read, Reply, StoreError, Write};

pub fn objects_put_here_are_read_back<P: Place>() {
    let mut world = world::<P>();
    let objects = notes("n", 500);
    assert_eq!(world.put(&objects).stored, 500);
    for _ in 0..2 {
        for (id, bytes) in &objects {
            assert_eq!(world.object(*id).as_ref(), Some(bytes));
        }
        assert_eq!(world.object(note("other").0), None);
        let Reply::Stats(stats) = world.ask(Read::Stats) else { panic!() };
        assert_eq!(stats.objects, 500);
        world.again();
    }
}

/// Chunks of every length around a pack's, one commit each and all in one.
pub fn objects_of_every_size_come_back<P: Place>() {
    let sizes = [0_usize, 1, 200, 65_380, 65_390, 65_399, 65_400, 65_401, 130_800, 262_144, 1 << 20];
    let chunk = |(at, size): (u8, &usize)| {
        let bytes = Bytes::from(vec![at; *size]);
        (Cid::of_chunk(&bytes), bytes)
    };
    for together in [true, false] {
        let mut world = world::<P>();
        let chunks: Vec<Object> = (1..).zip(&sizes).map(chunk).collect();
        if together {
            world.put(&chunks);
        } else {
            chunks.iter().for_each(|chunk| drop(world.put(core::slice::from_ref(chunk))));
        }
        for (id, bytes) in &chunks {
            assert_eq!(world.object(*id).as_ref(), Some(bytes));
        }
        world.again();
        for (id, bytes) in &chunks {
            assert_eq!(world.object(*id).as_ref(), Some(bytes));
        }
        let long = Bytes::from(vec![0; (1 << 20) + 1]);
        let put = vec![Write::Put { objects: vec![(Cid::of_chunk(&long), long)] }];
        assert!(matches!(world.fails(put), StoreError::ObjectTooLarge { .. }));
    }
}

pub fn an_object_put_twice_is_stored_once<P: Place>() {
    let mut world = world::<P>();
    let object = note("once");
    assert_eq!(world.put(&[object.clone(), object.clone()]).stored, 1);
    assert_eq!(world.put(&[object.clone()]).stored, 0);
    world.again();
    assert_eq!(world.put(&[object]).stored, 0);
    assert_eq!(world.s().check().unwrap().records, 1);
}

pub fn what_an_own_object_links_to_must_be_here<P: Place>() {
    let mut world = world::<P>();
    let child = note("child");
    let parent = linked("parent", &[child.0], &[]);
    let error = StoreError::MissingLink { id: parent.0, missing: child.0 };
    assert_eq!(world.fails(vec![Write::Put { objects: vec![parent.clone(), child.clone()] }]), error);
    world.put(&[child, parent.clone()]);
    assert!(world.object(parent.0).is_some());
}

pub fn an_import_is_in_the_view_once_with_its_source<P: Place>() {
    let mut world = world::<P>();
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    world.befriend(&b);
    let objects = notes("from a", 300);
    let done = world.receive(&a, &objects);
    assert_eq!(done.grown, [a.person_id()]);
    let outcome = done.import.unwrap();
    assert_eq!((outcome.before, outcome.head.seq, outcome.head.count), (0, 300, 300));
    assert!(outcome.aside.is_empty() && outcome.refused.is_empty());
    let again = world.receive(&a, &objects);
    assert_eq!(again.import.unwrap().head.count, 300);
    assert!(again.grown.is_empty());
    // Nothing of it is for b, until b brings it himself.
    assert!(world.view(b.person_id()).is_empty());
    assert_eq!(world.receive(&b, &objects[..10]).stored, 0);
    for _ in 0..2 {
        assert_eq!(world.view(a.person_id()), ids(&objects));
        assert_eq!(world.view(b.person_id()), ids(&objects[..10]));
        // It came from that instance: replay skips it and still advances.
        let page = world.page(&a, 0, 1000, false);
        assert!(page.entries.is_empty());
        assert_eq!(page.next, 300);
        assert_eq!(world.page(&a, 290, 1 << 20, true).entries.len(), 10);
        assert_eq!(world.ask(Read::Access(objects[0].0)), {
            let mut persons = vec![a.person_id(), b.person_id()];
            persons.sort_unstable();
            Reply::Access(persons)
        });
        world.again();
    }
}

pub fn the_cursor_moves_with_the_import<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    assert_eq!(world.head(&a).unwrap().received, Cursor::default());
    world.receive(&a, &notes("x", 5));
    world.crash();
    assert_eq!(world.head(&a).unwrap().received, Cursor::all([9; 8], 5));
    // Without objects the cursor may wait, but goes with whatever comes next.
    let cursor = Cursor::all([9; 8], 8);
    world.commit(vec![Write::Cursor { instance: a.instance_id(), cursor }]);
    assert_eq!(world.head(&a).unwrap().received, cursor);
    world.put(&[note("next")]);
    world.crash();
    assert_eq!(world.head(&a).unwrap().received, cursor);
}

pub fn a_hole_in_the_log_is_refused<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    world.receive(&a, &notes("x", 5));
    let mut import = world.import_of(&a, &notes("y", 5));
    import.after = Positions::all(6);
    assert_eq!(world.fails(vec![Write::Import(import.clone())]), StoreError::Hole { stored: 5, after: 6 });
    assert_eq!(world.view(a.person_id()).len(), 5);
    // In another life of the peer the old cursor means nothing.
    import.epoch = [8; 8];
    world.commit(vec![Write::Import(import)]);
    assert_eq!(world.head(&a).unwrap().received, Cursor::all([8; 8], 10));
    // What was had may be sent again, which takes no place back; only the default does.
    let mut import = world.import_of(&a, &notes("z", 5));
    (import.epoch, import.after, import.upto) = ([8; 8], Positions::all(2), Positions::all(7));
    world.commit(vec![Write::Import(import.clone())]);
    assert_eq!(world.head(&a).unwrap().received, Cursor::all([8; 8], 10));
    let cursor = Cursor::default();
    world.commit(vec![Write::Cursor { instance: a.instance_id(), cursor }, Write::Import(import)]);
    assert_eq!(world.head(&a).unwrap().received, Cursor::all([8; 8], 7));
}

/// What someone waits for is stored before what came before it: each moves its own lanes, whichever comes first.
pub fn an_import_that_overtakes_moves_its_own_lane<P: Place>() {
    for ahead in [true, false] {
        let mut world = world::<P>();
        let a = person("a");
        world.befriend(&a);
        world.receive(&a, &notes("x", 5));
        let (mut bulk, mut message) =
            (world.import_of(&a, &notes("b", 7)), world.import_of(&a, &notes("m", 1)));
        bulk.upto = Positions::new([12, 12, 5, 5]).unwrap();
        (message.after, message.upto) = (Positions::all(0), Positions::new([40, 0, 0, 0]).unwrap());
        let mut silent = world.import_of(&a, &notes("s", 1));
        (silent.epoch, silent.after, silent.upto) = (NO_EPOCH, Positions::all(0), Positions::all(0));
        let mut imports = vec![bulk, message, silent];
        if ahead {
            imports.reverse();
        }
        imports.into_iter().for_each(|import| drop(world.commit(vec![Write::Import(import)])));
        let received = Cursor { epoch: [9; 8], upto: Positions::new([40, 12, 5, 5]).unwrap() };
        for _ in 0..2 {
            assert_eq!(world.head(&a).unwrap().received, received);
            assert_eq!(world.view(a.person_id()).len(), 14);
            world.crash();
        }
    }
}

pub fn strangers_and_pending_contacts_bring_nothing<P: Place>() {
    let mut world = world::<P>();
    let (a, b) = (person("a"), person("b"));
    let import = world.import_of(&a, &notes("x", 1));
    assert_eq!(world.fails(vec![Write::Import(import.clone())]), StoreError::UnknownPeer(a.instance_id()));
    world.commit(vec![
        Write::Contact(contact(&a, ContactState::Pending)),
        Write::Peer(peer(a.person_id(), a.instance_id(), 1)),
    ]);
    assert_eq!(world.fails(vec![Write::Import(import.clone())]), StoreError::NotAContact(a.person_id()));
    world.befriend(&b);
    let mut foreign = import;
    foreign.person = b.person_id();
    assert_eq!(world.fails(vec![Write::Import(foreign)]), StoreError::UnknownPeer(a.instance_id()));
    assert_eq!(world.object(notes("x", 1)[0].0), None);
}

pub fn not_canonical_is_the_peers_fault<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    // The number 1 in two bytes.
    let bytes = Bytes::from_static(&[0x18, 1]);
    let import = world.import_of(&a, &[note("good"), (Cid::of_object(&bytes), bytes)]);
    let error = world.fails(vec![Write::Import(import)]);
    assert!(matches!(error, StoreError::NotCanonical { .. }) && error.is_peers_fault(), "{error:?}");
    assert_eq!(world.object(note("good").0), None);
    assert_eq!(world.head(&a).unwrap().received, Cursor::default());
}

/// A chain of links that arrives in every wrong order.
pub fn an_object_waits_for_its_link_and_wakes_up_its_own_waiters<P: Place>() {
    let mut dice = Dice::new(5);
    for _ in 0..20 {
        let mut world = world::<P>();
        let a = person("a");
        world.befriend(&a);
        let mut chain = vec![note("end")];
        for at in 1..8_usize {
            let links: Vec<Cid> = ids(&chain[at.saturating_sub(2)..]);
            chain.push(linked(&alloc::format!("link {at}"), &links, &[note("not here").0]));
        }
        let mut order = chain.clone();
        dice.shuffle(&mut order);
        let mut came: Vec<Cid> = Vec::new();
        for object in &order {
            let outcome = world.receive(&a, core::slice::from_ref(object)).import.unwrap();
            came.push(object.0);
            // Readable is what has all before it in the chain.
            let readable = chain.iter().take_while(|link| came.contains(&link.0)).count();
            for (at, link) in chain.iter().enumerate() {
                assert_eq!(world.object(link.0).is_some(), at < readable);
            }
            assert_eq!(outcome.aside.contains(&object.0), !chain[..readable].contains(object));
            assert_eq!(outcome.head.count, came.len() as u64);
            world.s().check().unwrap();
        }
        let Reply::Stats(stats) = world.ask(Read::Stats) else { panic!() };
        assert_eq!((stats.objects, stats.aside), (8, 0));
        assert_eq!(world.view(a.person_id()), came);
        world.again();
    }
}

pub fn quotas_refuse_but_count<P: Place>() {
    let config = Config { max_person_bytes: 1000, max_aside_objects: 2, ..Config::default() };
    let mut world = world_with::<P>(config);
    let a = person("a");
    world.befriend(&a);
    let waiting: Vec<Object> =
        (0..3).map(|at| linked(&alloc::format!("w{at}"), &[note("missing").0], &[])).collect();
    let outcome = world.receive(&a, &waiting).import.unwrap();
    assert_eq!(outcome.aside, ids(&waiting[..2]));
    assert_eq!(outcome.refused, [(waiting[2].0, Refusal::Quota)]);
    assert_eq!(outcome.head.count, 3);
    let large = Bytes::from(vec![1; 900]);
    let large = (Cid::of_chunk(&large), large);
    assert_eq!(world.receive(&a, &[large.clone()]).import.unwrap().refused.len(), 1);
    assert_eq!(world.object(large.0), None);
    world.again();
    // Refused once is not refused for ever, and it is in the view once all the same.
    world.put(&[large.clone()]);
    assert!(world.object(large.0).is_some());
    world.share(&[large.0], a.person_id());
    assert_eq!(world.view(a.person_id()).len(), 4);
    // What was set aside counts no more once its link is here.
    world.put(&[note("missing")]);
    assert!(world.object(waiting[0].0).is_some() && world.object(waiting[2].0).is_none());
    let outcome = world.receive(&a, &[waiting[2].clone()]).import.unwrap();
    assert!(outcome.refused.is_empty() && outcome.aside.is_empty());
    assert_eq!(outcome.head.count, 4);
    world.again();
}

/// Far more ids than may wait in memory, in commits of many sizes, with openings in between.
pub fn the_index_survives_merging_and_opening_again<P: Place>() {
    let config = Config { recent_entries: 64, ..Config::default() };
    let mut world = world_with::<P>(config);
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    world.befriend(&b);
    let mut dice = Dice::new(3);
    let mut all: Vec<Object> = Vec::new();
    for round in 0..40 {
        let count = usize::try_from(dice.below(60)).unwrap();
        let objects = notes(&alloc::format!("round {round}"), count);
        world.put(&objects);
        all.extend(objects);
        if round % 3 == 0 && !all.is_empty() {
            let some: Vec<Cid> =
                (0..30).map(|_| all[usize::try_from(dice.below(all.len() as u64)).unwrap()].0).collect();
            world.share(&some, a.person_id());
            world.share(&some[..15], b.person_id());
        }
        match dice.below(4) {
            0 => world.again(),
            1 => world.crash(),
            _ => {}
        }
    }
    for (id, bytes) in &all {
        assert_eq!(world.object(*id).as_ref(), Some(bytes));
    }
    world.s().check().unwrap();
}
