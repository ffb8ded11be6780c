//! What the door is given.

use std::time::Duration;

/// How many strangers may knock. All finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateConfig {
    /// Unauthenticated connections from one source: 8, or 24 where it is familiar.
    pub per_source: usize,
    /// Unauthenticated connections in all: 192. Those that come through relays have 64 of their own.
    pub total: usize,
    /// So many of `total` are for familiar sources alone, from which somebody has authenticated: 48.
    pub reserved: usize,
    /// At a limit, who has not got on for so long loses his place to somebody newer: 100 ms. [`Duration::MAX`]: nobody
    /// does, and the newest is refused.
    pub tenure: Duration,
    /// Connections from one source: so many at once...
    pub burst: u32,
    /// ...and then one in this time: 100 ms, or in 4 ms where the source is familiar.
    pub interval: Duration,
    /// Connections from all sources: so many at once, the last quarter only from familiar ones...
    pub total_burst: u32,
    /// ...and then one in this time: 1 ms. (Who is let in costs some 0.1 ms of one core, who is refused a tenth of that.)
    pub total_interval: Duration,
    /// Sources remembered for the rate: 4,096. Above that, strangers from new sources are refused.
    pub sources: usize,
    /// Sources remembered as familiar: 1,024.
    pub familiar: usize,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            per_source: 8,
            total: 192,
            reserved: 48,
            tenure: Duration::from_millis(100),
            burst: 40,
            interval: Duration::from_millis(100),
            total_burst: 256,
            total_interval: Duration::from_millis(1),
            sources: 4096,
            familiar: 1024,
        }
    }
}

impl GateConfig {
    /// All are alike, and at a limit the newest is refused.
    #[must_use]
    pub fn refusing() -> Self {
        Self {
            reserved: 0,
            tenure: Duration::MAX,
            total_burst: 1,
            total_interval: Duration::ZERO,
            familiar: 0,
            ..Self::default()
        }
    }
}
