//! Why a command did not work, in words for the person who has to do something about it.

use alloc::string::String;
use core::fmt;

use lama_handshake::groups::RefuseCode;
use lama_identity::{Cid, IdentityError, PersonId, PersonPin};
use lama_invite::InviteError;
use lama_store::StoreError;

use crate::api::{DialError, Fault};

/// Which part went wrong, for hosts that treat the parts differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// What another person's program made or did breaks a rule, or it refused.
    Peer,
    /// The caller, or the user in front of it, asked for something that cannot be.
    Misuse,
    /// A limit of [`Config`](crate::Config) is reached.
    Limit,
    /// Too late, or nobody there.
    Timeout,
    /// This machine's own clock, keys or store are in the way.
    Local,
}

/// Everything that a command can end with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeError {
    /// The invitation or the token.
    Invite(InviteError),
    /// An object or a key.
    Identity(IdentityError),
    /// The store.
    Store(StoreError),
    /// The same person stands on both sides.
    SamePerson {
        /// The person.
        person: PersonId,
        /// Our instance, as our person calls it.
        ours: String,
        /// The other instance: its name, or the start of its key where the name is not known.
        theirs: String,
    },
    /// Nobody was reached at any of the invitation's routes, and nothing was begun.
    NotReached {
        /// The last one tried.
        url: String,
        /// Why.
        cause: DialError,
    },
    /// The inviter's instance ended the handshake without a word, as it does for everything that is not proved.
    InvitationRefused,
    /// The inviter's instance could not be reached to the end, and nothing was begun.
    Interrupted,
    /// A person on the other side denied, or removed the contact.
    Denied {
        /// Who.
        person: PersonId,
    },
    /// The contact was denied on this side.
    DeniedHere {
        /// Who.
        person: PersonId,
    },
    /// The other side refused after it knew who we are.
    Rejected {
        /// The code it gave.
        code: &'static str,
    },
    /// The other side broke a rule of the protocol.
    Violation {
        /// The stable name of the rule.
        code: &'static str,
        /// In words.
        text: String,
    },
    /// A known person was shown with another signing key.
    KeyChanged {
        /// Who.
        person: PersonId,
        /// The fingerprint known.
        known: PersonPin,
        /// The one shown.
        shown: PersonPin,
    },
    /// A join by this invitation is under way.
    JoinUnderWay,
    /// No contact of ours.
    NotAContact {
        /// Who.
        person: PersonId,
    },
    /// A contact, but the pairing is still under way.
    ContactPending {
        /// Who.
        person: PersonId,
    },
    /// Nobody of that name is pending.
    NotPending {
        /// Who.
        person: PersonId,
    },
    /// The pairing waits for the other side, not for us.
    NothingToApprove {
        /// Who.
        person: PersonId,
    },
    /// No instance of the contact says where it is reached.
    NoRoute {
        /// Who.
        person: PersonId,
    },
    /// No session with the instance, or it ended before the answer came.
    NotConnected {
        /// Whose.
        person: PersonId,
    },
    /// No instance has proved itself at a route.
    NoAnswer {
        /// Where.
        route: String,
        /// What was in the way.
        why: Fault,
    },
    /// The node does not listen, so nobody could join.
    NotListening,
    /// No channel of that id.
    NoSuchChannel,
    /// No entry of a channel, or itself an edit or deletion.
    NoSuchMessage {
        /// Which.
        id: Cid,
    },
    /// Somebody else wrote it: only he edits and deletes it.
    NotYourMessage {
        /// Which.
        id: Cid,
    },
    /// It is deleted already, and that is final.
    MessageDeleted {
        /// Which.
        id: Cid,
    },
    /// An object that is not here.
    ObjectNotHere {
        /// Which.
        id: Cid,
    },
    /// An id that does not belong to the bytes given with it.
    ObjectMismatch {
        /// The id.
        id: Cid,
    },
    /// A text that is too long.
    TextTooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest possible.
        max: usize,
    },
    /// Nothing to share with: the list is empty.
    NobodyNamed,
    /// We did not share this object with anybody.
    NotShared {
        /// The object.
        id: Cid,
    },
    /// The key that has to sign is not on this device.
    KeyAbsent,
    /// Our person's log certifies no such key.
    NoSuchInstance,
    /// The instance that is asked is the one that is meant.
    OwnInstance,
    /// New keys were asked for while a pairing hangs on the old ones.
    PairingUnderWay,
    /// This instance has new keys, and runs with the old ones.
    KeysReplaced,
    /// A living instance of our person has that name already.
    InstanceNameTaken {
        /// The name.
        name: String,
    },
    /// A setting that is the node's own.
    NotTheHosts {
        /// Its key.
        key: String,
    },
    /// No name of a group that an application may serve.
    GroupName {
        /// What was given.
        group: String,
    },
    /// The program of the other side is of a version without groups.
    NoGroupsThere {
        /// Whose.
        person: PersonId,
    },
    /// The other side does not let a connection in.
    GroupRefused {
        /// Of which group.
        group: String,
        /// Who.
        person: PersonId,
        /// That person's e-mail address.
        email: String,
        /// Why.
        code: RefuseCode,
    },
    /// The other side does not answer on a connection.
    GroupSilent {
        /// Who.
        person: PersonId,
    },
    /// No connection of that name is open.
    NoSuchConnection,
    /// The connection ended before the message had left.
    ConnectionEnded,
    /// As many messages wait as may wait.
    ConnectionFull,
    /// As many connections are open as may be.
    TooManyConnections {
        /// The limit.
        max: usize,
    },
    /// A message of a connection that is too long.
    MessageTooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest possible.
        max: usize,
    },
    /// Too many commands wait.
    Busy {
        /// The limit.
        max: usize,
    },
    /// The node was shut down.
    Stopped,
    /// The Noise secret does not belong to the identity.
    WrongIdentity,
}

