//! From pending to active: what both sides then share, and who is told.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use lama_core::Ticket;
use lama_identity::{
    Cid, ContactState, InstanceId, Object as _, PersonId, Signature, TrustKeysCertificate, TrustOrigin,
    Unsigned,
};
use lama_invite::{Locator, Settled};
use lama_store::{Reply, StoreError, TrustRecord, Write};

use super::admit::{known_writes, outcome, token_writes, trust_record};
use crate::NodeError;
use crate::api::{Event, LinkId, PendingInfo, Reply as NodeReply, WaitsFor, WhichKey};
use crate::hub::{Effect, Known, NOTES, setting};
use crate::node::Node;
use crate::session::{Gate, Stage};

/// An approval, with the certificate that says so.
#[derive(Debug)]
pub(crate) struct Approved {
    reply: Ticket,
    trust: TrustRecord,
}

impl Node {
    /// The link of a pending contact has come as far as it takes: make the contact active.
    pub(crate) fn activate(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (person, code) = match &link.stage {
            Stage::Live(live) => (live.person(), live.code.clone()),
            Stage::Verified(verified) => (verified.peer().person().id, None),
            _ => return,
        };
        let locator = link.locator;
        self.activate_person(person, code, locator, None);
    }

    /// Contact, token, what we show of ourselves: in one commit. A second call while it is under way does nothing;
    /// all links of the person go on when it is done.
    pub(crate) fn activate_person(
        &mut self,
        person: PersonId,
        code: Option<String>,
        locator: Option<Locator>,
        approved: Option<Approved>,
    ) {
        let now = self.clock.latest();
        if approved.is_none() && self.activating.contains(&person) {
            return;
        }
        let Some(known) = self.book.person(&person) else { return };
        let mut known = Box::new(known.clone());
        known.contact.state = ContactState::Active;
        if approved.is_some() {
            known.contact.how = TrustOrigin::TokenAndCode;
        }
        known.note.code = code.or(known.note.code);
        let mut writes: Vec<Write> = known_writes(&known).into();
        let reply = approved.as_ref().map(|approved| approved.reply);
        writes.extend(approved.map(|approved| Write::Trust(approved.trust)));
        let mut change = None;
        if known.note.inviter
            && let Some(locator) = locator.or(known.note.locator)
            && let Some(noise) = self.used_by(&locator, &person)
            && let Ok(Some(step)) = self.ledger.complete(now, &locator, &noise, person)
        {
            change = Some(step.ticket);
            writes.extend(token_writes(step.step));
        }
        writes.extend(self.forget_journals(&person));
        writes.extend(self.first_share(person));
        self.activating.insert(person);
        self.commit(writes, Effect::Activated { known, change, reply });
    }

    /// By which key of the person the token was used.
    fn used_by(&self, locator: &Locator, person: &PersonId) -> Option<lama_identity::NoisePublic> {
        let used = self.ledger.record(locator)?.state.used()?;
        (used.by_person == *person).then_some(used.by_static)
    }

    /// What every contact sees of us: person, instance, keys, certificate, endpoint, and the channel of us two.
    pub(crate) fn first_share(&self, person: PersonId) -> Vec<Write> {
        let mut ids = self.own_ids();
        ids.extend(self.endpoint);
        let channel = lama_identity::Channel::direct(self.me(), person);
        let mut writes = Vec::new();
        if let Ok(bytes) = channel.to_bytes() {
            let id = Cid::of_object(&bytes);
            writes.push(Write::Put { objects: alloc::vec![(id, bytes)] });
            ids.push(id);
        }
        writes.push(Write::Share { ids, persons: alloc::vec![person] });
        writes
    }

