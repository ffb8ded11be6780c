//! The limits of both sides (`security.md` 10). All are finite.

use core::time::Duration;

/// So many at once, and then one in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// From one to the next, in the long run.
    pub interval: Duration,
}

/// The limits of a relay. The defaults are for one that is open to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Connections in all: 16,384.
    pub links: usize,
    /// Routes that are registered: 10,000.
    pub routes: usize,
    /// Routes from one address block (IPv4 address, IPv6 /64): 32.
    pub routes_per_source: usize,
    /// Registered connections of one route: 4.
    pub links_per_route: usize,
    /// Calls that are spliced: 1,024. Each may hold up to 256 KiB.
    pub splices: usize,
    /// Calls that wait for a free connection of one route: 16.
    pub pending_per_route: usize,
    /// Calls to one route: 20 at once, then one in 3 s.
    pub rings_per_route: Rate,
    /// Calls from one address block: 10 at once, then one in 6 s.
    pub rings_per_source: Rate,
    /// Registrations from one address block: 60 at once, then one in 1 s.
    pub registers_per_source: Rate,
    /// Address blocks that are remembered: 16,384. Above that, new ones are refused.
    pub sources: usize,
    /// Before anybody is told `unavailable`: 250 ms, whatever the reason.
    pub unavailable_after: Duration,
    /// For the next step: the first frame, and from a ring to its acceptance: 10 s.
    pub half_open: Duration,
    /// From one PING to the next: 25 s.
    pub ping: Duration,
    /// Of silence, on a registered connection and in a splice: 90 s.
    pub idle: Duration,
    /// How long a registration's proof may be good for: 10 minutes (it is checked once, so this is for clocks that
    /// differ).
    pub proof: Duration,
    /// What lies in one direction of a splice before nothing more is read: 128 KiB, so that one of the longest messages
    /// comes while another goes. One message may exceed it.
    pub splice_buffer: usize,
    /// Bytes of one call: 16 GiB.
    pub splice_bytes: u64,
    /// Duration of one call: 24 hours.
    pub splice_time: Duration,
    /// Bytes of all calls of one route: 64 GiB...
    pub route_bytes: u64,
    /// ...in this time: 24 hours.
    pub route_bytes_in: Duration,
    /// From the order to stop until calls are cut: 30 s.
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            links: 16_384,
            routes: 10_000,
            routes_per_source: 32,
            links_per_route: 4,
            splices: 1024,
            pending_per_route: 16,
            rings_per_route: Rate { burst: 20, interval: Duration::from_secs(3) },
            rings_per_source: Rate { burst: 10, interval: Duration::from_secs(6) },
            registers_per_source: Rate { burst: 60, interval: Duration::from_secs(1) },
            sources: 16_384,
            unavailable_after: Duration::from_millis(250),
            half_open: Duration::from_secs(10),
            ping: Duration::from_secs(25),
            idle: Duration::from_secs(90),
            proof: Duration::from_secs(600),
            splice_buffer: 128 * 1024,
            splice_bytes: 16 << 30,
            splice_time: Duration::from_secs(24 * 60 * 60),
            route_bytes: 64 << 30,
            route_bytes_in: Duration::from_secs(24 * 60 * 60),
            drain: Duration::from_secs(30),
        }
    }
}

/// The limits of an instance behind relays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// Relays of the list at which it is registered at a time: 2. So a peer finds it while one of them is down.
    pub relays: usize,
    /// Connections kept ready at each: 2. One is used up by each call.
    pub spares: usize,
    /// First pause after a failure: 500 ms, then twice as long each time...
    pub backoff_first: Duration,
    /// ...up to 2 minutes.
    pub backoff_max: Duration,
    /// A registration that lasted so long was a sound one: 30 s. The pauses start small again after it, and a relay
    /// that stands earlier in the list takes its place back.
    pub healthy: Duration,
    /// For each step of a registration, and for a dial: 15 s.
    pub step: Duration,
    /// Of silence, unless the relay says otherwise: 90 s.
    pub idle: Duration,
    /// How long the proof of a registration is good for: 2 minutes.
    pub proof: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            relays: 2,
            spares: 2,
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_secs(120),
            healthy: Duration::from_secs(30),
            step: Duration::from_secs(15),
            idle: Duration::from_secs(90),
            proof: Duration::from_secs(120),
        }
    }
}
