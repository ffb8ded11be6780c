//! Writes the vectors of the invitation format: `cargo run -p lama-invite --example lama-invite-vectors -- DIR` makes
//! `DIR/invite/*.json`. The same bytes every time. `docs/protocol/invitation.md` explains the fields.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use core::time::Duration;
use std::path::PathBuf;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use lama_core::{Seed, WallTime};
use lama_identity::{NoiseSecret, PersonId, PersonPin, cbor};
use lama_invite::{
    Config, DialRules, Draft, Invitation, LAMA_BASE, LinkOrigin, Policy, Route, RouteUrl, Via, parse,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const NOW: u64 = 1_800_000_000;

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn sha(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn route(url: &str) -> Route {
    Route::direct(url).unwrap()
}

fn draft(routes: Vec<Route>, policy: Policy, lifetime: u64) -> Draft {
    Draft {
        r_static: *NoiseSecret::from_seed(Seed::danger_fixed(sha("inviter noise"))).public(),
        r_person_id: PersonId(sha("inviter person id")),
        r_person_pin: PersonPin(sha("inviter person signing key")),
        routes,
        policy,
        lifetime: Some(Duration::from_secs(lifetime)),
    }
}

fn valid(name: &str, draft: Draft, base: &str) -> Value {
    let now = WallTime::from_unix_seconds(NOW);
    let seed = Seed::danger_fixed(sha(name));
    let made = Invitation::create(draft, &Config::default(), now, seed).unwrap();
    let encoded = made.to_bytes().unwrap();
    let routes = made.routes().iter().map(|route| {
        json!({
            "url": route.url.as_str(),
            "relay_pin": route.via.map(|via| hex(&via.relay_pin)),
            "route_id": route.via.map(|via| hex(&via.route_id)),
        })
    });
    json!({
        "name": name,
        "v": 1,
        "suite": 1,
        "token": hex(made.danger_token().expose()),
        "r_static": hex(made.r_static().as_bytes()),
        "r_person_id": hex(made.r_person_id().as_bytes()),
        "r_person_pin": hex(made.r_person_pin().as_bytes()),
        "routes": routes.collect::<Vec<_>>(),
        "policy": if made.policy() == Policy::Auto { "auto" } else { "confirm" },
        "exp": made.exp().unix_seconds(),
        "encoded": hex(&encoded),
        "encoded_without_token": hex(&cbor::without(&encoded, &["token"]).unwrap()),
        "link": *made.to_link(base).unwrap(),
        "info": hex(&made.info()),
        "psk": hex(made.psk().expose()),
        "locator": hex(made.locator().as_bytes()),
        "locator_text": made.locator().to_string(),
    })
}

fn all_valid() -> Value {
    let relay = Route {
        url: RouteUrl::parse("wss://relay.lama.example/lama").unwrap(),
        via: Some(Via { relay_pin: sha("relay key"), route_id: sha("route key") }),
    };
    json!([
        valid("direct", draft(vec![route("ws://localhost:8765")], Policy::Auto, 900), LAMA_BASE),
        valid(
            "confirm",
            draft(vec![route("wss://lama.example")], Policy::Confirm, 86_400),
            "https://lama.example/join"
        ),
        valid("relay", draft(vec![route("ws://192.168.1.2:8765"), relay], Policy::Auto, 1), LAMA_BASE),
        valid("ipv6", draft(vec![route("ws://[::1]:8765/x")], Policy::Confirm, 60), "lama:"),
    ])
}

/// A link around any body, with check bytes that fit.
fn link_of(body: &[u8]) -> String {
    let check = Sha256::new().chain_update(b"LAMA/link/1\0").chain_update(body).finalize();
    let check = check.first_chunk::<4>().copied().unwrap();
    format!("{LAMA_BASE}#{}", BASE64URL_NOPAD.encode(&[body, &check].concat()))
}

/// Replaces the only occurrence of `old`.
fn replaced(body: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = body.windows(old.len()).position(|window| window == old).unwrap();
    let (head, tail) = body.split_at(at);
    [head, new, tail.get(old.len()..).unwrap()].concat()
}

fn all_refused() -> Value {
    let now = WallTime::from_unix_seconds(NOW);
    let direct = draft(vec![route("ws://localhost:8765")], Policy::Auto, 900);
    let made =
        Invitation::create(direct, &Config::default(), now, Seed::danger_fixed(sha("direct"))).unwrap();
    let link = made.to_link(LAMA_BASE).unwrap();
    let body = made.to_bytes().unwrap();
    let fragment = link.split_once('#').unwrap().1;
    let case = |name: &str, link: String, secs: u64, me: Option<PersonId>, origin: LinkOrigin| {
        let rules = DialRules { lan: false, origin };
        let error = parse(&link, WallTime::from_unix_seconds(NOW + secs), me, rules).unwrap_err();
        json!({
            "name": name, "link": link, "now": NOW + secs, "code": error.code(),
            "me": me.map(|me| hex(me.as_bytes())), "opened_by_another_program": origin == LinkOrigin::Opened,
        })
    };
    let plain = |name: &str, link: String| case(name, link, 0, None, LinkOrigin::Handed);
    let with = |name: &str, old: &[u8], new: &[u8]| plain(name, link_of(&replaced(&body, old, new)));
    let swapped = if fragment.ends_with('A') { 'B' } else { 'A' };
    let changed = format!("{}{swapped}", link.get(..link.len() - 1).unwrap());
    json!([
        plain("empty", String::new()),
        plain("foreign scheme", format!("ftp://lama.example#{fragment}")),
        plain("plain http of another machine", format!("http://lama.example/join#{fragment}")),
        plain("no fragment", LAMA_BASE.to_owned()),
        plain("cut", link.get(..link.len() - 7).unwrap().to_owned()),
        plain("changed", changed),
        plain("wrapped", format!("{LAMA_BASE}#{}", fragment.replacen('W', "W\n", 1))),
        with("newer version", b"\x61v\x01", b"\x61v\x02"),
        with("not the shortest form", b"\x65suite\x01", b"\x65suite\x18\x01"),
        with("unknown suite", b"\x65suite\x01", b"\x65suite\x02"),
        with("unknown policy", b"\x64auto", b"\x64warm"),
        with("small-order key", made.r_static().as_bytes(), &[0; 32]),
        with("url with credentials", b"ws://localhost:8765", b"ws://a@localhost:87"),
        with("url of another scheme", b"ws://localhost:8765", b"ht://localhost:8765"),
        with("private address without --lan", b"ws://localhost:8765", b"ws://10.11.122.1:87"),
        case("loopback in an opened link", link.to_string(), 0, None, LinkOrigin::Opened),
        case("expired", link.to_string(), 900, None, LinkOrigin::Handed),
        case("same person", link.to_string(), 0, Some(made.r_person_id()), LinkOrigin::Handed),
    ])
}

/// Every file below `vectors/`, without its ending.
pub(crate) fn files() -> Vec<(&'static str, Value)> {
    vec![("invite/valid", all_valid()), ("invite/refused", all_refused())]
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
