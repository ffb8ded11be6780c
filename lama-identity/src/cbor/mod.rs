//! Canonical DAG-CBOR: the one encoding in which objects are hashed, signed, stored and sent.
//!
//! The rules (`security.md` section 7): shortest integers and lengths, definite lengths, map keys text and sorted
//! (shorter first, then by bytes) without duplicates, only 64-bit floats and those finite, the only tag 42 around
//! a link of this system (`00` and a [`crate::Cid`]), false, true and null, nothing after the one item, at most
//! [`MAX_DEPTH`] deep and [`MAX_OBJECT`] bytes long.
//!
//! - [`check`] and [`scan`] judge bytes in one pass without allocating: for objects that are stored and sent on as
//!   they are, whatever their type.
//! - [`encode`] writes any serde value canonically (it sorts the keys, so the order of a struct's fields is free).
//! - [`decode`] reads a typed value: check, decode, encode again, compare. What a type does not say completely is
//!   refused, so a typed view of an object never hides a part of it.

mod check;
mod decode;
mod encode;
mod input;

use alloc::vec::Vec;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

pub use check::{Summary, check, scan};

use crate::EncodingError;

/// Arrays and maps (tag 42 not counted) may be nested this deep.
pub const MAX_DEPTH: usize = 64;

/// Largest object in bytes: 1 MiB. Larger data is a blob.
pub const MAX_OBJECT: usize = 1 << 20;

/// Largest identity object (person, instance, keys, certificate) in bytes: 16 KiB.
pub const MAX_IDENTITY: usize = 16 << 10;

/// The canonical encoding of a value.
///
/// # Errors
/// [`EncodingError::Unencodable`] where serde's value has no DAG-CBOR (128-bit integers, keys that are not text,
/// tags other than 42), [`EncodingError::FloatValue`], [`EncodingError::KeyTwice`], [`EncodingError::Depth`],
/// [`EncodingError::Size`].
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodingError> {
    let bytes = encode::to_vec(value)?;
    if bytes.len() > MAX_OBJECT { Err(EncodingError::Size { limit: MAX_OBJECT }) } else { Ok(bytes.into()) }
}

/// Reads a typed value: canonical, of that shape, and nothing left unsaid.
///
/// # Errors
/// What [`check`] finds; [`EncodingError::Shape`] if the fields do not fit; [`EncodingError::NotFaithful`] if the
/// type would write something else (unknown fields, for instance).
pub fn decode<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, EncodingError> {
    check(bytes)?;
    read_checked(bytes)
}

/// [`decode`] for bytes that [`check`] has passed.
pub(crate) fn read_checked<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, EncodingError> {
    let value: T = decode::from_slice(bytes)?;
    if encode::to_vec(&value)? == bytes { Ok(value) } else { Err(EncodingError::NotFaithful) }
}

/// The exact bytes of an object that is a map, without the entries under `keys`: the head counts the others. The
/// result is canonical when `bytes` are. This is what the signature inside an object signs.
///
/// # Errors
/// What [`check`] finds; [`EncodingError::Shape`] if the object is no map.
pub fn without(bytes: &[u8], keys: &[&str]) -> Result<Vec<u8>, EncodingError> {
    check(bytes)?;
    let mut kept = Vec::with_capacity(bytes.len());
    let mut entries = 0_u64;
    for entry in entries_of(bytes)? {
        let (key, whole) = entry?;
        if !keys.contains(&key) {
            entries += 1;
            kept.extend_from_slice(whole);
        }
    }
    let mut out = Vec::with_capacity(kept.len() + 9);
    encode::head(&mut out, input::MAP, entries);
    out.extend_from_slice(&kept);
    Ok(out)
}

/// The entries of a top-level map: key, and the bytes of key and value together.
fn entries_of(
    bytes: &[u8],
) -> Result<impl Iterator<Item = Result<(&str, &[u8]), EncodingError>>, EncodingError> {
    if bytes.first().is_none_or(|first| first >> 5 != input::MAP) {
        return Err(EncodingError::Shape);
    }
    let (_, mut rest) = split_head(bytes)?;
    Ok(core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        Some((|| {
            let key_len = check::item_len(rest)?;
            let (key, value) = rest.split_at_checked(key_len).ok_or(EncodingError::Truncated)?;
            let whole_len = key_len + check::item_len(value)?;
            let (whole, after) = rest.split_at_checked(whole_len).ok_or(EncodingError::Truncated)?;
            rest = after;
            let (_, text) = split_head(key)?;
            Ok((core::str::from_utf8(text).map_err(|_| EncodingError::Text)?, whole))
        })())
    }))
}

/// Splits a checked item after its head.
fn split_head(item: &[u8]) -> Result<(&[u8], &[u8]), EncodingError> {
    let len = match item.first().map(|first| first & 31) {
        Some(24) => 2,
        Some(25) => 3,
        Some(26) => 5,
        Some(27) => 9,
        _ => 1,
    };
    item.split_at_checked(len).ok_or(EncodingError::Truncated)
}

/// A value of an identifying field.
pub(crate) enum Plain<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    List(&'a [&'a [u8]]),
}

/// The SHA-256 of a map of plain fields, given in canonical order: what [`encode`] and hashing give, without an
/// error to handle. For the ids of identity objects, which exist whatever their fields are.
pub(crate) fn hash_map(fields: &[(&str, Plain<'_>)]) -> [u8; 32] {
    let mut out = Vec::with_capacity(128);
    encode::head(&mut out, input::MAP, fields.len() as u64);
    let string = |out: &mut Vec<u8>, major, bytes: &[u8]| {
        encode::head(out, major, bytes.len() as u64);
        out.extend_from_slice(bytes);
    };
    for (key, value) in fields {
        string(&mut out, input::TEXT, key.as_bytes());
        match value {
            Plain::Text(text) => string(&mut out, input::TEXT, text.as_bytes()),
            Plain::Bytes(bytes) => string(&mut out, input::BYTES, bytes),
            Plain::List(list) => {
                encode::head(&mut out, input::ARRAY, list.len() as u64);
                list.iter().for_each(|bytes| string(&mut out, input::BYTES, bytes));
            }
        }
    }
    Sha256::digest(&out).into()
}
