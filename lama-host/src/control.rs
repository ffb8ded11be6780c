//! The control socket: how other commands speak with the process that holds the data directory.
//!
//! A Unix socket that only the owner can reach (0600 in a 0700 directory). One JSON object a line. The other side sends
//! one request; the answer is any number of `{"event": ...}` lines, then one `{"ok": ...}` or `{"error": ...}` line,
//! and the next request may follow. What a request means is the program's business, not this module's.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::{DataDir, HostError};

/// The longest line either side takes.
const MAX_LINE: u64 = 16 * 1024 * 1024;
/// The most commands that are served at once.
const MAX_CLIENTS: usize = 32;
/// What a socket's path may have on every Unix.
const MAX_PATH: usize = 100;

/// What serves requests; called from one thread for each client.
pub trait Handler: Send + Sync + 'static {
    /// Answers `request`; `emit` sends an event in between and says `false` when the other side is gone.
    ///
    /// # Errors
    /// What is sent as `{"error": ...}`.
    fn handle(&self, request: Value, emit: &mut dyn FnMut(Value) -> bool) -> Result<Value, Value>;
}

/// A listening control socket; removed when dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    dir: DataDir,
}

impl Server {
    /// Listens in `dir`. The caller holds the directory's lock, so a socket that lies there is a dead one.
    ///
    /// # Errors
    /// [`HostError::Io`].
    pub fn start(dir: &DataDir, handler: Arc<dyn Handler>) -> Result<Self, HostError> {
        let path = dir.control();
        let _ = fs::remove_file(&path);
        let fail = |error: std::io::Error| HostError::io("listen at", &path, &error);
        let listener = with_short(dir, |short| UnixListener::bind(short)).map_err(fail)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(fail)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || accept(&listener, &handler, &stopped))
            .map_err(|error| HostError::io("serve", &path, &error))?;
        Ok(Self { path, stop, dir: dir.clone() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = with_short(&self.dir, |short| UnixStream::connect(short)); // wakes the accepting thread
        let _ = fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, handler: &Arc<dyn Handler>, stop: &AtomicBool) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if clients.load(Ordering::SeqCst) >= MAX_CLIENTS {
            continue; // refused: the other side sees the end
        }
        clients.fetch_add(1, Ordering::SeqCst);
        let (handler, count) = (Arc::clone(handler), Arc::clone(&clients));
        let served = thread::Builder::new().name("control client".to_owned()).spawn(move || {
            serve(&stream, handler.as_ref());
            count.fetch_sub(1, Ordering::SeqCst);
        });
        if served.is_err() {
            clients.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn serve(stream: &UnixStream, handler: &dyn Handler) {
    let mut lines = BufReader::new(stream);
    while let Ok(Some(request)) = read_line(&mut lines) {
        let mut emit = |event: Value| write_line(stream, &json!({ "event": event })).is_ok();
        let answer = match handler.handle(request, &mut emit) {
            Ok(value) => json!({ "ok": value }),
            Err(value) => json!({ "error": value }),
        };
        if write_line(stream, &answer).is_err() {
            return;
        }
    }
}

/// A connection to the process that holds the data directory.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Something happened; more lines follow.
    Event(Value),
    /// The end: it was done.
    Ok(Value),
    /// The end: it was refused.
    Error(Value),
}

impl Client {
    /// Connects, or `None` if no process serves this directory.
    #[must_use]
    pub fn connect(dir: &DataDir) -> Option<Self> {
        let stream = with_short(dir, |short| UnixStream::connect(short)).ok()?;
        Some(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request; then read with [`Client::next_line`] until the end.
    ///
    /// # Errors
    /// [`HostError::Control`].
    pub fn send(&mut self, request: &Value) -> Result<(), HostError> {
        write_line(self.stream.get_ref(), request).map_err(|error| HostError::Control(error.to_string()))
    }

    /// The next line of the answer.
    ///
    /// # Errors
    /// [`HostError::Control`] when the other side ends or sends something else.
    pub fn next_line(&mut self) -> Result<Line, HostError> {
        let line = read_line(&mut self.stream).map_err(|error| HostError::Control(error.to_string()))?;
        let Some(Value::Object(mut line)) = line else {
            return Err(HostError::Control("it ended in the middle of the answer".to_owned()));
        };
        if let Some(value) = line.remove("event") {
            return Ok(Line::Event(value));
        }
        match (line.remove("ok"), line.remove("error")) {
            (Some(value), None) => Ok(Line::Ok(value)),
            (None, Some(value)) => Ok(Line::Error(value)),
            _ => Err(HostError::Control("it sent a line that is no answer".to_owned())),
        }
    }
}

fn read_line(from: &mut impl BufRead) -> std::io::Result<Option<Value>> {
    let mut line = String::new();
    if from.take(MAX_LINE).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}

fn write_line(mut to: &UnixStream, value: &Value) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Calls `with` with a path of the socket that is short enough for the system's address structure.
fn with_short<T>(dir: &DataDir, with: impl FnOnce(&Path) -> std::io::Result<T>) -> std::io::Result<T> {
    let path = dir.control();
    if path.as_os_str().len() <= MAX_PATH || !cfg!(target_os = "linux") {
        return with(&path);
    }
    use std::os::fd::AsRawFd;
    let open = File::open(dir.path())?;
    let name = path.file_name().unwrap_or_default();
    with(&Path::new("/proc/self/fd").join(open.as_raw_fd().to_string()).join(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    struct Echo;

    impl Handler for Echo {
        fn handle(&self, request: Value, emit: &mut dyn FnMut(Value) -> bool) -> Result<Value, Value> {
            if request["fail"] == true {
                return Err(json!({ "code": "no" }));
            }
            emit(json!("working"));
            Ok(request)
        }
    }

    fn round_trip(name: &str) {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&temp.path().join(name)).unwrap();
        assert!(Client::connect(&dir).is_none());
        let server = Server::start(&dir, Arc::new(Echo)).unwrap();
        assert_eq!(fs::metadata(dir.control()).unwrap().mode() & 0o777, 0o600);
        let mut client = Client::connect(&dir).unwrap();
        for number in 0..3 {
            client.send(&json!({ "number": number })).unwrap();
            assert_eq!(client.next_line().unwrap(), Line::Event(json!("working")));
            assert_eq!(client.next_line().unwrap(), Line::Ok(json!({ "number": number })));
        }
        client.send(&json!({ "fail": true })).unwrap();
        assert_eq!(client.next_line().unwrap(), Line::Error(json!({ "code": "no" })));
        drop(server);
        assert!(!dir.control().exists());
        assert!(Client::connect(&dir).is_none());
    }

    #[test]
    fn requests_are_answered_in_order_with_events_in_between() {
        round_trip("data");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_path_longer_than_a_socket_address_works() {
        round_trip(&"long".repeat(50));
    }

    #[test]
    fn a_line_that_is_no_json_ends_the_connection_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&temp.path().join("data")).unwrap();
        let _server = Server::start(&dir, Arc::new(Echo)).unwrap();
        let mut bad = Client::connect(&dir).unwrap();
        bad.stream.get_mut().write_all(b"nonsense\n").unwrap();
        assert!(bad.next_line().is_err());
        let mut good = Client::connect(&dir).unwrap();
        good.send(&json!({})).unwrap();
        assert_eq!(good.next_line().unwrap(), Line::Event(json!("working")));
    }
}
