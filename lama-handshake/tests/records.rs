//! Records: buckets, padding, order, rekey, the end of the counter, and what a failure leaves behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use bytes::BytesMut;
use lama_handshake::noise::CipherState;
use lama_handshake::record::{
    AUTH_PLAINTEXT, AUTH_RECORD_LEN, BUCKETS, HEADER_LEN, MAX_AUTH, MAX_BODY, MAX_PLAINTEXT, MAX_RECORD,
    Opener, Sealer, bucket,
};
use lama_handshake::*;
use proptest::prelude::*;
use support::*;

fn halves() -> (Sealer, Opener) {
    pair_of_halves(RekeyLimits::default())
}

fn seal(sealer: &mut Sealer, kind: RecordType, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    sealer.seal(kind, body, &mut out).unwrap();
    out
}

/// A record with this plaintext, whatever it is.
fn seal_raw(plaintext: &[u8]) -> BytesMut {
    let mut out = BytesMut::from(plaintext);
    CipherState::new(&[5; 32]).seal(&[], &mut out, 0).unwrap();
    out
}

fn open_raw(plaintext: &[u8]) -> Result<RecordType, HandshakeError> {
    halves().1.open(&mut seal_raw(plaintext))
}

#[test]
fn sizes_are_those_of_the_specification() {
    assert_eq!((MAX_PLAINTEXT, MAX_BODY), (65_519, 65_515));
    assert_eq!((MAX_AUTH, AUTH_PLAINTEXT, AUTH_RECORD_LEN), (4_092, 4_096, 4_112));
}

#[test]
fn every_length_goes_into_its_bucket() {
    let (mut sealer, mut opener) = halves();
    for len in [0, 1, 59, 60, 61, 252, 253, 1_020, 1_021, 4_092, 4_093, 16_380, 16_381, MAX_BODY] {
        let body = vec![0xab; len];
        let mut record = seal(&mut sealer, RecordType::Data, &body);
        assert_eq!(record.len(), bucket(len + HEADER_LEN).unwrap() + 16);
        assert!(BUCKETS.contains(&(record.len() - 16)) && record.len() <= MAX_RECORD);
        assert_eq!(opener.open(&mut record), Ok(RecordType::Data));
        assert_eq!(record[..], body);
    }
    assert_eq!(bucket(MAX_PLAINTEXT + 1), None);
    assert_eq!(MAX_PLAINTEXT, 65_519);
}

#[test]
fn local_too_long_leaves_nothing_behind() {
    let (mut sealer, mut opener) = halves();
    let mut out = BytesMut::from(&b"before"[..]);
    let result = sealer.seal(RecordType::Data, &vec![0; MAX_BODY + 1], &mut out);
    assert_eq!((result, &out[..]), (Err(HandshakeError::LocalTooLong), &b"before"[..]));
    sealer.seal(RecordType::Ping, &[1; 8], &mut out).unwrap();
    assert_eq!(opener.open(&mut out.split_off(6)), Ok(RecordType::Ping));
}

#[test]
fn record_length() {
    for len in (0..200).chain([271, 273, 1_039, 4_111, 4_113, 65_534, 65_536, 100_000]) {
        if len == 80 {
            continue;
        }
        let mut record = BytesMut::zeroed(len);
        assert_eq!(halves().1.open(&mut record), Err(HandshakeError::RecordLength));
        assert_eq!(record, BytesMut::zeroed(len));
    }
}

#[test]
fn both_halves_count_and_an_ended_one_opens_nothing() {
    let (mut sealer, mut opener) = halves();
    for n in 0..3 {
        assert_eq!((sealer.count(), opener.count()), (n, Some(n)));
        let mut record = seal(&mut sealer, RecordType::Data, &[1]);
        assert_eq!(opener.open(&mut record), Ok(RecordType::Data));
    }
    opener.end(HandshakeError::AfterClose);
    assert_eq!(opener.count(), None);
    let mut record = seal(&mut sealer, RecordType::Data, &[1]);
    assert_eq!(opener.open(&mut record), Err(HandshakeError::AfterClose));
    opener.end(HandshakeError::Truncated);
    assert_eq!(opener.open(&mut record), Err(HandshakeError::AfterClose), "the first reason stays");
}

