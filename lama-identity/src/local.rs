//! The identity of this device, with its secrets, and the public part that peers see.

use alloc::vec::Vec;
use core::fmt;

use lama_core::{Seed, WallTime};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cert::CertBody;
use crate::chain::LogChain;
use crate::log::LogHead;
use crate::{
    Email, IdentityError, Instance, InstanceCert, InstanceId, InstanceKeys, Keys, NoisePublic, NoiseSecret,
    OneInstanceEndpoint, Person, PersonId, PersonKeys, PersonPin, SealSecret, SignSecret, cbor,
};

/// All that an instance shows of itself and its person: what goes into Auth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicIdentity {
    /// The certificate, as a byte string with its exact bytes.
    pub cert: InstanceCert,
    /// The person.
    pub person: Person,
    /// The instance.
    pub instance: Instance,
    /// The end of the person's log as this instance knows it.
    #[serde(rename = "logHead")]
    pub log_head: LogHead,
    /// The person's keys.
    #[serde(rename = "personKeys")]
    pub person_keys: PersonKeys,
    /// The instance's keys.
    #[serde(rename = "instanceKeys")]
    pub instance_keys: InstanceKeys,
}

/// How many seconds two devices' clocks may differ where a certificate is checked.
pub const CLOCK_TOLERANCE: u64 = 600;

impl PublicIdentity {
    /// The person's label.
    #[must_use]
    pub const fn person_id(&self) -> PersonId {
        self.person_keys.owner
    }

    /// The instance's label.
    #[must_use]
    pub const fn instance_id(&self) -> InstanceId {
        self.instance_keys.owner
    }

    /// The SHA-256 of the person's signing key.
    #[must_use]
    pub fn pin(&self) -> PersonPin {
        self.person_keys.pin()
    }

    /// The instance's static key.
    #[must_use]
    pub const fn noise(&self) -> &NoisePublic {
        &self.instance_keys.encryption_key
    }

    /// The endpoint of this instance at `url`.
    ///
    /// # Errors
    /// [`IdentityError::Field`], [`IdentityError::TooLong`] for a bad URL.
    pub fn endpoint(&self, url: &str) -> Result<OneInstanceEndpoint, IdentityError> {
        OneInstanceEndpoint::new(&self.person_keys, &self.instance_keys, url)
    }

    /// Checks that all parts belong together: both `Keys` name their owners, the owner of the instance is the
    /// person, the certificate is valid at `wall` for these keys, and the log reaches at least to it. It does not ask
    /// *which* person and key this is: compare [`PublicIdentity::pin`] and [`PublicIdentity::noise`] with what is
    /// expected.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`] with the field that disagrees, and what [`InstanceCert::verify`] and
    /// [`InstanceCert::check_time`] find.
    pub fn verify(&self, wall: WallTime) -> Result<(), IdentityError> {
        let head = self.cert.log_head();
        let checks = [
            ("Person", self.person.id() == self.person_keys.owner),
            ("Instance", self.instance.id() == self.instance_keys.owner),
            ("Instance.owner", self.instance.owner == self.person_keys.owner),
            (
                "log_head",
                self.log_head.seq > head.seq
                    || (self.log_head.seq == head.seq && self.log_head.hash == head.hash),
            ),
        ];
        if let Some((field, _)) = checks.into_iter().find(|(_, holds)| !holds) {
            return Err(IdentityError::Mismatch { field });
        }
        self.cert.check_time(wall, CLOCK_TOLERANCE)?;
        self.cert.verify(&self.person_keys, &self.instance_keys)
    }
}

/// The person's secrets, where they are on this device.
pub struct PersonSecrets {
    /// The root of trust.
    pub sign: SignSecret,
    /// Opens what was sealed to the person.
    pub seal: SealSecret,
}

impl fmt::Debug for PersonSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonSecrets(..)")
    }
}

/// This device: its person, its instance, and every secret key. Never printed, neither `Clone` nor serialisable;
/// key files take [`LocalIdentity::danger_export`].
pub struct LocalIdentity {
    public: PublicIdentity,
    noise: NoiseSecret,
    sign: SignSecret,
    person: Option<PersonSecrets>,
}

/// First bytes of an exported identity.
const MAGIC: &[u8; 16] = b"LAMA/identity/1\0";

impl LocalIdentity {
    /// Makes a person and its first instance: four keys from the seed, and the first entry of the person's log.
    ///
    /// # Errors
    /// [`IdentityError::Field`], [`IdentityError::TooLong`] for a bad instance name.
    pub fn create(
        email: Email,
        instance_name: &str,
        seed: Seed,
        wall: WallTime,
    ) -> Result<Self, IdentityError> {
        let person = Person::new(email);
        let instance = Instance::new(instance_name, person.id())?;
        let person_secrets = PersonSecrets {
            sign: SignSecret::from_seed(seed.child("person sign")),
            seal: SealSecret::from_seed(seed.child("person seal")),
        };
        let noise = NoiseSecret::from_seed(seed.child("instance noise"));
        let sign = SignSecret::from_seed(seed.child("instance sign"));
        let person_keys =
            Keys::new(person.id(), *person_secrets.sign.public(), *person_secrets.seal.public());
        let instance_keys = Keys::new(instance.id(), *sign.public(), *noise.public());
        let body = CertBody::new(&person_keys, &instance_keys, LogHead::default(), wall.unix_seconds());
        let signature = person_secrets.sign.sign_input(&body.person_input()?);
        let back_signature = sign.sign_input(&body.instance_input()?);
        let cert = InstanceCert::assemble(body, signature, back_signature)?;
        let log_head = cert.log_head();
        let public = PublicIdentity { cert, person, instance, log_head, person_keys, instance_keys };
        Ok(Self { public, noise, sign, person: Some(person_secrets) })
    }

