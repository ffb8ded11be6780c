//! (front page to come) What is stored and who may see it.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod api;
mod config;
mod error;

pub use api::*;
pub use config::Config;
pub use error::StoreError;
