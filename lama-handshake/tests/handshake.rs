//! Whole handshakes, and every rule of the three messages and of READY: one test for each, named after it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use bytes::BytesMut;
use lama_handshake::*;
use lama_identity::NoiseSecret;
use support::*;

#[test]
fn both_modes_end_in_agreement() {
    for mode in [Mode::Pairing, Mode::Known] {
        let (initiator, responder, frames) = handshake(mode);
        let sizes = [
            frames.message1.len(),
            frames.message2.len(),
            frames.message3.len(),
            frames.auth_i.len(),
            frames.auth_r.len(),
            frames.ready.len(),
        ];
        assert_eq!(sizes, [68, 48, 64, 4_112, 4_112, 80]);
        assert_eq!(initiator.handshake_hash, responder.handshake_hash);
        assert_eq!(initiator.pair_key, responder.pair_key);
        assert_ne!(initiator.pair_key.expose(), &initiator.handshake_hash);
        assert_eq!(initiator.check_code, responder.check_code);
        assert_eq!(initiator.check_code.is_some(), mode == Mode::Pairing);
        assert_eq!((initiator.mode, responder.mode), (mode, mode));
        assert_eq!((initiator.role, responder.role), (Role::Initiator, Role::Responder));
        assert_eq!(initiator.peer.identity, *bob().public());
        assert_eq!(responder.peer.identity, *alice().public());
        assert_eq!(responder.peer.endpoint.url, "ws://localhost:8765");
        assert_eq!(responder.peer.group, group(mode));
    }
}

#[test]
fn the_same_seeds_give_the_same_bytes() {
    for mode in [Mode::Pairing, Mode::Known] {
        assert_eq!(handshake(mode).2, handshake(mode).2);
    }
    let (pairing, known) = (handshake(Mode::Pairing).2, handshake(Mode::Known).2);
    assert_ne!(pairing.message1, known.message1);
    assert_ne!(dial(&bob(), Mode::Known).1, dial_as(&bob(), Mode::Known, Via::Direct, 11).1);
}

#[test]
fn the_pair_key_is_agreed_when_both_name_the_same() {
    let id = PairKeyId([1; 8]);
    let agreed = |own: Option<PairKeyId>, other: Option<PairKeyId>| {
        let (initiator, responder, _) = handshake_with(Mode::Known, &Config::default(), |role, mine| {
            mine.pair_key = if role == Role::Initiator { own } else { other };
        });
        assert_eq!((initiator.peer.pair_key, responder.peer.pair_key), (other, own));
        assert_eq!(initiator.pair_key_agreed, responder.pair_key_agreed);
        initiator.pair_key_agreed
    };
    assert!(agreed(Some(id), Some(id)));
    assert!(!agreed(Some(id), Some(PairKeyId([2; 8]))));
    assert!(!agreed(Some(id), None));
    assert!(!agreed(None, Some(id)));
    assert!(!agreed(None, None));
}

#[test]
fn an_instance_signs_for_its_person_in_known_mode() {
    let (_, responder, _) = handshake_with(Mode::Known, &Config::default(), |role, mine| {
        if role == Role::Initiator {
            mine.signer = Signer::Instance;
        }
    });
    assert_eq!(responder.peer.signer, Signer::Instance);
}

/// What the responder does with a first message, and what it lets out.
fn first(message: &[u8], mode: Mode, via: Via) -> (HandshakeError, usize) {
    let mut out = BytesMut::new();
    let result = Message1::read(message, via)
        .and_then(|first| first.answer(bob().noise(), psk(mode, &bob()).as_ref(), seed(20), &mut out));
    (result.err().unwrap(), out.len())
}

#[test]
fn message1_length() {
    let (_, message) = dial(&bob(), Mode::Known);
    for len in (0..68).chain([69, 100, 256]) {
        let mut other = message.clone();
        other.resize(len, 0);
        assert_eq!(first(&other, Mode::Known, Via::Direct), (HandshakeError::Message1Length, 0));
    }
}

#[test]
fn message1_magic() {
    for at in 0..4 {
        let (_, mut message) = dial(&bob(), Mode::Known);
        message[at] ^= 1;
        assert_eq!(first(&message, Mode::Known, Via::Direct), (HandshakeError::Message1Magic, 0));
    }
}

