//! Merging the versions of one thing: what counts, what is left out, and one rule per field.
//!
//! The result is a function of the *set* of versions: whatever their order of arrival, and however often each came.
//! Causality (who names whom as parent) goes before clocks, so a clock that lies wins nothing against whoever has seen
//! the version; clocks only choose among concurrent versions, and one too far ahead of the reader's loses there.
//!
//! Cost: `n` versions take `n²/8` bytes while they are merged, and a set of `e` elements `n·e` steps; both are bounded
//! by [`MergeConfig`].

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use lama_core::{SortedMap, SortedSet, WallTime};

use crate::version::VersionData;
use crate::{
    Access, Cid, GroupMembers, IdentityError, MAX_AHEAD, OneInstanceEndpoint, PersonId, Profile, Reference,
    Signed, Versioned,
};

/// Bounds of a merge. Finite by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeConfig {
    /// Most versions of one thing that are merged. Default 4,096 (2 MiB while they are).
    pub max_versions: usize,
    /// Most different elements in all versions of one set. Default 4,096.
    pub max_elements: usize,
    /// How far ahead of the reader's clock a version may be and still compete with concurrent ones by its clock.
    pub max_ahead: Duration,
}

impl Default for MergeConfig {
    fn default() -> Self {
        Self { max_versions: 4_096, max_elements: 4_096, max_ahead: MAX_AHEAD }
    }
}

/// What may be merged, by which rules.
pub trait Merge: VersionData {
    /// Persons whom this version, if the owner wrote it, lets write versions too. Ascending.
    fn delegates(&self) -> &[PersonId] {
        &[]
    }

    /// The data that all versions that count say together; `None` if none counts.
    ///
    /// # Errors
    /// [`IdentityError::TooLong`] beyond [`MergeConfig::max_elements`].
    fn merged(history: &History<'_, Self>) -> Result<Option<Self>, IdentityError>
    where
        Self: Sized;
}

/// What the versions of one thing say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged<T> {
    /// The merged data; `None`: no version counts.
    pub data: Option<T>,
    /// The versions that no other one that counts follows: what the next version names as its parents. Ascending.
    pub heads: Vec<Reference>,
    /// Versions that do not count, and why ([`IdentityError::NotAuthorised`], [`IdentityError::Mismatch`]). Ascending.
    pub left_out: Vec<(Cid, IdentityError)>,
}

/// Merges the versions of `of`, which belongs to `owner`, as somebody sees them whose clock shows `now`. The caller
/// has verified the signatures. Order and repetition of `versions` do not matter.
///
/// # Errors
/// [`IdentityError::TooLong`] beyond the limits of `config`.
pub fn merge<T: Merge>(
    owner: &PersonId,
    of: &Reference,
    versions: &[Signed<Versioned<T>>],
    now: WallTime,
    config: &MergeConfig,
) -> Result<Merged<T>, IdentityError> {
    let mut left_out = Vec::new();
    let mut known: SortedMap<Cid, &Versioned<T>> = SortedMap::new();
    for version in versions {
        if version.value().of == *of {
            known.insert(version.cid(), version.value());
        } else {
            left_out.push((version.cid(), IdentityError::Mismatch { field: "of" }));
        }
    }
    if known.len() > config.max_versions {
        return Err(IdentityError::TooLong { field: "versions", limit: config.max_versions });
    }
    let mut history = History { owner: *owner, nodes: sort(&known), now, config: *config };
    history.authorise();
    let refused = history.nodes.iter().filter(|node| !node.counts);
    left_out.extend(refused.map(|node| (node.id, IdentityError::NotAuthorised)));
    left_out.sort_by_key(|(id, _)| *id);
    left_out.dedup_by_key(|(id, _)| *id);
    let mut heads: Vec<Reference> = history.heads().map(|node| Reference(node.id)).collect();
    heads.sort_unstable();
    Ok(Merged { data: T::merged(&history)?, heads, left_out })
}

/// Positions in a [`History`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Past(Vec<u64>);

