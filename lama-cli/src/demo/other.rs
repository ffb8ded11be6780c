//! The other process of the demo: `lama run`, asked at its control socket.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use lama_host::control::{Client, Line};
use lama_host::{DataDir, HostError};
use serde::de::DeserializeOwned;

use crate::api::{Request, Status};
use crate::args::RuntimeName;
use crate::failure::{Exit, Failure};

/// How long it may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// A running `lama run` that ends with us.
pub(super) struct Other {
    child: Child,
    /// Open as long as it shall run.
    stdin: Option<ChildStdin>,
    client: Client,
    pub(super) urls: Vec<String>,
}

impl Other {
    pub(super) fn spawn(data: &Path, runtime: RuntimeName, port: u16) -> Result<Self, Failure> {
        let program =
            std::env::current_exe().map_err(|error| HostError::io("find", Path::new("lama"), &error))?;
        let mut child = Command::new(&program)
            .arg("--data")
            .arg(data)
            .args([
                "--runtime",
                runtime.as_str(),
                "--json",
                "run",
                "--while-stdin",
                "--port",
                &port.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal is meant for this process, which ends the other in good order.
            .process_group(0)
            .spawn()
            .map_err(|error| HostError::io("start", &program, &error))?;
        let stdin = child.stdin.take();
        let mut lines = BufReader::new(child.stdout.take().ok_or_else(silent)?);
        let mut first = String::new();
        lines.read_line(&mut first).map_err(|error| HostError::io("read from", &program, &error))?;
        let status: Status = match serde_json::from_str(&first) {
            Ok(status) => status,
            Err(_) => {
                let _ = child.kill();
                return Err(refused(&first, data.to_path_buf()));
            }
        };
        // Its events are read to the end, so that its pipe never fills.
        std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
        let client = Client::connect(&DataDir::open(data)?).ok_or_else(silent)?;
        Ok(Self { child, stdin, client, urls: status.urls })
    }

    pub(super) fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        let request = serde_json::to_value(request).map_err(|error| HostError::Control(error.to_string()))?;
        self.client.send(&request)?;
        loop {
            match self.client.next_line()? {
                Line::Event(_) => {}
                Line::Ok(value) => {
                    return serde_json::from_value(value)
                        .map_err(|error| HostError::Control(error.to_string()).into());
                }
                Line::Error(value) => {
                    let failure = serde_json::from_value(value);
                    return Err(failure.unwrap_or_else(|error| HostError::Control(error.to_string()).into()));
                }
            }
        }
    }

    /// An error once it has ended.
    pub(super) fn is_alive(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(Failure::new(
                Exit::Failed,
                "other_ended",
                "the other process has ended; start the demo again",
            )),
        }
    }

    /// Lets it end: closes its standard input, waits, and kills it only if it hangs.
    pub(super) fn end(mut self) {
        drop(self.stdin.take());
        for _ in 0..GRACE.as_millis() / 50 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn silent() -> Failure {
    Failure::new(Exit::Failed, "other_silent", "the other process did not answer; start the demo again")
}

/// What the other process said instead of its status: its own failure, as JSON.
fn refused(line: &str, data: PathBuf) -> Failure {
    let error = serde_json::from_str::<serde_json::Value>(line).ok();
    let message = error.as_ref().and_then(|value| value.get("error")?.get("message")?.as_str());
    let message = message.unwrap_or("it ended without a word").to_owned();
    Failure::new(
        Exit::Failed,
        "other_failed",
        format!("the instance in {} did not start: {message}", data.display()),
    )
}
