//! Pairing: two persons become contacts, and both sides agree on it whatever happens in between.

mod activate;
mod admit;
mod decided;
mod join;
mod remove;

pub(crate) use admit::{known_writes, outcome, token_writes};
pub(crate) use join::{JOINS, Join};
