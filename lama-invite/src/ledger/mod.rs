//! The token ledger: which invitations are open, and who spends them. Once.
//!
//! Every step that must be durable is a [`Change`]: the caller stores it as one compare-and-set, together with
//! whatever belongs into the same commit (the pending contact, the trust record), and answers with
//! [`Ledger::settle`]. Two connections that race with one token both get a change that expects `Issued`; the
//! store lets exactly one of them through.

mod mute;
mod record;
mod settle;
mod slot;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use lama_core::{Clock, Instant, Now, SortedMap, Ticket, Tickets, WallTime};
use lama_identity::{NoisePublic, PersonId};

use crate::config::Config;
use crate::error::InviteError;
use crate::invitation::{Invitation, Policy};
use crate::secret::{Locator, Psk};

pub use mute::Source;
pub use record::{RevokeReason, StateTag, TokenRecord, TokenState, Use};
pub use settle::{Outcome, Settled};

use mute::Sources;
use slot::{Pending, Slot};

/// What a [`Change`] does to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write the record if the stored one is in the expected state (`None`: if there is none).
    Put {
        /// What to store under its locator.
        record: TokenRecord,
        /// What must be there before.
        expect: Option<StateTag>,
    },
    /// Delete an ended record.
    Forget {
        /// Which one.
        locator: Locator,
    },
}

/// A durable step that the ledger asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Goes back with [`Ledger::settle`].
    pub ticket: Ticket,
    /// What to store.
    pub step: Step,
    /// With a revocation of a consumed token: the pending contact and trust of this use go in the same commit.
    pub undo: Option<Use>,
}

/// Something the user should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An invitation ran out unused.
    Expired {
        /// Which one.
        locator: Locator,
    },
    /// Somebody tried wrong secrets, so the invitation does not answer for a while.
    Muted {
        /// Which one.
        locator: Locator,
        /// Whether one source alone did it.
        by_source: bool,
    },
    /// The wall clock went back: tokens are disabled until it is corrected.
    ClockBehind {
        /// The highest reading seen.
        highest: WallTime,
        /// What it reads now.
        now: WallTime,
    },
    /// The wall clock is right again.
    ClockCorrected,
}

/// What [`Ledger::poll`] yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A durable step of the ledger's own accord: expiry, forgetting.
    Change(Box<Change>),
    /// Something the user should know.
    Event(Event),
}

/// What the responder needs when the first handshake message names an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The pre-shared key of the handshake.
    pub psk: Psk,
    /// What happens when it succeeds.
    pub policy: Policy,
    /// Whether the token is still open, or used and only its joiner may come again.
    pub tag: StateTag,
}

/// What became of an attempt to spend a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Store this, with the pending contact and the trust record; go on when it is settled.
    Store(Box<Change>),
    /// The same joiner as before comes again: nothing to store.
    Retry {
        /// Whether the pairing was complete on this side.
        completed: bool,
    },
}

/// A line of [`Ledger::list`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What is stored.
    pub record: &'a TokenRecord,
    /// Why it could not be used right now, though the record says it is open.
    pub blocked: Option<Blocked>,
}

/// Why an open invitation does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// It is on its way into the store.
    Storing,
    /// Its revocation is on its way into the store.
    Revoking,
    /// Past its end; the store will learn of it.
    Expired,
    /// Muted until then.
    Muted(Instant),
    /// The wall clock went back.
    Clock,
}

/// The invitations of one instance.
#[derive(Debug)]
pub struct Ledger {
    config: Config,
    clock: Clock,
    highest: WallTime,
    behind: bool,
    slots: SortedMap<Locator, Slot>,
    pending: SortedMap<Ticket, Pending>,
    tickets: Tickets,
    sources: Sources,
    out: VecDeque<Output>,
    due: Option<Instant>,
}

impl Ledger {
    /// Takes over what the store holds, at the start of the process. `highest` is the highest wall reading that
    /// the caller has stored, if it keeps one; the open records bound it from below.
    #[must_use]
    pub fn new(
        config: Config,
        records: impl IntoIterator<Item = TokenRecord>,
        highest: Option<WallTime>,
        now: Now,
    ) -> Self {
        let mut slots = SortedMap::new();
        let mut known = highest.unwrap_or_default();
        for record in records {
            if record.state.tag() == StateTag::Issued {
                known = known.max(WallTime(record.issued));
            }
            slots.insert(record.locator, Slot::stored(record, now.mono));
        }
        let mut ledger = Self {
            config,
            clock: Clock::default(),
            highest: known,
            behind: false,
            slots,
            pending: SortedMap::new(),
            tickets: Tickets::default(),
            sources: Sources::default(),
            out: VecDeque::new(),
            due: None,
        };
        ledger.handle_timeout(now);
        ledger
    }

