//! The history of a seed: who does what, one thing after the other, while time passes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lama_identity::{Cid, Content, Hlc, MAX_AHEAD};
use lama_store::{Read, Reply, Write};

use super::cast::{After, Cast};
use super::merge::{Entry, Version, heads};
use super::mind::{Known, What};
use super::replica::Comeback;
use super::stage::Stage;
use super::{Hidden, Who};
use crate::Rng;

/// Whoever writes a history: chance, and what there is to choose from.
struct Author {
    rng: Rng,
    /// Who acts.
    actors: Vec<Who>,
    /// With whom they share.
    circle: Vec<Who>,
    /// Notes that this author may speak of, in the order of their making, and their bytes.
    notes: Vec<(Cid, Bytes)>,
    groups: Vec<Cid>,
    /// Channels with their members.
    channels: Vec<(Cid, Vec<Who>)>,
    channel_bytes: BTreeMap<Cid, Bytes>,
    entries: Vec<Cid>,
    /// Distinguishes what is made.
    name: &'static str,
    count: u64,
    clocks: BTreeMap<Who, Hlc>,
}

/// Plays the whole history, and ends with everybody connected and quiet.
pub(super) fn play(stage: &mut Stage<'_>) {
    let seed = stage.plan.seed;
    let all: Vec<Who> = (0..stage.plan.persons).collect();
    let pair = stage.plan.hidden != Hidden::Open;
    let circle = if pair { vec![0, 1] } else { all.clone() };
    let mut author = Author::new(seed, "note", circle.clone(), circle);
    let mut secret = Author::new(!seed, "secret", all, vec![2]);
    for who in 0..stage.plan.persons {
        // One in four has a clock that is wrong, some by more than is followed.
        let ahead = if author.rng.one_in(4) { author.rng.below(1_500_000) } else { author.rng.below(2_000) };
        stage.replicas[who].ahead = ahead;
    }
    if stage.plan.shared > 0 {
        author.begin_large(stage);
    }
    for _ in 0..stage.plan.events {
        author.event(stage);
        if pair {
            secret.hide(stage);
        }
        for _ in 0..author.rng.below(14) {
            stage.step();
        }
    }
    stage.stormy = false;
    for at in 0..stage.wires.len() {
        stage.take_down(at);
    }
    stage.settle();
}

impl Author {
    fn new(seed: u64, name: &'static str, actors: Vec<Who>, circle: Vec<Who>) -> Self {
        Self {
            rng: Rng::new(seed),
            actors,
            circle,
            notes: Vec::new(),
            groups: Vec::new(),
            channels: Vec::new(),
            channel_bytes: BTreeMap::new(),
            entries: Vec::new(),
            name,
            count: 0,
            clocks: BTreeMap::new(),
        }
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = self.rng.below(from.len() as u64);
        from.get(usize::try_from(at).unwrap_or_default()).cloned()
    }

    fn some<T: Clone>(&mut self, from: &[T], most: u64) -> Vec<T> {
        (0..self.rng.below(most + 1)).filter_map(|_| self.pick(from)).collect()
    }

    fn actor(&mut self) -> Who {
        let actors = self.actors.clone();
        self.pick(&actors).unwrap_or_default()
    }

    /// Somebody of the circle, and not `me`.
    fn other(&mut self, me: Who) -> Option<Who> {
        let others: Vec<Who> = self.circle.iter().copied().filter(|who| *who != me).collect();
        self.pick(&others)
    }

    /// Persons 0 and 1 have many objects in common, and each has a backup from before the last of them.
    fn begin_large(&mut self, stage: &mut Stage<'_>) {
        let (shared, calm) = (stage.plan.shared, std::mem::replace(&mut stage.stormy, false));
        for part in 0..6 {
            // What a restore undoes of it is told by cells.
            let count = if part == 5 { shared / 15 } else { shared / 6 };
            self.write_some(stage, part % 2, count, Some(1 - part % 2));
            if part == 4 {
                stage.settle();
                (0..2).for_each(|who| stage.back_up(who));
            }
        }
        stage.settle();
        stage.stormy = calm;
    }