    /// The contact is active, durably.
    pub(crate) fn activated(
        &mut self,
        known: Box<Known>,
        change: Option<Ticket>,
        reply: Option<Ticket>,
        result: Option<Result<Reply, StoreError>>,
    ) {
        let now = self.clock.latest();
        let person = known.contact.id();
        self.activating.remove(&person);
        if let Some(change) = change {
            let settled = self.ledger.settle(now, change, outcome(&result));
            if let Settled::Lost(error) = settled {
                self.event(Event::PairingFailed { person: Some(person), error: NodeError::Invite(error) });
            }
        }
        match result {
            Some(Ok(Reply::Committed(committed))) => self.committed(&committed, None),
            Some(Err(error)) => return self.activation_failed(person, reply, error),
            _ => return self.conflict(person, reply),
        }
        // Removed while it was under way: the removal comes behind it in the store, too.
        let Some(current) = self.book.person(&person) else { return };
        let mut current = current.clone();
        current.contact.state = ContactState::Active;
        current.contact.how = known.contact.how;
        current.note = known.note.clone();
        let behind = current.contact != known.contact;
        self.book.put(current.clone());
        if behind {
            self.update_contact(current.clone());
        }
        let contact = self.contact_info(&current);
        self.event(Event::Paired(Box::new(contact.clone())));
        if let Some(reply) = reply {
            self.reply(reply, Ok(NodeReply::Contact(Box::new(contact))));
        }
        self.joins_done(&person);
        self.contact_active(&person);
    }

    /// Every link of the person that waited for this goes on; without one the instances are dialled.
    fn contact_active(&mut self, person: &PersonId) {
        let links = self.links_with(person);
        for link in &links {
            self.proceed(*link);
        }
        let instances: Vec<InstanceId> =
            self.peers.iter().filter(|(_, peer)| peer.person == *person).map(|(id, _)| *id).collect();
        for instance in instances {
            if self.peers.get(&instance).is_some_and(|peer| peer.session.is_none()) && links.is_empty() {
                self.dial_peer(instance);
            }
        }
    }

    fn activation_failed(&mut self, person: PersonId, reply: Option<Ticket>, error: StoreError) {
        for link in self.links_with(&person) {
            self.store_ends(link, error.clone());
        }
        if let Some(reply) = reply {
            self.reply(reply, Err(NodeError::Store(error)));
        }
    }

    /// The token is not in the state it should be in: it was revoked a moment ago.
    fn conflict(&mut self, person: PersonId, reply: Option<Ticket>) {
        for link in self.links_with(&person) {
            self.end_session(link, Some(lama_handshake::CloseCode::Denied), crate::api::EndReason::Removed);
        }
        if let Some(reply) = reply {
            self.reply(reply, Err(NodeError::NotPending { person }));
        }
    }

    /// A contact that was active before has used another token: complete it.
    pub(crate) fn complete_token(&mut self, id: LinkId) {
        let now = self.clock.latest();
        let Some(link) = self.links.get(&id) else { return };
        let (Some(locator), Some(live)) = (link.locator, link.live()) else { return };
        let (noise, person) = (*live.peer.noise(), live.person());
        if let Ok(Some(change)) = self.ledger.complete(now, &locator, &noise, person) {
            self.commit(token_writes(change.step), Effect::Completed { change: change.ticket });
        }
    }

    /// Dialled side, policy `confirm`: the joiner is ready; write that down, then ask a person.
    pub(crate) fn ask_approval(&mut self, id: LinkId) {
        let until = self.clock.latest().mono + self.config.approval_deadline;
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        if live.gate == Gate::Approval {
            return;
        }
        live.gate = Gate::Approval;
        live.deadline = Some(until);
        let (person, code) = (live.person(), live.code.clone());
        let Some(known) = self.book.person(&person) else { return };
        let mut known = Box::new(known.clone());
        known.note.ready = true;
        known.note.code = code.or(known.note.code);
        let key = setting(NOTES, &person.0);
        let value = Some(known.note.to_bytes());
        self.commit(alloc::vec![Write::Setting { key, value }], Effect::Ready { link: id, known });
        self.live_due(id);
    }

