//! Contacts, trust, tokens, peers and settings: how their records are written, and the writes themselves.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::{Acked, Fingerprint};
use lama_identity::{Contact, InstanceId, Object as _, PersonId, cbor};
use lama_invite::{Locator, TokenRecord};
use zeroize::Zeroizing;

use crate::access::EachRow;
use crate::api::{Committed, PeerRecord, Secret32, TrustRecord};
use crate::codec::{Reader, Writer};
use crate::engine::Engine;
use crate::layout::{kind, meta};
use crate::peer::{Agreed, Peer, Progress};
use crate::{Store, StoreError};

/// Longest body of a record in bytes.
const MAX_BODY: usize = 16 << 10;
/// Longest value of a setting in bytes.
const MAX_SETTING: usize = 64 << 10;
/// Longest name of a setting in bytes.
const MAX_NAME: usize = 255;

fn check_length(what: &'static str, length: usize, limit: usize) -> Result<(), StoreError> {
    if length > limit { Err(StoreError::Limit { what, limit: limit as u64 }) } else { Ok(()) }
}

/// Reads a contact.
pub(crate) fn read_contact(value: &[u8]) -> Result<Contact, StoreError> {
    Contact::from_bytes(value).map_err(|_| StoreError::Corrupt("a contact cannot be read"))
}

fn peer_bytes(peer: &PeerRecord) -> Zeroizing<Vec<u8>> {
    // As much room as is needed: a vector that grows leaves copies behind.
    let mut row = Writer(Vec::with_capacity(peer.body.len() + 112));
    row = row.raw(&peer.instance.0).raw(&peer.person.0).raw(peer.pair_key.expose()).bytes(&peer.body);
    Zeroizing::new(row.0)
}

/// Reads a peer record.
pub(crate) fn read_peer(value: &[u8]) -> Result<PeerRecord, StoreError> {
    let mut reader = Reader(value);
    Ok(PeerRecord {
        instance: InstanceId(reader.array()?),
        person: PersonId(reader.array()?),
        pair_key: Secret32::new(reader.array()?),
        body: Bytes::copy_from_slice(reader.bytes()?),
    })
}

fn read_token(value: &[u8]) -> Result<TokenRecord, StoreError> {
    cbor::decode(value).map_err(|_| StoreError::Corrupt("a token's record cannot be read"))
}

fn read_trust(key: &[u8], value: &[u8]) -> Result<TrustRecord, StoreError> {
    let mut reader = Reader(key);
    Ok(TrustRecord {
        person: PersonId(reader.array()?),
        slot: reader.array()?,
        body: Bytes::copy_from_slice(value),
    })
}

impl<E: Engine> Store<E> {
    /// The record of a token as it stands.
    pub(crate) fn token(&self, locator: &Locator) -> Result<Option<TokenRecord>, StoreError> {
        let row = self.sealed_get(&meta(kind::TOKEN, &[locator.as_bytes()]))?;
        row.map(|value| read_token(&value)).transpose()
    }

