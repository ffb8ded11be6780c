//! The group `debug`: a contact asks how this instance sees their session, and is told where that is allowed.
//!
//! `docs/protocol/groups.md` is the specification. What is told are numbers, codes and times: no names, no texts, nothing
//! of third persons.

mod serve;
mod view;

pub(crate) use serve::{ALLOWED, DEBUG};
pub use view::{Ask, View};
