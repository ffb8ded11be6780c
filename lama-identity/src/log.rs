//! The hash-chained log of a person's certificates, rotations and revocations: format and verification.
//!
//! Every entry is an object whose `tbs` (the exact bytes that are signed, an array) carries its sequence number and
//! the hash of the entry before. A reader remembers the highest head it has seen: a lower one, or another one of the
//! same height, is an alarm and never an update.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::cert::InstanceCert;
use crate::object::{Object, TypeName, TypeTag};
use crate::{
    Cid, IdentityError, InstanceId, NoisePublic, PersonId, SignPublic, Signature, cbor, signing_input,
};

/// The end of a person's log: how many entries, and the hash of the last one. An empty log is `seq` 0 and zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogHead {
    /// Sequence number of the last entry, from 1; 0 for an empty log.
    pub seq: u64,
    /// SHA-256 of the last entry's exact bytes; zeros for an empty log.
    #[serde(with = "crate::fixed")]
    pub hash: [u8; 32],
}

/// How a head that a peer shows compares with the one that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadChange {
    /// Nothing new.
    Same,
    /// The log has grown: ask for the entries in between.
    Longer,
}

impl LogHead {
    /// Compares the known head (`self`) with one that a peer shows.
    ///
    /// # Errors
    /// [`IdentityError::LogLower`], [`IdentityError::LogFork`]: alarms.
    pub fn judge(&self, shown: Self) -> Result<HeadChange, IdentityError> {
        if shown.seq < self.seq {
            return Err(IdentityError::LogLower { known: self.seq, shown: shown.seq });
        }
        if shown.seq > self.seq {
            return Ok(HeadChange::Longer);
        }
        if shown.hash == self.hash {
            Ok(HeadChange::Same)
        } else {
            Err(IdentityError::LogFork { seq: self.seq })
        }
    }
}

/// Label of both signatures under a rotation, and its first field.
pub const ROTATION_LABEL: &str = "LAMA/rotation/1";

/// Label of the signature under a revocation, and its first field.
pub const REVOCATION_LABEL: &str = "LAMA/revocation/1";

/// Longest reason of a revocation in bytes.
pub const MAX_REASON: usize = 256;

/// A new signing key of a person, signed by the old and the new one.
/// `tbs = ["LAMA/rotation/1", "person", person_id, old_key, new_key, seq, prev_hash]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Whose key.
    pub person_id: PersonId,
    /// The key until now.
    pub old_key: SignPublic,
    /// The key from now on.
    pub new_key: SignPublic,
    /// Place in the log.
    pub seq: u64,
    /// Hash of the entry before.
    pub prev_hash: [u8; 32],
}

/// What a revocation revokes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// An instance, by its Noise static key.
    Instance(NoisePublic),
    /// The person's own signing key: the log ends here, and only pairing anew helps.
    Person(SignPublic),
}

/// A key that counts no more, from here on.
/// `tbs = ["LAMA/revocation/1", "instance" | "person", person_id, signer, key, reason, seq, prev_hash]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose log.
    pub person_id: PersonId,
    /// The person's key that signs.
    pub signer: SignPublic,
    /// What is revoked.
    pub revoked: Revoked,
    /// Why, for people; at most [`MAX_REASON`] bytes.
    pub reason: String,
    /// Place in the log.
    pub seq: u64,
    /// Hash of the entry before.
    pub prev_hash: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct RotationWire(String, String, PersonId, SignPublic, SignPublic, u64, ByteBuf);

#[derive(Serialize, Deserialize)]
struct RevocationWire(String, String, PersonId, SignPublic, ByteBuf, String, u64, ByteBuf);

fn hash_of(bytes: ByteBuf) -> Result<[u8; 32], IdentityError> {
    <[u8; 32]>::try_from(bytes.into_vec())
        .map_err(|_| IdentityError::Field { field: "prev_hash", rule: "must be 32 bytes" })
}

impl Rotation {
    /// The exact bytes that both keys sign (after [`ROTATION_LABEL`]).
    ///
    /// # Errors
    /// [`IdentityError::Encoding`]; none in practice.
    pub fn to_bytes(&self) -> Result<Vec<u8>, IdentityError> {
        let wire = RotationWire(
            ROTATION_LABEL.to_string(),
            "person".to_string(),
            self.person_id,
            self.old_key,
            self.new_key,
            self.seq,
            ByteBuf::from(self.prev_hash.to_vec()),
        );
        Ok(cbor::encode(&wire)?.to_vec())
    }

