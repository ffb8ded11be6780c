//! The bytes of a key file. Every length is checked before anything is taken.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Cost, KeyFileError};

const MAGIC: &[u8; 7] = b"LAMAKEY";
const VERSION: u8 = 1;
const LABEL: &[u8] = b"LAMA/keyfile/1\0";
const HASH: usize = 32;

/// What stands in front of the secrets.
pub(super) struct Header {
    pub(super) wrapped: bool,
    pub(super) owner: [u8; 32],
    pub(super) cost: Cost,
    pub(super) salt: [u8; 32],
}

impl Header {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, u8::from(self.wrapped)]);
        out.extend_from_slice(&self.owner);
        for number in [self.cost.memory_kib, self.cost.passes, self.cost.lanes] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.salt);
    }

    /// What is authenticated beside the master key: the label and the whole header.
    pub(super) fn authenticated(&self) -> Vec<u8> {
        let mut bytes = LABEL.to_vec();
        self.encode(&mut bytes);
        bytes
    }

    /// What is authenticated beside the secret `id`.
    pub(super) fn beside(&self, id: &str) -> Vec<u8> {
        [LABEL, &[VERSION], &self.owner, id.as_bytes()].concat()
    }
}

/// A nonce and what it sealed.
pub(super) struct Sealed {
    nonce: [u8; 24],
    bytes: Vec<u8>,
}

impl Sealed {
    pub(super) fn seal(
        key: &[u8; 32],
        nonce: [u8; 24],
        beside: &[u8],
        secret: &[u8],
    ) -> Result<Self, KeyFileError> {
        let bytes = XChaCha20Poly1305::new(key.into())
            .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: beside })
            .map_err(|_| KeyFileError::TooMuch { what: "bytes in one secret", limit: u64::from(u32::MAX) })?;
        Ok(Self { nonce, bytes })
    }

    pub(super) fn open(&self, key: &[u8; 32], beside: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        XChaCha20Poly1305::new(key.into())
            .decrypt(&XNonce::from(self.nonce), Payload { msg: &self.bytes, aad: beside })
            .ok()
            .map(Zeroizing::new)
    }
}

/// A whole key file.
pub(super) struct Body {
    pub(super) header: Header,
    pub(super) master: Sealed,
    pub(super) secrets: Vec<(String, Sealed)>,
}

pub(super) fn encode(body: &Body) -> Result<Vec<u8>, KeyFileError> {
    let mut out = Vec::new();
    body.header.encode(&mut out);
    out.extend_from_slice(&body.master.nonce);
    out.extend_from_slice(&body.master.bytes);
    let too_much = |what, limit| KeyFileError::TooMuch { what, limit };
    out.push(u8::try_from(body.secrets.len()).map_err(|_| too_much("secrets in a key file", 255))?);
    for (id, sealed) in &body.secrets {
        out.push(u8::try_from(id.len()).map_err(|_| too_much("bytes in the name of a secret", 255))?);
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&sealed.nonce);
        let length = u32::try_from(sealed.bytes.len())
            .map_err(|_| too_much("bytes in one secret", u64::from(u32::MAX)))?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&sealed.bytes);
    }
    let hash = Sha256::digest(&out);
    out.extend_from_slice(&hash);
    Ok(out)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Body, KeyFileError> {
    let version = bytes.get(MAGIC.len()).copied().unwrap_or(VERSION);
    if bytes.starts_with(MAGIC) && version > VERSION {
        return Err(KeyFileError::Newer { version });
    }
    parse(bytes).ok_or(KeyFileError::Corrupt)
}

fn parse(bytes: &[u8]) -> Option<Body> {
    let (content, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH)?)?;
    if Sha256::digest(content).as_slice() != hash {
        return None;
    }
    let mut rest = Reader(content);
    if rest.take(MAGIC.len())? != MAGIC || rest.byte()? != VERSION {
        return None;
    }
    let wrapped = match rest.byte()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let owner = rest.array()?;
    let cost = Cost { memory_kib: rest.u32()?, passes: rest.u32()?, lanes: rest.u32()? };
    let header = Header { wrapped, owner, cost, salt: rest.array()? };
    let master = Sealed { nonce: rest.array()?, bytes: rest.take(48)?.to_vec() };
    let mut secrets = Vec::new();
    for _ in 0..rest.byte()? {
        let length = usize::from(rest.byte()?);
        let id = core::str::from_utf8(rest.take(length)?).ok()?.to_owned();
        let nonce = rest.array()?;
        let length = usize::try_from(rest.u32()?).ok()?;
        secrets.push((id, Sealed { nonce, bytes: rest.take(length)?.to_vec() }));
    }
    rest.0.is_empty().then_some(Body { header, master, secrets })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}