    /// The highest wall reading seen: worth storing now and then, so that a restart does not forget it.
    #[must_use]
    pub const fn highest_wall(&self) -> WallTime {
        self.highest
    }

    /// Enters a fresh invitation. Show its link only when the change is settled.
    ///
    /// # Errors
    /// [`InviteError::TooManyActive`], [`InviteError::Duplicate`], [`InviteError::ClockBehind`],
    /// [`InviteError::TokenExpired`] if it has ended already.
    pub fn issue(&mut self, now: Now, invitation: &Invitation, label: &str) -> Result<Change, InviteError> {
        let now = self.advance(now);
        self.clock_ok()?;
        let record = TokenRecord::issued(invitation, label, now.wall);
        if self.slots.contains_key(&record.locator) {
            return Err(InviteError::Duplicate);
        }
        if now.wall >= record.exp() {
            return Err(InviteError::TokenExpired);
        }
        let active = self.slots.values().filter(|slot| slot.is_open(&now)).count();
        if active >= self.config.max_active || !self.make_room() {
            return Err(InviteError::TooManyActive { max: self.config.max_active });
        }
        let locator = record.locator;
        self.slots.insert(locator, Slot::storing(record.clone(), now.mono));
        let change = self.change(Pending::Issue(locator), Step::Put { record, expect: None }, None);
        self.schedule();
        Ok(change)
    }

    /// Looks up the tag of a first handshake message. An error means "treat the connection as one that names no
    /// invitation"; its cause is for the inviter's own log.
    ///
    /// # Errors
    /// [`InviteError::Unknown`], [`InviteError::Revoked`], [`InviteError::TokenExpired`], [`InviteError::Muted`]
    /// or [`InviteError::ClockBehind`].
    pub fn lookup(&mut self, now: Now, locator: &Locator) -> Result<Found, InviteError> {
        let now = self.advance(now);
        let slot = self.slots.get(locator).filter(|slot| slot.durable).ok_or(InviteError::Unknown)?;
        if let Some(until) = slot.muted_until.filter(|until| now.mono < *until) {
            return Err(InviteError::Muted { left: until.since(now.mono) });
        }
        self.usable(slot, &now)?;
        let psk = slot.record.psk.clone().ok_or(InviteError::Unknown)?;
        Ok(Found { psk, policy: slot.record.policy, tag: slot.record.state.tag() })
    }

    /// The joiner has proved the secret, his instance and his person: spends the token, or finds that it was
    /// spent by this very joiner. Everything is checked again here, so a revocation or the end of the invitation
    /// reaches handshakes in flight.
    ///
    /// # Errors
    /// [`InviteError::Unknown`], [`InviteError::Spent`], [`InviteError::Revoked`], [`InviteError::TokenExpired`]
    /// or [`InviteError::ClockBehind`].
    pub fn consume(
        &mut self,
        now: Now,
        locator: &Locator,
        by_static: NoisePublic,
        by_person: PersonId,
        h: [u8; 32],
    ) -> Result<Admission, InviteError> {
        let now = self.advance(now);
        let slot = self.slots.get(locator).filter(|slot| slot.durable).ok_or(InviteError::Unknown)?;
        self.usable(slot, &now)?;
        if let Some(by) = slot.record.state.used() {
            let completed = slot.record.state.tag() == StateTag::Completed;
            let same = by.is_by(&by_static, by_person);
            return if same { Ok(Admission::Retry { completed }) } else { Err(InviteError::Spent) };
        }
        let by = Use { by_static, by_person, h, t: now.wall.0 };
        let record = slot.record.with(TokenState::Consumed(by));
        let step = Step::Put { record, expect: Some(StateTag::Issued) };
        Ok(Admission::Store(Box::new(self.change(Pending::Consume(*locator, by), step, None))))
    }

