//! `cargo xtask autobahn`: the WebSockets of both adapters, as server and as client, under the Autobahn test suite; writes
//! `docs/autobahn.md`. The suite is for Python 2.7; it is installed below `target/autobahn`, with all that it needs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bindings::text;
use crate::run::{self, Failure};

const SUITE: &str = "autobahntestsuite==25.10.1";
/// The last releases of it that make an environment for Python 2.
const VIRTUALENV: &str = "virtualenv<20.22";
/// Where several Pythons are kept by pyenv, the one that is meant; no other tool looks at it.
const PYENV: (&str, &str) = ("PYENV_VERSION", "2.7.18");
const RUNTIMES: [&str; 2] = ["tokio", "smol"];
/// Compression is off in both adapters, so sections 12 and 13 do not apply.
const LEFT_OUT: [&str; 2] = ["12.*", "13.*"];
/// How long the suite's server may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

const SECTIONS: [(&str, &str); 9] = [
    ("1", "framing"),
    ("2", "pings and pongs"),
    ("3", "reserved bits"),
    ("4", "opcodes"),
    ("5", "fragmentation"),
    ("6", "UTF-8"),
    ("7", "closing handshake"),
    ("9", "limits and performance"),
    ("10", "fragments sent at once"),
];

/// By runtime: what became of each case.
type Results = BTreeMap<String, BTreeMap<String, Case>>;

/// How a case ended: what was said, and how the connection was closed.
#[derive(Clone, PartialEq, Eq)]
struct Case {
    said: String,
    closed: String,
}

impl Case {
    fn is(&self, word: &str) -> bool {
        self.said == word || self.closed == word
    }

    fn failed(&self) -> bool {
        let sound = |word: &str| matches!(word, "OK" | "INFORMATIONAL" | "NON-STRICT");
        !(sound(&self.said) && sound(&self.closed))
    }
}

/// A program that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs everything and writes the table.
pub(crate) fn run() -> Result<(), Failure> {
    let dir = run::target_dir().join("autobahn");
    let suite = suite(&dir)?;
    run::cargo(&["build", "--quiet", "--locked", "--package", "lama-net", "--example", "autobahn"])?;
    let echo = run::target_dir().join("debug/examples/autobahn");
    let servers = servers(&suite, &echo, &dir)?;
    let clients = clients(&suite, &echo, &dir)?;
    let path = run::root().join("docs/autobahn.md");
    fs::write(&path, table(&servers, &clients))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    println!("written: docs/autobahn.md");
    let failed: Vec<String> = [("server", &servers), ("client", &clients)]
        .into_iter()
        .flat_map(|(role, of)| failures(role, of))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("cases failed: {}", failed.join(", "))) }
}

/// The program `wstest`, installed if it is not there yet.
fn suite(dir: &Path) -> Result<PathBuf, Failure> {
    let (tools, venv) = (dir.join("tools"), dir.join("venv"));
    let suite = venv.join("bin/wstest");
    if suite.exists() {
        return Ok(suite);
    }
    run::run_with(&[PYENV], "python2.7", &["--version"]).map_err(|failure| {
        format!("{failure}; the suite is for Python 2.7 only: install one, such as 2.7.18 by pyenv")
    })?;
    let pip = ["-m", "pip", "install", "--quiet", "--target", text(&tools)?, VIRTUALENV];
    run::run_with(&[PYENV], "python2.7", &pip)?;
    let with_tools = [PYENV, ("PYTHONPATH", text(&tools)?)];
    run::run_with(&with_tools, "python2.7", &["-m", "virtualenv", "--quiet", text(&venv)?])?;
    run::run(text(&venv.join("bin/pip"))?, &["install", "--quiet", SUITE])?;
    Ok(suite)
}

/// The suite's client against our servers.
fn servers(suite: &Path, echo: &Path, dir: &Path) -> Result<Results, Failure> {
    let mut running = Vec::new();
    let mut list = Vec::new();
    for runtime in RUNTIMES {
        // It ends with its standard input, so also if we are killed.
        let mut child = start(echo, &[runtime, "server"], Stdio::piped())?;
        let out = child.0.stdout.take().ok_or("the echo has no standard output")?;
        let mut port = String::new();
        BufReader::new(out)
            .read_line(&mut port)
            .map_err(|error| format!("the echo says no port: {error}"))?;
        let url = format!("ws://127.0.0.1:{}", port.trim());
        list.push(json!({ "agent": runtime, "url": url, "protocols": ["lama.1"] }));
        running.push(child);
    }
    let reports = dir.join("servers");
    let spec = specification(dir, "servers.json", json!({ "servers": list, "outdir": text(&reports)? }))?;
    run::run(text(suite)?, &["--mode", "fuzzingclient", "--spec", &spec])?;
    results(&reports)
}

/// Our clients against the suite's server.
fn clients(suite: &Path, echo: &Path, dir: &Path) -> Result<Results, Failure> {
    let free = || TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    let at = free().map_err(|error| format!("no port is free: {error}"))?;
    let reports = dir.join("clients");
    let url = json!({ "url": format!("ws://{at}"), "outdir": text(&reports)? });
    let spec = specification(dir, "clients.json", url)?;
    let _server =
        start(suite, &["--mode", "fuzzingserver", "--webport", "0", "--spec", &spec], Stdio::null())?;
    wait_for(at)?;
    for runtime in RUNTIMES {
        run::run(text(echo)?, &[runtime, "client", &at.to_string(), runtime])?;
    }
    results(&reports)
}

