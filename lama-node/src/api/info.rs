//! The rows of replies and events.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use lama_chum::{Fingerprint, Progress};
use lama_core::WallTime;
use lama_identity::{ChannelId, Cid, InstanceId, LogHead, NoisePublic, PersonId, PersonPin};
use lama_invite::{Locator, Policy};

use super::{Fault, SessionId};

/// What a session is for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Two persons are becoming contacts.
    Pairing,
    /// Contacts synchronise.
    Chum,
}

/// Somebody at the other end, proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// The person.
    pub person: PersonId,
    /// The person's e-mail address.
    pub email: String,
    /// The instance.
    pub instance: InstanceId,
    /// What its person calls it.
    pub instance_name: String,
}

/// Our own person's instances, and how far what was said of them has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnInstances {
    /// The end of our log.
    pub head: LogHead,
    /// Every key that was ever certified, in the order of the log.
    pub instances: Vec<OwnInstance>,
    /// The living instances of active contacts.
    pub reached: Vec<Reached>,
}

/// One key of one of our person's instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnInstance {
    /// The instance.
    pub instance: InstanceId,
    /// What it is called, where that is known here.
    pub name: Option<String>,
    /// The key.
    pub noise: NoisePublic,
    /// Where in the log it was certified.
    pub certified: u64,
    /// Where it was revoked.
    pub revoked: Option<u64>,
    /// Whether it is the one that answers.
    pub is_this: bool,
}

/// How far our log has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// An instance of a contact.
    pub peer: PeerInfo,
    /// The last entry that it has acknowledged; 0: none.
    pub has: u64,
    /// When it was last seen.
    pub seen: Option<WallTime>,
    /// Whether it is connected.
    pub connected: bool,
}

/// On which side of the invitation we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PairingRole {
    /// We made the invitation.
    Inviter,
    /// We joined by it.
    Joiner,
}

/// What a pending pairing waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitsFor {
    /// A person at this end has to approve or deny.
    OurApproval,
    /// A person at the other end has to approve or deny.
    TheirApproval,
    /// The other end has to be reached again.
    Peer,
}

/// A pairing under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingInfo {
    /// Who. For a join that has not reached the inviter yet only `person` is known (from the invitation, not
    /// proved) and the rest is empty.
    pub peer: Option<PeerInfo>,
    /// The person.
    pub person: PersonId,
    /// Fingerprint of the person's signing key.
    pub pin: PersonPin,
    /// Our side.
    pub role: PairingRole,
    /// What it waits for.
    pub waits_for: WaitsFor,
    /// Six digits to compare; `None` before both sides have revealed their part.
    pub check_code: Option<String>,
    /// Since when.
    pub since: WallTime,
}

/// Whether a contact is established.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContactStanding {
    /// The pairing is under way: nothing is shared.
    Pending,
    /// Established.
    Active,
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactInfo {
    /// Who.
    pub person: PersonId,
    /// The e-mail address the id was made from.
    pub email: String,
    /// Fingerprint of the signing key.
    pub pin: PersonPin,
    /// Pending or active.
    pub standing: ContactStanding,
    /// Which side of the invitation we were.
    pub role: PairingRole,
    /// Since when.
    pub since: WallTime,
    /// The six digits of the session in which we paired, if they were reached.
    pub check_code: Option<String>,
    /// The instances known, ascending by id.
    pub instances: Vec<InstanceInfo>,
}

/// An instance of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceInfo {
    /// Which.
    pub instance: InstanceId,
    /// What its person calls it.
    pub name: String,
    /// Where it is reached, as it last said; empty: it only dials.
    pub url: String,
    /// When it was last seen; `None`: not since its certificate was taken over.
    pub last_seen: Option<WallTime>,
    /// Whether a session is up.
    pub connected: bool,
}

/// Where an instance of a contact is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointInfo {
    /// Its owner.
    pub person: PersonId,
    /// The instance.
    pub instance: InstanceId,
    /// Its Noise key.
    pub noise: NoisePublic,
    /// Where; empty: it only dials.
    pub url: String,
    /// The signed object that says so; `None`: so far only the instance itself said so, in a session.
    pub object: Option<Cid>,
}

/// The state of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationState {
    /// Can be used.
    Open,
    /// Issued, but does not answer now: muted, or the clock went back.
    Blocked,
    /// Used; the contact is pending.
    Consumed {
        /// By whom.
        by: PersonId,
    },
    /// Used; the contact is active.
    Completed {
        /// By whom.
        by: PersonId,
    },
    /// Taken back, or the joiner was denied.
    Revoked,
    /// Ran out.
    Expired,
}

/// One invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationInfo {
    /// Its name.
    pub locator: Locator,
    /// What the inviter called it.
    pub label: String,
    /// Its policy.
    pub policy: Policy,
    /// Where it stands.
    pub state: InvitationState,
    /// When it was made.
    pub issued: WallTime,
    /// When it ends.
    pub exp: WallTime,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its id.
    pub channel: ChannelId,
    /// Its name.
    pub name: String,
    /// Its members, ascending.
    pub members: Vec<PersonId>,
    /// How many entries it has, without edits and deletions.
    pub entries: u64,
    /// The number of the last arrival from others, for [`super::Command::MarkRead`].
    pub arrived: u64,
    /// How many entries of others are unread.
    pub unread: u64,
}

