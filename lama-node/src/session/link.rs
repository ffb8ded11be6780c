//! What is kept of a link, and how its frames are counted.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::BytesMut;
use lama_core::{Instant, Seed};
use lama_handshake::record::{AUTH_RECORD_LEN, MAX_RECORD};
use lama_handshake::{
    AwaitAuth, AwaitMessage3, AwaitReady, Deadlines, Initiator, InitiatorSigning, InitiatorVerified, Proved,
    ResponderSigning, ResponderVerified, Via,
};
use lama_invite::{Locator, Source};

use super::Live;
use crate::api::{LinkId, RefuseReason, Traffic};
use crate::hub::{Purpose, Timer};
use crate::node::Node;

/// How far a link is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Accepted; message 1 is awaited.
    Message1 { seed: Seed },
    /// Message 2 is out.
    Message3(Box<AwaitMessage3>),
    /// Message 3 was right; the initiator's Auth is awaited.
    Proved(Box<Proved>),
    /// The initiator is verified; the durable step is under way.
    Admitting(Box<ResponderVerified>),
    /// Our Auth is being signed.
    SigningResponder(Box<ResponderSigning>),
    /// Our Auth is out; READY is awaited.
    Ready(Box<AwaitReady>),
    /// Message 1 is out.
    Message2(Box<Initiator>),
    /// Our Auth is being signed.
    SigningInitiator(Box<InitiatorSigning>),
    /// Our Auth is out; the responder's is awaited.
    Auth(Box<AwaitAuth>),
    /// The responder is verified; our durable step is under way.
    Verified(Box<InitiatorVerified>),
    /// Both persons are authenticated.
    Live(Box<Live>),
    /// Only the frames that are waiting still leave; also what stands here while a step is taken.
    Closing,
}

impl Stage {
    /// What was awaited when time ran out.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Message1 { .. } => "the first message",
            Self::Message3(_) => "the third message",
            Self::Message2(_) => "the second message",
            Self::Proved(_) | Self::Auth(_) => "the other side's introduction",
            Self::Ready(_) => "the other side's durable step",
            Self::Admitting(_) | Self::Verified(_) => "this side's durable step",
            Self::SigningResponder(_) | Self::SigningInitiator(_) => "this side's signature",
            Self::Live(_) | Self::Closing => "the other side",
        }
    }
}

/// What a frame that leaves means for the count of round trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The peer waits for it: what comes next may be the answer.
    Passed,
    /// The peer goes on without it: an acknowledgement, credit, objects. They pass what comes from the peer on the
    /// way, and nothing is lost by that.
    Kept,
}

/// Where a link comes from.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// We dialled.
    Dialled { purpose: Purpose, url: String, via: Via },
    /// It came to the listener, or through a relay.
    Accepted { source: Source, via: Via },
}

/// One link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) way: Way,
    pub(crate) stage: Stage,
    /// The token that the first message named.
    pub(crate) locator: Option<Locator>,
    pub(crate) deadlines: Deadlines,
    /// Handshake messages that were made and not yet sent; at most two, of fixed size.
    pub(crate) frames: Vec<BytesMut>,
    /// Records of the peer that came while a local step was under way; bounded by what a peer may send then.
    pub(crate) early: Vec<BytesMut>,
    pub(crate) traffic: Traffic,
    /// Round trips since the link is open: how often the peer's next step needed something that had left here.
    turns: u32,
    passed: bool,
    /// Up to where our Auth showed our own log.
    pub(crate) shown_head: u64,
    /// Which of our former keys it was dialled by.
    pub(crate) former: Option<usize>,
    /// Whether the limits still count it.
    pub(crate) counted: bool,
    /// When a closing link is given up; set exactly once, when it is closed.
    pub(crate) give_up: Option<Instant>,
    /// Whether the host has said that it is gone.
    pub(crate) down: bool,
}

/// Frames of a peer that may wait for a local step: READY and HELLO, a few PINGs.
const MAX_EARLY: usize = 8;

impl Link {
    pub(crate) fn new(way: Way, stage: Stage, deadlines: Deadlines) -> Self {
        let counted = matches!(way, Way::Accepted { .. });
        Self {
            way,
            stage,
            locator: None,
            deadlines,
            frames: Vec::new(),
            early: Vec::new(),
            traffic: Traffic::default(),
            turns: 0,
            passed: false,
            shown_head: 0,
            former: None,
            counted,
            give_up: None,
            down: false,
        }
    }

