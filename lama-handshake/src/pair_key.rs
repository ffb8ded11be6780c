//! The pair key: a secret of two instances, from their first authenticated session on.

use core::fmt;

use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// `HKDF-Expand` of the bytes 0 to 31, by Python's `hmac`.
    const KEY: &str = "cfc9661f38c27bf5f3697fc15ae78cc73dfcdaab5047e9828cb8cb51bb9fd5f2";
    const ID: &str = "956a6920757f78cb";

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn key_and_name_follow_from_the_third_output() {
        let pair = PairKey::from_third(&core::array::from_fn(|at| at as u8));
        assert_eq!((pair.expose(), pair.id()), (&hex(KEY), PairKeyId(hex(ID))));
    }

    #[test]
    fn equal_are_those_of_equal_name_and_key() {
        let pair = |key: u8, id: u8| PairKey::from_stored([key; 32], PairKeyId([id; 8]));
        assert_eq!(pair(1, 2), pair(1, 2));
        assert_ne!(pair(1, 2), pair(3, 2));
        assert_ne!(pair(1, 2), pair(1, 3));
    }

    #[test]
    fn the_name_is_printed_and_the_key_is_not() {
        let text = alloc::format!("{:?}", PairKey::from_stored([0xab; 32], PairKeyId([7; 8])));
        assert_eq!(text, "PairKey(PairKeyId([7, 7, 7, 7, 7, 7, 7, 7]), ..)");
    }
}
