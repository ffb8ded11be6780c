//! What only tests call: the test vectors as the code in this library makes them, for each language to compare.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

#[path = "../../../lama-chum/examples/vectors.rs"]
mod chum;
#[path = "../../../lama-handshake/examples/vectors.rs"]
mod handshake;
#[path = "../../../lama-identity/examples/vectors.rs"]
mod identity;
#[path = "../../../lama-invite/examples/vectors.rs"]
mod invite;
#[path = "../../../lama-lan/examples/vectors.rs"]
mod lan;
#[path = "../../../lama-node/examples/vectors.rs"]
mod node;
#[path = "../../../lama-relay/examples/vectors.rs"]
mod relay;

/// Every file of vectors that code writes: its path below `vectors/`, without its ending, and its text. As JSON.
#[must_use]
pub fn vector_files() -> String {
    let here = [identity::files(), invite::files(), handshake::files(), chum::files(), relay::files()];
    let files = here.into_iter().chain([lan::files(), node::files()]);
    let texts: BTreeMap<&str, String> = files
        .flatten()
        .map(|(name, value)| (name, serde_json::to_string_pretty(&value).expect("plain data") + "\n"))
        .collect();
    serde_json::to_string(&texts).expect("plain data")
}
