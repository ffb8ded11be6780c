//! Between Auth and CHUM: what must be durable, who must approve, and in which order the two sides say so.
//!
//! | side | our contact | what happens |
//! |---|---|---|
//! | dialling | none | store the pending contact, READY; its acknowledgement makes it active |
//! | dialling | pending, we joined | READY; its acknowledgement makes the contact active |
//! | dialling | the same, and no human is asked | READY with HELLO of the empty view behind it |
//! | dialling | pending, we invited | the other's Auth shows that it has stored its side: make it active, READY |
//! | dialling | active | READY with HELLO behind it |
//! | dialled | pending, we invited | READY: make it active (after the approval), acknowledge |
//! | dialled | pending, we joined | READY shows that the inviter's contact is active: make ours active, acknowledge |
//! | dialled | active | acknowledge with HELLO behind it |

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use bytes::BytesMut;
use lama_chum::{Chum, Past};
use lama_handshake::groups::Connections;
use lama_handshake::{Established, InitiatorVerified, Mode, PairKey, RejectCode, Role};
use lama_identity::{Contact, InstanceId, TrustOrigin};
use lama_store::{Read, Reply, Request, StoreError, TrustRecord, Write};

use super::Stage;
use super::link::Way;
use super::live::{Gate, HeadRead, Live};
use crate::api::{EndReason, Event, Group, LinkId, RefuseReason, SessionId};
use crate::hub::{Effect, Known, Note, Purpose};
use crate::log::LogSide;
use crate::node::{Node, peer_info};
use crate::pairing::known_writes;

impl Node {
    /// Dialling side: the responder is verified; now our own side has to be durable.
    pub(super) fn before_ready(&mut self, id: LinkId, verified: InitiatorVerified) {
        if let Some(Way::Dialled { purpose: Purpose::Join { locator, .. }, .. }) =
            self.links.get(&id).map(|link| link.way.clone())
            && self.is_telling(&locator)
        {
            let mut out = BytesMut::new();
            verified.reject(RejectCode::Denied, &mut out);
            self.push_frame(id, out);
            self.forget_join(locator);
            return self.refuse(id, RefuseReason::Ended);
        }
        let identity = verified.peer().identity.clone();
        let known = self.book.person(&identity.person_id());
        match known {
            None => {
                self.stage(id, Stage::Verified(Box::new(verified)));
                self.certify(id, &identity);
            }
            Some(known) if known.is_active() || known.note.inviter => {
                self.stage(id, Stage::Verified(Box::new(verified)));
                self.proceed(id);
            }
            Some(known) => {
                let confirm = known.note.confirm;
                self.pending_ready(id, verified, confirm);
            }
        }
    }

    /// Dialling side: the pending contact and its trust record, in one commit.
    pub(crate) fn store_pending(&mut self, id: LinkId, trust: TrustRecord) {
        let wall = self.clock.latest().wall;
        let Some(link) = self.links.get(&id) else { return };
        let (Stage::Verified(verified), Way::Dialled { purpose: Purpose::Join { locator, .. }, .. }) =
            (&link.stage, &link.way)
        else {
            return;
        };
        let peer = verified.peer();
        let mut contact = Contact::pending(&peer.identity, TrustOrigin::Token, wall);
        contact.learn_url(&peer.identity.instance_id(), &peer.endpoint.url);
        let Some(join) = self.joins.get(locator) else { return self.refuse(id, RefuseReason::Ended) };
        let confirm = join.confirms();
        let code = verified.check_code().map(|code| code.to_string());
        let note = Note { inviter: false, locator: Some(*locator), confirm, ready: false, code };
        let known = Box::new(Known { contact, note });
        let noise = *peer.noise();
        let mut writes: Vec<Write> = known_writes(&known).into();
        writes.push(Write::Trust(trust));
        writes.extend(self.forgive(&noise));
        self.commit(writes, Effect::Pending { link: id, known });
    }

