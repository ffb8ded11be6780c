//! Lanes: bulk never delays a message, children precede parents all the same, and a cut loses none of the places.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use bytes::Bytes;
use common::pair::{Pair, Step};
use common::view::View;
use common::{Rng, object, object_with, tight};
use lama_chum::wire::{self, HELLO_LEN, HELLO_LONG, Hello, Label};
use lama_chum::{Config, Lane, Output, Positions, RESERVE_BYTES, RESERVE_OBJECTS, WINDOW_BYTES};
use lama_identity::Cid;

/// Chunks of a file, `len` bytes each.
fn chunks(count: u64, len: usize) -> Vec<(Cid, Bytes)> {
    let chunk = |n: u64| Bytes::from([&n.to_be_bytes()[..], &vec![7; len - 8]].concat());
    (0..count).map(chunk).map(|bytes| (Cid::of_chunk(&bytes), bytes)).collect()
}

/// Shares a message on one side while the session runs.
fn say(pair: &mut Pair, side: usize, n: u64) -> Cid {
    let (id, bytes) = object("message", n, 120);
    pair.sides[side].view.waited.insert(id);
    pair.share(side, vec![(id, bytes)]);
    id
}

/// Everything local of one side, and then a frame of it.
fn local(pair: &mut Pair, side: usize) {
    while pair.step(Step::Poll(side)).unwrap() || pair.step(Step::Execute(side)).unwrap() {}
}

#[test]
fn a_message_leaves_in_the_next_frame_however_much_bulk_is_on_its_way() {
    let mut source = View::new(1);
    source.share(chunks(200, 64 << 10));
    for round in 0..40 {
        let mut pair = Pair::new(Config::default(), source.clone(), View::new(2), 150_000, 5 + round);
        for _ in 0..20 + round * 10 {
            pair.random_step().unwrap();
        }
        let id = say(&mut pair, 0, round);
        // Whatever is being read at that moment is read to its end, and no frame is built meanwhile.
        local(&mut pair, 0);
        pair.sides[1].inbox.clear();
        pair.sides[1].inbox_bytes = 0;
        assert!(pair.step(Step::Frame(0)).unwrap(), "nothing leaves");
        if pair.sides[0].sent.frames == 1 {
            continue; // that was HELLO
        }
        let frame = pair.sides[1].inbox.front().unwrap();
        let (_, bytes) = object("message", round, 120);
        assert!(frame.len() < 200 && frame.ends_with(&bytes), "{id}");
        assert!(pair.sides[0].sent.bytes < 200 * (64 << 10), "nothing else was left");
        let label = Label::read(frame[0]).unwrap().1;
        assert_eq!(label, Label { covers: Lane::Objects, urgent: true });
    }
}

#[test]
fn bulk_leaves_room_for_messages_in_a_window_that_is_full() {
    let mut a = View::new(1);
    a.share(chunks(60, 256 << 10));
    let config = Config { page_bytes: WINDOW_BYTES, ..Config::default() };
    let mut pair = Pair::new(config, a, View::new(2), 1 << 30, 5);
    // The receiving store does nothing: whatever comes stays unacknowledged.
    let stuck = |pair: &mut Pair| {
        loop {
            local(pair, 0);
            let sent = pair.step(Step::Frame(0)).unwrap() | pair.step(Step::Frame(1)).unwrap();
            if !(sent | pair.step(Step::Deliver(1)).unwrap() | pair.step(Step::Deliver(0)).unwrap()) {
                break;
            }
        }
    };
    stuck(&mut pair);
    let bulk = pair.sides[0].sent;
    assert!(bulk.bytes > WINDOW_BYTES - RESERVE_BYTES - (300 << 10), "{bulk:?}");
    assert!(bulk.bytes < WINDOW_BYTES - RESERVE_BYTES + 100, "{bulk:?}");
    for n in 0..RESERVE_OBJECTS as u64 {
        say(&mut pair, 0, n);
    }
    stuck(&mut pair);
    let said = pair.sides[0].sent.bytes - bulk.bytes;
    assert!(said > RESERVE_OBJECTS * 120 && said < RESERVE_BYTES, "{said}");
    // And they are given to the store, behind nothing but what it is busy with.
    while pair.step(Step::Poll(1)).unwrap() {}
    let waiting = |output: &&Output| match output {
        Output::Import { objects, .. } => {
            objects.iter().all(|(id, _)| id.codec() != lama_identity::Codec::Raw)
        }
        _ => false,
    };
    assert!(pair.sides[1].jobs.iter().filter(waiting).count() > 0);
    pair.settle().unwrap();
    pair.assert_in_sync();
}

