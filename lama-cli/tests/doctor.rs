//! `lama doctor`, the block list and routes, through the real program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods)] // A file's time is set against the clock.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use common::{Instance, Place, free_port, json, paired, until};
use serde_json::Value;

/// What the doctor says, and the exit code.
fn doctor(instance: &Instance) -> (i32, Value) {
    let output = instance.run(&["doctor", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "one answer and nothing else: {text}");
    (output.status.code().unwrap(), serde_json::from_str(&text).unwrap())
}

/// The severity of an item.
fn severity(health: &Value, code: &str) -> String {
    let item = health["items"].as_array().unwrap().iter().find(|item| item["code"] == code);
    item.unwrap_or_else(|| panic!("no {code} in {health}"))["severity"].as_str().unwrap().to_owned()
}

fn has(health: &Value, code: &str) -> bool {
    health["items"].as_array().unwrap().iter().any(|item| item["code"] == code)
}

#[test]
fn two_healthy_instances_are_well_and_the_listener_proves_itself() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (_first, second) = paired(&a, &b);
    until("they are connected", || a.json(&["status"])["peers"][0]["state"] == "in_sync");
    for instance in [&a, &b] {
        let (exit, health) = doctor(instance);
        assert_eq!((exit, health["severity"].as_str()), (0, Some("good")), "{health}");
        for code in
            ["listener.answers", "store.opens", "disk.room", "clock.forward", "files.private", "contacts"]
        {
            assert_eq!(severity(&health, code), "good");
        }
    }
    second.kill();
    until("it is gone", || a.json(&["status"])["peers"][0]["path"] == "none");
    let (exit, health) = doctor(&a);
    assert_eq!((exit, severity(&health, "contact.not-connected").as_str()), (11, "warning"), "{health}");
    // The killed one says so, once; people get the remedy below each item.
    let (exit, health) = doctor(&b);
    assert_eq!((exit, severity(&health, "store.last-close").as_str()), (11, "warning"), "{health}");
    assert!(has(&health, "instance.stopped"));
    let text = String::from_utf8(b.run(&["doctor"]).stdout).unwrap();
    assert!(text.contains("do: `lama run`") && !text.contains("store.last-close"), "{text}");
}

#[test]
fn each_fault_has_its_code_and_a_remedy() {
    let place = Place::new();
    let a = place.person("a@lama.local", "tokio");
    // Nobody was invited: the seed's first two faults.
    let (exit, health) = doctor(&a);
    assert_eq!((exit, severity(&health, "contacts.none").as_str()), (11, "warning"));
    // Another program at the port.
    let port = free_port();
    a.start_with(&["--port", &port]).stop();
    let taken = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let (_, health) = doctor(&a);
    assert_eq!(severity(&health, "port.taken"), "warning");
    drop(taken);
    assert!(has(&doctor(&a).1, "port.free"));
    // A relay that nobody runs.
    let relay = place.instance("relay").start_relay(&["--dev", "--listen", "127.0.0.1:0"]);
    let option = relay.status["option"].as_str().unwrap().to_owned();
    let running = a.start_with(&["--port", "0", &option]);
    until("it is registered", || has(&doctor(&a).1, "relay.answers"));
    relay.stop();
    until("the relay is missed", || {
        let (exit, health) = doctor(&a);
        exit == 12 && (has(&health, "relay.not-registered") || has(&health, "relay.silent"))
    });
    running.stop();
    // The clock was set back.
    let store = fs::File::options().append(true).open(a.dir.join("store.redb")).unwrap();
    store.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
    drop(store);
    let (exit, health) = doctor(&a);
    assert_eq!((exit, severity(&health, "clock.before-files").as_str()), (12, "error"), "{health}");
    // Others can read the keys.
    let keys = a.dir.join("keys.lama");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    let (exit, health) = doctor(&a);
    assert_eq!((exit, severity(&health, "files.exposed").as_str()), (12, "error"), "{health}");
    let item = &health["items"][0];
    assert!(item["remedy"].as_str().unwrap().contains("chmod 600"), "{item}");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    // Nothing is there.
    assert_eq!(place.instance("nothing").failure(&["doctor"]).0, 3);
    // Locked.
    let sealed = place.instance("sealed");
    json(sealed.command(&["init", "s@lama.local"]).env("LAMA_PASSPHRASE", "correct horse"));
    let (exit, health) = doctor(&sealed);
    assert_eq!((exit, severity(&health, "keys.locked").as_str()), (12, "error"), "{health}");
    assert_eq!(severity(&health, "keys.sealed"), "good");
    for item in health["items"].as_array().unwrap() {
        assert!(item["severity"] == "good" || item["remedy"].as_str().unwrap().len() > 5, "{item}");
    }
}