#[test]
fn message1_unauthentic() {
    for mode in [Mode::Known, Mode::Pairing] {
        let (_, message) = dial(&bob(), mode);
        for at in (4..68).filter(|at| *at != 51) {
            let mut bad = message.clone();
            bad[at] ^= 1;
            assert_eq!(first(&bad, mode, Via::Direct), (HandshakeError::Message1Unauthentic, 0), "{at}");
        }
    }
    // An invitation that is not active is met with XK, and one that is with XKpsk3.
    let (_, pairing) = dial(&bob(), Mode::Pairing);
    assert_eq!(first(&pairing, Mode::Known, Via::Direct), (HandshakeError::Message1Unauthentic, 0));
    let (_, known) = dial(&bob(), Mode::Known);
    assert_eq!(first(&known, Mode::Pairing, Via::Direct), (HandshakeError::Message1Unauthentic, 0));
    // Meant for another instance.
    let (_, other) = dial(&alice(), Mode::Known);
    assert_eq!(first(&other, Mode::Known, Via::Direct), (HandshakeError::Message1Unauthentic, 0));
}

#[test]
fn the_way_is_bound_into_the_transcript() {
    let ways = [Via::Direct, Via::Relay([1; 32]), Via::Relay([2; 32])];
    for dialled in ways {
        let (_, message) = dial_as(&bob(), Mode::Known, dialled, 10);
        for arrived in ways {
            let first = Message1::read(&message, arrived).unwrap();
            let result = first.answer(bob().noise(), None, seed(1), &mut BytesMut::new());
            assert_eq!(result.is_ok(), dialled == arrived);
        }
    }
}

#[test]
fn key_refused() {
    // Zero, one, p - 1, p, p + 1, and a key with bit 255 set: as an ephemeral key in both directions.
    let mut one = [0; 32];
    one[0] = 1;
    let p = |low: u8| {
        let mut key = [0xff; 32];
        (key[0], key[31]) = (low, 0x7f);
        key
    };
    let mut high = *bob().noise().public().as_bytes();
    high[31] |= 0x80;
    for bad in [[0; 32], one, p(0xec), p(0xed), p(0xee), high] {
        let (initiator, mut message1) = dial(&bob(), Mode::Known);
        message1[20..52].copy_from_slice(&bad);
        assert_eq!(first(&message1, Mode::Known, Via::Direct), (HandshakeError::KeyRefused, 0));
        let mut out = BytesMut::new();
        let mut message2 = [0; 48];
        message2[..32].copy_from_slice(&bad);
        let result = initiator.read_message2(&message2, alice().noise(), &mut out);
        assert_eq!((result.err(), out.len()), (Some(HandshakeError::KeyRefused), 0));
    }
}

#[test]
fn message2_length() {
    for len in (0..48).chain([49, 68]) {
        let (initiator, message1) = dial(&bob(), Mode::Known);
        let (_, mut message2) = answer(&bob(), Mode::Known, &message1);
        message2.resize(len, 0);
        let mut out = BytesMut::new();
        let result = initiator.read_message2(&message2, alice().noise(), &mut out);
        assert_eq!((result.err(), out.len()), (Some(HandshakeError::Message2Length), 0));
    }
}

#[test]
fn message2_unauthentic() {
    for at in (0..48).filter(|at| *at != 31) {
        let (initiator, message1) = dial(&bob(), Mode::Pairing);
        let (_, mut message2) = answer(&bob(), Mode::Pairing, &message1);
        message2[at] ^= 1;
        let mut out = BytesMut::new();
        let result = initiator.read_message2(&message2, alice().noise(), &mut out);
        assert_eq!((result.err(), out.len()), (Some(HandshakeError::Message2Unauthentic), 0));
    }
    // The initiator's own message, or its key part, reflected.
    let (initiator, message1) = dial(&bob(), Mode::Known);
    let result = initiator.read_message2(&message1[20..], alice().noise(), &mut BytesMut::new());
    assert_eq!(result.err(), Some(HandshakeError::Message2Unauthentic));
}

fn third(adjust: impl Fn(&mut BytesMut)) -> Option<HandshakeError> {
    let (initiator, message1) = dial(&bob(), Mode::Pairing);
    let (responder, message2) = answer(&bob(), Mode::Pairing, &message1);
    let mut message3 = BytesMut::new();
    initiator.read_message2(&message2, alice().noise(), &mut message3).unwrap();
    adjust(&mut message3);
    responder.read_message3(&message3).err()
}

#[test]
fn message3_length() {
    for len in (0..64).chain([65, 128]) {
        assert_eq!(third(|message| message.resize(len, 0)), Some(HandshakeError::Message3Length));
    }
}

