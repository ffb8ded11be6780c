//! Pairs that have to find out what each lacks: every way to tell, what it costs, and what cuts do to it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use common::pair::{Pair, Step};
use common::view::View;
use common::{Rng, objects, tight};
use lama_chum::{Config, Cursor, Event, Positions, wire};
use lama_core::Machine;
use lama_identity::Cid;

/// Views that share `shared` objects, and have `ours` and `theirs` for themselves, all in mixed order.
fn views(shared: u64, ours: u64, theirs: u64) -> [View; 2] {
    let mixed = |own: &str, count: u64, seed: u64| {
        let mut all: Vec<(Cid, Bytes)> = objects("shared", shared, 0);
        all.extend(objects(own, count, 0));
        let mut rng = Rng(seed);
        for at in (1..all.len()).rev() {
            all.swap(at, rng.below(at + 1));
        }
        all
    };
    let (mut a, mut b) = (View::new(1), View::new(2));
    a.share(mixed("a", ours, 1));
    b.share(mixed("b", theirs, 2));
    [a, b]
}

/// What is said beyond the objects themselves, in bytes.
fn overhead(pair: &Pair, objects_len: usize) -> usize {
    pair.sides.iter().map(|side| side.sent.bytes).sum::<usize>() - objects_len
}

fn size(author: &str, count: u64) -> usize {
    objects(author, count, 0).iter().map(|(_, object)| object.len() + 1).sum()
}

#[test]
fn every_way_to_tell_moves_the_difference_and_nothing_else() {
    for (shared, ours, theirs, limit) in [
        (2_000, 3, 4, 1_300),                 // read out of 32 cells
        (2_000, 0, 1, 1_300),                 // nothing to send in one direction
        (20_000, 300, 200, 36 * 500),         // one table
        (60_000, 3_500, 3_500, 36 * 7_000),   // ranges of cells
        (1_000, 5_000, 700, 5 * 1_700),       // a list
        (30_000, 25_000, 10_000, 3 * 40_000), // lists of several ranges
        (5, 1, 1, 1_300),
        (0, 2, 3, 1_300),
    ] {
        let [a, b] = views(shared, ours, theirs);
        let mut pair = Pair::new(Config::default(), a, b, 1 << 24, 1);
        let mut flights = 0;
        while pair.flight() {
            flights += 1;
        }
        pair.assert_in_sync();
        assert_eq!(pair.sides[0].view.head.count, shared + ours + theirs);
        assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
        let over = overhead(&pair, size("a", ours) + size("b", theirs));
        println!("{shared} + {ours}/{theirs}: {over} bytes beyond the objects, {flights} flights");
        assert!(over < limit, "{over}");
        for side in &pair.sides {
            assert!(!side.events.iter().any(|event| matches!(event, Event::OutOfSync { .. })));
        }
        // The cursors stand at the heads: the next session costs two HELLOs.
        let [a, b] = pair.sides;
        let mut pair = Pair::new(Config::default(), a.view, b.view, 1 << 20, 2);
        pair.settle().unwrap();
        assert_eq!(pair.sides[0].sent.bytes + pair.sides[1].sent.bytes, 90);
        let [a, b] = pair.sides.map(|side| side.view);
        assert_eq!((a.cursor.upto, b.cursor.upto), (Positions::all(b.head.seq), Positions::all(a.head.seq)));
    }
}

#[test]
fn every_schedule_of_a_reconciliation_ends_in_sync() {
    for seed in 1..60_u64 {
        let mut rng = Rng(seed * 31);
        let (ours, theirs) = (rng.below(60) as u64, rng.below(60) as u64);
        let [a, b] = views(rng.below(600) as u64, ours, theirs);
        let mut pair = Pair::new(tight(), a, b, 1 + rng.below(4_000), seed);
        pair.sides.iter_mut().for_each(|side| side.ids_at_most = 1 + rng.below(100));
        for n in 0..20_u64 {
            for _ in 0..rng.below(40) {
                pair.random_step().unwrap();
            }
            // Both logs grow meanwhile.
            pair.share((n % 2) as usize, objects("later", n + 1, 80).split_off(n as usize));
        }
        pair.settle().unwrap();
        pair.assert_in_sync();
        assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
    }
}

