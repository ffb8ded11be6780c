//! A long-running instance as a service manager, a monitor and a helper in need see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use common::{Instance, PATIENCE, Place, json, paired, until};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use lama_host::{DataDir, Disk, keyfile};
use serde_json::Value;

/// `lama run` with what a test wants to change of it; killed at the end.
struct Run(Child, Receiver<Value>);

impl Run {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .try_for_each(|line| to.send(serde_json::from_str(&line).unwrap()))
        });
        Self(child, lines)
    }

    /// The next line that is so.
    fn until(&self, so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.1.recv_timeout(PATIENCE).expect("it says something");
            if so(&line) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(instance: &Instance, more: &[&str]) -> Command {
    instance.command(&[&["--json", "run", "--port", "0"], more].concat())
}

#[test]
fn a_service_manager_is_told_and_its_polite_end_is_a_clean_one() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (first, second) = paired(&a, &b);
    second.stop();
    let notified = place.path().join("notify");
    let manager = UnixDatagram::bind(&notified).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut state = [0; 64];
        let len = manager.recv(&mut state).unwrap();
        String::from_utf8(state[..len].to_vec()).unwrap()
    };
    let mut second = Run::start(run(&b, &[]).env("NOTIFY_SOCKET", &notified));
    assert_eq!(told(), "READY=1");
    assert!(b.json(&["status"])["running"].as_bool().unwrap(), "ready means that commands are served");
    until("they are connected", || b.json(&["status"])["peers"][0]["path"] == "direct");
    second.signal("-TERM");
    assert_eq!(told(), "STOPPING=1");
    assert!(second.0.wait().unwrap().success());
    let ended = loop {
        let ended = first.event("session_ended");
        if ended["reason"] != "replaced" {
            break ended;
        }
    };
    assert_eq!(ended["reason"], "closed-by-peer", "{ended}");
    assert!(!b.dir.join("control.sock").exists() && !b.dir.join("at-work").exists());
}

#[test]
fn a_process_that_was_stopped_wakes_its_node() {
    let place = Place::new();
    let a = place.person("a@lama.local", "smol");
    let running = Run::start(&mut run(&a, &[]));
    running.until(|line| line["running"] == true);
    running.signal("-STOP");
    running.signal("-CONT");
    let woken = running.until(|line| line["event"]["type"] == "woken");
    assert_eq!(woken["event"]["why"], "continued");
}

/// Asks for a page by this name of the host.
fn get(at: &str, path: &str, host: &str) -> (String, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn figure(page: &str, name: &str) -> u64 {
    let row = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    row.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

#[test]
fn figures_are_served_to_this_machine_under_its_own_name_alone() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (first, _second) = paired(&a, &b);
    first.stop();
    let running = Run::start(&mut run(&a, &["--metrics", "0"]));
    let url = running.until(|line| line["metrics"]["url"].is_string())["metrics"]["url"].clone();
    let at =
        url.as_str().unwrap().strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap().to_owned();
    until("they are in sync", || a.json(&["status"])["peers"][0]["state"] == "in_sync");
    b.json(&["send", "a@lama.local", "hello"]);
    until("the message is counted", || {
        let (status, page) = get(&at, "/metrics", &at);
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(!page.contains("lama.local"), "nobody's name is a label: {page}");
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.rsplit_once(' ').is_some_and(|(_, number)| number.parse::<u64>().is_ok()), "{line}");
        }
        figure(&page, "lama_peers{state=\"in-sync\"}") == 1
            && figure(&page, "lama_messages_received_total") == 1
            && figure(&page, "lama_sessions_started_total") >= 1
            && figure(&page, "lama_bytes_total{direction=\"sent\"}") > 0
    });
    assert_eq!(get(&at, "/metrics", "evil.example").0, "HTTP/1.1 403 Forbidden");
    assert_eq!(get(&at, "/", &at).0, "HTTP/1.1 404 Not Found");
    let (exit, _) = a.failure(&["run", "--metrics", "0.0.0.0:9100"]);
    assert_eq!(exit, 2, "not for others");
}

