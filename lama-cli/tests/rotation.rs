//! New keys for an instance, on real processes: beside a contact who is connected, and one who was away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Instance, Place, Running, failure, json, paired, until};
use serde_json::Value;

fn texts(instance: &Instance) -> Vec<String> {
    let log = instance.json(&["log"]);
    let channels = log["channels"].as_array().unwrap();
    let messages = channels.iter().flat_map(|channel| channel["messages"].as_array().unwrap());
    messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

fn key(instance: &Instance) -> String {
    instance.json(&["id"])["instance_key"].as_str().unwrap().to_owned()
}

/// What one says the other gets, in both directions.
fn they_talk(a: (&Instance, &str), b: (&Instance, &str), about: &str) {
    for ((from, _), (to, email)) in [(a, b), (b, a)] {
        let text = format!("{about}, to {email}");
        from.json(&["send", email, &text]);
        until(&text, || texts(to).contains(&text));
    }
}

const ADA: &str = "ada@lama.local";
const BOB: &str = "bob@lama.local";

/// A running instance gets new keys, on this runtime, beside a contact on the other one.
fn beside_a_connected_contact(runtimes: [&'static str; 2]) {
    let place = Place::new();
    let (desk, bob) = (place.person(ADA, runtimes[0]), place.person(BOB, runtimes[1]));
    let (at_desk, at_bob) = paired(&desk, &bob);
    let old = key(&desk);
    let open = desk.json(&["invite", "--no-wait"])["link"].as_str().unwrap().to_owned();
    let list = desk.json(&["instance", "rotate"]);
    let rows = list["instances"].as_array().unwrap();
    let new = key(&desk);
    assert_ne!(old, new);
    assert_eq!(
        (&rows[0]["key"], &rows[0]["replaced"], &rows[0]["revoked"]),
        (&old.into(), &true.into(), &3.into())
    );
    assert_eq!(
        (&rows[1]["key"], &rows[1]["this"], &rows[1]["revoked"]),
        (&new.into(), &true.into(), &Value::Null)
    );
    at_bob.event("instance_rotated");
    they_talk((&desk, ADA), (&bob, BOB), "by the new key");
    until("the revocation has arrived", || {
        let list = desk.json(&["instance", "list"]);
        (&list["instances"][0]["arrived"], &list["instances"][0]["of"]) == (&1.into(), &1.into())
    });
    // The invitation named the old key.
    let carol = place.person("carol@lama.local", "tokio");
    let pending = desk.json(&["pending"]);
    let states: Vec<&Value> =
        pending["invitations"].as_array().unwrap().iter().map(|row| &row["state"]).collect();
    assert!(states.contains(&&"revoked".into()), "{pending}");
    let (exit, error) = failure(carol.command(&["join"]).env("LAMA_INVITATION", &open));
    assert_eq!((exit, error["code"].as_str()), (6, Some("node.invitation-refused")), "{error}");
    // It is the same process, and a second time works as the first.
    desk.json(&["instance", "rotate"]);
    they_talk((&desk, ADA), (&bob, BOB), "by the third key");
    at_desk.stop();
    at_bob.stop();
}

#[test]
fn a_running_instance_gets_new_keys_on_tokio() {
    beside_a_connected_contact(["tokio", "smol"]);
}

#[test]
fn a_running_instance_gets_new_keys_on_smol() {
    beside_a_connected_contact(["smol", "tokio"]);
}

#[test]
fn a_contact_who_only_dials_and_was_away_comes_by_the_old_key() {
    let place = Place::new();
    let (desk, bob) = (place.instance("desk"), place.person(BOB, "smol"));
    let with = |command: &mut std::process::Command| json(command.env("LAMA_PASSPHRASE", "correct horse"));
    // The keys are sealed by a passphrase, which each command has to give.
    with(&mut desk.command(&["init", ADA, "--name", "desk"]));
    let start = |instance: &Instance, args: &[&str]| -> Running { instance.start_with(args) };
    let sealed = |args: &[&str]| with(&mut desk.command(args));
    sealed(&["passphrase", "--no-passphrase"]);
    let (at_desk, at_bob) = paired(&desk, &bob);
    let port = at_desk.port();
    at_bob.stop();
    at_desk.stop();
    let mut seal = desk.command(&["passphrase"]);
    json(seal.env("LAMA_NEW_PASSPHRASE", "correct horse"));
    sealed(&["send", BOB, "signed by the first key"]);
    // Nobody runs. Without the passphrase nothing happens; with it twice over.
    let before = key(&desk);
    assert_eq!(desk.failure(&["instance", "rotate"]).1["code"], "passphrase_needed");
    assert_eq!(key(&desk), before);
    let list = sealed(&["instance", "rotate"]);
    assert_eq!(list["entries"], 3, "{list}");
    let list = sealed(&["instance", "rotate"]);
    assert_eq!((&list["entries"], &list["instances"][1]["arrived"]), (&5.into(), &0.into()), "{list}");
    json(desk.command(&["passphrase", "--no-passphrase"]).env("LAMA_PASSPHRASE", "correct horse"));
    let at_desk = start(&desk, &["--port", &port]);
    let at_bob = start(&bob, &["--no-listen"]);
    at_bob.event("instance_rotated");
    they_talk((&desk, ADA), (&bob, BOB), "found again");
    assert!(texts(&bob).contains(&"signed by the first key".to_owned()));
    at_bob.stop();
    at_desk.stop();
}

#[test]
fn a_backup_of_before_is_let_in_nowhere_and_one_of_after_everywhere() {
    let place = Place::new();
    let (desk, bob) = (place.person(ADA, "tokio"), place.person(BOB, "smol"));
    let (at_desk, _at_bob) = paired(&desk, &bob);
    let export = |name: &str| {
        let file = place.path().join(name);
        json(desk.command(&["store", "export"]).arg(&file).env("LAMA_BACKUP_PASSPHRASE", "of the backup"));
        file
    };
    at_desk.stop();
    let before = export("before");
    desk.json(&["instance", "rotate"]);
    let at_desk = desk.start();
    they_talk((&desk, ADA), (&bob, BOB), "by the new key");
    at_desk.stop();
    let after = export("after");
    for (file, connects) in [(&before, false), (&after, true)] {
        let again = place.instance(if connects { "from after" } else { "from before" });
        let mut import = again.command(&["store", "import", "--no-passphrase"]);
        json(import.arg(file).env("LAMA_BACKUP_PASSPHRASE", "of the backup"));
        let running = again.start();
        if connects {
            they_talk((&again, ADA), (&bob, BOB), "restored");
        } else {
            running.event("link_refused");
            again.json(&["send", BOB, "let me in"]);
            assert_eq!(again.json(&["status"])["peers"][0]["session"], Value::Null);
        }
        running.stop();
    }
    assert!(!texts(&bob).contains(&"let me in".to_owned()));
}

#[test]
fn a_person_gets_another_key_while_a_contact_is_connected_and_while_he_is_away() {
    for runtimes in [["tokio", "smol"], ["smol", "tokio"]] {
        let place = Place::new();
        let (desk, bob) = (place.person(ADA, runtimes[0]), place.person(BOB, runtimes[1]));
        let (at_desk, at_bob) = paired(&desk, &bob);
        let fingerprint = || desk.json(&["id"])["fingerprint"].as_str().unwrap().to_owned();
        let known = || bob.json(&["contacts"])["contacts"][0]["fingerprint"].as_str().unwrap().to_owned();
        let first = fingerprint();
        assert_eq!(known(), first);
        let list = desk.json(&["person", "rotate"]);
        assert_eq!((&list["entries"], &list["fingerprint"]), (&3.into(), &fingerprint().into()), "{list}");
        assert_eq!(at_bob.event("person_rotated")["before"], first.as_str());
        until("the contact follows", || known() == fingerprint());
        they_talk((&desk, ADA), (&bob, BOB), "by the new key");
        at_bob.stop();
        // While he is away: the person's key, then the instance's, then the person's again.
        for command in ["person", "instance", "person"] {
            desk.json(&[command, "rotate"]);
        }
        let at_bob = bob.start_with(&["--no-listen"]);
        until("he hears of it", || known() == fingerprint());
        they_talk((&desk, ADA), (&bob, BOB), "again");
        let health = String::from_utf8(bob.run(&["--json", "doctor"]).stdout).unwrap();
        assert!(health.contains("clock.forward") && !health.contains("alarm."), "{health}");
        // The new key pairs.
        let carol = place.person("carol@lama.local", "tokio");
        let at_carol = carol.start();
        let link = desk.json(&["invite", "--no-wait"])["link"].as_str().unwrap().to_owned();
        let contact = json(carol.command(&["join"]).env("LAMA_INVITATION", &link));
        assert_eq!(contact["fingerprint"], fingerprint().as_str(), "{contact}");
        for running in [at_carol, at_bob, at_desk] {
            running.stop();
        }
    }
}
