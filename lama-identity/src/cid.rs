//! Content ids: what an object or a chunk is called.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::{IdentityError, base32};

/// What the bytes behind a [`Cid`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Codec {
    /// A chunk of a blob: any bytes (multicodec `raw`).
    Raw = 0x55,
    /// An object: canonical DAG-CBOR.
    DagCbor = 0x71,
}

/// The id of an object or chunk: a `CIDv1` with SHA-256, 36 bytes `01 codec 12 20 digest`.
///
/// In serde it is a *content link* (tag 42 around `00 || id`): "this is part of me". For "I speak of this" take
/// [`Reference`]. As text it is multibase base32 (`b...`, 59 characters), as every IPLD tool writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid {
    codec: Codec,
    digest: [u8; 32],
}

impl Cid {
    /// Length in bytes.
    pub const LEN: usize = 36;

    /// The id of an object from its exact bytes. Does not look whether they are canonical: see [`crate::cbor`].
    #[must_use]
    pub fn of_object(bytes: &[u8]) -> Self {
        Self { codec: Codec::DagCbor, digest: Sha256::digest(bytes).into() }
    }

    /// The id of a chunk of raw bytes.
    #[must_use]
    pub fn of_chunk(bytes: &[u8]) -> Self {
        Self { codec: Codec::Raw, digest: Sha256::digest(bytes).into() }
    }

    /// The id of `bytes` under a codec.
    #[must_use]
    pub fn of(codec: Codec, bytes: &[u8]) -> Self {
        Self { codec, digest: Sha256::digest(bytes).into() }
    }

    /// Puts an id together from its parts.
    #[must_use]
    pub const fn from_parts(codec: Codec, digest: [u8; 32]) -> Self {
        Self { codec, digest }
    }

    /// What the bytes are.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// The SHA-256 of the bytes.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The binary form, 36 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (head, digest) = bytes.split_at_mut(4);
        head.copy_from_slice(&[0x01, self.codec as u8, 0x12, 0x20]);
        digest.copy_from_slice(&self.digest);
        bytes
    }
}

impl TryFrom<&[u8]> for Cid {
    type Error = IdentityError;

    fn try_from(bytes: &[u8]) -> Result<Self, IdentityError> {
        let (codec, digest) = match bytes {
            [0x01, 0x71, 0x12, 0x20, digest @ ..] => (Codec::DagCbor, digest),
            [0x01, 0x55, 0x12, 0x20, digest @ ..] => (Codec::Raw, digest),
            _ => return Err(IdentityError::BadCid),
        };
        let digest = digest.try_into().map_err(|_| IdentityError::BadCid)?;
        Ok(Self { codec, digest })
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(59);
        text.push('b');
        text.push_str(&base32::encode(&self.as_bytes()));
        f.pad(&text)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cid({self})")
    }
}

impl FromStr for Cid {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let digits = text.strip_prefix('b').ok_or(IdentityError::BadText)?;
        let bytes = base32::decode(digits).ok_or(IdentityError::BadText)?;
        Self::try_from(bytes.as_slice())
    }
}

/// How both CBOR's serde traits of this workspace and ciborium's write and read a tag.
#[derive(Serialize, Deserialize)]
#[serde(rename = "@@TAG@@")]
enum Tagged<T> {
    #[serde(rename = "@@TAGGED@@")]
    Tagged(u64, T),
}

/// The 37 bytes inside tag 42.
struct LinkBytes([u8; 37]);

impl Serialize for LinkBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for LinkBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::fixed::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Cid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        let mut bytes = [0; 37];
        let (_, id) = bytes.split_at_mut(1);
        id.copy_from_slice(&self.as_bytes());
        Tagged::Tagged(42, LinkBytes(bytes)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(de::Error::custom);
        }
        match Tagged::<LinkBytes>::deserialize(deserializer)? {
            Tagged::Tagged(42, LinkBytes([0, id @ ..])) => Self::try_from(&id[..]).map_err(de::Error::custom),
            Tagged::Tagged(..) => Err(de::Error::custom("not a link")),
        }
    }
}

/// The id of an object that this one *speaks of*: parents, heads, subjects of an access. In serde it is a plain
/// byte string of 36 bytes, which sharing does not follow and whose target need not be there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(pub Cid);

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({})", self.0)
    }
}

impl From<Cid> for Reference {
    fn from(id: Cid) -> Self {
        Self(id)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serializer.serialize_bytes(&self.0.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom);
        }
        let bytes: [u8; Cid::LEN] = crate::fixed::deserialize(deserializer)?;
        Cid::try_from(&bytes[..]).map(Self).map_err(de::Error::custom)
    }
}
