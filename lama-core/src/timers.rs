//! When what is due. One deadline for each key, the earliest found at once.

use crate::{Instant, SortedMap, SortedSet};

/// All deadlines of a machine, each under a key of its own.
#[derive(Debug)]
pub struct Timers<K> {
    by_key: SortedMap<K, Instant>,
    by_time: SortedSet<(Instant, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_key: SortedMap::new(), by_time: SortedSet::new() }
    }
}

impl<K: Copy + Ord> Timers<K> {
    /// Sets, moves or clears (`None`) the deadline of a key.
    pub fn set(&mut self, key: K, at: Option<Instant>) {
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
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.set(key, None);
        Some(key)
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
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
        timers.set('a', Some(at(3)));
        timers.set('b', Some(at(2)));
        timers.set('b', Some(at(4)));
        assert_eq!(timers.next(), Some(at(3)));
        assert_eq!(timers.pop(at(2)), None);
        assert_eq!(timers.pop(at(5)), Some('a'));
        assert_eq!(timers.pop(at(5)), Some('b'));
        assert_eq!((timers.pop(at(5)), timers.next()), (None, None));
    }
}
