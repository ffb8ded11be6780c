//! The end of a history: everybody is connected, nothing moves any more, and the model says how it has to be.

use std::collections::{BTreeMap, BTreeSet};

use lama_identity::{ChannelId, Cid, GroupId};
use lama_store::{EntryState, PageFrom, Read, Reply};

use super::Who;
use super::merge::{Entry, reading};
use super::mind::{Held, What};
use super::stage::Stage;

/// Judges.
pub(super) fn judge(stage: &mut Stage<'_>) {
    for who in 0..stage.plan.persons {
        let checked = stage.replicas[who].store().check();
        assert!(checked.is_ok(), "the store of {who} contradicts itself: {checked:?}");
        objects(stage, who);
        groups(stage, who);
        channels(stage, who);
    }
    let links: Vec<[Who; 2]> = stage.wires.iter().map(|wire| wire.who).collect();
    for (at, [a, b]) in links.into_iter().enumerate() {
        link(stage, at, a, b);
        rights(stage, a, b);
        rights(stage, b, a);
    }
}

/// The store holds what the model holds, and nothing else.
fn objects(stage: &mut Stage<'_>, who: Who) {
    let all: Vec<Cid> = stage.universe.keys().copied().collect();
    for id in all {
        let Reply::Object(found) = stage.replicas[who].ask(Read::Object(id)) else { panic!("no object") };
        let mind = &stage.replicas[who].mind;
        let held = mind.held.get(&id);
        assert_eq!(found.is_some(), mind.is_visible(&id), "{id} at {who}: the model says {held:?}");
    }
}

/// Groups have the members whom the versions that are here say together.
fn groups(stage: &mut Stage<'_>, who: Who) {
    let groups: Vec<(Cid, Who)> = stage
        .universe
        .iter()
        .filter_map(|(id, known)| match known.what {
            What::Group { owner } => Some((*id, owner)),
            _ => None,
        })
        .collect();
    for (id, _) in groups {
        let Reply::Group(row) = stage.replicas[who].ask(Read::Group(GroupId(*id.digest()))) else {
            panic!("no group")
        };
        let expected = stage.replicas[who].mind.group(&stage.universe, &id);
        let expected = expected.map(|(admins, members)| (stage.cast.ids(admins), stage.cast.ids(members)));
        assert_eq!(row.map(|row| (row.admins, row.members)), expected, "the group {id} at {who}");
    }
}

/// Channels read as their entries say, in their order.
fn channels(stage: &mut Stage<'_>, who: Who) {
    let mind = stage.replicas[who].mind.clone();
    let universe = stage.universe.clone();
    let channels =
        universe.iter().filter(|(id, known)| matches!(known.what, What::Channel) && mind.is_visible(id));
    for (channel, _) in channels {
        let here: BTreeMap<Cid, &Entry> = universe
            .iter()
            .filter(|(id, _)| mind.is_visible(id))
            .filter_map(|(id, known)| match &known.what {
                What::Entry(entry) => Some((*id, entry)),
                _ => None,
            })
            .collect();
        let label = ChannelId(*channel.digest());
        let Reply::Channels(rows) = stage.replicas[who].ask(Read::Channels) else { panic!("no channels") };
        let Some(row) = rows.into_iter().find(|row| row.channel == label) else {
            panic!("{who} does not know the channel {channel}")
        };
        let (mut found, mut from) = (Vec::new(), PageFrom::First);
        loop {
            let read = Read::Channel { channel: label, from, limit: 1_000 };
            let Reply::Channel(page) = stage.replicas[who].ask(read) else { panic!("no page") };
            let Some(last) = page.last() else { break };
            from = PageFrom::After(last.id);
            found.extend(page.into_iter().map(|row| match row.state {
                EntryState::Original => (row.id, None),
                EntryState::Edited { by, .. } | EntryState::Deleted { by, .. } => (row.id, Some(by)),
            }));
        }
        assert_eq!(found, reading(channel, &row.members, &here), "the channel {channel} at {who}");
    }
}

/// Both ends hold the same set, and know it.
fn link(stage: &mut Stage<'_>, at: usize, a: Who, b: Who) {
    let (here, there) =
        (stage.replicas[a].head(stage.cast, b).head, stage.replicas[b].head(stage.cast, a).head);
    let sets = [(a, b), (b, a)].map(|(me, peer)| view(stage, me, peer));
    let [left, right] = &sets;
    let differ: Vec<&Cid> = left.symmetric_difference(right).collect();
    assert!(differ.is_empty(), "the sets of {a} and {b} differ in {differ:?}");
    assert_eq!((here.count, here.fingerprint), (there.count, there.fingerprint), "{a} and {b}");
    assert_eq!(here.count, left.len() as u64, "{a} and {b}: an id stands in a log once");
    for end in &stage.wires[at].ends {
        assert_eq!(
            end.in_sync,
            Some((here.count, here.fingerprint)),
            "{a} and {b} know that they are in sync"
        );
    }
}

fn view(stage: &mut Stage<'_>, me: Who, of: Who) -> BTreeSet<Cid> {
    let (person, mut ids, mut after) = (stage.cast.id(of), BTreeSet::new(), 0);
    loop {
        let Reply::Ids(page) = stage.replicas[me].ask(Read::Ids { person, after, limit: 1_000 }) else {
            panic!("no ids")
        };
        ids.extend(page.ids.iter().map(|(_, id)| *id));
        if page.next == after {
            return ids;
        }
        after = page.next;
    }
}

/// Whoever may see something has it, and whoever was given what is deleted has heard of it.
fn rights(stage: &mut Stage<'_>, from: Who, to: Who) {
    let (giver, taker) = (&stage.replicas[from].mind, &stage.replicas[to].mind);
    for (id, held) in &giver.held {
        let (here, there) = (giver.towards(to, id), taker.towards(from, id));
        // What he said himself he is not told, though a life of this store that was undone may have brought it to him since.
        let deleted = held.gone && here.told && !here.said && !here.revoked;
        // What one of them had lost and was given back counts as its giver's, whoever made it: deleting a copy is no news.
        let returned = [(from, to, *id), (to, from, *id)].iter().any(|way| stage.returned.contains(way));
        let unheard = deleted && there.came && !there.told && !returned;
        // What he has put there himself, or brought, he may have let go.
        let let_go = |held: &Held| held.gone && (held.own || here.came);
        let there_is = taker.held.get(id).is_some_and(|held| taker.is_visible(id) || let_go(held));
        let lacks = giver.is_visible(id) && here.may_see() && here.shown && !there_is;
        assert!(!unheard, "{from} deleted {id}, and {to} has not heard of it: {here:?}, {there:?}");
        assert!(
            !lacks,
            "{from} lets {to} see {id} ({here:?}), who has {:?} and knows {there:?}",
            taker.held.get(id)
        );
    }
}
