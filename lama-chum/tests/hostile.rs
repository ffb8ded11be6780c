//! What a hostile peer may say at length, and what comes of it: a bounded effort, then a typed end, or nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use common::victim::{Victim, cells, list, message, recon, shorts};
use common::{Rng, object, objects, pair_key};
use lama_chum::recon::{Cell, MAX_CELLS, ReconError};
use lama_chum::wire::{self, ObjectsWriter, Synced, WantFlags};
use lama_chum::{
    ChumError, Config, Event, Fingerprint, MAX_OBJECT, RESERVE_BYTES, RESERVE_OBJECTS, Refusal, WINDOW_BYTES,
    WINDOW_OBJECTS,
};
use lama_core::Machine;
use lama_identity::{Cid, Codec, EncodingError, cbor};

/// Every rule that a peer can break has a test of its own, named after it.
#[test]
fn every_rule_has_a_test_named_after_it() {
    let rules = include_str!("rules.rs");
    let codes = include_str!("../src/error.rs").split("\"chum-").skip(1);
    let names: Vec<String> = codes.map(|code| code.split('"').next().unwrap().replace('-', "_")).collect();
    assert!(names.len() > 30);
    for name in names {
        assert!(rules.contains(&format!("\nfn {name}() {{")), "no test is named {name}");
    }
}

/// A victim that reads cells: of its 2,000 objects the peer has 1,920, and 20 others. 32 cells are not enough.
fn reading_cells() -> (Victim, u64) {
    let mut victim = Victim::new(Config::default(), 2_000, 20);
    victim.hear(&recon(1, 20, 80..2_000, 20)).unwrap();
    assert_eq!(victim.kinds().into_iter().collect::<Vec<_>>(), [wire::RECON]);
    (victim, 1_940)
}

/// A victim that sends cells: of its 1,000 objects the peer has all, and 80 others.
fn sending_cells() -> Victim {
    let mut victim = Victim::new(Config::default(), 1_000, 80);
    victim.hear(&recon(1, 80, 0..1_000, 80)).unwrap();
    assert!(victim.kinds().contains(&wire::CELLS));
    victim
}

/// A victim that reads a list: of its 1,000 objects the peer has 100, and 200 others.
fn reading_a_list() -> Victim {
    let mut victim = Victim::new(Config::default(), 1_000, 200);
    victim.hear(&recon(1, 200, 0..100, 200)).unwrap();
    assert_eq!(victim.kinds().into_iter().collect::<Vec<_>>(), [wire::RECON]);
    victim
}

/// A victim that sends a list: the peer has three times as many objects, none of them the victim's.
fn sending_a_list() -> Victim {
    let mut victim = Victim::new(Config::default(), 100, 300);
    victim.hear(&recon(1, 300, 0..0, 300)).unwrap();
    assert!(victim.kinds().contains(&wire::LIST));
    victim
}

fn out_of_turn(kind: u8) -> Result<(), ChumError> {
    Err(ChumError::ReconOutOfTurn { kind })
}

#[test]
fn cells_that_never_decode_end_in_sending_everything_and_no_later() {
    let mut rng = Rng(7);
    for right_checks in [false, true] {
        let (mut victim, total) = reading_cells();
        let key = pair_key().short_key(1);
        let (mut sent, mut asked) = (32, 0);
        let wanted = loop {
            let crafted = cells(0, sent, total, 1, |_| {
                let sum = rng.next();
                let check = if right_checks { key.check(sum) } else { rng.next() as u32 };
                Cell { sum, check, count: (rng.next() % 3) as i64 }
            });
            victim.hear(&crafted).unwrap();
            sent += 1;
            assert!(sent <= MAX_CELLS);
            asked += victim.said.iter().filter(|said| said[0] == wire::MORE).count();
            if let Some(want) = victim.said.iter().find(|said| said[0] == wire::WANT) {
                break want.clone();
            }
            victim.said.clear();
        };
        assert_eq!((sent, asked > 30 && asked < 70), (MAX_CELLS, true), "{asked} times MORE");
        assert_eq!(wire::read_want(&wanted).unwrap(), (WantFlags::Everything, Vec::new()));
        // Cells that still come say nothing, however many.
        for _ in 0..10 {
            victim.hear(&Bytes::from(vec![wire::CELLS; 60_000])).unwrap();
        }
        // And all that the victim has goes out.
        let mut went = BTreeSet::new();
        for said in victim.said.iter().filter(|said| said[0] & 0x37 == wire::OBJECTS) {
            wire::read_objects(said, |id, _| assert!(went.insert(id))).unwrap();
        }
        assert_eq!(went, victim.side.view.members);
    }
}

