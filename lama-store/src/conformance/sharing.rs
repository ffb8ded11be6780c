//! Views: what stands in them, in which order, and how both ends come to agree.

use alloc::vec;
use alloc::vec::Vec;

use lama_chum::{Acked, Cursor, Lanes, NO_EPOCH, Positions};
use lama_identity::{Cid, InstanceId};

use super::Place;
use super::fixture::{contact, ids, linked, note, notes, peer, person, world};
use crate::{Read, Reply, StoreError, Withheld, WithheldReason, Write};
use lama_identity::ContactState;

pub fn children_go_before_parents<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    let (x, y, z) = (note("x"), note("y"), note("z"));
    let left = linked("left", &[x.0, y.0], &[]);
    let right = linked("right", &[y.0, z.0], &[]);
    let root = linked("root", &[left.0, right.0], &[]);
    world.put(&[x.clone(), y.clone(), z.clone(), left.clone(), right.clone(), root.clone()]);
    let done = world.share(&[root.0], a.person_id());
    assert_eq!(done.grown, [a.person_id()]);
    let expected = vec![x.0, y.0, left.0, z.0, right.0, root.0];
    assert_eq!(world.view(a.person_id()), expected);
    world.again();
    assert_eq!(world.replay(&a).iter().map(|entry| entry.id).collect::<Vec<_>>(), expected);
}

pub fn references_are_not_followed<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    let before = note("before");
    let after = linked("after", &[], &[before.0]);
    world.put(&[before, after.clone()]);
    world.share(&[after.0], a.person_id());
    assert_eq!(world.view(a.person_id()), [after.0]);
}

/// A contact who knows the id of an object cannot have it served by linking to it.
pub fn a_link_of_a_stranger_serves_nobody<P: Place>() {
    let mut world = world::<P>();
    let (mallory, friend) = (person("mallory"), person("friend"));
    world.befriend(&mallory);
    world.befriend(&friend);
    let secret = note("secret");
    world.put(&[secret.clone()]);
    let bait = linked("bait", &[secret.0], &[]);
    world.receive(&mallory, &[bait.clone()]);
    assert_eq!(world.view(mallory.person_id()), [bait.0]);
    let done = world.share(&[bait.0], friend.person_id());
    let reason = WithheldReason::NotVisibleToAuthor;
    assert_eq!(done.withheld, [Withheld { root: bait.0, id: secret.0, reason }]);
    assert!(world.view(friend.person_id()).is_empty());
    // Once mallory may see it himself, his link says nothing that he could not say otherwise.
    world.share(&[secret.0], mallory.person_id());
    assert!(world.share(&[bait.0], friend.person_id()).withheld.is_empty());
    assert_eq!(world.view(friend.person_id()), [secret.0, bait.0]);
    world.again();
}

pub fn what_cannot_be_shared_says_why<P: Place>() {
    let mut world = world::<P>();
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    let (here, absent) = (note("here"), note("absent"));
    let waiting = linked("waiting", &[absent.0], &[]);
    world.put(&[here.clone()]);
    world.receive(&a, &[waiting.clone()]);
    let stranger = vec![Write::Share { ids: vec![here.0], persons: vec![b.person_id()] }];
    assert_eq!(world.fails(stranger), StoreError::NotAContact(b.person_id()));
    world.befriend(&b);
    let done = world.share(&[absent.0, waiting.0, here.0], b.person_id());
    let left_out = |id, reason| Withheld { root: id, id, reason };
    let expected =
        [left_out(absent.0, WithheldReason::NotHere), left_out(waiting.0, WithheldReason::SetAside)];
    assert_eq!(done.withheld, expected);
    assert_eq!(world.view(b.person_id()), [here.0]);
}

pub fn an_id_stands_in_a_view_once<P: Place>() {
    let mut world = world::<P>();
    let (a, b, c) = (person("a"), person("b"), person("c"));
    [&a, &b, &c].into_iter().for_each(|who| world.befriend(who));
    let objects = notes("n", 100);
    world.put(&objects);
    for _ in 0..2 {
        let persons = vec![a.person_id(), b.person_id(), c.person_id(), a.person_id()];
        let ids = [ids(&objects), ids(&objects)].concat();
        world.commit(vec![Write::Share { ids, persons }]);
        world.receive(&b, &objects);
        world.again();
    }
    for who in [&a, &b, &c] {
        assert_eq!(world.view(who.person_id()), ids(&objects));
        assert_eq!(world.head(who).unwrap().head.count, 100);
    }
}

pub fn pages_are_bounded_and_join<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    let objects = notes("n", 5000);
    for part in objects.chunks(700) {
        world.put(part);
        world.share(&ids(part), a.person_id());
    }
    for object in &objects[..50] {
        world.share(&[object.0], a.person_id());
    }
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = world.page(&a, after, 2000, false);
        let bytes: usize = page.entries.iter().map(|entry| entry.object.len()).sum();
        assert!(bytes <= 2000 && page.head.seq == 5000);
        seen.extend(page.entries.iter().map(|entry| entry.id));
        if page.next == after {
            break;
        }
        assert_eq!(page.entries.last().map(|entry| entry.seq), Some(page.next));
        after = page.next;
    }
    assert_eq!(seen, ids(&objects));
    // One entry at least, however large.
    assert_eq!(world.page(&a, 4321, 1, false).entries.len(), 1);
    assert!(world.page(&a, 5000, 1000, false).entries.is_empty());
    assert!(world.page(&a, 9999, 1000, false).entries.is_empty());
    let Reply::View(rest) = world.ask(Read::View { person: a.person_id(), after: 4990, limit: 4 }) else {
        panic!()
    };
    assert_eq!(rest, ids(&objects[4990..4994]));
}

