//! A session: both persons are authenticated.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use lama_chum::{Acked, Chum, Cursor, Fingerprint, Progress};
use lama_core::{Instant, Machine as _, Ticket};
use lama_handshake::groups::{Connections, GROUP_STREAM};
use lama_handshake::{CloseCode, HandshakeError, Mux, PairKey, Peer, Receipt, Received, Role, StreamId};
use lama_identity::PersonId;

use super::Stage;
use super::link::Turn;
use crate::api::{EndReason, Group, LinkId, PeerInfo, Reply, SessionId};
use crate::hub::Timer;
use crate::log::LogSide;
use crate::node::Node;

/// The stream on which CHUM speaks.
pub(super) const CHUM_STREAM: StreamId = StreamId::OBJECTS;

/// Where a session stands between Auth and CHUM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Dialled side: READY came, our own durable step is under way.
    Work,
    /// Dialled side: a person has to approve.
    Approval,
    /// Dialling side: READY is out, its acknowledgement is awaited.
    Acknowledgement,
    /// Dialling side: it came, our own durable step is under way.
    Finish,
    /// CHUM runs, or starts as soon as its heads are read.
    Open,
    /// CLOSE is to leave, then the link is closed.
    Closing,
}

/// How far the reading of a view's head is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadRead {
    Idle,
    Asked,
    /// The view has grown since it was asked.
    Again,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: SessionId,
    pub(crate) mux: Mux,
    pub(crate) peer: Box<Peer>,
    pub(crate) info: PeerInfo,
    pub(crate) role: Role,
    pub(crate) group: Group,
    pub(crate) gate: Gate,
    /// This session's own pair key, to be taken where the two sides do not have the same one.
    pub(crate) pair: PairKey,
    pub(crate) pair_agreed: bool,
    pub(crate) code: Option<String>,
    pub(crate) chum: Option<Chum>,
    /// Whether the heads for CHUM have been asked for.
    pub(crate) opening: bool,
    /// CHUM messages that came before our side was ready. Their receipts are kept with them, so they are bounded
    /// by the stream's credit.
    pub(crate) early: VecDeque<(Bytes, Receipt)>,
    pub(crate) head: HeadRead,
    /// What need not be durable and goes with the next commit.
    pub(crate) cursor: Option<Cursor>,
    pub(crate) acked: Option<Acked>,
    pub(crate) agreed: Option<(u64, Fingerprint)>,
    pub(crate) progress: Progress,
    pub(crate) reported: Option<Instant>,
    pub(crate) in_sync: bool,
    /// When the gate has taken too long.
    pub(crate) deadline: Option<Instant>,
    pub(crate) renewing: bool,
    /// What is said about logs.
    pub(crate) log: LogSide,
    /// Up to where our Auth showed our own log.
    pub(crate) shown_head: u64,
    /// Commands that wait for a sign of life.
    pub(crate) pings: Vec<Ticket>,
    /// Connections of groups.
    pub(crate) connections: Connections,
    /// Their frames that came before our side was ready, with their receipts.
    pub(crate) early_groups: Vec<(Bytes, Receipt)>,
    /// The last frame was one of them: the next is CHUM's, if it has one.
    pub(crate) group_turn: bool,
    /// Since when both persons are authenticated.
    pub(crate) since: Instant,
}

impl Live {
    pub(crate) const fn person(&self) -> PersonId {
        self.info.person
    }

    /// Whether connections may be opened: the contact is active, and both sides have said that they are ready.
    pub(crate) fn connects(&self) -> bool {
        self.gate == Gate::Open
    }

    pub(crate) fn wants_input(&self) -> bool {
        self.chum.as_ref().is_none_or(lama_core::Machine::wants_input)
    }

    /// When the node has to look at it again.
    fn due(&self) -> Option<Instant> {
        // What CHUM has to say is fetched at once: its other deadlines are its own.
        let chum = self.chum.as_ref().and_then(lama_core::Machine::poll_timeout);
        [self.mux.poll_timeout(), self.deadline, chum].into_iter().flatten().min()
    }
}

