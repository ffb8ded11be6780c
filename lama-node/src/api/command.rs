//! What applications ask for, and what they get.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use lama_core::{Seed, WallTime};
use lama_identity::{ChannelId, Cid, InstanceId, NoisePublic, PersonId};
use lama_invite::{DialRules, Locator, Policy};
use lama_store::{Checked, PageFrom};
use zeroize::Zeroizing;

use super::HealthItem;
use super::group::{ConnectionId, DebugCommand, GroupCommand, Seen};
use super::info::{
    ChannelInfo, ContactInfo, EndpointInfo, EntryInfo, InvitationInfo, PendingInfo, RouteInfo, RouteScope,
    SharedInfo, Status,
};

/// Which channel is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelRef {
    /// By its id.
    Id(ChannelId),
    /// The channel of us two with this name; `None`: the one every pair of contacts has, called `chat`.
    With {
        /// The other member.
        person: PersonId,
        /// Its name.
        name: Option<String>,
    },
}

/// What an application asks of its node.
pub enum Command {
    /// Makes an invitation: [`Reply::Invitation`], when it is durable. The node must be listening.
    Invite {
        /// Whether joining is enough, or a person has to approve.
        policy: Policy,
        /// How long it can be used; `None`: 15 minutes.
        lifetime: Option<Duration>,
        /// A name for the own list; shown to nobody else.
        label: String,
        /// The token.
        seed: Seed,
    },
    /// Lists invitations: [`Reply::Invitations`].
    Invitations,
    /// Takes an invitation back: [`Reply::Done`], when that is durable.
    RevokeInvitation {
        /// Which one.
        locator: Locator,
    },
    /// Joins by an invitation: [`Reply::Contact`] when the contact is active on this side. Under `confirm` that
    /// takes until the inviter approves: follow [`super::Event::PairingPending`]. An attempt that was cut off is
    /// repeated until it is decided, also after a restart; an error means that it is decided.
    Join {
        /// The link as the inviter's program printed it.
        link: Zeroizing<String>,
        /// What may be dialled.
        rules: DialRules,
    },
    /// Lists pairings under way: [`Reply::Pending`].
    Pending,
    /// Approves a pending contact of an invitation with policy `confirm`: [`Reply::Contact`].
    Approve {
        /// Who.
        person: PersonId,
    },
    /// Denies a pending contact, on either side: [`Reply::Done`] when contact and trust are gone here and the
    /// token is burnt. The other side removes the contact as soon as it is reached.
    Deny {
        /// Who.
        person: PersonId,
    },
    /// Lists contacts, pending ones too: [`Reply::Contacts`].
    Contacts,
    /// Removes a contact here: [`Reply::Done`]. His sessions end.
    RemoveContact {
        /// Who.
        person: PersonId,
    },
    /// Where the instances of a contact are reached: [`Reply::Endpoints`]. [`crate::NodeError::NotAContact`] for
    /// anyone else: endpoints of strangers are not discoverable.
    Endpoints {
        /// Whose.
        person: PersonId,
    },
    /// Writes a message: [`Reply::Sent`] when it is durable here.
    Send {
        /// To whom.
        to: PersonId,
        /// In the channel of this name; `None`: `chat`.
        channel: Option<String>,
        /// At most 64 KiB.
        text: String,
    },
    /// Lists channels: [`Reply::Channels`].
    Channels,
    /// Reads a channel: [`Reply::Log`].
    Log {
        /// Which one.
        channel: ChannelRef,
        /// Which stretch of it.
        from: PageFrom,
        /// At most so many entries.
        limit: usize,
    },
    /// Puts another text in the place of an own message: [`Reply::Sent`] when that is durable here. Other members see it
    /// when it reaches them; whoever has read the old text has read it.
    Edit {
        /// The message.
        entry: Cid,
        /// At most 64 KiB.
        text: String,
    },
    /// Deletes an own message: [`Reply::Sent`] when that is durable here. It is not shown any more, here and wherever
    /// this arrives; whoever has read it has read it.
    Delete {
        /// The message.
        entry: Cid,
    },
    /// What arrived in a channel is read: [`Reply::Done`].
    MarkRead {
        /// Which one.
        channel: ChannelRef,
        /// Up to this arrival ([`ChannelInfo::arrived`]).
        upto: u64,
    },
    /// Stores objects made here, children before parents: [`Reply::Done`] when they are durable.
    Put {
        /// Each with the id of exactly its bytes.
        objects: Vec<(Cid, Bytes)>,
    },
    /// Lets contacts see an object and all it is made of, from now on: [`Reply::Shared`].
    Share {
        /// The object; it must be here.
        root: Cid,
        /// Active contacts.
        with: Vec<PersonId>,
        /// Text of an entry in the `chat` channel with each of them that points to the object; `None`: no entry.
        note: Option<String>,
    },
    /// Takes back what [`Command::Share`] granted: [`Reply::Unshared`]. What a contact has already stays with him.
    Unshare {
        /// The object.
        root: Cid,
        /// Active contacts.
        with: Vec<PersonId>,
    },
    /// What was shared by and with us, newest last: [`Reply::SharedList`].
    Shared {
        /// Only with and by this person.
        with: Option<PersonId>,
    },
    /// An object's bytes: [`Reply::Object`].
    Object {
        /// Which.
        id: Cid,
    },
    /// Dials the instances of a contact now, whatever the backoff: [`Reply::Done`] once the dials are under way.
    Connect {
        /// Whose.
        person: PersonId,
    },
    /// Asks the program at the other end of a live session for a sign of life: [`Reply::Pong`] when its answer is here. No
    /// relay and no proxy can answer for it. [`crate::NodeError::NotConnected`] if there is no session, or it ends before.
    Ping {
        /// Which instance.
        instance: InstanceId,
    },
    /// Why an object does not reach a person, or how far it has come: [`Reply::Explanation`].
    Explain {
        /// The object.
        object: Cid,
        /// The person.
        person: PersonId,
    },
    /// What is kept of a contact, and how much may be: [`Reply::Quota`].
    Quota {
        /// Whose.
        person: PersonId,
        /// New limits; `None`: they stay as they are.
        set: Option<lama_store::Quota>,
    },
    /// Deletes objects that were put here: [`Reply::Done`] when that is durable. Whoever may have them is told.
    DeleteObjects {
        /// Which.
        ids: Vec<Cid>,
    },
    /// Our person's instances, and how far the log that says so has come: [`Reply::Instances`].
    Instances,
    /// What a new instance of our person has to know before it can ask to be certified: [`Reply::File`].
    OfferInstance,
    /// Certifies an instance that asks for it by a file made from our offer: [`Reply::File`], to be brought back. Needs
    /// the person's key.
    CertifyInstance {
        /// The request.
        request: Bytes,
        /// Whether another living key of an instance of that name may be replaced.
        replace: bool,
    },
    /// Certifies new keys of this very instance, by a request made from our offer: [`Reply::File`], with which the host starts
    /// it anew; it then revokes the keys that were replaced. Needs the person's key. Refused while a pairing is under way;
    /// open invitations are taken back, since they name the key that goes.
    RotateInstance {
        /// The request.
        request: Bytes,
    },
    /// Gives our person another signing key, by two entries of the log that the host has made and signed
    /// ([`lama_identity::rotate_person`]): [`Reply::File`], the enrolment with the whole log, with which the host starts
    /// this instance anew. Refused and with the effects as [`Command::RotateInstance`].
    RotatePerson {
        /// The rotation, and the certificate of this instance under the new key.
        entries: Vec<Bytes>,
    },
    /// Revokes a key of another instance of our person, for good: [`Reply::Done`] when that is durable; it then spreads.
    /// Needs the person's key.
    RevokeInstance {
        /// Which key.
        noise: NoisePublic,
        /// Why, for people.
        reason: String,
    },
    /// Nothing is to be had from a person, and nothing goes there, until [`Command::Unblock`]: live sessions end at once,
    /// [`Reply::Done`] when it is durable. He is told nothing. It need not be a contact.
    Block {
        /// Whom.
        person: PersonId,
    },
    /// Takes that back: [`Reply::Done`].
    Unblock {
        /// Whom.
        person: PersonId,
    },
    /// Who is blocked: [`Reply::Blocked`].
    Blocked,
    /// All routes to instances of contacts: [`Reply::Routes`].
    Routes,
    /// Switches routes on or off, for good: [`Reply::Done`]. What is off is not dialled, and a session along it ends.
    SetRoute {
        /// Which.
        scope: RouteScope,
        /// Whether they are dialled from now on.
        on: bool,
    },
    /// The network has changed, or this machine was asleep: live sessions are asked for a sign of life, and everybody else is
    /// dialled at once, whatever the backoff: [`Reply::Done`].
    Wake,
    /// Whether an instance answers at a route: [`Reply::Probed`] once it has proved its key there, or
    /// [`crate::NodeError::NoAnswer`] with what is in the way. Nothing of this side is shown, and no session is begun.
    Probe {
        /// Which instance of a contact; `None`: this one itself.
        instance: Option<InstanceId>,
        /// Where: the text of a route.
        route: String,
    },
    /// Groups that this application serves, and connections of them.
    Group(GroupCommand),
    /// How the other side of a session sees it, and who may ask that here.
    Debug(DebugCommand),
    /// What is wrong, and what to do: [`Reply::Health`]. The host knows more: files, ports, relays.
    Health,
    /// How things stand: [`Reply::Status`].
    Status,
    /// Walks the whole store, which does nothing else meanwhile: [`Reply::StoreChecked`], or
    /// [`lama_store::StoreError::Corrupt`] with the first contradiction.
    CheckStore,
    /// What the host keeps in the store beside the node, sealed as all settings: [`Reply::Setting`], as it stands after it was
    /// written, if something is given, and durable then. Its key begins with `relay` or `host/`; others are the node's:
    /// [`crate::NodeError::NotTheHosts`].
    HostSetting {
        /// Its name.
        key: String,
        /// What to write; `None`: it is only read.
        set: Option<Bytes>,
    },
    /// Ends all sessions in an authenticated way: [`Reply::Done`], then [`super::Event::Stopped`], the last
    /// output. Later commands are answered with [`crate::NodeError::Stopped`].
    Shutdown,
}

