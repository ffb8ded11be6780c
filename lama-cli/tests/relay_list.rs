//! The list of relays is kept, as real processes see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Instance, Place, Running, until};
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
    // While it runs the list can be seen, and not changed.
    assert_eq!(a.json(&["relay", "list"]), json!({ "relays": [address(&first)] }));
    assert_eq!(a.failure(&["relay", "remove", "127.0.0.1"]).0, 4);
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

#[test]
fn on_tokio_and_smol() {
    a_relay_that_was_named_once_is_kept("tokio", "smol");
}

#[test]
fn on_smol_and_tokio() {
    a_relay_that_was_named_once_is_kept("smol", "tokio");
}
