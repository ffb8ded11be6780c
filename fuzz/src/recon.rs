//! Reconciliation: every message of it, cells and lists against slow ones that are plain to see, a machine in the middle
//! of a round, and two machines whose sets differ anyhow.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use lama_chum::recon::{
    Cell, Decoder, MAX_CELLS, MAX_LIST, Outcome, ShortKey, Sketch, cells, compare, each_cell, read_cells,
    read_list, write_cells, write_list,
};
use lama_chum::wire::{self, Recon, WantFlags};
use lama_chum::{Config, Event};

use crate::chum_common::pair::{Pair, Step};
use crate::chum_common::victim::{Victim, message, recon};
use crate::chum_common::view::View;
use crate::chum_common::{Rng, objects, pair_key, tight};

fn key() -> ShortKey {
    pair_key().short_key(1)
}

/// Every message of reconciliation, and GONE: what is read is written as the same bytes.
pub fn wire(data: &[u8]) {
    let mut out = BytesMut::new();
    match data.first() {
        Some(&wire::RECON) => {
            let Ok(recon) = Recon::read(data) else { return };
            recon.write(&mut out);
        }
        Some(&wire::WANT) => {
            let Ok((flags, shorts)) = wire::read_want(data) else { return };
            assert!(shorts.len() <= wire::MAX_WANT);
            wire::write_want(flags, &shorts, &mut out);
        }
        Some(&wire::GONE) => {
            let mut ids = Vec::new();
            let Ok(header) = wire::read_gone(&Bytes::copy_from_slice(data), |id| ids.push(id)) else {
                return;
            };
            assert_eq!(header.count, ids.len());
            wire::write_gone(header.label, header.upto, header.head, ids.into_iter(), &mut out);
        }
        Some(&kind @ (wire::CELLS | wire::LIST | wire::MARKS | wire::MORE)) => {
            let Ok((range, rest)) = wire::read_range(data) else { return };
            wire::write_range(kind, range, &mut out);
            match kind {
                wire::CELLS => {
                    let (first, total, most) = (range % 70_000, 1_000, 4_000);
                    let Ok(cells) = read_cells(rest, first, total, most) else { return };
                    assert!(cells.len() * 13 <= rest.len() && first + cells.len() as u32 <= MAX_CELLS);
                    write_cells(&cells, first, total, &mut out);
                }
                wire::LIST => {
                    let Some((count, bits)) = rest.split_first_chunk::<2>() else { return };
                    let listed = usize::from(u16::from_be_bytes(*count));
                    let Ok(ids) = read_list(bits, 0, 1 << 40, listed) else { return };
                    assert!(ids.len() == listed && listed <= MAX_LIST && ids.is_sorted());
                    out.put_slice(count);
                    write_list(0, ids, &mut out);
                }
                _ => out.put_slice(rest),
            }
        }
        _ => return,
    }
    assert_eq!(out, data);
}

/// What a decoder is that takes any single cell it sees, and looks at all of them for each.
fn slowly(key: &ShortKey, mut cells: Vec<Cell>) -> Option<[BTreeSet<u64>; 2]> {
    let mut found = [BTreeSet::new(), BTreeSet::new()];
    let places = |short: u64, end: usize| {
        let mut places = Vec::new();
        each_cell(short, 0, end as u32, |cell| places.push(cell as usize));
        places
    };
    let single = |at: usize, cell: &Cell| {
        cell.count.abs() == 1 && key.check(cell.sum) == cell.check && places(cell.sum, at + 1).contains(&at)
    };
    while let Some(cell) = cells.iter().enumerate().find_map(|(at, cell)| single(at, cell).then_some(*cell)) {
        found[usize::from(cell.count < 0)].insert(cell.sum);
        for at in places(cell.sum, cells.len()) {
            cells[at].add(cell.sum, cell.check, -cell.count);
        }
    }
    cells.iter().all(|cell| *cell == Cell::default()).then_some(found)
}

