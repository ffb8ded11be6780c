//! The limits of this crate: every one is finite by default and a field of [`Config`].

use core::time::Duration;

/// Limits and lifetimes (`security.md` 2 and 5 of the design give the start values).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Lifetime of an invitation when the caller names none: 15 minutes.
    pub default_lifetime: Duration,
    /// Longest lifetime that may be asked for: 24 hours.
    pub max_lifetime: Duration,
    /// Invitations that may be open (issued, neither spent nor ended) at a time: 100.
    pub max_active: usize,
    /// Records kept in all, ended ones included; the oldest ended ones are forgotten first: 1,000.
    pub max_records: usize,
    /// How long an ended record is kept for listing and for a retry of the same joiner: 30 days.
    pub keep_ended: Duration,
    /// Wrong secrets tolerated on one invitation before it is muted: 16 (the 17th mutes it).
    pub wrong_per_locator: u16,
    /// Wrong secrets tolerated from one source within [`Config::source_window`]: 64.
    pub wrong_per_source: u16,
    /// The window of [`Config::wrong_per_source`]: one hour.
    pub source_window: Duration,
    /// How long a muted invitation does not answer: 10 minutes.
    pub mute: Duration,
    /// Sources remembered at a time; the one whose window began first makes room: 1,024.
    pub max_sources: usize,
    /// How far the wall clock may lie below the highest reading before tokens are disabled: 2 seconds, so that
    /// the small corrections of a time service do not close every invitation for a moment. No token can gain
    /// more lifetime than this, and the monotonic limit holds beside it.
    pub wall_slack: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_lifetime: Duration::from_secs(15 * 60),
            max_lifetime: Duration::from_secs(24 * 60 * 60),
            max_active: 100,
            max_records: 1_000,
            keep_ended: Duration::from_secs(30 * 24 * 60 * 60),
            wrong_per_locator: 16,
            wrong_per_source: 64,
            source_window: Duration::from_secs(60 * 60),
            mute: Duration::from_secs(10 * 60),
            max_sources: 1_024,
            wall_slack: Duration::from_secs(2),
        }
    }
}

/// Longest link that is looked at, in bytes.
pub const MAX_LINK: usize = 4_096;
/// Longest encoded invitation, in bytes (before base64url, without the check bytes).
pub const MAX_INVITATION: usize = 2_048;
/// Most routes in one invitation.
pub const MAX_ROUTES: usize = 8;
/// Longest URL of a route, in bytes.
pub const MAX_URL: usize = 256;
/// Longest host name in a URL, in bytes (RFC 1035, 2.3.4).
pub const MAX_HOST: usize = 253;
