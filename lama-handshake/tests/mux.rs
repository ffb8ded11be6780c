//! Streams of a session: every rule with a test named after it, and a model over a link bounded in bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use core::time::Duration;
use lama_handshake::record::{MAX_BODY, MAX_RECORD};
use lama_handshake::*;
use proptest::prelude::*;
use support::*;

fn live() -> (Forger, Mux) {
    forged(Mode::Known, &Config::default(), true)
}

/// What the mux makes of these records, the last one.
fn last(records: &[(RecordType, &[u8])]) -> Result<Received, HandshakeError> {
    let (mut forger, mut mux) = live();
    let mut result = Ok(Received::Nothing);
    for (kind, body) in records {
        result = mux.open(now(), forger.seal(*kind, body, 0));
        if let Err(error) = &result {
            assert_eq!(mux.open(now(), BytesMut::zeroed(80)).err(), Some(error.clone()), "final");
            assert_eq!(mux.handle_timeout(now()).err(), Some(error.clone()));
            assert_eq!(mux.error(), Some(error));
            assert_eq!(mux.link_closed(), Err(error.clone()));
            assert_eq!((poll(&mut mux), mux.poll_timeout()), (None, None));
        }
    }
    result
}

fn data(stream: u8, flags: u8, seq: u32, size: Option<u32>, piece: &[u8]) -> Vec<u8> {
    let mut body = vec![stream, flags];
    body.extend_from_slice(&seq.to_be_bytes());
    size.into_iter().for_each(|size| body.extend_from_slice(&size.to_be_bytes()));
    body.extend_from_slice(piece);
    body
}

fn last_data(bodies: &[Vec<u8>]) -> Result<Received, HandshakeError> {
    last(&bodies.iter().map(|body| (RecordType::Data, &body[..])).collect::<Vec<_>>())
}

const WHOLE: u8 = 3;
const BEGIN: u8 = 1;
const FIN: u8 = 2;

#[test]
fn a_message_in_one_record_and_in_many() {
    let (mut a, mut b) = session(Mode::Known, &Config::default());
    for len in [0, 1, 46, 47, MAX_IN_ONE_RECORD, MAX_IN_ONE_RECORD + 1, 200_000] {
        let message: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let mut frames = 0;
        let mut frame = poll_message(&mut a, StreamId::OBJECTS, &message).unwrap();
        loop {
            frames += 1;
            assert!(frame.len() <= MAX_RECORD);
            match b.open(now(), frame).unwrap() {
                Received::Message { stream, message: got, receipt } => {
                    assert_eq!((stream, &got[..]), (StreamId::OBJECTS, &message[..]));
                    b.release(receipt);
                    break;
                }
                other => assert_eq!(other, Received::Nothing),
            }
            while let Some(window) = poll(&mut b) {
                a.open(now(), window).unwrap();
            }
            frame = poll(&mut a).unwrap();
        }
        assert_eq!(frames, len.saturating_sub(MAX_IN_ONE_RECORD).div_ceil(MAX_BODY - 6) + 1, "{len}");
        while let Some(frame) = poll(&mut b) {
            a.open(now(), frame).unwrap();
        }
    }
}

#[test]
fn a_bulk_record_is_full() {
    let (mut a, _) = session(Mode::Known, &Config::default());
    let frame = poll_message(&mut a, StreamId::BLOBS, &[1; 200_000]).unwrap();
    assert_eq!(frame.len(), MAX_RECORD);
    let mut asked = 0;
    let mut out = BytesMut::new();
    let mut source = |_: StreamId, room: usize, _: &mut BytesMut| {
        asked = asked.max(room);
        false
    };
    assert!(a.poll_frame(&mut source, &mut out));
    assert_eq!(asked, MAX_IN_ONE_RECORD);
    assert_eq!(out.len(), MAX_RECORD);
}

#[test]
fn bulk_never_delays_a_message_by_more_than_one_record() {
    let (mut a, mut b) = session(Mode::Known, &Config::default());
    let frame = poll_message(&mut a, StreamId::BLOBS, &[1; 200_000]).unwrap();
    assert_eq!(b.open(now(), frame).unwrap(), Received::Nothing);
    let frame = poll_message(&mut a, StreamId::CONTROL, b"now").unwrap();
    assert!(
        matches!(b.open(now(), frame).unwrap(), Received::Message { stream: StreamId::CONTROL, .. }),
        "the more urgent stream is asked before the message under way goes on"
    );
}

