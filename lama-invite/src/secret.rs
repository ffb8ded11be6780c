//! The secret of an invitation and what is derived from it.

use core::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

macro_rules! secret32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Wiped when dropped, compared in constant time, never printed.
        #[derive(Clone, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "serde_bytes")] [u8; 32]);

        impl $name {
            /// Takes the bytes and wipes the caller's copy.
            #[must_use]
            pub fn take(bytes: &mut [u8; 32]) -> Self {
                let secret = Self(*bytes);
                bytes.zeroize();
                secret
            }

            /// The secret itself.
            #[must_use]
            pub const fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.0.zeroize();
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}
    };
}

secret32! {
    /// The 32 random bytes at the heart of an invitation. They travel in the link and nowhere else.
    Token
}

secret32! {
    /// The pre-shared key of the pairing handshake (Noise `psk3`), derived from the token and every field of the
    /// invitation: `HKDF-SHA256(salt = "LAMA/pair/1 psk", ikm = token, info)`.
    Psk
}

/// The public name of an invitation: `HKDF-SHA256(salt = "LAMA/pair/1 locator", ikm = token, info)[..16]`.
///
/// It is the `tag16` of the first handshake message. It finds the invitation and says nothing about the secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Locator(#[serde(with = "serde_bytes")] [u8; 16]);

impl Locator {
    /// The locator with these bytes, as received.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes as they go over the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads what [`Locator`]'s `Display` wrote, as a person types it to revoke an invitation. Any case.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = data_encoding::BASE32_NOPAD_NOCASE.decode(text.trim().as_bytes()).ok()?;
        Some(Self(<[u8; 16]>::try_from(bytes.as_slice()).ok()?))
    }
}

impl fmt::Display for Locator {
    /// 26 characters of lower-case base32 (RFC 4648, no padding).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = data_encoding::BASE32_NOPAD.encode(&self.0);
        for c in text.chars() {
            write!(f, "{}", c.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locator({self})")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn secrets_are_taken_and_never_printed() {
        let mut bytes = [3; 32];
        let token = Token::take(&mut bytes);
        assert_eq!(bytes, [0; 32]);
        assert_eq!(token.expose(), &[3; 32]);
        assert_eq!(std::format!("{token:?}"), "Token(..)");
        assert_eq!(std::format!("{:?}", Psk::take(&mut [4; 32])), "Psk(..)");
        assert_eq!(token, Token::take(&mut [3; 32]));
        assert_ne!(token, Token::take(&mut [4; 32]));
    }

    #[test]
    fn locators_read_back_in_any_case() {
        let locator = Locator::new(*b"0123456789abcdef");
        let text = std::format!("{locator}");
        assert_eq!(text.len(), 26);
        assert_eq!(Locator::from_text(&text), Some(locator));
        assert_eq!(Locator::from_text(&std::format!(" {} ", text.to_uppercase())), Some(locator));
        assert_eq!(Locator::from_text(&text[..25]), None);
        assert_eq!(Locator::from_text(""), None);
        assert_eq!(std::format!("{locator:?}"), std::format!("Locator({text})"));
    }
}
