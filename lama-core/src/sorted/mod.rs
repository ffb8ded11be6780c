//! Ordered maps and sets that cost little code: each type of key and value has its own copy of a map's code in a
//! program, and a node's state is dozens of small maps. The standard library's map is some 10 KB for each of them,
//! a fifth of the module for JavaScript; these are a tenth of that.
//!
//! The entries lie in sorted runs of at most [`RUN`], found by two binary searches. Taking in or out moves what stands
//! behind it in its run and, once in many times, the list of runs (48 bytes for each): fast up to millions of
//! entries. The few maps that hold as many as there are objects are the standard library's all the same.

mod map;
mod set;

pub use map::{Entry, Iter, Range, SortedMap};
pub use set::SortedSet;

/// Most entries of a run.
const RUN: usize = 32;
