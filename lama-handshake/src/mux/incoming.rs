//! The receiving side of one stream: credit given, numbers, and the message that is being put together.

use bytes::{Buf as _, Bytes, BytesMut};

use super::{BEGIN, FIN, Receipt, StreamId};
use crate::HandshakeError;

/// How much of an announced size is reserved before any of it has arrived.
const RESERVE: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Incoming {
    id: StreamId,
    /// What the peer may still send.
    credit: u32,
    /// What may be given back with the next WINDOW.
    owed: u32,
    /// How much credit is in circulation.
    window: u32,
    max_window: u32,
    /// Received since the window last grew.
    since_growth: u64,
    pub(super) seq: u32,
    partial: Option<Partial>,
}

/// A message of several records.
#[derive(Debug)]
struct Partial {
    size: usize,
    bytes: BytesMut,
    /// Its whole size is counted in what the session holds. Until then no credit is given back for its pieces.
    admitted: bool,
    withheld: u32,
}

/// What one DATA record amounts to.
pub(super) type Piece = Option<(Bytes, Receipt)>;

/// What a session holds, and may hold.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: u64,
    pub(super) max: u64,
}

impl Incoming {
    pub(super) fn new(id: StreamId, window: u32, max_window: u32) -> Self {
        Self { id, credit: window, owed: 0, window, max_window, since_growth: 0, seq: 0, partial: None }
    }

    /// Takes a DATA record's body after its stream number.
    pub(super) fn data(
        &mut self,
        mut body: BytesMut,
        max_message: u32,
        held: &mut Held,
    ) -> Result<Piece, HandshakeError> {
        // The stream's number has been read; it counts.
        let charge = u32::try_from(body.len() + 1).map_err(|_| HandshakeError::RecordBody)?;
        self.credit = self.credit.checked_sub(charge).ok_or(HandshakeError::CreditExceeded)?;
        self.since_growth = self.since_growth.saturating_add(u64::from(charge));
        if body.len() < 5 {
            return Err(HandshakeError::RecordBody);
        }
        let flags = body.get_u8();
        if body.get_u32() != self.seq {
            return Err(HandshakeError::StreamSequence);
        }
        self.seq = self.seq.checked_add(1).ok_or(HandshakeError::NonceExhausted)?;
        if flags & !(BEGIN | FIN) != 0 {
            return Err(HandshakeError::StreamForm);
        }
        if flags & BEGIN != 0 {
            self.begin(body, flags & FIN != 0, charge, max_message, held)
        } else {
            self.go_on(body, flags & FIN != 0, charge, held)
        }
    }

    /// The first piece of a message.
    fn begin(
        &mut self,
        mut body: BytesMut,
        fin: bool,
        charge: u32,
        max_message: u32,
        held: &mut Held,
    ) -> Result<Piece, HandshakeError> {
        let size = body.try_get_u32().map_err(|_| HandshakeError::RecordBody)?;
        if size > max_message {
            return Err(HandshakeError::MessageTooLarge);
        }
        let size = size as usize;
        let complete = body.len() == size;
        if self.partial.is_some() || body.len() > size || complete != fin {
            return Err(HandshakeError::StreamForm);
        }
        if complete {
            held.bytes = held.bytes.saturating_add(size as u64);
            return Ok(Some((body.freeze(), Receipt { stream: self.id, held: size as u64, credit: charge })));
        }
        if body.is_empty() {
            return Err(HandshakeError::StreamForm);
        }
        let mut bytes = BytesMut::with_capacity(size.min(RESERVE.max(body.len())));
        bytes.extend_from_slice(&body);
        self.partial = Some(Partial { size, bytes, admitted: false, withheld: charge });
        self.admit(held);
        Ok(None)
    }

    /// A further piece.
    fn go_on(
        &mut self,
        body: BytesMut,
        fin: bool,
        charge: u32,
        held: &mut Held,
    ) -> Result<Piece, HandshakeError> {
        let partial = self.partial.as_mut().ok_or(HandshakeError::StreamForm)?;
        let have = partial.bytes.len() + body.len();
        if body.is_empty() || have > partial.size || fin != (have == partial.size) {
            return Err(HandshakeError::StreamForm);
        }
        if have > partial.bytes.capacity() {
            // The peer has sent what was reserved at first: now the whole is worth it.
            partial.bytes.reserve(partial.size - partial.bytes.len());
        }
        partial.bytes.extend_from_slice(&body);
        partial.withheld = partial.withheld.saturating_add(charge);
        if !fin {
            self.admit(held);
            return Ok(None);
        }
        let Some(whole) = self.partial.take() else { return Ok(None) };
        if !whole.admitted {
            held.bytes = held.bytes.saturating_add(whole.size as u64);
        }
        let receipt = Receipt { stream: self.id, held: whole.size as u64, credit: whole.withheld };
        Ok(Some((whole.bytes.freeze(), receipt)))
    }

    /// Gives credit back for the pieces of a message, once its whole size has its place in what the session holds.
    /// So a message larger than the window cannot stall both ends.
    pub(super) fn admit(&mut self, held: &mut Held) {
        let Some(partial) = &mut self.partial else { return };
        let with = held.bytes.saturating_add(partial.size as u64);
        if !partial.admitted && with <= held.max {
            partial.admitted = true;
            held.bytes = with;
        }
        if partial.admitted {
            self.owed = self.owed.saturating_add(core::mem::take(&mut partial.withheld));
        }
    }

    /// The application is done with a message.
    pub(super) const fn release(&mut self, credit: u32) {
        self.owed = self.owed.saturating_add(credit);
    }

    /// Whether there is enough to give back for a WINDOW record.
    pub(super) const fn is_window_due(&self) -> bool {
        self.owed > 0 && self.owed >= self.window / 4
    }

    /// The credit of the WINDOW record that is due. The window doubles while much is received.
    pub(super) fn window(&mut self) -> u32 {
        let mut credit = core::mem::take(&mut self.owed);
        let doubled = self.window.saturating_mul(2);
        if self.since_growth >= u64::from(self.window) * 4 && doubled <= self.max_window {
            credit = credit.saturating_add(self.window);
            self.window = doubled;
            self.since_growth = 0;
        }
        self.credit = self.credit.saturating_add(credit);
        credit
    }
}
