//! What is shared in one round: small objects and chunks, made from a number alone, under one root.

use bytes::Bytes;
use lama_identity::{Cid, cbor};
use serde::{Deserialize, Serialize};

/// Small objects in one share.
const SMALL: u64 = 300;
/// Chunks of random bytes in one share, and their length.
const CHUNKS: u64 = 12;
const CHUNK: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Small {
    #[serde(rename = "$type$")]
    type_name: String,
    n: u64,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct Root {
    #[serde(rename = "$type$")]
    type_name: String,
    parts: Vec<Cid>,
}

/// One share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) seed: u64,
}

impl Work {
    /// Children first, the root last.
    pub(crate) fn objects(self) -> Vec<(Cid, Bytes)> {
        let mut all: Vec<(Cid, Bytes)> = (0..SMALL)
            .map(|n| {
                let small = Small {
                    type_name: "Small".into(),
                    n: self.seed << 20 | n,
                    text: "a small object ".repeat(10),
                };
                let bytes = cbor::encode(&small).unwrap();
                (Cid::of_object(&bytes), bytes)
            })
            .collect();
        let mut state = self.seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for _ in 0..CHUNKS {
            let mut chunk = Vec::with_capacity(CHUNK);
            while chunk.len() < CHUNK {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                chunk.extend_from_slice(&state.to_le_bytes());
            }
            all.push((Cid::of_chunk(&chunk), chunk.into()));
        }
        let root = Root { type_name: "Root".into(), parts: all.iter().map(|(id, _)| *id).collect() };
        let bytes = cbor::encode(&root).unwrap();
        all.push((Cid::of_object(&bytes), bytes));
        all
    }

    pub(crate) fn root(self) -> Cid {
        self.objects().pop().unwrap().0
    }
}
