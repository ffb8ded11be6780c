//! Access rules: what their author authored becomes visible to the persons he names, if they are contacts here.
//!
//! All rules of one author for one identity object are a *policy*: their versions merge by the rule of each field, so
//! a later version that names less takes back. A policy speaks of objects, and of identity objects with all that
//! belongs to them; of persons, and of groups as their members are known here.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::{SortedSet, WallTime};
use lama_identity::{
    Access, Cid, GroupId, Merge, MergeConfig, Merged, PersonId, Reference, Signable, Signed, Versioned, merge,
};

use super::Lacks;
use crate::api::{AccessRow, Committed, Effect, PolicyRow};
use crate::codec::{Reader, Writer};
use crate::engine::Engine;
use crate::index::Filter;
use crate::layout::{ID, IndexKey, Slot, id_at_end, id_bytes, kind, meta, read_id};
use crate::{Store, StoreError};

/// Rules for which there is a filter in memory, of some 80 kB.
const MAX_FILTERED: u64 = 65_536;

/// Whose rules, and for which identity object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PolicyKey {
    author: PersonId,
    of: Cid,
}

impl PolicyKey {
    /// At the end of a key.
    fn read_end(key: &[u8]) -> Result<Self, StoreError> {
        let at = key.len().saturating_sub(32 + ID);
        let mut reader = Reader(key.get(at..).unwrap_or_default());
        Ok(Self { author: PersonId(reader.array()?), of: read_id(&mut reader)? })
    }

    fn key(self, kind: u8, first: &[u8]) -> Vec<u8> {
        meta(kind, &[first, &self.author.0, &id_bytes(&self.of)])
    }
}

/// What the rules of a policy say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Policy {
    /// Whether a rule of it was put here.
    own: bool,
    data: Access,
}

impl Policy {
    fn to_bytes(&self) -> Vec<u8> {
        let Access { ids, groups, objects, persons } = &self.data;
        let list = |out: Writer, list: &[Reference]| {
            list.iter().fold(out.num(list.len() as u64), |out, id| out.raw(&id_bytes(&id.0)))
        };
        let out = list(list(Writer::default().u8(self.own.into()), ids), objects).num(groups.len() as u64);
        let out = groups.iter().fold(out, |out, group| out.raw(&group.0)).num(persons.len() as u64);
        persons.iter().fold(out, |out, person| out.raw(&person.0)).0
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let own = reader.u8()? == 1;
        let list = |reader: &mut Reader<'_>| {
            (0..reader.num()?).map(|_| read_id(reader).map(Reference)).collect::<Result<Vec<_>, _>>()
        };
        let (ids, objects) = (list(&mut reader)?, list(&mut reader)?);
        let groups = (0..reader.num()?).map(|_| reader.array().map(GroupId)).collect::<Result<_, _>>()?;
        let persons = (0..reader.num()?).map(|_| reader.array().map(PersonId)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { own, data: Access { ids, groups, objects, persons } })
    }
}

impl<E: Engine> Store<E> {
    /// A rule arrived.
    pub(super) fn take_rule(
        &mut self,
        id: &Cid,
        bytes: &Bytes,
        source: u32,
        report: &mut Committed,
    ) -> Result<Result<(), Lacks>, StoreError> {
        let signed = match self.verified::<Versioned<Access>>(bytes, source) {
            Ok(signed) => signed,
            Err(lacks) => return Ok(Err(lacks)),
        };
        let version = signed.value();
        let policy = PolicyKey { author: version.author, of: version.of.0 };
        self.note_version(&version.of.0, &version.author, id);
        let Some(data) = self.merged_versions::<Access>(&policy.author, &policy.of, Some(&policy.author))?
        else {
            return Ok(Err(Lacks::Validity));
        };
        let old = self.policy(policy)?.unwrap_or_default();
        let new = Policy { own: old.own || source == 0, data };
        self.put_policy(policy, &old, &new, id)?;
        let targets = self.targets(policy, &new.data)?;
        for target in &targets {
            self.apply_rules_for(target, report)?;
        }
        if new.data != old.data {
            let before = self.targets(policy, &old.data)?;
            let mut persons: SortedSet<PersonId> = old.data.persons.iter().copied().collect();
            for group in &old.data.groups {
                persons.extend(self.group_row(group)?.into_iter().flat_map(|group| group.members));
            }
            self.withdraw(&before, &persons, report)?;
        }
        Ok(Ok(()))
    }

