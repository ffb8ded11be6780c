//! The canonical encoder behind [`super::encode`]: a serde serializer that sorts map keys, writes 64-bit floats and
//! refuses what DAG-CBOR does not have. Tags come in the way ciborium's serde support spells them, so a type that
//! reads with ciborium writes with this.

use alloc::vec::Vec;
use core::fmt;

use serde::{Serialize, ser};

use super::{MAX_DEPTH, MAX_OBJECT};
use crate::EncodingError;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const TEXT: u8 = 3;
pub(super) const ARRAY: u8 = 4;
pub(super) const MAP: u8 = 5;
const TAG: u8 = 6;

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

struct Encoder {
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

    /// Opens an array or map; its head is written when it closes and the number of items is certain.
    fn open(&mut self) -> Result<Open<'_>, Failure> {
        if self.depth >= MAX_DEPTH {
            return Err(Failure(EncodingError::Depth));
        }
        if self.out.len() > MAX_OBJECT {
            return Err(Failure(EncodingError::Size { limit: MAX_OBJECT }));
        }
        self.depth += 1;
        let start = self.out.len();
        Ok(Open {
            encoder: self,
            start,
            items: 0,
            entries: Vec::new(),
            sorted: true,
            wrapped: false,
            tag: false,
        })
    }

    /// `{variant: ...}`, as serde writes an enum that carries something.
    fn open_variant(&mut self, variant: &str) -> Result<Open<'_>, Failure> {
        if self.depth >= MAX_DEPTH {
            return Err(Failure(EncodingError::Depth));
        }
        self.depth += 1;
        self.head(MAP, 1);
        self.string(TEXT, variant.as_bytes())?;
        let mut open = self.open()?;
        open.wrapped = true;
        Ok(open)
    }
}

/// An array or map that is being written.
pub(super) struct Open<'a> {
    encoder: &'a mut Encoder,
    start: usize,
    items: u64,
    /// Where each entry of a map starts.
    entries: Vec<usize>,
    sorted: bool,
    /// Whether a map of one entry stands around it.
    wrapped: bool,
    /// Whether this is ciborium's spelling of a tag: the first item is its number.
    tag: bool,
}

impl Open<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        if self.tag && self.items == 0 {
            let mut number = Encoder { out: Vec::new(), depth: MAX_DEPTH };
            value.serialize(&mut number)?;
            // 42 as CBOR writes it.
            if number.out != [0x18, 42] {
                return Err(Failure(EncodingError::Tag));
            }
        } else {
            value.serialize(&mut *self.encoder)?;
        }
        self.items += 1;
        Ok(())
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failure> {
        let start = self.encoder.out.len();
        key.serialize(&mut *self.encoder)?;
        let out = &self.encoder.out;
        if out.get(start).is_none_or(|first| first >> 5 != TEXT) {
            return Err(Failure(EncodingError::Unencodable));
        }
        if let Some(&last) = self.entries.last() {
            self.sorted &= encoded_key(out, last) < encoded_key(out, start);
        }
        self.entries.push(start);
        self.items += 1;
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Failure> {
        self.key(key)?;
        value.serialize(&mut *self.encoder)
    }

    fn close_array(self) -> Result<(), Failure> {
        self.close(ARRAY)
    }

    fn close_map(mut self) -> Result<(), Failure> {
        if !self.sorted {
            self.sort()?;
        }
        self.close(MAP)
    }

    /// Puts the entries into canonical order. With heads in shortest form the order of the encoded keys *is* the
    /// canonical one: the length comes first in them.
    fn sort(&mut self) -> Result<(), Failure> {
        let out = &mut self.encoder.out;
        let ends = self.entries.iter().skip(1).copied().chain([out.len()]);
        let mut entries: Vec<(usize, usize)> = self.entries.iter().copied().zip(ends).collect();
        entries.sort_by(|a, b| encoded_key(out, a.0).cmp(encoded_key(out, b.0)));
        let twice = entries.windows(2).any(|pair| match pair {
            [a, b] => encoded_key(out, a.0) == encoded_key(out, b.0),
            _ => false,
        });
        if twice {
            return Err(Failure(EncodingError::KeyTwice));
        }
        let mut sorted = Vec::with_capacity(out.len() - self.start);
        for (start, end) in entries {
            sorted.extend_from_slice(out.get(start..end).unwrap_or_default());
        }
        out.truncate(self.start);
        out.extend_from_slice(&sorted);
        Ok(())
    }

    fn close(self, major: u8) -> Result<(), Failure> {
        self.encoder.depth -= 1 + usize::from(self.wrapped);
        let mut front = Vec::new();
        if self.tag {
            head(&mut front, TAG, 42);
        } else {
            head(&mut front, major, self.items);
        }
        self.encoder.out.splice(self.start..self.start, front);
        Ok(())
    }
}

/// The encoded key (head and text) that starts at `start`.
fn encoded_key(out: &[u8], start: usize) -> &[u8] {
    let rest = out.get(start..).unwrap_or_default();
    super::check::item_len(rest).ok().and_then(|len| rest.get(..len)).unwrap_or_default()
}

impl<'a> ser::Serializer for &'a mut Encoder {
    type Ok = ();
    type Error = Failure;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Open<'a>;
    type SerializeTupleStruct = Open<'a>;
    type SerializeTupleVariant = Open<'a>;
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
        if self.depth >= MAX_DEPTH {
            return Err(Failure(EncodingError::Depth));
        }
        self.depth += 1;
        self.head(MAP, 1);
        self.string(TEXT, variant.as_bytes())?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a>, Failure> {
        self.open()
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'a>, Failure> {
        self.open()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Failure> {
        self.open()
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, Failure> {
        if name == "@@TAG@@" && variant == "@@TAGGED@@" {
            let start = self.out.len();
            self.depth += 1;
            let entries = Vec::new();
            return Ok(Open {
                encoder: self,
                start,
                items: 0,
                entries,
                sorted: true,
                wrapped: false,
                tag: true,
            });
        }
        self.open_variant(variant)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a>, Failure> {
        self.open()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Failure> {
        self.open()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, Failure> {
        self.open_variant(variant)
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
                self.close_array()
            }
        }
    };
}
sequence!(SerializeSeq, serialize_element);
sequence!(SerializeTuple, serialize_element);
sequence!(SerializeTupleStruct, serialize_field);
sequence!(SerializeTupleVariant, serialize_field);

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
