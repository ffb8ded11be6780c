//! Edits, deletions, unread entries, and pages of channels that grow while they are read.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use lama_identity::{Channel, ChannelEntry, ChannelId, Cid, Content, LocalIdentity, Object as _};

use super::Place;
use super::channels::{entry_of, id_object, page, three};
use super::fixture::{Dice, World, person};
use crate::{ChannelEntryRow, Effect, EntryState, Object, PageFrom, Read, Reply, Write};

/// What a row shows: `None` for what was deleted.
fn shown(row: &ChannelEntryRow) -> Option<String> {
    let object = match &row.state {
        EntryState::Original => &row.object,
        EntryState::Edited { object, .. } => object,
        EntryState::Deleted { .. } => return None,
    };
    ChannelEntry::from_bytes(object).unwrap().content.text
}

fn texts<P: Place>(world: &mut World<P>, channel: ChannelId) -> Vec<Option<String>> {
    page(world, channel, PageFrom::First, usize::MAX).iter().map(shown).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).into())).collect()
}

fn channel_row<P: Place>(world: &mut World<P>, channel: ChannelId) -> crate::ChannelRow {
    let Reply::Channels(rows) = world.ask(Read::Channels) else { panic!() };
    rows.into_iter().find(|row| row.channel == channel).unwrap()
}

pub fn an_author_edits_and_deletes_and_a_deletion_is_final<P: Place>() {
    let (mut world, _, a, _, channel) = three::<P>();
    let id = channel.id();
    let first = entry_of(&a, id, 1, &[], Content::text("frist"));
    let edit = entry_of(&a, id, 2, &[first.0], Content::edit(first.0, "first"));
    let later = entry_of(&a, id, 3, &[edit.0], Content::edit(first.0, "First."));
    let gone = entry_of(&a, id, 4, &[later.0], Content::delete(first.0));
    let after = entry_of(&a, id, 5, &[gone.0], Content::edit(first.0, "again"));
    world.receive(&a, &[first.clone()]);
    assert_eq!(texts(&mut world, id), some(&["frist"]));
    let done = world.receive(&a, &[edit.clone()]);
    let changed = |effect: &Effect| matches!(effect, Effect::ChannelEntryChanged(row) if row.id == first.0);
    assert!(done.effects.iter().any(changed));
    assert_eq!(texts(&mut world, id), some(&["first"]));
    world.receive(&a, &[later.clone()]);
    assert_eq!(texts(&mut world, id), some(&["First."]));
    world.again();
    assert!(world.receive(&a, &[gone]).effects.iter().any(changed));
    assert_eq!(texts(&mut world, id), [None]);
    // What has no effect is not worth a word.
    assert!(!world.receive(&a, &[after]).effects.iter().any(changed));
    assert_eq!(texts(&mut world, id), [None]);
    assert_eq!(channel_row(&mut world, id).entries, 1);
    let Reply::Channel(rows) = world.ask(Read::Entry(first.0)) else { panic!() };
    assert!(matches!(rows[0].state, EntryState::Deleted { .. }));
    let Reply::Channel(rows) = world.ask(Read::Entry(edit.0)) else { panic!() };
    assert_eq!(rows, []);
}

pub fn nobody_edits_what_another_wrote<P: Place>() {
    let (mut world, me, a, b, channel) = three::<P>();
    let id = channel.id();
    let other = Channel::new("other", [me.person_id(), a.person_id(), b.person_id()]).unwrap();
    world.put(&[id_object(&other)]);
    let first = entry_of(&a, id, 5, &[], Content::text("of a"));
    let second = entry_of(&a, id, 6, &[], Content::text("too"));
    let edit_of_second = entry_of(&a, id, 7, &[], Content::edit(second.0, "also"));
    for content in [Content::edit(first.0, "no"), Content::delete(first.0)] {
        // By another person, from another channel, before it was written, and of an edit.
        let by_b = entry_of(&b, id, 8, &[first.0], content.clone());
        let elsewhere = entry_of(&a, other.id(), 8, &[], content.clone());
        let before = entry_of(&a, id, 4, &[], content);
        for object in [by_b, elsewhere, before] {
            world.receive(&b, &[object]);
        }
    }
    let of_an_edit = entry_of(&a, id, 9, &[], Content::delete(edit_of_second.0));
    world.receive(&b, &[of_an_edit, edit_of_second, first, second]);
    assert_eq!(texts(&mut world, id), some(&["of a", "also"]));
    world.again();
}

