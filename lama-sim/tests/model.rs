//! Histories of replicas beside a reference model: what access allows is what arrives, whatever happens on the way.
//!
//! `LAMA_SEEDS` sets how many histories there are; `LAMA_SEED` plays a single one, or with `LAMA_SEEDS` says which is the
//! first.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicU64, Ordering};

use lama_sim::model::{Cast, Hidden, Outcome, Plan, Tally, run};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Whether a single history is played.
fn is_alone() -> bool {
    number("LAMA_SEED").is_some() && number("LAMA_SEEDS").is_none()
}

/// Plays histories on two threads and adds up what happened.
fn histories(usual: u64, each: impl Fn(&Cast, u64) -> Tally + Sync) -> Tally {
    let first = number("LAMA_SEED").unwrap_or(0);
    let count = if is_alone() { 1 } else { number("LAMA_SEEDS").unwrap_or(usual) };
    let next = AtomicU64::new(first);
    let worker = || {
        let (cast, mut sum) = (Cast::default(), Tally::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return sum;
            }
            sum += each(&cast, seed);
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(worker);
        let mut sum = worker();
        sum += other.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        sum
    })
}

#[test]
fn replicas_converge_to_what_access_allows() {
    let sum = histories(2_000, |cast, seed| {
        let plan = Plan { aloud: is_alone(), ..Plan::new(seed, Hidden::Open) };
        let outcome = run(cast, plan);
        if seed % 16 == 0 {
            assert_eq!(outcome, run(cast, plan), "seed {seed} runs the same way twice");
        }
        outcome.tally
    });
    print!("{sum}");
    at_least(&sum);
}

/// A run in which little goes wrong proves little.
fn at_least(sum: &Tally) {
    if is_alone() {
        return;
    }
    let runs = sum.runs;
    for (name, count, least) in [
        ("revoked on the way", sum.revoked_on_the_way, runs / 2),
        ("revoked before", sum.revoked_before, runs / 6),
        ("deleted", sum.deleted, runs / 3),
        ("restored", sum.restored, runs / 15),
        ("crashed", sum.crashes, runs / 2),
        ("cut", sum.cuts, runs / 2),
        ("durable and not heard of", sum.lost_answers, runs / 8),
        ("reconciled", sum.reconciled, runs),
        ("SYNCED unequal", sum.salted, runs / 200),
        ("decode failed", sum.undecoded, runs / 5),
        ("decode failed, and more cells were asked for", sum.more, runs / 200),
        ("lists", sum.lists, runs / 10),
        ("taken back by rules", sum.ruled_out, runs / 20),
        ("edited", sum.amended, runs / 4),
        ("overtaken", sum.overtaken, runs / 40),
    ] {
        assert!(count >= least, "{name}: {count} times in {runs} histories, at least {least} are wanted");
    }
    assert_eq!(sum.out_of_sync, 0);
    // What is allowed to be sent again is rare.
    assert!(
        (sum.unheard + sum.crossed) * 1_000 <= sum.received,
        "of {}: {}, {}",
        sum.received,
        sum.unheard,
        sum.crossed
    );
}

/// What a third person is shown moves no byte and no message between two others.
#[test]
fn what_is_hidden_changes_no_message() {
    let sum = histories(500, |cast, seed| {
        let aloud = is_alone();
        let [with, without] = [Hidden::With, Hidden::Without]
            .map(|hidden| run(cast, Plan { aloud, ..Plan::new(seed, hidden) }));
        let line = |outcome: &Outcome| -> Vec<(u64, usize, usize)> {
            outcome.lines[0].iter().map(|(tick, side, message)| (*tick, *side, message.len())).collect()
        };
        assert_eq!(line(&with), line(&without), "seed {seed}: lengths and times");
        for (with, without) in with.lines[0].iter().zip(&without.lines[0]) {
            assert_eq!(with, without, "seed {seed}: bytes");
        }
        with.tally
    });
    print!("{sum}");
    assert!(sum.hidden > 0);
}
