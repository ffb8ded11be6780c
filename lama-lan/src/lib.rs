//! How instances that know each other find each other on the local network, and how nobody else learns who they are.
//!
//! It is multicast DNS (RFC 6762) without announcements. Whoever looks for a contact asks for a name that follows from
//! their pair key and the time; only the other one knows it, and answers with address and port, proved by the same key.
//! Names change every [`SLOT`], so what is heard today leads nowhere tomorrow.
//!
//! This crate decides what is asked when, what is answered and what an answer has to prove. It refuses to decide whom to
//! look for (its host says), and how packets travel. Whoever is found is dialled like anybody else: a false answer would
//! lead to a handshake that fails.
//!
//! ```
//! use std::net::{Ipv4Addr, SocketAddrV4};
//! use lama_core::{Instant, Now, Seed, WallTime};
//! use lama_identity::InstanceId;
//! use lama_lan::{Interface, Lan, LanInput, LanKey, LanOutput, LanPeer, PORT};
//!
//! let (ann, ben) = (InstanceId([1; 32]), InstanceId([2; 32]));
//! let at = |seconds| Now { mono: Instant::from_origin(std::time::Duration::from_secs(seconds)), wall: WallTime(0) };
//! let mut hosts = [(ann, ben, 1), (ben, ann, 2)].map(|(me, other, n)| {
//!     let mut lan = Lan::new(me, PORT, Seed::danger_fixed([n; 32]), at(0));
//!     let here = Interface { address: Ipv4Addr::new(10, 0, 0, n), mask: Ipv4Addr::new(255, 255, 255, 0) };
//!     lan.handle(at(0), LanInput::Interfaces(vec![here]));
//!     lan.handle(at(0), LanInput::Listening(Some(8765)));
//!     // Both have it from their first session.
//!     lan.handle(at(0), LanInput::Peers(vec![LanPeer { instance: other, key: LanKey::of(&[7; 32]), sought: true }]));
//!     (lan, here.address)
//! });
//! let mut found = None;
//! for seconds in 1..5 {
//!     for sender in 0..2 {
//!         hosts[sender].0.handle_timeout(at(seconds));
//!         while let Some(output) = hosts[sender].0.poll() {
//!             match output {
//!                 LanOutput::Send { packet, .. } => {
//!                     let from = SocketAddrV4::new(hosts[sender].1, PORT);
//!                     let (lan, interface) = &mut hosts[1 - sender];
//!                     let heard = LanInput::Packet { interface: *interface, from, bytes: &packet };
//!                     lan.handle(at(seconds), heard);
//!                 }
//!                 LanOutput::Found { instance, address } if sender == 0 => found = Some((instance, address)),
//!                 LanOutput::Found { .. } => {}
//!             }
//!         }
//!     }
//! }
//! assert_eq!(found, Some((ben, "10.0.0.2:8765".parse().unwrap())));
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod key;
mod machine;
pub mod wire;

pub use key::{LanKey, SLOT};
pub use machine::{Interface, Lan, LanInput, LanOutput, LanPeer};
pub use wire::{GROUP, PORT, Tag};