#[test]
fn a_frame_is_appended_and_nothing_else_touched() {
    let (mut a, mut b) = session(Mode::Known, &Config::default());
    let mut out = BytesMut::from(&b"before"[..]);
    assert!(!a.poll_frame(&mut |_, _, _| false, &mut out));
    assert_eq!(&out[..], b"before");
    for _ in 0..3 {
        let mut source = |_: StreamId, _: usize, out: &mut BytesMut| {
            out.extend_from_slice(&[7; 10]);
            true
        };
        assert!(a.poll_frame(&mut source, &mut out));
    }
    let mut rest = out.split_off(6);
    for _ in 0..3 {
        assert!(matches!(b.open(now(), rest.split_to(80)).unwrap(), Received::Message { .. }));
    }
    assert!(rest.is_empty());
}

/// What is appended behind other bytes counts as its own length, to the last byte of credit.
#[test]
fn credit_is_used_to_the_last_byte() {
    let (mut a, mut b) = session(Mode::Known, &Config { initial_window: 1_000, ..Config::default() });
    let mut out = BytesMut::zeroed(100);
    let mut source = |stream: StreamId, _: usize, out: &mut BytesMut| {
        let ours = stream == StreamId::OBJECTS;
        out.extend_from_slice(if ours { &[7; 90] } else { &[] });
        ours
    };
    // Each takes 100: a header of 10, and what the message has. Below half a window nothing new begins.
    for sent in 1..=6 {
        assert!(a.poll_frame(&mut source, &mut out), "{sent}");
    }
    assert!(!a.poll_frame(&mut source, &mut out));
    let mut frames = out.split_off(100);
    let len = frames.len() / 6;
    for _ in 0..6 {
        let received = b.open(now(), frames.split_to(len)).unwrap();
        assert!(matches!(received, Received::Message { message, .. } if message == [7; 90][..]));
    }
}

#[test]
fn a_window_without_room_for_a_byte_begins_nothing() {
    for (window, fits) in [(9, false), (10, false), (11, true)] {
        let (mut a, mut b) = session(Mode::Known, &Config { initial_window: window, ..Config::default() });
        let frame = poll_message(&mut a, StreamId::OBJECTS, b"two");
        assert_eq!(frame.is_some(), fits, "{window}");
        if let Some(frame) = frame {
            assert_eq!(b.open(now(), frame), Ok(Received::Nothing), "the first of three bytes");
        }
    }
}

#[test]
fn local_too_long_for_its_stream() {
    let (mut a, _) = session(Mode::Known, &Config::default());
    assert_eq!(poll_message(&mut a, StreamId::CONTROL, &vec![0; (256 << 10) + 1]), None);
    assert_eq!(a.error(), Some(&HandshakeError::LocalTooLong));
}

#[test]
fn stream_unknown() {
    let result = last_data(&[data(4, WHOLE, 0, Some(1), &[1])]);
    assert_eq!(result, Err(HandshakeError::StreamUnknown(4)));
    let result = last(&[(RecordType::Window, &[4, 0, 0, 0, 1])]);
    assert_eq!(result, Err(HandshakeError::StreamUnknown(4)));
    assert_eq!((StreamId::new(3), StreamId::new(4)), (Some(StreamId::BLOBS), None));
}

#[test]
fn stream_sequence() {
    let one = |seq| data(2, WHOLE, seq, Some(1), &[1]);
    assert!(last_data(&[one(0), one(1), one(2)]).is_ok());
    assert_eq!(last_data(&[one(1)]), Err(HandshakeError::StreamSequence));
    assert_eq!(last_data(&[one(0), one(0)]), Err(HandshakeError::StreamSequence));
    assert_eq!(last_data(&[one(0), one(2)]), Err(HandshakeError::StreamSequence));
    // Each stream counts for itself.
    assert!(last_data(&[one(0), data(1, WHOLE, 0, Some(0), &[])]).is_ok());
}