#[test]
fn cells_beyond_those_announced_end_the_session() {
    let (mut victim, total) = reading_cells();
    let many = cells(0, 32, total, 3_000, |_| Cell { sum: 1, check: 1, count: 1 });
    assert_eq!(victim.hear(&many), out_of_turn(wire::CELLS));
    let (mut victim, total) = reading_cells();
    let other_range = cells(1, 0, total, 1, |_| Cell { sum: 1, check: 1, count: 1 });
    assert_eq!(victim.hear(&other_range), out_of_turn(wire::CELLS));
}

#[test]
fn lying_counts_end_the_session() {
    let (mut victim, total) = reading_cells();
    let above = cells(0, 32, total, 1, |_| Cell { sum: 1, check: 1, count: total as i64 + 1 });
    assert_eq!(victim.hear(&above), Err(ChumError::Recon(ReconError::Count)));
    // A list that says more ids than it has, than there are, than may be, or fewer than RECON said.
    let listed = |count: u64| {
        let mut out = BytesMut::new();
        lama_chum::recon::write_list(0, (0..count).map(|n| n << 20), &mut out);
        out
    };
    for (count, bytes, error) in [
        (301, listed(300), ReconError::Length),
        (301, listed(301), ReconError::Count),
        (299, listed(299), ReconError::Count),
        (20_001, listed(20_001), ReconError::TooMany),
        (0, listed(0), ReconError::Count),
    ] {
        let mut victim = reading_a_list();
        assert_eq!(victim.hear(&list(0, count, &bytes)), Err(ChumError::Recon(error)), "{count}");
    }
    let mut victim = reading_a_list();
    victim.hear(&list(0, 300, &listed(300))).unwrap();
    assert!(victim.kinds().contains(&wire::MARKS));
    // Marks of more or fewer ids than were listed; none at all are fine.
    for len in [1, 12, 14] {
        let marks = message(|out| {
            wire::write_range(wire::MARKS, 0, out);
            out.put_bytes(0xff, len);
        });
        let mut victim = sending_a_list();
        assert_eq!(victim.hear(&marks), Err(ChumError::Recon(ReconError::Length)), "{len}");
    }
}

#[test]
fn a_list_or_marks_out_of_order_end_the_session() {
    let mut victim = reading_a_list();
    assert_eq!(victim.hear(&list(1, 1, &[0; 3])), out_of_turn(wire::LIST));
    let marks = |range: u32| {
        message(|out| {
            wire::write_range(wire::MARKS, range, out);
            out.put_bytes(0, 13);
        })
    };
    let mut victim = sending_a_list();
    assert_eq!(victim.hear(&marks(1)), out_of_turn(wire::MARKS));
    let mut victim = sending_a_list();
    victim.hear(&marks(0)).unwrap();
    assert_eq!(victim.hear(&marks(0)), out_of_turn(wire::MARKS), "twice");
}

#[test]
fn wants_said_twice_or_for_more_than_the_set_end_the_session() {
    let want = |count: usize, flags| message(|out| wire::write_want(flags, &vec![7; count], out));
    let mut victim = sending_cells();
    victim.hear(&want(1, WantFlags::Last)).unwrap();
    assert_eq!(victim.hear(&want(1, WantFlags::Last)), out_of_turn(wire::WANT));
    let mut victim = sending_cells();
    let part = want(400, WantFlags::Part);
    assert_eq!(victim.hear_all(&[part.clone(), part.clone(), part]), Err(ChumError::WantBeyondSet));
}

#[test]
fn wants_name_nothing_that_the_view_does_not_hold() {
    let (hidden, shown) = (object("hidden", 1, 60).0, objects("own", 3, 60));
    let answer = |wanted: &[Cid]| {
        let mut victim = sending_cells();
        let shorts = shorts(1, wanted);
        victim.hear(&message(|out| wire::write_want(WantFlags::Last, &shorts, out))).unwrap();
        victim.said
    };
    let (nothing, one) = (object("nothing", 1, 60).0, shown[2].0);
    assert_eq!(answer(&[hidden]), answer(&[nothing]));
    assert_eq!(answer(&[hidden, one]), answer(&[one, nothing]));
    assert_ne!(answer(&[hidden]), answer(&[one]));
}

#[test]
fn more_is_said_until_there_are_no_more_cells_and_costs_no_more_than_those() {
    let mut victim = sending_cells();
    let more = Bytes::from_static(&[wire::MORE, 0, 0]);
    let error = (0..200).find_map(|_| victim.hear(&more).err());
    assert_eq!(error, Some(ChumError::ReconOutOfTurn { kind: wire::MORE }));
    let bytes: usize = victim.said.iter().map(Bytes::len).sum();
    assert!(bytes < 17 * MAX_CELLS as usize, "{bytes}");
}

