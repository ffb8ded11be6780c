//! What an instance asks of its host, and what it reports.

use lama_node::Event as Node;
use serde::Serialize;

use crate::record::{Contact, Flow, Message, Pairing, Peer};
use crate::{Problem, Reply};

/// What an instance asks of its host, and what it reports; in order, and nothing is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Output {
    /// Open a WebSocket: answered by `link_up` with this dial, or by `dial_failed`.
    Dial {
        /// Goes back with the answer.
        dial: u64,
        /// Where to.
        url: String,
        /// With which subprotocol: `lama.1`, or `lama-relay.1` for a relay.
        subprotocol: &'static str,
        /// Whether an address of this machine may be dialled. A host that can see what a name resolves to checks every
        /// address; a browser cannot, and the name was checked already.
        loopback: bool,
        /// Whether an address of the local network may be dialled.
        private: bool,
    },
    /// Nothing more is read from this link. Send what `poll_frame` still has for it, then close it with code 1000.
    Close {
        /// Which.
        link: u64,
    },
    /// A command ended well.
    Reply {
        /// Its ticket.
        ticket: u64,
        /// How.
        reply: Reply,
    },
    /// A command failed.
    Failed {
        /// Its ticket.
        ticket: u64,
        /// Why.
        problem: Problem,
    },
    /// Something happened.
    Event {
        /// What.
        event: Event,
    },
    /// It is over: the store is closed, nothing more comes.
    Ended {
        /// Why; `None`: it was shut down.
        problem: Option<Problem>,
    },
}

/// Something happened that a person or a program may want to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Event {
    /// The store is loaded.
    Ready,
    /// What is advertised is durable and on its way to all contacts.
    Listening {
        /// Where.
        urls: Vec<String>,
    },
    /// A relay of the list passes calls on from now on: invitations and contacts lead there, too.
    RelayRegistered {
        /// Its address.
        relay: String,
    },
    /// A relay of the list passes no calls on any more, or did not come to it.
    RelayLost {
        /// Its address.
        relay: String,
        /// Why; `None`: it was not reached, or the connection broke.
        problem: Option<Problem>,
        /// Milliseconds until it is tried again; `None`: it is not needed now.
        pause: Option<u64>,
    },
    /// Both persons are authenticated.
    SessionStarted {
        /// Its number.
        session: u64,
        /// Who.
        peer: Peer,
        /// Whether we dialled.
        dialled: bool,
        /// Where to, if so.
        url: Option<String>,
    },
    /// A session is over.
    SessionEnded {
        /// Its number.
        session: u64,
        /// Who.
        peer: Peer,
        /// Why: a stable name.
        reason: String,
        /// In words.
        message: String,
    },
    /// A link ended before both persons were authenticated.
    LinkRefused {
        /// Which.
        link: u64,
        /// Why: a stable name.
        reason: String,
        /// In words.
        message: String,
    },
    /// Nobody was reached; it is tried again.
    DialFailed {
        /// Whom.
        peer: Option<Peer>,
        /// Where.
        url: String,
        /// Why, in words.
        message: String,
        /// How often in a row.
        failures: u32,
    },
    /// A pairing waits for a person or for the other end.
    PairingPending {
        /// It.
        pairing: Pairing,
    },
    /// Two persons are contacts now.
    Paired {
        /// The other one.
        contact: Contact,
    },
    /// A pairing failed for good.
    PairingFailed {
        /// With whom, as far as known.
        person: Option<String>,
        /// Why.
        problem: Problem,
    },
    /// A contact was removed or denied.
    ContactRemoved {
        /// Who.
        person: String,
        /// Whether the other side asked for it.
        by_peer: bool,
    },
    /// **An alarm**, to be shown until a person has seen it: a changed key, a copied key file, a changed log, a revoked
    /// instance, a clock that went back.
    Alarm {
        /// A stable name.
        code: String,
        /// In words.
        message: String,
        /// Whom it is about.
        person: Option<String>,
    },
    /// An invitation ran out unused.
    InvitationExpired {
        /// Which.
        locator: String,
    },
    /// Somebody's message arrived.
    Message {
        /// It.
        message: Message,
    },
    /// Somebody edited or deleted a message of his.
    MessageChanged {
        /// As it stands now.
        message: Message,
    },
    /// Somebody shared something with us: see the list.
    Shared {
        /// Its id.
        root: String,
        /// Who.
        by: String,
    },
    /// Objects arrived and are durable.
    Received {
        /// From whom.
        peer: Peer,
        /// How many.
        objects: u64,
    },
    /// How far a session is.
    Progress {
        /// Its number.
        session: u64,
        /// With whom.
        person: String,
        /// From there to us.
        received: Flow,
        /// From us to there.
        sent: Flow,
    },
    /// Both ends hold the same.
    InSync {
        /// With whom.
        peer: Peer,
        /// How many objects.
        count: u64,
        /// Their fingerprint, the same at both ends.
        fingerprint: String,
    },
    /// An object was refused by the quota or the rules of one end.
    ObjectRefused {
        /// With whom.
        peer: Peer,
        /// Which.
        object: String,
        /// Whether the other end refused it.
        there: bool,
    },
    /// The store could not do something that nobody waited for.
    StoreFailed {
        /// What was to be done.
        doing: &'static str,
        /// Why.
        problem: Problem,
    },
}