/// Damaged, cut by a bucket, repeated, left out, moved, or of another session: the same, and final.
#[test]
fn record_unauthentic() {
    let (mut sealer, _) = halves();
    let records: Vec<_> = (0..4).map(|n| seal(&mut sealer, RecordType::Data, &[n; 20])).collect();
    for at in 0..80 {
        let (_, mut opener) = halves();
        let mut bad = records[0].clone();
        bad[at] ^= 0x80;
        let before = bad.clone();
        assert_eq!(opener.open(&mut bad), Err(HandshakeError::RecordUnauthentic));
        assert_eq!(bad, before, "a failed open leaves the buffer as it was");
        assert_eq!(opener.count(), None);
        let error = opener.open(&mut records[0].clone());
        assert_eq!(error, Err(HandshakeError::RecordUnauthentic), "the first error is final");
    }
    for order in [&[0, 0][..], &[1], &[0, 2], &[0, 1, 0], &[0, 1, 3]] {
        let (_, mut opener) = halves();
        let (last, good) = order.split_last().unwrap();
        for index in good {
            assert_eq!(opener.open(&mut records[*index].clone()), Ok(RecordType::Data));
        }
        assert_eq!(opener.open(&mut records[*last].clone()), Err(HandshakeError::RecordUnauthentic));
    }
}

#[test]
fn record_type() {
    for kind in 0..=255 {
        let mut plaintext = [0; 64];
        plaintext[0] = kind;
        match RecordType::from_number(kind) {
            Some(known) => assert_eq!((open_raw(&plaintext), known.number()), (Ok(known), kind)),
            None => assert_eq!(open_raw(&plaintext), Err(HandshakeError::RecordType(kind))),
        }
    }
    assert_eq!((1..=9).filter_map(RecordType::from_number).count(), 9);
}

#[test]
fn record_body() {
    let with_len = |len: u32, plain: usize| {
        let mut plaintext = vec![0; plain];
        plaintext[..4].copy_from_slice(&len.to_be_bytes());
        plaintext[0] = 3;
        open_raw(&plaintext)
    };
    assert_eq!(with_len(60, 64), Ok(RecordType::Data));
    assert_eq!(with_len(61, 64), Err(HandshakeError::RecordBody));
    assert_eq!(with_len(0xff_ffff, 64), Err(HandshakeError::RecordBody));
    assert_eq!(with_len(MAX_BODY as u32, MAX_PLAINTEXT), Ok(RecordType::Data));
    assert_eq!(with_len(MAX_BODY as u32 + 1, MAX_PLAINTEXT), Err(HandshakeError::RecordBody));
    // REKEY says nothing.
    let mut plaintext = [0; 64];
    (plaintext[0], plaintext[3]) = (7, 1);
    assert_eq!(open_raw(&plaintext), Err(HandshakeError::RecordBody));
}

#[test]
fn padding_not_zero() {
    for at in 4 + 10..256 {
        let mut plaintext = [0; 256];
        (plaintext[0], plaintext[3]) = (3, 10);
        plaintext[at] = 1;
        assert_eq!(open_raw(&plaintext), Err(HandshakeError::PaddingNotZero));
    }
    // Two alike cancel out in no sum of them.
    let mut plaintext = [0; 256];
    (plaintext[0], plaintext[3], plaintext[20], plaintext[30]) = (3, 10, 7, 7);
    assert_eq!(open_raw(&plaintext), Err(HandshakeError::PaddingNotZero));
    let mut plaintext = [0; 256];
    (plaintext[0], plaintext[3], plaintext[13]) = (3, 10, 1);
    assert_eq!(open_raw(&plaintext), Ok(RecordType::Data));
}

#[test]
fn nonce_exhausted() {
    let (mut sealer, mut opener) = halves();
    sealer.danger_set_counter(CipherState::LAST - 1);
    opener.danger_set_counter(CipherState::LAST - 1);
    for _ in 0..2 {
        let mut record = seal(&mut sealer, RecordType::Ping, &[0; 8]);
        assert_eq!(opener.open(&mut record), Ok(RecordType::Ping));
    }
    let mut out = BytesMut::new();
    assert_eq!(sealer.seal(RecordType::Ping, &[0; 8], &mut out), Err(HandshakeError::NonceExhausted));
    assert!(out.is_empty());
    assert_eq!(opener.open(&mut BytesMut::zeroed(80)), Err(HandshakeError::NonceExhausted));
}

