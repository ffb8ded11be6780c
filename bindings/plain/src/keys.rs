//! The secrets of an instance: made once, kept by the host as the bytes of a key file.

use std::fmt;

use lama_core::{Seed, WallTime};
use lama_identity::keyfile::{self, Cost, Protection, Secret};
use lama_identity::{Enrolment, LocalIdentity, Object as _};
use lama_store::StorageKey;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::Problem;

/// Under which names they stand in the key file, as in that of the `lama` program.
const SECRET: &str = "identity";
const STORAGE: &str = "storage";
const ENROLMENT: &str = "enrolment";

/// All secrets of one instance: the person's, the instance's and the store's.
pub struct Keys {
    pub(crate) identity: LocalIdentity,
    pub(crate) storage: StorageKey,
    pub(crate) enrolment: Option<Enrolment>,
    /// What else the file holds, such as the `lama` program's former keys: kept as it is.
    others: Vec<Secret>,
}

/// What may be shown of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The person's e-mail address.
    pub email: String,
    /// The person's id.
    pub person: String,
    /// The fingerprint of the person's signing key.
    pub fingerprint: String,
    /// The instance's id.
    pub instance: String,
    /// What its person calls it.
    pub name: String,
}

impl Keys {
    /// Makes a person, known by an e-mail address, and its first instance. `entropy` is drawn for this alone.
    ///
    /// # Errors
    /// What is wrong with the address or the name.
    pub fn create(email: &str, name: &str, mut entropy: [u8; 32], wall_ms: u64) -> Result<Self, Problem> {
        let seed = Seed::take(&mut entropy);
        let identity =
            LocalIdentity::create(email.parse()?, name, seed.child("LAMA/identity"), WallTime(wall_ms))?;
        let storage = StorageKey::from_seed(seed.child("LAMA/storage"));
        Ok(Self::of(identity, storage, None))
    }

    pub(crate) const fn of(
        identity: LocalIdentity,
        storage: StorageKey,
        enrolment: Option<Enrolment>,
    ) -> Self {
        Self { identity, storage, enrolment, others: Vec::new() }
    }

    /// The bytes of a key file: the very format of the `lama` program's. Without a passphrase whoever reads it has the
    /// keys. `entropy` is drawn for this alone. With a passphrase it takes 64 MiB of memory for a moment.
    ///
    /// # Errors
    /// `identity.*`, `too_much`; none in practice.
    pub fn seal(&self, passphrase: Option<&str>, mut entropy: [u8; 32]) -> Result<Vec<u8>, Problem> {
        let mut secrets: Vec<Secret> = vec![
            (SECRET.to_owned(), self.identity.danger_export()?),
            (STORAGE.to_owned(), Zeroizing::new(self.storage.danger_expose().to_vec())),
        ];
        if let Some(enrolment) = &self.enrolment {
            secrets.push((ENROLMENT.to_owned(), Zeroizing::new(enrolment.to_bytes()?.to_vec())));
        }
        secrets.extend(self.others.iter().cloned());
        let owner = *self.identity.person_id().as_bytes();
        let seed = Seed::take(&mut entropy);
        Ok(keyfile::seal(&owner, passphrase.map(str::as_bytes), Cost::default(), &secrets, &seed)?)
    }

    /// Opens a key file, made here or by the `lama` program (`keys.lama` of a data directory).
    ///
    /// # Errors
    /// `passphrase_needed`, `locked`, `newer_version`.
    pub fn open(file: &[u8], passphrase: Option<&str>) -> Result<Self, Problem> {
        let (owner, secrets) = keyfile::open(file, passphrase.map(str::as_bytes))?;
        let damaged = || Problem::from(keyfile::KeyFileError::Corrupt);
        let find = |name: &str| secrets.iter().find(|(id, _)| id == name).map(|(_, secret)| secret);
        let identity =
            LocalIdentity::danger_import(find(SECRET).ok_or_else(damaged)?).map_err(|_| damaged())?;
        if identity.person_id().as_bytes() != &owner {
            return Err(damaged());
        }
        let storage: &[u8; 32] =
            find(STORAGE).and_then(|key| key.as_slice().try_into().ok()).ok_or_else(damaged)?;
        let enrolment = find(ENROLMENT).map(|bytes| Enrolment::from_bytes(bytes)).transpose();
        let storage = StorageKey::new(Zeroizing::new(*storage));
        let enrolment = enrolment.map_err(|_| damaged())?;
        let known = |name: &str| [SECRET, STORAGE, ENROLMENT].contains(&name);
        let others = secrets.into_iter().filter(|(name, _)| !known(name)).collect();
        Ok(Self { identity, storage, enrolment, others })
    }

    /// Whether a key file is locked by a passphrase.
    ///
    /// # Errors
    /// `locked`, `newer_version`.
    pub fn needs_passphrase(file: &[u8]) -> Result<bool, Problem> {
        Ok(keyfile::protection(file)? == Protection::Passphrase)
    }

    /// What may be shown.
    #[must_use]
    pub fn public(&self) -> Identity {
        let public = self.identity.public();
        Identity {
            email: public.person.email.to_string(),
            person: public.person_id().full(),
            fingerprint: public.pin().full(),
            instance: public.instance_id().full(),
            name: public.instance.name.clone(),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, ..)", self.identity.instance_id())
    }
}
