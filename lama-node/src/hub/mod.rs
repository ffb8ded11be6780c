//! The hub: who is known, who is connected, whom to dial, what strangers may cost.

mod answers;
mod book;
mod denied;
mod dial;
mod direct;
mod effects;
mod familiar;
mod limits;
mod load;
mod nearby;
mod off;
mod peers;
mod probe;
mod rng;
mod timers;

pub(crate) use book::{Book, Known, NOTES, Note, setting, setting_id};
pub(crate) use denied::Denied;
pub(crate) use dial::{Dial, Purpose};
pub(crate) use effects::Effect;
pub use familiar::Familiar;
pub(crate) use limits::Limits;
pub(crate) use load::ENDPOINT;
pub(crate) use off::RoutesOff;
pub(crate) use peers::{Peer, PeerNote};
pub(crate) use probe::Probes;
pub(crate) use rng::Rng;
pub(crate) use timers::{Timer, Timers};
