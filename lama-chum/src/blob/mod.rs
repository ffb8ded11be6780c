//! Files and folders as objects: chunks of raw bytes, a manifest that names them, and folders that name those.
//!
//! This module decides how large data becomes objects and back, and which names an entry of a folder may have. It
//! refuses to know where the bytes come from and go to: the [`Chunker`] is pushed bytes and gives objects, the
//! [`Reader`] names the object that it needs next and gives bytes. Each holds one chunk at a time.
//!
//! Everything links its parts by content links, so sharing a folder shares the files in it, and all of them are
//! ordinary elements of a view: chunks before their manifest, manifests before what names them.
//!
//! ```
//! use lama_chum::blob::{BlobConfig, Chunker, Folder, FolderBuilder, Reader};
//! # use std::collections::BTreeMap;
//! # fn main() -> Result<(), lama_chum::blob::BlobError> {
//! let mut chunker = Chunker::new(BlobConfig::default())?;
//! let mut store = BTreeMap::new();
//! let mut data: &[u8] = &[7; 600_000];
//! while !data.is_empty() {
//!     store.extend(chunker.push(&mut data)?); // at most one object a call, in the order to store them
//! }
//! let finished = chunker.finish()?;
//! store.extend(finished.objects);
//! let mut folder = FolderBuilder::new("holiday")?;
//! folder.file("pictures/beach.jpg", finished.size, false, finished.root)?;
//! store.extend(folder.finish()?.objects);
//!
//! let mut reader = Reader::new(finished.root);
//! let mut read = Vec::new();
//! while let Some(id) = reader.wanted() {
//!     if let Some(bytes) = reader.give(store[&id].clone())? {
//!         read.extend_from_slice(&bytes);
//!     }
//! }
//! assert_eq!(read, [7; 600_000]);
//! # Ok(())
//! # }
//! ```

mod chunker;
mod error;
mod folder;
mod manifest;
mod name;
mod reader;
mod tree;

pub use chunker::{Chunker, Finished};
pub use error::BlobError;
pub use folder::{Built, EntryKind, File, Folder, FolderBuilder, FolderEntry};
pub use manifest::{Blob, FANOUT, MAX_BLOB};
pub use name::{MAX_DEPTH, MAX_NAME, MAX_PATH, NameError, check_name, check_path};
pub use reader::Reader;
pub use tree::{Item, Items, items, range};

use crate::MAX_OBJECT;

/// How large data is cut. Finite by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobConfig {
    /// Bytes of every chunk but the last: 1 to 1 MiB. Default 256 KiB.
    pub chunk_size: usize,
    /// Most bytes of one blob. Default [`MAX_BLOB`].
    pub max_size: u64,
}

impl Default for BlobConfig {
    fn default() -> Self {
        Self { chunk_size: 256 << 10, max_size: MAX_BLOB }
    }
}

impl BlobConfig {
    /// Whether chunks of this size can be.
    const fn is_valid(&self) -> bool {
        self.chunk_size > 0 && self.chunk_size <= MAX_OBJECT
    }
}