#[test]
fn rounds_come_to_an_end() {
    let mut victim = Victim::new(Config::default(), 100, 2);
    // Each time the peer says that it lacks ten objects, and gets them.
    for round in [1, 2] {
        victim.hear(&recon(round, 2, 10..100, 0)).unwrap();
        assert!(victim.kinds().contains(&wire::OBJECTS));
        assert_eq!(
            Victim::hear(&mut victim, &message(|out| wire::ack(lama_chum::Lane::LAST, 100, out))),
            Ok(())
        );
    }
    assert_eq!(victim.hear(&recon(3, 2, 10..100, 0)), out_of_turn(wire::RECON));
    // The same round again, before and after its end.
    let mut victim = reading_cells().0;
    assert_eq!(victim.hear(&recon(1, 20, 80..2_000, 20)), out_of_turn(wire::RECON));
    let mut victim = Victim::new(Config::default(), 100, 2);
    victim.hear(&recon(1, 2, 10..100, 0)).unwrap();
    assert_eq!(victim.hear(&recon(1, 2, 10..100, 0)), out_of_turn(wire::RECON));
}

/// OBJECTS with chunks of `len` bytes.
fn chunks(upto: u64, count: usize, len: usize) -> Bytes {
    message(|out| {
        let mut writer = ObjectsWriter::begin(out);
        (0..count).for_each(|_| writer.push(Codec::Raw, &vec![upto as u8; len]));
        writer.finish(wire::Label::default(), upto, u32::MAX.into());
    })
}

fn gone(upto: u64) -> Bytes {
    let ids = (0..wire::MAX_GONE as u64).map(|n| Cid::of_chunk(&n.to_be_bytes()));
    message(|out| {
        wire::write_gone(wire::Label::default(), upto, u32::MAX.into(), ids, out);
    })
}

#[test]
fn streams_without_end_end_with_the_credit() {
    type Next = fn(u64) -> Bytes;
    let streams: [(Next, usize); 3] = [
        (|upto| chunks(upto, 1, MAX_OBJECT), (WINDOW_BYTES - RESERVE_BYTES) / MAX_OBJECT + 1),
        (|upto| chunks(upto, 1_000, 1), (WINDOW_OBJECTS - RESERVE_OBJECTS) / 1_000 + 1),
        (gone, (WINDOW_OBJECTS - RESERVE_OBJECTS) / wire::MAX_GONE + 1),
    ];
    for (next, fit) in streams {
        let mut victim = Victim::new(Config::default(), 5, 0);
        victim.stuck = true;
        let taken = (1..).take_while(|upto| victim.hear(&next(*upto)).is_ok()).count();
        assert_eq!(victim.side.chum.ended(), Some(ChumError::CreditExceeded));
        assert_eq!(taken + 1, fit);
    }
}

#[test]
fn refusals_are_counted_against_what_was_sent_however_they_come() {
    let mut victim = Victim::new(Config::default(), 5, 0);
    let more = victim.side.view.share(objects("more", 10, 60));
    victim.grown(more).unwrap();
    let id = objects("more", 1, 60)[0].0;
    let refused = message(|out| wire::write_refused([(id, Refusal::Quota)].into_iter(), out));
    let taken = (0..).take_while(|_| victim.hear(&refused).is_ok()).count();
    assert_eq!((taken, victim.side.chum.ended()), (10, Some(ChumError::RefusedUnsent)));
}

#[test]
fn claims_that_lie_end_in_two_rounds_and_a_report() {
    let mut victim = Victim::new(Config::default(), 5, 0);
    // The sets are equal but for what SYNCED says of them, again and again.
    for n in 0..100 {
        let lie = Synced { own: 0, peer: 5, count: 5, fingerprint: Fingerprint([n; 16]) };
        victim.hear(&message(|out| lie.write(out))).unwrap();
        if victim.said.iter().any(|said| said[0] == wire::RECON) {
            let round = victim.said.iter().rfind(|said| said[0] == wire::RECON).unwrap()[1];
            victim.kinds();
            victim.hear(&recon(round, 0, 0..5, 0)).unwrap();
        }
    }
    let unequal = |event: &Event| matches!(event, Event::OutOfSync { .. });
    assert!(victim.side.events.iter().any(unequal));
    assert!(!victim.kinds().contains(&wire::RECON), "no third round");
}

