//! The per-person log: what continues it, and what is an alarm.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use bytes::Bytes;
use lama_core::{Seed, WallTime};
use lama_identity::*;

fn identity(byte: u8) -> LocalIdentity {
    let email = "demo@lama.local".parse().unwrap();
    LocalIdentity::create(email, "laptop", Seed::danger_fixed([byte; 32]), WallTime(0)).unwrap()
}

struct Log {
    me: LocalIdentity,
    log: PersonLog,
}

impl Log {
    fn start() -> Self {
        let me = identity(1);
        let mut log = PersonLog::new(me.person_id(), me.public().person_keys.sign_key);
        log.append(me.public().cert.bytes()).unwrap();
        Self { me, log }
    }

    /// A certificate for a further instance with keys from `byte`, as the entry after `head`.
    fn cert(&self, byte: u8, head: LogHead) -> Bytes {
        let (noise, sign) = (secret_noise(byte), secret_sign(byte));
        let instance = Instance::new("phone", self.me.person_id()).unwrap();
        let keys = Keys::new(instance.id(), *sign.public(), *noise.public());
        let body = CertBody::new(&self.me.public().person_keys, &keys, head, 0);
        let person = self.me.person().unwrap().sign.sign_input(&body.person_input().unwrap());
        let back = sign.sign_input(&body.instance_input().unwrap());
        InstanceCert::assemble(body, person, back).unwrap().bytes().clone()
    }

    fn revocation(&self, revoked: Revoked, signer: &SignSecret, head: LogHead) -> Bytes {
        let revocation = Revocation {
            person_id: self.me.person_id(),
            signer: *signer.public(),
            revoked,
            reason: "stolen".into(),
            seq: head.seq + 1,
            prev_hash: head.hash,
        };
        revocation.assemble(signer.sign_input(&revocation.input().unwrap())).unwrap()
    }

    fn rotation(&self, old: &SignSecret, new: &SignSecret, head: LogHead) -> (Rotation, Bytes) {
        let rotation = Rotation {
            person_id: self.me.person_id(),
            old_key: *old.public(),
            new_key: *new.public(),
            seq: head.seq + 1,
            prev_hash: head.hash,
        };
        let input = rotation.input().unwrap();
        let bytes = rotation.assemble(old.sign_input(&input), new.sign_input(&input)).unwrap();
        (rotation, bytes)
    }
}

fn secret_noise(byte: u8) -> NoiseSecret {
    NoiseSecret::from_seed(Seed::danger_fixed([byte; 32]))
}

fn secret_sign(byte: u8) -> SignSecret {
    SignSecret::from_seed(Seed::danger_fixed([byte; 32]))
}

#[test]
fn certificates_follow_one_another_and_are_taken_once() {
    let Log { me, mut log } = Log::start();
    assert_eq!(log.head(), me.public().log_head);
    let before = log.clone();
    log.append(me.public().cert.bytes()).unwrap();
    assert_eq!(log, before, "an entry that is known changes nothing");
    assert!(log.check_instance(me.noise().public()).is_ok());
    assert_eq!(log.check_instance(secret_noise(9).public()), Err(IdentityError::NotCertified));
    let fixture = Log::start();
    let second = fixture.cert(9, log.head());
    assert!(matches!(log.append(&second), Ok(LogEntry::Cert(_))));
    assert_eq!(log.head().seq, 2);
    assert_eq!(log.certified().len(), 2);
}

#[test]
fn a_gap_is_asked_for_and_a_fork_is_an_alarm() {
    let fixture = Log::start();
    let mut log = fixture.log.clone();
    let head = log.head();
    let gap = fixture.cert(9, LogHead { seq: 5, hash: [1; 32] });
    assert_eq!(log.append(&gap).err(), Some(IdentityError::LogGap { expected: 2, found: 6 }));
    let other_history = fixture.cert(9, LogHead { seq: 1, hash: [1; 32] });
    assert_eq!(log.append(&other_history).err(), Some(IdentityError::LogFork { seq: 1 }));
    let rewritten = fixture.cert(9, LogHead::default());
    assert_eq!(log.append(&rewritten).err(), Some(IdentityError::LogFork { seq: 1 }));
    log.append(&fixture.cert(9, head)).unwrap();
    let rival = fixture.cert(8, head);
    assert_eq!(log.append(&rival).err(), Some(IdentityError::LogFork { seq: 2 }));
    assert_eq!(log.head().seq, 2);
}

#[test]
fn a_lower_or_forked_head_is_an_alarm() {
    let known = LogHead { seq: 3, hash: [3; 32] };
    assert_eq!(known.judge(known), Ok(HeadChange::Same));
    assert_eq!(known.judge(LogHead { seq: 4, hash: [4; 32] }), Ok(HeadChange::Longer));
    assert_eq!(
        known.judge(LogHead { seq: 2, hash: [2; 32] }),
        Err(IdentityError::LogLower { known: 3, shown: 2 })
    );
    assert_eq!(known.judge(LogHead { seq: 3, hash: [4; 32] }), Err(IdentityError::LogFork { seq: 3 }));
}

#[test]
fn a_revoked_instance_stays_revoked() {
    let fixture = Log::start();
    let mut log = fixture.log.clone();
    let person = &fixture.me.person().unwrap().sign;
    log.append(&fixture.cert(9, log.head())).unwrap();
    let phone = *secret_noise(9).public();
    log.append(&fixture.revocation(Revoked::Instance(phone), person, log.head())).unwrap();
    assert_eq!(log.check_instance(&phone), Err(IdentityError::Revoked));
    assert!(log.check_instance(fixture.me.noise().public()).is_ok(), "other instances are unaffected");
    let again = fixture.cert(9, log.head());
    assert_eq!(log.append(&again).err(), Some(IdentityError::Revoked), "nobody re-adds a removed key");
    let unknown = fixture.revocation(Revoked::Instance(*secret_noise(7).public()), person, log.head());
    assert_eq!(log.append(&unknown).err(), Some(IdentityError::NotCertified));
}

