//! Records that the store keeps for others: the fields it decides by are typed, the rest is the owner's bytes.

use core::fmt;

use bytes::Bytes;
use lama_identity::{InstanceId, PersonId};

/// State of a token as the compare-and-set of the store sees it. What the numbers mean is `lama-invite`'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenTag(pub u8);

/// One invitation's token, as the ledger of `lama-invite` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Which token: the locator derived from it.
    pub locator: [u8; 16],
    /// The state it is in.
    pub tag: TokenTag,
    /// The ledger's own record. It holds the token's secret, so it is not printed.
    pub body: Secret,
}

/// Whether a contact is established.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ContactState {
    /// The pairing is under way: nothing is shared and nothing is shown as established.
    Pending,
    /// Established.
    Active,
}

/// One person this instance knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRecord {
    /// Who.
    pub person: PersonId,
    /// Pending or active.
    pub state: ContactState,
    /// The person's Ed25519 signing key: entries and access rules of this author are verified with it.
    pub sign_key: [u8; 32],
    /// The node's own record (name, endpoint, how it came about, ...), at most 16 KiB.
    pub body: Bytes,
}

/// One trust certificate, kept local.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRecord {
    /// Whom it speaks of.
    pub person: PersonId,
    /// Tells several records for one person apart (for instance the start of the certificate's hash).
    pub slot: [u8; 8],
    /// The certificate, exact bytes, at most 16 KiB.
    pub body: Bytes,
}

/// One instance of another person with which an authenticated session was held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRecord {
    /// Which instance.
    pub instance: InstanceId,
    /// Its owner.
    pub person: PersonId,
    /// Secret of this pair of instances: keys the fingerprint of the view towards this instance.
    pub pair_key: Secret32,
    /// The instance's Ed25519 signing key, as its certificate names it.
    pub sign_key: [u8; 32],
    /// The node's own record (Noise key, pair key id, certificate, last route, ...), at most 16 KiB.
    pub body: Bytes,
}

/// Bytes that are wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(zeroize::Zeroizing<alloc::vec::Vec<u8>>);

impl Secret {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: alloc::vec::Vec<u8>) -> Self {
        Self(zeroize::Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// 32 secret bytes, wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret32(zeroize::Zeroizing<[u8; 32]>);

impl Secret32 {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(zeroize::Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32(..)")
    }
}

impl fmt::Display for TokenTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
