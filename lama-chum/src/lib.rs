//! CHUM: two instances find what one has and the other lacks, move it, and keep moving every change.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod agree;
mod api;
mod config;
mod error;
mod fingerprint;
mod incoming;
mod machine;
mod outgoing;
mod start;
mod view;
pub mod wire;

pub use api::{Event, Flow, ImportOutcome, Input, Output, Progress, Refusal, StoreFailure};
pub use config::{Config, MAX_OBJECT, WINDOW_BYTES, WINDOW_OBJECTS};
pub use error::{ChumError, Fault};
pub use fingerprint::{Fingerprint, Fingerprinter, PairKey};
pub use machine::Chum;
pub use view::{Cursor, Entry, Epoch, NO_EPOCH, ViewHead};
