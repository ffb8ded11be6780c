//! Noise beside what others say of it: their vectors, their implementation, their hostile inputs; and the rules of the
//! cipher that neither shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cipher_state;
mod live;
mod vectors;
mod wycheproof;
