//! The store's bytes, where the host keeps them: an open file of the origin-private file system, or of a disk.
//!
//! The host registers what has the shape of the browser's `FileSystemSyncAccessHandle` and gets a number; the store
//! names it by that number alone, so nothing of JavaScript lives in the store.

use std::io::{self, ErrorKind};

use lama_bindings::Problem;
use lama_store::{Redb, RedbOptions};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

// The macro writes the glue with `unsafe` blocks: the border to JavaScript has no other.
#[allow(unsafe_code)]
mod host {
    use wasm_bindgen::prelude::*;

    #[wasm_bindgen(raw_module = "./platform.js")]
    extern "C" {
        #[wasm_bindgen(catch, js_name = storageSize)]
        pub(super) fn size(file: u32) -> Result<f64, JsValue>;
        #[wasm_bindgen(catch, js_name = storageRead)]
        pub(super) fn read(file: u32, offset: f64, into: &mut [u8]) -> Result<u32, JsValue>;
        #[wasm_bindgen(catch, js_name = storageWrite)]
        pub(super) fn write(file: u32, offset: f64, bytes: &[u8]) -> Result<u32, JsValue>;
        #[wasm_bindgen(catch, js_name = storageTruncate)]
        pub(super) fn truncate(file: u32, size: f64) -> Result<(), JsValue>;
        #[wasm_bindgen(catch, js_name = storageFlush)]
        pub(super) fn flush(file: u32) -> Result<(), JsValue>;
    }
}

/// Pages kept in memory.
const CACHE: usize = 16 << 20;

/// A store in memory: gone with the instance.
///
/// # Errors
/// None in practice.
pub fn in_memory() -> Result<Redb, Problem> {
    Ok(Redb::with_backend(InMemoryBackend::new(), RedbOptions { cache_bytes: CACHE })?)
}

/// A store in the file that the host registered under this number. The host closes it, when the instance has ended.
///
/// # Errors
/// What the store says of it.
pub fn in_file(file: u32) -> Result<Redb, Problem> {
    Ok(Redb::with_backends(move || Backend { file }, RedbOptions { cache_bytes: CACHE })?)
}

#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) file: u32,
}

/// What the host threw: text, which begins with `full` where there is no room left.
fn thrown(error: &wasm_bindgen::JsValue) -> io::Error {
    let text = error.as_string().unwrap_or_else(|| "the storage failed without a word".to_owned());
    let kind = if text.starts_with("full") { ErrorKind::StorageFull } else { ErrorKind::Other };
    io::Error::new(kind, text)
}

/// Each call moves everything or it failed.
fn whole(moved: u32, wanted: usize, doing: &str) -> Result<(), io::Error> {
    if moved as usize == wanted {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::UnexpectedEof, format!("{doing} {moved} of {wanted} bytes")))
}

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        host::size(self.file).map(|size| size as u64).map_err(|error| thrown(&error))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let moved = host::read(self.file, offset as f64, out).map_err(|error| thrown(&error))?;
        whole(moved, out.len(), "read")
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        host::truncate(self.file, len as f64).map_err(|error| thrown(&error))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        host::flush(self.file).map_err(|error| thrown(&error))
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let moved = host::write(self.file, offset as f64, data).map_err(|error| thrown(&error))?;
        whole(moved, data.len(), "wrote")
    }
}