    /// All tokens.
    pub(crate) fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let mut rows = Vec::new();
        self.each_sealed(&[kind::TOKEN], &mut |_, value| {
            rows.push(read_token(value)?);
            Ok(true)
        })?;
        Ok(rows)
    }

    /// Writes a token; whether it was in the expected state has been checked.
    pub(crate) fn put_token(&mut self, token: &TokenRecord) -> Result<(), StoreError> {
        let row =
            cbor::encode(token).map_err(|_| StoreError::Misuse("the token's record has no encoding"))?;
        let row = Zeroizing::new(Vec::from(row));
        check_length("bytes of a token's record", row.len(), MAX_BODY)?;
        self.sealed_put(meta(kind::TOKEN, &[token.locator.as_bytes()]), &row)
    }

    pub(crate) fn put_contact(
        &mut self,
        contact: &Contact,
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        let row = contact.to_bytes().map_err(|_| StoreError::Misuse("the contact has no encoding"))?;
        let person = contact.id();
        self.hot.person(person, &mut self.group.batch)?;
        self.meta_put(meta(kind::CONTACT, &[&person.0]), row);
        self.hot.contacts.insert(person, contact.clone());
        self.label_known(&person.0, report)
    }

    pub(crate) fn remove_contact(&mut self, person: PersonId) -> Result<(), StoreError> {
        self.hot.contacts.remove(&person);
        self.meta_remove(meta(kind::CONTACT, &[&person.0]));
        let mut trust = Vec::new();
        self.each_meta(&meta(kind::TRUST, &[&person.0]), &mut |rest, _| {
            trust.push(meta(kind::TRUST, &[&person.0, rest]));
            Ok(true)
        })?;
        trust.into_iter().for_each(|key| self.meta_remove(key));
        let numbers = self.hot.persons.get(&person).copied().map(|view| self.hot.remove_peers(view));
        for number in numbers.unwrap_or_default() {
            self.meta_remove(meta(kind::PEER, &[&number.to_be_bytes()]));
            self.meta_remove(meta(kind::PROGRESS, &[&number.to_be_bytes()]));
        }
        Ok(())
    }

    pub(crate) fn put_trust(&mut self, trust: &TrustRecord) -> Result<(), StoreError> {
        check_length("bytes of a trust record", trust.body.len(), MAX_BODY)?;
        self.meta_put(meta(kind::TRUST, &[&trust.person.0, &trust.slot]), trust.body.clone());
        Ok(())
    }

    pub(crate) fn trust(&self, person: Option<PersonId>) -> Result<Vec<TrustRecord>, StoreError> {
        let mut rows = Vec::new();
        self.each_meta(&[kind::TRUST], &mut |key, value| {
            let row = read_trust(key, value)?;
            if person.is_none_or(|person| person == row.person) {
                rows.push(row);
            }
            Ok(true)
        })?;
        Ok(rows)
    }

    pub(crate) fn put_peer(&mut self, record: &PeerRecord) -> Result<(), StoreError> {
        check_length("bytes of a peer's record", record.body.len(), MAX_BODY)?;
        let view = self.hot.person(record.person, &mut self.group.batch)?;
        let number = self.hot.instance(record.instance, view, &mut self.group.batch)?;
        if self.hot.owner_of(number) != Some(view) {
            return Err(StoreError::UnknownPeer(record.instance));
        }
        self.sealed_put(meta(kind::PEER, &[&number.to_be_bytes()]), &peer_bytes(record))?;
        if let Some(peer) = self.hot.peers.get_mut(&number)
            && peer.record.pair_key == record.pair_key
        {
            peer.record = record.clone();
            return Ok(());
        }
        let mut peer = Peer::new(record.clone(), view);
        // Another pair key is the sign of another life at one end: the cursors of the old one end with it.
        peer.progress = Progress::of(self.rebuilt(view, &peer.keys)?);
        self.hot.add_peer(number, peer);
        self.hot.dirty_peers.insert(number);
        Ok(())
    }

    /// Number and state of an instance with a peer record, which must belong to `person` if one is named.
    pub(crate) fn peer(
        &self,
        instance: InstanceId,
        person: Option<PersonId>,
    ) -> Result<(u32, &Peer), StoreError> {
        self.hot
            .instances
            .get(&instance)
            .and_then(|number| self.hot.peers.get_key_value(number))
            .filter(|(_, peer)| person.is_none_or(|person| person == peer.record.person))
            .map(|(number, peer)| (*number, peer))
            .ok_or(StoreError::UnknownPeer(instance))
    }

    /// A cursor that moved without objects, or an acknowledgement: may wait for the next commit.
    pub(crate) fn note(
        &mut self,
        instance: InstanceId,
        change: impl FnOnce(&mut Progress),
    ) -> Result<(), StoreError> {
        let (number, _) = self.peer(instance, None)?;
        if let Some(peer) = self.hot.peers.get_mut(&number) {
            change(&mut peer.progress);
            let news = self.hot.views.get(&peer.view).map_or(0, |log| log.news);
            peer.progress.note_life(news);
            self.hot.lazy_peers.insert(number);
        }
        Ok(())
    }

    /// Takes an acknowledgement, unless it speaks of another life of this store.
    pub(crate) fn note_acked(&mut self, instance: InstanceId, acked: Acked) -> Result<(), StoreError> {
        let Acked { cursor, life } = acked;
        if cursor.epoch != self.hot.epoch {
            return Ok(());
        }
        let (_, peer) = self.peer(instance, None)?;
        self.note_sent(peer.view, cursor.upto);
        self.note(instance, |progress| (progress.acked, progress.acked_by) = (cursor, life))
    }

    /// Takes note of the set on which both ends agree, as long as this life lasts.
    pub(crate) fn note_agreed(
        &mut self,
        instance: InstanceId,
        count: u64,
        fingerprint: Fingerprint,
    ) -> Result<(), StoreError> {
        let epoch = self.hot.epoch;
        self.note(instance, |progress| progress.agreed = Agreed { epoch, count, fingerprint })
    }

    pub(crate) fn put_setting(&mut self, name: &str, value: Option<&Bytes>) -> Result<(), StoreError> {
        check_length("bytes of a setting's name", name.len(), MAX_NAME)?;
        check_length("bytes of a setting", value.map_or(0, Bytes::len), MAX_SETTING)?;
        let key = meta(kind::SETTING, &[name.as_bytes()]);
        match value {
            Some(value) => self.sealed_put(key, value),
            None => {
                self.meta_remove(key);
                Ok(())
            }
        }
    }

    /// Writes a record that holds a secret.
    fn sealed_put(&mut self, key: Vec<u8>, value: &[u8]) -> Result<(), StoreError> {
        let row = self.sealer.seal(&key, value)?;
        self.meta_put(key, row);
        Ok(())
    }

    /// Reads a record that holds a secret.
    pub(crate) fn sealed_get(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.meta_get(key)?.map(|row| self.sealer.must_open(key, &row)).transpose()
    }

    /// Visits the sealed records of `Meta` whose key begins with `prefix`, with the rest of the key.
    pub(crate) fn each_sealed(&self, prefix: &[u8], visit: &mut EachRow<'_>) -> Result<(), StoreError> {
        self.each_meta(prefix, &mut |rest, row| {
            let value = self.sealer.must_open(&[prefix, rest].concat(), row)?;
            visit(rest, &value)
        })
    }
}
