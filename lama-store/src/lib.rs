//! (front page to come) What is stored and who may see it.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod access;
pub mod api;
mod check;
mod codec;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod engine;
mod error;
mod hot;
mod import;
mod layout;
mod read;
mod recent;
mod records;
mod share;
mod store;
mod typed;
mod view;

pub use api::*;
pub use check::Checked;
pub use config::Config;
pub use engine::{Engine, Memory};
#[cfg(feature = "redb")]
pub use engine::{Redb, RedbOptions};
pub use error::StoreError;
pub use store::{Opening, Store};
