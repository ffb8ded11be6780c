//! The operator's side through the real program: status while it changes, signs of life.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use common::{Instance, PATIENCE, Place, paired, until};
use serde_json::Value;

/// A command that goes on; killed at the end.
struct Watching(Child, Receiver<String>);

impl Watching {
    fn start(instance: &Instance, args: &[&str]) -> Self {
        let mut child =
            instance.command(args).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (to, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self(child, lines)
    }

    fn until(&self, so: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.1.recv_timeout(PATIENCE).expect("it says something");
            if so(&line) {
                return line;
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_ping_says_which_way_each_answer_took_and_fails_by_name_where_nobody_is() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (first, second) = paired(&a, &b);
    let answer = a.json(&["ping", "b@lama.local", "-n", "1"]);
    let pong = &answer["pongs"][0];
    assert_eq!((pong["path"].as_str(), pong["email"].as_str()), (Some("direct"), Some("b@lama.local")));
    assert!(pong["round_trip"].as_f64().unwrap() > 0.0, "{pong}");
    // Whoever dialled says along which route, and people see all of it in one line.
    let text = b.run(&["ping", "a@lama.local", "-n", "2"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains(" ms, direct (") && text.contains(&first.url()), "{text}");
    // By the instance's id, too.
    let status = a.json(&["status"]);
    let instance = status["peers"][0]["instance"].as_str().unwrap();
    assert_eq!(a.json(&["ping", &instance[..12], "-n", "1"])["pongs"][0]["instance"], instance);
    assert!(a.json(&["status"])["peers"][0]["round_trip"].as_f64().is_some());
    let (exit, error) = a.failure(&["ping", "nobody@lama.local"]);
    assert_eq!((exit, error["code"].as_str()), (6, Some("unknown_person")), "{error}");

    second.stop();
    until("it is gone", || a.json(&["status"])["peers"][0]["path"] == "none");
    let (exit, error) = a.failure(&["ping", "b@lama.local", "-n", "1"]);
    assert_eq!((exit, error["code"].as_str()), (7, Some("not-reached")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("lama doctor"), "{error}");
    until("it is known why", || a.json(&["status"])["peers"][0]["problem"]["code"].is_string());
    let text = String::from_utf8(a.run(&["status"]).stdout).unwrap();
    assert!(text.contains("WHY NOT"), "{text}");
}

#[test]
fn a_watched_status_tells_what_changes_as_lines_and_as_json() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "smol"), place.person("b@lama.local", "tokio"));
    let (_first, second) = paired(&a, &b);
    let lines = Watching::start(&a, &["status", "--watch"]);
    let json = Watching::start(&a, &["--json", "status", "--watch"]);
    lines.until(|line| line.contains("b@lama.local: direct, in sync"));
    let state = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    json.until(|line| state(line)["peers"][0]["state"] == "in_sync");
    second.stop();
    let line = lines.until(|line| line.contains("b@lama.local: none"));
    assert!(!line.contains('\u{1b}'), "no terminal, no escapes: {line:?}");
    json.until(|line| state(line)["peers"][0]["path"] == "none");
    let _second = b.start();
    lines.until(|line| line.contains("b@lama.local: direct"));
    json.until(|line| state(line)["peers"][0]["path"] == "direct");
}