#[test]
fn a_blocked_person_is_out_at_once_and_after_a_restart_until_unblocked() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (first, _second) = paired(&a, &b);
    until("they are connected", || a.json(&["status"])["peers"][0]["path"] == "direct");
    a.json(&["block", "b@lama.local"]);
    // Not soon: now.
    let status = a.json(&["status"]);
    assert_eq!(
        (status["peers"][0]["path"].as_str(), status["peers"][0]["state"].as_str()),
        (Some("none"), Some("blocked"))
    );
    assert_eq!(a.json(&["block"])["blocked"][0]["email"], "b@lama.local");
    b.json(&["send", "a@lama.local", "let me in"]);
    let port = first.port();
    first.stop();
    let first = a.start_with(&["--port", &port]);
    let refused = first.event("link_refused");
    assert_eq!(refused["reason"], "blocked", "{refused}");
    assert_eq!(a.json(&["status"])["peers"][0]["state"], "blocked");
    assert!(has(&doctor(&a).1, "contact.blocked"));
    a.json(&["unblock", "b@lama.local"]);
    until("the message has arrived", || {
        let list = a.json(&["log"]);
        list["channels"].to_string().contains("let me in") || list.to_string().contains("let me in")
    });
    assert_eq!(a.json(&["block"])["blocked"], serde_json::json!([]));
}

#[test]
fn routes_are_listed_and_switched_by_person_instance_and_route() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.instance("b"));
    b.json(&["init", "b@lama.local", "--no-passphrase", "--name", "phone"]);
    let _first = a.start();
    let second = b.start_with(&["--no-listen"]);
    let link = a.json(&["invite"])["link"].as_str().unwrap().to_owned();
    json(b.command(&["join"]).env("LAMA_INVITATION", &link));
    until("they are connected", || b.json(&["status"])["peers"][0]["state"] == "in_sync");
    let row = b.json(&["route", "list"])["routes"][0].clone();
    assert_eq!((row["on"].as_bool(), row["in_use"].as_bool()), (Some(true), Some(true)), "{row}");
    let (route, instance) = (row["route"].as_str().unwrap(), row["instance"].as_str().unwrap());
    for (which, by) in [("a@lama.local", "person"), (instance, "instance"), (route, "route")] {
        let off = b.json(&["route", "disable", which]);
        assert_eq!(
            (off["routes"][0]["on"].as_bool(), off["routes"][0]["off_by"].as_str()),
            (Some(false), Some(by))
        );
        until("the session is over", || b.json(&["status"])["peers"][0]["state"] == "off");
        b.json(&["route", "enable", which]);
        until("it is dialled again", || b.json(&["status"])["peers"][0]["path"] == "direct");
    }
    // It is kept.
    b.json(&["route", "disable", "a@lama.local"]);
    second.stop();
    let _second = b.start_with(&["--no-listen"]);
    assert_eq!(b.json(&["status"])["peers"][0]["state"], "off");
    assert!(has(&doctor(&b).1, "contact.routes-off"));
}

/// What the doctor says with the other side asked, and the exit code.
fn doctor_with(instance: &Instance, peer: &str) -> (i32, Value) {
    let output = instance.run(&["doctor", "--json", "--peer", peer]);
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), serde_json::from_str(&text).unwrap())
}

