//! Writes the test vectors of the group `debug`: `cargo run -p lama-node --example lama-node-vectors -- DIR` makes
//! `DIR/node/debug.json`. The same bytes every time. `docs/protocol/groups.md` explains the fields.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use lama_identity::{LogHead, cbor};
use lama_node::debug::{Ask, View};
use serde_json::{Value, json};

fn hex(bytes: &[u8]) -> Value {
    Value::String(HEXLOWER.encode(bytes))
}

/// A map as bytes that are canonical and yet no question or answer.
fn map(value: &Value) -> Value {
    hex(&cbor::encode(value).unwrap())
}

fn debug() -> Value {
    let mut view = View::new(1_800_000_000_000, (1, 1));
    let least = view.to_bytes().unwrap();
    view.age = 61_500;
    view.head = LogHead { seq: 3, hash: [7; 32] };
    view.items = vec![("clock.forward".into(), 0), ("listener.none".into(), 1), ("store.failed".into(), 2)];
    view.program = "0.1.0".into();
    (view.in_sync, view.dialled, view.relayed) = (true, true, false);
    view.round_trip = Some(1_250);
    let bytes = view.to_bytes().unwrap();
    for bytes in [&least, &bytes] {
        View::from_bytes(bytes).unwrap();
    }
    let says = json!({
        "v": 1, "at": view.at, "age": view.age, "head": { "seq": 3, "hash": hex(&view.head.hash) },
        "items": view.items, "inSync": true, "dialled": true, "relayed": false, "program": view.program,
        "versions": [1, 1], "roundTrip": 1_250, "bytes": hex(&bytes),
    });
    json!({
        "ask": hex(&Ask::default().to_bytes().unwrap()),
        "view": says,
        "view_that_says_least": hex(&least),
        "no_asks": [map(&json!({})), map(&json!({ "v": 2 })), map(&json!({ "v": 1, "more": 1 }))],
    })
}

/// Every file below `vectors/`, without its ending.
pub(crate) fn files() -> Vec<(&'static str, Value)> {
    vec![("node/debug", debug())]
}

/// Writes them; in another program's tests they are only compared.
#[allow(dead_code)]
fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("usage: vectors DIR"));
    for (name, value) in files() {
        let text = serde_json::to_string_pretty(&value).expect("plain data") + "\n";
        let path = dir.join(name).with_extension("json");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the directory can be made");
        std::fs::write(path, text).expect("the file can be written");
    }
}
