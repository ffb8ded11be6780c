//! Everything that can go wrong, by who is to blame. One variant for each rule, one test named after it.

use core::fmt;

use lama_identity::{IdentityError, PersonId};

use crate::{RecordType, RejectCode};

/// Why a handshake or a session has ended.
///
/// What the peer may learn of it is another question: before it has proved anything, nothing at all
/// (see [`HandshakeError::reject_code`]).
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeError {
    // The peer misbehaved. One variant for each rule of the protocol.
    /// Message 1 is not 68 bytes long.
    Message1Length,
    /// Message 1 does not begin with `LAM1`: another protocol, or another version.
    Message1Magic,
    /// Message 1 is for another instance key, prologue or pattern.
    Message1Unauthentic,
    /// Message 2 is not 48 bytes long.
    Message2Length,
    /// Message 2 was not made by the holder of the expected instance key.
    Message2Unauthentic,
    /// Message 3 is not 64 bytes long.
    Message3Length,
    /// Message 3 does not prove the pre-shared key or the transcript.
    Message3Unauthentic,
    /// An ephemeral or static key that is not canonical, of small order, or whose exchange gives zero.
    KeyRefused,
    /// The peer shows this instance's own static key: a reflection, or a copied key file.
    OwnKey,
    /// A Noise message or ciphertext whose tag does not fit.
    Unauthentic,
    /// A record whose length is none of the buckets'.
    RecordLength,
    /// A record that does not authenticate: damaged, out of order, repeated, or left out before.
    RecordUnauthentic,
    /// A record of a type that this version does not know.
    RecordType(u8),
    /// A record whose body is longer than the record, or not of the form of its type.
    RecordBody,
    /// Padding that is not zero.
    PaddingNotZero,
    /// A record of a known type at a time at which it may not come.
    RecordUnexpected(RecordType),
    /// An Auth record that is not canonical or lacks the form of its fields.
    AuthMalformed,
    /// An Auth record with a field beyond its limit.
    AuthTooLong,
    /// Auth names the receiver's own role: a reflection.
    AuthRole,
    /// The instance key in Auth is not the static key of this session.
    AuthInstanceKey,
    /// The endpoint in Auth is not of the keys and owners beside it.
    AuthEndpoint,
    /// Person, instance, keys, log head and certificate in Auth do not belong together, or the certificate is not valid.
    AuthIdentity(IdentityError),
    /// Another person, or another signing key of the same person, than the pinned one. A key-change alarm.
    AuthPerson,
    /// The two sides name different connection groups, or one that this mode does not allow.
    AuthGroup,
    /// The signature in Auth does not verify over this session.
    AuthSignature,
    /// Pairing needs the person's own signature, not the instance's.
    AuthSigner,
    /// The person's log ends before the entry known. An alarm.
    AuthLogLower,
    /// The person's log has another entry at the number known. An alarm.
    AuthLogForked,
    /// The same person on both sides; instances of one person do not connect in this version.
    SamePerson(PersonId),
    /// Auth's range of versions does not contain the one in use, or is none.
    VersionUnsupported,
    /// Both sides support a higher version than the one in use: someone stripped it.
    Downgrade,
    /// Pairing without the check code's commitment or nonce.
    SasMissing,
    /// A check code's part outside pairing.
    SasUnexpected,
    /// READY reveals another nonce than the one committed to.
    SasMismatch,
    /// The peer refused, after this side had proved itself.
    Rejected(RejectCode),
    /// A stream that this version does not have.
    StreamUnknown(u8),
    /// A DATA record whose number is not the next of its stream.
    StreamSequence,
    /// A piece that begins a message within another, continues none, or does not fit the announced size.
    StreamForm,
    /// More bytes than this side gave credit for.
    CreditExceeded,
    /// More credit than the session's limit, or none at all.
    CreditOverflow,
    /// A message whose announced size is above the stream's limit.
    MessageTooLarge,
    /// DATA before both sides were ready.
    DataBeforeReady,
    /// A PONG that answers no PING of ours.
    PongUnasked,
    /// CLOSE names other final numbers than those received.
    CloseMismatch,
    /// A record after CLOSE.
    AfterClose,
    /// The link ended without CLOSE: nothing says that the peer had no more to say.
    Truncated,

    // The caller misused the crate.
    /// A call out of turn, or with keys that do not fit.
    Misuse,
    /// This side's own introduction does not fit into a record, or its message is above the peer's limit.
    LocalTooLong,
    /// This side's own introduction breaks a rule: the wrong group, or an instance's signature in pairing.
    LocalInvalid,

    // Limits.
    /// The counter of a cipher, or of a stream, has reached its end: a new session is due.
    NonceExhausted,

    // Timeouts.
    /// The handshake as a whole, or one of its steps, took too long.
    HandshakeTimeout,
    /// No answer to PING in time.
    PeerSilent,
}

