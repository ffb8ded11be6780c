//! What a node reports without being asked.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use lama_chum::{ChumError, Fingerprint, Progress};
use lama_core::WallTime;
use lama_identity::{Cid, NoisePublic, PersonId, PersonPin};
use lama_invite::Locator;
use lama_store::StoreError;

use super::info::{ContactInfo, EntryInfo, Group, PeerInfo, PendingInfo, SharedInfo, Traffic};
use super::{DialError, GroupEvent, LinkId, SessionId};
use crate::NodeError;

/// Something happened. Every started has exactly one ended with a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// What the store knows is loaded: commands are answered from now on (earlier ones waited).
    Ready,
    /// The advertised endpoint is durable and on its way to all contacts.
    Listening {
        /// Where.
        urls: Vec<String>,
    },
    /// Both persons are authenticated. Ends with one [`Event::SessionEnded`].
    SessionStarted {
        /// Its name.
        session: SessionId,
        /// On which link.
        link: LinkId,
        /// Who.
        peer: PeerInfo,
        /// What for; a pairing goes on as CHUM on the same session.
        group: Group,
        /// Whether we dialled.
        dialled: bool,
        /// Where to, if so.
        url: Option<String>,
    },
    /// A session is over.
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Who.
        peer: PeerInfo,
        /// Why.
        reason: EndReason,
        /// What went over its link.
        traffic: Traffic,
    },
    /// A link ended before both persons were authenticated. The cause is for this side's own log: the other end
    /// saw all of them alike.
    LinkRefused {
        /// Which.
        link: LinkId,
        /// Why.
        reason: RefuseReason,
    },
    /// Nobody was reached; the node tries again with backoff.
    DialFailed {
        /// Whom.
        peer: Option<PeerInfo>,
        /// Where.
        url: String,
        /// Why.
        cause: DialError,
        /// How often in a row.
        failures: u32,
    },
    /// A pairing is under way and waits for a person or for the other end.
    PairingPending(Box<PendingInfo>),
    /// Two persons are contacts now.
    Paired(Box<ContactInfo>),
    /// A pairing failed for good.
    PairingFailed {
        /// With whom, as far as known.
        person: Option<PersonId>,
        /// Why, and what to do.
        error: NodeError,
    },
    /// A contact was removed, or denied, on this side or by the other.
    ContactRemoved {
        /// Who.
        person: PersonId,
        /// Whether the other side asked for it.
        by_peer: bool,
    },
    /// **An alarm**: a known person was shown with another signing key. Nothing was accepted.
    KeyChanged {
        /// Who.
        person: PersonId,
        /// The key's fingerprint as known.
        known: PersonPin,
        /// What was shown; `None`: it was refused before it was verified.
        shown: Option<PersonPin>,
    },
    /// **An alarm**: one instance key lives in two places: a restored or copied key file.
    InstanceCloned {
        /// Whose.
        peer: PeerInfo,
    },
    /// A contact has revoked one of its instances: its sessions are ended and it does not come back.
    InstanceRevoked {
        /// Whose.
        person: PersonId,
        /// Which key.
        noise: NoisePublic,
    },
    /// An instance of a contact has new keys, by which it is dialled from now on; the old ones do not come back.
    InstanceRotated {
        /// Which.
        peer: PeerInfo,
    },
    /// A contact has another signing key: his log says so, signed by the old key and the new one.
    PersonRotated {
        /// Who.
        person: PersonId,
        /// The fingerprint until now.
        before: PersonPin,
        /// The fingerprint from now on.
        now: PersonPin,
    },
    /// Our own log has grown, here or on another instance of our person; it is on its way to all contacts.
    OwnLogGrown {
        /// Its entries.
        seq: u64,
    },
    /// An instance of a contact has acknowledged our log up to this entry.
    LogArrived {
        /// Which.
        peer: PeerInfo,
        /// How far.
        seq: u64,
    },
    /// **An alarm**: our own person has revoked this instance on another one. It speaks to nobody any more.
    RevokedHere,
    /// **An alarm**: somebody's log was shown in another version than the known one, or shorter than before.
    LogAlarm {
        /// Whose log.
        person: PersonId,
        /// The rule that was broken.
        code: &'static str,
    },
    /// An invitation ran out unused.
    InvitationExpired {
        /// Which.
        locator: Locator,
    },
    /// Wrong secrets were tried, so an invitation does not answer for a while.
    InvitationMuted {
        /// Which.
        locator: Locator,
    },
    /// The wall clock went back: invitations do not work until it is corrected.
    ClockBehind {
        /// The highest reading seen.
        highest: WallTime,
        /// What it reads now.
        now: WallTime,
    },
    /// The wall clock is right again.
    ClockCorrected,
    /// An instance is reached at another place now.
    EndpointChanged {
        /// Whose.
        peer: PeerInfo,
        /// Where; empty: it only dials.
        url: String,
    },
    /// Somebody else's message arrived and can be read. It may become durable only now: [`Event::Received`] says when it
    /// is. A crash in between takes it away, and its sender, who was told nothing yet, sends it again.
    Message(Box<EntryInfo>),
    /// Somebody else edited or deleted a message of his: so it stands now. Durable as [`Event::Message`] is.
    MessageChanged(Box<EntryInfo>),
    /// Somebody shared something with us.
    Shared(Box<SharedInfo>),
    /// Objects arrived and are durable: roots of shares, messages and all others. Reported per batch.
    Received {
        /// From whom.
        peer: PeerInfo,
        /// How many.
        objects: u64,
        /// Those that wait for a part of theirs.
        aside: u64,
    },
    /// How far a session is, with totals. No figure goes back.
    Progress {
        /// Which.
        session: SessionId,
        /// With whom.
        person: PersonId,
        /// Both directions.
        progress: Progress,
    },
    /// Both ends hold the same set. Not an end: the session stays live.
    InSync {
        /// Which session.
        session: SessionId,
        /// With whom.
        peer: PeerInfo,
        /// How many objects.
        count: u64,
        /// Their fingerprint, the same at both ends.
        fingerprint: Fingerprint,
    },
    /// Everything was exchanged, and yet the two ends hold different sets.
    OutOfSync {
        /// With whom.
        peer: PeerInfo,
    },
    /// An object was refused by the quota or rules of one end.
    ObjectRefused {
        /// With whom.
        peer: PeerInfo,
        /// Which.
        id: Cid,
        /// Whether the other end refused it; otherwise we did.
        there: bool,
        /// Why.
        reason: lama_chum::Refusal,
    },
    /// The store could not do something that nobody waited for.
    StoreFailed {
        /// What.
        doing: &'static str,
        /// Why.
        error: StoreError,
    },
    /// Something happened on a connection of a group.
    Group(GroupEvent),
    /// All sessions are closed. The last output.
    Stopped,
}

