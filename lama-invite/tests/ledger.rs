//! The ledger, rule by rule.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use core::time::Duration;
use std::collections::BTreeMap;

use common::{at, create, draft, invitation, noise, person, wall};
use lama_core::{Instant, Now};
use lama_identity::cbor;
use lama_invite::{
    Admission, Blocked, Change, Config, Draft, Event, Invitation, InviteError, Ledger, Locator, Outcome,
    Output, Policy, RevokeReason, Settled, Source, StateTag, Step, TokenRecord, TokenState, Use,
};

/// A store of token records, as simple as can be.
#[derive(Default, Clone)]
struct Store(BTreeMap<Locator, TokenRecord>);

impl Store {
    fn execute(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Put { record, expect } => {
                if self.0.get(&record.locator).map(|stored| stored.state.tag()) != *expect {
                    return Outcome::Conflict;
                }
                self.0.insert(record.locator, record.clone());
            }
            Step::Forget { locator } => drop(self.0.remove(locator)),
        }
        Outcome::Stored
    }
}

struct World {
    ledger: Ledger,
    store: Store,
}

fn world() -> World {
    with(Config::default())
}

fn with(config: Config) -> World {
    World { ledger: Ledger::new(config, [], None, at(0)), store: Store::default() }
}

impl World {
    fn settle(&mut self, now: Now, change: &Change) -> Settled {
        let outcome = self.store.execute(&change.step);
        self.ledger.settle(now, change.ticket, outcome)
    }

    fn issue(&mut self, now: Now, invitation: &Invitation) -> Locator {
        let change = self.ledger.issue(now, invitation, "for Eve").unwrap();
        assert_eq!(self.settle(now, &change), Settled::Done);
        invitation.locator()
    }

    /// Joiner `n`: instance key `n`, person `n`.
    fn consume(&mut self, now: Now, locator: &Locator, n: u8) -> Result<Admission, InviteError> {
        self.ledger.consume(now, locator, noise(n), person(n), [n; 32])
    }

    fn store_change(&mut self, now: Now, locator: &Locator, n: u8) -> Change {
        match self.consume(now, locator, n).unwrap() {
            Admission::Store(change) => *change,
            other => panic!("{other:?}"),
        }
    }

    fn spend(&mut self, now: Now, locator: &Locator, n: u8) {
        let change = self.store_change(now, locator, n);
        assert_eq!(self.settle(now, &change), Settled::Done);
    }

    fn complete(&mut self, now: Now, locator: &Locator, n: u8) {
        let change = self.ledger.complete(now, locator, &noise(n), person(n)).unwrap().unwrap();
        assert_eq!(self.settle(now, &change), Settled::Done);
    }

    fn restart(&mut self, now: Now) {
        self.ledger = Ledger::new(Config::default(), self.store.0.values().cloned(), None, now);
    }

    /// Takes what the ledger wants of its own accord; returns the events.
    fn drain(&mut self, now: Now) -> Vec<Event> {
        let mut events = vec![];
        while let Some(output) = self.ledger.poll() {
            match output {
                Output::Change(change) => assert_eq!(self.settle(now, &change), Settled::Done),
                Output::Event(event) => events.push(event),
            }
        }
        events
    }

    fn tag(&self, locator: &Locator) -> StateTag {
        let stored = self.store.0[locator].state.tag();
        assert_eq!(self.ledger.record(locator).unwrap().state.tag(), stored);
        stored
    }
}

/// The wall clock apart from the monotonic one.
fn clocks(mono: u64, wall_secs: i64) -> Now {
    let wall = wall(0).0.checked_add_signed(wall_secs * 1000).unwrap();
    Now { mono: Instant::from_origin(Duration::from_secs(mono)), wall: lama_core::WallTime(wall) }
}

#[test]
fn a_token_goes_its_way_once() {
    let mut w = world();
    let made = create(Draft { policy: Policy::Confirm, ..draft() }, 5);
    let locator = w.issue(at(0), &made);
    let found = w.ledger.lookup(at(1), &locator).unwrap();
    assert_eq!((found.psk, found.policy, found.tag), (made.psk(), Policy::Confirm, StateTag::Issued));
    let change = w.store_change(at(2), &locator, 2);
    assert_eq!(change.undo, None);
    let Step::Put { record, expect } = &change.step else { panic!() };
    let by = Use { by_static: noise(2), by_person: person(2), h: [2; 32], t: wall(2).0 };
    assert_eq!((record.state, *expect), (TokenState::Consumed(by), Some(StateTag::Issued)));
    assert_eq!((record.label.as_str(), record.issued, record.exp()), ("for Eve", wall(0).0, wall(900)));
    assert_eq!(w.settle(at(2), &change), Settled::Done);
    w.complete(at(3), &locator, 2);
    assert_eq!(w.tag(&locator), StateTag::Completed);
    assert_eq!(w.store.0[&locator].state, TokenState::Completed(by));
    assert_eq!(w.ledger.complete(at(4), &locator, &noise(2), person(2)), Ok(None));
    assert_eq!(w.ledger.settle(at(4), change.ticket, Outcome::Stored), Settled::NotMine);
}