/// Both ends rekey before the same record: by count, by bytes, and in step with explicit ones.
#[test]
fn rekey_by_count_and_by_bytes() {
    let limits = RekeyLimits { records: 3, bytes: 1 << 30 };
    let (mut sealer, mut opener) = pair_of_halves(limits);
    let mut plain = CipherState::new(&[5; 32]);
    for n in 0..20_u8 {
        if n > 0 && n % 3 == 0 {
            plain.rekey();
        }
        let mut record = seal(&mut sealer, RecordType::Data, &[n; 9]);
        let mut copy = record.clone();
        plain.open(&[], &mut copy).unwrap();
        assert_eq!(opener.open(&mut record), Ok(RecordType::Data));
        assert_eq!(record[..], [n; 9]);
    }
    // 80 bytes a record: the limit is reached with the third.
    let (mut sealer, mut opener) = pair_of_halves(RekeyLimits { records: u32::MAX, bytes: 161 });
    let mut plain = CipherState::new(&[5; 32]);
    for n in 0..20_u8 {
        if n > 0 && n % 3 == 0 {
            plain.rekey();
        }
        let mut record = seal(&mut sealer, RecordType::Data, &[n; 9]);
        plain.open(&[], &mut record.clone()).unwrap();
        assert_eq!(opener.open(&mut record), Ok(RecordType::Data));
    }
}

#[test]
fn rekey_after_exactly_the_limits_of_the_protocol() {
    assert_eq!(RekeyLimits::default(), RekeyLimits { records: 65_536, bytes: 1 << 30 });
    let (mut sealer, mut opener) = halves();
    let mut plain = CipherState::new(&[5; 32]);
    for n in 0..65_538_u32 {
        let mut record = seal(&mut sealer, RecordType::Ping, &[0; 8]);
        if n >= 65_535 {
            plain.danger_set_counter(u64::from(n));
            if n == 65_536 {
                assert!(plain.open(&[], &mut record.clone()).is_err());
                plain.rekey();
            }
            plain.open(&[], &mut record.clone()).unwrap();
        }
        assert_eq!(opener.open(&mut record), Ok(RecordType::Ping));
    }
}

#[test]
fn explicit_rekey_starts_the_count_again() {
    let limits = RekeyLimits { records: 3, bytes: 1 << 30 };
    let (mut sealer, mut opener) = pair_of_halves(limits);
    let mut plain = CipherState::new(&[5; 32]);
    let mut go = |sealer: &mut Sealer, plain: &mut CipherState, kind| {
        let mut record = seal(sealer, kind, &[]);
        plain.open(&[], &mut record.clone()).unwrap();
        assert_eq!(opener.open(&mut record), Ok(kind));
    };
    go(&mut sealer, &mut plain, RecordType::Ping);
    go(&mut sealer, &mut plain, RecordType::Rekey);
    sealer.rekey();
    plain.rekey();
    for _ in 0..3 {
        go(&mut sealer, &mut plain, RecordType::Ping);
    }
    plain.rekey();
    go(&mut sealer, &mut plain, RecordType::Ping);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is opened, nothing panics, and only what was sealed next opens.
    #[test]
    fn hostile_records_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut record = BytesMut::from(&bytes[..]);
        prop_assert!(halves().1.open(&mut record).is_err());
        prop_assert_eq!(&record[..], &bytes[..]);
    }

    #[test]
    fn bodies_come_back(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5_000), 1..8)) {
        let (mut sealer, mut opener) = halves();
        let mut link = BytesMut::new();
        let mut lens = Vec::new();
        for body in &bodies {
            let before = link.len();
            sealer.seal(RecordType::Data, body, &mut link).unwrap();
            lens.push(link.len() - before);
        }
        for (body, len) in bodies.iter().zip(lens) {
            let mut record = link.split_to(len);
            prop_assert_eq!(opener.open(&mut record), Ok(RecordType::Data));
            prop_assert_eq!(&record[..], &body[..]);
        }
    }
}
