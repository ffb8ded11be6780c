//! A node that takes commands from its standard input, a line each, and answers in lines that begin with `> `.

use std::io::BufRead as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lama_chum::blob::{BlobConfig, Chunker};
use lama_core::{Seed, WallTime};
use lama_identity::{Cid, Email, LocalIdentity, PersonId};
use lama_invite::{DialRules, LAMA_BASE, Policy};
use lama_net::{Events, Handle, Listen, Options, Parts};
use lama_node::{Command, Event, Reply};
use lama_store::{Opening, Redb, RedbOptions, StorageKey, Store};
use zeroize::Zeroizing;

use crate::{data, usage};

/// Microseconds from the stamp in a message to its event, and to the event that says it is durable.
type Seen = Arc<Mutex<Vec<(u64, Option<u64>)>>>;

fn parts(runtime: &str, dir: &Path) -> Parts {
    let mut seed = [0; 32];
    getrandom(&mut seed);
    let seed = Seed::danger_fixed(seed);
    let identity_seed = Seed::danger_fixed([runtime.len() as u8; 32]);
    let email: Email = format!("{runtime}@lama.test").parse().unwrap();
    let wall = WallTime::from_unix_seconds(1_700_000_000);
    let identity = LocalIdentity::create(email, "bench", identity_seed, wall).unwrap();
    let engine = Redb::open(&dir.join("store"), RedbOptions::default()).unwrap();
    let (config, key) = (lama_store::Config::default(), StorageKey::danger_fixed([2; 32]));
    let store = Store::open(engine, config, &key, seed, Opening::Normal).unwrap();
    Parts::new(lama_node::Config::default(), identity, store)
}

/// A seed for each life; it needs to differ, and nothing more.
fn getrandom(seed: &mut [u8; 32]) {
    seed[..8].copy_from_slice(&usage::stamp().to_le_bytes());
    seed[8..12].copy_from_slice(&std::process::id().to_le_bytes());
}

pub(crate) fn run(runtime: &str, dir: &Path) {
    let port = std::fs::read_to_string(dir.join("port")).ok().and_then(|port| port.parse().ok());
    let listen = port.map_or(Listen::Free, Listen::Port);
    let options = Options { listen, event_buffer: 1 << 17, ..Options::default() };
    let (handle, events) = match runtime {
        "tokio" => lama_net_tokio::start(parts(runtime, dir), options).unwrap(),
        _ => lama_net_smol::start(parts(runtime, dir), options).unwrap(),
    };
    let seen = Seen::default();
    let shared = Arc::clone(&seen);
    std::thread::spawn(move || watch(events, &shared));
    let node = Node { handle, seen };
    let port = node.port();
    std::fs::write(dir.join("port"), port.to_string()).unwrap();
    println!("> ready");
    let mut cpu = Duration::ZERO;
    for line in std::io::stdin().lock().lines().map(Result::unwrap) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["used"] => {
                let now = usage::cpu_time();
                println!("> used {} {}", usage::peak_memory(), (now - cpu).as_secs_f64());
                usage::forget_peak();
                cpu = now;
            }
            ["memory"] => println!("> memory {}", usage::memory()),
            words => node.command(words),
        }
    }
    smol::block_on(node.handle.shutdown()).unwrap();
}

fn watch(mut events: Events, seen: &Seen) {
    let (mut open, mut reported) = (Vec::new(), 0);
    while let Some(event) = smol::block_on(events.next()) {
        match event {
            Ok(Event::InSync { count, .. }) => println!("> synced {} {count}", usage::stamp()),
            Ok(Event::Message(entry)) => {
                let now = usage::stamp();
                let sent = Some(&entry.text).and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
                if let Some(sent) = sent {
                    let mut seen = seen.lock().unwrap();
                    open.push((seen.len(), sent));
                    seen.push((now.saturating_sub(sent), None));
                }
            }
            Ok(Event::Received { .. }) => {
                let now = usage::stamp();
                let mut seen = seen.lock().unwrap();
                for (at, sent) in open.drain(..) {
                    seen[at].1 = Some(now.saturating_sub(sent));
                }
            }
            Ok(Event::Progress { progress, .. }) if progress.received.bytes > reported + (100 << 20) => {
                reported = progress.received.bytes;
                println!("> received {} {reported}", usage::stamp());
            }
            Ok(Event::SessionEnded { reason, traffic, .. }) => {
                println!("> traffic {} {}", traffic.bytes_out, traffic.bytes_in);
                eprintln!("a session ended: {reason:?}");
            }
            Ok(_) => {}
            Err(lagged) => eprintln!("{lagged}"),
        }
    }
}

