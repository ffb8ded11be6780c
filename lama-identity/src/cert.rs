//! Instance certificates: a person says "this instance acts for me", and the instance says so too.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::WallTime;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::log::LogHead;
use crate::object::{Object, TypeName, TypeTag};
use crate::{
    Cid, IdentityError, InstanceId, InstanceKeys, PersonId, PersonKeys, SignPublic, Signature, cbor,
    signing_input,
};

/// Label of the person's signature under a certificate, and its first field.
pub const CERT_LABEL: &str = "LAMA/cert/1";

/// Label of the instance's back-signature: nobody can claim another's instance.
pub const CERT_BACK_LABEL: &str = "LAMA/cert/1 back";

/// What a certificate says. Encoded as an array of its fields in this order (`security.md` section 6):
/// `["LAMA/cert/1", "instance", person_id, person_sign_key, instance_id, i_noise, i_sign, caps, seq, not_before,
/// not_after, prev_hash]`. The keys are plain bytes here: they are compared with [`PersonKeys`] and
/// [`InstanceKeys`], whose types have judged them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertBody {
    /// Who certifies.
    pub person_id: PersonId,
    /// The key that signs.
    pub person_sign_key: [u8; 32],
    /// What is certified.
    pub instance_id: InstanceId,
    /// Its Noise static key.
    pub i_noise: [u8; 32],
    /// Its signing key.
    pub i_sign: [u8; 32],
    /// What it may do, as bits. None is defined in this version.
    pub caps: u64,
    /// Its place in the person's log, from 1.
    pub seq: u64,
    /// Valid from, in unix seconds.
    pub not_before: u64,
    /// Valid before, in unix seconds; `None`: until revoked.
    pub not_after: Option<u64>,
    /// Hash of the log entry before; zeros for the first.
    pub prev_hash: [u8; 32],
}

/// The array on the wire.
#[derive(Serialize, Deserialize)]
struct Wire(
    String,
    String,
    PersonId,
    ByteBuf,
    InstanceId,
    ByteBuf,
    ByteBuf,
    u64,
    u64,
    u64,
    Option<u64>,
    ByteBuf,
);

impl CertBody {
    /// A body for these keys as the next entry after `head`.
    #[must_use]
    pub fn new(person: &PersonKeys, instance: &InstanceKeys, head: LogHead, not_before: u64) -> Self {
        Self {
            person_id: person.owner,
            person_sign_key: *person.sign_key.as_bytes(),
            instance_id: instance.owner,
            i_noise: *instance.encryption_key.as_bytes(),
            i_sign: *instance.sign_key.as_bytes(),
            caps: 0,
            seq: head.seq.saturating_add(1),
            not_before,
            not_after: None,
            prev_hash: head.hash,
        }
    }

    /// The exact bytes that are signed (after a label).
    ///
    /// # Errors
    /// [`IdentityError::Encoding`]; none in practice.
    pub fn to_bytes(&self) -> Result<Vec<u8>, IdentityError> {
        let bytes = |key: &[u8; 32]| ByteBuf::from(key.to_vec());
        let wire = Wire(
            CERT_LABEL.to_string(),
            "instance".to_string(),
            self.person_id,
            bytes(&self.person_sign_key),
            self.instance_id,
            bytes(&self.i_noise),
            bytes(&self.i_sign),
            self.caps,
            self.seq,
            self.not_before,
            self.not_after,
            bytes(&self.prev_hash),
        );
        Ok(cbor::encode(&wire)?.to_vec())
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`IdentityError::Encoding`]; [`IdentityError::WrongType`] for another label or kind.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let wire: Wire = cbor::decode(bytes)?;
        let Wire(
            label,
            kind,
            person_id,
            sign,
            instance_id,
            noise,
            i_sign,
            caps,
            seq,
            not_before,
            not_after,
            prev,
        ) = wire;
        if label != CERT_LABEL || kind != "instance" {
            return Err(IdentityError::WrongType { expected: CERT_LABEL });
        }
        let array =
            |bytes: ByteBuf| <[u8; 32]>::try_from(bytes.into_vec()).map_err(|_| IdentityError::KeyLength);
        Ok(Self {
            person_id,
            person_sign_key: array(sign)?,
            instance_id,
            i_noise: array(noise)?,
            i_sign: array(i_sign)?,
            caps,
            seq,
            not_before,
            not_after,
            prev_hash: array(prev)?,
        })
    }

    /// What the person signs, label included.
    ///
    /// # Errors
    /// As [`CertBody::to_bytes`].
    pub fn person_input(&self) -> Result<Vec<u8>, IdentityError> {
        Ok(signing_input(CERT_LABEL, &self.to_bytes()?))
    }

    /// What the instance signs back, label included.
    ///
    /// # Errors
    /// As [`CertBody::to_bytes`].
    pub fn instance_input(&self) -> Result<Vec<u8>, IdentityError> {
        Ok(signing_input(CERT_BACK_LABEL, &self.to_bytes()?))
    }
}

