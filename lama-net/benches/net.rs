//! Messages over a WebSocket on loopback, and small objects from one store on disk to another.
//!
//! Peers, measured in the same run: `tokio-tungstenite` as it comes, without our guard and limits, for messages;
//! `redb` by itself, the same objects by 32-byte key, for objects.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::disallowed_methods)] // It measures time.

use std::future::poll_fn;
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::{SinkExt as _, StreamExt as _};
use lama_core::{Seed, WallTime};
use lama_identity::{Cid, Email, LocalIdentity, PersonId};
use lama_invite::{DialRules, LAMA_BASE, Policy};
use lama_net::{Dialer, Events, Handle, Link, Listen, MAX_MESSAGE, Options, Parts, Runtime, dial, upgrade};
use lama_net_tokio::Tokio;
use lama_node::{Command, Event, Reply};
use lama_store::{Opening, Redb, RedbOptions, StorageKey, Store};
use tungstenite::protocol::Role;
use zeroize::Zeroizing;

const MESSAGES: usize = 4_000;
/// Messages in a row before the other direction has its turn.
const TURN: usize = 16;
const OBJECTS: usize = 20_000;
const SIZE: usize = 200;

fn on_tokio<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap().block_on(work)
}

fn bind() -> (TcpListener, String) {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let url = format!("ws://127.0.0.1:{}", socket.local_addr().unwrap().port());
    (socket, url)
}

