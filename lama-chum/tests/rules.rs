//! One test per rule of the protocol, named after the error that its breach gives.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use bytes::{BufMut, Bytes, BytesMut};
use common::object;
use lama_chum::recon::ReconError;
use lama_chum::wire::{self, Hello, Label, LogNews, MAX_MESSAGE, ObjectsWriter, Recon, Synced, WantFlags};
use lama_chum::{
    Chum, ChumError, Config, Cursor, Entry, Fault, Fingerprint, ImportOutcome, Input, Lane, MAX_OBJECT,
    Output, Positions, RESERVE_BYTES, RESERVE_OBJECTS, Refusal, StoreFailure, ViewHead, WINDOW_BYTES,
    WINDOW_OBJECTS,
};
use lama_core::{Instant, Machine, Now, Ticket, WallTime};
use lama_identity::{Codec, EncodingError};

const NOW: Now = Now { mono: Instant::ORIGIN, wall: WallTime(0) };

fn head(epoch: u8, seq: u64) -> ViewHead {
    ViewHead { epoch: [epoch; 8], seq, count: seq, fingerprint: Fingerprint([epoch; 16]) }
}

/// A machine whose own log has five entries.
fn fresh() -> Chum {
    Chum::new(Config::default(), head(1, 5), Cursor::all([2; 8], 0), common::pair_key())
}

fn message(build: impl FnOnce(&mut BytesMut)) -> Input {
    let mut out = BytesMut::new();
    build(&mut out);
    Input::Message(out.freeze())
}

fn raw(bytes: &[u8]) -> Input {
    Input::Message(Bytes::copy_from_slice(bytes))
}

/// The peer's HELLO: its log has `seq` entries.
fn hello(seq: u64) -> Input {
    let cursor = Cursor::all([1; 8], 0);
    message(|out| Hello { head: head(2, seq), cursor, news: LogNews::None }.write(out))
}

/// After both HELLOs, the peer's log having 100 entries; our five objects are sent if `send`.
fn started(send: bool) -> Chum {
    let mut chum = fresh();
    chum.handle(NOW, hello(100)).unwrap();
    let mut out = BytesMut::new();
    assert!(chum.poll_frame(&mut out));
    if send {
        let ticket = scan(&mut chum);
        let entries = (1..=5).map(entry).collect();
        chum.handle(NOW, Input::Page { ticket, entries, next: 5, head: head(1, 5) }).unwrap();
        assert!(chum.poll_frame(&mut out));
    }
    chum
}

fn entry(seq: u64) -> Entry {
    let (id, object) = object("own", seq, 50);
    Entry { seq, id, lane: Lane::Objects, source_is_peer: false, again: false, gone: false, object }
}

fn scan(chum: &mut Chum) -> Ticket {
    let outputs = std::iter::from_fn(|| chum.poll());
    let mut tickets = outputs.filter_map(|output| match output {
        Output::Scan { ticket, .. } => Some(ticket),
        _ => None,
    });
    tickets.next().unwrap()
}

/// An OBJECTS message with these objects.
fn objects(upto: u64, head: u64, objects: &[(Codec, Bytes)]) -> Input {
    message(|out| {
        let mut writer = ObjectsWriter::begin(out);
        objects.iter().for_each(|(codec, object)| writer.push(*codec, object));
        writer.finish(Label::default(), upto, head);
    })
}

fn one(upto: u64, head: u64) -> Input {
    objects(upto, head, &[(Codec::DagCbor, object("peer", upto, 50).1)])
}

/// The input ends the machine with `error`, which is final, and says what happened and what to do.
fn refuses(mut chum: Chum, input: Input, error: ChumError) {
    assert_eq!(chum.handle(NOW, input), Err(error));
    assert_eq!(chum.handle(NOW, Input::Grown(head(1, 6))), Err(error));
    assert_eq!(chum.handle_timeout(NOW), Err(error));
    assert_eq!(chum.ended(), Some(error));
    assert!(!chum.poll_frame(&mut BytesMut::new()));
    assert!(!chum.wants_input());
    let imports = std::iter::from_fn(|| chum.poll()).filter(|output| matches!(output, Output::Import { .. }));
    if error.fault() == Fault::Peer {
        assert_eq!(imports.count(), 0, "nothing of the message is kept");
    }
    assert!(error.to_string().contains("; "));
    assert!(error.code().starts_with("chum-"));
}

