//! How links and sessions end, and that only one session per pair of instances stays.

use core::fmt;

use lama_handshake::{CloseCode, HandshakeError, RejectCode, Via};
use lama_identity::{InstanceId, PersonId};

use super::Stage;
use super::link::Way;
use super::live::{Gate, Live};
use crate::NodeError;
use crate::api::{EndReason, Event, Fault, LinkCause, LinkId, Output, RefuseReason};
use crate::hub::{Known, Purpose, Timer};
use crate::node::{Node, Phase};

impl Node {
    /// Ends a link on which not both persons are authenticated. What the other side sees is the same for every
    /// reason: the link closes.
    pub(crate) fn refuse(&mut self, id: LinkId, reason: RefuseReason) {
        let give_up = self.clock.latest().mono + self.config.close_deadline;
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.give_up.is_some() || link.live().is_some() {
            return;
        }
        link.give_up = Some(give_up);
        link.stage = Stage::Closing;
        link.early.clear();
        let (way, down) = (link.way.clone(), link.down);
        self.uncount(id);
        if !down {
            self.timers.set(Timer::Link(id), Some(give_up));
            self.out.push_back(Output::CloseLink { link: id });
        }
        self.event(Event::LinkRefused { link: id, reason: reason.clone() });
        match way {
            Way::Dialled { purpose: Purpose::Peer(instance), .. } => {
                self.troubled(instance, Fault::new(reason.code(), &reason));
                self.dial_lost(instance);
            }
            Way::Dialled { purpose: Purpose::Probe(ticket), .. } => {
                self.probe_failed(ticket, Fault::new(reason.code(), &reason));
            }
            Way::Dialled { purpose: Purpose::Join { locator, mode }, .. } => {
                self.join_attempt_over(locator, mode, &reason);
            }
            Way::Accepted { .. } => {}
        }
    }

    /// As [`Node::refuse`], for a rule of the handshake.
    pub(crate) fn refuse_handshake(&mut self, id: LinkId, error: &HandshakeError) {
        let reason = match error {
            HandshakeError::SamePerson(person) => RefuseReason::SamePerson { person: *person },
            error => RefuseReason::Handshake(Fault::new(error.code(), error)),
        };
        if *error == HandshakeError::AuthPerson
            && let Some(person) = self.dial_target(id)
        {
            self.alarm(person);
        }
        self.refuse(id, reason);
    }

    /// As [`Node::refuse`], for another rule.
    pub(crate) fn refuse_with(&mut self, id: LinkId, code: &'static str, text: &impl fmt::Display) {
        self.refuse(id, RefuseReason::Handshake(Fault::new(code, text)));
    }

    /// A known instance showed another person's key. What exactly it showed is not known: it was not verified.
    fn alarm(&mut self, person: PersonId) {
        if let Some(known) = self.book.person(&person) {
            let pin = known.contact.pin();
            self.event(Event::KeyChanged { person, known: pin, shown: None });
        }
    }

    /// A log that is shorter than it was, or another one, is an alarm.
    pub(crate) fn alarm_for_log(&mut self, id: LinkId, noise: Option<[u8; 32]>, error: &HandshakeError) {
        if !matches!(error, HandshakeError::AuthLogLower | HandshakeError::AuthLogForked) {
            return;
        }
        let by_key = noise.and_then(|noise| lama_identity::NoisePublic::try_from(noise).ok());
        let by_key = by_key.and_then(|noise| self.book.by_noise(&noise).map(|(known, _)| known.contact.id()));
        if let Some(person) = by_key.or_else(|| self.dial_target(id)) {
            self.event(Event::LogAlarm { person, code: error.code() });
        }
    }

    /// Our Auth shows our log as it is now.
    pub(crate) fn note_shown(&mut self, id: LinkId) {
        let seq = self.own_head().seq;
        if let Some(link) = self.links.get_mut(&id) {
            link.shown_head = seq;
        }
    }

    /// As [`Node::alarm`], by the instance's key.
    pub(crate) fn alarm_for_noise(&mut self, noise: [u8; 32]) {
        let person = lama_identity::NoisePublic::try_from(noise)
            .ok()
            .and_then(|noise| self.book.by_noise(&noise).map(|(known, _)| known.contact.id()));
        if let Some(person) = person {
            self.alarm(person);
        }
    }