fn start(program: &Path, args: &[&str], input: Stdio) -> Result<Running, Failure> {
    let output = if args.contains(&"server") { Stdio::piped() } else { Stdio::null() };
    let child = Command::new(program).args(args).stdin(input).stdout(output).spawn();
    child.map(Running).map_err(|error| format!("cannot start {}: {error}", program.display()))
}

fn wait_for(at: SocketAddr) -> Result<(), Failure> {
    let pause = Duration::from_millis(100);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        if TcpStream::connect(at).is_ok() {
            return Ok(());
        }
        std::thread::sleep(pause);
    }
    Err(format!("the suite's server does not listen at {at}"))
}

fn specification(dir: &Path, name: &str, mut spec: Value) -> Result<String, Failure> {
    if let Some(fields) = spec.as_object_mut() {
        fields.insert("cases".into(), json!(["*"]));
        fields.insert("exclude-cases".into(), json!(LEFT_OUT));
        fields.insert("exclude-agent-cases".into(), json!({}));
    }
    let path = dir.join(name);
    fs::write(&path, spec.to_string())
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    text(&path).map(str::to_owned)
}

/// What the suite's reports say of each case.
fn results(reports: &Path) -> Result<Results, Failure> {
    let path = reports.join("index.json");
    let bytes = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let index: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let word = |case: &Value, field: &str| case[field].as_str().unwrap_or("MISSING").to_owned();
    let read = |case: &Value| Case { said: word(case, "behavior"), closed: word(case, "behaviorClose") };
    let of =
        |cases: BTreeMap<String, Value>| cases.iter().map(|(id, case)| (id.clone(), read(case))).collect();
    let results: Results = index.into_iter().map(|(runtime, cases)| (runtime, of(cases))).collect();
    for runtime in RUNTIMES {
        let count = results.get(runtime).map_or(0, BTreeMap::len);
        if count < 300 {
            return Err(format!("{runtime} was put through {count} cases only: see {}", reports.display()));
        }
    }
    Ok(results)
}

fn failures(role: &str, results: &Results) -> Vec<String> {
    let of = |(runtime, cases): (&String, &BTreeMap<String, Case>)| {
        let failed = cases.iter().filter(|(_, case)| case.failed());
        failed.map(|(id, case)| format!("{id} ({runtime} {role}: {}, {})", case.said, case.closed)).collect()
    };
    results.iter().flat_map::<Vec<String>, _>(of).collect()
}

fn table(servers: &Results, clients: &Results) -> String {
    let columns: Vec<&BTreeMap<String, Case>> = [servers, clients]
        .into_iter()
        .flat_map(|results| RUNTIMES.iter().filter_map(|runtime| results.get(*runtime)))
        .collect();
    let mut text = HEAD.replace("SUITE", SUITE);
    for (number, title) in SECTIONS {
        let cells = columns.iter().map(|cases| cell(cases, Some(number)));
        let _ = writeln!(text, "| {number} {title} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    let cells = columns.iter().map(|cases| cell(cases, None));
    let _ = writeln!(text, "| all | {} |", cells.collect::<Vec<_>>().join(" | "));
    text.push_str(&named(NON_STRICT, "NON-STRICT", &columns));
    text.push_str(&named(INFORMATIONAL, "INFORMATIONAL", &columns));
    text
}

/// Which cases are anything but plainly passed.
fn named(title: &str, word: &str, columns: &[&BTreeMap<String, Case>]) -> String {
    let mut ids: Vec<&str> = columns
        .iter()
        .flat_map(|cases| cases.iter().filter(|(_, case)| case.is(word)).map(|(id, _)| id.as_str()))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() { String::new() } else { format!("\n{title}: {}.\n", ids.join(", ")) }
}

/// `passed`, or `passed of all` with the rest named by its kind.
fn cell(cases: &BTreeMap<String, Case>, section: Option<&str>) -> String {
    let of: Vec<&Case> = cases
        .iter()
        .filter(|(id, _)| section.is_none_or(|number| id.split('.').next() == Some(number)))
        .map(|(_, case)| case)
        .collect();
    let count = |word: &str| of.iter().filter(|case| !case.failed() && case.is(word)).count();
    let (failed, lax, open) =
        (of.iter().filter(|case| case.failed()).count(), count("NON-STRICT"), count("INFORMATIONAL"));
    let mut text = (of.len() - failed - lax - open).to_string();
    for (count, kind) in [(failed, "FAILED"), (lax, "non-strict"), (open, "informational")] {
        if count > 0 {
            let _ = write!(text, ", {count} {kind}");
        }
    }
    text
}

const NON_STRICT: &str = "\"Non-strict\" (what is not UTF-8 ends the connection once its frame is whole, where the suite would like it
at the first wrong byte; LAMA takes no text)";
const INFORMATIONAL: &str = "\"Informational\" (the suite has no opinion)";

const HEAD: &str = "\
# The Autobahn test suite

The WebSockets of both adapters under `SUITE`, as server and as client. `cargo xtask autobahn` runs
it and writes this file; it needs Python 2.7, and fails if a case fails. The reports of every case are then in `target/autobahn`.

What is tested is `lama-net/examples/autobahn.rs`: an echo over the same sockets, guards and WebSocket streams as the product's,
with the product's own upgrade as server, and with two limits lifted, since LAMA itself speaks binary messages of at most 65,535 bytes
and ends a link on any other frame at its header (`lama-net/tests/door.rs`). Sections 12 and 13 are about compression, which is off: they do not
apply, and the suite does not run them. It has no section 8 and 11.

Cases passed:

| section | tokio, server | smol, server | tokio, client | smol, client |
|---|---|---|---|---|
";
