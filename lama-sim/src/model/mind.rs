//! The reference model of one replica: what it holds, and whom it lets see what. Sets and rules as they are written in
//! `docs/protocol/identity.md` and `chum.md`; no log, no index, no encoding.
//!
//! It is told what its person did and which objects arrived, in the order in which the store made them durable. What
//! arrives when is the business of the network; what follows from it is found here.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use lama_identity::Cid;

use super::merge::{Entry, Version, Versions, counting, set};
use super::{Tally, Who};

/// What an object means.
#[derive(Debug, Clone)]
pub enum What {
    /// Nothing but itself.
    Note,
    /// An access rule: a version of its author's rules for `of`.
    Rule {
        /// The thing for which the author has rules.
        of: Cid,
        /// Its place among the versions.
        version: Version,
        /// Of which objects it speaks.
        objects: BTreeSet<Cid>,
        /// Who may see them.
        persons: BTreeSet<Who>,
        /// Groups whose members may.
        groups: BTreeSet<Cid>,
    },
    /// The id object of a group.
    Group {
        /// Who made it.
        owner: Who,
    },
    /// A version of a group's members.
    Members {
        /// The group's id object.
        of: Cid,
        /// Its place among the versions.
        version: Version,
        /// Who may write members too.
        admins: BTreeSet<Who>,
        /// Who is in it.
        members: BTreeSet<Who>,
    },
    /// The id object of a channel.
    Channel,
    /// An entry of a channel.
    Entry(Entry),
}

/// What is known of an object from its making.
#[derive(Debug, Clone)]
pub struct Known {
    /// What it means.
    pub what: What,
    /// Who signed it.
    pub author: Option<Who>,
    /// Its content links.
    pub links: Vec<Cid>,
    /// All ids that its bytes name, links too.
    pub names: BTreeSet<Cid>,
}

impl Known {
    /// Whether an index rests on it, so that it is never deleted.
    pub const fn is_indexed(&self) -> bool {
        !matches!(self.what, What::Note)
    }
}

/// All objects that were ever made.
pub type Universe = BTreeMap<Cid, Rc<Known>>;

/// An object at a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Put here.
    pub own: bool,
    /// Who brought it first; `None`: it was put here first.
    pub first: Option<Who>,
    /// Deleted: not given any more.
    pub gone: bool,
    /// Waits for a link.
    pub aside: bool,
}

/// An object towards a contact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// He may see it, by a grant of any kind.
    pub shown: bool,
    /// It was granted by itself.
    pub direct: bool,
    /// He brought it, and it was not deleted here since.
    pub came: bool,
    /// He brought it, and has not said since that it is gone.
    pub brings: bool,
    /// He is told that it is gone, or said so.
    pub told: bool,
    /// It was he who said so.
    pub said: bool,
    /// The right to it was taken back, and not given again since: what follows he is not told.
    pub revoked: bool,
}

impl Seen {
    /// Whether he may be given its bytes.
    pub const fn may_see(self) -> bool {
        (self.shown || self.came) && !self.told
    }
}

/// The model of one replica.
#[derive(Debug, Clone)]
pub struct Mind {
    /// Whose it is.
    pub me: Who,
    /// How many persons there are; all know each other.
    pub persons: usize,
    /// What is here.
    pub held: BTreeMap<Cid, Held>,
    /// How objects stand with contacts.
    pub seen: BTreeMap<(Who, Cid), Seen>,
    /// What rules show to whom, as last looked at.
    ruled: BTreeSet<(Who, Cid)>,
    /// Grants since they were last asked for: whom something was shown.
    pub fresh: Vec<(Who, Cid)>,
}

impl Mind {
    /// An empty replica.
    pub const fn new(me: Who, persons: usize) -> Self {
        Self {
            me,
            persons,
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
            ruled: BTreeSet::new(),
            fresh: Vec::new(),
        }
    }