impl Past {
    fn none(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    fn add(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    fn holds(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

#[derive(Debug)]
struct Node<'a, T: VersionData> {
    id: Cid,
    version: &'a Versioned<T>,
    /// Those of its parents that are here.
    parents: Vec<usize>,
    /// Itself and all before it.
    past: Past,
    counts: bool,
}

/// Versions of one thing, parents first.
#[derive(Debug)]
pub struct History<'a, T: VersionData> {
    owner: PersonId,
    nodes: Vec<Node<'a, T>>,
    now: WallTime,
    config: MergeConfig,
}

/// Parents before children. What names itself by a detour cannot be, since ids are hashes; it would be left out.
fn sort<'a, T: VersionData>(known: &SortedMap<Cid, &'a Versioned<T>>) -> Vec<Node<'a, T>> {
    let mut children: SortedMap<Cid, Vec<Cid>> = SortedMap::new();
    let mut missing: SortedMap<Cid, usize> = SortedMap::new();
    for (id, version) in known {
        let here = version.parents.iter().filter(|parent| known.contains_key(&parent.0));
        let mut count = 0;
        for parent in here {
            children.entry(parent.0).or_default().push(*id);
            count += 1;
        }
        missing.insert(*id, count);
    }
    let mut ready: SortedSet<Cid> =
        missing.iter().filter(|(_, left)| **left == 0).map(|(id, _)| *id).collect();
    let mut places: SortedMap<Cid, usize> = SortedMap::new();
    let mut nodes: Vec<Node<'a, T>> = Vec::with_capacity(known.len());
    while let Some(id) = ready.pop_first() {
        let Some(version) = known.get(&id) else { continue };
        let parents: Vec<usize> =
            version.parents.iter().filter_map(|parent| places.get(&parent.0).copied()).collect();
        let mut past = Past::none(known.len());
        past.add(nodes.len());
        parents.iter().filter_map(|at| nodes.get(*at)).for_each(|parent| past.add_all(&parent.past));
        places.insert(id, nodes.len());
        nodes.push(Node { id, version, parents, past, counts: false });
        for child in children.get(&id).into_iter().flatten() {
            if let Some(left) = missing.get_mut(child) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    ready.insert(*child);
                }
            }
        }
    }
    nodes
}

/// The life of one element of a set: at each version, the additions of it that are still in force.
#[derive(Debug)]
struct Life {
    /// As the version's parents together have it.
    before: Vec<Vec<usize>>,
    /// As the version leaves it.
    after: Vec<Vec<usize>>,
}

impl<T: VersionData> History<'_, T> {
    /// The versions that count and that no other one that counts follows.
    fn heads(&self) -> impl Iterator<Item = &Node<'_, T>> {
        let mut followed = Past::none(self.nodes.len());
        for node in self.nodes.iter().filter(|node| node.counts) {
            node.parents
                .iter()
                .filter_map(|at| self.nodes.get(*at))
                .for_each(|parent| followed.add_all(&parent.past));
        }
        self.nodes
            .iter()
            .enumerate()
            .filter(move |(at, node)| node.counts && !followed.holds(*at))
            .map(|(_, node)| node)
    }

    /// A register: the last writer among concurrent heads, by (clock, author, id). A head whose clock is too far ahead
    /// loses against one whose clock is not.
    pub fn last<V>(&self, field: impl Fn(&T) -> V) -> Option<V> {
        let ahead = u64::try_from(self.config.max_ahead.as_millis()).unwrap_or(u64::MAX);
        let limit = self.now.0.saturating_add(ahead);
        let best = self.heads().max_by_key(|head| {
            let version = head.version;
            (version.clock.ms <= limit, version.clock, version.author, head.id)
        })?;
        Some(field(&best.version.data))
    }

    /// A set in which additions win: an element is in it if some version added it and no version that has seen that
    /// addition leaves it out. What is added and, without knowing, removed at the same time, stays. `field` gives the
    /// elements in ascending order.
    ///
    /// # Errors
    /// [`IdentityError::TooLong`] beyond [`MergeConfig::max_elements`].
    pub fn set<E: Ord + Copy>(&self, field: impl Fn(&T) -> &[E]) -> Result<Vec<E>, IdentityError> {
        self.set_of(|node| node.counts, field)
    }

    /// The same, said by the versions of the owner alone.
    ///
    /// # Errors
    /// As [`History::set`].
    pub fn owners_set<E: Ord + Copy>(&self, field: impl Fn(&T) -> &[E]) -> Result<Vec<E>, IdentityError> {
        self.set_of(|node| node.version.author == self.owner, field)
    }

    fn set_of<E: Ord + Copy>(
        &self,
        counts: impl Fn(&Node<'_, T>) -> bool,
        field: impl Fn(&T) -> &[E],
    ) -> Result<Vec<E>, IdentityError> {
        let mut all = SortedSet::new();
        for node in self.nodes.iter().filter(|node| counts(node)) {
            all.extend(field(&node.version.data).iter().copied());
            if all.len() > self.config.max_elements {
                return Err(IdentityError::TooLong { field: "set", limit: self.config.max_elements });
            }
        }
        let named: SortedSet<usize> =
            self.nodes.iter().flat_map(|node| node.parents.iter().copied()).collect();
        let ends: Vec<usize> = (0..self.nodes.len()).filter(|at| !named.contains(at)).collect();
        let is_in = |element: &E| {
            let life = self.life(&counts, |node| field(&node.version.data).binary_search(element).is_ok());
            !self.join(&life.after, &ends).is_empty()
        };
        Ok(all.into_iter().filter(is_in).collect())
    }

    /// Follows one element through the versions that `counts`; the others hand on what their parents say.
    fn life(&self, counts: impl Fn(&Node<'_, T>) -> bool, holds: impl Fn(&Node<'_, T>) -> bool) -> Life {
        let mut life = Life { before: Vec::new(), after: Vec::new() };
        for (at, node) in self.nodes.iter().enumerate() {
            let before = self.join(&life.after, &node.parents);
            let after = match (counts(node), holds(node)) {
                (false, _) => before.clone(),
                (true, false) => Vec::new(),
                (true, true) if before.is_empty() => vec![at],
                (true, true) => before.clone(),
            };
            life.before.push(before);
            life.after.push(after);
        }
        life
    }

    /// What `places` together leave in force: additions of any of them that none of the others has seen and dropped.
    fn join(&self, after: &[Vec<usize>], places: &[usize]) -> Vec<usize> {
        let mut all: Vec<usize> = places.iter().filter_map(|at| after.get(*at)).flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|addition| {
            places.iter().all(|at| {
                let seen = self.nodes.get(*at).is_some_and(|node| node.past.holds(*addition));
                !seen || after.get(*at).is_some_and(|kept| kept.contains(addition))
            })
        });
        all
    }
}