#[test]
fn the_log_has_a_span_for_each_session_and_names_nobody() {
    let place = Place::new();
    let (a, b) = (place.person("ada@lama.local", "tokio"), place.person("bob@lama.local", "smol"));
    let (first, _second) = paired(&a, &b);
    first.stop();
    let log = place.path().join("log");
    let running = Run::start(
        run(&a, &[]).env("LAMA_LOG", "lama=debug").stderr(Stdio::from(fs::File::create(&log).unwrap())),
    );
    until("they are in sync", || a.json(&["status"])["peers"][0]["state"] == "in_sync");
    b.json(&["send", "ada@lama.local", "a very private text"]);
    until("it was received", || fs::read_to_string(&log).unwrap().contains("sync.message"));
    running.signal("-TERM");
    until("the session has ended", || fs::read_to_string(&log).unwrap().contains("session.ended"));
    let text = fs::read_to_string(&log).unwrap();
    for name in ["node.ready", "node.listening", "session.started", "sync.in-sync", "session.ended"] {
        assert!(text.contains(name), "{name} in {text}");
    }
    let line = text
        .lines()
        .find(|line| line.contains("sync.received"))
        .expect("what arrives is in its session's span");
    assert!(line.contains("session{") && line.contains("instance="), "{line}");
    for word in ["@lama.local", "private text"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[test]
fn the_page_is_for_whoever_has_its_url_on_this_machine() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (_first, second) = paired(&a, &b);
    let page = Run::start(&mut a.command(&["--json", "inspect"]));
    let url = page.until(|line| line["url"].is_string())["url"].as_str().unwrap().to_owned();
    let (at, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let path = format!("/{path}");
    let (status, text) = get(at, &path, at);
    assert!(status.ends_with("200 OK") && text.contains("page.js") && !text.contains("b@lama.local"));
    for name in ["page.js", "page.css"] {
        assert!(get(at, &format!("{path}{name}"), at).0.ends_with("200 OK"));
    }
    let state = |path: &str| -> Value { serde_json::from_str(&get(at, path, at).1).unwrap() };
    until("it shows the session", || {
        state(&format!("{path}state.json"))["status"]["peers"][0]["path"] == "direct"
    });
    assert_eq!(state(&format!("{path}state.json"))["routes"][0]["email"], "b@lama.local");
    assert_eq!(state(&format!("{path}health.json"))["severity"], "good");
    second.stop();
    until("it shows that it ended", || {
        state(&format!("{path}state.json"))["status"]["peers"][0]["path"] == "none"
    });
    // Nothing without the word, and nothing under another name.
    for wrong in ["/", "/state.json", &path[..path.len() - 2], &path.replace(&path[1..5], "0000")] {
        assert!(get(at, wrong, at).0.ends_with("404 Not Found"), "{wrong}");
    }
    assert!(get(at, &path, "evil.example").0.ends_with("403 Forbidden"));
    page.signal("-TERM");
    until("it has ended", || TcpStream::connect(at).is_err());
    assert!(a.json(&["status"])["running"].as_bool().unwrap(), "the instance goes on");
}

/// Every form in which a secret could stand in a text: the whole of it, or any 16 bytes of it. An invitation says where it
/// leads, which is no secret.
fn leaks(bundle: &str, secret: &[u8]) -> Option<String> {
    let lower = bundle.to_lowercase();
    for window in secret.windows(16) {
        let route = |text: &&str| ["://", "localhost", "127.0.0.1"].iter().any(|part| text.contains(part));
        let raw = std::str::from_utf8(window).ok().filter(|text| !route(text));
        let raw = raw.filter(|text| bundle.contains(*text)).map(str::to_owned);
        let hex = Some(HEXLOWER.encode(window)).filter(|text| lower.contains(text.as_str()));
        if let Some(found) = raw.or(hex) {
            return Some(found);
        }
    }
    // In base64 a byte may stand at three places; the ends of a piece depend on its neighbours.
    for window in secret.windows(24) {
        for text in [BASE64.encode(window), BASE64URL_NOPAD.encode(window)] {
            let inner = &text[..text.len() - 4];
            if bundle.contains(inner) {
                return Some(inner.to_owned());
            }
        }
    }
    None
}

#[test]
fn a_debug_bundle_holds_what_helps_and_no_secret_no_name_and_no_text() {
    let place = Place::new();
    let (a, b) = (place.person("ada@lama.local", "tokio"), place.person("bob@lama.local", "smol"));
    let relay = place.instance("relay").start_relay(&["--dev", "--listen", "127.0.0.1:0"]);
    let option = relay.status["option"].as_str().unwrap().to_owned();
    let running = Run::start(&mut run(&a, &[&option]));
    running.until(|line| line["running"] == true);
    let _second = b.start();
    until("the relay knows it", || a.json(&["status"])["urls"].to_string().contains('#'));
    let link = a.json(&["invite"])["link"].as_str().unwrap().to_owned();
    json(b.command(&["join"]).env("LAMA_INVITATION", &link));
    let open = a.json(&["invite", "--label", "for the neighbour"])["link"].as_str().unwrap().to_owned();
    a.json(&["send", "bob@lama.local", "meet me at the harbour"]);
    b.json(&["send", "ada@lama.local", "the gold is in the cellar"]);
    until("it has arrived", || a.json(&["log"]).to_string().contains("cellar"));

    let file = place.path().join("bundle.json");
    a.json(&["debug-bundle", file.to_str().unwrap()]);
    let text = fs::read_to_string(&file).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    for part in ["versions", "configuration", "status", "health", "metrics", "log"] {
        assert!(!bundle[part].is_null(), "{part}");
    }
    let log = bundle["log"].to_string();
    assert!(log.contains("session.started") && log.contains("pairing.complete"), "{log}");
    assert_eq!(bundle["status"]["peers"][0]["email"], "<e-mail 2>");

    let (_, secrets) = keyfile::open(&mut Disk, &DataDir::open(&a.dir).unwrap().keys(), None).unwrap();
    assert!(secrets.len() >= 2);
    let mut forbidden: Vec<Vec<u8>> = secrets.iter().map(|(_, secret)| secret.to_vec()).collect();
    for link in [&link, &open] {
        let secret = link.split_once('#').unwrap().1;
        forbidden.push(secret.as_bytes().to_vec());
        forbidden.extend(BASE64URL_NOPAD.decode(secret.as_bytes()).ok());
    }
    for secret in &forbidden {
        assert!(secret.len() >= 24, "as long as a key");
        assert_eq!(leaks(&text, secret), None);
    }
    let ids: Vec<Value> = [&a, &b].iter().map(|instance| instance.json(&["id"])).collect();
    let named =
        ids.iter().flat_map(|id| ["email", "person", "instance", "fingerprint", "name"].map(|key| &id[key]));
    let named = named.map(|word| word.as_str().unwrap()).filter(|word| word.len() > 2);
    let words = ["harbour", "cellar", "neighbour", "@lama.local", place.path().to_str().unwrap()];
    for word in named.chain(words) {
        assert!(!text.contains(word), "{word} is in the bundle: {text}");
    }
    for id in &ids {
        assert!(!text.contains(&id["person"].as_str().unwrap()[..16]), "not even the beginning of an id");
    }
    // The search finds what is there.
    assert!(leaks(&format!("x{}x", HEXLOWER.encode(&forbidden[0][3..40])), &forbidden[0]).is_some());
    assert!(leaks(&format!("x{}x", BASE64.encode(&forbidden[0][5..60])), &forbidden[0]).is_some());
    // Nothing is overwritten.
    assert_eq!(a.failure(&["debug-bundle", file.to_str().unwrap()]).0, 4);
}
