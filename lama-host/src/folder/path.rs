//! Paths that come from elsewhere: plain names inside the folder, or refused.

use std::path::{Component, Path, PathBuf};

use crate::HostError;

const MAX_PATH: usize = 1024;
const MAX_NAME: usize = 255;

/// Whether `path` (parts separated by `/`) is made of plain names only: no `..`, no root, nothing hidden in a
/// name that another system would read differently.
pub(super) fn is_plain(path: &str) -> bool {
    !path.is_empty() && path.len() <= MAX_PATH && path.split('/').all(is_plain_name)
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name != "."
        && name != ".."
        && !name.contains(['\\', '\0', ':'])
        && !name.chars().any(char::is_control)
}

/// Where a file named by somebody else lies under `root`: inside it, always.
///
/// # Errors
/// [`HostError::UnsafePath`] for a path that is not made of plain names.
pub fn safe_join(root: &Path, path: &str) -> Result<PathBuf, HostError> {
    let unsafe_path = || HostError::UnsafePath(path.escape_default().to_string());
    if !is_plain(path) {
        return Err(unsafe_path());
    }
    let relative = Path::new(path);
    if relative.components().all(|part| matches!(part, Component::Normal(_))) {
        Ok(root.join(relative))
    } else {
        Err(unsafe_path())
    }
}
