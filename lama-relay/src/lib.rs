//! The relay of LAMA: how an instance that nobody can dial is called all the same, through a server that learns neither
//! who it is nor what is said.
//!
//! An instance *registers* a route key at a relay and keeps a few spare connections there ([`Client`]). A peer *rings*
//! the route ([`Caller`]); the relay passes that on over one of the spare connections, and when the instance accepts, the
//! relay *splices* the two: from there on every message of one side goes to the other as it is ([`Server`]). The session
//! inside is the same as on a direct socket.
//!
//! This crate decides what the frames say, who may register and ring how often, which connection gets a call, what waits
//! and what is refused, and when a silent side is given up. It refuses to decide how bytes travel, where keys are kept
//! (signatures are outputs with a ticket), and what is inside the bytes that it splices.
//!
//! # The loop
//!
//! ```
//! use bytes::Bytes;
//! use lama_core::Now;
//! use lama_relay::{LinkId, RelayError, Server, ServerInput, ServerOutput};
//!
//! /// A host: outputs first, then frames to the links that have some, while they have room.
//! fn run(server: &mut Server, now: Now, inputs: Vec<ServerInput>, host: &mut dyn FnMut(ServerOutput) -> Option<ServerInput>,
//!        send: &mut dyn FnMut(LinkId, Bytes)) -> Result<(), RelayError> {
//!     for input in inputs {
//!         server.handle(now, input)?;
//!     }
//!     while let Some(output) = server.poll() {
//!         host(output).map_or(Ok(()), |answer| server.handle(now, answer))?; // signs, or closes the link
//!     }
//!     while let Some(link) = server.next_ready_link() {
//!         while let Some(frame) = server.poll_frame(link) {
//!             send(link, frame); // and reads from `link` only while `server.wants_input(link)`
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Both machines keep the seven rules of [`lama_core`] with many links instead of one, so frames are asked for by link, and
//! with one exception that is the point of a relay: [`Server::wants_input`] is `false` also while the *other side's* link is
//! full, for a relay has no credit of its own. The session at both ends always reads, so nothing stops for ever.
//!
//! # What holds
//!
//! - **No reason leaves the relay.** Not registered, full, over a rate: each is the same frame after the same time.
//! - **Nothing is read from a caller** before the other side has accepted.
//! - **What lies here is bounded**: one message and 128 KiB a direction of each splice, and nothing for an idle route but its
//!   connections' names and times.
//! - **A registration cannot be used elsewhere**: its proof is bound to the relay's key, its host name, both nonces and
//!   the TLS connection.
//! - **No registration puts another out** that is alive, so two holders of one key do not fight; both are told.
//! - **Every state has a deadline.**
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod address;
mod bucket;
mod caller;
mod client;
mod config;
mod error;
mod proof;
mod server;
pub mod wire;

pub use address::{AddressProblem, RelayAddress};
pub use caller::{Called, Caller};
pub use client::{Client, ClientInput, ClientOutput, Home, HomeState};
pub use config::{ClientConfig, Config, Rate};
pub use error::{Fault, RelayError};
pub use proof::{
    Binding, CONFIRM_LABEL, REGISTER_LABEL, RouteId, confirm_input, register_input, signed_host,
};
pub use server::{Server, ServerInput, ServerOutput, Stats};

/// Names one open WebSocket. The host gives them out, each number once in the life of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);
