//! From a manifest back to the bytes, one object at a time, each verified against its id.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{Cid, Codec};

use super::BlobError;
use super::manifest::{Blob, FANOUT, Plan};

/// Reads a blob from its start: names the object that it needs next, and gives the bytes of the chunks in order.
#[derive(Debug)]
pub struct Reader {
    root: Cid,
    fanout: u64,
    /// The manifests from the root to the one being read.
    path: Vec<Node>,
    size: Option<u64>,
    position: u64,
    /// Parts that lie wholly before this are left out.
    start: u64,
}

/// A manifest being read.
#[derive(Debug)]
struct Node {
    plan: Plan,
    parts: Vec<Cid>,
    /// The part that comes next.
    next: usize,
}

impl Node {
    fn wanted(&self) -> Option<(Cid, u64)> {
        self.parts.get(self.next).map(|id| (*id, self.plan.part_size(self.next as u64)))
    }
}

impl Reader {
    /// A reader of the blob with this id.
    #[must_use]
    pub const fn new(root: Cid) -> Self {
        Self::starting_at(root, 0)
    }

    /// A reader that leaves out what lies wholly before `offset`: the first chunk it gives is the one that holds that
    /// byte. [`Reader::position`] counts what was left out.
    #[must_use]
    pub const fn starting_at(root: Cid, offset: u64) -> Self {
        Self { root, fanout: FANOUT as u64, path: Vec::new(), size: None, position: 0, start: offset }
    }

    /// A reader with another number of links per manifest: for tests of deep trees.
    #[cfg(test)]
    pub(super) fn with_fanout(root: Cid, fanout: u64) -> Self {
        Self { fanout, ..Self::new(root) }
    }

    /// The blob's size in bytes; `None` until its manifest was given.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// How many bytes were given out so far.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The object that is needed next; `None` when the blob is complete.
    #[must_use]
    pub fn wanted(&self) -> Option<Cid> {
        match self.size {
            None => Some(self.root),
            Some(_) => self.path.last().and_then(Node::wanted).map(|(id, _)| id),
        }
    }

