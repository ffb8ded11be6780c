//! The rows of replies and events. Times are milliseconds since the Unix epoch; ids are whole and can be given back.

use data_encoding::HEXLOWER;
use lama_chum::Refusal;
use lama_node as node;
use lama_store::Standing;
use serde::Serialize;

macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
}

record! {
    /// A contact.
    Contact {
        /// The person's id.
        person: String,
        /// The e-mail address it was made from.
        email: String,
        /// `active`, or `pending` while the pairing is under way.
        state: &'static str,
        /// Of the person's signing key.
        fingerprint: String,
        /// The six digits of the pairing.
        check_code: Option<String>,
        /// Since when.
        since: u64,
        /// The instances known.
        instances: Vec<ContactInstance>,
    }
}

record! {
    /// An instance of a contact.
    ContactInstance {
        /// Its id.
        instance: String,
        /// What its person calls it.
        name: String,
        /// Where it is reached; `None`: it only dials.
        url: Option<String>,
        /// Whether a session is up.
        connected: bool,
        /// When it was last seen.
        last_seen: Option<u64>,
    }
}

record! {
    /// A pairing under way.
    Pairing {
        /// The person's id.
        person: String,
        /// The e-mail address, where known.
        email: Option<String>,
        /// The instance's name, where known.
        instance_name: Option<String>,
        /// Of the person's signing key.
        fingerprint: String,
        /// Six digits to compare with the other side.
        check_code: Option<String>,
        /// `inviter` or `joiner`: our side.
        role: &'static str,
        /// `ourApproval`, `theirApproval` or `peer`.
        waits_for: &'static str,
        /// Since when.
        since: u64,
    }
}

record! {
    /// An invitation.
    Invitation {
        /// Its name.
        locator: String,
        /// `open`, `blocked`, `consumed`, `completed`, `revoked` or `expired`.
        state: &'static str,
        /// By whom it was taken.
        by: Option<String>,
        /// What the inviter called it.
        label: String,
        /// When it ends.
        expires: u64,
        /// Whether whoever joins has to be approved.
        confirm: bool,
    }
}

record! {
    /// A channel.
    Channel {
        /// Its id.
        channel: String,
        /// Its name; `chat` is the one that every two contacts have.
        name: String,
        /// Its members.
        members: Vec<String>,
        /// How many messages it has.
        messages: u64,
        /// The number of the last arrival from others, for `markRead`.
        arrived: u64,
        /// How many of them are unread.
        unread: u64,
    }
}

record! {
    /// A message. Its text comes from somebody else: show it as text, never as markup.
    Message {
        /// Its id.
        id: String,
        /// The channel it stands in.
        channel: String,
        /// Who wrote it.
        author: String,
        /// His e-mail address; empty if he is not known here.
        email: String,
        /// When, by his clock.
        time: u64,
        /// As it stands now; empty once deleted.
        text: String,
        /// The shared file or folder that it points to.
        attachment: Option<String>,
        /// When it was edited.
        edited: Option<u64>,
        /// When it was deleted.
        deleted: Option<u64>,
        /// Whether it came from somebody else and was not marked as read.
        unread: bool,
    }
}

record! {
    /// A file or folder that is shared, in its newest version.
    SharedItem {
        /// What it is called.
        name: String,
        /// `file` or `folder`.
        kind: &'static str,
        /// Bytes in it.
        bytes: u64,
        /// Who shared it.
        by: String,
        /// Who may see it, as far as known.
        with: Vec<String>,
        /// When.
        time: u64,
        /// Its id, for `tree` and `explain`.
        root: String,
    }
}

record! {
    /// One direction of a session.
    Flow {
        /// Objects dealt with.
        done: u64,
        /// Objects to deal with, as far as known.
        total: Option<u64>,
        /// Objects that are durable at the receiving end.
        objects: u64,
        /// Bytes of those.
        bytes: u64,
    }
}

record! {
    /// Somebody at the other end, proved.
    Peer {
        /// The person's id.
        person: String,
        /// The e-mail address.
        email: String,
        /// The instance's id.
        instance: String,
        /// What its person calls it.
        instance_name: String,
    }
}