impl NodeError {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invite(error) => error.code(),
            Self::Identity(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::SamePerson { .. } => "node.same-person",
            Self::NotReached { .. } => "node.not-reached",
            Self::InvitationRefused => "node.invitation-refused",
            Self::Interrupted => "node.interrupted",
            Self::Denied { .. } => "node.denied",
            Self::DeniedHere { .. } => "node.denied-here",
            Self::Rejected { .. } => "node.rejected",
            Self::Violation { code, .. } => code,
            Self::KeyChanged { .. } => "node.key-changed",
            Self::JoinUnderWay => "node.join-under-way",
            Self::NotAContact { .. } => "node.not-a-contact",
            Self::ContactPending { .. } => "node.contact-pending",
            Self::NotPending { .. } => "node.not-pending",
            Self::NothingToApprove { .. } => "node.nothing-to-approve",
            Self::NoRoute { .. } => "node.no-route",
            Self::NotConnected { .. } => "node.not-connected",
            Self::NoAnswer { .. } => "node.no-answer",
            Self::NotListening => "node.not-listening",
            Self::NoSuchChannel => "node.no-such-channel",
            Self::NoSuchMessage { .. } => "node.no-such-message",
            Self::NotYourMessage { .. } => "node.not-your-message",
            Self::MessageDeleted { .. } => "node.message-deleted",
            Self::ObjectNotHere { .. } => "node.object-not-here",
            Self::ObjectMismatch { .. } => "node.object-mismatch",
            Self::TextTooLong { .. } => "node.text-too-long",
            Self::NobodyNamed => "node.nobody-named",
            Self::NotShared { .. } => "node.not-shared",
            Self::KeyAbsent => "node.key-absent",
            Self::NoSuchInstance => "node.no-such-instance",
            Self::OwnInstance => "node.own-instance",
            Self::PairingUnderWay => "node.pairing-under-way",
            Self::KeysReplaced => "node.keys-replaced",
            Self::InstanceNameTaken { .. } => "node.instance-name-taken",
            Self::NotTheHosts { .. } => "node.not-the-hosts",
            Self::GroupName { .. } => "node.group-name",
            Self::NoGroupsThere { .. } => "node.no-groups-there",
            Self::GroupRefused { code, .. } => match code {
                RefuseCode::NotServed => "node.group-not-served",
                RefuseCode::NotAllowed => "node.group-not-allowed",
                RefuseCode::Busy => "node.group-busy",
                RefuseCode::Other(_) => "node.group-refused",
            },
            Self::GroupSilent { .. } => "node.group-silent",
            Self::NoSuchConnection => "node.no-such-connection",
            Self::ConnectionEnded => "node.connection-ended",
            Self::ConnectionFull => "node.connection-full",
            Self::TooManyConnections { .. } => "node.too-many-connections",
            Self::MessageTooLong { .. } => "node.message-too-long",
            Self::Busy { .. } => "node.busy",
            Self::Stopped => "node.stopped",
            Self::WrongIdentity => "node.wrong-identity",
        }
    }

    /// Which part went wrong.
    #[must_use]
    pub const fn bucket(&self) -> Bucket {
        match self {
            Self::Invite(error) => match error.bucket() {
                lama_invite::Bucket::Peer => Bucket::Peer,
                lama_invite::Bucket::Misuse => Bucket::Misuse,
                lama_invite::Bucket::Limit => Bucket::Limit,
                lama_invite::Bucket::Timeout => Bucket::Timeout,
                lama_invite::Bucket::Local => Bucket::Local,
            },
            Self::InvitationRefused
            | Self::Denied { .. }
            | Self::Rejected { .. }
            | Self::Violation { .. }
            | Self::NoGroupsThere { .. }
            | Self::GroupRefused { .. }
            | Self::KeyChanged { .. } => Bucket::Peer,
            Self::NotReached { .. }
            | Self::NoAnswer { .. }
            | Self::NotConnected { .. }
            | Self::GroupSilent { .. }
            | Self::ConnectionEnded
            | Self::Interrupted => Bucket::Timeout,
            Self::TextTooLong { .. }
            | Self::MessageTooLong { .. }
            | Self::ConnectionFull
            | Self::TooManyConnections { .. }
            | Self::Busy { .. } => Bucket::Limit,
            Self::Store(_) | Self::Identity(_) | Self::KeyAbsent | Self::Stopped | Self::WrongIdentity => {
                Bucket::Local
            }
            _ => Bucket::Misuse,
        }
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invite(error) => error.fmt(f),
            Self::Identity(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::SamePerson { person, ours, theirs } => write!(
                f,
                "both sides belong to person {person}: this instance ({ours}) and the other one ({theirs}); \
                 instances of one person do not pair with each other: use an instance of another person \
                 (`lama --data DIR init OTHER@EMAIL`)"
            ),
            Self::NotReached { url, cause } => write!(
                f,
                "the inviter was not reached at {url}: {cause}; see that its program runs (`lama run`) and that \
                 the address is right, then join again: the invitation is still unused"
            ),
            Self::InvitationRefused => f.write_str(
                "the other side refused without a reason, as it does before anything is proved: the invitation is \
                 wrong, spent, expired or revoked, or this is the wrong server; ask for a new invitation",
            ),
            Self::Interrupted => f.write_str(
                "the connection broke before the pairing had begun; join again: the invitation is still unused",
            ),
            Self::Denied { person } => write!(
                f,
                "{person} denied the pairing or removed the contact; ask the person, and for a new invitation"
            ),
            Self::DeniedHere { person } => {
                write!(f, "the pairing with {person} was denied on this side; nothing was kept")
            }
            Self::Rejected { code } => write!(
                f,
                "the other side refused ({code}) after it knew who this is; ask its person why, and for a new \
                 invitation"
            ),
            Self::GroupName { .. }
            | Self::NoGroupsThere { .. }
            | Self::GroupRefused { .. }
            | Self::GroupSilent { .. }
            | Self::NoSuchConnection
            | Self::ConnectionEnded
            | Self::ConnectionFull
            | Self::TooManyConnections { .. }
            | Self::MessageTooLong { .. } => self.fmt_group(f),
            _ => self.fmt_rest(f),
        }
    }
}

