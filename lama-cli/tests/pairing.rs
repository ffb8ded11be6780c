//! Two real processes become contacts, talk, share, restart: on both runtimes and mixed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs;
use std::process::Stdio;

use common::{Instance, Place, failure, free_port, json, paired, until};
use serde_json::Value;

/// All messages, without what is different on each side: whether they were read.
fn messages(instance: &Instance) -> Vec<Value> {
    let log = instance.json(&["log"]);
    let channels = log["channels"].as_array().unwrap();
    let mut all: Vec<Value> =
        channels.iter().flat_map(|channel| channel["messages"].as_array().unwrap().clone()).collect();
    all.iter_mut().for_each(|message| drop(message.as_object_mut().unwrap().remove("unread")));
    all
}

/// Texts of the unread messages.
fn unread(instance: &Instance, more: &[&str]) -> Vec<String> {
    let log = instance.json(&[&["log", "--unread"], more].concat());
    let channels = log["channels"].as_array().unwrap();
    let texts = channels.iter().flat_map(|channel| channel["messages"].as_array().unwrap());
    texts.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

/// Edits, deletions, and what was read.
fn the_talk(a: &Instance, b: &Instance) {
    assert_eq!(unread(b, &["--mark-read"]), ["hello"]);
    assert!(unread(b, &[]).is_empty());
    let of = |text: &str| {
        let found = messages(a).into_iter().find(|message| message["text"] == text);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (mine, theirs) = (of("hello"), of("hello yourself"));
    // By the beginning of its name, as people see it.
    let edited = a.json(&["edit", &mine[7..15], "hello there"]);
    assert_eq!(edited["id"], mine.as_str());
    until("the edit has arrived", || {
        messages(b).iter().any(|message| message["text"] == "hello there" && message["edited"].is_u64())
    });
    assert_eq!(a.failure(&["edit", &theirs, "no"]).1["code"], "node.not-your-message");
    assert_eq!(a.failure(&["delete", "zzzz"]).1["code"], "unknown_message");
    b.json(&["delete", &theirs]);
    until("the deletion has arrived", || {
        messages(a).iter().any(|message| message["deleted"].is_u64() && message["text"] == "")
    });
    assert_eq!(b.failure(&["edit", &theirs, "again"]).1["code"], "node.message-deleted");
    assert!(unread(b, &[]).is_empty(), "an edit is no news of its own");
}

/// What was shared is taken back: nothing of the next version arrives.
fn taken_back(place: &Place, a: &Instance, b: &Instance) {
    let folder = place.path().join("taken");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("one"), "one").unwrap();
    let folder = folder.to_str().unwrap();
    a.json(&["share", folder, "--with", "b@lama.local"]);
    let shared = |instance: &Instance| {
        let list = instance.json(&["shared"]);
        list["items"].as_array().unwrap().iter().any(|item| item["name"] == "taken")
    };
    until("the folder has arrived", || shared(b));
    assert_eq!(b.failure(&["unshare", "taken"]).1["code"], "unknown_share");
    let back = a.json(&["unshare", "taken", "--with", "b@lama.local"]);
    assert_eq!((&back["with"][0], &back["versions"]), (&Value::from("b@lama.local"), &Value::from(1)));
    assert!(back["stays"].as_u64().unwrap() >= 3, "folder, file and chunk were sent: {back}");
    assert!(!shared(a));
    assert!(a.json(&["shared"])["kept"].as_array().unwrap().is_empty(), "it is not kept shared either");
    assert_eq!(a.failure(&["unshare", "taken"]).1["code"], "unknown_share");
}

fn in_sync(a: &Instance, b: &Instance) -> bool {
    let peer = |instance: &Instance| instance.json(&["status"])["peers"][0].clone();
    let (a, b) = (peer(a), peer(b));
    a["state"] == "in_sync"
        && b["state"] == "in_sync"
        && a["fingerprint"].is_string()
        && a["fingerprint"] == b["fingerprint"]
        && a["count"] == b["count"]
}

/// The whole path, for two runtimes.
fn the_whole_path(runtime_a: &'static str, runtime_b: &'static str) {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", runtime_a), place.person("b@lama.local", runtime_b));
    let (running_a, running_b) = paired(&a, &b);

    // Contacts on both sides, who find each other's endpoints.
    let (of_a, of_b) = (a.json(&["contacts"]), b.json(&["contacts"]));
    assert_eq!(of_a["contacts"][0]["email"], "b@lama.local");
    assert_eq!(of_b["contacts"][0]["email"], "a@lama.local");
    assert_eq!(of_b["contacts"][0]["fingerprint"], a.json(&["id"])["fingerprint"]);
    assert_eq!(of_b["contacts"][0]["instances"][0]["url"], running_a.url().as_str());
    assert_eq!(of_a["contacts"][0]["check_code"], of_b["contacts"][0]["check_code"]);

    // Messages both ways.
    assert_eq!(a.json(&["send", "b@lama.local", "hello"])["connected"], true);
    b.json(&["send", "a@lama.local", "hello yourself"]);
    until("both have both messages", || messages(&a).len() == 2 && messages(&b) == messages(&a));

    the_talk(&a, &b);
    taken_back(&place, &a, &b);

    // A folder, and back out of the objects.
    let folder = place.path().join("folder");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/file.bin"), vec![7; 600_000]).unwrap();
    let shared = a.json(&["share", folder.to_str().unwrap(), "--with", "b@lama.local"]);
    assert_eq!((shared["files"].as_u64(), shared["bytes"].as_u64()), (Some(1), Some(600_000)));
    let id = shared["id"].as_str().unwrap();
    until("the folder has arrived", || messages(&b).iter().any(|message| message["attachment"] == id));
    until("both hold the same", || in_sync(&a, &b));
    let copy = place.path().join("copy");
    let got = b.json(&["get", "folder", copy.to_str().unwrap()]);
    assert_eq!((got["files"].as_u64(), got["kept"].as_u64()), (Some(1), Some(0)));
    assert_eq!(fs::read(copy.join("sub/file.bin")).unwrap(), vec![7; 600_000]);
    let part = b.run(&["get", id, "--file", "sub/file.bin", "--range", "599990-", "-o", "-"]);
    assert_eq!((part.status.success(), part.stdout.as_slice()), (true, &[7; 10][..]));

    // It stays shared: what changes in it arrives, and what is there is not overwritten unasked.
    fs::write(folder.join("new.txt"), "new").unwrap();
    fs::write(folder.join("sub/file.bin"), "changed").unwrap();
    until("the new version has arrived", || {
        let items = b.json(&["shared"]);
        items["items"].as_array().unwrap().iter().any(|item| item["name"] == "folder" && item["bytes"] == 10)
    });
    let again = ["get", "folder", copy.to_str().unwrap()];
    assert_eq!(b.failure(&again).1["code"], "exists");
    assert!(!copy.join("new.txt").exists());
    b.json(&[&again[..], &["--force"]].concat());
    assert_eq!(fs::read(copy.join("new.txt")).unwrap(), b"new");
    assert_eq!(fs::read(copy.join("sub/file.bin")).unwrap(), b"changed");
    a.json(&["share", folder.to_str().unwrap(), "--stop"]);
    assert_eq!(a.failure(&["share", folder.to_str().unwrap(), "--stop"]).1["code"], "not_kept");
    until("both hold the same", || in_sync(&a, &b));

    // A restart, one in good order and one not, needs no invitation.
    let port = running_a.port();
    running_b.stop();
    running_a.kill();
    let (_running_a, _running_b) = (a.start_with(&["--port", &port]), b.start());
    until("they are connected again", || in_sync(&a, &b));
    b.json(&["send", "a@lama.local", "still here"]);
    until("it has arrived", || messages(&a).len() == messages(&b).len());
    assert_eq!(a.json(&["contacts"])["contacts"].as_array().unwrap().len(), 1);
}

#[test]
fn tokio_with_tokio() {
    the_whole_path("tokio", "tokio");
}

#[test]
fn smol_with_smol() {
    the_whole_path("smol", "smol");
}

#[test]
fn tokio_with_smol() {
    the_whole_path("tokio", "smol");
}

#[test]
fn invite_piped_into_join_without_a_running_instance() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "smol"), place.person("b@lama.local", "tokio"));
    let port = free_port();
    let mut invite = a.command(&["invite", "--port", &port]).stdout(Stdio::piped()).spawn().unwrap();
    let mut join = b.command(&["join"]);
    join.stdin(invite.stdout.take().unwrap());
    let contact = json(&mut join);
    assert_eq!(contact["email"], "a@lama.local");
    assert!(invite.wait().unwrap().success());
    assert_eq!(a.json(&["contacts"])["contacts"][0]["state"], "active");
    // Queued while nobody runs, delivered when both do.
    assert_eq!(b.json(&["send", "a@lama.local", "for later"])["connected"], false);
    let (_a, _b) = (a.start_with(&["--port", &port]), b.start());
    until("it has arrived", || messages(&a).iter().any(|message| message["text"] == "for later"));
}

