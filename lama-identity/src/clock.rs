//! The hybrid logical clock that orders versions and entries of several authors.

use core::time::Duration;

use lama_core::WallTime;
use serde::{Deserialize, Serialize};

use crate::IdentityError;

/// A hybrid logical clock reading: wall time in milliseconds since the Unix epoch, and a counter for what happens
/// within one. Encoded as `[ms, count]`. Whoever writes after having seen a reading writes a greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "(u64, u32)", into = "(u64, u32)")]
pub struct Hlc {
    /// Milliseconds since the Unix epoch.
    pub ms: u64,
    /// Orders what has the same milliseconds.
    pub count: u32,
}

/// How far ahead of one's own clock a reading may lie: beyond it, one wrong clock would drag all others along.
pub const MAX_AHEAD: Duration = Duration::from_secs(10 * 60);

impl From<(u64, u32)> for Hlc {
    fn from((ms, count): (u64, u32)) -> Self {
        Self { ms, count }
    }
}

impl From<Hlc> for (u64, u32) {
    fn from(clock: Hlc) -> Self {
        (clock.ms, clock.count)
    }
}

impl Hlc {
    /// The reading for something written at `wall`, after all that this clock has seen. Moves the clock.
    pub fn tick(&mut self, wall: WallTime) -> Self {
        *self = if wall.0 > self.ms {
            Self { ms: wall.0, count: 0 }
        } else if let Some(count) = self.count.checked_add(1) {
            Self { ms: self.ms, count }
        } else {
            Self { ms: self.ms.saturating_add(1), count: 0 }
        };
        *self
    }

    /// Takes note of a reading that came from elsewhere.
    ///
    /// # Errors
    /// [`IdentityError::ClockAhead`] if it lies more than `max_ahead` after `wall`; this clock is then unchanged.
    pub fn observe(&mut self, other: Self, wall: WallTime, max_ahead: Duration) -> Result<(), IdentityError> {
        let ahead = u64::try_from(max_ahead.as_millis()).unwrap_or(u64::MAX);
        if other.ms > wall.0.saturating_add(ahead) {
            return Err(IdentityError::ClockAhead);
        }
        *self = (*self).max(other);
        Ok(())
    }

    /// The wall-clock part.
    #[must_use]
    pub const fn wall(self) -> WallTime {
        WallTime(self.ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_greater_even_when_the_wall_stands_or_goes_back() {
        let mut clock = Hlc::default();
        let a = clock.tick(WallTime(100));
        let b = clock.tick(WallTime(100));
        let c = clock.tick(WallTime(50));
        clock.observe(Hlc { ms: 200, count: 9 }, WallTime(150), MAX_AHEAD).unwrap();
        let d = clock.tick(WallTime(150));
        assert!(a < b && b < c && c < d, "{a:?} {b:?} {c:?} {d:?}");
        let mut full = Hlc { ms: 7, count: u32::MAX };
        assert_eq!(full.tick(WallTime(0)), Hlc { ms: 8, count: 0 });
    }

    #[test]
    fn a_clock_far_ahead_is_refused_and_changes_nothing() {
        let mut clock = Hlc { ms: 5, count: 0 };
        let far = Hlc { ms: 1 << 50, count: 0 };
        assert_eq!(clock.observe(far, WallTime(5), MAX_AHEAD), Err(IdentityError::ClockAhead));
        assert_eq!(clock, Hlc { ms: 5, count: 0 });
    }
}
