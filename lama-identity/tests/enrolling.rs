//! A second instance by file, revoking, and taking in the tail of a log: what is accepted, and that nothing else is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use bytes::Bytes;
use lama_core::{Seed, WallTime};
use lama_identity::*;
use proptest::prelude::*;

const NOW: WallTime = WallTime(1_800_000_000_000);

fn identity(email: &str, byte: u8) -> LocalIdentity {
    LocalIdentity::create(email.parse().unwrap(), "desk", Seed::danger_fixed([byte; 32]), NOW).unwrap()
}

fn secrets(byte: u8) -> (NoiseSecret, SignSecret) {
    let seed = || Seed::danger_fixed([byte; 32]);
    (NoiseSecret::from_seed(seed().child("noise")), SignSecret::from_seed(seed().child("sign")))
}

fn chain_of(me: &LocalIdentity) -> LogChain {
    LogChain::verify(me.person_id(), &[me.public().cert.bytes().clone()]).unwrap()
}

fn sign(me: &LocalIdentity, input: &[u8]) -> Signature {
    me.person().unwrap().sign.sign_input(input)
}

fn request(me: &LocalIdentity, chain: &LogChain, byte: u8) -> (InstanceOffer, InstanceRequest) {
    let offer = InstanceOffer::new(me.public(), chain.head());
    let (noise, sign) = secrets(byte);
    let request = InstanceRequest::new(&offer, &format!("phone {byte}"), &noise, &sign, NOW).unwrap();
    (offer, request)
}

fn certify(me: &LocalIdentity, chain: &mut LogChain, byte: u8) -> (InstanceOffer, InstanceRequest) {
    let (offer, request) = request(me, chain, byte);
    let body = request.check(me.public(), chain).unwrap();
    let signature = sign(me, &body.person_input().unwrap());
    let cert = request.certificate(body, signature).unwrap();
    chain.extend(&[cert.bytes().clone()]).unwrap();
    (offer, request)
}

fn revoke(me: &LocalIdentity, chain: &mut LogChain, noise: &NoisePublic) {
    let revocation = revoke_instance(me.public(), chain, noise, "lost".into()).unwrap();
    let signature = sign(me, &revocation.input().unwrap());
    chain.extend(&[revocation.assemble(signature).unwrap()]).unwrap();
}

/// Three certificates and two revocations.
fn long(me: &LocalIdentity) -> LogChain {
    let mut chain = chain_of(me);
    certify(me, &mut chain, 20);
    certify(me, &mut chain, 21);
    revoke(me, &mut chain, secrets(20).0.public());
    certify(me, &mut chain, 22);
    revoke(me, &mut chain, secrets(21).0.public());
    chain
}

#[test]
fn an_instance_is_enrolled_by_three_files() {
    let me = identity("ada@lama.local", 1);
    let mut chain = chain_of(&me);
    let (offer, request) = certify(&me, &mut chain, 9);
    let through_files = |bytes: Bytes| Enrolment::from_bytes(&bytes).unwrap();
    let enrolment = through_files(Enrolment::new(me.public(), &chain, Vec::new()).to_bytes().unwrap());
    let (public, log) = enrolment.accept(&offer, &request).unwrap();
    public.verify(NOW).unwrap();
    assert_eq!((public.pin(), log.head()), (me.public().pin(), public.log_head));
    assert_eq!(public.instance.name, "phone 9");
    let (noise, secret) = secrets(9);
    LocalIdentity::from_parts(public, noise, secret, None).unwrap();
    // Another person's answer, and one to another request, are none.
    let other = identity("bob@lama.local", 2);
    let foreign = Enrolment::new(other.public(), &chain_of(&other), Vec::new());
    assert_eq!(foreign.accept(&offer, &request).err(), Some(IdentityError::Mismatch { field: "personKeys" }));
    let (_, unanswered) = self::request(&me, &chain, 10);
    assert_eq!(enrolment.accept(&offer, &unanswered).err(), Some(IdentityError::NotCertified));
}

#[test]
fn a_request_counts_for_one_person_one_place_and_one_key() {
    let me = identity("ada@lama.local", 1);
    let mut chain = chain_of(&me);
    let (_, early) = request(&me, &chain, 9);
    certify(&me, &mut chain, 8);
    assert_eq!(early.check(me.public(), &chain).err(), Some(IdentityError::LogFork { seq: 2 }));
    // The same e-mail with another key is another person who only claims to be this one.
    let claimant = identity("ada@lama.local", 3);
    let claimed = early.check(claimant.public(), &chain_of(&claimant)).err();
    assert_eq!(claimed, Some(IdentityError::Mismatch { field: "person_sign_key" }));
    revoke(&me, &mut chain, secrets(8).0.public());
    let (_, again) = request(&me, &chain, 8);
    assert_eq!(again.check(me.public(), &chain).err(), Some(IdentityError::Revoked));
}