/// Two sets from the input, their cells in parts: the decoder finds what the slow one finds, and that is the difference.
/// Then the same cells changed as the input says: it ends, and finds no more differences than there are cells.
pub fn decoder(data: &[u8]) {
    let Some((&[parts, twist], mut rest)) = data.split_first_chunk::<2>() else { return };
    let mut sets = [BTreeSet::new(), BTreeSet::new()];
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        // Close together, so that some are equal in their low bits; or far apart.
        let short = if byte & 4 == 0 { u64::from(byte >> 3) } else { key().check(byte.into()).into() };
        let short = short << (u32::from(twist) % 30) | behind.len() as u64 % 8;
        (0..2).filter(|side| byte >> side & 1 == 1).for_each(|side| {
            sets[side].insert(short);
        });
    }
    let key = key();
    let end = 32 + u32::from(parts) * 3;
    let [ours, theirs] = [0, 1].map(|side| {
        let shorts: Vec<u64> = sets[side].iter().copied().collect();
        cells(&key, &shorts, 0, end)
    });
    let difference: Vec<Cell> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours.minus(*theirs)).collect();
    let first = usize::from(twist) % ours.len();
    let mut decoder = Decoder::new(key.clone());
    let _ = decoder.extend(&theirs[..first], &ours[..first]).unwrap();
    let outcome = decoder.extend(&theirs[first..], &ours[first..]).unwrap();
    let slow = slowly(&key, difference.clone());
    assert_eq!(outcome == Outcome::Done, slow.is_some());
    if let Some([only_ours, only_theirs]) = slow {
        let found = decoder.into_differences();
        assert_eq!(BTreeSet::from_iter(found.ours), only_ours);
        assert_eq!(BTreeSet::from_iter(found.theirs), only_theirs);
        assert!(sets[0].difference(&sets[1]).eq(only_ours.iter()));
        assert!(sets[1].difference(&sets[0]).eq(only_theirs.iter()));
    }
    // Cells of no set.
    let mut crafted = theirs.clone();
    let len = crafted.len();
    for (at, byte) in data.iter().enumerate().take(300) {
        let cell = &mut crafted[at * 7 % len];
        cell.add(
            u64::from(*byte),
            if byte & 1 == 0 { key.check((*byte).into()) } else { 7 },
            i64::from(byte % 3) - 1,
        );
    }
    let mut decoder = Decoder::new(key);
    let _ = decoder.extend(&crafted, &ours);
    assert!(decoder.differences().ours.len() + decoder.differences().theirs.len() <= len);
    let mut sketch = [Sketch::default(), Sketch::default()];
    (0..2).for_each(|side| sets[side].iter().for_each(|short| sketch[side].add(&self::key(), *short)));
    let [one, other] = [sketch[0].minus(&sketch[1]).estimate(), sketch[1].minus(&sketch[0]).estimate()];
    assert_eq!(one, other, "both ends derive the same");
    assert!(one >= sets[0].len().abs_diff(sets[1].len()) as u64);
}

/// Lists: what is written comes back, and comparing finds what sets find.
pub fn list(data: &[u8]) {
    let mut sets = [BTreeSet::new(), BTreeSet::new()];
    for part in data.chunks_exact(5) {
        let id = u64::from_be_bytes([0, 0, 0, 0, part[1], part[2], part[3], part[4]]);
        (0..2).filter(|side| part[0] >> side & 1 == 1).for_each(|side| {
            sets[side].insert(id);
        });
    }
    let [listed, ours] = sets.each_ref().map(|set| set.iter().copied().collect::<Vec<u64>>());
    let mut out = BytesMut::new();
    write_list(0, listed.iter().copied(), &mut out);
    assert_eq!(read_list(&out, 0, 1 << 32, listed.len()).as_ref(), Ok(&listed));
    let (lacked, unlisted) = compare(&listed, &ours);
    let pick = |ids: &[u64], which: Vec<bool>| -> Vec<u64> {
        ids.iter().zip(which).filter(|(_, picked)| *picked).map(|(id, _)| *id).collect()
    };
    assert!(pick(&listed, lacked).iter().eq(sets[0].difference(&sets[1])));
    assert!(pick(&ours, unlisted).iter().eq(sets[1].difference(&sets[0])));
    if let Ok(ids) = read_list(data, 0, 1 << 40, data.len() / 3) {
        let mut again = BytesMut::new();
        write_list(0, ids, &mut again);
        assert_eq!(again, data);
    }
}

