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
use lama_chum::{Lanes, Positions};
use lama_core::Seed;
use lama_identity::{Cid, ContactState, LocalIdentity};
use lama_store::conformance::fixture::{Dice, contact, peer, person};
use lama_store::{
    Config, Engine, Import, Memory, Object, Opening, Read, Redb, RedbOptions, Reply, Request, StorageKey,
    Store, Write,
};

/// Canonical objects of 200 bytes: `{"n": number, "$type$": "Note", "text": 169 characters}`.
fn object(number: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(200);
    bytes.extend_from_slice(b"\xa3\x61n\x1b");
    bytes.extend_from_slice(&(number | 1 << 63).to_be_bytes());
    bytes.extend_from_slice(b"\x64text\x78\xa9");
    bytes.extend((0..169_u64).map(|at| b'a' + u8::try_from((number + at) % 26).unwrap()));
    bytes.extend_from_slice(b"\x66$type$\x64Note");
    bytes.into()
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or_else(|| "?".to_owned(), |kilobytes| format!("{} MB", kilobytes / 1024))
}

/// Processor time of this process so far, in seconds, in steps of 10 ms; it says more than the clock on a machine
/// that has other work to do.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / 100.0
}

/// What one run of something took.
struct Taken {
    start: Instant,
    processor: f64,
}

impl Taken {
    fn start() -> Self {
        Self { start: Instant::now(), processor: processor_time() }
    }

    /// Rate, and microseconds of processor time each.
    fn per(&self, count: u64) -> (f64, String) {
        let each = (processor_time() - self.processor) * 1e6 / count as f64;
        (count as f64 / self.start.elapsed().as_secs_f64(), format!("{each:5.2} µs CPU"))
    }
}

fn line(what: &str, per_second: f64, more: &str) {
    println!("{what:<40} {per_second:>10.0} /s  {more}");
}

fn open<E: Engine>(engine: E) -> Store<E> {
    Store::open(
        engine,
        Config::default(),
        &StorageKey::danger_fixed([2; 32]),
        Seed::danger_fixed([1; 32]),
        Opening::Normal,
    )
    .unwrap()
}

fn befriend<E: Engine>(store: &mut Store<E>, who: &LocalIdentity) {
    let record = peer(who.person_id(), who.instance_id(), 7);
    store.commit(vec![Write::Contact(contact(who, ContactState::Active)), Write::Peer(record)]).unwrap();
}

fn append(directory: &Path, count: u64, batch: u64) -> (f64, String) {
    let mut file = std::fs::File::create(directory.join("append")).unwrap();
    let taken = Taken::start();
    for first in (0..count).step_by(usize::try_from(batch).unwrap()) {
        let mut out = Vec::new();
        (first..first + batch).for_each(|number| out.extend_from_slice(&object(number)));
        file.write_all(&out).unwrap();
        file.sync_data().unwrap();
    }
    taken.per(count)
}

/// Imports `count` objects and gives the rate, what each cost, and the longest commit in milliseconds.
fn import<E: Engine>(store: &mut Store<E>, from: &LocalIdentity, count: u64, batch: u64) -> (f64, String) {
    let taken = Taken::start();
    let mut longest = 0_f64;
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
            after: Positions::all(first),
            upto: Positions::all(first + batch),
        };
        store.commit(vec![Write::Import(import)]).unwrap();
        longest = longest.max(start.elapsed().as_secs_f64());
    }
    let (rate, cost) = taken.per(count);
    (rate, format!("{cost}, longest {:.0} ms", longest * 1e3))
}

fn put_and_share<E: Engine>(
    store: &mut Store<E>,
    with: &LocalIdentity,
    count: u64,
    batch: u64,
) -> (f64, String) {
    let taken = Taken::start();
    for first in (0..count).step_by(usize::try_from(batch).unwrap()) {
        let made: Vec<Bytes> = (first..first + batch).map(|number| object(number | 1 << 40)).collect();
        let objects: Vec<Object> = made.into_iter().map(|bytes| (Cid::of_object(&bytes), bytes)).collect();
        let ids = objects.iter().map(|object| object.0).collect();
        store
            .commit(vec![Write::Put { objects }, Write::Share { ids, persons: vec![with.person_id()] }])
            .unwrap();
    }
    taken.per(count)
}

fn replay<E: Engine>(store: &mut Store<E>, to: &LocalIdentity) -> (f64, String) {
    let (person, instance) = (to.person_id(), to.instance_id());
    let (mut after, mut seen) = (0, 0);
    let taken = Taken::start();
    loop {
        let read =
            Read::Page { person, instance, after, lanes: Lanes::ALL, max_bytes: 512 << 10, whole: true };
        let Ok(Reply::Page(page)) = store.ask(read) else { panic!() };
        if page.next == after {
            return taken.per(seen);
        }
        seen += page.entries.len() as u64;
        after = page.next;
    }
}

