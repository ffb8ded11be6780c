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
//! a damaged file from a wrong passphrase.
//!
//! These are the bytes alone: whoever has a disk, or a browser's storage, puts them there.

mod codec;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use lama_core::Seed;
use zeroize::Zeroizing;

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
pub const DEAREST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

/// The most bytes a key file may have.
pub const MAX_FILE: usize = 1024 * 1024;

/// What a key file is protected by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// By where it is kept alone, by explicit wish.
    None,
    /// A passphrase.
    Passphrase,
}

/// Why a key file was not written or does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It is damaged, or no key file.
    Corrupt,
    /// The passphrase is wrong.
    WrongPassphrase,
    /// It is sealed by a passphrase and none was given.
    PassphraseNeeded,
    /// Its format is newer than this program.
    Newer {
        /// Its version.
        version: u8,
    },
    /// More than the format has room for.
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
}

impl KeyFileError {
    /// A stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Corrupt | Self::WrongPassphrase => "locked",
            Self::PassphraseNeeded => "passphrase_needed",
            Self::Newer { .. } => "newer_version",
            Self::TooMuch { .. } => "too_much",
        }
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt | Self::WrongPassphrase => f.write_str(
                "the keys do not open: the passphrase is wrong or they are damaged; try again, or restore them from a \
                 backup",
            ),
            Self::PassphraseNeeded => f.write_str("the keys are locked by a passphrase and none was given; give it"),
            Self::Newer { version } => {
                write!(f, "the keys have format version {version}, which is newer than this program; update it")
            }
            Self::TooMuch { what, limit } => write!(f, "{what}: more than {limit}; keep fewer"),
        }
    }
}

impl core::error::Error for KeyFileError {}

/// What a key file is protected by, without opening it.
///
/// # Errors
/// [`KeyFileError::Corrupt`], [`KeyFileError::Newer`].
pub fn protection(file: &[u8]) -> Result<Protection, KeyFileError> {
    Ok(if load(file)?.header.wrapped { Protection::Passphrase } else { Protection::None })
}

/// Seals `secrets` of `owner` under a master key from `seed`, which is drawn for this file alone; the file's bytes.
///
/// # Errors
/// [`KeyFileError::TooMuch`]; [`KeyFileError::Corrupt`] for a cost that cannot be.
pub fn seal(
    owner: &[u8; 32],
    passphrase: Option<&[u8]>,
    cost: Cost,
    secrets: &[Secret],
    seed: &Seed,
) -> Result<Vec<u8>, KeyFileError> {
    let master = seed.derive("master");
    let header = Header { wrapped: passphrase.is_some(), owner: *owner, cost, salt: *seed.derive("salt") };
    let wrapping = wrapping_key(&header, passphrase)?;
    let wrapped = Sealed::seal(&wrapping, nonce(seed, "master nonce"), &header.authenticated(), &*master)?;
    let mut sealed = Vec::with_capacity(secrets.len());
    for (at, (id, secret)) in secrets.iter().enumerate() {
        let nonce = nonce(seed, &format!("nonce {at}"));
        sealed.push((id.clone(), Sealed::seal(&master, nonce, &header.beside(id), secret)?));
    }
    codec::encode(&Body { header, master: wrapped, secrets: sealed })
}

