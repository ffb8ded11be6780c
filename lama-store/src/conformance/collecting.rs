//! What nobody holds is deleted, what was deleted loses its bytes, and nothing that can be reached goes with it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::WallTime;
use lama_identity::{Cid, LocalIdentity};

use super::Place;
use super::channels::{entry, id_object, rule};
use super::fixture::{Dice, World, ids, linked, note, notes, person, world};
use super::revoking::both;
use crate::{Collected, Object, Quota, Standing, Write};

fn total(objects: &[Object]) -> u64 {
    objects.iter().map(|(_, bytes)| bytes.len() as u64).sum()
}

pub fn what_was_deleted_loses_its_bytes_and_stays_deleted<P: Place>() {
    let mut both = both::<P>();
    let objects = notes(&"n".repeat(2000), 200);
    let parent = linked("parent", &[objects[0].0], &[]);
    both.at_a.put(&objects);
    both.at_a.put(&[parent.clone()]);
    both.at_a.share(&ids(&objects), both.b.person_id());
    both.at_a.share(&[parent.0], both.b.person_id());
    both.settle();
    both.at_a.commit(vec![Write::Delete { ids: ids(&objects[..150]) }]);
    both.settle();
    let (head, epoch) = (both.at_a.head(&both.b), both.at_a.s().epoch());
    for world in [&mut both.at_a, &mut both.at_b] {
        let done = world.compact();
        assert_eq!((done.dropped, done.bytes), (150, total(&objects[..150])));
        assert_eq!(world.compact().dropped, 0, "once");
        assert!(objects[..150].iter().all(|(id, _)| world.object(*id).is_none()));
        assert!(objects[150..].iter().all(|(id, bytes)| world.object(*id).as_ref() == Some(bytes)));
        assert!(world.object(parent.0).is_some());
    }
    assert_eq!((both.at_a.head(&both.b), both.at_a.s().epoch()), (head, epoch), "the same life goes on");
    both.settle();
    // Nobody else brings back what was deleted here.
    both.at_a.receive(&both.b, &objects[..3]);
    assert_eq!(both.at_a.object(objects[0].0), None);
    both.at_a.again();
    // Somebody who comes later hears that it is gone, and gets the rest.
    let c = person("c");
    both.at_a.befriend(&c);
    both.at_a.share(&[parent.0], c.person_id());
    let told: Vec<_> = both.at_a.replay(&c).iter().map(|entry| (entry.id, entry.gone)).collect();
    assert_eq!(told, [(objects[0].0, true), (objects[0].0, true), (parent.0, false)]);
    // Put once more it is here once more, here and there.
    both.at_a.put(&objects[..5]);
    both.at_a.share(&ids(&objects[..5]), both.b.person_id());
    both.settle();
    assert_eq!(both.at_b.object(objects[4].0), Some(objects[4].1.clone()));
}

pub fn what_somebody_brings_back_is_here_again<P: Place>() {
    let mut world = world::<P>();
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    world.befriend(&b);
    let object = note("of a");
    world.receive(&a, &[object.clone()]);
    world.receive(&a, &[(object.0, Bytes::new())]);
    assert_eq!(world.compact().dropped, 1);
    world.receive(&b, &[object.clone()]);
    assert_eq!(world.object(object.0), Some(object.1.clone()), "whoever has it brings it back");
    world.receive(&b, &[(object.0, Bytes::new())]);
    assert_eq!(world.compact().dropped, 1);
    world.receive(&a, &[object.clone()]);
    assert_eq!(world.object(object.0), Some(object.1.clone()));
    world.again();
    world.receive(&a, &[(object.0, Bytes::new())]);
    assert_eq!(world.object(object.0), None);
    world.again();
}

/// Collects what nobody holds: first only looked for, then done.
fn collect<P: Place>(world: &mut World<P>, keep: &[Cid]) -> Collected {
    let seen = world.s().collect(keep, true).unwrap();
    assert_eq!(world.s().collect(keep, true).unwrap(), seen, "looking changes nothing");
    assert_eq!(world.s().collect(keep, false).unwrap(), seen);
    assert_eq!(world.s().collect(keep, true).unwrap(), Collected::default());
    world.s().check().unwrap();
    seen
}