    /// One thing happens.
    fn event(&mut self, stage: &mut Stage<'_>) {
        let me = self.actor();
        let kind = self.rng.below(40);
        // One history in four is about groups: several write to the same one before they have heard of each other.
        let kind = if stage.plan.seed % 4 == 1 && self.rng.one_in(2) { 25 } else { kind };
        match kind {
            0..=9 => self.write_notes(stage, me),
            10..=13 => self.share(stage, me),
            14..=17 => self.revoke(stage, me),
            18..=19 => self.delete(stage, me),
            20 => self.put_again(stage, me),
            21..=24 => self.rule(stage, me),
            25..=28 => self.group(stage, me),
            29..=33 => self.post(stage, me),
            34 => {
                let at = self.rng.below(stage.wires.len() as u64);
                // With something to hide there is one link of interest.
                let at = if stage.plan.hidden == Hidden::Open { at } else { 0 };
                stage.take_down(usize::try_from(at).unwrap_or_default());
            }
            35 => stage.restart(me, Comeback::Crashed, 0),
            36 => stage.restart(me, Comeback::Closed, 0),
            37..=38 => {
                stage.back_up(me);
            }
            _ => {
                let pick = self.rng.next_u64();
                stage.restart(me, Comeback::Restored, pick);
            }
        }
    }

    /// One thing happens that only the third person may notice. What is drawn does not depend on whether it happens.
    fn hide(&mut self, stage: &mut Stage<'_>) {
        if stage.plan.hidden == Hidden::Without || self.rng.one_in(3) {
            return;
        }
        let me = self.actor();
        if me == 2 {
            self.circle = vec![0, 1];
        } else {
            self.circle = vec![2];
        }
        stage.tally.hidden += 1;
        match self.rng.below(16) {
            0..=5 => self.write_notes(stage, me),
            6..=7 => self.share(stage, me),
            8..=9 => self.revoke(stage, me),
            10 => self.delete(stage, me),
            11..=12 if me != 2 => self.rule(stage, me),
            13..=14 => self.post(stage, me),
            _ if me != 2 => self.group(stage, me),
            _ => self.write_notes(stage, me),
        }
    }

    /// Notes that `me` has and this author may speak of.
    fn at_hand(&self, stage: &Stage<'_>, me: Who) -> Vec<Cid> {
        let mind = &stage.replicas[me].mind;
        self.notes.iter().map(|(id, _)| *id).filter(|id| mind.is_visible(id)).collect()
    }

    fn write_notes(&mut self, stage: &mut Stage<'_>, me: Who) {
        let count = if self.rng.one_in(12) { 60 } else { 1 + self.rng.below(4) };
        let with = if self.rng.one_in(3) { None } else { self.other(me) };
        self.write_some(stage, me, count, with);
    }

    fn write_some(&mut self, stage: &mut Stage<'_>, me: Who, count: u64, with: Option<Who>) {
        let mut made = Vec::new();
        let mut objects = Vec::new();
        let at_hand = self.at_hand(stage, me);
        for _ in 0..count {
            let mut links = self.some(&at_hand, 2);
            if count < 60 {
                links.extend(self.some(&made, 1));
            }
            links.sort_unstable();
            links.dedup();
            let size = if self.rng.one_in(6) { self.rng.below(3_000) } else { self.rng.below(60) };
            self.count += 1;
            let text =
                format!("{} {} {}", self.name, self.count, "x".repeat(usize::try_from(size).unwrap_or(0)));
            let (id, bytes) = Cast::note(&text, &links);
            self.notes.push((id, bytes.clone()));
            let names = links.iter().copied().collect();
            stage.make(me, id, Known { what: What::Note, author: None, links, names });
            made.push(id);
            objects.push((id, bytes));
        }
        let mut writes = vec![Write::Put { objects }];
        for id in &made {
            stage.think(me, |mind, universe, tally| mind.put(universe, *id, tally));
        }
        let mut withheld = 0;
        if let Some(with) = with {
            withheld = grant(stage, me, &made, with);
            writes.push(Write::Share { ids: made, persons: vec![stage.cast.id(with)] });
        }
        let done = stage.commit(me, writes);
        assert_eq!(done.withheld.len() as u64, withheld, "what is withheld: {:?}", done.withheld);
    }

    fn share(&mut self, stage: &mut Stage<'_>, me: Who) {
        let at_hand = self.at_hand(stage, me);
        let ids = self.some(&at_hand, 4);
        let Some(with) = self.other(me).filter(|_| !ids.is_empty()) else { return };
        let withheld = grant(stage, me, &ids, with);
        let done = stage.commit(me, vec![Write::Share { ids, persons: vec![stage.cast.id(with)] }]);
        assert_eq!(done.withheld.len() as u64, withheld, "what is withheld: {:?}", done.withheld);
    }

