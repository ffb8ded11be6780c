//! The leaf vocabulary of the LAMA connection stack: [`Now`], [`Seed`], [`Ticket`], the [`Machine`] contract and
//! [ordered maps](sorted).
//!
//! This crate decides how time, entropy and effects enter and leave the pure crates. It refuses to know any
//! protocol: nothing here names a message, a key or a peer.
//!
//! # The contract of a machine
//!
//! Every long-lived machine (session, CHUM, hub, relay) keeps these seven rules. Hosts may rely on each.
//!
//! 1. **Any call in any order.** Outputs come in order and are never dropped.
//! 2. **`handle` never builds a frame.** Frames are built, and sealed, only in [`Machine::poll_frame`]: a frame
//!    that is sealed and then dropped breaks the nonce sequence, and a queue of frames is unbounded memory.
//! 3. **What waits for the link is bounded by credit in the protocol**, not by refusing to read. With one mixed
//!    queue of frames and effects, two peers whose links are both full stop for ever: the blocked frame hides
//!    the save behind it, so neither side reads.
//! 4. **[`Machine::poll_timeout`] equals the last `now` exactly while [`Machine::poll`] would yield**, so a
//!    host may sleep until it.
//! 5. **Time never goes back** (see [`Clock`]). The first error is final: later calls return a clone of it.
//! 6. **Same seed and same inputs give the same bytes.** A test runs each scenario twice.
//! 7. **Storage, dialling and signing are outputs with a [`Ticket`]**, answered by inputs with that ticket.
//!    An effect that must be durable is answered before what depends on it is sent.
//!
//! ```
//! use bytes::BytesMut;
//! use lama_core::{Instant, Machine, Now, WallTime};
//!
//! /// What a host does with any machine: local outputs first, then one frame out.
//! fn pump<M: Machine>(machine: &mut M, now: Now, link: &mut Vec<BytesMut>) -> Result<Vec<M::Output>, M::Error> {
//!     if machine.poll_timeout().is_some_and(|due| due <= now.mono) {
//!         machine.handle_timeout(now)?;
//!     }
//!     let outputs = core::iter::from_fn(|| machine.poll()).collect();
//!     let mut frame = BytesMut::new();
//!     if link.is_empty() && machine.poll_frame(&mut frame) {
//!         link.push(frame);
//!     }
//!     Ok(outputs)
//! }
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod machine;
mod seed;
pub mod sorted;
mod ticket;
mod time;
mod timers;

pub use machine::Machine;
pub use seed::Seed;
pub use sorted::{SortedMap, SortedSet};
pub use ticket::{Ticket, Tickets};
pub use time::{Clock, Instant, Now, WallTime};
pub use timers::Timers;
