//! The ledger's inside: one slot per record, the clocks, and what runs by itself.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use lama_core::{Instant, Now, WallTime};

use super::record::{RevokeReason, StateTag, TokenRecord, TokenState, Use};
use super::{Blocked, Change, Event, Ledger, Output, Step};
use crate::error::InviteError;
use crate::secret::Locator;

/// After the store failed to record an expiry, how long until it is asked again.
const RETRY: Duration = Duration::from_secs(60);

/// A record and what is known about it only in memory.
#[derive(Debug)]
pub(super) struct Slot {
    /// As the store has it, but for `durable == false`.
    pub(super) record: TokenRecord,
    /// Whether it has reached the store.
    pub(super) durable: bool,
    /// Revoked, durable or not yet.
    pub(super) withdrawn: Option<RevokeReason>,
    /// An end or a deletion is on its way into the store, or failed and is tried again then.
    pub(super) ending: Ending,
    /// When its monotonic lifetime began: issue, or start of the process.
    since: Instant,
    /// Wrong secrets since the last mute.
    pub(super) wrong: u16,
    /// No answer until then.
    pub(super) muted_until: Option<Instant>,
}

/// Whether the ledger is about to end or delete a record of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Not now.
    No,
    /// Asked of the store.
    Asked,
    /// The store failed; ask again then.
    Again(Instant),
}

/// What a ticket stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pending {
    Issue(Locator),
    Consume(Locator, Use),
    Complete(Locator, Use),
    Revoke(Locator, StateTag),
    Expire(Locator),
    Forget(Locator),
}

impl Slot {
    pub(super) fn stored(record: TokenRecord, since: Instant) -> Self {
        Self { durable: true, ..Self::storing(record, since) }
    }

    pub(super) fn storing(record: TokenRecord, since: Instant) -> Self {
        Self {
            record,
            durable: false,
            withdrawn: None,
            ending: Ending::No,
            since,
            wrong: 0,
            muted_until: None,
        }
    }

    /// The lifetime by its own record.
    fn lifetime(&self) -> Duration {
        Duration::from_millis(self.record.exp().0.saturating_sub(self.record.issued))
    }

    /// Past its end by either clock. Only `Issued` ends this way.
    pub(super) fn has_ended(&self, now: &Now) -> bool {
        now.wall >= self.record.exp() || now.mono.since(self.since) >= self.lifetime()
    }

    /// Counts against the limit of open invitations.
    pub(super) fn is_open(&self, now: &Now) -> bool {
        self.record.state.tag() == StateTag::Issued && self.withdrawn.is_none() && !self.has_ended(now)
    }

    /// When either clock will reach its end, as a monotonic reading.
    fn ends_at(&self, now: &Now) -> Instant {
        let by_wall = Duration::from_millis(self.record.exp().0.saturating_sub(now.wall.0));
        (self.since + self.lifetime()).min(now.mono + by_wall)
    }

    /// When the record reached an end that only listing remembers.
    fn ended(&self) -> Option<WallTime> {
        match self.record.state {
            TokenState::Completed(Use { t, .. })
            | TokenState::Revoked { t, .. }
            | TokenState::Expired { t } => Some(WallTime(t)),
            TokenState::Issued | TokenState::Consumed(_) => None,
        }
    }
}

impl Ledger {
    /// Takes both readings; notices a wall clock that goes back, and one that is right again.
    pub(super) fn advance(&mut self, now: Now) -> Now {
        let now = self.clock.advance(now);
        let slack = u64::try_from(self.config.wall_slack.as_millis()).unwrap_or(u64::MAX);
        let behind = now.wall.0.saturating_add(slack) < self.highest.0;
        if behind && !self.behind {
            let event = Event::ClockBehind { highest: self.highest, now: now.wall };
            self.out.push_back(Output::Event(event));
        }
        if !behind && self.behind {
            self.out.push_back(Output::Event(Event::ClockCorrected));
        }
        self.behind = behind;
        self.highest = self.highest.max(now.wall);
        now
    }

    pub(super) fn clock_ok(&self) -> Result<(), InviteError> {
        if self.behind {
            return Err(InviteError::ClockBehind { highest: self.highest, now: self.clock.latest().wall });
        }
        Ok(())
    }

    /// Whether anybody may use the token; who, is for the caller to say.
    pub(super) fn usable(&self, slot: &Slot, now: &Now) -> Result<(), InviteError> {
        if slot.withdrawn.is_some() {
            return Err(InviteError::Revoked);
        }
        match slot.record.state {
            // The end and the clocks bound only the open token: a pairing once begun resumes at any time.
            TokenState::Issued if slot.has_ended(now) => Err(InviteError::TokenExpired),
            TokenState::Issued => self.clock_ok(),
            TokenState::Consumed(_) | TokenState::Completed(_) => Ok(()),
            TokenState::Revoked { .. } => Err(InviteError::Revoked),
            TokenState::Expired { .. } => Err(InviteError::TokenExpired),
        }
    }

