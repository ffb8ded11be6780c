//! The ledger against a reference model: random operations, answers in any order that keeps the store's, failing
//! stores, restarts from what was durable, and clocks that jump. What must never happen is checked at the *store*,
//! which is all that survives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use common::{START, create, draft, noise, person};
use lama_core::{Instant, Now, WallTime};
use lama_invite::{
    Admission, Change, Config, Draft, InviteError, Ledger, Locator, Outcome, Output, RevokeReason, Settled,
    Source, StateTag, Step, TokenRecord, TokenState, Use,
};
use proptest::prelude::*;

/// One thing that happens. Small numbers choose among few tokens and joiners, so that they meet.
#[derive(Debug, Clone)]
enum Op {
    Issue {
        token: u8,
    },
    Lookup {
        token: u8,
    },
    Consume {
        token: u8,
        by: u8,
    },
    Complete {
        token: u8,
        by: u8,
    },
    Revoke {
        token: u8,
    },
    RevokeAll,
    Wrong {
        token: u8,
        source: u8,
        times: u8,
    },
    /// The store executes the next `n` steps that were asked for; a failing one does nothing.
    Store {
        n: u8,
        fail: bool,
    },
    /// The ledger hears of the next `n` executed steps.
    Answer {
        n: u8,
    },
    Pass {
        secs: u64,
    },
    WallJump {
        secs: i64,
    },
    AcceptClock,
    /// The process dies: what was not executed by the store is lost, and so is every answer.
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    let token = 0_u8..4;
    let by = 2_u8..5;
    prop_oneof![
        4 => token.clone().prop_map(|token| Op::Issue { token }),
        2 => token.clone().prop_map(|token| Op::Lookup { token }),
        8 => (token.clone(), by.clone()).prop_map(|(token, by)| Op::Consume { token, by }),
        3 => (token.clone(), by).prop_map(|(token, by)| Op::Complete { token, by }),
        2 => token.clone().prop_map(|token| Op::Revoke { token }),
        1 => Just(Op::RevokeAll),
        2 => (token, 0_u8..3, 1_u8..20).prop_map(|(token, source, times)| Op::Wrong { token, source, times }),
        10 => (1_u8..4, prop::bool::weighted(0.1)).prop_map(|(n, fail)| Op::Store { n, fail }),
        10 => (1_u8..4).prop_map(|n| Op::Answer { n }),
        4 => (0_u64..40).prop_map(|secs| Op::Pass { secs }),
        1 => (-200_i64..200).prop_map(|secs| Op::WallJump { secs }),
        1 => Just(Op::AcceptClock),
        1 => Just(Op::Crash),
    ]
}

/// What the durable history says about one token.
#[derive(Debug, Default)]
struct History {
    winner: Option<Use>,
    ended: bool,
}

struct World {
    ledger: Ledger,
    now: Now,
    stored: BTreeMap<Locator, TokenRecord>,
    asked: VecDeque<Change>,
    executed: VecDeque<(Change, Outcome)>,
    history: BTreeMap<Locator, History>,
    /// Tokens that the ledger was told to withdraw in this life of the process and did not refuse to.
    withdrawn: BTreeSet<Locator>,
    highest: WallTime,
}

impl World {
    fn new() -> Self {
        let now = Now { mono: Instant::ORIGIN, wall: WallTime::from_unix_seconds(START) };
        Self {
            ledger: Ledger::new(Config::default(), [], None, now),
            now,
            stored: BTreeMap::new(),
            asked: VecDeque::new(),
            executed: VecDeque::new(),
            history: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            highest: now.wall,
        }
    }

    fn locator(token: u8) -> Locator {
        World::made(token).locator()
    }

    fn made(token: u8) -> lama_invite::Invitation {
        create(Draft { lifetime: Some(Duration::from_secs(50)), ..draft() }, token)
    }

