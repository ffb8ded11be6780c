//! Writes the test vectors of the relay: `cargo run -p lama-relay --example lama-relay-vectors -- DIR` makes
//! `DIR/relay/*.json`. The same bytes every time. `docs/protocol/relay.md` explains the fields.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use lama_core::Seed;
use lama_identity::SignSecret;
use lama_invite::RouteUrl;
use lama_relay::wire::{FromClient, FromRelay, Hello, Register, Terms};
use lama_relay::{Binding, RelayAddress, RouteId, confirm_input, register_input, signed_host};
use serde_json::{Value, json};

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn registration(name: &str, url: &str, exporter: [u8; 32]) -> Value {
    let relay = SignSecret::from_seed(Seed::danger_fixed([1; 32]));
    let route = SignSecret::from_seed(Seed::danger_fixed([2; 32]));
    let url = RouteUrl::parse(url).unwrap();
    let host = signed_host(url.host());
    let hello = Hello { relay_key: *relay.public().as_bytes(), nonce: [3; 32], tls: exporter != [0; 32] };
    let binding = Binding { hello: &hello, host: &host, exporter: &exporter };
    let (route_key, nonce, exp) = (*route.public().as_bytes(), [4; 32], 1_900_000_000);
    let input = register_input(&binding, &route_key, &nonce, exp);
    let register = Register { route_key, nonce, exp, signature: route.sign_input(&input) };
    let confirm = confirm_input(&binding, &register);
    let signature = relay.sign_input(&confirm);
    json!({
        "name": name,
        "relay_secret": hex(&[1; 32]), "route_secret": hex(&[2; 32]),
        "address": RelayAddress::new(url, relay.public()).to_string(),
        "signed_host": host, "exporter": hex(&exporter),
        "route_id": hex(&RouteId::of(route.public()).0),
        "hello": hex(&FromRelay::Hello(hello).to_bytes()),
        "register_input": hex(&input),
        "register": hex(&FromClient::Register(register).to_bytes()),
        "confirm_input": hex(&confirm),
        "confirm": hex(&FromRelay::Confirm(signature).to_bytes()),
    })
}

fn frames() -> Value {
    let terms = Terms { links: 2, max_links: 4, ping: 25, idle: 90, draining: false };
    let draining = Terms { links: 0, draining: true, ..terms };
    let relay = [
        ("terms", FromRelay::Terms(terms)),
        ("terms, draining", FromRelay::Terms(draining)),
        ("ping", FromRelay::Ping(0x0102_0304_0506_0708)),
        ("incoming", FromRelay::Incoming),
        ("connected", FromRelay::Connected),
        ("unavailable", FromRelay::Unavailable),
    ]
    .map(|(name, frame)| json!({ "from": "relay", "name": name, "frame": hex(&frame.to_bytes()) }));
    let client = [
        ("pong", FromClient::Pong(0x0102_0304_0506_0708)),
        ("ring", FromClient::Ring(RouteId([7; 32]))),
        ("accept", FromClient::Accept),
    ]
    .map(|(name, frame)| json!({ "from": "client", "name": name, "frame": hex(&frame.to_bytes()) }));
    Value::from_iter(relay.into_iter().chain(client))
}

fn refused() -> Value {
    let hello = [&[1, 2, 0][..], &[0; 64]].concat();
    let relay = [vec![], vec![0xff], vec![1, 1], hello, vec![4, 1, 4, 0, 25, 0, 90, 2], vec![2], vec![8, 0]]
        .map(|frame| {
            let code = FromRelay::read(&frame).expect_err("refused").code();
            json!({ "from": "relay", "frame": hex(&frame), "code": code })
        });
    let client = [vec![], vec![0], vec![7; 32], vec![6, 1], vec![1], vec![9, 9]].map(|frame| {
        let code = FromClient::read(&frame).expect_err("refused").code();
        json!({ "from": "client", "frame": hex(&frame), "code": code })
    });
    Value::from_iter(relay.into_iter().chain(client))
}

/// Every file below `vectors/`, without its ending.
pub(crate) fn files() -> Vec<(&'static str, Value)> {
    let registrations = json!([
        registration("without TLS", "ws://LocalHost:8770", [0; 32]),
        registration("with TLS", "wss://relay.example/lama", [5; 32]),
        registration("an address of IPv6", "ws://[::1]:8770", [0; 32]),
    ]);
    vec![("relay/registration", registrations), ("relay/frames", frames()), ("relay/refused", refused())]
}

/// Writes them; in another program's tests they are only compared.
#[allow(dead_code)]
fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("usage: vectors DIR"));
    for (name, value) in files() {
        let text = serde_json::to_string_pretty(&value).expect("plain data") + "\n";
        let path = dir.join(name).with_extension("json");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the directory can be made");
        std::fs::write(path, text).expect("the file can be written");
    }
}