    pub(super) fn blocked(&self, slot: &Slot) -> Option<Blocked> {
        let now = self.clock.latest();
        if slot.withdrawn.is_some() && !matches!(slot.record.state, TokenState::Revoked { .. }) {
            return Some(Blocked::Revoking);
        }
        if slot.record.state.tag() != StateTag::Issued {
            return None;
        }
        if !slot.durable {
            return Some(Blocked::Storing);
        }
        if slot.has_ended(&now) {
            return Some(Blocked::Expired);
        }
        if self.behind {
            return Some(Blocked::Clock);
        }
        slot.muted_until.filter(|until| now.mono < *until).map(Blocked::Muted)
    }

    pub(super) fn change(&mut self, pending: Pending, step: Step, undo: Option<Use>) -> Change {
        let ticket = self.tickets.issue();
        self.pending.insert(ticket, pending);
        Change { ticket, step, undo }
    }

    /// The change that makes a revocation durable, from whatever state the record is in now.
    pub(super) fn revocation(&mut self, locator: &Locator, reason: RevokeReason) -> Option<Change> {
        let slot = self.slots.get(locator)?;
        let t = self.clock.latest().wall.0;
        let undo = slot.record.state.used().copied();
        let tag = slot.record.state.tag();
        let record = slot.record.with(TokenState::Revoked { reason, t });
        Some(self.change(Pending::Revoke(*locator, tag), Step::Put { record, expect: Some(tag) }, undo))
    }

    /// Asks the store to record the end of every open token that has ended.
    pub(super) fn expire(&mut self, now: &Now) {
        let due = |slot: &&mut Slot| {
            slot.record.state.tag() == StateTag::Issued
                && slot.durable
                && slot.withdrawn.is_none()
                && slot.may_ask(now)
                && slot.has_ended(now)
        };
        let mut ended = Vec::new();
        for slot in self.slots.values_mut().filter(due) {
            slot.ending = Ending::Asked;
            ended.push(slot.record.with(TokenState::Expired { t: now.wall.0 }));
        }
        for record in ended {
            let pending = Pending::Expire(record.locator);
            let change = self.change(pending, Step::Put { record, expect: Some(StateTag::Issued) }, None);
            self.out.push_back(Output::Change(Box::new(change)));
        }
    }

    /// Asks the store to delete what ended too long ago.
    pub(super) fn forget_old(&mut self, now: &Now) {
        let keep = u64::try_from(self.config.keep_ended.as_millis()).unwrap_or(u64::MAX);
        let old = |slot: &&Slot| {
            slot.may_ask(now) && slot.ended().is_some_and(|t| t.0.saturating_add(keep) <= now.wall.0)
        };
        let old: Vec<Locator> = self.slots.values().filter(old).map(|slot| slot.record.locator).collect();
        for locator in old {
            self.forget(locator);
        }
    }

    fn forget(&mut self, locator: Locator) {
        if let Some(slot) = self.slots.get_mut(&locator) {
            slot.ending = Ending::Asked;
        }
        let change = self.change(Pending::Forget(locator), Step::Forget { locator }, None);
        self.out.push_back(Output::Change(Box::new(change)));
    }

    /// Makes room for one more record by forgetting the one that ended first; `false` if none has ended.
    pub(super) fn make_room(&mut self) -> bool {
        let leaving =
            self.slots.values().filter(|s| s.ended().is_some() && s.ending == Ending::Asked).count();
        if self.slots.len().saturating_sub(leaving) < self.config.max_records {
            return true;
        }
        let ended = |slot: &Slot| Some((slot.ended()?, slot.record.locator));
        let idle = self.slots.values().filter(|slot| slot.ending != Ending::Asked);
        let Some((_, oldest)) = idle.filter_map(ended).min() else { return false };
        self.forget(oldest);
        true
    }

    /// Works out when [`Ledger::handle_timeout`] is next of use.
    pub(super) fn schedule(&mut self) {
        let now = self.clock.latest();
        let due = |slot: &Slot| {
            if slot.record.state.tag() != StateTag::Issued || slot.withdrawn.is_some() || !slot.durable {
                return None;
            }
            match slot.ending {
                Ending::No => Some(slot.ends_at(&now)),
                Ending::Asked => None,
                Ending::Again(at) => Some(at),
            }
        };
        self.due = self.slots.values().filter_map(due).min();
    }

    /// The store failed at something the ledger wanted of its own accord: try later.
    pub(super) fn try_later(&mut self, locator: &Locator) {
        let at = self.clock.latest().mono + RETRY;
        if let Some(slot) = self.slots.get_mut(locator) {
            slot.ending = Ending::Again(at);
        }
    }
}

impl Slot {
    fn may_ask(&self, now: &Now) -> bool {
        match self.ending {
            Ending::No => true,
            Ending::Asked => false,
            Ending::Again(at) => now.mono >= at,
        }
    }
}
