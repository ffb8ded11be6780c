//! What it costs to find out who lacks what, at every size and difference, beside the `negentropy` crate in the same run:
//! `cargo xtask bench sync` prints one table. Bytes, messages and flights do not depend on the machine; processor time is
//! that of this thread alone.
//!
//! Both count without the objects, and neither has a cursor. `negentropy` lets one side know the ids that each lacks, so
//! what it would take to ask for those (32 bytes each) is beside its figure and not in it; its items all have one
//! timestamp, as the ids that differ may stand anywhere.
//!
//! Without the word `run` it does nothing: `cargo bench` starts every bench.
#![allow(
    unreachable_pub,
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

#[path = "../tests/common/scale.rs"]
mod scale;

use std::time::Duration;

use bytes::BytesMut;
use lama_chum::recon::{Cell, Decoder, MAX_CELLS, cells, read_cells, write_cells};
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use rustix::time::{ClockId, clock_gettime};
use scale::{Costs, Shape, View, pair, run};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if words.first().map(String::as_str) != Some("run") {
        return;
    }
    let most: u64 = words.get(1).map_or(1_000_000, |word| word.parse().expect("a number of ids"));
    println!(
        "| ids | differ | sides | bytes | messages | first object, agreed (flights) | rebuild | reconcile | negentropy: bytes | messages | wanted ids | build | reconcile |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for n in [1_000, 100_000, 1_000_000].into_iter().filter(|n| *n <= most) {
        let differences = [0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
        for d in differences.into_iter().filter(|d| *d <= n) {
            for shape in [Shape::OneSided, Shape::TwoSided] {
                if d > 0 || shape == Shape::OneSided {
                    row(n, d, shape);
                }
            }
        }
    }
    known(most);
    hostile();
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn row(n: u64, d: u64, shape: Shape) {
    let views = shape.views(n, d);
    let other = Other::run(&views);
    let (ours, _) = run(views, processor_time);
    let Costs { bytes: [a, b], messages: [said, answered], first_object, synced, rebuild, reconcile, .. } =
        ours;
    let object = first_object.map_or_else(|| "-".to_owned(), |flight| flight.to_string());
    println!(
        "| {n} | {d} | {} | {a} + {b} | {said} + {answered} | {object}, {synced} | {} | {} | {} + {} | {} + {} | {} | {} | {} |",
        shape.name(),
        ms(rebuild),
        ms(reconcile),
        other.bytes[0],
        other.bytes[1],
        other.messages[0],
        other.messages[1],
        other.wanted,
        ms(other.build),
        ms(other.reconcile),
    );
}

/// What the other implementation takes for the same sets.
struct Other {
    messages: [usize; 2],
    bytes: [usize; 2],
    wanted: usize,
    build: Duration,
    reconcile: Duration,
}

impl Other {
    fn run(views: &[View; 2]) -> Self {
        let begin = processor_time();
        let [mut a, mut b] = [0, 1].map(|side: usize| {
            let mut storage = NegentropyStorageVector::with_capacity(views[side].log.len());
            for (id, ..) in &views[side].log {
                storage.insert(0, Id::from_slice(id.digest()).unwrap()).unwrap();
            }
            storage.seal().unwrap();
            Negentropy::owned(storage, 0).unwrap()
        });
        let build = processor_time() - begin;
        let begin = processor_time();
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let mut this = Self { messages: [0, 0], bytes: [0, 0], wanted: 0, build, reconcile: Duration::ZERO };
        let mut next = Some(a.initiate().unwrap());
        while let Some(query) = next {
            let answer = b.reconcile(&query).unwrap();
            for (side, message) in [&query, &answer].into_iter().enumerate() {
                this.messages[side] += 1;
                this.bytes[side] += message.len();
            }
            next = a.reconcile_with_ids(&answer, &mut have, &mut need).unwrap();
        }
        this.reconcile = processor_time() - begin;
        this.wanted = need.len();
        let only = |this: &View, other: &View| this.log.len().saturating_sub(other.log.len());
        assert!(have.len() >= only(&views[0], &views[1]) && need.len() >= only(&views[1], &views[0]));
        this
    }
}

/// A peer that is known: nothing depends on what both have.
fn known(most: u64) {
    println!(
        "\n| known peer, ids | new | bytes | messages | flights | processor time, both sides, with the objects |"
    );
    println!("|---|---|---|---|---|---|");
    for n in [1_000, 1_000_000].into_iter().filter(|n| *n <= most) {
        let (_, agreed) = run(Shape::OneSided.views(n, 0), scale::no_clock);
        for new in [0, 1, 10, 1_000] {
            let [mut a, b] = agreed.clone();
            (0..new).for_each(|more| a.append(scale::id(1 << 40 | more), 1 << 40 | more, false));
            let (costs, _) = run([a, b], processor_time);
            let Costs { bytes: [a, b], messages: [said, answered], synced, .. } = costs;
            let time = ms(costs.rebuild + costs.reconcile + costs.objects);
            println!("| {n} | {new} | {a} + {b} | {said} + {answered} | {synced} | {time} |");
        }
    }
}

/// As many cells as there can be, crafted so that none is read, or so that all of them hold a set that is: the most work
/// that a megabyte can make.
fn hostile() {
    let key = pair().short_key(0);
    let own = cells(&key, &[], 0, MAX_CELLS);
    println!("\n| crafted cells | bytes | cells | differences read | reading and decoding |");
    println!("|---|---|---|---|---|");
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        state ^ state >> 29
    };
    let set: Vec<u64> = (0..54_000).map(|_| random()).collect();
    let nothing = (0..MAX_CELLS).map(|number| {
        let count = if number == 0 { 1_000_000 } else { 1 };
        Cell { sum: random(), check: number, count }
    });
    let nothing: Vec<Cell> = nothing.collect();
    for (name, crafted, total) in
        [("none reads", nothing, 1_000_000), ("all read", cells(&key, &set, 0, MAX_CELLS), 54_000)]
    {
        let mut out = BytesMut::new();
        write_cells(&crafted, 0, total, &mut out);
        let (mut best, mut found) = (Duration::MAX, 0);
        for _ in 0..15 {
            let begin = processor_time();
            let read = read_cells(&out, 0, total, total).unwrap();
            let mut decoder = Decoder::new(key.clone());
            let _ = std::hint::black_box(decoder.extend(&read, &own));
            best = best.min(processor_time() - begin);
            found = decoder.differences().theirs.len();
        }
        println!("| {name} | {} | {MAX_CELLS} | {found} | {} |", out.len(), ms(best));
    }
}