    /// Whether a rule may speak of an object: of most objects none does, and each of them is asked about.
    pub(super) fn may_be_ruled(&mut self, id: &Cid) -> Result<bool, StoreError> {
        let rules = self.hot.counts.rules;
        if self.ruled.is_none() && rules > 0 && rules <= MAX_FILTERED {
            let mut filter = Filter::for_rows(MAX_FILTERED as usize);
            self.each_meta(&[kind::ACCESS], &mut |key, _| {
                filter.add(&IndexKey::object(&read_id(&mut Reader(key))?));
                Ok(true)
            })?;
            self.ruled = Some(filter);
        }
        Ok(rules > 0 && self.ruled.as_ref().is_none_or(|filter| filter.may_hold(&IndexKey::object(id))))
    }

    /// Judges rules again that stand in the log: those of a store that was written before there were policies, whose rows
    /// named the rule instead.
    pub(crate) fn retake_rules(&mut self, ids: &[Cid]) -> Result<(), StoreError> {
        let mut old = Vec::new();
        self.each_meta(&[kind::ACCESS], &mut |key, _| {
            if key.len() == 2 * ID {
                old.push(meta(kind::ACCESS, &[key]));
            }
            Ok(true)
        })?;
        for key in old {
            self.meta_remove(key);
            self.hot.counts.rules = self.hot.counts.rules.saturating_sub(1);
            self.hot.dirty_counts = true;
        }
        for id in ids {
            let Some(slot) = self.object(id)?.filter(|slot| slot.is_visible()) else { continue };
            let record = self.record(slot.place)?;
            let taken = self.take_rule(id, &record.bytes, record.source, &mut Committed::default())?;
            if let Err(Lacks::Label(label)) = taken {
                self.meta_put(meta(kind::ENTRY_WAITS, &[&label, &id_bytes(id)]), Bytes::new());
            }
        }
        Ok(())
    }

    /// Writes a policy and what leads to it.
    fn put_policy(
        &mut self,
        key: PolicyKey,
        old: &Policy,
        new: &Policy,
        rule: &Cid,
    ) -> Result<(), StoreError> {
        self.meta_put(key.key(kind::POLICY, &[]), new.to_bytes());
        for object in old.data.objects.iter().filter(|object| !new.data.objects.contains(object)) {
            self.meta_remove(key.key(kind::ACCESS, &id_bytes(&object.0)));
            self.hot.counts.rules = self.hot.counts.rules.saturating_sub(1);
        }
        for object in &new.data.objects {
            let row = key.key(kind::ACCESS, &id_bytes(&object.0));
            let known = self.meta_get(&row)?;
            let in_effect = known.as_ref().and_then(|row| row.last().copied()).unwrap_or(0);
            self.hot.counts.rules += u64::from(known.is_none());
            if let Some(filter) = &mut self.ruled {
                filter.add(&IndexKey::object(&object.0));
            }
            self.meta_put(row, Writer::default().raw(&id_bytes(rule)).u8(in_effect).0);
        }
        for id in old.data.ids.iter().filter(|id| !new.data.ids.contains(id)) {
            self.meta_remove(key.key(kind::ACCESS_ID, &id_bytes(&id.0)));
            self.hot.counts.id_rules = self.hot.counts.id_rules.saturating_sub(1);
        }
        for id in new.data.ids.iter().filter(|id| !old.data.ids.contains(id)) {
            self.meta_put(key.key(kind::ACCESS_ID, &id_bytes(&id.0)), Bytes::new());
            self.hot.counts.id_rules += 1;
        }
        for group in old.data.groups.iter().filter(|group| !new.data.groups.contains(group)) {
            self.meta_remove(key.key(kind::ACCESS_GROUP, &group.0));
        }
        for group in &new.data.groups {
            self.meta_put(key.key(kind::ACCESS_GROUP, &group.0), Bytes::new());
        }
        self.hot.dirty_counts = true;
        Ok(())
    }

    fn policy(&self, key: PolicyKey) -> Result<Option<Policy>, StoreError> {
        self.meta_get(&key.key(kind::POLICY, &[]))?.map(|row| Policy::from_bytes(&row)).transpose()
    }

    /// A signed version that takes part in merging.
    pub(super) fn note_version(&mut self, of: &Cid, author: &PersonId, id: &Cid) {
        self.meta_put(meta(kind::VERSION, &[&id_bytes(of), &author.0, &id_bytes(id)]), Bytes::new());
    }

    /// What the versions of something say together, those of `only` or all; `None`: nothing, or too many of them.
    pub(super) fn merged_versions<T: Merge>(
        &self,
        owner: &PersonId,
        of: &Cid,
        only: Option<&PersonId>,
    ) -> Result<Option<T>, StoreError>
    where
        Versioned<T>: Signable,
    {
        Ok(self.merged(owner, of, only)?.and_then(|merged| merged.data))
    }

