//! Real processes through a relay: one relay, two instances that do not listen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use common::{Instance, Place, Running, json, until};

/// The route under which it is reached, once it is registered.
fn route(instance: &Instance) -> String {
    let mut found = String::new();
    until("it is registered", || {
        let status = instance.json(&["status"]);
        found = status["urls"][0].as_str().unwrap_or_default().to_owned();
        !found.is_empty()
    });
    found
}

/// `from` sends, and `to` reads it.
fn say(from: &Instance, to: &Instance, email: &str, text: &str) {
    from.json(&["send", email, text]);
    until(text, || to.json(&["log"])["channels"].to_string().contains(&format!("\"{text}\"")));
}

/// What the relay answers to anybody who asks over HTTP.
fn page(relay: &Running, path: &str) -> String {
    let mut stream = TcpStream::connect(relay.status["listen"].as_str().unwrap()).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn through_a_relay_and_again_after_restarts(runtime_a: &'static str, runtime_b: &'static str) {
    let place = Place::new();
    let key = place.path().join("relay.key");
    let keeper = Instance { runtime: runtime_b, ..place.instance("none") };
    let relay_on = |listen: &str| keeper.start_relay(&["--listen", listen, "--key", key.to_str().unwrap()]);
    let relay = relay_on("127.0.0.1:0");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!keeper.dir.exists(), "a relay needs no instance");
    let (option, listen) =
        (relay.status["option"].as_str().unwrap(), relay.status["listen"].as_str().unwrap());
    let (a, b) = (place.person("a@lama.test", runtime_a), place.person("b@lama.test", runtime_b));

    let running_a = a.start_with(&["--no-listen", option]);
    let running_b = b.start_with(&["--no-listen"]);
    let before = route(&a);
    assert!(before.starts_with(relay.status["address"].as_str().unwrap()), "{before}");
    let link = a.json(&["invite"])["link"].as_str().unwrap().to_owned();
    let contact = json(b.command(&["join"]).env("LAMA_INVITATION", &link));
    assert_eq!(contact["state"], "active", "{contact}");
    say(&b, &a, "a@lama.test", "hello");
    say(&a, &b, "b@lama.test", "hello yourself");
    assert_eq!(a.json(&["status"])["peers"][0]["path"], "relay");
    assert_eq!(b.json(&["status"])["peers"][0]["path"], "relay");
    assert!(page(&relay, "/health").ends_with("\r\n\r\nok\n"));
    assert!(page(&relay, "/metrics").contains("\nlama_relay_calls 1\n"));

    // The instance comes back with the key that it had there.
    running_a.stop();
    let running_a = a.start_with(&["--no-listen", option]);
    assert_eq!(route(&a), before);
    say(&a, &b, "b@lama.test", "back again");

    // And so does the relay.
    let (address, at) = (relay.status["address"].clone(), listen.to_owned());
    relay.kill();
    let relay = relay_on(&at);
    assert_eq!(relay.status["address"], address);
    say(&b, &a, "a@lama.test", "the relay is back");
    running_a.stop();
    running_b.stop();
    relay.stop();
}

#[test]
fn on_tokio_and_smol() {
    through_a_relay_and_again_after_restarts("tokio", "smol");
}

#[test]
fn on_smol_and_tokio() {
    through_a_relay_and_again_after_restarts("smol", "tokio");
}

#[test]
fn what_is_no_relay_is_refused() {
    let place = Place::new();
    let a = place.person("a@lama.test", "tokio");
    // Half an address.
    assert_eq!(a.run(&["run", "--relay", "ws://127.0.0.1:8770"]).status.code(), Some(2));
    // Without a key, and without --dev.
    assert_eq!(a.run(&["relay", "run", "--listen", "127.0.0.1:0"]).status.code(), Some(2));
    // An address that says nothing to clients.
    assert_eq!(a.failure(&["relay", "run", "--dev", "--listen", "0.0.0.0:0"]).1["code"], "usage");
    let relay = a.start_relay(&["--dev", "--listen", "127.0.0.1:0"]);
    let (option, at) = (relay.status["option"].as_str().unwrap(), relay.status["listen"].as_str().unwrap());
    assert_eq!(a.failure(&["run", option, option]).1["code"], "usage");
    assert_eq!(a.failure(&["relay", "run", "--dev", "--listen", at]).1["code"], "relay-listen");
    // Its key changes with every run.
    let other = a.start_relay(&["--dev", "--listen", "127.0.0.1:0"]);
    let pin = |relay: &Running| {
        relay.status["address"].as_str().unwrap().rsplit_once('#').map(|(_, pin)| pin.to_owned())
    };
    assert_ne!(pin(&relay), pin(&other));
    // What is no key is neither taken nor overwritten, and a key that others can read is not taken.
    let file = place.path().join("key");
    fs::write(&file, "no key").unwrap();
    let with_file = ["relay", "run", "--listen", "127.0.0.1:0", "--key", file.to_str().unwrap()];
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(a.failure(&with_file).0, 4);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(a.failure(&with_file).1["code"], "relay-key");
    assert_eq!(fs::read(&file).unwrap(), b"no key");
}