/// Two stores that send each other what the other lacks.
pub fn both_ends_come_to_the_same_fingerprint<P: Place>() {
    let (a, b) = (person("a"), person("b"));
    let (mut at_a, mut at_b) = (world::<P>(), world::<P>());
    at_a.befriend(&b);
    at_b.befriend(&a);
    for round in 0..4 {
        let of_a = notes(&alloc::format!("a {round}"), 200);
        let of_b = notes(&alloc::format!("b {round}"), 100);
        let common = notes(&alloc::format!("both {round}"), 10);
        at_a.put(&[of_a.clone(), common.clone()].concat());
        at_b.put(&[of_b.clone(), common.clone()].concat());
        at_a.share(&ids(&[of_a, common.clone()].concat()), b.person_id());
        at_b.share(&ids(&[of_b, common].concat()), a.person_id());
        let to_b: Vec<_> = at_a.replay(&b).into_iter().map(|entry| (entry.id, entry.object)).collect();
        let to_a: Vec<_> = at_b.replay(&a).into_iter().map(|entry| (entry.id, entry.object)).collect();
        at_b.receive(&a, &to_b);
        at_a.receive(&b, &to_a);
        let (left, right) = (at_a.head(&b).unwrap().head, at_b.head(&a).unwrap().head);
        assert_eq!((left.count, left.fingerprint), (right.count, right.fingerprint));
        at_a.again();
        at_b.crash();
    }
}

pub fn a_new_pair_key_rebuilds_the_fingerprint<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    let objects = notes("n", 3000);
    world.put(&objects);
    world.share(&ids(&objects[..2000]), a.person_id());
    let other = InstanceId([5; 32]);
    world.commit(vec![Write::Peer(peer(a.person_id(), other, 7))]);
    world.share(&ids(&objects[2000..]), a.person_id());
    world.receive(&a, &notes("m", 10));
    // The same key, known from the start or set later: the same fingerprint.
    let first = world.head(&a).unwrap();
    let Reply::Head(Some(second)) = world.ask(Read::Head { person: a.person_id(), instance: other }) else {
        panic!()
    };
    assert_eq!(first.head, second.head);
    assert_eq!((first.received.upto, second.received.upto), (Positions::all(10), Positions::all(0)));
    // The same record again changes nothing; another key rebuilds, and ends the cursors.
    world.commit(vec![Write::Peer(peer(a.person_id(), a.instance_id(), 7))]);
    assert_eq!(world.head(&a).unwrap(), first);
    world.commit(vec![Write::Peer(peer(a.person_id(), a.instance_id(), 8))]);
    let changed = world.head(&a).unwrap();
    assert_ne!(changed.head.fingerprint, first.head.fingerprint);
    assert_eq!(changed.received, Cursor::default());
    world.again();
    assert_eq!(world.head(&a).unwrap(), changed);
    // An instance has one owner.
    let stolen = peer(person("b").person_id(), a.instance_id(), 7);
    assert_eq!(world.fails(vec![Write::Peer(stolen)]), StoreError::UnknownPeer(a.instance_id()));
}

pub fn acknowledgements_may_wait<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    let epoch = world.s().epoch();
    let acked = |upto| Write::Acked {
        instance: a.instance_id(),
        acked: Acked { cursor: Cursor::all(epoch, upto), life: NO_EPOCH },
    };
    world.commit(vec![acked(4)]);
    assert_eq!(world.head(&a).unwrap().acked, Positions::all(4));
    // A commit that fails takes its own along, and no other.
    let lost = linked("lost", &[note("not here").0], &[]);
    world.fails(vec![acked(5), Write::Put { objects: vec![lost] }]);
    assert_eq!(world.head(&a).unwrap().acked, Positions::all(4));
    world.again();
    assert_eq!(world.head(&a).unwrap().acked, Positions::all(4));
    assert_eq!(
        world.fails(vec![Write::Acked {
            instance: InstanceId([1; 32]),
            acked: Acked { cursor: Cursor::all(epoch, 1), life: NO_EPOCH }
        }]),
        StoreError::UnknownPeer(InstanceId([1; 32]))
    );
}

pub fn a_second_instance_gets_what_the_first_brought<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    world.receive(&a, &notes("first", 20));
    let second = InstanceId([6; 32]);
    world.commit(vec![
        Write::Contact(contact(&a, ContactState::Active)),
        Write::Peer(peer(a.person_id(), second, 9)),
    ]);
    let read = Read::Page {
        person: a.person_id(),
        instance: second,
        after: 0,
        lanes: Lanes::ALL,
        max_bytes: 1 << 20,
        whole: false,
    };
    let Reply::Page(page) = world.ask(read) else { panic!() };
    assert_eq!(page.entries.iter().map(|entry| entry.id).collect::<Vec<Cid>>(), ids(&notes("first", 20)));
    assert!(world.replay(&a).is_empty());
}
