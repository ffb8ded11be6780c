//! Files and folders as objects: reading a disk for [`lama_chum::blob`]. The way back: [`crate::get`].

use std::collections::BTreeMap;
use std::fs::File as Disk;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use lama_chum::blob::{BlobConfig, BlobError, Chunker, EntryKind, File, Folder, FolderBuilder, check_path};
use lama_identity::{Cid, Object};

use crate::HostError;
use crate::folder::{Changes, Folder as Watched, LeftOut, instance_around};

/// An object and its id.
pub type Piece = (Cid, Bytes);

/// How many bytes of objects are handed over at once.
const BATCH: usize = 4 << 20;

/// How much of a file is read at once.
const READ: usize = 256 << 10;

/// What a file or a folder became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The [`File`] or [`Folder`] object.
    pub root: Cid,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl From<BlobError> for HostError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Missing { id } => Self::Missing(id),
            BlobError::TooManyFiles { limit } => Self::TooMuch { what: "files in the folder", limit },
            other => Self::Blob(other),
        }
    }
}

/// Collects objects and hands them over in batches, in order.
struct Batches<'a, E> {
    put: &'a mut dyn FnMut(Vec<Piece>) -> Result<(), E>,
    batch: Vec<Piece>,
    size: usize,
}

impl<E> Batches<'_, E> {
    fn push(&mut self, piece: Piece) -> Result<(), E> {
        self.size += piece.1.len();
        self.batch.push(piece);
        if self.size >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), E> {
        self.size = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() { Ok(()) } else { (self.put)(batch) }
    }
}

/// One file under its own name, handed to `put` in batches, children first.
///
/// # Errors
/// [`HostError::Io`], [`HostError::Blob`], [`HostError::HoldsKeys`] for a file of an instance's data directory, or
/// what `put` says.
pub fn file<E: From<HostError>>(
    path: &Path,
    put: &mut dyn FnMut(Vec<Piece>) -> Result<(), E>,
) -> Result<Made, E> {
    let name = name_of(path)?;
    let real = path.canonicalize().map_err(|error| HostError::io("read", path, &error))?;
    if let Some(dir) = instance_around(&real) {
        return Err(HostError::HoldsKeys(dir.to_path_buf()).into());
    }
    let mut batches = Batches { put, batch: Vec::new(), size: 0 };
    let (blob, bytes, executable) = cut(path, &mut batches).map_err(Failed::into_outer)?;
    let file = File::new(&name, bytes, executable, blob).map_err(HostError::from)?;
    let object = file.to_bytes().map_err(|error| HostError::from(BlobError::Object(error)))?;
    let root = Cid::of_object(&object);
    batches.push((root, object))?;
    batches.flush()?;
    Ok(Made { root, files: 1, bytes })
}

/// A watched folder with the blobs of its files, so that only what changed is read again.
#[derive(Debug)]
pub struct Tree {
    watched: Watched,
    name: String,
    blobs: BTreeMap<String, Leaf>,
    /// Files that are there and could not be read at the last look that changed anything.
    unread: LeftOut,
}

#[derive(Debug, Clone, Copy)]
struct Leaf {
    blob: Cid,
    bytes: u64,
    executable: bool,
}

impl Tree {
    /// The folder, of which nothing was read yet.
    ///
    /// # Errors
    /// [`HostError::Blob`] for a folder without a name that others could store.
    pub fn new(watched: Watched) -> Result<Self, HostError> {
        let name = name_of(watched.root())?;
        Ok(Self { watched, name, blobs: BTreeMap::new(), unread: LeftOut::default() })
    }

