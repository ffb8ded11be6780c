//! Every rule of Auth, against a peer that has real keys and writes its records by hand: one test for each rule,
//! named after it, for both directions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use bytes::BytesMut;
use lama_core::WallTime;
use lama_handshake::record::MAX_AUTH;
use lama_handshake::*;
use lama_identity::{IdentityError, LocalIdentity, LogHead, Object as _};
use support::*;

/// How bob takes what `forge` makes of alice's Auth.
fn at_responder(
    mode: Mode,
    expect: &Expect,
    forge: impl FnOnce(&mut Forger, Auth) -> BytesMut,
) -> Result<Peer, HandshakeError> {
    let (alice, bob) = (alice(), bob());
    let (mut forger, proved) = Forger::dial(alice.noise(), &bob, mode);
    let record = forge(&mut forger, Auth::new(&alice, Role::Initiator, mode));
    proved
        .read_auth(record, bob.public(), expect)
        .map(|ok| ok.peer().clone())
        .map_err(|no| no.error().clone())
}

/// How alice takes what `forge` makes of bob's Auth.
fn at_initiator(
    mode: Mode,
    expect: &Expect,
    forge: impl FnOnce(&mut Forger, Auth) -> BytesMut,
) -> Result<Peer, HandshakeError> {
    let (alice, bob) = (alice(), bob());
    let (mut forger, keyed) = Forger::answer(&bob, &alice, mode);
    let signing = keyed.introduce(&introduction(&alice, group(mode))).unwrap();
    let signature = sign(&alice, Signer::Person, signing.to_sign());
    let wait = signing.signed(signature, &mut BytesMut::new()).unwrap();
    let record = forge(&mut forger, Auth::new(&bob, Role::Responder, mode));
    wait.read_auth(record, expect).map(|ok| ok.peer().clone()).map_err(|no| no.error().clone())
}

/// Both, in both modes, with one change to the fields.
fn with_fields(mode: Mode, change: impl Fn(&mut Auth)) -> [Option<HandshakeError>; 2] {
    let (alice, bob) = (alice(), bob());
    let forge = |who: LocalIdentity, peer: LocalIdentity| {
        let change = &change;
        move |forger: &mut Forger, mut fields: Auth| {
            change(&mut fields);
            forger.auth(&who, &peer, fields)
        }
    };
    let known = if mode == Mode::Known { expect_person(&alice) } else { expect() };
    [
        at_responder(mode, &known, forge(support::alice(), support::bob())).err(),
        at_initiator(mode, &expect(), forge(bob, alice)).err(),
    ]
}

fn both(error: HandshakeError) -> [Option<HandshakeError>; 2] {
    [Some(error.clone()), Some(error)]
}

#[test]
fn an_honest_record_passes() {
    for mode in [Mode::Pairing, Mode::Known] {
        assert_eq!(with_fields(mode, |_| {}), [None, None]);
        assert_eq!(with_fields(mode, |auth| auth.caps = u64::MAX), [None, None]);
        assert_eq!(with_fields(mode, |auth| auth.pair_key_id = Some([1; 8])), [None, None]);
    }
    assert_eq!(with_fields(Mode::Known, |auth| auth.signer = "instance"), [None, None]);
}

#[test]
fn auth_malformed() {
    for mode in [Mode::Pairing, Mode::Known] {
        assert_eq!(with_fields(mode, |auth| auth.surprise = Some(1)), both(HandshakeError::AuthMalformed));
        assert_eq!(with_fields(mode, |auth| auth.group = Some("other")), both(HandshakeError::AuthMalformed));
        assert_eq!(with_fields(mode, |auth| auth.group = None), both(HandshakeError::AuthMalformed));
        assert_eq!(with_fields(mode, |auth| auth.signer = "nobody"), both(HandshakeError::AuthMalformed));
        assert_eq!(with_fields(mode, |auth| auth.endpoint = None), both(HandshakeError::AuthMalformed));
    }
    for body in [&[][..], &[0xa0], &[0xff], &[0xbf, 0xff], &[0; 100]] {
        let result =
            at_responder(Mode::Known, &expect(), |forger, _| forger.seal(RecordType::Auth, body, 4_096));
        assert_eq!(result.err(), Some(HandshakeError::AuthMalformed));
    }
}

