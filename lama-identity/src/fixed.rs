//! Byte arrays of fixed length in serde: byte strings in objects, base32 where people read (JSON).

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserializer, Serializer, de};

use crate::base32;

/// Writes a byte string, or base32 text for a human-readable format.
pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(&base32::encode(bytes))
    } else {
        serializer.serialize_bytes(bytes)
    }
}

/// Reads exactly `N` bytes.
pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Fixed::<N>)
    } else {
        deserializer.deserialize_bytes(Fixed::<N>)
    }
}

struct Fixed<const N: usize>;

impl<const N: usize> de::Visitor<'_> for Fixed<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<[u8; N], E> {
        self.visit_bytes(&bytes)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<[u8; N], E> {
        base32::decode(text)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// A public 32-byte name: copied, compared, ordered, shown in base32. `Display` gives the short form (16
/// characters, 80 bits) that people compare; `full()` the form that can be read back.
macro_rules! name32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The whole in base32: 52 characters, which `FromStr` reads.
            #[must_use]
            pub fn full(&self) -> alloc::string::String {
                $crate::base32::encode(&self.0)
            }

            /// The first 80 bits in base32: 16 characters, to be read and compared by people.
            #[must_use]
            pub fn short(&self) -> alloc::string::String {
                let mut text = self.full();
                text.truncate(16);
                text
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(&self.short())
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::IdentityError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let bytes = $crate::base32::decode(text).ok_or($crate::IdentityError::BadText)?;
                bytes.try_into().map(Self).map_err(|_| $crate::IdentityError::BadText)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::fixed::serialize(&self.0, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::fixed::deserialize(deserializer).map(Self)
            }
        }
    };
}
pub(crate) use name32;