/// What the store was given when a message comes is in batches, and the message goes between two of them.
#[test]
fn a_message_waits_in_the_store_for_one_batch_at_most() {
    let config =
        Config { batch_objects: 100, max_imports: 2, room: 1_024, scan_bytes: 4_000, ..Config::default() };
    let mut a = View::new(1);
    a.share((0..2_000).map(|n| object("bulk", n, 60)).collect());
    let mut pair = Pair::new(config, a, View::new(2), 1 << 30, 5);
    // Everything comes before the receiving store does anything.
    let all_comes = |pair: &mut Pair| {
        loop {
            local(pair, 0);
            while pair.step(Step::Poll(1)).unwrap() {}
            let sent = pair.step(Step::Frame(0)).unwrap() | pair.step(Step::Frame(1)).unwrap();
            if !(sent | pair.step(Step::Deliver(1)).unwrap() | pair.step(Step::Deliver(0)).unwrap()) {
                break;
            }
        }
    };
    let imports = |pair: &Pair| -> Vec<(usize, bool)> {
        let len = |output: &Output| match output {
            Output::Import { objects, urgent, .. } => Some((objects.len(), *urgent)),
            _ => None,
        };
        pair.sides[1].jobs.iter().filter_map(len).collect()
    };
    all_comes(&mut pair);
    // A message of 1,024 bytes takes less than twenty of them; the first one that came was handed out at once.
    let given = imports(&pair);
    assert_eq!(given.len(), 2, "{given:?}");
    assert!(given[0].0 < 20 && (100..120).contains(&given[1].0), "{given:?}");
    for round in 0..20 {
        let id = say(&mut pair, 0, round);
        all_comes(&mut pair);
        let given = imports(&pair);
        assert!(given.len() <= 3 && given.iter().all(|(len, _)| *len < 120), "{given:?}");
        assert_eq!(given.last(), Some(&(1, true)), "{given:?}");
        assert_eq!(pair.step(Step::Overtake(1)).unwrap(), given.len() > 1);
        while !pair.sides[1].view.members.contains(&id) {
            assert!(imports(&pair)[0].1);
            assert!(pair.step(Step::Execute(1)).unwrap());
        }
        // And then a batch.
        while !imports(&pair).is_empty() && imports(&pair).len() == given.len() - 1 {
            assert!(pair.step(Step::Execute(1)).unwrap());
        }
        while pair.step(Step::Poll(1)).unwrap() {}
    }
    assert!(pair.sides[1].overtaken > 10, "{}", pair.sides[1].overtaken);
    pair.settle().unwrap();
    pair.assert_in_sync();
    assert_eq!(pair.sides[1].view.repeated, 0);
}

/// Random objects that link to random earlier ones, in random lanes, shared while the session runs: the store of the
/// receiver would complain of the first part that is not there (`View::strict`).
#[test]
fn children_precede_parents_across_lanes() {
    let mut overtaken = 0;
    for seed in 1..120_u64 {
        let mut rng = Rng(seed * 77);
        let mut pair = Pair::new(tight(), View::mixed(1), View::mixed(2), 1_500, seed);
        let mut all: Vec<(Cid, Bytes)> = Vec::new();
        for n in 0..90 {
            let parts: Vec<Cid> =
                (0..rng.below(3).min(all.len())).map(|_| all[rng.below(all.len())].0).collect();
            let len = if rng.below(9) == 0 { 1_800 } else { 60 + rng.below(300) };
            let (id, bytes) = match rng.below(5) {
                0 => chunks(n + 1, 8 + len).pop().unwrap(),
                _ => object_with("any", n, len, &parts),
            };
            all.push((id, bytes.clone()));
            pair.share(0, vec![(id, bytes)]);
            for _ in 0..rng.below(12) {
                pair.random_step().unwrap();
            }
        }
        pair.settle().unwrap();
        pair.assert_in_sync();
        let order: Vec<Cid> = pair.sides[1].view.log.iter().map(|(id, _)| *id).collect();
        let sent: Vec<Cid> = pair.sides[0].view.log.iter().map(|(id, _)| *id).collect();
        assert_eq!(order.len(), sent.len());
        overtaken += u32::from(order != sent);
    }
    assert!(overtaken > 60, "{overtaken}");
}