#[test]
fn auth_too_long() {
    let long = |auth: &mut Auth| auth.endpoint.as_mut().unwrap().url = format!("ws://{}", "x".repeat(600));
    assert_eq!(with_fields(Mode::Known, long), both(HandshakeError::AuthTooLong));
    // A body above the limit does not fit into a record of Auth's size.
    let result = at_responder(Mode::Known, &expect(), |forger, _| {
        forger.seal(RecordType::Auth, &[0; MAX_AUTH + 1], 0)
    });
    assert_eq!(result.err(), Some(HandshakeError::RecordLength));
}

#[test]
fn auth_role() {
    let turn = |auth: &mut Auth| auth.role = 3 - auth.role;
    assert_eq!(with_fields(Mode::Known, turn), both(HandshakeError::AuthRole));
    assert_eq!(with_fields(Mode::Pairing, |auth| auth.role = 0), both(HandshakeError::AuthRole));
}

#[test]
fn auth_instance_key() {
    // Genuine papers of another instance, shown over this session's key.
    let carol = identity("carol", 3);
    let show = |auth: &mut Auth| {
        auth.identity = carol.public().clone();
        auth.endpoint = Some(carol.public().endpoint("").unwrap());
    };
    assert_eq!(with_fields(Mode::Pairing, show), both(HandshakeError::AuthInstanceKey));
}

#[test]
fn auth_endpoint() {
    let carol = identity("carol", 3);
    let show = |auth: &mut Auth| auth.endpoint = Some(carol.public().endpoint("").unwrap());
    assert_eq!(with_fields(Mode::Pairing, show), both(HandshakeError::AuthEndpoint));
}

#[test]
fn auth_identity() {
    let (carol, anna) = (identity("carol", 3), identity("anna", 1));
    let mismatch = |field| both(HandshakeError::AuthIdentity(IdentityError::Mismatch { field }));
    let person = carol.public().person.clone();
    assert_eq!(with_fields(Mode::Pairing, |auth| auth.identity.person = person.clone()), mismatch("Person"));
    let instance = carol.public().instance.clone();
    assert_eq!(
        with_fields(Mode::Pairing, |auth| auth.identity.instance = instance.clone()),
        mismatch("Instance")
    );
    let cert = carol.public().cert.clone();
    let swapped = with_fields(Mode::Pairing, |auth| auth.identity.cert = cert.clone());
    assert!(swapped.iter().all(|error| matches!(error, Some(HandshakeError::AuthIdentity(_)))));
    let cert = anna.public().cert.clone();
    let swapped = with_fields(Mode::Pairing, |auth| auth.identity.cert = cert.clone());
    assert!(swapped.iter().all(|error| matches!(error, Some(HandshakeError::AuthIdentity(_)))));
    // A certificate from the future.
    let early = Expect { wall: WallTime::from_unix_seconds(1_000), ..expect() };
    let result = at_responder(Mode::Pairing, &early, |forger, fields| forger.auth(&alice(), &bob(), fields));
    assert_eq!(result.err(), Some(HandshakeError::AuthIdentity(IdentityError::NotYetValid)));
}

#[test]
fn auth_person() {
    let carol = identity("carol", 3);
    let result = at_responder(Mode::Known, &expect_person(&carol), |forger, fields| {
        forger.auth(&alice(), &bob(), fields)
    });
    assert_eq!(result.err(), Some(HandshakeError::AuthPerson));
    // The same label with another key is a key change, not the person.
    let pin = carol.public().pin();
    let expect_alice = Expect { person: Some(PinnedPerson { pin, ..pinned(&alice()) }), ..expect() };
    let result =
        at_responder(Mode::Known, &expect_alice, |forger, fields| forger.auth(&alice(), &bob(), fields));
    assert_eq!(result.err(), Some(HandshakeError::AuthPerson));
    // The initiator expects whom it dialled, whatever the caller says.
    let result = at_initiator(Mode::Known, &expect_person(&carol), |forger, fields| {
        forger.auth(&bob(), &alice(), fields)
    });
    assert!(result.is_ok());
}