impl NodeError {
    /// The second half of `Display`.
    fn fmt_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation { code, text } => write!(
                f,
                "the other side broke a rule of the protocol ({code}): {text}; its program is faulty, hostile or too new"
            ),
            Self::KeyChanged { person, known, shown } => write!(
                f,
                "ALARM: {person} is known with the key {known} and was shown with {shown}; nothing was accepted: \
                 ask the person by another way, and remove the contact only if the key really changed"
            ),
            Self::JoinUnderWay => f.write_str("joining by this invitation is under way; `lama pending` shows it"),
            Self::NotAContact { person } => write!(
                f,
                "{person} is no contact, so nothing of theirs can be found and nothing sent to them; pair first: \
                 `lama invite` on one side, `lama join` on the other"
            ),
            Self::ContactPending { person } => write!(
                f,
                "the pairing with {person} is not complete; `lama pending` shows what it waits for"
            ),
            Self::NotPending { person } => {
                write!(f, "no pairing with {person} is pending; `lama pending` shows those that are")
            }
            Self::NothingToApprove { person } => write!(
                f,
                "the pairing with {person} waits for the other side, not for an approval here"
            ),
            Self::NoRoute { person } => write!(
                f,
                "no instance of {person} says where it listens; it has to connect to this one"
            ),
            Self::NotConnected { person } => write!(
                f,
                "there is no session with this instance of {person}, or it ended before the answer came; `lama status` \
                 shows where it stands, `lama doctor` why"
            ),
            Self::NoAnswer { route, why } => {
                let route = route.split('#').next().unwrap_or_default();
                write!(f, "the instance did not answer at {route}: {} ({})", why.text, why.code)
            }
            Self::NotListening => f.write_str(
                "this instance does not listen, so nobody could join; start it with `lama run` and a free port",
            ),
            Self::NoSuchChannel => f.write_str("there is no such channel; `lama channels` shows those there are"),
            Self::NoSuchMessage { id } => {
                write!(f, "{id} is no message of a channel here; `lama log` shows what the messages are called")
            }
            Self::NotYourMessage { id } => {
                write!(f, "somebody else wrote {id}; only the author of a message edits and deletes it")
            }
            Self::MessageDeleted { id } => {
                write!(f, "{id} is deleted, and that is final; send a new message instead")
            }
            Self::ObjectNotHere { id } => {
                write!(f, "the object {id} is not here; store it first, its parts before it")
            }
            Self::ObjectMismatch { id } => {
                write!(f, "the bytes given for {id} are not that object, or not canonical; compute the id anew")
            }
            Self::TextTooLong { len, max } => {
                write!(f, "the text has {len} bytes and may have {max}; share it as a file instead")
            }
            Self::NotShared { id } => {
                write!(f, "{id} is not shared by you with anybody; `lama shared` shows what is")
            }
            Self::NobodyNamed => f.write_str("nobody was named to share with; name at least one contact"),
            Self::KeyAbsent => f.write_str(
                "the key that has to sign this is not on this device; do it on the device that has it",
            ),
            Self::NoSuchInstance => f.write_str(
                "no instance of this person has that key or name; `lama instance list` shows those there are",
            ),
            Self::OwnInstance => f.write_str(
                "this is the instance that you are asking; revoke it from another one of the same person, or replace \
                 its keys with `lama instance rotate`",
            ),
            Self::PairingUnderWay => f.write_str(
                "a pairing is under way, and the other side goes on with the keys it has begun with; `lama pending` shows \
                 it: wait for its end, or end it with `lama deny`",
            ),
            Self::KeysReplaced => f.write_str(
                "this instance has new keys and still runs with the old ones; stop it and start it again",
            ),
            Self::InstanceNameTaken { name } => write!(
                f,
                "an instance of this person is called {name:?} already; give the new one another name, or revoke the \
                 old one first"
            ),
            Self::Busy { max } => write!(f, "{max} commands are waiting already; wait for their answers"),
            Self::NotTheHosts { key } => {
                write!(f, "the setting {key} is not the host's; one of its own begins with host/")
            }
            Self::Stopped => f.write_str("the node was stopped; start it again with `lama run`"),
            Self::WrongIdentity => {
                f.write_str("the instance key does not belong to this identity; restore the key file")
            }
            _ => Ok(()),
        }
    }
}

