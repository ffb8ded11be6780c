//! New keys of this very instance: certified in the log, taken up with the next start, and how contacts who only know
//! the old ones get to them (`docs/protocol/log.md`, "New keys of an instance").

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use lama_core::{Seed, Ticket};
use lama_handshake::{AwaitMessage3, Message1};
use lama_identity::{
    Certified, IdentityError, InstanceCert, InstanceId, InstanceRequest, LogChain, LogEntry, Object as _,
    PersonId, PersonPin, PublicIdentity, SignPublic,
};
use lama_invite::RevokeReason;
use lama_store::{Engine, Read, Reply, Store, StoreError};

use super::{Issuing, Logs};
use crate::NodeError;
use crate::api::{LinkId, MAX_FORMER};
use crate::hub::{Effect, setting};
use crate::node::Node;
use crate::pairing::token_writes;

/// The log of a person as it is kept in a store; `None`: there is none, or it does not hold together. For a host that has
/// to find out whether new keys were certified before it was interrupted.
///
/// # Errors
/// What the store says.
pub fn kept_log<E: Engine>(store: &mut Store<E>, person: &PersonId) -> Result<Option<LogChain>, StoreError> {
    let name = setting(super::LOGS, &person.0);
    let Reply::Settings(found) = store.ask(Read::Settings(name))? else { return Ok(None) };
    let mut logs = Logs::default();
    for (key, value) in found {
        logs.loaded(&key, &value);
    }
    Ok(logs.verify().ok().and_then(|()| logs.of(person).cloned()))
}

impl Node {
    /// [`crate::Command::RotateInstance`].
    pub(crate) fn rotate_instance(&mut self, reply: Ticket, request: &Bytes) -> Result<(), NodeError> {
        if InstanceRequest::from_bytes(request)?.keys().owner != self.identity.public.instance_id() {
            return Err(NodeError::NoSuchInstance);
        }
        self.may_rotate()?;
        self.certify_instance(reply, request, true)?;
        self.end_invitations();
        Ok(())
    }

    /// [`crate::Command::RotatePerson`].
    pub(crate) fn rotate_person(&mut self, reply: Ticket, entries: &[Bytes]) -> Result<(), NodeError> {
        self.may_rotate()?;
        let mut chain = self.own_chain()?.clone();
        let before = chain.head().seq;
        match chain.extend(entries)?.as_slice() {
            [LogEntry::Rotation(_), LogEntry::Cert(cert)]
                if cert.body().instance_id == self.identity.public.instance_id()
                    && cert.body().i_noise == *self.identity.public.noise().as_bytes() => {}
            _ => return Err(NodeError::Identity(IdentityError::Mismatch { field: "entries" })),
        }
        if core::mem::replace(&mut self.issuing, true) {
            return Err(NodeError::Busy { max: 1 });
        }
        let writes = super::entry_writes(&self.me(), &chain, before);
        let issuing = Box::new(Issuing::RotatePerson { reply });
        self.commit(writes, Effect::EntryIssued { issuing, chain: Box::new(chain) });
        self.end_invitations();
        Ok(())
    }

    /// Whether nothing hangs on the keys that are to be replaced, and the key that has to sign is here.
    fn may_rotate(&self) -> Result<(), NodeError> {
        if !self.identity.person_key {
            return Err(NodeError::KeyAbsent);
        }
        if self.keys_replaced() {
            return Err(NodeError::KeysReplaced);
        }
        // The other side of a pairing goes on by the key that it has begun with.
        if self.book.pending() > 0 || !self.joins.is_empty() {
            return Err(NodeError::PairingUnderWay);
        }
        Ok(())
    }

    /// Open invitations name the keys that go.
    fn end_invitations(&mut self) {
        let now = self.clock.latest();
        for change in self.ledger.revoke_issued(now, RevokeReason::Withdrawn) {
            let ticket = Some(change.ticket);
            let effect = Effect::Revoked { reply: None, change: ticket, person: None, by_peer: false };
            self.commit(token_writes(change.step), effect);
        }
    }

    /// Whether the log names newer keys of this instance, or of its person: it is to be started anew with them.
    pub(crate) fn keys_replaced(&self) -> bool {
        let own = &self.identity.public;
        let newer = |entry: &Certified| {
            let same = entry.instance_id == own.instance_id() && entry.revoked.is_none();
            same && entry.seq > own.cert.body().seq && entry.noise != *own.noise()
        };
        self.logs.of(&self.me()).is_some_and(|chain| {
            let person = self.identity.person_key && chain.log().key() != Some(&own.person_keys.sign_key);
            person || chain.log().certified().iter().any(newer)
        })
    }

