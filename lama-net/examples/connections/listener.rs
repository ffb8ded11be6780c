//! What is measured: the listener of a node with its limits as they are shipped and its store on disk, in a process of its
//! own. It takes commands from its standard input, a line each, and answers in lines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lama_core::{Seed, WallTime};
use lama_identity::LocalIdentity;
use lama_invite::{LAMA_BASE, Policy};
use lama_net::{Handle, Listen, Options, Parts, Runtime as _};
use lama_net_tokio::Tokio;
use lama_node::{Command, Reply};
use lama_store::{Opening, Redb, RedbOptions, StorageKey, Store};

/// Between two commands of an application.
const EVERY: Duration = Duration::from_millis(5);

fn parts(dir: &Path) -> Parts {
    let seed = Tokio::new().entropy().unwrap();
    let wall = WallTime::from_unix_seconds(1_700_000_000);
    let email = "listener@lama.test".parse().unwrap();
    let identity = LocalIdentity::create(email, "bench", Seed::danger_fixed([3; 32]), wall).unwrap();
    let engine = Redb::open(&dir.join("store"), RedbOptions::default()).unwrap();
    let (config, key) = (lama_store::Config::default(), StorageKey::danger_fixed([2; 32]));
    let store = Store::open(engine, config, &key, seed, Opening::Normal).unwrap();
    Parts::new(lama_node::Config::default(), identity, store)
}

/// The process itself; ends with its standard input.
pub(crate) fn run(runtime: &str, dir: &Path) {
    let port = std::fs::read_to_string(dir.join("port")).ok().and_then(|port| port.parse().ok());
    let options = Options { listen: port.map_or(Listen::Free, Listen::Port), ..Options::default() };
    let (handle, mut events) = match runtime {
        "tokio" => lama_net_tokio::start(parts(dir), options).unwrap(),
        _ => lama_net_smol::start(parts(dir), options).unwrap(),
    };
    std::thread::spawn(move || while smol::block_on(events.next()).is_some() {});
    let Ok(Reply::Status(status)) = smol::block_on(handle.command(Command::Status)) else {
        panic!("no status")
    };
    let port = status.listening[0].rsplit(':').next().unwrap();
    std::fs::write(dir.join("port"), port).unwrap();
    say(port);
    for line in std::io::stdin().lock().lines().map(Result::unwrap) {
        match line.split_once(' ').unwrap() {
            ("invite", count) => invite(&handle, count.parse().unwrap()),
            ("commands", ms) => commands(&handle, Duration::from_millis(ms.parse().unwrap())),
            other => panic!("{other:?}?"),
        }
    }
    smol::block_on(handle.shutdown()).unwrap();
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn invite(handle: &Handle, count: usize) {
    let runtime = Tokio::new();
    let all = (0..count).map(|_| {
        let (label, seed) = (String::new(), runtime.entropy().unwrap());
        handle.command(Command::Invite { policy: Policy::Auto, lifetime: None, label, seed })
    });
    for reply in smol::block_on(join_all(all)) {
        let Ok(Reply::Invitation { invitation, .. }) = reply else { panic!("no invitation: {reply:?}") };
        say(invitation.to_link(LAMA_BASE).unwrap().as_str());
    }
}

/// For so long: how many microseconds a command takes that needs nothing but the loop.
fn commands(handle: &Handle, time: Duration) {
    let (began, mut all) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let asked = Instant::now();
        smol::block_on(handle.command(Command::Blocked)).unwrap();
        all.push(asked.elapsed().as_micros().to_string());
        std::thread::sleep(EVERY);
    }
    say(&all.join(" "));
}

/// The same as the measuring process sees it.
pub(crate) struct Listener {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
    runtime: String,
    dir: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Listener {
    pub(crate) fn start(runtime: &str) -> Self {
        // On a disk, not in memory.
        let exe = std::env::current_exe().unwrap();
        let dir = tempfile::tempdir_in(exe.parent().and_then(Path::parent).unwrap()).unwrap();
        Self::start_in(runtime, dir)
    }

    fn start_in(runtime: &str, dir: tempfile::TempDir) -> Self {
        let mut child = Program::new(std::env::current_exe().unwrap())
            .args(["child", runtime, dir.path().to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut this = Self { child, stdin, lines, runtime: runtime.to_owned(), dir, port: 0 };
        this.port = this.line().parse().unwrap();
        this
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn command(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// So many invitations, at most 100.
    pub(crate) fn invite(&mut self, count: usize) -> Vec<String> {
        self.command(&format!("invite {count}"));
        (0..count).map(|_| self.line()).collect()
    }

    /// Commands of an application for so long; the answer comes with [`Listener::commands_took`].
    pub(crate) fn begin_commands(&mut self, time: Duration) {
        self.command(&format!("commands {}", time.as_millis()));
    }

    pub(crate) fn commands_took(&mut self) -> Vec<Duration> {
        self.line().split(' ').map(|us| Duration::from_micros(us.parse().unwrap())).collect()
    }

    /// Ends it in good order, and starts it again from what it has on its disk, at the same port.
    pub(crate) fn restart(mut self) -> Self {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
        Self::start_in(&self.runtime, self.dir)
    }

    pub(crate) fn stop(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        resident(self.child.id())
    }

    /// The same twice a second, until `stop` says so.
    pub(crate) fn watch_resident(&self, stop: &Arc<AtomicBool>) -> JoinHandle<Vec<u64>> {
        let (process, stop) = (self.child.id(), Arc::clone(stop));
        std::thread::spawn(move || {
            let mut all = vec![resident(process)];
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(500));
                all.push(resident(process));
            }
            all
        })
    }

    /// Processor time so far in seconds, of all its threads.
    pub(crate) fn processor(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }
}

fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
