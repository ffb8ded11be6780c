//! Writing a shared file or folder to a disk, without trusting whoever shared it or what lies on the disk.
//!
//! - No path leads out: names are plain ones, and every step below the destination is opened from the one above it without
//!   following links, so a link that lies there leads nowhere.
//! - Nothing is overwritten unless that was asked for; what is there with the same content counts as written.
//! - Each file appears whole or not at all: it is written beside its place and renamed. A part that was left behind is
//!   gone on with, chunk by chunk.

use std::fs::File as Disk;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use lama_chum::blob::{BlobError, Item, Reader};
use lama_identity::Cid;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::HostError;

/// How names of files begin that are not complete.
const PART: &str = ".lama-part-";

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Got {
    /// Files that are in place now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of the files that were in place before.
    pub kept: u64,
}

/// Refuses names that mean something to a program or a system, whatever lies in them.
///
/// # Errors
/// [`HostError::Reserved`].
pub fn not_reserved(name: &str) -> Result<(), HostError> {
    if is_reserved(name, cfg!(windows)) { Err(HostError::Reserved(name.to_owned())) } else { Ok(()) }
}

fn is_reserved(name: &str, windows: bool) -> bool {
    let lower = name.to_ascii_lowercase();
    // What lies in `.git` is run by git, also under the names that some disks take for the same.
    let trimmed = lower.trim_end_matches(['.', ' ']);
    if lower.starts_with(PART) || trimmed == ".git" || lower.starts_with("git~") {
        return true;
    }
    let stem = trimmed.split('.').next().unwrap_or_default().trim_end();
    let numbered =
        |device: &str| stem.strip_prefix(device).is_some_and(|rest| matches!(rest.as_bytes(), [b'1'..=b'9']));
    let device = matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt");
    windows && (device || name.ends_with(['.', ' ']) || name.contains(['<', '>', '"', '|', '?', '*']))
}

/// Writes `files` below `into`, which is made if it is missing. With `force` files of other content are replaced; without
/// it they are refused before anything is written.
///
/// # Errors
/// [`HostError::Reserved`], [`HostError::Exists`], [`HostError::Unsafe`] where a link or a file stands in the way, [`HostError::Missing`],
/// [`HostError::Blob`], [`HostError::Io`], or what `fetch` says.
pub fn get<E: From<HostError>>(
    files: &[Item],
    into: &Path,
    force: bool,
    fetch: &mut dyn FnMut(Cid) -> Result<Option<Bytes>, E>,
) -> Result<Got, E> {
    std::fs::create_dir_all(into).map_err(|error| HostError::io("make", into, &error))?;
    let root =
        rustix::fs::openat(CWD, into, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| HostError::io("open", into, &error.into()))?;
    let dest = Dest { root, path: into.to_path_buf() };
    let mut looks = Vec::with_capacity(files.len());
    for item in files {
        item.path.split('/').try_for_each(not_reserved)?;
        looks.push(dest.look(item, fetch)?);
    }
    let different = files.iter().zip(&looks).filter(|(_, look)| **look == Look::Different);
    let paths: Vec<PathBuf> = different.map(|(item, _)| dest.path.join(&item.path)).collect();
    if let (Some(first), false) = (paths.first(), force) {
        return Err(HostError::Exists { path: first.clone(), count: paths.len() as u64 }.into());
    }
    let mut got = Got::default();
    for (item, look) in files.iter().zip(looks) {
        if look == Look::Same {
            got.kept += 1;
        } else {
            dest.write(item, force, fetch)?;
        }
        got.files += 1;
        got.bytes += item.size;
    }
    Ok(got)
}

/// How a place looks before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Free,
    Same,
    Different,
}

/// The directory that is written to.
struct Dest {
    root: OwnedFd,
    path: PathBuf,
}

impl Dest {
    fn io(&self, doing: &'static str, path: &str, error: Errno) -> HostError {
        HostError::io(doing, &self.path.join(path), &error.into())
    }

