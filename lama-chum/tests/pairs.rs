//! Pairs of machines over links bounded in bytes, under random schedules, cut and restarted at every step.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::pair::{Pair, Step};
use common::view::View;
use common::{Rng, object_with, objects, tight};
use lama_chum::blob::{BlobConfig, Chunker, EntryKind, Folder, FolderBuilder, Reader};
use lama_chum::{Config, Event, Output, Positions, Refusal};

fn view(epoch: u8, author: &str, count: u64, len: usize) -> View {
    let mut view = View::mixed(epoch);
    view.share(objects(author, count, len));
    view
}

/// Parents after their children, some small and some larger than a record.
fn family(author: &str, count: u64) -> Vec<(lama_identity::Cid, bytes::Bytes)> {
    let mut all: Vec<(lama_identity::Cid, bytes::Bytes)> = Vec::new();
    for n in 0..count {
        let parts: Vec<_> = all.iter().rev().take((n % 3) as usize).map(|(id, _)| *id).collect();
        let len = if n % 7 == 3 { 2_500 } else { 60 + (n as usize * 37) % 300 };
        all.push(object_with(author, n, len, &parts));
    }
    all
}

#[test]
fn every_schedule_ends_in_sync() {
    for seed in 0..150 {
        for capacity in [1, 3_000, 1 << 20] {
            let mut a = View::mixed(1);
            a.share(family("a", seed % 60));
            let mut b = View::mixed(2);
            b.share(family("b", (seed / 2) % 41));
            if seed % 3 == 0 {
                b.share(family("a", seed % 60).split_off((seed % 60) as usize / 2));
                b.strict = false;
            }
            let mut pair = Pair::new(tight(), a, b, capacity, seed * 7 + 1);
            pair.settle().unwrap();
            pair.assert_in_sync();
        }
    }
}

#[test]
fn both_ends_share_while_the_session_runs() {
    for seed in 1..200_u64 {
        let mut rng = Rng(seed);
        let (mut a, mut b) = (family("a", 80), family("b", 80));
        let mut pair = Pair::new(tight(), View::mixed(1), View::mixed(2), 2_000, seed);
        while !a.is_empty() || !b.is_empty() {
            for _ in 0..rng.below(40) {
                pair.random_step().unwrap();
            }
            let some = rng.below(6).min(a.len());
            pair.share(0, a.drain(..some).collect());
            let some = rng.below(6).min(b.len());
            pair.share(1, b.drain(..some).collect());
        }
        pair.settle().unwrap();
        pair.assert_in_sync();
        assert_eq!(pair.sides[0].view.head.count, 160);
        let bad = |event: &Event| matches!(event, Event::OutOfSync { .. });
        assert!(!pair.sides.iter().any(|side| side.events.iter().any(bad)));
    }
}

/// Objects are deleted at any moment: before they were read for sending, on their way, long after. Whatever of them
/// arrives, both ends hold the same set, and what was deleted last is nowhere.
#[test]
fn what_is_deleted_is_told_and_both_sets_stay_equal() {
    let (mut told, mut never) = (0, 0);
    for seed in 1..200_u64 {
        let mut rng = Rng(seed);
        let mut pair = Pair::new(tight(), view(1, "a", 40, 150), view(2, "b", 30, 300), 2_000, seed);
        let mut mine = objects("a", 40, 150);
        while !mine.is_empty() {
            for _ in 0..rng.below(30) {
                pair.random_step().unwrap();
            }
            for _ in 0..rng.below(9).min(mine.len()) {
                let (id, _) = mine.swap_remove(rng.below(mine.len()));
                never += u32::from(!pair.sides[1].view.members.contains(&id));
                pair.delete(0, id);
                told += 1;
            }
        }
        pair.settle().unwrap();
        pair.assert_in_sync();
        for (id, _) in objects("a", 40, 150) {
            assert!(pair.sides.iter().all(|side| !side.view.objects.contains_key(&id)), "{id}");
        }
        assert_eq!(pair.sides[1].view.objects.len(), 30);
    }
    assert!(never > 1_000 && told > never + 1_000, "{never} of {told} before they arrived");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let run = || {
        let mut pair = Pair::new(tight(), view(1, "a", 50, 200), view(2, "b", 30, 300), 3_000, 99);
        pair.tracing = true;
        pair.settle().unwrap();
        pair.share(0, objects("later", 20, 150));
        pair.settle().unwrap();
        pair.assert_in_sync();
        pair.trace()
    };
    assert_eq!(run(), run());
}

