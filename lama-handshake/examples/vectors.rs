//! Writes the test vectors of handshake and session: `cargo run -p lama-handshake --example lama-handshake-vectors -- DIR`
//! makes `DIR/handshake/*.json`. The same bytes every time. `docs/protocol/handshake.md` and `session.md` explain the
//! fields.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::PathBuf;

use bytes::BytesMut;
use data_encoding::HEXLOWER;
use lama_core::{Instant, Now, Seed, WallTime};
use lama_handshake::groups::{Frame, GroupName, MIN_CREDIT, RefuseCode};
use lama_handshake::{
    Access, BootId, Config, Dial, Established, Expect, Group, Initiator, Introduction, Message1, Mux,
    PinnedPerson, Received, StreamId, Via,
};
use lama_identity::{LocalIdentity, Signature};
use lama_invite::{Draft, Invitation, LAMA_BASE, Policy, Route};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

const NOW: u64 = 1_800_000_000;

fn hex(bytes: &[u8]) -> Value {
    Value::String(HEXLOWER.encode(bytes))
}

fn seed(label: &str) -> Seed {
    Seed::danger_fixed(Sha256::digest(label.as_bytes()).into())
}

fn now() -> Now {
    Now { mono: Instant::ORIGIN, wall: WallTime::from_unix_seconds(NOW) }
}

fn identity(email: &str, name: &str) -> LocalIdentity {
    LocalIdentity::create(email.parse().unwrap(), name, seed(email), now().wall).unwrap()
}

/// Everything about one side that a second implementation needs to play it.
fn side(me: &LocalIdentity, handshake: &str, boot: u8, url: &str) -> Value {
    let secrets = me.person().unwrap();
    let public = me.public();
    json!({
        "email": public.person.email.as_str(),
        "instance_name": public.instance.name,
        "url": url,
        "i_noise_secret": hex(me.noise().danger_expose().as_slice()),
        "i_sign_secret": hex(me.sign().danger_expose().as_slice()),
        "psk_sign_secret": hex(secrets.sign.danger_expose().as_slice()),
        "p_seal_secret": hex(secrets.seal.danger_expose().as_slice()),
        "ephemeral_secret": hex(seed(handshake).child("ephemeral").expose().as_slice()),
        "sas_nonce": hex(seed(handshake).derive("sas").as_slice()),
        "boot_id": hex(&[boot; 16]),
        "person_id": hex(public.person_id().as_bytes()),
        "person_pin": hex(public.pin().as_bytes()),
        "instance_id": hex(public.instance_id().as_bytes()),
        "i_noise": hex(public.noise().as_bytes()),
        "cert": hex(public.cert.bytes()),
    })
}

fn introduction(me: &LocalIdentity, group: Group, boot: u8, url: &str) -> Introduction {
    let endpoint = me.public().endpoint(url).unwrap();
    Introduction::new(me.public().clone(), endpoint, group, BootId([boot; 16]))
}

fn sign(me: &LocalIdentity, input: &[u8]) -> Signature {
    me.person().unwrap().sign.sign_input(input)
}

fn take(out: &mut BytesMut) -> BytesMut {
    out.split()
}

