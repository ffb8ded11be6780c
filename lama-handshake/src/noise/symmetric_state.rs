//! `SymmetricState` (Noise section 5.2): the chaining key and the transcript hash.

use bytes::BytesMut;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{CipherState, TAG_LEN};
use crate::HandshakeError;

/// The chaining key, the transcript hash, and the cipher once there is a key.
#[derive(Debug)]
pub struct SymmetricState {
    ck: Zeroizing<[u8; 32]>,
    h: [u8; 32],
    cipher: Option<CipherState>,
}

impl SymmetricState {
    /// `InitializeSymmetric(protocol_name)`.
    #[must_use]
    pub fn new(protocol_name: &[u8]) -> Self {
        let mut h = [0; 32];
        match h.get_mut(..protocol_name.len()) {
            Some(start) => start.copy_from_slice(protocol_name),
            None => h = Sha256::digest(protocol_name).into(),
        }
        Self { ck: Zeroizing::new(h), h, cipher: None }
    }

    /// `MixHash(data)`.
    pub fn mix_hash(&mut self, data: &[u8]) {
        self.h = Sha256::new_with_prefix(self.h).chain_update(data).finalize().into();
    }

    /// `MixKey(input_key_material)`.
    pub fn mix_key(&mut self, ikm: &[u8]) {
        let okm = self.hkdf::<2>(ikm);
        let [ck, k] = &*okm;
        *self.ck = *ck;
        self.cipher = Some(CipherState::new(k));
    }

    /// `MixKeyAndHash(input_key_material)`, for pre-shared keys.
    pub fn mix_key_and_hash(&mut self, ikm: &[u8]) {
        let okm = self.hkdf::<3>(ikm);
        let [ck, temp_h, k] = &*okm;
        *self.ck = *ck;
        self.mix_hash(temp_h);
        self.cipher = Some(CipherState::new(k));
    }

    /// `EncryptAndHash(plaintext)`; appends to `out`.
    ///
    /// # Errors
    /// [`HandshakeError::NonceExhausted`]; not within a handshake.
    pub fn encrypt_and_hash(&mut self, plaintext: &[u8], out: &mut BytesMut) -> Result<(), HandshakeError> {
        let start = out.len();
        out.extend_from_slice(plaintext);
        if let Some(cipher) = &mut self.cipher {
            cipher.seal(&self.h, out, start)?;
        }
        self.mix_hash(out.get(start..).unwrap_or_default());
        Ok(())
    }

    /// `DecryptAndHash(ciphertext)`. After a failure the state is as it was.
    ///
    /// # Errors
    /// [`HandshakeError::Unauthentic`].
    pub fn decrypt_and_hash(&mut self, ciphertext: &[u8]) -> Result<BytesMut, HandshakeError> {
        let mut text = BytesMut::from(ciphertext);
        if let Some(cipher) = &mut self.cipher {
            cipher.open(&self.h, &mut text)?;
        }
        self.mix_hash(ciphertext);
        Ok(text)
    }

    /// How much longer a ciphertext is than its plaintext now: 0 without a key, 16 with one.
    #[must_use]
    pub const fn overhead(&self) -> usize {
        if self.cipher.is_some() { TAG_LEN } else { 0 }
    }

    /// `GetHandshakeHash()`.
    #[must_use]
    pub const fn handshake_hash(&self) -> &[u8; 32] {
        &self.h
    }

    /// `Split()`, and the third output of the same HKDF, which Noise does not use: the root of whatever else is to
    /// be shared by these two and by nobody who saw only the transcript hash.
    #[must_use]
    pub fn split(self) -> (CipherState, CipherState, Zeroizing<[u8; 32]>) {
        let okm = self.hkdf::<3>(&[]);
        let [k1, k2, third] = &*okm;
        (CipherState::new(k1), CipherState::new(k2), Zeroizing::new(*third))
    }

    /// Noise's `HKDF(chaining_key, input_key_material, K)`: RFC 5869 with an empty `info`.
    fn hkdf<const K: usize>(&self, ikm: &[u8]) -> Zeroizing<[[u8; 32]; K]> {
        let mut okm = Zeroizing::new([[0; 32]; K]);
        // Fails only above 8,160 bytes.
        let _ = Hkdf::<Sha256>::new(Some(self.ck.as_slice()), ikm).expand(&[], okm.as_flattened_mut());
        okm
    }
}
