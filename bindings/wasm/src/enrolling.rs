//! A further instance of a person, on its device, until it is certified.

use lama_bindings::Enrolling;
use wasm_bindgen::prelude::*;

use crate::keys::RawKeys;
use crate::{entropy, thrown};

/// The keys of a further instance of a person, until they are certified.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawEnrolling(Enrolling);

#[wasm_bindgen]
impl RawEnrolling {
    /// Makes them, from the offer of a device with the person's key.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn create(offer: &str, name: &str, wall: f64) -> Result<RawEnrolling, JsValue> {
        Ok(Self(Enrolling::new(offer, name, entropy(), wall as u64).map_err(thrown)?))
    }

    /// Opens what `seal` gave.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn open(file: &[u8], passphrase: Option<String>) -> Result<RawEnrolling, JsValue> {
        Ok(Self(Enrolling::open(file, passphrase.as_deref()).map_err(thrown)?))
    }

    /// What goes to that device.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn request(&self) -> Result<String, JsValue> {
        self.0.request().map_err(thrown)
    }

    /// The bytes of a key file.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn seal(&self, passphrase: Option<String>) -> Result<Vec<u8>, JsValue> {
        self.0.seal(passphrase.as_deref(), entropy()).map_err(thrown)
    }

    /// The keys of the instance, by the certificate that came back.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn accept(&self, certificate: &str) -> Result<RawKeys, JsValue> {
        Ok(RawKeys(self.0.accept(certificate, entropy()).map_err(thrown)?))
    }
}