#[test]
fn empty_message() {
    refuses(fresh(), raw(&[]), ChumError::EmptyMessage);
    refuses(started(false), raw(&[]), ChumError::EmptyMessage);
}

#[test]
fn message_too_long() {
    let long = Bytes::from(vec![1; MAX_MESSAGE + 1]);
    refuses(started(false), Input::Message(long), ChumError::MessageTooLong { len: MAX_MESSAGE + 1 });
}

#[test]
fn unknown_message() {
    for kind in [0, 7, 15, 0x27, 0x2f, 0xff] {
        refuses(started(false), raw(&[kind; 20]), ChumError::UnknownMessage { kind });
    }
}

#[test]
fn wrong_length() {
    let mut bytes = BytesMut::new();
    Hello { head: head(2, 1), cursor: Cursor::default(), news: LogNews::None }.write(&mut bytes);
    let wrong = |kind, len| ChumError::WrongLength { kind, len };
    refuses(fresh(), raw(&bytes[..44]), wrong(0x10, 44));
    bytes.put_u8(0);
    refuses(fresh(), raw(&bytes), wrong(0x10, 46));
    let wrong_lengths = [
        (wire::OBJECTS, 10),
        (wire::ACK, 4),
        (wire::ACK, 6),
        (wire::SYNCED, 28),
        (wire::SYNCED, 30),
        (wire::HELD, 20),
        (wire::HELD, 22),
    ];
    for (kind, len) in wrong_lengths {
        refuses(started(false), raw(&vec![kind; len]), wrong(kind, len));
    }
    for len in [1, 34, 36, 1 + 34 * 1_025] {
        refuses(started(true), raw(&vec![wire::REFUSED; len]), wrong(wire::REFUSED, len));
    }
}

#[test]
fn hello_missing() {
    refuses(fresh(), one(1, 1), ChumError::HelloMissing);
    refuses(fresh(), message(|out| wire::ack(Lane::LAST, 0, out)), ChumError::HelloMissing);
}

#[test]
fn hello_twice() {
    refuses(started(false), hello(100), ChumError::HelloTwice);
}

#[test]
fn unknown_version() {
    let mut bytes = [0; 45];
    bytes[0] = 0x20;
    refuses(fresh(), raw(&bytes), ChumError::UnknownVersion { version: 2 });
}

#[test]
fn flags_of_hello_are_ignored() {
    let mut bytes = BytesMut::new();
    Hello { head: head(2, 1), cursor: Cursor::default(), news: LogNews::None }.write(&mut bytes);
    bytes[0] |= 0x0e;
    fresh().handle(NOW, raw(&bytes)).unwrap();
}

#[test]
fn cursor_beyond_head() {
    let theirs = |epoch, upto| {
        message(|out| {
            Hello { head: head(2, 9), cursor: Cursor::all([epoch; 8], upto), news: LogNews::None }.write(out)
        })
    };
    refuses(fresh(), theirs(1, 6), ChumError::CursorBeyondHead);
    fresh().handle(NOW, theirs(1, 5)).unwrap();
    // In another life of our store the number says nothing.
    fresh().handle(NOW, theirs(3, 6)).unwrap();
}