#[test]
fn an_invitation_pairs_once_and_a_revoked_one_never() {
    let place = Place::new();
    let person = |name: &str| place.person(&format!("{name}@lama.local"), "tokio");
    let (a, b, c) = (person("a"), person("b"), person("c"));
    let _running = a.start();
    let made = a.json(&["invite"]);
    let link = made["link"].as_str().unwrap();
    json(b.command(&["join"]).env("LAMA_INVITATION", link));
    let (exit, error) = failure(c.command(&["join", "--timeout", "20s"]).env("LAMA_INVITATION", link));
    assert_eq!((exit, error["code"].as_str().unwrap()), (6, "node.invitation-refused"), "{error}");
    assert_eq!(c.json(&["contacts"])["contacts"].as_array().unwrap().len(), 0, "no contact on either side");
    assert_eq!(a.json(&["contacts"])["contacts"].as_array().unwrap().len(), 1);

    let made = a.json(&["invite"]);
    a.json(&["revoke", made["locator"].as_str().unwrap()]);
    let link = made["link"].as_str().unwrap();
    let (exit, error) = failure(c.command(&["join", "--timeout", "20s"]).env("LAMA_INVITATION", link));
    assert_eq!((exit, error["code"].as_str().unwrap()), (6, "node.invitation-refused"));
    let states: Vec<Value> = a.json(&["pending"])["invitations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|invitation| invitation["state"].clone())
        .collect();
    assert!(states.iter().any(|state| state == "revoked"), "{states:?}");
}

#[test]
fn the_same_person_on_both_sides_is_refused_with_both_names() {
    let place = Place::new();
    let (a, twin) = (place.person("a@lama.local", "tokio"), place.instance("twin"));
    twin.json(&["init", "a@lama.local", "--name", "other", "--no-passphrase"]);
    let _running = a.start();
    let link = a.json(&["invite"])["link"].as_str().unwrap().to_owned();
    let (exit, error) = failure(twin.command(&["join"]).env("LAMA_INVITATION", &link));
    assert_eq!(exit, 6);
    assert!(error["message"].as_str().unwrap().contains("person"), "{error}");
}

#[test]
fn confirm_waits_for_approval_and_shows_the_same_code_on_both_sides() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (_running_a, _running_b) = (a.start(), b.start());
    let link = a.json(&["invite", "--policy", "confirm"])["link"].as_str().unwrap().to_owned();
    let mut join =
        b.command(&["--json", "join"]).env("LAMA_INVITATION", link).stdout(Stdio::piped()).spawn().unwrap();
    let code = |instance: &Instance| instance.json(&["pending"])["pairings"][0]["check_code"].clone();
    until("both show the code", || code(&a).is_string() && code(&a) == code(&b));
    assert_eq!(a.json(&["pending"])["pairings"][0]["waits_for"], "our_approval");
    assert_eq!(a.failure(&["send", "b@lama.local", "too early"]).0, 6);
    a.json(&["approve", "b@lama.local"]);
    assert!(join.wait().unwrap().success());
    until("both are contacts", || a.json(&["contacts"])["contacts"][0]["state"] == "active");
    assert_eq!(b.json(&["contacts"])["contacts"][0]["state"], "active");
}

