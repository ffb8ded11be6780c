//! Which files of a folder are shared, and which of them are new since the last look.
//!
//! A folder that git knows gives its tracked files, and files that appear later unless git ignores them; any other
//! folder gives everything but hidden files, `target`, `node_modules` and the data directories it is told to leave out.
//! The data directory of an instance, whosever it is, is known by its key file and left out in either case.
//! Links are not followed, so nothing outside the folder is ever read. New files are found by looking again: simple,
//! bounded, and the same on every platform.

mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::HostError;
use walk::Found;

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

/// Files that belong to a folder and are not shared all the same: their names cannot be stored everywhere, or they
/// cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<String>,
}

impl LeftOut {
    /// How many are named.
    const NAMED: usize = 20;

    pub(crate) fn add(&mut self, path: &str) {
        self.count += 1;
        if self.first.len() < Self::NAMED {
            self.first.push(path.to_owned());
        }
    }
}

/// The data directory that `path` is or lies in: a directory with a key file.
#[must_use]
pub fn instance_around(path: &Path) -> Option<&Path> {
    path.ancestors().find(|dir| walk::is_instance(dir))
}

/// A folder that is looked at again and again.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    leave_out: Vec<PathBuf>,
    limits: Limits,
    source: Source,
    known: BTreeMap<String, Look>,
    left_out: LeftOut,
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
    /// [`HostError::Io`] if there is no such directory, [`HostError::HoldsKeys`] for a data directory.
    pub fn new(root: &Path, leave_out: &[PathBuf], limits: Limits) -> Result<Self, HostError> {
        let canonical =
            |path: &Path| path.canonicalize().map_err(|error| HostError::io("open the folder", path, &error));
        let root = canonical(root)?;
        if !root.is_dir() {
            let error = std::io::Error::from(std::io::ErrorKind::NotADirectory);
            return Err(HostError::io("open the folder", &root, &error));
        }
        if let Some(dir) = instance_around(&root) {
            return Err(HostError::HoldsKeys(dir.to_path_buf()));
        }
        let leave_out = leave_out.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let source = match walk::git(&root, &["--others", "--exclude-standard"]) {
            Some(untracked) => Source::Git { private: untracked.paths.into_iter().collect() },
            None => Source::Walk,
        };
        Ok(Self { root, leave_out, limits, source, known: BTreeMap::new(), left_out: LeftOut::default() })
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

    /// What the last look left out.
    #[must_use]
    pub const fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Looks again.
    ///
    /// # Errors
    /// [`HostError::TooMuch`] beyond the limits, [`HostError::Io`]. After an error the last look stays.
    pub fn look(&mut self) -> Result<Changes, HostError> {
        // The whole folder gone is a disk that was taken out or a folder that was moved, not files that were deleted.
        if !self.root.is_dir() {
            return Ok(Changes::default());
        }
        let Found { files: found, left_out } = match &self.source {
            Source::Git { private } => {
                let mut listed = walk::git(&self.root, &["--cached", "--others", "--exclude-standard"])
                    .unwrap_or_default();
                listed.paths.retain(|path| !private.contains(path));
                walk::inspect(&self.root, listed, &self.leave_out, self.limits)?
            }
            Source::Walk => walk::walk(&self.root, &self.leave_out, self.limits)?,
        };
        let written = found
            .iter()
            .filter(|(path, look)| self.known.get(*path) != Some(look))
            .map(|(path, _)| path.clone());
        let removed = self.known.keys().filter(|path| !found.contains_key(*path)).cloned();
        let changes = Changes { written: written.collect(), removed: removed.collect() };
        (self.known, self.left_out) = (found, left_out);
        Ok(changes)
    }
}

#[cfg(test)]
mod tests;
