//! The invitation: what it holds, how it is made, and what both sides derive from it.

use alloc::vec::Vec;
use core::time::Duration;

use hkdf::Hkdf;
use lama_core::{Seed, WallTime};
use lama_identity::{NoisePublic, PersonId, PersonPin};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::config::{Config, MAX_ROUTES};
use crate::error::InviteError;
use crate::route::{DialRules, HostClass, Route};
use crate::secret::{Locator, Psk, Token};
use crate::wire;

/// The version of the format that this crate writes, and the newest it reads.
pub const VERSION: u64 = 1;
/// The cipher suite of version 1: `25519_ChaChaPoly_SHA256`.
pub const SUITE: u64 = 1;

/// What happens when a joiner has proved that he holds the invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Both persons become contacts at once: for two instances on one desk.
    Auto,
    /// The contact stays pending until the inviter has compared name and check code, and approves.
    Confirm,
}

/// What goes into a new invitation. The token is drawn from the seed of [`Invitation::create`].
#[derive(Debug, Clone)]
pub struct Draft {
    /// The Noise key of the inviting instance (never a key of the person).
    pub r_static: NoisePublic,
    /// The inviting person.
    pub r_person_id: PersonId,
    /// SHA-256 of the inviting person's signing key.
    pub r_person_pin: PersonPin,
    /// Where the instance is reached, best first: 1 to [`MAX_ROUTES`].
    pub routes: Vec<Route>,
    /// What happens when somebody joins.
    pub policy: Policy,
    /// How long it can be used. `None` takes [`Config::default_lifetime`].
    pub lifetime: Option<Duration>,
}

/// An invitation, as the inviter made it or the joiner read it. It contains the secret: whoever holds it may
/// pair, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub(crate) token: Token,
    pub(crate) r_static: NoisePublic,
    pub(crate) r_person_id: PersonId,
    pub(crate) r_person_pin: PersonPin,
    pub(crate) routes: Vec<Route>,
    pub(crate) policy: Policy,
    pub(crate) exp: u64,
    /// Computed once, where encoding can still report an error.
    pub(crate) info: [u8; 32],
}

impl Invitation {
    /// Makes an invitation; the token is the seed itself.
    ///
    /// It ends at a whole second: the first at or after `now + lifetime`.
    ///
    /// # Errors
    /// [`InviteError::Lifetime`] for a lifetime of zero or above the limit, [`InviteError::RouteCount`] for no
    /// routes or too many, [`InviteError::LinkTooLong`] if they do not fit into an invitation.
    pub fn create(draft: Draft, config: &Config, now: WallTime, seed: Seed) -> Result<Self, InviteError> {
        let lifetime = draft.lifetime.unwrap_or(config.default_lifetime);
        if lifetime.is_zero() || lifetime > config.max_lifetime {
            return Err(InviteError::Lifetime { asked: lifetime, max: config.max_lifetime });
        }
        if draft.routes.is_empty() || draft.routes.len() > MAX_ROUTES {
            return Err(InviteError::RouteCount { found: draft.routes.len() });
        }
        let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let exp = now.0.saturating_add(millis).div_ceil(1000);
        let mut secret = seed.expose();
        let mut invitation = Self {
            token: Token::take(&mut secret),
            r_static: draft.r_static,
            r_person_id: draft.r_person_id,
            r_person_pin: draft.r_person_pin,
            routes: draft.routes,
            policy: draft.policy,
            exp,
            info: [0; 32],
        };
        invitation.info = wire::info(&invitation)?;
        wire::encode(&invitation)?;
        Ok(invitation)
    }

    /// The Noise key of the inviting instance.
    #[must_use]
    pub const fn r_static(&self) -> &NoisePublic {
        &self.r_static
    }

    /// The inviting person.
    #[must_use]
    pub const fn r_person_id(&self) -> PersonId {
        self.r_person_id
    }

    /// SHA-256 of the inviting person's signing key.
    #[must_use]
    pub const fn r_person_pin(&self) -> PersonPin {
        self.r_person_pin
    }

    /// Where the inviter is reached, best first. Not all may be dialled: see [`Invitation::dialable`].
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// What happens at the inviter when somebody joins.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// When it ends.
    #[must_use]
    pub const fn exp(&self) -> WallTime {
        WallTime::from_unix_seconds(self.exp)
    }

    /// The secret, as for a vector. Everything else needs only [`Invitation::psk`] and [`Invitation::locator`].
    #[must_use]
    pub const fn danger_token(&self) -> &Token {
        &self.token
    }

    /// The routes that the rules allow, best first.
    pub fn dialable(&self, rules: DialRules) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(move |route| rules.allows(route.url.class()))
    }

    /// Everything the joiner checks before he dials, but for the syntax: end, person, routes.
    ///
    /// # Errors
    /// [`InviteError::Expired`], [`InviteError::SamePerson`] or [`InviteError::NotAllowed`].
    pub fn check(&self, now: WallTime, me: Option<PersonId>, rules: DialRules) -> Result<(), InviteError> {
        if me == Some(self.r_person_id) {
            return Err(InviteError::SamePerson { person: self.r_person_id, inviter: self.r_static });
        }
        if now >= self.exp() {
            return Err(InviteError::Expired { exp: self.exp(), now });
        }
        if self.dialable(rules).next().is_none() {
            let class =
                self.routes.iter().map(|route| route.url.class()).min().unwrap_or(HostClass::Unreachable);
            return Err(InviteError::NotAllowed { class });
        }
        Ok(())
    }

    /// `SHA-256` of the invitation without its token: what binds every other field to the handshake.
    #[must_use]
    pub const fn info(&self) -> [u8; 32] {
        self.info
    }

    /// The encoded invitation, canonical DAG-CBOR, as the joiner stores it until the pairing is complete. Secret.
    ///
    /// # Errors
    /// None for an invitation that was made or read by this crate.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, InviteError> {
        wire::encode(self)
    }

    /// Reads what [`Invitation::to_bytes`] gave.
    ///
    /// # Errors
    /// As [`parse`](crate::parse), but for the checks against clock, person and dial rules.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InviteError> {
        wire::decode(bytes)
    }

    /// The pre-shared key of the pairing handshake. Any changed field gives another one.
    #[must_use]
    pub fn psk(&self) -> Psk {
        let mut okm = [0; 32];
        self.derive(b"LAMA/pair/1 psk", &mut okm);
        Psk::take(&mut okm)
    }

    /// The public name under which the inviter finds the invitation.
    #[must_use]
    pub fn locator(&self) -> Locator {
        let mut okm = [0; 16];
        self.derive(b"LAMA/pair/1 locator", &mut okm);
        Locator::new(okm)
    }

    /// `HKDF-SHA256(salt, ikm = token, info)`, RFC 5869.
    fn derive(&self, salt: &[u8], okm: &mut [u8]) {
        let hkdf = Hkdf::<Sha256>::new(Some(salt), self.token.expose());
        if hkdf.expand(&self.info, okm).is_err() {
            // Unreachable for 16 and 32 bytes; never leave a half-filled secret in use.
            okm.zeroize();
        }
    }
}
