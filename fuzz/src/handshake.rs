//! Handshake messages, Auth, READY and REJECT, records, and the session: against a peer that has real keys and writes
//! whatever it likes.

use std::sync::LazyLock;

use bytes::BytesMut;
use lama_handshake::record::{BUCKETS, MAX_BODY, MAX_RECORD};
use lama_handshake::*;

use crate::handshake_support::*;

/// The first byte of an input says which handshake it is.
fn mode(byte: u8) -> Mode {
    if byte & 1 == 0 { Mode::Pairing } else { Mode::Known }
}

/// A genuine message with changes: each three bytes of the input are an offset and a byte to add. What is left of the
/// input cuts it short or is appended.
fn changed(genuine: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut message = genuine.to_vec();
    let (changes, rest) = changes.as_chunks::<3>();
    for [high, low, add] in changes {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % message.len();
        message[at] = message[at].wrapping_add(*add);
    }
    match rest {
        [] => {}
        [cut] => message.truncate(usize::from(*cut)),
        more => message.extend_from_slice(more),
    }
    message
}

/// Message 1 at the responder: only the genuine one is answered, and nothing else lets a byte out.
pub fn message1(data: &[u8]) {
    let Some((first, changes)) = data.split_first() else { return };
    let (mode, bob) = (mode(*first), bob());
    let (_, genuine) = dial(&bob, mode);
    for message in [changes.to_vec(), changed(&genuine, changes)] {
        let mut out = BytesMut::new();
        let answered = Message1::read(&message, Via::Direct)
            .and_then(|first| first.answer(bob.noise(), psk(mode, &bob).as_ref(), seed(20), &mut out));
        assert_eq!(answered.is_ok(), message == genuine);
        assert_eq!(out.len(), if answered.is_ok() { MESSAGE2_LEN } else { 0 });
    }
}

/// Message 2 at the initiator.
pub fn message2(data: &[u8]) {
    let Some((first, changes)) = data.split_first() else { return };
    let (mode, bob) = (mode(*first), bob());
    let (_, message1) = dial(&bob, mode);
    let (_, genuine) = answer(&bob, mode, &message1);
    for message in [changes.to_vec(), changed(&genuine, changes)] {
        let mut out = BytesMut::new();
        let answered = dial(&bob, mode).0.read_message2(&message, alice().noise(), &mut out);
        assert_eq!(answered.is_ok(), message[..] == genuine[..]);
        assert_eq!(out.len(), if answered.is_ok() { MESSAGE3_LEN } else { 0 });
    }
}

/// Message 3 at the responder.
pub fn message3(data: &[u8]) {
    let Some((first, changes)) = data.split_first() else { return };
    let (mode, bob) = (mode(*first), bob());
    let (initiator, message1) = dial(&bob, mode);
    let (_, message2) = answer(&bob, mode, &message1);
    let mut genuine = BytesMut::new();
    initiator.read_message2(&message2, alice().noise(), &mut genuine).unwrap();
    for message in [changes.to_vec(), changed(&genuine, changes)] {
        let proved = answer(&bob, mode, &message1).0.read_message3(&message);
        assert_eq!(proved.is_ok(), message[..] == genuine[..]);
    }
}

/// The genuine bodies of Auth at the responder, for [`auth`] and its seeds.
static AUTHS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [Mode::Pairing, Mode::Known].map(|mode| {
        let (alice, bob) = (alice(), bob());
        let (forger, _) = Forger::dial(alice.noise(), &bob, mode);
        forger.auth_body(&alice, &bob, Auth::new(&alice, Role::Initiator, mode))
    })
});

/// Any body of Auth from a peer with keys: only the genuine one is accepted, since nobody else can sign.
pub fn auth(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let (mode, alice, bob) = (mode(*first), alice(), bob());
    let genuine = &AUTHS[usize::from(mode == Mode::Known)];
    let bodies = if first & 2 == 0 { body.to_vec() } else { changed(genuine, body) };
    if bodies.len() > record::MAX_AUTH {
        return;
    }
    let (mut forger, proved) = Forger::dial(alice.noise(), &bob, mode);
    let record = forger.seal(RecordType::Auth, &bodies, record::AUTH_PLAINTEXT);
    let verified = proved.read_auth(record, bob.public(), &expect_person(&alice));
    assert_eq!(verified.is_ok(), bodies == *genuine);
    if let Err(failed) = verified {
        let mut out = BytesMut::new();
        let told = failed.error().reject_code().is_some();
        failed.reject(&mut out);
        assert_eq!(out.len(), if told { record::AUTH_RECORD_LEN } else { 0 });
    }
}