#[test]
fn unknown_before_it_is_durable_and_ever() {
    let mut w = world();
    let made = invitation(5);
    let change = w.ledger.issue(at(0), &made, "").unwrap();
    let locator = made.locator();
    assert_eq!(w.ledger.lookup(at(0), &locator), Err(InviteError::Unknown));
    assert_eq!(w.consume(at(0), &locator, 2), Err(InviteError::Unknown));
    assert_eq!(w.ledger.list().next().unwrap().blocked, Some(Blocked::Storing));
    assert_eq!(w.settle(at(0), &change), Settled::Done);
    assert!(w.ledger.lookup(at(0), &locator).is_ok());
    assert_eq!(w.ledger.list().next().unwrap().blocked, None);
    let none = Locator::new([0; 16]);
    assert_eq!(w.ledger.lookup(at(0), &none), Err(InviteError::Unknown));
    assert_eq!(w.consume(at(0), &none, 2), Err(InviteError::Unknown));
    assert_eq!(w.ledger.complete(at(0), &none, &noise(2), person(2)), Err(InviteError::Unknown));
    assert_eq!(w.ledger.revoke(at(0), &none, RevokeReason::Withdrawn), Err(InviteError::Unknown));
    assert!(!w.ledger.wrong_secret(at(0), &none, Source::new([1; 16])));
    assert_eq!(w.ledger.record(&none), None);
}

#[test]
fn an_invitation_that_did_not_reach_the_store_is_gone() {
    let mut w = world();
    let made = invitation(5);
    let change = w.ledger.issue(at(0), &made, "").unwrap();
    assert_eq!(w.ledger.issue(at(0), &made, ""), Err(InviteError::Duplicate));
    assert_eq!(w.ledger.settle(at(0), change.ticket, Outcome::Failed), Settled::Lost(InviteError::NotStored));
    assert_eq!(w.ledger.list().count(), 0);
    let change = w.ledger.issue(at(0), &made, "").unwrap();
    assert_eq!(
        w.ledger.settle(at(0), change.ticket, Outcome::Conflict),
        Settled::Lost(InviteError::Duplicate)
    );
    assert_eq!(w.ledger.list().count(), 0);
    assert_eq!(w.ledger.issue(at(900), &made, ""), Err(InviteError::TokenExpired));
}

#[test]
fn the_same_joiner_may_come_again_and_nobody_else() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    w.spend(at(1), &locator, 2);
    for later in [2, 10_000_000] {
        assert_eq!(w.ledger.lookup(at(later), &locator).unwrap().tag, StateTag::Consumed);
        assert_eq!(w.consume(at(later), &locator, 2), Ok(Admission::Retry { completed: false }));
        assert_eq!(w.consume(at(later), &locator, 3), Err(InviteError::Spent));
        let mixed = w.ledger.consume(at(later), &locator, noise(2), person(3), [0; 32]);
        assert_eq!(mixed, Err(InviteError::Spent));
        let mixed = w.ledger.consume(at(later), &locator, noise(3), person(2), [0; 32]);
        assert_eq!(mixed, Err(InviteError::Spent));
    }
    w.restart(at(10_000_001));
    assert_eq!(w.consume(at(10_000_001), &locator, 2), Ok(Admission::Retry { completed: false }));
    w.complete(at(10_000_002), &locator, 2);
    assert_eq!(w.consume(at(10_000_003), &locator, 2), Ok(Admission::Retry { completed: true }));
    assert_eq!(w.consume(at(10_000_003), &locator, 3), Err(InviteError::Spent));
    assert_eq!(w.ledger.lookup(at(10_000_003), &locator).unwrap().tag, StateTag::Completed);
}

#[test]
fn of_two_racing_connections_exactly_one_wins() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let (first, second) = (w.store_change(at(1), &locator, 2), w.store_change(at(1), &locator, 3));
    // The store sees the second one first.
    assert_eq!(w.settle(at(1), &second), Settled::Done);
    assert_eq!(w.settle(at(1), &first), Settled::Lost(InviteError::Spent));
    assert_eq!(w.store.0[&locator].state.used().unwrap().by_person, person(3));
    assert_eq!(w.consume(at(2), &locator, 3), Ok(Admission::Retry { completed: false }));
}

