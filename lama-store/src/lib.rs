//! What a LAMA instance keeps, and who may see it.
//!
//! This crate decides what is stored and where: the object log; a **view log** for each person, in which an id
//! stands once, with the fingerprint of the set towards each of his instances; contacts, trust, tokens, peers,
//! settings; and the indexes of channels, endpoints and access rules. It decides what a share reaches (content
//! links, children first, and never beyond what the author of a link may see himself), what an import brings (the
//! objects become visible to the person who sent them, and to nobody else) and what is set aside until a missing
//! link comes.
//!
//! It refuses to know protocols, sockets and clocks, and does not choose where it runs: it is one owner with one
//! method, [`Store::execute`], which takes plain [`Request`]s and gives plain [`Reply`]s. A host gives it a thread,
//! or a worker in a browser, and hands it whatever has come in meanwhile, all at once: the commits of one call
//! share one durable commit of the engine. What it rests on is an [`Engine`], ordered keys with atomic and durable
//! batches: [`Memory`], or on disk `Redb` (feature `redb`, on by default; why that one: `docs/store-engine.md`).
//!
//! ```
//! use bytes::Bytes;
//! use lama_core::Seed;
//! use lama_identity::Cid;
//! use lama_store::{Config, Memory, Opening, Read, Reply, Request, StorageKey, Store, StoreError, Write};
//!
//! # fn main() -> Result<(), StoreError> {
//! let seed = Seed::danger_fixed([1; 32]); // drawn by the host: names this life of the store
//! let key = StorageKey::danger_fixed([2; 32]); // kept by the host in its key file
//! let mut store = Store::open(Memory::default(), Config::default(), &key, seed, Opening::Normal)?;
//! let chunk = Bytes::from_static(b"hello");
//! let id = Cid::of_chunk(&chunk);
//! let put = Request::Commit(vec![Write::Put { objects: vec![(id, chunk.clone())] }]);
//! for reply in store.execute(&[put, Request::Read(Read::Object(id))]) {
//!     match reply? {
//!         Reply::Committed(done) => assert_eq!(done.stored, 1), // durable now
//!         other => assert_eq!(other, Reply::Object(Some(chunk.clone()))),
//!     }
//! }
//! let engine = store.close()?; // in good order: the next life keeps the epoch
//! # let _ = engine;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants, stated as absences:
//! - Nothing is answered before it is durable, but by [`Store::stage`]; no commit is seen in part, whatever stops the process or the
//!   machine (`tests/kill.rs`, `tests/faults.rs`).
//! - No person's view holds an id twice, or an object whose links it does not hold as far as they may be followed.
//! - No object takes effect (as channel entry, endpoint, access rule) without its author's verified signature.
//! - Nothing is read or exchanged for a person who is no established contact.
//! - No token, pair key or setting reaches an engine unsealed ([`StorageKey`]).
//! - No cursor of another life is trusted: a store that was restored, or not closed, takes a new epoch.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod access;
pub mod api;
mod check;
mod codec;
mod collect;
mod compact;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod engine;
mod error;
mod explain;
mod hot;
mod import;
mod index;
mod layout;
mod links;
mod opening;
mod peer;
mod quota;
mod read;
mod records;
mod repair;
mod retain;
mod revoke;
mod seal;
mod share;
mod store;
mod typed;
mod view;
mod views;

pub use api::*;
pub use check::Checked;
pub use collect::Collected;
pub use compact::Compacted;
pub use config::Config;
pub use engine::{Engine, Memory};
#[cfg(feature = "redb")]
pub use engine::{Redb, RedbOptions, Rewritten};
pub use error::StoreError;
pub use opening::Opening;
pub use repair::Repaired;
pub use seal::StorageKey;
pub use store::Store;
