//! How the store's own small records are written: fixed integers little-endian, lengths and counts as LEB128.
//!
//! Not DAG-CBOR: these bytes are never hashed, signed or sent, and stand in the hot path.

use alloc::string::String;
use alloc::vec::Vec;

use crate::StoreError;

const DAMAGED: StoreError = StoreError::Corrupt("a record ends early or has a field that cannot be");

/// Appends a number in 1 to 10 bytes, seven bits each, least significant first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Small for small distances in either direction.
pub(crate) const fn zigzag(from: u64, to: u64) -> u64 {
    let distance = to.wrapping_sub(from).cast_signed();
    ((distance << 1) ^ (distance >> 63)).cast_unsigned()
}

/// Takes [`zigzag`] back.
pub(crate) const fn unzigzag(from: u64, code: u64) -> u64 {
    let distance = (code >> 1).cast_signed() ^ -((code & 1).cast_signed());
    from.wrapping_add(distance.cast_unsigned())
}

/// Builds a record.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn num(mut self, value: u64) -> Self {
        put_varint(&mut self.0, value);
        self
    }

    /// Bytes whose length the reader knows.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes with their length.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.num(bytes.len() as u64).raw(bytes)
    }
}

/// Reads a record. Every read says `Corrupt` where the bytes end.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn u8(&mut self) -> Result<u8, StoreError> {
        let (first, rest) = self.0.split_first().ok_or(DAMAGED)?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    pub(crate) fn num(&mut self) -> Result<u64, StoreError> {
        let mut value = 0_u64;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || (shift == 63 && bits > 1) {
                return Err(DAMAGED);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    pub(crate) fn num32(&mut self) -> Result<u32, StoreError> {
        self.num()?.try_into().map_err(|_| DAMAGED)
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], StoreError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(DAMAGED)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        self.raw(N)?.try_into().map_err(|_| DAMAGED)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        let length = usize::try_from(self.num()?).map_err(|_| DAMAGED)?;
        self.raw(length)
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        core::str::from_utf8(self.bytes()?).map(Into::into).map_err(|_| DAMAGED)
    }

    /// The record must end here.
    pub(crate) fn end(self) -> Result<(), StoreError> {
        if self.0.is_empty() { Ok(()) } else { Err(DAMAGED) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let bytes = Writer::default().num(value).0;
            let mut reader = Reader(&bytes);
            assert_eq!(reader.num(), Ok(value));
            assert_eq!(reader.end(), Ok(()));
        }
        for (from, to) in [(0, 0), (5, 3), (3, 5), (0, u64::MAX), (u64::MAX, 0), (1 << 63, 7)] {
            assert_eq!(unzigzag(from, zigzag(from, to)), to);
        }
    }

    #[test]
    fn damage_is_an_error() {
        assert_eq!(Reader(&[0x80]).num(), Err(DAMAGED));
        assert_eq!(Reader(&[0xff; 10]).num(), Err(DAMAGED));
        assert_eq!(Reader(&[5, 1, 2]).bytes(), Err(DAMAGED));
        assert_eq!(Reader(&[2, 0xff, 0xfe]).text(), Err(DAMAGED));
        assert_eq!(Reader(&[1]).end(), Err(DAMAGED));
    }
}
