//! A child as the test sees it: commands in, lines out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;

use lama_identity::Cid;

use crate::work::Work;
use crate::{PATIENCE, child};

pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    /// Shares that are not answered yet.
    sharing: usize,
    /// Count and fingerprint when the child was last in sync.
    synced: Option<String>,
}

impl Process {
    pub(crate) fn start(dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::child", "--nocapture"])
            .env(child::CHILD, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let (put, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            // The test harness writes lines, too.
            for line in out.lines().map_while(Result::ok) {
                if let Some((_, said)) = line.split_once("> ")
                    && put.send(said.to_owned()).is_err()
                {
                    break;
                }
            }
        });
        let mut this = Self { child, stdin, lines, sharing: 0, synced: None };
        this.answer("ready");
        this
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The answer that begins with `word`; takes note of the lines before it.
    fn answer(&mut self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {word}"));
            let (said, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match said {
                "synced" => self.synced = Some(rest.to_owned()).filter(|rest| !rest.is_empty()),
                "shared" if word != "shared" => self.sharing -= 1,
                said if said == word => return rest.to_owned(),
                said => panic!("{said} in place of {word}"),
            }
        }
    }

    pub(crate) fn invite(&mut self) -> String {
        self.say("invite");
        self.answer("link")
    }

    pub(crate) fn join(&mut self, link: &str) {
        self.say(&format!("join {link}"));
        self.answer("joined");
    }

    /// Begins to share; does not wait.
    pub(crate) fn share(&mut self, work: Work) {
        self.sharing += 1;
        self.say(&format!("share {}", work.seed));
    }

    /// Waits until everything is shared.
    pub(crate) fn shared(&mut self) {
        while self.sharing > 0 {
            self.answer("shared");
            self.sharing -= 1;
        }
    }

    pub(crate) fn has(&mut self, id: &Cid) -> bool {
        self.say(&format!("has {id}"));
        self.answer("has") == "true"
    }

    pub(crate) fn check(&mut self) {
        self.say("check");
        self.answer("checked");
    }

    pub(crate) fn synced(&self) -> Option<&String> {
        self.synced.as_ref()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends in good order.
    pub(crate) fn stop(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}
