//! Invitations: how two people who do not know each other's instances begin.
//!
//! **Decides** what an invitation holds and how it is written as a link or a QR code; what the joiner checks before
//! he touches the network; what both sides derive from it for the handshake ([`Psk`], [`Locator`]); and, at the
//! inviter, who spends a token, exactly once, when it ends, and when it is revoked ([`Ledger`]).
//!
//! **Refuses to decide** how bytes travel, who is a contact, and what is stored where: the ledger hands out
//! [`Change`]s and learns what became of them.
//!
//! ```
//! use core::time::Duration;
//! # use lama_core::{Instant, Now, Seed, WallTime};
//! # use lama_identity::{NoiseSecret, PersonId, PersonPin};
//! use lama_invite::{Admission, Config, DialRules, Draft, Invitation, Ledger, Outcome, Policy, Route, Settled};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let now = Now { mono: Instant::ORIGIN, wall: WallTime::from_unix_seconds(1_800_000_000) };
//! # let instance = NoiseSecret::from_seed(Seed::danger_fixed([1; 32]));
//! # let joiner = NoiseSecret::from_seed(Seed::danger_fixed([2; 32]));
//! # let (me, other, seed, h) = (PersonId([3; 32]), PersonId([4; 32]), Seed::danger_fixed([5; 32]), [6; 32]);
//! let draft = Draft {
//!     r_static: *instance.public(),
//!     r_person_id: me,
//!     r_person_pin: PersonPin([7; 32]),
//!     routes: vec![Route::direct("ws://localhost:8765")?],
//!     policy: Policy::Auto,
//!     lifetime: Some(Duration::from_secs(600)),
//! };
//! let invitation = Invitation::create(draft, &Config::default(), now.wall, seed)?;
//! let mut ledger = Ledger::new(Config::default(), [], None, now);
//! let change = ledger.issue(now, &invitation, "for Eve")?; // store it, then:
//! assert_eq!(ledger.settle(now, change.ticket, Outcome::Stored), Settled::Done);
//! let link = invitation.to_link(lama_invite::LAMA_BASE)?;
//!
//! // The joiner, on another machine:
//! let read = lama_invite::parse(&link, now.wall, Some(other), DialRules::default())?;
//! assert_eq!((read.psk(), read.locator()), (invitation.psk(), invitation.locator()));
//!
//! // The inviter: the first message names the locator, the third proves the secret.
//! let found = ledger.lookup(now, &read.locator())?;
//! assert_eq!(found.psk, read.psk());
//! let admission = ledger.consume(now, &read.locator(), *joiner.public(), other, h)?;
//! assert!(matches!(admission, Admission::Store(_))); // with the pending contact, in one commit
//! # Ok(())
//! # }
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod config;
mod error;
mod invitation;
mod ledger;
mod link;
#[cfg(feature = "qr")]
pub mod qr;
mod route;
mod route_text;
mod secret;
mod wire;

pub use config::{Config, MAX_HOST, MAX_INVITATION, MAX_LINK, MAX_ROUTES, MAX_URL};
pub use error::{Bucket, Damage, InviteError};
pub use invitation::{Draft, Invitation, Policy, SUITE, VERSION};
pub use ledger::{
    Admission, Blocked, Change, Entry, Event, Found, Ledger, Outcome, Output, RevokeReason, Settled, Source,
    StateTag, Step, TokenRecord, TokenState, Use,
};
pub use link::{LAMA_BASE, parse, parse_unchecked};
pub use route::{DialRules, HostClass, LinkOrigin, Route, RouteUrl, UrlProblem, Via, classify_ip};
pub use route_text::ROUTE_SEPARATOR;
pub use secret::{Locator, Psk, Token};
