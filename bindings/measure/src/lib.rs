//! What the benches of the bindings share (`cargo xtask bench bindings`): an allocator that counts, and records sealed
//! and opened with nothing around them. The program beside it is the native side, the one that the others are compared with.
//!
//! The modules for other languages have this in them only when they are built with their feature `measure`.

#![warn(missing_docs)]

mod counting;
mod records;

pub use counting::{Counting, allocations};
pub use records::Records;