    /// The peer refused in an authenticated way.
    pub(crate) fn rejected_by(&mut self, id: LinkId, person: Option<PersonId>, code: RejectCode) {
        let name = reject_name(code);
        let live = self.links.get(&id).is_some_and(|link| link.live().is_some());
        let gone = matches!(code, RejectCode::Denied | RejectCode::Blocked);
        if gone && let Some(person) = person {
            self.denied_by_peer(person);
        }
        if live {
            let reason = if gone { EndReason::RemovedByPeer } else { EndReason::Rejected(name) };
            self.end_session(id, None, reason);
        } else {
            self.refuse(id, RefuseReason::Rejected(name));
        }
    }

    /// Ends a session: says so, tells the peer if there is a code, and sees to what comes next.
    pub(crate) fn end_session(&mut self, id: LinkId, code: Option<CloseCode>, reason: EndReason) {
        let give_up = self.clock.latest().mono + self.config.close_deadline;
        self.flush_lazy(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let (traffic, way, former) = (link.traffic, link.way.clone(), link.former.is_some());
        let Some(live) = link.live_mut() else { return };
        if live.gate == Gate::Closing {
            return;
        }
        live.gate = Gate::Closing;
        live.chum = None;
        live.deadline = Some(give_up);
        let (session, info, synced) = (live.id, live.info.clone(), live.in_sync);
        let pings = core::mem::take(&mut live.pings);
        if let Some(code) = code {
            live.mux.close(code);
        }
        if let Some(peer) = self.peers.get_mut(&info.instance).filter(|_| !former) {
            if peer.session == Some(id) {
                peer.session = None;
            }
            let clean = synced || matches!(reason, EndReason::Replaced | EndReason::Renewed);
            peer.failures = if clean { 0 } else { peer.failures.saturating_add(1) };
            if peer.session.is_none() {
                peer.problem = Some(Fault::new(reason.code(), &reason));
            }
        }
        let (instance, person) = (info.instance, info.person);
        for ticket in pings {
            self.reply(ticket, Err(NodeError::NotConnected { person }));
        }
        self.connections_ended(id);
        self.event(Event::SessionEnded { session, peer: info, reason: reason.clone(), traffic });
        if code.is_some() {
            self.ready.insert(id);
            self.timers.set(Timer::Link(id), Some(give_up));
        } else {
            self.close_link(id);
        }
        self.after_session(instance, &way);
    }

    /// A session is over: whoever still wants one dials again.
    fn after_session(&mut self, instance: InstanceId, way: &Way) {
        if self.phase != Phase::Running {
            return;
        }
        if let Way::Dialled { purpose: Purpose::Join { locator, .. }, .. } = way {
            self.join_cut(*locator);
        }
        if self.peers.get(&instance).is_some_and(|peer| peer.session.is_none()) {
            self.dial_again(instance);
        }
    }

    /// The peer said goodbye.
    pub(super) fn closed_by_peer(&mut self, id: LinkId, code: CloseCode) {
        let person = self.links.get(&id).and_then(|link| link.live()).map(Live::person);
        let reason = match code {
            CloseCode::Duplicate => EndReason::Replaced,
            CloseCode::Renew => EndReason::Renewed,
            CloseCode::Denied | CloseCode::Removed => EndReason::RemovedByPeer,
            CloseCode::Limit => EndReason::NotApproved,
            _ => EndReason::ClosedByPeer,
        };
        if reason == EndReason::RemovedByPeer
            && let Some(person) = person
        {
            self.denied_by_peer(person);
        }
        self.end_session(id, None, reason);
    }

    /// Asks the host to close a link once its frames have left.
    pub(crate) fn close_link(&mut self, id: LinkId) {
        let give_up = self.clock.latest().mono + self.config.close_deadline;
        let Some(link) = self.links.get_mut(&id) else { return };
        link.stage = Stage::Closing;
        if link.give_up.is_none() && !link.down {
            link.give_up = Some(give_up);
            self.timers.set(Timer::Link(id), Some(give_up));
            self.out.push_back(Output::CloseLink { link: id });
        }
    }

    /// A link that was to be closed is forgotten.
    pub(crate) fn drop_link(&mut self, id: LinkId) {
        let Some(mut link) = self.links.remove(&id) else { return };
        if link.give_up.take().is_none() && !link.down {
            self.out.push_back(Output::CloseLink { link: id });
        }
        self.timers.set(Timer::Link(id), None);
        self.ready.remove(&id);
    }

    /// The host says that a link is gone.
    pub(crate) fn link_down(&mut self, id: LinkId, cause: LinkCause) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.down = true;
        match &link.stage {
            Stage::Live(live) => {
                let reason = match live.mux.link_closed() {
                    Err(HandshakeError::Truncated) | Ok(_) => EndReason::Truncated,
                    Err(error) => EndReason::Violation(Fault::new(error.code(), &error)),
                };
                self.end_session(id, None, reason);
            }
            _ => self.refuse(id, RefuseReason::LinkDown(cause)),
        }
        self.links.remove(&id);
        self.timers.set(Timer::Link(id), None);
        self.ready.remove(&id);
    }

