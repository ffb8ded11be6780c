//! Channels, endpoints and access rules.

use alloc::vec;
use alloc::vec::Vec;

use lama_identity::{
    Access, Channel, ChannelEntry, ChannelId, Cid, ContactState, Content, Hlc, LocalIdentity, MergeConfig,
    Object as _, OneInstanceEndpoint, Reference, Signed, Signer, TypeTag, Versioned, merge,
};

use super::Place;
use super::fixture::{Dice, NOW, World, contact, linked, note, person, signed, world};
use crate::{
    AccessRow, ChannelEntryRow, ChannelHeads, Effect, Object, PageFrom, Read, Reply, StoreError, Write,
};

pub(super) const ALL: Hlc = Hlc { ms: u64::MAX, count: u32::MAX };

pub(super) fn id_object(channel: &Channel) -> Object {
    let bytes = channel.to_bytes().unwrap();
    (Cid::of_object(&bytes), bytes)
}

pub(super) fn entry(by: &LocalIdentity, channel: ChannelId, ms: u64, heads: &[Cid], text: &str) -> Object {
    entry_of(by, channel, ms, heads, Content::text(text))
}

pub(super) fn entry_of(
    by: &LocalIdentity,
    channel: ChannelId,
    ms: u64,
    heads: &[Cid],
    content: Content,
) -> Object {
    let mut heads: Vec<Reference> = heads.iter().map(|id| Reference(*id)).collect();
    heads.sort_unstable();
    let entry = ChannelEntry {
        by: Signer::Person,
        sig: None,
        prev: None,
        clock: Hlc { ms: NOW.0 + ms, count: 0 },
        epoch: [1; 8],
        heads,
        type_tag: TypeTag::default(),
        author: by.person_id(),
        channel,
        content,
        instance: by.instance_id(),
    };
    signed(entry, by)
}

pub(super) fn rows<P: Place>(world: &mut World<P>, channel: ChannelId) -> Vec<Cid> {
    page(world, channel, PageFrom::First, usize::MAX).iter().map(|row| row.id).collect()
}

pub(super) fn page<P: Place>(
    world: &mut World<P>,
    channel: ChannelId,
    from: PageFrom,
    limit: usize,
) -> Vec<ChannelEntryRow> {
    let Reply::Channel(rows) = world.ask(Read::Channel { channel, from, limit }) else { panic!() };
    rows
}

pub(super) fn heads<P: Place>(world: &mut World<P>, channel: ChannelId, clock_limit: Hlc) -> ChannelHeads {
    let Reply::ChannelHeads(heads) = world.ask(Read::ChannelHeads { channel, clock_limit }) else { panic!() };
    heads
}

/// A store of `me` with `a` and `b` as contacts, and a channel of the three.
pub(super) fn three<P: Place>() -> (World<P>, LocalIdentity, LocalIdentity, LocalIdentity, Channel) {
    let (me, a, b) = (person("me"), person("a"), person("b"));
    let mut world = world::<P>();
    world.befriend(&a);
    world.befriend(&b);
    let channel = Channel::new("all", [me.person_id(), a.person_id(), b.person_id()]).unwrap();
    world.put(&[id_object(&channel)]);
    (world, me, a, b, channel)
}

pub fn the_order_does_not_depend_on_arrival<P: Place>() {
    let mut dice = Dice::new(1);
    let mut expected = None;
    for _ in 0..30 {
        let (mut world, me, a, b, channel) = three::<P>();
        let id = channel.id();
        let one = entry(&a, id, 1, &[], "one");
        let two = entry(&b, id, 5, &[one.0], "two");
        let same = entry(&me, id, 5, &[one.0], "at the same time");
        let three = entry(&a, id, 6, &[two.0, same.0], "three");
        // Not after what it names, and so in no order at all.
        let wrong = entry(&b, id, 5, &[two.0], "wrong");
        let on_wrong = entry(&b, id, 7, &[wrong.0], "on the wrong one");
        let mut entries = vec![one, two, same, three, wrong, on_wrong];
        dice.shuffle(&mut entries);
        for object in &entries {
            world.receive(if dice.below(2) == 0 { &a } else { &b }, core::slice::from_ref(object));
            world.s().check().unwrap();
        }
        // What "me" wrote and others brought back waits until the store knows whose it is.
        assert_eq!(rows(&mut world, id).len(), 4);
        world.again();
        world.s().set_owner(me.public().clone()).unwrap();
        let result = (rows(&mut world, id), heads(&mut world, id, ALL));
        assert_eq!(*expected.get_or_insert_with(|| result.clone()), result);
        assert_eq!(result.0.len(), 5);
    }
}

