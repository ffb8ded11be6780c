//! The sending side of one stream: credit, numbers, and the rest of a message that did not fit into one record.

use bytes::{BufMut as _, BytesMut};

use super::{BEGIN, BEGIN_HEADER, DATA_HEADER, FIN, MAX_CREDIT, StreamId};
use crate::record::{MAX_BODY, Sealer};
use crate::{HandshakeError, RecordType};

#[derive(Debug)]
pub(super) struct Outgoing {
    id: StreamId,
    credit: u32,
    /// Below this much credit it is better to wait than to send small pieces.
    patience: u32,
    pub(super) seq: u32,
    /// What is left of the message under way.
    rest: BytesMut,
}

/// Gives the next message of a stream (see [`super::Mux::poll_frame`]).
pub(super) type Source<'a> = dyn FnMut(StreamId, usize, &mut BytesMut) -> bool + 'a;

impl Outgoing {
    pub(super) fn new(id: StreamId, window: u32) -> Self {
        Self { id, credit: window, patience: window / 2, seq: 0, rest: BytesMut::new() }
    }

    /// The peer gives more credit.
    pub(super) fn grant(&mut self, credit: u32) -> Result<(), HandshakeError> {
        let total = self.credit.checked_add(credit).filter(|total| credit > 0 && *total <= MAX_CREDIT);
        self.credit = total.ok_or(HandshakeError::CreditOverflow)?;
        Ok(())
    }

    /// Bytes of the message under way that are not sent.
    pub(super) fn unsent(&self) -> usize {
        self.rest.len()
    }

    /// Whether a message is under way and its next piece may be sent.
    pub(super) fn is_pending(&self) -> bool {
        !self.rest.is_empty() && self.may_send(self.rest.len().saturating_add(DATA_HEADER))
    }

    /// Whether a body of `len` bytes, or a decent part of it, is covered by credit.
    fn may_send(&self, len: usize) -> bool {
        let wanted = len.min(MAX_BODY).min(self.patience as usize);
        self.credit as usize >= wanted.max(BEGIN_HEADER + 1)
    }

    /// Longest body now.
    fn room(&self) -> usize {
        MAX_BODY.min(self.credit as usize)
    }

    /// Seals the next piece, of the message under way or of a new one from `source`. `false`: nothing to send.
    pub(super) fn poll(
        &mut self,
        sealer: &mut Sealer,
        max_message: u32,
        source: &mut Source<'_>,
        out: &mut BytesMut,
    ) -> Result<bool, HandshakeError> {
        if !self.rest.is_empty() {
            if !self.is_pending() {
                return Ok(false);
            }
            let len = self.rest.len().min(self.room() - DATA_HEADER);
            let piece = self.rest.split_to(len);
            let start = Sealer::begin(out, len + DATA_HEADER);
            out.put_u8(self.id.0);
            out.put_u8(if self.rest.is_empty() { FIN } else { 0 });
            out.put_u32(self.seq);
            out.extend_from_slice(&piece);
            return self.seal(sealer, start, out);
        }
        if !self.may_send(MAX_BODY) {
            return Ok(false);
        }
        let start = Sealer::begin(out, BEGIN_HEADER);
        let head = out.len();
        out.put_bytes(0, BEGIN_HEADER);
        let message = out.len();
        if !source(self.id, self.room() - BEGIN_HEADER, out) {
            out.truncate(start);
            return Ok(false);
        }
        let size = out.len().checked_sub(message).and_then(|size| u32::try_from(size).ok());
        let size = size.filter(|size| *size <= max_message).ok_or(HandshakeError::LocalTooLong)?;
        let fits = self.room() - BEGIN_HEADER;
        let mut flags = BEGIN | FIN;
        if size as usize > fits {
            // The pieces after the first share the buffer until each is copied into its record.
            self.rest = out.split_off(message + fits);
            flags = BEGIN;
        }
        let mut header = out.get_mut(head..message).ok_or(HandshakeError::Misuse)?;
        header.put_u8(self.id.0);
        header.put_u8(flags);
        header.put_u32(self.seq);
        header.put_u32(size);
        self.seal(sealer, start, out)
    }

    fn seal(
        &mut self,
        sealer: &mut Sealer,
        start: usize,
        out: &mut BytesMut,
    ) -> Result<bool, HandshakeError> {
        let body = out.len() - start - crate::record::HEADER_LEN;
        self.seq = self.seq.checked_add(1).ok_or(HandshakeError::NonceExhausted)?;
        self.credit = u32::try_from(body)
            .ok()
            .and_then(|body| self.credit.checked_sub(body))
            .ok_or(HandshakeError::Misuse)?;
        sealer.finish(RecordType::Data, start, 0, out)?;
        Ok(true)
    }
}
