//! The canonical encoder behind [`super::encode`]: a serde serializer that sorts map keys, writes 64-bit floats and
//! refuses what DAG-CBOR does not have. Tags come in the way ciborium's serde support spells them, so the types of
//! either are the other's too.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use serde::{Serialize, ser};

use super::input::{ARRAY, BYTES, MAP, NEGATIVE, TAG, TEXT, UNSIGNED};
use super::{MAX_DEPTH, MAX_OBJECT};
use crate::EncodingError;

/// Encodes without a look at the total size (containers are still bounded while they grow).
pub(super) fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodingError> {
    let mut encoder = Encoder { out: Vec::with_capacity(256), depth: 0 };
    value.serialize(&mut encoder).map_err(|Failure(error)| error)?;
    Ok(encoder.out)
}

/// Appends a head in its shortest form.
pub(super) fn head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    match value {
        0..=23 => out.push(major | (value & 31) as u8),
        24..=0xff => out.extend_from_slice(&[major | 24, (value & 0xff) as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&((value & 0xffff) as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&((value & 0xffff_ffff) as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// [`EncodingError`] as serde wants an error.
#[derive(Debug)]
pub(super) struct Failure(EncodingError);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Failure {}

impl ser::Error for Failure {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(EncodingError::Unencodable)
    }
}

pub(super) struct Encoder {
    out: Vec<u8>,
    depth: usize,
}

impl Encoder {
    fn head(&mut self, major: u8, value: u64) {
        head(&mut self.out, major, value);
    }

    fn string(&mut self, major: u8, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.len() > MAX_OBJECT {
            return Err(Failure(EncodingError::Size { limit: MAX_OBJECT }));
        }
        self.head(major, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Opens an array or map. Its head is written now if the number of items is known, else when it closes.
    fn open(&mut self, major: u8, announced: Option<usize>) -> Result<Open<'_>, Failure> {
        self.deeper()?;
        let start = self.out.len();
        if let Some(items) = announced {
            self.head(major, items as u64);
        }
        let body = self.out.len();
        let announced = announced.map(|items| items as u64);
        Ok(Open { encoder: self, start, body, announced, items: 0, last: 0..0, sorted: true, around: 0 })
    }

    /// `{variant: ...}`, as serde writes an enum that carries something.
    fn open_variant(&mut self, major: u8, variant: &str, items: usize) -> Result<Open<'_>, Failure> {
        self.wrap(variant)?;
        let mut open = self.open(major, Some(items))?;
        open.around = 1;
        Ok(open)
    }

    /// The start of a map with `variant` as its only key.
    fn wrap(&mut self, variant: &str) -> Result<(), Failure> {
        self.deeper()?;
        self.head(MAP, 1);
        self.string(TEXT, variant.as_bytes())
    }

    fn deeper(&mut self) -> Result<(), Failure> {
        if self.depth >= MAX_DEPTH {
            return Err(Failure(EncodingError::Depth));
        }
        if self.out.len() > MAX_OBJECT {
            return Err(Failure(EncodingError::Size { limit: MAX_OBJECT }));
        }
        self.depth += 1;
        Ok(())
    }
}

/// An array or map that is being written.
pub(super) struct Open<'a> {
    encoder: &'a mut Encoder,
    /// Where its head stands or will stand.
    start: usize,
    /// Where its items start for now.
    body: usize,
    /// The number of items in the head, if one was written.
    announced: Option<u64>,
    items: u64,
    /// Where the last key of a map stands, head and text.
    last: Range<usize>,
    sorted: bool,
    /// How many maps of one entry stand around it.
    around: usize,
}

impl Open<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        self.items += 1;
        value.serialize(&mut *self.encoder)
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failure> {
        let start = self.encoder.out.len();
        key.serialize(&mut *self.encoder)?;
        let out = &self.encoder.out;
        let written = start..out.len();
        let key = out.get(written.clone()).unwrap_or_default();
        if key.first().is_none_or(|first| first >> 5 != TEXT) {
            return Err(Failure(EncodingError::Unencodable));
        }
        // With heads in shortest form the order of the encoded keys *is* the canonical one: the length comes first.
        self.sorted &= self.items == 0 || out.get(self.last.clone()).unwrap_or_default() < key;
        self.last = written;
        self.items += 1;
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Failure> {
        self.key(key)?;
        value.serialize(&mut *self.encoder)
    }

    fn close_map(mut self) -> Result<(), Failure> {
        if !self.sorted {
            self.sort()?;
        }
        self.close(MAP)
    }

    /// Puts the entries into canonical order.
    fn sort(&mut self) -> Result<(), Failure> {
        let out = &mut self.encoder.out;
        let mut rest = out.get(self.body..).unwrap_or_default();
        let mut entries: Vec<(&[u8], &[u8])> = Vec::new();
        while !rest.is_empty() {
            let key_len = super::check::item_len(rest).map_err(Failure)?;
            let value = rest.get(key_len..).unwrap_or_default();
            let (entry, after) = rest.split_at(key_len + super::check::item_len(value).map_err(Failure)?);
            entries.push((entry.get(..key_len).unwrap_or_default(), entry));
            rest = after;
        }
        entries.sort_by_key(|(key, _)| *key);
        if !entries.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(Failure(EncodingError::KeyTwice));
        }
        let sorted: Vec<u8> = entries.iter().flat_map(|(_, entry)| entry.iter().copied()).collect();
        out.truncate(self.body);
        out.extend_from_slice(&sorted);
        Ok(())
    }

    fn close(self, major: u8) -> Result<(), Failure> {
        self.encoder.depth -= 1 + self.around;
        if self.announced != Some(self.items) {
            let mut front = Vec::with_capacity(9);
            head(&mut front, major, self.items);
            self.encoder.out.splice(self.start..self.body, front);
        }
        Ok(())
    }
}

/// An array, or ciborium's spelling of a tag: the variant `@@TAGGED@@` with the tag's number and what it is around.
pub(super) enum Variant<'a> {
    Array(Open<'a>),
    Tag { encoder: &'a mut Encoder, start: usize, number_came: bool },
}

impl ser::SerializeTupleVariant for Variant<'_> {
    type Ok = ();
    type Error = Failure;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        match self {
            Self::Array(open) => open.element(value),
            Self::Tag { encoder, number_came: true, .. } => value.serialize(&mut **encoder),
            Self::Tag { encoder, start, number_came } => {
                value.serialize(&mut **encoder)?;
                if encoder.out.get(*start..) != Some(&[0x18, 42]) {
                    return Err(Failure(EncodingError::Tag));
                }
                encoder.out.truncate(*start);
                encoder.head(TAG, 42);
                *number_came = true;
                Ok(())
            }
        }
    }

    fn end(self) -> Result<(), Failure> {
        match self {
            Self::Array(open) => open.close(ARRAY),
            // What is in the tag must be a link of ours: nothing is written that the checker refuses.
            Self::Tag { encoder, start, .. } => {
                let written = encoder.out.get(start..).unwrap_or_default();
                super::check(written).map(|_| ()).map_err(|_| Failure(EncodingError::Link))
            }
        }
    }
}

impl<'a> ser::Serializer for &'a mut Encoder {
    type Ok = ();
    type Error = Failure;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Open<'a>;
    type SerializeTupleStruct = Open<'a>;
    type SerializeTupleVariant = Variant<'a>;
    type SerializeMap = Open<'a>;
    type SerializeStruct = Open<'a>;
    type SerializeStructVariant = Open<'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, v: bool) -> Result<(), Failure> {
        self.out.push(if v { 0xf5 } else { 0xf4 });
        Ok(())
    }

    fn serialize_i8(self, v: i8) -> Result<(), Failure> {
        self.serialize_i64(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result<(), Failure> {
        self.serialize_i64(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result<(), Failure> {
        self.serialize_i64(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result<(), Failure> {
        match u64::try_from(v) {
            Ok(v) => self.head(UNSIGNED, v),
            // -1 - v: all bits turned over.
            Err(_) => self.head(NEGATIVE, u64::from_ne_bytes((!v).to_ne_bytes())),
        }
        Ok(())
    }

    fn serialize_i128(self, v: i128) -> Result<(), Failure> {
        if let Ok(v) = u64::try_from(v) {
            self.head(UNSIGNED, v);
        } else if let Ok(v) = u64::try_from(-1 - v) {
            self.head(NEGATIVE, v);
        } else {
            return Err(Failure(EncodingError::Unencodable));
        }
        Ok(())
    }

    fn serialize_u8(self, v: u8) -> Result<(), Failure> {
        self.serialize_u64(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result<(), Failure> {
        self.serialize_u64(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result<(), Failure> {
        self.serialize_u64(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result<(), Failure> {
        self.head(UNSIGNED, v);
        Ok(())
    }

    fn serialize_u128(self, v: u128) -> Result<(), Failure> {
        self.serialize_u64(u64::try_from(v).map_err(|_| Failure(EncodingError::Unencodable))?)
    }

    fn serialize_f32(self, v: f32) -> Result<(), Failure> {
        self.serialize_f64(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result<(), Failure> {
        if !v.is_finite() {
            return Err(Failure(EncodingError::FloatValue));
        }
        self.out.push(0xfb);
        self.out.extend_from_slice(&v.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, v: char) -> Result<(), Failure> {
        self.string(TEXT, v.encode_utf8(&mut [0; 4]).as_bytes())
    }

    fn serialize_str(self, v: &str) -> Result<(), Failure> {
        self.string(TEXT, v.as_bytes())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), Failure> {
        self.string(BYTES, v)
    }

    fn serialize_none(self) -> Result<(), Failure> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failure> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Failure> {
        self.out.push(0xf6);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Failure> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Failure> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Failure> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Failure> {
        if name == "@@TAG@@" && variant == "@@UNTAGGED@@" {
            return value.serialize(self);
        }
        self.wrap(variant)?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Open<'a>, Failure> {
        self.open(ARRAY, len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Open<'a>, Failure> {
        self.open(ARRAY, Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Open<'a>, Failure> {
        self.open(ARRAY, Some(len))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Variant<'a>, Failure> {
        if name == "@@TAG@@" && variant == "@@TAGGED@@" {
            let start = self.out.len();
            return Ok(Variant::Tag { encoder: self, start, number_came: false });
        }
        self.open_variant(ARRAY, variant, len).map(Variant::Array)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Open<'a>, Failure> {
        self.open(MAP, len)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Open<'a>, Failure> {
        self.open(MAP, Some(len))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Open<'a>, Failure> {
        self.open_variant(MAP, variant, len)
    }
}

macro_rules! sequence {
    ($trait:ident, $method:ident) => {
        impl ser::$trait for Open<'_> {
            type Ok = ();
            type Error = Failure;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
                self.element(value)
            }

            fn end(self) -> Result<(), Failure> {
                self.close(ARRAY)
            }
        }
    };
}
sequence!(SerializeSeq, serialize_element);
sequence!(SerializeTuple, serialize_element);
sequence!(SerializeTupleStruct, serialize_field);

macro_rules! structure {
    ($trait:ident) => {
        impl ser::$trait for Open<'_> {
            type Ok = ();
            type Error = Failure;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Failure> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), Failure> {
                self.close_map()
            }
        }
    };
}
structure!(SerializeStruct);
structure!(SerializeStructVariant);

impl ser::SerializeMap for Open<'_> {
    type Ok = ();
    type Error = Failure;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failure> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<(), Failure> {
        self.close_map()
    }
}
