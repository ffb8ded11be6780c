//! From bytes to chunks and manifests, one chunk in memory at a time.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use bytes::{Bytes, BytesMut};
use lama_identity::{Cid, Object};

use super::manifest::{Blob, FANOUT};
use super::{BlobConfig, BlobError};

/// Cuts bytes into the objects of a blob. Push the data in pieces of any size; store what comes out, in order.
#[derive(Debug)]
pub struct Chunker {
    config: BlobConfig,
    fanout: usize,
    buffer: BytesMut,
    size: u64,
    /// Per level of the tree the parts that no manifest names yet; level 0 holds chunks.
    levels: Vec<Level>,
    /// Objects that are ready.
    ready: VecDeque<(Cid, Bytes)>,
}

/// Parts that await their manifest.
#[derive(Debug, Default)]
struct Level {
    parts: Vec<Cid>,
    /// Bytes of the blob in them.
    size: u64,
}

/// A whole blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The last objects, in the order to store them; the root manifest is the very last.
    pub objects: Vec<(Cid, Bytes)>,
    /// The blob's id: that of its root manifest.
    pub root: Cid,
    /// Bytes of the blob.
    pub size: u64,
}

impl Chunker {
    /// A chunker for one blob.
    ///
    /// # Errors
    /// [`BlobError::ChunkSize`].
    pub fn new(config: BlobConfig) -> Result<Self, BlobError> {
        Self::with_fanout(config, FANOUT)
    }

    /// A chunker with another number of links per manifest: for tests of deep trees.
    pub(super) fn with_fanout(config: BlobConfig, fanout: usize) -> Result<Self, BlobError> {
        if !config.is_valid() {
            return Err(BlobError::ChunkSize);
        }
        Ok(Self {
            config,
            fanout,
            buffer: BytesMut::new(),
            size: 0,
            levels: Vec::new(),
            ready: VecDeque::new(),
        })
    }

    /// Takes bytes from the front of `data`, up to the end of a chunk, and gives an object if one is complete.
    /// Call it until `data` is empty.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`]; [`BlobError::Object`] cannot be.
    pub fn push(&mut self, data: &mut &[u8]) -> Result<Option<(Cid, Bytes)>, BlobError> {
        if let Some(object) = self.ready.pop_front() {
            return Ok(Some(object));
        }
        let room = self.config.chunk_size.saturating_sub(self.buffer.len());
        let (now, later) = data.split_at_checked(room).unwrap_or((data, &[]));
        let size = self.size.saturating_add(now.len() as u64);
        if size > self.config.max_size {
            return Err(BlobError::TooLarge { limit: self.config.max_size });
        }
        self.size = size;
        if self.buffer.is_empty() && now.len() == room {
            // A whole chunk at once needs no detour.
            self.chunk(Bytes::copy_from_slice(now))?;
        } else {
            self.buffer.extend_from_slice(now);
            if self.buffer.len() == self.config.chunk_size {
                let chunk = mem::take(&mut self.buffer).freeze();
                self.chunk(chunk)?;
            }
        }
        *data = later;
        Ok(self.ready.pop_front())
    }

    /// Ends the blob.
    ///
    /// # Errors
    /// [`BlobError::Object`] cannot be.
    pub fn finish(mut self) -> Result<Finished, BlobError> {
        if !self.buffer.is_empty() {
            let chunk = mem::take(&mut self.buffer).freeze();
            self.chunk(chunk)?;
        }
        let mut level = 0_usize;
        while self.levels.len() > level.saturating_add(1) {
            self.close(level)?;
            level = level.saturating_add(1);
        }
        let top = self.levels.pop().unwrap_or_default();
        let (root, bytes) = self.manifest(top)?;
        self.ready.push_back((root, bytes));
        Ok(Finished { objects: self.ready.into(), root, size: self.size })
    }

    fn chunk(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        let id = Cid::of_chunk(&bytes);
        let size = bytes.len() as u64;
        self.ready.push_back((id, bytes));
        self.add(0, id, size)
    }

    /// Adds a part to a level. A level that is full gets its manifest only now that another part follows: a blob
    /// that just fills one manifest is flat.
    fn add(&mut self, level: usize, id: Cid, size: u64) -> Result<(), BlobError> {
        if self.levels.get(level).is_some_and(|level| level.parts.len() == self.fanout) {
            self.close(level)?;
        }
        if self.levels.len() <= level {
            self.levels.push(Level::default());
        }
        if let Some(level) = self.levels.get_mut(level) {
            level.parts.push(id);
            level.size = level.size.saturating_add(size);
        }
        Ok(())
    }

    /// Writes the manifest of a level and makes it a part of the level above. The tree is at most four levels
    /// deep, so this ends soon.
    fn close(&mut self, level: usize) -> Result<(), BlobError> {
        let Some(parts) = self.levels.get_mut(level).map(mem::take) else { return Ok(()) };
        let size = parts.size;
        // A manifest with one manifest in it would say nothing: the last part of a level may lie deeper alone.
        if let (1.., &[id]) = (level, parts.parts.as_slice()) {
            return self.add(level.saturating_add(1), id, size);
        }
        let (id, bytes) = self.manifest(parts)?;
        self.ready.push_back((id, bytes));
        self.add(level.saturating_add(1), id, size)
    }

    fn manifest(&self, level: Level) -> Result<(Cid, Bytes), BlobError> {
        let bytes = Blob::new(level.size, self.config.chunk_size as u64, level.parts).to_bytes()?;
        Ok((Cid::of_object(&bytes), bytes))
    }
}
