//! Endpoints: what the versions of each instance's say together, for contacts only.
//!
//! The rule is that of `lama_identity::merge` (`docs/protocol/identity.md` 7): a version that another one follows never
//! counts, whatever the clocks say, and of the others the greatest (clock, author, id), those last whose clock lies too
//! far ahead of ours. Only the owner can be the author. What is kept here are the heads and which versions are followed:
//! an instance that moves every day for years costs one small row a version, and one step to read.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{Cid, Hlc, InstanceId, MAX_AHEAD, OneInstanceEndpoint, PersonId, Versioned};

use super::Lacks;
use crate::api::{Committed, Effect, EndpointRow};
use crate::codec::{Reader, Writer};
use crate::engine::Engine;
use crate::layout::{id_bytes, kind, meta, read_id};
use crate::{Store, StoreError};

/// What ranks one head before another: whether its clock is one that may be, the clock, the id.
type Rank = (bool, Hlc, Cid);

impl<E: Engine> Store<E> {
    /// A version of an endpoint arrived.
    pub(super) fn take_endpoint(
        &mut self,
        id: &Cid,
        bytes: &Bytes,
        source: u32,
        report: &mut Committed,
    ) -> Result<Result<(), Lacks>, StoreError> {
        let signed = match self.verified::<Versioned<OneInstanceEndpoint>>(bytes, source) {
            Ok(signed) => signed,
            Err(lacks) => return Ok(Err(lacks)),
        };
        let version = signed.value();
        let (person, instance) = (version.author, version.data.instance_id);
        let before = self.best_endpoint(&person, &instance)?;
        let key = |kind: u8, id: &Cid| meta(kind, &[&person.0, &instance.0, &id_bytes(id)]);
        // One row for an instance is how it was kept before.
        if let Some(row) = self.meta_get(&meta(kind::ENDPOINT, &[&person.0, &instance.0]))? {
            self.meta_remove(meta(kind::ENDPOINT, &[&person.0, &instance.0]));
            self.meta_put(key(kind::ENDPOINT, &read_id(&mut Reader(&row))?), row);
        }
        for parent in &version.parents {
            self.meta_put(key(kind::FOLLOWED, &parent.0), Bytes::new());
            self.meta_remove(key(kind::ENDPOINT, &parent.0));
        }
        if self.meta_get(&key(kind::FOLLOWED, id))?.is_none() {
            let row =
                Writer::default().raw(&id_bytes(id)).num(version.clock.ms).num(version.clock.count.into()).0;
            self.meta_put(key(kind::ENDPOINT, id), row);
        }
        let after = self.best_endpoint(&person, &instance)?;
        if let Some(best) = after.filter(|best| source != 0 && before != Some(*best)) {
            let object = self.visible(&best)?.ok_or(NOT_HERE)?;
            report.effects.push(Effect::Endpoint(EndpointRow { person, instance, id: best, object }));
        }
        Ok(Ok(()))
    }

    /// The head that counts.
    fn best_endpoint(&self, person: &PersonId, instance: &InstanceId) -> Result<Option<Cid>, StoreError> {
        let mut best: Option<Rank> = None;
        self.each_meta(&meta(kind::ENDPOINT, &[&person.0, &instance.0]), &mut |_, value| {
            best = best.max(Some(self.rank(value)?));
            Ok(true)
        })?;
        Ok(best.map(|(_, _, id)| id))
    }

    fn rank(&self, row: &[u8]) -> Result<Rank, StoreError> {
        let mut reader = Reader(row);
        let id = read_id(&mut reader)?;
        let clock = Hlc { ms: reader.num()?, count: reader.num32()? };
        let ahead = u64::try_from(MAX_AHEAD.as_millis()).unwrap_or(u64::MAX);
        Ok((clock.ms <= self.now.0.saturating_add(ahead), clock, id))
    }

    /// The endpoint of each instance of a contact.
    pub(crate) fn endpoints(&self, person: &PersonId) -> Result<Vec<EndpointRow>, StoreError> {
        if !self.hot.contacts.contains_key(person) {
            return Err(StoreError::NotAContact(*person));
        }
        let mut found: Vec<(InstanceId, Rank)> = Vec::new();
        self.each_meta(&meta(kind::ENDPOINT, &[&person.0]), &mut |key, value| {
            let (instance, rank) = (InstanceId(Reader(key).array()?), self.rank(value)?);
            match found.last_mut().filter(|(last, _)| *last == instance) {
                Some((_, best)) => *best = rank.max(*best),
                None => found.push((instance, rank)),
            }
            Ok(true)
        })?;
        let mut rows = Vec::with_capacity(found.len());
        for (instance, (_, _, id)) in found {
            let object = self.visible(&id)?.ok_or(NOT_HERE)?;
            rows.push(EndpointRow { person: *person, instance, id, object });
        }
        Ok(rows)
    }
}

const NOT_HERE: StoreError = StoreError::Corrupt("an endpoint is not here");
