//! The receiving half.

use bytes::{Buf as _, BytesMut};

use super::{BUCKETS, HEADER_LEN, RecordType, Usage};
use crate::noise::{CipherState, TAG_LEN};
use crate::{HandshakeError, RekeyLimits};

/// Opens records of one direction, in order. The first failure is final: the key is wiped, and every later call
/// gives the same error.
#[derive(Debug)]
pub struct Opener {
    state: Result<CipherState, HandshakeError>,
    usage: Usage,
    limits: RekeyLimits,
}

impl Opener {
    /// The half with this cipher.
    #[must_use]
    pub fn new(cipher: CipherState, limits: RekeyLimits) -> Self {
        Self { state: Ok(cipher), usage: Usage::default(), limits }
    }

    /// Opens one record in place: afterwards `record` is the body. A record that does not authenticate is left as
    /// it was.
    ///
    /// # Errors
    /// [`HandshakeError::RecordLength`], [`HandshakeError::RecordUnauthentic`], [`HandshakeError::RecordType`],
    /// [`HandshakeError::RecordBody`], [`HandshakeError::PaddingNotZero`], [`HandshakeError::NonceExhausted`]; each
    /// ends the session.
    pub fn open(&mut self, record: &mut BytesMut) -> Result<RecordType, HandshakeError> {
        let result = self.try_open(record);
        if let Err(error) = &result {
            self.state = Err(error.clone());
        }
        result
    }

    fn try_open(&mut self, record: &mut BytesMut) -> Result<RecordType, HandshakeError> {
        let cipher = self.state.as_mut().map_err(|error| error.clone())?;
        let len = record.len();
        if !len.checked_sub(TAG_LEN).is_some_and(|plain| BUCKETS.contains(&plain)) {
            return Err(HandshakeError::RecordLength);
        }
        if self.usage.is_spent(&self.limits) {
            cipher.rekey();
            self.usage = Usage::default();
        }
        cipher.open(&[], record).map_err(|error| match error {
            HandshakeError::Unauthentic => HandshakeError::RecordUnauthentic,
            other => other,
        })?;
        self.usage.count(len);
        let (&[kind, high, middle, low], rest) =
            record.split_first_chunk::<HEADER_LEN>().ok_or(HandshakeError::RecordLength)?;
        let body = u32::from_be_bytes([0, high, middle, low]) as usize;
        let padding = rest.get(body..).ok_or(HandshakeError::RecordBody)?;
        // Without an early exit the loop is made of vector instructions.
        if padding.iter().fold(0, |seen, byte| seen | byte) != 0 {
            return Err(HandshakeError::PaddingNotZero);
        }
        let kind = RecordType::from_number(kind).ok_or(HandshakeError::RecordType(kind))?;
        record.advance(HEADER_LEN);
        record.truncate(body);
        if kind == RecordType::Rekey {
            if body != 0 {
                return Err(HandshakeError::RecordBody);
            }
            cipher.rekey();
            self.usage = Usage::default();
        }
        Ok(kind)
    }

    /// Other limits for the next `REKEY`; the peer must have the same.
    pub const fn set_limits(&mut self, limits: RekeyLimits) {
        self.limits = limits;
    }

    /// How many records were opened; `None` after a failure.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.state.as_ref().ok().map(CipherState::counter)
    }

    /// Ends the half for a reason found in a record's content: the key is wiped.
    pub fn end(&mut self, error: HandshakeError) {
        if self.state.is_ok() {
            self.state = Err(error);
        }
    }

    /// Starts near the end of the counter, for a test of it.
    #[doc(hidden)]
    pub fn danger_set_counter(&mut self, n: u64) {
        if let Ok(cipher) = &mut self.state {
            cipher.danger_set_counter(n);
        }
    }
}
