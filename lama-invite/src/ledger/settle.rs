//! How a durable step comes back.

use alloc::boxed::Box;

use lama_core::{Now, Ticket};

use super::record::{StateTag, TokenState, Use};
use super::slot::{Ending, Pending};
use super::{Change, Event, Ledger, Output};
use crate::error::InviteError;
use crate::secret::Locator;

/// What the store said to a [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and durable.
    Stored,
    /// The record was not in the expected state: nothing was written.
    Conflict,
    /// The store failed: nothing was written.
    Failed,
}

/// What a settled [`Change`] means for whoever waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is done: go on.
    Done,
    /// The token was consumed a moment earlier by the same joiner on another connection: go on as a retry.
    Yours {
        /// Whether that pairing is already complete on this side.
        completed: bool,
    },
    /// It is not done, for this reason: close the connection, tell the user.
    Lost(InviteError),
    /// The state moved on while a revocation was on its way: store this one instead.
    Again(Box<Change>),
    /// No change of this ticket is under way (settled before, or of an earlier process).
    NotMine,
}

impl Ledger {
    /// Takes the store's answer to a change.
    pub fn settle(&mut self, now: Now, ticket: Ticket, outcome: Outcome) -> Settled {
        self.advance(now);
        let Some(pending) = self.pending.remove(&ticket) else { return Settled::NotMine };
        let settled = match pending {
            Pending::Issue(locator) => self.settle_issue(locator, outcome),
            Pending::Consume(locator, by) => self.settle_consume(locator, by, outcome),
            Pending::Complete(locator, by) => self.settle_complete(locator, by, outcome),
            Pending::Revoke(locator, expected) => self.settle_revoke(locator, expected, outcome),
            Pending::Expire(locator) => self.settle_expire(locator, outcome),
            Pending::Forget(locator) => self.settle_forget(locator, outcome),
        };
        self.schedule();
        settled
    }

    fn settle_issue(&mut self, locator: Locator, outcome: Outcome) -> Settled {
        if outcome != Outcome::Stored {
            self.slots.remove(&locator);
            let stored = matches!(outcome, Outcome::Conflict);
            return Settled::Lost(if stored { InviteError::Duplicate } else { InviteError::NotStored });
        }
        let Some(slot) = self.slots.get_mut(&locator) else { return Settled::NotMine };
        slot.durable = true;
        // Withdrawn while it was on its way: whoever made it must not show it.
        if slot.withdrawn.is_some() { Settled::Lost(InviteError::Revoked) } else { Settled::Done }
    }

    fn settle_consume(&mut self, locator: Locator, by: Use, outcome: Outcome) -> Settled {
        let contested = self.is_contested(&locator);
        let Some(slot) = self.slots.get_mut(&locator) else { return Settled::Lost(InviteError::Unknown) };
        match outcome {
            Outcome::Stored => {
                slot.record = slot.record.with(TokenState::Consumed(by));
                // The revocation that came in the meantime finds the new state and takes the contact back.
                if slot.withdrawn.is_some() { Settled::Lost(InviteError::Revoked) } else { Settled::Done }
            }
            Outcome::Failed => Settled::Lost(InviteError::NotStored),
            Outcome::Conflict if slot.withdrawn.is_some() => Settled::Lost(InviteError::Revoked),
            Outcome::Conflict => match &slot.record.state {
                TokenState::Consumed(first) if first.is_by(&by.by_static, by.by_person) => {
                    Settled::Yours { completed: false }
                }
                TokenState::Completed(first) if first.is_by(&by.by_static, by.by_person) => {
                    Settled::Yours { completed: true }
                }
                TokenState::Consumed(_) | TokenState::Completed(_) => Settled::Lost(InviteError::Spent),
                TokenState::Revoked { .. } => Settled::Lost(InviteError::Revoked),
                TokenState::Expired { .. } => Settled::Lost(InviteError::TokenExpired),
                TokenState::Issued => {
                    // Either the answer to the faster one is still to come, or the store knows something that
                    // this process does not; then the token stays shut until the next start reads it again.
                    slot.durable = contested;
                    Settled::Lost(InviteError::Spent)
                }
            },
        }
    }

    fn settle_complete(&mut self, locator: Locator, by: Use, outcome: Outcome) -> Settled {
        let Some(slot) = self.slots.get_mut(&locator) else { return Settled::Lost(InviteError::Unknown) };
        match (outcome, &slot.record.state) {
            (Outcome::Stored, _) => {
                slot.record = slot.record.with(TokenState::Completed(by));
                Settled::Done
            }
            (Outcome::Failed, _) => Settled::Lost(InviteError::NotStored),
            (Outcome::Conflict, TokenState::Completed(_)) => Settled::Done,
            (Outcome::Conflict, _) => Settled::Lost(InviteError::Revoked),
        }
    }

    fn settle_revoke(&mut self, locator: Locator, expected: StateTag, outcome: Outcome) -> Settled {
        let t = self.clock.latest().wall.0;
        let Some(slot) = self.slots.get_mut(&locator) else { return Settled::Done };
        let Some(reason) = slot.withdrawn else { return Settled::Done };
        match (outcome, slot.record.state.tag()) {
            (Outcome::Stored, _) => {
                slot.record = slot.record.with(TokenState::Revoked { reason, t });
                Settled::Done
            }
            // It stays refused in memory; the user is told that a restart would open it again.
            (Outcome::Failed, _) => Settled::Lost(InviteError::NotStored),
            (Outcome::Conflict, StateTag::Revoked | StateTag::Expired) => Settled::Done,
            (Outcome::Conflict, StateTag::Completed) => {
                slot.withdrawn = None;
                Settled::Lost(InviteError::AlreadyCompleted { locator })
            }
            // The store knows something that this process does not: asking again would not help.
            (Outcome::Conflict, tag) if tag == expected => Settled::Lost(InviteError::NotStored),
            (Outcome::Conflict, StateTag::Issued | StateTag::Consumed) => {
                match self.revocation(&locator, reason) {
                    Some(change) => Settled::Again(Box::new(change)),
                    None => Settled::Done,
                }
            }
        }
    }

    fn settle_expire(&mut self, locator: Locator, outcome: Outcome) -> Settled {
        let t = self.clock.latest().wall.0;
        if outcome == Outcome::Failed {
            self.try_later(&locator);
            return Settled::Lost(InviteError::NotStored);
        }
        let Some(slot) = self.slots.get_mut(&locator) else { return Settled::Done };
        slot.ending = Ending::No;
        if outcome == Outcome::Stored {
            slot.record = slot.record.with(TokenState::Expired { t });
            self.out.push_back(Output::Event(Event::Expired { locator }));
        } else if slot.record.state.tag() == StateTag::Issued {
            // Somebody was faster and his answer is still to come: do not ask again before it.
            self.try_later(&locator);
        }
        Settled::Done
    }

    fn settle_forget(&mut self, locator: Locator, outcome: Outcome) -> Settled {
        if outcome == Outcome::Stored {
            self.slots.remove(&locator);
            return Settled::Done;
        }
        self.try_later(&locator);
        Settled::Lost(InviteError::NotStored)
    }

    /// Whether another change of this record is under way.
    fn is_contested(&self, locator: &Locator) -> bool {
        self.pending.values().any(|pending| match pending {
            Pending::Issue(l) | Pending::Expire(l) | Pending::Forget(l) => l == locator,
            Pending::Revoke(l, _) => l == locator,
            Pending::Consume(l, _) | Pending::Complete(l, _) => l == locator,
        })
    }
}