    /// The directory of `path` and the name in it. `make`: directories on the way are made; else `None` if one is missing.
    fn parent<'a>(&self, path: &'a str, make: bool) -> Result<Option<(OwnedFd, &'a str)>, HostError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = self.root.try_clone().map_err(|error| HostError::io("open", &self.path, &error))?;
        let (dirs, name) = path.rsplit_once('/').map_or(("", path), |(dirs, name)| (dirs, name));
        for part in dirs.split('/').filter(|part| !part.is_empty()) {
            if make {
                match rustix::fs::mkdirat(&at, part, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(self.io("make the folders of", path, error)),
                }
            }
            at = match rustix::fs::openat(&at, part, flags, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) if !make => return Ok(None),
                Err(Errno::LOOP | Errno::NOTDIR) => return Err(HostError::Unsafe(self.path.join(path))),
                Err(error) => return Err(self.io("open the folders of", path, error)),
            };
        }
        Ok(Some((at, name)))
    }

    /// Whether the place is free, or holds that content.
    fn look<E: From<HostError>>(
        &self,
        item: &Item,
        fetch: &mut dyn FnMut(Cid) -> Result<Option<Bytes>, E>,
    ) -> Result<Look, E> {
        let Some((dir, name)) = self.parent(&item.path, false)? else { return Ok(Look::Free) };
        let stat = match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Look::Free),
            Err(error) => return Err(self.io("look at", &item.path, error).into()),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Symlink => return Ok(Look::Different),
            _ => return Err(HostError::Unsafe(self.path.join(&item.path)).into()),
        }
        if u64::try_from(stat.st_size) != Ok(item.size) {
            return Ok(Look::Different);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let disk = rustix::fs::openat(&dir, name, flags, Mode::empty());
        let mut disk = Disk::from(disk.map_err(|error| self.io("read", &item.path, error))?);
        let mut reader = Reader::new(item.blob);
        while let Some(id) = reader.wanted() {
            if let Some(bytes) = reader.give(need(id, fetch)?).map_err(HostError::from)?
                && !holds(&mut disk, &bytes)
                    .map_err(|error| HostError::io("read", &self.path.join(&item.path), &error))?
            {
                return Ok(Look::Different);
            }
        }
        Ok(Look::Same)
    }

    /// Writes a file beside its place, and puts it there.
    fn write<E: From<HostError>>(
        &self,
        item: &Item,
        force: bool,
        fetch: &mut dyn FnMut(Cid) -> Result<Option<Bytes>, E>,
    ) -> Result<(), E> {
        let unsafe_path = || HostError::Unsafe(self.path.join(&item.path));
        let (dir, name) = self.parent(&item.path, true)?.ok_or_else(unsafe_path)?;
        let id = item.blob.to_string();
        let part = format!("{PART}{}", id.get(7..39).unwrap_or(&id));
        match rustix::fs::statat(&dir, part.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
                return Err(unsafe_path().into());
            }
            Ok(_) | Err(_) => {}
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let disk = rustix::fs::openat(&dir, part.as_str(), flags, Mode::from_raw_mode(0o600));
        let mut disk = Disk::from(disk.map_err(|error| self.io("write", &item.path, error))?);
        self.fill(&mut disk, item, fetch)?;
        let io = |error: std::io::Error| HostError::io("write", &self.path.join(&item.path), &error);
        let mode = if item.executable { 0o700 } else { 0o600 };
        disk.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(io)?;
        disk.sync_data().map_err(io)?;
        self.put(&dir, &part, name, force, item)?;
        Ok(())
    }

    /// Goes on after what is in the part already.
    fn fill<E: From<HostError>>(
        &self,
        disk: &mut Disk,
        item: &Item,
        fetch: &mut dyn FnMut(Cid) -> Result<Option<Bytes>, E>,
    ) -> Result<(), E> {
        let io = |error: std::io::Error| HostError::io("write", &self.path.join(&item.path), &error);
        let mut reader = Reader::new(item.blob);
        let mut resumes = true;
        while let Some(id) = reader.wanted() {
            let Some(bytes) = reader.give(need(id, fetch)?).map_err(HostError::from)? else { continue };
            if resumes && !holds(disk, &bytes).map_err(io)? {
                let at = reader.position().saturating_sub(bytes.len() as u64);
                disk.set_len(at).map_err(io)?;
                disk.seek(SeekFrom::Start(at)).map_err(io)?;
                resumes = false;
            }
            if !resumes {
                disk.write_all(&bytes).map_err(io)?;
            }
        }
        disk.set_len(reader.position()).map_err(io)?;
        if reader.position() != item.size {
            return Err(HostError::from(BlobError::WrongSize { expected: item.size }).into());
        }
        Ok(())
    }

    /// Puts the complete part in its place, in one step.
    fn put(&self, dir: &OwnedFd, part: &str, name: &str, force: bool, item: &Item) -> Result<(), HostError> {
        let exists = || HostError::Exists { path: self.path.join(&item.path), count: 1 };
        let renamed = if force {
            rustix::fs::renameat(dir, part, dir, name)
        } else {
            match rustix::fs::renameat_with(dir, part, dir, name, RenameFlags::NOREPLACE) {
                // Not every disk can do that in one step: then look first.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Err(Errno::NOENT) => rustix::fs::renameat(dir, part, dir, name),
                        _ => Err(Errno::EXIST),
                    }
                }
                done => done,
            }
        };
        match renamed {
            Ok(()) => Ok(()),
            Err(Errno::EXIST | Errno::ISDIR | Errno::NOTEMPTY) => Err(exists()),
            Err(error) => Err(self.io("write", &item.path, error)),
        }
    }
}

/// Whether the next bytes of the file are these.
fn holds(disk: &mut Disk, bytes: &[u8]) -> std::io::Result<bool> {
    let mut there = vec![0; bytes.len()];
    match disk.read_exact(&mut there) {
        Ok(()) => Ok(there == bytes),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn need<E: From<HostError>>(
    id: Cid,
    fetch: &mut dyn FnMut(Cid) -> Result<Option<Bytes>, E>,
) -> Result<Bytes, E> {
    fetch(id)?.ok_or_else(|| HostError::Missing(id).into())
}

#[cfg(test)]
mod tests;
