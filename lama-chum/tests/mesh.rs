//! Meshes: what both have from a third is sent by neither, and what only one has is sent after a moment.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::pair::{Pair, Step};
use common::view::View;
use common::{Rng, objects};
use lama_chum::{Config, Output, wire};

/// Two that hold the same and talk live.
fn neighbours(seed: u64) -> Pair {
    let (mut a, mut b) = (View::new(1), View::new(2));
    a.share(objects("ours", 20, 200));
    b.share(objects("ours", 20, 200));
    let mut pair = Pair::new(Config::default(), a, b, 100_000, seed);
    pair.settle().unwrap();
    pair.assert_in_sync();
    assert_eq!(pair.object_messages(), 0);
    pair
}

#[test]
fn what_a_third_gives_to_both_is_sent_by_neither() {
    for (seed, between) in [(1, 0), (2, 30), (3, 60), (4, 120)] {
        let mut pair = neighbours(seed);
        let before: usize = pair.sides.iter().map(|side| side.sent.bytes).sum();
        pair.relay(0, objects("third", 50, 200));
        // The other gets it somewhat later, and in another order.
        for _ in 0..between {
            pair.random_step().unwrap();
        }
        let mut there = objects("third", 50, 200);
        there.reverse();
        pair.relay(1, there.split_off(20));
        pair.random_step().unwrap();
        pair.relay(1, there);
        pair.settle().unwrap();
        pair.assert_in_sync();
        assert_eq!(pair.object_messages(), 0);
        let after: usize = pair.sides.iter().map(|side| side.sent.bytes).sum();
        assert!(after - before <= 200, "{}: two sets said and two claims", after - before);
    }
}

#[test]
fn what_only_one_has_of_a_third_is_sent_after_a_moment() {
    let mut pair = neighbours(5);
    let start = pair.now().mono;
    pair.relay(0, objects("third", 50, 200));
    while pair.random_step().unwrap() {}
    assert_eq!(pair.object_messages(), 0, "held");
    pair.settle().unwrap();
    pair.assert_in_sync();
    assert!(pair.object_messages() > 0);
    assert!(pair.now().mono.since(start) >= Config::default().relay_delay);
    assert_eq!(pair.sides[1].view.repeated, 0);
}

#[test]
fn what_one_writes_does_not_wait_for_what_others_wrote() {
    let mut pair = neighbours(6);
    pair.relay(0, objects("third", 50, 200));
    while pair.random_step().unwrap() {}
    pair.share(0, objects("mine", 1, 300));
    while pair.step(Step::Poll(0)).unwrap() || pair.step(Step::Execute(0)).unwrap() {}
    assert!(pair.step(Step::Frame(0)).unwrap());
    assert_eq!(pair.object_messages(), 1);
    pair.settle().unwrap();
    pair.assert_in_sync();
}

/// What is being imported changes the set in a moment: it is said when that is done, once.
#[test]
fn a_set_is_not_said_while_it_is_about_to_change() {
    let mut pair = neighbours(7);
    let held = |pair: &Pair| pair.sides[0].kinds[usize::from(wire::HELD)];
    pair.share(1, objects("mine", 1, 300));
    while pair.object_messages() == 0 {
        for step in [Step::Poll(1), Step::Execute(1), Step::Frame(1)] {
            pair.step(step).unwrap();
        }
    }
    assert!(pair.step(Step::Deliver(0)).unwrap());
    pair.relay(0, objects("third", 5, 200));
    while pair.step(Step::Poll(0)).unwrap() {}
    // The log is read, and the import takes its time.
    let imports = |job: &Output| matches!(job, Output::Import { .. });
    let at = pair.sides[0].jobs.iter().position(imports).unwrap();
    let import = pair.sides[0].jobs.remove(at).unwrap();
    while pair.step(Step::Execute(0)).unwrap() || pair.step(Step::Poll(0)).unwrap() {}
    while pair.step(Step::Frame(0)).unwrap() {}
    assert_eq!(held(&pair), 0);
    pair.sides[0].jobs.push_back(import);
    while pair.step(Step::Execute(0)).unwrap() || pair.step(Step::Poll(0)).unwrap() {}
    while pair.step(Step::Frame(0)).unwrap() {}
    assert_eq!(held(&pair), 1);
    pair.settle().unwrap();
    pair.assert_in_sync();
}

/// A third writes all the time, and gives each of its objects to both, in any order and at any pace.
#[test]
fn a_stream_of_a_third_is_hardly_sent_again() {
    let (mut repeated, mut all) = (0, 0);
    for seed in 0..40 {
        let mut pair = neighbours(100 + seed);
        let mut rng = Rng(seed * 2 + 1);
        let stream = objects("third", 60, 200);
        let mut given = [0, 0];
        while given != [stream.len(); 2] {
            let side = rng.below(2);
            // The slower of the two is a few objects behind at most.
            let next = given[side];
            if next < stream.len() && next <= given[1 - side] + 4 {
                pair.relay(side, vec![stream[next].clone()]);
                given[side] += 1;
            }
            for _ in 0..rng.below(40) {
                pair.random_step().unwrap();
            }
        }
        pair.settle().unwrap();
        pair.assert_in_sync();
        repeated += pair.sides.iter().map(|side| side.view.repeated).sum::<usize>();
        all += stream.len();
    }
    println!("{repeated} of {all} were sent though the other had them");
    // Where the third leaves one of them behind for longer than the other holds it back.
    assert!(repeated * 10 <= all, "{repeated} of {all}");
}
