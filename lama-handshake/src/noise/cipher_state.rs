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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_open_leaves_state_and_buffer_as_they_were() {
        let (mut seal, mut open) = (CipherState::new(&[1; 32]), CipherState::new(&[1; 32]));
        let mut good = BytesMut::from(&b"hello"[..]);
        seal.seal(b"ad", &mut good, 0).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let before = bad.clone();
            assert_eq!(open.open(b"ad", &mut bad), Err(HandshakeError::Unauthentic));
            assert_eq!((bad, open.counter()), (before, 0));
        }
        for len in 0..good.len() {
            let mut cut = BytesMut::from(&good[..len]);
            assert_eq!(open.open(b"ad", &mut cut), Err(HandshakeError::Unauthentic));
            assert_eq!(cut, good[..len]);
        }
        assert_eq!(open.open(b"da", &mut good.clone()), Err(HandshakeError::Unauthentic));
        open.open(b"ad", &mut good).unwrap();
        assert_eq!((&good[..], open.counter()), (&b"hello"[..], 1));
    }

    #[test]
    fn nonce_exhausted_before_the_counter_of_rekey() {
        let (mut seal, mut open) = (CipherState::new(&[1; 32]), CipherState::new(&[1; 32]));
        seal.danger_set_counter(CipherState::LAST);
        open.danger_set_counter(CipherState::LAST);
        let mut last = BytesMut::new();
        seal.seal(&[], &mut last, 0).unwrap();
        assert_eq!(seal.seal(&[], &mut BytesMut::new(), 0), Err(HandshakeError::NonceExhausted));
        open.open(&[], &mut last.clone()).unwrap();
        assert_eq!(open.open(&[], &mut last), Err(HandshakeError::NonceExhausted));
    }

    #[test]
    fn rekey_is_the_encryption_of_zeros_under_the_last_nonce() {
        let mut expected = [0; 32];
        let _ = Aead::new(&[9; 32]).seal(u64::MAX, &[], &mut expected).unwrap();
        let mut state = CipherState::new(&[9; 32]);
        state.danger_set_counter(5);
        state.rekey();
        let (mut ours, mut theirs) = (BytesMut::from(&b"x"[..]), *b"x");
        state.seal(&[], &mut ours, 0).unwrap();
        let tag = Aead::new(&expected).seal(5, &[], &mut theirs).unwrap();
        assert_eq!((&ours[..1], &ours[1..]), (&theirs[..], &tag[..]));
    }
}
