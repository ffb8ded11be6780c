//! What a relay counts: numbers only, of nobody in particular.

use crate::{Fault, RelayError};

/// What is there, and what has happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Open connections.
    pub links: usize,
    /// Routes with at least one registered connection.
    pub routes: usize,
    /// Calls that are spliced.
    pub splices: usize,
    /// Whether it is stopping.
    pub draining: bool,
    /// Registrations that were confirmed.
    pub registered: u64,
    /// Rings.
    pub rings: u64,
    /// Calls that were connected.
    pub connected: u64,
    /// Calls that were connected and have ended.
    pub ended: u64,
    /// Rings that were refused because the route is not registered.
    pub rings_unknown: u64,
    /// Rings that were refused because of a limit.
    pub rings_limited: u64,
    /// Rings that nobody accepted in time.
    pub rings_unanswered: u64,
    /// Registrations that were refused because of a limit.
    pub registers_limited: u64,
    /// Messages that were carried.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Connections that were closed because the other side broke a rule.
    pub closed_peer: u64,
    /// ... because of a limit.
    pub closed_limit: u64,
    /// ... because time ran out.
    pub closed_timeout: u64,
}

impl Stats {
    pub(super) const fn count_close(&mut self, why: Option<&RelayError>) {
        let Some(why) = why else { return };
        match why.fault() {
            Fault::Peer => self.closed_peer += 1,
            Fault::Limit => self.closed_limit += 1,
            Fault::Timeout => self.closed_timeout += 1,
            Fault::Caller => {}
        }
    }
}