#[test]
fn a_key_of_before_is_shown_by_an_instance_that_signs_itself() {
    let carol = identity("carol", 3);
    let now = PinnedPerson { pin: carol.public().pin(), ..pinned(&alice()) };
    let after = Expect { person: Some(now), former: vec![alice().public().pin()], ..expect() };
    let shown = |mode, signer: &'static str| {
        at_responder(mode, &after, move |forger, mut fields| {
            fields.signer = signer;
            forger.auth(&alice(), &bob(), fields)
        })
    };
    let peer = shown(Mode::Known, "instance").unwrap();
    assert_eq!((peer.person(), peer.named), (pinned(&alice()), bob().public().pin()));
    // The key itself speaks for nobody any more, and in a pairing it is another person's.
    assert_eq!(shown(Mode::Known, "person").err(), Some(HandshakeError::AuthSigner));
    assert_eq!(shown(Mode::Pairing, "person").err(), Some(HandshakeError::AuthPerson));
}

#[test]
fn who_has_not_heard_of_a_rotation_names_the_key_of_before() {
    let (alice, bob, carol) = (alice(), bob(), identity("carol", 3));
    let before = carol.public().pin();
    for (own_former, expected) in [(vec![before], Ok(before)), (vec![], Err(HandshakeError::AuthSignature))] {
        let (initiator, message1) = dial(&bob, Mode::Known);
        let mut out = BytesMut::new();
        let message1 = Message1::read(&message1, Via::Direct).unwrap();
        let wait = message1.answer(bob.noise(), None, seed(20), &mut out).unwrap();
        let mut out3 = BytesMut::new();
        let keyed = initiator.naming(before).read_message2(&out, alice.noise(), &mut out3).unwrap();
        let signing = keyed.introduce(&introduction(&alice, Group::Chum)).unwrap();
        let signature = sign(&alice, Signer::Person, signing.to_sign());
        let mut record = BytesMut::new();
        signing.signed(signature, &mut record).unwrap();
        let expect = Expect { own_former, ..expect_person(&alice) };
        let proved = wait.read_message3(&out3).unwrap();
        let read = proved.read_auth(record, bob.public(), &expect);
        assert_eq!(read.map(|ok| ok.peer().named).map_err(|no| no.error().clone()), expected);
    }
}

#[test]
fn auth_person_of_the_invitation() {
    // Bob's instance answers, but the invitation named carol as its person.
    let (alice, bob, carol) = (alice(), bob(), identity("carol", 3));
    let psk = invitation(&bob).psk();
    let access = Access::Pairing { locator: invitation(&bob).locator(), psk: &psk };
    let dial = Dial { instance: *bob.noise().public(), person: pinned(&carol), access, via: Via::Direct };
    let (mut message1, mut message3, mut auth_i, mut auth_r) = Default::default();
    let initiator = Initiator::dial(&dial, seed(10), &mut message1).unwrap();
    let (responder, message2) = answer(&bob, Mode::Pairing, &message1);
    let keyed = initiator.read_message2(&message2, alice.noise(), &mut message3).unwrap();
    let signing = keyed.introduce(&introduction(&alice, Group::Pairing)).unwrap();
    let signature = sign(&alice, Signer::Person, signing.to_sign());
    let wait = signing.signed(signature, &mut auth_i).unwrap();
    // Alice has bound herself to carol, so bob cannot take her Auth either.
    let proved = responder.read_message3(&message3).unwrap();
    let failed = proved.read_auth(auth_i, bob.public(), &expect()).err().unwrap();
    assert_eq!(*failed.error(), HandshakeError::AuthSignature);
    assert_eq!(failed.reject(&mut auth_r), HandshakeError::AuthSignature);
    let failed = wait.read_auth(auth_r, &expect()).err().unwrap();
    assert_eq!(*failed.error(), HandshakeError::Rejected(RejectCode::Protocol));
}

#[test]
fn auth_group() {
    assert_eq!(
        with_fields(Mode::Known, |auth| auth.group = Some("pairing")),
        both(HandshakeError::AuthGroup)
    );
    assert_eq!(with_fields(Mode::Pairing, |auth| auth.group = Some("chum")), both(HandshakeError::AuthGroup));
}

