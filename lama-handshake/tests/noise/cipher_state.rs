//! What a state does at its edges: a failed open, the last counter, a new key.

use bytes::BytesMut;
use lama_handshake::HandshakeError;
use lama_handshake::noise::{Aead, CipherState};

#[test]
fn a_failed_open_leaves_state_and_buffer_as_they_were() {
    let (mut seal, mut open) = (CipherState::new(&[1; 32]), CipherState::new(&[1; 32]));
    let mut good = BytesMut::from(&b"hello"[..]);
    seal.seal(b"ad", &mut good, 0).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let before = bad.clone();
        assert_eq!(open.open(b"ad", &mut bad), Err(HandshakeError::Unauthentic));
        assert_eq!((bad, open.counter()), (before, 0));
    }
    for len in 0..good.len() {
        let mut cut = BytesMut::from(&good[..len]);
        assert_eq!(open.open(b"ad", &mut cut), Err(HandshakeError::Unauthentic));
        assert_eq!(cut, good[..len]);
    }
    assert_eq!(open.open(b"da", &mut good.clone()), Err(HandshakeError::Unauthentic));
    open.open(b"ad", &mut good).unwrap();
    assert_eq!((&good[..], open.counter()), (&b"hello"[..], 1));
}

#[test]
fn nonce_exhausted_before_the_counter_of_rekey() {
    let (mut seal, mut open) = (CipherState::new(&[1; 32]), CipherState::new(&[1; 32]));
    seal.danger_set_counter(CipherState::LAST);
    open.danger_set_counter(CipherState::LAST);
    let mut last = BytesMut::new();
    seal.seal(&[], &mut last, 0).unwrap();
    assert_eq!(seal.seal(&[], &mut BytesMut::new(), 0), Err(HandshakeError::NonceExhausted));
    open.open(&[], &mut last.clone()).unwrap();
    assert_eq!(open.open(&[], &mut last), Err(HandshakeError::NonceExhausted));
}

#[test]
fn rekey_is_the_encryption_of_zeros_under_the_last_nonce() {
    let mut expected = [0; 32];
    let _ = Aead::new(&[9; 32]).seal(u64::MAX, &[], &mut expected).unwrap();
    let mut state = CipherState::new(&[9; 32]);
    state.danger_set_counter(5);
    state.rekey();
    let (mut ours, mut theirs) = (BytesMut::from(&b"x"[..]), *b"x");
    state.seal(&[], &mut ours, 0).unwrap();
    let tag = Aead::new(&expected).seal(5, &[], &mut theirs).unwrap();
    assert_eq!((&ours[..1], &ours[1..]), (&theirs[..], &tag[..]));
}