#[test]
fn answers_in_another_order_than_the_writes_still_give_one_winner() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let (first, second) = (w.store_change(at(1), &locator, 2), w.store_change(at(1), &locator, 3));
    let (one, two) = (w.store.execute(&first.step), w.store.execute(&second.step));
    assert_eq!((one, two), (Outcome::Stored, Outcome::Conflict));
    assert_eq!(w.ledger.settle(at(1), second.ticket, two), Settled::Lost(InviteError::Spent));
    assert_eq!(w.ledger.settle(at(1), first.ticket, one), Settled::Done);
    assert_eq!(w.consume(at(2), &locator, 2), Ok(Admission::Retry { completed: false }));
}

#[test]
fn two_connections_of_one_joiner_both_go_on() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let (first, second) = (w.store_change(at(1), &locator, 2), w.store_change(at(1), &locator, 2));
    let third = w.store_change(at(1), &locator, 2);
    assert_eq!(w.settle(at(1), &first), Settled::Done);
    assert_eq!(w.settle(at(1), &second), Settled::Yours { completed: false });
    w.complete(at(1), &locator, 2);
    assert_eq!(w.settle(at(1), &third), Settled::Yours { completed: true });
}

#[test]
fn a_failing_store_spends_nothing() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let change = w.store_change(at(1), &locator, 2);
    assert_eq!(w.ledger.settle(at(1), change.ticket, Outcome::Failed), Settled::Lost(InviteError::NotStored));
    w.spend(at(2), &locator, 3);
    let change = w.ledger.complete(at(3), &locator, &noise(3), person(3)).unwrap().unwrap();
    assert_eq!(w.ledger.settle(at(3), change.ticket, Outcome::Failed), Settled::Lost(InviteError::NotStored));
    w.complete(at(4), &locator, 3);
}

#[test]
fn a_store_that_knows_better_shuts_the_token_until_the_next_start() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let change = w.store_change(at(1), &locator, 2);
    assert_eq!(w.ledger.settle(at(1), change.ticket, Outcome::Conflict), Settled::Lost(InviteError::Spent));
    assert_eq!(w.ledger.lookup(at(1), &locator), Err(InviteError::Unknown));
    assert_eq!(w.consume(at(1), &locator, 2), Err(InviteError::Unknown));
    w.restart(at(2));
    assert!(w.ledger.lookup(at(2), &locator).is_ok());
}

#[test]
fn completing_needs_the_same_joiner_and_a_consumed_token() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let complete =
        |w: &mut World, by: u8, who: u8| w.ledger.complete(at(1), &locator, &noise(by), person(who));
    assert_eq!(complete(&mut w, 2, 2), Err(InviteError::NotConsumed));
    w.spend(at(1), &locator, 2);
    assert_eq!(complete(&mut w, 3, 2), Err(InviteError::NotConsumed));
    assert_eq!(complete(&mut w, 2, 3), Err(InviteError::NotConsumed));
    let (first, second) =
        (complete(&mut w, 2, 2).unwrap().unwrap(), complete(&mut w, 2, 2).unwrap().unwrap());
    assert_eq!(w.settle(at(1), &first), Settled::Done);
    assert_eq!(w.settle(at(1), &second), Settled::Done);
    assert_eq!(complete(&mut w, 3, 3), Err(InviteError::NotConsumed));
    let ended = w.issue(at(2), &invitation(6));
    let change = w.ledger.revoke(at(2), &ended, RevokeReason::Withdrawn).unwrap().unwrap();
    w.settle(at(2), &change);
    assert_eq!(w.ledger.complete(at(2), &ended, &noise(2), person(2)), Err(InviteError::Revoked));
    w.restart(at(2));
    assert_eq!(w.ledger.complete(at(2), &ended, &noise(2), person(2)), Err(InviteError::Revoked));
    let expired = w.issue(at(3), &invitation(7));
    w.ledger.handle_timeout(at(1000));
    w.drain(at(1000));
    assert_eq!(w.ledger.complete(at(1001), &expired, &noise(2), person(2)), Err(InviteError::TokenExpired));
}

#[test]
fn revocation_reaches_handshakes_in_flight() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    assert!(w.ledger.lookup(at(1), &locator).is_ok());
    let change = w.ledger.revoke(at(1), &locator, RevokeReason::Withdrawn).unwrap().unwrap();
    assert_eq!(change.undo, None);
    // Not durable yet, and refused already.
    assert_eq!(w.ledger.lookup(at(1), &locator), Err(InviteError::Revoked));
    assert_eq!(w.consume(at(1), &locator, 2), Err(InviteError::Revoked));
    assert_eq!(w.ledger.list().next().unwrap().blocked, Some(Blocked::Revoking));
    assert_eq!(w.settle(at(2), &change), Settled::Done);
    assert_eq!(w.tag(&locator), StateTag::Revoked);
    assert_eq!(w.ledger.list().next().unwrap().blocked, None);
    let record = &w.store.0[&locator];
    assert_eq!(record.psk, None, "the secret is wiped with the token");
    assert_eq!(record.state, TokenState::Revoked { reason: RevokeReason::Withdrawn, t: wall(1).0 });
    assert_eq!(w.ledger.revoke(at(3), &locator, RevokeReason::Denied), Ok(None));
    w.restart(at(3));
    assert_eq!(w.ledger.lookup(at(3), &locator), Err(InviteError::Revoked));
    assert_eq!(w.consume(at(3), &locator, 2), Err(InviteError::Revoked));
}