#[test]
fn cut_anywhere_a_reconciliation_is_made_up_for_and_nothing_durable_is_sent_again() {
    let (mut cuts, mut reconciled) = (0, 0);
    for (shared, ours, theirs, known) in [(420, 25, 15, 0), (40, 30, 80, 0), (420, 60, 2, 3)] {
        for at in (0..).step_by(5) {
            let [a, mut b] = views(shared, ours, theirs);
            // Of an older life of b: it counts, and stands far behind what reconciliation brings.
            b.cursor =
                Cursor { epoch: if known > 0 { a.head.epoch } else { [0; 8] }, upto: Positions::all(known) };
            let mut pair = Pair::new(tight(), a, b, 3_000, at + 1);
            let done = !(0..at).all(|_| pair.random_step().unwrap());
            let [mut a, mut b] = pair.sides;
            for (side, run) in [(&mut a, at % 2 == 0), (&mut b, at % 3 == 0 || known > 0)] {
                while run && !side.jobs.is_empty() {
                    side.execute();
                }
            }
            reconciled +=
                usize::from(a.view.head.count > shared + ours || b.view.head.count > shared + theirs);
            let mut pair = Pair::new(tight(), a.view, b.view, 3_000, at + 7);
            pair.settle().unwrap();
            pair.assert_in_sync();
            assert_eq!(pair.sides[0].view.head.count, shared + ours + theirs);
            assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
            cuts += 1;
            if done {
                break;
            }
        }
    }
    println!("{cuts} cuts, {reconciled} of them after something had become durable");
    assert!(cuts > 30 && reconciled > 10);
}

#[test]
fn a_loss_in_the_middle_of_a_session_is_healed_by_another_round() {
    for seed in 1..30 {
        let [a, b] = views(300, 10, 10);
        let mut pair = Pair::new(tight(), a, b, 3_000, seed);
        pair.settle().unwrap();
        pair.assert_in_sync();
        for n in [5, 77] {
            pair.sides[1].view.danger_forget(&objects("shared", 300, 0)[n].0);
        }
        pair.share(0, objects("later", 3, 100));
        pair.share(1, objects("later still", 3, 100));
        pair.settle().unwrap();
        pair.assert_in_sync();
        assert_eq!(pair.sides[1].view.head.count, 326);
        let bad = |event: &Event| matches!(event, Event::OutOfSync { .. });
        assert!(!pair.sides.iter().any(|side| side.events.iter().any(bad)));
    }
}

#[test]
fn two_long_tails_are_reconciled_and_what_both_got_elsewhere_is_not_sent() {
    let [a, b] = views(100, 5, 5);
    let mut pair = Pair::new(Config::default(), a, b, 1 << 20, 3);
    pair.settle().unwrap();
    let [mut a, mut b] = pair.sides.map(|side| side.view);
    a.share(objects("elsewhere", 900, 300));
    b.share(objects("elsewhere", 905, 300));
    let mut pair = Pair::new(Config::default(), a, b, 1 << 20, 4);
    pair.settle().unwrap();
    pair.assert_in_sync();
    assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
    let sent: usize = pair.sides.iter().map(|side| side.sent.bytes).sum();
    assert!(sent < 5 * 310 + 1_300, "{sent}");
}

