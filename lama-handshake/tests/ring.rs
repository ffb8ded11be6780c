//! With the feature `ring`: the same bytes from both implementations of the cipher, and the same behaviour.
#![cfg(feature = "ring")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use lama_handshake::noise::{Aead, PortableAead};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn both_ciphers_agree_byte_for_byte(
        key in any::<[u8; 32]>(),
        n in any::<u64>(),
        ad in proptest::collection::vec(any::<u8>(), 0..80),
        text in proptest::collection::vec(any::<u8>(), 0..3_000),
        flip in any::<proptest::sample::Index>(),
    ) {
        let (ring, portable) = (Aead::new(&key), PortableAead::new(&key));
        let (mut one, mut other) = (text.clone(), text.clone());
        let tag = ring.seal(n, &ad, &mut one).unwrap();
        prop_assert_eq!(portable.seal(n, &ad, &mut other).unwrap(), tag);
        prop_assert_eq!(&one, &other);
        let mut bad = tag;
        bad[flip.index(16)] ^= 1;
        prop_assert!(!ring.open(n, &ad, &mut one, &bad));
        prop_assert!(!portable.open(n, &ad, &mut other, &bad));
        prop_assert_eq!(&one, &other, "a failed open leaves the text as it was");
        prop_assert!(ring.open(n, &ad, &mut one, &tag) && portable.open(n, &ad, &mut other, &tag));
        prop_assert_eq!((&one, &other), (&text, &text));
    }
}

#[test]
fn lengths_around_blocks_and_the_longest_record() {
    let (ring, portable) = (Aead::new(&[1; 32]), PortableAead::new(&[1; 32]));
    for len in (0..300).chain([1_023, 1_024, 1_025, 16_384, 65_519]) {
        let (mut one, mut other) = (vec![0x3c; len], vec![0x3c; len]);
        assert_eq!(ring.seal(len as u64, &[], &mut one), portable.seal(len as u64, &[], &mut other));
        assert_eq!(one, other, "{len}");
    }
}
