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

/// The major types of RFC 8949.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
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
        let mut last: Option<&str> = None;
        for _ in 0..pairs {
            let key = self.key(last)?;
            last = Some(key);
            if key == "$type$" && self.rest.first().is_some_and(|first| first >> 5 == TEXT) {
                type_name = Some(self.text()?);
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
            UNSIGNED | NEGATIVE => Ok(()),
            BYTES => self.take(value).map(|_| ()),
            TEXT => self.utf8(value).map(|_| ()),
            ARRAY => {
                self.open(depth, value)?;
                for _ in 0..value {
                    self.item(depth + 1)?;
                }
                Ok(())
            }
            MAP => {
                self.open(depth, value)?;
                let mut last = None;
                for _ in 0..value {
                    last = Some(self.key(last)?);
                    self.item(depth + 1)?;
                }
                Ok(())
            }
            TAG => self.link(value),
            // Simple values and floats were judged by their first byte.
            _ => Ok(()),
        }
    }

    /// Refuses a container too deep, and one that announces more items than there are bytes left: the loop
    /// over its items is bounded by the input.
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
            return self.simple(low).map(|()| (7, 0));
        }
        let value = match low {
            0..=23 => u64::from(low),
            24 => u64::from(u8::from_be_bytes(self.array()?)),
            25 => u64::from(u16::from_be_bytes(self.array()?)),
            26 => u64::from(u32::from_be_bytes(self.array()?)),
            27 => u64::from_be_bytes(self.array()?),
            _ => return Err(EncodingError::Indefinite),
        };
        let shortest = match low {
            24 => value > 23,
            25 => value > 0xff,
            26 => value > 0xffff,
            27 => value > 0xffff_ffff,
            _ => true,
        };
        if shortest { Ok((major, value)) } else { Err(EncodingError::NotShortest) }
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

    #[inline]
    fn utf8(&mut self, len: u64) -> Result<&'a str, EncodingError> {
        core::str::from_utf8(self.take(len)?).map_err(|_| EncodingError::Text)
    }

    fn text(&mut self) -> Result<&'a str, EncodingError> {
        let (_, len) = self.head()?;
        self.utf8(len)
    }

    /// The next key of a map: text, and after `last` in canonical order.
    #[inline]
    fn key(&mut self, last: Option<&str>) -> Result<&'a str, EncodingError> {
        let (major, len) = self.head()?;
        if major != TEXT {
            return Err(EncodingError::KeyNotText);
        }
        let key = self.utf8(len)?;
        match last.map(|last| super::key_order(last, key)) {
            None | Some(core::cmp::Ordering::Less) => Ok(key),
            Some(core::cmp::Ordering::Equal) => Err(EncodingError::KeyTwice),
            Some(core::cmp::Ordering::Greater) => Err(EncodingError::KeyOrder),
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