record! {
    /// Where things stand with one instance of a contact.
    PeerStatus {
        /// Which.
        peer: Peer,
        /// `inSync`, `syncing`, `pairing`, `connecting`, `waiting`, `unreachable`, `blocked` (its person is) or `off` (all
        /// routes to it are).
        state: &'static str,
        /// `none`, `direct` or `relay`.
        path: &'static str,
        /// Whether we dialled it.
        dialled: bool,
        /// Where it is reached.
        url: Option<String>,
        /// When it was last seen.
        last_seen: Option<u64>,
        /// From there to us.
        received: Flow,
        /// From us to there.
        sent: Flow,
        /// How many objects both held when they were last seen to hold the same.
        common: Option<u64>,
        /// Their fingerprint.
        fingerprint: Option<String>,
        /// Bytes sent in this session.
        bytes_out: u64,
        /// Bytes received in this session.
        bytes_in: u64,
        /// How often it was dialled in vain since it was last reached.
        failures: u32,
    }
}

record! {
    /// How things stand.
    Status {
        /// Who we are.
        me: Peer,
        /// Fingerprint of our person's signing key.
        fingerprint: String,
        /// Where we listen.
        listening: Vec<String>,
        /// Known instances of contacts.
        peers: Vec<PeerStatus>,
        /// Objects stored.
        objects: u64,
        /// Their bytes.
        bytes: u64,
    }
}

record! {
    /// Why an object does not reach a person, or how far it has come.
    Explanation {
        /// The object.
        object: String,
        /// The person.
        person: String,
        /// `notAContact`, `notHere`, `setAside`, `tombstone`, `notShared`, `pending`, `sent`, `overQuota`, `refused`,
        /// `acknowledged` or `fromThem`.
        standing: &'static str,
        /// The same for each instance of the person.
        instances: Vec<InstanceStanding>,
        /// Whether it was shared by itself, apart from rules.
        direct: bool,
        /// The rules that speak of it.
        rules: Vec<Rule>,
    }
}

record! {
    /// See [`Explanation`].
    InstanceStanding {
        /// Its id.
        instance: String,
        /// How far the object has come there.
        standing: &'static str,
    }
}

record! {
    /// See [`Explanation`].
    Rule {
        /// Its id.
        rule: String,
        /// Who made it.
        author: String,
        /// Whether it is in effect.
        in_effect: bool,
    }
}

record! {
    /// What is kept of a contact, and how much may be.
    Quota {
        /// Objects kept.
        objects: u64,
        /// Their bytes.
        bytes: u64,
        /// Objects that were refused.
        refused: u64,
        /// Most objects; `None`: the store's own limit.
        max_objects: Option<u64>,
        /// Most bytes.
        max_bytes: Option<u64>,
        /// Most bytes that he may bring in one hour.
        max_bytes_per_hour: Option<u64>,
        /// Whole days for which what he brought is kept; `None`: for ever.
        days: Option<u64>,
    }
}

record! {
    /// Somebody of whom nothing is to be had, and to whom nothing goes.
    Blocked {
        /// The person's id.
        person: String,
        /// The e-mail address of a contact.
        email: Option<String>,
    }
}

record! {
    /// A route to an instance of a contact.
    Route {
        /// Who is reached by it.
        peer: Peer,
        /// A URL, or that of a relay with what has to be known of it; for `setRoute`.
        route: String,
        /// Whether it leads through a relay.
        relayed: bool,
        /// `person`, `instance` or `route`: what was switched off; `None`: it is dialled in its turn.
        off_by: Option<&'static str>,
        /// Whether a session that we dialled goes along it now.
        in_use: bool,
    }
}

record! {
    /// A relay of the list.
    Relay {
        /// Where it is, and which key it has.
        address: String,
        /// `registered`, `connecting`, `waiting` (it failed and is tried again) or `unneeded` (others are enough).
        state: &'static str,
        /// What is told to contacts while it is registered.
        route: String,
        /// Connections that wait there for a call.
        links: u64,
        /// Failures since it was last sound.
        failures: u32,
    }
}