/// What became of an entry since it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryStanding {
    /// It stands as it was written.
    Original,
    /// Its author has put another text in its place.
    Edited {
        /// When, by his clock.
        at: WallTime,
    },
    /// Its author has deleted it.
    Deleted {
        /// When, by his clock.
        at: WallTime,
    },
}

/// An entry of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryInfo {
    /// The channel.
    pub channel: ChannelId,
    /// The entry.
    pub id: Cid,
    /// Who wrote it.
    pub author: PersonId,
    /// Its author's e-mail address; empty if he is not known here.
    pub email: String,
    /// On which instance.
    pub instance: InstanceId,
    /// The wall time of its writer, from its logical clock.
    pub written: WallTime,
    /// Its text as it stands; empty once deleted. Escape it before it reaches a terminal.
    pub text: String,
    /// The object it points to.
    pub attachment: Option<Cid>,
    /// What became of it.
    pub standing: EntryStanding,
    /// Whether it came from somebody else and was not marked as read.
    pub unread: bool,
}

/// Something shared by us or with us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedInfo {
    /// The object.
    pub root: Cid,
    /// Who shared it.
    pub by: PersonId,
    /// Who may see it, as far as we know.
    pub with: Vec<PersonId>,
    /// Its `$type$`, if the object is here.
    pub type_name: Option<String>,
    /// The signed access rule.
    pub rule: Cid,
}

/// What went over one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// WebSocket messages sent.
    pub frames_out: u64,
    /// WebSocket messages received.
    pub frames_in: u64,
    /// Their bytes, without WebSocket's own.
    pub bytes_out: u64,
    /// Their bytes, without WebSocket's own.
    pub bytes_in: u64,
    /// Round trips from the open WebSocket until both persons were authenticated here; `None`: not yet.
    pub authenticated_after: Option<u32>,
    /// Round trips from the open WebSocket until the first object was here; `None`: none yet.
    pub first_object_after: Option<u32>,
}

/// Which routes are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteScope {
    /// All routes to all instances of a person.
    Person(PersonId),
    /// All routes to one instance.
    Instance(InstanceId),
    /// This one, whoever is reached by it: its text, as [`RouteInfo::route`] has it.
    Route(String),
}

/// A route to an instance of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    /// Who is reached by it.
    pub peer: PeerInfo,
    /// A URL, or that of a relay with what has to be known of it.
    pub route: String,
    /// Whether it leads through a relay.
    pub relayed: bool,
    /// What switches it off; `None`: it is dialled in its turn.
    pub off_by: Option<RouteScope>,
    /// Whether a session that we dialled goes along it now.
    pub in_use: bool,
}

/// Where we stand with one instance of a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PeerState {
    /// A session is up and both ends hold the same.
    InSync,
    /// A session is up and data moves.
    Syncing,
    /// A session is up and the pairing is under way.
    Pairing,
    /// A connection is being opened.
    Connecting,
    /// It will be dialled again.
    Waiting,
    /// It can only be reached when it dials us.
    Unreachable,
    /// Its person is blocked here.
    Blocked,
    /// All routes to it are switched off here; it may dial us.
    Off,
}

/// One line of [`Status`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who.
    pub peer: PeerInfo,
    /// How it stands.
    pub state: PeerState,
    /// The session, if one is up.
    pub session: Option<SessionId>,
    /// Whether we dialled it.
    pub dialled: bool,
    /// Whether the session goes through a relay.
    pub relayed: bool,
    /// Where it is reached; empty: nowhere.
    pub url: String,
    /// When it was last seen.
    pub last_seen: Option<WallTime>,
    /// How far synchronisation is in this session.
    pub progress: Progress,
    /// Count and fingerprint when both ends were last seen to hold the same.
    pub in_sync: Option<(u64, Fingerprint)>,
    /// What went over the session's link.
    pub traffic: Traffic,
    /// How often it was dialled in vain since it was last reached.
    pub failures: u32,
    /// Why it was not reached the last time, or why the last session ended; `None` while a session is up.
    pub problem: Option<Fault>,
    /// In how long it is dialled again.
    pub again: Option<Duration>,
    /// The last round trip to the program at the other end, if one was measured in this session.
    pub round_trip: Option<Duration>,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Who we are.
    pub me: PeerInfo,
    /// Fingerprint of our person's signing key.
    pub pin: PersonPin,
    /// Where we listen.
    pub listening: Vec<String>,
    /// Known instances, ascending by id.
    pub peers: Vec<PeerStatus>,
    /// Whether this machine seems to have no network: nobody is connected, and the last word on everybody who was dialled is
    /// that there is no way to the host, or no address for the name.
    pub offline: bool,
    /// Links that have not proved anything yet.
    pub unauthenticated: usize,
    /// Sizes and counts of the store.
    pub store: lama_store::Stats,
}