#[test]
fn message3_unauthentic() {
    assert_eq!(third(|_| {}), None);
    for at in 0..64 {
        assert_eq!(third(|message| message[at] ^= 1), Some(HandshakeError::Message3Unauthentic));
    }
    // The right locator with the wrong secret: only message 3 shows it.
    let bob = bob();
    let wrong = lama_invite::Psk::take(&mut [8; 32]);
    let access = Access::Pairing { locator: invitation(&bob).locator(), psk: &wrong };
    let dial = Dial { instance: *bob.noise().public(), person: pinned(&bob), access, via: Via::Direct };
    let mut message1 = BytesMut::new();
    let initiator = Initiator::dial(&dial, seed(10), &mut message1).unwrap();
    let (responder, message2) = answer(&bob, Mode::Pairing, &message1);
    let mut message3 = BytesMut::new();
    initiator.read_message2(&message2, alice().noise(), &mut message3).unwrap();
    assert_eq!(responder.read_message3(&message3).err(), Some(HandshakeError::Message3Unauthentic));
}

#[test]
fn own_key() {
    let (initiator, message1) = dial(&bob(), Mode::Known);
    let (responder, message2) = answer(&bob(), Mode::Known, &message1);
    let mut message3 = BytesMut::new();
    let result = initiator.read_message2(&message2, bob().noise(), &mut message3);
    assert_eq!(result.err(), Some(HandshakeError::OwnKey));
    assert_eq!(responder.read_message3(&message3).err(), Some(HandshakeError::OwnKey));
}

/// Before the peer has proved anything, no failure lets a byte out, and none may be told.
#[test]
fn unauthenticated_failures_are_silent() {
    let silent = [
        HandshakeError::Message1Length,
        HandshakeError::Message1Magic,
        HandshakeError::Message1Unauthentic,
        HandshakeError::Message2Length,
        HandshakeError::Message2Unauthentic,
        HandshakeError::Message3Length,
        HandshakeError::Message3Unauthentic,
        HandshakeError::KeyRefused,
        HandshakeError::OwnKey,
        HandshakeError::RecordLength,
        HandshakeError::RecordUnauthentic,
        HandshakeError::HandshakeTimeout,
    ];
    assert!(silent.iter().all(|error| error.reject_code().is_none()));
}

#[test]
fn a_replayed_first_message_proves_nothing() {
    let (_, message1) = dial(&bob(), Mode::Pairing);
    let (first, message2) = answer(&bob(), Mode::Pairing, &message1);
    let mut out = BytesMut::new();
    let again = Message1::read(&message1, Via::Direct).unwrap();
    let second =
        again.answer(bob().noise(), psk(Mode::Pairing, &bob()).as_ref(), seed(21), &mut out).unwrap();
    assert_ne!(message2, out);
    let (initiator, _) = dial(&bob(), Mode::Pairing);
    let mut message3 = BytesMut::new();
    initiator.read_message2(&message2, alice().noise(), &mut message3).unwrap();
    assert_eq!(second.read_message3(&message3).err(), Some(HandshakeError::Message3Unauthentic));
    assert!(first.read_message3(&message3).is_ok());
}

/// Alice has dialled, bob has answered, both are verified: what does bob make of alice's READY?
fn ready(mode: Mode, kind: RecordType, body: &[u8]) -> Option<HandshakeError> {
    let (alice, bob) = (alice(), bob());
    let (mut forger, proved) = Forger::dial(alice.noise(), &bob, mode);
    let mut fields = Auth::new(&alice, Role::Initiator, mode);
    fields.sas = fields.sas.map(|_| commitment(&[6; 32]));
    let auth = forger.auth(&alice, &bob, fields);
    let verified = proved.read_auth(auth, bob.public(), &expect_person(&alice)).unwrap();
    let signing = verified.introduce(&introduction(&bob, group(mode))).unwrap();
    let signature = sign(&bob, Signer::Person, signing.to_sign());
    let wait = signing.signed(signature, &mut BytesMut::new()).unwrap();
    let record = forger.seal(kind, body, 0);
    wait.read_ready(record, &Config::default(), now()).err()
}

#[test]
fn sas_mismatch() {
    assert_eq!(ready(Mode::Pairing, RecordType::Ready, &[6; 32]), None);
    assert_eq!(ready(Mode::Pairing, RecordType::Ready, &[5; 32]), Some(HandshakeError::SasMismatch));
}