    /// Puts an identity together from its parts and checks that each secret belongs to its public key.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`].
    pub fn from_parts(
        public: PublicIdentity,
        noise: NoiseSecret,
        sign: SignSecret,
        person: Option<PersonSecrets>,
    ) -> Result<Self, IdentityError> {
        let checks = [
            ("i_noise", noise.public() == &public.instance_keys.encryption_key),
            ("i_sign", sign.public() == &public.instance_keys.sign_key),
            (
                "psk_sign",
                person.as_ref().is_none_or(|keys| keys.sign.public() == &public.person_keys.sign_key),
            ),
            (
                "p_seal",
                person.as_ref().is_none_or(|keys| keys.seal.public() == &public.person_keys.encryption_key),
            ),
        ];
        match checks.into_iter().find(|(_, holds)| !holds) {
            Some((field, _)) => Err(IdentityError::Mismatch { field }),
            None => Ok(Self { public, noise, sign, person }),
        }
    }

    /// What peers see.
    #[must_use]
    pub const fn public(&self) -> &PublicIdentity {
        &self.public
    }

    /// The person's label.
    #[must_use]
    pub const fn person_id(&self) -> PersonId {
        self.public.person_id()
    }

    /// The instance's label.
    #[must_use]
    pub const fn instance_id(&self) -> InstanceId {
        self.public.instance_id()
    }

    /// The secret for Noise handshakes.
    #[must_use]
    pub const fn noise(&self) -> &NoiseSecret {
        &self.noise
    }

    /// The instance's signing secret.
    #[must_use]
    pub const fn sign(&self) -> &SignSecret {
        &self.sign
    }

    /// The person's secrets.
    ///
    /// # Errors
    /// [`IdentityError::PersonKeyAbsent`] on a device that has none.
    pub fn person(&self) -> Result<&PersonSecrets, IdentityError> {
        self.person.as_ref().ok_or(IdentityError::PersonKeyAbsent)
    }

    /// Takes the identity apart: for a host that keeps the signing keys and gives a node the Noise key alone.
    #[must_use]
    pub fn into_parts(self) -> (PublicIdentity, NoiseSecret, SignSecret, Option<PersonSecrets>) {
        (self.public, self.noise, self.sign, self.person)
    }

    /// The same device with another signing key of the person, which a log certifies this instance under. The sealing key
    /// stays: an entry of a log has no place for another one.
    ///
    /// # Errors
    /// [`IdentityError::NotCertified`] if the log does not; [`IdentityError::PersonKeyAbsent`].
    pub fn with_person_key(self, chain: &LogChain, new: SignSecret) -> Result<Self, IdentityError> {
        let (public, noise, sign, person) = self.into_parts();
        let PersonSecrets { seal, .. } = person.ok_or(IdentityError::PersonKeyAbsent)?;
        let public = chain.shown_by(&public, new.public()).ok_or(IdentityError::NotCertified)?;
        Self::from_parts(public, noise, sign, Some(PersonSecrets { sign: new, seal }))
    }

    /// Every secret in clear, for a key file that encrypts it: `"LAMA/identity/1" 00 | flags u8 (1: the person's
    /// keys are there) | i_noise 32 | i_sign 32 | [psk_sign 32 | p_seal 32] | canonical PublicIdentity`.
    ///
    /// # Errors
    /// [`IdentityError::Encoding`]; none in practice.
    pub fn danger_export(&self) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        let public = cbor::encode(&self.public)?;
        // The capacity is exact, so that no secret stays behind in memory given up by a growing vector.
        let mut out = Zeroizing::new(Vec::with_capacity(MAGIC.len() + 1 + 4 * 32 + public.len()));
        out.extend_from_slice(MAGIC);
        out.push(u8::from(self.person.is_some()));
        out.extend_from_slice(self.noise.danger_expose().as_slice());
        out.extend_from_slice(self.sign.danger_expose().as_slice());
        if let Some(person) = &self.person {
            out.extend_from_slice(person.sign.danger_expose().as_slice());
            out.extend_from_slice(person.seal.danger_expose().as_slice());
        }
        out.extend_from_slice(&public);
        Ok(out)
    }

    /// Reads what [`LocalIdentity::danger_export`] wrote. The caller's copy is the caller's to wipe.
    ///
    /// # Errors
    /// [`IdentityError::KeyFile`]; [`IdentityError::Mismatch`] if secrets and public part disagree.
    pub fn danger_import(bytes: &[u8]) -> Result<Self, IdentityError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(IdentityError::KeyFile)?;
        let (&flags, mut rest) = rest.split_first().ok_or(IdentityError::KeyFile)?;
        if flags > 1 {
            return Err(IdentityError::KeyFile);
        }
        let mut secret = || {
            let (secret, after) = rest.split_first_chunk::<32>().ok_or(IdentityError::KeyFile)?;
            rest = after;
            Ok::<_, IdentityError>(secret)
        };
        let noise = NoiseSecret::danger_from_bytes(secret()?);
        let sign = SignSecret::danger_from_bytes(secret()?);
        let person = if flags == 1 {
            let sign = SignSecret::danger_from_bytes(secret()?);
            Some(PersonSecrets { sign, seal: SealSecret::danger_from_bytes(secret()?) })
        } else {
            None
        };
        let public = cbor::decode(rest).map_err(|_| IdentityError::KeyFile)?;
        Self::from_parts(public, noise, sign, person)
    }
}

impl fmt::Debug for LocalIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalIdentity({}, ..)", self.public.instance_id())
    }
}
