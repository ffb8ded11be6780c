//! What a deadline belongs to.

use lama_identity::InstanceId;
use lama_invite::Locator;

use crate::api::{ConnectionId, LinkId};

/// What a deadline belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A step of a handshake, the liveness of a session, or a close that takes too long.
    Link(LinkId),
    /// The next dial of a known instance.
    Peer(InstanceId),
    /// The next attempt of a join.
    Join(Locator),
    /// The answer to a new connection, or on it.
    Connection(ConnectionId),
    /// The token ledger.
    Ledger,
}

/// All deadlines.
pub(crate) type Timers = lama_core::Timers<Timer>;
