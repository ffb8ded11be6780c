//! Backups: a stream of items under a passphrase, written and read in bounded memory, with an end that is proved.
//!
//! ```text
//! "LAMABAK" | version 1 | memory KiB u32 | passes u32 | lanes u32 | salt 32 | nonce prefix 16
//! chunks:  length u32 | sealed (length bytes, tag included)
//! ```
//! Integers are big-endian. The key is Argon2id(passphrase, salt); the cipher XChaCha20-Poly1305. The nonce of chunk n is
//! the prefix, n as u32, then 0, or 1 for the last chunk, as u32: chunks cannot be left out, repeated or put in
//! another order, and a file that was cut short has no last chunk. Beside each chunk stands the whole header. A chunk
//! holds up to 64 KiB of the stream; the stream is items, which may run over chunks:
//!
//! ```text
//! tag u8 | name length u32 | name | value length u32 | value
//! ```
//! What the tags mean is the program's business. Nothing follows the last chunk.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::keyfile::{Cost, DEAREST, stretch};
use crate::{HostError, Passphrase, entropy};

const MAGIC: &[u8; 7] = b"LAMABAK";
const VERSION: u8 = 1;
const HEADER: usize = 7 + 1 + 12 + 32 + 16;
const PREFIX: usize = 16;
const TAG: usize = 16;
/// Bytes of the stream in one chunk.
const CHUNK: usize = 64 << 10;
/// The longest name or value of an item.
const MAX_PART: usize = 1 << 20;

/// One thing in a backup.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub tag: u8,
    /// Its name, at most 1 MiB.
    pub name: Vec<u8>,
    /// Its value, at most 1 MiB; wiped when dropped, since some are secrets.
    pub value: Zeroizing<Vec<u8>>,
}

/// Seals and opens the chunks of one backup, in order.
struct Chunks {
    cipher: XChaCha20Poly1305,
    header: [u8; HEADER],
    prefix: [u8; PREFIX],
    next: u32,
}

impl Chunks {
    fn new(header: [u8; HEADER], passphrase: &Passphrase) -> Result<Self, HostError> {
        let mut rest = header.get(8..).unwrap_or_default();
        let mut number = || {
            let (first, tail) = rest.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
            rest = tail;
            u32::from_be_bytes(*first)
        };
        let cost = Cost { memory_kib: number(), passes: number(), lanes: number() };
        if cost.memory_kib > DEAREST.memory_kib || cost.passes > DEAREST.passes || cost.lanes > DEAREST.lanes
        {
            return Err(HostError::BackupLocked);
        }
        let (salt, prefix) = rest.split_first_chunk::<32>().ok_or(HostError::BackupLocked)?;
        let key = stretch(passphrase.as_bytes(), salt, cost).ok_or(HostError::BackupLocked)?;
        let prefix = *prefix.first_chunk::<PREFIX>().ok_or(HostError::BackupLocked)?;
        Ok(Self { cipher: XChaCha20Poly1305::new((&*key).into()), header, prefix, next: 0 })
    }

    fn nonce(&mut self, last: bool) -> Result<XNonce, HostError> {
        let mut nonce = [0; 24];
        let tail = self.next.to_be_bytes().into_iter().chain(u32::from(last).to_be_bytes());
        nonce.iter_mut().zip(self.prefix.into_iter().chain(tail)).for_each(|(to, from)| *to = from);
        let limit = u64::from(u32::MAX);
        self.next =
            self.next.checked_add(1).ok_or(HostError::TooMuch { what: "chunks of a backup", limit })?;
        Ok(XNonce::from(nonce))
    }

    fn seal(&mut self, chunk: &[u8], last: bool) -> Result<Vec<u8>, HostError> {
        let nonce = self.nonce(last)?;
        let payload = Payload { msg: chunk, aad: &self.header };
        let limit = CHUNK as u64;
        self.cipher
            .encrypt(&nonce, payload)
            .map_err(|_| HostError::TooMuch { what: "bytes of a chunk", limit })
    }

    /// `None`: not this chunk, not under this key, or damaged.
    fn open(&mut self, sealed: &[u8], last: bool) -> Result<Option<Zeroizing<Vec<u8>>>, HostError> {
        let nonce = self.nonce(last)?;
        let payload = Payload { msg: sealed, aad: &self.header };
        Ok(self.cipher.decrypt(&nonce, payload).ok().map(Zeroizing::new))
    }
}

/// Writes a backup. Dropped without [`Writer::finish`], what it wrote has no end and is refused by [`Reader`].
pub struct Writer<W> {
    chunks: Chunks,
    buffer: Zeroizing<Vec<u8>>,
    to: W,
    written: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a backup under a passphrase.
    ///
    /// # Errors
    /// [`HostError::NoEntropy`], [`HostError::Io`].
    pub fn new(mut to: W, passphrase: &Passphrase, cost: Cost) -> Result<Self, HostError> {
        let numbers = [cost.memory_kib, cost.passes, cost.lanes].map(u32::to_be_bytes);
        let (salt, prefix): ([u8; 32], [u8; PREFIX]) = (entropy::array()?, entropy::array()?);
        let all = [MAGIC.as_slice(), &[VERSION], numbers.as_flattened(), &salt, &prefix].concat();
        let header: [u8; HEADER] = all.try_into().map_err(|_| HostError::BackupLocked)?;
        let chunks = Chunks::new(header, passphrase)?;
        to.write_all(&header).map_err(|error| failed("write", &error))?;
        Ok(Self { chunks, buffer: Zeroizing::new(Vec::with_capacity(CHUNK)), to, written: HEADER as u64 })
    }