#[test]
fn an_acknowledgement_that_is_withheld_holds_up_no_more_than_the_credit() {
    let mut victim = Victim::new(common::tight(), 5, 0);
    let head = victim.side.view.share(objects("more", 500, 200));
    victim.grown(head).unwrap();
    let sent: usize = victim.said.iter().map(Bytes::len).sum();
    assert!(sent <= common::tight().send_bytes + common::tight().room, "{sent}");
    // What is received meanwhile is imported and acknowledged as always.
    victim.said.clear();
    victim.hear(&chunks(1, 1, 100)).unwrap();
    assert_eq!(victim.said[0][..], [wire::ACK, 0, 0, 0, 1]);
    assert_eq!(victim.side.chum.ended(), None);
}

#[test]
fn an_object_is_named_by_its_bytes_and_by_nothing_that_the_peer_says() {
    let (id, bytes) = object("own", 9, 200);
    let mut other = bytes.to_vec();
    let last = other.len() - 1;
    other[last] ^= 1;
    let other = Bytes::from(other);
    let mut victim = Victim::new(Config::default(), 5, 1);
    let objects = message(|out| {
        let mut writer = ObjectsWriter::begin(out);
        writer.push(Codec::Raw, &other);
        writer.finish(wire::Label::default(), 1, 1);
    });
    victim.hear(&objects).unwrap();
    assert!(!victim.side.view.members.contains(&id));
    assert!(victim.side.view.members.contains(&Cid::of_chunk(&other)));
}

#[test]
fn deep_objects_are_refused_and_a_million_links_do_not_fit() {
    let one = |object: &[u8]| {
        message(|out| {
            let mut writer = ObjectsWriter::begin(out);
            writer.push(Codec::DagCbor, object);
            writer.finish(wire::Label::default(), 1, 1);
        })
    };
    // Arrays in arrays, the innermost empty.
    let deep = |depth: usize| [vec![0x81; depth - 1], vec![0x80]].concat();
    let mut victim = Victim::new(Config::default(), 5, 1);
    victim.hear(&one(&deep(cbor::MAX_DEPTH))).unwrap();
    for depth in [cbor::MAX_DEPTH + 1, 1_000_000] {
        let mut victim = Victim::new(Config::default(), 5, 1);
        let error = ChumError::NotCanonical(EncodingError::Depth);
        assert_eq!(victim.hear(&one(&deep(depth))), Err(error));
    }
    // A link has 41 bytes.
    let link = [&[0xd8, 42, 0x58, 37, 0][..], &Cid::of_chunk(b"nowhere").as_bytes()].concat();
    let links = |head: &[u8], count: usize| [head, &link.repeat(count)].concat();
    let mut victim = Victim::new(Config::default(), 5, 1);
    victim.hear(&one(&links(&[0x99, 0x63, 0x9c], 25_500))).unwrap();
    let mut victim = Victim::new(Config::default(), 5, 1);
    let million = one(&links(&[0x9a, 0x00, 0x0f, 0x42, 0x40], 1_000_000));
    assert_eq!(victim.hear(&million), Err(ChumError::MessageTooLong { len: million.len() }));
}

/// What was on its way all the same is taken up in its turn.
#[test]
fn what_comes_while_the_store_is_read_is_answered_after_it() {
    let mut victim = Victim::unknown(Config::default(), 1_000, 1_080);
    let ids: Vec<Cid> = objects("own", 700, 60).into_iter().map(|(id, _)| id).collect();
    victim.stuck = true;
    victim.hear(&recon(0, 1_080, 0..1_000, 80)).unwrap();
    let want =
        |part: &[Cid], flags| message(|out| wire::write_want(flags, &common::victim::shorts(0, part), out));
    victim.hear(&want(&ids[..400], WantFlags::Part)).unwrap();
    victim.hear(&want(&ids[400..], WantFlags::Last)).unwrap();
    victim.stuck = false;
    victim.work().unwrap();
    let mut went = BTreeSet::new();
    for said in victim.said.iter().filter(|said| said[0] & 0x37 == wire::OBJECTS) {
        wire::read_objects(said, |id, _| assert!(went.insert(id))).unwrap();
    }
    assert_eq!(went, ids.into_iter().collect());
}

/// While the victim's store is read for a table of short ids nothing is listened to, so that nothing piles up.
#[test]
fn a_peer_is_not_listened_to_while_the_store_is_read() {
    let mut victim = Victim::unknown(Config::default(), 2_000, 1_940);
    victim.stuck = true;
    victim.hear(&recon(0, 1_940, 80..2_000, 20)).unwrap();
    assert!(!Machine::wants_input(&victim.side.chum));
    victim.stuck = false;
    victim.work().unwrap();
    assert!(Machine::wants_input(&victim.side.chum));
}
