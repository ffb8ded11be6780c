//! What each scenario costs: frames, bytes and flights, as a table that changes only on purpose.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fmt::Write as _;

use common::pair::Pair;
use common::view::View;
use common::{objects, pair_key};
use lama_chum::Config;
use lama_identity::Cid;

/// Frames and bytes are CHUM messages before padding and sealing. A flight is half a round trip: everything that
/// both sides can send crosses at once. `wire` is after padding and sealing. `object` is the flight with which the first object arrives, `synced` the
/// one with which both sides know that they agree.
const COSTS: &str = "\
scenario                  frames A/B   bytes A   bytes B   wire A   wire B  object  synced
equal                            1/1        45        45       80       80       -       1
1 new at A                       2/2       259        74      352      160       2       3
1 new at each                    3/3       288       288      432      432       2       3
10 new at A                      2/2      2086        74     4192      160       2       3
10 new at each                   3/3      2115      2115     4272     4272       2       3
1 new at A, live                 2/1       243        29      352       80       1       2
first contact of 1,000           6/2    203515        74   214125      160       2       3
lost cursor, 1,000 equal         1/1        45        45       80       80       -       1
lost cursor, 1 of 1,000          4/4       714       529     1472     1280       3       4
both lost, 1 each of 1,000       4/4       714       714     1472     1472       2       3
";

/// A pair that agrees on `count` objects and is about to meet again.
fn agreed(count: u64) -> [View; 2] {
    let mut a = View::new(1);
    a.share(objects("old", count, 200));
    let mut pair = Pair::new(Config::default(), a, View::new(2), 1 << 24, 1);
    while pair.flight() {}
    pair.assert_in_sync();
    pair.sides.map(|side| side.view)
}

fn row(table: &mut String, name: &str, mut pair: Pair) {
    let before = [0, 1].map(|side| pair.sides[side].view.log.len());
    let (mut object, mut synced, mut flights) = (None, None, 0);
    while pair.flight() {
        flights += 1;
        let grown = (0..2).any(|side| pair.sides[side].view.log.len() > before[side]);
        if grown && object.is_none() {
            object = Some(flights);
        }
        if synced.is_none() && pair.sides.iter().all(|side| side.in_sync()) {
            synced = Some(flights);
        }
    }
    pair.assert_in_sync();
    let [a, b] = [pair.sides[0].sent, pair.sides[1].sent];
    let flight = |flight: Option<i32>| flight.map_or("-".to_owned(), |flight| flight.to_string());
    let frames = format!("{}/{}", a.frames, b.frames);
    writeln!(
        table,
        "{name:<26}{frames:>10}{:>10}{:>10}{:>9}{:>9}{:>8}{:>8}",
        a.bytes,
        b.bytes,
        a.wire,
        b.wire,
        flight(object),
        flight(synced)
    )
    .unwrap();
}

fn pair([a, b]: [View; 2]) -> Pair {
    Pair::new(Config::default(), a, b, 1 << 24, 1)
}

/// The same set in another life of the store, which the other side's cursor does not fit.
fn forget(view: &mut View) {
    view.head.epoch = [9; 8];
    view.cursor = lama_chum::Cursor::default();
}

#[test]
fn costs() {
    let mut table = String::from(
        "scenario                  frames A/B   bytes A   bytes B   wire A   wire B  object  synced\n",
    );
    row(&mut table, "equal", pair(agreed(100)));
    for count in [1, 10] {
        let [mut a, b] = agreed(100);
        a.share(objects("new at a", count, 200));
        row(&mut table, &format!("{count} new at A"), pair([a, b]));
        let [mut a, mut b] = agreed(100);
        a.share(objects("new at a", count, 200));
        b.share(objects("new at b", count, 200));
        row(&mut table, &format!("{count} new at each"), pair([a, b]));
    }
    let mut live = pair(agreed(100));
    while live.flight() {}
    live.share(0, objects("new at a", 1, 200));
    live.sides.iter_mut().for_each(|side| side.sent = common::pair::Sent::default());
    row(&mut table, "1 new at A, live", live);
    let mut a = View::new(1);
    a.share(objects("old", 1_000, 200));
    row(&mut table, "first contact of 1,000", pair([a, View::new(2)]));
    let [mut a, b] = agreed(1_000);
    forget(&mut a);
    row(&mut table, "lost cursor, 1,000 equal", pair([a, b]));
    let [mut a, b] = agreed(999);
    a.share(objects("new at a", 1, 200));
    forget(&mut a);
    row(&mut table, "lost cursor, 1 of 1,000", pair([a, b]));
    let [mut a, mut b] = agreed(998);
    for (view, author) in [(&mut a, "new at a"), (&mut b, "new at b")] {
        forget(view);
        view.share(objects(author, 1, 200));
    }
    b.head.epoch = [8; 8];
    row(&mut table, "both lost, 1 each of 1,000", pair([a, b]));
    println!("{table}");
    assert_eq!(table, COSTS);
}

/// The figure that others compute from the specification: 32 digests under one key.
#[test]
fn the_fingerprint_of_a_set_does_not_depend_on_the_order() {
    let by = pair_key().fingerprinter();
    let ids: Vec<Cid> = objects("any", 32, 64).into_iter().map(|(id, _)| id).collect();
    let (mut there, mut back) = (lama_chum::Fingerprint::default(), lama_chum::Fingerprint::default());
    ids.iter().for_each(|id| there.add(&by, id));
    ids.iter().rev().for_each(|id| back.add(&by, id));
    assert_eq!(there, back);
    assert_ne!(there, lama_chum::Fingerprint::default());
    ids.iter().for_each(|id| there.add(&by, id));
    assert_eq!(there, lama_chum::Fingerprint::default());
    // A chunk and an object of the same bytes are two members.
    assert_ne!(by.of(&Cid::of_chunk(b"x")), by.of(&Cid::of_object(b"x")));
}
