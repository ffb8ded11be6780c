//! Which files of a folder are shared, and which of them are new since the last look.
//!
//! A folder that git knows gives its tracked files, and files that appear later unless git ignores them; any other
//! folder gives everything but hidden files, `target`, `node_modules` and the data directories it is told to leave out.
//! Links are not followed, so nothing outside the folder is ever read. New files are found by looking again: simple,
//! bounded, and the same on every platform.

mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::HostError;

/// Bounds of what is shared.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files in one folder.
    pub files: usize,
    /// Bytes in one file.
    pub file_bytes: u64,
    /// Folders inside folders.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: 100_000, file_bytes: 1 << 40, depth: 64 }
    }
}

/// How a file looked: if this stays, so did its content, as far as anybody can see without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Length in bytes.
    pub len: u64,
    /// When it was last written.
    pub modified: Option<SystemTime>,
}

/// What changed since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Paths, relative to the folder with `/` between parts, that are new or look different.
    pub written: Vec<String>,
    /// Paths that are gone.
    pub removed: Vec<String>,
}

impl Changes {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written.is_empty() && self.removed.is_empty()
    }
}

/// A folder that is looked at again and again.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    leave_out: Vec<PathBuf>,
    limits: Limits,
    source: Source,
    known: BTreeMap<String, Look>,
}

#[derive(Debug)]
enum Source {
    /// Tracked files and later ones; these untracked files were there before and stay private.
    Git {
        private: BTreeSet<String>,
    },
    Walk,
}

impl Folder {
    /// A folder that was not looked at yet. `leave_out` are directories (of data, of build results) that are never
    /// shared even if they lie inside.
    ///
    /// # Errors
    /// [`HostError::Io`] if there is no such directory.
    pub fn new(root: &Path, leave_out: &[PathBuf], limits: Limits) -> Result<Self, HostError> {
        let canonical =
            |path: &Path| path.canonicalize().map_err(|error| HostError::io("open the folder", path, &error));
        let root = canonical(root)?;
        if !root.is_dir() {
            let error = std::io::Error::from(std::io::ErrorKind::NotADirectory);
            return Err(HostError::io("open the folder", &root, &error));
        }
        let leave_out = leave_out.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let source = match walk::git(&root, &["--others", "--exclude-standard"]) {
            Some(untracked) => Source::Git { private: untracked.into_iter().collect() },
            None => Source::Walk,
        };
        Ok(Self { root, leave_out, limits, source, known: BTreeMap::new() })
    }

    /// The folder, without links in its path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether git says which files belong to it.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        matches!(self.source, Source::Git { .. })
    }

    /// Keeps `paths` shared although git did not track them when this look began (they were shared in an earlier run).
    pub fn keep_shared(&mut self, paths: impl IntoIterator<Item = String>) {
        if let Source::Git { private } = &mut self.source {
            for path in paths {
                private.remove(&path);
            }
        }
    }

    /// The files as they were at the last look.
    #[must_use]
    pub const fn known(&self) -> &BTreeMap<String, Look> {
        &self.known
    }

    /// Looks again.
    ///
    /// # Errors
    /// [`HostError::TooMuch`] beyond the limits, [`HostError::Io`]. After an error the last look stays.
    pub fn look(&mut self) -> Result<Changes, HostError> {
        let found = match &self.source {
            Source::Git { private } => {
                let mut paths = walk::git(&self.root, &["--cached", "--others", "--exclude-standard"])
                    .unwrap_or_default();
                paths.retain(|path| !private.contains(path));
                walk::inspect(&self.root, paths, &self.leave_out, self.limits)?
            }
            Source::Walk => walk::walk(&self.root, &self.leave_out, self.limits)?,
        };
        let written = found
            .iter()
            .filter(|(path, look)| self.known.get(*path) != Some(look))
            .map(|(path, _)| path.clone());
        let removed = self.known.keys().filter(|path| !found.contains_key(*path)).cloned();
        let changes = Changes { written: written.collect(), removed: removed.collect() };
        self.known = found;
        Ok(changes)
    }
}

#[cfg(test)]
mod tests;