/// How many ids the large test has: a million of them take longer than a test may (`cargo xtask soak`).
fn many() -> u64 {
    std::env::var("LAMA_RECON_N").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

#[test]
fn ten_differences_in_many_cost_one_small_message_each_way_and_one_round_trip() {
    let shared = many();
    let (mut a, mut b) = (View::new(1), View::new(2));
    let old: Vec<(Cid, Bytes)> = objects("old", shared, 0);
    a.share(old.clone());
    b.share(old.into_iter().rev().collect());
    a.share(objects("a", 5, 0));
    b.share(objects("b", 5, 0));
    let mut pair = Pair::new(Config::default(), a, b, 1 << 24, 1);
    pair.sides.iter_mut().for_each(|side| side.ids_at_most = 1_000);
    // HELLO and cells cross, then the objects.
    assert!(pair.flight() && pair.sides.iter().all(|side| side.view.log.len() as u64 == shared + 5));
    let told = pair.sides.each_ref().map(|side| side.sent.bytes);
    assert!(pair.flight() && pair.sides.iter().all(|side| side.view.log.len() as u64 == shared + 10));
    while pair.flight() {}
    pair.assert_in_sync();
    println!("{told:?} bytes before the objects");
    assert!(told.iter().all(|bytes| *bytes < 500), "{told:?}");
    // Nobody read the log: the youngest entries were looked at once.
    assert_eq!(pair.sides.each_ref().map(|side| side.view.looked_at), [1_000; 2]);
    assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
}

/// The estimate is wrong by a quarter as often as not: what the first range holds puts that right for all others.
#[test]
fn a_large_difference_takes_less_than_22_bytes_each() {
    let shared = many() * 4;
    let d = shared / 10;
    let [a, b] = views(shared, d / 2, d / 2);
    let logs = [a.log.len(), b.log.len()];
    let mut pair = Pair::new(Config::default(), a, b, 1 << 24, 1);
    let cells =
        |pair: &Pair| pair.sides.iter().map(|side| side.kind_bytes[usize::from(wire::CELLS)]).sum::<usize>();
    let mut at_first = None;
    while pair.flight() {
        if (0..2).any(|side| pair.sides[side].view.log.len() > logs[side]) {
            at_first.get_or_insert(cells(&pair));
        }
    }
    pair.assert_in_sync();
    assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
    // The first objects come after the cells of one range of many.
    let part = at_first.unwrap() as f64 / cells(&pair) as f64;
    println!("the first objects came after {:.1} % of the cells", part * 100.0);
    assert!(part < if d >= 100_000 { 0.012 } else { 0.17 }, "{part}");
    let each = overhead(&pair, size("a", d / 2) + size("b", d / 2)) as f64 / d as f64;
    println!("{d} of {shared}: {each:.1} bytes for each difference");
    assert!(each < 22.0, "{each}");
}

/// Objects that link to others, among thousands that are found range by range: the views look that no link is missing.
#[test]
fn what_is_found_early_links_to_nothing_that_comes_later() {
    let mut views = [("a", View::new(1)), ("b", View::new(2))].map(|(author, mut view)| {
        view.share(objects("shared", 38_000, 0));
        let mut own: Vec<(Cid, Bytes)> = Vec::new();
        for n in 0..2_200 {
            let parts: Vec<Cid> = own.iter().rev().take(n % 3).map(|(id, _)| *id).collect();
            own.push(common::object_with(author, n as u64, 0, &parts));
        }
        view.share(own);
        view
    });
    // Some that both have, one of them as deleted.
    let id = views[0].log[40_000].0;
    views[0].delete(id, false);
    views[0].strict = false;
    let [a, b] = views;
    let mut pair = Pair::new(Config::default(), a, b, 60_000, 5);
    pair.settle().unwrap();
    assert_eq!(pair.sides[1].view.members, pair.sides[0].view.members);
    let kinds = |kind: u8| pair.sides.iter().map(|side| side.kinds[usize::from(kind)]).sum::<usize>();
    assert!(kinds(wire::GOAL) == 1 && kinds(wire::WANT) > 2, "in several ranges");
}

/// When a message left, in milliseconds, and its first byte.
type Left = (u64, u8);

/// Runs a session over a link that carries so many bytes a millisecond each way and takes its time for each. Gives what
/// left when, on either side.
fn over_a_link(pair: &mut Pair, bytes_per_ms: usize, delay: u64) -> Vec<Left> {
    let (mut left, mut free_at, mut idle) = (Vec::new(), [0_u64; 2], 0);
    let mut under_way: [VecDeque<(u64, Bytes)>; 2] = Default::default();
    for now in 0.. {
        pair.steps = now;
        let mut moved = under_way.iter().any(|messages| !messages.is_empty());
        for side in 0..2 {
            while under_way[side].front().is_some_and(|(due, _)| *due <= now) {
                let (_, message) = under_way[side].pop_front().unwrap();
                pair.sides[side].inbox_bytes += message.len();
                pair.sides[side].inbox.push_back(message);
            }
            let steps = [Step::Deliver(side), Step::Poll(side), Step::Execute(side)];
            while steps.iter().any(|step| pair.step(*step).unwrap()) {
                moved = true;
            }
            let mut frame = BytesMut::new();
            while free_at[side] <= now && pair.sides[side].chum.poll_frame(&mut frame) {
                let frame = frame.split().freeze();
                left.push((now, frame[0]));
                free_at[side] = now.max(free_at[side]) + (frame.len() / bytes_per_ms) as u64;
                under_way[1 - side].push_back((free_at[side] + delay, frame));
            }
        }
        idle = if moved { 0 } else { idle + 1 };
        if idle > 300 && free_at.iter().all(|free| *free < now) {
            break;
        }
    }
    left
}

/// First contact of large sets: half of 200,000 ids are had by one side only. On a line of 2 Mbit/s with 50 ms each way
/// telling them takes more than a second, and objects leave in its first part.
#[test]
fn objects_leave_long_before_the_last_range_is_told() {
    let all = 10 * many();
    let [a, b] = views(all / 2, all / 4, all / 4);
    let mut pair = Pair::new(Config::default(), a, b, usize::MAX, 1);
    pair.sides.iter_mut().for_each(|side| side.ids_at_most = 1 << 20);
    let left = over_a_link(&mut pair, 250, 50);
    pair.assert_in_sync();
    assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
    let object = left.iter().find(|(_, kind)| kind & 0x37 == 0x01).unwrap().0;
    let last = left.iter().rfind(|(_, kind)| [wire::LIST, wire::CELLS].contains(kind)).unwrap().0;
    println!("the first object left after {object} ms, the last range after {last} ms");
    assert!(last > 1_000 && object * 4 < last, "{object} {last}");
}

#[test]
fn cells_that_nobody_needs_are_passed_over() {
    for seed in 1..20 {
        // One of them has nothing; then both have the same, through others.
        let mut a = View::new(1);
        a.share(objects("some", 40, 0));
        let mut same = a.clone();
        same.head.epoch = [2; 8];
        for b in [View::new(2), same] {
            let expected = b.head.count;
            let mut pair = Pair::new(tight(), a.clone(), b, 3_000, seed);
            pair.settle().unwrap();
            pair.assert_in_sync();
            assert_eq!(pair.sides[1].view.repeated, 0);
            // Whoever hears the other's HELLO first keeps them back.
            let most = if expected == 0 { 9_000 } else { 2 * 45 + 2 * 600 };
            assert!(pair.sides[0].sent.bytes + pair.sides[1].sent.bytes < most);
        }
    }
}

/// Whoever has heard that sets are equal before its cells left keeps them back.
#[test]
fn cells_do_not_follow_a_hello_that_needs_none() {
    let said = |other: u64| {
        let [a, b] = [(1, 40), (2, other)].map(|(epoch, count)| {
            let mut view = View::new(epoch);
            view.share(objects("some", count, 0));
            view
        });
        let mut pair = Pair::new(Config::default(), a, b, 1 << 20, 1);
        assert!(pair.step(Step::Frame(1)).unwrap() && pair.step(Step::Deliver(0)).unwrap());
        let frames = std::iter::from_fn(|| pair.step(Step::Frame(0)).unwrap().then_some(()));
        (frames.count(), pair.sides[0].kinds[usize::from(wire::RECON)])
    };
    assert_eq!(said(40), (1, 0), "HELLO alone");
    assert_eq!(said(30), (2, 1));
}

/// An id leaves a set whose sketch was told: the other side asks for what is not there, and both agree in the end.
#[test]
fn what_leaves_the_set_during_a_round_is_passed_over() {
    for (ours, theirs) in [(3, 3), (60, 90), (400, 30)] {
        for seed in 1..25 {
            let [a, b] = views(150, ours, theirs);
            let mut pair = Pair::new(tight(), a, b, 3_000, seed);
            for _ in 0..seed {
                pair.random_step().unwrap();
            }
            for n in [1, 2] {
                // Own entries that were not sent, of which the session has told already.
                let id = objects("a", ours, 0)[n].0;
                if !pair.sides[1].view.members.contains(&id) && pair.sides[0].sent.frames < 3 {
                    pair.sides[0].view.danger_forget(&id);
                }
            }
            let head = pair.sides[0].view.head;
            let now = pair.now();
            pair.sides[0].chum.handle(now, lama_chum::Input::Grown(head)).unwrap();
            pair.settle().unwrap();
            pair.assert_in_sync();
        }
    }
}

/// With 16 bits for a short id, ids collide all the time: what a round hides is found by the next one.
#[test]
fn short_ids_that_collide_cost_rounds_and_lose_nothing() {
    let config = Config { short_bits: 16, ..tight() };
    let (mut repeated, mut unread) = (0, 0);
    for seed in 1..40_u64 {
        let (mut a, mut b) = (View::new(1), View::new(2));
        for (view, own) in [(&mut a, "a"), (&mut b, "b")] {
            view.share(objects(&format!("shared {seed}"), 900, 0));
            view.share(objects(&format!("{own} {seed}"), 25, 0));
        }
        let mut pair = Pair::new(config, a, b, 1 << 20, seed);
        pair.settle().unwrap();
        pair.assert_in_sync();
        assert_eq!(pair.sides[0].view.head.count, 950);
        assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
        let count = |kind| pair.sides.iter().map(|side| side.kinds[kind as usize]).max().unwrap();
        repeated += usize::from(count(wire::RECON) > 1);
        unread += usize::from(count(wire::MORE) > 0);
    }
    println!("of 39 sessions {repeated} needed another round, {unread} more cells");
    assert!(repeated > 8 && unread > 0, "{repeated} {unread}");
}