    /// Adds an item.
    ///
    /// # Errors
    /// [`HostError::TooMuch`] for a part above 1 MiB, [`HostError::Io`].
    pub fn item(&mut self, tag: u8, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.push(&[tag])?;
        for part in [name, value] {
            let length = u32::try_from(part.len()).ok().filter(|_| part.len() <= MAX_PART);
            let too_much =
                HostError::TooMuch { what: "bytes of one item of a backup", limit: MAX_PART as u64 };
            self.push(&length.ok_or(too_much)?.to_be_bytes())?;
            self.push(part)?;
        }
        Ok(())
    }

    /// Writes the end and gives back what it wrote to, with the number of bytes.
    ///
    /// # Errors
    /// [`HostError::Io`].
    pub fn finish(mut self) -> Result<(W, u64), HostError> {
        self.flush(true)?;
        self.to.flush().map_err(|error| failed("write", &error))?;
        Ok((self.to, self.written))
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), HostError> {
        while !bytes.is_empty() {
            // A full chunk waits until more comes: the last one must be marked.
            if self.buffer.len() == CHUNK {
                self.flush(false)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn flush(&mut self, last: bool) -> Result<(), HostError> {
        let sealed = self.chunks.seal(&self.buffer, last)?;
        self.buffer.clear();
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_be_bytes();
        for part in [length.as_slice(), &sealed] {
            self.to.write_all(part).map_err(|error| failed("write", &error))?;
            self.written += part.len() as u64;
        }
        Ok(())
    }
}

/// Reads a backup. What it gives is authentic; that it is *all* is known when [`Reader::next_item`] has said `None`.
pub struct Reader<R> {
    chunks: Chunks,
    chunk: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
    from: R,
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// [`HostError::NotABackup`], [`HostError::NewerVersion`], [`HostError::BackupLocked`] (wrong passphrase or
    /// damaged), [`HostError::BackupCut`], [`HostError::Io`]. `path` is for the messages.
    pub fn new(mut from: R, path: &Path, passphrase: &Passphrase) -> Result<Self, HostError> {
        let mut header = [0; HEADER];
        let foreign = || HostError::NotABackup(path.to_path_buf());
        from.read_exact(&mut header).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => foreign(),
            _ => failed("read", &error),
        })?;
        match header.split_first_chunk::<7>().map(|(magic, rest)| (magic == MAGIC, rest.first().copied())) {
            Some((true, Some(VERSION))) => {}
            Some((true, Some(version))) if version > VERSION => {
                return Err(HostError::NewerVersion { path: path.to_path_buf(), version });
            }
            _ => return Err(foreign()),
        }
        let chunks = Chunks::new(header, passphrase)?;
        let mut this = Self { chunks, chunk: Zeroizing::default(), at: 0, ended: false, from };
        this.take_chunk(true)?;
        Ok(this)
    }

    /// The next item; `None`: the end, which was proved.
    ///
    /// # Errors
    /// [`HostError::BackupCut`] for a file that ends early, [`HostError::BackupDamaged`], [`HostError::Io`].
    pub fn next_item(&mut self) -> Result<Option<Item>, HostError> {
        while self.at == self.chunk.len() {
            if self.ended {
                return Ok(None);
            }
            self.take_chunk(false)?;
        }
        let [tag] = self.array()?;
        let name = self.part()?.to_vec();
        let value = self.part()?;
        Ok(Some(Item { tag, name, value }))
    }

    fn part(&mut self) -> Result<Zeroizing<Vec<u8>>, HostError> {
        let length = usize::try_from(u32::from_be_bytes(self.array()?)).unwrap_or(usize::MAX);
        if length > MAX_PART {
            return Err(HostError::BackupDamaged);
        }
        let mut part = Zeroizing::new(Vec::with_capacity(length));
        self.fill(length, &mut part)?;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HostError> {
        let mut bytes = Vec::with_capacity(N);
        self.fill(N, &mut bytes)?;
        bytes.try_into().map_err(|_| HostError::BackupDamaged)
    }

    fn fill(&mut self, length: usize, out: &mut Vec<u8>) -> Result<(), HostError> {
        while out.len() < length {
            let rest = self.chunk.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                if self.ended {
                    return Err(HostError::BackupDamaged);
                }
                self.take_chunk(false)?;
                continue;
            }
            let taken = rest.get(..rest.len().min(length - out.len())).unwrap_or_default();
            out.extend_from_slice(taken);
            self.at += taken.len();
        }
        Ok(())
    }

    fn take_chunk(&mut self, first: bool) -> Result<(), HostError> {
        let mut length = [0; 4];
        self.exactly(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if !(TAG..=CHUNK + TAG).contains(&length) {
            return Err(HostError::BackupDamaged);
        }
        let mut sealed = vec![0; length];
        self.exactly(&mut sealed)?;
        // Whether it is the last one is in the nonce: a chunk that is followed by nothing must say so.
        let number = self.chunks.next;
        let mut opened = self.chunks.open(&sealed, false)?;
        if opened.is_none() {
            self.chunks.next = number;
            opened = self.chunks.open(&sealed, true)?;
            self.ended = opened.is_some();
        }
        let wrong = if first { HostError::BackupLocked } else { HostError::BackupDamaged };
        self.chunk = opened.ok_or(wrong)?;
        self.at = 0;
        if self.ended && self.from.read(&mut [0]).map_err(|error| failed("read", &error))? > 0 {
            return Err(HostError::BackupDamaged);
        }
        Ok(())
    }

    fn exactly(&mut self, out: &mut [u8]) -> Result<(), HostError> {
        self.from.read_exact(out).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => HostError::BackupCut,
            _ => failed("read", &error),
        })
    }
}

fn failed(doing: &'static str, error: &std::io::Error) -> HostError {
    HostError::io(doing, Path::new("the backup"), error)
}

#[cfg(test)]
mod tests;