#[test]
fn cursor_unordered() {
    let theirs = |lanes: [u32; 4]| {
        let mut bytes = BytesMut::new();
        let upto = Positions::new([5, 5, 3, 3]).unwrap();
        Hello { head: head(2, 9), cursor: Cursor { epoch: [1; 8], upto }, news: LogNews::None }
            .write(&mut bytes);
        assert_eq!((bytes[0], bytes.len()), (0x11, wire::HELLO_LONG));
        let places = [53, 49, 45, 21];
        for (at, upto) in places.into_iter().zip(lanes) {
            bytes[at..at + 4].copy_from_slice(&upto.to_be_bytes());
        }
        Input::Message(bytes.freeze())
    };
    for lanes in [[4, 5, 3, 3], [5, 2, 3, 3], [2, 2, 3, 3], [5, 5, 3, 4]] {
        refuses(fresh(), theirs(lanes), ChumError::CursorUnordered);
    }
    for lanes in [[5, 5, 3, 3], [5, 3, 3, 1], [4, 4, 4, 4]] {
        fresh().handle(NOW, theirs(lanes)).unwrap();
    }
    refuses(fresh(), theirs([6, 5, 3, 3]), ChumError::CursorBeyondHead);
    let Input::Message(whole) = theirs([5, 5, 3, 3]) else { panic!() };
    for len in [45, 53, 56] {
        let wrong = ChumError::WrongLength { kind: 0x11, len };
        refuses(fresh(), Input::Message(whole.slice(..len)), wrong);
    }
}

/// The rules of objects hold in each lane by itself, and a lane takes those before it along.
#[test]
fn lanes_move_one_by_one() {
    let in_lane = |covers, urgent, upto: u64| {
        message(|out| {
            let mut writer = ObjectsWriter::begin(out);
            writer.push(Codec::DagCbor, &object("peer", upto, 50).1);
            writer.finish(Label { covers, urgent }, upto, 100);
        })
    };
    let positions = |chum: &mut Chum| {
        let imports = std::iter::from_fn(|| chum.poll()).filter_map(|output| match output {
            Output::Import { after, upto, .. } => Some((after.to_array(), upto.to_array())),
            _ => None,
        });
        imports.collect::<Vec<_>>()
    };
    let mut chum = started(false);
    chum.handle(NOW, in_lane(Lane::Objects, false, 40)).unwrap();
    assert_eq!(positions(&mut chum), [([0; 4], [40, 40, 0, 0])]);
    // Others wait as long as an import is under way; what someone waits for does not.
    chum.handle(NOW, in_lane(Lane::LAST, false, 30)).unwrap();
    assert_eq!(positions(&mut chum), []);
    // The store may do it first: it says nothing of what was handed out before.
    chum.handle(NOW, in_lane(Lane::Interactive, true, 90)).unwrap();
    assert_eq!(positions(&mut chum), [([0; 4], [90, 0, 0, 0])]);
    // And nothing at all where the store's cursor may not be of this log.
    let mut chum = Chum::new(Config::default(), head(1, 0), Cursor::default(), common::pair_key());
    chum.handle(NOW, hello(100)).unwrap();
    assert!(chum.poll_frame(&mut BytesMut::new()));
    chum.handle(NOW, in_lane(Lane::Objects, false, 40)).unwrap();
    chum.handle(NOW, in_lane(Lane::Interactive, true, 90)).unwrap();
    assert_eq!(positions(&mut chum), [([0; 4], [40, 40, 0, 0]), ([0; 4], [0; 4])]);
    for (covers, upto) in [(Lane::Interactive, 90), (Lane::Objects, 40), (Lane::LAST, 30)] {
        let mut chum = started(false);
        chum.handle(NOW, in_lane(Lane::Objects, false, 40)).unwrap();
        chum.handle(NOW, in_lane(Lane::LAST, false, 30)).unwrap();
        chum.handle(NOW, in_lane(Lane::Interactive, true, 90)).unwrap();
        while chum.poll().is_some() {}
        refuses(chum, in_lane(covers, false, upto), ChumError::SequenceWentBack);
    }
    for kind in [0x0a, 0xca, 0x43, 0x0c] {
        refuses(started(false), raw(&[kind; 20]), ChumError::UnknownMessage { kind });
    }
}

