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

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec;

    use super::*;
    use crate::blob::{BlobConfig, Chunker, FolderBuilder};

    type Store = BTreeMap<Cid, Bytes>;

    /// A blob in chunks of 4 bytes.
    fn blob(store: &mut Store, data: &[u8]) -> Cid {
        let mut chunker = Chunker::new(BlobConfig { chunk_size: 4, ..BlobConfig::default() }).unwrap();
        let mut rest = data;
        while !rest.is_empty() {
            store.extend(chunker.push(&mut rest).unwrap());
        }
        let finished = chunker.finish().unwrap();
        store.extend(finished.objects);
        finished.root
    }

    fn of(store: &Store) -> impl FnMut(Cid) -> Result<Option<Bytes>, BlobError> {
        |id| Ok(store.get(&id).cloned())
    }

    #[test]
    fn a_folder_lists_its_files_by_path_and_counts_folders_too() {
        let mut store = Store::new();
        let contents = [&b"one"[..], b"", b"program"].map(|data| (blob(&mut store, data), data.len() as u64));
        let mut folder = FolderBuilder::new("shared").unwrap();
        let paths = ["z", "inner/deep/empty", "inner/run"];
        for (path, (id, size)) in paths.into_iter().zip(contents) {
            folder.file(path, size, path == "inner/run", id).unwrap();
        }
        let built = folder.finish().unwrap();
        store.extend(built.objects);
        // Three files and two folders.
        let listed = items(built.root, 5, &mut of(&store)).unwrap();
        let item = |at: usize| {
            let (path, (blob, size)) = (String::from(paths[at]), contents[at]);
            Item { path, blob, size, executable: at == 2 }
        };
        let files = vec![item(1), item(2), item(0)];
        assert_eq!(listed, Items { name: "shared".into(), is_folder: true, files });
        assert_eq!(items(built.root, 4, &mut of(&store)), Err(BlobError::TooManyFiles { limit: 4 }));
        let gone = Folder::read(&store[&built.root]).unwrap().entries[0].target;
        store.remove(&gone);
        assert_eq!(items(built.root, 5, &mut of(&store)), Err(BlobError::Missing { id: gone }));
    }

    #[test]
    fn a_file_is_the_only_one_in_its_list() {
        let mut store = Store::new();
        let id = blob(&mut store, b"content");
        let file = lama_identity::cbor::encode(&File::new("name", 7, true, id).unwrap()).unwrap();
        let root = Cid::of_object(&file);
        store.insert(root, file);
        let files = vec![Item { path: "name".into(), blob: id, size: 7, executable: true }];
        let listed = items(root, 0, &mut of(&store)).unwrap();
        assert_eq!(listed, Items { name: "name".into(), is_folder: false, files });
        assert!(matches!(items(id, 9, &mut of(&store)), Err(BlobError::Object(_))), "a blob is neither");
    }

    #[test]
    fn any_range_is_read_from_its_own_chunks_alone() {
        let data: Vec<u8> = (0..30).collect();
        let mut store = Store::new();
        let root = blob(&mut store, &data);
        for start in 0..33 {
            for end in (start..33).map(Some).chain([None]) {
                let (mut read, mut fetched) = (Vec::new(), 0_usize);
                let fetch = &mut |id| {
                    fetched += 1;
                    Ok::<_, BlobError>(store.get(&id).cloned())
                };
                let given = range(root, start, end, fetch, &mut |part| {
                    assert!(!part.is_empty());
                    read.extend_from_slice(part);
                    Ok(true)
                });
                let (from, to) = (start.min(30) as usize, end.unwrap_or(30).min(30) as usize);
                assert_eq!((given.unwrap(), read), ((to - from) as u64, data[from..to].to_vec()));
                // The manifest, and the chunks that the range touches.
                let last = to.max(from / 4 * 4);
                assert!(fetched <= 1 + last.div_ceil(4) - from / 4, "{fetched} for {start}..{end:?}");
            }
        }
    }

    #[test]
    fn whoever_takes_the_bytes_may_end_it() {
        let mut store = Store::new();
        let root = blob(&mut store, &[7; 30]);
        let mut took = 0;
        let given = range(root, 2, None, &mut of(&store), &mut |part| {
            took += part.len();
            Ok(took < 6)
        });
        assert_eq!((given, took), (Ok(6), 6), "two of the first chunk, and the second");
    }
}
