//! Files and folders: names and links, children first.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::SortedMap;
use lama_identity::{Cid, Codec, IdentityError, Object, TypeName, TypeTag};
use serde::{Deserialize, Serialize};

use super::{BlobError, check_name, check_path};

/// One file that is shared on its own: `{$type$: "File", name, size, executable, blob: link}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    #[serde(rename = "$type$")]
    type_tag: TypeTag<Self>,
    /// What it is called.
    pub name: String,
    /// Bytes of its content.
    pub size: u64,
    /// Whether it is a program.
    pub executable: bool,
    /// Its content: a [`super::Blob`].
    pub blob: Cid,
}

impl TypeName for File {
    const TYPE: &'static str = "File";
}

impl Object for File {
    fn validate(&self) -> Result<(), IdentityError> {
        let fits = check_name(&self.name).is_ok() && self.blob.codec() == Codec::DagCbor;
        if fits {
            Ok(())
        } else {
            Err(IdentityError::Field { field: "name", rule: "a plain name, and a link to a manifest" })
        }
    }
}

impl File {
    /// A file of this name and content.
    ///
    /// # Errors
    /// [`BlobError::Name`].
    pub fn new(name: &str, size: u64, executable: bool, blob: Cid) -> Result<Self, BlobError> {
        check_name(name)?;
        Ok(Self { type_tag: TypeTag::default(), name: name.to_string(), size, executable, blob })
    }

    /// Reads a file, and looks whether its name may be.
    ///
    /// # Errors
    /// [`BlobError::Object`], [`BlobError::Name`].
    pub fn read(bytes: &[u8]) -> Result<Self, BlobError> {
        let file = Self::from_bytes(bytes);
        if let Err(IdentityError::Field { .. }) = &file {
            // Say which rule the name breaks, where it is the name.
            let parsed: Self = lama_identity::cbor::decode(bytes).map_err(IdentityError::Encoding)?;
            check_name(&parsed.name)?;
        }
        Ok(file?)
    }
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A file: the entry links its [`super::Blob`].
    File,
    /// A file that is a program.
    Program,
    /// A folder: the entry links its [`Folder`].
    Folder,
}

/// One entry of a [`Folder`]: `{kind: "file" | "program" | "folder", name, size, target: link}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderEntry {
    /// What it is.
    pub kind: EntryKind,
    /// What it is called: see [`check_name`].
    pub name: String,
    /// Bytes of the file, or of all files in the folder.
    pub size: u64,
    /// The file's blob, or the folder.
    pub target: Cid,
}

/// A folder: `{$type$: "Folder", name, entries: [...]}`, the entries sorted by the bytes of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    #[serde(rename = "$type$")]
    type_tag: TypeTag<Self>,
    /// What it is called.
    pub name: String,
    /// What is in it.
    pub entries: Vec<FolderEntry>,
}

impl TypeName for Folder {
    const TYPE: &'static str = "Folder";
}

impl Object for Folder {}

impl Folder {
    /// Reads a folder, and looks whether its names may be and whether they are in order. So no name that it gives
    /// leads out of the folder it is written to.
    ///
    /// # Errors
    /// [`BlobError::Object`], [`BlobError::Name`], [`BlobError::EntryOrder`], [`BlobError::Manifest`] for a
    /// target that is no object.
    pub fn read(bytes: &[u8]) -> Result<Self, BlobError> {
        let folder = Self::from_bytes(bytes)?;
        check_name(&folder.name)?;
        folder.entries.iter().try_for_each(|entry| check_name(&entry.name))?;
        if !folder.entries.is_sorted_by(|a, b| a.name < b.name) {
            return Err(BlobError::EntryOrder);
        }
        if folder.entries.iter().any(|entry| entry.target.codec() != Codec::DagCbor) {
            return Err(BlobError::Manifest);
        }
        Ok(folder)
    }