#[test]
fn a_revocation_beats_the_durable_step_that_comes_after_it() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let spend = w.store_change(at(1), &locator, 2);
    let revoke = w.ledger.revoke(at(1), &locator, RevokeReason::Withdrawn).unwrap().unwrap();
    assert_eq!(w.settle(at(1), &revoke), Settled::Done);
    assert_eq!(w.settle(at(1), &spend), Settled::Lost(InviteError::Revoked));
    assert_eq!(w.tag(&locator), StateTag::Revoked);
}

#[test]
fn a_revocation_undoes_the_durable_step_that_came_before_it() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let spend = w.store_change(at(1), &locator, 2);
    let revoke = w.ledger.revoke(at(1), &locator, RevokeReason::Withdrawn).unwrap().unwrap();
    assert_eq!(
        w.settle(at(1), &spend),
        Settled::Lost(InviteError::Revoked),
        "stored, and yet it must not go on"
    );
    let Settled::Again(again) = w.settle(at(1), &revoke) else { panic!() };
    assert_eq!(again.undo.unwrap().by_person, person(2), "the pending contact goes in the same commit");
    assert_eq!(w.consume(at(1), &locator, 2), Err(InviteError::Revoked), "no retry in between");
    assert_eq!(w.ledger.lookup(at(1), &locator), Err(InviteError::Revoked));
    assert_eq!(w.ledger.complete(at(1), &locator, &noise(2), person(2)), Err(InviteError::Revoked));
    assert_eq!(w.settle(at(1), &again), Settled::Done);
    assert_eq!(w.tag(&locator), StateTag::Revoked);
}

#[test]
fn denying_takes_the_pending_contact_along() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    w.spend(at(1), &locator, 2);
    let change = w.ledger.revoke(at(2), &locator, RevokeReason::Denied).unwrap().unwrap();
    assert_eq!(change.undo.unwrap().by_static, noise(2));
    assert_eq!(w.settle(at(2), &change), Settled::Done);
    assert_eq!(w.consume(at(3), &locator, 2), Err(InviteError::Revoked), "the token is burnt, for him too");
}

#[test]
fn revoking_what_is_complete_points_to_the_contact() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    w.spend(at(1), &locator, 2);
    let complete = w.ledger.complete(at(2), &locator, &noise(2), person(2)).unwrap().unwrap();
    let revoke = w.ledger.revoke(at(2), &locator, RevokeReason::Denied).unwrap().unwrap();
    assert_eq!(w.settle(at(2), &complete), Settled::Done);
    let completed = InviteError::AlreadyCompleted { locator };
    assert_eq!(w.settle(at(2), &revoke), Settled::Lost(completed.clone()));
    assert_eq!(w.ledger.lookup(at(3), &locator).unwrap().tag, StateTag::Completed);
    assert_eq!(w.ledger.revoke(at(3), &locator, RevokeReason::Withdrawn), Err(completed));
    // The other way round: the revocation was first.
    let locator = w.issue(at(4), &create(Draft { lifetime: None, ..draft() }, 6));
    w.spend(at(4), &locator, 2);
    let complete = w.ledger.complete(at(5), &locator, &noise(2), person(2)).unwrap().unwrap();
    let revoke = w.ledger.revoke(at(5), &locator, RevokeReason::Denied).unwrap().unwrap();
    assert_eq!(w.settle(at(5), &revoke), Settled::Done);
    assert_eq!(w.settle(at(5), &complete), Settled::Lost(InviteError::Revoked));
}

#[test]
fn a_revocation_that_the_store_refuses_holds_in_memory_and_is_told() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let change = w.ledger.revoke(at(1), &locator, RevokeReason::Withdrawn).unwrap().unwrap();
    assert_eq!(w.ledger.settle(at(1), change.ticket, Outcome::Failed), Settled::Lost(InviteError::NotStored));
    assert_eq!(w.consume(at(2), &locator, 2), Err(InviteError::Revoked));
    // A store that has something else under it than this process knows: no endless tries.
    let change = w.ledger.revoke(at(2), &locator, RevokeReason::Withdrawn).unwrap().unwrap();
    assert_eq!(
        w.ledger.settle(at(2), change.ticket, Outcome::Conflict),
        Settled::Lost(InviteError::NotStored)
    );
    let (one, two) = (
        w.ledger.revoke(at(3), &locator, RevokeReason::Withdrawn).unwrap().unwrap(),
        w.ledger.revoke(at(3), &locator, RevokeReason::Withdrawn).unwrap().unwrap(),
    );
    assert_eq!(w.settle(at(3), &one), Settled::Done);
    assert_eq!(w.settle(at(3), &two), Settled::Done);
}

