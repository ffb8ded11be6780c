//! The session: streams of messages with credit, and what keeps it alive, over records.
//!
//! A message of any size (up to the stream's limit) is cut into DATA records; the receiver puts it together. There is
//! no queue of frames: [`Mux::poll_frame`] *asks* for the next message when the link has room and the stream has
//! credit. The lower a stream's number, the more urgent: a piece of bulk never delays more than one record.

mod incoming;
mod outgoing;

use core::array;
use core::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use lama_core::{Instant, Now};

use crate::liveness::Liveness;
use crate::record::{Opener, Sealer};
use crate::{CloseCode, Config, HandshakeError, Mode, RecordType, RejectCode, Role, STREAMS};
use incoming::{Held, Incoming};
use outgoing::Outgoing;

/// DATA flag: the first piece of a message; its whole size follows.
const BEGIN: u8 = 1;
/// DATA flag: the last piece of a message.
const FIN: u8 = 2;
/// `stream u8 | flags u8 | seq u32`.
const DATA_HEADER: usize = 6;
/// `stream u8 | flags u8 | seq u32 | size u32`, in the first piece.
const BEGIN_HEADER: usize = 10;
/// The most credit a stream can have.
const MAX_CREDIT: u32 = 8 << 20;

/// The longest message that goes in one record: for senders that pack many small things into full records.
pub const MAX_IN_ONE_RECORD: usize = crate::record::MAX_BODY - BEGIN_HEADER;

/// The number of a stream, below [`STREAMS`]. The lower, the more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u8);

impl StreamId {
    /// Short messages that others wait for.
    pub const CONTROL: Self = Self(0);
    /// What a person waits for.
    pub const INTERACTIVE: Self = Self(1);
    /// Objects in bulk.
    pub const OBJECTS: Self = Self(2);
    /// Chunks of blobs.
    pub const BLOBS: Self = Self(3);

    /// The stream with this number, if it exists.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if (number as usize) < STREAMS { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// What a received message holds: memory and credit. Give it back with [`Mux::release`] when the message has been
/// worked off; until then the peer's credit is short by it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a receipt that is not released takes credit from the peer for good"]
pub struct Receipt {
    stream: StreamId,
    held: u64,
    credit: u32,
}

/// What a record brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing for the application.
    Nothing,
    /// The responder has stored its side: contacts are active at both ends. Comes once, to the initiator.
    Ready,
    /// A whole message.
    Message {
        /// The stream.
        stream: StreamId,
        /// The message.
        message: Bytes,
        /// To be released.
        receipt: Receipt,
    },
    /// The peer has said its last: nothing follows, nothing is missing.
    Closed(CloseCode),
}

/// A session's streams. See the [module](self).
#[derive(Debug)]
pub struct Mux {
    sealer: Sealer,
    opener: Opener,
    role: Role,
    /// The initiator may send before the acknowledgement.
    early: bool,
    config: Config,
    outgoing: [Outgoing; STREAMS],
    incoming: [Incoming; STREAMS],
    held: Held,
    liveness: Liveness,
    now: Instant,
    /// The responder has stored its side and wants to say so.
    acknowledge: bool,
    /// The responder's READY has passed.
    acknowledged: bool,
    pong: Option<[u8; 8]>,
    rekey_at: Instant,
    renew_at: Instant,
    close: Option<CloseCode>,
    close_sent: bool,
    peer_closed: Option<CloseCode>,
    ended: Option<HandshakeError>,
}

impl Mux {
    pub(crate) fn new(
        mut sealer: Sealer,
        mut opener: Opener,
        role: Role,
        mode: Mode,
        config: &Config,
        jitter: u64,
        now: Now,
    ) -> Self {
        sealer.set_limits(config.rekey);
        opener.set_limits(config.rekey);
        let stream = |index: usize| StreamId(index as u8);
        let longest = config.max_message.iter().copied().max().unwrap_or_default();
        Self {
            sealer,
            opener,
            role,
            early: mode == Mode::Known,
            config: *config,
            outgoing: array::from_fn(|index| Outgoing::new(stream(index), config.initial_window)),
            incoming: array::from_fn(|index| {
                Incoming::new(stream(index), config.initial_window, config.max_window.min(MAX_CREDIT))
            }),
            held: Held { bytes: 0, max: u64::from(config.max_held.max(longest)) },
            liveness: Liveness::new(config, jitter, now.mono),
            now: now.mono,
            acknowledge: false,
            acknowledged: false,
            pong: None,
            rekey_at: now.mono + config.rekey_after,
            renew_at: now.mono + config.renew_after,
            close: None,
            close_sent: false,
            peer_closed: None,
            ended: None,
        }
    }

