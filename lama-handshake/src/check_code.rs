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

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn the_number_is_what_is_shown_and_depends_on_everything() {
        let code = |h, n_i, n_r| CheckCode::new(&[h; 32], &[n_i; 32], &[n_r; 32]);
        let shown = code(1, 2, 3);
        assert_eq!(shown.to_string().replace(' ', "").parse(), Ok(shown.number()));
        assert_ne!(shown.number(), 0);
        assert_eq!(CheckCode(42).to_string(), "000 042");
        for other in [code(9, 2, 3), code(1, 9, 3), code(1, 2, 9), code(1, 3, 2)] {
            assert_ne!(other.number(), shown.number());
        }
    }
}
