//! What a host says to a [`Node`](crate::Node) and what it answers: plain data.

mod command;
mod event;
mod group;
mod health;
mod info;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::{Bytes, BytesMut};
use lama_core::{Seed, Ticket};
use lama_identity::{Contact, NoiseSecret, PublicIdentity, Signature};
use lama_invite::{DialRules, Source, Via};
use lama_store::StoreError;

use crate::NodeError;

pub use command::{ChannelRef, Command, Reply};
pub use event::{EndReason, Event, Fault, RefuseReason};
pub use group::{Admits, ConnectionEnd, ConnectionId, DebugCommand, GroupCommand, GroupEvent, Seen};
pub use health::{HealthItem, Severity};
pub use info::{
    ChannelInfo, ContactInfo, ContactStanding, EndpointInfo, EntryInfo, EntryStanding, Group, InstanceInfo,
    InvitationInfo, InvitationState, OwnInstance, OwnInstances, PairingRole, PeerInfo, PeerState, PeerStatus,
    PendingInfo, Reached, RouteInfo, RouteScope, SharedInfo, Status, Traffic, WaitsFor,
};

/// Names one open WebSocket. The host gives them out, each number once in the life of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Names one authenticated session. The node gives them out, each number once in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// How a link came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It answers an [`Output::Dial`].
    Dialled(Ticket),
    /// Somebody connected to the listener.
    Accepted {
        /// From where: for the limits per source.
        source: Source,
    },
    /// Somebody rang at a relay, and the call was accepted.
    Relayed {
        /// Which of our routes, for the limits: all its callers together.
        source: Source,
        /// The route's id, which the handshake is bound to.
        route: [u8; 32],
    },
}

/// Why a link is down, as the transport saw it. None of it is proved: only CLOSE inside the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LinkCause {
    /// The other end closed the WebSocket in an orderly way.
    Closed,
    /// The connection broke.
    Lost,
    /// The other end broke a rule of the WebSocket, or sent a frame longer than [`crate::Node::frame_limit`].
    Violation,
    /// The host closed it: shutdown, or [`Output::CloseLink`].
    Local,
    /// The host gave its place to somebody newer: it had not proved anything yet.
    PutOut,
}

/// Why nobody was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DialError {
    /// Nothing listens there.
    Refused,
    /// The name has no address.
    NotFound,
    /// No way to the host.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// There is no TLS connection.
    Tls(TlsFault),
    /// The proxy that stands between brings nobody there.
    Proxy(ProxyFault),
    /// Something listens there that does not speak `lama.1` over WebSocket.
    NotLama,
    /// The name leads to an address that [`Output::Dial::rules`] forbid.
    NotAllowed,
    /// The relay has nobody there now, or a limit of it is reached: it does not say which.
    Unavailable,
    /// The relay is not the one that the route names, or breaks the rules.
    Relay,
    /// Anything else.
    Other,
}

impl DialError {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Refused => "dial.refused",
            Self::NotFound => "dial.not-found",
            Self::Unreachable => "dial.unreachable",
            Self::Timeout => "dial.timeout",
            Self::Tls(_) => "dial.tls",
            Self::Proxy(_) => "dial.proxy",
            Self::NotLama => "dial.not-lama",
            Self::NotAllowed => "dial.not-allowed",
            Self::Unavailable => "dial.unavailable",
            Self::Relay => "dial.relay",
            Self::Other => "dial.other",
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "nothing listens there",
            Self::NotFound => "the name has no address",
            Self::Unreachable => "there is no way to that host",
            Self::Timeout => "nothing answered in time",
            Self::Tls(fault) => return fault.fmt(f),
            Self::Proxy(fault) => return fault.fmt(f),
            Self::NotLama => "what listens there does not speak LAMA",
            Self::NotAllowed => "the address lies in a network that is not dialled unasked",
            Self::Unavailable => "the relay is there, but the other side is not connected to it now",
            Self::Relay => "the relay has another key than the route names, or does not keep to the rules",
            Self::Other => "the connection could not be opened",
        })
    }
}