#[test]
fn deny_removes_the_pairing_on_both_sides() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "tokio"));
    let (_running_a, _running_b) = (a.start(), b.start());
    let link = a.json(&["invite", "--policy", "confirm"])["link"].as_str().unwrap().to_owned();
    let mut join =
        b.command(&["--json", "join"]).env("LAMA_INVITATION", link).stdout(Stdio::piped()).spawn().unwrap();
    until("it is pending", || a.json(&["pending"])["pairings"][0]["waits_for"] == "our_approval");
    a.json(&["deny", "b@lama.local"]);
    assert!(!join.wait().unwrap().success());
    for instance in [&a, &b] {
        until("nothing is left", || {
            instance.json(&["contacts"])["contacts"].as_array().unwrap().is_empty()
                && instance.json(&["pending"])["pairings"].as_array().unwrap().is_empty()
        });
    }
}

#[test]
fn a_peer_that_moves_to_another_port_is_found_again() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (first, _running) = paired(&a, &b);
    let old = first.url();
    // It comes back elsewhere, dials its contact, and tells it.
    first.stop();
    let blocker = std::net::TcpListener::bind(old.replace("ws://localhost", "127.0.0.1")).ok();
    let second = a.start();
    assert_ne!(second.url(), old);
    until("the contact knows the new place", || {
        b.json(&["contacts"])["contacts"][0]["instances"][0]["url"] == second.url().as_str()
    });
    drop(blocker);
}

