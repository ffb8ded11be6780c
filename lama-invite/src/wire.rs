//! The encoded form of an invitation: one canonical DAG-CBOR map.

use alloc::string::String;
use alloc::vec::Vec;

use lama_identity::{NoisePublic, PersonId, PersonPin, cbor};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::config::{MAX_INVITATION, MAX_ROUTES};
use crate::error::{Damage, InviteError};
use crate::invitation::{Invitation, Policy, SUITE, VERSION};
use crate::route::{Route, RouteUrl, Via};
use crate::secret::Token;

/// `[url, relay pin or null, route id or null]`.
#[derive(Serialize, Deserialize)]
struct WireRoute(String, Option<ByteArray<32>>, Option<ByteArray<32>>);

/// The map. `token` is left out of what `info` hashes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u64,
    suite: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<ByteArray<32>>,
    r_static: ByteArray<32>,
    r_person_id: ByteArray<32>,
    r_person_pin: ByteArray<32>,
    routes: Vec<WireRoute>,
    policy: Policy,
    exp: u64,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(token) = &mut self.token {
            token.zeroize();
        }
    }
}

fn to_wire(invitation: &Invitation, token: Option<ByteArray<32>>) -> Wire {
    let route = |route: &Route| {
        let via = route.via.as_ref();
        WireRoute(
            route.url.as_str().into(),
            via.map(|via| ByteArray::new(via.relay_pin)),
            via.map(|via| ByteArray::new(via.route_id)),
        )
    };
    Wire {
        v: VERSION,
        suite: SUITE,
        token,
        r_static: ByteArray::new(*invitation.r_static.as_bytes()),
        r_person_id: ByteArray::new(*invitation.r_person_id.as_bytes()),
        r_person_pin: ByteArray::new(*invitation.r_person_pin.as_bytes()),
        routes: invitation.routes.iter().map(route).collect(),
        policy: invitation.policy,
        exp: invitation.exp,
    }
}

/// `SHA-256` of the map without `token`.
pub(crate) fn info(invitation: &Invitation) -> Result<[u8; 32], InviteError> {
    let public =
        cbor::encode(&to_wire(invitation, None)).map_err(|_| InviteError::Damaged(Damage::Encoding))?;
    Ok(Sha256::digest(&public).into())
}

/// The whole map, secret included.
pub(crate) fn encode(invitation: &Invitation) -> Result<Zeroizing<Vec<u8>>, InviteError> {
    let wire = to_wire(invitation, Some(ByteArray::new(*invitation.token.expose())));
    let bytes = cbor::encode(&wire).map_err(|_| InviteError::Damaged(Damage::Encoding))?;
    if bytes.len() > MAX_INVITATION {
        return Err(InviteError::LinkTooLong { len: bytes.len() });
    }
    Ok(Zeroizing::new(bytes.to_vec()))
}

/// Reads the map. The version is looked at first, so that a newer format is named as such whatever it holds.
pub(crate) fn decode(bytes: &[u8]) -> Result<Invitation, InviteError> {
    if bytes.len() > MAX_INVITATION {
        return Err(InviteError::LinkTooLong { len: bytes.len() });
    }
    let found = version(bytes).ok_or(InviteError::Damaged(Damage::Shape))?;
    if found > VERSION {
        return Err(InviteError::NewerVersion { found, known: VERSION });
    }
    cbor::check(bytes).map_err(|_| InviteError::Damaged(Damage::Encoding))?;
    let mut wire: Wire = cbor::decode(bytes).map_err(|_| InviteError::Damaged(Damage::Shape))?;
    if wire.v != VERSION {
        return Err(InviteError::Damaged(Damage::Shape));
    }
    if wire.suite != SUITE {
        return Err(InviteError::UnknownSuite { found: wire.suite });
    }
    if wire.routes.is_empty() || wire.routes.len() > MAX_ROUTES {
        return Err(InviteError::RouteCount { found: wire.routes.len() });
    }
    let routes = wire.routes.iter().map(from_wire_route).collect::<Result<Vec<_>, _>>()?;
    let token = wire.token.as_deref_mut().ok_or(InviteError::Damaged(Damage::Shape))?;
    let mut invitation = Invitation {
        token: Token::take(token),
        r_static: NoisePublic::try_from(*wire.r_static).map_err(|_| InviteError::BadKey)?,
        r_person_id: PersonId(*wire.r_person_id),
        r_person_pin: PersonPin(*wire.r_person_pin),
        routes,
        policy: wire.policy,
        exp: wire.exp,
        info: [0; 32],
    };
    invitation.info = info(&invitation)?;
    Ok(invitation)
}

fn from_wire_route(route: &WireRoute) -> Result<Route, InviteError> {
    let WireRoute(url, pin, id) = route;
    let via = match (pin, id) {
        (None, None) => None,
        (Some(pin), Some(id)) => Some(Via { relay_pin: **pin, route_id: **id }),
        // Half a relay is no way to anywhere.
        _ => return Err(InviteError::Damaged(Damage::Shape)),
    };
    Ok(Route { url: RouteUrl::parse(url).map_err(InviteError::BadUrl)?, via })
}

/// The version of an invitation of *any* version. Keys sort by length first, so `v` is always the first key
/// of the map: one byte of map head (at most 23 fields), `61 76`, and an unsigned integer in its shortest form.
fn version(bytes: &[u8]) -> Option<u64> {
    let [0xa1..=0xb7, 0x61, b'v', head, rest @ ..] = bytes else { return None };
    match head {
        0..=23 => Some(u64::from(*head)),
        24 => rest.first().map(|byte| u64::from(*byte)),
        25 => rest.first_chunk().map(|be| u64::from(u16::from_be_bytes(*be))),
        26 => rest.first_chunk().map(|be| u64::from(u32::from_be_bytes(*be))),
        27 => rest.first_chunk().map(|be| u64::from_be_bytes(*be)),
        _ => None,
    }
}
