//! The limits and times of a node: all finite, all start values of the design.

use core::time::Duration;

/// Limits and times. The numbers are those of `security.md` 3, 5, 8 and 9 in the design.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Limits of invitations.
    pub invite: lama_invite::Config,
    /// Limits and times of handshakes, records and streams.
    pub session: lama_handshake::Config,
    /// Limits of synchronisation.
    pub chum: lama_chum::Config,
    /// How long a session waits for approval under policy `confirm`: 5 min. The pairing itself stays pending.
    pub approval_deadline: Duration,
    /// How long an authenticated close may take before the link is just closed: 2 s.
    pub close_deadline: Duration,
    /// Unauthenticated links per source: 8, or 24 where it is familiar.
    pub unauthenticated_per_source: usize,
    /// Unauthenticated links in all: 256.
    pub unauthenticated: usize,
    /// First messages per source: so many at once...
    pub msg1_burst: u32,
    /// ...and then one in this time: 200 ms, or in 8 ms where the source is familiar.
    pub msg1_interval: Duration,
    /// First messages in all: so many at once, the last quarter only from sources that are familiar...
    pub msg1_total_burst: u32,
    /// ...and then one in this time: 1 ms (a first message costs about 0.1 ms of one core: a tenth of it).
    pub msg1_total_interval: Duration,
    /// Failed authentications per instance key within one minute: 10.
    pub failed_auth_per_minute: u32,
    /// Sources and instance keys remembered for the rates: 1,024.
    pub remembered_sources: usize,
    /// Sources remembered as familiar, because somebody has authenticated from there: 1,024.
    pub familiar_sources: usize,
    /// First wait before a contact is dialled again: 500 ms.
    pub backoff_first: Duration,
    /// Longest wait before a contact is dialled again: 60 s.
    pub backoff_max: Duration,
    /// While a session goes through a relay: before a direct route is tried beside it: 5 s, twice as long each time...
    pub direct_first: Duration,
    /// ...up to 10 min.
    pub direct_max: Duration,
    /// How often a join is tried again after a clean refusal that left open whether the token was spent: 1.
    pub join_retries: u32,
    /// Whether certified instances of a known person may connect though they did not pair themselves: yes.
    pub accept_certified_instances: bool,
    /// Which hosts of known contacts may be dialled.
    pub dial: lama_invite::DialRules,
    /// Commands and effects that may wait at a time: 10,000.
    pub max_waiting: usize,
    /// Longest message text in bytes: 64 KiB.
    pub max_text: usize,
    /// How far ahead of our own clock that of somebody else may run before ours no longer follows it: 10 min.
    pub max_clock_ahead: Duration,
    /// Pending contacts and joins at a time: 100.
    pub max_pending: usize,
    /// What a connection of a group may hold and send ahead: 256 KiB each way.
    pub connections: lama_handshake::groups::ConnectionLimits,
    /// Connections that one contact may have open here, over all its instances: 16.
    pub connections_per_person: usize,
    /// How long the other side may take to answer to a new connection, and to a question for its view: 10 s.
    pub connection_deadline: Duration,
    /// Denied and removed instances remembered, so that they are told: 1,000.
    pub max_denied: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            invite: lama_invite::Config::default(),
            session: lama_handshake::Config::default(),
            chum: lama_chum::Config::default(),
            approval_deadline: Duration::from_secs(5 * 60),
            close_deadline: Duration::from_secs(2),
            unauthenticated_per_source: 8,
            unauthenticated: 256,
            msg1_burst: 20,
            msg1_interval: Duration::from_millis(200),
            msg1_total_burst: 200,
            msg1_total_interval: Duration::from_millis(1),
            failed_auth_per_minute: 10,
            remembered_sources: 1_024,
            familiar_sources: 1_024,
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_secs(60),
            direct_first: Duration::from_secs(5),
            direct_max: Duration::from_secs(600),
            join_retries: 1,
            accept_certified_instances: true,
            dial: lama_invite::DialRules { lan: true, ..lama_invite::DialRules::default() },
            max_waiting: 10_000,
            max_text: 64 << 10,
            max_clock_ahead: lama_identity::MAX_AHEAD,
            max_pending: 100,
            connections: lama_handshake::groups::ConnectionLimits::default(),
            connections_per_person: 16,
            connection_deadline: Duration::from_secs(10),
            max_denied: 1_000,
        }
    }
}