    fn revoke(&mut self, stage: &mut Stage<'_>, me: Who) {
        let Some(with) = self.other(me) else { return };
        let mind = &stage.replicas[me].mind;
        let seen = self.notes.iter().map(|(id, _)| *id).filter(|id| mind.towards(with, id).shown);
        let seen: Vec<Cid> = seen.collect();
        let ids = self.some(&seen, 5);
        if ids.is_empty() {
            return;
        }
        stage.think(me, |mind, universe, _| mind.revoke(universe, &ids, with));
        let done = stage.commit(me, vec![Write::Revoke { ids, persons: vec![stage.cast.id(with)] }]);
        for revoked in done.revoked {
            stage.tally.revoked_before += revoked.taken_back;
            stage.tally.revoked_on_the_way += revoked.stays;
        }
    }

    fn delete(&mut self, stage: &mut Stage<'_>, me: Who) {
        let own: Vec<Cid> = self.at_hand(stage, me);
        let own = own.into_iter().filter(|id| stage.replicas[me].mind.held[id].own).collect::<Vec<_>>();
        let Some(id) = self.pick(&own) else { return };
        stage.tally.deleted += 1;
        stage.think(me, |mind, universe, tally| mind.delete(universe, &id, tally));
        stage.commit(me, vec![Write::Delete { ids: vec![id] }]);
    }

    /// Makes the same object once more: one that it deleted, or one that somebody else made.
    fn put_again(&mut self, stage: &mut Stage<'_>, me: Who) {
        let mind = &stage.replicas[me].mind;
        let known: Vec<(Cid, Bytes)> = self
            .notes
            .iter()
            .filter(|(id, _)| mind.held.get(id).is_some_and(|held| !held.aside))
            .cloned()
            .collect();
        let deleted: Vec<(Cid, Bytes)> =
            known.iter().filter(|(id, _)| !mind.is_visible(id)).cloned().collect();
        let choices = if deleted.is_empty() || self.rng.one_in(3) { &known } else { &deleted };
        let Some((id, bytes)) = self.pick(choices) else { return };
        stage.think(me, |mind, universe, tally| mind.put(universe, id, tally));
        stage.commit(me, vec![Write::Put { objects: vec![(id, bytes)] }]);
        if let Some(with) = self.other(me) {
            let withheld = grant(stage, me, &[id], with);
            let done =
                stage.commit(me, vec![Write::Share { ids: vec![id], persons: vec![stage.cast.id(with)] }]);
            assert_eq!(done.withheld.len() as u64, withheld, "what is withheld: {:?}", done.withheld);
        }
    }

    /// The next reading of somebody's clock.
    fn tick(&mut self, stage: &Stage<'_>, me: Who, seen: Hlc) -> Hlc {
        let wall = stage.replicas[me].wall(stage.now().wall);
        let clock = self.clocks.entry(me).or_default();
        // What is too far ahead is not taken over.
        let _ = clock.observe(seen, wall, MAX_AHEAD);
        clock.tick(wall)
    }

    /// What a new version comes after: the heads of those here, or some that are older.
    fn after(&mut self, stage: &Stage<'_>, me: Who, parents: BTreeSet<Cid>) -> After {
        let mut parents: Vec<Cid> = parents.into_iter().collect();
        if parents.len() > 1 && self.rng.one_in(4) {
            parents.pop();
        }
        let clock = self.tick(stage, me, Hlc::default());
        After { parents, clock, ..After::default() }
    }

