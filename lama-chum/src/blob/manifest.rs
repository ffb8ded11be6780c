//! The manifest of a blob: its size and its parts, and how deep the tree of manifests is.

use alloc::vec::Vec;

use lama_identity::{Cid, Codec, IdentityError, Object, TypeName, TypeTag, cbor};
use serde::{Deserialize, Serialize};

use super::BlobError;
use crate::MAX_OBJECT;

/// Most links in one manifest; a blob with more chunks has manifests of manifests. 20,000 links take 820 KB.
pub const FANOUT: usize = 20_000;

/// Largest blob that this version writes or reads, in bytes: 1 PiB.
pub const MAX_BLOB: u64 = 1 << 50;

/// A blob's manifest: `{$type$: "Blob", size, chunkSize, chunks: [links]}`.
///
/// Up to [`FANOUT`] chunks, the links name the chunks themselves (codec raw), all of them `chunk_size` bytes long
/// but the last, which has the rest. Above, they name manifests of the same chunk size that cover
/// `chunk_size * FANOUT^h` bytes each but the last, with the smallest `h` that suffices. So one content has one
/// manifest, given the chunk size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    #[serde(rename = "$type$")]
    type_tag: TypeTag<Self>,
    /// Bytes in all.
    pub size: u64,
    /// Bytes of every chunk but the last.
    #[serde(rename = "chunkSize")]
    pub chunk_size: u64,
    /// The parts, in order.
    pub chunks: Vec<Cid>,
}

impl TypeName for Blob {
    const TYPE: &'static str = "Blob";
}

impl Object for Blob {
    fn validate(&self) -> Result<(), IdentityError> {
        if self.fits(FANOUT as u64) {
            Ok(())
        } else {
            Err(IdentityError::Field { field: "chunks", rule: "as many links as size and chunk size say" })
        }
    }
}

impl Blob {
    /// A manifest of these parts.
    pub(super) fn new(size: u64, chunk_size: u64, chunks: Vec<Cid>) -> Self {
        Self { type_tag: TypeTag::default(), size, chunk_size, chunks }
    }

    /// Whether size, chunk size and links fit together, with so many links per manifest.
    fn fits(&self, fanout: u64) -> bool {
        Plan::new(self.size, self.chunk_size, fanout).is_some_and(|plan| {
            let codec = if plan.is_leaf() { Codec::Raw } else { Codec::DagCbor };
            plan.parts == self.chunks.len() as u64 && self.chunks.iter().all(|id| id.codec() == codec)
        })
    }

    /// [`Blob::read`] with another number of links per manifest: for tests of deep trees.
    pub(super) fn read_as(bytes: &[u8], fanout: u64) -> Result<Self, BlobError> {
        let blob: Self = cbor::decode(bytes).map_err(IdentityError::Encoding)?;
        if blob.fits(fanout) { Ok(blob) } else { Err(BlobError::Manifest) }
    }

    /// Reads a manifest, and looks whether size, chunk size and links fit together.
    ///
    /// # Errors
    /// [`BlobError::Object`], [`BlobError::Manifest`].
    pub fn read(bytes: &[u8]) -> Result<Self, BlobError> {
        Self::from_bytes(bytes).map_err(|error| match error {
            IdentityError::Field { .. } => BlobError::Manifest,
            error => BlobError::Object(error),
        })
    }
}

/// How a blob is divided at one level of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Bytes in all.
    pub(super) size: u64,
    /// Bytes of each part but the last.
    pub(super) span: u64,
    /// How many parts there are.
    pub(super) parts: u64,
    chunk_size: u64,
}

impl Plan {
    /// `None` for sizes that no blob has.
    pub(super) fn new(size: u64, chunk_size: u64, fanout: u64) -> Option<Self> {
        if chunk_size == 0 || chunk_size > MAX_OBJECT as u64 || size > MAX_BLOB {
            return None;
        }
        let mut span = chunk_size;
        while size.div_ceil(span) > fanout {
            span = span.checked_mul(fanout)?;
        }
        Some(Self { size, span, parts: size.div_ceil(span), chunk_size })
    }

    /// Whether the parts are chunks.
    pub(super) const fn is_leaf(&self) -> bool {
        self.span == self.chunk_size
    }

    /// Whether a manifest of plan `child` can stand in one of this plan: cut alike, and the next level down.
    pub(super) const fn is_child(&self, child: &Self) -> bool {
        !self.is_leaf() && child.chunk_size == self.chunk_size && child.span < self.span
    }

    /// Bytes of part `index`, which must be one.
    pub(super) const fn part_size(&self, index: u64) -> u64 {
        let before = index.saturating_mul(self.span);
        let rest = self.size.saturating_sub(before);
        if rest < self.span { rest } else { self.span }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_as_flat_as_it_can_be() {
        // size, chunk, fanout -> span, parts
        for (size, chunk, fanout, span, parts) in [
            (0, 4, 3, 4, 0),
            (1, 4, 3, 4, 1),
            (12, 4, 3, 4, 3),
            (13, 4, 3, 12, 2),
            (36, 4, 3, 12, 3),
            (37, 4, 3, 36, 2),
            (109, 4, 3, 108, 2),
        ] {
            let plan = Plan::new(size, chunk, fanout).unwrap();
            assert_eq!((plan.span, plan.parts), (span, parts), "{size}");
            let sum: u64 = (0..plan.parts).map(|index| plan.part_size(index)).sum();
            assert_eq!(sum, size);
        }
        assert_eq!(Plan::new(1, 0, 3), None);
        assert_eq!(Plan::new(1, MAX_OBJECT as u64 + 1, 3), None);
        assert_eq!(Plan::new(MAX_BLOB + 1, 4, 3), None);
        assert!(Plan::new(MAX_BLOB, 1, FANOUT as u64).is_some());
    }

    #[test]
    fn a_child_is_cut_alike_and_stands_lower() {
        let plan = |size: u64, chunk: u64| Plan::new(size, chunk, 3).unwrap();
        let (leaf, middle, top) = (plan(12, 4), plan(36, 4), plan(100, 4));
        assert!(top.is_child(&middle) && top.is_child(&leaf) && middle.is_child(&leaf));
        for (parent, child) in [(leaf, leaf), (leaf, middle), (middle, middle), (middle, top)] {
            assert!(!parent.is_child(&child));
        }
        assert!(!top.is_child(&plan(12, 5)) && !top.is_child(&plan(6, 2)), "cut otherwise");
    }

    #[test]
    fn a_full_manifest_is_an_object() {
        let chunks = alloc::vec![Cid::of_chunk(b"x"); FANOUT];
        let blob = Blob::new(FANOUT as u64 * 4, 4, chunks);
        let bytes = blob.to_bytes().unwrap();
        assert!(bytes.len() < MAX_OBJECT);
        assert_eq!(Blob::read(&bytes).unwrap(), blob);
    }

    #[test]
    fn manifests_that_contradict_themselves_are_refused() {
        let chunk = Cid::of_chunk(b"x");
        for (size, chunk_size, chunks) in [
            (4, 4, alloc::vec![]),
            (4, 4, alloc::vec![chunk, chunk]),
            (0, 4, alloc::vec![chunk]),
            (4, 0, alloc::vec![chunk]),
            (4, 4, alloc::vec![Cid::of_object(b"x")]),
            (u64::MAX, 4, alloc::vec![chunk]),
        ] {
            let bytes = lama_identity::cbor::encode(&Blob::new(size, chunk_size, chunks)).unwrap();
            assert_eq!(Blob::read(&bytes), Err(BlobError::Manifest));
        }
    }
}