    /// What both keys sign, label included.
    ///
    /// # Errors
    /// As [`Rotation::to_bytes`].
    pub fn input(&self) -> Result<Vec<u8>, IdentityError> {
        Ok(signing_input(ROTATION_LABEL, &self.to_bytes()?))
    }

    /// The entry, from both signatures.
    ///
    /// # Errors
    /// As [`Rotation::to_bytes`].
    pub fn assemble(&self, old: Signature, new: Signature) -> Result<Bytes, IdentityError> {
        RotationObject { sig: old, tbs: self.to_bytes()?.into(), new_sig: new, type_tag: TypeTag::default() }
            .to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let RotationWire(label, kind, person_id, old_key, new_key, seq, prev) = cbor::decode(bytes)?;
        if label != ROTATION_LABEL || kind != "person" {
            return Err(IdentityError::WrongType { expected: ROTATION_LABEL });
        }
        Ok(Self { person_id, old_key, new_key, seq, prev_hash: hash_of(prev)? })
    }
}

impl Revocation {
    /// The exact bytes that are signed (after [`REVOCATION_LABEL`]).
    ///
    /// # Errors
    /// [`IdentityError::TooLong`] for the reason.
    pub fn to_bytes(&self) -> Result<Vec<u8>, IdentityError> {
        if self.reason.len() > MAX_REASON {
            return Err(IdentityError::TooLong { field: "reason", limit: MAX_REASON });
        }
        let (kind, key) = match &self.revoked {
            Revoked::Instance(key) => ("instance", *key.as_bytes()),
            Revoked::Person(key) => ("person", *key.as_bytes()),
        };
        let wire = RevocationWire(
            REVOCATION_LABEL.to_string(),
            kind.to_string(),
            self.person_id,
            self.signer,
            ByteBuf::from(key.to_vec()),
            self.reason.clone(),
            self.seq,
            ByteBuf::from(self.prev_hash.to_vec()),
        );
        Ok(cbor::encode(&wire)?.to_vec())
    }

    /// What the person's key signs, label included.
    ///
    /// # Errors
    /// As [`Revocation::to_bytes`].
    pub fn input(&self) -> Result<Vec<u8>, IdentityError> {
        Ok(signing_input(REVOCATION_LABEL, &self.to_bytes()?))
    }

    /// The entry, from its signature.
    ///
    /// # Errors
    /// As [`Revocation::to_bytes`].
    pub fn assemble(&self, signature: Signature) -> Result<Bytes, IdentityError> {
        RevocationObject { sig: signature, tbs: self.to_bytes()?.into(), type_tag: TypeTag::default() }
            .to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let RevocationWire(label, kind, person_id, signer, key, reason, seq, prev) = cbor::decode(bytes)?;
        if label != REVOCATION_LABEL {
            return Err(IdentityError::WrongType { expected: REVOCATION_LABEL });
        }
        if reason.len() > MAX_REASON {
            return Err(IdentityError::TooLong { field: "reason", limit: MAX_REASON });
        }
        let revoked = match kind.as_str() {
            "instance" => Revoked::Instance(NoisePublic::try_from(key.as_slice())?),
            "person" => Revoked::Person(SignPublic::try_from(key.as_slice())?),
            _ => return Err(IdentityError::WrongType { expected: REVOCATION_LABEL }),
        };
        Ok(Self { person_id, signer, revoked, reason, seq, prev_hash: hash_of(prev)? })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotationObject {
    sig: Signature,
    tbs: ByteBuf,
    #[serde(rename = "newSig")]
    new_sig: Signature,
    #[serde(rename = "$type$")]
    type_tag: TypeTag<Self>,
}

impl TypeName for RotationObject {
    const TYPE: &'static str = "PersonKeyRotation";
}

impl Object for RotationObject {
    const LIMIT: usize = cbor::MAX_IDENTITY;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevocationObject {
    sig: Signature,
    tbs: ByteBuf,
    #[serde(rename = "$type$")]
    type_tag: TypeTag<Self>,
}

impl TypeName for RevocationObject {
    const TYPE: &'static str = "Revocation";
}

impl Object for RevocationObject {
    const LIMIT: usize = cbor::MAX_IDENTITY;
}

/// One entry that the log has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEntry {
    /// An instance acts for the person.
    Cert(InstanceCert),
    /// The person has another key.
    Rotation(Rotation),
    /// A key counts no more.
    Revocation(Revocation),
}

/// An instance that the log certifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certified {
    /// Its label.
    pub instance_id: InstanceId,
    /// Its Noise static key.
    pub noise: NoisePublic,
    /// Its signing key.
    pub sign: SignPublic,
    /// Where it was certified.
    pub seq: u64,
    /// Where it was revoked.
    pub revoked: Option<u64>,
}

/// Most entries of one person's log that are read.
pub const MAX_LOG: usize = 4096;

/// One person's log as verified entry by entry from the pinned first key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonLog {
    person_id: PersonId,
    key: Option<SignPublic>,
    /// Every key, with the entry from which on it counts.
    keys: Vec<(u64, SignPublic)>,
    hashes: Vec<[u8; 32]>,
    certified: Vec<Certified>,
}