#[test]
fn stream_form() {
    let wrong: &[&[Vec<u8>]] = &[
        &[data(2, 4, 0, Some(1), &[1])],
        &[data(2, WHOLE | 8, 0, Some(1), &[1])],
        &[data(2, WHOLE, 0, Some(2), &[1])],
        &[data(2, WHOLE, 0, Some(1), &[1, 1])],
        &[data(2, BEGIN, 0, Some(1), &[1])],
        &[data(2, BEGIN, 0, Some(1), &[1, 1])],
        &[data(2, BEGIN, 0, Some(1), &[])],
        &[data(2, BEGIN, 0, Some(0), &[])],
        &[data(2, 0, 0, None, &[1])],
        &[data(2, FIN, 0, None, &[1])],
        &[data(2, BEGIN, 0, Some(3), &[1]), data(2, BEGIN, 1, Some(3), &[1])],
        &[data(2, BEGIN, 0, Some(3), &[1]), data(2, WHOLE, 1, Some(1), &[1])],
        &[data(2, BEGIN, 0, Some(3), &[1]), data(2, 0, 1, None, &[])],
        &[data(2, BEGIN, 0, Some(3), &[1]), data(2, 0, 1, None, &[2, 3])],
        &[data(2, BEGIN, 0, Some(3), &[1]), data(2, FIN, 1, None, &[2])],
        &[data(2, BEGIN, 0, Some(3), &[1]), data(2, FIN, 1, None, &[2, 3, 4])],
        &[data(2, BEGIN, 0, Some(3), &[1]), data(2, 0, 1, None, &[2, 3, 4])],
    ];
    for bodies in wrong {
        assert_eq!(last_data(bodies), Err(HandshakeError::StreamForm), "{bodies:?}");
    }
    let right = [data(2, BEGIN, 0, Some(3), &[1]), data(2, 0, 1, None, &[2]), data(2, FIN, 2, None, &[3])];
    assert!(matches!(last_data(&right), Ok(Received::Message { message, .. }) if message[..] == [1, 2, 3]));
    assert!(matches!(last_data(&[data(2, WHOLE, 0, Some(0), &[])]), Ok(Received::Message { .. })));
}