record! {
    /// An instance of our own person.
    OwnInstance {
        /// Its id.
        instance: String,
        /// What it is called, where known here.
        name: Option<String>,
        /// Its key, for `revokeInstance`.
        key: String,
        /// Whether it was revoked.
        revoked: bool,
        /// Whether it is this one.
        is_this: bool,
    }
}

fn url(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|url| !url.is_empty())
}

impl From<&node::ContactInfo> for Contact {
    fn from(info: &node::ContactInfo) -> Self {
        let instance = |one: &node::InstanceInfo| ContactInstance {
            instance: one.instance.full(),
            name: one.name.clone(),
            url: url(&one.url),
            connected: one.connected,
            last_seen: one.last_seen.map(|time| time.0),
        };
        Self {
            person: info.person.full(),
            email: info.email.clone(),
            state: match info.standing {
                node::ContactStanding::Pending => "pending",
                node::ContactStanding::Active => "active",
            },
            fingerprint: info.pin.full(),
            check_code: info.check_code.clone(),
            since: info.since.0,
            instances: info.instances.iter().map(instance).collect(),
        }
    }
}

impl From<&node::PendingInfo> for Pairing {
    fn from(info: &node::PendingInfo) -> Self {
        Self {
            person: info.person.full(),
            email: info.peer.as_ref().map(|peer| peer.email.clone()),
            instance_name: info.peer.as_ref().map(|peer| peer.instance_name.clone()),
            fingerprint: info.pin.full(),
            check_code: info.check_code.clone(),
            role: match info.role {
                node::PairingRole::Inviter => "inviter",
                node::PairingRole::Joiner => "joiner",
            },
            waits_for: match info.waits_for {
                node::WaitsFor::OurApproval => "ourApproval",
                node::WaitsFor::TheirApproval => "theirApproval",
                node::WaitsFor::Peer => "peer",
            },
            since: info.since.0,
        }
    }
}

impl From<&node::InvitationInfo> for Invitation {
    fn from(info: &node::InvitationInfo) -> Self {
        let (state, by) = match info.state {
            node::InvitationState::Open => ("open", None),
            node::InvitationState::Blocked => ("blocked", None),
            node::InvitationState::Consumed { by } => ("consumed", Some(by.full())),
            node::InvitationState::Completed { by } => ("completed", Some(by.full())),
            node::InvitationState::Revoked => ("revoked", None),
            node::InvitationState::Expired => ("expired", None),
        };
        Self {
            locator: info.locator.to_string(),
            state,
            by,
            label: info.label.clone(),
            expires: info.exp.0,
            confirm: info.policy == lama_invite::Policy::Confirm,
        }
    }
}

impl From<&node::ChannelInfo> for Channel {
    fn from(info: &node::ChannelInfo) -> Self {
        Self {
            channel: info.channel.full(),
            name: info.name.clone(),
            members: info.members.iter().map(lama_identity::PersonId::full).collect(),
            messages: info.entries,
            arrived: info.arrived,
            unread: info.unread,
        }
    }
}

impl From<&node::EntryInfo> for Message {
    fn from(info: &node::EntryInfo) -> Self {
        let (edited, deleted) = match info.standing {
            node::EntryStanding::Original => (None, None),
            node::EntryStanding::Edited { at } => (Some(at.0), None),
            node::EntryStanding::Deleted { at } => (None, Some(at.0)),
        };
        Self {
            id: info.id.to_string(),
            channel: info.channel.full(),
            author: info.author.full(),
            email: info.email.clone(),
            time: info.written.0,
            text: info.text.clone(),
            attachment: info.attachment.map(|id| id.to_string()),
            edited,
            deleted,
            unread: info.unread,
        }
    }
}

impl From<lama_chum::Flow> for Flow {
    fn from(flow: lama_chum::Flow) -> Self {
        Self { done: flow.done, total: flow.total, objects: flow.objects, bytes: flow.bytes }
    }
}

impl From<&node::PeerInfo> for Peer {
    fn from(info: &node::PeerInfo) -> Self {
        Self {
            person: info.person.full(),
            email: info.email.clone(),
            instance: info.instance.full(),
            instance_name: info.instance_name.clone(),
        }
    }
}

impl From<&(lama_identity::PersonId, Option<String>)> for Blocked {
    fn from((person, email): &(lama_identity::PersonId, Option<String>)) -> Self {
        Self { person: person.full(), email: email.clone() }
    }
}