/// Runs a handshake and a few records, and writes down every byte.
fn transcript(
    name: &str,
    invitation: Option<&Invitation>,
    out: &mut Map<String, Value>,
) -> (Established, Established) {
    let (i, r) = (identity("demo@lama.local", "browser"), identity("node-demo@lama.local", "node"));
    let (i_seed, r_seed) = (format!("{name} initiator"), format!("{name} responder"));
    let (group, psk) = match invitation {
        Some(invitation) => (Group::Pairing, Some(invitation.psk())),
        None => (Group::Chum, None),
    };
    out.insert("initiator".into(), side(&i, &i_seed, 1, ""));
    out.insert("responder".into(), side(&r, &r_seed, 2, "ws://localhost:8765"));
    let access = match (invitation, &psk) {
        (Some(invitation), Some(psk)) => Access::Pairing { locator: invitation.locator(), psk },
        _ => Access::Known,
    };
    let person = PinnedPerson { id: r.person_id(), pin: r.public().pin() };
    let dial = Dial { instance: *r.public().noise(), person, access, via: Via::Direct };
    let mut wire = BytesMut::new();

    let initiator = Initiator::dial(&dial, seed(&i_seed), &mut wire).unwrap();
    let message1 = take(&mut wire);
    let read = Message1::read(&message1, Via::Direct).unwrap();
    out.insert("tag".into(), hex(read.tag().as_bytes()));
    let responder = read.answer(r.noise(), psk.as_ref(), seed(&r_seed), &mut wire).unwrap();
    let message2 = take(&mut wire);
    let keyed = initiator.read_message2(&message2, i.noise(), &mut wire).unwrap();
    let message3 = take(&mut wire);
    out.insert("message1".into(), hex(&message1));
    out.insert("message2".into(), hex(&message2));
    out.insert("message3".into(), hex(&message3));
    out.insert("h".into(), hex(keyed.handshake_hash()));

    let proved = responder.read_message3(&message3).unwrap();
    let signing = keyed.introduce(&introduction(&i, group, 1, "")).unwrap();
    out.insert("auth_i_input".into(), hex(signing.to_sign()));
    let signature = sign(&i, signing.to_sign());
    let initiator = signing.signed(signature, &mut wire).unwrap();
    let auth_i = take(&mut wire);
    out.insert("auth_i".into(), hex(&auth_i));
    let known = PinnedPerson { id: i.person_id(), pin: i.public().pin() };
    let expect =
        Expect { person: invitation.is_none().then_some(known), wall: now().wall, ..Expect::default() };
    let verified = proved.read_auth(auth_i, r.public(), &expect).unwrap();
    let signing = verified.introduce(&introduction(&r, group, 2, "ws://localhost:8765")).unwrap();
    out.insert("auth_r_input".into(), hex(signing.to_sign()));
    let signature = sign(&r, signing.to_sign());
    let responder = signing.signed(signature, &mut wire).unwrap();
    let auth_r = take(&mut wire);
    out.insert("auth_r".into(), hex(&auth_r));

    let expect = Expect { wall: now().wall, ..Expect::default() };
    let verified = initiator.read_auth(auth_r, &expect).unwrap();
    out.insert("pair_key".into(), hex(verified.pair_key().expose()));
    out.insert("pair_key_id".into(), hex(&verified.pair_key().id().0));
    let code = verified.check_code().map(|code| Value::String(code.to_string()));
    out.insert("check_code".into(), code.unwrap_or_default());
    let initiator = verified.ready(&Config::default(), now(), &mut wire).unwrap();
    let ready_i = take(&mut wire);
    out.insert("ready_i".into(), hex(&ready_i));
    let responder = responder.read_ready(ready_i, &Config::default(), now()).unwrap();
    (initiator, responder)
}

/// The next record; `message` is sent on `stream` if there is nothing more urgent.
fn frame(mux: &mut Mux, message: Option<(StreamId, &[u8])>) -> BytesMut {
    let mut message = message;
    let mut out = BytesMut::new();
    let sent = mux.poll_frame(
        &mut |stream, _, out| match message.take_if(|(on, _)| *on == stream) {
            Some((_, bytes)) => {
                out.extend_from_slice(bytes);
                true
            }
            None => false,
        },
        &mut out,
    );
    assert!(sent, "a record was expected");
    out
}

fn records(mut i: Established, mut r: Established) -> Vec<Value> {
    let long: Vec<u8> = (0..70_000_u32).map(|n| (n % 251) as u8).collect();
    let mut all = vec![];
    let mut pass = |from: &str, record: BytesMut, to: &mut Mux| {
        let digest = Sha256::digest(&record);
        let bytes = if record.len() <= 300 { hex(&record) } else { Value::Null };
        all.push(json!({ "from": from, "len": record.len(), "record": bytes, "sha256": hex(&digest) }));
        to.open(now(), record).unwrap()
    };
    r.mux.acknowledge().unwrap();
    assert_eq!(pass("responder", frame(&mut r.mux, None), &mut i.mux), Received::Ready);
    let hello = b"hello from the initiator";
    let got = pass("initiator", frame(&mut i.mux, Some((StreamId::CONTROL, hello))), &mut r.mux);
    assert!(matches!(got, Received::Message { message, .. } if message.as_ref() == hello));
    let first = frame(&mut r.mux, Some((StreamId::OBJECTS, &long)));
    assert_eq!(pass("responder", first, &mut i.mux), Received::Nothing);
    let second = frame(&mut r.mux, None);
    let got = pass("responder", second, &mut i.mux);
    assert!(matches!(&got, Received::Message { message, .. } if message.as_ref() == long));
    r.mux.close(lama_handshake::CloseCode::Done);
    let close = frame(&mut r.mux, None);
    assert!(matches!(pass("responder", close, &mut i.mux), Received::Closed(_)));
    all
}

