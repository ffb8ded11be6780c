//! The Noise vectors of cacophony and snow for our suite, every message byte for byte, both sides.

use bytes::BytesMut;
use lama_core::Seed;
use lama_handshake::noise::{CipherState, HandshakeState, Pattern, Setup};
use lama_identity::{NoisePublic, NoiseSecret};
use serde_json::Value;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn bytes32(vector: &Value, key: &str) -> Option<[u8; 32]> {
    Some(hex(vector.get(key)?.as_str()?).try_into().unwrap())
}

fn secret(vector: &Value, key: &str) -> Option<NoiseSecret> {
    bytes32(vector, key).map(|bytes| NoiseSecret::from_seed(Seed::danger_fixed(bytes)))
}

fn psks(vector: &Value, key: &str) -> Vec<[u8; 32]> {
    let list = vector.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().map(|psk| hex(psk.as_str().unwrap()).try_into().unwrap()).collect()
}

struct Side {
    state: HandshakeState,
    local: Option<NoiseSecret>,
}

impl Side {
    fn new(vector: &Value, pattern: Pattern, initiator: bool) -> Self {
        let own = if initiator { "init" } else { "resp" };
        let local = secret(vector, &format!("{own}_static"));
        let known = if initiator { pattern.initiator_known() } else { pattern.responder_known() };
        // "init_remote_static" is what the *initiator* knows of the responder.
        let remote =
            bytes32(vector, &format!("{own}_remote_static")).map(|key| NoisePublic::try_from(key).unwrap());
        let psks = psks(vector, &format!("{own}_psks"));
        let mut state = HandshakeState::new(&Setup {
            pattern,
            initiator,
            prologue: &hex(vector[format!("{own}_prologue")].as_str().unwrap()),
            local_static: local.as_ref().map(NoiseSecret::public).filter(|_| known),
            remote_static: remote.as_ref(),
            psks: &psks.iter().collect::<Vec<_>>(),
        })
        .unwrap();
        if let Some(ephemeral) = secret(vector, &format!("{own}_ephemeral")) {
            state.set_ephemeral(ephemeral);
        }
        Self { state, local }
    }
}

fn transport(cipher: &mut CipherState, payload: &[u8]) -> Vec<u8> {
    let mut text = BytesMut::from(payload);
    cipher.seal(&[], &mut text, 0).unwrap();
    text.to_vec()
}

fn run(vector: &Value) {
    let name = vector["protocol_name"].as_str().unwrap();
    let pattern = name.strip_prefix("Noise_").unwrap().strip_suffix("_25519_ChaChaPoly_SHA256").unwrap();
    let pattern = Pattern::parse(pattern).unwrap_or_else(|| panic!("{name}"));
    let (mut initiator, mut responder) =
        (Side::new(vector, pattern, true), Side::new(vector, pattern, false));
    let messages = vector["messages"].as_array().unwrap();
    let (handshake, rest) = messages.split_at(pattern.message_count());
    for (index, message) in handshake.iter().enumerate() {
        let (from, to) = if index.is_multiple_of(2) {
            (&mut initiator, &mut responder)
        } else {
            (&mut responder, &mut initiator)
        };
        let payload = hex(message["payload"].as_str().unwrap());
        let mut out = BytesMut::new();
        from.state.write(from.local.as_ref(), &payload, &mut out).unwrap();
        assert_eq!(&out[..], hex(message["ciphertext"].as_str().unwrap()), "{name}, message {index}");
        assert_eq!(&to.state.read(to.local.as_ref(), &out).unwrap()[..], payload, "{name}, message {index}");
    }
    let (mut initiator, mut responder) = (initiator.state.split().unwrap(), responder.state.split().unwrap());
    assert_eq!(initiator.handshake_hash, responder.handshake_hash, "{name}");
    assert_eq!(initiator.third, responder.third, "{name}");
    if let Some(expected) = bytes32(vector, "handshake_hash") {
        assert_eq!(initiator.handshake_hash, expected, "{name}");
    }
    // One-way patterns go on in one direction, the others alternate.
    let one_way = pattern.message_count() == 1;
    for (index, message) in rest.iter().enumerate() {
        let by_initiator = one_way || (pattern.message_count() + index).is_multiple_of(2);
        let (from, to) =
            if by_initiator { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
        let payload = hex(message["payload"].as_str().unwrap());
        let sealed = transport(&mut from.sealing, &payload);
        assert_eq!(sealed, hex(message["ciphertext"].as_str().unwrap()), "{name}, transport {index}");
        let mut text = BytesMut::from(&sealed[..]);
        to.opening.open(&[], &mut text).unwrap();
        assert_eq!(&text[..], payload, "{name}, transport {index}");
    }
}

fn run_file(text: &str, count: usize) {
    let file: Value = serde_json::from_str(text).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), count);
    vectors.iter().for_each(run);
}

#[test]
fn cacophony() {
    let text = include_str!("../../../vectors/noise/cacophony.txt");
    assert!(text.contains("Noise_XK_25519") && text.contains("Noise_XKpsk3_25519"));
    run_file(text, 59);
}

#[test]
fn snow() {
    run_file(include_str!("../../../vectors/noise/snow.txt"), 51);
}
