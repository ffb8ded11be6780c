//! A LAMA instance as one state machine: sessions, hub, and the API that applications use.
//!
//! **Decides** who is let in and how far (known and unknown peers arrive at the same listener and are routed by what
//! they prove), how two persons become contacts so that both sides agree whatever is cut or killed in between, which
//! of two sessions stays, whom to dial and when, and what applications can ask for.
//!
//! **Refuses to decide** how bytes travel, where they are stored, who keeps the signing keys, what time it is, and
//! how a handshake, a record or a synchronisation works: the crates below do that, and the host answers the effects.
//!
//! The loop of a host, with storage and signing answered at once and the links left out:
//!
//! ```
//! use bytes::BytesMut;
//! use lama_core::{Now, Seed};
//! use lama_node::{Command, Config, Event, Input, Node, NodeIdentity, Output};
//! # use lama_identity::LocalIdentity;
//! # use lama_store::{Memory, Opening, StorageKey, Store};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (seed, now) = (Seed::danger_fixed([1; 32]), Now::default());
//! # let key = StorageKey::danger_fixed([3; 32]);
//! # let mut store = Store::open(Memory::default(), Default::default(), &key, Seed::danger_fixed([2; 32]), Opening::Normal)?;
//! # let me = LocalIdentity::create("ada@lama.local".parse()?, "desk", Seed::danger_fixed([3; 32]), now.wall)?;
//! let (public, noise, sign, person) = me.into_parts();
//! let identity = NodeIdentity::new(public, noise);
//! let mut node = Node::new(Config::default(), identity, seed, now)?;
//! node.handle(now, Input::Command { ticket: lama_core::Ticket(1), command: Command::Status })?;
//! let mut ready = false;
//! while let Some(output) = node.poll() {
//!     match output {
//!         Output::Store { ticket, requests, .. } => {
//!             node.handle(now, Input::Stored { ticket, results: store.execute(&requests) })?;
//!         }
//!         Output::Sign { ticket, bytes, .. } => {
//!             node.handle(now, Input::Signed { ticket, signature: Some(sign.sign_input(&bytes)) })?;
//!         }
//!         Output::Event(Event::Ready) => ready = true,
//!         Output::Reply { result, .. } => assert!(result.is_ok()),
//!         _ => {} // open a link, close one, show an event
//!     }
//!     while let Some(link) = node.next_ready_link() {
//!         let mut frame = BytesMut::new();
//!         while node.poll_frame(link, &mut frame) { /* send it, when the link has room */ }
//!     }
//! }
//! assert!(ready);
//! # drop(person);
//! # Ok(())
//! # }
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod api;
mod app;
mod config;
pub mod debug;
mod error;
mod group;
mod hub;
mod log;
mod node;
mod pairing;
mod session;
#[cfg(test)]
mod tests;

pub use api::{
    Admits, ChannelInfo, ChannelRef, Command, ConnectionEnd, ConnectionId, ContactInfo, ContactStanding,
    DebugCommand, DialError, EndReason, EndpointInfo, EntryInfo, EntryStanding, Event, Fault, FormerKeys,
    Group, GroupCommand, GroupEvent, HealthItem, Input, InstanceInfo, InvitationInfo, InvitationState,
    LinkCause, LinkId, MAX_FORMER, NodeIdentity, Order, Origin, Output, OwnInstance, OwnInstances,
    PairingRole, PeerInfo, PeerState, PeerStatus, PendingInfo, ProxyFault, Reached, RefuseReason, Reply,
    RouteInfo, RouteScope, Seen, SessionId, Severity, SharedInfo, Status, TlsFault, Traffic, WaitsFor,
    WhichKey,
};
pub use app::last_url;
pub use config::Config;
pub use error::{Bucket, NodeError};
pub use hub::Familiar;
pub use lama_handshake::groups::{GroupName, MAX_GROUP_MESSAGE, MESSAGE_COST, RefuseCode};
pub use lama_invite::Source;
pub use lama_store::PageFrom;
pub use log::kept_log;
pub use node::Node;