    /// The folder's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was found and is not shared.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        let mut all = self.watched.left_out().clone();
        all.count += self.unread.count;
        all.first.extend_from_slice(&self.unread.first);
        all
    }

    /// See [`Watched::keep_shared`].
    pub fn keep_shared(&mut self, paths: impl IntoIterator<Item = String>) {
        self.watched.keep_shared(paths);
    }

    /// Looks again, and if anything changed hands new objects to `put` and says what the folder is now.
    ///
    /// # Errors
    /// [`HostError::TooMuch`], [`HostError::Io`], [`HostError::Blob`], or what `put` says.
    pub fn look<E: From<HostError>>(
        &mut self,
        put: &mut dyn FnMut(Vec<Piece>) -> Result<(), E>,
    ) -> Result<Option<(Made, Changes)>, E> {
        let changes = self.watched.look()?;
        if changes.is_empty() {
            return Ok(None);
        }
        let mut batches = Batches { put, batch: Vec::new(), size: 0 };
        for path in &changes.removed {
            self.blobs.remove(path);
        }
        self.unread = LeftOut::default();
        for path in &changes.written {
            // A file that vanished since the look is simply not there; the next look says so.
            match cut(&self.watched.root().join(path), &mut batches) {
                Ok((blob, bytes, executable)) => {
                    self.blobs.insert(path.clone(), Leaf { blob, bytes, executable });
                }
                Err(Failed::Host(HostError::Io { .. })) => {
                    self.blobs.remove(path);
                    self.unread.add(path);
                }
                Err(error) => return Err(error.into_outer()),
            }
        }
        let mut folder = FolderBuilder::new(&self.name).map_err(HostError::from)?;
        for (path, leaf) in &self.blobs {
            folder.file(path, leaf.bytes, leaf.executable, leaf.blob).map_err(HostError::from)?;
        }
        let built = folder.finish().map_err(HostError::from)?;
        for object in built.objects {
            batches.push(object)?;
        }
        batches.flush()?;
        Ok(Some((Made { root: built.root, files: self.blobs.len() as u64, bytes: built.size }, changes)))
    }
}

/// Either our failure or that of whoever takes the objects.
enum Failed<E> {
    Host(HostError),
    Put(E),
}

impl<E: From<HostError>> Failed<E> {
    fn into_outer(self) -> E {
        match self {
            Self::Host(error) => error.into(),
            Self::Put(error) => error,
        }
    }
}

/// Cuts a file into chunks and manifests: its blob, its size, whether it is a program.
fn cut<E>(path: &Path, batches: &mut Batches<'_, E>) -> Result<(Cid, u64, bool), Failed<E>> {
    let io = |error| Failed::Host(HostError::io("read", path, &error));
    let blob = |error| Failed::Host(HostError::from(error));
    let mut disk = Disk::open(path).map_err(io)?;
    let executable = disk.metadata().map_err(io)?.permissions().mode() & 0o111 != 0;
    let mut chunker = Chunker::new(BlobConfig::default()).map_err(blob)?;
    let mut buffer = vec![0; READ];
    loop {
        let read = disk.read(&mut buffer).map_err(io)?;
        let mut data = buffer.get(..read).unwrap_or_default();
        if data.is_empty() {
            break;
        }
        while !data.is_empty() {
            if let Some(piece) = chunker.push(&mut data).map_err(blob)? {
                batches.push(piece).map_err(Failed::Put)?;
            }
        }
    }
    let finished = chunker.finish().map_err(blob)?;
    for piece in finished.objects {
        batches.push(piece).map_err(Failed::Put)?;
    }
    Ok((finished.root, finished.size, executable))
}

fn name_of(path: &Path) -> Result<String, HostError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("folder");
    check_path(name).map_err(BlobError::from)?;
    Ok(name.to_owned())
}

