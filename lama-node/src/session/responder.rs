//! The dialled side of a handshake: route by what is proved, and say nothing before that.

use alloc::boxed::Box;

use bytes::BytesMut;
use lama_core::Seed;
use lama_handshake::groups::CAP_GROUPS;
use lama_handshake::{
    AuthFailed, AwaitMessage3, AwaitReady, BootId, Expect, Group as HandshakeGroup, HandshakeError,
    Introduction, Message1, Mode, PairKeyId, Peer, PinnedPerson, Proved, RejectCode, ResponderVerified,
    Signer, Via,
};
use lama_identity::{Contact, NoisePublic, PersonPin, SignPublic, Signature};

use super::Stage;
use super::link::{Link, Way};
use crate::api::{Event, Group, LinkId, RefuseReason, WhichKey};
use crate::hub::Effect;
use crate::node::Node;

impl Node {
    /// Message 1. The order of work: length, magic, rate, table, and only then a key exchange.
    pub(super) fn message1(&mut self, id: LinkId, seed: Seed, frame: &[u8]) {
        let now = self.clock.latest();
        let via = self.links.get(&id).map_or(Via::Direct, Link::via);
        let message = match Message1::read(frame, via) {
            Ok(message) => message,
            Err(error) => return self.refuse_handshake(id, &error),
        };
        if let Some(Way::Accepted { source, .. }) = self.links.get(&id).map(|link| link.way.clone())
            && let Err(reason) = self.limits.msg1(&self.config, source, now.mono)
        {
            return self.refuse(id, reason);
        }
        // A token that cannot be used looks like none: the handshake then fails as for any stranger.
        let found = self.ledger.lookup(now, &message.tag());
        let mut out = BytesMut::new();
        let psk = found.as_ref().ok().map(|found| &found.psk);
        let spare = seed.child("former");
        match message.answer(&self.identity.noise, psk, seed, &mut out) {
            Ok(wait) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.locator = found.is_ok().then(|| message.tag());
                }
                self.push_frame(id, out);
                self.stage(id, Stage::Message3(Box::new(wait)));
            }
            Err(error) => match found {
                Err(_) if self.answered_as_before(id, message, &spare) => {}
                Err(cause) if cause != lama_invite::InviteError::Unknown => {
                    self.refuse(id, RefuseReason::Token(cause));
                }
                _ => self.refuse_handshake(id, &error),
            },
        }
    }

    /// Answers a first message by a key that this instance had before, if it is one.
    fn answered_as_before(&mut self, id: LinkId, message: Message1, seed: &Seed) -> bool {
        let mut out = BytesMut::new();
        let Some((at, wait)) = self.answer_as_before(message, seed, &mut out) else { return false };
        if let Some(link) = self.links.get_mut(&id) {
            link.former = Some(at);
        }
        self.push_frame(id, out);
        self.stage(id, Stage::Message3(Box::new(wait)));
        true
    }

    /// Message 3 proves the secret of an invitation, or a static key.
    pub(super) fn message3(&mut self, id: LinkId, wait: AwaitMessage3, frame: &[u8]) {
        let now = self.clock.latest();
        let mode = wait.mode();
        let proved = match wait.read_message3(frame) {
            Ok(proved) => proved,
            Err(error) => {
                if mode == Mode::Pairing && error == HandshakeError::Message3Unauthentic {
                    self.wrong_secret(id);
                }
                return self.refuse_handshake(id, &error);
            }
        };
        let noise = *proved.peer_static();
        // In silence, and whatever else it knows: a revoked key never comes back.
        if self.logs.is_gone(&noise) || self.am_revoked() {
            let person = self.logs.owner_of(&noise).unwrap_or_else(|| self.me());
            return self.refuse(id, RefuseReason::Revoked { person });
        }
        if !self.limits.may_authenticate(&self.config, noise.as_bytes(), now.mono) {
            return self.refuse(id, RefuseReason::RateOfInstance);
        }
        // In silence, too: it looks as if nobody knew him.
        if let Some(person) = self.book.by_noise(&noise).map(|(known, _)| known.contact.id())
            && self.is_blocked(&person)
        {
            return self.refuse(id, RefuseReason::Blocked { person });
        }
        if mode == Mode::Known && self.book.by_noise(&noise).is_none() {
            if let Some(denied) = self.denied.get(noise.as_bytes()) {
                let code = denied.code();
                let mut out = BytesMut::new();
                proved.reject(code, &mut out);
                self.push_frame(id, out);
                return self.refuse(id, RefuseReason::UnknownInstance { group: None });
            }
            if !self.config.accept_certified_instances {
                return self.refuse(id, RefuseReason::UnknownInstance { group: None });
            }
        }
        self.stage(id, Stage::Proved(Box::new(proved)));
    }

    /// A wrong secret counts against the invitation and its source.
    fn wrong_secret(&mut self, id: LinkId) {
        let now = self.clock.latest();
        let Some(link) = self.links.get(&id) else { return };
        if let (Some(locator), Way::Accepted { source, .. }) = (link.locator, &link.way) {
            self.ledger.wrong_secret(now, &locator, *source);
        }
    }

    /// The initiator introduces itself.
    pub(super) fn initiators_auth(&mut self, id: LinkId, proved: Proved, frame: BytesMut) {
        let wall = self.clock.latest().wall;
        let (mode, noise) = (proved.mode(), *proved.peer_static());
        let known = self.book.by_noise(&noise).map(|(known, _)| &known.contact);
        let former = known.map(Contact::former_pins).unwrap_or_default();
        let mut expect = Expect { wall, ..Expect::default() };
        if mode == Mode::Known {
            expect.person = known.map(|contact| PinnedPerson { id: contact.id(), pin: contact.pin() });
        }
        expect.log_head = self.shown_by(&noise);
        (expect.former, expect.own_former) = (former, self.own_pins());
        match proved.read_auth(frame, self.keys_on(id), &expect) {
            Ok(verified) => self.initiator_verified(id, verified),
            Err(failed) => self.auth_failed(id, *noise.as_bytes(), failed),
        }
    }

    /// An Auth that does not hold. The peer is told only if it had proved something before.
    pub(super) fn auth_failed(&mut self, id: LinkId, noise: [u8; 32], failed: AuthFailed) {
        let now = self.clock.latest().mono;
        self.limits.failed(&self.config, noise, now);
        let mut out = BytesMut::new();
        let error = failed.reject(&mut out);
        self.push_frame(id, out);
        let reason = match &error {
            HandshakeError::SamePerson(person) => RefuseReason::SamePerson { person: *person },
            _ => RefuseReason::Handshake(crate::api::Fault::new(error.code(), &error)),
        };
        if error == HandshakeError::AuthPerson {
            self.alarm_for_noise(noise);
        }
        self.alarm_for_log(id, Some(noise), &error);
        self.refuse(id, reason);
    }

    /// Whether the verified person may go on: known by this key, or by no key.
    fn initiator_verified(&mut self, id: LinkId, verified: ResponderVerified) {
        let person = verified.peer().person();
        if self.is_blocked(&person.id) {
            return self.refuse(id, RefuseReason::Blocked { person: person.id });
        }
        let known = self.book.person(&person.id);
        if let Some(known) = known
            && !counts(&known.contact, verified.peer())
        {
            let pinned = known.contact.pin();
            self.event(Event::KeyChanged { person: person.id, known: pinned, shown: Some(person.pin) });
            return self.refuse_told(
                id,
                verified,
                RejectCode::Person,
                RefuseReason::KeyChanged { person: person.id },
            );
        }
        if self.is_revoked(&verified.peer().identity) {
            return self.refuse(id, RefuseReason::Revoked { person: person.id });
        }
        let known = self.book.person(&person.id);
        match verified.mode() {
            Mode::Pairing => self.admit(id, verified),
            Mode::Known => match known {
                // A stranger who asks for CHUM learns nothing, not even that he is one.
                None => {
                    let now = self.clock.latest().mono;
                    self.limits.failed(&self.config, *verified.peer().noise().as_bytes(), now);
                    self.refuse(id, RefuseReason::UnknownInstance { group: Some(Group::Chum) });
                }
                Some(known)
                    if !known.is_active()
                        && known.contact.instance_by_noise(verified.peer().noise()).is_none() =>
                {
                    self.refuse(id, RefuseReason::UnknownInstance { group: Some(Group::Chum) });
                }
                Some(_) => self.introduce_responder(id, verified),
            },
        }
    }

    /// Whether a person has revoked this key.
    pub(super) fn is_revoked(&self, identity: &lama_identity::PublicIdentity) -> bool {
        let of_log = self.logs.of(&identity.person_id()).is_some_and(|log| log.is_revoked(identity.noise()));
        of_log || self.logs.is_gone(identity.noise())
    }

    /// The end of its person's log that an instance has shown last: it never shows less.
    pub(super) fn shown_by(&self, noise: &NoisePublic) -> Option<lama_identity::LogHead> {
        let (_, instance) = self.book.by_noise(noise)?;
        self.peers.get(&instance)?.shown
    }

    /// Refuses somebody who has proved himself, and tells him the code.
    pub(crate) fn refuse_told(
        &mut self,
        id: LinkId,
        verified: ResponderVerified,
        code: RejectCode,
        reason: RefuseReason,
    ) {
        let mut out = BytesMut::new();
        verified.reject(code, &mut out);
        self.push_frame(id, out);
        self.refuse(id, reason);
    }

    /// Our own introduction, to be signed.
    pub(super) fn introduction(
        &self,
        id: LinkId,
        group: HandshakeGroup,
        pair: Option<PairKeyId>,
        known_by: Option<SignPublic>,
    ) -> Result<Introduction, HandshakeError> {
        let url = self.announced();
        let public = self.shown_to(id, known_by.as_ref());
        let endpoint = public.endpoint(&url).map_err(|_| HandshakeError::LocalInvalid)?;
        let mut introduction = Introduction::new(public, endpoint, group, BootId(self.boot_id.0));
        introduction.pair_key = pair;
        introduction.caps = CAP_GROUPS;
        introduction.signer = match self.auth_key(id, group, introduction.identity.pin()) {
            WhichKey::Person => Signer::Person,
            _ => Signer::Instance,
        };
        Ok(introduction)
    }

    /// Everything that had to be durable is: we introduce ourselves.
    pub(crate) fn introduce_responder(&mut self, id: LinkId, verified: ResponderVerified) {
        let instance = verified.peer().identity.instance_id();
        let pair = self.peers.get(&instance).and_then(|peer| peer.pair.as_ref()).map(|pair| pair.id());
        let group = verified.peer().group;
        let known_by = match verified.mode() {
            Mode::Known => self.known_by(&instance, Some(verified.peer().named)),
            Mode::Pairing => None,
        };
        let introduction = self.introduction(id, group, pair, known_by);
        let pin = introduction.as_ref().map_or_else(|_| self.identity.public.pin(), |own| own.identity.pin());
        let signing = match introduction.and_then(|own| verified.introduce(&own)) {
            Ok(signing) => signing,
            Err(error) => return self.refuse_handshake(id, &error),
        };
        let key = self.auth_key(id, group, pin);
        let bytes = signing.to_sign().clone();
        self.note_shown(id);
        self.stage(id, Stage::SigningResponder(Box::new(signing)));
        self.sign(key, bytes, Effect::Auth { link: id });
    }

    /// Which of our keys signs Auth where we show our person by the key with this pin. Pairing takes the person's own
    /// signature; whoever has not got the key is told so by the host. A key that was replaced signs nothing.
    pub(super) fn auth_key(&self, id: LinkId, group: HandshakeGroup, shown: PersonPin) -> WhichKey {
        let former = self.links.get(&id).and_then(|link| link.former);
        let present =
            self.identity.person_key && shown == self.identity.public.pin() && !self.keys_replaced();
        match (group, former) {
            (HandshakeGroup::Chum, Some(at)) => WhichKey::Former(at),
            (HandshakeGroup::Chum, None) if !present => WhichKey::Instance,
            _ => WhichKey::Person,
        }
    }

    /// Our Auth is signed: it leaves.
    pub(crate) fn auth_signed(&mut self, id: LinkId, signature: Option<Signature>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(signature) = signature else {
            return self.refuse(id, RefuseReason::NotSigned);
        };
        let mut out = BytesMut::new();
        let stage = match link.take() {
            Stage::SigningResponder(signing) => {
                signing.signed(signature, &mut out).map(|wait| Stage::Ready(Box::new(wait)))
            }
            Stage::SigningInitiator(signing) => {
                signing.signed(signature, &mut out).map(|wait| Stage::Auth(Box::new(wait)))
            }
            other => Ok(other),
        };
        match stage {
            Ok(stage) => {
                self.push_frame(id, out);
                self.stage(id, stage);
                self.link_step(id);
                self.auth_is_out(id);
                self.take_early(id);
            }
            Err(error) => self.refuse_handshake(id, &error),
        }
    }

    /// READY: the initiator's side is stored.
    pub(super) fn ready_came(&mut self, id: LinkId, wait: AwaitReady, frame: BytesMut) {
        let now = self.clock.latest();
        let person = wait.peer().person().id;
        match wait.read_ready(frame, &self.config.session, now) {
            Ok(established) => self.established(id, established),
            Err(HandshakeError::Rejected(code)) => {
                self.rejected_by(id, Some(person), code);
            }
            Err(error) => self.refuse_handshake(id, &error),
        }
    }
}

/// Whether the key by which a peer shows a contact is that contact's: the present one, or one of before, which then signs
/// nothing itself.
pub(super) fn counts(contact: &Contact, peer: &Peer) -> bool {
    let pin = peer.person().pin;
    let before = peer.signer == Signer::Instance && contact.former_pins().contains(&pin);
    contact.pin() == pin || before
}