    /// Whether an object can be read here.
    pub fn is_visible(&self, id: &Cid) -> bool {
        self.held.get(id).is_some_and(|held| !held.gone && !held.aside)
    }

    /// How an object stands with a contact.
    pub fn towards(&self, who: Who, id: &Cid) -> Seen {
        self.seen.get(&(who, *id)).copied().unwrap_or_default()
    }

    fn set_seen(&mut self, who: Who, id: &Cid, change: impl FnOnce(&mut Seen)) {
        change(self.seen.entry((who, *id)).or_default());
    }

    // What its person does.

    /// Objects made here.
    pub fn put(&mut self, universe: &Universe, id: Cid, tally: &mut Tally) {
        let new = Held { own: true, first: None, gone: false, aside: false };
        let held = self.held.entry(id).or_insert(new);
        tally.revived += u64::from(held.gone);
        held.own = true;
        held.gone = false;
        self.settle(universe, tally);
    }

    /// An object is granted to somebody by itself. Whether it was: something below may be missing, or be linked from an
    /// object whose author may himself not see it.
    pub fn share(&mut self, universe: &Universe, id: &Cid, with: Who) -> bool {
        if self.held.get(id).is_none_or(|held| held.gone) {
            return false;
        }
        if self.towards(with, id).may_see() {
            self.set_seen(with, id, |seen| seen.direct = true);
            return true;
        }
        let done = self.show(universe, id, with, None);
        if done {
            self.set_seen(with, id, |seen| seen.direct = true);
        }
        done
    }

    /// Shows an object and all below it, children first; `by`: who answers for the object that links to it.
    fn show(&mut self, universe: &Universe, id: &Cid, with: Who, by: Option<Who>) -> bool {
        let Some(held) = self.held.get(id).copied() else { return false };
        if held.gone {
            return true;
        }
        if held.aside || by.is_some_and(|author| !self.towards(author, id).may_see()) {
            return false;
        }
        if self.towards(with, id).may_see() {
            return true;
        }
        let author = if held.own { None } else { held.first };
        if !universe[id].links.iter().all(|link| self.show(universe, link, with, author)) {
            return false;
        }
        // He hears of what is deleted below it, once it is certain that he hears of it itself.
        for link in &universe[id].links {
            let gone = self.held.get(link).is_some_and(|held| held.gone);
            if gone && (Seen { revoked: false, ..self.towards(with, link) }) == Seen::default() {
                self.set_seen(with, link, |seen| seen.told = true);
            }
        }
        self.set_seen(with, id, |seen| {
            seen.brings &= !seen.told;
            (seen.shown, seen.told, seen.said, seen.revoked) = (true, false, false, false);
        });
        self.fresh.push((with, *id));
        true
    }

    /// Grants by themselves end.
    pub fn revoke(&mut self, universe: &Universe, ids: &[Cid], with: Who) {
        for id in ids {
            if let Some(seen) = self.seen.get_mut(&(with, *id)) {
                seen.direct = false;
            }
        }
        self.retract(universe, ids, with);
    }

    /// Takes back what is seen by `roots` and by nothing else.
    fn retract(&mut self, universe: &Universe, roots: &[Cid], with: Who) {
        let links = |id: &Cid| universe[id].links.clone();
        let mut below = BTreeSet::new();
        let mut open = roots.to_vec();
        while let Some(id) = open.pop() {
            if self.held.contains_key(&id) && self.towards(with, &id).may_see() && below.insert(id) {
                open.extend(links(&id));
            }
        }
        let entitled = self.all_entitled(universe);
        // Granted by itself, by a rule, brought by himself, or a part of what stays.
        let stays = |id: &Cid| {
            let seen = self.towards(with, id);
            seen.direct || seen.came || entitled.contains(&(with, *id))
        };
        let others = self.seen.iter().filter(|((who, id), seen)| {
            *who == with && seen.shown && !seen.told && self.is_visible(id) && !below.contains(id)
        });
        let mut open: Vec<Cid> = others.flat_map(|((_, id), _)| links(id)).collect();
        open.extend(below.iter().filter(|id| stays(id)));
        let mut kept = BTreeSet::new();
        while let Some(id) = open.pop() {
            if below.contains(&id) && kept.insert(id) {
                open.extend(links(&id));
            }
        }
        for id in below.difference(&kept) {
            self.set_seen(with, id, |seen| (seen.revoked, seen.shown) = (true, false));
        }
    }

