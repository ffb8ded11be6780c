//! Denying and removing: contact and trust go on both sides, and a denied token is burnt.

use alloc::vec::Vec;

use lama_core::Ticket;
use lama_handshake::CloseCode;
use lama_identity::PersonId;
use lama_invite::{InviteError, RevokeReason, Settled};
use lama_store::{Reply, StoreError, Write};

use super::admit::{outcome, token_writes};
use crate::NodeError;
use crate::api::{EndReason, Event, Reply as NodeReply};
use crate::hub::{Effect, NOTES, setting};
use crate::node::Node;

impl Node {
    /// The writes that remove a contact, his trust records, his instances and our notes.
    pub(crate) fn removal_writes(person: &PersonId) -> [Write; 2] {
        let note = Write::Setting { key: setting(NOTES, &person.0), value: None };
        [Write::RemoveContact(*person), note]
    }

    /// [`crate::Command::Deny`]: a pending contact, on either side.
    pub(crate) fn deny(&mut self, reply: Ticket, person: PersonId) -> Result<(), NodeError> {
        match self.book.person(&person) {
            Some(known) if known.is_active() => Err(NodeError::NotPending { person }),
            Some(_) => {
                self.remove_person(person, Some(reply), false);
                Ok(())
            }
            // A join that has not reached the inviter yet.
            None if self.joins.values().any(|join| join.is_of(&person) && join.is_wanted()) => {
                let begun = self.joins.values().any(|join| join.is_of(&person) && join.begun);
                let writes = if begun { self.deny_journals(&person) } else { self.forget_journals(&person) };
                self.joins_denied(&person, &NodeError::DeniedHere { person });
                self.commit(writes, Effect::Removed { reply: Some(reply), person, by_peer: false });
                Ok(())
            }
            None => Err(NodeError::NotPending { person }),
        }
    }

    /// [`crate::Command::RemoveContact`].
    pub(crate) fn remove_contact(&mut self, reply: Ticket, person: PersonId) -> Result<(), NodeError> {
        if self.book.person(&person).is_none() {
            return Err(NodeError::NotAContact { person });
        }
        self.remove_person(person, Some(reply), false);
        Ok(())
    }

    /// The peer denied a pairing, or removed us: what is pending goes here, too. An established contact stays until
    /// a person here removes it: what was said and shared is not the other side's to take away.
    pub(crate) fn denied_by_peer(&mut self, person: PersonId) {
        match self.book.person(&person) {
            Some(known) if known.is_active() => {
                // It says so each time it is dialled; it is worth one report. Each of its instances is noted.
                let mut news = false;
                for peer in self.peers.values_mut().filter(|peer| peer.person == person) {
                    news |= !core::mem::replace(&mut peer.removed, true);
                }
                if news {
                    self.event(Event::ContactRemoved { person, by_peer: true });
                }
            }
            Some(_) => self.remove_person(person, None, true),
            None => {
                let writes = self.forget_journals(&person);
                if !writes.is_empty() {
                    self.joins_denied(&person, &NodeError::Denied { person });
                    self.commit(writes, Effect::Removed { reply: None, person, by_peer: true });
                }
            }
        }
    }

    fn remove_person(&mut self, person: PersonId, reply: Option<Ticket>, by_peer: bool) {
        let now = self.clock.latest();
        let Some(known) = self.book.person(&person).cloned() else { return };
        let mut writes: Vec<Write> = Self::removal_writes(&person).into();
        writes.extend(self.forget_log(&person));
        writes.extend(self.forbid_debug(&person));
        if by_peer || known.is_active() {
            writes.extend(self.forget_journals(&person));
        } else {
            writes.extend(self.deny_journals(&person));
        }
        if !by_peer {
            writes.extend(self.deny_writes(&known));
        }
        let code = if known.is_active() { CloseCode::Removed } else { CloseCode::Denied };
        let mut change = None;
        if known.note.inviter
            && !known.is_active()
            && let Some(locator) = known.note.locator
            && let Ok(Some(step)) = self.ledger.revoke(now, &locator, RevokeReason::Denied)
        {
            change = Some(step.ticket);
            writes.extend(token_writes(step.step));
        }
        let error = if by_peer { NodeError::Denied { person } } else { NodeError::DeniedHere { person } };
        let links = self.links_with(&person);
        self.book.remove(&person);
        self.joins_denied(&person, &error);
        for link in links {
            let reason = if by_peer { EndReason::RemovedByPeer } else { EndReason::Removed };
            if self.links.get(&link).is_some_and(|link| link.live().is_some()) {
                self.end_session(link, (!by_peer).then_some(code), reason);
            } else {
                self.refuse(link, crate::api::RefuseReason::Ended);
            }
        }
        self.forget_peers(&person);
        if !known.is_active() {
            self.event(Event::PairingFailed { person: Some(person), error });
        }
        let effect = match change {
            Some(_) => Effect::Revoked { reply, change, person: Some(person), by_peer },
            None => Effect::Removed { reply, person, by_peer },
        };
        self.commit(writes, effect);
    }

