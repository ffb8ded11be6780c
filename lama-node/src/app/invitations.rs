//! Making, listing and taking back invitations.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use lama_core::{Seed, Ticket};
use lama_invite::{Draft, Invitation, Locator, MAX_ROUTES, Policy, RevokeReason, Route, Settled, TokenState};
use lama_store::{Reply as StoreReply, StoreError};

use crate::NodeError;
use crate::api::{InvitationInfo, InvitationState, Reply};
use crate::hub::Effect;
use crate::node::Node;
use crate::pairing::{outcome, token_writes};

impl Node {
    /// [`crate::Command::Invite`].
    pub(crate) fn invite(
        &mut self,
        reply: Ticket,
        policy: Policy,
        lifetime: Option<Duration>,
        label: &str,
        seed: Seed,
    ) -> Result<(), NodeError> {
        let now = self.clock.latest();
        if self.keys_replaced() {
            return Err(NodeError::KeysReplaced);
        }
        let urls = self.listening.iter().take(MAX_ROUTES);
        let routes: Vec<Route> = urls
            .map(|url| Route::parse(url).map_err(lama_invite::InviteError::BadUrl))
            .collect::<Result<_, _>>()?;
        if routes.is_empty() {
            return Err(NodeError::NotListening);
        }
        let public = &self.identity.public;
        let draft = Draft {
            r_static: *public.noise(),
            r_person_id: public.person_id(),
            r_person_pin: public.pin(),
            routes,
            policy,
            lifetime,
        };
        let invitation = Invitation::create(draft, &self.config.invite, now.wall, seed)?;
        let change = self.ledger.issue(now, &invitation, label)?;
        let mut writes = token_writes(change.step);
        writes.push(self.wall_write());
        let invitation = Box::new(invitation);
        self.commit(writes, Effect::Issued { reply, change: change.ticket, invitation });
        Ok(())
    }

    /// The invitation is durable: now it may be shown.
    pub(crate) fn issued(
        &mut self,
        reply: Ticket,
        change: Ticket,
        invitation: Box<Invitation>,
        result: &Option<Result<StoreReply, StoreError>>,
    ) {
        let now = self.clock.latest();
        let result = match self.ledger.settle(now, change, outcome(result)) {
            Settled::Done => {
                let (locator, exp) = (invitation.locator(), invitation.exp());
                Ok(Reply::Invitation { locator, invitation, exp })
            }
            Settled::Lost(error) => Err(NodeError::Invite(error)),
            _ => Err(NodeError::Stopped),
        };
        self.reply(reply, result);
    }

    /// [`crate::Command::RevokeInvitation`]. A joiner who has used it and is pending goes with it.
    pub(crate) fn revoke_invitation(&mut self, reply: Ticket, locator: &Locator) -> Result<(), NodeError> {
        let now = self.clock.latest();
        let Some(change) = self.ledger.revoke(now, locator, RevokeReason::Withdrawn)? else {
            self.reply(reply, Ok(Reply::Done));
            return Ok(());
        };
        let mut writes = token_writes(change.step);
        let mut person = None;
        if let Some(by) = change.undo
            && let Some(undone) = self.undo_pending(&by.by_person)
        {
            person = Some(by.by_person);
            writes.extend(undone);
        }
        let change = Some(change.ticket);
        self.commit(writes, Effect::Revoked { reply: Some(reply), change, person, by_peer: false });
        Ok(())
    }

    /// [`crate::Command::Invitations`].
    pub(crate) fn invitations(&self) -> Vec<InvitationInfo> {
        self.ledger
            .list()
            .map(|entry| {
                let record = entry.record;
                let state = match &record.state {
                    TokenState::Issued => match entry.blocked {
                        None => InvitationState::Open,
                        Some(lama_invite::Blocked::Expired) => InvitationState::Expired,
                        Some(lama_invite::Blocked::Revoking) => InvitationState::Revoked,
                        Some(_) => InvitationState::Blocked,
                    },
                    TokenState::Consumed(by) => InvitationState::Consumed { by: by.by_person },
                    TokenState::Completed(by) => InvitationState::Completed { by: by.by_person },
                    TokenState::Revoked { .. } => InvitationState::Revoked,
                    TokenState::Expired { .. } => InvitationState::Expired,
                };
                InvitationInfo {
                    locator: record.locator,
                    label: record.label.clone(),
                    policy: record.policy,
                    state,
                    issued: lama_core::WallTime(record.issued),
                    exp: record.exp(),
                }
            })
            .collect()
    }
}