impl NodeError {
    /// `Display` of what concerns connections.
    fn fmt_group(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GroupName { group } => write!(
                f,
                "{group:?} is no group that an application serves: 1 to 32 lower-case letters, digits, - and ., a letter \
                 first, and not chum, pairing or debug"
            ),
            Self::NoGroupsThere { person } => write!(
                f,
                "the program of {person} is of a version that knows no connection groups; it has to be brought up to date"
            ),
            Self::GroupRefused { group, email, code: RefuseCode::NotAllowed, .. } if group == "debug" => write!(
                f,
                "{email} does not let you ask; that person has to allow it with `lama debug allow` and your e-mail address, and \
                 can take it back with `lama debug deny`"
            ),
            Self::GroupRefused { group, email, code, .. } => match code {
                RefuseCode::NotServed => write!(
                    f,
                    "nothing serves the group {group} at {email}; the application for it has to run there"
                ),
                RefuseCode::NotAllowed => write!(f, "{email} serves the group {group}, and not for you; ask that person"),
                RefuseCode::Busy => write!(
                    f,
                    "as many connections to {email} are open as that side allows; close some, or try again later"
                ),
                RefuseCode::Other(code) => write!(
                    f,
                    "{email} refused a connection of the group {group} (code {code}, of a newer version); try again later"
                ),
            },
            Self::GroupSilent { person } => write!(
                f,
                "{person} did not answer on the connection in time, though the session is up; try again, and tell that person \
                 if it stays so"
            ),
            Self::NoSuchConnection => f.write_str("this connection is not open (any more); open a new one"),
            Self::ConnectionEnded => f.write_str(
                "the connection ended before the message had left; open a new one and send it again",
            ),
            Self::ConnectionFull => f.write_str(
                "as many messages wait on this connection as may; send this one again when an earlier one has left",
            ),
            Self::TooManyConnections { max } => {
                write!(f, "{max} connections are open on this session already; close some first")
            }
            Self::MessageTooLong { len, max } => {
                write!(f, "the message has {len} bytes and may have {max}; cut it into several")
            }
            _ => Ok(()),
        }
    }
}

impl core::error::Error for NodeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Invite(error) => Some(error),
            Self::Identity(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<InviteError> for NodeError {
    fn from(error: InviteError) -> Self {
        Self::Invite(error)
    }
}

impl From<IdentityError> for NodeError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

impl From<StoreError> for NodeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
