//! Objects whose `$type$` means something here: channels and their entries, endpoints, access rules.
//!
//! What a peer sends takes effect only if its signature verifies under a key of its author's contact record; what
//! was put here was signed here. An object whose author (or channel) is not known yet waits for that, and is
//! looked at again when it comes.

pub(crate) mod channel;
mod endpoint;
mod group;
mod reading;
mod rule;
mod unread;

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{
    Access, ChannelEntry, Cid, Codec, GroupMembers, Object as _, OneInstanceEndpoint, PersonId, Profile,
    Signable, Signed, VersionData, Versioned, cbor,
};

use crate::api::{Committed, Effect};
use crate::engine::Engine;
use crate::layout::{id_at_end, id_bytes, kind, meta};
use crate::{Store, StoreError};

/// What a typed object still lacks to take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lacks {
    /// A person or channel with this label.
    Label([u8; 32]),
    /// It breaks a rule of its type: it stays an object like any other.
    Validity,
}

impl<E: Engine> Store<E> {
    /// Gives an object that can be read from now on its place in the indexes.
    pub(crate) fn typed(
        &mut self,
        id: &Cid,
        bytes: &Bytes,
        type_name: String,
        source: u32,
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        let taken = match type_name.as_str() {
            "Channel" => self.take_channel(bytes, source, report)?,
            "ChannelEntry" => self.take_entry(id, bytes, source, report)?,
            "EndpointVersion" => self.take_endpoint(id, bytes, source, report)?,
            "Access" => self.take_rule(id, bytes, source, report)?,
            "Group" => self.take_group(bytes, report)?,
            "GroupMembers" => self.take_members(id, bytes, source, report)?,
            "Profile" => self.take_profile(id, bytes, source)?,
            _ => Ok(()),
        };
        if let Err(Lacks::Label(label)) = taken {
            self.meta_put(meta(kind::ENTRY_WAITS, &[&label, &id_bytes(id)]), Bytes::new());
        }
        if source != 0 {
            let from = self.hot.owner_of(source).and_then(|number| self.hot.person_id(number));
            report.effects.push(Effect::Object { id: *id, type_name, from });
        }
        self.apply_waiting_rules(id, report)
    }

    /// Lets rules take effect that speak of an object which can be read from now on.
    pub(crate) fn apply_waiting_rules(&mut self, id: &Cid, report: &mut Committed) -> Result<(), StoreError> {
        if self.hot.counts.id_rules > 0 || self.may_be_ruled(id)? {
            self.apply_rules_for(id, report)?;
        }
        Ok(())
    }

    /// Looks again at what waited for a person or channel.
    pub(crate) fn label_known(&mut self, label: &[u8; 32], report: &mut Committed) -> Result<(), StoreError> {
        let mut waiting = Vec::new();
        self.each_meta(&meta(kind::ENTRY_WAITS, &[label]), &mut |key, _| {
            waiting.push(id_at_end(key)?);
            Ok(true)
        })?;
        for id in waiting {
            self.meta_remove(meta(kind::ENTRY_WAITS, &[label, &id_bytes(&id)]));
            let Some(slot) = self.object(&id)? else { continue };
            let record = self.record(slot.place)?;
            let summary =
                cbor::check(&record.bytes).map_err(|_| StoreError::Corrupt("a stored object is damaged"))?;
            let taken = match summary.type_name {
                Some("ChannelEntry") => self.take_entry(&id, &record.bytes, record.source, report)?,
                Some("EndpointVersion") => self.take_endpoint(&id, &record.bytes, record.source, report)?,
                Some("Access") => self.take_rule(&id, &record.bytes, record.source, report)?,
                Some("GroupMembers") => self.take_members(&id, &record.bytes, record.source, report)?,
                Some("Profile") => self.take_profile(&id, &record.bytes, record.source)?,
                _ => Ok(()),
            };
            // What belongs to something of which a rule speaks is judged once it took effect.
            if self.hot.counts.id_rules > 0 {
                self.apply_rules_for(&id, report)?;
            }
            if let Err(Lacks::Label(other)) = taken {
                self.meta_put(meta(kind::ENTRY_WAITS, &[&other, &id_bytes(&id)]), Bytes::new());
            }
        }
        Ok(())
    }