#[test]
fn ready_has_the_form_of_its_mode() {
    assert_eq!(ready(Mode::Known, RecordType::Ready, &[]), None);
    for body in [&[6; 32][..], &[6; 31], &[0], &[6; 33]] {
        assert_eq!(ready(Mode::Known, RecordType::Ready, body), Some(HandshakeError::RecordBody));
    }
    for body in [&[][..], &[6; 31], &[6; 33]] {
        assert_eq!(ready(Mode::Pairing, RecordType::Ready, body), Some(HandshakeError::RecordBody));
    }
}

#[test]
fn record_unexpected_instead_of_ready() {
    for kind in [RecordType::Auth, RecordType::Data, RecordType::Ping, RecordType::Close, RecordType::Window]
    {
        assert_eq!(ready(Mode::Known, kind, &[]), Some(HandshakeError::RecordUnexpected(kind)));
    }
}

#[test]
fn rejected() {
    let code = RejectCode::Person;
    assert_eq!(
        ready(Mode::Known, RecordType::Reject, &[code.number()]),
        Some(HandshakeError::Rejected(code))
    );
    for body in [&[][..], &[0], &[200], &[code.number(), 0]] {
        assert_eq!(ready(Mode::Known, RecordType::Reject, body), Some(HandshakeError::RecordBody));
    }
    // By the responder, before it reads Auth and after.
    for early in [true, false] {
        let (alice, bob) = (alice(), bob());
        let (initiator, message1) = dial(&bob, Mode::Pairing);
        let (responder, message2) = answer(&bob, Mode::Pairing, &message1);
        let (mut message3, mut auth, mut reject) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        let keyed = initiator.read_message2(&message2, alice.noise(), &mut message3).unwrap();
        let signing = keyed.introduce(&introduction(&alice, Group::Pairing)).unwrap();
        let signature = sign(&alice, Signer::Person, signing.to_sign());
        let wait = signing.signed(signature, &mut auth).unwrap();
        let proved = responder.read_message3(&message3).unwrap();
        if early {
            proved.reject(RejectCode::Busy, &mut reject);
        } else {
            proved.read_auth(auth, bob.public(), &expect()).unwrap().reject(RejectCode::Busy, &mut reject);
        }
        assert_eq!(reject.len(), 4_112);
        let failed = wait.read_auth(reject, &expect()).err().unwrap();
        assert_eq!(*failed.error(), HandshakeError::Rejected(RejectCode::Busy));
        let mut out = BytesMut::new();
        failed.reject(&mut out);
        assert!(out.is_empty());
    }
}

#[test]
fn the_initiator_refuses_after_verifying() {
    let (alice, bob) = (alice(), bob());
    let (initiator, message1) = dial(&bob, Mode::Known);
    let (responder, message2) = answer(&bob, Mode::Known, &message1);
    let (mut message3, mut auth_i, mut auth_r, mut reject) = Default::default();
    let keyed = initiator.read_message2(&message2, alice.noise(), &mut message3).unwrap();
    let signing = keyed.introduce(&introduction(&alice, Group::Chum)).unwrap();
    let signature = sign(&alice, Signer::Person, signing.to_sign());
    let wait = signing.signed(signature, &mut auth_i).unwrap();
    let proved = responder.read_message3(&message3).unwrap();
    let verified = proved.read_auth(auth_i, bob.public(), &expect_person(&alice)).unwrap();
    let signing = verified.introduce(&introduction(&bob, Group::Chum)).unwrap();
    let signature = sign(&bob, Signer::Person, signing.to_sign());
    let wait_ready = signing.signed(signature, &mut auth_r).unwrap();
    wait.read_auth(auth_r, &expect()).unwrap().reject(RejectCode::Blocked, &mut reject);
    let error = wait_ready.read_ready(reject, &Config::default(), now()).err();
    assert_eq!(error, Some(HandshakeError::Rejected(RejectCode::Blocked)));
}

#[test]
fn local_invalid() {
    let (alice, bob) = (alice(), bob());
    let keyed = |mode| {
        let (initiator, message1) = dial(&bob, mode);
        let (_, message2) = answer(&bob, mode, &message1);
        initiator.read_message2(&message2, alice.noise(), &mut BytesMut::new()).unwrap()
    };
    let refused = |mode, introduction: &Introduction| {
        assert_eq!(keyed(mode).introduce(introduction).err(), Some(HandshakeError::LocalInvalid));
    };
    refused(Mode::Known, &introduction(&alice, Group::Pairing));
    refused(Mode::Pairing, &introduction(&alice, Group::Chum));
    let by_instance = Introduction { signer: Signer::Instance, ..introduction(&alice, Group::Pairing) };
    refused(Mode::Pairing, &by_instance);
    refused(Mode::Known, &Introduction { versions: Versions(2, 3), ..introduction(&alice, Group::Chum) });
    let endpoint = bob.public().endpoint("").unwrap();
    refused(Mode::Known, &Introduction { endpoint, ..introduction(&alice, Group::Chum) });
    assert_eq!(
        keyed(Mode::Known).introduce(&introduction(&bob, Group::Chum)).err(),
        Some(HandshakeError::SamePerson(bob.person_id()))
    );
}