/// `None`: for a log alone.
pub(crate) fn from_node(event: Node) -> Option<Event> {
    Some(match event {
        Node::Ready => Event::Ready,
        Node::Listening { urls } => Event::Listening { urls },
        Node::SessionStarted { session, peer, dialled, url, .. } => {
            Event::SessionStarted { session: session.0, peer: (&peer).into(), dialled, url }
        }
        Node::SessionEnded { session, peer, reason, .. } => Event::SessionEnded {
            session: session.0,
            peer: (&peer).into(),
            reason: reason.code().to_owned(),
            message: reason.to_string(),
        },
        Node::LinkRefused { link, reason } => {
            Event::LinkRefused { link: link.0, reason: reason.code().to_owned(), message: reason.to_string() }
        }
        Node::DialFailed { peer, url, cause, failures } => Event::DialFailed {
            peer: peer.as_ref().map(Peer::from),
            url,
            message: cause.to_string(),
            failures,
        },
        Node::PairingPending(info) => Event::PairingPending { pairing: info.as_ref().into() },
        Node::Paired(contact) => Event::Paired { contact: contact.as_ref().into() },
        Node::PairingFailed { person, error } => {
            Event::PairingFailed { person: person.map(|person| person.full()), problem: error.into() }
        }
        Node::ContactRemoved { person, by_peer } => Event::ContactRemoved { person: person.full(), by_peer },
        Node::InvitationExpired { locator } => Event::InvitationExpired { locator: locator.to_string() },
        Node::Message(entry) => Event::Message { message: entry.as_ref().into() },
        Node::MessageChanged(entry) => Event::MessageChanged { message: entry.as_ref().into() },
        Node::Shared(info) => Event::Shared { root: info.root.to_string(), by: info.by.full() },
        Node::Received { peer, objects, .. } => Event::Received { peer: (&peer).into(), objects },
        Node::Progress { session, person, progress } => Event::Progress {
            session: session.0,
            person: person.full(),
            received: progress.received.into(),
            sent: progress.sent.into(),
        },
        Node::InSync { peer, count, fingerprint, .. } => {
            Event::InSync { peer: (&peer).into(), count, fingerprint: fingerprint.to_string() }
        }
        Node::ObjectRefused { peer, id, there, .. } => {
            Event::ObjectRefused { peer: (&peer).into(), object: id.to_string(), there }
        }
        Node::StoreFailed { doing, error } => Event::StoreFailed { doing, problem: error.into() },
        other => return alarm(other),
    })
}

/// What must not pass unseen.
fn alarm(event: Node) -> Option<Event> {
    let (code, message, person) = match event {
        Node::KeyChanged { person, known, shown } => (
            "key-changed",
            format!(
                "a person was shown with another signing key than the one known ({}): {}; nothing was accepted; ask the \
                 person by another way before you trust it",
                known.full(),
                shown.map_or_else(|| "not verified".to_owned(), |shown| shown.full()),
            ),
            Some(person.full()),
        ),
        Node::InstanceCloned { peer } => (
            "instance-cloned",
            format!(
                "the keys of {} live in two places: a key file was copied or restored; revoke that instance",
                peer.instance_name
            ),
            Some(peer.person.full()),
        ),
        Node::RevokedHere => (
            "revoked-here",
            "this instance was revoked by its own person; it speaks to nobody any more".to_owned(),
            None,
        ),
        Node::LogAlarm { person, code } => (
            code,
            "a person's log was shown in another version than the known one; nothing was accepted; ask the person"
                .to_owned(),
            Some(person.full()),
        ),
        Node::InstanceRevoked { person, .. } => {
            ("instance-revoked", "a contact has revoked one of its instances".to_owned(), Some(person.full()))
        }
        Node::ClockBehind { .. } => (
            "clock-behind",
            "this machine's clock went back: invitations do not work until it is right again".to_owned(),
            None,
        ),
        Node::OutOfSync { peer } => (
            "out-of-sync",
            "everything was exchanged, and yet the two ends hold different sets".to_owned(),
            Some(peer.person.full()),
        ),
        _ => return None,
    };
    Some(Event::Alarm { code: code.to_owned(), message, person })
}