/// Everything the signature binds: with any one of it another, it must not verify.
#[test]
fn auth_signature() {
    let (alice, bob, carol) = (alice(), bob(), identity("carol", 3));
    let changes: [fn(&mut SignedAs, &LocalIdentity); 7] = [
        |_, _| {},
        |signed, _| signed.role = 3 - signed.role,
        |signed, _| signed.h[0] ^= 1,
        |signed, other| signed.own_noise = *other.noise().public(),
        |signed, other| signed.peer_noise = *other.noise().public(),
        |signed, other| signed.own_pin = *other.public().pin().as_bytes(),
        |signed, other| signed.peer_pin = *other.public().pin().as_bytes(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let forge = |who: &LocalIdentity, peer: &LocalIdentity, forger: &mut Forger, fields: Auth| {
            let mut signed_as = SignedAs {
                role: forger.role as u8,
                h: forger.h,
                own_noise: forger.own,
                peer_noise: forger.peer,
                own_pin: *who.public().pin().as_bytes(),
                peer_pin: *peer.public().pin().as_bytes(),
            };
            change(&mut signed_as, &carol);
            forger.auth_as(who, &signed_as, fields)
        };
        let at_bob =
            at_responder(Mode::Known, &expect_person(&alice), |f, a| forge(&alice, &bob, f, a)).err();
        let at_alice = at_initiator(Mode::Known, &expect(), |f, a| forge(&bob, &alice, f, a)).err();
        let expected = (index > 0).then_some(HandshakeError::AuthSignature);
        assert_eq!([at_bob, at_alice], [expected.clone(), expected], "{index}");
    }
    // Another's signature, and the instance's where the person's is named.
    let at_bob = at_responder(Mode::Known, &expect(), |f, a| f.auth(&carol, &bob, a)).err();
    assert_eq!(at_bob, Some(HandshakeError::AuthSignature));
}

#[test]
fn auth_signer() {
    assert_eq!(with_fields(Mode::Pairing, |auth| auth.signer = "instance"), both(HandshakeError::AuthSigner));
}

#[test]
fn auth_log_lower_and_auth_log_forked() {
    let head = alice().public().log_head;
    let with_known = |known: LogHead| {
        let known = Expect { log_head: Some(known), ..expect_person(&alice()) };
        at_responder(Mode::Known, &known, |forger, fields| forger.auth(&alice(), &bob(), fields)).err()
    };
    assert_eq!(with_known(head), None);
    assert_eq!(with_known(LogHead { seq: 0, hash: [0; 32] }), None);
    assert_eq!(with_known(LogHead { seq: head.seq + 1, ..head }), Some(HandshakeError::AuthLogLower));
    assert_eq!(with_known(LogHead { hash: [1; 32], ..head }), Some(HandshakeError::AuthLogForked));
}

#[test]
fn same_person() {
    // Another device of the same person, or one who merely claims the same address: here with keys of its own.
    let (bob, other) = (bob(), identity("bob", 4));
    let (mut forger, proved) = Forger::dial(other.noise(), &bob, Mode::Pairing);
    let auth = forger.auth(&other, &bob, Auth::new(&other, Role::Initiator, Mode::Pairing));
    let failed = proved.read_auth(auth, bob.public(), &expect()).err().unwrap();
    assert_eq!(*failed.error(), HandshakeError::SamePerson(bob.person_id()));
    assert_eq!(failed.error().reject_code(), Some(RejectCode::SamePerson));
    let text = failed.error().to_string();
    assert!(text.contains("lama --data DIR init") && text.contains(&bob.person_id().to_string()));
    let mut reject = BytesMut::new();
    failed.reject(&mut reject);
    assert_eq!(forger.opener.open(&mut reject), Ok(RecordType::Reject));
    assert_eq!(reject[..], [RejectCode::SamePerson.number()]);
}

#[test]
fn version_unsupported() {
    for versions in [(2, 3), (0, 0), (3, 1), (2, 1)] {
        assert_eq!(
            with_fields(Mode::Known, |auth| auth.versions = versions),
            both(HandshakeError::VersionUnsupported)
        );
    }
}

#[test]
fn downgrade() {
    // A higher version of the peer's alone is none of ours.
    assert_eq!(with_fields(Mode::Known, |auth| auth.versions = (1, 9)), [None, None]);
    let higher = Expect { versions: Versions(1, 2), ..expect_person(&alice()) };
    let at_bob = |max| {
        at_responder(Mode::Known, &higher, |forger, mut fields| {
            fields.versions = (1, max);
            forger.auth(&alice(), &bob(), fields)
        })
        .err()
    };
    assert_eq!(at_bob(1), None);
    assert_eq!([at_bob(2), at_bob(3)], both(HandshakeError::Downgrade));
}

#[test]
fn sas_missing() {
    assert_eq!(with_fields(Mode::Pairing, |auth| auth.sas = None), both(HandshakeError::SasMissing));
}

#[test]
fn sas_unexpected() {
    assert_eq!(
        with_fields(Mode::Known, |auth| auth.sas = Some([1; 32])),
        both(HandshakeError::SasUnexpected)
    );
}

#[test]
fn record_unexpected_instead_of_auth() {
    for kind in [RecordType::Ready, RecordType::Data, RecordType::Close, RecordType::Ping] {
        let result = at_responder(Mode::Known, &expect(), |forger, _| forger.seal(kind, &[], 4_096));
        assert_eq!(result.err(), Some(HandshakeError::RecordUnexpected(kind)));
        let result = at_initiator(Mode::Known, &expect(), |forger, _| forger.seal(kind, &[], 4_096));
        assert_eq!(result.err(), Some(HandshakeError::RecordUnexpected(kind)));
    }
}

#[test]
fn a_damaged_auth_is_met_with_silence() {
    let (alice, bob) = (alice(), bob());
    for at in (0..4_112).step_by(97) {
        let (mut forger, proved) = Forger::dial(alice.noise(), &bob, Mode::Pairing);
        let mut record = forger.auth(&alice, &bob, Auth::new(&alice, Role::Initiator, Mode::Pairing));
        record[at] ^= 1;
        let failed = proved.read_auth(record, bob.public(), &expect()).err().unwrap();
        let mut out = BytesMut::new();
        assert_eq!(failed.reject(&mut out), HandshakeError::RecordUnauthentic);
        assert!(out.is_empty());
    }
}

/// A static key that is nobody's contact learns nothing, whatever it shows.
#[test]
fn an_unknown_key_in_known_mode_is_met_with_silence() {
    let (alice, bob) = (alice(), bob());
    let (mut forger, proved) = Forger::dial(alice.noise(), &bob, Mode::Known);
    let fields = Auth { group: Some("pairing"), ..Auth::new(&alice, Role::Initiator, Mode::Known) };
    let record = forger.auth(&alice, &bob, fields);
    let failed = proved.read_auth(record, bob.public(), &expect()).err().unwrap();
    let mut out = BytesMut::new();
    assert_eq!(failed.reject(&mut out), HandshakeError::AuthGroup);
    assert!(out.is_empty());
}

#[test]
fn a_verified_but_told_peer_gets_a_record_like_auth() {
    let (alice, bob) = (alice(), bob());
    let (mut forger, proved) = Forger::dial(alice.noise(), &bob, Mode::Pairing);
    let fields = Auth { group: Some("chum"), ..Auth::new(&alice, Role::Initiator, Mode::Pairing) };
    let record = forger.auth(&alice, &bob, fields);
    let failed = proved.read_auth(record, bob.public(), &expect()).err().unwrap();
    let mut out = BytesMut::new();
    failed.reject(&mut out);
    assert_eq!(out.len(), 4_112);
    assert_eq!(forger.opener.open(&mut out), Ok(RecordType::Reject));
    assert_eq!(out[..], [RejectCode::Group.number()]);
}

#[test]
fn auth_fits_into_its_record_with_room() {
    let (_, _, frames) = handshake(Mode::Pairing);
    assert_eq!(frames.auth_i.len(), record::AUTH_RECORD_LEN);
    let person = alice().public().person.to_bytes().unwrap().len();
    assert!(person < 100, "{person}");
}