/// The paths of all files in the folder `root`, as they were shared; none if it is no folder that is here.
///
/// # Errors
/// What `fetch` says.
pub fn paths<E>(root: Cid, fetch: &mut dyn FnMut(Cid) -> Result<Option<Bytes>, E>) -> Result<Vec<String>, E> {
    let mut found = Vec::new();
    let mut open = vec![(root, String::new())];
    while let Some((id, prefix)) = open.pop() {
        let Some(folder) = fetch(id)?.and_then(|object| Folder::read(&object).ok()) else { continue };
        for entry in folder.entries {
            let path = format!("{prefix}{}", entry.name);
            match entry.kind {
                EntryKind::Folder if check_path(&path).is_ok() => open.push((entry.target, path + "/")),
                EntryKind::Folder => {}
                _ => found.push(path),
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lama_chum::blob;

    use super::*;
    use crate::folder::Limits;
    use crate::get;

    type Store = BTreeMap<Cid, Bytes>;

    fn keep(store: &mut Store) -> impl FnMut(Vec<Piece>) -> Result<(), HostError> {
        |pieces| {
            store.extend(pieces);
            Ok(())
        }
    }

    fn tree(root: &Path) -> Tree {
        Tree::new(Watched::new(root, &[], Limits::default()).unwrap()).unwrap()
    }

    #[test]
    fn a_folder_goes_into_objects_and_comes_back() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("folder");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::write(root.join("sub/deep/big"), vec![7; 700_000]).unwrap();
        fs::write(root.join("empty"), b"").unwrap();
        fs::write(root.join("run"), b"#!/bin/sh\n").unwrap();
        fs::set_permissions(root.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut store = Store::new();
        let mut tree = tree(&root);
        let (made, changes) = tree.look(&mut keep(&mut store)).unwrap().unwrap();
        assert_eq!((made.files, made.bytes, changes.written.len()), (3, 700_010, 3));
        assert!(tree.look(&mut keep(&mut store)).unwrap().is_none());

        let into = temp.path().join("copy");
        let mut fetch = |id| Ok::<_, HostError>(store.get(&id).cloned());
        let items = blob::items(made.root, Limits::default().files, &mut fetch).unwrap();
        let got = get::get(&items.files, &into, false, &mut fetch).unwrap();
        assert_eq!((got.files, got.bytes, items.name.as_str()), (3, 700_010, "folder"));
        assert_eq!(fs::read(into.join("sub/deep/big")).unwrap(), vec![7; 700_000]);
        assert_eq!(fs::read(into.join("empty")).unwrap(), b"");
        assert_ne!(fs::metadata(into.join("run")).unwrap().permissions().mode() & 0o100, 0);
        let mut found = paths(made.root, &mut fetch).unwrap();
        found.sort();
        assert_eq!(found, ["empty", "run", "sub/deep/big"]);
    }

    #[test]
    fn only_what_changed_is_read_again() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("a"), b"1").unwrap();
        fs::write(temp.path().join("b"), b"2").unwrap();
        let (mut first, mut second) = (Store::new(), Store::new());
        let mut tree = Tree::new(Watched::new(temp.path(), &[], Limits::default()).unwrap()).unwrap();
        tree.name = "folder".to_owned();
        let (made, _) = tree.look(&mut keep(&mut first)).unwrap().unwrap();
        fs::write(temp.path().join("c"), b"3").unwrap();
        fs::remove_file(temp.path().join("b")).unwrap();
        let (now, changes) = tree.look(&mut keep(&mut second)).unwrap().unwrap();
        assert_ne!(made.root, now.root);
        assert_eq!((changes.written, changes.removed), (vec!["c".to_owned()], vec!["b".to_owned()]));
        assert_eq!(second.len(), 3, "a chunk, its manifest and the folder");
    }

    #[test]
    fn one_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a.txt");
        fs::write(&path, b"hello").unwrap();
        let mut store = Store::new();
        let made = file(&path, &mut keep(&mut store)).unwrap();
        let into = temp.path().join("copy");
        let mut fetch = |id| Ok::<_, HostError>(store.get(&id).cloned());
        let items = blob::items(made.root, Limits::default().files, &mut fetch).unwrap();
        assert!(!items.is_folder);
        get::get(&items.files, &into, false, &mut fetch).unwrap();
        assert_eq!(fs::read(into.join("a.txt")).unwrap(), b"hello");
        store.clear();
        let gone = blob::items(made.root, Limits::default().files, &mut |id| {
            Ok::<_, HostError>(store.get(&id).cloned())
        });
        assert_eq!(gone.unwrap_err().code(), "missing");
    }
}
