//! The instance as the host loop of another language drives it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use lama_bindings::{At, Blob, FileEntry, Instance as Plain, Limits, LinkOrigin, Problem};
use lama_store::Redb;
use redb::backends::InMemoryBackend;

use crate::{Keys, LamaFailure, entropy, failure, from_json, from_name, json};

/// An instance. Every call that may do something takes both clocks in milliseconds: the monotonic one, and the time of
/// day since the Unix epoch.
#[derive(Debug, uniffi::Object)]
pub struct Instance(Mutex<Plain<Redb>>);

const fn at(mono_ms: u64, wall_ms: u64) -> At {
    At { mono_ms, wall_ms }
}

impl Instance {
    fn with<T>(&self, call: impl FnOnce(&mut Plain<Redb>) -> T) -> Result<T, LamaFailure> {
        let words = "the instance stopped in the middle of a call; open it again";
        self.0.lock().map(|mut it| call(&mut it)).map_err(|_| failure("binding.crashed", words))
    }

    fn attempt<T>(
        &self,
        call: impl FnOnce(&mut Plain<Redb>) -> Result<T, Problem>,
    ) -> Result<T, LamaFailure> {
        Ok(self.with(call)??)
    }
}

#[uniffi::export]
impl Instance {
    /// Opens the store at this path, or one in memory, and starts; the keys are taken.
    ///
    /// # Errors
    /// `store-locked` while somebody else has the store; what the store or the identity says.
    #[uniffi::constructor]
    pub fn open(
        keys: Arc<Keys>,
        path: Option<String>,
        mono_ms: u64,
        wall_ms: u64,
    ) -> Result<Arc<Self>, LamaFailure> {
        let options = Default::default();
        let engine = match path {
            Some(path) => Redb::open(Path::new(&path), options),
            None => Redb::with_backend(InMemoryBackend::new(), options),
        }
        .map_err(Problem::from)?;
        let instance =
            Plain::open(keys.take()?, engine, &Limits::default(), entropy()?, at(mono_ms, wall_ms))?;
        Ok(Arc::new(Self(Mutex::new(instance))))
    }

    /// Asks for something: a command as JSON; answered by one output `reply` or `failed` with this ticket.
    ///
    /// # Errors
    /// `binding.argument` for what is no command.
    pub fn command(
        &self,
        ticket: u64,
        command: String,
        mono_ms: u64,
        wall_ms: u64,
    ) -> Result<(), LamaFailure> {
        let (command, entropy) = (from_json(&command)?, entropy()?);
        self.attempt(|it| it.command(ticket, command, entropy, at(mono_ms, wall_ms)))
    }

