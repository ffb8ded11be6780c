//! Live exchanges with `snow`, in both roles and both patterns, through rekey.

use bytes::BytesMut;
use lama_core::Seed;
use lama_handshake::noise::{HandshakeState, Pattern, Setup, Split};
use lama_identity::NoiseSecret;

const PROLOGUE: &[u8] = b"LAMA/noise/1 and whatever follows";
const PSK: [u8; 32] = [0x5a; 32];

fn secret(n: u8) -> NoiseSecret {
    NoiseSecret::from_seed(Seed::danger_fixed([n; 32]))
}

fn snow(pattern: &str, initiator: bool, own: &NoiseSecret, peer: &NoiseSecret) -> snow::HandshakeState {
    let params = format!("Noise_{pattern}_25519_ChaChaPoly_SHA256").parse().unwrap();
    let own = own.danger_expose();
    let mut builder = snow::Builder::new(params).prologue(PROLOGUE).unwrap();
    builder = builder.local_private_key(own.as_slice()).unwrap();
    if pattern.contains("psk") {
        builder = builder.psk(3, &PSK).unwrap();
    }
    if initiator {
        builder.remote_public_key(peer.public().as_bytes()).unwrap().build_initiator().unwrap()
    } else {
        builder.build_responder().unwrap()
    }
}

fn ours(pattern: &str, initiator: bool, own: &NoiseSecret, peer: &NoiseSecret) -> HandshakeState {
    let pattern = Pattern::parse(pattern).unwrap();
    let psks: &[&[u8; 32]] = if pattern.uses_psk() { &[&PSK] } else { &[] };
    let mut state = HandshakeState::new(&Setup {
        pattern,
        initiator,
        prologue: PROLOGUE,
        local_static: (!initiator).then(|| own.public()),
        remote_static: initiator.then(|| peer.public()),
        psks,
    })
    .unwrap();
    state.set_ephemeral(secret(if initiator { 77 } else { 78 }));
    state
}

fn exchange(pattern: &str, we_dial: bool) -> (Split, snow::TransportState) {
    let (us, them) = (secret(1), secret(2));
    let mut ours = ours(pattern, we_dial, &us, &them);
    let mut theirs = snow(pattern, !we_dial, &them, &us);
    let mut buffer = [0; 1024];
    for (index, len) in [48, 48, 64].into_iter().enumerate() {
        if (index % 2 == 0) == we_dial {
            let mut out = BytesMut::new();
            ours.write(Some(&us), &[], &mut out).unwrap();
            assert_eq!(out.len(), len);
            assert_eq!(theirs.read_message(&out, &mut buffer).unwrap(), 0);
        } else {
            let written = theirs.write_message(&[], &mut buffer).unwrap();
            assert_eq!(written, len);
            assert!(ours.read(Some(&us), &buffer[..written]).unwrap().is_empty());
        }
    }
    let hash = theirs.get_handshake_hash().to_vec();
    let split = ours.split().unwrap();
    assert_eq!(split.handshake_hash[..], hash);
    assert_eq!(split.remote_static.unwrap(), *them.public());
    (split, theirs.into_transport_mode().unwrap())
}

fn talk(ours: &mut Split, theirs: &mut snow::TransportState) {
    let mut buffer = vec![0; 65_535];
    for len in [0, 1, 63, 64, 65, 1_000, 65_519] {
        let text = vec![0xa5; len];
        let mut sealed = BytesMut::from(&text[..]);
        ours.sealing.seal(&[], &mut sealed, 0).unwrap();
        let opened = theirs.read_message(&sealed, &mut buffer).unwrap();
        assert_eq!(buffer[..opened], text);
        let written = theirs.write_message(&text, &mut buffer).unwrap();
        let mut sealed = BytesMut::from(&buffer[..written]);
        ours.opening.open(&[], &mut sealed).unwrap();
        assert_eq!(sealed[..], text);
    }
}

#[test]
fn both_patterns_in_both_roles_with_rekey() {
    for pattern in ["XK", "XKpsk3"] {
        for we_dial in [true, false] {
            let (mut ours, mut theirs) = exchange(pattern, we_dial);
            talk(&mut ours, &mut theirs);
            ours.sealing.rekey();
            theirs.rekey_incoming();
            talk(&mut ours, &mut theirs);
            ours.opening.rekey();
            theirs.rekey_outgoing();
            talk(&mut ours, &mut theirs);
        }
    }
}

#[test]
fn a_message_for_another_key_is_refused_by_both() {
    let (us, them) = (secret(1), secret(2));
    let mut out = BytesMut::new();
    ours("XK", true, &us, &us).write(None, &[], &mut out).unwrap();
    assert!(snow("XK", false, &them, &us).read_message(&out, &mut [0; 64]).is_err());
    let mut buffer = [0; 64];
    let written = snow("XK", true, &them, &them).write_message(&[], &mut buffer).unwrap();
    assert!(ours("XK", false, &us, &them).read(Some(&us), &buffer[..written]).is_err());
}