/// An item of the other side's.
fn there<'a>(health: &'a Value, code: &str) -> &'a Value {
    let items = health["peers"][0]["items"].as_array().unwrap();
    items.iter().find(|item| item["code"] == code).unwrap_or_else(|| panic!("no {code} in {health}"))
}

#[test]
fn the_other_side_is_asked_where_it_allows_that_and_both_sides_findings_are_shown() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (first, second) = paired(&a, &b);
    until("they are connected", || a.json(&["status"])["peers"][0]["state"] == "in_sync");
    // Not allowed: said with what to do, and nothing else is told.
    let (exit, health) = doctor_with(&a, "b@lama.local");
    assert_eq!((exit, health["severity"].as_str()), (11, Some("warning")), "{health}");
    let item = there(&health, "peer.not-allowed");
    assert!(item["remedy"].as_str().unwrap().contains("lama debug allow"), "{item}");
    assert_eq!(health["peers"][0]["seen"], Value::Null);
    assert_eq!(b.json(&["debug", "list"])["allowed"], serde_json::json!([]));
    // Allowed: the same session, seen from there.
    let allowed = b.json(&["debug", "allow", "a@lama.local"]);
    assert_eq!(allowed["allowed"][0]["email"], "a@lama.local");
    let (exit, health) = doctor_with(&a, "b@lama.local");
    assert_eq!((exit, health["severity"].as_str()), (0, Some("good")), "{health}");
    assert_eq!(severity(&health, "listener.answers"), "good");
    let seen = &health["peers"][0]["seen"];
    assert_eq!((seen["path"].as_str(), seen["in_sync"].as_bool()), (Some("direct"), Some(true)), "{seen}");
    assert_eq!(seen["dialled"], !a.json(&["status"])["peers"][0]["dialled"].as_bool().unwrap());
    assert!(
        seen["clock_ahead"].as_i64().unwrap().abs() < 60_000 && seen["round_trip"].as_f64().unwrap() > 0.0
    );
    assert_eq!((seen["entries"].as_u64(), seen["of_entries"].as_u64()), (Some(1), Some(1)));
    for code in ["peer.clock", "peer.log", "peer.session", "clock.forward", "listener.routes", "store.opens"]
    {
        assert_eq!(there(&health, code)["severity"], "good", "{code}");
    }
    // It holds in one direction, people read it, and it is kept over a restart.
    assert_eq!(there(&doctor_with(&b, "a@lama.local").1, "peer.not-allowed")["severity"], "warning");
    let text = String::from_utf8(a.run(&["doctor", "--peer", "b@lama.local"]).stdout).unwrap();
    assert!(text.contains("there: b@lama.local") && text.contains("peer.session"), "{text}");
    second.stop();
    let second = b.start_with(&["--no-listen"]);
    until("they are connected again", || a.json(&["status"])["peers"][0]["state"] == "in_sync");
    // What is wrong there counts here.
    let (exit, health) = doctor_with(&a, "b@lama.local");
    assert_eq!(
        (exit, there(&health, "listener.none")["severity"].as_str()),
        (11, Some("warning")),
        "{health}"
    );
    // Denied again; gone; unknown; and without an own instance at work.
    b.json(&["debug", "deny", "a@lama.local"]);
    assert_eq!(there(&doctor_with(&a, "b@lama.local").1, "peer.not-allowed")["severity"], "warning");
    second.stop();
    until("it is gone", || a.json(&["status"])["peers"][0]["path"] == "none");
    assert_eq!(there(&doctor_with(&a, "b@lama.local").1, "peer.not-connected")["severity"], "warning");
    assert_eq!(a.failure(&["doctor", "--peer", "c@lama.local"]).0, 6);
    first.stop();
    assert_eq!(a.failure(&["doctor", "--peer", "b@lama.local"]).0, 7);
}
