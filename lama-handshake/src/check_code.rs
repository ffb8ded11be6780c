//! The check code: six digits that two people compare.
//!
//! The initiator moves last in the handshake and could try 2^20 keys until the code suits it. So it commits itself to
//! a nonce before it sees the responder's, and reveals it afterwards.

use core::fmt;

use hkdf::Hkdf;
use sha2::{Digest, Sha256};

/// `SHA-256("LAMA/sas-commit" || 0x00 || n_i)`: what the initiator's Auth carries.
pub(crate) fn commitment(n_i: &[u8; 32]) -> [u8; 32] {
    Sha256::new_with_prefix(b"LAMA/sas-commit\0").chain_update(n_i).finalize().into()
}

/// Six decimal digits, the same on both sides if nobody stands between them.
///
/// `HKDF(salt = h, ikm = n_i || n_r, info = "LAMA/sas/1")`, the first 8 bytes as a big-endian number, modulo 10^6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckCode(u32);

impl CheckCode {
    pub(crate) fn new(h: &[u8; 32], n_i: &[u8; 32], n_r: &[u8; 32]) -> Self {
        let mut bytes = [0; 8];
        // 8 bytes always fit.
        let _ = Hkdf::<Sha256>::new(Some(h), &[*n_i, *n_r].concat()).expand(b"LAMA/sas/1", &mut bytes);
        Self((u64::from_be_bytes(bytes) % 1_000_000) as u32)
    }

    /// The code as a number below a million.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for CheckCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {:03}", self.0 / 1_000, self.0 % 1_000)
    }
}