/// What the peer did wrong, or what failed on the way to him, by its stable name and in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable name of the rule.
    pub code: &'static str,
    /// What happened.
    pub text: String,
}

impl Fault {
    pub(crate) fn new(code: &'static str, text: &impl fmt::Display) -> Self {
        Self { code, text: text.to_string() }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// We closed it: shutdown.
    ClosedHere,
    /// The peer closed it in an authenticated way.
    ClosedByPeer,
    /// The link went away without an authenticated close. What was not acknowledged counts as not received.
    Truncated,
    /// The peer did not answer in time.
    Dead,
    /// The newer or the preferred one of two sessions between the same instances took over.
    Replaced,
    /// It had its time: a new one with fresh keys follows.
    Renewed,
    /// The contact was removed or denied here.
    Removed,
    /// The contact was removed or denied by the peer.
    RemovedByPeer,
    /// The peer broke a rule of the session.
    Violation(Fault),
    /// CHUM ended.
    Chum(ChumError),
    /// The store failed.
    Store(StoreError),
    /// The peer refused in an authenticated way.
    Rejected(&'static str),
    /// Nobody approved in time; the pairing stays pending and resumes.
    NotApproved,
    /// The key at the other end, or our own, was revoked.
    Revoked,
    /// The person was blocked here.
    Blocked,
    /// The route was switched off here.
    RouteOff,
}

/// Why a link ended before both persons were authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefuseReason {
    /// Too many unauthenticated links from that source.
    TooManyFromSource,
    /// Too many unauthenticated links.
    TooMany,
    /// Too many handshakes in a short time from that source.
    RateOfSource,
    /// Too many handshakes in a short time.
    Rate,
    /// Too many failed authentications by one instance.
    RateOfInstance,
    /// It took too long.
    Deadline(&'static str),
    /// The link ended.
    LinkDown(super::LinkCause),
    /// A rule of the handshake was broken, or the peer did not have the right key or secret.
    Handshake(Fault),
    /// The token cannot be used, or not by this joiner.
    Token(lama_invite::InviteError),
    /// The instance proved its key, and nobody here knows it.
    UnknownInstance {
        /// The group it asked for, if it came that far.
        group: Option<Group>,
    },
    /// The instance belongs to the same person.
    SamePerson {
        /// The person on both sides.
        person: PersonId,
    },
    /// The person has revoked the instance.
    Revoked {
        /// Who.
        person: PersonId,
    },
    /// The person is blocked here.
    Blocked {
        /// Who.
        person: PersonId,
    },
    /// The known person was shown with another key.
    KeyChanged {
        /// Who.
        person: PersonId,
    },
    /// The peer says so, after it was proved who we are.
    Rejected(&'static str),
    /// The node is shutting down, or the contact was removed meanwhile.
    Ended,
    /// The store failed.
    Store(StoreError),
    /// The person's signing key is not on this device.
    NotSigned,
}

impl EndReason {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ClosedHere => "closed-here",
            Self::ClosedByPeer => "closed-by-peer",
            Self::Truncated => "truncated",
            Self::Dead => "dead",
            Self::Replaced => "replaced",
            Self::Renewed => "renewed",
            Self::Removed => "removed",
            Self::RemovedByPeer => "removed-by-peer",
            Self::Violation(fault) => fault.code,
            Self::Chum(error) => error.code(),
            Self::Store(_) => "store",
            Self::Rejected(code) => code,
            Self::NotApproved => "not-approved",
            Self::Revoked => "revoked",
            Self::Blocked => "blocked",
            Self::RouteOff => "route-off",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClosedHere => "closed on this side",
            Self::ClosedByPeer => "closed by the other side",
            Self::Truncated => {
                "the connection broke; it is opened again, and nothing that was acknowledged is lost"
            }
            Self::Dead => "the other side stopped answering; it is dialled again",
            Self::Replaced => "another connection between the same two instances took over",
            Self::Renewed => "its time was up; a new one with fresh keys follows",
            Self::Removed => "the contact was removed on this side",
            Self::RemovedByPeer => "the contact was removed by the other side",
            Self::Violation(fault) => return write!(f, "the session was broken: {}", fault.text),
            Self::Chum(error) => return error.fmt(f),
            Self::Store(error) => return error.fmt(f),
            Self::Rejected(code) => return write!(f, "the other side refused: {code}"),
            Self::NotApproved => {
                "nobody approved the pairing in time; it stays pending and resumes by itself"
            }
            Self::Revoked => "the key was revoked by its person",
            Self::Blocked => "the person is blocked on this side",
            Self::RouteOff => "the route was switched off on this side",
        })
    }
}