/// Why a proxy brings nobody there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProxyFault {
    /// What is named as a proxy is none that can be used.
    Unusable,
    /// Nothing answers where the proxy should be.
    Unreached,
    /// It wants another password, or one at all.
    Password,
    /// It does not go there, or did not reach anybody.
    Refused,
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unusable => {
                "the proxy that the environment names cannot be used: it has to be an HTTP proxy, http://host:port; correct \
                 HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name this host in NO_PROXY"
            }
            Self::Unreached => {
                "the proxy that the environment names does not answer; correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name \
                 this host in NO_PROXY"
            }
            Self::Password => "the proxy wants a name and a password; give them as http://name:password@host:port",
            Self::Refused => {
                "the proxy reached nobody there, or may not go there; ask who runs it, or name this host in NO_PROXY"
            }
        })
    }
}

/// Why a TLS connection did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsFault {
    /// Nobody whom this system trusts has signed the certificate.
    UnknownIssuer,
    /// The certificate was valid once.
    Expired,
    /// The certificate will be valid later.
    NotYetValid,
    /// The certificate is for another name.
    WrongName,
    /// Its issuer has revoked the certificate.
    Revoked,
    /// The certificate cannot be read, or breaks a rule for such ones.
    BadCertificate,
    /// What answers there does not speak TLS.
    NotTls,
    /// The other end and this one found no way to speak.
    Refused,
    /// The connection ended before it was one.
    Lost,
    /// This system has no certificates that it trusts.
    NoRoots,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => {
                "nobody whom this system trusts has signed the server's TLS certificate, so it may be an impostor's; if the \
                 server has a certificate authority of its own, add that to those that the system trusts"
            }
            Self::Expired => {
                "the server's TLS certificate has expired; its operator has to renew it, unless the clock here is wrong"
            }
            Self::NotYetValid => "the server's TLS certificate is not valid yet; check the clock of this machine",
            Self::WrongName => {
                "the server's TLS certificate is for another name; check the address, or ask its operator"
            }
            Self::Revoked => "the server's TLS certificate was revoked; its operator has to get another one",
            Self::BadCertificate => "the server's TLS certificate breaks the rules for such ones; tell its operator",
            Self::NotTls => "what answers there does not speak TLS; perhaps the address should begin with ws://",
            Self::Refused => "the server refused the TLS connection, or speaks no version of TLS that is known here",
            Self::Lost => "the connection ended before TLS was agreed on; try again, and check what lies in between",
            Self::NoRoots => {
                "this system has no certificates that it trusts; install them (on Linux often the package ca-certificates)"
            }
        })
    }
}

/// Which of the keys that the host keeps is to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WhichKey {
    /// The person's Ed25519 key.
    Person,
    /// The instance's Ed25519 key.
    Instance,
    /// The Ed25519 key that the instance had before, by its place in [`NodeIdentity::former`].
    Former(usize),
}

/// What the host tells the node.
#[derive(Debug)]
pub enum Input {
    /// Somebody wants something; answered by exactly one [`Output::Reply`] with this ticket.
    Command {
        /// Of the host's choosing; not related to the node's own tickets.
        ticket: Ticket,
        /// What is wanted.
        command: Command,
    },
    /// Where the host listens now, best first; empty: nowhere. A change makes a new version of this instance's
    /// endpoint, which all contacts receive.
    Listening {
        /// What to advertise, such as `ws://localhost:8765`: each the text of a [`lama_invite::Route`].
        urls: Vec<String>,
    },
    /// An instance was found on the local network, as one of [`crate::Node::lan_peers`] that were sought.
    Nearby {
        /// Which.
        instance: lama_identity::InstanceId,
        /// Where it says that it listens.
        at: core::net::SocketAddrV4,
    },
    /// A WebSocket is open, on either side.
    LinkUp {
        /// Its name from now on.
        link: LinkId,
        /// How it came about.
        origin: Origin,
        /// Entropy drawn for this link's handshake alone.
        seed: Seed,
    },
    /// One WebSocket binary message. Unknown links are ignored: they may just have been closed.
    Frame {
        /// Where it arrived.
        link: LinkId,
        /// The message; opened in place.
        frame: BytesMut,
    },
    /// A WebSocket is gone. Unknown links are ignored.
    LinkDown {
        /// Which one.
        link: LinkId,
        /// Why, as far as the transport can say.
        cause: LinkCause,
    },
    /// Answers [`Output::Dial`] where no WebSocket opened.
    DialFailed {
        /// The ticket of the dial.
        ticket: Ticket,
        /// Why.
        cause: DialError,
    },
    /// Answers [`Output::Store`]: one result for each request, in order.
    Stored {
        /// The ticket of the output.
        ticket: Ticket,
        /// What became of each request.
        results: Vec<Result<lama_store::Reply, StoreError>>,
    },
    /// What an [`Output::Store`] has written can be seen and is not durable yet; [`Input::Stored`] follows in any case. Hosts
    /// whose disk is slow say so of what somebody waits for ([`lama_store::Store::stage`]); none has to.
    Staged {
        /// The ticket of the output.
        ticket: Ticket,
        /// What became of each request so far.
        results: Vec<Result<lama_store::Reply, StoreError>>,
    },
    /// Answers [`Output::Sign`]. `None`: the key is not on this device.
    Signed {
        /// The ticket of the output.
        ticket: Ticket,
        /// The signature over exactly the bytes of the output.
        signature: Option<Signature>,
    },
}