    /// Where the host listens now, best first.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn listening(&self, urls: Vec<String>, mono_ms: u64, wall_ms: u64) -> Result<(), LamaFailure> {
        self.with(|it| it.listening(urls, at(mono_ms, wall_ms)))
    }

    /// The WebSocket of this dial is open. `link` is a number that was never used before. `exporter`: 32 bytes of its TLS
    /// connection (label `EXPORTER-LAMA-relay`), where the platform tells them; a relay that ends TLS itself asks for them.
    ///
    /// # Errors
    /// `binding.crashed`, `binding.entropy`.
    pub fn link_dialled(
        &self,
        link: u64,
        dial: u64,
        exporter: Option<Vec<u8>>,
        mono_ms: u64,
        wall_ms: u64,
    ) -> Result<(), LamaFailure> {
        let (entropy, origin) = (entropy()?, LinkOrigin::dialled(dial, exporter.as_deref()));
        self.with(|it| it.link_up(link, &origin, entropy, at(mono_ms, wall_ms)))
    }

    /// Somebody connected from this address.
    ///
    /// # Errors
    /// `binding.crashed`, `binding.entropy`.
    pub fn link_accepted(
        &self,
        link: u64,
        address: String,
        mono_ms: u64,
        wall_ms: u64,
    ) -> Result<(), LamaFailure> {
        let entropy = entropy()?;
        self.with(|it| it.link_up(link, &LinkOrigin::Accepted(address), entropy, at(mono_ms, wall_ms)))
    }

    /// Nobody was reached: the cause by its name (`refused`, `notFound`, `timeout`...).
    ///
    /// # Errors
    /// `binding.argument` for what is no cause.
    pub fn dial_failed(
        &self,
        dial: u64,
        cause: String,
        mono_ms: u64,
        wall_ms: u64,
    ) -> Result<(), LamaFailure> {
        let cause = from_name(&cause)?;
        self.with(|it| it.dial_failed(dial, cause, at(mono_ms, wall_ms)))
    }

    /// A binary message arrived, whole.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn frame(&self, link: u64, bytes: Vec<u8>, mono_ms: u64, wall_ms: u64) -> Result<(), LamaFailure> {
        self.with(|it| it.frame(link, &bytes, at(mono_ms, wall_ms)))
    }

    /// A WebSocket is gone: the cause by its name (`closed`, `lost`, `violation`, `local`).
    ///
    /// # Errors
    /// `binding.argument` for what is no cause.
    pub fn link_down(&self, link: u64, cause: String, mono_ms: u64, wall_ms: u64) -> Result<(), LamaFailure> {
        let cause = from_name(&cause)?;
        self.with(|it| it.link_down(link, cause, at(mono_ms, wall_ms)))
    }

    /// Time has passed.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn handle_timeout(&self, mono_ms: u64, wall_ms: u64) -> Result<(), LamaFailure> {
        self.with(|it| it.handle_timeout(at(mono_ms, wall_ms)))
    }

    /// The next output as JSON; nothing: there is none.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn poll(&self, mono_ms: u64, wall_ms: u64) -> Result<Option<String>, LamaFailure> {
        self.with(|it| it.poll(at(mono_ms, wall_ms)))?.map(|output| json(&output)).transpose()
    }

    /// A link that may have frames to send.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn next_ready_link(&self) -> Result<Option<u64>, LamaFailure> {
        self.with(Plain::next_ready_link)
    }

    /// The next frame of a link, only while that has room: what was made must be sent.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn poll_frame(&self, link: u64) -> Result<Option<Vec<u8>>, LamaFailure> {
        self.with(|it| it.poll_frame(link))
    }

    /// When `handle_timeout` wants to be called, by the monotonic clock.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn poll_timeout(&self) -> Result<Option<u64>, LamaFailure> {
        self.with(|it| it.poll_timeout())
    }

    /// Whether frames of this link are taken now.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn wants_input(&self, link: u64) -> Result<bool, LamaFailure> {
        self.with(|it| it.wants_input(link))
    }

    /// The longest frame that may come on this link now.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn frame_limit(&self, link: u64) -> Result<u64, LamaFailure> {
        self.with(|it| it.frame_limit(link) as u64)
    }

    /// Begins to take the content of a file.
    ///
    /// # Errors
    /// `binding.too-many-files`.
    pub fn begin_blob(&self) -> Result<u64, LamaFailure> {
        self.attempt(Plain::begin_blob)
    }

    /// Takes more of it.
    ///
    /// # Errors
    /// `binding.no-such-file`; what the store says.
    pub fn push_blob(&self, number: u64, bytes: Vec<u8>) -> Result<(), LamaFailure> {
        self.attempt(|it| it.push_blob(number, &bytes))
    }

    /// All of it was pushed; its id and size as JSON.
    ///
    /// # Errors
    /// `binding.no-such-file`; what the store says.
    pub fn finish_blob(&self, number: u64) -> Result<String, LamaFailure> {
        json(&self.attempt(|it| it.finish_blob(number))?)
    }

    /// It is not wanted any more.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn drop_blob(&self, number: u64) -> Result<(), LamaFailure> {
        self.with(|it| it.drop_blob(number))
    }

    /// A file of this name and content, to be shared by itself; its id and size as JSON.
    ///
    /// # Errors
    /// `blob-name`; what the store says.
    pub fn make_file(
        &self,
        name: String,
        blob: String,
        size: u64,
        executable: bool,
    ) -> Result<String, LamaFailure> {
        json(&self.attempt(|it| it.make_file(&name, &Blob { blob, size }, executable))?)
    }

    /// A folder of this name with these files, an array as JSON; its id and size as JSON.
    ///
    /// # Errors
    /// `blob-name`, `blob-twice`, `blob-too-many-entries`; what the store says.
    pub fn make_folder(&self, name: String, files: String) -> Result<String, LamaFailure> {
        let files: Vec<FileEntry> = from_json(&files)?;
        json(&self.attempt(|it| it.make_folder(&name, &files))?)
    }

    /// What is in a shared file or folder, as JSON.
    ///
    /// # Errors
    /// `blob-missing` while a part is not here.
    pub fn tree(&self, root: String) -> Result<String, LamaFailure> {
        json(&self.attempt(|it| it.tree(&root))?)
    }

    /// Bytes of a file's content, at most 16 MiB.
    ///
    /// # Errors
    /// `blob-missing` while a part is not here.
    pub fn read(&self, blob: String, start: u64, length: u64) -> Result<Vec<u8>, LamaFailure> {
        self.attempt(|it| it.read(&blob, start, length))
    }
}
