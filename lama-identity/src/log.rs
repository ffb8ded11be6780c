//! The hash-chained log of a person's certificates, rotations and revocations.

use serde::{Deserialize, Serialize};

/// The end of a person's log: how many entries, and the hash of the last one. An empty log is `seq` 0 and zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogHead {
    /// Sequence number of the last entry, from 1; 0 for an empty log.
    pub seq: u64,
    /// SHA-256 of the last entry's exact bytes; zeros for an empty log.
    #[serde(with = "crate::fixed")]
    pub hash: [u8; 32],
}
