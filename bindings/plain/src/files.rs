//! Files in and out of the store, in pieces: the objects are those that the `lama` program makes and takes.

use bytes::Bytes;
use lama_chum::blob::{BlobConfig, Chunker, File, FolderBuilder, items, range};
use lama_core::SortedMap;
use lama_identity::{Cid, Object as _};
use lama_node::Command as Node;
use lama_store::Engine;
use serde::{Deserialize, Serialize};

use crate::command::of_object;
use crate::{Instance, Problem};

/// The most bytes that one [`Instance::read`] gives: 16 MiB.
pub const MAX_RANGE: u64 = 16 << 20;
/// How many bytes of objects are stored by one commit.
const BATCH: usize = 4 << 20;
/// The most files of a folder that are listed.
const MAX_FILES: usize = 100_000;
/// The most files that come in at a time.
const MAX_UPLOADS: usize = 64;

/// The content of a file, stored here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blob {
    /// Its id.
    pub blob: String,
    /// Bytes in it.
    pub size: u64,
}

/// A file or folder that is stored here and can be shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Its id, for `share`.
    pub root: String,
    /// Bytes in it.
    pub size: u64,
}

/// One file of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Below the folder, `/` between parts; the name itself where a file was shared alone.
    pub path: String,
    /// The id of its content.
    pub blob: String,
    /// Bytes of it.
    pub size: u64,
    /// Whether it is a program.
    #[serde(default)]
    pub executable: bool,
}

/// What is in a shared file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// What it is called. It comes from somebody else, as do the paths: they are plain names, and none leads out of the
    /// folder; whoever writes them to a disk still decides what they may mean there.
    pub name: String,
    /// `file` or `folder`.
    pub kind: &'static str,
    /// Its files, by path.
    pub files: Vec<FileEntry>,
}

/// Files that are coming in.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    next: u64,
    open: SortedMap<u64, Upload>,
}

#[derive(Debug)]
struct Upload {
    chunker: Chunker,
    batch: Vec<(Cid, Bytes)>,
    bytes: usize,
}

impl<E: Engine> Instance<E> {
    /// Begins to take the content of a file: push its bytes, then finish it.
    ///
    /// # Errors
    /// `binding.too-many-files` above 64 at a time.
    pub fn begin_blob(&mut self) -> Result<u64, Problem> {
        if self.uploads.open.len() >= MAX_UPLOADS {
            let text = "64 files come in already; finish or drop some of them";
            return Err(Problem::new("binding.too-many-files", text));
        }
        let chunker = Chunker::new(BlobConfig::default())?;
        let number = self.uploads.next;
        self.uploads.next += 1;
        self.uploads.open.insert(number, Upload { chunker, batch: Vec::new(), bytes: 0 });
        Ok(number)
    }

    /// Takes more of it, in pieces of any size. They are stored as they come, at most 4 MiB by one commit.
    ///
    /// # Errors
    /// `binding.no-such-file`, what the store says; the file is dropped then.
    pub fn push_blob(&mut self, number: u64, mut data: &[u8]) -> Result<(), Problem> {
        let mut upload = self.uploads.open.remove(&number).ok_or_else(no_such_file)?;
        while !data.is_empty() {
            if let Some(piece) = upload.chunker.push(&mut data)? {
                upload.bytes += piece.1.len();
                upload.batch.push(piece);
            }
            if upload.bytes >= BATCH {
                upload.bytes = 0;
                self.put(std::mem::take(&mut upload.batch))?;
            }
        }
        self.uploads.open.insert(number, upload);
        Ok(())
    }

    /// All of it was pushed: its content is durable here.
    ///
    /// # Errors
    /// `binding.no-such-file`, what the store says.
    pub fn finish_blob(&mut self, number: u64) -> Result<Blob, Problem> {
        let mut upload = self.uploads.open.remove(&number).ok_or_else(no_such_file)?;
        let finished = upload.chunker.finish()?;
        upload.batch.extend(finished.objects);
        self.put(upload.batch)?;
        Ok(Blob { blob: finished.root.to_string(), size: finished.size })
    }

    /// It is not wanted any more. What was stored of it stays until the store is compacted.
    pub fn drop_blob(&mut self, number: u64) {
        self.uploads.open.remove(&number);
    }

    /// A file of this name and content, to be shared by itself.
    ///
    /// # Errors
    /// `blob-name`, what the store says.
    pub fn make_file(&mut self, name: &str, blob: &Blob, executable: bool) -> Result<Made, Problem> {
        let file = File::new(name, blob.size, executable, of_object(&blob.blob)?)?;
        let object = file.to_bytes()?;
        let root = Cid::of_object(&object);
        self.put(vec![(root, object)])?;
        Ok(Made { root: root.to_string(), size: blob.size })
    }

    /// A folder of this name with these files.
    ///
    /// # Errors
    /// `blob-name`, `blob-twice`, `blob-too-many-entries`, what the store says.
    pub fn make_folder(&mut self, name: &str, files: &[FileEntry]) -> Result<Made, Problem> {
        let mut folder = FolderBuilder::new(name)?;
        for file in files {
            folder.file(&file.path, file.size, file.executable, of_object(&file.blob)?)?;
        }
        let built = folder.finish()?;
        self.put(built.objects)?;
        Ok(Made { root: built.root.to_string(), size: built.size })
    }

    /// What is in a shared file or folder.
    ///
    /// # Errors
    /// `blob-missing` while a part is not here; what is wrong with it.
    pub fn tree(&mut self, root: &str) -> Result<Tree, Problem> {
        let found = items(of_object(root)?, MAX_FILES, &mut |id| self.fetch(id))?;
        let file = |item: lama_chum::blob::Item| FileEntry {
            path: item.path,
            blob: item.blob.to_string(),
            size: item.size,
            executable: item.executable,
        };
        Ok(Tree {
            name: found.name,
            kind: if found.is_folder { "folder" } else { "file" },
            files: found.files.into_iter().map(file).collect(),
        })
    }

    /// Bytes of a file's content, from `start`, at most `length` of them and at most 16 MiB; fewer only at its end.
    /// Every byte was verified against the id.
    ///
    /// # Errors
    /// `blob-missing` while a part is not here; what is wrong with it.
    pub fn read(&mut self, blob: &str, start: u64, length: u64) -> Result<Vec<u8>, Problem> {
        let end = start.saturating_add(length.min(MAX_RANGE));
        let mut data = Vec::new();
        range(of_object(blob)?, start, Some(end), &mut |id| self.fetch(id), &mut |bytes| {
            data.extend_from_slice(bytes);
            Ok::<_, Problem>(true)
        })?;
        Ok(data)
    }

    fn put(&mut self, objects: Vec<(Cid, Bytes)>) -> Result<(), Problem> {
        if objects.is_empty() {
            return Ok(());
        }
        self.ask_inside(Node::Put { objects }).map(drop)
    }
}

fn no_such_file() -> Problem {
    Problem::new("binding.no-such-file", "that file is finished or was dropped; begin it again")
}