impl PersonLog {
    /// An empty log of a person whose first signing key is known (pinned by an invitation or by pairing).
    #[must_use]
    pub fn new(person_id: PersonId, first_key: SignPublic) -> Self {
        let keys = alloc::vec![(0, first_key)];
        Self { person_id, key: Some(first_key), keys, hashes: Vec::new(), certified: Vec::new() }
    }

    /// The end of the log.
    #[must_use]
    pub fn head(&self) -> LogHead {
        LogHead { seq: self.hashes.len() as u64, hash: self.hashes.last().copied().unwrap_or_default() }
    }

    /// The hash of an entry; zeros at 0, before the first; `None` beyond the end.
    #[must_use]
    pub fn hash_at(&self, seq: u64) -> Option<[u8; 32]> {
        match seq.checked_sub(1) {
            None => Some([0; 32]),
            Some(at) => self.hashes.get(usize::try_from(at).ok()?).copied(),
        }
    }

    /// The person's signing key now; `None` once it was revoked.
    #[must_use]
    pub const fn key(&self) -> Option<&SignPublic> {
        self.key.as_ref()
    }

    /// Every signing key that the person has had, oldest first, each with the entry from which on it counts; the first
    /// with 0.
    #[must_use]
    pub fn keys(&self) -> &[(u64, SignPublic)] {
        &self.keys
    }

    /// The person's signing key after so many entries.
    #[must_use]
    pub fn key_at(&self, seq: u64) -> Option<&SignPublic> {
        self.keys.iter().rfind(|(from, _)| *from <= seq).map(|(_, key)| key)
    }

    /// Every instance that was ever certified, in the order of the log.
    #[must_use]
    pub fn certified(&self) -> &[Certified] {
        &self.certified
    }

    /// Whether the log certifies this Noise static key, and has not revoked it.
    ///
    /// # Errors
    /// [`IdentityError::Revoked`], [`IdentityError::NotCertified`].
    pub fn check_instance(&self, noise: &NoisePublic) -> Result<&Certified, IdentityError> {
        let mut of_key = self.certified.iter().filter(|entry| entry.noise == *noise).peekable();
        if of_key.peek().is_none() {
            return Err(IdentityError::NotCertified);
        }
        of_key.rfind(|entry| entry.revoked.is_none()).ok_or(IdentityError::Revoked)
    }

    /// Verifies the exact bytes of an entry and appends it. An entry that is in the log already changes nothing.
    ///
    /// # Errors
    /// [`IdentityError::LogFork`] (an alarm), [`IdentityError::LogGap`]; [`IdentityError::Mismatch`] for another
    /// person's entry or another signer; [`IdentityError::BadSignature`]; [`IdentityError::Revoked`] after the
    /// person's own key was revoked, for certifying a revoked key again, and for a rotation to a key of before; [`IdentityError::NotCertified`] for
    /// revoking an unknown instance; [`IdentityError::TooLong`] beyond [`MAX_LOG`]; and what parsing finds.
    pub fn append(&mut self, bytes: &Bytes) -> Result<LogEntry, IdentityError> {
        let hash = *Cid::of_object(bytes).digest();
        let entry = match cbor::check(bytes)?.type_name {
            Some(InstanceCert::TYPE) => self.append_cert(bytes, hash)?,
            Some(RotationObject::TYPE) => self.append_rotation(bytes, hash)?,
            Some(RevocationObject::TYPE) => self.append_revocation(bytes, hash)?,
            _ => return Err(IdentityError::WrongType { expected: "an entry of a person's log" }),
        };
        Ok(entry)
    }