    /// Bytes of all files in the folder, as its entries say.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.size))
    }
}

/// Puts folders together from the paths of their files.
#[derive(Debug)]
pub struct FolderBuilder {
    name: String,
    root: SortedMap<String, Node>,
}

#[derive(Debug)]
enum Node {
    File(EntryKind, u64, Cid),
    Folder(SortedMap<String, Node>),
}

/// A folder with all folders in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The folders in the order to store them; the root is the last. The files' blobs come before all of them.
    pub objects: Vec<(Cid, Bytes)>,
    /// The folder's id.
    pub root: Cid,
    /// Bytes of all files in it.
    pub size: u64,
}

impl FolderBuilder {
    /// A folder of this name, with nothing in it.
    ///
    /// # Errors
    /// [`BlobError::Name`].
    pub fn new(name: &str) -> Result<Self, BlobError> {
        check_name(name)?;
        Ok(Self { name: name.to_string(), root: SortedMap::new() })
    }

    /// Adds a file: its path below the folder with `/` between the parts, its size in bytes, whether it is a
    /// program, its blob. Folders on the way come into being.
    ///
    /// # Errors
    /// [`BlobError::Name`], [`BlobError::Twice`].
    pub fn file(&mut self, path: &str, size: u64, executable: bool, blob: Cid) -> Result<(), BlobError> {
        check_path(path)?;
        let (folders, name) =
            path.rsplit_once('/').map_or((None, path), |(folders, name)| (Some(folders), name));
        let mut at = &mut self.root;
        for folder in folders.into_iter().flat_map(|folders| folders.split('/')) {
            match at.entry(folder.to_string()).or_insert_with(|| Node::Folder(SortedMap::new())) {
                Node::Folder(inside) => at = inside,
                Node::File(..) => return Err(BlobError::Twice),
            }
        }
        let kind = if executable { EntryKind::Program } else { EntryKind::File };
        if at.contains_key(name) {
            return Err(BlobError::Twice);
        }
        at.insert(name.to_string(), Node::File(kind, size, blob));
        Ok(())
    }

    /// Encodes the folder and all folders in it.
    ///
    /// # Errors
    /// [`BlobError::TooManyEntries`].
    pub fn finish(self) -> Result<Built, BlobError> {
        let mut objects = Vec::new();
        let (root, size) = build(self.name, self.root, &mut objects)?;
        Ok(Built { objects, root, size })
    }
}

