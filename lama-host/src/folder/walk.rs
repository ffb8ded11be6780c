//! Finding files: by git, or by walking.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lama_chum::blob::check_path;

use super::{Limits, Look};
use crate::HostError;

/// Directories that hold what is built or downloaded.
const BUILT: &[&str] = &["target", "node_modules", "__pycache__"];

/// What `git ls-files` lists with `flags`, relative to `root`; `None` if git is missing or does not know the folder.
pub(super) fn git(root: &Path, flags: &[&str]) -> Option<Vec<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z"])
        .args(flags)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Some(names.filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect())
}

/// How each of `paths` looks; what is gone, a link, left out or no plain path is not in the answer.
pub(super) fn inspect(
    root: &Path,
    paths: Vec<String>,
    leave_out: &[PathBuf],
    limits: Limits,
) -> Result<BTreeMap<String, Look>, HostError> {
    let mut found = BTreeMap::new();
    for path in paths {
        let full = root.join(&path);
        if check_path(&path).is_err()
            || leave_out.iter().any(|out| full.starts_with(out))
            || through_a_link(root, &path)
        {
            continue;
        }
        if let Some(look) = look(&full, limits)? {
            found.insert(path, look);
        }
        bound(found.len(), limits)?;
    }
    Ok(found)
}

/// Every file under `root` that is not hidden, built or left out.
pub(super) fn walk(
    root: &Path,
    leave_out: &[PathBuf],
    limits: Limits,
) -> Result<BTreeMap<String, Look>, HostError> {
    let mut found = BTreeMap::new();
    let mut open = vec![(root.to_path_buf(), String::new(), 0)];
    while let Some((dir, prefix, depth)) = open.pop() {
        // A directory that vanishes or may not be read while we look is not an error of the folder.
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            let Ok(kind) = entry.file_type() else { continue };
            if name.starts_with('.') || check_path(&path).is_err() || leave_out.contains(&entry.path()) {
                continue;
            }
            if kind.is_dir() && !BUILT.contains(&name.as_str()) {
                if depth >= limits.depth {
                    return Err(HostError::TooMuch {
                        what: "folders inside folders",
                        limit: limits.depth as u64,
                    });
                }
                open.push((entry.path(), path, depth + 1));
            } else if let Some(look) = look(&entry.path(), limits)? {
                found.insert(path, look);
                bound(found.len(), limits)?;
            }
        }
    }
    Ok(found)
}

fn bound(files: usize, limits: Limits) -> Result<(), HostError> {
    if files > limits.files {
        return Err(HostError::TooMuch { what: "files in the folder", limit: limits.files as u64 });
    }
    Ok(())
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
