//! The list of relays is kept, as real processes see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Instance, Place, Running, json, until};
use serde_json::{Value, json};

fn address(relay: &Running) -> Value {
    relay.status["address"].clone()
}

fn registered_at(instance: &Instance, relays: &[&Running]) {
    until("it is registered", || {
        let status = instance.json(&["status"]);
        let urls: Vec<&str> =
            status["urls"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
        urls.len() == relays.len()
            && relays.iter().all(|relay| {
                urls.iter().any(|url| url.starts_with(relay.status["address"].as_str().unwrap()))
            })
    });
}

fn a_relay_that_was_named_once_is_kept(runtime: &'static str, other: &'static str) {
    let place = Place::new();
    let keeper = Instance { runtime: other, ..place.instance("none") };
    let first = keeper.start_relay(&["--dev", "--listen", "127.0.0.1:0"]);
    let second = keeper.start_relay(&["--dev", "--listen", "127.0.0.1:0"]);
    let a = place.person("a@lama.test", runtime);
    assert_eq!(a.json(&["relay", "list"]), json!({ "relays": [] }));
    let option = first.status["option"].as_str().unwrap();
    let running = a.start_with(&["--no-listen", option]);
    registered_at(&a, &[&first]);
    let route = a.json(&["status"])["urls"][0].clone();
    assert_eq!(a.json(&["relay", "list"]), json!({ "relays": [address(&first)] }));
    running.stop();
    // Without a word of it.
    let running = a.start_with(&["--no-listen"]);
    registered_at(&a, &[&first]);
    assert_eq!(a.json(&["status"])["urls"][0], route, "under the same route");
    running.stop();

    let both = json!({ "relays": [address(&second), address(&first)] });
    assert_eq!(a.json(&["relay", "add", address(&second).as_str().unwrap(), "--first"]), both);
    assert_eq!(a.json(&["relay", "list"]), both);
    let running = a.start_with(&["--no-listen"]);
    registered_at(&a, &[&first, &second]);
    running.stop();

    // Two at one host have to be told apart.
    assert_eq!(a.failure(&["relay", "remove", "127.0.0.1"]).1["code"], "usage");
    let left = json!({ "relays": [address(&second)] });
    assert_eq!(a.json(&["relay", "remove", address(&first).as_str().unwrap()]), left);
    assert_eq!(a.failure(&["relay", "remove", "relay.test"]).1["code"], "usage");
    let running = a.start_with(&["--no-listen"]);
    registered_at(&a, &[&second]);
    running.stop();
    assert_eq!(a.json(&["relay", "remove", "127.0.0.1"]), json!({ "relays": [] }));
    // Named again, it is reached there under the route that contacts know.
    let running = a.start_with(&["--no-listen", option]);
    registered_at(&a, &[&first]);
    assert_eq!(a.json(&["status"])["urls"][0], route);
    running.stop();
}

/// While it runs: a change takes effect at once, in what the instance says and in what contacts reach, and is kept.
fn the_list_of_a_running_instance_changes_at_once(runtime: &'static str, other: &'static str) {
    let place = Place::new();
    let keeper = Instance { runtime: other, ..place.instance("none") };
    let first = keeper.start_relay(&["--dev", "--listen", "127.0.0.1:0"]);
    let second = keeper.start_relay(&["--dev", "--listen", "127.0.0.1:0"]);
    let (a, b) = (place.person("a@lama.test", runtime), place.person("b@lama.test", other));
    // It stands behind none, and is told of one.
    let running = a.start_with(&["--no-listen"]);
    assert_eq!(
        a.json(&["relay", "add", address(&first).as_str().unwrap()]),
        json!({ "relays": [address(&first)] })
    );
    registered_at(&a, &[&first]);
    let route = a.json(&["status"])["urls"][0].clone();
    // Somebody pairs through it, and is connected through it.
    let link = a.json(&["invite", "--no-wait"])["link"].as_str().unwrap().to_owned();
    json(b.command(&["join"]).env("LAMA_INVITATION", &link));
    let dialler = b.start_with(&["--no-listen"]);
    let path = |instance: &Instance| instance.json(&["status"])["peers"][0]["path"].clone();
    until("b is connected", || path(&b) == "relay");
    // A second one in front: the first is not touched, and the call through it goes on.
    let both = json!({ "relays": [address(&second), address(&first)] });
    assert_eq!(a.json(&["relay", "add", address(&second).as_str().unwrap(), "--first"]), both);
    registered_at(&a, &[&first, &second]);
    until("the new order is told", || {
        let urls = a.json(&["status"])["urls"].clone();
        urls[0].as_str().unwrap().starts_with(address(&second).as_str().unwrap()) && urls[1] == route
    });
    assert_eq!(path(&b), "relay");
    // The first one goes: b learns of the second on the session, and gets through by it after the first is gone for good.
    until("b knows both", || b.json(&["route", "list"])["routes"].as_array().unwrap().len() == 2);
    let left = json!({ "relays": [address(&second)] });
    assert_eq!(a.json(&["relay", "remove", address(&first).as_str().unwrap()]), left);
    registered_at(&a, &[&second]);
    assert_eq!(a.json(&["relay", "list"]), left);
    let best = address(&second).as_str().unwrap().split('#').next().unwrap().to_owned();
    until("b tries the one that is left first", || {
        let routes = b.json(&["route", "list"])["routes"].clone();
        routes[0]["route"].as_str().unwrap().starts_with(&best)
    });
    // Stopped it would let the call under way end.
    first.kill();
    a.json(&["send", "b@lama.test", "through the second"]);
    until("the message has arrived", || b.json(&["log"]).to_string().contains("through the second"));
    assert_eq!(a.failure(&["relay", "remove", "relay.test"]).1["code"], "usage");
    // It is kept over a restart, under the same route; none is left, and it is said.
    let route = a.json(&["status"])["urls"][0].clone();
    running.stop();
    let running = a.start_with(&["--no-listen"]);
    registered_at(&a, &[&second]);
    assert_eq!(a.json(&["status"])["urls"][0], route);
    assert_eq!(a.json(&["relay", "remove", "127.0.0.1"]), json!({ "relays": [] }));
    until("nobody can ring", || a.json(&["status"])["urls"] == json!([]));
    running.stop();
    dialler.stop();
    assert_eq!(a.json(&["relay", "list"]), json!({ "relays": [] }));
}

#[test]
fn while_it_runs_on_tokio_and_smol() {
    the_list_of_a_running_instance_changes_at_once("tokio", "smol");
}

#[test]
fn while_it_runs_on_smol_and_tokio() {
    the_list_of_a_running_instance_changes_at_once("smol", "tokio");
}

#[test]
fn on_tokio_and_smol() {
    a_relay_that_was_named_once_is_kept("tokio", "smol");
}

#[test]
fn on_smol_and_tokio() {
    a_relay_that_was_named_once_is_kept("smol", "tokio");
}
