//! What both signatures of a registration are over, and the names of routes.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use data_encoding::BASE32_NOPAD;
use lama_identity::SignPublic;
use sha2::{Digest, Sha256};

use crate::wire::{Hello, Register};

/// Begins what the route key signs.
pub const REGISTER_LABEL: &[u8] = b"LAMA/relay/1\0register";
/// Begins what the relay's key signs. The labels differ, so neither signature can be sent back as the other.
pub const CONFIRM_LABEL: &[u8] = b"LAMA/relay/1\0confirm";

/// The public name of a route: SHA-256 of its key. Whoever knows it can ring there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub [u8; 32]);

impl RouteId {
    /// The name of the route with this key.
    #[must_use]
    pub fn of(route_key: &SignPublic) -> Self {
        Self(Sha256::digest(route_key.as_bytes()).into())
    }
}

/// Short: a route id lets its holder ring, so logs do not carry it whole.
impl fmt::Debug for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, ..] = self.0;
        write!(f, "RouteId({}..)", BASE32_NOPAD.encode(&[a, b, c, d, e]).to_ascii_lowercase())
    }
}

/// The host as it is signed: of the URL, in lower case, without port and brackets.
#[must_use]
pub fn signed_host(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

/// What a registration is bound to besides its own fields.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// What the relay said first.
    pub hello: &'a Hello,
    /// [`signed_host`] of the URL that was dialled, as the client knows it and the relay allows it.
    pub host: &'a str,
    /// The exporter of the TLS connection (label `EXPORTER-LAMA-relay`, no context), or zeros without TLS, and behind
    /// a proxy that ends TLS.
    pub exporter: &'a [u8; 32],
}

/// What the route key signs. Only one field varies in length, so no two sets of fields give the same bytes.
#[must_use]
pub fn register_input(
    binding: &Binding<'_>,
    route_key: &[u8; 32],
    client_nonce: &[u8; 32],
    exp: u64,
) -> Vec<u8> {
    input(REGISTER_LABEL, binding, route_key, client_nonce, exp)
}

/// What the relay's key signs in answer: the same under another label.
#[must_use]
pub fn confirm_input(binding: &Binding<'_>, register: &Register) -> Vec<u8> {
    input(CONFIRM_LABEL, binding, &register.route_key, &register.nonce, register.exp)
}

fn input(label: &[u8], binding: &Binding<'_>, route_key: &[u8; 32], nonce: &[u8; 32], exp: u64) -> Vec<u8> {
    [
        label,
        &binding.hello.relay_key,
        binding.host.as_bytes(),
        &binding.hello.nonce,
        nonce,
        route_key,
        binding.exporter,
        &exp.to_be_bytes(),
    ]
    .concat()
}