    /// The responder has stored its side (or its user has approved): the next record says so. Once.
    ///
    /// # Errors
    /// [`HandshakeError::Misuse`] for the initiator, or a second time.
    pub fn acknowledge(&mut self) -> Result<(), HandshakeError> {
        if self.role == Role::Initiator || self.acknowledge {
            return Err(HandshakeError::Misuse);
        }
        self.acknowledge = true;
        Ok(())
    }

    /// In a pairing for which nobody has to be asked (policy `auto`, which both ends know from the invitation) the
    /// initiator may send behind its READY, as it may in [`Mode::Known`]: the first object then comes with the
    /// acknowledgement. Under `confirm` nothing but PING and CLOSE passes before it.
    pub const fn allow_early(&mut self) {
        self.early = true;
    }

    /// Whether messages may be sent: for the responder after its acknowledgement, for the initiator after it has come,
    /// or at once in [`Mode::Known`] and after [`Mux::allow_early`].
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.acknowledged || (self.role == Role::Initiator && self.early)
    }

    /// Opens one record from the link.
    ///
    /// # Errors
    /// The first one is final; nothing is said to the peer, close the link.
    pub fn open(&mut self, now: Now, record: BytesMut) -> Result<Received, HandshakeError> {
        self.advance(now)?;
        let result = self.try_open(record);
        self.end_on_error(&result);
        result
    }

    fn try_open(&mut self, mut record: BytesMut) -> Result<Received, HandshakeError> {
        let kind = self.opener.open(&mut record)?;
        if self.peer_closed.is_some() {
            return Err(HandshakeError::AfterClose);
        }
        let mut body = record;
        match kind {
            RecordType::Data => return self.data(body),
            RecordType::Window => {
                let stream = body.try_get_u8().map_err(|_| HandshakeError::RecordBody)?;
                let credit = u32::from_be_bytes(fixed(&body)?);
                stream_of(&mut self.outgoing, stream)?.grant(credit)?;
            }
            RecordType::Ping => self.pong = Some(fixed(&body)?),
            RecordType::Pong => self.liveness.pong(fixed(&body)?, self.now)?,
            RecordType::Rekey => {}
            RecordType::Ready => {
                if self.role == Role::Responder || self.acknowledged {
                    return Err(HandshakeError::RecordUnexpected(kind));
                }
                let [] = fixed(&body)?;
                self.acknowledged = true;
                return Ok(Received::Ready);
            }
            RecordType::Close => return self.closed(body),
            RecordType::Reject => {
                // The initiator's refusal in place of READY has no place here, and the responder's neither after it.
                let [code] = fixed(&body)?;
                let code = RejectCode::from_number(code).ok_or(HandshakeError::RecordBody)?;
                let may = !self.acknowledged && self.role == Role::Initiator;
                return Err(if may {
                    HandshakeError::Rejected(code)
                } else {
                    HandshakeError::RecordUnexpected(kind)
                });
            }
            RecordType::Auth => return Err(HandshakeError::RecordUnexpected(kind)),
        }
        Ok(Received::Nothing)
    }

    fn data(&mut self, mut body: BytesMut) -> Result<Received, HandshakeError> {
        let early = match self.role {
            Role::Initiator => !self.acknowledged,
            Role::Responder => !self.acknowledged && !self.early,
        };
        if early {
            return Err(HandshakeError::DataBeforeReady);
        }
        let number = body.try_get_u8().map_err(|_| HandshakeError::RecordBody)?;
        let limit = self.config.max_message.get(usize::from(number)).copied().unwrap_or_default();
        let stream = stream_of(&mut self.incoming, number)?;
        Ok(match stream.data(body, limit, &mut self.held)? {
            Some((message, receipt)) => Received::Message { stream: StreamId(number), message, receipt },
            None => Received::Nothing,
        })
    }

    fn closed(&mut self, mut body: BytesMut) -> Result<Received, HandshakeError> {
        let code = body.try_get_u8().map_err(|_| HandshakeError::RecordBody)?;
        let code = CloseCode::from_number(code).ok_or(HandshakeError::RecordBody)?;
        for stream in &self.incoming {
            if body.try_get_u32().map_err(|_| HandshakeError::RecordBody)? != stream.seq {
                return Err(HandshakeError::CloseMismatch);
            }
        }
        let [] = fixed(&body)?;
        self.peer_closed = Some(code);
        Ok(Received::Closed(code))
    }

    /// The application is done with a message: its credit goes back to the peer.
    pub fn release(&mut self, receipt: Receipt) {
        self.held.bytes = self.held.bytes.saturating_sub(receipt.held);
        if let Ok(stream) = stream_of(&mut self.incoming, receipt.stream.0) {
            stream.release(receipt.credit);
        }
        for stream in &mut self.incoming {
            stream.admit(&mut self.held);
        }
    }

    /// Appends the next record to `out`, or leaves `out` alone and returns `false`. Call it only when the link has
    /// room: a record that was sealed must be sent.
    ///
    /// `source` is asked for the next message of a stream, the most urgent first: it appends *one whole message* to the
    /// buffer and returns `true`, or leaves the buffer alone and returns `false`. Its second argument is how long a
    /// message may be to go in one record now, which costs no copy; longer ones are cut.
    pub fn poll_frame(
        &mut self,
        source: &mut dyn FnMut(StreamId, usize, &mut BytesMut) -> bool,
        out: &mut BytesMut,
    ) -> bool {
        if self.ended.is_some() || self.close_sent {
            return false;
        }
        let start = out.len();
        let result = self.try_poll_frame(source, out);
        self.end_on_error(&result);
        result.unwrap_or_else(|_| {
            out.truncate(start);
            false
        })
    }

    fn try_poll_frame(
        &mut self,
        source: &mut outgoing::Source<'_>,
        out: &mut BytesMut,
    ) -> Result<bool, HandshakeError> {
        if self.poll_control(out)? {
            return Ok(true);
        }
        if !self.may_send() || self.peer_closed.is_some() {
            return Ok(false);
        }
        for (stream, limit) in self.outgoing.iter_mut().zip(self.config.max_message) {
            if stream.poll(&mut self.sealer, limit, source, out)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whatever is not data, the most urgent first.
    fn poll_control(&mut self, out: &mut BytesMut) -> Result<bool, HandshakeError> {
        if let Some(code) = self.close {
            let mut body = BytesMut::with_capacity(1 + 4 * STREAMS);
            body.put_u8(code.number());
            self.outgoing.iter().for_each(|stream| body.put_u32(stream.seq));
            self.sealer.seal(RecordType::Close, &body, out)?;
            self.close_sent = true;
        } else if self.acknowledge && !self.acknowledged {
            self.sealer.seal(RecordType::Ready, &[], out)?;
            self.acknowledged = true;
        } else if self.now >= self.rekey_at {
            self.sealer.seal(RecordType::Rekey, &[], out)?;
            self.sealer.rekey();
            self.rekey_at = self.now + self.config.rekey_after;
        } else if let Some(body) = self.pong.take() {
            self.sealer.seal(RecordType::Pong, &body, out)?;
        } else if let Some((stream, credit)) = self
            .incoming
            .iter_mut()
            .enumerate()
            .find_map(|(number, stream)| stream.is_window_due().then(|| (number as u8, stream.window())))
        {
            let [a, b, c, d] = credit.to_be_bytes();
            self.sealer.seal(RecordType::Window, &[stream, a, b, c, d], out)?;
        } else if self.liveness.is_ping_due() {
            let body = self.liveness.ping(self.now);
            self.sealer.seal(RecordType::Ping, &body, out)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether [`Mux::poll_frame`] has something to send even without a new message.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        if self.ended.is_some() || self.close_sent {
            return false;
        }
        let control = self.close.is_some()
            || (self.acknowledge && !self.acknowledged)
            || self.now >= self.rekey_at
            || self.pong.is_some()
            || self.incoming.iter().any(Incoming::is_window_due)
            || self.liveness.is_ping_due();
        let may_send = self.may_send() && self.peer_closed.is_none();
        control || (may_send && self.outgoing.iter().any(Outgoing::is_pending))
    }

    /// Bytes of messages that [`Mux::poll_frame`] has taken from its source and not sent: a CLOSE now would cut them off.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.outgoing.iter().map(Outgoing::unsent).sum()
    }

    /// Says goodbye: the next record is CLOSE, and nothing follows. A message under way is not finished.
    pub fn close(&mut self, code: CloseCode) {
        self.close.get_or_insert(code);
    }

    /// Whether CLOSE has been sealed: after sending it, close the link.
    #[must_use]
    pub const fn is_close_sent(&self) -> bool {
        self.close_sent
    }

    /// The link has ended. What did it mean?
    ///
    /// # Errors
    /// The session's error, if it had one; [`HandshakeError::Truncated`] if neither side had said goodbye: whatever was
    /// not acknowledged was not received.
    pub fn link_closed(&self) -> Result<CloseCode, HandshakeError> {
        match (&self.ended, self.peer_closed, self.close.filter(|_| self.close_sent)) {
            (Some(error), ..) => Err(error.clone()),
            (None, Some(code), _) | (None, None, Some(code)) => Ok(code),
            (None, None, None) => Err(HandshakeError::Truncated),
        }
    }

    /// Time has passed.
    ///
    /// # Errors
    /// [`HandshakeError::PeerSilent`], or the error with which the session has ended.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), HandshakeError> {
        self.advance(now)?;
        let result = self.liveness.handle_timeout(self.now);
        self.end_on_error(&result);
        result
    }

    /// There is reason to doubt that the peer is still there, such as a second session of its own: a PING is the next
    /// record but those that are more urgent, and without its answer within [`Config::step_timeout`] the session ends
    /// with [`HandshakeError::PeerSilent`].
    pub fn probe(&mut self, now: Now) {
        self.now = self.now.max(now.mono);
        self.liveness.probe(self.now + self.config.step_timeout);
    }

    /// Whether a PING waits to be sent or answered: while it does, [`Mux::round_trip`] is an older one's.
    #[must_use]
    pub const fn is_ping_outstanding(&self) -> bool {
        self.liveness.is_outstanding()
    }

    /// When [`Mux::handle_timeout`] wants to be called; `None` after the end.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.ended.is_some() || self.peer_closed.is_some() || self.close_sent {
            return None;
        }
        let live = self.liveness.due();
        Some(if self.is_renewal_due() { live } else { live.min(self.renew_at) })
    }

    /// Whether the session has lived long enough for a successor with a fresh handshake.
    #[must_use]
    pub fn is_renewal_due(&self) -> bool {
        self.now >= self.renew_at
    }

    /// The time between the last PING and its answer.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Duration> {
        self.liveness.round_trip()
    }

    /// Why the session has ended, if it has.
    #[must_use]
    pub const fn error(&self) -> Option<&HandshakeError> {
        self.ended.as_ref()
    }

    fn advance(&mut self, now: Now) -> Result<(), HandshakeError> {
        self.now = self.now.max(now.mono);
        self.ended.clone().map_or(Ok(()), Err)
    }

    fn end_on_error<T>(&mut self, result: &Result<T, HandshakeError>) {
        if let Err(error) = result {
            self.opener.end(error.clone());
            self.ended.get_or_insert_with(|| error.clone());
        }
    }
}

/// A body of exactly `N` bytes.
fn fixed<const N: usize>(body: &[u8]) -> Result<[u8; N], HandshakeError> {
    body.try_into().map_err(|_| HandshakeError::RecordBody)
}

/// The stream with this number.
fn stream_of<T>(streams: &mut [T; STREAMS], number: u8) -> Result<&mut T, HandshakeError> {
    streams.get_mut(usize::from(number)).ok_or(HandshakeError::StreamUnknown(number))
}