/// What a store's queue holds when the process dies: not executed, or executed without anyone to tell.
fn restart(pair: Pair, run_jobs: [bool; 2], capacity: usize, seed: u64) -> Pair {
    let [mut a, mut b] = pair.sides;
    for (side, run) in [(&mut a, run_jobs[0]), (&mut b, run_jobs[1])] {
        while run && !side.jobs.is_empty() {
            side.execute();
        }
    }
    Pair::new(tight(), a.view, b.view, capacity, seed)
}

#[test]
fn cut_at_every_step_nothing_is_lost_and_nothing_durable_is_sent_again() {
    let mut cuts = 0;
    for seed in 1..4_u64 {
        for at in 0.. {
            let start = || {
                let (mut a, mut b) = (View::mixed(1), View::mixed(2));
                a.share(family("a", 40));
                b.share(family("b", 25));
                Pair::new(tight(), a, b, 2_000, seed)
            };
            let mut done = false;
            for jobs in [[false, false], [true, false], [false, true], [true, true]] {
                let mut pair = start();
                done = !(0..at).all(|_| pair.random_step().unwrap());
                let mut pair = restart(pair, jobs, 2_000, seed + at);
                cuts += 1;
                pair.settle().unwrap();
                pair.assert_in_sync();
                assert_eq!(pair.sides[0].view.head.count, 65);
                // The cursor is durable with the objects: what is durable is never sent again.
                assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
            }
            if done {
                break;
            }
        }
    }
    println!("{cuts} cuts");
    assert!(cuts > 1_000);
}

#[test]
fn cut_again_and_again_it_still_arrives() {
    for seed in 1..60_u64 {
        let mut rng = Rng(seed);
        let (mut a, mut b) = (View::mixed(1), View::mixed(2));
        a.share(family("a", 60));
        b.share(family("b", 60));
        let mut pair = Pair::new(tight(), a, b, 3_000, seed);
        for round in 0..30 {
            for _ in 0..rng.below(120) {
                pair.random_step().unwrap();
            }
            pair = restart(pair, [rng.below(2) == 0, rng.below(2) == 0], 3_000, seed * 100 + round);
        }
        pair.settle().unwrap();
        pair.assert_in_sync();
        assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
    }
}

#[test]
fn equal_sets_say_so_in_two_hellos() {
    let mut pair = Pair::new(Config::default(), view(1, "a", 100, 200), View::mixed(2), 1 << 20, 5);
    pair.settle().unwrap();
    let mut pair = restart(pair, [true, true], 1 << 20, 6);
    pair.settle().unwrap();
    pair.assert_in_sync();
    for side in &pair.sides {
        assert_eq!((side.sent.frames, side.sent.bytes), (1, 45));
    }
}

#[test]
fn a_new_epoch_with_equal_sets_costs_two_hellos_and_is_remembered() {
    let mut pair = Pair::new(Config::default(), view(1, "a", 100, 200), View::mixed(2), 1 << 20, 5);
    pair.settle().unwrap();
    pair.sides[0].view.head.epoch = [9; 8];
    let mut pair = restart(pair, [true, true], 1 << 20, 6);
    pair.settle().unwrap();
    pair.assert_in_sync();
    assert_eq!(pair.sides[0].sent.bytes + pair.sides[1].sent.bytes, 90);
    assert_eq!(pair.sides[1].view.cursor.epoch, [9; 8]);
    assert_eq!(pair.sides[1].view.cursor.upto, Positions::all(100));
}

#[test]
fn a_store_that_was_lost_gets_everything_back_its_own_included() {
    let mut pair = Pair::new(tight(), view(1, "a", 30, 200), view(2, "b", 20, 200), 3_000, 5);
    pair.settle().unwrap();
    pair.assert_in_sync();
    pair.sides[1].view = View::mixed(3);
    let mut pair = restart(pair, [true, true], 3_000, 6);
    pair.settle().unwrap();
    pair.assert_in_sync();
    assert_eq!(pair.sides[1].view.head.count, 50);
}

