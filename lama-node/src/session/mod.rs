//! One link: handshake, then pairing or CHUM on the same connection.

mod chum;
mod end;
mod gate;
mod initiator;
mod link;
mod live;
mod ping;
mod responder;

pub(crate) use chum::is_complete;
pub(crate) use link::{Link, Stage, Way};
pub(crate) use live::{Gate, Live};
