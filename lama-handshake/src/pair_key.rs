//! The pair key: a secret of two instances, from their first authenticated session on.

use core::fmt;

use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, Zeroizing};

/// The public name of a [`PairKey`]: 8 bytes that Auth carries, so that both sides see whether they still have the
/// same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PairKeyId(#[serde(with = "serde_bytes")] pub [u8; 8]);

/// A secret of a pair of *instances*, known to nobody else, not even to one who saw the whole handshake. From it come
/// the keys of short ids, checks and fingerprints.
///
/// `third = ` the third output of the handshake's last HKDF, which Noise's `Split()` does not use;
/// `key = HKDF-Expand(third, "LAMA/pair-key/1 key", 32)`, `id = HKDF-Expand(third, "LAMA/pair-key/1 id", 8)`.
///
/// Wiped when dropped, compared in constant time, never printed.
#[derive(Clone)]
pub struct PairKey {
    key: [u8; 32],
    id: PairKeyId,
}

impl PairKey {
    /// The pair key of a session, from the third output of its last HKDF.
    #[must_use]
    pub(crate) fn from_third(third: &[u8; 32]) -> Self {
        let (mut key, mut id) = ([0; 32], [0; 8]);
        // Neither fails: the input has the hash's length, the outputs are short.
        if let Ok(expand) = Hkdf::<Sha256>::from_prk(third) {
            let _ = expand.expand(b"LAMA/pair-key/1 key", &mut key);
            let _ = expand.expand(b"LAMA/pair-key/1 id", &mut id);
        }
        let pair_key = Self { key, id: PairKeyId(id) };
        key.zeroize();
        pair_key
    }

    /// Puts a stored pair key together again.
    #[must_use]
    pub fn from_stored(mut key: [u8; 32], id: PairKeyId) -> Self {
        let pair_key = Self { key, id };
        key.zeroize();
        pair_key
    }

    /// Its public name.
    #[must_use]
    pub const fn id(&self) -> PairKeyId {
        self.id
    }

    /// The secret itself.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.key
    }

    /// A key for one purpose: `HKDF-Expand(key, label, 32)`.
    #[must_use]
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        if let Ok(expand) = Hkdf::<Sha256>::from_prk(&self.key) {
            let _ = expand.expand(label.as_bytes(), out.as_mut_slice());
        }
        out
    }
}

impl Drop for PairKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PairKey({:?}, ..)", self.id)
    }
}

impl PartialEq for PairKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && bool::from(self.key.ct_eq(&other.key))
    }
}

impl Eq for PairKey {}
