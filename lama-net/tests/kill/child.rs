//! What is killed: a node that takes commands from its standard input, a line each.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use lama_core::{Seed, WallTime};
use lama_identity::{Cid, Email, LocalIdentity};
use lama_invite::{DialRules, LAMA_BASE, Policy};
use lama_net::{Events, Handle, Listen, Options, Parts};
use lama_node::{Command, Event, Reply};
use lama_store::{Engine, Opening, Redb, RedbOptions, StorageKey, Store};
use zeroize::Zeroizing;

use crate::counting::Counting;
use crate::work::Work;

/// Names the directory of a child; without it the test below does nothing.
pub(crate) const CHILD: &str = "LAMA_NET_CHILD";

/// Opens a store as a child does. Each life draws its seed anew, as a real process would.
pub(crate) fn open<E: Engine>(engine: E) -> Store<E> {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    bytes[4..12].copy_from_slice(&(since.as_nanos() as u64).to_be_bytes());
    let (config, key) = (lama_store::Config::default(), StorageKey::danger_fixed([2; 32]));
    Store::open(engine, config, &key, Seed::danger_fixed(bytes), Opening::Normal).unwrap()
}

fn parts(dir: &Path) -> Parts {
    let name = dir.file_name().unwrap().to_str().unwrap();
    let seed = Seed::danger_fixed([name.len() as u8; 32]);
    let email: Email = format!("{name}@lama.test").parse().unwrap();
    let identity = LocalIdentity::create(email, "child", seed, WallTime::from_unix_seconds(1_700_000_000));
    let engine = Redb::open(&dir.join("store"), RedbOptions::default()).unwrap();
    let store = Counting::new(open(engine), dir);
    Parts::new(lama_node::Config::default(), identity.unwrap(), store)
}

fn start(dir: &Path) -> (Handle, Events) {
    let port = std::fs::read_to_string(dir.join("port")).ok().and_then(|port| port.parse().ok());
    let listen = port.map_or(Listen::Free, Listen::Port);
    let options = Options { listen, event_buffer: 65_536, ..Options::default() };
    if dir.ends_with("tokio") {
        lama_net_tokio::start(parts(dir), options).unwrap()
    } else {
        lama_net_smol::start(parts(dir), options).unwrap()
    }
}

/// Not a test of its own: what the other one kills.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let (handle, mut events) = start(&dir);
    let ask = |command| smol::block_on(handle.command(command)).unwrap();
    let Reply::Status(status) = ask(Command::Status) else { panic!("no status") };
    let port = status.listening[0].rsplit(':').next().unwrap().to_owned();
    std::fs::write(dir.join("port"), port).unwrap();
    std::thread::spawn(move || {
        while let Some(event) = smol::block_on(events.next()) {
            match event.expect("events are fetched in time") {
                Event::InSync { count, fingerprint, .. } => println!("> synced {count} {:?}", fingerprint.0),
                Event::OutOfSync { .. } => println!("> synced"),
                _ => {}
            }
        }
    });
    println!("> ready");
    for line in std::io::stdin().lock().lines().map(Result::unwrap) {
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "invite" => {
                let seed = Seed::danger_fixed([7; 32]);
                let invite =
                    Command::Invite { policy: Policy::Auto, lifetime: None, label: String::new(), seed };
                let Reply::Invitation { invitation, .. } = ask(invite) else { panic!("no invitation") };
                println!("> link {}", invitation.to_link(LAMA_BASE).unwrap().as_str());
            }
            "join" => {
                let rules = DialRules::default();
                ask(Command::Join { link: Zeroizing::new(rest.to_owned()), rules });
                println!("> joined");
            }
            "share" => {
                let (handle, work) = (handle.clone(), Work { seed: rest.parse().unwrap() });
                std::thread::spawn(move || share(&handle, work));
            }
            "has" => {
                let id: Cid = rest.parse().unwrap();
                let Reply::Object(object) = ask(Command::Object { id }) else { panic!("no answer") };
                println!("> has {}", object.is_some());
            }
            "check" => {
                let Reply::StoreChecked(_) = ask(Command::CheckStore) else { panic!("not checked") };
                println!("> checked");
            }
            other => panic!("{other}?"),
        }
    }
    smol::block_on(handle.shutdown()).unwrap();
}

/// Objects in a few commits, then the share: the kill may come between any two of them.
fn share(handle: &Handle, work: Work) {
    let ask = |command| smol::block_on(handle.command(command)).unwrap();
    let Reply::Contacts(contacts) = ask(Command::Contacts) else { panic!("no contacts") };
    let objects = work.objects();
    let root = objects.last().unwrap().0;
    for some in objects.chunks(100) {
        ask(Command::Put { objects: some.to_vec() });
    }
    ask(Command::Share { root, with: vec![contacts[0].person], note: None });
    println!("> shared");
}
