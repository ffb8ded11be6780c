//! How much memory a hostile peer can make a machine hold: a counting allocator says it. Its own view and what its
//! store does are the victim's, so each test counts from where the peer begins.
#![allow(unsafe_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell as Counter;

use bytes::{Bytes, BytesMut};
use common::victim::{Victim, cells, message, recon};
use common::{Rng, pair_key};
use lama_chum::recon::{Cell, MAX_CELLS};
use lama_chum::wire::{self, ObjectsWriter};
use lama_chum::{ChumError, Config, WINDOW_BYTES};
use lama_identity::{Cid, Codec};

/// Counts what each thread holds, and the most that it held.
struct Counting;

thread_local! {
    static HELD: Counter<isize> = const { Counter::new(0) };
    static MOST: Counter<isize> = const { Counter::new(0) };
}

fn count(bytes: isize) {
    // Not while a thread ends.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that was held while `work` ran, beyond what was held before.
fn most(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    MOST.set(before);
    work();
    usize::try_from(MOST.get() - before).unwrap()
}

#[test]
fn the_allocator_counts() {
    let held = most(|| drop(std::hint::black_box(vec![0_u8; 1 << 20])));
    assert!((1 << 20..(1 << 20) + 1_000).contains(&held), "{held}");
}

#[test]
fn cells_without_end_hold_no_more_than_the_credit() {
    // One range, and several, of which the first is honest: else there would be no others.
    for (count, shared, own, ranges) in [(2_000, 80, 20, 1), (60_000, 4_000, 500, 8)] {
        let mut victim = Victim::new(Config::default(), count, own);
        victim.hear(&recon(1, own, shared..count, own)).unwrap();
        let total = count - shared + own;
        let (key, mut rng) = (pair_key().short_key(1), Rng(5));
        let part_of_first = first_range(count, shared, own);
        let mut heard = 0;
        let held = most(|| {
            let mut have = vec![if ranges == 1 { 32 } else { 0 }; ranges];
            let mut honest = 0;
            while ranges > 1 && !victim.said.iter().any(|said| said[0] == wire::GOAL) {
                let one = cells(0, honest, total / ranges as u64, 1, |_| part_of_first[honest as usize]);
                victim.hear(&one).unwrap();
                honest += 1;
            }
            let everything = |said: &Bytes| said[..] == [wire::WANT, 2];
            while !victim.said.iter().any(everything) {
                assert!(heard < 17 * ranges * MAX_CELLS as usize);
                for (range, have) in have.iter_mut().enumerate().skip(usize::from(ranges > 1)) {
                    let step = (*have / 8).clamp(1, 3_000).min(MAX_CELLS - *have);
                    for _ in 0..step {
                        // Single ones with right checks in wrong places, and two at once.
                        let one = cells(range as u32, *have, total / ranges as u64, 1, |_| {
                            let sum = rng.next();
                            Cell { sum, check: key.check(sum), count: 1 + (sum & 1) as i64 }
                        });
                        heard += one.len();
                        victim.hear(&one).unwrap();
                        *have += 1;
                    }
                }
                victim.said.retain(everything);
            }
        });
        println!("{ranges} ranges: {heard} bytes of cells, {held} bytes held");
        assert!(heard > 13 * MAX_CELLS as usize && held < WINDOW_BYTES, "{heard} {held}");
    }
}

/// The cells of the first of eight ranges, of the set of which RECON tells.
fn first_range(count: u64, shared: u64, own: u64) -> Vec<Cell> {
    let mut objects = common::objects("own", count, 60).split_off(shared as usize);
    objects.extend(common::objects("his", own, 60));
    let ids: Vec<Cid> = objects.into_iter().map(|(id, _)| id).collect();
    let mut shorts = common::victim::shorts(1, &ids);
    shorts.retain(|short| lama_chum::recon::range_of(*short, 3) == 0);
    lama_chum::recon::cells(&pair_key().short_key(1), &shorts, 0, 5_000)
}

/// Messages until the credit is used up, with a store that does not answer; the most that was held.
fn flood(next: impl Fn(u64) -> Bytes) -> usize {
    let mut victim = Victim::new(Config::default(), 5, 0);
    victim.stuck = true;
    let held = most(|| {
        let error = (1..).find_map(|upto| victim.hear(&next(upto)).err());
        assert_eq!(error, Some(ChumError::CreditExceeded));
    });
    println!("{held} bytes held");
    held
}

#[test]
fn floods_hold_little_more_than_the_credit() {
    let chunks = |count: usize, len: usize| {
        move |upto: u64| {
            message(|out: &mut BytesMut| {
                let mut writer = ObjectsWriter::begin(out);
                (0..count).for_each(|_| writer.push(Codec::Raw, &vec![upto as u8; len]));
                writer.finish(wire::Label::default(), upto, u32::MAX.into());
            })
        }
    };
    let gone = |upto: u64| {
        message(|out| {
            let ids = (0..wire::MAX_GONE as u64).map(|n| Cid::of_chunk(&n.to_be_bytes()));
            wire::write_gone(wire::Label::default(), upto, u32::MAX.into(), ids, out);
        })
    };
    // An id and the place of its bytes take 72 bytes more for each of 65,536 objects; a list that grows is copied.
    let beside = 65_536 * 72 * 3;
    for held in [flood(chunks(1, 1 << 20)), flood(chunks(10, 6_000)), flood(chunks(1_000, 1)), flood(gone)] {
        assert!(held < WINDOW_BYTES + beside, "{held}");
    }
}