#[test]
fn withdrawn_before_it_was_stored() {
    let mut w = world();
    let made = invitation(5);
    let issue = w.ledger.issue(at(0), &made, "").unwrap();
    let revoke = w.ledger.revoke(at(0), &made.locator(), RevokeReason::Withdrawn).unwrap().unwrap();
    assert_eq!(w.settle(at(0), &issue), Settled::Lost(InviteError::Revoked));
    assert_eq!(w.settle(at(0), &revoke), Settled::Done);
    assert_eq!(w.tag(&made.locator()), StateTag::Revoked);
    let issue = w.ledger.issue(at(0), &invitation(6), "").unwrap();
    let revoke = w.ledger.revoke(at(0), &invitation(6).locator(), RevokeReason::Withdrawn).unwrap().unwrap();
    w.ledger.settle(at(0), issue.ticket, Outcome::Failed);
    assert_eq!(w.settle(at(0), &revoke), Settled::Done, "nothing left to revoke");
}

#[test]
fn it_ends_by_the_wall_clock() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    assert_eq!(w.ledger.poll_timeout(), Some(at(900).mono));
    assert!(w.ledger.lookup(clocks(1, 899), &locator).is_ok());
    assert_eq!(w.ledger.lookup(clocks(2, 900), &locator), Err(InviteError::TokenExpired));
    assert_eq!(w.consume(clocks(2, 900), &locator, 2), Err(InviteError::TokenExpired));
    assert_eq!(w.ledger.list().next().unwrap().blocked, Some(Blocked::Expired));
    // Setting the clock back to a time before the end opens nothing.
    assert!(matches!(w.ledger.lookup(clocks(3, 890), &locator), Err(InviteError::ClockBehind { .. })));
    w.ledger.handle_timeout(clocks(4, 901));
    assert_eq!(w.ledger.poll_timeout(), Some(clocks(4, 901).mono), "there is something to poll");
    let events = w.drain(clocks(4, 901));
    assert!(events.contains(&Event::Expired { locator }));
    assert_eq!(w.tag(&locator), StateTag::Expired);
    assert_eq!(w.store.0[&locator].psk, None);
    assert_eq!(w.store.0[&locator].state, TokenState::Expired { t: wall(901).0 });
    assert_eq!(w.ledger.poll_timeout(), None);
    assert_eq!(w.ledger.lookup(at(902), &locator), Err(InviteError::TokenExpired));
    assert_eq!(w.ledger.revoke(at(902), &locator, RevokeReason::Withdrawn), Ok(None));
}

#[test]
fn it_ends_by_the_time_that_has_passed() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    // The wall clock stands still.
    assert!(w.ledger.lookup(clocks(899, 0), &locator).is_ok());
    assert_eq!(w.ledger.lookup(clocks(900, 0), &locator), Err(InviteError::TokenExpired));
    w.ledger.handle_timeout(clocks(900, 0));
    assert_eq!(w.drain(clocks(900, 0)), [Event::Expired { locator }]);
    // After a restart the time since the start of the process counts.
    let locator = w.issue(clocks(901, 0), &invitation(6));
    w.restart(clocks(5_000, 10));
    assert_eq!(w.ledger.poll_timeout(), Some(clocks(5_890, 0).mono), "by the wall clock first");
    assert!(w.ledger.lookup(clocks(5_899, 10), &locator).is_ok());
    assert_eq!(w.ledger.lookup(clocks(5_900, 10), &locator), Err(InviteError::TokenExpired));
}

#[test]
fn the_timer_fires_at_the_end_and_does_not_spin() {
    let mut w = world();
    w.issue(at(0), &invitation(5));
    w.ledger.handle_timeout(at(899));
    assert_eq!(w.ledger.poll(), None);
    assert_eq!(w.ledger.poll_timeout(), Some(at(900).mono));
    w.ledger.handle_timeout(at(900));
    let Some(Output::Change(change)) = w.ledger.poll() else { panic!() };
    assert_eq!(w.ledger.poll_timeout(), None, "asked, not answered");
    w.ledger.handle_timeout(at(901));
    assert_eq!(w.ledger.poll(), None, "asked once");
    let failed = w.ledger.settle(at(901), change.ticket, Outcome::Failed);
    assert_eq!(failed, Settled::Lost(InviteError::NotStored));
    assert_eq!(w.ledger.poll_timeout(), Some(at(961).mono), "later");
    w.ledger.handle_timeout(at(960));
    assert_eq!(w.ledger.poll(), None);
    w.ledger.handle_timeout(at(961));
    let events = w.drain(at(961));
    assert_eq!(events.len(), 1);
}

