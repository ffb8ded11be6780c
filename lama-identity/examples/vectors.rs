//! Writes the test vectors of objects and identity: `cargo run -p lama-identity --example lama-identity-vectors -- DIR`
//! makes `DIR/identity/*.json` and `DIR/dag-cbor/*.json`. The same bytes every time. `docs/protocol/identity.md` explains
//! the fields; `vectors/dag-cbor/check.py` judges the encoding with another implementation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "vectors/dag_cbor.rs"]
mod dag_cbor;
#[path = "vectors/keys_and_log.rs"]
mod keys_and_log;
#[path = "../tests/common/notation.rs"]
mod notation;

use std::path::PathBuf;

use lama_core::{Seed, WallTime};
use lama_identity::{
    Channel, ChannelEntry, Cid, Content, Email, Group, Hlc, Instance, LocalIdentity, Object, Person, Profile,
    Reference, Signer, TrustKeysCertificate, TrustOrigin, TypeTag, Unsigned, Versioned, cbor,
};
use notation::hex;
use serde_json::{Value, json};

const NOW: WallTime = WallTime::from_unix_seconds(1_800_000_000);

fn identity(n: u8, email: &str, name: &str) -> LocalIdentity {
    LocalIdentity::create(email.parse().unwrap(), name, Seed::danger_fixed([n; 32]), NOW).unwrap()
}

fn object(name: &str, bytes: &[u8]) -> Value {
    json!({ "name": name, "bytes": hex(bytes), "id": Cid::of_object(bytes).to_string() })
}

fn emails() -> Value {
    let good = ["demo@lama.local", " Demo@LAMA.local\n", "a.b+c@x-1.example", "!#$%&'*+-/=?^_`{|}~@a"];
    let good = good.map(|text| {
        let email = Email::normalise(text).unwrap();
        let person = Person::new(email);
        json!({ "text": text, "normalised": person.email.as_str(), "person_id": hex(person.id().as_bytes()) })
    });
    let long = format!("{}@a", "x".repeat(65));
    let bad = [
        "", "demo", "a@b@c", ".a@b", "a.@b", "a..b@c", "a@-b", "a@b..c", "a b@c", "\u{fc}@b", "\"a\"@b",
        &long,
    ];
    bad.iter().for_each(|text| assert!(Email::normalise(text).is_err(), "{text}"));
    json!({ "good": good, "bad": bad })
}

fn objects(me: &LocalIdentity, other: &LocalIdentity) -> Value {
    let public = me.public();
    let endpoint = public.endpoint("ws://localhost:8765").unwrap();
    let channel = Channel::direct(me.person_id(), other.person_id());
    json!([
        object("person", &public.person.to_bytes().unwrap()),
        object("instance", &public.instance.to_bytes().unwrap()),
        object("person keys", &public.person_keys.to_bytes().unwrap()),
        object("instance keys", &public.instance_keys.to_bytes().unwrap()),
        object("endpoint", &endpoint.to_bytes().unwrap()),
        object("certificate", public.cert.bytes()),
        object("channel", &channel.to_bytes().unwrap()),
        object("group", &Group::new("friends", me.person_id()).unwrap().to_bytes().unwrap()),
        object("a link", &cbor::encode(&[Cid::of_chunk(b"chunk")]).unwrap()),
        object("a reference", &cbor::encode(&[Reference(Cid::of_chunk(b"chunk"))]).unwrap()),
    ])
}

fn signed(me: &LocalIdentity, other: &LocalIdentity) -> Value {
    let sign = &me.person().unwrap().sign;
    let clock = Hlc { ms: NOW.0, count: 3 };
    let profile = Versioned {
        by: Signer::Person,
        of: me.person_id().cid().into(),
        sig: None,
        data: Profile { name: "Demo".into() },
        clock,
        type_tag: TypeTag::default(),
        author: me.person_id(),
        parents: vec![],
        instance: me.instance_id(),
    };
    let entry = ChannelEntry {
        by: Signer::Instance,
        sig: None,
        prev: None,
        clock,
        epoch: *b"epoch--A",
        heads: vec![],
        type_tag: TypeTag::default(),
        author: me.person_id(),
        channel: Channel::direct(me.person_id(), other.person_id()).id(),
        content: Content::text("hello"),
        instance: me.instance_id(),
    };
    let (mine, theirs) = (&me.public().person_keys, &other.public().person_keys);
    let trust = TrustKeysCertificate::new(mine, theirs, TrustOrigin::Token, NOW).unwrap();
    let profile = Unsigned::new(profile).unwrap().sign(sign).unwrap();
    let entry = Unsigned::new(entry).unwrap().sign(me.sign()).unwrap();
    let trust = Unsigned::new(trust).unwrap().sign(sign).unwrap();
    let case = |name: &str, label: &str, bytes: &[u8], key: &[u8; 32]| {
        let unsigned = cbor::without(bytes, &["sig"]).unwrap();
        json!({ "name": name, "label": label, "bytes": hex(bytes), "without_sig": hex(&unsigned), "key": hex(key) })
    };
    let (person, instance) = (sign.public().as_bytes(), me.sign().public().as_bytes());
    json!([
        case("profile", "LAMA/version/1", profile.bytes(), person),
        case("channel entry", "LAMA/channel-entry/1", entry.bytes(), instance),
        case("trust certificate", "LAMA/trust/1", trust.bytes(), person),
    ])
}

