//! Groups, and rules that name them, identity objects, and less than before.

use alloc::vec;
use alloc::vec::Vec;

use lama_identity::{
    Access, Cid, Group, GroupId, GroupMembers, Hlc, LocalIdentity, Object as _, PersonId, Reference, Signer,
    TypeTag, VersionData, Versioned,
};

use super::Place;
use super::channels::{entry, id_object, three};
use super::fixture::{NOW, World, note, person, signed, world};
use crate::{GroupRow, Object, Read, Reply, Write};

/// A version signed by `by`.
fn version<T: VersionData>(by: &LocalIdentity, of: Cid, data: T, ms: u64, parents: &[Cid]) -> Object {
    let mut parents: Vec<Reference> = parents.iter().map(|id| Reference(*id)).collect();
    parents.sort_unstable();
    let version = Versioned::<T> {
        by: Signer::Person,
        of: Reference(of),
        sig: None,
        data,
        clock: Hlc { ms: NOW.0 + ms, count: 0 },
        type_tag: TypeTag::default(),
        author: by.person_id(),
        parents,
        instance: by.instance_id(),
    };
    signed(version, by)
}

fn sorted(persons: &[&LocalIdentity]) -> Vec<PersonId> {
    let mut list: Vec<PersonId> = persons.iter().map(|person| person.person_id()).collect();
    list.sort_unstable();
    list
}

fn members(admins: &[&LocalIdentity], members: &[&LocalIdentity]) -> GroupMembers {
    GroupMembers { admins: sorted(admins), members: sorted(members) }
}

fn group_object(group: &Group) -> Object {
    let bytes = group.to_bytes().unwrap();
    (Cid::of_object(&bytes), bytes)
}

fn group_row<P: Place>(world: &mut World<P>, group: GroupId) -> Option<GroupRow> {
    let Reply::Group(row) = world.ask(Read::Group(group)) else { panic!() };
    row
}

fn of_object(object: Cid, persons: &[&LocalIdentity], groups: &[GroupId]) -> Access {
    Access {
        objects: vec![Reference(object)],
        persons: sorted(persons),
        groups: groups.to_vec(),
        ..Access::default()
    }
}

pub fn a_group_is_written_by_its_owner_and_his_admins<P: Place>() {
    let (a, b, c) = (person("a"), person("b"), person("c"));
    let group = Group::new("friends", a.person_id()).unwrap();
    let of = group.id().cid();
    let first = version(&a, of, members(&[&b], &[&a, &b]), 1, &[]);
    let by_admin = version(&b, of, members(&[&b], &[&a, &b, &c]), 2, &[first.0]);
    // An admin names no admins, and whoever is neither owner nor admin says nothing.
    let too_much = version(&b, of, members(&[&b, &c], &[&a, &b, &c]), 3, &[by_admin.0]);
    let stranger = version(&c, of, members(&[&c], &[&c]), 9, &[too_much.0]);
    let all = [group_object(&group), first, by_admin, too_much, stranger];
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]] {
        let mut world = world::<P>();
        [&a, &b, &c].into_iter().for_each(|person| world.befriend(person));
        for at in order {
            world.receive(&c, &[all[at].clone()]);
        }
        let row = group_row(&mut world, group.id()).unwrap();
        assert_eq!((row.owner, row.admins), (a.person_id(), sorted(&[&b])));
        assert_eq!(row.members, sorted(&[&a, &b, &c]));
        world.again();
    }
}

pub fn members_come_and_go_and_so_do_objects<P: Place>() {
    let (me, a, b) = (person("me"), person("a"), person("b"));
    let mut world = world::<P>();
    world.befriend(&a);
    world.befriend(&b);
    let group = Group::new("friends", me.person_id()).unwrap();
    let of = group.id().cid();
    let old = note("an old object");
    world.put(&[old.clone(), group_object(&group)]);
    let first = version(&me, of, members(&[], &[&a]), 1, &[]);
    let rule = version(&me, old.0, of_object(old.0, &[], &[group.id()]), 1, &[]);
    let done = world.put(&[first.clone(), rule]);
    assert_eq!(done.grown, [a.person_id()], "a grant of an old object appends it now");
    assert_eq!(world.view(a.person_id()), [old.0]);
    let second = version(&me, of, members(&[], &[&b]), 2, &[first.0]);
    let done = world.put(&[second.clone()]);
    let mut grown = done.grown.clone();
    grown.sort_unstable();
    assert_eq!(grown, sorted(&[&a, &b]));
    assert_eq!((done.revoked[0].taken_back, done.revoked[0].stays), (1, 0));
    assert!(world.view(a.person_id()).is_empty());
    assert_eq!(world.view(b.person_id()), [old.0]);
    world.again();
    // What was sent stays in the set, and is given to none of his instances any more.
    assert_eq!(world.replay(&b).len(), 1);
    let third = version(&me, of, members(&[], &[]), 3, &[second.0]);
    assert_eq!(world.put(&[third]).revoked[0].stays, 1);
    assert_eq!(world.view(b.person_id()), [old.0]);
    assert!(world.replay(&b).iter().all(|entry| entry.gone));
    world.again();
}

