//! CHUM: two instances find what one has and the other lacks, move it, and keep moving every change as it happens.
//!
//! This crate decides what one session of synchronisation says, and when: from where on each side sends, how many
//! objects go into a message, when an acknowledgement is due, and whether both ends hold the same set. It also
//! decides how files and folders become objects ([`blob`]). It refuses to decide what is stored and who may see it
//! (the store), which types are taken from whom (the store's import), how messages are sealed and cut into records
//! (the session), and what time it is.
//!
//! # The loop
//!
//! ```
//! use bytes::BytesMut;
//! use lama_chum::{Chum, ChumError, Input, Output};
//! use lama_core::{Machine, Now};
//!
//! /// A host: jobs go to the store, whose answers come back as inputs; frames go to the session.
//! fn run(chum: &mut Chum, now: Now, inputs: Vec<Input>, store: &mut dyn FnMut(Output) -> Option<Input>,
//!        session: &mut dyn FnMut(BytesMut)) -> Result<(), ChumError> {
//!     for input in inputs {
//!         chum.handle(now, input)?;
//!     }
//!     while let Some(job) = chum.poll() {
//!         store(job).map_or(Ok(()), |answer| chum.handle(now, answer))?; // in order; durable before the answer
//!     }
//!     let mut frame = BytesMut::new();
//!     while chum.poll_frame(&mut frame) { // while the link has room
//!         session(frame.split());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # What holds
//!
//! - **Nothing is lost.** An acknowledgement follows the durable import, and the cursor is durable with the
//!   objects. Cut anywhere, the next session begins where the durable part ends, and sends nothing of it again.
//! - **No hole is ever visible.** In the log children precede parents, and no [`Lane`] overtakes what its objects link to,
//!   but for what others wrote: until that has come, the receiver sets aside what links to it.
//! - **Bulk never delays a message.** What someone waits for leaves before all else, has credit of its own, and is
//!   stored at once at the other end.
//! - **Memory is bounded.** A receiver holds at most what may be unacknowledged ([`WINDOW_BYTES`],
//!   [`WINDOW_OBJECTS`]), a sender two pages of each lane of its log; of what was sent it keeps numbers only.
//! - **Nothing foreign is kept unchecked.** Ids are computed, encodings checked, sizes and counts compared, before
//!   anything leaves for the store. The first broken rule ends the session, with the rule's name.
//! - **Agreement is seen, not hoped for.** Both ends compare fingerprints of snapshots that cannot be stale, and
//!   fall silent.
//!
//! # Reconciliation
//!
//! Where no cursor counts, where both logs have grown long, and where two sets are found different though
//! everything was exchanged, both ends find out first what either lacks: [`recon`] computes, the machine's rounds
//! decide who says what. A host that keeps a sketch of its view ([`Chum::with_past`]) has its cells go out along with
//! HELLO where that is of use, and no one reads a whole log for a small difference. What is found leaves as
//! soon as its range has been read, if it links to nothing; the rest follows in the order of the log.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod agree;
mod api;
pub mod blob;
mod config;
mod error;
mod fingerprint;
mod found;
mod incoming;
mod lane;
mod machine;
mod news;
mod outgoing;
pub mod recon;
mod reconcile;
mod relay;
mod start;
mod view;
pub mod wire;

pub use api::{Acked, Event, Flow, ImportOutcome, Input, Output, Progress, Refusal, StoreFailure};
pub use config::{Config, MAX_OBJECT, RESERVE_BYTES, RESERVE_OBJECTS, WINDOW_BYTES, WINDOW_OBJECTS};
pub use error::{ChumError, Fault};
pub use fingerprint::{Fingerprint, Fingerprinter, PairKey};
pub use lane::{LANES, Lane, Lanes, Positions};
pub use machine::Chum;
pub use view::{Cursor, Entry, Epoch, NO_EPOCH, Past, ViewHead};
