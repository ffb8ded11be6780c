//! Auth: a person introduces itself inside the handshake, bound to its transcript.

mod verify;

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use lama_core::WallTime;
use lama_identity::{
    LogHead, NoisePublic, Object as _, OneInstanceEndpoint, PersonPin, PublicIdentity, Signature, cbor,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use verify::{Expected, verify};

use crate::record::MAX_AUTH;
use crate::wire::Binding;
use crate::{Group, HandshakeError, Mode, PairKeyId, PinnedPerson, Role};

/// The version of this protocol that this crate speaks: `LAM1`.
pub const VERSION: u16 = 1;

/// A range of versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions(pub u16, pub u16);

impl Default for Versions {
    fn default() -> Self {
        Self(VERSION, VERSION)
    }
}

/// A life of a process: random, drawn at its start. Two live sessions with one static key and different boot ids
/// mean that a data directory was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(#[serde(with = "serde_bytes")] pub [u8; 16]);

/// Whose key signs Auth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signer {
    /// The person's. The only one that pairing accepts.
    Person,
    /// The instance's, on a device without the person's key; the certificate vouches for it.
    Instance,
}

/// What this side says of itself. The identity travels as it is; the receiver checks every part.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// Person, instance, keys, certificate, log head.
    pub identity: PublicIdentity,
    /// Where this instance can be reached. Its URL may be empty.
    pub endpoint: OneInstanceEndpoint,
    /// What the connection is for: [`Group::Pairing`] exactly in [`Mode::Pairing`].
    pub group: Group,
    /// What this side can do, as bits. None is defined in this version.
    pub caps: u64,
    /// The name of the pair key stored for the peer's instance, if there is one.
    pub pair_key: Option<PairKeyId>,
    /// This life of the process.
    pub boot_id: BootId,
    /// Which key will sign.
    pub signer: Signer,
    /// The versions this side supports.
    pub versions: Versions,
}

impl Introduction {
    /// An introduction with no pair key, no capabilities, the person's signature and the versions of this crate.
    #[must_use]
    pub fn new(
        identity: PublicIdentity,
        endpoint: OneInstanceEndpoint,
        group: Group,
        boot_id: BootId,
    ) -> Self {
        Self {
            identity,
            endpoint,
            group,
            caps: 0,
            pair_key: None,
            boot_id,
            signer: Signer::Person,
            versions: Versions::default(),
        }
    }

    /// Whether this side may say that in this mode.
    pub(crate) fn check(&self, mode: Mode) -> Result<(), HandshakeError> {
        let person_signs = mode == Mode::Known || self.signer == Signer::Person;
        let Versions(min, max) = self.versions;
        let in_range = (min..=max).contains(&VERSION);
        let endpoint = self.endpoint.check_keys(&self.identity.person_keys, &self.identity.instance_keys);
        if self.group.fits(mode) && person_signs && in_range && endpoint.is_ok() {
            Ok(())
        } else {
            Err(HandshakeError::LocalInvalid)
        }
    }

    /// The person, as the peer pins it.
    pub(crate) fn person(&self) -> PinnedPerson {
        PinnedPerson { id: self.identity.person_id(), pin: self.identity.pin() }
    }
}

/// Who is at the other end: verified, every part, and bound to this session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Person, instance, keys, certificate, log head.
    pub identity: PublicIdentity,
    /// Where the peer says it can be reached.
    pub endpoint: OneInstanceEndpoint,
    /// What the connection is for: what both sides named.
    pub group: Group,
    /// What the peer can do, as bits.
    pub caps: u64,
    /// The name of the pair key that the peer has stored for this instance.
    pub pair_key: Option<PairKeyId>,
    /// The life of the peer's process.
    pub boot_id: BootId,
    /// Whose key signed.
    pub signer: Signer,
    /// The versions the peer supports.
    pub versions: Versions,
    /// By which key it knows this side's person: the present one, or one of [`Expect::own_former`].
    pub named: PersonPin,
}

impl Peer {
    /// The peer's person, as contacts pin it.
    #[must_use]
    pub fn person(&self) -> PinnedPerson {
        PinnedPerson { id: self.identity.person_id(), pin: self.identity.pin() }
    }

    /// The peer's static key.
    #[must_use]
    pub const fn noise(&self) -> &NoisePublic {
        self.identity.noise()
    }
}