#[test]
fn record_body_of_every_type() {
    let wrong: &[(RecordType, &[u8])] = &[
        (RecordType::Data, &[]),
        (RecordType::Data, &[2]),
        (RecordType::Data, &[2, 3, 0, 0, 0]),
        (RecordType::Data, &[2, 3, 0, 0, 0, 0, 0, 0, 0]),
        (RecordType::Window, &[]),
        (RecordType::Window, &[1, 0, 0, 1]),
        (RecordType::Window, &[1, 0, 0, 0, 1, 0]),
        (RecordType::Ping, &[0; 7]),
        (RecordType::Ping, &[0; 9]),
        (RecordType::Pong, &[0; 7]),
        (RecordType::Rekey, &[0]),
        (RecordType::Close, &[]),
        (RecordType::Close, &[200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (RecordType::Close, &[0; 16]),
        (RecordType::Close, &[0; 18]),
        (RecordType::Reject, &[]),
        (RecordType::Reject, &[200]),
    ];
    for record in wrong {
        assert_eq!(last(&[*record]), Err(HandshakeError::RecordBody), "{record:?}");
    }
}

#[test]
fn record_unexpected() {
    assert_eq!(last(&[(RecordType::Auth, &[])]), Err(HandshakeError::RecordUnexpected(RecordType::Auth)));
    assert_eq!(last(&[(RecordType::Ready, &[])]), Err(HandshakeError::RecordUnexpected(RecordType::Ready)));
    let reject = [RejectCode::Denied.number()];
    assert_eq!(
        last(&[(RecordType::Reject, &reject)]),
        Err(HandshakeError::RecordUnexpected(RecordType::Reject))
    );
    // The responder's acknowledgement comes once, and after it no refusal; before its own, it takes neither.
    for (kind, body) in [(RecordType::Ready, &[][..]), (RecordType::Reject, &reject[..])] {
        let (mut forger, mut mux) = forged_responder(Mode::Pairing);
        assert_eq!(mux.open(now(), forger.seal(RecordType::Ready, &[], 0)), Ok(Received::Ready));
        assert_eq!(mux.open(now(), forger.seal(kind, body, 0)), Err(HandshakeError::RecordUnexpected(kind)));
        let (mut forger, mut mux) = forged(Mode::Pairing, &Config::default(), false);
        assert_eq!(mux.open(now(), forger.seal(kind, body, 0)), Err(HandshakeError::RecordUnexpected(kind)));
    }
}

#[test]
fn message_too_large() {
    let too_large = data(0, BEGIN, 0, Some((256 << 10) + 1), &[1]);
    assert_eq!(last_data(&[too_large]), Err(HandshakeError::MessageTooLarge));
    assert_eq!(last_data(&[data(0, BEGIN, 0, Some(256 << 10), &[1])]), Ok(Received::Nothing));
    let too_large = data(3, BEGIN, 0, Some((1 << 20) + (64 << 10) + 1), &[1]);
    assert_eq!(last_data(&[too_large]), Err(HandshakeError::MessageTooLarge));
    assert_eq!(last_data(&[data(3, BEGIN, 0, Some(u32::MAX), &[1])]), Err(HandshakeError::MessageTooLarge));
}

/// A sender that keeps no count of its credit is cut off at the exact byte; one that waits for WINDOW is not.
#[test]
fn credit_exceeded() {
    let config = Config { initial_window: 1_000, max_window: 1_000, ..Config::default() };
    let piece = |seq, len: usize| data(1, WHOLE, seq, Some(len as u32), &vec![7; len]);
    let (mut forger, mut mux) = forged(Mode::Known, &config, true);
    // 500 + 500 of credit with both headers.
    for (seq, len) in [(0, 490), (1, 490)] {
        let record = forger.seal(RecordType::Data, &piece(seq, len), 0);
        assert!(matches!(mux.open(now(), record), Ok(Received::Message { .. })));
    }
    let record = forger.seal(RecordType::Data, &piece(2, 0), 0);
    assert_eq!(mux.open(now(), record), Err(HandshakeError::CreditExceeded));
    // The same with the first message released: its credit comes back in a WINDOW.
    let (mut forger, mut mux) = forged(Mode::Known, &config, true);
    for (seq, len) in [(0, 490), (1, 490), (2, 490)] {
        let record = forger.seal(RecordType::Data, &piece(seq, len), 0);
        let Received::Message { receipt, .. } = mux.open(now(), record).unwrap() else { panic!() };
        if seq == 0 {
            assert!(!mux.is_pending());
            mux.release(receipt);
            assert!(mux.is_pending());
            let mut window = poll(&mut mux).unwrap();
            assert_eq!(forger.opener.open(&mut window), Ok(RecordType::Window));
            assert_eq!(window[..], [1, 0, 0, 1, 244]);
        }
    }
    let record = forger.seal(RecordType::Data, &piece(3, 0), 0);
    assert_eq!(mux.open(now(), record), Err(HandshakeError::CreditExceeded));
}

#[test]
fn credit_overflow() {
    let window = |credit: u32| {
        let [a, b, c, d] = credit.to_be_bytes();
        [0, a, b, c, d]
    };
    let to_the_limit = window((8 << 20) - (256 << 10));
    assert_eq!(last(&[(RecordType::Window, &to_the_limit)]), Ok(Received::Nothing));
    let overflow = [(RecordType::Window, &to_the_limit[..]), (RecordType::Window, &window(1)[..])];
    assert_eq!(last(&overflow), Err(HandshakeError::CreditOverflow));
    assert_eq!(last(&[(RecordType::Window, &window(u32::MAX))]), Err(HandshakeError::CreditOverflow));
    assert_eq!(last(&[(RecordType::Window, &window(0))]), Err(HandshakeError::CreditOverflow));
}

#[test]
fn data_before_ready() {
    let body = data(1, WHOLE, 0, Some(1), &[1]);
    // To the responder: in pairing before its acknowledgement; a known initiator may go ahead.
    let (mut forger, mut mux) = forged(Mode::Pairing, &Config::default(), false);
    let record = forger.seal(RecordType::Data, &body, 0);
    assert_eq!(mux.open(now(), record), Err(HandshakeError::DataBeforeReady));
    let (mut forger, mut mux) = forged(Mode::Pairing, &Config::default(), true);
    let record = forger.seal(RecordType::Data, &body, 0);
    assert!(matches!(mux.open(now(), record), Ok(Received::Message { .. })));
    let (mut forger, mut mux) = forged(Mode::Known, &Config::default(), false);
    let record = forger.seal(RecordType::Data, &body, 0);
    assert!(matches!(mux.open(now(), record), Ok(Received::Message { .. })));
    // To the initiator: before the acknowledgement, in both modes.
    for mode in [Mode::Pairing, Mode::Known] {
        let (mut forger, mut mux) = forged_responder(mode);
        assert_eq!(mux.may_send(), mode == Mode::Known);
        let record = forger.seal(RecordType::Data, &body, 0);
        assert_eq!(mux.open(now(), record), Err(HandshakeError::DataBeforeReady));
    }
}

#[test]
fn before_the_acknowledgement_only_control_travels() {
    let (initiator, responder, _) = handshake(Mode::Pairing);
    let (mut initiator, mut responder) = (initiator.mux, responder.mux);
    assert!(!initiator.may_send() && !responder.may_send());
    assert_eq!(poll_message(&mut initiator, StreamId::CONTROL, b"early"), None);
    assert_eq!(poll_message(&mut responder, StreamId::CONTROL, b"early"), None);
    assert_eq!(initiator.acknowledge(), Err(HandshakeError::Misuse));
    initiator.handle_timeout(at(31_000)).unwrap();
    let ping = poll(&mut initiator).unwrap();
    assert_eq!(responder.open(at(31_000), ping), Ok(Received::Nothing));
    let pong = poll(&mut responder).unwrap();
    assert_eq!(initiator.open(at(31_005), pong), Ok(Received::Nothing));
    assert_eq!(initiator.round_trip(), Some(Duration::from_millis(5)));
    assert!(!responder.is_pending());
    responder.acknowledge().unwrap();
    assert!(responder.is_pending() && !responder.may_send());
    assert_eq!(responder.acknowledge(), Err(HandshakeError::Misuse));
    // The acknowledgement goes before any data.
    let frame = poll_message(&mut responder, StreamId::CONTROL, b"late").unwrap();
    assert_eq!(initiator.open(at(31_006), frame), Ok(Received::Ready));
    assert!(initiator.may_send() && responder.may_send());
    let frame = poll_message(&mut responder, StreamId::CONTROL, b"late").unwrap();
    assert!(matches!(initiator.open(at(31_007), frame), Ok(Received::Message { .. })));
}

#[test]
fn where_nobody_has_to_be_asked_data_follows_ready() {
    let (initiator, responder, _) = handshake(Mode::Pairing);
    let (mut initiator, mut responder) = (initiator.mux, responder.mux);
    initiator.allow_early();
    responder.allow_early();
    assert!(initiator.may_send() && !responder.may_send(), "the responder acknowledges first");
    let frame = poll_message(&mut initiator, StreamId::OBJECTS, b"early").unwrap();
    assert!(matches!(responder.open(now(), frame), Ok(Received::Message { .. })));
    assert_eq!(poll_message(&mut responder, StreamId::OBJECTS, b"early"), None);
}

#[test]
fn a_probe_is_a_ping_that_must_be_answered_in_time() {
    let (mut a, mut b) = session(Mode::Known, &Config::default());
    a.probe(at(2_000));
    let ping = poll(&mut a).unwrap();
    assert_eq!(a.poll_timeout(), Some(at(7_000).mono));
    assert_eq!(b.open(at(2_000), ping), Ok(Received::Nothing));
    assert_eq!(a.open(at(2_001), poll(&mut b).unwrap()), Ok(Received::Nothing));
    assert_eq!(a.handle_timeout(at(7_000)), Ok(()));
    a.probe(at(8_000));
    assert!(poll(&mut a).is_some());
    assert_eq!(a.handle_timeout(at(12_999)), Ok(()));
    assert_eq!(a.handle_timeout(at(13_000)), Err(HandshakeError::PeerSilent));
}

#[test]
fn rejected_instead_of_acknowledged() {
    let (mut forger, mut mux) = forged_responder(Mode::Pairing);
    let record = forger.seal(RecordType::Reject, &[RejectCode::Token.number()], 0);
    assert_eq!(mux.open(now(), record), Err(HandshakeError::Rejected(RejectCode::Token)));
}

#[test]
fn pong_unasked() {
    assert_eq!(last(&[(RecordType::Pong, &[0; 8])]), Err(HandshakeError::PongUnasked));
    assert_eq!(last(&[(RecordType::Pong, &1_u64.to_be_bytes())]), Err(HandshakeError::PongUnasked));
}

#[test]
fn only_the_last_ping_is_answered_and_only_once() {
    let (mut forger, mut mux) = live();
    for n in 0..5_u64 {
        let ping = forger.seal(RecordType::Ping, &n.to_be_bytes(), 0);
        assert_eq!(mux.open(now(), ping), Ok(Received::Nothing));
    }
    let mut pong = poll(&mut mux).unwrap();
    assert_eq!(forger.opener.open(&mut pong), Ok(RecordType::Pong));
    assert_eq!(pong[..], 4_u64.to_be_bytes());
    assert_eq!(poll(&mut mux), None);
}

#[test]
fn peer_silent() {
    let (mut a, mut b) = session(Mode::Known, &Config::default());
    let mut sent = 0;
    while let Some(due) = a.poll_timeout() {
        let time = at(due.since_origin().as_millis() as u64 + 1);
        if a.handle_timeout(time).is_err() {
            assert_eq!(time.mono.since(now().mono).as_millis(), 60_001);
            break;
        }
        sent += poll(&mut a).into_iter().count();
        // Data is no answer: a relay may let it drip.
        let frame = poll_message(&mut b, StreamId::CONTROL, b"x").unwrap();
        a.open(time, frame).unwrap();
    }
    assert_eq!((a.error(), sent), (Some(&HandshakeError::PeerSilent), 2));
}

#[test]
fn close_says_what_was_sent() {
    let (mut a, mut b) = session(Mode::Known, &Config::default());
    for stream in [StreamId::CONTROL, StreamId::BLOBS, StreamId::BLOBS] {
        let frame = poll_message(&mut a, stream, b"x").unwrap();
        b.open(now(), frame).unwrap();
    }
    a.close(CloseCode::Shutdown);
    a.close(CloseCode::Done);
    assert!(a.is_pending() && !a.is_close_sent());
    assert_eq!(a.link_closed(), Err(HandshakeError::Truncated));
    let frame = poll_message(&mut a, StreamId::CONTROL, b"late").unwrap();
    assert!(a.is_close_sent() && !a.is_pending());
    assert_eq!(poll_message(&mut a, StreamId::CONTROL, b"late"), None);
    assert_eq!(b.open(now(), frame), Ok(Received::Closed(CloseCode::Shutdown)));
    assert_eq!((a.link_closed(), b.link_closed()), (Ok(CloseCode::Shutdown), Ok(CloseCode::Shutdown)));
    assert_eq!((a.poll_timeout(), b.poll_timeout()), (None, None));
    assert_eq!(poll_message(&mut b, StreamId::CONTROL, b"late"), None);
    b.close(CloseCode::Done);
    assert!(poll(&mut b).is_some());
}

#[test]
fn a_message_under_way_ends_with_the_goodbye_of_the_peer() {
    let (mut a, mut b) = session(Mode::Known, &Config::default());
    poll_message(&mut a, StreamId::BLOBS, &[1; 200_000]).unwrap();
    assert!(a.is_pending(), "the rest of it");
    b.close(CloseCode::Done);
    assert_eq!(a.open(now(), poll(&mut b).unwrap()), Ok(Received::Closed(CloseCode::Done)));
    assert_eq!(poll(&mut a), None);
}

#[test]
fn close_mismatch() {
    for at in [4, 8, 12, 16] {
        let mut body = [0; 17];
        body[at] = 1;
        assert_eq!(last(&[(RecordType::Close, &body)]), Err(HandshakeError::CloseMismatch));
    }
    assert_eq!(last(&[(RecordType::Close, &[0; 17])]), Ok(Received::Closed(CloseCode::Done)));
    let data = data(0, WHOLE, 0, Some(1), &[1]);
    let records = [(RecordType::Data, &data[..]), (RecordType::Close, &[0; 17][..])];
    assert_eq!(last(&records), Err(HandshakeError::CloseMismatch));
}

#[test]
fn after_close() {
    let close: (_, &[u8]) = (RecordType::Close, &[0; 17]);
    assert_eq!(last(&[close, (RecordType::Ping, &[0; 8])]), Err(HandshakeError::AfterClose));
    assert_eq!(last(&[close, close]), Err(HandshakeError::AfterClose));
}

#[test]
fn truncated() {
    let (a, _) = session(Mode::Known, &Config::default());
    assert_eq!(a.link_closed(), Err(HandshakeError::Truncated));
    let mut a = a;
    a.close(CloseCode::Done);
    assert_eq!(a.link_closed(), Err(HandshakeError::Truncated), "a goodbye that was not sent is none");
}

#[test]
fn a_new_key_after_a_while_and_a_successor_after_a_day() {
    let config = Config {
        rekey_after: Duration::from_secs(2),
        renew_after: Duration::from_secs(7),
        ..Config::default()
    };
    let (mut forger, mut mux) = forged(Mode::Known, &config, true);
    let mut kinds = Vec::new();
    for second in 1..12 {
        let time = at(1_000 + second * 1_000);
        mux.handle_timeout(time).unwrap();
        assert_eq!(mux.is_renewal_due(), second >= 7);
        if second < 7 {
            assert!(mux.poll_timeout().unwrap() <= at(8_000).mono);
        } else {
            assert!(mux.poll_timeout().unwrap() > time.mono, "reported once");
        }
        while let Some(mut frame) =
            poll_message(&mut mux, StreamId::CONTROL, &[1]).filter(|_| kinds.len() < 100)
        {
            let kind = forger.opener.open(&mut frame).unwrap();
            kinds.push((second, kind));
            if kind == RecordType::Data {
                break;
            }
        }
    }
    let rekeyed: Vec<_> =
        kinds.iter().filter(|(_, kind)| *kind == RecordType::Rekey).map(|(at, _)| *at).collect();
    assert_eq!(rekeyed, [2, 4, 6, 8, 10]);
}

#[test]
fn the_limits_of_rekey_come_from_the_configuration() {
    let config = Config { rekey: RekeyLimits { records: 5, bytes: 1 << 30 }, ..Config::default() };
    let (mut a, mut b) = session(Mode::Known, &config);
    for n in 0..50 {
        let frame = poll_message(&mut a, StreamId::CONTROL, &[n]).unwrap();
        let Received::Message { receipt, .. } = b.open(now(), frame).unwrap() else { panic!() };
        b.release(receipt);
        let frame = poll_message(&mut b, StreamId::BLOBS, &[n]).unwrap();
        let Received::Message { receipt, .. } = a.open(now(), frame).unwrap() else { panic!() };
        a.release(receipt);
    }
}

/// The window doubles each time that four of it were received, to the limit and not beyond.
#[test]
fn a_window_grows_while_much_is_received() {
    let config = Config { initial_window: 100_000, max_window: 400_000, ..Config::default() };
    let (mut forger, mut mux) = forged(Mode::Known, &config, true);
    let (mut given, mut taken) = (100_000_u64, 0_u64);
    let (mut windows, mut grown) = (1, Vec::new());
    for seq in 0..400 {
        let body = data(2, WHOLE, seq, Some(20_000), &[1; 20_000]);
        taken += body.len() as u64;
        let record = forger.seal(RecordType::Data, &body, 0);
        let Received::Message { receipt, .. } = mux.open(now(), record).unwrap() else { panic!() };
        mux.release(receipt);
        while let Some(mut frame) = poll(&mut mux) {
            assert_eq!(forger.opener.open(&mut frame), Ok(RecordType::Window));
            given += u64::from(u32::from_be_bytes(frame[1..5].try_into().unwrap()));
        }
        let circulating = (given - taken).div_ceil(100_000);
        if circulating > windows {
            windows = circulating;
            grown.push((taken / 100_000, windows));
        }
    }
    // At the first WINDOW after four times the window; the second counts from there.
    assert_eq!(grown, [(4, 2), (12, 4)]);
}

#[test]
fn nothing_owed_is_nothing_to_say_however_small_the_window() {
    let (mut a, mut b) = session(Mode::Known, &Config { initial_window: 3, ..Config::default() });
    assert_eq!((poll(&mut a), poll(&mut b)), (None, None));
}

/// Messages that are not released are all that a session holds; larger ones wait with their credit.
#[test]
fn what_is_held_is_bounded() {
    let config = Config {
        initial_window: 10_000,
        max_window: 10_000,
        max_message: [50_000; STREAMS],
        max_held: 50_000,
        ..Config::default()
    };
    let (mut a, mut b) = session(Mode::Known, &config);
    let pump = |a: &mut Mux, b: &mut Mux, stream, message: &[u8]| {
        let mut receipts = Vec::new();
        let mut first = poll_message(a, stream, message);
        loop {
            let mut moved = false;
            while let Some(frame) = first.take().or_else(|| poll(a)) {
                moved = true;
                if let Received::Message { receipt, .. } = b.open(now(), frame).unwrap() {
                    receipts.push(receipt);
                }
            }
            while let Some(frame) = poll(b) {
                moved = true;
                a.open(now(), frame).unwrap();
            }
            if !moved {
                return receipts;
            }
        }
    };
    let mut first = pump(&mut a, &mut b, StreamId::OBJECTS, &[1; 45_000]);
    assert_eq!(first.len(), 1, "larger than the window, and it arrives");
    let second = pump(&mut a, &mut b, StreamId::BLOBS, &[2; 45_000]);
    assert!(second.is_empty(), "no room while the first is held");
    b.release(first.pop().unwrap());
    let mut second = pump(&mut a, &mut b, StreamId::CONTROL, &[3; 10]);
    assert_eq!(second.len(), 2, "the waiting one and the new one");
    second.drain(..).for_each(|receipt| b.release(receipt));
    assert_eq!(pump(&mut a, &mut b, StreamId::OBJECTS, &[4; 50_000]).len(), 1);
}

/// One end of a link that holds a few bytes in each direction.
struct End {
    mux: Mux,
    to_send: [VecDeque<Vec<u8>>; STREAMS],
    received: [Vec<Bytes>; STREAMS],
    held: Vec<Receipt>,
}

impl End {
    fn new(mux: Mux) -> Self {
        Self { mux, to_send: Default::default(), received: Default::default(), held: Vec::new() }
    }

    fn poll(&mut self) -> Option<BytesMut> {
        let mut out = BytesMut::new();
        let to_send = &mut self.to_send;
        let mut source = |stream: StreamId, room: usize, out: &mut BytesMut| {
            assert!(room <= MAX_IN_ONE_RECORD);
            match to_send[usize::from(stream.number())].pop_front() {
                Some(message) => {
                    out.extend_from_slice(&message);
                    true
                }
                None => false,
            }
        };
        self.mux.poll_frame(&mut source, &mut out).then_some(out)
    }

    fn open(&mut self, frame: BytesMut) {
        if let Received::Message { stream, message, receipt } = self.mux.open(now(), frame).unwrap() {
            self.received[usize::from(stream.number())].push(message);
            self.held.push(receipt);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any messages on any streams in both directions, over links of one or two frames, released in any order and at
    /// any time: all arrive, in order, and nothing stops for ever.
    #[test]
    fn all_messages_arrive_in_order(
        messages in proptest::collection::vec((any::<bool>(), 0_u8..4, 0_usize..30_000), 0..40),
        window in 200_u32..20_000,
        choices in proptest::collection::vec(0_u8..6, 64),
    ) {
        let config = Config {
            initial_window: window,
            max_window: window * 2,
            max_message: [30_000; STREAMS],
            max_held: 30_000,
            ..Config::default()
        };
        let (a, b) = session(Mode::Known, &config);
        let mut ends = [End::new(a), End::new(b)];
        let mut expected: [[Vec<Vec<u8>>; STREAMS]; 2] = Default::default();
        for (n, (side, stream, len)) in messages.into_iter().enumerate() {
            let message = vec![n as u8; len];
            ends[usize::from(side)].to_send[usize::from(stream)].push_back(message.clone());
            expected[usize::from(!side)][usize::from(stream)].push(message);
        }
        let mut links: [VecDeque<BytesMut>; 2] = Default::default();
        let mut idle = 0;
        for choice in choices.iter().cycle().take(100_000) {
            let side = usize::from(choice % 2 == 1);
            let moved = match choice / 2 {
                0 if links[side].len() < 2 => ends[side].poll().map(|frame| links[side].push_back(frame)).is_some(),
                1 => links[1 - side].pop_front().map(|frame| ends[side].open(frame)).is_some(),
                2 => {
                    let at = usize::from(*choice) % ends[side].held.len().max(1);
                    let any = !ends[side].held.is_empty();
                    if any {
                        let receipt = ends[side].held.swap_remove(at);
                        ends[side].mux.release(receipt);
                    }
                    any
                }
                _ => false,
            };
            idle = if moved { 0 } else { idle + 1 };
            if idle > 200 {
                break;
            }
        }
        // Whatever the choices left undone.
        loop {
            let mut moved = false;
            for side in 0..2 {
                while let Some(frame) = links[1 - side].pop_front() {
                    ends[side].open(frame);
                    moved = true;
                }
                while let Some(receipt) = ends[side].held.pop() {
                    ends[side].mux.release(receipt);
                    moved = true;
                }
                if let Some(frame) = ends[side].poll() {
                    links[side].push_back(frame);
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        for (end, expected) in ends.iter().zip(&expected) {
            let got = end.received.each_ref().map(|stream| stream.iter().map(|m| m.to_vec()).collect::<Vec<_>>());
            prop_assert_eq!(&got, expected);
        }
    }
}
