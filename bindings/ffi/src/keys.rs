//! The secrets of an instance; the other language sees them only as the bytes of a key file.

use std::sync::{Arc, Mutex};

use lama_bindings as plain;

use crate::{LamaFailure, entropy, failure, json};

/// All secrets of one instance. They go into an instance, once.
#[derive(Debug, uniffi::Object)]
pub struct Keys(Mutex<Option<plain::Keys>>);

impl Keys {
    fn new(keys: plain::Keys) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(keys))))
    }

    pub(crate) fn take(&self) -> Result<plain::Keys, LamaFailure> {
        self.0.lock().ok().and_then(|mut keys| keys.take()).ok_or_else(gone)
    }

    fn with<T>(&self, look: impl FnOnce(&plain::Keys) -> Result<T, LamaFailure>) -> Result<T, LamaFailure> {
        let keys = self.0.lock().map_err(|_| gone())?;
        look(keys.as_ref().ok_or_else(gone)?)
    }
}

fn gone() -> LamaFailure {
    failure("binding.keys-gone", "these keys went into an instance; open the key file again")
}

#[uniffi::export]
impl Keys {
    /// Makes a person, known by an e-mail address, and its first instance.
    ///
    /// # Errors
    /// What is wrong with the address or the name.
    #[uniffi::constructor]
    pub fn create(email: String, name: String, wall_ms: u64) -> Result<Arc<Self>, LamaFailure> {
        Ok(Self::new(plain::Keys::create(&email, &name, entropy()?, wall_ms)?))
    }

    /// Opens a key file made by `seal`, or the `keys.lama` of the `lama` program.
    ///
    /// # Errors
    /// `passphrase_needed`, `locked`, `newer_version`.
    #[uniffi::constructor]
    pub fn open(file: Vec<u8>, passphrase: Option<String>) -> Result<Arc<Self>, LamaFailure> {
        Ok(Self::new(plain::Keys::open(&file, passphrase.as_deref())?))
    }

    /// The bytes of a key file. Without a passphrase whoever reads it has the keys.
    ///
    /// # Errors
    /// `binding.keys-gone`.
    pub fn seal(&self, passphrase: Option<String>) -> Result<Vec<u8>, LamaFailure> {
        self.with(|keys| Ok(keys.seal(passphrase.as_deref(), entropy()?)?))
    }

    /// What may be shown, as JSON.
    ///
    /// # Errors
    /// `binding.keys-gone`.
    pub fn identity(&self) -> Result<String, LamaFailure> {
        self.with(|keys| json(&keys.public()))
    }
}

/// Whether a key file is locked by a passphrase.
///
/// # Errors
/// `locked`, `newer_version`.
#[uniffi::export]
pub fn needs_passphrase(file: Vec<u8>) -> Result<bool, LamaFailure> {
    Ok(plain::Keys::needs_passphrase(&file)?)
}

/// The keys of a further instance of a person, until they are certified.
#[derive(Debug, uniffi::Object)]
pub struct Enrolling(plain::Enrolling);

#[uniffi::export]
impl Enrolling {
    /// Makes them, from the offer of a device with the person's key (command `offerInstance`).
    ///
    /// # Errors
    /// `binding.argument` for what is no offer; what is wrong with the name.
    #[uniffi::constructor]
    pub fn create(offer: String, name: String, wall_ms: u64) -> Result<Arc<Self>, LamaFailure> {
        Ok(Arc::new(Self(plain::Enrolling::new(&offer, &name, entropy()?, wall_ms)?)))
    }

    /// Opens what `seal` gave.
    ///
    /// # Errors
    /// `passphrase_needed`, `locked`, `newer_version`.
    #[uniffi::constructor]
    pub fn open(file: Vec<u8>, passphrase: Option<String>) -> Result<Arc<Self>, LamaFailure> {
        Ok(Arc::new(Self(plain::Enrolling::open(&file, passphrase.as_deref())?)))
    }

    /// What goes to that device (command `certifyInstance`).
    ///
    /// # Errors
    /// None in practice.
    pub fn request(&self) -> Result<String, LamaFailure> {
        Ok(self.0.request()?)
    }

    /// The bytes of a key file that is no instance's yet.
    ///
    /// # Errors
    /// `binding.entropy`.
    pub fn seal(&self, passphrase: Option<String>) -> Result<Vec<u8>, LamaFailure> {
        Ok(self.0.seal(passphrase.as_deref(), entropy()?)?)
    }

    /// The keys of the instance, by the certificate that came back.
    ///
    /// # Errors
    /// `binding.argument` for what is no certificate; what is wrong with it.
    pub fn accept(&self, certificate: String) -> Result<Arc<Keys>, LamaFailure> {
        Ok(Keys::new(self.0.accept(&certificate, entropy()?)?))
    }
}