    /// Dialling side: the pending contact is durable.
    pub(crate) fn pending_stored(
        &mut self,
        id: LinkId,
        known: Box<Known>,
        result: Option<Result<Reply, StoreError>>,
    ) {
        match result {
            Some(Ok(_)) => {}
            Some(Err(error)) => return self.refuse(id, RefuseReason::Store(error)),
            None => return,
        }
        let person = known.contact.id();
        let instances: Vec<InstanceId> = known.contact.instances.iter().map(|i| i.keys.owner).collect();
        let confirm = known.note.confirm;
        self.book.put(*known);
        for instance in instances {
            self.peer(person, instance);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        match link.take() {
            Stage::Verified(verified) => self.pending_ready(id, *verified, confirm),
            other => link.stage = other,
        }
    }

    /// Dialling side, pending: READY. Where no human has to approve, HELLO leaves in the same flight, so that the
    /// first object comes with the acknowledgement; the view of a pending contact is empty, and HELLO says no more.
    fn pending_ready(&mut self, id: LinkId, verified: InitiatorVerified, confirm: bool) {
        if confirm {
            return self.send_ready(id, verified);
        }
        self.stage(id, Stage::Verified(Box::new(verified)));
        self.open(id);
    }

    /// Dialling side: READY leaves by itself, where HELLO has to wait for the tail of a log.
    fn ready_alone(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Stage::Verified(_) = &link.stage
            && let Stage::Verified(verified) = link.take()
        {
            self.send_ready(id, *verified);
        }
    }

    /// Dialling side: READY leaves, and the session begins.
    fn send_ready(&mut self, id: LinkId, verified: InitiatorVerified) {
        let now = self.clock.latest();
        let mut out = BytesMut::new();
        match verified.ready(&self.config.session, now, &mut out) {
            Ok(established) => {
                self.push_frame(id, out);
                self.begin_session(id, established, Gate::Acknowledgement);
                self.take_early(id);
            }
            Err(error) => self.refuse_handshake(id, &error),
        }
    }

    /// Dialled side: READY came, and the session begins.
    pub(super) fn established(&mut self, id: LinkId, established: Established) {
        if let Some(link) = self.links.get_mut(&id) {
            link.authenticated();
        }
        self.begin_session(id, established, Gate::Work);
        if self.is_by_former_key(id) {
            self.hand_over_log(id);
        } else {
            self.proceed(id);
        }
    }

    /// A session between authenticated persons: one per pair of instances.
    fn begin_session(&mut self, id: LinkId, established: Established, gate: Gate) {
        let Established { mut mux, peer, role, mode, pair_key, pair_key_agreed, check_code, .. } =
            established;
        self.uncount(id);
        if self.logs.is_gone(peer.noise()) || self.am_revoked() {
            let person = peer.identity.person_id();
            return self.refuse(id, RefuseReason::Revoked { person });
        }
        let person = peer.identity.person_id();
        if self.is_blocked(&person) {
            return self.refuse(id, RefuseReason::Blocked { person });
        }
        self.sessions = self.sessions.saturating_add(1);
        let info = peer_info(&peer.identity);
        let (person, instance) = (info.person, info.instance);
        let session = SessionId(self.sessions);
        let active = self.book.person(&person).is_some_and(Known::is_active);
        let group = if active && mode == Mode::Known { Group::Chum } else { Group::Pairing };
        if self.book.person(&person).is_some_and(|known| !known.note.confirm) {
            mux.allow_early();
        }
        let deadline = (gate == Gate::Acknowledgement).then(|| self.ack_deadline(&person));
        let code = check_code.map(|code| code.to_string());
        let shown_head = self.links.get(&id).map_or(0, |link| link.shown_head);
        let log_head = peer.identity.log_head.seq;
        let live = Live {
            pings: Vec::new(),
            id: session,
            mux,
            peer: Box::new(peer),
            info: info.clone(),
            role,
            group,
            gate,
            pair: pair_key,
            pair_agreed: pair_key_agreed,
            code: code.clone(),
            chum: None,
            opening: false,
            early: alloc::collections::VecDeque::new(),
            head: HeadRead::Idle,
            cursor: None,
            acked: None,
            agreed: None,
            progress: lama_chum::Progress::default(),
            reported: None,
            in_sync: false,
            deadline,
            renewing: false,
            log: LogSide::new(shown_head, log_head),
            shown_head,
            connections: Connections::new(role, self.config.connections),
            early_groups: Vec::new(),
            group_turn: false,
            since: self.clock.latest().mono,
        };
        let Some(link) = self.links.get_mut(&id) else { return };
        let (dialled, url) = (link.dialled(), link.url().cloned());
        link.stage = Stage::Live(Box::new(live));
        self.authenticated_from(id);
        self.event(Event::SessionStarted { session, link: id, peer: info, group, dialled, url });
        self.learn(id);
        // A session by a former key is beside the one there is, and ends by itself.
        if !self.is_by_former_key(id) && self.one_session(id, person, instance) {
            self.live_due(id);
            if gate == Gate::Acknowledgement && !active {
                self.note_code(id, code);
            }
        }
    }

    /// How long an acknowledgement may take: as any step, or as long as a person at the other end needs.
    fn ack_deadline(&self, person: &lama_identity::PersonId) -> lama_core::Instant {
        let waits = self.book.person(person).is_some_and(|known| !known.is_active() && known.note.confirm);
        let step = self.config.session.step_timeout;
        let pause = if waits { self.config.approval_deadline.saturating_add(step) } else { step };
        self.clock.latest().mono + pause
    }

    /// Goes on with a link as far as its contact allows.
    pub(crate) fn proceed(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (person, gate) = match &link.stage {
            Stage::Verified(verified) => (verified.peer().person().id, None),
            Stage::Live(live) => (live.person(), Some(live.gate)),
            _ => return,
        };
        let Some(known) = self.book.person(&person) else {
            return match gate {
                None => self.refuse(id, RefuseReason::Ended),
                Some(Gate::Closing) => {}
                Some(_) => self.end_session(id, Some(lama_handshake::CloseCode::Removed), EndReason::Removed),
            };
        };
        let (active, inviter, confirm) = (known.is_active(), known.note.inviter, known.note.confirm);
        match gate {
            Some(Gate::Acknowledgement | Gate::Open | Gate::Closing) => {}
            _ if active => {
                self.complete_token(id);
                self.open(id);
            }
            // Dialling side, and we invited: not before the approval.
            None if confirm => self.refuse(id, RefuseReason::Ended),
            None => self.activate(id),
            Some(Gate::Work | Gate::Approval) if inviter && confirm => self.ask_approval(id),
            Some(Gate::Work | Gate::Approval | Gate::Finish) => self.activate(id),
        }
    }

    /// Dialling side: the other side's contact is active.
    pub(super) fn acknowledged(&mut self, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        live.deadline = None;
        let person = live.person();
        let opened = live.opening;
        let active = self.book.person(&person).is_some_and(Known::is_active);
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        if opened && active {
            live.gate = Gate::Open;
            self.forget_joins(&person);
            self.groups_ready(id);
        } else {
            live.gate = Gate::Finish;
            self.proceed(id);
        }
    }

    /// The contact is active: read the heads with which CHUM starts, under the pair key that both sides have.
    pub(crate) fn open(&mut self, id: LinkId) {
        match self.links.get(&id).map(|link| &link.stage) {
            Some(Stage::Live(live)) if live.opening => {}
            _ => match self.log_allows(id) {
                Some(true) => {}
                // READY goes without HELLO; the tail is asked for behind the acknowledgement.
                Some(false) => return self.ready_alone(id),
                None => return,
            },
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let (person, instance, fresh) = match &mut link.stage {
            Stage::Verified(verified) => {
                let peer = &verified.peer().identity;
                let fresh = (!verified.pair_key_agreed()).then(|| verified.pair_key().clone());
                (peer.person_id(), peer.instance_id(), fresh)
            }
            Stage::Live(live) if !live.opening => {
                live.opening = true;
                (live.info.person, live.info.instance, (!live.pair_agreed).then(|| live.pair.clone()))
            }
            // It runs since READY; the contact has become active.
            Stage::Live(live) if live.gate == Gate::Finish => {
                live.gate = Gate::Open;
                live.group = Group::Chum;
                return self.groups_ready(id);
            }
            _ => return,
        };
        let pair = fresh.map(|pair| (instance, pair));
        let mut requests = Vec::new();
        if let Some((instance, pair)) = &pair {
            let seen = self.clock.latest().wall;
            let mut peer = crate::hub::Peer::new(person);
            (peer.pair, peer.seen) = (Some(pair.clone()), Some(seen));
            requests.extend(
                peer.record(*instance).map(|record| Request::Commit(alloc::vec![Write::Peer(record)])),
            );
        }
        requests.push(Request::Read(Read::Head { person, instance }));
        self.store(requests, Effect::Opened { link: id, pair });
    }

    /// The heads are read: CHUM starts.
    pub(crate) fn opened(
        &mut self,
        id: LinkId,
        pair: Option<(InstanceId, PairKey)>,
        results: Vec<Result<Reply, StoreError>>,
    ) {
        let mut head = None;
        for result in results {
            match result {
                Ok(Reply::Head(found)) => head = found,
                Ok(_) => {}
                Err(error) => return self.store_ends(id, error),
            }
        }
        if let Some((instance, pair)) = pair
            && let Some(peer) = self.peers.get_mut(&instance)
        {
            peer.pair = Some(pair);
        }
        let Some(head) = head else {
            return self.store_ends(id, StoreError::Corrupt("no head of a view for a known instance"));
        };
        let key = lama_chum::PairKey::new(*head.pair_key.expose());
        let past = Past {
            sketch: head.sketch,
            seen: head.seen,
            agreed: head.agreed,
            news: head.news,
            last_news: head.last_news,
            acked: head.last_acked.upto,
            acked_in: head.last_acked.epoch,
            acked_by: head.acked_by,
            before: head.before,
            life: head.life,
        };
        let chum = Chum::new(self.config.chum, head.head, head.received, key).with_past(&past);
        let active = self.link_is_active(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Stage::Verified(_) = &link.stage
            && let Stage::Verified(verified) = link.take()
        {
            self.send_ready(id, *verified);
        }
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        if live.gate == Gate::Closing {
            return;
        }
        live.chum = Some(chum);
        live.opening = true;
        if active {
            live.group = Group::Chum;
        }
        if live.role == Role::Responder {
            // Cannot fail: it is done once, and by the responder.
            let _ = live.mux.acknowledge();
        }
        if live.gate != Gate::Acknowledgement {
            live.gate = Gate::Open;
        }
        live.deadline = live.deadline.filter(|_| live.gate == Gate::Acknowledgement);
        let again = core::mem::replace(&mut live.head, HeadRead::Idle) == HeadRead::Again;
        for (message, receipt) in core::mem::take(&mut live.early) {
            self.chum_message(id, message, receipt);
        }
        if again {
            self.read_head(id);
        }
        self.groups_ready(id);
        self.ready.insert(id);
        self.live_due(id);
    }

    /// Whether the contact at the other end is active.
    fn link_is_active(&self, id: LinkId) -> bool {
        let person = match self.links.get(&id).map(|link| &link.stage) {
            Some(Stage::Verified(verified)) => verified.peer().person().id,
            Some(Stage::Live(live)) => live.person(),
            _ => return false,
        };
        self.book.person(&person).is_some_and(Known::is_active)
    }

    /// The store failed under a link.
    pub(crate) fn store_ends(&mut self, id: LinkId, error: StoreError) {
        match self.links.get(&id).map(|link| &link.stage) {
            Some(Stage::Live(_)) => {
                self.end_session(id, Some(lama_handshake::CloseCode::Internal), EndReason::Store(error));
            }
            Some(_) => self.refuse(id, RefuseReason::Store(error)),
            None => {}
        }
    }
}
