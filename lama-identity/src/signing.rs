//! Ed25519 keys and signatures. What is signed is always `label || 0x00 || exact bytes`.

use alloc::vec::Vec;
use core::fmt;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use lama_core::Seed;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::IdentityError;
use crate::fixed::name32;

/// `label || 0x00 || bytes`: what a signature signs. A label names one purpose and version (`LAMA/cert/1`).
#[must_use]
pub fn signing_input(label: &str, bytes: &[u8]) -> Vec<u8> {
    let mut input = Vec::with_capacity(label.len() + 1 + bytes.len());
    input.extend_from_slice(label.as_bytes());
    input.push(0);
    input.extend_from_slice(bytes);
    input
}

/// An Ed25519 public key of a person or an instance. Parsing refuses keys that are not canonical, of small order,
/// or outside the prime-order group, so one key is one byte string and a signature names its signer.
#[derive(Clone, Copy)]
pub struct SignPublic(VerifyingKey);

impl SignPublic {
    /// The 32 bytes of the key (RFC 8032).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The SHA-256 of the key: what invitations and contacts pin.
    #[must_use]
    pub fn pin(&self) -> PersonPin {
        PersonPin(Sha256::digest(self.as_bytes()).into())
    }

    /// Verifies a signature over `label || 0x00 || bytes` (strictly: canonical S and R, R not of small order).
    ///
    /// # Errors
    /// [`IdentityError::BadSignature`].
    pub fn verify(&self, label: &str, bytes: &[u8], signature: &Signature) -> Result<(), IdentityError> {
        self.verify_input(&signing_input(label, bytes), signature)
    }

    /// Verifies over an input that carries its label already (see [`signing_input`]).
    ///
    /// # Errors
    /// [`IdentityError::BadSignature`].
    pub fn verify_input(&self, input: &[u8], signature: &Signature) -> Result<(), IdentityError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(input, &signature).map_err(|_| IdentityError::BadSignature)
    }
}

impl TryFrom<[u8; 32]> for SignPublic {
    type Error = IdentityError;

    /// # Errors
    /// [`IdentityError::KeyNotOnCurve`], [`IdentityError::KeyNotCanonical`], [`IdentityError::KeySmallOrder`],
    /// [`IdentityError::KeyMixedOrder`].
    fn try_from(bytes: [u8; 32]) -> Result<Self, IdentityError> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| IdentityError::KeyNotOnCurve)?;
        let point = key.to_edwards();
        if point.compress().as_bytes() != &bytes {
            return Err(IdentityError::KeyNotCanonical);
        }
        if key.is_weak() {
            return Err(IdentityError::KeySmallOrder);
        }
        if !point.is_torsion_free() {
            return Err(IdentityError::KeyMixedOrder);
        }
        Ok(Self(key))
    }
}

impl TryFrom<&[u8]> for SignPublic {
    type Error = IdentityError;

    /// # Errors
    /// [`IdentityError::KeyLength`], and as from an array.
    fn try_from(bytes: &[u8]) -> Result<Self, IdentityError> {
        <[u8; 32]>::try_from(bytes).map_err(|_| IdentityError::KeyLength)?.try_into()
    }
}

impl PartialEq for SignPublic {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for SignPublic {}

impl fmt::Debug for SignPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignPublic({})", crate::base32::encode(self.as_bytes()))
    }
}

impl Serialize for SignPublic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::fixed::serialize(self.as_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for SignPublic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: [u8; 32] = crate::fixed::deserialize(deserializer)?;
        Self::try_from(bytes).map_err(de::Error::custom)
    }
}

name32!(
    /// The SHA-256 of a person's signing key: what an invitation, a contact and every Auth signature pin.
    PersonPin
);

/// An Ed25519 secret: wiped when dropped, never printed, neither `Clone` nor serialisable.
///
/// ```compile_fail
/// fn copies<T: Clone>() {}
/// copies::<lama_identity::SignSecret>();
/// ```
/// ```compile_fail
/// fn writes<T: serde::Serialize>() {}
/// writes::<lama_identity::SignSecret>();
/// ```
pub struct SignSecret {
    key: SigningKey,
    public: SignPublic,
}

impl SignSecret {
    /// Takes the seed's entropy as the secret (RFC 8032: the 32 bytes that are hashed).
    #[must_use]
    pub fn from_seed(seed: Seed) -> Self {
        Self::danger_from_bytes(&seed.expose())
    }

    /// From stored bytes. The caller's copy is the caller's to wipe.
    #[must_use]
    pub fn danger_from_bytes(bytes: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(bytes);
        let public = SignPublic(key.verifying_key());
        Self { key, public }
    }

    /// The secret itself, for a key file.
    #[must_use]
    pub fn danger_expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }

    /// The public key to this secret.
    #[must_use]
    pub const fn public(&self) -> &SignPublic {
        &self.public
    }

    /// Signs `label || 0x00 || bytes`.
    #[must_use]
    pub fn sign(&self, label: &str, bytes: &[u8]) -> Signature {
        self.sign_input(&signing_input(label, bytes))
    }

    /// Signs an input that carries its label already: what a host does for a machine that asks for a signature.
    #[must_use]
    pub fn sign_input(&self, input: &[u8]) -> Signature {
        Signature(self.key.sign(input).to_bytes())
    }
}

// The key wipes itself; the public half is no secret.
impl ZeroizeOnDrop for SignSecret {}

impl fmt::Debug for SignSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignSecret(..)")
    }
}

/// An Ed25519 signature, 64 bytes. Only verifying tells whether it is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", crate::base32::encode(&self.0))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::fixed::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::fixed::deserialize(deserializer).map(Self)
    }
}