#[test]
fn the_responder_introduces_itself_as_whom_it_was_verified_for() {
    let (alice, bob, carol) = (alice(), bob(), identity("carol", 3));
    let phone = second_instance(identity("bob", 2), "phone", 5);
    for (who, group) in [(&carol, Group::Chum), (&phone, Group::Chum), (&bob, Group::Pairing)] {
        let (mut forger, proved) = Forger::dial(alice.noise(), &bob, Mode::Known);
        let auth = forger.auth(&alice, &bob, Auth::new(&alice, Role::Initiator, Mode::Known));
        let verified = proved.read_auth(auth, bob.public(), &expect_person(&alice)).unwrap();
        let result = verified.introduce(&introduction(who, group));
        assert_eq!(result.err(), Some(HandshakeError::LocalInvalid));
    }
}

#[test]
fn local_too_long() {
    let (alice, bob) = (alice(), bob());
    let (initiator, message1) = dial(&bob, Mode::Known);
    let (_, message2) = answer(&bob, Mode::Known, &message1);
    let keyed = initiator.read_message2(&message2, alice.noise(), &mut BytesMut::new()).unwrap();
    let mut long = introduction(&alice, Group::Chum);
    long.endpoint.url = "x".repeat(4_000);
    assert_eq!(keyed.introduce(&long).err(), Some(HandshakeError::LocalTooLong));
}

#[test]
fn misuse_out_of_turn() {
    use lama_handshake::noise::{HandshakeState, Pattern, Setup};
    let own = NoiseSecret::from_seed(seed(1));
    let setup = Setup {
        pattern: Pattern::XK,
        initiator: false,
        prologue: &[],
        local_static: Some(own.public()),
        remote_static: None,
        psks: &[],
    };
    let mut state = HandshakeState::new(&setup).unwrap();
    assert_eq!(state.write(Some(&own), &[], &mut BytesMut::new()), Err(HandshakeError::Misuse));
    assert_eq!(state.split().err(), Some(HandshakeError::Misuse));
    for wrong in [
        Setup { local_static: None, ..setup_of(&own) },
        Setup { remote_static: Some(own.public()), ..setup_of(&own) },
        Setup { psks: &[&[0; 32]], ..setup_of(&own) },
        Setup { initiator: true, ..setup_of(&own) },
    ] {
        assert_eq!(HandshakeState::new(&wrong).err(), Some(HandshakeError::Misuse));
    }
}

fn setup_of(own: &NoiseSecret) -> lama_handshake::noise::Setup<'_> {
    lama_handshake::noise::Setup {
        pattern: lama_handshake::noise::Pattern::XK,
        initiator: false,
        prologue: &[],
        local_static: Some(own.public()),
        remote_static: None,
        psks: &[],
    }
}

/// Noise's own limit of a message (section 3 of its specification): 65,535 bytes, and not one more.
#[test]
fn a_noise_message_has_65535_bytes_at_most() {
    use lama_handshake::noise::{HandshakeState, MAX_MESSAGE, Pattern, Setup};
    let bob = bob();
    let state = |initiator: bool| {
        let setup = Setup {
            pattern: Pattern::XK,
            initiator,
            prologue: b"",
            local_static: (!initiator).then(|| bob.noise().public()),
            remote_static: initiator.then(|| bob.noise().public()),
            psks: &[],
        };
        let mut state = HandshakeState::new(&setup).unwrap();
        state.set_ephemeral(NoiseSecret::from_seed(seed(40)));
        state
    };
    let mut message = BytesMut::new();
    let payload = vec![7; MAX_MESSAGE - 32 - 16];
    state(true).write(None, &payload, &mut message).unwrap();
    assert_eq!(message.len(), 65_535);
    assert_eq!(state(false).read(Some(bob.noise()), &message).unwrap(), payload);
    message.extend_from_slice(&[0]);
    assert_eq!(state(false).read(Some(bob.noise()), &message), Err(HandshakeError::Unauthentic));
}