    /// A new version of somebody's rules.
    fn rule(&mut self, stage: &mut Stage<'_>, me: Who) {
        let at_hand = self.at_hand(stage, me);
        let own: Vec<Cid> =
            at_hand.iter().copied().filter(|id| stage.replicas[me].mind.held[id].own).collect();
        // One that speaks of what is not its author's is written, and does nothing.
        let mut objects = self.some(&own, 3);
        if self.rng.one_in(5) {
            objects.extend(self.some(&at_hand, 1));
        }
        let circle = self.circle.clone();
        let mut persons = self.some(&circle, 2);
        let groups = self.groups.clone();
        let mut groups: Vec<Cid> = self.some(&groups, 1);
        persons.sort_unstable();
        persons.dedup();
        groups.dedup();
        let name = format!("{} rules {}", self.name, self.rng.below(2));
        let (of, _) = stage.cast.group(&name, me);
        let mind = &stage.replicas[me].mind;
        let parents = heads(&mind.rule_versions(&stage.universe, me, &of));
        let after = self.after(stage, me, parents);
        let (id, bytes) = stage.cast.rule(me, of, &objects, (&persons, &groups), &after);
        let version = Version { author: me, parents: after.parents.clone() };
        let mut names: BTreeSet<Cid> = objects.iter().chain(&groups).chain(&after.parents).copied().collect();
        names.insert(of);
        let what = What::Rule {
            of,
            version,
            objects: objects.into_iter().collect(),
            persons: persons.into_iter().collect(),
            groups: groups.into_iter().collect(),
        };
        stage.tally.rules += 1;
        stage.tally.concurrent += u64::from(after.parents.len() > 1);
        self.publish(stage, me, vec![(id, bytes, what, Some(me), names)]);
    }

    /// A group is made, or somebody says who is in it: its owner, an admin, or somebody who may not.
    fn group(&mut self, stage: &mut Stage<'_>, me: Who) {
        let known = self.groups.iter().copied().filter(|id| stage.replicas[me].mind.is_visible(id));
        let known: Vec<Cid> = known.collect();
        let mut made = Vec::new();
        // Few groups, so that several write to the same one.
        let of = match self.pick(&known).filter(|_| !self.rng.one_in(2 + 4 * known.len() as u64)) {
            Some(of) => of,
            None => {
                self.count += 1;
                let (of, bytes) = stage.cast.group(&format!("{} group {}", self.name, self.count), me);
                self.groups.push(of);
                made.push((of, bytes, What::Group { owner: me }, None, BTreeSet::new()));
                of
            }
        };
        let circle = self.circle.clone();
        let (admins, members) = (self.some(&circle, 2), self.some(&circle, 3));
        let parents = heads(&stage.replicas[me].mind.member_versions(&stage.universe, &of));
        let after = self.after(stage, me, parents);
        let set = |list: &[Who]| list.iter().copied().collect::<BTreeSet<Who>>();
        let (admins, members) = (set(&admins), set(&members));
        let (id, bytes) = {
            let (admins, members): (Vec<Who>, Vec<Who>) =
                (admins.iter().copied().collect(), members.iter().copied().collect());
            stage.cast.members(me, of, (&admins, &members), &after)
        };
        stage.tally.members += 1;
        stage.tally.concurrent += u64::from(after.parents.len() > 1);
        let names: BTreeSet<Cid> = after.parents.iter().copied().chain([of]).collect();
        let version = Version { author: me, parents: after.parents };
        made.push((id, bytes, What::Members { of, version, admins, members }, Some(me), names));
        self.publish(stage, me, made);
    }

    /// Puts typed objects and shares them with some of the circle.
    fn publish(&mut self, stage: &mut Stage<'_>, me: Who, made: Vec<Made>) {
        let mut objects = Vec::new();
        for (id, bytes, what, author, names) in made {
            stage.make(me, id, Known { what, author, links: Vec::new(), names });
            stage.think(me, |mind, universe, tally| mind.put(universe, id, tally));
            objects.push((id, bytes));
        }
        let ids: Vec<Cid> = objects.iter().map(|(id, _)| *id).collect();
        let mut writes = vec![Write::Put { objects }];
        for with in self.circle.clone().into_iter().filter(|with| *with != me) {
            if !self.rng.one_in(5) {
                grant(stage, me, &ids, with);
                writes.push(Write::Share { ids: ids.clone(), persons: vec![stage.cast.id(with)] });
            }
        }
        stage.commit(me, writes);
    }