/// Whether one call of the store may wait for others. A host may take all calls in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Order {
    /// After all that was asked for before, but for what may be done later. Answered when all that it saw is durable.
    #[default]
    InTurn,
    /// The same for what is shown and sent on: what it reads may be told before it is durable.
    Live,
    /// In turn among its like, and overtaken by all others: bulk. What it reads may be told before it is durable.
    Later,
}

/// What the node asks of the host, and what it reports.
#[derive(Debug)]
pub enum Output {
    /// Run these requests, outputs in the order in which they come but for what [`Order`] allows, each call's requests
    /// in the order given; all writes durable before the answer.
    Store {
        /// Goes back with [`Input::Stored`].
        ticket: Ticket,
        /// What [`lama_store::Store::execute`] takes.
        requests: Vec<lama_store::Request>,
        /// Whether it may wait.
        order: Order,
    },
    /// Sign exactly these bytes (the label is in them already).
    Sign {
        /// Goes back with [`Input::Signed`].
        ticket: Ticket,
        /// With which key.
        key: WhichKey,
        /// What to sign.
        bytes: Bytes,
    },
    /// Open a WebSocket with subprotocol `lama.1`: answered by [`Input::LinkUp`] with [`Origin::Dialled`], or by
    /// [`Input::DialFailed`].
    Dial {
        /// Goes back with the answer.
        ticket: Ticket,
        /// Where to.
        url: String,
        /// Through the relay there: which key it must have, and whom to ring.
        via: Option<Via>,
        /// Which addresses it may lead to; the host checks each one that the name resolves to.
        rules: DialRules,
    },
    /// Nothing more will be read from this link. Take what [`crate::Node::poll_frame`] still has for it, send
    /// that, then close the WebSocket with code 1000 and no reason.
    CloseLink {
        /// Which one.
        link: LinkId,
    },
    /// The answer to a command.
    Reply {
        /// The command's ticket.
        ticket: Ticket,
        /// How it ended.
        result: Result<Reply, NodeError>,
    },
    /// Something happened that a person or an application may want to know.
    Event(Event),
}

/// Who the node is. The signing keys stay with the host, which answers [`Output::Sign`].
#[derive(Debug)]
pub struct NodeIdentity {
    /// What peers see.
    pub public: PublicIdentity,
    /// The secret of the Noise handshakes; must belong to `public`.
    pub noise: NoiseSecret,
    /// The person's log as it came with the certificate, for an instance that was enrolled by file; the store may have
    /// a longer one. Empty for a person's first instance, whose certificate is the log.
    pub log: Vec<Bytes>,
    /// The person's contacts as they came with the certificate: taken over at the first start.
    pub contacts: Vec<Contact>,
    /// Whether the person's signing key is on this device. Without it an instance connects and syncs, and pairs with
    /// nobody.
    pub person_key: bool,
    /// Keys that this instance had before and that were replaced, newest last, at most [`MAX_FORMER`]: a contact that was
    /// away dials by them, and is told of the present ones and of nothing else.
    pub former: Vec<FormerKeys>,
}

/// Keys that an instance had before it got others.
#[derive(Debug)]
pub struct FormerKeys {
    /// What peers saw.
    pub public: PublicIdentity,
    /// The secret of the Noise handshakes; must belong to `public`.
    pub noise: NoiseSecret,
}

/// How many former keys are answered to: each of them costs a stranger's first message one more key exchange.
pub const MAX_FORMER: usize = 4;

impl NodeIdentity {
    /// A person's first instance.
    #[must_use]
    pub const fn new(public: PublicIdentity, noise: NoiseSecret) -> Self {
        Self { public, noise, log: Vec::new(), contacts: Vec::new(), person_key: true, former: Vec::new() }
    }
}
