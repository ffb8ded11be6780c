//! Signed objects: the signature stands inside the object, over the object without it.
//!
//! The input is `label || 0x00 || the object's exact bytes without the entry "sig"` (see [`cbor::without`]). The bytes
//! are kept and handed on as they came; nothing is encoded again to verify. Signing is an effect: a machine builds
//! an [`Unsigned`], asks its host to sign [`Unsigned::input`], and [`Unsigned::attach`]es the answer.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::object::Object;
use crate::{
    Cid, IdentityError, InstanceId, PersonId, SignPublic, SignSecret, Signature, cbor, signing_input,
};

/// Which of an author's keys signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signer {
    /// The person's own key.
    Person,
    /// The key of the instance, for which a certificate vouches.
    Instance,
}

/// Who says that he signed. Only [`Signed::verify`] makes it true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Author {
    /// The person who answers for it.
    pub person: PersonId,
    /// The instance that signed, where not the person's key did.
    pub instance: Option<InstanceId>,
}

/// An object that carries its author's signature under `sig`.
pub trait Signable: Object {
    /// Names the purpose and version of the signature.
    const LABEL: &'static str;

    /// Who signs.
    fn author(&self) -> Author;

    /// The field `sig`.
    fn signature(&self) -> Option<&Signature>;

    /// Sets the field `sig`.
    fn set_signature(&mut self, signature: Option<Signature>);
}

/// Where verification finds keys: a contact, or one's own identity.
pub trait KeyRing {
    /// The pinned signing key of a person.
    fn person_key(&self, person: &PersonId) -> Option<&SignPublic>;

    /// The signing key of an instance that `person` has certified and not revoked.
    fn instance_key(&self, person: &PersonId, instance: &InstanceId) -> Option<&SignPublic>;

    /// Keys that a person had before and that a rotation replaced. What they have signed stays good.
    fn former_person_keys(&self, _person: &PersonId) -> &[SignPublic] {
        &[]
    }

    /// Keys that such an instance had before, and that were replaced. What they have signed stays good, whenever it
    /// arrives: nobody can tell when it was signed.
    fn former_instance_keys(&self, _person: &PersonId, _instance: &InstanceId) -> &[SignPublic] {
        &[]
    }
}

/// An object whose signature is still to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned<T>(T);

impl<T: Signable> Unsigned<T> {
    /// Checks the fields and drops a signature that may be there.
    ///
    /// # Errors
    /// What [`Object::validate`] finds.
    pub fn new(mut value: T) -> Result<Self, IdentityError> {
        value.validate()?;
        value.set_signature(None);
        Ok(Self(value))
    }

    /// What is to be signed, label included; see [`SignSecret::sign_input`].
    ///
    /// # Errors
    /// As [`Object::to_bytes`].
    pub fn input(&self) -> Result<Bytes, IdentityError> {
        Ok(signing_input(T::LABEL, &self.0.to_bytes()?).into())
    }

    /// The value.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.0
    }

    /// Puts the signature in. Does not verify it: the host signed for us.
    ///
    /// # Errors
    /// As [`Object::to_bytes`].
    pub fn attach(self, signature: Signature) -> Result<Signed<T>, IdentityError> {
        let Self(mut value) = self;
        value.set_signature(Some(signature));
        let bytes = value.to_bytes()?;
        Ok(Signed { bytes, value, signature })
    }

    /// Signs at once, where the secret is at hand.
    ///
    /// # Errors
    /// As [`Object::to_bytes`].
    pub fn sign(self, secret: &SignSecret) -> Result<Signed<T>, IdentityError> {
        let signature = secret.sign_input(&self.input()?);
        self.attach(signature)
    }
}

/// A signed object: its exact bytes, and what they say. Parsing proves nothing; [`Signed::verify`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T> {
    bytes: Bytes,
    value: T,
    signature: Signature,
}

impl<T: Signable> Signed<T> {
    /// Reads a signed object and keeps its exact bytes.
    ///
    /// # Errors
    /// As [`Object::from_bytes`]; [`IdentityError::NotSigned`].
    pub fn from_bytes(bytes: Bytes) -> Result<Self, IdentityError> {
        let value = T::from_bytes(&bytes)?;
        let signature = *value.signature().ok_or(IdentityError::NotSigned)?;
        Ok(Self { bytes, value, signature })
    }

    /// Verifies the signature with the author's key from `ring`.
    ///
    /// # Errors
    /// [`IdentityError::NotCertified`] if the ring has no such key; [`IdentityError::BadSignature`].
    pub fn verify(&self, ring: &impl KeyRing) -> Result<(), IdentityError> {
        let author = self.value.author();
        let (key, former) = match &author.instance {
            None => (ring.person_key(&author.person), ring.former_person_keys(&author.person)),
            Some(instance) => (
                ring.instance_key(&author.person, instance),
                ring.former_instance_keys(&author.person, instance),
            ),
        };
        let verdict = self.verify_with(key.ok_or(IdentityError::NotCertified)?);
        match verdict {
            Err(IdentityError::BadSignature) if former.iter().any(|key| self.verify_with(key).is_ok()) => {
                Ok(())
            }
            verdict => verdict,
        }
    }

    /// Verifies the signature with a given key; whose key it is, the caller knows.
    ///
    /// # Errors
    /// [`IdentityError::BadSignature`].
    pub fn verify_with(&self, key: &SignPublic) -> Result<(), IdentityError> {
        key.verify(T::LABEL, &cbor::without(&self.bytes, &["sig"])?, &self.signature)
    }

    /// What it says.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The exact bytes: what is stored and handed on.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The id of the object.
    #[must_use]
    pub fn cid(&self) -> Cid {
        Cid::of_object(&self.bytes)
    }

    /// Takes it apart into bytes and value.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, T) {
        (self.bytes, self.value)
    }
}

/// Implements [`Signable`] for a struct with the fields `sig`, `author`, `instance` and `by`.
macro_rules! signable {
    ([$($generics:tt)*] $name:ty, $label:expr) => {
        impl<$($generics)*> $crate::signed::Signable for $name {
            const LABEL: &'static str = $label;

            fn author(&self) -> $crate::signed::Author {
                let instance = match self.by {
                    $crate::signed::Signer::Person => None,
                    $crate::signed::Signer::Instance => Some(self.instance),
                };
                $crate::signed::Author { person: self.author, instance }
            }

            fn signature(&self) -> Option<&$crate::Signature> {
                self.sig.as_ref()
            }

            fn set_signature(&mut self, signature: Option<$crate::Signature>) {
                self.sig = signature;
            }
        }
    };
}
pub(crate) use signable;
