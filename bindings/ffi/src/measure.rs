//! What only `cargo xtask bench bindings` calls: allocations counted, and sealing with nothing around it.

use std::sync::{Arc, Mutex};

use lama_measure::Counting;

use crate::{LamaFailure, failure};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this library has asked for memory.
#[uniffi::export]
#[must_use]
pub fn allocations() -> u64 {
    lama_measure::allocations()
}

/// Records of the longest kind.
#[derive(Debug, uniffi::Object)]
pub struct Records(Mutex<lama_measure::Records>);

impl Records {
    fn with<E: ToString>(
        &self,
        call: impl FnOnce(&mut lama_measure::Records) -> Result<u64, E>,
    ) -> Result<u64, LamaFailure> {
        let mut records =
            self.0.lock().map_err(|_| failure("binding.crashed", "sealing stopped half-way"))?;
        call(&mut records).map_err(|error| failure("binding.internal", error.to_string()))
    }
}

#[uniffi::export]
impl Records {
    /// So many of them, sealed.
    ///
    /// # Errors
    /// None in practice.
    #[uniffi::constructor]
    pub fn new(count: u32) -> Result<Arc<Self>, LamaFailure> {
        let records = lama_measure::Records::new(count);
        let records = records.map_err(|error| failure("binding.internal", error.to_string()))?;
        Ok(Arc::new(Self(Mutex::new(records))))
    }

    /// Seals as many again; bytes of their bodies.
    ///
    /// # Errors
    /// None in practice.
    pub fn seal(&self) -> Result<u64, LamaFailure> {
        self.with(lama_measure::Records::seal)
    }

    /// Opens them, once; bytes of their bodies.
    ///
    /// # Errors
    /// None in practice.
    pub fn open(&self) -> Result<u64, LamaFailure> {
        self.with(lama_measure::Records::open)
    }
}
