//! Reading heads and strings off the front of CBOR: what the checker and the decoder share.

use crate::EncodingError;

/// The major types of RFC 8949.
pub(super) const UNSIGNED: u8 = 0;
pub(super) const NEGATIVE: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const TEXT: u8 = 3;
pub(super) const ARRAY: u8 = 4;
pub(super) const MAP: u8 = 5;
pub(super) const TAG: u8 = 6;

/// What has not been read.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Major type and argument in shortest form. For major type 7 only what DAG-CBOR has: false, true, null and
    /// finite 64-bit floats.
    #[inline]
    pub(super) fn head(&mut self) -> Result<(u8, u64), EncodingError> {
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
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], EncodingError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(EncodingError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    pub(super) fn take(&mut self, len: u64) -> Result<&'a [u8], EncodingError> {
        let len = usize::try_from(len).map_err(|_| EncodingError::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(EncodingError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Text as bytes, known to be UTF-8. Most text is ASCII, for which the look is much shorter.
    #[inline]
    pub(super) fn text(&mut self, len: u64) -> Result<&'a [u8], EncodingError> {
        let bytes = self.take(len)?;
        if bytes.is_ascii() || core::str::from_utf8(bytes).is_ok() {
            Ok(bytes)
        } else {
            Err(EncodingError::Text)
        }
    }
}