    /// Only one session per pair of instances: of two from different dialers the direct one stays where the other goes
    /// through a relay, else the one dialled by the smaller instance id; of two from the same dialer the newer one; and
    /// one with a new life of the peer's process in any case. `true`: this one stays. Where an older one stays it is asked for a sign of life: perhaps the peer
    /// dials because it has lost it.
    pub(super) fn one_session(&mut self, id: LinkId, person: PersonId, instance: InstanceId) -> bool {
        let ours = self.identity.public.instance_id();
        let Some((dialled, direct, boot)) = self.session_of(id) else { return false };
        let other = self.peer(person, instance).session.filter(|other| *other != id);
        let stays = match other.and_then(|other| self.session_of(other)) {
            None => true,
            Some((_, _, other_boot)) if boot != other_boot => true,
            Some((other_dialled, _, _)) if dialled == other_dialled => true,
            Some((_, other_direct, _)) if direct != other_direct => direct,
            Some(_) => dialled == (ours < instance),
        };
        if !stays {
            self.end_session(id, Some(CloseCode::Duplicate), EndReason::Replaced);
            if let Some(other) = other {
                self.probe(other);
            }
            return false;
        }
        if let Some(other) = other {
            let renewing =
                self.links.get(&other).and_then(|link| link.live()).is_some_and(|live| live.renewing);
            let (code, reason) = if renewing {
                (CloseCode::Renew, EndReason::Renewed)
            } else {
                (CloseCode::Duplicate, EndReason::Replaced)
            };
            self.end_session(other, Some(code), reason);
        }
        let wall = self.clock.latest().wall;
        let peer = self.peer(person, instance);
        peer.session = Some(id);
        peer.dialling = peer.dialling.filter(|_| !dialled);
        peer.again = None;
        peer.problem = None;
        peer.seen = Some(wall);
        let cloned = peer.booted(boot);
        self.timers.set(Timer::Peer(instance), None);
        self.seek_direct(instance);
        if cloned && let Some(peer) = self.instance_info(&instance) {
            self.event(Event::InstanceCloned { peer });
        }
        true
    }

    /// Whether the peer is there is known within one step's time, not only when it has been silent for long.
    pub(crate) fn probe(&mut self, id: LinkId) {
        let now = self.clock.latest();
        if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) {
            live.mux.probe(now);
            self.ready.insert(id);
            self.live_due(id);
        }
    }

    /// Whether we dialled it, whether it goes without a relay, and the life of the peer's process.
    fn session_of(&self, id: LinkId) -> Option<(bool, bool, lama_handshake::BootId)> {
        let link = self.links.get(&id)?;
        let live = link.live().filter(|live| live.gate != Gate::Closing)?;
        Some((link.dialled(), link.via() == Via::Direct, live.peer.boot_id))
    }

    /// Takes over what an authenticated peer says of itself: a newer certificate, another address.
    pub(super) fn learn(&mut self, id: LinkId) {
        let Some(live) = self.links.get(&id).and_then(|link| link.live()) else { return };
        let (person, instance) = (live.info.person, live.info.instance);
        let (mut identity, url) = (live.peer.identity.clone(), live.peer.endpoint.url.clone());
        let Some(known) = self.book.person(&person) else { return };
        let mut known: Known = known.clone();
        // The head moves only with the entries that lead to it.
        let shown = core::mem::replace(&mut identity.log_head, known.contact.log_head);
        let changed = known.contact.learn(&identity).unwrap_or(false);
        let peer = self.peer(person, instance);
        let more = peer.shown.is_none_or(|before| before.seq < shown.seq);
        if more {
            peer.shown = Some(shown);
            self.keep_peer(instance);
        }
        if changed {
            self.update_contact(known);
        }
        self.learn_url(person, instance, &url);
    }
}

/// A stable name of what a peer said.
const fn reject_name(code: RejectCode) -> &'static str {
    match code {
        RejectCode::Protocol => "rejected-protocol",
        RejectCode::Version => "rejected-version",
        RejectCode::Group => "rejected-group",
        RejectCode::SamePerson => "rejected-same-person",
        RejectCode::Person => "rejected-person",
        RejectCode::Identity => "rejected-identity",
        RejectCode::Token => "rejected-token",
        RejectCode::Blocked => "rejected-blocked",
        RejectCode::Denied => "rejected-denied",
        RejectCode::Busy => "rejected-busy",
        _ => "rejected",
    }
}
