//! Finding files: by git, or by walking.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lama_chum::blob::check_path;

use super::{LeftOut, Limits, Look};
use crate::HostError;
use crate::data_dir::KEY_FILE;

/// Directories that hold what is built or downloaded.
const BUILT: &[&str] = &["target", "node_modules", "__pycache__"];

/// What git says belongs to a folder.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Relative to the folder.
    pub(super) paths: Vec<String>,
    /// Paths that are no text, as well as they can be shown.
    unreadable: Vec<String>,
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: BTreeMap<String, Look>,
    pub(super) left_out: LeftOut,
}

/// Whether this is the data directory of an instance.
pub(super) fn is_instance(dir: &Path) -> bool {
    dir.join(KEY_FILE).is_file()
}

/// What `git ls-files` lists with `flags`, relative to `root`; `None` if git is missing or does not know the folder.
/// Nothing that the folder's own settings name is run, and no other repository is asked.
pub(super) fn git(root: &Path, flags: &[&str]) -> Option<Listed> {
    let output = Command::new("git")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .arg("-C")
        .arg(root)
        .args(["-c", "core.fsmonitor=false", "ls-files", "-z"])
        .args(flags)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let mut listed = Listed::default();
    for name in output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match core::str::from_utf8(name) {
            Ok(path) => listed.paths.push(path.to_owned()),
            Err(_) => listed.unreadable.push(String::from_utf8_lossy(name).into_owned()),
        }
    }
    Some(listed)
}

/// How each listed file looks; what is gone, a link or left out is not in the answer.
pub(super) fn inspect(
    root: &Path,
    listed: Listed,
    leave_out: &[PathBuf],
    limits: Limits,
) -> Result<Found, HostError> {
    let mut found = Found::default();
    let mut instances = BTreeMap::new();
    listed.unreadable.iter().for_each(|path| found.left_out.add(path));
    for path in listed.paths {
        let full = root.join(&path);
        if leave_out.iter().any(|out| full.starts_with(out))
            || through_a_link(root, &path)
            || in_instance(root, &path, &mut instances)
        {
            continue;
        }
        if let Some(look) = look(&full, limits)? {
            found.add(path, look, limits)?;
        }
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, path: String, look: Look, limits: Limits) -> Result<(), HostError> {
        if check_path(&path).is_err() {
            self.left_out.add(&path);
            return Ok(());
        }
        self.files.insert(path, look);
        if self.files.len() > limits.files {
            return Err(HostError::TooMuch { what: "files in the folder", limit: limits.files as u64 });
        }
        Ok(())
    }
}

/// Whether a directory on the way to `path` is that of an instance; `seen` are those that were looked at.
fn in_instance(root: &Path, path: &str, seen: &mut BTreeMap<String, bool>) -> bool {
    path.match_indices('/')
        .filter_map(|(at, _)| path.get(..at))
        .any(|dir| *seen.entry(dir.to_owned()).or_insert_with(|| is_instance(&root.join(dir))))
}

/// Every file under `root` that is not hidden, built or left out.
pub(super) fn walk(root: &Path, leave_out: &[PathBuf], limits: Limits) -> Result<Found, HostError> {
    let mut found = Found::default();
    let mut open = vec![(root.to_path_buf(), String::new(), 0)];
    while let Some((dir, prefix, depth)) = open.pop() {
        if is_instance(&dir) {
            continue;
        }
        // A directory that vanishes or may not be read while we look is not an error of the folder.
        let Ok(entries) = fs::read_dir(&dir) else {
            found.left_out.add(&prefix);
            continue;
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if leave_out.contains(&entry.path()) || !(kind.is_dir() || kind.is_file()) {
                continue;
            }
            let name = match entry.file_name().into_string() {
                Ok(name) => name,
                Err(name) => {
                    found.left_out.add(&format!("{prefix}/{}", name.to_string_lossy()));
                    continue;
                }
            };
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            if name.starts_with('.') || (kind.is_dir() && BUILT.contains(&name.as_str())) {
                continue;
            }
            if kind.is_dir() {
                if depth >= limits.depth {
                    return Err(HostError::TooMuch {
                        what: "folders inside folders",
                        limit: limits.depth as u64,
                    });
                }
                open.push((entry.path(), path, depth + 1));
            } else if let Some(look) = look(&entry.path(), limits)? {
                found.add(path, look, limits)?;
            }
        }
    }
    Ok(found)
}

/// Whether a directory on the way to `path` is a link: what lies behind it is not part of the folder.
fn through_a_link(root: &Path, path: &str) -> bool {
    let mut full = root.to_path_buf();
    path.split('/').any(|part| {
        full.push(part);
        fs::symlink_metadata(&full).is_ok_and(|about| about.file_type().is_symlink())
    })
}

/// `None` for what is no plain file.
fn look(full: &Path, limits: Limits) -> Result<Option<Look>, HostError> {
    let Ok(about) = fs::symlink_metadata(full) else { return Ok(None) };
    if !about.is_file() {
        return Ok(None);
    }
    if about.len() > limits.file_bytes {
        return Err(HostError::TooMuch { what: "bytes in one file", limit: limits.file_bytes });
    }
    Ok(Some(Look { len: about.len(), modified: about.modified().ok() }))
}
