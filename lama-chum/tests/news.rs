//! What changes no set is told all the same: that an object is gone which both have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::pair::{Pair, Step};
use common::view::View;
use common::{objects, tight};
use lama_chum::wire::{self, HELLO_LEN};
use lama_chum::{Config, Cursor};
use lama_identity::Cid;

/// A session from beginning to end; gives both views back and what it cost.
fn session(a: View, b: View, seed: u64, config: Config) -> ([View; 2], usize) {
    let mut pair = Pair::new(config, a, b, 100_000, seed);
    pair.settle().unwrap();
    pair.assert_in_sync();
    let sent = pair.sides.iter().map(|side| side.sent.bytes).sum();
    (pair.sides.map(|side| side.view), sent)
}

/// Two that hold the same 200 objects, and whose cursors count.
fn acquainted(seed: u64, config: Config) -> ([View; 2], Vec<Cid>) {
    let mut a = View::new(1);
    let all = objects("a", 200, 100);
    a.share(all.clone());
    let (views, _) = session(a, View::new(2), seed, config);
    (views, all.into_iter().map(|(id, _)| id).collect())
}

fn is_told(view: &View, id: &Cid) -> bool {
    view.members.contains(id) && !view.objects.contains_key(id)
}

#[test]
fn what_was_deleted_while_apart_is_told_though_sets_are_equal() {
    for (seed, config) in [(1, Config::default()), (2, tight())] {
        let ([mut a, b], ids) = acquainted(seed, config);
        a.delete(ids[7], false);
        a.delete(ids[150], false);
        let ([a, b], cost) = session(a, b, seed, config);
        assert!(is_told(&b, &ids[7]) && is_told(&b, &ids[150]) && !is_told(&b, &ids[8]));
        assert!(cost < 400, "{cost}: two tombstones, not the log");
        // And once is enough.
        let (_, cost) = session(a, b, seed + 10, config);
        assert_eq!(cost, 2 * HELLO_LEN);
    }
}

#[test]
fn it_is_told_where_no_cursor_counts() {
    let ([mut a, mut b], ids) = acquainted(3, Config::default());
    a.delete(ids[7], false);
    // Restored from a backup: a new life, that knows of nobody.
    b.head.epoch = [9; 8];
    b.cursor = Cursor::default();
    let ([_, b], _) = session(a, b, 3, Config::default());
    assert!(is_told(&b, &ids[7]));
}

/// A new life of the one who says it is no reason to say it again.
#[test]
fn whoever_knows_it_is_not_told_again_in_another_life() {
    let ([mut a, b], ids) = acquainted(7, Config::default());
    a.delete(ids[7], false);
    let ([mut a, b], _) = session(a, b, 7, Config::default());
    assert!(is_told(&b, &ids[7]));
    a.head.epoch = [9; 8];
    let mut pair = Pair::new(Config::default(), a, b, 100_000, 8);
    pair.settle().unwrap();
    pair.assert_in_sync();
    let told = |side: usize| {
        (0..256).filter(|kind| kind & 0x37 == 0x05 && pair.sides[side].kinds[*kind] > 0).count()
    };
    // The other side cannot know that this life has not forgotten it.
    assert_eq!((told(0), told(1)), (0, 1));
}

/// Whoever is restored from a backup has forgotten what it was told since, and acknowledged.
#[test]
fn it_is_told_again_to_whoever_was_restored_from_a_backup() {
    for fresh in [0, 90] {
        let ([mut a, b], ids) = acquainted(8, Config::default());
        let mut backup = b.clone();
        a.delete(ids[7], false);
        let ([mut a, b], _) = session(a, b, 8, Config::default());
        assert!(is_told(&b, &ids[7]));
        backup.head.epoch = [9; 8];
        a.share(objects("later", fresh, 100));
        backup.share(objects("there", fresh, 100));
        // The first session after it is cut: the next one knows that not all was told.
        for at in 0..30 {
            let mut pair = Pair::new(Config::default(), a.clone(), backup.clone(), 100_000, at + 1);
            assert!((0..at).all(|_| pair.random_step().unwrap()));
            let [a, backup] = pair.sides.map(|side| side.view);
            let ([_, b], _) = session(a, backup, at, Config::default());
            assert!(is_told(&b, &ids[7]), "cut after {at} steps");
        }
    }
}

/// Whoever was restored has forgotten what it said, too, and hears it from those who heard it.
#[test]
fn it_is_said_back_to_whoever_said_it_and_was_restored() {
    for fresh in [0, 90] {
        let ([mut a, b], ids) = acquainted(9, Config::default());
        let mut backup = a.clone();
        a.delete(ids[7], false);
        let ([_, mut b], _) = session(a, b, 9, Config::default());
        assert!(is_told(&b, &ids[7]));
        backup.head.epoch = [9; 8];
        backup.share(objects("later", fresh, 100));
        b.share(objects("there", fresh, 100));
        let ([a, _], _) = session(backup, b, 10, Config::default());
        assert!(is_told(&a, &ids[7]));
    }
}

#[test]
fn it_is_told_with_what_reconciliation_finds() {
    for more in [3, 90] {
        let ([mut a, mut b], ids) = acquainted(4, Config::default());
        a.delete(ids[7], false);
        a.share(objects("later", more, 100));
        b.share(objects("there", more, 100));
        b.delete(ids[9], false);
        b.head.epoch = [9; 8];
        b.cursor = Cursor::default();
        let ([a, b], _) = session(a, b, 5, Config::default());
        assert!(is_told(&b, &ids[7]) && is_told(&a, &ids[9]));
    }
}

/// While ranges are still being told, objects of those before are acknowledged already, by their place in the order of
/// sending. That is no place in the log: what was deleted at a lower number is told all the same.
#[test]
fn what_is_acknowledged_of_a_round_says_nothing_of_news() {
    let ([mut a, mut b], ids) = acquainted(6, Config::default());
    a.delete(ids[7], false);
    let news = a.head.seq;
    a.share(objects("here", 20_000, 0));
    b.share(objects("there", 17_000, 0));
    (b.head.epoch, b.cursor) = ([9; 8], Cursor::default());
    let mut pair = Pair::new(Config::default(), a, b, 1, 6);
    // The second list leaves when nothing else is left to do: behind the acknowledgement of what the first one told.
    let first = |side| [Step::Poll(side), Step::Execute(side), Step::Deliver(side)];
    let order = [first(0), first(1)].concat();
    let mut acked = 0;
    while order.iter().chain(&[Step::Frame(0), Step::Frame(1)]).any(|step| pair.step(*step).unwrap()) {
        let lists = pair.sides[1].kinds[usize::from(wire::LIST)];
        if lists == 1 {
            acked = pair.sides[0].chum.progress().sent.objects;
        }
    }
    pair.assert_in_sync();
    assert_eq!(pair.sides[1].kinds[usize::from(wire::LIST)], 2);
    assert!(acked > news, "{acked} acknowledged between the lists");
    assert!(is_told(&pair.sides[1].view, &ids[7]));
}