    fn execute(&mut self, change: Change, fail: bool) {
        if fail {
            self.executed.push_back((change, Outcome::Failed));
            return;
        }
        let outcome = match &change.step {
            Step::Put { record, expect } => {
                let old = self.stored.get(&record.locator);
                if old.map(|old| old.state.tag()) == *expect {
                    if let Some(old) = old {
                        assert!(old.state.may_become(&record.state), "{:?} -> {:?}", old.state, record.state);
                    }
                    self.wrote(record, &change);
                    self.stored.insert(record.locator, record.clone());
                    Outcome::Stored
                } else {
                    Outcome::Conflict
                }
            }
            Step::Forget { locator } => {
                self.stored.remove(locator);
                Outcome::Stored
            }
        };
        self.executed.push_back((change, outcome));
    }

    /// What must hold of every write that the store lets through.
    fn wrote(&mut self, record: &TokenRecord, change: &Change) {
        let history = self.history.entry(record.locator).or_default();
        match &record.state {
            TokenState::Issued => assert!(history.winner.is_none() && !history.ended),
            TokenState::Consumed(by) => {
                assert!(!history.ended, "spent after its end");
                assert!(history.winner.replace(*by).is_none(), "two joiners spent one token");
            }
            TokenState::Completed(by) => assert_eq!(history.winner, Some(*by)),
            TokenState::Revoked { .. } => {
                assert_eq!(change.undo, history.winner, "the pending contact goes with the token");
                assert_eq!(record.psk, None);
                history.ended = true;
            }
            TokenState::Expired { .. } => {
                assert_eq!(record.psk, None);
                history.ended = true;
            }
        }
    }