    /// A removal is durable.
    pub(crate) fn removed(
        &mut self,
        reply: Option<Ticket>,
        person: PersonId,
        by_peer: bool,
        result: Option<Result<Reply, StoreError>>,
    ) {
        match result {
            Some(Err(error)) => match reply {
                Some(reply) => self.reply(reply, Err(NodeError::Store(error))),
                None => self.store_failed("removing a contact", error),
            },
            _ => {
                self.event(Event::ContactRemoved { person, by_peer });
                if let Some(reply) = reply {
                    self.reply(reply, Ok(NodeReply::Done));
                }
            }
        }
    }

    /// A revocation, or a denial with it, is durable; or the state has moved on and it is asked again.
    pub(crate) fn revoked(
        &mut self,
        reply: Option<Ticket>,
        change: Option<Ticket>,
        denied: Option<(PersonId, bool)>,
        result: Option<Result<Reply, StoreError>>,
    ) {
        let now = self.clock.latest();
        let settled =
            change.map_or(Settled::Done, |change| self.ledger.settle(now, change, outcome(&result)));
        let person = denied.map(|(person, _)| person);
        match settled {
            Settled::Again(step) => {
                let mut writes = token_writes(step.step);
                writes.extend(person.iter().flat_map(Self::removal_writes));
                // The joiner was quicker than the revocation: the contact that he became goes with the token.
                let undone = step.undo.and_then(|by| self.undo_pending(&by.by_person));
                writes.extend(undone.into_iter().flatten());
                let by_peer = denied.is_some_and(|(_, by_peer)| by_peer);
                let effect = Effect::Revoked { reply, change: Some(step.ticket), person, by_peer };
                self.commit(writes, effect);
            }
            Settled::Lost(error) => {
                // The pairing was quicker than the denial. Nothing was written, and the person is to go all the same.
                if let (InviteError::AlreadyCompleted { .. }, Some((person, by_peer))) = (&error, denied) {
                    let writes = Self::removal_writes(&person).into();
                    return self.commit(writes, Effect::Removed { reply, person, by_peer });
                }
                if let Some(reply) = reply {
                    self.reply(reply, Err(NodeError::Invite(error)));
                }
            }
            Settled::Done | Settled::Yours { .. } | Settled::NotMine => match denied {
                Some((person, by_peer)) => self.removed(reply, person, by_peer, result),
                None => {
                    if let Some(reply) = reply {
                        self.reply(reply, Ok(NodeReply::Done));
                    }
                }
            },
        }
    }

    /// Forgets a pending contact whose invitation is revoked, ends its links, and gives the writes that belong into
    /// the commit of the revocation. `None` if there is none, or if it has become active.
    pub(crate) fn undo_pending(&mut self, person: &PersonId) -> Option<Vec<Write>> {
        let known = self.book.person(person).filter(|known| !known.is_active())?.clone();
        let mut writes: Vec<Write> = Self::removal_writes(person).into();
        writes.extend(self.forget_log(person));
        writes.extend(self.forget_journals(person));
        writes.extend(self.deny_writes(&known));
        let links = self.links_with(person);
        self.book.remove(person);
        for link in links {
            self.end_session(link, Some(CloseCode::Denied), EndReason::Removed);
            self.refuse(link, crate::api::RefuseReason::Ended);
        }
        self.forget_peers(person);
        Some(writes)
    }
}