pub fn an_entry_that_is_not_after_what_it_names_does_not_count<P: Place>() {
    for child_first in [true, false] {
        let (mut world, _, a, b, channel) = three::<P>();
        let parent = entry(&a, channel.id(), 9, &[], "parent");
        let child = entry(&b, channel.id(), 9, &[parent.0], "child");
        let order = if child_first { [child, parent.clone()] } else { [parent.clone(), child] };
        order.iter().for_each(|object| drop(world.receive(&a, core::slice::from_ref(object))));
        assert_eq!(rows(&mut world, channel.id()), [parent.0]);
        assert_eq!(heads(&mut world, channel.id(), ALL).heads, [parent.0]);
        let Reply::Channels(channels) = world.ask(Read::Channels) else { panic!() };
        assert_eq!(channels[0].entries, 1);
        world.again();
    }
}

pub fn only_members_write<P: Place>() {
    let (mut world, me, a, b, _) = three::<P>();
    let pair = Channel::direct(me.person_id(), a.person_id());
    world.put(&[id_object(&pair)]);
    let from_b = entry(&b, pair.id(), 1, &[], "may I?");
    let done = world.receive(&b, &[from_b.clone()]);
    assert!(!done.effects.iter().any(|effect| matches!(effect, Effect::ChannelEntry(_))));
    assert!(rows(&mut world, pair.id()).is_empty());
    // Nor does anybody make a channel in which he has no part.
    let foreign = Channel::direct(me.person_id(), person("c").person_id());
    world.receive(&b, &[id_object(&foreign)]);
    let Reply::Channels(channels) = world.ask(Read::Channels) else { panic!() };
    assert_eq!(channels.len(), 2);
}

pub fn a_forged_entry_is_not_in_the_channel<P: Place>() {
    let (mut world, _, a, b, channel) = three::<P>();
    let genuine = entry(&a, channel.id(), 1, &[], "a says");
    let mut forged = genuine.1.to_vec();
    let at = forged.windows(6).position(|part| part == b"a says").unwrap();
    forged[at..at + 6].copy_from_slice(b"b says");
    let forged = (Cid::of_object(&forged), forged.into());
    world.receive(&b, &[forged.clone(), genuine.clone()]);
    assert_eq!(rows(&mut world, channel.id()), [genuine.0]);
    assert!(world.object(forged.0).is_some());
}

pub fn an_entry_waits_for_its_channel_and_its_author<P: Place>() {
    let (me, a, c) = (person("me"), person("a"), person("c"));
    let mut world = world::<P>();
    world.befriend(&a);
    let channel = Channel::new("later", [me.person_id(), a.person_id(), c.person_id()]).unwrap();
    let (by_a, by_c) = (entry(&a, channel.id(), 1, &[], "a"), entry(&c, channel.id(), 2, &[], "c"));
    world.receive(&a, &[by_a.clone(), by_c.clone()]);
    world.again();
    let done = world.receive(&a, &[id_object(&channel)]);
    assert!(
        done.effects.iter().any(|effect| matches!(effect, Effect::ChannelEntry(row) if row.id == by_a.0))
    );
    assert_eq!(rows(&mut world, channel.id()), [by_a.0]);
    world.again();
    let done = world.commit(vec![Write::Contact(contact(&c, ContactState::Pending))]);
    assert!(
        done.effects.iter().any(|effect| matches!(effect, Effect::ChannelEntry(row) if row.id == by_c.0))
    );
    assert_eq!(rows(&mut world, channel.id()), [by_a.0, by_c.0]);
}

pub fn channel_pages_join<P: Place>() {
    let (mut world, _, a, _, channel) = three::<P>();
    let mut last: Vec<Cid> = Vec::new();
    let mut all = Vec::new();
    for ms in 0..25 {
        let object = entry(&a, channel.id(), ms, &last, "next");
        last = vec![object.0];
        all.push(object.0);
        world.receive(&a, &[object]);
    }
    let (mut from, mut seen) = (PageFrom::First, Vec::new());
    loop {
        let page = page(&mut world, channel.id(), from, 7);
        let Some(end) = page.last() else { break };
        from = PageFrom::After(end.id);
        assert!(page.len() <= 7 && page.iter().all(|row| row.author == a.person_id()));
        seen.extend(page.iter().map(|row| row.id));
    }
    assert_eq!(seen, all);
    let (mut from, mut seen) = (PageFrom::Last, Vec::new());
    loop {
        let page = page(&mut world, channel.id(), from, 7);
        let Some(first) = page.first() else { break };
        from = PageFrom::Before(first.id);
        seen.splice(0..0, page.iter().map(|row| row.id));
    }
    assert_eq!(seen, all);
    assert_eq!(page(&mut world, channel.id(), PageFrom::Last, 0), []);
    let unknown = Read::Channel { channel: channel.id(), from: PageFrom::After(note("x").0), limit: 7 };
    assert!(matches!(world.s().ask(unknown), Err(StoreError::Misuse(_))));
}