#[test]
fn the_end_does_not_take_back_what_was_spent_in_time() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let spend = w.store_change(at(899), &locator, 2);
    w.ledger.handle_timeout(at(900));
    let Some(Output::Change(expire)) = w.ledger.poll() else { panic!() };
    assert_eq!(w.settle(at(900), &spend), Settled::Done);
    assert_eq!(w.settle(at(900), &expire), Settled::Done);
    assert_eq!(w.tag(&locator), StateTag::Consumed);
    assert_eq!(w.ledger.poll(), None, "no event: it did not expire");
    assert_eq!(w.consume(at(90_000), &locator, 2), Ok(Admission::Retry { completed: false }));
    // And the other way round: the end was first.
    let mut w = world();
    let locator = w.issue(at(0), &invitation(6));
    let spend = w.store_change(at(899), &locator, 2);
    w.ledger.handle_timeout(at(900));
    w.drain(at(900));
    assert_eq!(w.settle(at(900), &spend), Settled::Lost(InviteError::TokenExpired));
}

#[test]
fn an_end_that_was_overtaken_asks_later() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let spend = w.store_change(at(899), &locator, 2);
    w.ledger.handle_timeout(at(900));
    let Some(Output::Change(expire)) = w.ledger.poll() else { panic!() };
    let spent = w.store.execute(&spend.step);
    // The answer to the end arrives before the one to the step that beat it.
    let conflict = w.store.execute(&expire.step);
    assert_eq!(w.ledger.settle(at(900), expire.ticket, conflict), Settled::Done);
    w.ledger.handle_timeout(at(901));
    assert_eq!(w.ledger.poll(), None);
    assert_eq!(w.ledger.settle(at(901), spend.ticket, spent), Settled::Done);
    assert_eq!(w.ledger.poll_timeout(), None);
}

#[test]
fn a_wall_clock_that_goes_back_disables_tokens_until_corrected() {
    let mut w = world();
    let locator = w.issue(at(100), &create(draft(), 5));
    let behind = InviteError::ClockBehind { highest: wall(100), now: wall(97) };
    assert!(w.ledger.lookup(clocks(101, 98), &locator).is_ok(), "two seconds are the slack");
    assert_eq!(w.ledger.lookup(clocks(101, 97), &locator), Err(behind.clone()));
    assert_eq!(w.consume(clocks(101, 97), &locator, 2), Err(behind.clone()));
    assert_eq!(w.ledger.issue(clocks(101, 97), &invitation(6), ""), Err(behind.clone()));
    assert_eq!(w.ledger.list().next().unwrap().blocked, Some(Blocked::Clock));
    let text = behind.to_string();
    assert!(text.contains("3 seconds") && text.contains("correct the clock"), "{text}");
    assert_eq!(w.drain(clocks(101, 97)), [Event::ClockBehind { highest: wall(100), now: wall(97) }]);
    assert!(w.ledger.lookup(clocks(102, 99), &locator).is_ok());
    assert_eq!(w.drain(clocks(102, 99)), [Event::ClockCorrected]);
    assert_eq!(w.ledger.highest_wall(), wall(100));
    // Who has begun may come again whatever the clock says.
    w.spend(clocks(103, 101), &locator, 2);
    assert_eq!(w.consume(clocks(104, 0), &locator, 2), Ok(Admission::Retry { completed: false }));
}

#[test]
fn the_clock_is_compared_with_the_life_before_the_restart() {
    let mut w = world();
    let locator = w.issue(at(100), &create(draft(), 5));
    w.restart(clocks(0, 50));
    assert!(matches!(w.ledger.lookup(clocks(0, 50), &locator), Err(InviteError::ClockBehind { .. })));
    let stored = w.store.0.values().cloned();
    w.ledger = Ledger::new(Config::default(), stored, Some(wall(500)), clocks(0, 400));
    assert!(matches!(w.ledger.lookup(clocks(0, 400), &locator), Err(InviteError::ClockBehind { .. })));
    assert!(w.ledger.lookup(clocks(0, 500), &locator).is_ok());
}

#[test]
fn accepting_the_clock_revokes_what_is_open() {
    let mut w = world();
    let (open, spent) = (w.issue(at(100), &create(draft(), 5)), w.issue(at(100), &create(draft(), 6)));
    w.spend(at(101), &spent, 2);
    w.ledger.handle_timeout(clocks(200, 10));
    let changes = w.ledger.accept_clock(clocks(200, 10));
    assert_eq!(changes.len(), 1);
    assert_eq!(w.settle(clocks(200, 10), &changes[0]), Settled::Done);
    assert!(matches!(w.store.0[&open].state, TokenState::Revoked { reason: RevokeReason::Clock, .. }));
    assert_eq!(w.tag(&spent), StateTag::Consumed);
    assert_eq!(w.ledger.highest_wall(), clocks(0, 10).wall);
    assert!(w.drain(clocks(201, 11)).contains(&Event::ClockCorrected));
    let fresh = Invitation::create(
        draft(),
        &Config::default(),
        clocks(0, 11).wall,
        lama_core::Seed::danger_fixed([8; 32]),
    );
    w.issue(clocks(201, 11), &fresh.unwrap());
}

