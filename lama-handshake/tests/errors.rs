//! The codes and texts of errors: they are read by bindings, logs and people, so none may change by accident.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeSet;

use lama_handshake::{HandshakeError, RecordType, RejectCode};
use lama_identity::IdentityError;
use support::alice;

/// Every error, its stable code, and what the peer is told of it once it has proved itself.
#[rustfmt::skip]
fn table() -> Vec<(HandshakeError, &'static str, Option<RejectCode>)> {
    vec![
        (HandshakeError::Message1Length, "message-1-length", None),
        (HandshakeError::Message1Magic, "message-1-magic", None),
        (HandshakeError::Message1Unauthentic, "message-1-unauthentic", None),
        (HandshakeError::Message2Length, "message-2-length", None),
        (HandshakeError::Message2Unauthentic, "message-2-unauthentic", None),
        (HandshakeError::Message3Length, "message-3-length", None),
        (HandshakeError::Message3Unauthentic, "message-3-unauthentic", None),
        (HandshakeError::KeyRefused, "key-refused", None),
        (HandshakeError::OwnKey, "own-key", None),
        (HandshakeError::Unauthentic, "unauthentic", None),
        (HandshakeError::RecordLength, "record-length", None),
        (HandshakeError::RecordUnauthentic, "record-unauthentic", None),
        (HandshakeError::RecordType(9), "record-type", None),
        (HandshakeError::RecordBody, "record-body", None),
        (HandshakeError::PaddingNotZero, "padding-not-zero", None),
        (HandshakeError::RecordUnexpected(RecordType::Auth), "record-unexpected", None),
        (HandshakeError::AuthMalformed, "auth-malformed", Some(RejectCode::Protocol)),
        (HandshakeError::AuthTooLong, "auth-too-long", Some(RejectCode::Protocol)),
        (HandshakeError::AuthRole, "auth-role", Some(RejectCode::Protocol)),
        (HandshakeError::AuthInstanceKey, "auth-instance-key", Some(RejectCode::Protocol)),
        (HandshakeError::AuthEndpoint, "auth-endpoint", Some(RejectCode::Protocol)),
        (HandshakeError::AuthIdentity(IdentityError::BadText), "auth-identity", Some(RejectCode::Identity)),
        (HandshakeError::AuthPerson, "auth-person", Some(RejectCode::Person)),
        (HandshakeError::AuthGroup, "auth-group", Some(RejectCode::Group)),
        (HandshakeError::AuthSignature, "auth-signature", Some(RejectCode::Protocol)),
        (HandshakeError::AuthSigner, "auth-signer", Some(RejectCode::Identity)),
        (HandshakeError::AuthLogLower, "auth-log-lower", Some(RejectCode::Identity)),
        (HandshakeError::AuthLogForked, "auth-log-forked", Some(RejectCode::Identity)),
        (HandshakeError::SamePerson(alice().person_id()), "same-person", Some(RejectCode::SamePerson)),
        (HandshakeError::VersionUnsupported, "version-unsupported", Some(RejectCode::Version)),
        (HandshakeError::Downgrade, "downgrade", Some(RejectCode::Version)),
        (HandshakeError::SasMissing, "sas-missing", Some(RejectCode::Protocol)),
        (HandshakeError::SasUnexpected, "sas-unexpected", Some(RejectCode::Protocol)),
        (HandshakeError::SasMismatch, "sas-mismatch", Some(RejectCode::Protocol)),
        (HandshakeError::Rejected(RejectCode::Token), "rejected", None),
        (HandshakeError::StreamUnknown(9), "stream-unknown", None),
        (HandshakeError::StreamSequence, "stream-sequence", None),
        (HandshakeError::StreamForm, "stream-form", None),
        (HandshakeError::CreditExceeded, "credit-exceeded", None),
        (HandshakeError::CreditOverflow, "credit-overflow", None),
        (HandshakeError::MessageTooLarge, "message-too-large", None),
        (HandshakeError::DataBeforeReady, "data-before-ready", None),
        (HandshakeError::PongUnasked, "pong-unasked", None),
        (HandshakeError::CloseMismatch, "close-mismatch", None),
        (HandshakeError::AfterClose, "after-close", None),
        (HandshakeError::Truncated, "truncated", None),
        (HandshakeError::Misuse, "misuse", None),
        (HandshakeError::LocalTooLong, "local-too-long", None),
        (HandshakeError::LocalInvalid, "local-invalid", None),
        (HandshakeError::NonceExhausted, "nonce-exhausted", None),
        (HandshakeError::HandshakeTimeout, "handshake-timeout", None),
        (HandshakeError::PeerSilent, "peer-silent", None),
    ]
}

#[test]
fn every_error_has_its_code_and_tells_the_peer_what_it_may() {
    for (error, code, reject) in table() {
        assert_eq!(error.code(), code, "{error:?}");
        assert_eq!(error.reject_code(), reject, "{error:?}");
    }
    let codes: BTreeSet<&str> = table().iter().map(|(error, ..)| error.code()).collect();
    assert_eq!(codes.len(), table().len(), "each code once");
}

#[test]
fn every_error_says_what_happened_in_words_of_its_own() {
    let texts: BTreeSet<String> = table().iter().map(|(error, ..)| error.to_string()).collect();
    assert_eq!(texts.len(), table().len(), "each text once");
    assert!(texts.iter().all(|text| text.len() > 12 && !text.ends_with('.')), "{texts:#?}");
}

#[test]
fn what_an_error_carries_is_in_its_text() {
    let cause = IdentityError::BadText;
    for (error, part) in [
        (HandshakeError::Rejected(RejectCode::Token), RejectCode::Token.to_string()),
        (HandshakeError::AuthIdentity(cause.clone()), format!(": {cause}")),
        (HandshakeError::RecordType(77), "(77)".to_owned()),
        (HandshakeError::StreamUnknown(78), "(78)".to_owned()),
        (HandshakeError::RecordUnexpected(RecordType::Auth), "(Auth)".to_owned()),
    ] {
        assert!(error.to_string().ends_with(&part), "{error}");
    }
}
