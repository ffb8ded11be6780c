//! Nodes in memory: in-order frames, virtual time, stores that survive restarts.

mod blobs;
mod confirm;
mod debug;
mod direct;
mod groups;
mod harness;
mod hidden;
mod hostile;
mod life;
mod limits;
mod nearby;
mod off;
mod pairing;
mod person_key;
mod ping;
mod puppet;
mod refusals;
mod rotating;
mod sync;

use harness::{DELAY, World, ms, secs};
