//! What goes wrong at a relay, on either side.

use core::fmt;

use lama_core::Ticket;

/// Why a link ended, or a call was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayError {
    // The other side misbehaved: one variant per rule of the protocol.
    /// A frame without a byte.
    EmptyFrame,
    /// A frame of a type that this version does not know.
    UnknownFrame {
        /// The type.
        kind: u8,
    },
    /// A frame of a known type, but not of that type's length.
    WrongLength {
        /// The type.
        kind: u8,
        /// The frame's length.
        len: usize,
    },
    /// A frame at a time, or from a side, at which it has no place.
    OutOfTurn {
        /// The type.
        kind: u8,
    },
    /// HELLO of a version that this one does not speak.
    UnknownVersion {
        /// The version.
        version: u8,
    },
    /// A flag that is neither 0 nor 1.
    BadFlag,
    /// The relay has another key than the route pins.
    RelayKeyMismatch,
    /// The relay's key, or the key of a route, is no sound Ed25519 key.
    BadKey,
    /// The relay's signature does not hold: it is not the relay, or somebody stands between.
    ConfirmSignature,
    /// The route key's signature does not hold for this relay, host and connection.
    RegisterSignature,
    /// A registration whose proof has expired, or is good for longer than allowed.
    RegisterExpiry,
    /// The client dialled a name that is not one of this relay's.
    UnknownHost,
    /// PONG with a number that no PING had.
    PongUnasked,
    /// A message longer than a splice carries.
    MessageTooLong {
        /// Its length.
        len: usize,
    },

    // A limit was reached.
    /// What callers and registrants are told, whatever the reason was.
    Unavailable,
    /// More links than this relay keeps.
    TooManyLinks,
    /// A splice carried as many bytes as it may, or its route as many as it may for now.
    SpliceQuota,
    /// A splice lasted as long as it may.
    SpliceTime,
    /// A newer registration proved the same key while this connection had missed a PING.
    Replaced,

    // Time ran out.
    /// The next step of the protocol did not come in time.
    HalfOpen,
    /// The other side has been silent for too long.
    Silent,
    /// Nothing went through a splice for too long.
    SpliceIdle,
    /// The relay is stopping.
    Draining,

    // The caller misused the machine.
    /// The key that is to sign is not there.
    NoSignature,
    /// The relay ends TLS itself, and the host does not know the connection's exporter: no browser tells it.
    NoExporter,
    /// An answer to something that was not asked.
    UnknownTicket(Ticket),
    /// A link that was named already.
    LinkTwice,
}

/// On whose side the reason lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The other side broke a rule.
    Peer,
    /// A limit was reached.
    Limit,
    /// Time ran out.
    Timeout,
    /// The program around the machine misused it.
    Caller,
}

impl RelayError {
    /// On whose side the reason lies.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Unavailable
            | Self::TooManyLinks
            | Self::SpliceQuota
            | Self::SpliceTime
            | Self::Replaced => Fault::Limit,
            Self::HalfOpen | Self::Silent | Self::SpliceIdle | Self::Draining => Fault::Timeout,
            Self::NoSignature | Self::NoExporter | Self::UnknownTicket(_) | Self::LinkTwice => Fault::Caller,
            _ => Fault::Peer,
        }
    }

    /// A stable name, for logs, metrics and bindings.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EmptyFrame => "relay-empty-frame",
            Self::UnknownFrame { .. } => "relay-unknown-frame",
            Self::WrongLength { .. } => "relay-wrong-length",
            Self::OutOfTurn { .. } => "relay-out-of-turn",
            Self::UnknownVersion { .. } => "relay-unknown-version",
            Self::BadFlag => "relay-bad-flag",
            Self::RelayKeyMismatch => "relay-key-mismatch",
            Self::BadKey => "relay-bad-key",
            Self::ConfirmSignature => "relay-confirm-signature",
            Self::RegisterSignature => "relay-register-signature",
            Self::RegisterExpiry => "relay-register-expiry",
            Self::UnknownHost => "relay-unknown-host",
            Self::PongUnasked => "relay-pong-unasked",
            Self::MessageTooLong { .. } => "relay-message-too-long",
            Self::Unavailable => "relay-unavailable",
            Self::TooManyLinks => "relay-too-many-links",
            Self::SpliceQuota => "relay-splice-quota",
            Self::SpliceTime => "relay-splice-time",
            Self::Replaced => "relay-replaced",
            Self::HalfOpen => "relay-half-open",
            Self::Silent => "relay-silent",
            Self::SpliceIdle => "relay-splice-idle",
            Self::Draining => "relay-draining",
            Self::NoSignature => "relay-no-signature",
            Self::NoExporter => "relay-no-exporter",
            Self::UnknownTicket(_) => "relay-unknown-ticket",
            Self::LinkTwice => "relay-link-twice",
        }
    }
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyFrame => f.write_str("a frame without a byte"),
            Self::UnknownFrame { kind } => write!(f, "a frame of the unknown type {kind:#04x}"),
            Self::WrongLength { kind, len } => write!(f, "a frame of type {kind:#04x} with {len} bytes"),
            Self::OutOfTurn { kind } => write!(f, "a frame of type {kind:#04x} where it has no place"),
            Self::UnknownVersion { version } => {
                write!(f, "the relay speaks version {version}, which this program does not know; update it")
            }
            Self::BadFlag => f.write_str("a flag that is neither 0 nor 1"),
            Self::RelayKeyMismatch => f.write_str(
                "the relay has another key than its address names; ask its operator for the new address",
            ),
            Self::BadKey => f.write_str("a key that is no sound Ed25519 key"),
            Self::ConfirmSignature => f.write_str(
                "the relay did not prove its key; somebody may stand between, or its name is not what was dialled",
            ),
            Self::RegisterSignature => f.write_str("the proof of a route does not hold at this relay"),
            Self::RegisterExpiry => {
                f.write_str("the proof of a route has expired, or lasts too long; check both clocks")
            }
            Self::UnknownHost => f.write_str("a name was dialled that is not one of this relay's (--host)"),
            Self::PongUnasked => f.write_str("an answer to a PING that was not sent"),
            Self::MessageTooLong { len } => write!(f, "a message of {len} bytes where 65,535 are allowed"),
            Self::Unavailable => f.write_str(
                "nobody takes calls there now: the other side is not registered, or a limit of the relay is reached",
            ),
            Self::TooManyLinks => f.write_str("the relay has as many connections as it may"),
            Self::SpliceQuota => f.write_str("the relay carries no more bytes for this route now"),
            Self::SpliceTime => f.write_str("the call lasted as long as it may"),
            Self::Replaced => f.write_str("a newer connection took the place of this one"),
            Self::HalfOpen => f.write_str("the next step did not come in time"),
            Self::Silent => f.write_str("the other side has been silent for too long"),
            Self::SpliceIdle => f.write_str("nothing went through the call for too long"),
            Self::Draining => f.write_str("the relay is stopping"),
            Self::NoSignature => f.write_str("the key that has to sign is not here"),
            Self::NoExporter => f.write_str(
                "this relay ends TLS itself, and this platform does not show a program its TLS connection, so that no \
                 registration can be bound to it; name a relay whose TLS ends at a proxy (`lama relay run --behind-proxy`)",
            ),
            Self::UnknownTicket(ticket) => write!(f, "an answer to {ticket:?}, which was not asked"),
            Self::LinkTwice => f.write_str("a link was named twice"),
        }
    }
}

impl core::error::Error for RelayError {}