#[test]
fn a_restore_revokes_every_issued_token() {
    let mut w = world();
    let open: Vec<Locator> = (0..3).map(|n| w.issue(at(0), &invitation(10 + n))).collect();
    let spent = w.issue(at(0), &invitation(20));
    w.spend(at(1), &spent, 2);
    let changes = w.ledger.revoke_issued(at(2), RevokeReason::Restored);
    assert_eq!(changes.len(), 3);
    for change in &changes {
        assert_eq!(w.settle(at(2), change), Settled::Done);
    }
    for locator in open {
        assert_eq!(
            w.store.0[&locator].state,
            TokenState::Revoked { reason: RevokeReason::Restored, t: wall(2).0 }
        );
    }
    assert_eq!(w.tag(&spent), StateTag::Consumed);
}

#[test]
fn at_most_a_hundred_are_open() {
    let mut w = world();
    let locators: Vec<Locator> = (0..100).map(|n| w.issue(at(0), &invitation(n))).collect();
    let full = Err(InviteError::TooManyActive { max: 100 });
    assert_eq!(w.ledger.issue(at(1), &invitation(100), ""), full);
    w.spend(at(1), &locators[0], 2);
    let locator = w.issue(at(1), &invitation(100));
    assert_eq!(w.ledger.issue(at(1), &invitation(101), ""), full);
    // A withdrawn one makes room at once, durable or not; so do those that have ended.
    w.ledger.revoke(at(1), &locator, RevokeReason::Withdrawn).unwrap();
    w.issue(at(1), &invitation(101));
    assert_eq!(w.ledger.issue(at(1), &invitation(102), ""), full);
    let later = create(Draft { lifetime: Some(Duration::from_secs(86_400)), ..draft() }, 103);
    w.issue(at(900), &later);
}

#[test]
fn seventeen_wrong_secrets_mute_an_invitation_for_ten_minutes() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    let source = |n| Source::new([n; 16]);
    for n in 0..16 {
        assert!(!w.ledger.wrong_secret(at(1), &locator, source(n)));
    }
    assert!(w.ledger.lookup(at(1), &locator).is_ok());
    assert!(w.ledger.wrong_secret(at(1), &locator, source(16)));
    assert!(!w.ledger.wrong_secret(at(2), &locator, source(17)), "muted already");
    assert_eq!(w.drain(at(2)), [Event::Muted { locator, by_source: false }]);
    let muted = w.ledger.lookup(at(2), &locator);
    assert_eq!(muted, Err(InviteError::Muted { left: Duration::from_secs(599) }));
    assert!(muted.unwrap_err().to_string().contains("for 10 minutes"));
    assert_eq!(w.ledger.list().next().unwrap().blocked, Some(Blocked::Muted(at(601).mono)));
    assert!(w.ledger.lookup(at(600), &locator).is_err());
    assert!(w.ledger.lookup(at(601), &locator).is_ok());
    assert_eq!(w.ledger.list().next().unwrap().blocked, None);
    // The count began anew at the first attempt after the mute, but for the one made while it was muted.
    for _ in 0..15 {
        assert!(!w.ledger.wrong_secret(at(602), &locator, source(0)));
    }
    assert!(w.ledger.wrong_secret(at(602), &locator, source(0)));
    // A wrong secret does not spend the token.
    assert_eq!(w.tag(&locator), StateTag::Issued);
    w.spend(at(603), &locator, 2);
}

#[test]
fn a_source_has_sixty_four_wrong_secrets_an_hour_over_all_invitations() {
    let mut w = world();
    let locators: Vec<Locator> = (0..6).map(|n| w.issue(at(0), &invitation(n))).collect();
    let source = Source::of_ip("192.0.2.1".parse().unwrap());
    for n in 0..64 {
        assert!(!w.ledger.wrong_secret(at(1), &locators[n % 5], source));
    }
    assert!(w.ledger.wrong_secret(at(1), &locators[5], source));
    assert_eq!(w.drain(at(1)), [Event::Muted { locator: locators[5], by_source: true }]);
    assert!(w.ledger.lookup(at(1), &locators[5]).is_err());
    assert!(w.ledger.lookup(at(1), &locators[0]).is_ok());
    assert!(
        !w.ledger.wrong_secret(at(1), &locators[0], Source::new([9; 16])),
        "another source is not concerned"
    );
}