    pub(crate) const fn live(&self) -> Option<&Live> {
        match &self.stage {
            Stage::Live(live) => Some(live),
            _ => None,
        }
    }

    pub(crate) const fn live_mut(&mut self) -> Option<&mut Live> {
        match &mut self.stage {
            Stage::Live(live) => Some(live),
            _ => None,
        }
    }

    pub(crate) const fn dialled(&self) -> bool {
        matches!(self.way, Way::Dialled { .. })
    }

    /// Which way the handshake is bound to.
    pub(crate) const fn via(&self) -> Via {
        match &self.way {
            Way::Dialled { via, .. } | Way::Accepted { via, .. } => *via,
        }
    }

    pub(crate) const fn url(&self) -> Option<&String> {
        match &self.way {
            Way::Dialled { url, .. } => Some(url),
            Way::Accepted { .. } => None,
        }
    }

    /// Takes the stage out for a step that consumes it.
    pub(crate) const fn take(&mut self) -> Stage {
        core::mem::replace(&mut self.stage, Stage::Closing)
    }

    pub(crate) fn wants_input(&self) -> bool {
        match &self.stage {
            Stage::Admitting(_)
            | Stage::SigningResponder(_)
            | Stage::SigningInitiator(_)
            | Stage::Verified(_) => self.early.len() < MAX_EARLY,
            Stage::Live(live) => live.wants_input(),
            _ => true,
        }
    }

    pub(crate) const fn frame_limit(&self) -> usize {
        match &self.stage {
            Stage::Message1 { .. } | Stage::Message3(_) | Stage::Message2(_) => 256,
            Stage::Live(_) | Stage::Closing => MAX_RECORD,
            // Behind READY comes HELLO, in a record of its own.
            _ => AUTH_RECORD_LEN + 88,
        }
    }

    /// Counts a frame that came.
    pub(crate) fn count_in(&mut self, len: usize) {
        self.traffic.frames_in = self.traffic.frames_in.saturating_add(1);
        self.traffic.bytes_in = self.traffic.bytes_in.saturating_add(len as u64);
        if core::mem::take(&mut self.passed) {
            self.turns = self.turns.saturating_add(1);
        }
    }

    /// Counts a frame that leaves.
    pub(crate) fn count_out(&mut self, len: usize, turn: Turn) {
        self.traffic.frames_out = self.traffic.frames_out.saturating_add(1);
        self.traffic.bytes_out = self.traffic.bytes_out.saturating_add(len as u64);
        self.passed |= turn == Turn::Passed;
    }

    /// Both persons are authenticated now.
    pub(crate) const fn authenticated(&mut self) {
        if self.traffic.authenticated_after.is_none() {
            self.traffic.authenticated_after = Some(self.turns);
        }
    }

    /// An object came.
    pub(crate) const fn object(&mut self) {
        if self.traffic.first_object_after.is_none() {
            self.traffic.first_object_after = Some(self.turns);
        }
    }
}

impl Node {
    /// A link from outside.
    pub(crate) fn accepted(&mut self, id: LinkId, source: Source, via: Via, seed: Seed) {
        let now = self.clock.latest().mono;
        if let Err(reason) = self.limits.link_up(&self.config, source, now) {
            self.out.push_back(crate::api::Output::CloseLink { link: id });
            self.event(crate::api::Event::LinkRefused { link: id, reason });
            return;
        }
        let deadlines = Deadlines::start(&self.config.session, now);
        let link = Link::new(Way::Accepted { source, via }, Stage::Message1 { seed }, deadlines);
        self.timers.set(Timer::Link(id), Some(link.deadlines.due()));
        self.links.insert(id, link);
        if self.phase == crate::node::Phase::Stopping {
            self.refuse(id, RefuseReason::Ended);
        }
    }