/// A machine that reads cells, sends cells, reads a list or sends one, and a peer that says what he likes. What it does is
/// bounded: no more than all of its objects once per round, and all the cells there are.
pub fn round(data: &[u8]) {
    let Some((&state, mut rest)) = data.split_first() else { return };
    let (count, theirs, shared, own) =
        [(300, 9, 20..300, 9), (200, 17, 0..200, 17), (40, 60, 0..5, 60), (30, 80, 0..0, 80)]
            [usize::from(state % 4)]
        .clone();
    let mut victim = Victim::new(if state & 4 == 0 { Config::default() } else { tight() }, count, theirs);
    victim.hear(&recon(1, theirs, shared, own)).unwrap();
    let mut said = 0;
    while let Some((&len, behind)) = rest.split_first() {
        let len = usize::from(len) * if len & 1 == 1 { 20 } else { 1 };
        let (heard, behind) = behind.split_at(len.min(behind.len()));
        rest = behind;
        let result = victim.hear(&Bytes::copy_from_slice(heard));
        said += victim.said.drain(..).map(|said| said.len()).sum::<usize>();
        if let Err(error) = result {
            assert_eq!(
                victim.hear(&Bytes::from_static(&[wire::ACK, 0, 0, 0, 0])),
                Err(error),
                "the first error is final"
            );
            break;
        }
    }
    let own = count as usize * 120;
    assert!(said <= 4 * own + 17 * MAX_CELLS as usize + 40 * data.len(), "{said}");
}

/// Two honest machines with sets that share much, little or nothing, without cursors, under any schedule, with cuts, new
/// objects and losses: they end in sync, and nothing durable is sent again.
pub fn sets(data: &[u8]) {
    let Some((&[shape, seed], schedule)) = data.split_first_chunk::<2>() else { return };
    let shared = [0, 3, 60, 400][usize::from(shape & 3)];
    let (ours, theirs) = (u64::from(shape >> 2 & 7).pow(2), u64::from(shape >> 5).pow(2));
    let view = |epoch: u8, own: &str, count: u64| {
        let mut all = objects("shared", shared, 0);
        all.extend(objects(own, count, 0));
        let mut rng = Rng(u64::from(seed) * 2 + u64::from(epoch));
        (1..all.len()).for_each(|at| all.swap(at, rng.below(at + 1)));
        let mut view = View::new(epoch);
        view.share(all);
        view
    };
    let config = if seed & 1 == 0 { tight() } else { Config::default() };
    let capacity = 1 + usize::from(seed) * 16;
    let mut pair = Pair::new(config, view(1, "a", ours), view(2, "b", theirs), capacity, 1);
    pair.sides.iter_mut().for_each(|side| side.ids_at_most = 1 + usize::from(seed) * 3);
    let (mut more, mut cuts, mut lost) = (0, 0, 0);
    for &step in schedule.iter().take(2_000) {
        let side = usize::from(step & 1);
        let done = match step >> 1 {
            0..24 => pair.step(Step::Poll(side)),
            24..48 => pair.step(Step::Execute(side)),
            48..72 => pair.step(Step::Frame(side)),
            72..118 => pair.step(Step::Deliver(side)),
            118..122 => {
                more += 1;
                pair.share(side, objects(["more a", "more b"][side], more, 0).split_off(more as usize - 1));
                Ok(true)
            }
            122 => {
                // An object is lost without a word, before anything new makes both compare.
                let view = &mut pair.sides[side].view;
                if let Some(id) = view.objects.keys().nth(lost).copied() {
                    view.danger_forget(&id);
                    lost += 1;
                }
                Ok(true)
            }
            _ => {
                cuts += 1;
                let [mut a, mut b] = pair.sides;
                for side in [&mut a, &mut b] {
                    while step & 2 == 0 && !side.jobs.is_empty() {
                        side.execute();
                    }
                }
                // One store begins a new life: no cursor of the old one counts.
                if step & 4 == 0 {
                    a.view.head.epoch = [10 + cuts as u8; 8];
                }
                pair = Pair::new(config, a.view, b.view, capacity, cuts);
                Ok(true)
            }
        };
        done.unwrap();
    }
    pair.settle().unwrap();
    // A loss is found out when sets are compared next; what was lost at both ends is lost.
    if lost > 0 {
        let [a, b] = pair.sides.map(|side| side.view);
        pair = Pair::new(config, a, b, capacity, 99);
        pair.settle().unwrap();
    }
    pair.assert_in_sync();
    if lost == 0 {
        assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
        assert!(
            !pair
                .sides
                .iter()
                .any(|side| side.events.iter().any(|event| matches!(event, Event::OutOfSync { .. })))
        );
    }
}

