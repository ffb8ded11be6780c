//! What versions and entries say together, straight from the rules in `docs/protocol/identity.md`, 8 and 9: no order
//! of arrival, no index, every rule a question about the whole set.

use std::collections::{BTreeMap, BTreeSet};

use lama_identity::{Cid, Hlc, PersonId};

use super::Who;

/// A version of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Who signed it.
    pub author: Who,
    /// What it replaces.
    pub parents: Vec<Cid>,
}

/// The versions of one thing that a replica has.
pub type Versions<'a> = BTreeMap<Cid, &'a Version>;

/// Everything before a version, itself not included.
fn past(versions: &Versions<'_>, of: &Cid) -> BTreeSet<Cid> {
    let mut found = BTreeSet::new();
    let mut open = vec![*of];
    while let Some(id) = open.pop() {
        let parents = versions.get(&id).into_iter().flat_map(|version| &version.parents);
        open.extend(parents.filter(|parent| versions.contains_key(*parent) && found.insert(**parent)));
    }
    found
}

/// Whether an element is in the set that `among` says together, of the versions that `count`, each of which `has` it
/// or not: some version added it (has it, while its parents together do not), and none that has seen this leaves it
/// out.
fn is_in(
    versions: &Versions<'_>,
    among: &BTreeSet<Cid>,
    count: &BTreeSet<Cid>,
    has: &dyn Fn(&Cid) -> bool,
) -> bool {
    among.iter().filter(|id| count.contains(*id) && has(id)).any(|added| {
        let left_out = |id: &Cid| count.contains(id) && !has(id) && past(versions, id).contains(added);
        !among.iter().any(left_out) && !is_in(versions, &past(versions, added), count, has)
    })
}

/// The elements of a set in which additions win.
pub fn set<T: Ord + Copy>(
    versions: &Versions<'_>,
    count: &BTreeSet<Cid>,
    field: &dyn Fn(&Cid) -> BTreeSet<T>,
) -> BTreeSet<T> {
    let all: BTreeSet<Cid> = versions.keys().copied().collect();
    let fields: BTreeMap<Cid, BTreeSet<T>> = all.iter().map(|id| (*id, field(id))).collect();
    let elements: BTreeSet<T> = count.iter().flat_map(|id| fields[id].iter().copied()).collect();
    elements
        .into_iter()
        .filter(|element| is_in(versions, &all, count, &|id| fields[id].contains(element)))
        .collect()
}

/// Versions that count: the owner's, and those of admins whom he had let, and who knew of it when he took it back.
pub fn counting(
    versions: &Versions<'_>,
    owner: Who,
    admins: &dyn Fn(&Cid) -> BTreeSet<Who>,
) -> BTreeSet<Cid> {
    let of_owner: BTreeSet<Cid> =
        versions.iter().filter(|(_, version)| version.author == owner).map(|(id, _)| *id).collect();
    let mut count = of_owner.clone();
    for (id, version) in versions.iter().filter(|(_, version)| version.author != owner) {
        let names = |of: &Cid| admins(of).contains(&version.author);
        let before = past(versions, id);
        let let_in = is_in(versions, &before, &of_owner, &names);
        let in_time = of_owner.iter().all(|removal| {
            let seen_there = past(versions, removal);
            let removes = !names(removal) && is_in(versions, &seen_there, &of_owner, &names);
            !removes || seen_there.contains(id) || before.contains(removal)
        });
        if let_in && in_time {
            count.insert(*id);
        }
    }
    count
}

/// Versions that no other one follows.
pub fn heads(versions: &Versions<'_>) -> BTreeSet<Cid> {
    let named: BTreeSet<Cid> =
        versions.values().flat_map(|version| version.parents.iter().copied()).collect();
    versions.keys().filter(|id| !named.contains(*id)).copied().collect()
}

/// An entry of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The channel's id object.
    pub channel: Cid,
    /// Who wrote it: the label decides ties.
    pub author: PersonId,
    /// When.
    pub clock: Hlc,
    /// What it names as before it.
    pub named: Vec<Cid>,
    /// The entry that it edits (`false`) or deletes (`true`).
    pub amends: Option<(Cid, bool)>,
}

/// The entries of a channel as they are read: in order, each with what its author put in its place, if anything.
pub fn reading(channel: &Cid, members: &[PersonId], here: &BTreeMap<Cid, &Entry>) -> Vec<(Cid, Option<Cid>)> {
    let counts = |entry: &Entry| {
        entry.channel == *channel
            && members.contains(&entry.author)
            && entry
                .named
                .iter()
                .filter_map(|id| here.get(id))
                .all(|before| before.channel == *channel && before.clock < entry.clock)
    };
    let counting: BTreeMap<Cid, &Entry> =
        here.iter().filter(|(_, entry)| counts(entry)).map(|(id, entry)| (*id, *entry)).collect();
    let mut rows: Vec<(&Cid, &Entry)> =
        counting.iter().filter(|(_, entry)| entry.amends.is_none()).map(|(id, entry)| (id, *entry)).collect();
    rows.sort_by_key(|(id, entry)| (entry.clock, entry.author, **id));
    rows.into_iter()
        .map(|(id, entry)| {
            let amendments = counting.iter().filter_map(|(by, later)| {
                let (of, deletes) = later.amends?;
                let works = of == *id && later.author == entry.author && later.clock > entry.clock;
                works.then_some((deletes, later.clock, *by))
            });
            (*id, amendments.max().map(|(_, _, by)| by))
        })
        .collect()
}
