//! Noise handshake, person authentication, pairing, and encrypted records of LAMA, without I/O.
//!
//! (front page follows)
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod auth;
mod check_code;
mod config;
mod deadline;
mod error;
mod established;
mod initiator;
mod liveness;
mod mux;
pub mod noise;
mod pair_key;
pub mod record;
mod reject;
mod responder;
mod wire;

pub use auth::{BootId, Expect, Introduction, Peer, Signer, VERSION, Versions};
pub use check_code::CheckCode;
pub use config::{Config, RekeyLimits, STREAMS};
pub use deadline::Deadlines;
pub use error::HandshakeError;
pub use established::Established;
pub use initiator::{
    Access, AuthFailed, AwaitAuth, Dial, Initiator, InitiatorKeyed, InitiatorSigning, InitiatorVerified,
};
pub use mux::{MAX_IN_ONE_RECORD, Mux, Receipt, Received, StreamId};
pub use pair_key::{PairKey, PairKeyId};
pub use record::RecordType;
pub use reject::{CloseCode, RejectCode};
pub use responder::{AwaitMessage3, AwaitReady, Message1, Proved, ResponderSigning, ResponderVerified};
pub use wire::{Group, MAGIC, MESSAGE1_LEN, MESSAGE2_LEN, MESSAGE3_LEN, Mode, PinnedPerson, Role, Via};
