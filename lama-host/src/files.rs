//! The few file operations that replacing a file safely needs, as a trait: tests put a failing disk behind it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::HostError;

/// File operations, each of which may be the last one before the power fails.
pub trait Files {
    /// Makes or empties the file, readable by the owner alone, and writes `bytes`. Not durable yet.
    ///
    /// # Errors
    /// What the system says.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes the content of the file durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&mut self, path: &Path) -> io::Result<()>;
    /// Puts `from` in the place of `to` in one step. The directory is not durable yet.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in the directory durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&mut self, dir: &Path) -> io::Result<()>;
    /// Reads at most `limit` bytes; a longer file is an error.
    ///
    /// # Errors
    /// What the system says, or `InvalidData` for a longer file.
    fn read(&mut self, path: &Path, limit: usize) -> io::Result<Vec<u8>>;
}

/// The real disk.
#[derive(Debug, Default, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // A file left over from an earlier crash keeps its mode when it is opened again.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn read(&mut self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit { Err(io::ErrorKind::InvalidData.into()) } else { Ok(bytes) }
    }
}

/// Replaces the file at `path` so that a crash at any point leaves the old content or the new one, whole:
/// write a new file, make it durable, rename it, make the rename durable. Nothing is ever deleted first.
///
/// # Errors
/// [`HostError::Io`]. After an error the old content is still in place, unless only the last step failed.
pub fn replace<F: Files>(files: &mut F, path: &Path, bytes: &[u8]) -> Result<(), HostError> {
    let fresh = path.with_extension("new");
    let dir = path.parent().unwrap_or(Path::new("."));
    files.write(&fresh, bytes).map_err(|error| HostError::io("write", &fresh, &error))?;
    files.sync(&fresh).map_err(|error| HostError::io("write", &fresh, &error))?;
    files.rename(&fresh, path).map_err(|error| HostError::io("replace", path, &error))?;
    files.sync_dir(dir).map_err(|error| HostError::io("write", dir, &error))
}
