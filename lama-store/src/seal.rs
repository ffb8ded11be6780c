//! Records that hold secrets, sealed before they reach an engine: tokens, peers (pair keys), settings (the node keeps
//! the secrets of invitations it took there).
//!
//! ```text
//! sealed row = version 1 | nonce 24 | ciphertext | tag 16          XChaCha20-Poly1305
//! seal key   = HKDF-Expand(storage key, "LAMA/store/1 seal", 32)
//! nonce key  = HKDF-Expand(storage key, "LAMA/store/1 nonce", 32)
//! beside     = "LAMA/store/1 row" 00 | key of the row
//! nonce      = HMAC-SHA256(nonce key, length of beside, u32 BE | beside | plaintext), first 24 bytes
//! ```
//!
//! Why the nonce is computed and neither drawn nor counted: this crate draws no entropy, and a counter starts again at
//! an old number whenever a copy of the file is put back, which is exactly when a nonce must not repeat. A nonce that
//! is a keyed function of row and plaintext is the same only for the same plaintext in the same row, and then the whole
//! sealed row is the same: someone who sees two copies of the file learns that a record has not changed, and nothing
//! else. For different inputs two nonces meet with probability 2^-192 for a pair.
//!
//! The key of the row is authenticated, so one row cannot be put in the place of another. An *older* value of the same
//! row can be put back by whoever can write the file, as the whole file can: that is a restored backup, and no key
//! that lies beside the file can tell.

use alloc::vec::Vec;
use core::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use lama_core::Seed;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::StoreError;
use crate::layout::{kind, meta};

const VERSION: u8 = 1;
const NONCE: usize = 24;
const LABEL: &[u8] = b"LAMA/store/1 row\0";

/// What the sealed records of a store are under: 32 secret bytes that the host keeps in its key file, beside the keys
/// of the instance. Wiped when dropped; no `Debug`, no `Clone`.
///
/// It belongs to the store, not to a passphrase: changing the passphrase rewrites the key file alone.
pub struct StorageKey(Zeroizing<[u8; 32]>);

impl StorageKey {
    /// Takes the bytes that were kept.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// A new one, for a new store.
    #[must_use]
    pub fn from_seed(seed: Seed) -> Self {
        Self(seed.expose())
    }

    /// The bytes, to be kept where no one else reads them.
    #[must_use]
    pub fn danger_expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key of fixed bytes: for tests and for stores that never reach a disk.
    #[must_use]
    pub fn danger_fixed(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey(..)")
    }
}

/// Whether the values of a kind of record in `Meta` are sealed.
pub(crate) const fn is_sealed(kind: u8) -> bool {
    matches!(kind, kind::TOKEN | kind::PEER | kind::SETTING | kind::KEY)
}

/// Seals and opens rows.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    nonces: Zeroizing<[u8; 32]>,
}

impl Sealer {
    pub(crate) fn new(key: &StorageKey) -> Self {
        let expand = |info: &[u8]| {
            let mut out = Zeroizing::new([0; 32]);
            // Fails only for a key shorter than the hash or an output beyond 255 blocks: neither can be.
            if let Ok(hkdf) = Hkdf::<Sha256>::from_prk(&*key.0) {
                let _ = hkdf.expand(info, &mut *out);
            }
            out
        };
        let seal = expand(b"LAMA/store/1 seal");
        Self { cipher: XChaCha20Poly1305::new((&*seal).into()), nonces: expand(b"LAMA/store/1 nonce") }
    }

    /// Seals the value of the row `key` of `Meta`.
    pub(crate) fn seal(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
        const TOO_LONG: StoreError = StoreError::Misuse("a record is too long to be sealed");
        let beside = [LABEL, key].concat();
        let length = u32::try_from(beside.len()).map_err(|_| TOO_LONG)?;
        let input = Zeroizing::new([&length.to_be_bytes(), beside.as_slice(), value].concat());
        let (tag, _) = Hkdf::<Sha256>::extract(Some(&*self.nonces), &input);
        let mut nonce = [0; NONCE];
        nonce.iter_mut().zip(tag.iter()).for_each(|(to, from)| *to = *from);
        let payload = Payload { msg: value, aad: &beside };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| TOO_LONG)?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// Opens the value of the row `key` of `Meta`; `None`: it was sealed under another key, for another row, or is
    /// damaged.
    pub(crate) fn open(&self, key: &[u8], row: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (version, rest) = row.split_first()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        if *version != VERSION {
            return None;
        }
        let beside = [LABEL, key].concat();
        let payload = Payload { msg: sealed, aad: &beside };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }

    /// As [`Sealer::open`]; the key is the store's, so a row that does not open is damaged.
    pub(crate) fn must_open(&self, key: &[u8], row: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.open(key, row).ok_or(StoreError::Corrupt(
            "a sealed record does not open: it was damaged, or put in the place of another one",
        ))
    }

    /// The row by which the key is told from others.
    pub(crate) fn check_row(&self) -> Result<Vec<u8>, StoreError> {
        self.seal(&meta(kind::KEY, &[]), &[])
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&StorageKey::danger_fixed([byte; 32]))
    }

    #[test]
    fn what_was_sealed_opens_in_its_row_alone() {
        let one = sealer(1);
        let row = one.seal(b"Kone", b"secret").unwrap();
        assert_eq!(one.open(b"Kone", &row).unwrap().as_slice(), b"secret");
        assert!(one.open(b"Ktwo", &row).is_none(), "rows cannot be swapped");
        assert!(sealer(2).open(b"Kone", &row).is_none(), "another key");
        assert!(!row.windows(6).any(|part| part == b"secret"));
        for at in 0..row.len() {
            let mut bad = row.clone();
            bad[at] ^= 1;
            assert!(one.open(b"Kone", &bad).is_none(), "byte {at}");
            assert!(one.open(b"Kone", &row[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn a_nonce_is_the_same_for_the_same_row_and_value_alone() {
        let one = sealer(1);
        let nonce = |key: &[u8], value: &[u8]| one.seal(key, value).unwrap()[1..25].to_vec();
        assert_eq!(nonce(b"Ka", b"x"), nonce(b"Ka", b"x"));
        assert_ne!(nonce(b"Ka", b"x"), nonce(b"Ka", b"y"));
        assert_ne!(nonce(b"Ka", b"x"), nonce(b"Kb", b"x"));
        // Where the row's key ends and the value begins counts.
        assert_ne!(nonce(b"Ka", b"bx"), nonce(b"Kab", b"x"));
        assert_ne!(sealer(2).seal(b"Ka", b"x").unwrap()[1..25].to_vec(), nonce(b"Ka", b"x"));
    }

    #[test]
    fn a_key_is_never_printed() {
        assert_eq!(alloc::format!("{:?}", StorageKey::danger_fixed([7; 32])), "StorageKey(..)");
    }
}
