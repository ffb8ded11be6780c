//! ChaCha20-Poly1305 as Noise uses it: nonce = four zero bytes and a 64-bit little-endian counter (section 12.3).

/// Length of a key in bytes.
pub const KEY_LEN: usize = 32;

/// Length of an authentication tag in bytes.
pub const TAG_LEN: usize = 16;

#[cfg(not(feature = "ring"))]
pub use portable::Aead;
#[cfg(feature = "ring")]
pub use portable::Aead as PortableAead;
#[cfg(feature = "ring")]
pub use ringed::Aead;

/// The nonce of counter `n`.
fn nonce_bytes(n: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().skip(4).zip(n.to_le_bytes()) {
        *to = from;
    }
    nonce
}

mod portable {
    use core::fmt;

    use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};

    use super::{KEY_LEN, TAG_LEN, nonce_bytes};

    /// The cipher under one key, by the `chacha20poly1305` crate. Wiped when dropped.
    pub struct Aead(ChaCha20Poly1305);

    impl Aead {
        /// The cipher under this key. The caller's copy is the caller's to wipe.
        #[must_use]
        pub fn new(key: &[u8; KEY_LEN]) -> Self {
            Self(ChaCha20Poly1305::new(key.into()))
        }

        /// Encrypts in place and gives the tag. `None` only for more than 256 GiB.
        #[inline]
        #[must_use]
        pub fn seal(&self, n: u64, ad: &[u8], text: &mut [u8]) -> Option<[u8; TAG_LEN]> {
            self.danger_seal(nonce_bytes(n), ad, text)
        }

        /// Decrypts in place. `false`: not authentic, and `text` is as it was.
        #[inline]
        #[must_use]
        pub fn open(&self, n: u64, ad: &[u8], text: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
            self.danger_open(nonce_bytes(n), ad, text, tag)
        }

        /// [`Aead::seal`] under any nonce: for the vectors of others.
        #[doc(hidden)]
        #[inline]
        #[must_use]
        pub fn danger_seal(&self, nonce: [u8; 12], ad: &[u8], text: &mut [u8]) -> Option<[u8; TAG_LEN]> {
            self.0.encrypt_inout_detached(&nonce.into(), ad, text.into()).ok().map(Into::into)
        }

        /// [`Aead::open`] under any nonce: for the vectors of others.
        #[doc(hidden)]
        #[inline]
        #[must_use]
        pub fn danger_open(&self, nonce: [u8; 12], ad: &[u8], text: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
            self.0.decrypt_inout_detached(&nonce.into(), ad, text.into(), tag.into()).is_ok()
        }
    }

    impl fmt::Debug for Aead {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Aead(..)")
        }
    }
}

#[cfg(feature = "ring")]
mod ringed {
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use core::fmt;

    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

    use super::{KEY_LEN, TAG_LEN, nonce_bytes};

    /// The cipher under one key, by ring: the same bytes, faster.
    ///
    /// ring decrypts while it authenticates and wipes what did not authenticate. The rule here is that a failed
    /// open leaves the buffer as it was, so the ciphertext is copied aside first. ring does not wipe its keys.
    pub struct Aead {
        key: Option<LessSafeKey>,
        aside: RefCell<Vec<u8>>,
    }

    impl Aead {
        /// The cipher under this key. The caller's copy is the caller's to wipe.
        #[must_use]
        pub fn new(key: &[u8; KEY_LEN]) -> Self {
            let key = UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new);
            Self { key, aside: RefCell::default() }
        }

        /// Encrypts in place and gives the tag. `None` only for more than 256 GiB.
        #[inline]
        #[must_use]
        pub fn seal(&self, n: u64, ad: &[u8], text: &mut [u8]) -> Option<[u8; TAG_LEN]> {
            self.danger_seal(nonce_bytes(n), ad, text)
        }

        /// Decrypts in place. `false`: not authentic, and `text` is as it was.
        #[inline]
        #[must_use]
        pub fn open(&self, n: u64, ad: &[u8], text: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
            self.danger_open(nonce_bytes(n), ad, text, tag)
        }

        /// [`Aead::seal`] under any nonce: for the vectors of others.
        #[doc(hidden)]
        #[inline]
        #[must_use]
        pub fn danger_seal(&self, nonce: [u8; 12], ad: &[u8], text: &mut [u8]) -> Option<[u8; TAG_LEN]> {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let tag = self.key.as_ref()?.seal_in_place_separate_tag(nonce, Aad::from(ad), text).ok()?;
            tag.as_ref().try_into().ok()
        }

        /// [`Aead::open`] under any nonce: for the vectors of others.
        #[doc(hidden)]
        #[inline]
        #[must_use]
        pub fn danger_open(&self, nonce: [u8; 12], ad: &[u8], text: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
            let Some(key) = self.key.as_ref() else { return false };
            let nonce = Nonce::assume_unique_for_key(nonce);
            let mut aside = self.aside.borrow_mut();
            aside.clear();
            aside.extend_from_slice(text);
            let opened =
                key.open_in_place_separate_tag(nonce, Aad::from(ad), (*tag).into(), text, 0..).is_ok();
            if !opened {
                text.copy_from_slice(&aside);
            }
            opened
        }
    }

    impl fmt::Debug for Aead {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Aead(..)")
        }
    }
}
