//! Why a synchronisation ended.

use core::fmt;

use lama_core::Ticket;
use lama_identity::EncodingError;

use crate::StoreFailure;
use crate::recon::ReconError;

/// Why the machine ended. The first error is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChumError {
    // The peer misbehaved: one variant per rule of the protocol.
    /// A message without a byte.
    EmptyMessage,
    /// A message longer than any can be: more than one object of the largest size takes.
    MessageTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A message of a type that this version does not know.
    UnknownMessage {
        /// The type.
        kind: u8,
    },
    /// A message of a known type, but not of that type's length.
    WrongLength {
        /// The type.
        kind: u8,
        /// The message's length in bytes.
        len: usize,
    },
    /// The first message is not HELLO.
    HelloMissing,
    /// A second HELLO.
    HelloTwice,
    /// HELLO of a version that this one does not speak.
    UnknownVersion {
        /// The version.
        version: u8,
    },
    /// HELLO with a cursor beyond the head of our log, in the life of our store that it names itself.
    CursorBeyondHead,
    /// HELLO with a cursor in which a lane is ahead of one that leaves before it.
    CursorUnordered,
    /// OBJECTS that announces no object.
    NoObjects,
    /// OBJECTS that ends inside an object, or announces more objects than it has.
    ObjectsTruncated,
    /// OBJECTS with bytes behind the last object that it announces.
    ObjectsTrailing,
    /// An object's length that is not written in its shortest form, or takes more than four bytes.
    LengthEncoding,
    /// An object of no bytes.
    ObjectEmpty,
    /// An object larger than the protocol allows.
    ObjectTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// An object that is not canonical DAG-CBOR.
    NotCanonical(EncodingError),
    /// OBJECTS whose sequence number does not lie above that of the message before.
    SequenceWentBack,
    /// OBJECTS whose sequence number lies beyond the head that it names itself.
    SequenceBeyondHead,
    /// A head that lies below one named before.
    HeadWentBack,
    /// More objects, or more bytes of them, than may be under way without our acknowledgement.
    CreditExceeded,
    /// An acknowledgement that lies below one given before.
    AckWentBack,
    /// An acknowledgement of what was not sent.
    AckBeyondSent,
    /// REFUSED for more objects than were sent.
    RefusedUnsent,
    /// REFUSED with an id of an unknown codec, or without an id.
    RefusedMalformed,
    /// GONE with an id of an unknown codec.
    GoneMalformed,
    /// Cells or a list that cannot be.
    Recon(ReconError),
    /// A message of reconciliation that does not follow on what was said.
    ReconOutOfTurn {
        /// Its type.
        kind: u8,
    },
    /// More short ids wanted than our set has.
    WantBeyondSet,

    // The caller misused the machine.
    /// An answer to an effect that is not under way.
    UnknownTicket(Ticket),
    /// A page that does not follow on its scan: entries out of order or outside of it, or no way forward.
    PageOutOfOrder,
    /// An object from the store that cannot be sent: empty, or larger than the protocol allows.
    ObjectUnsendable,
    /// A head of another epoch: a store begins a new life with new machines.
    EpochChanged,

    // A limit was reached.
    /// A view log with more entries than the protocol can number (32 bits).
    ViewTooLong,

    // The store failed.
    /// The store could not do what it was asked to.
    Store(StoreFailure),
}

/// On whose side the reason lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The peer broke a rule of the protocol.
    Peer,
    /// The program around the machine misused it.
    Caller,
    /// A limit of the protocol was reached.
    Limit,
    /// The store failed.
    Store,
}