/// Random entries, edits and deletions of three persons, with clocks that lie.
fn conversation(dice: &mut Dice, writers: &[&LocalIdentity], channel: ChannelId) -> Vec<Object> {
    let mut all: Vec<(Object, usize)> = Vec::new();
    for at in 0..16 {
        let writer = usize::try_from(dice.below(3)).unwrap();
        let mut heads: Vec<Cid> =
            all.iter().rev().take(3).filter(|_| dice.below(2) == 0).map(|(object, _)| object.0).collect();
        heads.sort_unstable();
        // Mostly after what it names; now and then equal or before, which makes it count for nothing.
        let ms = if dice.below(10) == 0 { dice.below(20) } else { at };
        let lie = if dice.below(12) == 0 { 1 << 40 } else { 0 };
        // Mostly what the writer wrote himself; now and then what another did, or an edit.
        let known: Vec<Cid> = match dice.below(4) {
            0 => all.iter().map(|(object, _)| object.0).collect(),
            _ => all.iter().filter(|(_, by)| *by == writer).map(|(object, _)| object.0).collect(),
        };
        let pick = usize::try_from(dice.below(known.len().max(1) as u64)).unwrap();
        let target = known.get(pick).copied();
        let content = match (dice.below(3), target) {
            (0, Some(target)) => Content::edit(target, alloc::format!("edit {at}")),
            (1, Some(target)) if dice.below(2) == 0 => Content::delete(target),
            _ => Content::text(alloc::format!("text {at}")),
        };
        all.push((entry_of(writers[writer], channel, ms + lie, &heads, content), writer));
    }
    all.into_iter().map(|(object, _)| object).collect()
}

pub fn a_channel_reads_the_same_in_every_order_of_arrival<P: Place>() {
    let persons = ["me", "a", "b"].map(person);
    let [me, a, b] = &persons;
    let channel = Channel::new("all", persons.iter().map(LocalIdentity::person_id)).unwrap();
    let (mut edited, mut deleted) = (0, 0);
    for seed in 0..8 {
        let mut dice = Dice::new(seed);
        let objects = conversation(&mut dice, &[me, a, b], channel.id());
        let mut expected: Option<(Vec<ChannelEntryRow>, Vec<Cid>)> = None;
        for _ in 0..3 {
            let (mut world, ..) = three::<P>();
            world.s().set_owner(me.public().clone()).unwrap();
            let mut arrivals: Vec<&Object> = objects.iter().collect();
            arrivals.extend(objects.iter().filter(|_| dice.below(3) == 0));
            dice.shuffle(&mut arrivals);
            for chunk in arrivals.chunks(3) {
                let from = if dice.below(2) == 0 { a } else { b };
                let chunk: Vec<Object> = chunk.iter().map(|object| (*object).clone()).collect();
                world.receive(from, &chunk);
            }
            world.s().check().unwrap();
            let mut rows = page(&mut world, channel.id(), PageFrom::First, usize::MAX);
            assert!(rows.iter().all(|row| row.unread == (row.author != me.person_id())), "seed {seed}");
            rows.iter_mut().for_each(|row| row.unread = false);
            let heads = super::channels::heads(&mut world, channel.id(), super::channels::ALL).heads;
            let result = (rows, heads);
            assert_eq!(*expected.get_or_insert_with(|| result.clone()), result, "seed {seed}");
        }
        for row in expected.unwrap().0 {
            edited += u32::from(matches!(row.state, EntryState::Edited { .. }));
            deleted += u32::from(matches!(row.state, EntryState::Deleted { .. }));
        }
    }
    assert!(edited >= 5 && deleted >= 3, "{edited} edited, {deleted} deleted: too few to show anything");
}

