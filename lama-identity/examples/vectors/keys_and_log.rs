//! A person's log, and the keys that are none.

use lama_core::Seed;
use lama_identity::{
    CertBody, Instance, InstanceCert, Keys, LocalIdentity, LogChain, LogHead, LogMessage, NoisePublic,
    NoiseSecret, PersonId, PersonLog, Revocation, Revoked, Rotation, SignPublic, SignSecret, cbor,
};
use serde_json::{Value, json};

use super::NOW;
use super::notation::hex;

/// Public keys that a reader refuses at once, with the code.
pub(crate) fn weak_keys() -> Value {
    let field = |low: u8| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, 0x7f);
        bytes
    };
    let small = |low: u8| {
        let mut bytes = [0; 32];
        bytes[0] = low;
        bytes
    };
    let good = *NoiseSecret::from_seed(Seed::danger_fixed([1; 32])).public().as_bytes();
    let mut high = good;
    high[31] |= 0x80;
    let x25519 = [small(0), small(1), field(0xec), field(0xed), field(0xee), field(0xff), high, [0xff; 32]];
    let x25519 =
        x25519.map(|key| json!({"key": hex(&key), "code": NoisePublic::try_from(key).unwrap_err().code()}));
    let mut negative_zero = small(1);
    negative_zero[31] = 0x80;
    let order_two = field(0xec);
    let good_sign = *SignSecret::from_seed(Seed::danger_fixed([1; 32])).public();
    let torsion = ed25519_dalek::VerifyingKey::from_bytes(&order_two).unwrap().to_edwards();
    let point = ed25519_dalek::VerifyingKey::from_bytes(good_sign.as_bytes()).unwrap().to_edwards();
    let mixed = (point + torsion).compress().to_bytes();
    let ed25519 = [small(0), small(1), small(2), order_two, field(0xed), field(0xee), negative_zero, mixed];
    let ed25519 =
        ed25519.map(|key| json!({"key": hex(&key), "code": SignPublic::try_from(key).unwrap_err().code()}));
    json!({"x25519_refused": x25519, "ed25519_refused": ed25519})
}

/// Two certificates, a revocation and a rotation in one chain.
pub(crate) fn person_log(me: &LocalIdentity) -> Value {
    let person = &me.person().unwrap().sign;
    let mut log = PersonLog::new(me.person_id(), *person.public());
    let (mut entries, mut bytes_of) = (Vec::new(), Vec::new());
    let mut add = |log: &mut PersonLog, kind: &str, bytes: bytes::Bytes| {
        log.append(&bytes).unwrap();
        let head = log.head();
        bytes_of.push(bytes.clone());
        entries.push(json!({"kind": kind, "bytes": hex(&bytes), "seq": head.seq, "hash": hex(&head.hash)}));
    };
    add(&mut log, "cert", me.public().cert.bytes().clone());
    let (noise, sign) = (
        NoiseSecret::from_seed(Seed::danger_fixed([11; 32])),
        SignSecret::from_seed(Seed::danger_fixed([12; 32])),
    );
    let phone = Instance::new("phone", me.person_id()).unwrap();
    let body = CertBody::new(
        &me.public().person_keys,
        &Keys::new(phone.id(), *sign.public(), *noise.public()),
        log.head(),
        NOW.unix_seconds() + 60,
    );
    let (sig, back) =
        (person.sign_input(&body.person_input().unwrap()), sign.sign_input(&body.instance_input().unwrap()));
    add(&mut log, "cert", InstanceCert::assemble(body, sig, back).unwrap().bytes().clone());
    let head = log.head();
    let revocation = Revocation {
        person_id: me.person_id(),
        signer: *person.public(),
        revoked: Revoked::Instance(*noise.public()),
        reason: "lost on a train".into(),
        seq: head.seq + 1,
        prev_hash: head.hash,
    };
    let bytes = revocation.assemble(person.sign_input(&revocation.input().unwrap())).unwrap();
    add(&mut log, "revocation", bytes);
    let new = SignSecret::from_seed(Seed::danger_fixed([13; 32]));
    let head = log.head();
    let rotation = Rotation {
        person_id: me.person_id(),
        old_key: *person.public(),
        new_key: *new.public(),
        seq: head.seq + 1,
        prev_hash: head.hash,
    };
    let input = rotation.input().unwrap();
    add(&mut log, "rotation", rotation.assemble(person.sign_input(&input), new.sign_input(&input)).unwrap());
    json!({
        "person_id": hex(&me.person_id().0),
        "first_key": hex(person.public().as_bytes()),
        "last_key": hex(new.public().as_bytes()),
        "revoked_noise": hex(noise.public().as_bytes()),
        "entries": entries,
        "messages": messages(me.person_id(), &bytes_of),
        "refused_messages": refused_messages(me.person_id()),
    })
}

/// What is said about the log on a session: a question from nothing, the answer, and the receipt.
fn messages(person: PersonId, entries: &[bytes::Bytes]) -> Vec<Value> {
    let chain = LogChain::verify(person, entries).unwrap();
    let want = LogMessage::Want { person, head: LogHead::default() };
    let (answer, upto) = LogMessage::piece(person, &chain, 0).unwrap();
    assert_eq!(upto, chain.head().seq, "it fits into one message");
    let have = LogMessage::Have { person, head: chain.head() };
    [
        ("want", want, LogHead::default(), 0),
        ("entries", answer, chain.head(), upto),
        ("have", have, chain.head(), 0),
    ]
    .map(|(kind, message, head, count)| {
        let bytes = message.to_bytes().unwrap();
        assert_eq!(LogMessage::from_bytes(&bytes).unwrap(), message);
        json!({
            "kind": kind, "bytes": hex(&bytes), "seq": head.seq, "hash": hex(&head.hash), "entries": count,
        })
    })
    .to_vec()
}

/// Messages that a reader refuses.
fn refused_messages(person: PersonId) -> Vec<Value> {
    let none: [&[u8]; 0] = [];
    let head = LogHead::default();
    let one = [serde_bytes::Bytes::new(&[1])];
    let cases = [
        ("an unknown kind", cbor::encode(&("give", person, head, none)).unwrap()),
        ("a question with entries", cbor::encode(&("want", person, head, one)).unwrap()),
        ("a receipt with entries", cbor::encode(&("have", person, head, one)).unwrap()),
        ("an answer without entries", cbor::encode(&("entries", person, head, none)).unwrap()),
        ("a field too few", cbor::encode(&("want", person, head)).unwrap()),
    ];
    let case = |(name, bytes): (&str, bytes::Bytes)| {
        assert!(LogMessage::from_bytes(&bytes).is_err(), "{name}");
        json!({ "name": name, "bytes": hex(&bytes) })
    };
    cases.into_iter().map(case).collect()
}