/// Any record in the place of the responder's Auth (REJECT among them), and in the place of READY.
pub fn ready(data: &[u8]) {
    let [first, kind, body @ ..] = data else { return };
    let Some(kind) = RecordType::from_number(kind % 10) else { return };
    let (mode, alice, bob) = (mode(*first), alice(), bob());
    let at_least = if first & 2 == 0 { 0 } else { record::AUTH_PLAINTEXT };
    if body.len() > MAX_BODY {
        return;
    }
    if first & 4 == 0 {
        let (mut forger, keyed) = Forger::answer(&bob, &alice, mode);
        let signing = keyed.introduce(&introduction(&alice, group(mode))).unwrap();
        let signature = sign(&alice, Signer::Person, signing.to_sign());
        let wait = signing.signed(signature, &mut BytesMut::new()).unwrap();
        let record = forger.seal(kind, body, at_least);
        assert!(wait.read_auth(record, &expect()).is_err(), "nobody but bob can sign");
    } else {
        let (mut forger, proved) = Forger::dial(alice.noise(), &bob, mode);
        let auth = forger.seal(RecordType::Auth, &AUTHS[usize::from(mode == Mode::Known)], 4_096);
        let verified = proved.read_auth(auth, bob.public(), &expect_person(&alice)).unwrap();
        let signing = verified.introduce(&introduction(&bob, group(mode))).unwrap();
        let signature = sign(&bob, Signer::Person, signing.to_sign());
        let wait = signing.signed(signature, &mut BytesMut::new()).unwrap();
        let record = forger.seal(kind, body, at_least);
        let done = wait.read_ready(record, &Config::default(), now());
        // The commitment in the genuine Auth is to no nonce that anybody knows.
        assert_eq!(done.is_ok(), mode == Mode::Known && kind == RecordType::Ready && body.is_empty());
    }
}