struct Node {
    handle: Handle,
    seen: Seen,
}

impl Node {
    fn ask(&self, command: Command) -> Reply {
        smol::block_on(self.handle.command(command)).unwrap()
    }

    fn port(&self) -> u16 {
        let Reply::Status(status) = self.ask(Command::Status) else { panic!("no status") };
        status.listening[0].rsplit(':').next().unwrap().parse().unwrap()
    }

    fn contact(&self) -> PersonId {
        let Reply::Contacts(contacts) = self.ask(Command::Contacts) else { panic!("no contacts") };
        contacts[0].person
    }

    fn share(&self, root: Cid) {
        self.ask(Command::Share { root, with: vec![self.contact()], note: None });
    }

    fn command(&self, words: &[&str]) {
        match words {
            ["invite"] => {
                let seed = Seed::danger_fixed([7; 32]);
                let invite =
                    Command::Invite { policy: Policy::Auto, lifetime: None, label: String::new(), seed };
                let Reply::Invitation { invitation, .. } = self.ask(invite) else { panic!("no invitation") };
                println!("> link {}", invitation.to_link(LAMA_BASE).unwrap().as_str());
            }
            ["move"] => {
                smol::block_on(self.handle.listen(Listen::Free)).unwrap();
                println!("> moved {}", self.port());
            }
            ["port"] => println!("> port {}", self.port()),
            ["join", link] => {
                let rules = DialRules::default();
                self.ask(Command::Join { link: Zeroizing::new((*link).to_owned()), rules });
                println!("> joined");
            }
            ["make", from, count] => {
                let (from, count): (u64, u64) = (from.parse().unwrap(), count.parse().unwrap());
                for at in (from..from + count).step_by(data::LINKS as usize) {
                    let all = data::objects(at, data::LINKS.min(from + count - at));
                    let root = all.last().unwrap().0;
                    self.ask(Command::Put { objects: all });
                    println!("> root {root}");
                }
                println!("> made");
            }
            ["cut", path] => println!("> blob {}", self.cut(Path::new(path))),
            ["share", root] => {
                self.share(root.parse().unwrap());
                println!("> shared");
            }
            ["messages", count, every_us] => {
                self.messages(count.parse().unwrap(), Duration::from_micros(every_us.parse().unwrap()));
            }
            ["seen"] => {
                let all = std::mem::take(&mut *self.seen.lock().unwrap());
                let all: Vec<String> = all
                    .into_iter()
                    .map(|(seen, durable)| format!("{seen}/{}", durable.unwrap_or(0)))
                    .collect();
                println!("> seen {}", all.join(" "));
            }
            other => panic!("{other:?}?"),
        }
    }

    /// A file as a blob, without holding more than a few chunks.
    fn cut(&self, path: &Path) -> Cid {
        let mut file = std::fs::File::open(path).unwrap();
        let mut chunker = Chunker::new(BlobConfig::default()).unwrap();
        let mut buffer = vec![0; 256 << 10];
        let mut batch = Vec::new();
        loop {
            let read = std::io::Read::read(&mut file, &mut buffer).unwrap();
            if read == 0 {
                break;
            }
            let mut data = &buffer[..read];
            while !data.is_empty() {
                batch.extend(chunker.push(&mut data).unwrap());
            }
            if batch.len() >= 16 {
                self.ask(Command::Put { objects: std::mem::take(&mut batch) });
            }
        }
        let finished = chunker.finish().unwrap();
        batch.extend(finished.objects);
        self.ask(Command::Put { objects: batch });
        finished.root
    }

    /// Messages at even distances, each with the time at which it was written.
    fn messages(&self, count: u64, every: Duration) {
        let to = self.contact();
        for _ in 0..count {
            let text = format!("{} a message of the usual length, which says something", usage::stamp());
            self.ask(Command::Send { to, channel: None, text });
            std::thread::sleep(every);
        }
        println!("> sent");
    }
}