/// Random links, grants and revocations, a contact who is removed: what is left afterwards is what a plain model says.
pub fn what_nobody_holds_is_collected_and_nothing_else<P: Place>() {
    let (mut gone, mut left) = (0, 0);
    for seed in 0..8 {
        let mut dice = Dice::new(seed);
        let mut below = |limit: usize| usize::try_from(dice.below(limit as u64)).unwrap();
        let mut world = world::<P>();
        let people: [LocalIdentity; 3] = ["a", "b", "c"].map(person);
        people.iter().for_each(|who| world.befriend(who));
        let mut links: BTreeMap<Cid, Vec<Cid>> = BTreeMap::new();
        let (mut all, mut granted, mut brought): (Vec<Object>, BTreeSet<Cid>, BTreeSet<Cid>) =
            Default::default();
        for round in 0..40_usize {
            let of: Vec<Cid> = (0..below(3).min(round)).map(|_| all[below(round)].0).collect();
            let object = linked(&alloc::format!("{seed} {round}"), &of, &[]);
            links.insert(object.0, of);
            if below(4) == 0 {
                world.receive(&people[2], &[object.clone()]);
                brought.insert(object.0);
            } else {
                world.put(&[object.clone()]);
            }
            all.push(object);
            let some: Vec<Cid> = (0..=below(3)).map(|_| all[below(round + 1)].0).collect();
            let persons = vec![people[below(2)].person_id()];
            match below(3) {
                0 => {
                    world.commit(vec![Write::Share { ids: some, persons }]);
                }
                1 => {
                    world.commit(vec![Write::Revoke { ids: some, persons }]);
                }
                _ => drop(world.replay(&people[below(2)])),
            }
            for who in &people[..2] {
                granted.extend(world.view(who.person_id()));
            }
        }
        world.commit(vec![Write::RemoveContact(people[2].person_id())]);
        let keep = [all[below(40)].0];
        let mut held: Vec<Cid> = keep.to_vec();
        held.extend(
            all.iter().map(|(id, _)| *id).filter(|id| !granted.contains(id) && !brought.contains(id)),
        );
        for who in &people[..2] {
            let page = world.page(who, 0, 1 << 20, true).entries;
            held.extend(page.iter().filter(|entry| !entry.gone).map(|entry| entry.id));
        }
        let mut reached = BTreeSet::new();
        while let Some(id) = held.pop() {
            if reached.insert(id) {
                held.extend(&links[&id]);
            }
        }
        let before: BTreeSet<Cid> =
            all.iter().map(|(id, _)| *id).filter(|id| world.object(*id).is_some()).collect();
        let done = collect(&mut world, &keep);
        world.compact();
        for (id, _) in &all {
            let here = before.contains(id) && reached.contains(id);
            assert_eq!(world.object(*id).is_some(), here, "seed {seed}: {id}");
            gone += u64::from(before.contains(id) && !here);
            left += u64::from(here);
        }
        assert_eq!(done.objects, (before.len() - before.intersection(&reached).count()) as u64);
        world.again();
    }
    assert!(gone > 15 && left > 60, "{gone} {left}");
}