#[test]
fn a_store_restored_from_an_older_copy_gets_back_what_it_lost() {
    let mut pair = Pair::new(tight(), view(1, "a", 30, 200), view(2, "b", 10, 200), 3_000, 5);
    pair.settle().unwrap();
    let backup = pair.sides[1].view.clone();
    pair.share(1, objects("after the backup", 15, 200));
    pair.settle().unwrap();
    pair.sides[1].view = backup;
    pair.sides[1].view.head.epoch = [7; 8];
    let mut pair = restart(pair, [true, true], 3_000, 6);
    pair.settle().unwrap();
    pair.assert_in_sync();
    assert_eq!(pair.sides[1].view.head.count, 55);
}

#[test]
fn a_loss_without_a_new_epoch_is_told_and_healed_by_the_next_session() {
    let mut pair = Pair::new(tight(), view(1, "a", 30, 200), view(2, "b", 10, 200), 3_000, 5);
    pair.settle().unwrap();
    // One side forgets an object and keeps its cursor: no honest store does.
    let forgotten = objects("a", 30, 200).swap_remove(7);
    let view = &mut pair.sides[1].view;
    view.objects.remove(&forgotten.0);
    view.members.remove(&forgotten.0);
    view.head.count -= 1;
    view.head.fingerprint.add(&common::pair_key().fingerprinter(), &forgotten.0);
    let mut pair = restart(pair, [true, true], 3_000, 6);
    pair.share(0, objects("one more", 1, 100));
    // The cut comes before anything could be repaired: only the live object crosses.
    pair.settle().unwrap();
    let mut pair = restart(pair, [true, true], 3_000, 7);
    pair.settle().unwrap();
    let mut pair = restart(pair, [true, true], 3_000, 8);
    pair.settle().unwrap();
    pair.assert_in_sync();
}

#[test]
fn sets_that_stay_different_are_reported_once_and_the_session_goes_on_live() {
    let mut pair = Pair::new(tight(), View::mixed(1), View::mixed(2), 3_000, 5);
    // A store that shows another fingerprint than its set has.
    pair.sides[1].view.head.fingerprint.0[0] ^= 1;
    let head = pair.sides[1].view.head;
    pair.sides[1].chum = lama_chum::Chum::new(tight(), head, pair.sides[1].view.cursor, common::pair_key());
    pair.share(0, objects("a", 3, 100));
    pair.settle().unwrap();
    let reports = |pair: &Pair, side: usize| {
        pair.sides[side].events.iter().filter(|event| matches!(event, Event::OutOfSync { .. })).count()
    };
    assert_eq!((reports(&pair, 0), reports(&pair, 1)), (1, 1));
    pair.settle().unwrap();
    pair.share(1, objects("b", 3, 100));
    pair.settle().unwrap();
    assert_eq!(pair.sides[0].view.members, pair.sides[1].view.members);
    assert_eq!((reports(&pair, 0), reports(&pair, 1)), (2, 2));
}

#[test]
fn refused_objects_count_on_both_sides_and_the_sender_is_told() {
    let mut b = View::mixed(2);
    let all = objects("a", 12, 200);
    b.refuse.insert(all[4].0, Refusal::Quota);
    b.refuse.insert(all[9].0, Refusal::Other(77));
    let mut a = View::mixed(1);
    a.share(all.clone());
    let mut pair = Pair::new(tight(), a, b, 3_000, 5);
    pair.settle().unwrap();
    pair.assert_in_sync();
    let mut told: Vec<_> = pair.sides[0]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::RefusedThere { id, reason } => Some((*id, *reason)),
            _ => None,
        })
        .collect();
    told.sort_unstable_by_key(|(_, reason)| reason.code());
    assert_eq!(told, [(all[4].0, Refusal::Quota), (all[9].0, Refusal::Other(77))]);
}

#[test]
fn progress_never_goes_back_and_ends_at_its_totals() {
    for seed in 1..40 {
        let mut pair = Pair::new(tight(), view(1, "a", 70, 150), view(2, "b", 30, 150), 2_000, seed);
        for _ in 0..200 {
            pair.random_step().unwrap();
        }
        pair.share(0, objects("later", 30, 100));
        pair.settle().unwrap();
        for side in &pair.sides {
            let all = side.events.iter().filter_map(|event| match event {
                Event::Progress(progress) => Some(*progress),
                _ => None,
            });
            let all: Vec<_> = all.collect();
            for pair in all.windows(2) {
                for (before, after) in [(pair[0].received, pair[1].received), (pair[0].sent, pair[1].sent)] {
                    assert!(before.done <= after.done && before.total <= after.total);
                    assert!(before.objects <= after.objects && before.bytes <= after.bytes);
                    assert!(after.done <= after.total.unwrap());
                }
            }
            let last = all.last().unwrap();
            assert_eq!(last.received.total, Some(last.received.done));
            assert_eq!(last.sent.total, Some(last.sent.done));
        }
        assert_eq!(pair.sides[1].chum.progress().received.objects, 100);
        assert_eq!(pair.sides[0].chum.progress().received.objects, 30);
    }
}

