//! Sealing and opening records beside the bare cipher call on the same number of bytes, in the same run. The cipher is
//! the one that the build has chosen (feature `ring` or not); the other one stands beside it for information.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lama_handshake::noise::{Aead, CipherState};
use lama_handshake::record::{HEADER_LEN, MAX_PLAINTEXT, Opener, Sealer};
use lama_handshake::{MAX_IN_ONE_RECORD, Mode, Received, RecordType, RekeyLimits, StreamId};

/// Never in the middle of a bench: a rekey is counted where it is measured, at the end of the limits.
const LIMITS: RekeyLimits = RekeyLimits { records: u32::MAX, bytes: u64::MAX };

/// Plaintexts of records: the smallest bucket, middle ones, a full one.
const SIZES: [usize; 4] = [64, 1_024, 16_384, MAX_PLAINTEXT];

fn seal(c: &mut Criterion) {
    let mut group = c.benchmark_group("records, seal");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        // A body in the middle of the smallest bucket, full ones otherwise. It stands where it is sealed: the bytes
        // of the round before, whatever they are.
        let len = if size == 64 { HEADER_LEN + 40 } else { size };
        let mut sealer = Sealer::new(CipherState::new(&[1; 32]), LIMITS);
        let mut out = BytesMut::zeroed(80_000);
        group.bench_function(BenchmarkId::new("ours", size), |b| {
            b.iter(|| {
                out.truncate(len);
                sealer.finish(RecordType::Data, 0, 0, black_box(&mut out)).unwrap();
            });
        });
        let aead = Aead::new(&[1; 32]);
        let mut text = vec![0x5a; size];
        let mut n = 0;
        group.bench_function(BenchmarkId::new("peer: bare cipher", size), |b| {
            b.iter(|| {
                n += 1;
                black_box(aead.seal(n, &[], black_box(&mut text)))
            });
        });
    }
    group.finish();
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("records, open");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let body = vec![0x5a; size - HEADER_LEN];
        let mut sealed = BytesMut::new();
        Sealer::new(CipherState::new(&[1; 32]), LIMITS).seal(RecordType::Data, &body, &mut sealed).unwrap();
        let mut opener = Opener::new(CipherState::new(&[1; 32]), LIMITS);
        group.bench_function(BenchmarkId::new("ours", size), |b| {
            b.iter_batched_ref(
                || sealed.clone(),
                |record| {
                    opener.danger_set_counter(0);
                    black_box(opener.open(record)).unwrap()
                },
                criterion::BatchSize::SmallInput,
            );
        });
        let aead = Aead::new(&[1; 32]);
        group.bench_function(BenchmarkId::new("peer: bare cipher", size), |b| {
            b.iter_batched_ref(
                || sealed.clone(),
                |record| {
                    let (text, tag) = record.split_last_chunk_mut::<16>().unwrap();
                    assert!(black_box(aead.open(0, &[], text, tag)));
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Messages through both ends of a session: cut, sealed, opened, put together, credit given back.
fn session(c: &mut Criterion) {
    let mut group = c.benchmark_group("session, message across");
    for size in [40, MAX_IN_ONE_RECORD, 1 << 20] {
        group.throughput(Throughput::Bytes(size as u64));
        let message = vec![0x5a; size];
        let (mut a, mut b) = support::session(Mode::Known, &lama_handshake::Config::default());
        let now = support::now();
        group.bench_function(BenchmarkId::new("ours", size), |bench| {
            bench.iter(|| {
                let mut given = false;
                let mut source = |stream: StreamId, _: usize, out: &mut BytesMut| {
                    let give = !given && stream == StreamId::OBJECTS;
                    if give {
                        out.extend_from_slice(&message);
                        given = true;
                    }
                    give
                };
                let mut out = BytesMut::new();
                loop {
                    while b.is_pending() && b.poll_frame(&mut |_, _, _| false, &mut out) {
                        a.open(now, out.split()).unwrap();
                    }
                    assert!(a.poll_frame(&mut source, &mut out));
                    if let Received::Message { message, receipt, .. } = b.open(now, out.split()).unwrap() {
                        b.release(receipt);
                        break black_box(message);
                    }
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, seal, open, session);
criterion_main!(benches);
