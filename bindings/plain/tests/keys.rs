//! Key files of the `lama` program in the plain API.
#![allow(clippy::unwrap_used, missing_docs)]

use lama_bindings::Keys;
use lama_core::Seed;
use lama_identity::keyfile::{self, Cost};
use zeroize::Zeroizing;

#[test]
fn what_else_a_key_file_holds_is_kept() {
    let keys = Keys::create("ada@lama.local", "desk", [1; 32], 1_800_000_000_000).unwrap();
    let file = keys.seal(None, [2; 32]).unwrap();
    let (owner, mut secrets) = keyfile::open(&file, None).unwrap();
    // As the program keeps the keys that it had before.
    secrets.push(("former.1".to_owned(), Zeroizing::new(vec![7; 100])));
    let file = keyfile::seal(&owner, None, Cost::default(), &secrets, &Seed::danger_fixed([3; 32])).unwrap();

    let locked = Keys::open(&file, None).unwrap().seal(Some("a passphrase"), [4; 32]).unwrap();
    let (_, mut again) = keyfile::open(&locked, Some(b"a passphrase")).unwrap();
    again.sort_by(|a, b| a.0.cmp(&b.0));
    secrets.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(again, secrets);
}
