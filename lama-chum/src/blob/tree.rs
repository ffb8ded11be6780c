//! What is in a shared file or folder, and its bytes: over any place that gives an object by its id.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::Cid;

use super::{BlobError, EntryKind, File, Folder, Reader, check_name, check_path};

/// One file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Relative to the destination, `/` between parts.
    pub path: String,
    /// Its content.
    pub blob: Cid,
    /// Its length in bytes.
    pub size: u64,
    /// Whether it is a program.
    pub executable: bool,
}

/// A shared file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items {
    /// What it is called.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Its files; one that is called `name` if it is a file.
    pub files: Vec<Item>,
}

/// Lists the files in `root`, at most `max_files`. `fetch` gives the bytes of an object.
///
/// # Errors
/// [`BlobError::Missing`], [`BlobError::TooManyFiles`], what [`File::read`] and [`Folder::read`] say of what is no file or
/// folder or has a name that may not be, or what `fetch` says.
pub fn items<E: From<BlobError>>(
    root: Cid,
    max_files: usize,
    fetch: &mut dyn FnMut(Cid) -> Result<Option<Bytes>, E>,
) -> Result<Items, E> {
    let object = need(root, fetch)?;
    if let Ok(file) = File::read(&object) {
        let File { name, size, executable, blob, .. } = file;
        let files = alloc::vec![Item { path: name.clone(), blob, size, executable }];
        return Ok(Items { name, is_folder: false, files });
    }
    let folder = Folder::read(&object)?;
    let name = folder.name.clone();
    check_name(&name).map_err(BlobError::from)?;
    let mut files = Vec::new();
    let mut open = alloc::vec![(folder, String::new())];
    // Folders count too: a folder that holds the same one twice, again and again, would never end.
    let mut seen = 0;
    while let Some((folder, prefix)) = open.pop() {
        for entry in folder.entries {
            seen += 1;
            if seen > max_files {
                return Err(BlobError::TooManyFiles { limit: max_files as u64 }.into());
            }
            let path = format!("{prefix}{}", entry.name);
            check_path(&path).map_err(BlobError::from)?;
            if entry.kind == EntryKind::Folder {
                let inner = Folder::read(&need(entry.target, fetch)?)?;
                open.push((inner, path + "/"));
            } else {
                let executable = entry.kind == EntryKind::Program;
                files.push(Item { path, blob: entry.target, size: entry.size, executable });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Items { name, is_folder: true, files })
}

/// Hands the bytes of `blob` from `start` up to before `end` (or its end) to `sink`, one chunk at a time; ends early where
/// `sink` says `false`.
///
/// # Errors
/// [`BlobError::Missing`], what [`Reader::give`] says, or what `fetch` and `sink` say.
pub fn range<E: From<BlobError>>(
    blob: Cid,
    start: u64,
    end: Option<u64>,
    fetch: &mut dyn FnMut(Cid) -> Result<Option<Bytes>, E>,
    sink: &mut dyn FnMut(&[u8]) -> Result<bool, E>,
) -> Result<u64, E> {
    let end = end.unwrap_or(u64::MAX);
    let mut reader = Reader::starting_at(blob, start);
    let mut given = 0;
    while let Some(id) = reader.wanted() {
        if reader.size().is_some() && reader.position() >= end {
            break;
        }
        let Some(bytes) = reader.give(need(id, fetch)?)? else { continue };
        let at = reader.position().saturating_sub(bytes.len() as u64);
        let cut =
            |offset: u64| usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
        let part = bytes.get(cut(start)..cut(end)).unwrap_or_default();
        given += part.len() as u64;
        if !part.is_empty() && !sink(part)? {
            break;
        }
    }
    Ok(given)
}

fn need<E: From<BlobError>>(
    id: Cid,
    fetch: &mut dyn FnMut(Cid) -> Result<Option<Bytes>, E>,
) -> Result<Bytes, E> {
    fetch(id)?.ok_or_else(|| BlobError::Missing { id }.into())
}