    /// It is written down that the joiner is ready.
    pub(crate) fn ready_stored(
        &mut self,
        id: LinkId,
        known: Box<Known>,
        result: Option<Result<Reply, StoreError>>,
    ) {
        if let Some(Err(error)) = result {
            return self.store_ends(id, error);
        }
        let person = known.contact.id();
        match self.book.person(&person) {
            Some(current) if !current.is_active() => {
                let note = known.note.clone();
                let current = Known { note, ..current.clone() };
                let info = self.pending_info(&current, WaitsFor::OurApproval);
                self.book.put(current);
                self.event(Event::PairingPending(Box::new(info)));
            }
            // Approved or denied while this was written.
            _ => {}
        }
    }

    /// Dialling side: READY is out. The code is known, and the other side may need a person.
    pub(crate) fn note_code(&mut self, id: LinkId, code: Option<String>) {
        let Some(person) = self.links.get(&id).and_then(|link| link.live()).map(crate::session::Live::person)
        else {
            return;
        };
        let Some(known) = self.book.person(&person) else { return };
        let mut known = known.clone();
        let fresh = code.is_some() && known.note.code != code;
        known.note.code = code.or(known.note.code);
        let confirm = known.note.confirm && !known.is_active();
        let info = self.pending_info(&known, WaitsFor::TheirApproval);
        if fresh {
            let key = setting(NOTES, &person.0);
            let value = Some(known.note.to_bytes());
            self.commit(
                alloc::vec![Write::Setting { key, value }],
                Effect::Quiet { doing: "noting a check code" },
            );
            self.book.put(known);
        }
        if confirm {
            self.event(Event::PairingPending(Box::new(info)));
        }
    }

    /// [`crate::Command::Approve`].
    pub(crate) fn approve(&mut self, reply: Ticket, person: PersonId) -> Result<(), NodeError> {
        let known = self.book.person(&person).ok_or(NodeError::NotPending { person })?;
        if known.is_active() {
            return Err(NodeError::NotPending { person });
        }
        if !known.note.inviter || !known.note.ready || self.activating.contains(&person) {
            return Err(NodeError::NothingToApprove { person });
        }
        let at = self.clock.latest().wall;
        let own = &self.identity.public.person_keys;
        let certificate = TrustKeysCertificate::new(own, &known.contact.keys, TrustOrigin::TokenAndCode, at)?;
        let unsigned = Unsigned::new(certificate)?;
        let bytes = unsigned.input()?;
        self.sign(WhichKey::Person, bytes, Effect::Approval { reply, unsigned: Box::new(unsigned) });
        Ok(())
    }

    /// The certificate of an approval is signed: the contact becomes active with it.
    pub(crate) fn approval_signed(
        &mut self,
        reply: Ticket,
        unsigned: Unsigned<TrustKeysCertificate>,
        signature: Option<Signature>,
    ) {
        let person = unsigned.value().subject;
        let signed =
            signature.ok_or(NodeError::KeyAbsent).and_then(|signature| Ok(unsigned.attach(signature)?));
        match signed {
            Ok(_)
                if self.activating.contains(&person)
                    || self.book.person(&person).is_none_or(Known::is_active) =>
            {
                self.reply(reply, Err(NodeError::NotPending { person }));
            }
            Ok(signed) => {
                let approved = Approved { reply, trust: trust_record(&signed) };
                self.activate_person(person, None, None, Some(approved));
            }
            Err(error) => self.reply(reply, Err(error)),
        }
    }

    /// A row of the list of pairings under way.
    pub(crate) fn pending_info(&self, known: &Known, waits_for: WaitsFor) -> PendingInfo {
        let contact = &known.contact;
        let peer = contact.instances.first().map(|instance| crate::api::PeerInfo {
            person: contact.id(),
            email: contact.person.email.as_str().into(),
            instance: instance.keys.owner,
            instance_name: instance.instance.name.clone(),
        });
        PendingInfo {
            peer,
            person: contact.id(),
            pin: contact.pin(),
            role: known.note.role(),
            waits_for,
            check_code: known.note.code.clone(),
            since: lama_core::WallTime(contact.since),
        }
    }
}
