//! Key files on a disk. The bytes are those of [`lama_identity::keyfile`]; here is how they are replaced without ever
//! being lost. People are told of a wrong passphrase and of a damaged file in one sentence ([`HostError::Locked`]).

use std::path::Path;

use lama_identity::keyfile::{self, KeyFileError, MAX_FILE};
pub use lama_identity::keyfile::{Cost, Protection, Secret};
pub(crate) use lama_identity::keyfile::{DEAREST, stretch};

use crate::error::LockedCause;
use crate::files::{self, Files};
use crate::{HostError, Passphrase, entropy};

/// What the key file at `path` is protected by, without opening it.
///
/// # Errors
/// [`HostError::Locked`] for a damaged file, [`HostError::Io`].
pub fn protection<F: Files>(files: &mut F, path: &Path) -> Result<Protection, HostError> {
    keyfile::protection(&load(files, path)?).map_err(named(path))
}

/// Seals `secrets` of `owner` under a new master key and puts the file in place of any older one, durably.
///
/// # Errors
/// [`HostError::Io`], [`HostError::NoEntropy`], [`HostError::TooMuch`]; the older file is then untouched or the new one
/// in place, never neither.
pub fn store<F: Files>(
    files: &mut F,
    path: &Path,
    owner: &[u8; 32],
    passphrase: Option<&Passphrase>,
    cost: Cost,
    secrets: &[Secret],
) -> Result<(), HostError> {
    let passphrase = passphrase.map(Passphrase::as_bytes);
    let bytes = keyfile::seal(owner, passphrase, cost, secrets, &entropy::seed()?).map_err(named(path))?;
    files::replace(files, path, &bytes)
}

/// Opens the key file: the owner and all secrets.
///
/// # Errors
/// [`HostError::PassphraseNeeded`], [`HostError::Locked`] (wrong passphrase or damaged file),
/// [`HostError::NewerVersion`], [`HostError::Io`].
pub fn open<F: Files>(
    files: &mut F,
    path: &Path,
    passphrase: Option<&Passphrase>,
) -> Result<([u8; 32], Vec<Secret>), HostError> {
    keyfile::open(&load(files, path)?, passphrase.map(Passphrase::as_bytes)).map_err(named(path))
}

/// Puts one more secret into the key file, or another one under its name. A new master key is drawn, as in [`change`].
///
/// # Errors
/// As [`open`] and [`store`]. Whatever happens, the file holds the secrets of before or those and the new one.
pub fn add<F: Files>(
    files: &mut F,
    path: &Path,
    passphrase: Option<&Passphrase>,
    cost: Cost,
    secret: Secret,
) -> Result<(), HostError> {
    let (owner, mut secrets) = open(files, path, passphrase)?;
    secrets.retain(|(id, _)| *id != secret.0);
    secrets.push(secret);
    store(files, path, &owner, passphrase, cost, &secrets)
}

/// Changes the passphrase (`None`: takes it away). The master key is replaced too and every secret sealed anew, so an
/// old copy of the file with the old passphrase opens nothing that comes later.
///
/// # Errors
/// As [`open`] and [`store`]. Whatever happens, the file opens with the old passphrase or with the new one.
pub fn change<F: Files>(
    files: &mut F,
    path: &Path,
    old: Option<&Passphrase>,
    new: Option<&Passphrase>,
    cost: Cost,
) -> Result<(), HostError> {
    let (owner, secrets) = open(files, path, old)?;
    store(files, path, &owner, new, cost, &secrets)
}

fn load<F: Files>(files: &mut F, path: &Path) -> Result<Vec<u8>, HostError> {
    files.read(path, MAX_FILE).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => HostError::Locked(LockedCause::Corrupt),
        _ => HostError::io("read", path, &error),
    })
}

/// The same in the words of a host, which knows the file's name.
fn named(path: &Path) -> impl Fn(KeyFileError) -> HostError + '_ {
    move |error| match error {
        KeyFileError::WrongPassphrase => HostError::Locked(LockedCause::WrongPassphrase),
        KeyFileError::PassphraseNeeded => HostError::PassphraseNeeded,
        KeyFileError::Newer { version } => HostError::NewerVersion { path: path.to_path_buf(), version },
        KeyFileError::TooMuch { what, limit } => HostError::TooMuch { what, limit },
        _ => HostError::Locked(LockedCause::Corrupt),
    }
}

#[cfg(test)]
mod tests;
