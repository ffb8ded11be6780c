//! Every limit, finite by default.

use core::time::Duration;

/// How many streams a session has: their numbers are `0..STREAMS`, the lower the more urgent.
pub const STREAMS: usize = 4;

/// Limits and times of handshakes and sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// A whole handshake, from the open link to both sides' READY.
    pub handshake_timeout: Duration,
    /// One step of it: the wait for one message of the peer.
    pub step_timeout: Duration,
    /// When both ends take new keys without a word. **Part of the protocol**: both ends need the same.
    pub rekey: RekeyLimits,
    /// A sender announces new keys at the latest after this time of activity.
    pub rekey_after: Duration,
    /// A session wants a successor with a fresh handshake after this time.
    pub renew_after: Duration,
    /// A PING is sent this long after the last one, give or take a fifth.
    pub ping_every: Duration,
    /// Without an answer to a PING for this long the peer is gone.
    pub dead_after: Duration,
    /// Bytes that a peer may send on a stream before it hears of credit. **Part of the protocol.**
    pub initial_window: u32,
    /// To what a stream's window grows while much is received on it. All streams' together bound what is on its way.
    pub max_window: u32,
    /// Longest message of each stream in bytes.
    pub max_message: [u32; STREAMS],
    /// Bytes of messages that are being put together or not yet released by the application. At least the longest
    /// message, or that one never arrives.
    pub max_held: u32,
}

/// After how much under one key both ends call `REKEY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RekeyLimits {
    /// Records in one direction.
    pub records: u32,
    /// Bytes of ciphertext in one direction.
    pub bytes: u64,
}

impl Default for RekeyLimits {
    fn default() -> Self {
        Self { records: 65_536, bytes: 1 << 30 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            step_timeout: Duration::from_secs(5),
            rekey: RekeyLimits::default(),
            rekey_after: Duration::from_secs(15 * 60),
            renew_after: Duration::from_secs(24 * 3600),
            ping_every: Duration::from_secs(25),
            dead_after: Duration::from_secs(60),
            initial_window: 256 << 10,
            max_window: 2 << 20,
            max_message: [256 << 10, (1 << 20) + (64 << 10), (1 << 20) + (64 << 10), (1 << 20) + (64 << 10)],
            max_held: 8 << 20,
        }
    }
}
