//! Real processes: starting `lama`, reading its JSON, ending it.
#![allow(dead_code, unreachable_pub)] // Each test file uses a part of it.

pub mod netns;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The certificate authorities that the system trusts, for instances beside this file.
pub const ROOTS: &str = "roots.pem";

/// A place for data directories, gone at the end of the test.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// An instance of this name, not made yet.
    pub fn instance(&self, name: &str) -> Instance {
        Instance { dir: self.0.path().join(name), runtime: "tokio", host: None }
    }

    /// An instance of this person without a passphrase.
    pub fn person(&self, email: &str, runtime: &'static str) -> Instance {
        let instance = Instance { dir: self.0.path().join(email), runtime, host: None };
        instance.json(&["init", email, "--no-passphrase"]);
        instance
    }
}

/// A data directory and the runtime to use it with.
#[derive(Clone)]
pub struct Instance {
    pub dir: PathBuf,
    pub runtime: &'static str,
    /// The network namespace in which it runs, if that is another one.
    pub host: Option<String>,
}

impl Instance {
    /// The command, with nothing of this machine's environment that could change what it does.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match &self.host {
            None => Command::new(env!("CARGO_BIN_EXE_lama")),
            Some(host) => netns::command_in(host, env!("CARGO_BIN_EXE_lama")),
        };
        for name in [
            "LAMA_DATA",
            "LAMA_PASSPHRASE",
            "LAMA_NEW_PASSPHRASE",
            "LAMA_INVITATION",
            "LAMA_NO_QR",
            "LAMA_PORT",
            "https_proxy",
            "HTTPS_PROXY",
            "http_proxy",
            "HTTP_PROXY",
            "all_proxy",
            "ALL_PROXY",
        ] {
            command.env_remove(name);
        }
        // A test that makes certificates leaves its roots there.
        let roots = self.dir.with_file_name(ROOTS);
        if roots.exists() {
            command.env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR");
        }
        command
            .arg("--data")
            .arg(&self.dir)
            .args(["--runtime", self.runtime])
            .args(args)
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The answer of a command that must work.
    pub fn json(&self, args: &[&str]) -> Value {
        json(&mut self.command(args))
    }

    /// Exit code and error of a command that must not.
    pub fn failure(&self, args: &[&str]) -> (i32, Value) {
        failure(&mut self.command(args))
    }

    /// Starts `lama run` on any free port and waits until it says where.
    pub fn start(&self) -> Running {
        self.start_with(&["--port", "0"])
    }

    pub fn start_with(&self, args: &[&str]) -> Running {
        self.serve(&[&["run"], args].concat())
    }

    /// Starts a relay on any free port and waits until it says where; needs no instance.
    pub fn start_relay(&self, args: &[&str]) -> Running {
        self.serve(&[&["relay", "run"], args].concat())
    }

    fn serve(&self, args: &[&str]) -> Running {
        let mut child = self
            .command(&["--json"])
            .args(args)
            .arg("--while-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        let mut running = Running { child, lines, status: Value::Null };
        running.status = running.line();
        assert_eq!(running.status["running"], true, "{}", running.status);
        running
    }
}

/// A port that nobody listens on.
pub fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// A running instance; killed if the test fails.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    pub status: Value,
}

impl Running {
    /// The next line of its JSON.
    pub fn line(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("it says something");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Waits for an event of this type.
    pub fn event(&self, kind: &str) -> Value {
        loop {
            let line = self.line();
            if line["event"]["type"] == kind {
                return line["event"].clone();
            }
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> String {
        self.url().rsplit_once(':').unwrap().1.to_owned()
    }

    pub fn url(&self) -> String {
        self.status["urls"][0].as_str().unwrap().to_owned()
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it politely.
    pub fn stop(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Ends it as a power failure would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last JSON line of a command that must work.
pub fn json(command: &mut Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{error}");
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Exit code and error of a command that must not work.
pub fn failure(command: &mut Command) -> (i32, Value) {
    let output = command.arg("--json").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_default();
    (output.status.code().unwrap(), last["error"].clone())
}

/// Runs a command with something on standard input.
pub fn with_input(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Asks again and again until it is so.
#[allow(clippy::disallowed_methods)]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Makes two instances contacts of each other; both keep running.
pub fn paired(a: &Instance, b: &Instance) -> (Running, Running) {
    let (first, second) = (a.start(), b.start());
    let link = a.json(&["invite"])["link"].as_str().unwrap().to_owned();
    let contact = json(b.command(&["join"]).env("LAMA_INVITATION", &link));
    assert_eq!(contact["state"], "active", "{contact}");
    until("both are contacts", || a.json(&["contacts"])["contacts"][0]["state"] == "active");
    (first, second)
}