impl HandshakeError {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    #[allow(clippy::too_many_lines, reason = "a table")]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Message1Length => "message-1-length",
            Self::Message1Magic => "message-1-magic",
            Self::Message1Unauthentic => "message-1-unauthentic",
            Self::Message2Length => "message-2-length",
            Self::Message2Unauthentic => "message-2-unauthentic",
            Self::Message3Length => "message-3-length",
            Self::Message3Unauthentic => "message-3-unauthentic",
            Self::KeyRefused => "key-refused",
            Self::OwnKey => "own-key",
            Self::Unauthentic => "unauthentic",
            Self::RecordLength => "record-length",
            Self::RecordUnauthentic => "record-unauthentic",
            Self::RecordType(..) => "record-type",
            Self::RecordBody => "record-body",
            Self::PaddingNotZero => "padding-not-zero",
            Self::RecordUnexpected(..) => "record-unexpected",
            Self::AuthMalformed => "auth-malformed",
            Self::AuthTooLong => "auth-too-long",
            Self::AuthRole => "auth-role",
            Self::AuthInstanceKey => "auth-instance-key",
            Self::AuthEndpoint => "auth-endpoint",
            Self::AuthIdentity(..) => "auth-identity",
            Self::AuthPerson => "auth-person",
            Self::AuthGroup => "auth-group",
            Self::AuthSignature => "auth-signature",
            Self::AuthSigner => "auth-signer",
            Self::AuthLogLower => "auth-log-lower",
            Self::AuthLogForked => "auth-log-forked",
            Self::SamePerson(..) => "same-person",
            Self::VersionUnsupported => "version-unsupported",
            Self::Downgrade => "downgrade",
            Self::SasMissing => "sas-missing",
            Self::SasUnexpected => "sas-unexpected",
            Self::SasMismatch => "sas-mismatch",
            Self::Rejected(..) => "rejected",
            Self::StreamUnknown(..) => "stream-unknown",
            Self::StreamSequence => "stream-sequence",
            Self::StreamForm => "stream-form",
            Self::CreditExceeded => "credit-exceeded",
            Self::CreditOverflow => "credit-overflow",
            Self::MessageTooLarge => "message-too-large",
            Self::DataBeforeReady => "data-before-ready",
            Self::PongUnasked => "pong-unasked",
            Self::CloseMismatch => "close-mismatch",
            Self::AfterClose => "after-close",
            Self::Truncated => "truncated",
            Self::Misuse => "misuse",
            Self::LocalTooLong => "local-too-long",
            Self::LocalInvalid => "local-invalid",
            Self::NonceExhausted => "nonce-exhausted",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::PeerSilent => "peer-silent",
        }
    }

    /// What happened, for a person.
    #[allow(clippy::too_many_lines, reason = "a table")]
    const fn text(&self) -> &'static str {
        match self {
            Self::Message1Length => "the first message has the wrong length",
            Self::Message1Magic => "the first message is of another protocol or version",
            Self::Message1Unauthentic => {
                "the first message was made for another instance or with an invitation that is not active here"
            }
            Self::Message2Length => "the answer has the wrong length",
            Self::Message2Unauthentic => "the answer does not come from the expected instance",
            Self::Message3Length => "the third message has the wrong length",
            Self::Message3Unauthentic => "the peer does not have the secret of the invitation",
            Self::KeyRefused => "the peer showed a key that is none",
            Self::OwnKey => {
                "the peer shows this instance's own key; a copied data directory must not run twice"
            }
            Self::Unauthentic => "a message did not authenticate",
            Self::RecordLength => "a record has a length that does not exist",
            Self::RecordUnauthentic => "a record was damaged, repeated or lost on the way",
            Self::RecordType(..) => "the peer sent a record of unknown type",
            Self::RecordBody => "the peer sent a record with a malformed body",
            Self::PaddingNotZero => "the peer sent padding that is not zero",
            Self::RecordUnexpected(..) => "the peer sent a record out of turn",
            Self::AuthMalformed => "the peer's introduction is malformed",
            Self::AuthTooLong => "the peer's introduction is too long",
            Self::AuthRole => "the peer claims this side's role",
            Self::AuthInstanceKey => "the peer introduced itself with another instance's key",
            Self::AuthEndpoint => "the peer's endpoint does not belong to its keys",
            Self::AuthIdentity(..) => "the peer's identity or certificate is not valid",
            Self::AuthPerson => {
                "the peer is not the expected person, or the person's key has changed; compare the new key with that person before you pair again"
            }
            Self::AuthGroup => "the two sides want different things of this connection",
            Self::AuthSignature => "the peer's signature does not fit this session",
            Self::AuthSigner => "pairing needs the person's key, which is not on the peer's device",
            Self::AuthLogLower => "the peer shows an older list of certificates than is known here",
            Self::AuthLogForked => "the peer shows another list of certificates than is known here",
            Self::VersionUnsupported => "the peer does not support the version in use",
            Self::Downgrade => "someone on the way made both sides use an old version",
            Self::SasMissing => "the peer left out its part of the check code",
            Self::SasUnexpected => "the peer sent part of a check code outside pairing",
            Self::SasMismatch => "the peer changed its part of the check code afterwards",
            Self::StreamUnknown(..) => "the peer used a stream that does not exist",
            Self::StreamSequence => "the peer's records of a stream are not in order",
            Self::StreamForm => "the pieces of the peer's message do not fit together",
            Self::CreditExceeded => "the peer sent more than it was allowed to",
            Self::CreditOverflow => "the peer gave credit beyond all limits",
            Self::MessageTooLarge => "the peer announced a message above the limit",
            Self::DataBeforeReady => "the peer sent data before the pairing was complete",
            Self::PongUnasked => "the peer answered a question that was not asked",
            Self::CloseMismatch => "the peer's farewell does not fit what it sent",
            Self::AfterClose => "the peer went on after its farewell",
            Self::Truncated => "the connection was cut; it is made again",
            Self::Misuse => "this call is not possible now",
            Self::LocalTooLong => "what this side wants to send is too long",
            Self::LocalInvalid => "this side's introduction breaks a rule of the protocol",
            Self::NonceExhausted => "the session has lived too long; connect again",
            Self::HandshakeTimeout => "the peer took too long to answer",
            Self::PeerSilent => "the peer does not answer any more; it is called again",
            Self::SamePerson(_) => "both sides belong to the same person",
            Self::Rejected(_) => "the peer refused",
        }
    }

    /// What the peer may be told once it has proved itself and still breaks a rule; `None` where silence is due.
    #[must_use]
    pub const fn reject_code(&self) -> Option<RejectCode> {
        match self {
            Self::SamePerson(_) => Some(RejectCode::SamePerson),
            Self::Downgrade | Self::VersionUnsupported => Some(RejectCode::Version),
            Self::AuthGroup => Some(RejectCode::Group),
            Self::AuthPerson => Some(RejectCode::Person),
            Self::AuthIdentity(_) | Self::AuthLogLower | Self::AuthLogForked | Self::AuthSigner => {
                Some(RejectCode::Identity)
            }
            Self::AuthMalformed
            | Self::AuthTooLong
            | Self::AuthRole
            | Self::AuthInstanceKey
            | Self::AuthEndpoint
            | Self::AuthSignature
            | Self::SasMissing
            | Self::SasUnexpected
            | Self::SasMismatch => Some(RejectCode::Protocol),
            _ => None,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SamePerson(person) => write!(
                f,
                "both sides belong to the same person ({person}); instances of one person do not connect to each \
                 other in this version: let both connect to contacts, or use an instance of another person (`lama --data DIR init OTHER@EMAIL`)"
            ),
            Self::Rejected(code) => write!(f, "the peer refused: {code}"),
            Self::AuthIdentity(cause) => write!(f, "{}: {cause}", self.text()),
            Self::RecordType(number) => write!(f, "{} ({number})", self.text()),
            Self::StreamUnknown(number) => write!(f, "{} ({number})", self.text()),
            Self::RecordUnexpected(kind) => write!(f, "{} ({kind:?})", self.text()),
            _ => f.write_str(self.text()),
        }
    }
}

impl core::error::Error for HandshakeError {}
