//! What only `cargo xtask bench bindings` calls: allocations counted, and sealing with nothing around it.

use lama_measure::{Counting, Records};
use wasm_bindgen::prelude::*;

use crate::platform::new_problem;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this module has asked for memory.
#[wasm_bindgen]
#[must_use]
pub fn allocations() -> f64 {
    lama_measure::allocations() as f64
}

/// Records of the longest kind.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawRecords(Records);

fn thrown(error: impl ToString) -> JsValue {
    new_problem("binding.internal", &error.to_string())
}

#[wasm_bindgen]
impl RawRecords {
    /// So many of them, sealed.
    ///
    /// # Errors
    /// None in practice.
    #[wasm_bindgen(constructor)]
    pub fn new(count: u32) -> Result<RawRecords, JsValue> {
        Records::new(count).map(Self).map_err(thrown)
    }

    /// Seals as many again; bytes of their bodies.
    ///
    /// # Errors
    /// None in practice.
    pub fn seal(&mut self) -> Result<f64, JsValue> {
        self.0.seal().map(|bytes| bytes as f64).map_err(thrown)
    }

    /// Opens them, once; bytes of their bodies.
    ///
    /// # Errors
    /// None in practice.
    pub fn open(&mut self) -> Result<f64, JsValue> {
        self.0.open().map(|bytes| bytes as f64).map_err(thrown)
    }
}
