//! LAMA for JavaScript: a whole instance (feature `instance`), or its sessions alone (feature `sessions`), which has
//! a quarter of the size.
//!
//! **Decides** how [`lama_bindings`] looks from JavaScript: bytes are `Uint8Array`s, records are JSON text (the typed
//! classes in `bindings/js` read it), errors are `Error`s with a `code`, times are numbers of milliseconds.
//!
//! **Refuses to know** sockets, clocks and files. Nothing is called back while it runs, but for two things that every
//! platform has: random bytes, and the storage that the host opened (`storage`).

#![deny(missing_docs)]

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "instance")]
mod enrolling;
mod keys;
#[cfg(feature = "measure")]
pub mod measure;
#[cfg(feature = "instance")]
mod raw;
#[cfg(feature = "sessions")]
mod sessions;
#[cfg(feature = "instance")]
pub mod storage;

use lama_bindings::Problem;
use serde::Serialize;
use wasm_bindgen::prelude::*;

#[cfg(feature = "instance")]
pub use enrolling::RawEnrolling;
pub use keys::RawKeys;
#[cfg(feature = "instance")]
pub use raw::RawInstance;
#[cfg(feature = "sessions")]
pub use sessions::RawSessions;

// The macro writes the glue with `unsafe` blocks: the border to JavaScript has no other. Nothing else here has any.
#[allow(unsafe_code)]
mod platform {
    use wasm_bindgen::prelude::*;

    #[wasm_bindgen(raw_module = "./platform.js")]
    extern "C" {
        /// An `Error` with a `code`.
        #[wasm_bindgen(js_name = newProblem)]
        pub(crate) fn new_problem(code: &str, message: &str) -> JsValue;
        /// Fills the bytes from `crypto.getRandomValues`.
        #[wasm_bindgen(js_name = fillRandom)]
        pub(crate) fn fill_random(bytes: &mut [u8]);
    }
}

/// 32 bytes for one use.
fn entropy() -> [u8; 32] {
    let mut bytes = [0; 32];
    platform::fill_random(&mut bytes);
    bytes
}

fn thrown(problem: Problem) -> JsValue {
    platform::new_problem(&problem.code, &problem.message)
}

fn json<T: Serialize>(value: &T) -> Result<String, JsValue> {
    serde_json::to_string(value)
        .map_err(|error| platform::new_problem("binding.internal", &error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, JsValue> {
    serde_json::from_str(text).map_err(|error| {
        platform::new_problem("binding.argument", &format!("what was given is no such record: {error}"))
    })
}

/// A code that shows a text to a camera: an SVG document, black on white.
///
/// # Errors
/// An `Error` with a code.
#[wasm_bindgen(js_name = qrSvg)]
pub fn qr_svg(text: &str, module: u32) -> Result<String, JsValue> {
    lama_bindings::qr_svg(text, module).map_err(thrown)
}

/// What an invitation says about itself, as JSON.
///
/// # Errors
/// An `Error` with a code.
#[wasm_bindgen(js_name = lookAtInvitation)]
pub fn look_at_invitation(link: &str) -> Result<String, JsValue> {
    json(&lama_bindings::look_at_invitation(link).map_err(thrown)?)
}
