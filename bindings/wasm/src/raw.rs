//! The instance as JavaScript's host loop drives it.

use lama_bindings::{At, Blob, FileEntry, Instance, Limits, LinkCause, LinkOrigin};
use lama_store::Redb;
use wasm_bindgen::prelude::*;

use crate::keys::RawKeys;
use crate::{entropy, from_json, json, storage, thrown};

/// An instance. Every call takes both clocks: milliseconds of `performance.now()` and of `Date.now()`.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawInstance(Instance<Redb>);

fn at(mono: f64, wall: f64) -> At {
    At { mono_ms: mono as u64, wall_ms: wall as u64 }
}

#[wasm_bindgen]
impl RawInstance {
    /// Opens the store in a registered file, or in memory, and starts; the keys are taken.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn open(keys: RawKeys, file: Option<u32>, mono: f64, wall: f64) -> Result<RawInstance, JsValue> {
        let engine = file.map_or_else(storage::in_memory, storage::in_file).map_err(thrown)?;
        Instance::open(keys.0, engine, &Limits::default(), entropy(), at(mono, wall))
            .map(Self)
            .map_err(thrown)
    }

    /// Asks for something: a command as JSON.
    ///
    /// # Errors
    /// An `Error` with a code, for what is no command.
    pub fn command(&mut self, ticket: u32, command: &str, mono: f64, wall: f64) -> Result<(), JsValue> {
        let command = from_json(command)?;
        self.0.command(ticket.into(), command, entropy(), at(mono, wall)).map_err(thrown)
    }

    /// Where the host listens now: an array of URLs.
    pub fn listening(&mut self, urls: Vec<String>, mono: f64, wall: f64) {
        self.0.listening(urls, at(mono, wall));
    }

    /// A WebSocket that was dialled is open; `exporter`: of its TLS connection, where the platform tells it.
    #[wasm_bindgen(js_name = linkDialled)]
    pub fn link_dialled(&mut self, link: u32, dial: f64, exporter: Option<Vec<u8>>, mono: f64, wall: f64) {
        let origin = LinkOrigin::dialled(dial as u64, exporter.as_deref());
        self.0.link_up(link.into(), &origin, entropy(), at(mono, wall));
    }

    /// Somebody connected from this address.
    #[wasm_bindgen(js_name = linkAccepted)]
    pub fn link_accepted(&mut self, link: u32, address: String, mono: f64, wall: f64) {
        self.0.link_up(link.into(), &LinkOrigin::Accepted(address), entropy(), at(mono, wall));
    }

    /// Nobody was reached: the cause by its name.
    ///
    /// # Errors
    /// An `Error` with a code, for what is no cause.
    #[wasm_bindgen(js_name = dialFailed)]
    pub fn dial_failed(&mut self, dial: f64, cause: &str, mono: f64, wall: f64) -> Result<(), JsValue> {
        self.0.dial_failed(dial as u64, from_json(&format!("\"{cause}\""))?, at(mono, wall));
        Ok(())
    }

    /// A binary message arrived.
    pub fn frame(&mut self, link: u32, bytes: &[u8], mono: f64, wall: f64) {
        self.0.frame(link.into(), bytes, at(mono, wall));
    }

    /// A WebSocket is gone: the cause by its name.
    ///
    /// # Errors
    /// An `Error` with a code, for what is no cause.
    #[wasm_bindgen(js_name = linkDown)]
    pub fn link_down(&mut self, link: u32, cause: &str, mono: f64, wall: f64) -> Result<(), JsValue> {
        let cause: LinkCause = from_json(&format!("\"{cause}\""))?;
        self.0.link_down(link.into(), cause, at(mono, wall));
        Ok(())
    }

    /// Time has passed.
    #[wasm_bindgen(js_name = handleTimeout)]
    pub fn handle_timeout(&mut self, mono: f64, wall: f64) {
        self.0.handle_timeout(at(mono, wall));
    }

    /// The next output as JSON; `undefined`: there is none.
    ///
    /// # Errors
    /// An `Error` with a code; none in practice.
    pub fn poll(&mut self, mono: f64, wall: f64) -> Result<Option<String>, JsValue> {
        self.0.poll(at(mono, wall)).map(|output| json(&output)).transpose()
    }

    /// A link that may have frames to send.
    #[wasm_bindgen(js_name = nextReadyLink)]
    pub fn next_ready_link(&mut self) -> Option<u32> {
        self.0.next_ready_link().map(|link| link as u32)
    }

    /// The next frame of a link, while it has room.
    #[wasm_bindgen(js_name = pollFrame)]
    pub fn poll_frame(&mut self, link: u32) -> Option<Vec<u8>> {
        self.0.poll_frame(link.into())
    }

    /// When `handleTimeout` wants to be called.
    #[wasm_bindgen(js_name = pollTimeout)]
    pub fn poll_timeout(&self) -> Option<f64> {
        self.0.poll_timeout().map(|due| due as f64)
    }

    /// Whether frames of this link are taken now.
    #[wasm_bindgen(js_name = wantsInput)]
    pub fn wants_input(&self, link: u32) -> bool {
        self.0.wants_input(link.into())
    }

    /// The longest frame that may come on this link now.
    #[wasm_bindgen(js_name = frameLimit)]
    pub fn frame_limit(&self, link: u32) -> u32 {
        self.0.frame_limit(link.into()) as u32
    }

    /// Begins to take the content of a file.
    ///
    /// # Errors
    /// An `Error` with a code.
    #[wasm_bindgen(js_name = beginBlob)]
    pub fn begin_blob(&mut self) -> Result<u32, JsValue> {
        self.0.begin_blob().map(|number| number as u32).map_err(thrown)
    }

    /// Takes more of it.
    ///
    /// # Errors
    /// An `Error` with a code.
    #[wasm_bindgen(js_name = pushBlob)]
    pub fn push_blob(&mut self, number: u32, bytes: &[u8]) -> Result<(), JsValue> {
        self.0.push_blob(number.into(), bytes).map_err(thrown)
    }

    /// All of it was pushed; a `Blob` as JSON.
    ///
    /// # Errors
    /// An `Error` with a code.
    #[wasm_bindgen(js_name = finishBlob)]
    pub fn finish_blob(&mut self, number: u32) -> Result<String, JsValue> {
        json(&self.0.finish_blob(number.into()).map_err(thrown)?)
    }

    /// It is not wanted any more.
    #[wasm_bindgen(js_name = dropBlob)]
    pub fn drop_blob(&mut self, number: u32) {
        self.0.drop_blob(number.into());
    }

    /// A file of this name and content, to be shared by itself; a `Made` as JSON.
    ///
    /// # Errors
    /// An `Error` with a code.
    #[wasm_bindgen(js_name = makeFile)]
    pub fn make_file(
        &mut self,
        name: &str,
        blob: &str,
        size: f64,
        executable: bool,
    ) -> Result<String, JsValue> {
        let blob = Blob { blob: blob.to_owned(), size: size as u64 };
        json(&self.0.make_file(name, &blob, executable).map_err(thrown)?)
    }

    /// A folder of this name with these files (an array of `FileEntry` as JSON); a `Made` as JSON.
    ///
    /// # Errors
    /// An `Error` with a code.
    #[wasm_bindgen(js_name = makeFolder)]
    pub fn make_folder(&mut self, name: &str, files: &str) -> Result<String, JsValue> {
        let files: Vec<FileEntry> = from_json(files)?;
        json(&self.0.make_folder(name, &files).map_err(thrown)?)
    }

    /// What is in a shared file or folder; a `Tree` as JSON.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn tree(&mut self, root: &str) -> Result<String, JsValue> {
        json(&self.0.tree(root).map_err(thrown)?)
    }

    /// Bytes of a file's content.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn read(&mut self, blob: &str, start: f64, length: f64) -> Result<Vec<u8>, JsValue> {
        self.0.read(blob, start as u64, length as u64).map_err(thrown)
    }
}