    /// A frame from a link.
    pub(crate) fn received(&mut self, id: LinkId, frame: BytesMut) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.count_in(frame.len());
        match &link.stage {
            Stage::Closing => {}
            Stage::Live(_) => self.live_frame(id, frame),
            Stage::Admitting(_)
            | Stage::SigningResponder(_)
            | Stage::SigningInitiator(_)
            | Stage::Verified(_) => {
                if link.early.len() >= MAX_EARLY {
                    self.refuse_with(id, "early-frames", &"too many frames before their turn");
                    return;
                }
                link.early.push(frame);
            }
            _ => self.step(id, frame),
        }
    }

    /// Takes up what came while a local step was under way.
    pub(crate) fn take_early(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        for frame in core::mem::take(&mut link.early) {
            // Without counting twice.
            match self.links.get(&id).map(|link| &link.stage) {
                None | Some(Stage::Closing) => return,
                Some(Stage::Live(_)) => self.live_frame(id, frame),
                Some(
                    Stage::Admitting(_)
                    | Stage::SigningResponder(_)
                    | Stage::SigningInitiator(_)
                    | Stage::Verified(_),
                ) => {
                    if let Some(link) = self.links.get_mut(&id) {
                        link.early.push(frame);
                    }
                }
                Some(_) => self.step(id, frame),
            }
        }
    }

    /// A frame during the handshake: the next step.
    fn step(&mut self, id: LinkId, frame: BytesMut) {
        let Some(link) = self.links.get_mut(&id) else { return };
        match link.take() {
            Stage::Message1 { seed } => self.message1(id, seed, &frame),
            Stage::Message3(wait) => self.message3(id, *wait, &frame),
            Stage::Proved(proved) => self.initiators_auth(id, *proved, frame),
            Stage::Ready(wait) => self.ready_came(id, *wait, frame),
            Stage::Message2(wait) => self.message2(id, *wait, &frame),
            Stage::Auth(wait) => self.responders_auth(id, *wait, frame),
            other => link.stage = other,
        }
        self.link_step(id);
    }

    /// The peer took a step: the next deadline.
    pub(crate) fn link_step(&mut self, id: LinkId) {
        let now = self.clock.latest().mono;
        let Some(link) = self.links.get_mut(&id) else { return };
        if !matches!(link.stage, Stage::Live(_) | Stage::Closing) {
            link.deadlines.step(now);
            let due = link.deadlines.due();
            self.timers.set(Timer::Link(id), Some(due));
        }
    }

    /// Goes on with a stage, and says so.
    pub(crate) fn stage(&mut self, id: LinkId, stage: Stage) {
        if let Some(link) = self.links.get_mut(&id) {
            link.stage = stage;
        }
    }

    /// A message of the handshake leaves with the next frames.
    pub(crate) fn push_frame(&mut self, id: LinkId, frame: BytesMut) {
        if let Some(link) = self.links.get_mut(&id) {
            if !frame.is_empty() {
                link.frames.push(frame);
            }
            self.ready.insert(id);
        }
    }

    /// The next frame of a link.
    pub(crate) fn frame(&mut self, id: LinkId, out: &mut BytesMut) -> bool {
        let Some(link) = self.links.get_mut(&id) else { return false };
        let start = out.len();
        if !link.frames.is_empty() {
            let frame = link.frames.remove(0);
            out.extend_from_slice(&frame);
            link.count_out(frame.len(), Turn::Passed);
            return true;
        }
        let Some(turn) = self.live_poll_frame(id, out) else { return false };
        if let Some(link) = self.links.get_mut(&id) {
            link.count_out(out.len().saturating_sub(start), turn);
        }
        true
    }

    /// A deadline of a link has come.
    pub(crate) fn link_timer(&mut self, id: LinkId) {
        let now = self.clock.latest();
        let Some(link) = self.links.get_mut(&id) else { return };
        match &link.stage {
            Stage::Closing => self.drop_link(id),
            Stage::Live(_) => self.live_timer(id),
            stage => {
                let name = stage.name();
                if link.deadlines.check(now.mono).is_err() {
                    self.refuse(id, RefuseReason::Deadline(name));
                } else {
                    let due = link.deadlines.due();
                    self.timers.set(Timer::Link(id), Some(due));
                }
            }
        }
    }

    /// Where it came from is familiar from now on. A relay's callers all have one source, so there it says nothing.
    pub(crate) fn authenticated_from(&mut self, id: LinkId) {
        let now = self.clock.latest().mono;
        if let Some(Way::Accepted { source, via: Via::Direct }) = self.links.get(&id).map(|link| &link.way) {
            self.limits.authenticated(&self.config, *source, now);
        }
    }

    /// The limits count this link no more: it is authenticated, or gone.
    pub(crate) fn uncount(&mut self, id: LinkId) {
        let now = self.clock.latest().mono;
        let Some(link) = self.links.get_mut(&id) else { return };
        if let (true, Way::Accepted { source, .. }) = (core::mem::take(&mut link.counted), link.way.clone()) {
            self.limits.link_done(&self.config, source, now);
        }
    }
}
