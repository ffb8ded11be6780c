//! Who is known: contacts in memory, found by person and by what an instance proves.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::SortedMap;
use lama_identity::{Contact, ContactState, InstanceId, NoisePublic, PersonId, cbor};
use lama_invite::Locator;
use serde::{Deserialize, Serialize};

use crate::api::PairingRole;

/// Settings under which the notes stand; the person's id in hexadecimal follows.
pub(crate) const NOTES: &str = "pairing/";

/// What this node writes down beside a contact: how the pairing stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    /// Whether we made the invitation.
    pub(crate) inviter: bool,
    /// Whose token.
    pub(crate) locator: Option<Locator>,
    /// Whether a person at the inviter's side has to approve.
    pub(crate) confirm: bool,
    /// At the inviter: READY came, so the joiner's pending contact is durable, and the code can be compared.
    pub(crate) ready: bool,
    /// Six digits of the last session that got so far.
    pub(crate) code: Option<String>,
}

impl Note {
    pub(crate) const fn role(&self) -> PairingRole {
        if self.inviter { PairingRole::Inviter } else { PairingRole::Joiner }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        // A record of plain fields always encodes.
        cbor::encode(self).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        cbor::decode(bytes).ok()
    }
}

/// A contact with its note.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) contact: Contact,
    pub(crate) note: Note,
}

impl Known {
    pub(crate) fn is_active(&self) -> bool {
        self.contact.state == ContactState::Active
    }
}

/// All contacts, pending ones too.
#[derive(Debug, Default)]
pub(crate) struct Book {
    persons: SortedMap<PersonId, Known>,
    by_noise: SortedMap<[u8; 32], (PersonId, InstanceId)>,
}

impl Book {
    /// Adds a contact or replaces what is known of him.
    pub(crate) fn put(&mut self, known: Known) {
        let person = known.contact.id();
        self.by_noise.retain(|_, (owner, _)| *owner != person);
        for instance in &known.contact.instances {
            if instance.revoked.is_none() {
                let noise = *instance.keys.encryption_key.as_bytes();
                self.by_noise.insert(noise, (person, instance.keys.owner));
            }
        }
        self.persons.insert(person, known);
    }

    pub(crate) fn remove(&mut self, person: &PersonId) -> Option<Known> {
        self.by_noise.retain(|_, (owner, _)| owner != person);
        self.persons.remove(person)
    }

    pub(crate) fn person(&self, person: &PersonId) -> Option<&Known> {
        self.persons.get(person)
    }

    /// Whose instance proves this key.
    pub(crate) fn by_noise(&self, noise: &NoisePublic) -> Option<(&Known, InstanceId)> {
        let (person, instance) = self.by_noise.get(noise.as_bytes())?;
        Some((self.persons.get(person)?, *instance))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Known> {
        self.persons.values()
    }

    pub(crate) fn active(&self) -> Vec<PersonId> {
        self.persons.values().filter(|known| known.is_active()).map(|known| known.contact.id()).collect()
    }

    pub(crate) fn pending(&self) -> usize {
        self.persons.values().filter(|known| !known.is_active()).count()
    }
}

/// The name of a setting that belongs to 16 or 32 bytes.
pub(crate) fn setting(prefix: &str, id: &[u8]) -> String {
    let mut key = String::with_capacity(prefix.len() + 2 * id.len());
    key.push_str(prefix);
    for byte in id {
        for nibble in [byte >> 4, byte & 15] {
            key.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    key
}

/// Reads back what [`setting`] wrote.
pub(crate) fn setting_id<const N: usize>(prefix: &str, key: &str) -> Option<[u8; N]> {
    let hex = key.strip_prefix(prefix)?.as_bytes();
    let mut id = [0; N];
    if hex.len() != 2 * N {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(hex.chunks_exact(2)) {
        for digit in pair {
            let nibble = char::from(*digit).to_digit(16)?;
            *byte = (*byte << 4) | u8::try_from(nibble).ok()?;
        }
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_settings_read_back() {
        let id = [0x0f; 16];
        assert_eq!(setting_id::<16>("join/", &setting("join/", &id)), Some(id));
        assert_eq!(setting_id::<16>("join/", "join/0f"), None);
        assert_eq!(setting_id::<1>("join/", "join/zz"), None);
    }
}
