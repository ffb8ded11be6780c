//! Records that the store keeps for others: the fields it decides by are typed, the rest is the owner's bytes.
//! Contacts and tokens are the records of `lama-identity` and `lama-invite` themselves.

use core::fmt;

use bytes::Bytes;
use lama_identity::{InstanceId, PersonId};

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
    /// The node's own record (pair key id, boot id, last route, ...), at most 16 KiB.
    pub body: Bytes,
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

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32(..)")
    }
}

/// Limits of what is kept of one contact. `None`: the store's own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Objects.
    pub objects: Option<u64>,
    /// Bytes of them.
    pub bytes: Option<u64>,
    /// Bytes that he may bring in one hour of the wall clock.
    pub bytes_per_hour: Option<u64>,
    /// Whole days for which what he brought is kept, by its arrival; `None`: for ever. What else holds an object keeps it,
    /// and what an index rests on (messages, say) stays.
    pub days: Option<u64>,
}