impl ChumError {
    /// On whose side the reason lies.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::UnknownTicket(_) | Self::PageOutOfOrder | Self::ObjectUnsendable | Self::EpochChanged => {
                Fault::Caller
            }
            Self::ViewTooLong => Fault::Limit,
            Self::Store(_) => Fault::Store,
            _ => Fault::Peer,
        }
    }

    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EmptyMessage => "chum-empty-message",
            Self::MessageTooLong { .. } => "chum-message-too-long",
            Self::UnknownMessage { .. } => "chum-unknown-message",
            Self::WrongLength { .. } => "chum-wrong-length",
            Self::HelloMissing => "chum-hello-missing",
            Self::HelloTwice => "chum-hello-twice",
            Self::UnknownVersion { .. } => "chum-unknown-version",
            Self::CursorBeyondHead => "chum-cursor-beyond-head",
            Self::CursorUnordered => "chum-cursor-unordered",
            Self::NoObjects => "chum-no-objects",
            Self::ObjectsTruncated => "chum-objects-truncated",
            Self::ObjectsTrailing => "chum-objects-trailing",
            Self::LengthEncoding => "chum-length-encoding",
            Self::ObjectEmpty => "chum-object-empty",
            Self::ObjectTooLong { .. } => "chum-object-too-long",
            Self::NotCanonical(_) => "chum-not-canonical",
            Self::SequenceWentBack => "chum-sequence-went-back",
            Self::SequenceBeyondHead => "chum-sequence-beyond-head",
            Self::HeadWentBack => "chum-head-went-back",
            Self::CreditExceeded => "chum-credit-exceeded",
            Self::AckWentBack => "chum-ack-went-back",
            Self::AckBeyondSent => "chum-ack-beyond-sent",
            Self::RefusedUnsent => "chum-refused-unsent",
            Self::RefusedMalformed => "chum-refused-malformed",
            Self::GoneMalformed => "chum-gone-malformed",
            Self::Recon(_) => "chum-recon",
            Self::ReconOutOfTurn { .. } => "chum-recon-out-of-turn",
            Self::WantBeyondSet => "chum-want-beyond-set",
            Self::UnknownTicket(_) => "chum-unknown-ticket",
            Self::PageOutOfOrder => "chum-page-out-of-order",
            Self::ObjectUnsendable => "chum-object-unsendable",
            Self::EpochChanged => "chum-epoch-changed",
            Self::ViewTooLong => "chum-view-too-long",
            Self::Store(_) => "chum-store",
        }
    }

    /// What happened, without why and what to do.
    const fn what(&self) -> &'static str {
        match self {
            Self::EmptyMessage => "the peer sent an empty message",
            Self::MessageTooLong { .. } => "the peer sent a message longer than any can be",
            Self::UnknownMessage { .. } => "the peer sent a message of an unknown type",
            Self::WrongLength { .. } => "the peer sent a message whose length does not fit its type",
            Self::HelloMissing => "the peer did not begin with HELLO",
            Self::HelloTwice => "the peer sent HELLO twice",
            Self::UnknownVersion { .. } => "the peer speaks another version of CHUM",
            Self::CursorBeyondHead => "the peer claims to have more of our log than there is",
            Self::CursorUnordered => "the peer claims to have bulk of our log without what leaves before it",
            Self::NoObjects => "the peer announced no object in a message of objects",
            Self::ObjectsTruncated => "a message of objects ends inside an object",
            Self::ObjectsTrailing => "a message of objects has bytes behind the last one",
            Self::LengthEncoding => "an object's length is not written in its shortest form",
            Self::ObjectEmpty => "the peer sent an empty object",
            Self::ObjectTooLong { .. } => "the peer sent an object larger than 1 MiB",
            Self::NotCanonical(_) => "the peer sent an object that is not canonical DAG-CBOR",
            Self::SequenceWentBack => "the peer's sequence numbers went back",
            Self::SequenceBeyondHead => "the peer sent more than it says it has",
            Self::HeadWentBack => "the peer's log became shorter",
            Self::CreditExceeded => "the peer sent more than may be unacknowledged",
            Self::AckWentBack => "the peer took an acknowledgement back",
            Self::AckBeyondSent => "the peer acknowledged what was not sent",
            Self::RefusedUnsent => "the peer refused more objects than were sent",
            Self::RefusedMalformed => "the peer refused something that is no object id",
            Self::GoneMalformed => "the peer said of something that is no object id that it is gone",
            Self::Recon(_) => "the peer sent cells or a list that cannot be",
            Self::ReconOutOfTurn { .. } => "the peer sent a message of reconciliation out of turn",
            Self::WantBeyondSet => "the peer wants more than there is",
            Self::UnknownTicket(_) => "an answer came for an effect that is not under way",
            Self::PageOutOfOrder => "a page does not follow on its scan",
            Self::ObjectUnsendable => "the store gave an object that is empty or larger than 1 MiB",
            Self::EpochChanged => "the store's epoch changed during a session",
            Self::ViewTooLong => "the view log has more than 2^32 - 1 entries",
            Self::Store(_) => "the store failed",
        }
    }
}

impl fmt::Display for ChumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())?;
        match self {
            Self::MessageTooLong { len } | Self::ObjectTooLong { len } => write!(f, " ({len} bytes)")?,
            Self::UnknownMessage { kind } => write!(f, " (0x{kind:02x})")?,
            Self::WrongLength { kind, len } => write!(f, " (0x{kind:02x}, {len} bytes)")?,
            Self::UnknownVersion { version } => write!(f, " ({version})")?,
            Self::NotCanonical(cause) => write!(f, ": {cause}")?,
            Self::Recon(cause) => write!(f, ": {cause}")?,
            Self::ReconOutOfTurn { kind } => write!(f, " (0x{kind:02x})")?,
            Self::Store(failure) => write!(f, ": {failure}")?,
            _ => {}
        }
        f.write_str(match self.fault() {
            Fault::Peer => {
                "; its program is faulty or hostile: the session was ended, nothing of the message was kept"
            }
            Fault::Caller => "; this is a fault of this program: please report it",
            Fault::Limit => "; share with another person or instance",
            Fault::Store => "; see to the store, then connect again: what was acknowledged is kept",
        })
    }
}

impl From<ReconError> for ChumError {
    fn from(error: ReconError) -> Self {
        Self::Recon(error)
    }
}

