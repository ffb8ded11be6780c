//! The decoder behind [`super::decode`]: a serde deserializer for bytes that [`super::check`] has passed. Tags come
//! out in the way ciborium's serde support spells them.
//!
//! It is our own because what a general decoder makes of each type was a tenth of the module for JavaScript, and has nothing
//! to judge here; `tests/canonical.rs` compares it with ciborium.
//!
//! The checker has bounded depth and lengths, and what was read is encoded again and compared, so nothing is judged
//! here twice: what a type leaves unread shows in the comparison. All that does not depend on the type is in
//! [`Decoder::item`], because the rest is compiled anew for each type that is read.

use core::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};

use super::input::{ARRAY, BYTES, Input, MAP, NEGATIVE, TAG, TEXT, UNSIGNED};
use crate::EncodingError;

/// Reads a value off the front of checked bytes.
///
/// # Errors
/// [`EncodingError::Shape`]: the bytes say something else than the type.
pub(super) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EncodingError> {
    T::deserialize(&mut Decoder { input: Input { rest: bytes } }).map_err(|Misfit| EncodingError::Shape)
}

/// What was read is not what the type wants. There is one answer to that, so no text is made of it.
#[derive(Debug)]
struct Misfit;

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EncodingError::Shape.fmt(f)
    }
}

impl core::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl From<EncodingError> for Misfit {
    fn from(_: EncodingError) -> Self {
        Self
    }
}

/// One item, or the head of one that holds others.
enum Item<'de> {
    Unsigned(u64),
    /// Less than nothing: all its bits turned over.
    Negative(u64),
    Bytes(&'de [u8]),
    Text(&'de str),
    Array(u64),
    Map(u64),
    Tag(u64),
    Float(f64),
    Bool(bool),
    Null,
}

struct Decoder<'de> {
    input: Input<'de>,
}

impl<'de> Decoder<'de> {
    #[inline(never)]
    fn item(&mut self) -> Result<Item<'de>, Misfit> {
        let item = self.input.rest;
        let (major, value) = self.input.head()?;
        Ok(match major {
            UNSIGNED => Item::Unsigned(value),
            NEGATIVE => Item::Negative(value),
            BYTES => Item::Bytes(self.input.take(value)?),
            TEXT => Item::Text(core::str::from_utf8(self.input.take(value)?).map_err(|_| Misfit)?),
            ARRAY => Item::Array(value),
            MAP => Item::Map(value),
            TAG => Item::Tag(value),
            _ => match *item {
                [0xf4, ..] => Item::Bool(false),
                [0xf5, ..] => Item::Bool(true),
                [0xf6, ..] => Item::Null,
                [_, ref rest @ ..] => Item::Float(f64::from_be_bytes(Input { rest }.array()?)),
                [] => return Err(Misfit),
            },
        })
    }

    fn array(&mut self) -> Result<u64, Misfit> {
        if let Item::Array(items) = self.item()? { Ok(items) } else { Err(Misfit) }
    }

    fn map(&mut self) -> Result<u64, Misfit> {
        if let Item::Map(entries) = self.item()? { Ok(entries) } else { Err(Misfit) }
    }

    /// Reads a null, if one is next.
    fn null(&mut self) -> bool {
        let [0xf6, rest @ ..] = self.input.rest else { return false };
        self.input.rest = rest;
        true
    }

    /// A variant that is all there is, or the only key of a map around what it carries.
    fn variant(&mut self) -> Result<(), Misfit> {
        if self.input.rest.first().is_some_and(|first| first >> 5 == MAP) && self.map()? != 1 {
            return Err(Misfit);
        }
        Ok(())
    }
}

/// A number below nothing, all of whose bits are turned over.
fn negative<'de, V: Visitor<'de>>(turned: u64, visitor: V) -> Result<V::Value, Misfit> {
    match i64::try_from(turned) {
        Ok(turned) => visitor.visit_i64(!turned),
        Err(_) => visitor.visit_i128(!i128::from(turned)),
    }
}

/// Whatever the width of an integer, it is read alike: the visitor says whether it fits.
macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            match self.item()? {
                Item::Unsigned(value) => visitor.visit_u64(value),
                Item::Negative(turned) => negative(turned, visitor),
                _ => Err(Misfit),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = Misfit;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.item()? {
            Item::Unsigned(value) => visitor.visit_u64(value),
            Item::Negative(turned) => negative(turned, visitor),
            Item::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Item::Text(text) => visitor.visit_borrowed_str(text),
            Item::Array(left) => visitor.visit_seq(Items { decoder: self, left }),
            Item::Map(left) => visitor.visit_map(Items { decoder: self, left }),
            Item::Tag(tag) => visitor.visit_enum(Tagged { decoder: self, tag: Some(tag) }),
            Item::Float(value) => visitor.visit_f64(value),
            Item::Bool(value) => visitor.visit_bool(value),
            Item::Null => visitor.visit_unit(),
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if let Item::Bool(value) = self.item()? { visitor.visit_bool(value) } else { Err(Misfit) }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if let Item::Float(value) = self.item()? { visitor.visit_f64(value) } else { Err(Misfit) }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if let Item::Text(text) = self.item()? { visitor.visit_borrowed_str(text) } else { Err(Misfit) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if let Item::Bytes(bytes) = self.item()? { visitor.visit_borrowed_bytes(bytes) } else { Err(Misfit) }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.null() { visitor.visit_unit() } else { Err(Misfit) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let left = self.array()?;
        visitor.visit_seq(Items { decoder: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let left = self.map()?;
        visitor.visit_map(Items { decoder: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if name == "@@TAG@@" {
            let Item::Tag(tag) = self.item()? else { return Err(Misfit) };
            return visitor.visit_enum(Tagged { decoder: self, tag: Some(tag) });
        }
        self.variant()?;
        visitor.visit_enum(Items { decoder: self, left: 0 })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_any(visitor)
    }
}

/// What is in an array, a map or a variant, of which so many are left.
struct Items<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: u64,
}

impl Items<'_, '_> {
    fn next(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }
}

impl<'de> de::SeqAccess<'de> for Items<'_, 'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        if self.next() { seed.deserialize(&mut *self.decoder).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        usize::try_from(self.left).ok()
    }
}

impl<'de> de::MapAccess<'de> for Items<'_, 'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        if self.next() { seed.deserialize(&mut *self.decoder).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        seed.deserialize(&mut *self.decoder)
    }
}

impl<'de> de::EnumAccess<'de> for Items<'_, 'de> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        Ok((seed.deserialize(&mut *self.decoder)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Items<'_, 'de> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        seed.deserialize(self.decoder)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        de::Deserializer::deserialize_seq(self.decoder, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        de::Deserializer::deserialize_map(self.decoder, visitor)
    }
}

/// A tag and what it is around, as the variant `@@TAGGED@@` with the tag's number first.
struct Tagged<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    /// Until it was given away.
    tag: Option<u64>,
}

impl<'de> de::EnumAccess<'de> for Tagged<'_, 'de> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        let name: de::value::BorrowedStrDeserializer<'_, Misfit> =
            de::value::BorrowedStrDeserializer::new("@@TAGGED@@");
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Tagged<'_, 'de> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        Err(Misfit)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Misfit> {
        Err(Misfit)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(self)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Misfit> {
        Err(Misfit)
    }
}

impl<'de> de::SeqAccess<'de> for Tagged<'_, 'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        match self.tag.take() {
            Some(tag) => seed.deserialize(tag.into_deserializer()).map(Some),
            None => seed.deserialize(&mut *self.decoder).map(Some),
        }
    }
}
