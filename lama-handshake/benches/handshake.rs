//! Both sides of a handshake in memory, on one core: ours and `snow`'s with the same pattern and primitives, measured
//! in the same run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use lama_core::Seed;
use lama_handshake::noise::{HandshakeState, Pattern, Setup, Split};
use lama_handshake::*;
use lama_identity::NoiseSecret;

const PROLOGUE: &[u8] = &[7; 30];
const PSK: [u8; 32] = [9; 32];

fn secret(n: u8) -> NoiseSecret {
    NoiseSecret::from_seed(Seed::danger_fixed([n; 32]))
}

fn ours(pattern: Pattern, i: &NoiseSecret, r: &NoiseSecret, n: u8) -> (Split, Split) {
    let psks: &[&[u8; 32]] = if pattern.uses_psk() { &[&PSK] } else { &[] };
    let setup = |initiator, local_static, remote_static| {
        let setup = Setup { pattern, initiator, prologue: PROLOGUE, local_static, remote_static, psks };
        HandshakeState::new(&setup).unwrap()
    };
    let mut a = setup(true, None, Some(r.public()));
    let mut b = setup(false, Some(r.public()), None);
    let mut out = BytesMut::with_capacity(64);
    a.set_ephemeral(secret(n));
    a.write(Some(i), &[], &mut out).unwrap();
    b.read(Some(r), &out).unwrap();
    b.set_ephemeral(secret(n ^ 255));
    out.clear();
    b.write(Some(r), &[], &mut out).unwrap();
    a.read(Some(i), &out).unwrap();
    out.clear();
    a.write(Some(i), &[], &mut out).unwrap();
    b.read(Some(r), &out).unwrap();
    (a.split().unwrap(), b.split().unwrap())
}

fn snow(name: &str, i: &[u8], r: &[u8], r_public: &[u8]) -> (snow::TransportState, snow::TransportState) {
    let build = |own: &[u8], remote: Option<&[u8]>| {
        let mut builder = snow::Builder::new(name.parse().unwrap()).prologue(PROLOGUE).unwrap();
        builder = builder.local_private_key(own).unwrap();
        if name.contains("psk") {
            builder = builder.psk(3, &PSK).unwrap();
        }
        match remote {
            Some(remote) => builder.remote_public_key(remote).unwrap().build_initiator().unwrap(),
            None => builder.build_responder().unwrap(),
        }
    };
    let (mut a, mut b) = (build(i, Some(r_public)), build(r, None));
    let (mut message, mut payload) = ([0; 128], [0; 128]);
    let len = a.write_message(&[], &mut message).unwrap();
    b.read_message(&message[..len], &mut payload).unwrap();
    let len = b.write_message(&[], &mut message).unwrap();
    a.read_message(&message[..len], &mut payload).unwrap();
    let len = a.write_message(&[], &mut message).unwrap();
    b.read_message(&message[..len], &mut payload).unwrap();
    (a.into_transport_mode().unwrap(), b.into_transport_mode().unwrap())
}

fn noise(c: &mut Criterion) {
    let (i, r) = (secret(1), secret(2));
    for (name, pattern) in [("XK", Pattern::XK), ("XKpsk3", Pattern::XK_PSK3)] {
        let mut group = c.benchmark_group(format!("handshake {name}, both sides"));
        let mut n = 0_u8;
        group.bench_function("ours", |b| {
            b.iter(|| {
                n = n.wrapping_add(1);
                black_box(ours(pattern, &i, &r, n))
            });
        });
        let (i, r_secret) = (i.danger_expose(), r.danger_expose());
        let full = format!("Noise_{name}_25519_ChaChaPoly_SHA256");
        group.bench_function("peer: snow", |b| {
            b.iter(|| black_box(snow(&full, &i[..], &r_secret[..], r.public().as_bytes())));
        });
        group.finish();
    }
}

/// The whole of it: three messages, two signatures, four certificates' signatures, READY.
fn persons(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake with both persons, both sides");
    for (name, mode) in [("known", Mode::Known), ("pairing", Mode::Pairing)] {
        group.bench_function(format!("ours, {name}"), |b| {
            let (alice, bob) = (support::alice(), support::bob());
            b.iter_batched(
                || support::psk(mode, &bob),
                |psk| black_box(whole(mode, &alice, &bob, psk.as_ref())),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn whole(
    mode: Mode,
    alice: &lama_identity::LocalIdentity,
    bob: &lama_identity::LocalIdentity,
    psk: Option<&lama_invite::Psk>,
) -> (Established, Established) {
    use support::{WALL, expect, group, introduction, now, pinned, sign};
    let locator = lama_invite::Locator::new([5; 16]);
    let access = psk.map_or(Access::Known, |psk| Access::Pairing { locator, psk });
    let dial = Dial { instance: *bob.noise().public(), person: pinned(bob), access, via: Via::Direct };
    let (mut m, config) = (BytesMut::new(), Config::default());
    let initiator = Initiator::dial(&dial, Seed::danger_fixed([3; 32]), &mut m).unwrap();
    let first = Message1::read(&m.split(), Via::Direct).unwrap();
    let responder = first.answer(bob.noise(), psk, Seed::danger_fixed([4; 32]), &mut m).unwrap();
    let keyed = initiator.read_message2(&m.split(), alice.noise(), &mut m).unwrap();
    let proved = responder.read_message3(&m.split()).unwrap();
    let signing = keyed.introduce(&introduction(alice, group(mode))).unwrap();
    let signature = sign(alice, Signer::Person, signing.to_sign());
    let wait = signing.signed(signature, &mut m).unwrap();
    let verified = proved.read_auth(m.split(), bob.public(), &expect()).unwrap();
    let signing = verified.introduce(&introduction(bob, group(mode))).unwrap();
    let signature = sign(bob, Signer::Person, signing.to_sign());
    let wait_ready = signing.signed(signature, &mut m).unwrap();
    let verified = wait.read_auth(m.split(), &Expect { wall: WALL, ..Expect::default() }).unwrap();
    let initiator = verified.ready(&config, now(), &mut m).unwrap();
    (initiator, wait_ready.read_ready(m.split(), &config, now()).unwrap())
}

criterion_group!(benches, noise, persons);
criterion_main!(benches);