/// What the receiver of an Auth record knows beforehand.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// The person whom the contact store has for the static key of this session. `None` while pairing, and where a
    /// certified new instance of *some* known person is accepted: then look the verified person up, and compare the
    /// pin, before anything else.
    pub person: Option<PinnedPerson>,
    /// Keys that this person had before, by its log: an instance that was certified under one of them shows it, and signs
    /// with its own key. Not while pairing.
    pub former: Vec<PersonPin>,
    /// Keys that this side's person had before: a peer who has not heard of a rotation knows it by one of them. Not while
    /// pairing.
    pub own_former: Vec<PersonPin>,
    /// The end of that person's log as known here: one that lies before or beside it is an alarm.
    pub log_head: Option<LogHead>,
    /// The wall clock, for the certificate.
    pub wall: WallTime,
    /// The versions this side supports.
    pub versions: Versions,
}

/// Auth as it is encoded: canonical DAG-CBOR.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Wire {
    sas: Option<Sas>,
    sig: Signature,
    caps: u64,
    role: u8,
    group: Group,
    boot_id: BootId,
    signer: Signer,
    endpoint: OneInstanceEndpoint,
    identity: PublicIdentity,
    versions: Versions,
    pair_key_id: Option<PairKeyId>,
}

/// The initiator's commitment or the responder's nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sas(#[serde(with = "serde_bytes")] pub(crate) [u8; 32]);

impl Wire {
    fn to_bytes(&self) -> Result<Bytes, HandshakeError> {
        cbor::encode(self).map_err(|_| HandshakeError::LocalInvalid)
    }
}

/// An Auth record that lacks its signature.
#[derive(Debug)]
pub(crate) struct Unsigned {
    wire: Wire,
    to_sign: Bytes,
}

impl Unsigned {
    /// Puts a record together.
    pub(crate) fn new(
        introduction: &Introduction,
        sas: Option<Sas>,
        binding: &Binding,
    ) -> Result<Self, HandshakeError> {
        let wire = Wire {
            sas,
            sig: Signature([0; 64]),
            caps: introduction.caps,
            role: binding.role as u8,
            group: introduction.group,
            boot_id: introduction.boot_id,
            signer: introduction.signer,
            endpoint: introduction.endpoint.clone(),
            identity: introduction.identity.clone(),
            versions: introduction.versions,
            pair_key_id: introduction.pair_key,
        };
        let bytes = wire.to_bytes()?;
        if bytes.len() > MAX_AUTH {
            return Err(HandshakeError::LocalTooLong);
        }
        let to_sign = to_sign(&bytes, &wire, binding).map_err(|_| HandshakeError::LocalInvalid)?.into();
        Ok(Self { wire, to_sign })
    }

    /// What the person's (or instance's) key has to sign: the whole input, label included.
    pub(crate) const fn to_sign(&self) -> &Bytes {
        &self.to_sign
    }

    /// The finished record's body.
    pub(crate) fn sign(mut self, signature: Signature) -> Result<Bytes, HandshakeError> {
        self.wire.sig = signature;
        self.wire.to_bytes()
    }
}

/// The signature's input over an encoded record.
fn to_sign(bytes: &[u8], wire: &Wire, binding: &Binding) -> Result<Vec<u8>, HandshakeError> {
    let rest =
        cbor::without(bytes, &["sig", "group", "endpoint"]).map_err(|_| HandshakeError::AuthMalformed)?;
    let endpoint = wire.endpoint.to_bytes().map_err(|_| HandshakeError::AuthMalformed)?;
    let hash = |bytes: &[u8]| Sha256::digest(bytes).into();
    Ok(binding.signing_input(&hash(wire.group.name().as_bytes()), &hash(&endpoint), &hash(&rest)))
}

/// Seals a body that stands where Auth stands: always in a record of 4 KiB.
pub(crate) fn seal_padded(
    sealer: &mut crate::record::Sealer,
    kind: crate::RecordType,
    body: &[u8],
    out: &mut BytesMut,
) -> Result<(), HandshakeError> {
    let start = crate::record::Sealer::begin(out, MAX_AUTH);
    out.extend_from_slice(body);
    sealer.finish(kind, start, crate::record::AUTH_PLAINTEXT, out)
}

/// The role a record must name.
pub(crate) const fn role_number(role: Role) -> u8 {
    role as u8
}
