//! Throughput of the store, durable, end to end: `cargo bench -p lama-store`, with the number of objects as the
//! first argument (default 200,000; the figures in `docs/store-engine.md` are of 1,000,000).
//!
//! Import is the receiving path: SHA-256, canonical check, links, index, view log, fingerprint, cursor, one durable
//! commit. The yardstick of the same run is a bare append of the same bytes to a file, synced as often.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
#![allow(clippy::disallowed_methods)]

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use lama_core::Seed;
use lama_identity::{Cid, ContactState, LocalIdentity};
use lama_store::conformance::fixture::{Dice, contact, peer, person};
use lama_store::{
    Config, Engine, Import, Memory, Object, Opening, Read, Redb, RedbOptions, Reply, Request, Store, Write,
};

/// Canonical objects of 200 bytes: `{"n": number, "$type$": "Note", "text": 161 characters}`.
fn object(number: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(200);
    bytes.extend_from_slice(b"\xa3\x61n\x1b");
    bytes.extend_from_slice(&(number | 1 << 63).to_be_bytes());
    bytes.extend_from_slice(b"\x64text\x78\xa8");
    bytes.extend((0..168_u64).map(|at| b'a' + u8::try_from((number + at) % 26).unwrap()));
    bytes.extend_from_slice(b"\x66$type$\x64Note");
    bytes.into()
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or_else(|| "?".to_owned(), |kilobytes| format!("{} MB", kilobytes / 1024))
}

fn line(what: &str, per_second: f64, more: &str) {
    println!("{what:<44} {per_second:>12.0} /s   {more}");
}

fn open<E: Engine>(engine: E) -> Store<E> {
    Store::open(engine, Config::default(), Seed::danger_fixed([1; 32]), Opening::Normal).unwrap()
}

fn befriend<E: Engine>(store: &mut Store<E>, who: &LocalIdentity) {
    let record = peer(who.person_id(), who.instance_id(), 7);
    store.commit(vec![Write::Contact(contact(who, ContactState::Active)), Write::Peer(record)]).unwrap();
}

fn append(directory: &Path, count: u64, batch: u64) -> f64 {
    let mut file = std::fs::File::create(directory.join("append")).unwrap();
    let start = Instant::now();
    for first in (0..count).step_by(usize::try_from(batch).unwrap()) {
        let mut out = Vec::new();
        (first..first + batch).for_each(|number| out.extend_from_slice(&object(number)));
        file.write_all(&out).unwrap();
        file.sync_data().unwrap();
    }
    count as f64 / start.elapsed().as_secs_f64()
}

/// Imports `count` objects and gives the rate, and the longest commit in seconds.
fn import<E: Engine>(store: &mut Store<E>, from: &LocalIdentity, count: u64, batch: u64) -> (f64, f64) {
    let (mut spent, mut longest) = (0_f64, 0_f64);
    for first in (0..count).step_by(usize::try_from(batch).unwrap()) {
        let received: Vec<Bytes> = (first..first + batch).map(object).collect();
        let start = Instant::now();
        let objects: Vec<Object> =
            received.into_iter().map(|bytes| (Cid::of_object(&bytes), bytes)).collect();
        let import = Import {
            person: from.person_id(),
            instance: from.instance_id(),
            objects,
            epoch: [9; 8],
            after: first,
            upto: first + batch,
        };
        store.commit(vec![Write::Import(import)]).unwrap();
        let took = start.elapsed().as_secs_f64();
        spent += took;
        longest = longest.max(took);
    }
    (count as f64 / spent, longest)
}

fn put_and_share<E: Engine>(store: &mut Store<E>, with: &LocalIdentity, count: u64, batch: u64) -> f64 {
    let mut spent = 0_f64;
    for first in (0..count).step_by(usize::try_from(batch).unwrap()) {
        let made: Vec<Bytes> = (first..first + batch).map(|number| object(number | 1 << 40)).collect();
        let start = Instant::now();
        let objects: Vec<Object> = made.into_iter().map(|bytes| (Cid::of_object(&bytes), bytes)).collect();
        let ids = objects.iter().map(|object| object.0).collect();
        store
            .commit(vec![Write::Put { objects }, Write::Share { ids, persons: vec![with.person_id()] }])
            .unwrap();
        spent += start.elapsed().as_secs_f64();
    }
    count as f64 / spent
}