    /// Somebody writes into a channel, or edits or deletes what he wrote (or what another did: that has no effect).
    fn post(&mut self, stage: &mut Stage<'_>, me: Who) {
        let mine = self.channels.iter().filter(|(_, members)| members.contains(&me)).cloned();
        let mine: Vec<(Cid, Vec<Who>)> = mine.collect();
        let (channel, members) = match self.pick(&mine).filter(|_| !self.rng.one_in(5)) {
            Some(known) => known,
            None => {
                // What is hidden is between two.
                let others = if self.name == "secret" { Vec::new() } else { self.circle.clone() };
                let mut members: Vec<Who> = others.into_iter().filter(|_| self.rng.one_in(2)).collect();
                members.extend([me, self.other(me).unwrap_or(me)]);
                members.sort_unstable();
                members.dedup();
                self.count += 1;
                let name = format!("{} channel {}", self.name, self.count);
                let (channel, bytes) = stage.cast.channel(&name, members.iter().copied());
                stage.make(me, channel, known(What::Channel, None, BTreeSet::new()));
                self.channels.push((channel, members.clone()));
                self.channel_bytes.insert(channel, bytes);
                (channel, members)
            }
        };
        let content = self.content(stage, me, &channel);
        let amends = content.amends().map(|amends| (amends.entry, amends.deletes));
        let wall = stage.replicas[me].wall(stage.now().wall);
        let ahead = u64::try_from(MAX_AHEAD.as_millis()).unwrap_or(u64::MAX);
        let clock_limit = Hlc { ms: wall.0 + ahead, count: u32::MAX };
        let label = lama_identity::ChannelId(*channel.digest());
        let found = match stage.replicas[me].ask(Read::ChannelHeads { channel: label, clock_limit }) {
            Reply::ChannelHeads(found) => found,
            other => panic!("{other:?}"),
        };
        let epoch = stage.replicas[me].store().epoch();
        let clock = self.tick(stage, me, found.clock);
        let last = stage.replicas[me].notes.posts.get(&channel).copied();
        let prev = last.filter(|(_, of, before)| *of == epoch && *before < clock).map(|(id, _, _)| id);
        let after = After { parents: found.heads, prev, clock, epoch };
        let (id, bytes) = stage.cast.entry(me, channel, content, &after);
        let named: Vec<Cid> = after.parents.iter().copied().chain(prev).collect();
        let names: BTreeSet<Cid> =
            named.iter().copied().chain([channel]).chain(amends.map(|(of, _)| of)).collect();
        let entry = Entry { channel, author: stage.cast.id(me), clock, named, amends };
        stage.make(me, id, known(What::Entry(entry), Some(me), names));
        stage.tally.posts += 1;
        stage.tally.amended += u64::from(amends.is_some());
        stage.replicas[me].notes.posts.insert(channel, (id, epoch, clock));
        self.entries.push(id);
        let channel_bytes = self.channel_bytes[&channel].clone();
        for id in [channel, id] {
            stage.think(me, |mind, universe, tally| mind.put(universe, id, tally));
        }
        let persons: Vec<Who> = members.into_iter().filter(|who| *who != me).collect();
        for with in &persons {
            grant(stage, me, &[channel, id], *with);
        }
        let persons = stage.cast.ids(persons);
        let objects = vec![(channel, channel_bytes), (id, bytes)];
        stage.commit(me, vec![Write::Put { objects }, Write::Share { ids: vec![channel, id], persons }]);
    }

    fn content(&mut self, stage: &Stage<'_>, me: Who, channel: &Cid) -> Content {
        let mind = &stage.replicas[me].mind;
        let here = self.entries.iter().copied().filter(|id| {
            let known = &stage.universe[id];
            let in_it = matches!(&known.what, What::Entry(entry) if entry.channel == *channel);
            in_it && mind.is_visible(id)
        });
        let here: Vec<Cid> = here.collect();
        self.count += 1;
        let text = format!("{} text {}", self.name, self.count);
        match (self.rng.below(4), self.pick(&here)) {
            (0, Some(entry)) => Content::edit(entry, text),
            (1, Some(entry)) => Content::delete(entry),
            _ => Content::text(text),
        }
    }
}

/// A typed object: id, bytes, meaning, author, and what it names.
type Made = (Cid, Bytes, What, Option<Who>, BTreeSet<Cid>);

fn known(what: What, author: Option<Who>, names: BTreeSet<Cid>) -> Known {
    Known { what, author, links: Vec::new(), names }
}

/// Grants in the model; how many were withheld.
fn grant(stage: &mut Stage<'_>, me: Who, ids: &[Cid], with: Who) -> u64 {
    let mut withheld = 0;
    for id in ids {
        let done = stage.think(me, |mind, universe, _| mind.share(universe, id, with));
        withheld += u64::from(!done);
        stage.tally.granted += u64::from(done);
    }
    stage.tally.withheld += withheld;
    withheld
}
