//! The session of a link, after its handshake.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lama_core::{Instant, Now};
use lama_handshake::{
    CheckCode, CloseCode, Config, Established, HandshakeError, Mux, Receipt, Received, STREAMS, StreamId,
};

use crate::Problem;

/// Until what was queued before a goodbye has left.
const FAREWELL: Duration = Duration::from_secs(10);
/// What a message that waits takes beside its bytes.
const MESSAGE_COST: usize = 16;

/// A session.
pub(super) struct Open {
    mux: Mux,
    pub(super) check_code: Option<CheckCode>,
    /// Until when the other side has to have stored a pairing; `None`: it has.
    ready_by: Option<Instant>,
    /// This side ends it, when what was to be sent is sent, or at that time; without one at once.
    goodbye: Option<(CloseCode, Option<Instant>)>,
    /// The other side has ended it.
    ended: bool,
    queues: [VecDeque<Bytes>; STREAMS],
    /// Of messages that the host has not taken.
    receipts: VecDeque<Receipt>,
}

/// What a record brought.
pub(super) enum Heard {
    /// The other side has stored the pairing.
    Ready,
    Message(StreamId, Bytes),
    Closed(CloseCode),
}

pub(super) fn closed() -> Problem {
    Problem::new("session.closed", "this link has no session, or none any more; dial again")
}

impl Open {
    pub(super) fn new(established: Established, ready_by: Option<Instant>) -> Self {
        let Established { mux, check_code, .. } = established;
        let (queues, receipts) = (std::array::from_fn(|_| VecDeque::new()), VecDeque::new());
        Self { mux, check_code, ready_by, goodbye: None, ended: false, queues, receipts }
    }

    pub(super) fn heard(&mut self, record: BytesMut, now: Now) -> Result<Option<Heard>, HandshakeError> {
        Ok(match self.mux.open(now, record)? {
            Received::Nothing => None,
            // Among those who know each other nobody waits for it.
            Received::Ready => self.ready_by.take().map(|_| Heard::Ready),
            Received::Message { stream, message, receipt } => {
                self.receipts.push_back(receipt);
                Some(Heard::Message(stream, message))
            }
            Received::Closed(code) => {
                self.ended = true;
                Some(Heard::Closed(code))
            }
        })
    }

    pub(super) fn send(&mut self, config: &Config, stream: StreamId, message: Bytes) -> Result<(), Problem> {
        let at = usize::from(stream.number());
        let limit = config.max_message.get(at).copied().unwrap_or_default();
        if message.len() > limit as usize {
            let len = message.len();
            let text =
                format!("a message of stream {at} has at most {limit} bytes, this one has {len}; cut it");
            return Err(Problem::new("session.too-long", text));
        }
        if self.goodbye.is_some() || self.ended || self.mux.error().is_some() {
            return Err(closed());
        }
        self.queues.get_mut(at).into_iter().for_each(|queue| queue.push_back(message.clone()));
        Ok(())
    }

    /// Bytes that wait to be sent; each message counts for a few more.
    pub(super) fn queued(&self) -> usize {
        if self.ended || self.mux.is_close_sent() {
            return 0;
        }
        let waiting = self.queues.iter().flatten().map(|message| message.len() + MESSAGE_COST);
        waiting.sum::<usize>() + self.mux.unsent()
    }

    /// The next frame, and whether it is the goodbye of this side.
    pub(super) fn poll_frame(&mut self) -> Option<(Bytes, Option<CloseCode>)> {
        let mut out = BytesMut::new();
        if !self.poll_mux(&mut out) {
            let (code, _) = self.goodbye.filter(|_| self.queued() == 0)?;
            self.mux.close(code);
            self.poll_mux(&mut out).then_some(())?;
        }
        let said = self.goodbye.filter(|_| self.mux.is_close_sent()).map(|(code, _)| code);
        Some((out.freeze(), said))
    }

    fn poll_mux(&mut self, out: &mut BytesMut) -> bool {
        let Self { mux, queues, .. } = self;
        let mut next = |stream: StreamId, _: usize, out: &mut BytesMut| {
            let message = queues.get_mut(usize::from(stream.number())).and_then(VecDeque::pop_front);
            message.map(|message| out.extend_from_slice(&message)).is_some()
        };
        mux.poll_frame(&mut next, out)
    }

    /// The host has taken the oldest message.
    pub(super) fn taken(&mut self) {
        if let Some(receipt) = self.receipts.pop_front() {
            self.mux.release(receipt);
        }
    }

    pub(super) fn close(&mut self, code: CloseCode, now: Instant) {
        self.goodbye.get_or_insert((code, Some(now + FAREWELL)));
    }

    /// The link is gone: what is wrong about that. Who wanted to end it and had nothing to send misses nothing.
    pub(super) fn down(&self) -> Option<HandshakeError> {
        let meant = self.goodbye.is_some() && self.queued() == 0;
        if meant { None } else { self.mux.link_closed().err() }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        // After the end there is nothing to wait for.
        let live = self.mux.poll_timeout()?;
        match self.goodbye {
            // If nothing waits to be sent it only needs room on the link.
            Some((_, until)) => until.filter(|_| self.queued() > 0),
            None => Some(self.ready_by.map_or(live, |by| by.min(live))),
        }
    }

    pub(super) fn timeout(&mut self, now: Now) -> Result<(), HandshakeError> {
        self.mux.handle_timeout(now)?;
        if self.goodbye.is_none() && self.ready_by.is_some_and(|by| by <= now.mono) {
            return Err(HandshakeError::HandshakeTimeout);
        }
        match &mut self.goodbye {
            Some((code, until)) if until.is_some_and(|until| until <= now.mono) => {
                *until = None;
                self.mux.close(*code);
            }
            Some(_) => {}
            None if self.mux.is_renewal_due() => self.close(CloseCode::Renew, now.mono),
            None => {}
        }
        Ok(())
    }
}
