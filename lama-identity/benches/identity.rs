//! The checker against decoding and encoding again, and what signatures and keys cost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, missing_docs)]

use std::hint::black_box;

use ciborium::Value;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lama_core::{Seed, WallTime};
use lama_identity::{
    Channel, ChannelEntry, Cid, Content, Hlc, LocalIdentity, NoiseSecret, SignPublic, Signed, Signer,
    TypeTag, Unsigned, cbor,
};

fn identity() -> LocalIdentity {
    LocalIdentity::create("a@b".parse().unwrap(), "bench", Seed::danger_fixed([1; 32]), WallTime(0)).unwrap()
}

/// An object of about 200 bytes as applications write them.
fn note() -> Vec<u8> {
    let text = |text: &str| Value::Text(text.into());
    let map = Value::Map(vec![
        (text("$type$"), text("Note")),
        (text("id"), Value::Bytes(vec![7; 16])),
        (text("at"), Value::from(1_800_000_000_000_u64)),
        (text("tags"), Value::Array(vec![text("one"), text("two")])),
        (text("text"), text(&"words of a note ".repeat(5))),
        (text("rating"), Value::Float(4.5)),
        (text("author"), Value::Bytes(vec![9; 32])),
    ]);
    cbor::encode(&map).unwrap().to_vec()
}

fn entry(me: &LocalIdentity) -> Signed<ChannelEntry> {
    let channel = Channel::new("chat", [me.person_id()]).unwrap();
    Unsigned::new(ChannelEntry {
        by: Signer::Instance,
        sig: None,
        prev: Some(Cid::of_object(b"prev").into()),
        clock: Hlc { ms: 1_800_000_000_000, count: 1 },
        epoch: [1; 8],
        heads: vec![Cid::of_object(b"head").into()],
        type_tag: TypeTag::default(),
        author: me.person_id(),
        channel: channel.id(),
        content: Content::text("a line of text as people write it"),
        instance: me.instance_id(),
    })
    .unwrap()
    .sign(me.sign())
    .unwrap()
}

fn encoding(c: &mut Criterion) {
    let note = note();
    let mut group = c.benchmark_group("canonical");
    group.throughput(Throughput::Bytes(note.len() as u64));
    group.bench_function("check, ours", |b| b.iter(|| cbor::check(black_box(&note)).unwrap().links));
    group.bench_function("decode and encode again, ciborium", |b| {
        b.iter(|| {
            let value: Value = ciborium::from_reader(black_box(&note[..])).unwrap();
            let mut again = Vec::with_capacity(note.len());
            ciborium::into_writer(&value, &mut again).unwrap();
            again
        });
    });
    group.bench_function("SHA-256, for scale", |b| b.iter(|| Cid::of_object(black_box(&note))));
    group.finish();

    let me = identity();
    let entry = entry(&me);
    let mut group = c.benchmark_group("channel entry");
    group.throughput(Throughput::Bytes(entry.bytes().len() as u64));
    group.bench_function("check", |b| b.iter(|| cbor::check(black_box(entry.bytes())).unwrap().links));
    group.bench_function("decode", |b| {
        b.iter(|| cbor::decode::<ChannelEntry>(black_box(entry.bytes())).unwrap())
    });
    group.bench_function("encode", |b| b.iter(|| cbor::encode(black_box(entry.value())).unwrap()));
    group.bench_function("decode, ciborium alone", |b| {
        b.iter(|| ciborium::from_reader::<ChannelEntry, _>(black_box(&entry.bytes()[..])).unwrap());
    });
    group.bench_function("verify", |b| b.iter(|| black_box(&entry).verify(me.public()).unwrap()));
    group.finish();
}

fn keys(c: &mut Criterion) {
    let me = identity();
    let other = NoiseSecret::from_seed(Seed::danger_fixed([2; 32]));
    let signature = me.sign().sign("bench", &[0; 200]);
    let sign_key = *me.sign().public().as_bytes();
    let mut group = c.benchmark_group("keys");
    group.bench_function("sign", |b| b.iter(|| me.sign().sign("bench", black_box(&[0; 200]))));
    group.bench_function("verify", |b| {
        b.iter(|| me.sign().public().verify("bench", black_box(&[0; 200]), &signature).unwrap());
    });
    group.bench_function("parse a signing key", |b| {
        b.iter(|| SignPublic::try_from(black_box(sign_key)).unwrap())
    });
    group.bench_function("X25519", |b| b.iter(|| me.noise().dh(black_box(other.public())).unwrap()));
    group.bench_function("verify an identity", |b| {
        b.iter(|| black_box(me.public()).verify(WallTime(0)).unwrap());
    });
    let bytes = cbor::encode(me.public()).unwrap();
    group.bench_function("read an identity", |b| {
        b.iter(|| cbor::decode::<lama_identity::PublicIdentity>(black_box(&bytes)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, encoding, keys);
criterion_main!(benches);
