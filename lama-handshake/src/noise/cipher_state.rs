//! `CipherState` (Noise section 5.1): a key, a counter, and `REKEY` (4.2).

use bytes::BytesMut;
use zeroize::Zeroizing;

use super::{Aead, KEY_LEN, TAG_LEN};
use crate::HandshakeError;

/// A key and the counter of its next message. The counter is never sent and never used twice.
#[derive(Debug)]
pub struct CipherState {
    aead: Aead,
    n: u64,
}

impl CipherState {
    /// The highest counter a message may have. The one above is `REKEY`'s.
    pub const LAST: u64 = u64::MAX - 1;

    /// `InitializeKey(k)`: counter zero.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self { aead: Aead::new(key), n: 0 }
    }

    /// The counter of the next message.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.n
    }

    /// `SetNonce(n)`: for a test that starts near the end. Two messages under one counter give the key away.
    pub const fn danger_set_counter(&mut self, n: u64) {
        self.n = n;
    }

    /// `EncryptWithAd`, in place, on `out[start..]`; appends the tag.
    ///
    /// # Errors
    /// [`HandshakeError::NonceExhausted`].
    #[inline]
    pub fn seal(&mut self, ad: &[u8], out: &mut BytesMut, start: usize) -> Result<(), HandshakeError> {
        let next = self.next()?;
        let text = out.get_mut(start..).ok_or(HandshakeError::Misuse)?;
        let tag = self.aead.seal(self.n, ad, text).ok_or(HandshakeError::Misuse)?;
        out.extend_from_slice(&tag);
        self.n = next;
        Ok(())
    }

    /// `DecryptWithAd`, in place: on success `text` is the plaintext, its tag cut off. After a failure both the state
    /// and `text` are as they were.
    ///
    /// # Errors
    /// [`HandshakeError::Unauthentic`], [`HandshakeError::NonceExhausted`].
    #[inline]
    pub fn open(&mut self, ad: &[u8], text: &mut BytesMut) -> Result<(), HandshakeError> {
        let next = self.next()?;
        let len = text.len().checked_sub(TAG_LEN).ok_or(HandshakeError::Unauthentic)?;
        let (body, tag) = text.split_last_chunk_mut::<TAG_LEN>().ok_or(HandshakeError::Unauthentic)?;
        if !self.aead.open(self.n, ad, body, tag) {
            return Err(HandshakeError::Unauthentic);
        }
        text.truncate(len);
        self.n = next;
        Ok(())
    }

    /// `REKEY()`: a new key from the old one, which is forgotten. The counter goes on.
    pub fn rekey(&mut self) {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        // 32 bytes always fit; the tag is not part of the new key (section 4.2).
        let _ = self.aead.seal(u64::MAX, &[], key.as_mut_slice());
        self.aead = Aead::new(&key);
    }

    fn next(&self) -> Result<u64, HandshakeError> {
        if self.n > Self::LAST {
            return Err(HandshakeError::NonceExhausted);
        }
        Ok(self.n.wrapping_add(1))
    }
}