impl RefuseReason {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooManyFromSource => "too-many-from-source",
            Self::TooMany => "too-many",
            Self::RateOfSource => "rate-of-source",
            Self::Rate => "rate",
            Self::RateOfInstance => "rate-of-instance",
            Self::Deadline(_) => "deadline",
            Self::LinkDown(_) => "link-down",
            Self::Handshake(fault) => fault.code,
            Self::Token(error) => error.code(),
            Self::UnknownInstance { .. } => "unknown-instance",
            Self::SamePerson { .. } => "same-person",
            Self::Revoked { .. } => "revoked",
            Self::Blocked { .. } => "blocked",
            Self::KeyChanged { .. } => "key-changed",
            Self::Rejected(code) => code,
            Self::Ended => "ended",
            Self::Store(_) => "store",
            Self::NotSigned => "not-signed",
        }
    }
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyFromSource => "too many unauthenticated connections from one address",
            Self::TooMany => "too many unauthenticated connections",
            Self::RateOfSource => "too many handshakes in a short time from one address",
            Self::Rate => "too many handshakes in a short time",
            Self::RateOfInstance => "too many failed authentications by one instance",
            Self::Deadline(step) => return write!(f, "{step} took too long"),
            Self::LinkDown(_) => "the connection ended before anybody was authenticated",
            Self::Handshake(fault) => return f.write_str(&fault.text),
            Self::Token(error) => return error.fmt(f),
            Self::UnknownInstance { .. } => "the instance is no contact's: to connect, it has to join by an invitation",
            Self::SamePerson { person } => {
                return write!(
                    f,
                    "person {person} is on both sides; instances of one person do not connect to each other: \
                     let both connect to contacts, or use an instance of another person (`lama --data DIR init \
                     OTHER@EMAIL`)"
                );
            }
            Self::Revoked { person } => return write!(f, "{person} has revoked that instance"),
            Self::Blocked { person } => return write!(f, "{person} is blocked here"),
            Self::KeyChanged { person } => {
                return write!(
                    f,
                    "ALARM: {person} was shown with another signing key than the one known; ask the person by \
                     another way before you trust it"
                );
            }
            Self::Rejected(code) => return write!(f, "the other side refused: {code}"),
            Self::Ended => "the node is stopping, or the contact was removed meanwhile",
            Self::Store(error) => return error.fmt(f),
            Self::NotSigned => "the person's signing key is not on this device, and pairing needs it",
        })
    }
}
