//! Connections of groups: what applications say to each other beside CHUM, on the one session of two instances.
//!
//! A *group* is a name that an application serves; a *connection* is one conversation of a group. All connections of a
//! session travel on one of its streams, each with a credit of its own, so that one that is not read delays no other.
//! A frame is one message of the stream and fits into one record. `docs/protocol/groups.md` is the specification.

mod connections;
mod error;
mod frame;

use alloc::string::String;
use core::fmt;

pub use connections::{ConnectionLimits, Connections, Happened, Polled};
pub use error::{GroupError, SendError};
pub use frame::{Frame, RefuseCode};

use crate::{MAX_IN_ONE_RECORD, StreamId};

/// The stream on which connections travel.
pub const GROUP_STREAM: StreamId = StreamId::INTERACTIVE;

/// The bit of [`crate::Introduction::caps`] of whoever understands [`GROUP_STREAM`]. Nothing is sent there to others.
pub const CAP_GROUPS: u64 = 1;

/// Connections that one side may have opened at a time, those included that are being refused or closed. Part of the
/// protocol: whoever opens more is cut off. How many of them are let in is each side's own affair.
pub const MAX_CONNECTIONS: usize = 64;

/// Type and number of a frame.
const HEADER: usize = 5;

/// The longest message of a connection in bytes.
pub const MAX_GROUP_MESSAGE: usize = MAX_IN_ONE_RECORD - HEADER;

/// What a message takes of the credit beside its length: so that many empty ones are not free.
pub const MESSAGE_COST: u32 = 64;

/// The least credit that a connection begins with: that of the longest message.
pub const MIN_CREDIT: u32 = MAX_GROUP_MESSAGE as u32 + MESSAGE_COST;

/// The most credit that a connection can have.
pub const MAX_CREDIT: u32 = 1 << 20;

/// The name of a group: 1 to 32 lower-case letters, digits, `-` and `.`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

impl GroupName {
    /// The longest name in bytes.
    pub const MAX: usize = 32;

    /// The name that `text` is, if it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_of_it = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        let fits = text.len() <= Self::MAX && text.starts_with(|first: char| first.is_ascii_lowercase());
        (fits && text.bytes().all(is_of_it)).then(|| Self(text.into()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