/// Encodes a folder after those in it; as deep as [`super::MAX_DEPTH`] at most.
fn build(
    name: String,
    nodes: SortedMap<String, Node>,
    objects: &mut Vec<(Cid, Bytes)>,
) -> Result<(Cid, u64), BlobError> {
    let mut entries = Vec::with_capacity(nodes.len());
    for (name, node) in nodes {
        let (kind, size, target) = match node {
            Node::File(kind, size, blob) => (kind, size, blob),
            Node::Folder(inside) => {
                let (id, size) = build(name.clone(), inside, objects)?;
                (EntryKind::Folder, size, id)
            }
        };
        entries.push(FolderEntry { kind, name, size, target });
    }
    let folder = Folder { type_tag: TypeTag::default(), name, entries };
    let size = folder.size();
    let bytes = folder.to_bytes().map_err(|_| BlobError::TooManyEntries)?;
    let id = Cid::of_object(&bytes);
    objects.push((id, bytes));
    Ok((id, size))
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use alloc::collections::BTreeMap;

    use super::*;
    use crate::blob::NameError;

    fn blob() -> Cid {
        Cid::of_object(b"blob")
    }

    #[test]
    fn folders_are_the_same_in_every_order_and_come_children_first() {
        let paths = ["b/c/d.txt", "a.txt", "b/c/e.txt", "b/a", "z/run"];
        let build = |paths: &[&str]| {
            let mut folder = FolderBuilder::new("root").unwrap();
            for path in paths {
                folder.file(path, 10, path.ends_with("run"), blob()).unwrap();
            }
            folder.finish().unwrap()
        };
        let built = build(&paths);
        assert_eq!(built.size, 50);
        assert_eq!(build(&[paths[4], paths[2], paths[0], paths[3], paths[1]]), built);
        assert_eq!(built.objects.len(), 4);
        let store: BTreeMap<_, _> = built.objects.iter().cloned().collect();
        let mut seen = alloc::vec![blob()];
        for (id, bytes) in &built.objects {
            let folder = Folder::read(bytes).unwrap();
            assert!(folder.entries.iter().all(|entry| seen.contains(&entry.target)));
            seen.push(*id);
        }
        let root = Folder::read(&store[&built.root]).unwrap();
        let names: Vec<_> =
            root.entries.iter().map(|entry| (entry.name.as_str(), entry.kind, entry.size)).collect();
        let folder = EntryKind::Folder;
        assert_eq!(names, [("a.txt", EntryKind::File, 10), ("b", folder, 30), ("z", folder, 10)]);
        let z = Folder::read(&store[&root.entries[2].target]).unwrap();
        assert_eq!(z.entries[0].kind, EntryKind::Program);
    }

    #[test]
    fn twice() {
        let mut folder = FolderBuilder::new("root").unwrap();
        folder.file("a/b", 1, false, blob()).unwrap();
        for path in ["a/b", "a", "a/b/c"] {
            assert_eq!(folder.file(path, 1, false, blob()), Err(BlobError::Twice), "{path}");
        }
    }

    #[test]
    fn a_received_folder_never_leads_out_of_itself() {
        let entry = |name: &str| FolderEntry {
            kind: EntryKind::File,
            name: name.to_string(),
            size: 1,
            target: blob(),
        };
        let read = |name: &str, entries: Vec<FolderEntry>| {
            let folder = Folder { type_tag: TypeTag::default(), name: name.to_string(), entries };
            Folder::read(&folder.to_bytes().unwrap())
        };
        for (name, error) in [
            ("..", NameError::Dots),
            ("../x", NameError::Separator),
            ("/etc/passwd", NameError::Separator),
            ("", NameError::Empty),
            ("a\u{1b}[2J", NameError::Control),
        ] {
            assert_eq!(read("ok", alloc::vec![entry(name)]), Err(BlobError::Name(error)), "{name:?}");
            assert_eq!(read(name, Vec::new()), Err(BlobError::Name(error)), "{name:?}");
            assert_eq!(File::new(name, 1, false, blob()), Err(BlobError::Name(error)));
        }
        assert_eq!(read("ok", alloc::vec![entry("b"), entry("a")]), Err(BlobError::EntryOrder));
        assert_eq!(read("ok", alloc::vec![entry("a"), entry("a")]), Err(BlobError::EntryOrder));
        let chunk = FolderEntry { target: Cid::of_chunk(b"x"), ..entry("a") };
        assert_eq!(read("ok", alloc::vec![chunk]), Err(BlobError::Manifest));
    }

    #[test]
    fn files_come_back_and_bad_names_say_why() {
        let file = File::new("a.txt", 5, true, blob()).unwrap();
        assert_eq!(File::read(&file.to_bytes().unwrap()).unwrap(), file);
        let bad = File { name: "../a".to_string(), ..file };
        let bytes = bad.to_bytes().unwrap();
        assert_eq!(File::read(&bytes), Err(BlobError::Name(NameError::Separator)));
        assert!(matches!(File::read(b"\xa0"), Err(BlobError::Object(_))));
    }

    #[test]
    fn too_many_entries() {
        let mut folder = FolderBuilder::new("root").unwrap();
        for n in 0..12_000 {
            folder.file(&format!("{n:0>40}"), 1, false, blob()).unwrap();
        }
        assert_eq!(folder.finish(), Err(BlobError::TooManyEntries));
    }
}
