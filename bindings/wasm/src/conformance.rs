//! What only tests call: the suites of the store over the host's files, and the test vectors as this module makes them.

#![allow(clippy::expect_used)]

use lama_store::conformance::Place;
use lama_store::{Redb, RedbOptions, StoreError};
use wasm_bindgen::prelude::*;

use crate::storage;

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

/// See [`lama_bindings::conformance::vector_files`].
#[wasm_bindgen(js_name = vectorFiles)]
#[must_use]
pub fn vector_files() -> String {
    lama_bindings::conformance::vector_files()
}