impl Command {
    /// The command's name, for logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Invite { .. } => "invite",
            Self::Invitations => "invitations",
            Self::RevokeInvitation { .. } => "revoke-invitation",
            Self::Join { .. } => "join",
            Self::Pending => "pending",
            Self::Approve { .. } => "approve",
            Self::Deny { .. } => "deny",
            Self::Contacts => "contacts",
            Self::RemoveContact { .. } => "remove-contact",
            Self::Endpoints { .. } => "endpoints",
            Self::Send { .. } => "send",
            Self::Channels => "channels",
            Self::Log { .. } => "log",
            Self::Edit { .. } => "edit",
            Self::Delete { .. } => "delete",
            Self::MarkRead { .. } => "mark-read",
            Self::Put { .. } => "put",
            Self::Share { .. } => "share",
            Self::Unshare { .. } => "unshare",
            Self::Shared { .. } => "shared",
            Self::Object { .. } => "object",
            Self::Connect { .. } => "connect",
            Self::Ping { .. } => "ping",
            Self::Explain { .. } => "explain",
            Self::Quota { .. } => "quota",
            Self::DeleteObjects { .. } => "delete-objects",
            Self::Instances => "instances",
            Self::OfferInstance => "offer-instance",
            Self::CertifyInstance { .. } => "certify-instance",
            Self::RotateInstance { .. } => "rotate-instance",
            Self::RotatePerson { .. } => "rotate-person",
            Self::RevokeInstance { .. } => "revoke-instance",
            Self::Block { .. } => "block",
            Self::Unblock { .. } => "unblock",
            Self::Blocked => "blocked",
            Self::Routes => "routes",
            Self::SetRoute { .. } => "set-route",
            Self::Wake => "wake",
            Self::Probe { .. } => "probe",
            Self::Group(command) => command.name(),
            Self::Debug(command) => command.name(),
            Self::Health => "health",
            Self::Status => "status",
            Self::CheckStore => "check-store",
            Self::HostSetting { .. } => "host-setting",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Debug for Command {
    /// The name alone: links are secret and texts private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a command ended well.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// It is done; there is nothing to tell.
    Done,
    /// The invitation. Whoever holds the link may pair, once.
    Invitation {
        /// Its name in [`Reply::Invitations`].
        locator: Locator,
        /// The invitation itself: [`lama_invite::Invitation::to_link`] makes the link, the `qr` module the code.
        invitation: Box<lama_invite::Invitation>,
        /// When it ends.
        exp: WallTime,
    },
    /// All invitations that are remembered.
    Invitations(Vec<InvitationInfo>),
    /// The contact that was made or approved.
    Contact(Box<ContactInfo>),
    /// Pairings under way.
    Pending(Vec<PendingInfo>),
    /// All contacts, ascending by id.
    Contacts(Vec<ContactInfo>),
    /// Where a contact is reached.
    Endpoints(Vec<EndpointInfo>),
    /// The message's entry.
    Sent {
        /// In which channel.
        channel: ChannelId,
        /// The entry.
        id: Cid,
    },
    /// All channels.
    Channels(Vec<ChannelInfo>),
    /// Entries in causal order.
    Log(Vec<EntryInfo>),
    /// What became of a share.
    Shared {
        /// Objects that may not be shared or are not here, with the reason; empty: all of it is shared.
        withheld: Vec<lama_store::Withheld>,
    },
    /// What became of a share that was taken back.
    Unshared {
        /// Objects that have left before the contact got them, over all contacts.
        taken_back: u64,
        /// Objects that a contact has, or that were on their way: he is told that they are gone, and may keep them.
        stays: u64,
    },
    /// What was shared.
    SharedList(Vec<SharedInfo>),
    /// An object's bytes; `None`: not here.
    Object(Option<Bytes>),
    /// An instance has answered.
    Pong {
        /// From when the question was put to when the answer was here, sealing and waiting for room in the link included.
        round_trip: Duration,
        /// Whether it went through a relay.
        relayed: bool,
        /// Along which route, if we dialled; `None`: the other side did.
        url: Option<String>,
    },
    /// The instance has proved itself at the route.
    Probed {
        /// From the dial to the open WebSocket, through the relay if there is one.
        open_after: Duration,
        /// From there to its proof.
        round_trip: Duration,
    },
    /// Where an object stands with a person.
    Explanation(Box<lama_store::Explanation>),
    /// What is kept of a contact.
    Quota(lama_store::QuotaRow),
    /// Our person's instances.
    Instances(Box<super::info::OwnInstances>),
    /// A file for another instance of our person. Not secret.
    File(Bytes),
    /// Who is blocked, ascending; with the e-mail address of contacts.
    Blocked(Vec<(PersonId, Option<String>)>),
    /// Routes, by contact.
    Routes(Vec<RouteInfo>),
    /// A connection is open.
    Connection(ConnectionId),
    /// How the other side sees the session.
    Seen(Box<Seen>),
    /// Who may ask how this side sees a session, ascending; with the e-mail address of contacts.
    DebugAllowed(Vec<(PersonId, Option<String>)>),
    /// What the host keeps under a key; `None`: nothing.
    Setting(Option<Bytes>),
    /// What was looked at, the worst first.
    Health(Vec<HealthItem>),
    /// How things stand.
    Status(Box<Status>),
    /// The store is sound; this is what was looked at.
    StoreChecked(Checked),
}

impl fmt::Debug for Reply {
    /// Secrets and contents are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("Done"),
            Self::Invitation { locator, .. } => write!(f, "Invitation({locator:?}, ..)"),
            Self::Invitations(list) => f.debug_tuple("Invitations").field(list).finish(),
            Self::Contact(contact) => f.debug_tuple("Contact").field(contact).finish(),
            Self::Pending(list) => f.debug_tuple("Pending").field(list).finish(),
            Self::Contacts(list) => f.debug_tuple("Contacts").field(list).finish(),
            Self::Endpoints(list) => f.debug_tuple("Endpoints").field(list).finish(),
            Self::Sent { id, .. } => write!(f, "Sent({id})"),
            Self::Channels(list) => f.debug_tuple("Channels").field(list).finish(),
            Self::Log(list) => f.debug_tuple("Log").field(list).finish(),
            Self::Shared { withheld } => f.debug_tuple("Shared").field(withheld).finish(),
            Self::Unshared { taken_back, stays } => write!(f, "Unshared({taken_back}, {stays})"),
            Self::SharedList(list) => f.debug_tuple("SharedList").field(list).finish(),
            Self::Object(None) => f.write_str("Object(None)"),
            Self::Object(Some(bytes)) => write!(f, "Object({} bytes)", bytes.len()),
            Self::Pong { round_trip, .. } => write!(f, "Pong({round_trip:?})"),
            Self::Probed { round_trip, .. } => write!(f, "Probed({round_trip:?})"),
            Self::Explanation(told) => f.debug_tuple("Explanation").field(told).finish(),
            Self::Quota(row) => f.debug_tuple("Quota").field(row).finish(),
            Self::Instances(list) => f.debug_tuple("Instances").field(list).finish(),
            Self::File(bytes) => write!(f, "File({} bytes)", bytes.len()),
            Self::Blocked(list) => f.debug_tuple("Blocked").field(list).finish(),
            Self::Routes(list) => write!(f, "Routes({} of them)", list.len()),
            Self::Connection(connection) => write!(f, "Connection({})", connection.0),
            Self::Seen(seen) => f.debug_tuple("Seen").field(seen).finish(),
            Self::DebugAllowed(list) => f.debug_tuple("DebugAllowed").field(list).finish(),
            Self::Setting(value) => write!(f, "Setting({} bytes)", value.as_ref().map_or(0, Bytes::len)),
            Self::Health(items) => f.debug_tuple("Health").field(items).finish(),
            Self::Status(status) => f.debug_tuple("Status").field(status).finish(),
            Self::StoreChecked(checked) => f.debug_tuple("StoreChecked").field(checked).finish(),
        }
    }
}