#[test]
fn ended_records_are_forgotten_in_time_and_by_number() {
    let day = Duration::from_secs(86_400);
    let config = Config { max_records: 3, keep_ended: 2 * day, ..Config::default() };
    let mut w = with(config.clone());
    let revoke = |w: &mut World, secs, locator: &Locator| {
        let change = w.ledger.revoke(at(secs), locator, RevokeReason::Withdrawn).unwrap().unwrap();
        assert_eq!(w.settle(at(secs), &change), Settled::Done);
    };
    let ids: Vec<Locator> = (1..=3).map(|n| w.issue(at(0), &invitation(n))).collect();
    assert_eq!(w.ledger.issue(at(0), &invitation(4), ""), Err(InviteError::TooManyActive { max: 100 }));
    revoke(&mut w, 2, &ids[1]);
    revoke(&mut w, 1, &ids[0]);
    let fourth = w.issue(at(3), &invitation(4));
    let Some(Output::Change(change)) = w.ledger.poll() else { panic!() };
    assert_eq!(change.step, Step::Forget { locator: ids[0] }, "the one that ended first");
    assert!(w.ledger.issue(at(3), &invitation(5), "").is_ok(), "the next one goes");
    let Some(Output::Change(next)) = w.ledger.poll() else { panic!() };
    assert_eq!(next.step, Step::Forget { locator: ids[1] });
    assert_eq!(w.ledger.settle(at(3), next.ticket, Outcome::Failed), Settled::Lost(InviteError::NotStored));
    assert_eq!(w.settle(at(3), &change), Settled::Done);
    assert_eq!(w.ledger.record(&ids[0]), None);
    assert!(w.ledger.record(&ids[1]).is_some());
    // By age: asked again, since the store failed; and what is used but not complete is kept.
    w.spend(at(4), &fourth, 2);
    w.ledger.handle_timeout(at(2 * 86_400 + 1));
    w.drain(at(2 * 86_400 + 1));
    assert!(w.ledger.record(&ids[1]).is_some());
    w.ledger.handle_timeout(at(2 * 86_400 + 2));
    w.drain(at(2 * 86_400 + 2));
    assert_eq!(w.ledger.record(&ids[1]), None);
    assert_eq!(w.tag(&fourth), StateTag::Consumed);
    // A clock that is behind forgets nothing, and neither does one that jumped ahead and back.
    let ended = w.ledger.list().count();
    w.ledger.handle_timeout(clocks(3 * 86_400, 0));
    w.drain(clocks(3 * 86_400, 0));
    assert_eq!(w.ledger.list().count(), ended);
}

#[test]
fn completed_records_are_forgotten_too() {
    let mut w = world();
    let locator = w.issue(at(0), &invitation(5));
    w.spend(at(1), &locator, 2);
    w.complete(at(2), &locator, 2);
    w.restart(at(30 * 86_400));
    w.drain(at(30 * 86_400));
    assert!(w.ledger.record(&locator).is_some());
    w.restart(at(30 * 86_400 + 1));
    w.drain(at(30 * 86_400 + 1));
    assert_eq!(w.ledger.record(&locator), None);
}

#[test]
fn records_make_the_round_trip_through_the_store() {
    let by = Use { by_static: noise(2), by_person: person(2), h: [7; 32], t: 9 };
    let record = TokenRecord::issued(&invitation(5), "for \u{1f999}", wall(0));
    for state in [
        TokenState::Issued,
        TokenState::Consumed(by),
        TokenState::Completed(by),
        TokenState::Revoked { reason: RevokeReason::Restored, t: 3 },
        TokenState::Expired { t: 4 },
    ] {
        let record = TokenRecord { state, ..record.clone() };
        let bytes = cbor::encode(&record).unwrap();
        assert_eq!(cbor::decode::<TokenRecord>(&bytes).unwrap(), record);
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<TokenRecord>(&json).unwrap(), record);
    }
    let bare = TokenRecord { psk: None, ..record };
    assert_eq!(cbor::decode::<TokenRecord>(&cbor::encode(&bare).unwrap()).unwrap(), bare);
}

#[test]
fn the_life_of_a_token_goes_forward_only() {
    let by = |n: u8| Use { by_static: noise(n), by_person: person(n), h: [n; 32], t: 0 };
    let states = [
        TokenState::Issued,
        TokenState::Consumed(by(2)),
        TokenState::Completed(by(2)),
        TokenState::Revoked { reason: RevokeReason::Denied, t: 0 },
        TokenState::Expired { t: 0 },
    ];
    let allowed = [(0, 1), (0, 3), (0, 4), (1, 2), (1, 3)];
    for (i, from) in states.iter().enumerate() {
        for (j, to) in states.iter().enumerate() {
            assert_eq!(from.may_become(to), allowed.contains(&(i, j)), "{from:?} {to:?}");
        }
    }
    assert!(!TokenState::Consumed(by(2)).may_become(&TokenState::Completed(by(3))));
    let names: Vec<String> = states.iter().map(|state| state.tag().to_string()).collect();
    assert_eq!(names, ["issued", "consumed", "completed", "revoked", "expired"]);
}
