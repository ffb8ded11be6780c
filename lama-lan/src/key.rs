//! What two instances know that nobody else does, and the names and proofs that follow from it.

use core::fmt;
use core::net::SocketAddrV4;
use core::time::Duration;

use hkdf::Hkdf;
use lama_core::WallTime;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize;

use crate::wire::{Proof, Tag};

/// How long a name is used: 15 minutes.
pub const SLOT: Duration = Duration::from_secs(15 * 60);

/// Which slot it is: whole slots since the Unix epoch. Clocks that are less than one apart understand each other.
pub(crate) const fn slot_at(wall: WallTime) -> u64 {
    wall.unix_seconds() / SLOT.as_secs()
}

/// Who asks, or answers: the instance with the smaller id of the two, or the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Smaller,
    Larger,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Smaller => Self::Larger,
            Self::Larger => Self::Smaller,
        }
    }
}

/// The secret of a pair of instances for this purpose alone: `HKDF-Expand(pair key, "LAMA/lan/1", 32)`.
///
/// Wiped when dropped, compared in constant time, never printed.
pub struct LanKey([u8; 32]);

impl LanKey {
    /// From the pair key.
    #[must_use]
    pub fn of(pair_key: &[u8; 32]) -> Self {
        let mut key = [0; 32];
        expand(pair_key, &[b"LAMA/lan/1"], &mut key);
        let lan = Self(key);
        key.zeroize();
        lan
    }

    /// What `asker` asks for in that slot: `HKDF-Expand(key, "question" || side || slot, 16)`.
    pub(crate) fn question(&self, asker: Side, slot: u64) -> Tag {
        let mut tag = [0; 16];
        expand(&self.0, &[b"question", &[asker as u8], &slot.to_be_bytes()], &mut tag);
        Tag(tag)
    }

    /// That `answerer` is there: `HKDF-Expand(key, "answer" || side || slot || address || port, 16)`.
    pub(crate) fn proof(&self, answerer: Side, slot: u64, at: SocketAddrV4) -> Proof {
        let mut proof = [0; 16];
        let (address, port) = (at.ip().octets(), at.port().to_be_bytes());
        let info: [&[u8]; 5] = [b"answer", &[answerer as u8], &slot.to_be_bytes(), &address, &port];
        expand(&self.0, &info, &mut proof);
        Proof(proof)
    }
}

/// HKDF-Expand, which for so short an output is HMAC-SHA256 of the info and one byte.
fn expand(key: &[u8; 32], info: &[&[u8]], out: &mut [u8]) {
    // Neither fails: the key has the hash's length, the outputs are short.
    if let Ok(hkdf) = Hkdf::<Sha256>::from_prk(key) {
        let _ = hkdf.expand_multi_info(info, out);
    }
}

impl PartialEq for LanKey {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

impl Eq for LanKey {}

impl Drop for LanKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for LanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LanKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn names_and_proofs_follow_from_key_side_and_slot() {
        // By Python's `hmac`, from the bytes 0 to 31: see docs/protocol/lan.md.
        let key = LanKey::of(&core::array::from_fn(|at| at as u8));
        let at = SocketAddrV4::new([192, 0, 2, 1].into(), 8765);
        assert_eq!(key.question(Side::Smaller, 1_900_000), Tag(hex("03d87aa41e68b3b2c9f3f31c5833ecf4")));
        assert_eq!(key.proof(Side::Larger, 1_900_000, at), Proof(hex("108a9660ebadce1c00e0ed8d4d99d20d")));
        assert_ne!(key.question(Side::Larger, 1_900_000), key.question(Side::Smaller, 1_900_000));
        assert_ne!(key.question(Side::Smaller, 1_900_001), key.question(Side::Smaller, 1_900_000));
    }

    #[test]
    fn a_slot_has_a_quarter_of_an_hour() {
        assert_eq!(slot_at(WallTime::from_unix_seconds(1_710_000_899)), 1_900_000);
        assert_eq!(slot_at(WallTime::from_unix_seconds(1_710_000_900)), 1_900_001);
    }

    #[test]
    fn never_printed() {
        assert_eq!(alloc::format!("{:?}", LanKey::of(&[9; 32])), "LanKey(..)");
    }
}