fn pairing() -> Value {
    let r = identity("node-demo@lama.local", "node");
    let draft = Draft {
        r_static: *r.public().noise(),
        r_person_id: r.person_id(),
        r_person_pin: r.public().pin(),
        routes: vec![Route::direct("ws://localhost:8765").unwrap()],
        policy: Policy::Auto,
        lifetime: None,
    };
    let invitation =
        Invitation::create(draft, &lama_invite::Config::default(), now().wall, seed("pairing token"))
            .unwrap();
    let mut out = Map::new();
    out.insert("now".into(), NOW.into());
    out.insert("link".into(), Value::String(invitation.to_link(LAMA_BASE).unwrap().to_string()));
    let (i, r) = transcript("pairing", Some(&invitation), &mut out);
    out.insert("records".into(), records(i, r).into());
    Value::Object(out)
}

fn known() -> Value {
    let mut out = Map::new();
    out.insert("now".into(), NOW.into());
    let (i, r) = transcript("known", None, &mut out);
    out.insert("records".into(), records(i, r).into());
    Value::Object(out)
}

/// Each frame of a connection with what it says, and beginnings of frames that are none.
fn groups() -> Value {
    let name = |text| GroupName::new(text).unwrap();
    let frames = [
        (
            json!({ "frame": "open", "number": 0, "credit": 262_144, "group": "org.example.chess" }),
            Frame::Open { number: 0, credit: 262_144, group: name("org.example.chess") },
        ),
        (
            json!({ "frame": "accept", "number": 0, "credit": MIN_CREDIT }),
            Frame::Accept { number: 0, credit: MIN_CREDIT },
        ),
        (
            json!({ "frame": "refuse", "number": 1, "code": 2 }),
            Frame::Refuse { number: 1, code: RefuseCode::NotAllowed },
        ),
        (
            json!({ "frame": "message", "number": 0, "message": hex(b"e4") }),
            Frame::Message { number: 0, message: b"e4"[..].into() },
        ),
        (json!({ "frame": "credit", "number": 258, "credit": 1 }), Frame::Credit { number: 258, credit: 1 }),
        (json!({ "frame": "close", "number": 0 }), Frame::Close { number: 0 }),
    ];
    let good = frames.map(|(mut says, frame)| {
        let mut bytes = BytesMut::new();
        frame.write(&mut bytes);
        assert_eq!(Frame::read(bytes.clone().freeze()), Ok(frame));
        says.as_object_mut().unwrap().insert("bytes".into(), hex(&bytes));
        says
    });
    let wrong: [(&str, &[u8]); 6] = [
        ("no type", b""),
        ("a type that there is not", b"\x07\0\0\0\0"),
        ("no number", b"\x06\0\0"),
        ("more than CLOSE has", b"\x06\0\0\0\0\0"),
        ("a name with a capital letter", b"\x01\0\0\0\0\0\x04\0\0Chess"),
        ("no name", b"\x01\0\0\0\0\0\x04\0\0"),
    ];
    let bad = wrong.map(|(why, bytes)| {
        assert!(Frame::read(bytes.into()).is_err());
        json!({ "why": why, "bytes": hex(bytes) })
    });
    json!({ "frames": good, "malformed": bad })
}

/// Every file below `vectors/`, without its ending.
pub(crate) fn files() -> Vec<(&'static str, Value)> {
    vec![("handshake/pairing", pairing()), ("handshake/known", known()), ("handshake/groups", groups())]
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
