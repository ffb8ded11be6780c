//! Short ids: 8 bytes for an id, under a key that only the pair has.

use core::fmt;
use core::hash::Hasher as _;

use lama_identity::Cid;
use siphasher::sip::SipHasher13;
use zeroize::Zeroize;

use super::mapping::mix;
use crate::PairKey;

/// Makes the short ids of one pair of instances under one salt.
///
/// From `HKDF-SHA256-Expand(prk = pair key, info = "LAMA/chum/1 short id" || salt (8 bytes, big-endian), 24)`
/// come the 128-bit key of SipHash-1-3 (16 bytes) and the key of the checks (8 bytes, little-endian). Keyed,
/// because whoever can compute short ids can craft ids that collide.
#[derive(Clone)]
pub struct ShortKey {
    hasher: SipHasher13,
    check: u64,
    salt: u64,
    bits: u32,
}

impl PairKey {
    /// The key of this pair's short ids; salt 0 is that of maintained sketches.
    #[must_use]
    pub fn short_key(&self, salt: u64) -> ShortKey {
        let mut key = [0; 24];
        self.expand(&[b"LAMA/chum/1 short id", &salt.to_be_bytes()], &mut key);
        let (mut sip, mut check) = ([0; 16], [0; 8]);
        let (left, right) = key.split_at(16);
        sip.copy_from_slice(left);
        check.copy_from_slice(right);
        let this = ShortKey {
            hasher: SipHasher13::new_with_key(&sip),
            check: u64::from_le_bytes(check),
            salt,
            bits: 64,
        };
        key.zeroize();
        sip.zeroize();
        check.zeroize();
        this
    }
}

impl ShortKey {
    /// The same key, of whose short ids only so many bits tell ids apart: for tests, in which ids are to collide.
    /// 64 is what the protocol says.
    #[must_use]
    pub const fn shortened(mut self, bits: u32) -> Self {
        self.bits = if bits < 64 { bits } else { 64 };
        self
    }

    /// The short id of an id: SipHash-1-3 over its 33 bytes `digest || codec`.
    #[must_use]
    pub fn short(&self, id: &Cid) -> u64 {
        let mut input = [0; 33];
        let (digest, codec) = input.split_at_mut(32);
        digest.copy_from_slice(id.digest());
        codec.fill(id.codec() as u8);
        let mut hasher = self.hasher;
        hasher.write(&input);
        let short = hasher.finish();
        if self.bits == 64 { short } else { mix(short & ((1 << self.bits) - 1)) }
    }

    /// The check of a short id: the high half of `mix(short ^ check key)`.
    #[inline]
    #[must_use]
    pub const fn check(&self, short: u64) -> u32 {
        (mix(short ^ self.check) >> 32) as u32
    }
}

impl PartialEq for ShortKey {
    /// Whether both make the same short ids: the check key comes from the same derivation as the other one.
    fn eq(&self, other: &Self) -> bool {
        (self.check, self.salt, self.bits) == (other.check, other.salt, other.bits)
    }
}

impl Eq for ShortKey {}

impl fmt::Debug for ShortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShortKey({}, ..)", self.salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_equal_that_make_the_same_short_ids() {
        let pair = PairKey::new([1; 32]);
        let key = pair.short_key(0);
        assert!(key == pair.short_key(0) && key == pair.short_key(0).shortened(64));
        assert!(key != pair.short_key(1) && key != PairKey::new([2; 32]).short_key(0));
        assert!(key != pair.short_key(0).shortened(16));
        assert_eq!(alloc::format!("{key:?}"), "ShortKey(0, ..)");
        let id = Cid::of_chunk(b"x");
        assert_eq!(key.short(&id), pair.short_key(0).shortened(99).short(&id));
        assert_ne!(key.short(&id), key.short(&Cid::of_object(b"x")), "the codec counts");
    }

    #[test]
    fn checks_need_the_key() {
        let [one, two] = [1, 2].map(|pair| PairKey::new([pair; 32]).short_key(0));
        let same = (0..1_000_u64).filter(|short| one.check(mix(*short)) == two.check(mix(*short))).count();
        assert_eq!(same, 0);
        // Each bit of a short id counts, whatever the key has there.
        for bit in 0..64 {
            assert_ne!(one.check(0), one.check(1 << bit), "{bit}");
        }
    }
}