/// Bulk leaves a part of the window to what someone waits for.
#[test]
fn credit_is_kept_for_what_someone_waits_for() {
    let big = |n: u64, urgent: bool| {
        message(|out| {
            let mut writer = ObjectsWriter::begin(out);
            writer.push(Codec::Raw, &vec![n as u8; 200 << 10]);
            writer.finish(Label { covers: Lane::LAST, urgent }, n, 100);
        })
    };
    let fill = || {
        let mut chum = started(false);
        let fit = (WINDOW_BYTES - RESERVE_BYTES) / ((200 << 10) + 15);
        for n in 1..=fit as u64 {
            chum.handle(NOW, big(n, false)).unwrap();
        }
        while chum.poll().is_some() {}
        (chum, fit as u64 + 1)
    };
    let (chum, next) = fill();
    refuses(chum, big(next, false), ChumError::CreditExceeded);
    let (mut chum, next) = fill();
    chum.handle(NOW, big(next, true)).unwrap();
    while chum.poll().is_some() {}
    refuses(chum, big(next + 1, true), ChumError::CreditExceeded);
}

#[test]
fn no_objects() {
    refuses(started(false), objects(1, 100, &[]), ChumError::NoObjects);
}

#[test]
fn objects_truncated() {
    let Input::Message(whole) = objects(2, 100, &[(Codec::Raw, Bytes::from_static(b"abcdef"))]) else {
        panic!()
    };
    for len in 11..whole.len() {
        refuses(started(false), Input::Message(whole.slice(..len)), ChumError::ObjectsTruncated);
    }
    // A count that lies is found before anything is reserved for it.
    let mut lying = whole.to_vec();
    lying[9] = 0xff;
    refuses(started(false), raw(&lying), ChumError::ObjectsTruncated);
    // A length that lies, too.
    let mut lying = whole.to_vec();
    lying[11] = 0x7f;
    refuses(started(false), raw(&lying), ChumError::ObjectsTruncated);
}

#[test]
fn objects_trailing() {
    let Input::Message(whole) = one(1, 100) else { panic!() };
    let mut more = whole.to_vec();
    more.push(0);
    refuses(started(false), raw(&more), ChumError::ObjectsTrailing);
}

#[test]
fn length_encoding() {
    for length in
        [&[0x8d, 0x00][..], &[0x80, 0x80, 0x00], &[0xff, 0xff, 0xff, 0xff, 0x01], &[0x80, 0x80, 0x80, 0x80]]
    {
        let mut bytes = vec![wire::OBJECTS, 0, 0, 0, 1, 0, 0, 0, 100, 0, 1];
        bytes.extend_from_slice(length);
        bytes.extend_from_slice(&[1; 20]);
        refuses(started(false), raw(&bytes), ChumError::LengthEncoding);
    }
}

#[test]
fn object_empty() {
    for codec in [Codec::DagCbor, Codec::Raw] {
        let some = (Codec::Raw, Bytes::from_static(b"some"));
        refuses(started(false), objects(1, 100, &[some, (codec, Bytes::new())]), ChumError::ObjectEmpty);
    }
}

#[test]
fn object_too_long() {
    let long = Bytes::from(vec![1; MAX_OBJECT]);
    started(false).handle(NOW, objects(1, 100, &[(Codec::Raw, long)])).unwrap();
    let mut bytes = vec![wire::OBJECTS, 0, 0, 0, 1, 0, 0, 0, 100, 0, 1];
    let number = ((MAX_OBJECT + 1) << 1) | 1;
    bytes.extend([0, 7, 14].map(|shift| (number >> shift) as u8 | 0x80));
    bytes.push((number >> 21) as u8);
    bytes.extend_from_slice(&[1; 20]);
    refuses(started(false), raw(&bytes), ChumError::ObjectTooLong { len: MAX_OBJECT + 1 });
}

#[test]
fn not_canonical() {
    for (bytes, cause) in [
        (&[0xa0, 0x00][..], EncodingError::Trailing),
        (&[0x18, 0x01], EncodingError::NotShortest),
        (&[0x9f, 0xff], EncodingError::Indefinite),
        (&[0xa1], EncodingError::Truncated),
    ] {
        let object = (Codec::DagCbor, Bytes::copy_from_slice(bytes));
        refuses(started(false), objects(1, 100, &[object]), ChumError::NotCanonical(cause));
    }
    // The same bytes are fine as a chunk.
    let chunk = (Codec::Raw, Bytes::from_static(&[0xa0, 0x00]));
    started(false).handle(NOW, objects(1, 100, &[chunk])).unwrap();
}

