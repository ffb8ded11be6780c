//! The one-pass checker: is this canonical DAG-CBOR, which type does it name, and what does it link to?
//!
//! It reads every byte once, allocates nothing and keeps one key per open map, so the hot path of a
//! synchronisation can check each object it receives. `tests/canonical.rs` proves it equal to decoding with
//! ciborium, encoding canonically and comparing.

use super::input::{ARRAY, BYTES, Input, MAP, TAG, TEXT};
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
    let mut reader = Reader { input: Input { rest: bytes }, each_link, links: 0 };
    let type_name = reader.top()?;
    if !reader.input.rest.is_empty() {
        return Err(EncodingError::Trailing);
    }
    Ok(Summary { type_name, links: reader.links })
}

/// Length of the one item at the start of `bytes`, which were checked before.
pub(super) fn item_len(bytes: &[u8]) -> Result<usize, EncodingError> {
    let mut reader = Reader { input: Input { rest: bytes }, each_link: &mut |_| {}, links: 0 };
    reader.item(0)?;
    Ok(bytes.len() - reader.input.rest.len())
}

struct Reader<'a, 'f, F> {
    input: Input<'a>,
    each_link: &'f mut F,
    links: u32,
}

impl<'a, F: FnMut(Cid)> Reader<'a, '_, F> {
    /// The outermost item, with an eye on `$type$`.
    fn top(&mut self) -> Result<Option<&'a str>, EncodingError> {
        if self.input.rest.first().is_none_or(|first| first >> 5 != MAP) {
            return self.item(0).map(|()| None);
        }
        let (_, pairs) = self.input.head()?;
        let mut type_name = None;
        let mut last: &[u8] = &[];
        for at in 0..pairs {
            last = self.key(at, last)?;
            if last == b"$type$" && self.input.rest.first().is_some_and(|first| first >> 5 == TEXT) {
                let (_, len) = self.input.head()?;
                type_name =
                    Some(core::str::from_utf8(self.input.take(len)?).map_err(|_| EncodingError::Text)?);
            } else {
                self.item(1)?;
            }
        }
        Ok(type_name)
    }

    /// One item and all it holds; `depth` containers are open around it.
    fn item(&mut self, depth: usize) -> Result<(), EncodingError> {
        let (major, value) = self.input.head()?;
        match major {
            BYTES => self.input.take(value).map(|_| ()),
            TEXT => self.input.text(value).map(|_| ()),
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
        if items > self.input.rest.len() as u64 {
            return Err(EncodingError::Truncated);
        }
        Ok(())
    }

    /// The key of entry `at` of a map: text, and after `last` in canonical order (shorter first, then by bytes).
    #[inline]
    fn key(&mut self, at: u64, last: &[u8]) -> Result<&'a [u8], EncodingError> {
        let (major, len) = self.input.head()?;
        if major != TEXT {
            return Err(EncodingError::KeyNotText);
        }
        let key = self.input.text(len)?;
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
        let (BYTES, len) = self.input.head()? else { return Err(EncodingError::Link) };
        let [0, id @ ..] = self.input.take(len)? else { return Err(EncodingError::Link) };
        let id = Cid::try_from(id).map_err(|_| EncodingError::Link)?;
        self.links += 1;
        (self.each_link)(id);
        Ok(())
    }
}
