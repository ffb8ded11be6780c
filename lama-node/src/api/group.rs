//! Connections of groups as applications see them: what they ask, what they are told.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use lama_core::SortedSet;
use lama_handshake::groups::GroupName;
use lama_identity::{InstanceId, LogHead, PersonId};

use super::info::PeerInfo;
use crate::debug::View;

/// Names one connection. The node gives them out, each number once in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Who may open connections of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admits {
    /// Every active contact.
    Contacts,
    /// These of them.
    Persons(SortedSet<PersonId>),
}

impl Admits {
    pub(crate) fn admits(&self, person: &PersonId) -> bool {
        match self {
            Self::Contacts => true,
            Self::Persons(persons) => persons.contains(person),
        }
    }
}

/// What an application asks about connections. A group's name is 1 to 32 lower-case letters, digits, `-` and `.`,
/// beginning with a letter; `chum`, `pairing` and `debug` are the node's own.
#[derive(Clone, PartialEq, Eq)]
pub enum GroupCommand {
    /// Contacts may open connections of this group from now on: [`super::Reply::Done`]. Each one that is opened is a
    /// [`GroupEvent::Opened`]. Said again, it changes who may. It is not kept over a restart.
    Serve {
        /// The group.
        group: String,
        /// Who may.
        to: Admits,
    },
    /// The group is served no more, and connections of it that others have opened are closed:
    /// [`super::Reply::Done`].
    EndServing {
        /// The group.
        group: String,
    },
    /// Opens a connection on the session with an instance of a contact: [`super::Reply::Connection`] when the other side
    /// has agreed. [`crate::NodeError::NotConnected`] without a session, [`crate::NodeError::GroupRefused`] with its
    /// reason.
    Open {
        /// To which instance.
        instance: InstanceId,
        /// Of which group; the other side has to serve it.
        group: String,
    },
    /// Sends a message, behind those that wait: [`super::Reply::Done`] when it has left, which takes until the other side has
    /// given credit. [`crate::NodeError::ConnectionFull`] if as much waits as may: send it again after the next answer.
    Send {
        /// On which connection.
        connection: ConnectionId,
        /// At most 65,500 bytes.
        message: Bytes,
    },
    /// Messages are worked off: the other side may send as much again. [`super::Reply::Done`].
    Taken {
        /// On which connection.
        connection: ConnectionId,
        /// The sum of their [`GroupEvent::Message`] costs.
        cost: u32,
    },
    /// Closes a connection once what waits on it has left; nothing more comes from it. [`super::Reply::Done`].
    Close {
        /// Which.
        connection: ConnectionId,
    },
}

impl GroupCommand {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Serve { .. } => "serve-group",
            Self::EndServing { .. } => "end-serving-group",
            Self::Open { .. } => "open-connection",
            Self::Send { .. } => "send-on-connection",
            Self::Taken { .. } => "taken-from-connection",
            Self::Close { .. } => "close-connection",
        }
    }
}

/// What an application asks about the group `debug`, which the node itself serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugCommand {
    /// Whether an active contact may ask how this instance sees their session, from now on and over restarts:
    /// [`super::Reply::Done`]. At first nobody may.
    Allow {
        /// Who.
        person: PersonId,
        /// Whether.
        allow: bool,
    },
    /// Who may: [`super::Reply::DebugAllowed`].
    Allowed,
    /// Asks an instance of a contact how it sees the session: [`super::Reply::Seen`]. It has to allow that.
    Ask {
        /// Which instance.
        instance: InstanceId,
    },
}

impl DebugCommand {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Allow { .. } => "allow-debug",
            Self::Allowed => "debug-allowed",
            Self::Ask { .. } => "ask-debug",
        }
    }
}

/// How the other side sees a session, and what this side makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who says so.
    pub peer: PeerInfo,
    /// What it says.
    pub view: View,
    /// From the question to the answer.
    pub round_trip: Duration,
    /// By how many milliseconds its clock is ahead of ours, give or take half the round trip.
    pub clock_ahead: i64,
    /// The end of our own log, of which [`View::head`] is what it holds.
    pub own_head: LogHead,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ConnectionEnd {
    /// This side closed it.
    ClosedHere,
    /// The other side closed it: everything that it had sent before was told.
    ClosedByPeer,
    /// The session ended, or another one between the same instances took its place. Open a new connection.
    SessionEnded,
}

impl ConnectionEnd {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ClosedHere => "closed-here",
            Self::ClosedByPeer => "closed-by-peer",
            Self::SessionEnded => "session-ended",
        }
    }
}

/// What happens on connections.
#[derive(Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// A contact has opened a connection of a group that is served here. Ends with one [`GroupEvent::Closed`].
    Opened {
        /// Its name.
        connection: ConnectionId,
        /// Of which group.
        group: GroupName,
        /// Who has opened it.
        peer: Box<PeerInfo>,
    },
    /// A message. It takes of the other side's credit until [`GroupCommand::Taken`] gives that back.
    Message {
        /// On which connection.
        connection: ConnectionId,
        /// The message.
        message: Bytes,
        /// What it takes: its length and 64.
        cost: u32,
    },
    /// A connection is over, whoever opened it.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Why.
        end: ConnectionEnd,
    },
}

impl fmt::Debug for GroupCommand {
    /// The name alone: messages are private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for GroupEvent {
    /// Without messages: they are private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { connection, group, peer } => {
                write!(f, "Opened({}, {group}, {peer:?})", connection.0)
            }
            Self::Message { connection, message, .. } => {
                write!(f, "Message({}, {} bytes)", connection.0, message.len())
            }
            Self::Closed { connection, end } => write!(f, "Closed({}, {end:?})", connection.0),
        }
    }
}
