//! Making, describing and locking an instance: what a shell and a script see.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Place, failure, json, with_input};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn init_makes_a_private_directory_once_and_id_describes_it() {
    let place = Place::new();
    let instance = place.instance("data");
    let made = instance.json(&["init", "Demo@Lama.local", "--name", "desk", "--no-passphrase"]);
    assert_eq!(made["email"], "demo@lama.local");
    assert_eq!(made["name"], "desk");
    assert_eq!(made["passphrase"], false);
    assert_eq!(mode(&instance.dir), 0o700);
    for entry in fs::read_dir(&instance.dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(instance.json(&["id"]), made);
    let (exit, error) = instance.failure(&["init", "demo@lama.local", "--no-passphrase"]);
    assert_eq!((exit, error["code"].as_str().unwrap()), (4, "already_initialised"));
    // The fields of this answer, for those who read it by a program: only ever more of them.
    let mut fields: Vec<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let known = [
        "created",
        "data",
        "email",
        "fingerprint",
        "instance",
        "instance_key",
        "name",
        "passphrase",
        "person",
    ];
    assert_eq!(fields, known);
}

#[test]
fn one_mailbox_is_one_person_and_every_instance_its_own() {
    let place = Place::new();
    let (a, b) = (place.instance("a"), place.instance("b"));
    let a = a.json(&["init", "a@b.example", "--no-passphrase", "--name", "x"]);
    let b = b.json(&["init", " A@B.Example ", "--no-passphrase", "--name", "y"]);
    assert_eq!(a["person"], b["person"]);
    assert_ne!(a["instance"], b["instance"]);
    assert_ne!(a["instance_key"], b["instance_key"]);
}

#[test]
fn no_instance_no_answer() {
    let place = Place::new();
    for command in [&["id"][..], &["contacts"], &["run"], &["status"], &["send", "a@b.c", "x"]] {
        let (exit, error) = place.instance("nothing").failure(command);
        assert_eq!((exit, error["code"].as_str().unwrap()), (3, "no_data_dir"), "{command:?}");
    }
}

#[test]
fn keys_that_others_can_read_are_refused_with_the_remedy() {
    let place = Place::new();
    let instance = place.person("a@b.c", "tokio");
    let keys = instance.dir.join("keys.lama");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    for command in [&["id"][..], &["contacts"], &["run", "--port", "0"]] {
        let (exit, error) = instance.failure(command);
        assert_eq!((exit, error["code"].as_str().unwrap()), (4, "exposed"));
        assert!(error["message"].as_str().unwrap().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&instance.dir, fs::Permissions::from_mode(0o755)).unwrap();
    let (exit, error) = instance.failure(&["id"]);
    assert_eq!(exit, 4);
    assert!(error["message"].as_str().unwrap().contains("chmod 700"), "{error}");
}

#[test]
fn a_passphrase_comes_by_environment_or_descriptor_and_a_wrong_one_is_refused() {
    let place = Place::new();
    let instance = place.instance("data");
    let made = json(instance.command(&["init", "a@b.c"]).env("LAMA_PASSPHRASE", "correct horse"));
    assert_eq!(made["passphrase"], true);
    // What needs no secret needs no passphrase.
    assert_eq!(instance.json(&["id"])["email"], "a@b.c");
    let (exit, error) = instance.failure(&["contacts"]);
    assert_eq!((exit, error["code"].as_str().unwrap()), (5, "passphrase_needed"));
    let (exit, wrong) = failure(instance.command(&["contacts"]).env("LAMA_PASSPHRASE", "wrong"));
    assert_eq!((exit, wrong["code"].as_str().unwrap()), (5, "locked"));
    let output = with_input(&mut instance.command(&["contacts", "--passphrase-fd", "0"]), "wrong\n");
    assert_eq!(output.status.code(), Some(5));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error[locked]: ") && stderr.lines().count() == 1, "{stderr}");

    // A damaged file looks the same from outside.
    let keys = instance.dir.join("keys.lama");
    let mut bytes = fs::read(&keys).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&keys, &bytes).unwrap();
    let (exit, damaged) = failure(instance.command(&["contacts"]).env("LAMA_PASSPHRASE", "correct horse"));
    assert_eq!((exit, damaged), (5, wrong));
}

