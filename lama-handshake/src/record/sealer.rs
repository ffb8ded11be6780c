//! The sending half.

use bytes::{BufMut as _, BytesMut};

use super::{HEADER_LEN, MAX_PLAINTEXT, RecordType, Usage, bucket};
use crate::noise::{CipherState, TAG_LEN};
use crate::{HandshakeError, RekeyLimits};

/// Seals records of one direction, in order. A record that was sealed must be sent: the next one does not open
/// without it.
#[derive(Debug)]
pub struct Sealer {
    cipher: CipherState,
    usage: Usage,
    limits: RekeyLimits,
}

impl Sealer {
    /// The half with this cipher.
    #[must_use]
    pub fn new(cipher: CipherState, limits: RekeyLimits) -> Self {
        Self { cipher, usage: Usage::default(), limits }
    }

    /// Seals one record with the smallest padding; appends it to `out`.
    ///
    /// # Errors
    /// As [`Sealer::finish`].
    pub fn seal(&mut self, kind: RecordType, body: &[u8], out: &mut BytesMut) -> Result<(), HandshakeError> {
        let start = Self::begin(out, body.len());
        out.extend_from_slice(body);
        self.finish(kind, start, 0, out)
    }

    /// Begins a record at the end of `out`, with room for a body of `expect` bytes, its padding and tag. Append the
    /// body, then [`Sealer::finish`]: the body is sealed where it stands.
    pub fn begin(out: &mut BytesMut, expect: usize) -> usize {
        let start = out.len();
        out.reserve(bucket(expect.saturating_add(HEADER_LEN)).unwrap_or(MAX_PLAINTEXT) + TAG_LEN);
        out.put_bytes(0, HEADER_LEN);
        start
    }

    /// Seals what was appended since [`Sealer::begin`] gave `start`, padded to the smallest bucket that is not below
    /// `at_least` bytes of plaintext.
    ///
    /// # Errors
    /// [`HandshakeError::LocalTooLong`] for a body that fits into no record; [`HandshakeError::NonceExhausted`].
    /// Nothing is left in `out` from `start` on.
    pub fn finish(
        &mut self,
        kind: RecordType,
        start: usize,
        at_least: usize,
        out: &mut BytesMut,
    ) -> Result<(), HandshakeError> {
        let result = self.finish_or_leave(kind, start, at_least, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn finish_or_leave(
        &mut self,
        kind: RecordType,
        start: usize,
        at_least: usize,
        out: &mut BytesMut,
    ) -> Result<(), HandshakeError> {
        let len = out.len().checked_sub(start).ok_or(HandshakeError::Misuse)?;
        let padded = bucket(len.max(at_least)).ok_or(HandshakeError::LocalTooLong)?;
        let body = len.checked_sub(HEADER_LEN).and_then(|body| u32::try_from(body).ok());
        let [_, high, middle, low] = body.ok_or(HandshakeError::Misuse)?.to_be_bytes();
        let header = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut).ok_or(HandshakeError::Misuse)?;
        *header = [kind.number(), high, middle, low];
        if self.usage.is_spent(&self.limits) {
            self.rekey();
        }
        out.reserve(padded - len + TAG_LEN);
        out.put_bytes(0, padded - len);
        self.cipher.seal(&[], out, start)?;
        self.usage.count(padded + TAG_LEN);
        Ok(())
    }

    /// Takes a new key now; the peer does so on reading the REKEY record sealed just before.
    pub fn rekey(&mut self) {
        self.cipher.rekey();
        self.usage = Usage::default();
    }

    /// Other limits for the next `REKEY`; the peer must have the same.
    pub const fn set_limits(&mut self, limits: RekeyLimits) {
        self.limits = limits;
    }

    /// How many records were sealed.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.cipher.counter()
    }

    /// Starts near the end of the counter, for a test of it.
    #[doc(hidden)]
    pub const fn danger_set_counter(&mut self, n: u64) {
        self.cipher.danger_set_counter(n);
    }
}
