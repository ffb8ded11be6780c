//! New keys of this very instance: certified in the log, taken up with the next start, and how contacts who only know
//! the old ones get to them (`docs/protocol/log.md`, "New keys of an instance").

use alloc::format;

use bytes::{Bytes, BytesMut};
use lama_core::{Seed, Ticket};
use lama_handshake::{AwaitMessage3, Message1};
use lama_identity::{Certified, InstanceRequest, LogChain, Object as _, PersonId, PublicIdentity};
use lama_invite::RevokeReason;
use lama_store::{Engine, Read, Reply, Store, StoreError};

use super::Logs;
use crate::NodeError;
use crate::api::{LinkId, MAX_FORMER};
use crate::hub::Effect;
use crate::node::Node;
use crate::pairing::token_writes;

/// The log of a person as it is kept in a store; `None`: there is none, or it does not hold together. For a host that has
/// to find out whether new keys were certified before it was interrupted.
///
/// # Errors
/// What the store says.
pub fn kept_log<E: Engine>(store: &mut Store<E>, person: &PersonId) -> Result<Option<LogChain>, StoreError> {
    let Reply::Settings(found) = store.ask(Read::Settings(super::LOGS.into()))? else { return Ok(None) };
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
        if !self.identity.person_key {
            return Err(NodeError::KeyAbsent);
        }
        // The other side of a pairing goes on by the key that it has begun with.
        if self.book.pending() > 0 || !self.joins.is_empty() {
            return Err(NodeError::PairingUnderWay);
        }
        self.certify_instance(reply, request, true)?;
        let now = self.clock.latest();
        for change in self.ledger.revoke_issued(now, RevokeReason::Withdrawn) {
            let change_ticket = Some(change.ticket);
            let effect = Effect::Revoked { reply: None, change: change_ticket, person: None, by_peer: false };
            self.commit(token_writes(change.step), effect);
        }
        Ok(())
    }

    /// Whether the log certifies newer keys of this instance: it is to be started anew with them.
    pub(crate) fn keys_replaced(&self) -> bool {
        let own = self.identity.public.cert.body();
        let newer = |entry: &Certified| {
            entry.instance_id == own.instance_id && entry.revoked.is_none() && entry.seq > own.seq
        };
        let of_ours = |chain: &LogChain| {
            chain
                .log()
                .certified()
                .iter()
                .any(|entry| newer(entry) && entry.noise != *self.identity.public.noise())
        };
        self.logs.of(&self.me()).is_some_and(of_ours)
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
        // The introduction by a former key is signed by the person's.
        let former = self.identity.former.iter().enumerate().rev().take(MAX_FORMER);
        former.filter(|_| self.identity.person_key).find_map(|(at, keys)| {
            let seed = seed.child(&format!("{at}"));
            message.answer(&keys.noise, None, seed, out).ok().map(|wait| (at, wait))
        })
    }

    /// As whom we stand on a link: as we are, or with the keys by which we were dialled.
    pub(crate) fn shown_on(&self, id: LinkId) -> PublicIdentity {
        let former = self.links.get(&id).and_then(|link| link.former);
        match former.and_then(|at| self.identity.former.get(at)) {
            Some(keys) => PublicIdentity { log_head: self.own_head(), ..keys.public.clone() },
            None => self.identity.public.clone(),
        }
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