/// How a certificate stands in an object: `{"$type$": "InstanceCert", "sig", "tbs", "backSig"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertObject {
    sig: Signature,
    tbs: ByteBuf,
    #[serde(rename = "$type$")]
    type_tag: TypeTag<Self>,
    #[serde(rename = "backSig")]
    back_sig: Signature,
}

impl TypeName for CertObject {
    const TYPE: &'static str = "InstanceCert";
}

impl Object for CertObject {
    const LIMIT: usize = cbor::MAX_IDENTITY;
}

/// An instance certificate: the exact bytes as received, and what they say. Parsing proves nothing;
/// [`InstanceCert::verify`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceCert {
    bytes: Bytes,
    body: CertBody,
    tbs: Vec<u8>,
    sig: Signature,
    back_sig: Signature,
}

impl InstanceCert {
    /// The `$type$` of the object.
    pub const TYPE: &'static str = CertObject::TYPE;

    /// Puts a certificate together from its body and both signatures, without verifying them.
    ///
    /// # Errors
    /// [`IdentityError::Encoding`]; none in practice.
    pub fn assemble(body: CertBody, sig: Signature, back_sig: Signature) -> Result<Self, IdentityError> {
        let tbs = body.to_bytes()?;
        let object =
            CertObject { sig, tbs: ByteBuf::from(tbs.clone()), type_tag: TypeTag::default(), back_sig };
        Ok(Self { bytes: object.to_bytes()?, body, tbs, sig, back_sig })
    }

    /// Reads a certificate; keeps the exact bytes.
    ///
    /// # Errors
    /// [`IdentityError::Encoding`], [`IdentityError::WrongType`], [`IdentityError::KeyLength`].
    pub fn from_bytes(bytes: Bytes) -> Result<Self, IdentityError> {
        let object = CertObject::from_bytes(&bytes)?;
        let tbs = object.tbs.into_vec();
        Ok(Self { body: CertBody::from_bytes(&tbs)?, bytes, tbs, sig: object.sig, back_sig: object.back_sig })
    }

    /// The exact bytes of the object.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The id of the object.
    #[must_use]
    pub fn cid(&self) -> Cid {
        Cid::of_object(&self.bytes)
    }

    /// What it says.
    #[must_use]
    pub const fn body(&self) -> &CertBody {
        &self.body
    }

    /// The head of a log that ends with this certificate.
    #[must_use]
    pub fn log_head(&self) -> LogHead {
        LogHead { seq: self.body.seq, hash: *self.cid().digest() }
    }

    /// The person's signature and the instance's back-signature.
    #[must_use]
    pub const fn signatures(&self) -> (&Signature, &Signature) {
        (&self.sig, &self.back_sig)
    }

    /// Verifies both signatures, and that the certificate speaks of exactly these keys and their owners. Says
    /// nothing about time (see [`InstanceCert::check_time`]) nor about revocation (see [`crate::PersonLog`]).
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`], [`IdentityError::BadSignature`].
    pub fn verify(&self, person: &PersonKeys, instance: &InstanceKeys) -> Result<(), IdentityError> {
        let body = &self.body;
        let checks = [
            ("person_id", body.person_id == person.owner),
            ("person_sign_key", body.person_sign_key == *person.sign_key.as_bytes()),
            ("instance_id", body.instance_id == instance.owner),
            ("i_noise", body.i_noise == *instance.encryption_key.as_bytes()),
            ("i_sign", body.i_sign == *instance.sign_key.as_bytes()),
        ];
        if let Some((field, _)) = checks.into_iter().find(|(_, holds)| !holds) {
            return Err(IdentityError::Mismatch { field });
        }
        self.verify_signatures(&person.sign_key, &instance.sign_key)
    }

    /// Both signatures alone.
    pub(crate) fn verify_signatures(
        &self,
        person: &SignPublic,
        instance: &SignPublic,
    ) -> Result<(), IdentityError> {
        person.verify(CERT_LABEL, &self.tbs, &self.sig)?;
        instance.verify(CERT_BACK_LABEL, &self.tbs, &self.back_sig)
    }

    /// Whether the certificate is valid at `wall`, give or take `tolerance` seconds for clocks that differ.
    ///
    /// # Errors
    /// [`IdentityError::NotYetValid`], [`IdentityError::NoLongerValid`].
    pub fn check_time(&self, wall: WallTime, tolerance: u64) -> Result<(), IdentityError> {
        let now = wall.unix_seconds();
        if now.saturating_add(tolerance) < self.body.not_before {
            return Err(IdentityError::NotYetValid);
        }
        match self.body.not_after {
            Some(end) if now >= end.saturating_add(tolerance) => Err(IdentityError::NoLongerValid),
            _ => Ok(()),
        }
    }
}

/// As a field of another object a certificate is a byte string holding its exact bytes.
impl Serialize for InstanceCert {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(&self.bytes[..], serializer)
    }
}

impl<'de> Deserialize<'de> for InstanceCert {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        Self::from_bytes(bytes.into_vec().into()).map_err(serde::de::Error::custom)
    }
}
