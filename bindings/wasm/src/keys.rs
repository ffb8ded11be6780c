//! The secrets of an instance, in the memory of the module; JavaScript sees them only sealed.

use lama_bindings::Keys;
use wasm_bindgen::prelude::*;

use crate::{entropy, json, thrown};

/// All secrets of one instance.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawKeys(pub(crate) Keys);

#[wasm_bindgen]
impl RawKeys {
    /// Makes a person and its first instance.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn create(email: &str, name: &str, wall: f64) -> Result<RawKeys, JsValue> {
        Ok(Self(Keys::create(email, name, entropy(), wall as u64).map_err(thrown)?))
    }

    /// Opens a key file.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn open(file: &[u8], passphrase: Option<String>) -> Result<RawKeys, JsValue> {
        Ok(Self(Keys::open(file, passphrase.as_deref()).map_err(thrown)?))
    }

    /// Whether a key file is locked by a passphrase.
    ///
    /// # Errors
    /// An `Error` with a code.
    #[wasm_bindgen(js_name = needsPassphrase)]
    pub fn needs_passphrase(file: &[u8]) -> Result<bool, JsValue> {
        Keys::needs_passphrase(file).map_err(thrown)
    }

    /// The bytes of a key file.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn seal(&self, passphrase: Option<String>) -> Result<Vec<u8>, JsValue> {
        self.0.seal(passphrase.as_deref(), entropy()).map_err(thrown)
    }

    /// What may be shown, as JSON.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn identity(&self) -> Result<String, JsValue> {
        json(&self.0.public())
    }
}
