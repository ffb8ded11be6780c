//! The link: how an invitation travels between people.
//!
//! `BASE#PAYLOAD`, where `PAYLOAD` is base64url without padding (RFC 4648, 5) of the encoded invitation and four
//! check bytes. The check bytes let the joiner's program say "damaged" before it dials; without them a changed
//! character in the token would only show as a failed handshake, with no way to tell it from a spent token.

use alloc::string::String;
use alloc::vec::Vec;

use data_encoding::{BASE64URL_NOPAD, DecodeKind};
use lama_core::WallTime;
use lama_identity::PersonId;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::config::MAX_LINK;
use crate::error::{Damage, InviteError};
use crate::invitation::Invitation;
use crate::route::{DialRules, HostClass, RouteUrl};
use crate::wire;

/// The base of a link for a program registered for the `lama:` scheme, and for a command line.
pub const LAMA_BASE: &str = "lama://join";

/// Bytes that check the rest of the payload.
const CHECK: usize = 4;

impl Invitation {
    /// The link, with the secret in its fragment, which no browser sends to a server. `base` is [`LAMA_BASE`] or
    /// the `https:` address of a page; a fragment of its own is cut off.
    ///
    /// # Errors
    /// [`InviteError::WrongScheme`] for a base that [`parse`] would not take, [`InviteError::LinkTooLong`].
    pub fn to_link(&self, base: &str) -> Result<Zeroizing<String>, InviteError> {
        let base = base.split('#').next().unwrap_or_default();
        check_scheme(base)?;
        let mut bytes = Zeroizing::new(Vec::new());
        bytes.extend_from_slice(&self.to_bytes()?);
        let check = check_bytes(&bytes);
        bytes.extend_from_slice(&check);
        let mut link = Zeroizing::new(String::with_capacity(MAX_LINK));
        link.push_str(base);
        link.push('#');
        BASE64URL_NOPAD.encode_append(&bytes, &mut link);
        if link.len() > MAX_LINK {
            return Err(InviteError::LinkTooLong { len: link.len() });
        }
        Ok(link)
    }
}

/// Reads a link, and checks all that can be checked before any network access.
///
/// `now` is the joiner's clock, `me` the joiner's person (if there is one already), `rules` says what may be
/// dialled. The order is fixed: syntax of the link, damage, version, suite, key, routes, person, end, dial rules;
/// so the error names the first thing that is wrong.
///
/// # Errors
/// One variant of [`InviteError`] per rule, each with a text that says what to do.
pub fn parse(
    link: &str,
    now: WallTime,
    me: Option<PersonId>,
    rules: DialRules,
) -> Result<Invitation, InviteError> {
    let invitation = parse_unchecked(link)?;
    invitation.check(now, me, rules)?;
    Ok(invitation)
}

/// [`parse`] without the checks that depend on clock, person and dial rules: for looking at an invitation.
///
/// # Errors
/// As [`parse`], but for those three.
pub fn parse_unchecked(link: &str) -> Result<Invitation, InviteError> {
    let link = link.trim();
    if link.is_empty() {
        return Err(InviteError::NoLink);
    }
    if link.len() > MAX_LINK {
        return Err(InviteError::LinkTooLong { len: link.len() });
    }
    let (base, fragment) = match link.split_once('#') {
        Some((base, fragment)) => (base, fragment),
        None => (link, ""),
    };
    check_scheme(base)?;
    if fragment.is_empty() {
        return Err(InviteError::NoFragment);
    }
    wire::decode(&decode_fragment(fragment)?)
}

fn check_bytes(invitation: &[u8]) -> [u8; CHECK] {
    let mut hash = Sha256::new();
    hash.update(b"LAMA/link/1\0");
    hash.update(invitation);
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// Base64url and check bytes.
fn decode_fragment(fragment: &str) -> Result<Zeroizing<Vec<u8>>, InviteError> {
    if fragment.contains(char::is_whitespace) {
        return Err(InviteError::Damaged(Damage::WhiteSpace));
    }
    if !fragment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(InviteError::Damaged(Damage::Character));
    }
    let bytes = match BASE64URL_NOPAD.decode(fragment.as_bytes()) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) => {
            return Err(InviteError::Damaged(match error.kind {
                DecodeKind::Length => Damage::Truncated,
                // Bits beyond the last byte that are not zero: a second spelling of the same bytes.
                _ => Damage::Checksum,
            }));
        }
    };
    let (body, check) = bytes.split_last_chunk::<CHECK>().ok_or(InviteError::Damaged(Damage::Truncated))?;
    if check_bytes(body) != *check {
        return Err(InviteError::Damaged(Damage::Checksum));
    }
    Ok(Zeroizing::new(body.to_vec()))
}

/// `lama:` and `https:` anything, `http:` only for a page of this very machine. Where the base leads is never
/// dialled: everything is in the fragment.
fn check_scheme(base: &str) -> Result<(), InviteError> {
    let wrong = |found: &str| InviteError::WrongScheme { found: found.chars().take(16).collect() };
    let Some((scheme, rest)) = base.split_once(':') else { return Err(wrong("")) };
    let lower = scheme.to_ascii_lowercase();
    match lower.as_str() {
        "lama" => Ok(()),
        "https" if rest.starts_with("//") => Ok(()),
        "http" if is_local_page(rest) => Ok(()),
        _ => Err(wrong(scheme)),
    }
}

fn is_local_page(rest: &str) -> bool {
    let page = rest.split('?').next().unwrap_or_default();
    let url: String = ["ws:", page].concat();
    RouteUrl::parse(&url).is_ok_and(|url| url.class() == HostClass::Loopback)
}
