//! The address of a relay: `wss://host[:port][/path]#k=PIN`, with the pin of its key in the fragment.

use alloc::string::String;
use core::fmt;

use data_encoding::BASE64URL_NOPAD;
use lama_identity::SignPublic;
use lama_invite::{Route, RouteUrl, UrlProblem, Via};
use sha2::{Digest, Sha256};

use crate::{RouteId, signed_host};

/// Why a text is no address of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressProblem {
    /// The URL before the fragment.
    Url(UrlProblem),
    /// There is no `#k=` with 43 characters of base64url behind it.
    Pin,
}

impl AddressProblem {
    /// A stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Url(_) => "relay-address-url",
            Self::Pin => "relay-address-pin",
        }
    }
}

impl fmt::Display for AddressProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(problem) => write!(f, "the address of the relay cannot be used: {problem}"),
            Self::Pin => f.write_str(
                "the address of the relay lacks its key; take all of what `lama relay run` prints, up to the end of `#k=...`",
            ),
        }
    }
}

impl core::error::Error for AddressProblem {}

/// Where a relay is, and which key it must prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAddress {
    /// Where to open the WebSocket.
    pub url: RouteUrl,
    /// SHA-256 of the relay's Ed25519 key.
    pub pin: [u8; 32],
}

impl RelayAddress {
    /// Reads what `Display` writes.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressProblem> {
        let (url, fragment) = text.split_once('#').ok_or(AddressProblem::Pin)?;
        let encoded = fragment.strip_prefix("k=").ok_or(AddressProblem::Pin)?;
        let decoded = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| AddressProblem::Pin)?;
        let pin = decoded.try_into().map_err(|_| AddressProblem::Pin)?;
        Ok(Self { url: RouteUrl::parse(url).map_err(AddressProblem::Url)?, pin })
    }

    /// The address of the relay with this key.
    #[must_use]
    pub fn new(url: RouteUrl, key: &SignPublic) -> Self {
        Self { url, pin: pin_of(key.as_bytes()) }
    }

    /// The host as registrations sign it.
    #[must_use]
    pub fn signed_host(&self) -> String {
        signed_host(self.url.host())
    }

    /// The route of the instance with this route key here.
    #[must_use]
    pub fn route(&self, route_key: &SignPublic) -> Route {
        let via = Via { relay_pin: self.pin, route_id: RouteId::of(route_key).0 };
        Route { url: self.url.clone(), via: Some(via) }
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#k={}", self.url, BASE64URL_NOPAD.encode(&self.pin))
    }
}

/// The pin of a relay's key.
pub(crate) fn pin_of(relay_key: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(relay_key).into()
}
