//! A LAMA instance as one state machine: sessions, hub, and the API that applications use.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod api;
mod app;
mod config;
mod error;
mod hub;
mod node;
mod pairing;
mod session;

pub use api::{
    ChannelInfo, ChannelRef, Command, ContactInfo, ContactStanding, DialError, EndReason, EndpointInfo,
    EntryInfo, Event, Fault, Group, Input, InstanceInfo, InvitationInfo, InvitationState, LinkCause, LinkId,
    NodeIdentity, Origin, Output, PairingRole, PeerInfo, PeerState, PeerStatus, PendingInfo, RefuseReason,
    Reply, SessionId, SharedInfo, Status, Traffic, WaitsFor, WhichKey,
};
pub use config::Config;
pub use error::{Bucket, NodeError};
pub use lama_invite::Source;
pub use node::Node;

#[cfg(test)]
mod tests;