    /// See [`Read::Policy`](crate::Read::Policy).
    pub(crate) fn policy_row(&self, of: &Cid, author: &PersonId) -> Result<PolicyRow, StoreError> {
        let merged = self.merged::<Access>(author, of, Some(author))?;
        Ok(merged.map_or_else(PolicyRow::default, |merged| PolicyRow {
            data: merged.data.unwrap_or_default(),
            heads: merged.heads,
        }))
    }

    /// `None`: too many versions to be merged.
    fn merged<T: Merge>(
        &self,
        owner: &PersonId,
        of: &Cid,
        only: Option<&PersonId>,
    ) -> Result<Option<Merged<T>>, StoreError>
    where
        Versioned<T>: Signable,
    {
        let of_bytes = id_bytes(of);
        let mut versions = Vec::new();
        for id in self.versions_of(&of_bytes, only)? {
            let Some(bytes) = self.visible(&id)? else { continue };
            versions.extend(Signed::<Versioned<T>>::from_bytes(bytes).ok());
        }
        let config = MergeConfig { max_versions: self.config.max_versions, ..MergeConfig::default() };
        // Sets do not look at clocks.
        Ok(merge(owner, &Reference(*of), &versions, WallTime(0), &config).ok())
    }

    fn versions_of(&self, of: &[u8; ID], only: Option<&PersonId>) -> Result<Vec<Cid>, StoreError> {
        let mut ids = Vec::new();
        let prefix = match only {
            Some(author) => meta(kind::VERSION, &[of, &author.0]),
            None => meta(kind::VERSION, &[of]),
        };
        self.each_meta(&prefix, &mut |key, _| {
            ids.push(id_at_end(key)?);
            Ok(ids.len() <= self.config.max_versions)
        })?;
        Ok(ids)
    }

    /// What a policy speaks of, as far as it is known here.
    fn targets(&self, key: PolicyKey, data: &Access) -> Result<SortedSet<Cid>, StoreError> {
        let mut targets: SortedSet<Cid> = data.objects.iter().map(|object| object.0).collect();
        for id in &data.ids {
            targets.insert(id.0);
            targets.extend(self.versions_of(&id_bytes(&id.0), Some(&key.author))?);
            self.each_meta(&meta(kind::ENTRY, &[id.0.digest()]), &mut |key, _| {
                targets.insert(id_at_end(key)?);
                Ok(targets.len() < self.config.max_closure)
            })?;
        }
        Ok(targets)
    }

    /// An object is here, or a rule that speaks of it: whoever may see it now gets it.
    pub(crate) fn apply_rules_for(&mut self, id: &Cid, report: &mut Committed) -> Result<(), StoreError> {
        for (key, policy) in self.policies_over(id)? {
            let row_key = key.key(kind::ACCESS, &id_bytes(id));
            let Some(row) = self.meta_get(&row_key)? else { continue };
            let mut row = row.to_vec();
            if row.pop() == Some(0) {
                let rule = read_id(&mut Reader(&row))?;
                row.push(1);
                self.meta_put(row_key, row);
                report.effects.push(Effect::Access(access_row(key, &policy, id, rule, true)));
            }
        }
        let persons: Vec<PersonId> =
            self.entitled(id)?.into_iter().filter(|person| self.hot.contacts.contains_key(person)).collect();
        if persons.is_empty() { Ok(()) } else { self.share(&[*id], &persons, false, report) }
    }

    /// Whom rules let see an object.
    pub(crate) fn entitled(&self, id: &Cid) -> Result<SortedSet<PersonId>, StoreError> {
        let mut persons = SortedSet::new();
        for (_, policy) in self.policies_over(id)? {
            persons.extend(policy.data.persons);
            for group in &policy.data.groups {
                persons.extend(self.group_row(group)?.into_iter().flat_map(|group| group.members));
            }
        }
        Ok(persons)
    }