impl From<&node::RouteInfo> for Route {
    fn from(info: &node::RouteInfo) -> Self {
        let off = |scope: &node::RouteScope| match scope {
            node::RouteScope::Person(_) => "person",
            node::RouteScope::Instance(_) => "instance",
            node::RouteScope::Route(_) => "route",
        };
        Self {
            peer: (&info.peer).into(),
            route: info.route.clone(),
            relayed: info.relayed,
            off_by: info.off_by.as_ref().map(off),
            in_use: info.in_use,
        }
    }
}

impl From<&node::PeerStatus> for PeerStatus {
    fn from(status: &node::PeerStatus) -> Self {
        Self {
            peer: (&status.peer).into(),
            state: match status.state {
                node::PeerState::InSync => "inSync",
                node::PeerState::Syncing => "syncing",
                node::PeerState::Pairing => "pairing",
                node::PeerState::Connecting => "connecting",
                node::PeerState::Waiting => "waiting",
                node::PeerState::Blocked => "blocked",
                node::PeerState::Off => "off",
                _ => "unreachable",
            },
            path: match (status.session, status.relayed) {
                (None, _) => "none",
                (Some(_), true) => "relay",
                (Some(_), false) => "direct",
            },
            dialled: status.dialled,
            url: url(&status.url),
            last_seen: status.last_seen.map(|time| time.0),
            received: status.progress.received.into(),
            sent: status.progress.sent.into(),
            common: status.in_sync.map(|(count, _)| count),
            fingerprint: status.in_sync.map(|(_, fingerprint)| fingerprint.to_string()),
            bytes_out: status.traffic.bytes_out,
            bytes_in: status.traffic.bytes_in,
            failures: status.failures,
        }
    }
}

impl From<&node::Status> for Status {
    fn from(status: &node::Status) -> Self {
        Self {
            me: (&status.me).into(),
            fingerprint: status.pin.full(),
            listening: status.listening.clone(),
            peers: status.peers.iter().map(PeerStatus::from).collect(),
            objects: status.store.objects,
            bytes: status.store.bytes,
        }
    }
}

impl From<&lama_store::Explanation> for Explanation {
    fn from(told: &lama_store::Explanation) -> Self {
        let instance = |(instance, of): &(lama_identity::InstanceId, Standing)| InstanceStanding {
            instance: instance.full(),
            standing: standing(*of),
        };
        let rule = |row: &lama_store::AccessRow| Rule {
            rule: row.rule.to_string(),
            author: row.author.full(),
            in_effect: row.in_effect,
        };
        Self {
            object: told.object.to_string(),
            person: told.person.full(),
            standing: standing(told.standing),
            instances: told.instances.iter().map(instance).collect(),
            direct: told.direct,
            rules: told.rules.iter().map(rule).collect(),
        }
    }
}

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::NotAContact => "notAContact",
        Standing::NotHere => "notHere",
        Standing::SetAside => "setAside",
        Standing::Tombstone => "tombstone",
        Standing::NotShared => "notShared",
        Standing::Pending => "pending",
        Standing::Sent => "sent",
        Standing::Refused(Refusal::Quota) => "overQuota",
        Standing::Acknowledged => "acknowledged",
        Standing::FromThem => "fromThem",
        // `Refused` for any other reason, and what later versions add.
        _ => "refused",
    }
}

impl From<&lama_store::QuotaRow> for Quota {
    fn from(row: &lama_store::QuotaRow) -> Self {
        Self {
            objects: row.objects,
            bytes: row.bytes,
            refused: row.refused,
            max_objects: row.limits.objects,
            max_bytes: row.limits.bytes,
            max_bytes_per_hour: row.limits.bytes_per_hour,
            days: row.limits.days,
        }
    }
}

impl From<&node::OwnInstance> for OwnInstance {
    fn from(own: &node::OwnInstance) -> Self {
        Self {
            instance: own.instance.full(),
            name: own.name.clone(),
            key: HEXLOWER.encode(own.noise.as_bytes()),
            revoked: own.revoked.is_some(),
            is_this: own.is_this,
        }
    }
}