    /// Whether keys of this instance from before are certified still: this is the first start with new ones.
    pub(crate) fn has_new_keys(&self) -> bool {
        self.replaced_key().is_some()
    }

    /// Message 1 by one of our former keys, and which.
    pub(crate) fn answer_as_before(
        &self,
        message: Message1,
        seed: &Seed,
        out: &mut BytesMut,
    ) -> Option<(usize, AwaitMessage3)> {
        let former = self.identity.former.iter().enumerate().rev().take(MAX_FORMER);
        former.into_iter().find_map(|(at, keys)| {
            let seed = seed.child(&format!("{at}"));
            message.answer(&keys.noise, None, seed, out).ok().map(|wait| (at, wait))
        })
    }

    /// Whose keys we stand with on a link: the present ones, or those by which we were dialled.
    pub(crate) fn keys_on(&self, id: LinkId) -> &PublicIdentity {
        let former = self.links.get(&id).and_then(|link| link.former);
        former.and_then(|at| self.identity.former.get(at)).map_or(&self.identity.public, |keys| &keys.public)
    }

    /// As whom we stand on a link before somebody who knows our person by `key`: as we were certified under that key, or
    /// under the next one where the instance's keys are newer. Whoever has not heard of a rotation is told of it in the
    /// session, not before.
    pub(crate) fn shown_to(&self, id: LinkId, key: Option<&SignPublic>) -> PublicIdentity {
        let keys = self.keys_on(id);
        let known = key.zip(self.logs.of(&self.me())).and_then(|(key, chain)| {
            let mut from = chain.log().keys().iter().skip_while(|(_, other)| other != key);
            from.find_map(|(_, key)| chain.shown_by(keys, key))
        });
        known.unwrap_or_else(|| PublicIdentity { log_head: self.own_head(), ..keys.clone() })
    }

    /// The pins of the signing keys that our person had, and has.
    pub(crate) fn own_pins(&self) -> Vec<PersonPin> {
        let keys = self.logs.of(&self.me()).map(|chain| chain.log().keys()).unwrap_or_default();
        keys.iter().map(|(_, key)| key.pin()).collect()
    }

    /// By which key we show our person to an instance of a contact: to one that has named us, by that which it has named.
    /// One that we dial has not; it is shown the key by which the two became contacts, since whoever knows a later one has
    /// it from the log, in which the earlier one stands.
    pub(crate) fn known_by(&self, instance: &InstanceId, named: Option<PersonPin>) -> Option<SignPublic> {
        let keys = self.logs.of(&self.me())?.log().keys();
        let found = if let Some(pin) = named {
            keys.iter().rfind(|(_, key)| key.pin() == pin)
        } else {
            let since = self.book.person(&self.peers.get(instance)?.person)?.contact.since;
            // Certificates count seconds.
            let before =
                |from: u64| self.certified_at(from).is_none_or(|at| at.saturating_add(1000) <= since);
            keys.iter().rfind(|(from, _)| before(*from))
        };
        found.map(|(_, key)| *key)
    }

    /// When the first certificate after a rotation was made, in milliseconds since the Unix epoch; `None` before the
    /// first rotation.
    fn certified_at(&self, rotation: u64) -> Option<u64> {
        let entries = self.logs.of(&self.me())?.entries();
        let after = entries.get(usize::try_from(rotation).ok().filter(|at| *at > 0)?..)?;
        let certs = after.iter().filter_map(|entry| InstanceCert::from_bytes(entry.clone()).ok());
        certs.map(|cert| cert.body().not_before.saturating_mul(1000)).next()
    }

    /// By which key of his person an instance of a contact is sure to know it: by that of its own certificate.
    pub(crate) fn named_to(&self, instance: &InstanceId) -> Option<PersonPin> {
        let peer = self.peers.get(instance)?;
        let known = self.book.person(&peer.person)?.contact.instance(instance)?;
        SignPublic::try_from(known.cert.body().person_sign_key).ok().map(|key| key.pin())
    }

    /// A contact has dialled by a former key: it is told of the log, in which the present one stands, and of nothing else.
    /// It then ends the session, since the log revokes the key of it, and dials by the new one.
    pub(crate) fn hand_over_log(&mut self, id: LinkId) {
        let deadline = self.clock.latest().mono + self.config.session.handshake_timeout;
        if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) {
            // Cannot fail: it is done once, and by the responder.
            let _ = live.mux.acknowledge();
            live.deadline = Some(deadline);
            self.ready.insert(id);
            self.live_due(id);
        }
    }

    /// Whether a link was dialled by one of our former keys.
    pub(crate) fn is_by_former_key(&self, id: LinkId) -> bool {
        self.links.get(&id).is_some_and(|link| link.former.is_some())
    }
}