/// Plaintexts of records, each behind its length (two bytes): what opens has a known type, a body within it, and only
/// zeros behind; what does not ends the half for good. The whole input is tried as a ciphertext as well.
pub fn record(data: &[u8]) {
    let (_, mut opener) = pair_of_halves(RekeyLimits { records: 3, bytes: 5_000 });
    let mut hostile = BytesMut::from(data);
    assert!(opener.open(&mut hostile).is_err() && hostile[..] == *data);
    let (_, mut opener) = pair_of_halves(RekeyLimits { records: 3, bytes: 5_000 });
    let mut cipher = noise::CipherState::new(&[5; 32]);
    let (mut records, mut bytes) = (0, 0);
    let mut rest = data;
    while let Some(([high, low], after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (plain, after) = after.split_at(len);
        rest = after;
        let mut plain = plain.to_vec();
        let Some(bucket) = record::bucket(plain.len()) else { return };
        plain.resize(bucket, 0);
        if records >= 3 || bytes >= 5_000 {
            cipher.rekey();
            (records, bytes) = (0, 0);
        }
        let mut sealed = BytesMut::from(&plain[..]);
        cipher.seal(&[], &mut sealed, 0).unwrap();
        (records, bytes) = (records + 1, bytes + sealed.len());
        match opener.open(&mut sealed) {
            Ok(kind) => {
                let body = usize::from(plain[1]) << 16 | usize::from(plain[2]) << 8 | usize::from(plain[3]);
                assert_eq!((kind.number(), &sealed[..]), (plain[0], &plain[4..4 + body]));
                assert!(plain[4 + body..].iter().all(|byte| *byte == 0));
                if kind == RecordType::Rekey {
                    cipher.rekey();
                    (records, bytes) = (0, 0);
                }
            }
            Err(error) => {
                assert_eq!(opener.open(&mut sealed), Err(error));
                assert_eq!(opener.count(), None);
                return;
            }
        }
    }
}

/// Records of any type and body to a live session, with what the application and the clock do in between.
pub fn session(data: &[u8]) {
    let Some((first, mut rest)) = data.split_first() else { return };
    let config = Config {
        initial_window: 2_000,
        max_window: 4_000,
        max_message: [1_500, 6_000, 6_000, 6_000],
        max_held: 6_000,
        rekey: RekeyLimits { records: 7, bytes: 3_000 },
        rekey_after: core::time::Duration::from_secs(3),
        ..Config::default()
    };
    let (mut forger, mut mux) = forged(mode(*first), &config, first & 2 == 0);
    let (mut receipts, mut millis, mut held) = (Vec::new(), 1_000, 0);
    while let Some((&[step, len], after)) = rest.split_first_chunk::<2>() {
        let (body, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        millis += u64::from(step / 16) * 300;
        match RecordType::from_number(step % 16) {
            Some(kind) => match mux.open(at(millis), forger.seal(kind, body, 0)) {
                Ok(Received::Message { message, receipt, .. }) => {
                    held += message.len();
                    receipts.push((message.len(), receipt));
                }
                Ok(_) => {
                    if kind == RecordType::Rekey {
                        forger.sealer.rekey();
                    }
                }
                Err(error) => {
                    assert_eq!(mux.error(), Some(&error));
                    assert_eq!(poll(&mut mux), None);
                    return;
                }
            },
            None if step % 16 == 10 => receipts.drain(..).for_each(|(len, receipt)| {
                held -= len;
                mux.release(receipt);
            }),
            None if step % 16 == 11 => drop(mux.acknowledge()),
            None => drop(mux.handle_timeout(at(millis))),
        }
        // Everything unreleased is within what four streams' windows and the session's limit allow.
        assert!(held <= 6_000 + STREAMS * 4_000);
        for frame in core::iter::from_fn(|| poll_message(&mut mux, StreamId::BLOBS, body)).take(3) {
            assert!(frame.len() <= MAX_RECORD && BUCKETS.contains(&(frame.len() - 16)));
        }
    }
}

/// Seeds: each changes nothing, so that the fuzzer begins behind the locks.
pub fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, first) in [("pairing", 0), ("known", 1)] {
        for target in ["handshake_message1", "handshake_message2", "handshake_message3"] {
            seeds.push((target, name, vec![first]));
            seeds.push((
                target,
                if first == 0 { "pairing-flip" } else { "known-flip" },
                vec![first, 0, 30, 1],
            ));
        }
        let genuine = &AUTHS[usize::from(first)];
        seeds.push(("auth_record", name, [&[first], &genuine[..]].concat()));
        seeds.push(("auth_record", if first == 0 { "pairing-same" } else { "known-same" }, vec![first | 2]));
    }
    seeds.push(("ready_record", "ready", vec![1 | 4, 2]));
    seeds.push(("ready_record", "ready-pairing", [&[4, 2][..], &[0; 32]].concat()));
    seeds.push(("ready_record", "reject", vec![2, 9, 4]));
    seeds.push(("ready_record", "auth", [&[2, 1][..], &AUTHS[0]].concat()));
    seeds.push(("record", "two", vec![0, 6, 3, 0, 0, 2, 1, 2, 0, 4, 7, 0, 0, 0, 0, 4, 5, 0, 0, 0]));
    seeds.push(("record", "padding", vec![0, 8, 3, 0, 0, 2, 1, 2, 0, 9]));
    let whole = [3, 13, 2, 3, 0, 0, 0, 0, 0, 0, 0, 3, 7, 8, 9];
    let pieces = [3, 12, 1, 1, 0, 0, 0, 0, 0, 0, 0, 4, 7, 8, 3, 8, 1, 2, 0, 0, 0, 1, 9, 9];
    let control = [4, 5, 3, 0, 0, 1, 0, 5, 8, 0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0xfc, 0, 10, 0, 8, 17];
    let close = [&control[..], &[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0][..]].concat();
    seeds.push(("session", "all", [&[1][..], &whole, &pieces, &close].concat()));
    seeds.push(("session", "pairing", [&[2, 11, 0][..], &whole].concat()));
    seeds
}
