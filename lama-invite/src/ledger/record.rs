//! What is stored of an invitation at the inviter's side.

use alloc::string::String;
use core::fmt;

use lama_core::WallTime;
use lama_identity::{NoisePublic, PersonId};
use serde::{Deserialize, Serialize};

use crate::invitation::{Invitation, Policy};
use crate::secret::{Locator, Psk};

/// Who used a token, in which handshake, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The Noise key that the joiner proved.
    pub by_static: NoisePublic,
    /// The person that the joiner proved.
    pub by_person: PersonId,
    /// The handshake hash of the session in which it was used.
    #[serde(with = "serde_bytes")]
    pub h: [u8; 32],
    /// When, by the inviter's wall clock, in milliseconds since the Unix epoch.
    pub t: u64,
}

impl Use {
    /// Whether this is the same joiner: same instance key and same person.
    #[must_use]
    pub fn is_by(&self, by_static: &NoisePublic, by_person: PersonId) -> bool {
        self.by_static == *by_static && self.by_person == by_person
    }
}

/// Why a token was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokeReason {
    /// The inviter took the invitation back.
    Withdrawn,
    /// The inviter denied the joiner who used it, or the check code differed.
    Denied,
    /// The store was restored from a backup, so nobody knows what was spent since.
    Restored,
    /// The wall clock was wrong and has been corrected.
    Clock,
}

/// The life of a token. It only ever goes forward: `Issued` to `Consumed`, `Revoked` or `Expired`; `Consumed` to
/// `Completed` or `Revoked`. No state is entered twice, so a [`StateTag`] is enough for compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// Open: whoever holds the link may pair.
    Issued,
    /// Used: a contact is pending. Only the same joiner may come again.
    Consumed(Use),
    /// The pairing is complete on this side.
    Completed(Use),
    /// Taken back.
    Revoked {
        /// Why.
        reason: RevokeReason,
        /// When, in milliseconds since the Unix epoch.
        t: u64,
    },
    /// Ran out unused.
    Expired {
        /// When this was noticed, in milliseconds since the Unix epoch.
        t: u64,
    },
}

/// The state without its data: what a compare-and-set compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StateTag {
    /// [`TokenState::Issued`]
    Issued = 1,
    /// [`TokenState::Consumed`]
    Consumed = 2,
    /// [`TokenState::Completed`]
    Completed = 3,
    /// [`TokenState::Revoked`]
    Revoked = 4,
    /// [`TokenState::Expired`]
    Expired = 5,
}

impl TokenState {
    /// The state without its data.
    #[must_use]
    pub const fn tag(&self) -> StateTag {
        match self {
            Self::Issued => StateTag::Issued,
            Self::Consumed(_) => StateTag::Consumed,
            Self::Completed(_) => StateTag::Completed,
            Self::Revoked { .. } => StateTag::Revoked,
            Self::Expired { .. } => StateTag::Expired,
        }
    }

    /// Who used the token, if somebody did and it stands.
    #[must_use]
    pub const fn used(&self) -> Option<&Use> {
        match self {
            Self::Consumed(by) | Self::Completed(by) => Some(by),
            _ => None,
        }
    }

    /// Whether the state may follow `self`.
    #[must_use]
    pub fn may_become(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Issued, next) => !matches!(next, Self::Issued | Self::Completed(_)),
            (Self::Consumed(by), Self::Completed(same)) => by == same,
            (Self::Consumed(_), Self::Revoked { .. }) => true,
            _ => false,
        }
    }
}

impl fmt::Display for StateTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Issued => "issued",
            Self::Consumed => "consumed",
            Self::Completed => "completed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        })
    }
}

/// One invitation as the inviter keeps it. The token itself is not kept: the link is shown once, and what the
/// handshake needs is `psk`, which is wiped as soon as nobody can come back with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The public name, and the key in the store.
    pub locator: Locator,
    /// The secret of the handshake; `None` once revoked or expired.
    pub psk: Option<Psk>,
    /// What happens when somebody joins.
    pub policy: Policy,
    /// What the inviter called it, for his own list.
    pub label: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub issued: u64,
    /// When it ends, in seconds since the Unix epoch, as the invitation says.
    pub exp: u64,
    /// Where it stands.
    pub state: TokenState,
}

impl TokenRecord {
    /// The record of a fresh invitation.
    #[must_use]
    pub fn issued(invitation: &Invitation, label: &str, now: WallTime) -> Self {
        Self {
            locator: invitation.locator(),
            psk: Some(invitation.psk()),
            policy: invitation.policy(),
            label: label.into(),
            issued: now.0,
            exp: invitation.exp().unix_seconds(),
            state: TokenState::Issued,
        }
    }

    /// When it ends.
    #[must_use]
    pub const fn exp(&self) -> WallTime {
        WallTime::from_unix_seconds(self.exp)
    }

    /// The record with another state; the secret goes where nobody can use it any more.
    #[must_use]
    pub(crate) fn with(&self, state: TokenState) -> Self {
        let mut next = self.clone();
        if matches!(state, TokenState::Revoked { .. } | TokenState::Expired { .. }) {
            next.psk = None;
        }
        next.state = state;
        next
    }
}
