//! Typed objects: what every object of this crate has in common.

use core::fmt;
use core::marker::PhantomData;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Cid, IdentityError, cbor};

/// The name under `$type$` of a type's objects.
pub trait TypeName {
    /// The text under `$type$`.
    const TYPE: &'static str;
}

/// The `$type$` field of an object: always [`TypeName::TYPE`] of `T`, and it reads nothing else.
pub struct TypeTag<T>(PhantomData<fn() -> T>);

impl<T> Default for TypeTag<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for TypeTag<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for TypeTag<T> {}

impl<T> PartialEq for TypeTag<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for TypeTag<T> {}

impl<T: TypeName> fmt::Debug for TypeTag<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::TYPE)
    }
}

impl<T: TypeName> Serialize for TypeTag<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(T::TYPE)
    }
}

impl<'de, T: TypeName> Deserialize<'de> for TypeTag<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expect<T>(PhantomData<T>);

        impl<T: TypeName> de::Visitor<'_> for Expect<T> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::TYPE)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
                if text == T::TYPE { Ok(()) } else { Err(E::invalid_value(de::Unexpected::Str(text), &self)) }
            }
        }

        deserializer.deserialize_str(Expect::<T>(PhantomData)).map(|()| Self::default())
    }
}

/// A typed object: a serde value with a `$type$`, encoded canonically, named by the hash of its bytes.
pub trait Object: TypeName + Serialize + DeserializeOwned {
    /// Largest encoding in bytes that is read.
    const LIMIT: usize = cbor::MAX_OBJECT;

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`IdentityError::Encoding`], [`IdentityError::TooLong`] beyond [`Object::LIMIT`].
    fn to_bytes(&self) -> Result<Bytes, IdentityError> {
        let bytes = cbor::encode(self)?;
        if bytes.len() > Self::LIMIT {
            return Err(IdentityError::TooLong { field: Self::TYPE, limit: Self::LIMIT });
        }
        Ok(bytes)
    }

    /// Reads canonical bytes of this type, completely (see [`cbor::decode`]), and applies the rules of its fields.
    ///
    /// # Errors
    /// [`IdentityError::TooLong`], [`IdentityError::Encoding`], [`IdentityError::WrongType`], and what
    /// [`Object::validate`] finds.
    fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        if bytes.len() > Self::LIMIT {
            return Err(IdentityError::TooLong { field: Self::TYPE, limit: Self::LIMIT });
        }
        let seen = cbor::check(bytes)?;
        if seen.type_name != Some(Self::TYPE) {
            return Err(IdentityError::WrongType { expected: Self::TYPE });
        }
        let object: Self = cbor::read_checked(bytes)?;
        object.validate()?;
        Ok(object)
    }

    /// The rules of the fields that their types do not express.
    ///
    /// # Errors
    /// [`IdentityError::Field`], [`IdentityError::TooLong`].
    fn validate(&self) -> Result<(), IdentityError> {
        Ok(())
    }

    /// The id of the object: that of its canonical bytes.
    ///
    /// # Errors
    /// As [`Object::to_bytes`].
    fn cid(&self) -> Result<Cid, IdentityError> {
        Ok(Cid::of_object(&self.to_bytes()?))
    }
}
