//! The `Keys` object: which public keys a person or an instance has.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::object::{Object, TypeName, TypeTag};
use crate::{
    Cid, IdentityError, InstanceId, NoisePublic, PersonId, PersonPin, Reference, SealPublic, SignPublic, cbor,
};

/// `{"$type$": "Keys", "owner": id, "signKey": ..., "encryptionKey": ...}`: an owner's pair of public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys<Owner, Encryption> {
    /// Whose keys these are.
    pub owner: Owner,
    /// `Keys`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
    /// The Ed25519 key.
    #[serde(rename = "signKey")]
    pub sign_key: SignPublic,
    /// The X25519 key.
    #[serde(rename = "encryptionKey")]
    pub encryption_key: Encryption,
}

/// A person's keys: the root of trust, and the key to which objects are sealed.
pub type PersonKeys = Keys<PersonId, SealPublic>;

/// An instance's keys: the back-signature key, and the static key of its Noise handshakes.
pub type InstanceKeys = Keys<InstanceId, NoisePublic>;

impl<O, E> TypeName for Keys<O, E> {
    const TYPE: &'static str = "Keys";
}

impl Object for PersonKeys {
    const LIMIT: usize = cbor::MAX_IDENTITY;
}

impl Object for InstanceKeys {
    const LIMIT: usize = cbor::MAX_IDENTITY;
}

impl<O, E> Keys<O, E> {
    /// Puts the object together.
    #[must_use]
    pub fn new(owner: O, sign_key: SignPublic, encryption_key: E) -> Self {
        Self { owner, type_tag: TypeTag::default(), sign_key, encryption_key }
    }
}

impl PersonKeys {
    /// The SHA-256 of the signing key.
    #[must_use]
    pub fn pin(&self) -> PersonPin {
        self.sign_key.pin()
    }
}

/// `{"$type$": "OneInstanceEndpoint", personId, instanceId, personKeys, instanceKeys, url}`: where and as whom an
/// instance can be reached. The ids and the keys are references: sharing an endpoint shares nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneInstanceEndpoint {
    /// Where it listens; empty for an instance that only dials.
    pub url: String,
    /// `OneInstanceEndpoint`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
    /// The owner.
    #[serde(rename = "personId")]
    pub person_id: PersonId,
    /// The instance.
    #[serde(rename = "instanceId")]
    pub instance_id: InstanceId,
    /// The owner's `Keys` object.
    #[serde(rename = "personKeys")]
    pub person_keys: Reference,
    /// The instance's `Keys` object.
    #[serde(rename = "instanceKeys")]
    pub instance_keys: Reference,
}

/// Longest URL in bytes.
pub const MAX_URL: usize = 512;

impl TypeName for OneInstanceEndpoint {
    const TYPE: &'static str = "OneInstanceEndpoint";
}

impl Object for OneInstanceEndpoint {
    const LIMIT: usize = cbor::MAX_IDENTITY;

    fn validate(&self) -> Result<(), IdentityError> {
        if self.url.len() > MAX_URL {
            return Err(IdentityError::TooLong { field: "url", limit: MAX_URL });
        }
        if self.url.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(IdentityError::Field {
                field: "url",
                rule: "must be printable ASCII without white space",
            });
        }
        Ok(())
    }
}

impl OneInstanceEndpoint {
    /// The endpoint of an instance at `url`.
    ///
    /// # Errors
    /// [`IdentityError::Field`], [`IdentityError::TooLong`] for a bad URL.
    pub fn new(person: &PersonKeys, instance: &InstanceKeys, url: &str) -> Result<Self, IdentityError> {
        let endpoint = Self {
            type_tag: TypeTag::default(),
            person_id: person.owner,
            instance_id: instance.owner,
            person_keys: person.cid()?.into(),
            instance_keys: instance.cid()?.into(),
            url: url.into(),
        };
        endpoint.validate()?;
        Ok(endpoint)
    }

    /// Whether the endpoint speaks of exactly these keys and their owners.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`] with the field that does not.
    pub fn check_keys(&self, person: &PersonKeys, instance: &InstanceKeys) -> Result<(), IdentityError> {
        let is = |id: Result<Cid, IdentityError>, reference: Reference| id.is_ok_and(|id| id == reference.0);
        let checks = [
            ("personId", self.person_id == person.owner),
            ("instanceId", self.instance_id == instance.owner),
            ("personKeys", is(person.cid(), self.person_keys)),
            ("instanceKeys", is(instance.cid(), self.instance_keys)),
        ];
        match checks.into_iter().find(|(_, holds)| !holds) {
            Some((field, _)) => Err(IdentityError::Mismatch { field }),
            None => Ok(()),
        }
    }
}
