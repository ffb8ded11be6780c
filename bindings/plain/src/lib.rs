//! A whole LAMA instance as plain data: what the bindings for other languages share.
//!
//! **Decides** how a node, its store and its keys are one object ([`Instance`]) that is fed and asked, and what crosses
//! the border of a language: records and enums of text, numbers and bytes, errors with a stable `code`. Storage and
//! signing are answered inside, at once; what is left for the host is time, entropy, sockets and a place for the bytes
//! of the store.
//!
//! **Refuses to know** any language, runtime, socket or clock. It is pull only: nothing is called back.
//!
//! The loop of a host, in any language:
//!
//! ```
//! use lama_bindings::{At, Command, Instance, Keys, Limits, Output, Reply};
//! use lama_store::Memory;
//!
//! # fn main() -> Result<(), lama_bindings::Problem> {
//! let at = At { mono_ms: 0, wall_ms: 1_800_000_000_000 }; // the host's clocks
//! let entropy = [7; 32]; // drawn for this one use, each time
//! let keys = Keys::create("ada@lama.local", "desk", entropy, at.wall_ms)?;
//! let mut instance = Instance::open(keys, Memory::default(), &Limits::default(), [8; 32], at)?;
//! instance.command(1, Command::Status, [9; 32], at)?;
//! while let Some(output) = instance.poll(at) {
//!     match output {
//!         Output::Dial { .. } => {}   // open a WebSocket, then `link_up` or `dial_failed`
//!         Output::Close { .. } => {}  // send what `poll_frame` still has, then close it, then `link_down`
//!         Output::Reply { ticket, reply: Reply::Status { status } } => {
//!             assert_eq!((ticket, status.me.email.as_str()), (1, "ada@lama.local"));
//!         }
//!         _ => {}                     // show an event
//!     }
//! }
//! while let Some(link) = instance.next_ready_link() {
//!     while let Some(_frame) = instance.poll_frame(link) { /* send it; only while the link has room */ }
//! }
//! let _sleep_until = instance.poll_timeout(); // then `handle_timeout`
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod behind;
mod command;
#[cfg(feature = "conformance")]
pub mod conformance;
mod enrol;
mod error;
mod event;
mod files;
mod instance;
mod keys;
mod link;
mod record;
mod reply;
mod sessions;
mod shared;

pub use command::{Command, QuotaLimits};
pub use enrol::Enrolling;
pub use error::Problem;
pub use event::{Event, Output};
pub use files::{Blob, FileEntry, MAX_RANGE, Made, Tree};
pub use instance::{At, DialCause, Instance, Limits, LinkCause, LinkOrigin};
pub use keys::{Identity, Keys};
pub use record::{
    Blocked, Channel, Contact, ContactInstance, Explanation, Flow, InstanceStanding, Invitation, Message,
    OwnInstance, Pairing, Peer, PeerStatus, Quota, Relay, Route, Rule, SharedItem, Status,
};
pub use reply::Reply;
pub use sessions::{Head, KnownPeer, MadeInvitation, SessionStep, Sessions};

/// A code that shows a text to a camera: an SVG document, black on white, `module` pixels to a module.
///
/// # Errors
/// `invite.qr-too-long` above 2,953 bytes.
pub fn qr_svg(text: &str, module: u32) -> Result<String, Problem> {
    Ok(lama_invite::qr::Qr::of(text)?.to_svg(module))
}

/// What an invitation says about itself, without taking it: for a page that asks before it joins.
///
/// # Errors
/// What is wrong with the link.
pub fn look_at_invitation(link: &str) -> Result<InvitationLook, Problem> {
    let invitation = lama_invite::parse_unchecked(link)?;
    Ok(InvitationLook {
        urls: invitation.routes().iter().map(|route| route.url.to_string()).collect(),
        person: invitation.r_person_id().full(),
    })
}

/// See [`look_at_invitation`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvitationLook {
    /// Where it leads, best first.
    pub urls: Vec<String>,
    /// Whose it says it is; nothing is proved.
    pub person: String,
}