    fn answer(&mut self) {
        let Some((change, outcome)) = self.executed.pop_front() else { return };
        let settled = self.ledger.settle(self.now, change.ticket, outcome);
        assert_ne!(settled, Settled::NotMine);
        let Step::Put { record, .. } = &change.step else { return };
        let locator = record.locator;
        match (&record.state, &settled) {
            (TokenState::Consumed(by), Settled::Done) => {
                assert_eq!(outcome, Outcome::Stored);
                assert_eq!(self.history[&locator].winner, Some(*by));
                assert!(!self.withdrawn.contains(&locator), "a withdrawn token must not go on");
            }
            (TokenState::Consumed(by), Settled::Yours { .. }) => {
                let winner = self.history[&locator].winner.unwrap();
                assert!(winner.is_by(&by.by_static, by.by_person), "yours, and somebody else's");
            }
            (_, Settled::Again(again)) => self.asked.push_back((**again).clone()),
            (TokenState::Revoked { .. }, Settled::Lost(InviteError::AlreadyCompleted { .. })) => {
                self.withdrawn.remove(&locator);
            }
            _ => {}
        }
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Issue { token } => {
                if let Ok(change) = self.ledger.issue(self.now, &World::made(*token), "") {
                    // Only here is a token issued twice: the first time came to nothing, and with it what ended it.
                    self.withdrawn.remove(&World::locator(*token));
                    self.asked.push_back(change);
                }
            }
            Op::Lookup { token } => self.lookup(&World::locator(*token)),
            Op::Consume { token, by } => self.consume(&World::locator(*token), *by),
            Op::Complete { token, by } => {
                let locator = World::locator(*token);
                let done = self.ledger.complete(self.now, &locator, &noise(*by), person(*by));
                if let Ok(done) = done {
                    assert_eq!(self.history[&locator].winner.unwrap().by_person, person(*by));
                    self.asked.extend(done);
                }
            }
            Op::Revoke { token } => {
                let locator = World::locator(*token);
                if let Ok(Some(change)) = self.ledger.revoke(self.now, &locator, RevokeReason::Withdrawn) {
                    self.withdrawn.insert(locator);
                    self.asked.push_back(change);
                }
            }
            Op::RevokeAll => {
                let changes = self.ledger.revoke_issued(self.now, RevokeReason::Restored);
                self.withdraw_all(changes);
            }
            Op::AcceptClock => {
                let changes = self.ledger.accept_clock(self.now);
                self.highest = self.now.wall;
                self.withdraw_all(changes);
            }
            Op::Wrong { token, source, times } => {
                for _ in 0..*times {
                    self.ledger.wrong_secret(self.now, &World::locator(*token), Source::new([*source; 16]));
                }
            }
            Op::Store { n, fail } => {
                for change in
                    self.asked.split_off(0).into_iter().enumerate().map(|(i, c)| (i < usize::from(*n), c))
                {
                    match change {
                        (true, change) => self.execute(change, *fail),
                        (false, change) => self.asked.push_back(change),
                    }
                }
            }
            Op::Answer { n } => (0..*n).for_each(|_| self.answer()),
            Op::Pass { secs } => {
                self.now.mono = self.now.mono + Duration::from_secs(*secs);
                self.now.wall = WallTime(self.now.wall.0 + secs * 1000);
                self.ledger.handle_timeout(self.now);
            }
            Op::WallJump { secs } => {
                self.now.wall = WallTime(self.now.wall.0.saturating_add_signed(secs * 1000));
                self.ledger.handle_timeout(self.now);
            }
            Op::Crash => {
                self.asked.clear();
                self.executed.clear();
                self.withdrawn.clear();
                let highest = Some(self.ledger.highest_wall());
                self.ledger =
                    Ledger::new(Config::default(), self.stored.values().cloned(), highest, self.now);
            }
        }
        self.after();
    }

    fn withdraw_all(&mut self, changes: Vec<Change>) {
        for change in changes {
            let Step::Put { record, .. } = &change.step else { panic!("a revocation is a write") };
            self.withdrawn.insert(record.locator);
            self.asked.push_back(change);
        }
    }

    /// The reference: may anybody use this token now, as far as the store and the clocks go?
    fn open(&self, record: &TokenRecord) -> bool {
        self.now.wall < record.exp() && self.now.wall.0 + 2_000 >= self.highest.0
    }

    fn lookup(&mut self, locator: &Locator) {
        self.highest = self.highest.max(self.now.wall);
        if let Ok(found) = self.ledger.lookup(self.now, locator) {
            let record = &self.stored[locator];
            assert!(!self.withdrawn.contains(locator));
            assert_eq!(record.psk.as_ref(), Some(&found.psk));
            assert!(found.tag != StateTag::Issued || self.open(record));
        }
    }

    fn consume(&mut self, locator: &Locator, by: u8) {
        self.highest = self.highest.max(self.now.wall);
        let h = [by; 32];
        match self.ledger.consume(self.now, locator, noise(by), person(by), h) {
            Ok(Admission::Store(change)) => {
                assert!(self.open(&self.stored[locator]) && !self.withdrawn.contains(locator));
                self.asked.push_back(*change);
            }
            Ok(Admission::Retry { .. }) => {
                assert!(self.history[locator].winner.unwrap().is_by(&noise(by), person(by)));
                assert!(!self.history[locator].ended && !self.withdrawn.contains(locator));
            }
            Err(_) => {}
        }
    }

    /// Takes what the ledger wants by itself, and compares what can be compared.
    fn after(&mut self) {
        self.highest = self.highest.max(self.now.wall);
        while let Some(output) = self.ledger.poll() {
            assert!(
                self.ledger.poll_timeout().is_some()
                    || self.ledger.list().count() > 0
                    || self.stored.is_empty()
            );
            if let Output::Change(change) = output {
                self.asked.push_back(*change);
            }
        }
        for entry in self.ledger.list() {
            let Some(stored) = self.stored.get(&entry.record.locator) else { continue };
            // The ledger may lag behind the store by what it has not heard yet, never the other way round.
            let behind = self.executed.iter().any(|(change, _)| match &change.step {
                Step::Put { record, .. } => record.locator == stored.locator,
                Step::Forget { locator } => *locator == stored.locator,
            });
            assert!(behind || entry.record.state.tag() == stored.state.tag(), "{entry:?} {stored:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn no_history_breaks_a_rule(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
        }
        // In the end everything is answered, and both sides agree.
        for _ in 0..4 {
            world.step(&Op::Store { n: u8::MAX, fail: false });
            world.step(&Op::Answer { n: u8::MAX });
        }
        for (locator, record) in &world.stored {
            prop_assert_eq!(world.ledger.record(locator).unwrap().state.tag(), record.state.tag());
        }
    }

    #[test]
    fn the_same_operations_give_the_same_changes(ops in prop::collection::vec(op(), 1..60)) {
        let run = || {
            let mut world = World::new();
            for op in &ops {
                world.step(op);
            }
            (world.stored, world.asked, world.ledger.poll_timeout())
        };
        prop_assert_eq!(run(), run());
    }
}
