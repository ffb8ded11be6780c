//! What changes no set is told all the same: that an object is gone which both have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::pair::Pair;
use common::view::View;
use common::{objects, tight};
use lama_chum::wire::HELLO_LEN;
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