pub fn heads_far_in_the_future_are_left_out<P: Place>() {
    let (mut world, _, a, b, channel) = three::<P>();
    let now = entry(&a, channel.id(), 1, &[], "now");
    let far = entry(&b, channel.id(), 1 << 40, &[], "far");
    world.receive(&a, &[now.clone(), far.clone()]);
    let limit = Hlc { ms: NOW.0 + 1000, count: 0 };
    let near = heads(&mut world, channel.id(), limit);
    assert_eq!((near.heads, near.clock.ms), (vec![now.0], NOW.0 + 1));
    assert_eq!(heads(&mut world, channel.id(), ALL).heads.len(), 2);
}

fn endpoint(of: &LocalIdentity, ms: u64, url: &str) -> Object {
    endpoint_after(of, ms, url, &[])
}

fn endpoint_after(of: &LocalIdentity, ms: u64, url: &str, after: &[Cid]) -> Object {
    let mut parents: Vec<Reference> = after.iter().map(|id| Reference(*id)).collect();
    parents.sort_unstable();
    parents.dedup();
    let version = Versioned::<OneInstanceEndpoint> {
        by: Signer::Person,
        of: Reference(of.instance_id().cid()),
        sig: None,
        data: of.public().endpoint(url).unwrap(),
        clock: Hlc { ms: NOW.0 + ms, count: 0 },
        type_tag: TypeTag::default(),
        author: of.person_id(),
        parents,
        instance: of.instance_id(),
    };
    signed(version, of)
}

pub fn endpoints_of_contacts_are_known_and_of_strangers_not<P: Place>() {
    let mut world = world::<P>();
    let (a, stranger) = (person("a"), person("stranger"));
    world.befriend(&a);
    let (known, unknown) = (endpoint(&a, 1, "ws://localhost:1"), endpoint(&stranger, 1, "ws://localhost:2"));
    let done = world.receive(&a, &[known.clone(), unknown]);
    assert_eq!(done.effects.iter().filter(|effect| matches!(effect, Effect::Endpoint(_))).count(), 1);
    world.again();
    let Reply::Endpoints(rows) = world.ask(Read::Endpoints(a.person_id())) else { panic!() };
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [known.0]);
    let refused = StoreError::NotAContact(stranger.person_id());
    assert_eq!(world.s().ask(Read::Endpoints(stranger.person_id())), Err(refused));
}

pub fn the_newest_endpoint_counts<P: Place>() {
    for reverse in [false, true] {
        let mut world = world::<P>();
        let a = person("a");
        world.befriend(&a);
        let newest = endpoint(&a, 9, "ws://localhost:9");
        let mut versions = [endpoint(&a, 1, "ws://localhost:1"), newest.clone()];
        if reverse {
            versions.reverse();
        }
        versions.iter().for_each(|version| drop(world.receive(&a, core::slice::from_ref(version))));
        let Reply::Endpoints(rows) = world.ask(Read::Endpoints(a.person_id())) else { panic!() };
        assert_eq!((rows.len(), rows[0].id), (1, newest.0));
    }
}

fn endpoint_of<P: Place>(world: &mut World<P>, who: &LocalIdentity) -> Cid {
    let Reply::Endpoints(rows) = world.ask(Read::Endpoints(who.person_id())) else { panic!() };
    assert_eq!(rows.len(), 1);
    rows[0].id
}