pub fn pages_stay_where_they_are_while_entries_arrive<P: Place>() {
    for seed in 0..4 {
        let mut dice = Dice::new(seed);
        let (mut world, _, a, _, channel) = three::<P>();
        let id = channel.id();
        let make = |ms: u64| entry_of(&a, id, ms, &[], Content::text(alloc::format!("{ms}")));
        let first: Vec<Object> = (0..30).map(|at| make(at * 10)).collect();
        world.receive(&a, &first);
        let there: Vec<Cid> = first.iter().map(|object| object.0).collect();
        let forward = seed % 2 == 0;
        let mut from = if forward { PageFrom::First } else { PageFrom::Last };
        let mut seen: Vec<ChannelEntryRow> = Vec::new();
        loop {
            let rows = page(&mut world, id, from, 4);
            let next = if forward { rows.last() } else { rows.first() };
            let Some(next) = next else { break };
            from = if forward { PageFrom::After(next.id) } else { PageFrom::Before(next.id) };
            let at = if forward { seen.len() } else { 0 };
            seen.splice(at..at, rows);
            // Anywhere: before, within and after what was read.
            if seen.len() < 40 {
                world.receive(&a, &[make(dice.below(300)), make(dice.below(300))]);
            }
        }
        let ids: Vec<Cid> = seen.iter().map(|row| row.id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "twice");
        assert!(seen.is_sorted_by_key(|row| (row.clock, row.author, row.id)));
        assert!(there.iter().all(|id| ids.contains(id)), "one that was there from the start was passed over");
    }
}

pub fn unread_entries_are_those_that_arrived_since<P: Place>() {
    let (mut world, me, a, b, channel) = three::<P>();
    let id = channel.id();
    world.s().set_owner(me.public().clone()).unwrap();
    let unread = |world: &mut World<P>| -> Vec<Option<String>> {
        let rows = page(world, id, PageFrom::Unread, usize::MAX);
        assert!(rows.iter().all(|row| row.unread));
        assert_eq!(channel_row(world, id).unread, rows.len() as u64);
        rows.iter().map(shown).collect()
    };
    let one = entry_of(&a, id, 10, &[], Content::text("one"));
    let two = entry_of(&b, id, 20, &[], Content::text("two"));
    world.receive(&a, &[one.clone()]);
    world.receive(&b, &[two.clone()]);
    world.put(&[entry_of(&me, id, 30, &[], Content::text("mine"))]);
    // Also what another brings back: own words are never news, and the same entry is news once.
    world.receive(&b, &[entry_of(&me, id, 31, &[], Content::text("mine of old")), one.clone()]);
    assert_eq!(unread(&mut world), some(&["one", "two"]));
    let seen = channel_row(&mut world, id).arrived;
    let late = entry_of(&b, id, 1, &[], Content::text("written first, arrived last"));
    world.receive(&b, &[late]);
    world.commit(vec![Write::MarkRead { channel: id, upto: seen }]);
    world.again();
    world.s().set_owner(me.public().clone()).unwrap();
    assert_eq!(unread(&mut world), some(&["written first, arrived last"]));
    let rows = page(&mut world, id, PageFrom::First, usize::MAX);
    assert_eq!(rows.iter().map(|row| row.unread).collect::<Vec<_>>(), [true, false, false, false, false]);
    // It never goes back, nor beyond what is there.
    world.commit(vec![Write::MarkRead { channel: id, upto: 1 }]);
    assert_eq!(unread(&mut world).len(), 1);
    world.commit(vec![Write::MarkRead { channel: id, upto: u64::MAX }]);
    assert_eq!(unread(&mut world), []);
    // An edit is no news of its own; an entry that turns out not to count is none any more.
    world.receive(&a, &[entry_of(&a, id, 40, &[], Content::edit(one.0, "uno"))]);
    assert_eq!(unread(&mut world), []);
    let parent = entry_of(&a, id, 50, &[], Content::text("parent"));
    let child = entry_of(&b, id, 50, &[parent.0], Content::text("not after its parent"));
    world.receive(&b, &[child]);
    assert_eq!(unread(&mut world).len(), 1);
    world.receive(&a, &[parent]);
    assert_eq!(unread(&mut world), some(&["parent"]));
    world.s().check().unwrap();
}
