//! Seeded simulator for LAMA nodes: virtual time, links bounded in bytes, cuts at any byte, processes that are
//! killed around any durable write and come back from what was durable.
//!
//! It decides what a network and a disk may do to a node. It refuses to know any protocol: it moves frames, runs
//! store requests and keeps clocks, and it runs the same [`lama_node::Node`] that the adapters run.
//!
//! Everything is replayable: the same seed and the same calls give the same [`World::trace`].
//!
//! ```
//! use std::time::Duration;
//! use lama_sim::{ActorConfig, World, WorldConfig};
//!
//! let mut world = World::new(WorldConfig::default(), 1);
//! let ada = world.add(ActorConfig::new("ada@lama.local", Some("ws://localhost:1")));
//! let ben = world.add(ActorConfig::new("ben@lama.local", None));
//! assert_ne!(world.person(ada), world.person(ben));
//! world.run_for(Duration::from_secs(1));
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// The simulator is a test tool: a scenario that goes wrong has to stop with its place and reason.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod actor;
mod disk;
mod link;
pub mod model;
mod pipe;
mod rng;
mod trace;
mod world;

pub use actor::{ActorConfig, CrashPoint};
pub use disk::Disk;
pub use link::{Carried, LinkConfig};
pub use pipe::{Arrival, Pipe, PipeConfig};
pub use rng::Rng;
pub use world::{ActorId, Backup, World, WorldConfig};