pub fn what_a_rule_or_an_index_names_is_held<P: Place>() {
    let mut both = both::<P>();
    let (a, b) = (both.a.person_id(), both.b.person_id());
    let channel = lama_identity::Channel::direct(a, b);
    let linked_to = note("linked to by a message");
    let named = note("named by a rule");
    let entry = entry(&both.b, channel.id(), 1, &[], "message");
    both.at_a.receive(&both.b, &[id_object(&channel), entry.clone(), linked_to.clone()]);
    both.at_a.put(&[named.clone(), rule(&both.a, named.0, &both.b)]);
    both.at_a.share(&[named.0], b);
    both.at_a.commit(vec![Write::Revoke { ids: vec![named.0], persons: vec![b] }]);
    both.at_a.commit(vec![Write::RemoveContact(b)]);
    let done = collect(&mut both.at_a, &[]);
    // The channel and its entry are indexed; the note is of somebody who is no contact any more.
    assert_eq!(done, Collected { objects: 1, bytes: linked_to.1.len() as u64 });
    assert!(both.at_a.object(entry.0).is_some() && both.at_a.object(named.0).is_some());
    // Who becomes a contact again brings again what he has, and hears of no deletion.
    both.at_a.befriend(&both.b);
    assert!(both.at_a.page(&both.b, 0, 1 << 20, false).entries.iter().all(|entry| entry.id != linked_to.0));
    both.at_a.receive(&both.b, &[linked_to.clone()]);
    assert_eq!(both.at_a.object(linked_to.0), Some(linked_to.1));
    assert_ne!(super::revoking::explain(&mut both.at_a, named.0, b).standing, Standing::Tombstone);
    both.at_a.again();
}

/// By arrival and in whole days; what anything else holds stays, and so do messages; and it is not fetched again.
pub fn what_a_contact_brought_is_kept_for_so_many_days<P: Place>() {
    let mut both = both::<P>();
    let (a, b) = (both.a.person_id(), both.b.person_id());
    let day = |n: u64| Write::Clock(WallTime(n * 86_400_000 + 5));
    let c = person("c");
    both.at_a.befriend(&c);
    let channel = lama_identity::Channel::direct(a, b);
    let first = notes("first", 6);
    let message = entry(&both.b, channel.id(), 1, &[], "message");
    let folder = linked("folder", &[first[0].0, first[1].0], &[]);
    both.at_b.put(&first);
    both.at_b.put(&[id_object(&channel), message.clone(), folder.clone()]);
    both.at_b.share(&[ids(&first), vec![channel.id().cid(), message.0, folder.0]].concat(), a);
    both.at_a.commit(vec![day(100)]);
    both.settle();
    // Held by something else: put here, granted to another contact, linked to by an object of ours.
    both.at_a.put(&[first[2].clone(), linked("ours", &[first[3].0], &[])]);
    both.at_a.share(&[first[4].0], c.person_id());
    let later = notes("later", 3);
    both.at_b.put(&later);
    both.at_b.share(&ids(&later), a);
    both.at_a.commit(vec![day(101)]);
    both.settle();
    both.at_a.commit(vec![Write::Quota { person: b, quota: Quota { days: Some(2), ..Quota::default() } }]);
    let here = |world: &mut World<P>, objects: &[Object]| {
        objects.iter().map(|(id, _)| u8::from(world.object(*id).is_some())).collect::<Vec<_>>()
    };
    both.at_a.commit(vec![day(102)]);
    assert_eq!(here(&mut both.at_a, &first), [1; 6], "two whole days");
    both.at_a.again();
    both.at_a.commit(vec![day(103)]);
    assert_eq!(here(&mut both.at_a, &first), [0, 0, 1, 1, 1, 0]);
    assert_eq!(here(&mut both.at_a, &[message.clone(), folder.clone()]), [1, 0]);
    assert_eq!(here(&mut both.at_a, &later), [1; 3]);
    both.settle();
    assert_eq!(both.at_a.compact().dropped, 4);
    assert_eq!(here(&mut both.at_b, &first), [1; 6], "he keeps what is his, and is told nothing");
    both.settle();
    assert_eq!(here(&mut both.at_a, &first), [0, 0, 1, 1, 1, 0]);
    both.at_a.commit(vec![day(104)]);
    assert_eq!(here(&mut both.at_a, &later), [0; 3]);
    // Brought again it is here again.
    both.at_a.receive(&both.b, &[later[0].clone()]);
    both.at_a.commit(vec![day(105)]);
    assert_eq!(here(&mut both.at_a, &later), [1, 0, 0]);
    both.at_a.again();
}
