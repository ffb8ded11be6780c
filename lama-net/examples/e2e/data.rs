//! What is sent: small objects under roots, and random bytes.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use bytes::Bytes;
use lama_identity::{Cid, cbor};
use serde::{Deserialize, Serialize};

/// Bytes of one small object.
const SIZE: usize = 200;
/// Small objects under one root.
pub(crate) const LINKS: u64 = 10_000;

#[derive(Serialize, Deserialize)]
struct Small {
    #[serde(rename = "$type$")]
    type_name: String,
    n: u64,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct Many {
    #[serde(rename = "$type$")]
    type_name: String,
    parts: Vec<Cid>,
}

/// `count` small objects numbered from `from` on, and the root that holds them together, which comes last.
pub(crate) fn objects(from: u64, count: u64) -> Vec<(Cid, Bytes)> {
    let mut all = Vec::with_capacity(count as usize + 1);
    for n in from..from + count {
        let small = Small { type_name: "Small".into(), n: (1 << 40) + n, text: String::new() };
        let empty = cbor::encode(&small).unwrap().len();
        let small = Small { text: "x".repeat(SIZE - empty - 1), ..small };
        let bytes = cbor::encode(&small).unwrap();
        assert_eq!(bytes.len(), SIZE);
        all.push((Cid::of_object(&bytes), bytes));
    }
    let many = Many { type_name: "Many".into(), parts: all.iter().map(|(id, _)| *id).collect() };
    let bytes = cbor::encode(&many).unwrap();
    all.push((Cid::of_object(&bytes), bytes));
    all
}

/// A file of random bytes.
pub(crate) fn random_file(path: &Path, size: u64) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut state = [0x9e37_79b9_7f4a_7c15_u64, 0xbf58_476d_1ce4_e5b9];
    let mut left = size;
    let mut block = [0; 4096];
    while left > 0 {
        for eight in block.chunks_exact_mut(8) {
            // xorshift128+
            let [mut a, b] = state;
            a ^= a << 23;
            a ^= a >> 17;
            a ^= b ^ (b >> 26);
            state = [b, a];
            eight.copy_from_slice(&a.wrapping_add(b).to_le_bytes());
        }
        let now = left.min(block.len() as u64) as usize;
        out.write_all(&block[..now]).unwrap();
        left -= now as u64;
    }
    out.flush().unwrap();
}
