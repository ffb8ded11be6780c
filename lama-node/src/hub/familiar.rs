//! Sources from which somebody has authenticated: in a flood of strangers they come first.

use core::time::Duration;

use lama_core::{Instant, SortedMap};
use lama_invite::Source;

/// How long a source stays familiar after somebody has authenticated from it.
const FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Sources from which an instance has authenticated to this one within the last 7 days, at most so many, those of last.
///
/// It says where somebody known was, not who comes now: whoever has the same address counts as familiar, too. So it gives
/// nobody any right, only an earlier turn where strangers would take them all. In memory alone.
#[derive(Debug)]
pub struct Familiar {
    most: usize,
    last: SortedMap<Source, Instant>,
}

impl Familiar {
    /// A familiar source may come so many times as often as another...
    pub const RATE: u32 = 25;
    /// ...and have so many times as many connections that have not proved anything: strangers who share it with somebody known
    /// leave a share to him.
    pub const PLACES: usize = 3;

    /// Remembers at most so many sources.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, last: SortedMap::new() }
    }

    /// Somebody has authenticated from there. Beyond the bound the one that was longest without is forgotten.
    pub fn remember(&mut self, source: Source, now: Instant) {
        if self.most == 0 {
            return;
        }
        if self.last.len() >= self.most && !self.last.contains_key(&source) {
            let oldest = self.last.iter().min_by_key(|(_, last)| **last).map(|(source, _)| *source);
            if let Some(oldest) = oldest {
                self.last.remove(&oldest);
            }
        }
        self.last.insert(source, now);
    }

    /// Whether somebody has authenticated from there lately.
    #[must_use]
    pub fn knows(&self, source: &Source, now: Instant) -> bool {
        self.last.get(source).is_some_and(|last| now.since(*last) < FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(s))
    }

    #[test]
    fn the_last_sources_are_remembered_for_a_week() {
        let [a, b, c] = [1, 2, 3].map(|n| Source::new([n; 16]));
        let mut familiar = Familiar::new(2);
        assert!(!familiar.knows(&a, at(0)));
        familiar.remember(a, at(0));
        familiar.remember(b, at(1));
        familiar.remember(a, at(2));
        familiar.remember(c, at(3));
        assert_eq!([a, b, c].map(|source| familiar.knows(&source, at(4))), [true, false, true]);
        assert!(familiar.knows(&a, at(2) + Duration::from_secs(7 * 86_400 - 1)));
        assert!(!familiar.knows(&a, at(2) + Duration::from_secs(7 * 86_400)));
    }

    #[test]
    fn a_thousand_sources_take_the_place_of_as_many_and_no_more() {
        let mut familiar = Familiar::new(16);
        for n in 0..1_000_u32 {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_be_bytes());
            familiar.remember(Source::new(id), at(n.into()));
        }
        assert_eq!(familiar.last.len(), 16);
        let mut none = Familiar::new(0);
        none.remember(Source::new([1; 16]), at(0));
        assert!(!none.knows(&Source::new([1; 16]), at(0)));
    }
}
