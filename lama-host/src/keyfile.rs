//! Keys at rest: a random master key wrapped by a passphrase, and every secret sealed under it.
//!
//! ```text
//! "LAMAKEY" | version 1 | wrap 1 (0 none, 1 Argon2id) | owner 32
//! memory KiB u32 | passes u32 | lanes u32 | salt 32 | nonce 24 | master key, sealed 48
//! count u8 | count x ( id length u8 | id | nonce 24 | length u32 | sealed secret )
//! SHA-256 of everything before
//! ```
//! Integers are big-endian. The cipher is XChaCha20-Poly1305; what is authenticated beside each secret is
//! `"LAMA/keyfile/1" 00 version owner id`, and for the master key also everything in front of its nonce. The hash tells
//! a damaged file from a wrong passphrase; people are told both in one sentence ([`HostError::Locked`]).

mod codec;

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::error::LockedCause;
use crate::files::{self, Files};
use crate::{HostError, Passphrase, entropy};
use codec::{Body, Header, Sealed};

/// A secret as it is kept: a name and bytes that are wiped when dropped.
pub type Secret = (String, Zeroizing<Vec<u8>>);

/// What the passphrase goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB; at least 8 for each lane.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// 64 MiB, three passes, one lane (`security.md` 11; RFC 9106 names it for machines short of memory).
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 }
    }
}

/// The dearest key file that is opened at all: 1 GiB, 16 passes. A forged file cannot ask for more.
pub(crate) const DEAREST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

/// The most bytes a key file may have.
const MAX_FILE: usize = 1024 * 1024;

/// What a key file is protected by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// The file's permissions alone, by explicit wish.
    None,
    /// A passphrase.
    Passphrase,
}

/// What the key file at `path` is protected by, without opening it.
///
/// # Errors
/// [`HostError::Locked`] for a damaged file, [`HostError::Io`].
pub fn protection<F: Files>(files: &mut F, path: &Path) -> Result<Protection, HostError> {
    Ok(if load(files, path)?.header.wrapped { Protection::Passphrase } else { Protection::None })
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
    let mut master = Zeroizing::new([0; 32]);
    entropy::fill(&mut *master)?;
    let header = Header { wrapped: passphrase.is_some(), owner: *owner, cost, salt: entropy::array()? };
    let wrapping = wrapping_key(&header, passphrase)?;
    let wrapped = Sealed::seal(&wrapping, &header.authenticated(), &*master)?;
    let mut sealed = Vec::with_capacity(secrets.len());
    for (id, secret) in secrets {
        sealed.push((id.clone(), Sealed::seal(&master, &header.beside(id), secret)?));
    }
    let bytes = codec::encode(&Body { header, master: wrapped, secrets: sealed })?;
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
    let body = load(files, path)?;
    let header = body.header;
    if header.wrapped && passphrase.is_none() {
        return Err(HostError::PassphraseNeeded);
    }
    let wrapping = wrapping_key(&header, passphrase.filter(|_| header.wrapped))?;
    let wrong = if header.wrapped { LockedCause::WrongPassphrase } else { LockedCause::Corrupt };
    let master = body.master.open(&wrapping, &header.authenticated()).ok_or(HostError::Locked(wrong))?;
    let master: &[u8; 32] =
        master.as_slice().try_into().map_err(|_| HostError::Locked(LockedCause::Corrupt))?;
    let mut secrets = Vec::with_capacity(body.secrets.len());
    for (id, sealed) in body.secrets {
        let secret =
            sealed.open(master, &header.beside(&id)).ok_or(HostError::Locked(LockedCause::Corrupt))?;
        secrets.push((id, secret));
    }
    Ok((header.owner, secrets))
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

fn load<F: Files>(files: &mut F, path: &Path) -> Result<Body, HostError> {
    let bytes = files.read(path, MAX_FILE).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => HostError::Locked(LockedCause::Corrupt),
        _ => HostError::io("read", path, &error),
    })?;
    let body = codec::decode(&bytes, path)?;
    let Cost { memory_kib, passes, lanes } = body.header.cost;
    if memory_kib > DEAREST.memory_kib || passes > DEAREST.passes || lanes > DEAREST.lanes {
        return Err(HostError::Locked(LockedCause::Corrupt));
    }
    Ok(body)
}

/// The key that wraps the master key. Without a passphrase it is the salt: then the permissions are the protection,
/// and the format stays one.
fn wrapping_key(header: &Header, passphrase: Option<&Passphrase>) -> Result<Zeroizing<[u8; 32]>, HostError> {
    let Some(passphrase) = passphrase else { return Ok(Zeroizing::new(header.salt)) };
    stretch(passphrase, &header.salt, header.cost).ok_or(HostError::Locked(LockedCause::Corrupt))
}

/// What Argon2id makes of a passphrase; `None`: there is no such cost.
pub(crate) fn stretch(passphrase: &Passphrase, salt: &[u8; 32], cost: Cost) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).ok()?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .ok()?;
    Some(key)
}

#[cfg(test)]
mod tests;