impl<T: Merge> History<'_, T> {
    /// Marks the versions that count: the owner's, and those of whom he let write, as far as he had not taken it back.
    fn authorise(&mut self) {
        let owner = self.owner;
        let others: SortedSet<PersonId> =
            self.nodes.iter().map(|node| node.version.author).filter(|author| *author != owner).collect();
        let mut counting: Vec<bool> = self.nodes.iter().map(|node| node.version.author == owner).collect();
        for other in others {
            let by_owner = |node: &Node<'_, T>| node.version.author == owner;
            let named = |node: &Node<'_, T>| node.version.data.delegates().binary_search(&other).is_ok();
            let life = self.life(by_owner, named);
            let removals: Vec<usize> = (0..self.nodes.len())
                .filter(|at| {
                    self.nodes.get(*at).is_some_and(|node| by_owner(node) && !named(node))
                        && life.before.get(*at).is_some_and(|before| !before.is_empty())
                })
                .collect();
            for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.version.author == other) {
                let let_in = life.before.get(at).is_some_and(|before| !before.is_empty());
                // What the owner had not seen when he took the right back never counts: else it could be dated back.
                let in_time = removals.iter().all(|removal| {
                    let seen_by_owner = self.nodes.get(*removal).is_some_and(|node| node.past.holds(at));
                    seen_by_owner || node.past.holds(*removal)
                });
                if let Some(counts) = counting.get_mut(at) {
                    *counts = let_in && in_time;
                }
            }
        }
        self.nodes.iter_mut().zip(counting).for_each(|(node, counts)| node.counts = counts);
    }
}

impl Merge for Profile {
    fn merged(history: &History<'_, Self>) -> Result<Option<Self>, IdentityError> {
        Ok(history.last(Self::clone))
    }
}

impl Merge for OneInstanceEndpoint {
    fn merged(history: &History<'_, Self>) -> Result<Option<Self>, IdentityError> {
        Ok(history.last(Self::clone))
    }
}

/// Members: additions win. Admins: additions win, and the owner's versions alone speak of them.
impl Merge for GroupMembers {
    fn delegates(&self) -> &[PersonId] {
        &self.admins
    }

    fn merged(history: &History<'_, Self>) -> Result<Option<Self>, IdentityError> {
        if history.heads().next().is_none() {
            return Ok(None);
        }
        let admins = history.owners_set(|data| &data.admins)?;
        Ok(Some(Self { admins, members: history.set(|data| &data.members)? }))
    }
}

/// All four lists: additions win.
impl Merge for Access {
    fn merged(history: &History<'_, Self>) -> Result<Option<Self>, IdentityError> {
        if history.heads().next().is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            ids: history.set(|data| &data.ids)?,
            groups: history.set(|data| &data.groups)?,
            objects: history.set(|data| &data.objects)?,
            persons: history.set(|data| &data.persons)?,
        }))
    }
}