    /// Deletes an object that was put here.
    pub fn delete(&mut self, universe: &Universe, id: &Cid, tally: &mut Tally) {
        self.entomb(id, None);
        self.settle(universe, tally);
    }

    fn entomb(&mut self, id: &Cid, told_by: Option<Who>) {
        if let Some(held) = self.held.get_mut(id) {
            held.gone = true;
        }
        for who in (0..self.persons).filter(|who| Some(*who) != told_by) {
            if self.towards(who, id).may_see() {
                self.set_seen(who, id, |seen| {
                    *seen = Seen { told: true, ..Seen::default() };
                });
            }
        }
    }

    // What others bring.

    /// An object arrived from somebody.
    pub fn import(&mut self, universe: &Universe, from: Who, id: Cid, tally: &mut Tally) {
        let new = Held { own: false, first: Some(from), gone: false, aside: true };
        let held = self.held.entry(id).or_insert(new);
        if held.gone && !held.own {
            tally.revived += 1;
            held.gone = false;
        }
        self.set_seen(from, &id, |seen| {
            (seen.came, seen.brings, seen.told, seen.said) = (true, true, false, false);
        });
        self.settle(universe, tally);
    }

    /// Somebody says that an object is gone. It is deleted here once everybody who brought it has said so, unless it was
    /// put here too, or an index rests on it.
    pub fn gone(&mut self, universe: &Universe, from: Who, id: &Cid, tally: &mut Tally) {
        let seen = self.towards(from, id);
        if seen.told {
            return;
        }
        // What he never brought is not his to take back: it is offered once more.
        if seen.shown && !seen.brings {
            if self.is_visible(id) {
                self.fresh.push((from, *id));
            }
            return;
        }
        self.set_seen(from, id, |seen| {
            (seen.shown, seen.brings, seen.told, seen.said) = (false, false, true, true);
        });
        let others = (0..self.persons).any(|who| self.towards(who, id).brings);
        let held = self.held.get(id).filter(|held| !held.own && !held.gone);
        if held.is_some() && !others && !universe[id].is_indexed() {
            tally.obeyed_gone += 1;
            self.entomb(id, Some(from));
        }
        self.settle(universe, tally);
    }

    // What follows.

    /// Wakes what waited, and applies rules.
    fn settle(&mut self, universe: &Universe, tally: &mut Tally) {
        loop {
            let waits =
                |(id, held): (&Cid, &Held)| (held.aside && self.has_links(universe, id)).then_some(*id);
            let Some(id) = self.held.iter().find_map(waits) else { break };
            if let Some(held) = self.held.get_mut(&id) {
                held.aside = false;
            }
        }
        let now = self.all_entitled(universe);
        let before = std::mem::replace(&mut self.ruled, now.clone());
        for (who, id) in now.difference(&before) {
            tally.ruled_in += u64::from(!self.towards(*who, id).may_see());
            if !self.towards(*who, id).may_see() {
                self.show(universe, id, *who, None);
            }
        }
        for (who, id) in before.difference(&now) {
            let could = self.towards(*who, id).may_see();
            self.retract(universe, &[*id], *who);
            tally.ruled_out += u64::from(could && !self.towards(*who, id).may_see());
        }
    }