#[test]
fn what_is_unacknowledged_and_what_is_read_ahead_stay_bounded() {
    let mut pair = Pair::new(tight(), view(1, "a", 500, 200), View::mixed(2), 1 << 20, 3);
    // The receiving store does nothing: the sender runs until its credit is used up.
    let mut progress = true;
    while progress {
        progress = false;
        for step in [
            Step::Poll(0),
            Step::Execute(0),
            Step::Frame(0),
            Step::Deliver(1),
            Step::Poll(1),
            Step::Frame(1),
            Step::Deliver(0),
        ] {
            progress |= pair.step(step).unwrap();
        }
    }
    let sent = pair.sides[0].sent.bytes;
    assert!(sent > 2_000 && sent <= 4_000 + 45, "{sent}");
    // Few imports are under way, of messages and of the rest: what else came waits as a batch, inside the credit.
    let imports = pair.sides[1].jobs.iter().filter(|job| matches!(job, Output::Import { .. })).count();
    assert!((1..=6).contains(&imports), "{imports}");
    pair.settle().unwrap();
    pair.assert_in_sync();
}

#[test]
fn several_imports_are_under_way_and_the_cursor_keeps_their_order() {
    let mut pair = Pair::new(tight(), view(1, "a", 300, 200), View::mixed(2), 1 << 20, 3);
    pair.settle().unwrap();
    assert!(pair.sides[1].most_imports > 1);
    pair.assert_in_sync();
}

/// A file's objects, its id and size.
fn file(content: &[u8]) -> (Vec<(lama_identity::Cid, bytes::Bytes)>, lama_identity::Cid, u64) {
    let mut chunker = Chunker::new(BlobConfig { chunk_size: 700, ..BlobConfig::default() }).unwrap();
    let (mut rest, mut objects) = (content, Vec::new());
    while !rest.is_empty() {
        objects.extend(chunker.push(&mut rest).unwrap());
    }
    let finished = chunker.finish().unwrap();
    objects.extend(finished.objects);
    (objects, finished.root, finished.size)
}

#[test]
fn a_folder_crosses_with_all_its_files_through_cuts() {
    let contents: [&[u8]; 3] = [b"", b"short", &[7; 10_000]];
    let mut a = View::mixed(1);
    let mut folder = FolderBuilder::new("shared").unwrap();
    for (path, content) in ["empty", "some/short", "some/long"].into_iter().zip(contents) {
        let (objects, root, size) = file(content);
        a.share(objects);
        folder.file(path, size, false, root).unwrap();
    }
    let built = folder.finish().unwrap();
    assert_eq!(built.size, 10_005);
    a.share(built.objects);
    let mut pair = Pair::new(tight(), a, View::mixed(2), 2_000, 11);
    for round in 0..8 {
        for _ in 0..60 {
            pair.random_step().unwrap();
        }
        pair = restart(pair, [true, round % 2 == 0], 2_000, round + 20);
    }
    pair.settle().unwrap();
    pair.assert_in_sync();
    let there = &pair.sides[1].view.objects;
    let read = |id| {
        let (mut reader, mut content) = (Reader::new(id), Vec::new());
        while let Some(id) = reader.wanted() {
            content.extend(reader.give(there[&id].clone()).unwrap().into_iter().flatten());
        }
        content
    };
    let root = Folder::read(&there[&built.root]).unwrap();
    assert_eq!(read(root.entries[0].target), contents[0]);
    assert_eq!((root.entries[1].kind, root.entries[1].name.as_str()), (EntryKind::Folder, "some"));
    let some = Folder::read(&there[&root.entries[1].target]).unwrap();
    assert_eq!(read(some.entries[0].target), contents[2]);
    assert_eq!(read(some.entries[1].target), contents[1]);
}
