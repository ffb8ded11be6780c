//! The dialling side of a handshake.

use alloc::boxed::Box;

use bytes::BytesMut;
use lama_core::{Seed, Ticket};
use lama_handshake::{
    Access, AwaitAuth, Deadlines, Dial as HandshakeDial, Expect, Group as HandshakeGroup, HandshakeError,
    Initiator, InitiatorVerified, Mode, PinnedPerson, RejectCode, Via,
};
use lama_identity::NoisePublic;

use super::Stage;
use super::link::{Link, Way};
use super::responder::counts;
use crate::api::{Event, LinkId, Output, RefuseReason};
use crate::hub::{Effect, Purpose, Timer};
use crate::node::{Node, Phase};

impl Node {
    /// A dial was answered: message 1.
    pub(crate) fn dialled(&mut self, id: LinkId, ticket: Ticket, seed: Seed) {
        let deadlines = Deadlines::start(&self.config.session, self.clock.latest().mono);
        let Some(dial) = self.dials.remove(&ticket) else {
            self.out.push_back(Output::CloseLink { link: id });
            return;
        };
        let purpose = dial.purpose;
        let via = dial.via.map_or(Via::Direct, |via| Via::Relay(via.route_id));
        let way = Way::Dialled { purpose, url: dial.url, via };
        self.links.insert(id, Link::new(way, Stage::Closing, deadlines));
        self.timers.set(Timer::Link(id), Some(deadlines.due()));
        if self.phase == Phase::Stopping {
            return self.refuse(id, RefuseReason::Ended);
        }
        if let Purpose::Probe(ticket) = purpose {
            self.probe_open(ticket);
        }
        let mut out = BytesMut::new();
        match self.begin(purpose, via, seed, &mut out) {
            Some(Ok(initiator)) => {
                self.push_frame(id, out);
                self.stage(id, Stage::Message2(Box::new(initiator)));
            }
            Some(Err(error)) => self.refuse_handshake(id, &error),
            None => self.refuse(id, RefuseReason::Ended),
        }
    }

    /// Message 1 for a purpose; `None` if there is nothing to dial for any more.
    fn begin(
        &self,
        purpose: Purpose,
        via: Via,
        seed: Seed,
        out: &mut BytesMut,
    ) -> Option<Result<Initiator, HandshakeError>> {
        match purpose {
            Purpose::Join { locator, mode } => {
                let invitation = &self.joins.get(&locator)?.invitation;
                let psk = invitation.psk();
                let access = match mode {
                    Mode::Pairing => Access::Pairing { locator, psk: &psk },
                    Mode::Known => Access::Known,
                };
                let person = PinnedPerson { id: invitation.r_person_id(), pin: invitation.r_person_pin() };
                let dial = HandshakeDial { instance: *invitation.r_static(), person, access, via };
                Some(Initiator::dial(&dial, seed, out))
            }
            Purpose::Probe(ticket) => {
                let probe = self.probes.get(&ticket)?;
                let (instance, person) = (probe.noise, probe.person);
                let dial = HandshakeDial { instance, person, access: Access::Known, via };
                Some(Initiator::dial(&dial, seed, out))
            }
            Purpose::Peer(instance) => {
                let contact = &self.book.person(&self.peers.get(&instance)?.person)?.contact;
                let person = PinnedPerson { id: contact.id(), pin: contact.pin() };
                let noise: NoisePublic = contact.instance(&instance)?.keys.encryption_key;
                let dial = HandshakeDial { instance: noise, person, access: Access::Known, via };
                let named = self.named_to(&instance).unwrap_or(person.pin);
                Some(Initiator::dial(&dial, seed, out).map(|initiator| initiator.naming(named)))
            }
        }
    }

    /// Message 2: the instance is proved. Message 3 and Auth leave in one flight.
    pub(super) fn message2(&mut self, id: LinkId, wait: Initiator, frame: &[u8]) {
        if let Some(Way::Dialled { purpose: Purpose::Probe(ticket), .. }) =
            self.links.get(&id).map(|link| &link.way)
        {
            let ticket = *ticket;
            return self.probe_message2(id, ticket, wait, frame);
        }
        let mut out = BytesMut::new();
        let keyed = match wait.read_message2(frame, &self.identity.noise, &mut out) {
            Ok(keyed) => keyed,
            Err(error) => return self.refuse_handshake(id, &error),
        };
        self.push_frame(id, out);
        let (group, pair) = self.dial_terms(id);
        let known_by = match self.links.get(&id).map(|link| &link.way) {
            Some(Way::Dialled { purpose: Purpose::Peer(instance), .. }) => self.known_by(instance, None),
            _ => None,
        };
        let introduction = self.introduction(id, group, pair, known_by);
        let pin = introduction.as_ref().map_or_else(|_| self.identity.public.pin(), |own| own.identity.pin());
        match introduction.and_then(|own| keyed.introduce(&own)) {
            Ok(signing) => {
                let bytes = signing.to_sign().clone();
                self.note_shown(id);
                self.stage(id, Stage::SigningInitiator(Box::new(signing)));
                self.sign(self.auth_key(id, group, pin), bytes, Effect::Auth { link: id });
            }
            Err(error) => self.refuse_handshake(id, &error),
        }
    }

