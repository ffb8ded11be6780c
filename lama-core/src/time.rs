//! Time as an argument.

use core::ops::Add;
use core::time::Duration;

/// A monotonic reading: time since an origin that the host chose and keeps for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(Duration);

impl Instant {
    /// The host's origin.
    pub const ORIGIN: Self = Self(Duration::ZERO);

    /// The reading `since_origin` after the host's origin.
    #[must_use]
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// How long after the host's origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// How long `earlier` lies back; zero if it does not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates: a deadline further away than time goes is never due.
    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(after))
    }
}

/// A wall-clock reading in milliseconds since the Unix epoch (UTC): for what is written down, never measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(pub u64);

impl WallTime {
    /// Whole seconds since the Unix epoch, as invitations and certificates carry them.
    #[must_use]
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The wall time at `seconds` since the Unix epoch.
    #[must_use]
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }
}

/// Both readings of the adapter's clocks: measure with `mono`, write down `wall`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Never goes back.
    pub mono: Instant,
    /// May jump in both directions.
    pub wall: WallTime,
}

/// Keeps rule 5 inside a machine: monotonic time never goes back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    latest: Now,
}

impl Clock {
    /// Takes a reading; its monotonic part is the latest one seen if it lies before that.
    pub fn advance(&mut self, now: Now) -> Now {
        self.latest = Now { mono: self.latest.mono.max(now.mono), wall: now.wall };
        self.latest
    }

    /// The last reading.
    #[must_use]
    pub const fn latest(&self) -> Now {
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Now {
        Now { mono: Instant::from_origin(Duration::from_secs(secs)), wall: WallTime(secs) }
    }

    #[test]
    fn the_clock_never_goes_back_but_the_wall_may() {
        let mut clock = Clock::default();
        clock.advance(at(5));
        let later = clock.advance(at(3));
        assert_eq!(later.mono, at(5).mono);
        assert_eq!(later.wall, WallTime(3));
    }

    #[test]
    fn far_deadlines_saturate() {
        let far = Instant::ORIGIN + Duration::MAX + Duration::from_secs(1);
        assert_eq!(far, Instant::from_origin(Duration::MAX));
        assert_eq!(Instant::ORIGIN.since(far), Duration::ZERO);
    }
}
