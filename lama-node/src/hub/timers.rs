//! When what is due. One deadline for each key, the earliest found at once.

use alloc::collections::{BTreeMap, BTreeSet};

use lama_core::Instant;
use lama_identity::InstanceId;
use lama_invite::Locator;

use crate::api::LinkId;

/// What a deadline belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A step of a handshake, the liveness of a session, or a close that takes too long.
    Link(LinkId),
    /// The next dial of a known instance.
    Peer(InstanceId),
    /// The next attempt of a join.
    Join(Locator),
    /// The token ledger.
    Ledger,
}

/// All deadlines.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_key: BTreeMap<Timer, Instant>,
    by_time: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    /// Sets, moves or clears (`None`) the deadline of a key.
    pub(crate) fn set(&mut self, key: Timer, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.by_key.insert(key, at),
            None => self.by_key.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key));
        }
    }

    /// Takes the earliest deadline that has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.set(key, None);
        Some(key)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn the_earliest_comes_first_and_a_moved_one_once() {
        let at = |secs| Instant::from_origin(Duration::from_secs(secs));
        let mut timers = Timers::default();
        timers.set(Timer::Ledger, Some(at(3)));
        timers.set(Timer::Link(LinkId(1)), Some(at(2)));
        timers.set(Timer::Link(LinkId(1)), Some(at(4)));
        assert_eq!(timers.next(), Some(at(3)));
        assert_eq!(timers.pop(at(2)), None);
        assert_eq!(timers.pop(at(5)), Some(Timer::Ledger));
        assert_eq!(timers.pop(at(5)), Some(Timer::Link(LinkId(1))));
        assert_eq!((timers.pop(at(5)), timers.next()), (None, None));
    }
}