/// Cut while a file is on its way and messages have overtaken it: the next HELLO says both places, and nothing that
/// was durable is sent again.
#[test]
fn a_cut_transfer_goes_on_where_each_lane_is() {
    let (mut long, mut repeated, mut overtaken) = (0, 0, 0);
    for seed in 1..60_u64 {
        let mut rng = Rng(seed);
        let mut a = View::new(1);
        a.share(chunks(60, 300));
        let mut pair = Pair::new(tight(), a, View::new(2), 2_000, seed);
        for n in 0..8 {
            for _ in 0..30 + rng.below(30) {
                pair.random_step().unwrap();
            }
            say(&mut pair, 0, n);
            for _ in 0..rng.below(30) {
                pair.random_step().unwrap();
            }
            let [mut a, mut b] = pair.sides;
            overtaken += b.overtaken;
            while rng.below(2) == 0 && (a.execute().is_some() || b.execute().is_some()) {}
            let upto = b.view.cursor.upto;
            pair = Pair::new(tight(), a.view, b.view, 2_000, seed * 100 + n);
            assert!(pair.step(Step::Frame(1)).unwrap());
            let hello = pair.sides[0].inbox.front().unwrap();
            assert_eq!(Hello::read(hello).unwrap().cursor.upto, upto);
            let differ = upto != Positions::all(upto.whole());
            assert_eq!(hello.len(), if differ { HELLO_LONG } else { HELLO_LEN });
            long += u32::from(differ);
        }
        pair.settle().unwrap();
        pair.assert_in_sync();
        repeated += pair.sides[1].view.repeated;
        // In sync there is one place only, and the next session costs two HELLOs.
        let [a, b] = pair.sides;
        let mut pair = Pair::new(tight(), a.view, b.view, 2_000, seed);
        pair.settle().unwrap();
        assert_eq!(pair.sides[0].sent.bytes + pair.sides[1].sent.bytes, 2 * HELLO_LEN);
    }
    assert_eq!(repeated, 0);
    assert!(long > 60 && overtaken > 15, "{long} {overtaken}");
}

/// Each message is acknowledged when it is durable, though bulk before it in the log is not even sent.
#[test]
fn messages_are_acknowledged_before_the_bulk_before_them() {
    let mut a = View::new(1);
    a.share(chunks(40, 256 << 10));
    let mut pair = Pair::new(Config::default(), a, View::new(2), 300_000, 5);
    for _ in 0..60 {
        pair.random_step().unwrap();
    }
    let head = pair.sides[0].view.head.seq + 1;
    say(&mut pair, 0, 1);
    let mut steps = 0;
    while pair.sides[0].view.acked.upto.of(Lane::Interactive) < head {
        assert!(pair.random_step().unwrap());
        steps += 1;
    }
    let acked = pair.sides[0].view.acked.upto;
    assert!(acked.whole() < 40, "{acked:?} after {steps} steps");
    pair.settle().unwrap();
    assert!(pair.sides[0].view.acked.upto.whole() >= 40);
    assert_eq!(pair.sides[1].view.cursor.upto, Positions::all(head));
    pair.assert_in_sync();
    for (kind, awaited) in
        [(0x10, true), (wire::RECON, true), (wire::OBJECTS, false), (0x49, false), (0x82, false)]
    {
        assert_eq!(wire::is_awaited(&[kind]), awaited, "{kind:02x}");
    }
}