#[test]
fn sequence_went_back() {
    for upto in [0, 6, 7] {
        let mut chum = started(false);
        chum.handle(NOW, one(7, 100)).unwrap();
        while chum.poll().is_some() {}
        refuses(chum, one(upto, 100), ChumError::SequenceWentBack);
    }
}

#[test]
fn sequence_beyond_head() {
    refuses(started(false), one(101, 100), ChumError::SequenceBeyondHead);
}

#[test]
fn head_went_back() {
    refuses(started(false), one(1, 99), ChumError::HeadWentBack);
    refuses(started(false), synced(99, 0), ChumError::HeadWentBack);
}

fn synced(own: u64, peer: u64) -> Input {
    message(|out| Synced { own, peer, count: 1, fingerprint: Fingerprint::default() }.write(out))
}

#[test]
fn synced_went_back() {
    let mut chum = started(false);
    chum.handle(NOW, synced(120, 0)).unwrap();
    while chum.poll().is_some() {}
    refuses(chum, synced(119, 0), ChumError::SequenceWentBack);
}

#[test]
fn credit_exceeded() {
    let big = |n: u64| objects(n, 100, &[(Codec::Raw, Bytes::from(vec![n as u8; MAX_OBJECT]))]);
    let mut chum = started(false);
    let fit = (WINDOW_BYTES - RESERVE_BYTES) / (MAX_OBJECT + 15);
    for n in 1..=fit as u64 {
        chum.handle(NOW, big(n)).unwrap();
    }
    while chum.poll().is_some() {}
    refuses(chum, big(fit as u64 + 1), ChumError::CreditExceeded);

    let small: Vec<_> = (0..60_000).map(|_| (Codec::Raw, Bytes::from_static(b"x"))).collect();
    let mut chum = started(false);
    chum.handle(NOW, objects(1, 100, &small)).unwrap();
    while chum.poll().is_some() {}
    refuses(
        chum,
        objects(2, 100, &small[..WINDOW_OBJECTS - RESERVE_OBJECTS - 60_000 + 1]),
        ChumError::CreditExceeded,
    );
}

#[test]
fn credit_returns_with_the_acknowledgement_and_not_before() {
    let big = |n: u64| objects(n, 100, &[(Codec::Raw, Bytes::from(vec![n as u8; MAX_OBJECT]))]);
    let mut chum = started(false);
    for n in 1..=7 {
        chum.handle(NOW, big(n)).unwrap();
    }
    let Some(ticket) = std::iter::from_fn(|| chum.poll()).find_map(|output| match output {
        Output::Import { ticket, .. } => Some(ticket),
        _ => None,
    }) else {
        panic!()
    };
    let outcome = ImportOutcome { before: 5, head: head(1, 6), ..ImportOutcome::default() };
    chum.handle(NOW, Input::Imported { ticket, outcome }).unwrap();
    let mut frame = BytesMut::new();
    assert!(chum.poll_frame(&mut frame));
    assert_eq!(frame[..], [wire::ACK, 0, 0, 0, 1]);
    chum.handle(NOW, big(8)).unwrap();
    assert_eq!(chum.handle(NOW, big(9)), Err(ChumError::CreditExceeded));
}

#[test]
fn ack_went_back() {
    let mut chum = started(true);
    chum.handle(NOW, message(|out| wire::ack(Lane::LAST, 5, out))).unwrap();
    refuses(chum, message(|out| wire::ack(Lane::LAST, 4, out)), ChumError::AckWentBack);
    let mut chum = started(true);
    chum.handle(NOW, message(|out| wire::ack(Lane::LAST, 5, out))).unwrap();
    refuses(chum, synced(100, 4), ChumError::AckWentBack);
}

#[test]
fn ack_beyond_sent() {
    refuses(started(false), message(|out| wire::ack(Lane::LAST, 1, out)), ChumError::AckBeyondSent);
    refuses(started(true), message(|out| wire::ack(Lane::LAST, 6, out)), ChumError::AckBeyondSent);
    refuses(started(true), synced(100, 6), ChumError::AckBeyondSent);
}