    /// Whether nothing is missing below: each link is here, or deleted, or said to be gone by whoever brought this.
    fn has_links(&self, universe: &Universe, id: &Cid) -> bool {
        let by = self.held[id].first;
        universe[id].links.iter().all(|link| {
            self.held.get(link).is_some_and(|held| !held.aside)
                || by.is_some_and(|by| self.towards(by, link).told)
        })
    }

    /// Who answers for an object: whoever signed it, else whoever brought it; what was put here, its own person.
    fn author_of(&self, universe: &Universe, id: &Cid) -> Who {
        let held = &self.held[id];
        universe[id].author.or(if held.own { None } else { held.first }).unwrap_or(self.me)
    }

    fn visible<'a>(&'a self, universe: &'a Universe) -> impl Iterator<Item = (Cid, &'a Known)> {
        self.held.iter().filter(|(_, held)| !held.gone && !held.aside).map(|(id, _)| (*id, &*universe[id]))
    }

    /// Versions of a group's members here.
    pub fn member_versions<'a>(&'a self, universe: &'a Universe, group: &Cid) -> Versions<'a> {
        self.visible(universe)
            .filter_map(|(id, known)| match &known.what {
                What::Members { of, version, .. } if of == group => Some((id, version)),
                _ => None,
            })
            .collect()
    }

    /// Versions of somebody's rules for a thing here.
    pub fn rule_versions<'a>(&'a self, universe: &'a Universe, by: Who, thing: &Cid) -> Versions<'a> {
        self.visible(universe)
            .filter_map(|(id, known)| match &known.what {
                What::Rule { of, version, .. } if of == thing && version.author == by => Some((id, version)),
                _ => None,
            })
            .collect()
    }

    /// Admins and members of a group, as far as it is known here.
    pub fn group(&self, universe: &Universe, group: &Cid) -> Option<(BTreeSet<Who>, BTreeSet<Who>)> {
        let What::Group { owner } = universe.get(group).filter(|_| self.is_visible(group))?.what else {
            return None;
        };
        let versions = self.member_versions(universe, group);
        let field = |id: &Cid, wanted: bool| match &universe[id].what {
            What::Members { admins, .. } if wanted => admins.clone(),
            What::Members { members, .. } => members.clone(),
            _ => BTreeSet::new(),
        };
        let admins = |id: &Cid| field(id, true);
        let of_owner =
            versions.iter().filter(|(_, version)| version.author == owner).map(|(id, _)| *id).collect();
        let count = counting(&versions, owner, &admins);
        Some((set(&versions, &of_owner, &admins), set(&versions, &count, &|id| field(id, false))))
    }

    /// Everything that rules show to somebody.
    fn all_entitled(&self, universe: &Universe) -> BTreeSet<(Who, Cid)> {
        let policies: BTreeSet<(Who, Cid)> = self
            .visible(universe)
            .filter_map(|(_, known)| match &known.what {
                What::Rule { of, version, .. } => Some((version.author, *of)),
                _ => None,
            })
            .collect();
        let mut found = BTreeSet::new();
        for (author, of) in policies {
            let versions = self.rule_versions(universe, author, &of);
            let all: BTreeSet<Cid> = versions.keys().copied().collect();
            let rule = |id: &Cid| match &universe[id].what {
                What::Rule { objects, persons, groups, .. } => {
                    (objects.clone(), persons.clone(), groups.clone())
                }
                _ => Default::default(),
            };
            let objects = set(&versions, &all, &|id| rule(id).0);
            let mut persons = set(&versions, &all, &|id| rule(id).1);
            for group in set(&versions, &all, &|id| rule(id).2) {
                persons.extend(self.group(universe, &group).into_iter().flat_map(|(_, members)| members));
            }
            let works = |id: &&Cid| self.is_visible(id) && self.author_of(universe, id) == author;
            for id in objects.iter().filter(works) {
                found.extend(persons.iter().filter(|who| **who != self.me).map(|who| (*who, *id)));
            }
        }
        found
    }
}