    /// Where an entry stands: `true` if it continues the log, `false` if it is in it already.
    fn place(&self, seq: u64, prev_hash: [u8; 32], hash: [u8; 32]) -> Result<bool, IdentityError> {
        let head = self.head();
        if seq == 0 || seq > head.seq.saturating_add(1) {
            return Err(IdentityError::LogGap { expected: head.seq.saturating_add(1), found: seq });
        }
        if seq <= head.seq {
            let at = usize::try_from(seq - 1).unwrap_or(usize::MAX);
            let known = self.hashes.get(at).is_some_and(|known| *known == hash);
            return if known { Ok(false) } else { Err(IdentityError::LogFork { seq }) };
        }
        if prev_hash != head.hash {
            return Err(IdentityError::LogFork { seq: head.seq });
        }
        if self.hashes.len() >= MAX_LOG {
            return Err(IdentityError::TooLong { field: "log", limit: MAX_LOG });
        }
        Ok(true)
    }

    /// The signer of the next entry, which must be `claimed`.
    fn signer(&self, person_id: PersonId, claimed: &[u8; 32]) -> Result<SignPublic, IdentityError> {
        if person_id != self.person_id {
            return Err(IdentityError::Mismatch { field: "person_id" });
        }
        let key = self.key.ok_or(IdentityError::Revoked)?;
        if key.as_bytes() == claimed {
            Ok(key)
        } else {
            Err(IdentityError::Mismatch { field: "person_sign_key" })
        }
    }

    fn append_cert(&mut self, bytes: &Bytes, hash: [u8; 32]) -> Result<LogEntry, IdentityError> {
        let cert = InstanceCert::from_bytes(bytes.clone())?;
        let body = cert.body();
        let (noise, sign) = (NoisePublic::try_from(body.i_noise)?, SignPublic::try_from(body.i_sign)?);
        if self.place(body.seq, body.prev_hash, hash)? {
            let key = self.signer(body.person_id, &body.person_sign_key)?;
            cert.verify_signatures(&key, &sign)?;
            if self.certified.iter().any(|known| known.noise == noise && known.revoked.is_some()) {
                return Err(IdentityError::Revoked);
            }
            let instance_id = body.instance_id;
            self.certified.push(Certified { instance_id, noise, sign, seq: body.seq, revoked: None });
            self.hashes.push(hash);
        }
        Ok(LogEntry::Cert(cert))
    }

    fn append_rotation(&mut self, bytes: &Bytes, hash: [u8; 32]) -> Result<LogEntry, IdentityError> {
        let object = RotationObject::from_bytes(bytes)?;
        let rotation = Rotation::from_bytes(&object.tbs)?;
        if self.place(rotation.seq, rotation.prev_hash, hash)? {
            let key = self.signer(rotation.person_id, rotation.old_key.as_bytes())?;
            key.verify(ROTATION_LABEL, &object.tbs, &object.sig)?;
            rotation.new_key.verify(ROTATION_LABEL, &object.tbs, &object.new_sig)?;
            if self.keys.iter().any(|(_, known)| *known == rotation.new_key) {
                return Err(IdentityError::Revoked);
            }
            self.key = Some(rotation.new_key);
            self.keys.push((rotation.seq, rotation.new_key));
            self.hashes.push(hash);
        }
        Ok(LogEntry::Rotation(rotation))
    }

    fn append_revocation(&mut self, bytes: &Bytes, hash: [u8; 32]) -> Result<LogEntry, IdentityError> {
        let object = RevocationObject::from_bytes(bytes)?;
        let revocation = Revocation::from_bytes(&object.tbs)?;
        if self.place(revocation.seq, revocation.prev_hash, hash)? {
            let key = self.signer(revocation.person_id, revocation.signer.as_bytes())?;
            key.verify(REVOCATION_LABEL, &object.tbs, &object.sig)?;
            match revocation.revoked {
                Revoked::Instance(noise) => {
                    if !self.certified.iter().any(|known| known.noise == noise) {
                        return Err(IdentityError::NotCertified);
                    }
                    for known in self.certified.iter_mut().filter(|known| known.noise == noise) {
                        known.revoked.get_or_insert(revocation.seq);
                    }
                }
                Revoked::Person(revoked) if revoked == key => self.key = None,
                Revoked::Person(_) => return Err(IdentityError::Mismatch { field: "key" }),
            }
            self.hashes.push(hash);
        }
        Ok(LogEntry::Revocation(revocation))
    }
}
