//! The keyed fingerprint of a set of ids.

use core::fmt;
use core::ops::{BitXor, BitXorAssign};

use hkdf::Hkdf;
use lama_identity::Cid;
use sha2::Sha256;
use siphasher::sip128::SipHasher13;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The secret that two instances share for the keyed parts of synchronisation (security.md 4): the third HKDF
/// output of their first authenticated session. Wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PairKey([u8; 32]);

impl PairKey {
    /// Takes the 32 bytes that the handshake yields.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for keeping them in the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The fingerprinter of this pair.
    ///
    /// Its 128-bit SipHash key is `HKDF-SHA256-Expand(prk = pair key, info = "LAMA/chum/1 fingerprint", 16)`:
    /// the pair key is an HKDF output already, so there is nothing to extract.
    #[must_use]
    pub fn fingerprinter(&self) -> Fingerprinter {
        let mut key = [0; 16];
        self.expand(&[b"LAMA/chum/1 fingerprint"], &mut key);
        let fingerprinter = Fingerprinter { hasher: SipHasher13::new_with_key(&key) };
        key.zeroize();
        fingerprinter
    }

    /// `HKDF-SHA256-Expand` of the pair key.
    pub(crate) fn expand(&self, info: &[&[u8]], out: &mut [u8]) {
        // Fails only for a key shorter than the hash or an output beyond 255 blocks: neither can be.
        if let Ok(hkdf) = Hkdf::<Sha256>::from_prk(&self.0) {
            let _ = hkdf.expand_multi_info(info, out);
        }
    }
}

impl fmt::Debug for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairKey(..)")
    }
}

/// Hashes ids for [`Fingerprint`]s of one pair of instances: SipHash-1-3-128 over `digest || codec`.
///
/// Keyed, because an unkeyed XOR of hashes is forged in a fraction of a millisecond.
#[derive(Clone)]
pub struct Fingerprinter {
    hasher: SipHasher13,
}

impl Fingerprinter {
    /// The fingerprint of the set that holds `id` alone.
    #[must_use]
    pub fn of(&self, id: &Cid) -> Fingerprint {
        let mut input = [0; 33];
        let (digest, codec) = input.split_at_mut(32);
        digest.copy_from_slice(id.digest());
        codec.fill(id.codec() as u8);
        Fingerprint(self.hasher.hash(&input).as_bytes())
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(..)")
    }
}

/// The fingerprint of a set of ids: the XOR of [`Fingerprinter::of`] over its members; all zero for the empty set.
///
/// Adding and removing a member are the same operation, so an id must be added once only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Adds a member that was not in the set, or removes one that was.
    pub fn add(&mut self, by: &Fingerprinter, id: &Cid) {
        *self ^= by.of(id);
    }
}

impl BitXor for Fingerprint {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        Self((u128::from_ne_bytes(self.0) ^ u128::from_ne_bytes(other.0)).to_ne_bytes())
    }
}

impl BitXorAssign for Fingerprint {
    fn bitxor_assign(&mut self, other: Self) {
        *self = *self ^ other;
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn secrets_are_not_printed_and_fingerprints_are() {
        let key = PairKey::new([7; 32]);
        assert_eq!(format!("{key:?} {:?}", key.fingerprinter()), "PairKey(..) Fingerprinter(..)");
        let fingerprint = Fingerprint([0x0a; 16]);
        assert_eq!(format!("{fingerprint}"), "0a".repeat(16));
        assert_eq!(format!("{fingerprint:?}"), format!("Fingerprint({fingerprint})"));
    }
}