/// Versions with random parents and clocks, some of which lie: every replica says what the written rule says of the
/// set, whatever the order of arrival, and though each version comes twice.
pub fn endpoints_are_merged_by_the_written_rule_in_every_order<P: Place>() {
    let a = person("a");
    let (mut lied, mut forked) = (0, 0);
    for seed in 0..6 {
        let mut dice = Dice::new(seed);
        let mut below = |limit: usize| usize::try_from(dice.below(limit as u64)).unwrap();
        let mut versions: Vec<Object> = Vec::new();
        for at in 0..9_usize {
            let after: Vec<Cid> =
                (0..below(3).min(at)).map(|_| versions[at - 1 - below(at.min(3))].0).collect();
            let ms = if below(4) == 0 { 1 << 40 } else { below(60_000) as u64 };
            lied += u64::from(ms == 1 << 40);
            versions.push(endpoint_after(&a, ms, &alloc::format!("ws://localhost:{}", at + 1), &after));
        }
        let signed: Vec<_> =
            versions.iter().map(|(_, bytes)| Signed::from_bytes(bytes.clone()).unwrap()).collect();
        let of = Reference(a.instance_id().cid());
        let merged =
            merge::<OneInstanceEndpoint>(&a.person_id(), &of, &signed, NOW, &MergeConfig::default()).unwrap();
        forked += u64::from(merged.heads.len() > 1);
        let says = merged.data.unwrap();
        let expected = signed.iter().find(|version| version.value().data == says).unwrap().cid();
        for _ in 0..3 {
            let mut world = world::<P>();
            world.befriend(&a);
            world.commit(vec![Write::Clock(NOW)]);
            dice.shuffle(&mut versions);
            let mut told = None;
            for version in versions.iter().chain(&versions) {
                for effect in world.receive(&a, core::slice::from_ref(version)).effects {
                    if let Effect::Endpoint(row) = effect {
                        told = Some(row.id);
                    }
                }
            }
            assert_eq!(endpoint_of(&mut world, &a), expected, "seed {seed}");
            assert_eq!(told, Some(expected), "the last that was told is what counts");
            world.again();
            world.commit(vec![Write::Clock(NOW)]);
            assert_eq!(endpoint_of(&mut world, &a), expected, "seed {seed}");
        }
    }
    assert!(lied > 5 && forked > 2, "{lied} {forked}");
}

/// Who names somebody else's version as its parent follows nothing.
pub fn nobody_follows_the_endpoint_of_another<P: Place>() {
    let mut world = world::<P>();
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    world.befriend(&b);
    let of_a = endpoint(&a, 1, "ws://localhost:1");
    let of_b = endpoint_after(&b, 2, "ws://localhost:2", &[of_a.0]);
    world.receive(&b, &[of_b.clone()]);
    world.receive(&a, &[of_a.clone()]);
    assert_eq!((endpoint_of(&mut world, &a), endpoint_of(&mut world, &b)), (of_a.0, of_b.0));
}

pub(super) fn rule(by: &LocalIdentity, object: Cid, to: &LocalIdentity) -> Object {
    let version = Versioned::<Access> {
        by: Signer::Person,
        of: Reference(by.person_id().cid()),
        sig: None,
        data: Access { objects: vec![Reference(object)], persons: vec![to.person_id()], ..Access::default() },
        clock: Hlc { ms: NOW.0, count: 0 },
        type_tag: TypeTag::default(),
        author: by.person_id(),
        parents: vec![],
        instance: by.instance_id(),
    };
    signed(version, by)
}

fn rules<P: Place>(world: &mut World<P>, object: Cid) -> Vec<AccessRow> {
    let Reply::AccessRules(rows) = world.ask(Read::AccessRules(object)) else { panic!() };
    rows
}

pub fn an_access_rule_works_for_what_its_author_authored_alone<P: Place>() {
    let (mut world, _, a, b, channel) = three::<P>();
    let (mine, of_a, of_b) = (note("mine"), note("of a"), entry(&b, channel.id(), 1, &[], "of b"));
    world.put(&[mine.clone()]);
    // a brings what b wrote, too: that does not make it a's.
    world.receive(&a, &[of_a.clone(), of_b.clone()]);
    for (object, works) in [(mine.0, false), (of_b.0, false), (of_a.0, true)] {
        let done = world.receive(&a, &[rule(&a, object, &b)]);
        assert_eq!(done.effects.iter().any(|effect| matches!(effect, Effect::Access(_))), works);
        assert_eq!(done.grown.contains(&b.person_id()), works);
        assert_eq!(rules(&mut world, object)[0].in_effect, works);
    }
    assert_eq!(world.view(b.person_id()), [of_a.0]);
    let Reply::AccessRules(all) = world.ask(Read::AllAccessRules) else { panic!() };
    assert_eq!(all.iter().filter(|row| row.in_effect).map(|row| row.object).collect::<Vec<_>>(), [of_a.0]);
    assert_eq!(all.len(), 3);
    // b has no say over what a authored.
    world.receive(&b, &[rule(&b, of_a.0, &b)]);
    assert_eq!(rules(&mut world, of_a.0).iter().filter(|row| row.in_effect).count(), 1);
    world.again();
}

pub fn an_access_rule_may_come_before_its_object<P: Place>() {
    let (mut world, _, a, b, _) = three::<P>();
    let child = note("child");
    let object = linked("object", &[child.0], &[]);
    world.receive(&a, &[rule(&a, object.0, &b)]);
    world.again();
    assert!(!rules(&mut world, object.0)[0].in_effect);
    let done = world.receive(&a, &[child.clone(), object.clone()]);
    assert!(done.grown.contains(&b.person_id()));
    assert_eq!(world.view(b.person_id()), [child.0, object.0]);
    assert!(rules(&mut world, object.0)[0].in_effect);
}