/// One of each message, for the corpus of [`wire`].
pub fn wire_seeds() -> Vec<(&'static str, Bytes)> {
    let short: Vec<u64> = (1..40).map(|n| n << 50 | n).collect();
    let range = |kind: u8, rest: &[u8]| {
        message(|out| {
            wire::write_range(kind, 3, out);
            out.put_slice(rest);
        })
    };
    let mut some = BytesMut::new();
    write_cells(&cells(&key(), &short, 3, 9), 3, 1_000, &mut some);
    let mut listed = BytesMut::from(&[0, 3][..]);
    write_list(0, [5, 1 << 20, 1 << 22], &mut listed);
    vec![
        ("recon", recon(1, 50, 0..20, 9)),
        ("cells", range(wire::CELLS, &some)),
        ("list", range(wire::LIST, &listed)),
        ("marks", range(wire::MARKS, &[0xa0])),
        ("more", range(wire::MORE, &[])),
        ("want", message(|out| wire::write_want(WantFlags::Part, &short, out))),
        ("want-last", message(|out| wire::write_want(WantFlags::Last, &[], out))),
        ("want-everything", message(|out| wire::write_want(WantFlags::Everything, &[], out))),
        (
            "gone",
            message(|out| {
                wire::write_gone(
                    wire::Label::default(),
                    5,
                    9,
                    objects("gone", 3, 0).into_iter().map(|object| object.0),
                    out,
                );
            }),
        ),
    ]
}

/// For the corpus of [`decoder`].
pub fn decoder_seeds() -> Vec<(&'static str, Bytes)> {
    let bytes = |parts: u8, twist: u8, count: u32| {
        let some = (0..count).map(|n| (n * 37 + 5) as u8);
        Bytes::from_iter([parts, twist].into_iter().chain(some))
    };
    vec![("few", bytes(0, 3, 20)), ("many", bytes(90, 200, 200)), ("too-many", bytes(1, 77, 300))]
}

/// For the corpus of [`list`].
pub fn list_seeds() -> Vec<(&'static str, Bytes)> {
    let some = (0..60_u32).flat_map(|n| [(n % 4) as u8, n as u8, (n * 7) as u8, 1, n as u8]);
    let mut listed = BytesMut::new();
    write_list(0, (1..9).map(|n| n << 20), &mut listed);
    vec![("sets", some.collect()), ("listed", listed.freeze())]
}

/// For the corpus of [`round`].
pub fn round_seeds() -> Vec<(&'static str, Bytes)> {
    let run = |state: u8, messages: &[Bytes]| {
        let mut out = vec![state];
        for message in messages {
            let len = if message.len() < 256 && message.len() % 2 == 0 {
                message.len()
            } else {
                message.len().div_ceil(20) | 1
            };
            out.push(len as u8);
            out.extend_from_slice(message);
        }
        Bytes::from(out)
    };
    let range = |kind: u8, rest: &[u8]| {
        message(|out| {
            wire::write_range(kind, 0, out);
            out.put_slice(rest);
        })
    };
    let short: Vec<u64> = (1..290).map(|n| n << 50 | n).collect();
    let mut some = BytesMut::new();
    write_cells(&cells(&key(), &short, 32, 48), 32, 289, &mut some);
    let mut listed = BytesMut::from(&[0, 65][..]);
    write_list(0, (0..65).map(|n| n << 20), &mut listed);
    let want = message(|out| wire::write_want(WantFlags::Part, &short[..20], out));
    let last = message(|out| wire::write_want(WantFlags::Last, &short[..7], out));
    vec![
        ("cells", run(0, &[range(wire::CELLS, &some)])),
        ("wants", run(1, &[range(wire::MORE, &[0]), want, last])),
        ("list", run(2, &[range(wire::LIST, &listed)])),
        ("marks", run(3, &[range(wire::MARKS, &[0x80, 1, 2, 3])])),
    ]
}

/// For the corpus of [`sets`].
pub fn sets_seeds() -> Vec<(&'static str, Bytes)> {
    let round = [0_u8, 1, 50, 51, 100, 101, 150, 151];
    let run = |shape: u8, seed: u8, extra: &[u8]| {
        let steps = round.into_iter().cycle().take(160);
        let rest = round.into_iter().cycle().take(80);
        Bytes::from_iter([shape, seed].into_iter().chain(steps).chain(extra.iter().copied()).chain(rest))
    };
    vec![
        ("decoded", run(0b0010_1010, 30, &[])),
        ("cells", run(0b1010_1111, 255, &[])),
        ("list", run(0b1111_1101, 61, &[240])),
        ("cut", run(0b0110_1110, 200, &[248, 250])),
        ("lost", run(0b0010_0110, 90, &[244, 240, 241])),
    ]
}