fn random_reads<E: Engine>(store: &mut Store<E>, count: u64) -> (f64, String) {
    let mut dice = Dice::new(1);
    let ids: Vec<Cid> = (0..20_000).map(|_| Cid::of_object(&object(dice.below(count)))).collect();
    let requests: Vec<Request> = ids.iter().map(|id| Request::Read(Read::Object(*id))).collect();
    let taken = Taken::start();
    let replies = store.execute(&requests);
    let rate = taken.per(20_000);
    assert!(replies.iter().all(|reply| matches!(reply, Ok(Reply::Object(Some(_))))));
    rate
}

fn single_messages<E: Engine>(store: &mut Store<E>, with: &LocalIdentity) -> (f64, String) {
    let taken = Taken::start();
    for number in 0..300 {
        let bytes = object(number | 1 << 41);
        let id = Cid::of_object(&bytes);
        let share = Write::Share { ids: vec![id], persons: vec![with.person_id()] };
        store.commit(vec![Write::Put { objects: vec![(id, bytes)] }, share]).unwrap();
    }
    taken.per(300)
}

/// Takes objects back one at a time from a person who may see `count` of them: the first time, and then each.
fn taking_back<E: Engine>(store: &mut Store<E>, from: &LocalIdentity, count: u64) -> String {
    let persons = vec![from.person_id()];
    let mut revoke = |number: u64| {
        let ids = vec![Cid::of_object(&object(number | 1 << 40))];
        store.commit(vec![Write::Revoke { ids, persons: persons.clone() }]).unwrap();
    };
    let taken = Taken::start();
    revoke(count / 2);
    let (rate, _) = taken.per(1);
    let taken = Taken::start();
    (0..100).for_each(|at| revoke(at * count / 100));
    let (each, cost) = taken.per(100);
    format!("{:.1} ms the first, {:.1} ms each, {cost}", 1e3 / rate, 1e3 / each)
}

fn on_disk(count: u64, batch: u64) {
    let directory = tempfile::tempdir_in(".").unwrap();
    let path = directory.path().join("store");
    let who = person("a");
    let (bare, cost) = append(directory.path(), count, batch);
    line(&format!("bare append, {batch} in a sync"), bare, &cost);
    let mut store = open(Redb::open(&path, RedbOptions::default()).unwrap());
    befriend(&mut store, &who);
    let (rate, cost) = import(&mut store, &who, count, batch);
    line(
        &format!("redb: import, {batch} in a commit"),
        rate,
        &format!("{cost}, {:.2} of the append", rate / bare),
    );
    let size = std::fs::metadata(&path).unwrap().len() / 1_000_000;
    println!("redb: file {size} MB, peak {}", peak_memory());
    let (rate, cost) = random_reads(&mut store, count);
    line("redb: random reads", rate, &cost);
    let (rate, cost) = replay(&mut store, &who);
    line("redb: replay of a view", rate, &cost);
    let (rate, cost) = single_messages(&mut store, &who);
    line("redb: put and share, one at a time", rate, &cost);
    drop(store.close().unwrap());
    for what in ["close", "a stop without close"] {
        let (start, taken) = (Instant::now(), processor_time());
        let store = open(Redb::open(&path, RedbOptions::default()).unwrap());
        let (wall, cpu) = (start.elapsed().as_secs_f64() * 1e3, (processor_time() - taken) * 1e3);
        println!("redb: opened after {what} in {wall:.0} ms, {cpu:.0} ms CPU");
        drop(store);
    }
    let mut store = open(Redb::open(&path, RedbOptions::default()).unwrap());
    let taken = Taken::start();
    let records = store.check().unwrap().records;
    let (rate, cost) = taken.per(records);
    line("redb: integrity walk", rate, &cost);
    let (rate, cost) = put_and_share(&mut store, &who, count.min(200_000), batch);
    line(&format!("redb: put and share, {batch} in a commit"), rate, &cost);
    let costs = taking_back(&mut store, &who, count.min(200_000));
    println!("redb: taking back, among {} shared: {costs}", count + count.min(200_000));
}

fn main() {
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let sample = object(1);
    assert_eq!((sample.len(), lama_identity::cbor::check(&sample).is_ok()), (200, true));
    let taken = Taken::start();
    let ids: Vec<Cid> = (0..count).map(|number| Cid::of_object(&object(number))).collect();
    let (rate, cost) = taken.per(ids.len() as u64);
    line("making and hashing alone", rate, &cost);
    for batch in [1_000, 10_000] {
        on_disk(count, batch);
    }
    let who = person("a");
    let mut store = open(Memory::default());
    befriend(&mut store, &who);
    let (rate, cost) = import(&mut store, &who, count, 1_000);
    line("memory: import, 1000 in a commit", rate, &cost);
    let (rate, cost) = replay(&mut store, &who);
    line("memory: replay of a view", rate, &cost);
}
