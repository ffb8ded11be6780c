//! The receiver's checks of an Auth record. All are required; the order is from cheap to dear.

use lama_identity::{IdentityError, LogHead, NoisePublic, Object as _, PersonPin, cbor};

use super::{Expect, Peer, Sas, Signer, VERSION, Versions, Wire, role_number, to_sign};
use crate::wire::Binding;
use crate::{Group, HandshakeError, Mode, PinnedPerson, Role};

/// What this session and this side say of the peer before its Auth is read.
pub(crate) struct Expected<'a> {
    /// The receiver's own role.
    pub(crate) own_role: Role,
    pub(crate) mode: Mode,
    /// The group this side named, if it has.
    pub(crate) group: Option<Group>,
    pub(crate) h: [u8; 32],
    pub(crate) own: PinnedPerson,
    pub(crate) own_noise: NoisePublic,
    pub(crate) peer_noise: NoisePublic,
    pub(crate) expect: &'a Expect,
}

/// Reads and verifies an Auth record's body, whose length the record has bounded.
pub(crate) fn verify(body: &[u8], expected: &Expected<'_>) -> Result<(Peer, Option<Sas>), HandshakeError> {
    let wire: Wire = cbor::decode(body).map_err(|_| HandshakeError::AuthMalformed)?;
    fields(&wire)?;
    if wire.role != role_number(expected.own_role.opposite()) {
        return Err(HandshakeError::AuthRole);
    }
    version(wire.versions, expected.expect.versions)?;
    group(wire.group, expected)?;
    match (wire.sas, expected.mode) {
        (None, Mode::Pairing) => return Err(HandshakeError::SasMissing),
        (Some(_), Mode::Known) => return Err(HandshakeError::SasUnexpected),
        _ => {}
    }
    if wire.signer == Signer::Instance && expected.mode == Mode::Pairing {
        return Err(HandshakeError::AuthSigner);
    }
    person(&wire, expected)?;
    let named = signature(body, &wire, expected)?;
    let peer = Peer {
        identity: wire.identity,
        endpoint: wire.endpoint,
        group: wire.group,
        caps: wire.caps,
        pair_key: wire.pair_key_id,
        boot_id: wire.boot_id,
        signer: wire.signer,
        versions: wire.versions,
        named,
    };
    Ok((peer, wire.sas))
}

/// The rules of the objects' fields that decoding does not ask.
fn fields(wire: &Wire) -> Result<(), HandshakeError> {
    let identity = &wire.identity;
    let rules = [identity.person.validate(), identity.instance.validate(), wire.endpoint.validate()];
    match rules.into_iter().find_map(Result::err) {
        None => Ok(()),
        Some(IdentityError::TooLong { .. }) => Err(HandshakeError::AuthTooLong),
        Some(_) => Err(HandshakeError::AuthMalformed),
    }
}

fn version(theirs: Versions, ours: Versions) -> Result<(), HandshakeError> {
    let Versions(min, max) = theirs;
    if !(min..=max).contains(&VERSION) {
        return Err(HandshakeError::VersionUnsupported);
    }
    if max.min(ours.1) > VERSION {
        return Err(HandshakeError::Downgrade);
    }
    Ok(())
}

fn group(theirs: Group, expected: &Expected<'_>) -> Result<(), HandshakeError> {
    let same = expected.group.is_none_or(|ours| ours == theirs);
    if same && theirs.fits(expected.mode) { Ok(()) } else { Err(HandshakeError::AuthGroup) }
}

/// Who it is: keys, owners, certificate, pin, log.
fn person(wire: &Wire, expected: &Expected<'_>) -> Result<(), HandshakeError> {
    let identity = &wire.identity;
    if identity.noise() != &expected.peer_noise {
        return Err(HandshakeError::AuthInstanceKey);
    }
    let same_person = identity.person_id() == expected.own.id || identity.pin() == expected.own.pin;
    if same_person {
        return Err(HandshakeError::SamePerson(identity.person_id()));
    }
    let shown = PinnedPerson { id: identity.person_id(), pin: identity.pin() };
    if let Some(pinned) = expected.expect.person.filter(|pinned| *pinned != shown) {
        let before = pinned.id == shown.id && expected.expect.former.contains(&shown.pin);
        if expected.mode == Mode::Pairing || !before {
            return Err(HandshakeError::AuthPerson);
        }
        // A key that was replaced speaks for nobody any more; the log vouches for the instance.
        if wire.signer == Signer::Person {
            return Err(HandshakeError::AuthSigner);
        }
    }
    wire.endpoint
        .check_keys(&identity.person_keys, &identity.instance_keys)
        .map_err(|_| HandshakeError::AuthEndpoint)?;
    identity.verify(expected.expect.wall).map_err(HandshakeError::AuthIdentity)?;
    match expected.expect.log_head {
        Some(LogHead { seq, .. }) if identity.log_head.seq < seq => Err(HandshakeError::AuthLogLower),
        Some(known) if identity.log_head.seq == known.seq && identity.log_head.hash != known.hash => {
            Err(HandshakeError::AuthLogForked)
        }
        _ => Ok(()),
    }
}

/// The signature over this session, by the key that `signer` names; the key of this side's person that it names.
fn signature(body: &[u8], wire: &Wire, expected: &Expected<'_>) -> Result<PersonPin, HandshakeError> {
    let key = match wire.signer {
        Signer::Person => &wire.identity.person_keys.sign_key,
        Signer::Instance => &wire.identity.instance_keys.sign_key,
    };
    let former = match expected.mode {
        Mode::Known => expected.expect.own_former.as_slice(),
        Mode::Pairing => &[],
    };
    for named in core::iter::once(&expected.own.pin).chain(former) {
        let binding = Binding {
            role: expected.own_role.opposite(),
            h: expected.h,
            own_noise: expected.peer_noise,
            peer_noise: expected.own_noise,
            own_pin: wire.identity.pin(),
            peer_pin: *named,
        };
        if key.verify_input(&to_sign(body, wire, &binding)?, &wire.sig).is_ok() {
            return Ok(*named);
        }
    }
    Err(HandshakeError::AuthSignature)
}