    /// The next `count` objects of the manifest being read, the first of them being the one that is wanted: for
    /// reading ahead.
    pub fn upcoming(&self, count: usize) -> impl Iterator<Item = Cid> + '_ {
        let parts = self.path.last().and_then(|node| node.parts.get(node.next..)).unwrap_or_default();
        parts.iter().take(count).copied()
    }

    /// Takes the object that was wanted; gives the bytes if it was a chunk.
    ///
    /// # Errors
    /// [`BlobError::WrongObject`] (the reader is as before), [`BlobError::NothingWanted`],
    /// [`BlobError::WrongSize`], [`BlobError::Manifest`], [`BlobError::Object`].
    pub fn give(&mut self, object: Bytes) -> Result<Option<Bytes>, BlobError> {
        let wanted = self.wanted().ok_or(BlobError::NothingWanted)?;
        if Cid::of(wanted.codec(), &object) != wanted {
            return Err(BlobError::WrongObject { wanted });
        }
        let part = self.path.last().and_then(Node::wanted).map(|(_, size)| size);
        if wanted.codec() == Codec::Raw {
            let Some(expected) = part else { return Err(BlobError::Manifest) };
            if object.len() as u64 != expected {
                return Err(BlobError::WrongSize { expected });
            }
            self.position = self.position.saturating_add(expected);
            self.step();
            return Ok(Some(object));
        }
        let node = self.node(&object, part)?;
        self.size.get_or_insert(node.plan.size);
        self.path.push(node);
        self.leave_out();
        self.unwind();
        Ok(None)
    }

    /// Reads a manifest, which is the root or a part that should cover `part` bytes.
    fn node(&self, object: &[u8], part: Option<u64>) -> Result<Node, BlobError> {
        let blob = Blob::read_as(object, self.fanout)?;
        let plan = Plan::new(blob.size, blob.chunk_size, self.fanout).ok_or(BlobError::Manifest)?;
        if let Some(expected) = part.filter(|expected| *expected != blob.size) {
            return Err(BlobError::WrongSize { expected });
        }
        // Manifests below the root cut like the root and lie one level deeper, so the path is short.
        let fits = self.path.last().is_none_or(|above| above.plan.is_child(&plan));
        if fits { Ok(Node { plan, parts: blob.chunks, next: 0 }) } else { Err(BlobError::Manifest) }
    }

    /// Passes over parts of the manifest being read that lie wholly before the start.
    fn leave_out(&mut self) {
        while let Some((_, size)) = self.path.last().and_then(Node::wanted) {
            let end = self.position.saturating_add(size);
            if end > self.start {
                break;
            }
            self.position = end;
            if let Some(node) = self.path.last_mut() {
                node.next = node.next.saturating_add(1);
            }
        }
    }

    /// The part is dealt with.
    fn step(&mut self) {
        if let Some(node) = self.path.last_mut() {
            node.next = node.next.saturating_add(1);
        }
        self.unwind();
    }

    /// Goes up from manifests that are dealt with; the root stays.
    fn unwind(&mut self) {
        while self.path.len() > 1 && self.path.last().is_some_and(|node| node.wanted().is_none()) {
            self.path.pop();
            if let Some(node) = self.path.last_mut() {
                node.next = node.next.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec;

    use super::*;
    use crate::blob::{BlobConfig, Chunker};

    type Store = BTreeMap<Cid, Bytes>;

    fn cut(data: &[u8], piece: usize, chunk_size: usize, fanout: usize) -> (Store, Cid, Vec<Cid>) {
        let config = BlobConfig { chunk_size, ..BlobConfig::default() };
        let mut chunker = Chunker::with_fanout(config, fanout).unwrap();
        let mut order = Vec::new();
        for mut piece in data.chunks(piece) {
            while !piece.is_empty() {
                order.extend(chunker.push(&mut piece).unwrap());
            }
        }
        let finished = chunker.finish().unwrap();
        assert_eq!(finished.size, data.len() as u64);
        order.extend(finished.objects);
        let ids = order.iter().map(|(id, _)| *id).collect();
        (order.into_iter().collect(), finished.root, ids)
    }

    fn read(store: &Store, root: Cid, fanout: u64) -> Result<Vec<u8>, BlobError> {
        let mut reader = Reader::with_fanout(root, fanout);
        let mut data = Vec::new();
        while let Some(id) = reader.wanted() {
            let object = store.get(&id).unwrap().clone();
            data.extend(reader.give(object)?.into_iter().flatten());
            assert_eq!(reader.position(), data.len() as u64);
        }
        assert_eq!(reader.size(), Some(data.len() as u64));
        assert_eq!(reader.give(Bytes::new()), Err(BlobError::NothingWanted));
        Ok(data)
    }

    #[test]
    fn what_was_cut_comes_back_at_every_size_and_depth() {
        for size in 0..200_usize {
            let data: Vec<u8> = (0..size).map(|n| (n * 7 % 251) as u8).collect();
            for (chunk, fanout) in [(1, 3), (4, 3), (4, 2), (7, 1000), (300, 3)] {
                let (store, root, _) = cut(&data, 5, chunk, fanout);
                assert_eq!(read(&store, root, fanout as u64).unwrap(), data, "{size} {chunk} {fanout}");
                // The size of the pieces pushed does not matter.
                assert_eq!(cut(&data, 1_000, chunk, fanout).1, root);
            }
        }
    }

    #[test]
    fn a_reader_that_starts_later_leaves_out_what_lies_before() {
        let data: Vec<u8> = (0..100).collect();
        let (store, root, _) = cut(&data, 100, 4, 3);
        for start in 0..105 {
            let mut reader = Reader { start, ..Reader::with_fanout(root, 3) };
            let (mut read, mut first) = (Vec::new(), None);
            while let Some(id) = reader.wanted() {
                if let Some(bytes) = reader.give(store[&id].clone()).unwrap() {
                    first.get_or_insert(reader.position() - bytes.len() as u64);
                    read.extend_from_slice(&bytes);
                }
            }
            let from = (start / 4 * 4).min(100);
            assert_eq!(first, Some(from).filter(|from| *from < 100), "{start}");
            assert_eq!(read, data[usize::try_from(from).unwrap()..], "{start}");
            assert_eq!(reader.position(), 100);
        }
    }

    #[test]
    fn parts_come_before_what_names_them() {
        let data: Vec<u8> = (0..100).collect();
        let (store, _, order) = cut(&data, 9, 4, 3);
        let mut seen = alloc::collections::BTreeSet::new();
        for id in order {
            if id.codec() == Codec::DagCbor {
                let manifest: Blob = lama_identity::cbor::decode(&store[&id]).unwrap();
                assert!(manifest.chunks.iter().all(|part| seen.contains(part)));
            }
            seen.insert(id);
        }
    }

    #[test]
    fn wrong_object() {
        let (store, root, _) = cut(&[1; 10], 10, 4, 1000);
        let mut reader = Reader::new(root);
        let wrong = Err(BlobError::WrongObject { wanted: root });
        assert_eq!(reader.give(Bytes::from_static(b"something else")), wrong);
        assert_eq!(reader.wanted(), Some(root));
        reader.give(store[&root].clone()).unwrap();
        assert_eq!(reader.upcoming(10).count(), 3);
    }

    #[test]
    fn wrong_size() {
        // The manifest says 4 + 4, the chunks have 3 and 5: in all it would fit.
        let chunks = [Bytes::from_static(b"abc"), Bytes::from_static(b"defgh")];
        let ids = chunks.iter().map(|chunk| Cid::of_chunk(chunk)).collect();
        let manifest = lama_identity::cbor::encode(&Blob::new(8, 4, ids)).unwrap();
        let mut reader = Reader::new(Cid::of_object(&manifest));
        reader.give(manifest).unwrap();
        assert_eq!(reader.give(chunks[0].clone()), Err(BlobError::WrongSize { expected: 4 }));
    }

    #[test]
    fn a_tree_that_lies_about_its_depth_is_refused() {
        // A manifest of the right size, but cut otherwise than the root says.
        let data: Vec<u8> = (0..40).collect();
        let (mut store, ..) = cut(&data, 40, 4, 3);
        let (other, other_root, _) = cut(&data[..12], 12, 6, 3);
        let (rest, rest_root, _) = cut(&data[12..], 40, 4, 3);
        store.extend(other);
        store.extend(rest);
        let lie = lama_identity::cbor::encode(&Blob::new(40, 4, vec![other_root, rest_root])).unwrap();
        let root = Cid::of_object(&lie);
        store.insert(root, lie);
        assert!(read(&store, root, 3).is_err());
    }

    #[test]
    fn a_blob_beyond_its_limit_is_refused_before_it_is_stored() {
        let config = BlobConfig { chunk_size: 4, max_size: 10 };
        let mut chunker = Chunker::new(config).unwrap();
        let mut data: &[u8] = &[0; 11];
        let error = loop {
            if let Err(error) = chunker.push(&mut data) {
                break error;
            }
        };
        assert_eq!(error, BlobError::TooLarge { limit: 10 });
        let mut exactly = Chunker::new(config).unwrap();
        let mut data: &[u8] = &[7; 10];
        while !data.is_empty() {
            exactly.push(&mut data).unwrap();
        }
        assert_eq!(exactly.finish().unwrap().size, 10);
        assert_eq!(Chunker::new(BlobConfig { chunk_size: 0, ..config }).err(), Some(BlobError::ChunkSize));
    }
}