#[test]
fn a_passphrase_can_be_changed_and_taken_away() {
    let place = Place::new();
    let instance = place.instance("data");
    json(instance.command(&["init", "a@b.c"]).env("LAMA_PASSPHRASE", "old"));
    let change = |old: &str, new: &str| {
        let mut command = instance.command(&["passphrase"]);
        command.env("LAMA_PASSPHRASE", old).env("LAMA_NEW_PASSPHRASE", new);
        command
    };
    assert_eq!(failure(&mut change("wrong", "new")).0, 5);
    json(&mut change("old", "new"));
    assert_eq!(failure(&mut change("old", "newer")).0, 5);
    json(instance.command(&["passphrase", "--no-passphrase"]).env("LAMA_PASSPHRASE", "new"));
    assert_eq!(instance.json(&["id"])["passphrase"], false);
}

#[test]
fn wrong_usage_and_bad_addresses() {
    let place = Place::new();
    let instance = place.instance("data");
    assert_eq!(instance.run(&["nonsense"]).status.code(), Some(2));
    assert_eq!(instance.run(&["invite", "--for", "3d"]).status.code(), Some(2));
    let (exit, error) = instance.failure(&["init", "no address", "--no-passphrase"]);
    assert_eq!(exit, 6, "{error}");
    assert!(!instance.dir.exists(), "nothing was made");
    // One line, or JSON, as every other error.
    let (exit, error) = instance.failure(&["nonsense"]);
    assert_eq!((exit, error["code"].as_str()), (2, Some("usage")), "{error}");
    let said = instance.run(&["init"]).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with("error[usage]: ") && said.lines().count() == 1, "{said}");
    assert!(said.contains("EMAIL") && said.contains("lama --help"), "{said}");
}

#[test]
fn quiet_says_nothing_but_answers_and_errors() {
    let place = Place::new();
    let instance = place.person("a@b.c", "tokio");
    let quiet = instance.run(&["--quiet", "invite", "--no-wait"]);
    assert!(quiet.status.success() && quiet.stderr.is_empty(), "{}", String::from_utf8_lossy(&quiet.stderr));
    assert!(quiet.stdout.starts_with(b"lama://join#"));
    let loud = instance.run(&["invite", "--no-wait"]);
    assert!(!loud.stderr.is_empty());
    assert!(!instance.run(&["-q", "send", "nobody@b.c", "x"]).stderr.is_empty(), "errors are said");
}

#[test]
fn the_keys_are_never_shared() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (_running_a, _running_b) = common::paired(&a, &b);
    let keys = a.dir.join("keys.lama");
    for path in [&a.dir, &b.dir, &keys] {
        let (exit, error) = a.failure(&["share", path.to_str().unwrap()]);
        assert_eq!((exit, error["code"].as_str()), (4, Some("holds_keys")), "{error}");
    }
    // Both data directories lie in here, and so does one good file.
    std::fs::write(place.path().join("good"), "x").unwrap();
    assert_eq!(a.json(&["share", place.path().to_str().unwrap()])["files"], 1);
}

#[test]
fn an_invitation_is_never_an_argument_and_a_bad_one_is_refused_before_any_network() {
    let place = Place::new();
    let instance = place.person("a@b.c", "tokio");
    let (exit, error) = instance.failure(&["join", "lama://join#secret"]);
    assert_eq!((exit, error["code"].as_str().unwrap()), (2, "usage"));
    assert!(!error["message"].as_str().unwrap().contains("secret#"));
    for link in ["", "nonsense", "lama://join", "lama://join#AAAA", "https://example.org/#%%%"] {
        let (exit, error) = failure(instance.command(&["join"]).env("LAMA_INVITATION", link));
        assert_eq!(exit, 6, "{link}: {error}");
        assert!(!instance.dir.join("store.redb").exists(), "nothing was started");
    }
}