fn replay<E: Engine>(store: &mut Store<E>, to: &LocalIdentity) -> f64 {
    let (person, instance) = (to.person_id(), to.instance_id());
    let (mut after, mut seen) = (0, 0);
    let start = Instant::now();
    loop {
        let read = Read::Page { person, instance, after, max_bytes: 512 << 10, whole: true };
        let Ok(Reply::Page(page)) = store.ask(read) else { panic!() };
        if page.next == after {
            return seen as f64 / start.elapsed().as_secs_f64();
        }
        seen += page.entries.len();
        after = page.next;
    }
}

fn random_reads<E: Engine>(store: &mut Store<E>, count: u64) -> f64 {
    let mut dice = Dice::new(1);
    let ids: Vec<Cid> = (0..20_000).map(|_| Cid::of_object(&object(dice.below(count)))).collect();
    let requests: Vec<Request> = ids.iter().map(|id| Request::Read(Read::Object(*id))).collect();
    let start = Instant::now();
    let replies = store.execute(&requests);
    let rate = replies.len() as f64 / start.elapsed().as_secs_f64();
    assert!(replies.iter().all(|reply| matches!(reply, Ok(Reply::Object(Some(_))))));
    rate
}

fn single_messages<E: Engine>(store: &mut Store<E>, with: &LocalIdentity) -> f64 {
    let start = Instant::now();
    for number in 0..300 {
        let bytes = object(number | 1 << 41);
        let id = Cid::of_object(&bytes);
        let share = Write::Share { ids: vec![id], persons: vec![with.person_id()] };
        store.commit(vec![Write::Put { objects: vec![(id, bytes)] }, share]).unwrap();
    }
    300.0 / start.elapsed().as_secs_f64()
}

fn on_disk(count: u64, batch: u64) {
    let directory = tempfile::tempdir_in(".").unwrap();
    let path = directory.path().join("store");
    let who = person("a");
    let bare = append(directory.path(), count, batch);
    line(&format!("bare append, {batch} in a sync"), bare, "");
    let mut store = open(Redb::open(&path, RedbOptions::default()).unwrap());
    befriend(&mut store, &who);
    let (rate, longest) = import(&mut store, &who, count, batch);
    let more = format!("{:.2} of the append, longest {:.0} ms", rate / bare, longest * 1e3);
    line(&format!("redb: import, {batch} in a commit"), rate, &more);
    let size = std::fs::metadata(&path).unwrap().len() / 1_000_000;
    line(
        "redb: random reads",
        random_reads(&mut store, count),
        &format!("file {size} MB, peak {}", peak_memory()),
    );
    line("redb: replay of a view", replay(&mut store, &who), "");
    line("redb: put and share, one at a time", single_messages(&mut store, &who), "");
    drop(store.close().unwrap());
    let start = Instant::now();
    let store = open(Redb::open(&path, RedbOptions::default()).unwrap());
    let clean = start.elapsed().as_secs_f64() * 1e3;
    drop(store);
    let start = Instant::now();
    let mut store = open(Redb::open(&path, RedbOptions::default()).unwrap());
    let unclean = start.elapsed().as_secs_f64() * 1e3;
    println!("redb: opened in {clean:.0} ms, after a stop without close in {unclean:.0} ms");
    let start = Instant::now();
    store.check().unwrap();
    println!("redb: integrity walk in {:.1} s", start.elapsed().as_secs_f64());
    let share = put_and_share(&mut store, &who, count.min(200_000), batch);
    line(&format!("redb: put and share, {batch} in a commit"), share, "");
}

fn main() {
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let sample = object(1);
    assert_eq!((sample.len(), lama_identity::cbor::check(&sample).is_ok()), (200, true));
    let start = Instant::now();
    let ids: Vec<Cid> = (0..count).map(|number| Cid::of_object(&object(number))).collect();
    line("making and hashing alone", ids.len() as f64 / start.elapsed().as_secs_f64(), "");
    for batch in [1_000, 10_000] {
        on_disk(count, batch);
    }
    let who = person("a");
    let mut store = open(Memory::default());
    befriend(&mut store, &who);
    let (rate, longest) = import(&mut store, &who, count, 1_000);
    line("memory: import, 1000 in a commit", rate, &format!("longest {:.0} ms", longest * 1e3));
    line("memory: replay of a view", replay(&mut store, &who), "");
}
