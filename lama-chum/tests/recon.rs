//! Reconciliation over many sets: how many cells a difference takes, and what crafted cells cannot do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::Rng;
use lama_chum::PairKey;
use lama_chum::recon::{
    Cell, Decoder, MAX_CELLS, Outcome, ReconError, ShortKey, Sketch, cells, first_cells, more_cells,
};

fn key() -> ShortKey {
    PairKey::new([42; 32]).short_key(0)
}

fn random(rng: &mut Rng, count: usize) -> Vec<u64> {
    (0..count).map(|_| rng.next() ^ rng.next().rotate_left(32)).collect()
}

/// How many cells it takes to read `d` differences.
fn cells_needed(seed: u64, d: usize) -> u32 {
    let key = key();
    let mut rng = Rng(seed * 2 + 1);
    let (ours, theirs) = (random(&mut rng, d / 2), random(&mut rng, d - d / 2));
    let end = (d as u32 * 2).max(64) * 8;
    let (a, b) = (cells(&key, &ours, 0, end), cells(&key, &theirs, 0, end));
    let mut decoder = Decoder::new(key);
    let mut have = if d >= 100 { d * 9 / 10 } else { 0 };
    let mut outcome = decoder.extend(&b[..have], &a[..have]).unwrap();
    while have == 0 || outcome == Outcome::Stuck {
        outcome = decoder.extend(&b[have..=have], &a[have..=have]).unwrap();
        have += 1;
    }
    let (mut found, mut expected) = (decoder.differences().clone(), (ours, theirs));
    found.ours.sort_unstable();
    found.theirs.sort_unstable();
    expected.0.sort_unstable();
    expected.1.sort_unstable();
    assert_eq!((found.ours, found.theirs), expected);
    have as u32
}

#[test]
fn cells_per_difference_are_those_of_the_design() {
    for (d, seeds, limit) in
        [(1, 500, 1.8), (10, 2_000, 2.0), (100, 1_000, 1.40), (1_000, 150, 1.22), (4_000, 25, 1.19)]
    {
        let mut needed: Vec<u32> = (0..seeds).map(|seed| cells_needed(seed, d)).collect();
        needed.sort_unstable();
        let mean = needed.iter().sum::<u32>() as f64 / seeds as f64 / d as f64;
        let high = f64::from(needed[needed.len() * 95 / 100]) / d as f64;
        println!("d = {d}: {mean:.3} cells per difference, 95 of 100 within {high:.3}");
        assert!(mean < limit, "d = {d}: {mean}");
    }
}

#[test]
fn ten_differences_mostly_fit_the_sketch() {
    let fit = (0..1_000).filter(|seed| cells_needed(*seed, 10) <= 32).count();
    println!("{fit} of 1,000");
    assert!(fit > 950, "{fit}");
}

#[test]
fn large_sets_with_small_differences_decode_from_what_they_share_nothing_of() {
    let (key, mut rng) = (key(), Rng(7));
    let shared = random(&mut rng, 20_000);
    for d in [0, 1, 5, 80] {
        let (ours, theirs) = (random(&mut rng, d), random(&mut rng, d / 2));
        let a = [shared.as_slice(), &ours].concat();
        let b = [shared.as_slice(), &theirs].concat();
        let (mut x, mut y) = (Sketch::default(), Sketch::default());
        a.iter().for_each(|short| x.add(&key, *short));
        b.iter().rev().for_each(|short| y.add(&key, *short));
        assert_eq!(x.cells(), cells(&key, &a, 0, 32));
        let mut decoder = Decoder::new(key.clone());
        let mut outcome = decoder.extend(y.cells(), x.cells()).unwrap();
        let mut goal = first_cells(x.minus(&y).estimate());
        while outcome == Outcome::Stuck {
            let have = decoder.len();
            goal = if goal > have { goal } else { more_cells(have) };
            outcome = decoder.extend(&cells(&key, &b, have, goal), &cells(&key, &a, have, goal)).unwrap();
        }
        let found = decoder.differences();
        assert_eq!((found.ours.len(), found.theirs.len()), (d, d / 2));
        // What was added can be taken out again.
        ours.iter().for_each(|short| x.remove(&key, *short));
        theirs.iter().for_each(|short| y.remove(&key, *short));
        assert_eq!(x, y);
    }
}

/// Cells that say to hold one id each, in whatever way: decoding ends, with no more differences than cells.
#[test]
fn crafted_cells_end_in_bounded_time() {
    let key = key();
    let none = |n: usize| vec![Cell::default(); n];
    let mut rng = Rng(11);
    // One id in every cell, though it belongs into some only.
    let short = 77;
    let single = Cell { sum: short, check: key.check(short), count: 1 };
    for n in [1, 3, 100, MAX_CELLS as usize] {
        let mut decoder = Decoder::new(key.clone());
        let outcome = decoder.extend(&vec![single; n], &none(n));
        assert!(n < 100 || outcome != Ok(Outcome::Done));
        assert!(decoder.differences().theirs.len() + decoder.differences().ours.len() <= n);
    }
    // The same id as ours and as theirs, so that each peeling brings the other one back.
    let mut crafted = cells(&key, &[short], 0, 64);
    crafted.iter_mut().skip(1).for_each(|cell| cell.count = -cell.count);
    let mut decoder = Decoder::new(key.clone());
    assert_ne!(decoder.extend(&crafted, &none(64)), Ok(Outcome::Done));
    assert!(decoder.differences().theirs.len() + decoder.differences().ours.len() <= 64);
    // Random ids with right checks and wrong places.
    let crafted: Vec<Cell> = random(&mut rng, MAX_CELLS as usize)
        .into_iter()
        .map(|sum| Cell { sum, check: key.check(sum), count: if sum & 1 == 0 { 1 } else { -1 } })
        .collect();
    let mut decoder = Decoder::new(key.clone());
    assert_eq!(decoder.extend(&crafted, &none(crafted.len())), Ok(Outcome::Stuck));
    let found = decoder.differences();
    assert!(found.ours.len() + found.theirs.len() <= crafted.len());
    assert_eq!(decoder.extend(&[single], &none(1)), Err(ReconError::TooMany));
    assert_eq!(Decoder::new(key).extend(&[single], &[]), Err(ReconError::Length));
}

#[test]
fn random_bytes_as_cells_neither_loop_nor_panic() {
    let key = key();
    for seed in 1..300 {
        let mut rng = Rng(seed);
        let n = rng.below(200) + 1;
        let make = |rng: &mut Rng| -> Vec<Cell> {
            let known = random(rng, 4);
            (0..n)
                .map(|_| {
                    let sum = if rng.below(2) == 0 { known[rng.below(4)] } else { rng.next() };
                    let check = if rng.below(3) > 0 { key.check(sum) } else { rng.next() as u32 };
                    Cell { sum, check, count: rng.below(5) as i64 - 2 }
                })
                .collect()
        };
        let (a, b) = (make(&mut rng), make(&mut rng));
        let mut decoder = Decoder::new(key.clone());
        for part in [0..n / 3, n / 3..n] {
            let _ = decoder.extend(&a[part.clone()], &b[part]);
        }
        assert!(decoder.differences().ours.len() + decoder.differences().theirs.len() <= n);
    }
}
