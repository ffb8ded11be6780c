//! Real processes on a network of their own, in which an instance gets another address.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::time::Instant;

use common::netns::Network;
use common::{Instance, Place, json, until};

/// `from` sends, and `to` reads it.
fn say(from: &Instance, to: &Instance, email: &str, text: &str) {
    from.json(&["send", email, text]);
    until(text, || to.json(&["log"])["channels"].to_string().contains(&format!("\"{text}\"")));
}

fn in_sync(instance: &Instance) -> bool {
    instance.json(&["status"])["peers"][0]["state"] == "in_sync"
}

#[allow(clippy::disallowed_methods)] // How long it took is said, and not judged.
fn moves(runtime_a: &'static str, runtime_b: &'static str) {
    let hosts = [("relay", "10.77.0.1/24"), ("a", "10.77.0.2/24"), ("b", "10.77.0.3/24")];
    let Some(network) = Network::new(&hosts) else { return };
    let place = Place::new();
    let on = |host: &str, instance: Instance| Instance { host: Some(network.name(host)), ..instance };
    let keeper = on("relay", Instance { runtime: runtime_b, ..place.instance("none") });
    let relay = keeper.start_relay(&["--dev", "--listen", "10.77.0.1:8770"]);
    let option = relay.status["option"].as_str().unwrap();
    let a = on("a", place.person("a@lama.test", runtime_a));
    let b = on("b", place.person("b@lama.test", runtime_b));
    let running_a = a.start_with(&["--no-listen", option]);
    let running_b = b.start_with(&["--no-listen", option]);
    until("both are registered", || {
        [&a, &b].iter().all(|one| !one.json(&["status"])["urls"].as_array().unwrap().is_empty())
    });
    let link = a.json(&["invite"])["link"].as_str().unwrap().to_owned();
    assert_eq!(json(b.command(&["join", "--lan"]).env("LAMA_INVITATION", &link))["state"], "active");
    say(&a, &b, "b@lama.test", "from the old address");
    until("both are in sync", || in_sync(&a) && in_sync(&b));

    let moved = Instant::now();
    network.replace("a", "10.77.0.2/24", "10.77.0.9/24");
    a.json(&["send", "b@lama.test", "from the new address"]);
    assert_eq!(running_a.event("woken")["why"], "network");
    until("the message is there", || b.json(&["log"]).to_string().contains("\"from the new address\""));
    say(&b, &a, "a@lama.test", "to the new address");
    until("both are in sync again", || in_sync(&a) && in_sync(&b));
    println!("in sync {:?} after the address had changed", moved.elapsed());

    running_a.stop();
    running_b.stop();
    relay.stop();
}

#[test]
fn an_instance_gets_another_address_on_tokio() {
    moves("tokio", "smol");
}

#[test]
fn an_instance_gets_another_address_on_smol() {
    moves("smol", "tokio");
}

/// Two hosts that nobody else connects: they have paired over a relay that is gone, and none of the routes that they know
/// of each other leads anywhere.
#[allow(clippy::disallowed_methods)] // How long it took is said, and not judged.
fn found(runtime_a: &'static str, runtime_b: &'static str) {
    let hosts = [("relay", "10.77.0.1/24"), ("a", "10.77.0.2/24"), ("b", "10.77.0.3/24")];
    let Some(network) = Network::new(&hosts) else { return };
    let place = Place::new();
    let on = |host: &str, instance: Instance| Instance { host: Some(network.name(host)), ..instance };
    let relay = on("relay", place.instance("none")).start_relay(&["--dev", "--listen", "10.77.0.1:8770"]);
    let option = relay.status["option"].as_str().unwrap();
    let a = on("a", place.person("a@lama.test", runtime_a));
    let b = on("b", place.person("b@lama.test", runtime_b));
    let running_a = a.start_with(&["--port", "0", "--lan", option]);
    let running_b = b.start_with(&["--port", "0", "--lan"]);
    until("it is registered", || a.json(&["status"])["urls"].as_array().unwrap().len() == 2);
    let link = a.json(&["invite"])["link"].as_str().unwrap().to_owned();
    assert_eq!(json(b.command(&["join", "--lan"]).env("LAMA_INVITATION", &link))["state"], "active");
    say(&a, &b, "b@lama.test", "through the relay");
    until("the session has moved to the local network", || {
        a.json(&["status"])["peers"][0]["path"] == "direct"
    });
    relay.stop();
    say(&b, &a, "a@lama.test", "without the relay");

    // Another address, and nobody but the two knows of it.
    let moved = Instant::now();
    network.replace("a", "10.77.0.2/24", "10.77.0.9/24");
    assert_eq!(running_a.event("woken")["why"], "network");
    say(&a, &b, "b@lama.test", "from the new address");
    say(&b, &a, "a@lama.test", "to the new address");
    println!("found and in sync {:?} after the address had changed", moved.elapsed());
    assert_eq!(a.json(&["status"])["peers"][0]["path"], "direct");

    // Without the option nobody is found.
    running_b.stop();
    let running_b = b.start_with(&["--port", "0"]);
    network.replace("a", "10.77.0.9/24", "10.77.0.4/24");
    assert_eq!(running_a.event("woken")["why"], "network");
    until("it looks in vain", || a.json(&["status"])["peers"][0]["path"] != "direct");
    running_b.stop();
    let running_b = b.start_with(&["--port", "0", "--lan"]);
    until("it is found again", || a.json(&["status"])["peers"][0]["path"] == "direct");
    running_a.stop();
    running_b.stop();
}

#[test]
fn contacts_find_each_other_on_the_local_network_from_tokio() {
    found("tokio", "smol");
}

#[test]
fn contacts_find_each_other_on_the_local_network_from_smol() {
    found("smol", "tokio");
}
