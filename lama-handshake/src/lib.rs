//! Noise handshake, person authentication, pairing, and encrypted records of LAMA, without I/O.
//!
//! **Decides** what two instances say to each other before and while they trust each other: the three handshake
//! messages ([`Initiator`], [`Message1`]), how each person is bound to the session ([`Introduction`], [`Peer`]), when
//! a pairing is complete on both sides ([`Mux::acknowledge`]), and how messages travel afterwards ([`Mux`]:
//! streams with credit, over padded records with changing keys, with a goodbye that cannot be forged).
//!
//! **Refuses to decide** how bytes travel, who is a contact, whether a token is spent, and what is stored where. The
//! steps are typestates: each takes what came from the peer, appends what goes to the peer, and gives the next step.
//! Between two of them the caller does what must be durable, and has signed what must be signed. A step that fails
//! gives no state back: the handshake is over, and before the peer has proved anything nothing is said about it.
//!
//! ```
//! # use bytes::BytesMut;
//! # use lama_core::{Now, Seed, WallTime};
//! # use lama_identity::LocalIdentity;
//! use lama_handshake::*;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let wall = WallTime::from_unix_seconds(1_800_000_000);
//! # let (now, config, [s1, s2]) = (Now { wall, ..Now::default() }, Config::default(), [1, 2].map(|n| Seed::danger_fixed([n; 32])));
//! # let person = |name: &str, n| LocalIdentity::create(name.parse()?, "desk", Seed::danger_fixed([n; 32]), wall);
//! # let (ann, ben) = (person("ann@lama.local", 3)?, person("ben@lama.local", 4)?);
//! # let pinned = |who: &LocalIdentity| PinnedPerson { id: who.person_id(), pin: who.public().pin() };
//! # let says = |who: &LocalIdentity| who.public().endpoint("").map(|url| Introduction::new(who.public().clone(), url, Group::Chum, BootId([0; 16])));
//! # let signs = |who: &LocalIdentity, bytes: &[u8]| who.person().map(|keys| keys.sign.sign_input(bytes));
//! # let expect = |who: &LocalIdentity| Expect { person: Some(pinned(who)), wall, ..Expect::default() };
//! # let mut frame = BytesMut::new();
//! # let dial = Dial { instance: *ben.noise().public(), person: pinned(&ben), access: Access::Known, via: Via::Direct };
//! // Ann dials Ben; each `frame` travels as one binary message, and `split` hands it over.
//! let ann_1 = Initiator::dial(&dial, s1, &mut frame)?;
//! let ben_1 = Message1::read(&frame.split(), Via::Direct)?; // its tag finds an invitation, or none
//! let ben_2 = ben_1.answer(ben.noise(), None, s2, &mut frame)?;
//! let ann_2 = ann_1.read_message2(&frame.split(), ann.noise(), &mut frame)?;
//! let ben_3 = ben_2.read_message3(&frame.split())?; // ask the contacts for `peer_static`
//! let ann_3 = ann_2.introduce(&says(&ann)?)?;
//! let signature = signs(&ann, ann_3.to_sign())?;
//! let ann_4 = ann_3.signed(signature, &mut frame)?;
//! let ben_4 = ben_3.read_auth(frame.split(), ben.public(), &expect(&ann)).map_err(|no| no.error().clone())?;
//! let ben_5 = ben_4.introduce(&says(&ben)?)?; // after the durable step
//! let signature = signs(&ben, ben_5.to_sign())?;
//! let ben_6 = ben_5.signed(signature, &mut frame)?;
//! let ann_5 = ann_4.read_auth(frame.split(), &expect(&ben)).map_err(|no| no.error().clone())?;
//! let ann_6 = ann_5.ready(&config, now, &mut frame)?; // after Ann's durable step
//! let mut ben_7 = ben_6.read_ready(frame.split(), &config, now)?;
//! ben_7.mux.acknowledge()?;
//! assert_eq!(ann_6.peer.person(), pinned(&ben));
//! assert_eq!(ann_6.pair_key, ben_7.pair_key);
//! # Ok(())
//! # }
//! ```
//!
//! The wire is specified in `docs/protocol/handshake.md`, `pairing.md` and `session.md`, with vectors under
//! `vectors/handshake`. The cipher is the `chacha20poly1305` crate's; with the feature `ring` it is ring's, byte for
//! byte the same.
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
pub mod groups;
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