#[test]
fn every_tampered_byte_of_a_request_is_refused() {
    let me = identity("ada@lama.local", 1);
    let chain = chain_of(&me);
    let bytes = request(&me, &chain, 9).1.to_bytes().unwrap();
    for at in 0..bytes.len() {
        let mut tampered = bytes.to_vec();
        tampered[at] ^= 1;
        let judged = InstanceRequest::from_bytes(&tampered).and_then(|it| it.check(me.public(), &chain));
        assert!(judged.is_err(), "byte {at}");
    }
}

#[test]
fn every_tampered_byte_of_a_tail_is_refused_and_changes_nothing() {
    let me = identity("ada@lama.local", 1);
    let (known, whole) = (chain_of(&me), long(&me));
    let tail = whole.tail(known.head()).unwrap();
    for entry in 0..tail.len() {
        for at in 0..tail[entry].len() {
            let mut tampered = tail.to_vec();
            let mut bytes = tampered[entry].to_vec();
            bytes[at] ^= 1;
            tampered[entry] = bytes.into();
            let mut chain = known.clone();
            assert!(chain.extend(&tampered).is_err(), "entry {entry}, byte {at}");
            assert_eq!(chain, known, "all or nothing");
        }
    }
}

#[test]
fn a_head_beside_or_beyond_the_log_is_an_alarm() {
    let me = identity("ada@lama.local", 1);
    let mut one = chain_of(&me);
    let mut other = one.clone();
    certify(&me, &mut one, 8);
    certify(&me, &mut other, 9);
    assert_eq!(one.tail(other.head()).err(), Some(IdentityError::LogFork { seq: 2 }));
    let rival = other.tail(LogHead { seq: 1, hash: *me.public().cert.cid().digest() }).unwrap();
    assert_eq!(one.clone().extend(rival).err(), Some(IdentityError::LogFork { seq: 2 }));
    let beyond = LogHead { seq: 7, hash: [1; 32] };
    assert_eq!(one.check_head(beyond), Err(IdentityError::LogLower { known: 7, shown: 2 }));
    assert!(one.check_head(LogHead::default()).is_ok());
}

#[test]
fn messages_about_logs_read_back_and_nothing_else_does() {
    let me = identity("ada@lama.local", 1);
    let chain = long(&me);
    let (person, head) = (me.person_id(), chain.head());
    let (entries, upto) = LogMessage::piece(person, &chain, 1).unwrap();
    assert_eq!((upto, LogMessage::piece(person, &chain, upto)), (6, None));
    for message in [LogMessage::Want { person, head }, LogMessage::Have { person, head }, entries] {
        let bytes = message.to_bytes().unwrap();
        assert_eq!(LogMessage::from_bytes(&bytes), Ok(message));
        for len in 0..bytes.len() {
            assert!(LogMessage::from_bytes(&bytes[..len]).is_err());
        }
    }
    let empty = LogMessage::Entries { person, head, entries: Vec::new() }.to_bytes().unwrap();
    assert!(LogMessage::from_bytes(&empty).is_err());
    assert!(LogMessage::from_bytes(&vec![0; LOG_PIECE * 4]).is_err());
}

#[test]
fn a_long_log_goes_in_pieces() {
    let me = identity("ada@lama.local", 1);
    let mut chain = chain_of(&me);
    for byte in 30..90 {
        certify(&me, &mut chain, byte);
    }
    let (mut after, mut pieces, mut copy) = (1, 0, chain_of(&me));
    while let Some((LogMessage::Entries { entries, .. }, upto)) =
        LogMessage::piece(me.person_id(), &chain, after)
    {
        assert!(entries.iter().map(Bytes::len).sum::<usize>() <= LOG_PIECE);
        copy.extend(&entries).unwrap();
        (after, pieces) = (upto, pieces + 1);
    }
    assert_eq!(copy, chain);
    assert!(pieces > 1, "{pieces}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever pieces of the log come, in whatever order and how often: they are taken or refused without a trace, and
    /// once all has come in order the log is the same; a revoked key is revoked at every moment from its revocation on.
    #[test]
    fn the_order_of_arrival_does_not_matter(pieces in prop::collection::vec((0_usize..6, 1_usize..6), 0..20)) {
        let me = identity("ada@lama.local", 1);
        let whole = long(&me);
        let mut chain = chain_of(&me);
        let lost = *secrets(20).0.public();
        for (start, len) in pieces {
            let before = chain.clone();
            let end = (start + len).min(6);
            let taken = chain.extend(&whole.entries()[start..end]);
            prop_assert_eq!(taken.is_ok(), start as u64 <= before.head().seq);
            prop_assert!(taken.is_ok() || chain == before);
            prop_assert!(chain.head().seq >= before.head().seq);
            prop_assert_eq!(chain.is_revoked(&lost), chain.head().seq >= 4);
        }
        chain.extend(whole.entries()).unwrap();
        prop_assert_eq!(chain, whole);
    }
}