    /// What a dial is for, and the pair key stored for the instance dialled.
    fn dial_terms(&self, id: LinkId) -> (HandshakeGroup, Option<lama_handshake::PairKeyId>) {
        let Some(purpose) = self.links.get(&id).and_then(|link| match &link.way {
            Way::Dialled { purpose, .. } => Some(*purpose),
            Way::Accepted { .. } => None,
        }) else {
            return (HandshakeGroup::Chum, None);
        };
        let (group, instance) = match purpose {
            Purpose::Probe(_) => (HandshakeGroup::Chum, None),
            Purpose::Peer(instance) => (HandshakeGroup::Chum, Some(instance)),
            Purpose::Join { locator, mode } => {
                let noise = self.joins.get(&locator).map(|join| join.invitation.r_static());
                let known = noise.and_then(|noise| self.book.by_noise(noise)).map(|(_, instance)| instance);
                let group = match mode {
                    Mode::Pairing => HandshakeGroup::Pairing,
                    Mode::Known => HandshakeGroup::Chum,
                };
                (group, known)
            }
        };
        let pair =
            instance.and_then(|instance| self.peers.get(&instance)).and_then(|peer| peer.pair.as_ref());
        (group, pair.map(|pair| pair.id()))
    }

    /// Our Auth has left: from here on the other side may have taken its durable step.
    pub(super) fn auth_is_out(&mut self, id: LinkId) {
        let locator = match self.links.get(&id).map(|link| (&link.way, &link.stage)) {
            Some((
                Way::Dialled { purpose: Purpose::Join { locator, mode: Mode::Pairing }, .. },
                Stage::Auth(_),
            )) => *locator,
            _ => return,
        };
        if let Some(join) = self.joins.get_mut(&locator) {
            join.begun = true;
        }
    }

    /// The responder introduces itself.
    pub(super) fn responders_auth(&mut self, id: LinkId, wait: AwaitAuth, frame: BytesMut) {
        let wall = self.clock.latest().wall;
        let target = self.dial_target(id);
        let log_head = match self.links.get(&id).map(|link| &link.way) {
            Some(Way::Dialled { purpose: Purpose::Peer(instance), .. }) => {
                self.peers.get(instance).and_then(|peer| peer.shown)
            }
            _ => None,
        };
        let known = target.and_then(|person| self.book.person(&person));
        let former = known.map(|known| known.contact.former_pins()).unwrap_or_default();
        let expect = Expect { wall, log_head, former, ..Expect::default() };
        match wait.read_auth(frame, &expect) {
            Ok(verified) => self.responder_verified(id, verified),
            Err(failed) => match failed.error().clone() {
                HandshakeError::Rejected(code) => self.rejected_by(id, target, code),
                error => {
                    let mut out = BytesMut::new();
                    failed.reject(&mut out);
                    self.push_frame(id, out);
                    self.alarm_for_log(id, None, &error);
                    self.refuse_handshake(id, &error);
                }
            },
        }
    }

    /// The person that was dialled.
    pub(crate) fn dial_target(&self, id: LinkId) -> Option<lama_identity::PersonId> {
        match &self.links.get(&id)?.way {
            Way::Dialled { purpose: Purpose::Join { locator, .. }, .. } => {
                Some(self.joins.get(locator)?.invitation.r_person_id())
            }
            Way::Dialled { purpose: Purpose::Probe(_), .. } => None,
            Way::Dialled { purpose: Purpose::Peer(instance), .. } => Some(self.peers.get(instance)?.person),
            Way::Accepted { .. } => None,
        }
    }

    fn responder_verified(&mut self, id: LinkId, verified: InitiatorVerified) {
        let person = verified.peer().person();
        if self.is_blocked(&person.id) {
            return self.refuse(id, RefuseReason::Blocked { person: person.id });
        }
        if let Some(known) = self.book.person(&person.id)
            && !counts(&known.contact, verified.peer())
        {
            let pinned = known.contact.pin();
            self.event(Event::KeyChanged { person: person.id, known: pinned, shown: Some(person.pin) });
            let mut out = BytesMut::new();
            verified.reject(RejectCode::Person, &mut out);
            self.push_frame(id, out);
            return self.refuse(id, RefuseReason::KeyChanged { person: person.id });
        }
        if self.is_revoked(&verified.peer().identity) {
            return self.refuse(id, RefuseReason::Revoked { person: person.id });
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.authenticated();
        }
        self.before_ready(id, verified);
    }
}