pub fn a_later_version_of_a_rule_takes_back<P: Place>() {
    let (mut world, _, a, b, _) = three::<P>();
    let of_a = note("of a");
    world.receive(&a, &[of_a.clone()]);
    let first = version(&a, of_a.0, of_object(of_a.0, &[&b], &[]), 1, &[]);
    world.receive(&a, &[first.clone()]);
    assert_eq!(world.view(b.person_id()), [of_a.0]);
    // Another's version changes nothing, whatever it names as its parent.
    world.receive(&b, &[version(&b, of_a.0, of_object(of_a.0, &[], &[]), 5, &[first.0])]);
    assert_eq!(world.view(b.person_id()).len(), 2, "b's own rule is in his view");
    let second = version(&a, of_a.0, of_object(of_a.0, &[], &[]), 2, &[first.0]);
    let done = world.receive(&a, &[second]);
    assert_eq!(done.revoked.len(), 1);
    assert!(!world.view(b.person_id()).contains(&of_a.0));
    world.again();
    assert!(!world.view(b.person_id()).contains(&of_a.0));
    // What was shared by ourselves, too, is not a's to take back.
    world.share(&[of_a.0], b.person_id());
    assert!(world.view(b.person_id()).contains(&of_a.0));
    world.again();
}

pub fn a_rule_for_a_channel_brings_its_entries<P: Place>() {
    let (mut world, me, a, b, channel) = three::<P>();
    let (one, two) = (entry(&me, channel.id(), 1, &[], "one"), entry(&a, channel.id(), 2, &[], "two"));
    world.put(&[one.clone()]);
    world.receive(&a, &[two.clone()]);
    let data =
        Access { ids: vec![Reference(channel.id().cid())], persons: sorted(&[&b]), ..Access::default() };
    let rule = version(&me, channel.id().cid(), data.clone(), 1, &[]);
    world.put(&[rule.clone()]);
    // The channel, our own entry, and the rule, which is a version of it; a's entry is a's to grant.
    let mut seen = world.view(b.person_id());
    seen.sort_unstable();
    let mut expected = vec![id_object(&channel).0, one.0, rule.0];
    expected.sort_unstable();
    assert_eq!(seen, expected);
    // Later entries follow.
    let three = entry(&me, channel.id(), 3, &[], "three");
    world.put(&[three.clone()]);
    assert!(world.view(b.person_id()).contains(&three.0));
    world.receive(&a, &[version(&a, channel.id().cid(), data, 1, &[])]);
    assert!(world.view(b.person_id()).contains(&two.0));
    let ended = version(&me, channel.id().cid(), Access::default(), 2, &[rule.0]);
    world.put(&[ended]);
    assert!(!world.view(b.person_id()).contains(&one.0));
    assert!(world.view(b.person_id()).contains(&two.0));
    world.again();
}

/// Whoever puts what a contact brought answers for it himself from then on: the contact's rules for it end.
pub fn what_is_put_here_too_is_not_its_bringers_to_grant<P: Place>() {
    let (mut world, _, a, b, _) = three::<P>();
    let object = note("by a");
    let rule = version(&a, object.0, of_object(object.0, &[&b], &[]), 1, &[]);
    world.receive(&a, &[object.clone(), rule]);
    assert!(world.view(b.person_id()).contains(&object.0));
    world.put(&[object.clone()]);
    assert!(!world.view(b.person_id()).contains(&object.0));
    world.again();
}

/// After a restore from a backup our own rules come back from contacts, and speak of what was put here as before.
pub fn rules_of_ours_are_ours_whoever_brings_them<P: Place>() {
    let (mut world, me, a, b, _) = three::<P>();
    world.s().set_owner(me.public().clone()).unwrap();
    let object = note("mine");
    world.put(&[object.clone()]);
    let rule = version(&me, object.0, of_object(object.0, &[&b], &[]), 1, &[]);
    world.receive(&a, &[rule]);
    assert!(world.view(b.person_id()).contains(&object.0));
    world.again();
}

pub fn what_the_author_did_not_write_is_not_his_to_grant<P: Place>() {
    let (mut world, _, a, b, _) = three::<P>();
    let mine = note("mine");
    world.put(&[mine.clone()]);
    world.share(&[mine.0], a.person_id());
    let group = Group::new("mob", a.person_id()).unwrap();
    let first = version(&a, group.id().cid(), members(&[], &[&a, &b]), 1, &[]);
    let rule = version(&a, mine.0, of_object(mine.0, &[&b], &[group.id()]), 1, &[]);
    world.receive(&a, &[group_object(&group), first, rule]);
    assert!(world.view(b.person_id()).is_empty());
    let person = Access {
        ids: vec![Reference(mine.0), Reference(a.person_id().cid())],
        persons: sorted(&[&b]),
        ..Access::default()
    };
    world.receive(&a, &[version(&a, a.person_id().cid(), person, 1, &[])]);
    assert!(!world.view(b.person_id()).contains(&mine.0));
    world.commit(vec![Write::Revoke { ids: vec![mine.0], persons: vec![b.person_id()] }]);
    world.again();
}