#[test]
fn refused_unsent() {
    let refused = |count: u64| {
        message(|out| {
            wire::write_refused((0..count).map(|n| (object("own", n, 50).0, Refusal::Quota)), out);
        })
    };
    started(true).handle(NOW, refused(5)).unwrap();
    refuses(started(true), refused(6), ChumError::RefusedUnsent);
    refuses(started(false), refused(1), ChumError::RefusedUnsent);
}

#[test]
fn refused_malformed() {
    let mut item = [7; 35];
    item[0] = wire::REFUSED;
    for (codec, reason) in [(0x70, 1), (0x71, 0), (0, 0)] {
        item[1] = codec;
        item[34] = reason;
        refuses(started(true), raw(&item), ChumError::RefusedMalformed);
    }
}

fn gone(upto: u64, head: u64, count: u64) -> Input {
    message(|out| {
        wire::write_gone(Label::default(), upto, head, (0..count).map(|n| object("gone", n, 50).0), out);
    })
}

#[test]
fn gone_malformed() {
    let mut bytes = vec![wire::GONE, 0, 0, 0, 1, 0, 0, 0, 100];
    bytes.extend([7; 33]);
    for (codec, error) in [(0x70, true), (0, true), (0x55, false), (0x71, false)] {
        bytes[9] = codec;
        if error {
            refuses(started(false), raw(&bytes), ChumError::GoneMalformed);
        } else {
            started(false).handle(NOW, raw(&bytes)).unwrap();
        }
    }
    for len in [1, 9, 10, 41, 43] {
        let short: Vec<u8> = bytes.iter().copied().chain([0]).take(len).collect();
        refuses(started(false), raw(&short), ChumError::WrongLength { kind: wire::GONE, len });
    }
}

#[test]
fn gone_keeps_the_rules_of_objects() {
    refuses(started(false), gone(101, 100, 1), ChumError::SequenceBeyondHead);
    refuses(started(false), gone(1, 99, 1), ChumError::HeadWentBack);
    let mut chum = started(false);
    chum.handle(NOW, gone(3, 100, 2)).unwrap();
    while chum.poll().is_some() {}
    refuses(chum, gone(3, 100, 1), ChumError::SequenceWentBack);
    let mut chum = started(false);
    let most = wire::MAX_GONE as u64;
    for upto in 1..=63 {
        chum.handle(NOW, gone(upto, 100, most)).unwrap();
    }
    while chum.poll().is_some() {}
    refuses(chum, gone(64, 100, 1), ChumError::CreditExceeded);
}

#[test]
fn unknown_ticket() {
    let ticket = Ticket(77);
    let unknown = ChumError::UnknownTicket(ticket);
    refuses(started(false), Input::Failed { ticket, failure: StoreFailure::Full }, unknown);
    refuses(started(false), Input::Page { ticket, entries: Vec::new(), next: 5, head: head(1, 5) }, unknown);
    refuses(started(false), Input::Imported { ticket, outcome: ImportOutcome::default() }, unknown);
}

#[test]
fn page_out_of_order() {
    let page = |entries: Vec<Entry>, next| {
        let mut chum = started(false);
        let ticket = scan(&mut chum);
        refuses(chum, Input::Page { ticket, entries, next, head: head(1, 5) }, ChumError::PageOutOfOrder);
    };
    page(vec![entry(2), entry(1)], 5);
    page(vec![entry(2), entry(2)], 5);
    page(vec![entry(1), entry(4)], 3);
    page(Vec::new(), 0);
    page(Vec::new(), 6);
}

#[test]
fn object_unsendable() {
    for object in [Bytes::new(), Bytes::from(vec![0; MAX_OBJECT + 1])] {
        let mut chum = started(false);
        let ticket = scan(&mut chum);
        let entries = vec![Entry { object, ..entry(1) }];
        refuses(
            chum,
            Input::Page { ticket, entries, next: 5, head: head(1, 5) },
            ChumError::ObjectUnsendable,
        );
    }
}

#[test]
fn epoch_changed() {
    refuses(started(false), Input::Grown(head(9, 6)), ChumError::EpochChanged);
}

