//! What only tests call: the suites of the store over the host's files, and the test vectors as this module makes them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use lama_store::conformance::Place;
use lama_store::{Redb, RedbOptions, StoreError};
use wasm_bindgen::prelude::*;

use crate::storage;

#[path = "../../../lama-chum/examples/vectors.rs"]
mod chum;
#[path = "../../../lama-handshake/examples/vectors.rs"]
mod handshake;
#[path = "../../../lama-identity/examples/vectors.rs"]
mod identity;
#[path = "../../../lama-invite/examples/vectors.rs"]
mod invite;
#[path = "../../../lama-relay/examples/vectors.rs"]
mod relay;

// The macro writes the glue with `unsafe` blocks: the border to JavaScript has no other.
#[allow(unsafe_code)]
mod host {
    use wasm_bindgen::prelude::*;

    #[wasm_bindgen(raw_module = "./conformance.js")]
    extern "C" {
        /// Registers a new, empty file.
        #[wasm_bindgen(js_name = newFile)]
        pub(super) fn new_file() -> u32;
        /// Why a test failed.
        #[wasm_bindgen(js_name = failed)]
        pub(super) fn failed(text: &str);
    }
}

/// A file of the host.
struct FilePlace(u32);

impl Default for FilePlace {
    fn default() -> Self {
        Self(host::new_file())
    }
}

impl Place for FilePlace {
    type Engine = Redb;

    fn open(&mut self) -> Result<Redb, StoreError> {
        let file = self.0;
        Redb::with_backends(move || storage::Backend { file }, RedbOptions::default())
    }

    fn keep(&mut self, engine: Redb) {
        drop(engine);
    }
}

fn tests() -> Vec<(&'static str, fn())> {
    lama_store::conformance_list!(FilePlace)
}

/// The tests of the suites, by name.
#[wasm_bindgen(js_name = conformanceNames)]
#[must_use]
pub fn conformance_names() -> Vec<String> {
    tests().iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Runs one of them; it traps where it fails, and the module is of no use after that.
#[wasm_bindgen(js_name = conformanceRun)]
pub fn conformance_run(name: &str) {
    std::panic::set_hook(Box::new(|info| host::failed(&info.to_string())));
    let tests = tests();
    let (_, test) = tests.iter().find(|(known, _)| *known == name).expect("a test of that name");
    test();
}

/// Every file of vectors that code writes: its path below `vectors/`, without its ending, and its text. As JSON.
#[wasm_bindgen(js_name = vectorFiles)]
#[must_use]
pub fn vector_files() -> String {
    let files = [identity::files(), invite::files(), handshake::files(), chum::files(), relay::files()];
    let texts: BTreeMap<&str, String> = files
        .into_iter()
        .flatten()
        .map(|(name, value)| (name, serde_json::to_string_pretty(&value).expect("plain data") + "\n"))
        .collect();
    serde_json::to_string(&texts).expect("plain data")
}
