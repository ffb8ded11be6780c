//! The data directory: one directory for one instance, private to its owner, held by one process at a time.
//!
//! ```text
//! DIR/               0700
//!   lock             held while a process works with the store
//!   keys.lama        the secrets (keyfile)
//!   instance.json    e-mail, names and ids: what `lama id` shows without unlocking anything
//!   store.redb       objects, views, contacts, tokens
//!   control.sock     where a running instance takes commands
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::HostError;

/// The key file's name: what makes a directory that of an instance.
pub(crate) const KEY_FILE: &str = "keys.lama";

/// A private directory with an instance's data, or room for it.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
}

/// The right to work with a data directory; ends when dropped, or when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl DataDir {
    /// Makes the directory (0700) if it is missing, and refuses one that others can enter.
    ///
    /// # Errors
    /// [`HostError::Exposed`], [`HostError::NotOurs`], [`HostError::Io`].
    pub fn create(path: &Path) -> Result<Self, HostError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| HostError::io("make", path, &error))?;
        private(path)?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// The directory of an instance that was made before.
    ///
    /// # Errors
    /// [`HostError::NoDataDir`], [`HostError::Exposed`], [`HostError::NotOurs`], [`HostError::Io`].
    pub fn open(path: &Path) -> Result<Self, HostError> {
        let dir = Self { path: path.to_path_buf() };
        if !dir.is_initialised() {
            return Err(HostError::NoDataDir(path.to_path_buf()));
        }
        private(path)?;
        private(&dir.keys())?;
        Ok(dir)
    }

    /// Whether it holds an instance.
    #[must_use]
    pub fn is_initialised(&self) -> bool {
        self.keys().exists()
    }

    /// Takes the lock, without waiting.
    ///
    /// # Errors
    /// [`HostError::InUse`], [`HostError::Io`].
    pub fn lock(&self) -> Result<Lock, HostError> {
        let path = self.path.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| HostError::io("open", &path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(HostError::InUse(self.path.clone())),
            Err(TryLockError::Error(error)) => Err(HostError::io("lock", &path, &error)),
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key file.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.path.join(KEY_FILE)
    }

    /// What is known without unlocking.
    #[must_use]
    pub fn instance(&self) -> PathBuf {
        self.path.join("instance.json")
    }

    /// The store's file.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join("store.redb")
    }

    /// The control socket.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.path.join("control.sock")
    }
}

/// Refuses what other users can reach, and what is not ours.
///
/// # Errors
/// [`HostError::Exposed`], [`HostError::NotOurs`], [`HostError::Io`].
pub fn private(path: &Path) -> Result<(), HostError> {
    let about = fs::metadata(path).map_err(|error| HostError::io("look at", path, &error))?;
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(HostError::NotOurs(path.to_path_buf()));
    }
    let mode = about.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(HostError::Exposed { path: path.to_path_buf(), mode, directory: about.is_dir() })
}

/// Where the platform keeps an application's data, if its environment says: `$XDG_DATA_HOME/lama`,
/// `~/Library/Application Support/lama` on macOS, else `~/.local/share/lama`.
#[must_use]
pub fn default_path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(data) = set("XDG_DATA_HOME").filter(|path| path.is_absolute()) {
        return Some(data.join("lama"));
    }
    let home = set("HOME")?;
    let below = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    Some(home.join(below).join("lama"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_others_can_enter_is_refused_with_the_remedy() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        let dir = DataDir::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        let refused = DataDir::create(&path).unwrap_err();
        assert_eq!(refused.code(), "exposed");
        assert!(refused.to_string().contains("chmod 700"), "{refused}");
        assert!(!dir.is_initialised());
    }

    #[test]
    fn a_key_file_others_can_read_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&temp.path().join("data")).unwrap();
        assert_eq!(DataDir::open(dir.path()).unwrap_err().code(), "no_data_dir");
        fs::write(dir.keys(), b"x").unwrap();
        fs::set_permissions(dir.keys(), fs::Permissions::from_mode(0o644)).unwrap();
        let refused = DataDir::open(dir.path()).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        fs::set_permissions(dir.keys(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(DataDir::open(dir.path()).is_ok());
    }

    #[test]
    fn one_process_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&temp.path().join("data")).unwrap();
        let held = dir.lock().unwrap();
        assert_eq!(dir.lock().unwrap_err().code(), "in_use");
        drop(held);
        assert!(dir.lock().is_ok());
    }
}