/// Opens a key file: the owner and all secrets.
///
/// # Errors
/// [`KeyFileError::PassphraseNeeded`], [`KeyFileError::WrongPassphrase`], [`KeyFileError::Corrupt`],
/// [`KeyFileError::Newer`].
pub fn open(file: &[u8], passphrase: Option<&[u8]>) -> Result<([u8; 32], Vec<Secret>), KeyFileError> {
    let body = load(file)?;
    let header = body.header;
    if header.wrapped && passphrase.is_none() {
        return Err(KeyFileError::PassphraseNeeded);
    }
    let wrapping = wrapping_key(&header, passphrase.filter(|_| header.wrapped))?;
    let wrong = if header.wrapped { KeyFileError::WrongPassphrase } else { KeyFileError::Corrupt };
    let master = body.master.open(&wrapping, &header.authenticated()).ok_or(wrong)?;
    let master: &[u8; 32] = master.as_slice().try_into().map_err(|_| KeyFileError::Corrupt)?;
    let mut secrets = Vec::with_capacity(body.secrets.len());
    for (id, sealed) in body.secrets {
        let secret = sealed.open(master, &header.beside(&id)).ok_or(KeyFileError::Corrupt)?;
        secrets.push((id, secret));
    }
    Ok((header.owner, secrets))
}

fn load(file: &[u8]) -> Result<Body, KeyFileError> {
    if file.len() > MAX_FILE {
        return Err(KeyFileError::Corrupt);
    }
    let body = codec::decode(file)?;
    let Cost { memory_kib, passes, lanes } = body.header.cost;
    if memory_kib > DEAREST.memory_kib || passes > DEAREST.passes || lanes > DEAREST.lanes {
        return Err(KeyFileError::Corrupt);
    }
    Ok(body)
}

/// A nonce that is used once: the seed is drawn for one file.
fn nonce(seed: &Seed, label: &str) -> [u8; 24] {
    let bytes = seed.derive(label);
    bytes.first_chunk().copied().unwrap_or_default()
}

/// The key that wraps the master key. Without a passphrase it is the salt: then the place is the protection, and the
/// format stays one.
fn wrapping_key(header: &Header, passphrase: Option<&[u8]>) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let Some(passphrase) = passphrase else { return Ok(Zeroizing::new(header.salt)) };
    stretch(passphrase, &header.salt, header.cost).ok_or(KeyFileError::Corrupt)
}

/// What Argon2id makes of a passphrase; `None`: there is no such cost.
#[must_use]
pub fn stretch(passphrase: &[u8], salt: &[u8; 32], cost: Cost) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).ok()?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut *key)
        .ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    #[test]
    fn what_was_sealed_opens_again_and_no_byte_may_change() {
        let secrets = vec![("a".into(), Zeroizing::new(vec![1; 40])), ("b".into(), Zeroizing::new(vec![]))];
        for passphrase in [None, Some(&b"open sesame"[..])] {
            let file = seal(&[7; 32], passphrase, CHEAP, &secrets, &Seed::danger_fixed([3; 32])).unwrap();
            assert_eq!(open(&file, passphrase).unwrap(), ([7; 32], secrets.clone()));
            assert_eq!(protection(&file).unwrap() == Protection::Passphrase, passphrase.is_some());
            for at in 0..file.len() {
                let mut damaged = file.clone();
                damaged[at] ^= 1;
                assert!(open(&damaged, passphrase).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn wrong_and_missing_passphrases() {
        let file = seal(&[7; 32], Some(b"right"), CHEAP, &[], &Seed::danger_fixed([3; 32])).unwrap();
        assert_eq!(open(&file, Some(b"wrong")), Err(KeyFileError::WrongPassphrase));
        assert_eq!(open(&file, None), Err(KeyFileError::PassphraseNeeded));
        assert_eq!(open(&file[1..], None), Err(KeyFileError::Corrupt));
    }

    #[test]
    fn secrets_cannot_be_swapped_within_or_between_files() {
        let header = |owner| Header { wrapped: false, owner, cost: CHEAP, salt: [0; 32] };
        let ours = header([7; 32]);
        let sealed = Sealed::seal(&[9; 32], [1; 24], &ours.beside("person"), b"secret").unwrap();
        assert!(sealed.open(&[9; 32], &ours.beside("person")).is_some());
        assert!(sealed.open(&[9; 32], &ours.beside("instance")).is_none());
        assert!(sealed.open(&[9; 32], &header([8; 32]).beside("person")).is_none());
    }
}