#[test]
fn view_too_long() {
    refuses(started(false), Input::Grown(head(1, 1 << 32)), ChumError::ViewTooLong);
    started(false).handle(NOW, Input::Grown(head(1, (1 << 32) - 1))).unwrap();
    let chum = Chum::new(Config::default(), head(1, 1 << 32), Cursor::default(), common::pair_key());
    refuses(chum, hello(1), ChumError::ViewTooLong);
}

#[test]
fn store() {
    let mut chum = started(false);
    let ticket = scan(&mut chum);
    refuses(
        chum,
        Input::Failed { ticket, failure: StoreFailure::Full },
        ChumError::Store(StoreFailure::Full),
    );
}

#[test]
fn a_head_that_lies_behind_is_ignored() {
    let mut chum = started(true);
    chum.handle(NOW, Input::Grown(head(1, 3))).unwrap();
    chum.handle(NOW, Input::Grown(head(1, 5))).unwrap();
    assert!(std::iter::from_fn(|| chum.poll()).all(|output| !matches!(output, Output::Scan { .. })));
}

#[test]
fn the_timeout_is_the_last_now_exactly_while_there_is_output() {
    let mut chum = fresh();
    assert_eq!(chum.poll_timeout(), None);
    let later = Now { mono: Instant::from_origin(std::time::Duration::from_secs(3)), wall: WallTime(0) };
    chum.handle(later, hello(100)).unwrap();
    assert_eq!(chum.poll_timeout(), Some(later.mono));
    // Time never goes back.
    chum.handle_timeout(NOW).unwrap();
    assert_eq!(chum.poll_timeout(), Some(later.mono));
    while chum.poll().is_some() {}
    assert_eq!(chum.poll_timeout(), None);
}

#[test]
fn nothing_leaves_before_the_import_is_durable() {
    let mut chum = started(false);
    chum.handle(NOW, one(100, 100)).unwrap();
    while chum.poll().is_some() {}
    assert!(!chum.poll_frame(&mut BytesMut::new()));
}

/// A machine whose log has `count` entries, each known to the peer, as a round begins in which the peer has `more`.
fn reconciling(count: u64, more: u64) -> Chum {
    let key = common::pair_key().short_key(1);
    let head = |seq| ViewHead { epoch: [1; 8], seq, count: seq, fingerprint: Fingerprint([1; 16]) };
    let cursor = Cursor::all([2; 8], 0);
    let mut chum = Chum::new(Config::default(), head(count), cursor, common::pair_key());
    let theirs = ViewHead { epoch: [2; 8], ..head(count + more) };
    let cursor = Cursor { epoch: [1; 8], upto: Positions::all(count) };
    chum.handle(NOW, message(|out| Hello { head: theirs, cursor, news: LogNews::None }.write(out))).unwrap();
    let ids: Vec<_> = (1..=count + more).map(|n| (n, object("own", n, 50).0)).collect();
    let mut sketch = lama_chum::recon::Sketch::default();
    ids.iter().for_each(|(_, id)| sketch.add(&key, key.short(id)));
    let recon = Recon { round: 1, snapshot: count + more, count: count + more, sketch };
    chum.handle(NOW, message(|out| recon.write(out))).unwrap();
    let ticket = std::iter::from_fn(|| chum.poll()).find_map(|output| match output {
        Output::Ids { ticket, after: 0, .. } => Some(ticket),
        _ => None,
    });
    let ids = ids[..count as usize].to_vec();
    chum.handle(NOW, Input::Ids { ticket: ticket.unwrap(), ids, next: count }).unwrap();
    chum
}

#[test]
fn recon() {
    let malformed = |message: &[u8], error| refuses(started(false), raw(message), ChumError::Recon(error));
    malformed(&[0x20, 1, 0, 0, 0, 100, 0, 0, 0, 100, 1, 2, 3], ReconError::Length);
    let cells = [&[0x20, 1, 0, 0, 0, 100, 0, 0, 0, 100][..], &[0; 13 * 31]].concat();
    malformed(&cells, ReconError::Length);
    malformed(&[&cells[..], &[0; 12], &[99]].concat(), ReconError::Count);
}