/// `MESSAGES` of `size` octets over one of our links, two threads.
fn over_our_link(size: usize) -> Duration {
    let (socket, url) = bind();
    let server = thread::spawn(move || {
        on_tokio(async {
            let runtime = Tokio::new();
            let listener = runtime.listener(socket).unwrap();
            let (mut wire, _) = runtime.accept(&listener).await.unwrap();
            upgrade::accept(&mut wire).await.unwrap();
            let mut link = Link::<Tokio>::new(wire, Role::Server);
            for _ in 0..MESSAGES {
                let message = poll_fn(|cx| link.poll_recv(cx, MAX_MESSAGE)).await.unwrap();
                assert_eq!(message.len(), size);
            }
        });
    });
    on_tokio(async {
        let runtime = Tokio::new();
        let mut link = dial(&runtime, &Dialer::default(), &url, DialRules::default(), Duration::from_secs(5))
            .await
            .unwrap();
        let message = Bytes::from(vec![7; size]);
        let begun = Instant::now();
        let mut sent = 0;
        poll_fn(|cx| {
            for _ in 0..TURN {
                if sent == MESSAGES || link.poll_ready(cx).is_pending() {
                    break;
                }
                link.send(message.clone()).unwrap();
                sent += 1;
                cx.waker().wake_by_ref();
            }
            // As the loop does: whoever writes reads too. A busy link takes its large buffers there.
            assert!(link.poll_recv(cx, MAX_MESSAGE).is_pending() || sent == MESSAGES);
            if sent == MESSAGES && link.poll_flush(cx).is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        server.join().unwrap();
        begun.elapsed()
    })
}

/// The same over `tokio-tungstenite` with its own settings.
fn over_tungstenite(size: usize) -> Duration {
    let (socket, url) = bind();
    let server = thread::spawn(move || {
        on_tokio(async {
            let socket = tokio::net::TcpListener::from_std(socket).unwrap();
            let (stream, _) = socket.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            for _ in 0..MESSAGES {
                assert_eq!(socket.next().await.unwrap().unwrap().len(), size);
            }
        });
    });
    on_tokio(async {
        let stream = tokio::net::TcpStream::connect(url.trim_start_matches("ws://")).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(&url, stream).await.unwrap();
        let message = Bytes::from(vec![7; size]);
        let begun = Instant::now();
        for _ in 0..MESSAGES {
            socket.feed(message.clone().into()).await.unwrap();
        }
        socket.flush().await.unwrap();
        server.join().unwrap();
        begun.elapsed()
    })
}

fn messages(c: &mut Criterion) {
    let mut group = c.benchmark_group("websocket");
    group.sample_size(10);
    for (name, size) in [("1 KiB", 1 << 10), ("64 KiB", 65_000)] {
        group.throughput(Throughput::Bytes((MESSAGES * size) as u64));
        group.bench_function(format!("ours/{name}"), |b| {
            b.iter_custom(|n| (0..n).map(|_| over_our_link(size)).sum());
        });
        group.bench_function(format!("peer: tokio-tungstenite/{name}"), |b| {
            b.iter_custom(|n| (0..n).map(|_| over_tungstenite(size)).sum());
        });
    }
    group.finish();
}

/// A node on disk with what it says.
struct Running {
    handle: Handle,
    events: Events,
}

impl Running {
    fn ask(&self, command: Command) -> Reply {
        smol::block_on(self.handle.command(command)).unwrap()
    }

    fn in_sync(&mut self, total: u64) {
        loop {
            match smol::block_on(self.events.next()) {
                Some(Ok(Event::InSync { count, .. })) if count >= total => return,
                Some(_) => {}
                None => panic!("ended"),
            }
        }
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

/// Two nodes that are contacts: the listening one on tokio, the other on smol.
fn pair(dir: &Path) -> (Running, Running, PersonId) {
    let options = Options { listen: Listen::Free, ..Options::default() };
    let (handle, events) = lama_net_tokio::start(parts(dir, "sender@lama.test", 1), options).unwrap();
    let a = Running { handle, events };
    let (handle, events) =
        lama_net_smol::start(parts(dir, "receiver@lama.test", 2), Options::default()).unwrap();
    let b = Running { handle, events };
    let seed = Seed::danger_fixed([7; 32]);
    let invite = Command::Invite { policy: Policy::Auto, lifetime: None, label: String::new(), seed };
    let Reply::Invitation { invitation, .. } = a.ask(invite) else { panic!("no invitation") };
    let link = Zeroizing::new(invitation.to_link(LAMA_BASE).unwrap().to_string());
    b.ask(Command::Join { link, rules: DialRules::default() });
    let Reply::Contacts(contacts) = a.ask(Command::Contacts) else { panic!("no contacts") };
    (a, b, contacts[0].person)
}

/// `OBJECTS` small objects no run had before, and one that holds them together.
fn objects(run: &mut u64) -> (Vec<(Cid, Bytes)>, Cid) {
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
    let mut all = Vec::with_capacity(OBJECTS + 1);
    for _ in 0..OBJECTS {
        *run += 1;
        let small = Small { type_name: "Small".into(), n: (1 << 40) + *run, text: "x".repeat(SIZE - 37) };
        let bytes = lama_identity::cbor::encode(&small).unwrap();
        all.push((Cid::of_object(&bytes), bytes));
    }
    let many = Many { type_name: "Many".into(), parts: all.iter().map(|(id, _)| *id).collect() };
    let bytes = lama_identity::cbor::encode(&many).unwrap();
    let root = Cid::of_object(&bytes);
    all.push((root, bytes));
    (all, root)
}

/// From the call that shares to both ends saying that they hold the same, everything durable.
fn synchronised(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let mut group = c.benchmark_group("end to end: 200-byte objects, durable on both sides");
    group.sample_size(10).throughput(Throughput::Elements(OBJECTS as u64));
    let (a, mut b, with) = pair(dir.path());
    let (mut run, mut total) = (0, 0);
    group.bench_function("ours", |bench| {
        bench.iter_custom(|n| {
            (0..n)
                .map(|_| {
                    let (all, root) = objects(&mut run);
                    for chunk in all.chunks(5000) {
                        a.ask(Command::Put { objects: chunk.to_vec() });
                    }
                    total += all.len() as u64;
                    let begun = Instant::now();
                    a.ask(Command::Share { root, with: vec![with], note: None });
                    b.in_sync(total);
                    begun.elapsed()
                })
                .sum()
        });
    });
    let table = redb::TableDefinition::<&[u8], &[u8]>::new("objects");
    let database = redb::Database::create(dir.path().join("peer.redb")).unwrap();
    group.bench_function("peer: redb alone, 4,096 in a commit", |bench| {
        bench.iter_custom(|n| {
            (0..n)
                .map(|_| {
                    let (all, _) = objects(&mut run);
                    let begun = Instant::now();
                    for chunk in all.chunks(4096) {
                        let write = database.begin_write().unwrap();
                        let mut rows = write.open_table(table).unwrap();
                        for (id, bytes) in chunk {
                            rows.insert(id.digest().as_slice(), bytes.as_ref()).unwrap();
                        }
                        drop(rows);
                        write.commit().unwrap();
                    }
                    begun.elapsed()
                })
                .sum()
        });
    });
    group.finish();
    let (done, ended) = mpsc::channel();
    for node in [a, b] {
        let done = done.clone();
        thread::spawn(move || {
            smol::block_on(node.handle.shutdown()).ok();
            done.send(()).ok();
        });
    }
    drop(done);
    while ended.recv().is_ok() {}
}

criterion_group!(benches, messages, synchronised);
criterion_main!(benches);