impl Node {
    /// A record on a live session.
    pub(crate) fn live_frame(&mut self, id: LinkId, frame: BytesMut) {
        let now = self.clock.latest();
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        if live.gate == Gate::Closing {
            return;
        }
        match live.mux.open(now, frame) {
            Ok(Received::Nothing) => self.pong_came(id),
            Ok(Received::Ready) => self.acknowledged(id),
            Ok(Received::Message { stream, message, receipt }) => {
                if stream == CHUM_STREAM {
                    self.hello_came(id);
                    self.chum_message(id, message, receipt);
                } else if stream == StreamId::CONTROL {
                    if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) {
                        live.mux.release(receipt);
                    }
                    self.log_message(id, &message);
                } else if stream == GROUP_STREAM {
                    self.group_message(id, message, receipt);
                } else {
                    let error = HandshakeError::StreamUnknown(stream.number());
                    self.violated(id, &error);
                    return;
                }
            }
            Ok(Received::Closed(code)) => return self.closed_by_peer(id, code),
            Err(HandshakeError::Rejected(code)) => {
                let person = self.links.get(&id).and_then(|link| link.live()).map(Live::person);
                return self.rejected_by(id, person, code);
            }
            Err(error) => return self.violated(id, &error),
        }
        self.ready.insert(id);
        self.live_due(id);
    }

    /// Sets the timer of a session.
    pub(crate) fn live_due(&mut self, id: LinkId) {
        let Some(live) = self.links.get(&id).and_then(|link| link.live()) else { return };
        let due = live.due();
        self.timers.set(Timer::Link(id), due);
    }

    /// The next record of a live session; with it, whether the peer cannot go on before it has come.
    pub(crate) fn live_poll_frame(&mut self, id: LinkId, out: &mut BytesMut) -> Option<Turn> {
        let me = self.me();
        let logs = &self.logs;
        let live = self.links.get_mut(&id).and_then(|link| link.live_mut())?;
        let may_sync = live.gate != Gate::Closing;
        let connects = live.connects();
        let Live { mux, chum, log, info, connections, group_turn, .. } = live;
        let (mut turn, mut left, mut sent) = (Turn::Kept, None, false);
        // Connections and CHUM take turns: neither waits for more than one record of the other.
        for yields in [core::mem::take(group_turn), false] {
            let mut source = |stream: StreamId, _room: usize, out: &mut BytesMut| {
                let start = out.len();
                if stream == StreamId::CONTROL {
                    return may_sync && log.poll(logs, me, info.person, out);
                }
                if stream == GROUP_STREAM {
                    let polled = (connects && !yields).then(|| connections.poll_frame(out)).flatten();
                    *group_turn = polled.is_some();
                    left = polled.and_then(|polled| polled.sent);
                    return polled.is_some();
                }
                let any = may_sync
                    && stream == CHUM_STREAM
                    && chum.as_mut().is_some_and(|chum| chum.poll_frame(out));
                if any && out.get(start..).is_some_and(lama_chum::wire::is_awaited) {
                    turn = Turn::Passed;
                }
                any
            };
            sent = mux.poll_frame(&mut source, out);
            if sent || !yields {
                break;
            }
        }
        if let Some(error) = mux.error() {
            let error = error.clone();
            self.violated(id, &error);
        } else if mux.is_close_sent() {
            self.close_link(id);
        } else if sent {
            self.live_due(id);
        }
        if let Some(ticket) = left {
            self.reply(ticket, Ok(Reply::Done));
        }
        sent.then_some(turn)
    }

    /// The timer of a session has come.
    pub(crate) fn live_timer(&mut self, id: LinkId) {
        let now = self.clock.latest();
        let Some(link) = self.links.get_mut(&id) else { return };
        let dialled = link.dialled();
        let Some(live) = link.live_mut() else { return };
        if live.gate == Gate::Closing {
            return self.drop_link(id);
        }
        if let Err(error) = live.mux.handle_timeout(now) {
            return self.violated(id, &error);
        }
        if live.deadline.is_some_and(|deadline| deadline <= now.mono) {
            let (code, reason) = match live.gate {
                Gate::Approval => (CloseCode::Limit, EndReason::NotApproved),
                _ => (CloseCode::Limit, EndReason::Dead),
            };
            return self.end_session(id, Some(code), reason);
        }
        if let Some(chum) = live.chum.as_mut() {
            // It can only have ended before, which was reported then.
            let _ = chum.handle_timeout(now);
        }
        if live.mux.is_renewal_due() && dialled && !live.renewing && live.gate == Gate::Open {
            live.renewing = true;
            let instance = live.info.instance;
            self.dial_peer(instance);
        }
        self.ready.insert(id);
        self.live_due(id);
    }

    /// The peer broke a rule of the session, or fell silent.
    pub(crate) fn violated(&mut self, id: LinkId, error: &HandshakeError) {
        let reason = match error {
            HandshakeError::PeerSilent => EndReason::Dead,
            error => EndReason::Violation(crate::api::Fault::new(error.code(), error)),
        };
        self.end_session(id, None, reason);
    }

    /// All sessions with a person, and handshakes that have come as far as knowing him.
    pub(crate) fn links_with(&self, person: &PersonId) -> alloc::vec::Vec<LinkId> {
        let with = |stage: &Stage| match stage {
            Stage::Live(live) => live.person() == *person,
            Stage::Verified(verified) => verified.peer().person().id == *person,
            Stage::Admitting(verified) => verified.peer().person().id == *person,
            _ => false,
        };
        self.links.iter().filter(|(_, link)| with(&link.stage)).map(|(id, _)| *id).collect()
    }
}