#[test]
fn recon_out_of_turn() {
    let out = |kind| ChumError::ReconOutOfTurn { kind };
    for (kind, len) in [
        (wire::CELLS, 16),
        (wire::LIST, 5),
        (wire::WANT, 10),
        (wire::MARKS, 4),
        (wire::MORE, 3),
        (wire::GOAL, 5),
    ] {
        refuses(started(false), raw(&vec![kind; len]), out(kind));
        // A table that we send, of which there is no such range.
        if kind != wire::WANT {
            refuses(reconciling(1_000, 60), raw(&vec![kind; len]), out(kind));
        }
    }
    let sketch = lama_chum::recon::Sketch::default();
    let recon = |round| message(|out| Recon { round, snapshot: 100, count: 0, sketch }.write(out));
    for round in [2, 3] {
        refuses(started(false), recon(round), out(wire::RECON));
    }
    // Cells along with HELLO that nobody needed, then once more.
    let mut ahead = started(false);
    ahead.handle(NOW, recon(0)).unwrap();
    refuses(ahead, recon(0), out(wire::RECON));
    let mut later = started(false);
    later.handle(NOW, one(7, 100)).unwrap();
    while later.poll().is_some() {}
    refuses(later, recon(0), out(wire::RECON));
    let mut twice = started(false);
    twice.handle(NOW, recon(1)).unwrap();
    while twice.poll().is_some() {}
    refuses(twice, recon(1), out(wire::RECON));
    // Objects of older positions are still to be acknowledged.
    let mut chum = started(false);
    chum.handle(NOW, one(7, 100)).unwrap();
    while chum.poll().is_some() {}
    refuses(chum, recon(1), out(wire::RECON));
}

#[test]
fn want_beyond_set() {
    let want = |count: usize, flags| message(|out| wire::write_want(flags, &vec![7; count], out));
    refuses(reconciling(1_000, 60), want(1_001, WantFlags::Last), ChumError::WantBeyondSet);
    reconciling(1_000, 60).handle(NOW, want(1_000, WantFlags::Last)).unwrap();
    let mut chum = reconciling(1_000, 60);
    // Short ids that stand for nothing of ours are answered as if they were not said.
    chum.handle(NOW, want(600, WantFlags::Part)).unwrap();
    let mut other = reconciling(1_000, 60);
    other.handle(NOW, want(600, WantFlags::Last)).unwrap();
    assert!(std::iter::from_fn(|| other.poll()).all(|output| !matches!(output, Output::Fetch { .. })));
    refuses(chum, want(600, WantFlags::Last), ChumError::WantBeyondSet);
}

#[test]
fn more_cells_come_as_often_as_they_are_asked_for_up_to_the_last_one() {
    let mut chum = reconciling(1_000, 60);
    let more = || raw(&[wire::MORE, 0, 0]);
    let mut asked = 0;
    let error = loop {
        if let Err(error) = chum.handle(NOW, more()) {
            break error;
        }
        asked += 1;
        assert!(asked < 100);
    };
    assert_eq!(error, ChumError::ReconOutOfTurn { kind: wire::MORE });
    assert!(asked > 20);
}

#[test]
fn goal_is_said_once_and_only_where_there_are_several_ranges() {
    let goal = |cells| message(|out| wire::write_goal(cells, out));
    let out_of_turn = ChumError::ReconOutOfTurn { kind: wire::GOAL };
    refuses(reconciling(1_000, 60), goal(100), out_of_turn);
    for cells in [31, 65_537] {
        refuses(reconciling(60_000, 5_500), goal(cells), out_of_turn);
    }
    let mut chum = reconciling(60_000, 5_500);
    // Nothing of the other ranges is promised yet.
    refuses(
        reconciling(60_000, 5_500),
        raw(&[wire::MORE, 0, 1]),
        ChumError::ReconOutOfTurn { kind: wire::MORE },
    );
    chum.handle(NOW, goal(32)).unwrap();
    chum.handle(NOW, raw(&[wire::MORE, 0, 1])).unwrap();
    refuses(chum, goal(32), out_of_turn);
}
