//! What goes wrong with connections: what the peer did, and what this side asked for.

use core::fmt;

/// A rule of connections that the peer broke: its session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupError {
    /// A frame of unknown type, or whose length or name does not fit its type.
    Malformed,
    /// A number that is not the next one of whoever opens, or names no connection.
    Number,
    /// A frame that may not come in the state in which the connection is.
    Unexpected,
    /// More connections than [`super::MAX_CONNECTIONS`].
    TooMany,
    /// More than there was credit for.
    CreditExceeded,
    /// Credit below [`super::MIN_CREDIT`] at the beginning, beyond [`super::MAX_CREDIT`], or none.
    CreditRange,
}

impl GroupError {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "group-malformed",
            Self::Number => "group-number",
            Self::Unexpected => "group-unexpected",
            Self::TooMany => "group-too-many",
            Self::CreditExceeded => "group-credit-exceeded",
            Self::CreditRange => "group-credit-range",
        }
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the peer sent a malformed frame of a connection",
            Self::Number => "the peer numbered a connection wrongly, or named one that does not exist",
            Self::Unexpected => "the peer sent a frame that its connection does not allow now",
            Self::TooMany => "the peer opened more connections than may be open at a time",
            Self::CreditExceeded => "the peer sent more on a connection than it was allowed to",
            Self::CreditRange => "the peer gave credit beyond the limits",
        })
    }
}

impl core::error::Error for GroupError {}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The connection is not open.
    NotOpen,
    /// The message is longer than [`super::MAX_GROUP_MESSAGE`].
    TooLong,
    /// As much waits as may wait: send again when a message has left.
    Full,
}