#[test]
fn nobody_is_found_who_is_no_contact_and_a_message_to_him_is_refused() {
    let place = Place::new();
    let a = place.person("a@lama.local", "tokio");
    let (exit, error) = a.failure(&["send", "stranger@lama.local", "hello"]);
    assert_eq!((exit, error["code"].as_str().unwrap()), (6, "unknown_person"));
}

#[test]
fn one_process_holds_a_data_directory_and_a_dead_socket_is_no_obstacle() {
    let place = Place::new();
    let a = place.person("a@lama.local", "tokio");
    let running = a.start();
    let (exit, error) = a.failure(&["run", "--port", "0"]);
    assert_eq!((exit, error["code"].as_str().unwrap()), (4, "in_use"));
    assert_eq!(a.json(&["status"])["running"], true);
    running.kill();
    assert!(a.dir.join("control.sock").exists());
    assert_eq!(a.json(&["status"])["running"], false);
    let _again = a.start();
    assert_eq!(a.json(&["status"])["running"], true);
}

/// Two persons on one machine, as the README shows: whoever starts first, each is found where it was.
#[test]
fn an_instance_listens_where_it_listened_last() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let running_a = a.start();
    let port = running_a.port();
    let link = a.json(&["invite"])["link"].as_str().unwrap().to_owned();
    json(b.command(&["join"]).env("LAMA_INVITATION", &link));
    until("both are contacts", || a.json(&["contacts"])["contacts"][0]["state"] == "active");
    running_a.stop();
    // Neither is told a port. The one that never listened starts first.
    let running_b = b.start_with(&[]);
    assert_ne!(running_b.port(), port, "a contact's port is left to the contact");
    let running_a = a.start_with(&[]);
    assert_eq!(running_a.port(), port);
    until("they are connected", || in_sync(&a, &b));
    // A command that joins or watches for a while does not make an instance forget where it listens.
    running_a.stop();
    let c = place.person("c@lama.local", "tokio");
    let link = c.json(&["invite", "--no-wait", "--port", &free_port()])["link"].as_str().unwrap().to_owned();
    let (exit, _) = failure(a.command(&["join", "--timeout", "1s"]).env("LAMA_INVITATION", &link));
    assert_eq!(exit, 7, "nobody is there");
    let running_a = a.start_with(&[]);
    assert_eq!(running_a.port(), port);
    until("they are connected again", || in_sync(&a, &b));
}
