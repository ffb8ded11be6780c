//! The one-pass checker: is this canonical DAG-CBOR, which type does it name, and what does it link to?
//!
//! It reads every byte once, allocates nothing and keeps one key per open map, so the hot path of a
//! synchronisation can check each object it receives. `tests/canonical.rs` proves it equal to decoding with
//! ciborium, encoding canonically and comparing.

use super::{MAX_DEPTH, MAX_OBJECT};
use crate::{Cid, EncodingError};

/// What the checker saw in passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary<'a> {
    /// The text under `$type$`, if the object is a map that has one.
    pub type_name: Option<&'a str>,
    /// How many content links (tag 42) there are, counted with repetition.
    pub links: u32,
}

/// Checks that `bytes` are one canonical object of at most [`MAX_OBJECT`] bytes.
///
/// # Errors
/// The first rule broken, in the order of the bytes.
pub fn check(bytes: &[u8]) -> Result<Summary<'_>, EncodingError> {
    scan(bytes, &mut |_| {})
}

/// As [`check`], and gives each content link to `each_link` as it comes by. After an error the links already
/// given mean nothing.
///
/// # Errors
/// The first rule broken, in the order of the bytes.
pub fn scan<'a>(bytes: &'a [u8], each_link: &mut impl FnMut(Cid)) -> Result<Summary<'a>, EncodingError> {
    if bytes.len() > MAX_OBJECT {
        return Err(EncodingError::Size { limit: MAX_OBJECT });
    }
    let mut reader = Reader { rest: bytes, each_link, links: 0 };
    let type_name = reader.top()?;
    if !reader.rest.is_empty() {
        return Err(EncodingError::Trailing);
    }
    Ok(Summary { type_name, links: reader.links })
}

/// Length of the one item at the start of `bytes`, which were checked before.
pub(super) fn item_len(bytes: &[u8]) -> Result<usize, EncodingError> {
    let mut reader = Reader { rest: bytes, each_link: &mut |_| {}, links: 0 };
    reader.item(0)?;
    Ok(bytes.len() - reader.rest.len())
}

/// The major types of RFC 8949 that hold or announce more than their head.
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

struct Reader<'a, 'f, F> {
    rest: &'a [u8],
    each_link: &'f mut F,
    links: u32,
}

impl<'a, F: FnMut(Cid)> Reader<'a, '_, F> {
    /// The outermost item, with an eye on `$type$`.
    fn top(&mut self) -> Result<Option<&'a str>, EncodingError> {
        if self.rest.first().is_none_or(|first| first >> 5 != MAP) {
            return self.item(0).map(|()| None);
        }
        let (_, pairs) = self.head()?;
        let mut type_name = None;
        let mut last: &[u8] = &[];
        for at in 0..pairs {
            last = self.key(at, last)?;
            if last == b"$type$" && self.rest.first().is_some_and(|first| first >> 5 == TEXT) {
                let (_, len) = self.head()?;
                type_name = Some(core::str::from_utf8(self.take(len)?).map_err(|_| EncodingError::Text)?);
            } else {
                self.item(1)?;
            }
        }
        Ok(type_name)
    }

    /// One item and all it holds; `depth` containers are open around it.
    fn item(&mut self, depth: usize) -> Result<(), EncodingError> {
        let (major, value) = self.head()?;
        match major {
            BYTES => self.take(value).map(|_| ()),
            TEXT => self.text(value).map(|_| ()),
            ARRAY => {
                self.open(depth, value)?;
                for _ in 0..value {
                    self.item(depth + 1)?;
                }
                Ok(())
            }
            MAP => {
                self.open(depth, value)?;
                let mut last: &[u8] = &[];
                for at in 0..value {
                    last = self.key(at, last)?;
                    self.item(depth + 1)?;
                }
                Ok(())
            }
            TAG => self.link(value),
            // Integers are their head; simple values and floats were judged with it.
            _ => Ok(()),
        }
    }

    /// Refuses a container too deep, and one that announces more items than there are bytes left: the loop
    /// over its items is bounded by the input.
    #[inline]
    fn open(&self, depth: usize, items: u64) -> Result<(), EncodingError> {
        if depth >= MAX_DEPTH {
            return Err(EncodingError::Depth);
        }
        if items > self.rest.len() as u64 {
            return Err(EncodingError::Truncated);
        }
        Ok(())
    }

    /// Major type and argument in shortest form. For major type 7 only what DAG-CBOR has: false, true, null and
    /// finite 64-bit floats.
    #[inline]
    fn head(&mut self) -> Result<(u8, u64), EncodingError> {
        let (&first, rest) = self.rest.split_first().ok_or(EncodingError::Truncated)?;
        self.rest = rest;
        let (major, low) = (first >> 5, first & 31);
        if major == 7 {
            self.simple(low)?;
            Ok((7, 0))
        } else if low < 24 {
            Ok((major, u64::from(low)))
        } else {
            Ok((major, self.long(low)?))
        }
    }

    /// The argument that follows the first byte.
    #[inline]
    fn long(&mut self, low: u8) -> Result<u64, EncodingError> {
        let (value, least) = match low {
            24 => (u64::from(u8::from_be_bytes(self.array()?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.array()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.array()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.array()?), 1 << 32),
            _ => return Err(EncodingError::Indefinite),
        };
        if value >= least { Ok(value) } else { Err(EncodingError::NotShortest) }
    }

    fn simple(&mut self, low: u8) -> Result<(), EncodingError> {
        match low {
            20..=22 => Ok(()),
            25 | 26 => Err(EncodingError::ShortFloat),
            27 if f64::from_be_bytes(self.array()?).is_finite() => Ok(()),
            27 => Err(EncodingError::FloatValue),
            28..=31 => Err(EncodingError::Indefinite),
            _ => Err(EncodingError::Simple),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], EncodingError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(EncodingError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    fn take(&mut self, len: u64) -> Result<&'a [u8], EncodingError> {
        let len = usize::try_from(len).map_err(|_| EncodingError::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(EncodingError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Text as bytes, known to be UTF-8. Most text is ASCII, for which the look is much shorter.
    #[inline]
    fn text(&mut self, len: u64) -> Result<&'a [u8], EncodingError> {
        let bytes = self.take(len)?;
        if bytes.is_ascii() || core::str::from_utf8(bytes).is_ok() {
            Ok(bytes)
        } else {
            Err(EncodingError::Text)
        }
    }

    /// The key of entry `at` of a map: text, and after `last` in canonical order (shorter first, then by bytes).
    #[inline]
    fn key(&mut self, at: u64, last: &[u8]) -> Result<&'a [u8], EncodingError> {
        let (major, len) = self.head()?;
        if major != TEXT {
            return Err(EncodingError::KeyNotText);
        }
        let key = self.text(len)?;
        if at == 0 || last.len() < key.len() || (last.len() == key.len() && last < key) {
            Ok(key)
        } else if last == key {
            Err(EncodingError::KeyTwice)
        } else {
            Err(EncodingError::KeyOrder)
        }
    }

    fn link(&mut self, tag: u64) -> Result<(), EncodingError> {
        if tag != 42 {
            return Err(EncodingError::Tag);
        }
        let (BYTES, len) = self.head()? else { return Err(EncodingError::Link) };
        let [0, id @ ..] = self.take(len)? else { return Err(EncodingError::Link) };
        let id = Cid::try_from(id).map_err(|_| EncodingError::Link)?;
        self.links += 1;
        (self.each_link)(id);
        Ok(())
    }
}