    /// Reads a signed object and verifies it, unless it was put here.
    fn verified<T: Signable>(&self, bytes: &Bytes, source: u32) -> Result<Signed<T>, Lacks> {
        let signed = Signed::<T>::from_bytes(bytes.clone()).map_err(|_| Lacks::Validity)?;
        if source == 0 {
            return Ok(signed);
        }
        let author = signed.value().author().person;
        let own = self.owner.as_ref().filter(|owner| owner.person_id() == author);
        let verdict = match (own, self.hot.contacts.get(&author)) {
            (Some(own), _) => signed.verify(own).or_else(|error| {
                let of_before = self.former_keys.iter().any(|key| signed.verify_with(key).is_ok());
                if of_before { Ok(()) } else { Err(error) }
            }),
            (None, Some(contact)) => signed.verify(contact),
            (None, None) => return Err(Lacks::Label(author.0)),
        };
        match verdict {
            Ok(()) => Ok(signed),
            // The certificate of that instance may come yet, with the next version of the contact.
            Err(lama_identity::IdentityError::NotCertified) => Err(Lacks::Label(author.0)),
            Err(_) => Err(Lacks::Validity),
        }
    }

    /// Who answers for an object: the author of a signed one, else the person who brought it. `None`: this
    /// instance's own person.
    pub(crate) fn author_of(&self, id: &Cid) -> Result<Option<PersonId>, StoreError> {
        let Some(slot) = self.object(id)?.filter(|slot| slot.is_visible()) else { return Ok(None) };
        let record = self.record(slot.place)?;
        if let Some(author) = signed_author(&record.bytes) {
            return Ok(Some(author));
        }
        Ok(self.brought_by(slot)?.and_then(|number| self.hot.person_id(number)))
    }
}

impl<E: Engine> Store<E> {
    /// The identity objects to which an object belongs: itself, and the one that it is an entry or a version of.
    pub(crate) fn identities_of(&self, id: &Cid) -> Result<Vec<Cid>, StoreError> {
        fn of<T: VersionData>(bytes: &Bytes) -> Option<Cid> {
            Versioned::<T>::from_bytes(bytes).ok().map(|version| version.of.0)
        }
        let mut found = alloc::vec![*id];
        let Some(bytes) = self.visible(id)?.filter(|_| id.codec() == Codec::DagCbor) else {
            return Ok(found);
        };
        let Some(type_name) = cbor::check(&bytes).ok().and_then(|seen| seen.type_name) else {
            return Ok(found);
        };
        found.extend(match type_name {
            "ChannelEntry" => ChannelEntry::from_bytes(&bytes).ok().map(|entry| entry.channel.cid()),
            "Profile" => of::<Profile>(&bytes),
            "GroupMembers" => of::<GroupMembers>(&bytes),
            "Access" => of::<Access>(&bytes),
            _ => None,
        });
        Ok(found)
    }
}

/// Whether an object is of that type.
pub(crate) fn type_is(bytes: &[u8], name: &str) -> bool {
    cbor::check(bytes).ok().and_then(|seen| seen.type_name) == Some(name)
}

/// Whether an index rests on an object of this type, so that it cannot go without leaving a hole there.
pub(crate) fn is_indexed(bytes: &[u8]) -> bool {
    let type_name = cbor::check(bytes).ok().and_then(|seen| seen.type_name);
    type_name.is_some_and(is_known)
}

/// Whether an object of this type has a meaning here.
fn is_known(type_name: &str) -> bool {
    matches!(
        type_name,
        "Channel" | "ChannelEntry" | "EndpointVersion" | "Access" | "Group" | "GroupMembers" | "Profile"
    )
}

/// Whether someone waits for objects of this type: what people write, and what says who may see it and where they are.
pub(crate) fn is_waited_for(type_name: &str) -> bool {
    is_known(type_name)
}

/// The author whom a signed object names. Such an object was verified, or has no effect anyway.
fn signed_author(bytes: &Bytes) -> Option<PersonId> {
    fn author<T: Signable>(bytes: &Bytes) -> Option<PersonId> {
        T::from_bytes(bytes).ok().map(|value| value.author().person)
    }
    match cbor::check(bytes).ok()?.type_name? {
        "ChannelEntry" => author::<ChannelEntry>(bytes),
        "EndpointVersion" => author::<Versioned<OneInstanceEndpoint>>(bytes),
        "Access" => author::<Versioned<Access>>(bytes),
        "Profile" => author::<Versioned<Profile>>(bytes),
        "GroupMembers" => author::<Versioned<GroupMembers>>(bytes),
        _ => None,
    }
}

/// Reads an object of a type; `Err`: it says it is one, and is not.
fn typed_object<T: lama_identity::Object>(bytes: &Bytes) -> Result<T, Lacks> {
    T::from_bytes(bytes).map_err(|_| Lacks::Validity)
}