#[test]
fn only_the_persons_key_revokes() {
    let fixture = Log::start();
    let mut log = fixture.log.clone();
    let thief = fixture.me.sign();
    let bytes = fixture.revocation(Revoked::Instance(*fixture.me.noise().public()), thief, log.head());
    assert_eq!(log.append(&bytes).err(), Some(IdentityError::Mismatch { field: "person_sign_key" }));
}

#[test]
fn after_the_persons_key_is_revoked_the_log_ends() {
    let fixture = Log::start();
    let mut log = fixture.log.clone();
    let person = &fixture.me.person().unwrap().sign;
    let wrong = fixture.revocation(Revoked::Person(*secret_sign(5).public()), person, log.head());
    assert_eq!(log.append(&wrong).err(), Some(IdentityError::Mismatch { field: "key" }));
    log.append(&fixture.revocation(Revoked::Person(*person.public()), person, log.head())).unwrap();
    assert_eq!(log.key(), None);
    assert_eq!(log.append(&fixture.cert(9, log.head())).err(), Some(IdentityError::Revoked));
}

#[test]
fn a_rotation_needs_the_old_and_the_new_key() {
    let fixture = Log::start();
    let mut log = fixture.log.clone();
    let (old, new) = (&fixture.me.person().unwrap().sign, secret_sign(5));
    let (rotation, good) = fixture.rotation(old, &new, log.head());
    let input = rotation.input().unwrap();
    let (old_sig, new_sig) = (old.sign_input(&input), new.sign_input(&input));
    for (first, second) in [(old_sig, old_sig), (new_sig, new_sig), (new_sig, old_sig)] {
        let bytes = rotation.assemble(first, second).unwrap();
        assert_eq!(log.append(&bytes).err(), Some(IdentityError::BadSignature));
    }
    log.append(&good).unwrap();
    assert_eq!(log.key(), Some(new.public()));
    // The old key signs nothing any more.
    let stale = fixture.cert(9, log.head());
    assert_eq!(log.append(&stale).err(), Some(IdentityError::Mismatch { field: "person_sign_key" }));
    let by_new = fixture.revocation(Revoked::Instance(*fixture.me.noise().public()), &new, log.head());
    log.append(&by_new).unwrap();
}

#[test]
fn a_person_has_no_key_twice_and_every_key_is_remembered() {
    let fixture = Log::start();
    let mut log = fixture.log.clone();
    let (old, new) = (&fixture.me.person().unwrap().sign, secret_sign(5));
    log.append(&fixture.rotation(old, &new, log.head()).1).unwrap();
    let back = fixture.rotation(&new, old, log.head()).1;
    assert_eq!(log.append(&back).err(), Some(IdentityError::Revoked));
    assert_eq!(log.keys(), [(0, *old.public()), (2, *new.public())]);
    assert_eq!((log.key_at(1), log.key_at(2)), (Some(old.public()), Some(new.public())));
}

#[test]
fn a_rotated_person_shows_an_instance_by_each_key_that_certified_it() {
    let me = identity(1);
    let mut chain = LogChain::verify(me.person_id(), &[me.public().cert.bytes().clone()]).unwrap();
    let (old, new) = (me.public().clone(), secret_sign(5));
    let entries = rotate_person(&me, chain.head(), &new, WallTime(0)).unwrap();
    chain.extend(&entries).unwrap();
    let key = *new.public();
    let me = me.with_person_key(&chain, new).unwrap();
    me.public().verify(WallTime(0)).unwrap();
    assert_eq!((me.public().pin(), me.public().instance_id()), (key.pin(), old.instance_id()));
    // Whoever knows the old key is shown that, with the log as it is.
    let shown = chain.shown_by(me.public(), &old.person_keys.sign_key).unwrap();
    shown.verify(WallTime(0)).unwrap();
    assert_eq!((shown.pin(), shown.log_head), (old.pin(), chain.head()));
    assert_eq!(chain.shown_by(me.public(), secret_sign(9).public()), None);
    // It is what a key file keeps.
    let read = LocalIdentity::danger_import(&me.danger_export().unwrap()).unwrap();
    assert_eq!(read.public(), me.public());
    // Whoever has not the key gets none.
    assert_eq!(
        rotate_person(
            &LocalIdentity::from_parts(old, secret_noise_of(1), secret_sign_of(1), None).unwrap(),
            chain.head(),
            &secret_sign(6),
            WallTime(0)
        )
        .err(),
        Some(IdentityError::PersonKeyAbsent)
    );
}

fn secret_noise_of(byte: u8) -> NoiseSecret {
    let (_, noise, ..) = identity(byte).into_parts();
    noise
}

fn secret_sign_of(byte: u8) -> SignSecret {
    let (_, _, sign, _) = identity(byte).into_parts();
    sign
}

#[test]
fn another_persons_entry_is_refused() {
    let fixture = Log::start();
    let email = "other@lama.local".parse().unwrap();
    let other = LocalIdentity::create(email, "x", Seed::danger_fixed([4; 32]), WallTime(0)).unwrap();
    let mut log = PersonLog::new(other.person_id(), other.public().person_keys.sign_key);
    assert_eq!(
        log.append(fixture.me.public().cert.bytes()).err(),
        Some(IdentityError::Mismatch { field: "person_id" })
    );
    assert!(log.append(&other.public().person.to_bytes().unwrap()).is_err());
}
