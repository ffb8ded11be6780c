//! A whole LAMA instance for Python, Kotlin and Swift, and its sessions alone.
//!
//! **Decides** how [`lama_bindings`] looks through UniFFI: bytes are bytes, times and numbers of links are numbers,
//! errors are one type with a stable `code`. Commands, outputs and records are JSON text: the very records of
//! `bindings/plain`, read and written by the same rules as in JavaScript, so that a new field is in one place. Each
//! language puts its own types on top (`bindings/python`). What moves in bulk, frames and contents, is never JSON.
//!
//! **Refuses to know** sockets, runtimes, threads and clocks. It is pull only: nothing is called back. One object is one
//! machine behind one lock, so it may be shared between threads; a call takes as long as the disk does.

#![deny(missing_docs)]
// The macros write the border to C, exported functions and raw buffers, which has no other form. Nothing else here has any.
#![allow(unsafe_code)]

mod instance;
mod keys;
#[cfg(feature = "measure")]
pub mod measure;
mod sessions;

use lama_bindings as plain;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use instance::Instance;
pub use keys::{Enrolling, Keys, needs_passphrase};
pub use sessions::{SessionStep, Sessions};

uniffi::setup_scaffolding!();

/// Why something did not work.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Error)]
pub enum LamaFailure {
    /// The only kind: programs look at the code.
    Failed {
        /// A stable name, the same in every language.
        code: String,
        /// What happened, why, and what to do. (Not `message`: in Kotlin that is the exception's own.)
        words: String,
    },
}

impl std::fmt::Display for LamaFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Failed { code, words } = self;
        write!(f, "{words} ({code})")
    }
}

impl std::error::Error for LamaFailure {}

impl From<plain::Problem> for LamaFailure {
    fn from(problem: plain::Problem) -> Self {
        Self::Failed { code: problem.code, words: problem.message }
    }
}

fn failure(code: &str, words: impl Into<String>) -> LamaFailure {
    LamaFailure::Failed { code: code.to_owned(), words: words.into() }
}

fn json<T: Serialize>(value: &T) -> Result<String, LamaFailure> {
    serde_json::to_string(value).map_err(|error| failure("binding.internal", error.to_string()))
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, LamaFailure> {
    serde_json::from_str(text).map_err(|error| {
        failure("binding.argument", format!("what was given is no such record: {error}; give another one"))
    })
}

/// A unit of an enum by its name alone.
fn from_name<T: DeserializeOwned>(name: &str) -> Result<T, LamaFailure> {
    from_json(&json(&name)?)
}

/// 32 bytes for one use.
#[allow(clippy::disallowed_methods)] // This crate is the host's end of the plain API: it draws what that takes as an argument.
fn entropy() -> Result<[u8; 32], LamaFailure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        failure("binding.entropy", format!("this system gives no random bytes: {error}; try again later"))
    })?;
    Ok(bytes)
}

/// A code that shows a text to a camera: an SVG document, black on white, `module` pixels to a module.
///
/// # Errors
/// `invite.qr-too-long` above 2,953 bytes.
#[uniffi::export]
pub fn qr_svg(text: String, module: u32) -> Result<String, LamaFailure> {
    Ok(plain::qr_svg(&text, module)?)
}

/// What an invitation says about itself, without taking it, as JSON.
///
/// # Errors
/// What is wrong with the link.
#[uniffi::export]
pub fn look_at_invitation(link: String) -> Result<String, LamaFailure> {
    json(&plain::look_at_invitation(&link)?)
}

/// Every file of test vectors, by its path below `vectors/`, as the code in this library makes it; as JSON. For tests.
#[cfg(feature = "conformance")]
#[uniffi::export]
pub fn vector_files() -> String {
    plain::conformance::vector_files()
}
