//! Contacts as data: what one knows of another person, pinned when both paired.

use alloc::string::String;
use alloc::vec::Vec;

use lama_core::WallTime;
use serde::{Deserialize, Serialize};

use crate::log::{LogHead, PersonLog};
use crate::object::{Object, TypeName, TypeTag};
use crate::signed::KeyRing;
use crate::trust::TrustOrigin;
use crate::{
    IdentityError, Instance, InstanceCert, InstanceId, InstanceKeys, Keys, MAX_URL, NoisePublic, Person,
    PersonId, PersonKeys, PersonPin, PublicIdentity, SignPublic,
};

/// How far the relationship has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContactState {
    /// Paired on this side; the other side's confirmation, or the person's own approval, is outstanding. Nothing
    /// is shared, and it is not shown as a contact.
    Pending,
    /// Both sides are contacts.
    Active,
}

/// What is known of one instance of a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactInstance {
    /// Its certificate.
    pub cert: InstanceCert,
    /// Its keys.
    pub keys: InstanceKeys,
    /// Where it can be reached, newest knowledge first; at most [`MAX_URLS`].
    pub urls: Vec<String>,
    /// Signing keys that it had before and that others have replaced: what they have signed stays good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<SignPublic>,
    /// When the person revoked it, in milliseconds since the Unix epoch.
    pub revoked: Option<u64>,
    /// Its name and owner.
    pub instance: Instance,
}

impl ContactInstance {
    /// Takes newer keys, or a newer certificate for the same ones.
    pub fn rekey(&mut self, cert: InstanceCert, keys: InstanceKeys) {
        if keys.sign_key != self.keys.sign_key && !self.former.contains(&self.keys.sign_key) {
            self.former.push(self.keys.sign_key);
        }
        self.cert = cert;
        self.keys = keys;
    }
}

/// Most URLs kept for one instance.
pub const MAX_URLS: usize = 8;

/// Most instances kept for one contact.
pub const MAX_INSTANCES: usize = 64;

/// Another person, as this instance knows him. A local record: encoded as an object, but never shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// How it came about.
    pub how: TrustOrigin,
    /// The person's keys. Pinned: they change only by a rotation in his log, never by what a peer says.
    pub keys: PersonKeys,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// How far it has come.
    pub state: ContactState,
    /// `Contact`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
    /// Signing keys that he had before, as his log says: what they have signed stays good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<SignPublic>,
    /// Who it is.
    pub person: Person,
    /// The highest end of his log that was seen.
    #[serde(rename = "logHead")]
    pub log_head: LogHead,
    /// His instances, by id.
    pub instances: Vec<ContactInstance>,
}

impl TypeName for Contact {
    const TYPE: &'static str = "Contact";
}

impl Object for Contact {
    fn validate(&self) -> Result<(), IdentityError> {
        if self.instances.len() > MAX_INSTANCES {
            return Err(IdentityError::TooLong { field: "instances", limit: MAX_INSTANCES });
        }
        if self.person.id() != self.keys.owner {
            return Err(IdentityError::Mismatch { field: "keys" });
        }
        if !self.instances.is_sorted_by(|a, b| a.keys.owner < b.keys.owner) {
            return Err(IdentityError::Field {
                field: "instances",
                rule: "must be in ascending order of their ids",
            });
        }
        if self.instances.iter().any(|instance| instance.urls.len() > MAX_URLS) {
            return Err(IdentityError::TooLong { field: "urls", limit: MAX_URLS });
        }
        Ok(())
    }
}

impl Contact {
    /// A pending contact from an identity that was verified ([`PublicIdentity::verify`], and the signature of Auth).
    #[must_use]
    pub fn pending(peer: &PublicIdentity, how: TrustOrigin, at: WallTime) -> Self {
        let mut contact = Self {
            how,
            keys: peer.person_keys,
            since: at.0,
            state: ContactState::Pending,
            type_tag: TypeTag::default(),
            former: Vec::new(),
            person: peer.person.clone(),
            log_head: LogHead::default(),
            instances: Vec::new(),
        };
        contact.log_head = peer.log_head;
        contact.instances.push(ContactInstance {
            cert: peer.cert.clone(),
            keys: peer.instance_keys,
            urls: Vec::new(),
            former: Vec::new(),
            revoked: None,
            instance: peer.instance.clone(),
        });
        contact
    }

