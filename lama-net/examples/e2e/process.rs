//! A child as the measuring process sees it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest wait for one line.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a child used since it was asked last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) peak_mb: u64,
    pub(crate) cpu: f64,
}

/// When both held the same, how many objects that were, and the fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) at: u64,
    pub(crate) count: u64,
}

pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    pub(crate) synced: Option<Synced>,
}

impl Process {
    pub(crate) fn node(runtime: &str, dir: &Path) -> Self {
        let mut this = Self::start(&["child", runtime, dir.to_str().unwrap()]);
        this.answer("ready");
        this
    }

    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let (put, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(said) = line.strip_prefix("> ")
                    && put.send(said.to_owned()).is_err()
                {
                    break;
                }
            }
        });
        Self { child, stdin, lines, synced: None }
    }

    /// Says a command, and does not wait.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Says a command and waits for its answer.
    pub(crate) fn ask(&mut self, line: &str, word: &str) -> String {
        self.say(line);
        self.answer(word)
    }

    /// The rest of the next line that begins with `word`.
    pub(crate) fn answer(&mut self, word: &str) -> String {
        loop {
            let (said, rest) = self.line();
            if said == word {
                return rest;
            }
        }
    }

    fn line(&mut self) -> (String, String) {
        let line = self.lines.recv_timeout(PATIENCE).expect("the child answers");
        let (said, rest) = line.split_once(' ').unwrap_or((&line, ""));
        if said == "synced" {
            let (at, count) = rest.split_once(' ').unwrap();
            self.synced = Some(Synced { at: at.parse().unwrap(), count: count.parse().unwrap() });
        }
        (said.to_owned(), rest.to_owned())
    }

    /// Waits until both ends hold the same, and at least so many objects.
    pub(crate) fn wait_synced(&mut self, count: u64) -> Synced {
        loop {
            if let Some(synced) = self.synced.clone().filter(|synced| synced.count >= count) {
                return synced;
            }
            self.line();
        }
    }

    pub(crate) fn used(&mut self) -> Used {
        let rest = self.ask("used", "used");
        let (peak, cpu) = rest.split_once(' ').unwrap();
        Used { peak_mb: peak.parse().unwrap(), cpu: cpu.parse().unwrap() }
    }

    /// Ends in good order.
    pub(crate) fn stop(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}
