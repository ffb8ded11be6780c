//! The demo as a user starts it: it ends by itself with `--once`, goes on without, resumes, and stops on Ctrl-C.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use common::{PATIENCE, Place, json};
use serde_json::Value;

fn sides(summary: &Value) -> [&Value; 2] {
    [&summary["node-demo@lama.local"], &summary["demo@lama.local"]]
}

fn once(place: &Place, folder: &Path) -> Value {
    json(&mut place.instance("demo-data").command(&["demo", "--once", folder.to_str().unwrap()]))
}

fn some_folder(place: &Place) -> std::path::PathBuf {
    let folder = place.path().join("folder");
    fs::create_dir_all(folder.join("sub")).unwrap();
    for number in 0..50 {
        fs::write(folder.join(format!("sub/{number}.txt")), format!("file {number}")).unwrap();
    }
    folder
}

#[test]
fn once_pairs_talks_shares_and_agrees_and_a_second_run_resumes() {
    let place = Place::new();
    let folder = some_folder(&place);
    let first = once(&place, &folder);
    assert_eq!(first["equal"], true, "{first}");
    for (side, other) in sides(&first).into_iter().zip(["demo@lama.local", "node-demo@lama.local"]) {
        assert_eq!(side["contacts"]["contacts"][0]["email"], other);
        assert_eq!(side["contacts"]["contacts"][0]["state"], "active");
        let peer = &side["status"]["peers"][0];
        assert!(peer["round_trips_to_authenticated"].as_u64().unwrap() <= 2, "{peer}");
        assert!(peer["bytes_sent"].as_u64().unwrap() > 0);
    }
    let [node, me] = sides(&first);
    assert_eq!(node["status"]["runtime"], "smol");
    assert_eq!(me["status"]["runtime"], "tokio");
    assert_eq!(node["status"]["peers"][0]["fingerprint"], me["status"]["peers"][0]["fingerprint"]);
    let ids = |side: &Value| -> Vec<Value> {
        let messages = side["messages"]["channels"][0]["messages"].as_array().unwrap();
        messages.iter().map(|message| message["id"].clone()).collect()
    };
    assert_eq!(ids(node), ids(me));

    let second = once(&place, &folder);
    assert_eq!(second["equal"], true);
    let number = |summary: &Value| {
        summary["demo@lama.local"]["messages"]["channels"][0]["messages"].as_array().unwrap().len()
    };
    assert_eq!(number(&second), number(&first) + 2, "two more messages, no second share of the same folder");
    assert_eq!(sides(&second)[0]["contacts"]["contacts"].as_array().unwrap().len(), 1);
}

/// A demo that runs on, and what it says.
struct Show {
    child: Child,
    lines: Receiver<String>,
}

impl Show {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (to, lines) = channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self { child, lines }
    }

    fn wait_for(&self, words: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(words) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with {words:?} in {seen:#?}");
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_added_is_synced_and_ctrl_c_ends_both_processes() {
    let place = Place::new();
    let folder = some_folder(&place);
    let data = place.instance("demo-data");
    let mut show = Show::start(data.command(&["demo", folder.to_str().unwrap()]));
    show.wait_for("Ctrl-C stops");
    fs::write(folder.join("added.txt"), "something new").unwrap();
    show.wait_for("51 files");
    show.wait_for("has it");
    // Both can be asked while they run.
    let node = common::Instance { dir: data.dir.join("node-demo"), runtime: "tokio", host: None };
    let status = node.json(&["status"]);
    assert_eq!((status["running"].as_bool(), status["runtime"].as_str()), (Some(true), Some("smol")));

    let interrupt = Command::new("kill").args(["-INT", &show.child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert!(show.child.wait().unwrap().success());
    assert_eq!(node.json(&["status"])["running"], false);
}

/// A terminal sends Ctrl-C to all processes in the foreground. The demo alone ends them, at whatever it is.
#[test]
fn ctrl_c_in_a_terminal_at_any_moment_is_an_interruption_and_no_failure() {
    let place = Place::new();
    let folder = some_folder(&place);
    let data = place.instance("demo-data");
    for moment in ["listens on", "runs (", "sharing"] {
        let mut command = data.command(&["demo", folder.to_str().unwrap()]);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut show = Show::start(command);
        show.wait_for(moment);
        let group = format!("-{}", show.child.id());
        assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
        let code = show.child.wait().unwrap().code();
        let said: Vec<String> = show.lines.iter().collect();
        // It may have come as far as following changes, which Ctrl-C ends as it should.
        assert!(matches!(code, Some(0 | 130)), "at {moment:?}: {code:?}, {said:#?}");
    }
    assert_eq!(once(&place, &folder)["equal"], true);
}

/// The port of the first run can be taken at the next one; no side can tell the other by itself, since one only dials.
#[test]
fn the_port_of_the_last_run_may_be_taken() {
    let place = Place::new();
    let folder = some_folder(&place);
    let first = once(&place, &folder);
    let url = sides(&first)[0]["status"]["urls"][0].as_str().unwrap().to_owned();
    let port: u16 = url.rsplit_once(':').unwrap().1.parse().unwrap();
    // Another test may have it already: all the same to this one.
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port));
    let second = once(&place, &folder);
    assert_ne!(sides(&second)[0]["status"]["urls"][0], url.as_str());
    assert_eq!(second["equal"], true);
    assert_eq!(sides(&second)[1]["contacts"]["contacts"].as_array().unwrap().len(), 1);
}