    /// The policies that are in effect over an object: it is here, and their author authored it.
    fn policies_over(&self, id: &Cid) -> Result<Vec<(PolicyKey, Policy)>, StoreError> {
        let mut keys = SortedSet::new();
        let bytes = id_bytes(id);
        if self.hot.counts.rules > 0 {
            self.each_meta(&meta(kind::ACCESS, &[&bytes]), &mut |key, _| {
                keys.insert((PolicyKey::read_end(key)?, false));
                Ok(true)
            })?;
        }
        if self.hot.counts.id_rules > 0 {
            for identity in self.identities_of(id)? {
                self.each_meta(&meta(kind::ACCESS_ID, &[&id_bytes(&identity)]), &mut |key, _| {
                    keys.insert((PolicyKey::read_end(key)?, true));
                    Ok(true)
                })?;
            }
        }
        let mut found = Vec::new();
        if keys.is_empty() || !self.object(id)?.is_some_and(Slot::is_visible) {
            return Ok(found);
        }
        let author = self.author_of(id)?;
        for (key, _) in keys {
            let Some(policy) = self.policy(key)? else { continue };
            if self.works(key, &policy, author) {
                found.push((key, policy));
            }
        }
        found.dedup_by_key(|(key, _)| *key);
        Ok(found)
    }

    /// Whether a policy speaks of what somebody answers for: a rule of ours of what was put here, one of a contact's of what
    /// is his. A rule of ours is so too if a contact brought it back, after a restore. `author`: who answers; `None`: this
    /// instance's own person.
    fn works(&self, key: PolicyKey, policy: &Policy, author: Option<PersonId>) -> bool {
        let is_owner = || self.owner.as_ref().is_some_and(|owner| owner.person_id() == key.author);
        author.map_or_else(|| policy.own || is_owner(), |author| author == key.author)
    }

    /// Takes back what rules do not let these persons see any more.
    pub(crate) fn withdraw(
        &mut self,
        targets: &SortedSet<Cid>,
        persons: &SortedSet<PersonId>,
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        for person in persons {
            let mut roots = Vec::new();
            for target in targets {
                if !self.entitled(target)?.contains(person) {
                    roots.push(*target);
                }
            }
            if !roots.is_empty() {
                self.retract(*person, &roots, false, report)?;
            }
        }
        Ok(())
    }

    /// A group has other members: what names it is looked at again.
    pub(super) fn group_changed(
        &mut self,
        group: &GroupId,
        gone: &SortedSet<PersonId>,
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        self.each_meta(&meta(kind::ACCESS_GROUP, &[&group.0]), &mut |key, _| {
            keys.push(PolicyKey::read_end(key)?);
            Ok(true)
        })?;
        for key in keys {
            let Some(policy) = self.policy(key)? else { continue };
            let targets = self.targets(key, &policy.data)?;
            for target in &targets {
                self.apply_rules_for(target, report)?;
            }
            self.withdraw(&targets, gone, report)?;
        }
        Ok(())
    }

    /// The rules that speak of an object.
    pub(crate) fn access_rules(&self, object: &Cid) -> Result<Vec<AccessRow>, StoreError> {
        let mut rows = Vec::new();
        self.each_meta(&meta(kind::ACCESS, &[&id_bytes(object)]), &mut |key, value| {
            rows.extend(self.access_rule(object, key, value)?);
            Ok(true)
        })?;
        for identity in self.identities_of(object)? {
            self.each_meta(&meta(kind::ACCESS_ID, &[&id_bytes(&identity)]), &mut |key, _| {
                let key = PolicyKey::read_end(key)?;
                if let Some(policy) = self.policy(key)?
                    && !rows.iter().any(|row: &AccessRow| row.author == key.author)
                {
                    let in_effect = self.works(key, &policy, self.author_of(object)?);
                    rows.push(access_row(key, &policy, object, identity, in_effect));
                }
                Ok(true)
            })?;
        }
        Ok(rows)
    }

    fn access_rule(&self, object: &Cid, key: &[u8], value: &[u8]) -> Result<Option<AccessRow>, StoreError> {
        let key = PolicyKey::read_end(key)?;
        let mut reader = Reader(value);
        let (rule, in_effect) = (read_id(&mut reader)?, reader.u8()? == 1);
        Ok(self.policy(key)?.map(|policy| access_row(key, &policy, object, rule, in_effect)))
    }

    /// All rules, in the order of the objects that they speak of.
    pub(crate) fn all_access_rules(&self) -> Result<Vec<AccessRow>, StoreError> {
        let mut rows = Vec::new();
        self.each_meta(&meta(kind::ACCESS, &[]), &mut |key, value| {
            rows.extend(self.access_rule(&read_id(&mut Reader(key))?, key, value)?);
            Ok(true)
        })?;
        Ok(rows)
    }
}

fn access_row(key: PolicyKey, policy: &Policy, object: &Cid, rule: Cid, in_effect: bool) -> AccessRow {
    AccessRow {
        rule,
        author: key.author,
        object: *object,
        persons: policy.data.persons.clone(),
        groups: policy.data.groups.clone(),
        in_effect,
    }
}