impl core::error::Error for ChumError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotCanonical(cause) => Some(cause),
            Self::Recon(cause) => Some(cause),
            _ => None,
        }
    }
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "there is no room left",
            Self::Unavailable => "it does not answer",
            Self::Corrupt => "what it holds is damaged",
            Self::Hole => "an import before this one is missing",
        })
    }
}

impl core::error::Error for StoreFailure {}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;
    use core::error::Error as _;

    use super::*;

    /// Every error, with its fault.
    fn all() -> [(ChumError, Fault); 34] {
        let of_the_peer = [
            ChumError::EmptyMessage,
            ChumError::MessageTooLong { len: 77 },
            ChumError::UnknownMessage { kind: 0x7e },
            ChumError::WrongLength { kind: 0x7e, len: 77 },
            ChumError::HelloMissing,
            ChumError::HelloTwice,
            ChumError::UnknownVersion { version: 77 },
            ChumError::CursorBeyondHead,
            ChumError::CursorUnordered,
            ChumError::NoObjects,
            ChumError::ObjectsTruncated,
            ChumError::ObjectsTrailing,
            ChumError::LengthEncoding,
            ChumError::ObjectEmpty,
            ChumError::ObjectTooLong { len: 77 },
            ChumError::NotCanonical(EncodingError::Trailing),
            ChumError::SequenceWentBack,
            ChumError::SequenceBeyondHead,
            ChumError::HeadWentBack,
            ChumError::CreditExceeded,
            ChumError::AckWentBack,
            ChumError::AckBeyondSent,
            ChumError::RefusedUnsent,
            ChumError::RefusedMalformed,
            ChumError::GoneMalformed,
            ChumError::Recon(ReconError::Count),
            ChumError::ReconOutOfTurn { kind: 0x7e },
            ChumError::WantBeyondSet,
        ];
        let ours = [
            (ChumError::UnknownTicket(Ticket(7)), Fault::Caller),
            (ChumError::PageOutOfOrder, Fault::Caller),
            (ChumError::ObjectUnsendable, Fault::Caller),
            (ChumError::EpochChanged, Fault::Caller),
            (ChumError::ViewTooLong, Fault::Limit),
            (ChumError::Store(StoreFailure::Full), Fault::Store),
        ];
        let mut all = of_the_peer.map(|error| (error, Fault::Peer)).into_iter().chain(ours);
        core::array::from_fn(|_| all.next().unwrap())
    }

    #[test]
    fn every_error_has_a_name_of_its_own_and_says_whose_fault_it_is_and_what_to_do() {
        let names: BTreeSet<&str> = all().iter().map(|(error, _)| error.code()).collect();
        let texts: BTreeSet<&str> = all().iter().map(|(error, _)| error.what()).collect();
        assert_eq!((names.len(), texts.len()), (34, 34));
        for (error, fault) in all() {
            assert_eq!(error.fault(), fault, "{error}");
            let advice = match fault {
                Fault::Peer => "; its program is faulty or hostile",
                Fault::Caller => "; this is a fault of this program",
                Fault::Limit => "; share with another",
                Fault::Store => "; see to the store",
            };
            let text = error.to_string();
            assert!(
                error.code().split('-').next() == Some("chum") && text.starts_with(error.what()),
                "{error}"
            );
            assert!(text.contains(advice) && error.what().len() > 15, "{error}");
        }
    }

    #[test]
    fn an_error_names_what_was_wrong_and_gives_its_cause() {
        for (error, _) in all() {
            let text = error.to_string();
            let (length, kind, version, cause) = match &error {
                ChumError::MessageTooLong { .. } | ChumError::ObjectTooLong { .. } => {
                    (true, false, false, None)
                }
                ChumError::UnknownMessage { .. } | ChumError::ReconOutOfTurn { .. } => {
                    (false, true, false, None)
                }
                ChumError::WrongLength { .. } => (true, true, false, None),
                ChumError::UnknownVersion { .. } => (false, false, true, None),
                ChumError::NotCanonical(cause) => (false, false, false, Some(cause.to_string())),
                ChumError::Recon(cause) => (false, false, false, Some(cause.to_string())),
                _ => (false, false, false, None),
            };
            assert_eq!(text.contains("77 bytes)"), length, "{text}");
            assert_eq!(text.contains("(0x7e"), kind, "{text}");
            assert_eq!(text.contains("(77)"), version, "{text}");
            assert_eq!(error.source().map(ToString::to_string), cause, "{text}");
            assert!(cause.is_none_or(|cause| text.contains(&cause)), "{text}");
        }
        let recon = [
            ReconError::Length,
            ReconError::Encoding,
            ReconError::Count,
            ReconError::TooMany,
            ReconError::Contradiction,
        ];
        assert!(recon.iter().all(|error| error.to_string().len() > 20));
        let failures =
            [StoreFailure::Full, StoreFailure::Unavailable, StoreFailure::Corrupt, StoreFailure::Hole];
        let texts: BTreeSet<_> = failures.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), failures.len());
        for failure in failures {
            let text = failure.to_string();
            assert!(text.len() > 10 && ChumError::Store(failure).to_string().contains(&text), "{text}");
        }
    }
}
