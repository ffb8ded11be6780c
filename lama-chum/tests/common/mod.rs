//! What the tests and the bench share: a view log in memory, and pairs of machines over links bounded in bytes.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

pub mod pair;
pub mod victim;
pub mod view;

use bytes::Bytes;
use lama_chum::{Config, PairKey};
use lama_identity::{Cid, cbor};
use serde::Serialize;

/// The pair key of all tests.
pub fn pair_key() -> PairKey {
    PairKey::new([42; 32])
}

#[derive(Serialize)]
struct Plain<'a> {
    #[serde(rename = "$type$")]
    type_name: &'a str,
    n: u64,
    parts: &'a [Cid],
    pad: &'a serde_bytes::Bytes,
}

/// The `n`-th object of an author, at least `len` bytes long, with content links to `parts`.
pub fn object_with(author: &str, n: u64, len: usize, parts: &[Cid]) -> (Cid, Bytes) {
    let build = |pad: &[u8]| {
        cbor::encode(&Plain { type_name: author, n, parts, pad: serde_bytes::Bytes::new(pad) }).unwrap()
    };
    let bare = build(&[]).len();
    let bytes = build(&vec![n as u8; len.saturating_sub(bare)]);
    (Cid::of_object(&bytes), bytes)
}

/// The `n`-th object of an author, at least `len` bytes long.
pub fn object(author: &str, n: u64, len: usize) -> (Cid, Bytes) {
    object_with(author, n, len, &[])
}

/// `count` objects of an author.
pub fn objects(author: &str, count: u64, len: usize) -> Vec<(Cid, Bytes)> {
    (0..count).map(|n| object(author, n, len)).collect()
}

/// Small reproducible random numbers (xorshift64*).
#[derive(Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }
}

/// Limits so small that every mechanism is at work with a few objects.
pub fn tight() -> Config {
    Config {
        room: 1_024,
        page_bytes: 2_000,
        scan_bytes: 1_200,
        batch_bytes: 1_500,
        batch_objects: 5,
        max_imports: 3,
        send_bytes: 4_000,
        send_objects: 12,
        relay_delay: core::time::Duration::from_millis(20),
        short_bits: 64,
    }
}
