//! How many small objects a second go from one store on disk to another, over a WebSocket on loopback, between two
//! processes: `cargo run --release -p lama-net --example throughput [OBJECTS]`.
//!
//! The sender runs on tokio, the receiver on smol. Each prints its peak of memory and its processor time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)] // It measures time.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lama_core::{Seed, WallTime};
use lama_identity::{Cid, Email, LocalIdentity};
use lama_invite::{DialRules, LAMA_BASE, Policy};
use lama_net::{Listen, Options, Parts};
use lama_node::{Command, Event, Reply};
use lama_store::{Opening, Redb, RedbOptions, StorageKey, Store};
use zeroize::Zeroizing;

/// Octets of one object.
const SIZE: usize = 200;
/// Links in one object that holds others together.
const LINKS: usize = 10_000;

fn main() {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("receive") => receive(Path::new(&args.next().unwrap()), args.next().unwrap().parse().unwrap()),
        Some(objects) => send(objects.parse().unwrap()),
        None => send(100_000),
    }
}

fn parts(dir: &Path, email: &str, seed: u8) -> Parts {
    let seeded = |label: u8| Seed::danger_fixed([seed, label].repeat(16).try_into().unwrap());
    let email: Email = email.parse().unwrap();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let wall = WallTime::from_unix_seconds(since.as_secs());
    let identity = LocalIdentity::create(email, "bench", seeded(1), wall).unwrap();
    let engine = Redb::open(&dir.join(format!("{seed}.redb")), RedbOptions::default()).unwrap();
    let store = Store::open(
        engine,
        lama_store::Config::default(),
        &StorageKey::danger_fixed([2; 32]),
        seeded(2),
        Opening::Normal,
    )
    .unwrap();
    Parts::new(lama_node::Config::default(), identity, store)
}

/// Small objects, the objects that hold them together, and the root of all.
fn objects(count: usize) -> (Vec<(Cid, Bytes)>, Cid) {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Small {
        #[serde(rename = "$type$")]
        type_name: String,
        n: u64,
        text: String,
    }
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Many {
        #[serde(rename = "$type$")]
        type_name: String,
        parts: Vec<Cid>,
    }
    let mut all = Vec::with_capacity(count + count / LINKS + 2);
    for n in 0..count as u64 {
        let small = Small { type_name: "Small".into(), n: (1 << 40) + n, text: String::new() };
        let empty = lama_identity::cbor::encode(&small).unwrap().len();
        let small = Small { text: "x".repeat(SIZE - empty - 1), ..small };
        let bytes = lama_identity::cbor::encode(&small).unwrap();
        assert_eq!(bytes.len(), SIZE);
        all.push((Cid::of_object(&bytes), bytes));
    }
    let many = |parts: Vec<Cid>| {
        let bytes = lama_identity::cbor::encode(&Many { type_name: "Many".into(), parts }).unwrap();
        (Cid::of_object(&bytes), bytes)
    };
    let groups: Vec<(Cid, Bytes)> =
        all.chunks(LINKS).map(|chunk| many(chunk.iter().map(|(id, _)| *id).collect())).collect();
    let root = many(groups.iter().map(|(id, _)| *id).collect());
    let id = root.0;
    all.extend(groups);
    all.push(root);
    (all, id)
}

fn send(count: usize) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { listen: Listen::Free, ..Options::default() };
    let (handle, _events) = lama_net_tokio::start(parts(dir.path(), "sender@lama.test", 1), options).unwrap();
    let ask = |command| smol::block_on(handle.command(command)).unwrap();
    let (all, root) = objects(count);
    let total = all.len();
    let begun = Instant::now();
    for chunk in all.chunks(5000) {
        ask(Command::Put { objects: chunk.to_vec() });
    }
    drop(all);
    rate("stored at the sender", total, begun.elapsed());

    let mut receiver = Process::new(std::env::current_exe().unwrap())
        .arg("receive")
        .arg(dir.path())
        .arg(total.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(receiver.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut to = receiver.stdin.take().unwrap();
    let seed = Seed::danger_fixed([7; 32]);
    let invite = Command::Invite { policy: Policy::Auto, lifetime: None, label: String::new(), seed };
    let Reply::Invitation { invitation, .. } = ask(invite) else { panic!("no invitation") };
    writeln!(to, "{}", invitation.to_link(LAMA_BASE).unwrap().as_str()).unwrap();
    assert_eq!(lines.next().unwrap(), "paired");
    let Reply::Contacts(contacts) = ask(Command::Contacts) else { panic!("no contacts") };
    let cpu = cpu_time();
    let begun = Instant::now();
    ask(Command::Share { root, with: vec![contacts[0].person], note: None });
    println!("shared after {:.2} s", begun.elapsed().as_secs_f64());
    assert_eq!(lines.next().unwrap(), "in sync");
    let elapsed = begun.elapsed();
    rate("synchronised, durable on both sides", total, elapsed);
    usage("sender", cpu_time() - cpu);
    for line in lines {
        println!("{line}");
    }
    drop(to);
    smol::block_on(handle.shutdown()).unwrap();
    receiver.wait().unwrap();
}

fn receive(dir: &Path, total: u64) {
    let parts = parts(dir, "receiver@lama.test", 2);
    let (handle, mut events) = lama_net_smol::start(parts, Options::default()).unwrap();
    let mut link = String::new();
    std::io::stdin().read_line(&mut link).unwrap();
    let join = Command::Join { link: Zeroizing::new(link.trim().to_owned()), rules: DialRules::default() };
    smol::block_on(handle.command(join)).unwrap();
    let cpu = cpu_time();
    println!("paired");
    loop {
        match smol::block_on(events.next()) {
            Some(Ok(Event::InSync { count, .. })) if count >= total => break,
            Some(_) => {}
            None => panic!("ended"),
        }
    }
    println!("in sync");
    usage("receiver", cpu_time() - cpu);
    smol::block_on(handle.shutdown()).unwrap();
}

fn rate(what: &str, objects: usize, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64();
    println!("{objects} objects {what}: {seconds:.2} s, {:.0} a second", objects as f64 / seconds);
}

fn usage(who: &str, cpu: Duration) {
    println!("{who}: peak memory {} MB, processor {:.2} s", peak_memory() / 1024, cpu.as_secs_f64());
}

/// KiB, as Linux knows it; 0 elsewhere.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// User and system time of all threads, as Linux knows it (100 ticks a second); 0 elsewhere.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
