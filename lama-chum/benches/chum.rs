//! Two machines in memory: a whole view of small objects crosses, both sides on one thread, ids computed and
//! encodings checked. Beside it what the same objects cost to hash alone, and to hash, decode and encode again.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lama_chum::{
    Chum, Config, Cursor, Entry, Event, Fingerprinter, ImportOutcome, Input, Lane, Output, PairKey, ViewHead,
};
use lama_core::{Instant, Machine, Now, WallTime};
use lama_identity::{Cid, cbor};
use serde::{Deserialize, Serialize};

/// Objects in a run.
const COUNT: u64 = 50_000;

#[derive(Serialize, Deserialize)]
struct Message {
    #[serde(rename = "$type$")]
    type_name: String,
    n: u64,
    text: String,
}

/// `COUNT` objects of `len` bytes.
fn objects(len: usize) -> Vec<(Cid, Bytes)> {
    let build = |n: u64, pad: usize| {
        let text = "x".repeat(pad);
        cbor::encode(&Message { type_name: "Message".into(), n: n + (1 << 20), text }).unwrap()
    };
    let pad = (0..=len).rev().find(|pad| build(0, *pad).len() <= len).unwrap();
    (0..COUNT).map(|n| build(n, pad)).map(|bytes| (Cid::of_object(&bytes), bytes)).collect()
}

/// The least that a view can be: a log, a head, a fingerprint.
struct View {
    head: ViewHead,
    log: Vec<Entry>,
    key: Fingerprinter,
}

impl View {
    fn new(epoch: u8) -> Self {
        let head = ViewHead { epoch: [epoch; 8], ..ViewHead::default() };
        Self { head, log: Vec::new(), key: PairKey::new([1; 32]).fingerprinter() }
    }

    fn append(&mut self, id: Cid, object: Bytes, source_is_peer: bool) {
        self.head.seq += 1;
        self.head.count += 1;
        self.head.fingerprint.add(&self.key, &id);
        self.log.push(Entry {
            seq: self.head.seq,
            id,
            lane: Lane::Objects,
            source_is_peer,
            gone: false,
            again: false,
            object,
        });
    }

    fn answer(&mut self, job: Output) -> Option<Input> {
        match job {
            // All that is here is in the lane of objects.
            Output::Scan { ticket, lanes, .. } if !lanes.contains(Lane::Objects) => {
                Some(Input::Page { ticket, entries: Vec::new(), next: self.head.seq, head: self.head })
            }
            Output::Scan { ticket, after, max_bytes, .. } => {
                let mut bytes = 0;
                let rest = self.log.get(after as usize..).unwrap();
                let len = rest.iter().take_while(|entry| {
                    let more = bytes < max_bytes;
                    bytes += entry.object.len();
                    more
                });
                let entries: Vec<Entry> = rest.iter().take(len.count()).cloned().collect();
                let next = entries.last().map_or(after, |entry| entry.seq);
                Some(Input::Page { ticket, entries, next, head: self.head })
            }
            Output::Import { ticket, objects, .. } => {
                let before = self.head.seq;
                for (id, object) in objects {
                    self.append(id, object, true);
                }
                let outcome = ImportOutcome { before, head: self.head, ..ImportOutcome::default() };
                Some(Input::Imported { ticket, outcome })
            }
            _ => None,
        }
    }
}

/// Everything of `a` crosses to `b`, until both say that they are in sync.
fn run(a: &mut View, b: &mut View) {
    let now = Now { mono: Instant::ORIGIN, wall: WallTime(0) };
    let mut sides = [a, b].map(|view| {
        (Chum::new(Config::default(), view.head, Cursor::default(), PairKey::new([1; 32])), view, false)
    });
    let mut buffer = BytesMut::with_capacity(1 << 20);
    loop {
        let mut busy = false;
        for from in [0, 1] {
            let [(a, a_view, a_done), (b, b_view, b_done)] = &mut sides;
            let (chum, view, done, peer) =
                if from == 0 { (a, a_view, a_done, b) } else { (b, b_view, b_done, a) };
            while let Some(output) = chum.poll() {
                busy = true;
                *done |= matches!(output, Output::Event(Event::InSync { .. }));
                if let Some(answer) = view.answer(output) {
                    chum.handle(now, answer).unwrap();
                }
            }
            let _ = b_done;
            for _ in 0..4 {
                if !chum.poll_frame(&mut buffer) {
                    break;
                }
                busy = true;
                peer.handle(now, Input::Message(buffer.split().freeze())).unwrap();
            }
        }
        if !busy {
            break;
        }
    }
    assert!(sides.iter().all(|side| side.2));
}

fn bench(c: &mut Criterion) {
    for len in [200, 2_000] {
        let objects = objects(len);
        let mut group = c.benchmark_group("chum: two machines in memory");
        group
            .throughput(Throughput::Elements(COUNT))
            .measurement_time(Duration::from_secs(3))
            .sample_size(10);
        let mut source = View::new(1);
        for (id, object) in &objects {
            source.append(*id, object.clone(), false);
        }
        group.bench_function(criterion::BenchmarkId::new("ours", len), |bencher| {
            bencher.iter_batched_ref(|| View::new(2), |sink| run(&mut source, sink), BatchSize::PerIteration);
        });
        group.bench_function(criterion::BenchmarkId::new("peer: sha2, hash alone", len), |bencher| {
            bencher.iter(|| {
                for (_, object) in &objects {
                    black_box(Cid::of_object(object));
                }
            });
        });
        group.bench_function(
            criterion::BenchmarkId::new("peer: hash, ciborium decode and encode", len),
            |bencher| {
                bencher.iter(|| {
                    for (_, object) in &objects {
                        black_box(Cid::of_object(object));
                        let message: Message = ciborium::from_reader(object.as_ref()).unwrap();
                        let mut again = Vec::with_capacity(object.len());
                        ciborium::into_writer(&message, &mut again).unwrap();
                        black_box(again);
                    }
                });
            },
        );
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