    /// The pairing is complete on this side. `None` if it was so before.
    ///
    /// # Errors
    /// [`InviteError::Unknown`], [`InviteError::Revoked`], [`InviteError::TokenExpired`],
    /// [`InviteError::NotConsumed`].
    pub fn complete(
        &mut self,
        now: Now,
        locator: &Locator,
        by_static: &NoisePublic,
        by_person: PersonId,
    ) -> Result<Option<Change>, InviteError> {
        self.advance(now);
        let slot = self.slots.get(locator).ok_or(InviteError::Unknown)?;
        if slot.withdrawn.is_some() {
            return Err(InviteError::Revoked);
        }
        let by = match slot.record.state {
            TokenState::Completed(by) if by.is_by(by_static, by_person) => return Ok(None),
            TokenState::Consumed(by) if by.is_by(by_static, by_person) => by,
            TokenState::Revoked { .. } => return Err(InviteError::Revoked),
            TokenState::Expired { .. } => return Err(InviteError::TokenExpired),
            _ => return Err(InviteError::NotConsumed),
        };
        let record = slot.record.with(TokenState::Completed(by));
        let step = Step::Put { record, expect: Some(StateTag::Consumed) };
        Ok(Some(self.change(Pending::Complete(*locator, by), step, None)))
    }

    /// Takes an invitation back, or denies the joiner who has used it. From this call on it is refused
    /// everywhere; the change makes that durable. `None` if it had ended before.
    ///
    /// # Errors
    /// [`InviteError::Unknown`], [`InviteError::AlreadyCompleted`].
    pub fn revoke(
        &mut self,
        now: Now,
        locator: &Locator,
        reason: RevokeReason,
    ) -> Result<Option<Change>, InviteError> {
        self.advance(now);
        let slot = self.slots.get_mut(locator).ok_or(InviteError::Unknown)?;
        match slot.record.state.tag() {
            StateTag::Completed => return Err(InviteError::AlreadyCompleted { locator: *locator }),
            StateTag::Revoked | StateTag::Expired => return Ok(None),
            StateTag::Issued | StateTag::Consumed => {}
        }
        slot.withdrawn = Some(reason);
        let change = self.revocation(locator, reason);
        self.schedule();
        Ok(change)
    }

    /// Revokes every open invitation: after a restore from a backup nobody knows which were spent since.
    pub fn revoke_issued(&mut self, now: Now, reason: RevokeReason) -> Vec<Change> {
        let open = |slot: &&Slot| slot.record.state.tag() == StateTag::Issued;
        let open: Vec<Locator> = self.slots.values().filter(open).map(|slot| slot.record.locator).collect();
        open.iter().filter_map(|locator| self.revoke(now, locator, reason).ok().flatten()).collect()
    }

    /// The user says that the wall clock is right now and was wrong before: takes its reading, and revokes every
    /// open invitation, since their ends cannot be trusted.
    pub fn accept_clock(&mut self, now: Now) -> Vec<Change> {
        self.highest = now.wall;
        self.revoke_issued(now, RevokeReason::Clock)
    }

    /// A handshake that named this invitation failed at the message that proves the secret. Counts, and mutes the
    /// invitation when there were too many; says whether this attempt did so.
    pub fn wrong_secret(&mut self, now: Now, locator: &Locator, source: Source) -> bool {
        let now = self.advance(now);
        let Some(slot) = self.slots.get_mut(locator) else { return false };
        slot.wrong = slot.wrong.saturating_add(1);
        let by_source = self.sources.count(&self.config, now.mono, source);
        let too_many = slot.wrong > self.config.wrong_per_locator;
        if !(too_many || by_source) || slot.muted_until.is_some_and(|until| now.mono < until) {
            return false;
        }
        slot.wrong = 0;
        slot.muted_until = Some(now.mono + self.config.mute);
        self.out
            .push_back(Output::Event(Event::Muted { locator: *locator, by_source: by_source && !too_many }));
        true
    }

    /// All records, by locator, with what blocks the open ones.
    pub fn list(&self) -> impl Iterator<Item = Entry<'_>> {
        self.slots.values().map(|slot| Entry { record: &slot.record, blocked: self.blocked(slot) })
    }

    /// One record.
    #[must_use]
    pub fn record(&self, locator: &Locator) -> Option<&TokenRecord> {
        self.slots.get(locator).map(|slot| &slot.record)
    }

    /// Lets time pass: expires what has ended, forgets what ended long ago.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = self.advance(now);
        self.expire(&now);
        if !self.behind {
            self.forget_old(&now);
        }
        self.schedule();
    }

    /// The next change or event of the ledger's own accord.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Ledger::handle_timeout`] wants to be called; the last reading while [`Ledger::poll`] would yield.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.out.is_empty() { self.due } else { Some(self.clock.latest().mono) }
    }
}