fn sealed(me: &LocalIdentity) -> Value {
    let seal = &me.person().unwrap().seal;
    let sealed = seal.public().seal(b"vector", b"for your eyes only", Seed::danger_fixed([9; 32])).unwrap();
    json!({
        "p_seal_secret": hex(seal.danger_expose().as_slice()),
        "context": hex(b"vector"), "plaintext": hex(b"for your eyes only"), "sealed": hex(&sealed),
    })
}

fn refused() -> Value {
    let cases: [(&str, &[u8]); 16] = [
        ("nothing", &[]),
        ("a longer integer than needed", &[0x18, 0x17]),
        ("a longer length than needed", &[0x58, 0x01, 0x00]),
        ("indefinite length", &[0x9f, 0xff]),
        ("keys out of order", &[0xa2, 0x61, b'b', 0x01, 0x61, b'a', 0x02]),
        ("a longer key first", &[0xa2, 0x62, b'a', b'a', 0x01, 0x61, b'b', 0x02]),
        ("a key twice", &[0xa2, 0x61, b'a', 0x01, 0x61, b'a', 0x02]),
        ("a key that is no text", &[0xa1, 0x01, 0x01]),
        ("a 32-bit float", &[0xfa, 0x3f, 0x80, 0x00, 0x00]),
        ("not a number", &[0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]),
        ("undefined", &[0xf7]),
        ("another tag", &[0xc1, 0x01]),
        ("a link that is no id", &[0xd8, 0x2a, 0x43, 0x00, 0x01, 0x71]),
        ("text that is not UTF-8", &[0x61, 0xff]),
        ("a byte too many", &[0x01, 0x00]),
        ("cut", &[0x62, b'a']),
    ];
    cases.iter().for_each(|(name, bytes)| assert!(cbor::check(bytes).is_err(), "{name}"));
    Value::Array(cases.iter().map(|(name, bytes)| json!({ "name": name, "bytes": hex(bytes) })).collect())
}

/// Every file below `vectors/`, without its ending.
pub(crate) fn files() -> Vec<(&'static str, Value)> {
    let (me, other) =
        (identity(1, "demo@lama.local", "browser"), identity(2, "node-demo@lama.local", "node"));
    assert_eq!(me.instance_id(), Instance::new("browser", me.person_id()).unwrap().id());
    let secrets = me.person().unwrap();
    let keys = json!({
        "psk_sign_secret": hex(secrets.sign.danger_expose().as_slice()),
        "p_seal_secret": hex(secrets.seal.danger_expose().as_slice()),
        "i_noise_secret": hex(me.noise().danger_expose().as_slice()),
        "i_sign_secret": hex(me.sign().danger_expose().as_slice()),
        "person_id": hex(me.person_id().as_bytes()),
        "other_person_id": hex(other.person_id().as_bytes()),
        "instance_id": hex(me.instance_id().as_bytes()),
        "pin": hex(me.public().pin().as_bytes()),
        "now": NOW.unix_seconds(),
    });
    vec![
        ("identity/keys", keys),
        ("identity/emails", emails()),
        ("identity/objects", objects(&me, &other)),
        ("identity/signed", signed(&me, &other)),
        ("identity/sealed", sealed(&me)),
        ("identity/refused", refused()),
        ("identity/weak-keys", keys_and_log::weak_keys()),
        ("identity/log", keys_and_log::person_log(&me)),
        ("dag-cbor/from-rust", dag_cbor::values()),
        ("dag-cbor/from-python", dag_cbor::python_again()),
        ("dag-cbor/refused", dag_cbor::refused()),
    ]
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
