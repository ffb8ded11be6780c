//! Endpoints: the newest version of each instance's, for contacts only.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{Cid, Hlc, InstanceId, OneInstanceEndpoint, PersonId, Versioned};

use super::Lacks;
use crate::api::{Committed, Effect, EndpointRow};
use crate::codec::{Reader, Writer};
use crate::engine::Engine;
use crate::layout::{id_bytes, kind, meta, read_id};
use crate::{Store, StoreError};

impl<E: Engine> Store<E> {
    /// A version of an endpoint arrived. The greatest (clock, author, id) counts; only the owner can be its author.
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
        let key = meta(kind::ENDPOINT, &[&person.0, &instance.0]);
        if let Some(known) = self.meta_get(&key)?
            && (version.clock, *id) <= read_version(&known)?
        {
            return Ok(Ok(()));
        }
        let row =
            Writer::default().raw(&id_bytes(id)).num(version.clock.ms).num(version.clock.count.into()).0;
        self.meta_put(key, row);
        if source != 0 {
            report.effects.push(Effect::Endpoint(EndpointRow {
                person,
                instance,
                id: *id,
                object: bytes.clone(),
            }));
        }
        Ok(Ok(()))
    }

    /// The newest endpoint of each instance of a contact.
    pub(crate) fn endpoints(&self, person: &PersonId) -> Result<Vec<EndpointRow>, StoreError> {
        if !self.hot.contacts.contains_key(person) {
            return Err(StoreError::NotAContact(*person));
        }
        let mut found = Vec::new();
        self.each_meta(&meta(kind::ENDPOINT, &[&person.0]), &mut |key, value| {
            found.push((InstanceId(Reader(key).array()?), read_version(value)?.1));
            Ok(true)
        })?;
        let mut rows = Vec::with_capacity(found.len());
        for (instance, id) in found {
            let object = self.visible(&id)?.ok_or(StoreError::Corrupt("an endpoint is not here"))?;
            rows.push(EndpointRow { person: *person, instance, id, object });
        }
        Ok(rows)
    }
}

fn read_version(row: &[u8]) -> Result<(Hlc, Cid), StoreError> {
    let mut reader = Reader(row);
    let id = read_id(&mut reader)?;
    Ok((Hlc { ms: reader.num()?, count: reader.num32()? }, id))
}
