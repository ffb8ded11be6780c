//! A route as one line of text: what endpoints announce and contacts remember.

use alloc::vec::Vec;
use core::fmt;

use data_encoding::BASE64URL_NOPAD;

use crate::route::{Route, RouteUrl, UrlProblem, Via};

/// Between the routes of one endpoint: a character that no URL holds.
pub const ROUTE_SEPARATOR: char = '|';

impl Route {
    /// Reads what `Display` writes: a URL, for a route through a relay followed by `#k=PIN&r=ROUTE`, each 43 characters of
    /// base64url.
    ///
    /// # Errors
    /// The rule that is broken; [`UrlProblem::Query`] for any other fragment.
    pub fn parse(text: &str) -> Result<Self, UrlProblem> {
        let Some((url, fragment)) = text.split_once('#') else { return Self::direct(text) };
        let (pin, id) =
            fragment.strip_prefix("k=").and_then(|rest| rest.split_once("&r=")).ok_or(UrlProblem::Query)?;
        let via = Via { relay_pin: name(pin)?, route_id: name(id)? };
        Ok(Self { url: RouteUrl::parse(url)?, via: Some(via) })
    }
}

fn name(text: &str) -> Result<[u8; 32], UrlProblem> {
    let bytes: Vec<u8> = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| UrlProblem::Query)?;
    bytes.try_into().map_err(|_| UrlProblem::Query)
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)?;
        match &self.via {
            None => Ok(()),
            Some(via) => {
                let encode = |name: &[u8; 32]| BASE64URL_NOPAD.encode(name);
                write!(f, "#k={}&r={}", encode(&via.relay_pin), encode(&via.route_id))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn routes_read_back_and_half_a_relay_is_none() {
        let via = Via { relay_pin: [1; 32], route_id: [0xfe; 32] };
        for via in [None, Some(via)] {
            let route = Route { url: RouteUrl::parse("wss://relay.example:8770/x").unwrap(), via };
            assert_eq!(Route::parse(&route.to_string()), Ok(route.clone()));
            assert!(!route.to_string().contains(ROUTE_SEPARATOR));
        }
        for fragment in ["", "k=", "k=AA&r=AA", "r=AA&k=AA", "k=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
        {
            let text = std::format!("ws://relay.example#{fragment}");
            assert_eq!(Route::parse(&text), Err(UrlProblem::Query), "{text}");
        }
    }
}