    /// Takes in what a verified identity of this person says: a new instance, a renewed certificate, a longer log.
    /// Tells whether anything changed.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`] for another person or another key (a key change is an alarm, never an update);
    /// [`IdentityError::Revoked`]; [`IdentityError::LogLower`] and [`IdentityError::LogFork`];
    /// [`IdentityError::TooLong`].
    pub fn learn(&mut self, peer: &PublicIdentity) -> Result<bool, IdentityError> {
        if peer.person_id() != self.keys.owner {
            return Err(IdentityError::Mismatch { field: "personId" });
        }
        let PersonKeys { sign_key, encryption_key, .. } = peer.person_keys;
        let pinned = sign_key == self.keys.sign_key || self.former.contains(&sign_key);
        if !pinned || encryption_key != self.keys.encryption_key {
            return Err(IdentityError::Mismatch { field: "personKeys" });
        }
        self.log_head.judge(peer.log_head)?;
        let mut changed = self.log_head != peer.log_head;
        match self.instances.binary_search_by_key(&peer.instance_id(), |known| known.keys.owner) {
            Ok(at) => {
                let Some(known) = self.instances.get_mut(at) else { return Ok(changed) };
                if known.revoked.is_some() {
                    return Err(IdentityError::Revoked);
                }
                if known.cert.body().seq <= peer.cert.body().seq && known.cert != peer.cert {
                    known.rekey(peer.cert.clone(), peer.instance_keys);
                    changed = true;
                }
            }
            Err(at) => {
                if self.instances.len() >= MAX_INSTANCES {
                    return Err(IdentityError::TooLong { field: "instances", limit: MAX_INSTANCES });
                }
                self.instances.insert(
                    at,
                    ContactInstance {
                        cert: peer.cert.clone(),
                        keys: peer.instance_keys,
                        urls: Vec::new(),
                        former: Vec::new(),
                        revoked: None,
                        instance: peer.instance.clone(),
                    },
                );
                changed = true;
            }
        }
        self.log_head = peer.log_head;
        Ok(changed)
    }

    /// Puts what an endpoint names, a URL or several with `|` between them, first among those known for an instance. Tells
    /// whether anything changed.
    pub fn learn_url(&mut self, instance: &InstanceId, url: &str) -> bool {
        let Some(known) = self.instances.iter_mut().find(|known| known.keys.owner == *instance) else {
            return false;
        };
        let mut fresh: Vec<String> = Vec::new();
        for one in url.split('|').filter(|one| !one.is_empty()) {
            if fresh.len() < MAX_URLS && !fresh.iter().any(|before| before == one) {
                fresh.push(one.into());
            }
        }
        if fresh.is_empty() || url.len() > MAX_URL || known.urls.starts_with(&fresh) {
            return false;
        }
        known.urls.retain(|old| !fresh.contains(old));
        fresh.append(&mut known.urls);
        fresh.truncate(MAX_URLS);
        known.urls = fresh;
        true
    }

    /// The person's label.
    #[must_use]
    pub const fn id(&self) -> PersonId {
        self.keys.owner
    }

    /// The pin of the person's signing key.
    #[must_use]
    pub fn pin(&self) -> PersonPin {
        self.keys.pin()
    }

    /// The pins of his former signing keys.
    #[must_use]
    pub fn former_pins(&self) -> Vec<PersonPin> {
        self.former.iter().map(SignPublic::pin).collect()
    }

    /// His signing key is another one now, as his log says.
    pub fn follow(&mut self, log: &PersonLog) {
        if let Some(key) = log.key() {
            self.keys = Keys::new(self.keys.owner, *key, self.keys.encryption_key);
            self.former = log.keys().iter().map(|(_, key)| *key).filter(|before| before != key).collect();
        }
    }

    /// What is known of an instance.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> Option<&ContactInstance> {
        self.instances.iter().find(|known| known.keys.owner == *id)
    }

    /// The instance with a Noise static key, revoked or not.
    #[must_use]
    pub fn instance_by_noise(&self, noise: &NoisePublic) -> Option<&ContactInstance> {
        self.instances.iter().find(|known| known.keys.encryption_key == *noise)
    }
}

impl KeyRing for Contact {
    fn person_key(&self, person: &PersonId) -> Option<&SignPublic> {
        (*person == self.keys.owner).then_some(&self.keys.sign_key)
    }

    fn former_person_keys(&self, person: &PersonId) -> &[SignPublic] {
        if *person == self.keys.owner { &self.former } else { &[] }
    }

    fn instance_key(&self, person: &PersonId, instance: &InstanceId) -> Option<&SignPublic> {
        if *person != self.keys.owner {
            return None;
        }
        let known = self.instance(instance)?;
        known.revoked.is_none().then_some(&known.keys.sign_key)
    }

    fn former_instance_keys(&self, person: &PersonId, instance: &InstanceId) -> &[SignPublic] {
        let known =
            self.instance(instance).filter(|known| *person == self.keys.owner && known.revoked.is_none());
        known.map_or(&[], |known| &known.former)
    }
}

impl KeyRing for PublicIdentity {
    fn person_key(&self, person: &PersonId) -> Option<&SignPublic> {
        (*person == self.person_id()).then_some(&self.person_keys.sign_key)
    }

    fn instance_key(&self, person: &PersonId, instance: &InstanceId) -> Option<&SignPublic> {
        (*person == self.person_id() && *instance == self.instance_id())
            .then_some(&self.instance_keys.sign_key)
    }
}
