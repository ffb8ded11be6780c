//! The hot paths, one at a time, to have their instructions counted: `cargo xtask bench icount` runs this program under
//! callgrind, once for each path, and compares with `icount.budget`. Instructions do not depend on what else a machine
//! has to do; the processor's features are those that valgrind shows to the program.
//!
//! Started with the name of a path it prepares the input and then calls [`measured`]; without one it lists the names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lama_chum::recon::{
    Decoder, Outcome, ShortKey, Sketch, cells, compare, read_cells, read_list, scale, write_cells, write_list,
};
use lama_chum::{Fingerprint, Lanes, PairKey, Positions};
use lama_core::Seed;
use lama_handshake::noise::{CipherState, HandshakeState, Pattern, Setup};
use lama_handshake::record::{MAX_BODY, Opener, Sealer};
use lama_handshake::{RecordType, RekeyLimits};
use lama_identity::{Cid, ContactState, LocalIdentity, NoiseSecret, cbor};
use lama_invite::{DialRules, Policy};
use lama_node::{Command, Reply};
use lama_sim::{ActorConfig, World, WorldConfig};
use lama_store::conformance::fixture::{contact, peer, person};
use lama_store::{Config, Import, Memory, Object, Opening, Read, StorageKey, Store, Write};

/// What is measured, once its input is there.
type Work = Box<dyn FnMut()>;

/// A path by its name, and what prepares it.
type Path = (&'static str, fn() -> Work);

const PATHS: &[Path] = &[
    ("check-1000-objects", check),
    ("handshake-both-sides", handshake),
    ("seal-16-full-records", seal),
    ("open-16-full-records", open),
    ("import-1000-objects", import),
    ("replay-1000-objects", replay),
    ("pair-and-sync", pairing),
    ("sketch-1000-ids", sketch),
    ("cells-1508-of-10000-ids", encode),
    ("decode-1000-differences", decode),
    ("list-10000-ids", list),
];

fn main() {
    let Some(name) = std::env::args().skip(1).find(|arg| !arg.starts_with('-')) else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let (_, prepare) = PATHS.iter().find(|(known, _)| *known == name).expect("a name of the list");
    measured(&mut prepare());
}

/// Counting begins and ends with this function: its name is what callgrind is told.
#[inline(never)]
fn measured(work: &mut Work) {
    work();
}

/// Canonical objects of 200 bytes: `{"n": number, "$type$": "Note", "text": 169 characters}`.
fn objects(count: u64) -> Vec<Object> {
    let object = |number: u64| {
        let mut bytes = Vec::with_capacity(200);
        bytes.extend_from_slice(b"\xa3\x61n\x1b");
        bytes.extend_from_slice(&(number | 1 << 63).to_be_bytes());
        bytes.extend_from_slice(b"\x64text\x78\xa9");
        bytes.extend((0..169_u64).map(|at| b'a' + u8::try_from((number + at) % 26).unwrap()));
        bytes.extend_from_slice(b"\x66$type$\x64Note");
        let bytes = Bytes::from(bytes);
        (Cid::of_object(&bytes), bytes)
    };
    (0..count).map(object).collect()
}

fn check() -> Work {
    let objects = objects(1_000);
    Box::new(move || {
        for (_, bytes) in &objects {
            black_box(cbor::check(bytes).unwrap());
        }
    })
}

fn handshake() -> Work {
    let secret = |n| NoiseSecret::from_seed(Seed::danger_fixed([n; 32]));
    Box::new(move || {
        let (i, r) = (secret(1), secret(2));
        let setup = |initiator, remote_static, local_static| {
            let psks: &[&[u8; 32]] = &[&[9; 32]];
            let pattern = Pattern::XK_PSK3;
            let setup = Setup { pattern, initiator, prologue: &[7; 30], local_static, remote_static, psks };
            HandshakeState::new(&setup).unwrap()
        };
        let (mut a, mut b) = (setup(true, Some(r.public()), None), setup(false, None, Some(r.public())));
        let mut out = BytesMut::with_capacity(64);
        a.set_ephemeral(secret(3));
        a.write(Some(&i), &[], &mut out).unwrap();
        b.read(Some(&r), &out.split()).unwrap();
        b.set_ephemeral(secret(4));
        b.write(Some(&r), &[], &mut out).unwrap();
        a.read(Some(&i), &out.split()).unwrap();
        a.write(Some(&i), &[], &mut out).unwrap();
        b.read(Some(&r), &out.split()).unwrap();
        black_box((a.split().unwrap(), b.split().unwrap()));
    })
}

/// A sealer, and records that it has sealed.
fn sealed(records: usize) -> (Sealer, Vec<BytesMut>) {
    let mut sealer = Sealer::new(CipherState::new(&[1; 32]), RekeyLimits::default());
    let body = vec![0x5a; MAX_BODY];
    let mut seal = |_| {
        let mut out = BytesMut::new();
        sealer.seal(RecordType::Data, &body, &mut out).unwrap();
        out
    };
    let records = (0..records).map(&mut seal).collect();
    (sealer, records)
}

fn seal() -> Work {
    let (mut sealer, _) = sealed(1);
    let body = vec![0x5a; MAX_BODY];
    let mut out = BytesMut::with_capacity(70_000);
    Box::new(move || {
        for _ in 0..16 {
            out.clear();
            sealer.seal(RecordType::Data, &body, &mut out).unwrap();
        }
    })
}

fn open() -> Work {
    let (_, mut records) = sealed(16);
    let mut opener = Opener::new(CipherState::new(&[1; 32]), RekeyLimits::default());
    Box::new(move || {
        for record in &mut records {
            opener.open(record).unwrap();
        }
    })
}

/// A store in memory that has one contact.
fn store() -> (Store<Memory>, LocalIdentity) {
    let who = person("eve");
    let seed = Seed::danger_fixed([1; 32]);
    let mut store = Store::open(
        Memory::default(),
        Config::default(),
        &StorageKey::danger_fixed([7; 32]),
        seed,
        Opening::Normal,
    )
    .unwrap();
    let record = peer(who.person_id(), who.instance_id(), 7);
    store.commit(vec![Write::Contact(contact(&who, ContactState::Active)), Write::Peer(record)]).unwrap();
    (store, who)
}

fn import() -> Work {
    let (mut store, from) = store();
    let received: Vec<Bytes> = objects(1_000).into_iter().map(|(_, bytes)| bytes).collect();
    Box::new(move || {
        let objects = received.iter().map(|bytes| (Cid::of_object(bytes), bytes.clone())).collect();
        let (person, instance) = (from.person_id(), from.instance_id());
        let import = Import {
            person,
            instance,
            objects,
            epoch: [9; 8],
            after: Positions::all(0),
            upto: Positions::all(1_000),
        };
        store.commit(vec![Write::Import(import)]).unwrap();
    })
}

fn replay() -> Work {
    let (mut store, to) = store();
    let objects = objects(1_000);
    let ids = objects.iter().map(|object| object.0).collect();
    let share = Write::Share { ids, persons: vec![to.person_id()] };
    store.commit(vec![Write::Put { objects }, share]).unwrap();
    let (person, instance) = (to.person_id(), to.instance_id());
    Box::new(move || {
        let read =
            Read::Page { person, instance, after: 0, lanes: Lanes::ALL, max_bytes: 1 << 20, whole: true };
        black_box(store.ask(read).unwrap());
    })
}

fn short_key() -> ShortKey {
    PairKey::new([7; 32]).short_key(0)
}

/// Short ids from `first` on.
fn shorts(first: u64, count: u64) -> Vec<u64> {
    (first..first + count).map(|n| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)).collect()
}

/// What each new entry of a view costs for each instance: its fingerprint and 32 cells.
fn sketch() -> Work {
    let ids: Vec<Cid> = objects(1_000).into_iter().map(|object| object.0).collect();
    let (key, by) = (short_key(), PairKey::new([7; 32]).fingerprinter());
    Box::new(move || {
        let (mut sketch, mut fingerprint) = (Sketch::default(), Fingerprint::default());
        for id in &ids {
            sketch.add(&key, key.short(id));
            fingerprint.add(&by, id);
        }
        black_box((sketch, fingerprint));
    })
}

fn encode() -> Work {
    let (key, ids) = (short_key(), shorts(0, 10_000));
    Box::new(move || {
        let mut out = BytesMut::with_capacity(30_000);
        write_cells(&cells(&key, &ids, 0, 1_508), 0, 10_000, &mut out);
        black_box(out);
    })
}

fn decode() -> Work {
    let key = short_key();
    let (a, b) = (cells(&key, &shorts(0, 2_000), 0, 1_508), cells(&key, &shorts(1_000, 1_000), 0, 1_508));
    let mut theirs = BytesMut::new();
    write_cells(&b, 0, 1_000, &mut theirs);
    Box::new(move || {
        let read = read_cells(&theirs, 0, 1_000, 1_000).unwrap();
        let mut decoder = Decoder::new(key.clone());
        assert_eq!(decoder.extend(&read, &a), Ok(Outcome::Done));
        assert_eq!(black_box(decoder).differences().ours.len(), 1_000);
    })
}

fn list() -> Work {
    let scaled = |first: u64| {
        let mut ids: Vec<u64> = shorts(first, 10_000).iter().map(|short| scale(*short, 10_000)).collect();
        ids.sort_unstable();
        ids
    };
    let (ours, theirs) = (scaled(0), scaled(5_000));
    Box::new(move || {
        let mut out = BytesMut::with_capacity(30_000);
        write_list(0, theirs.iter().copied(), &mut out);
        let listed = read_list(&out, 0, u64::MAX, theirs.len()).unwrap();
        black_box(compare(&listed, &ours));
    })
}

/// Two nodes, from the link to a hundred messages at the other side.
fn pairing() -> Work {
    let mut world = World::new(WorldConfig::default(), 1);
    let inviter = world.add(ActorConfig::new("node-demo@lama.local", Some("ws://localhost:8765")));
    let joiner = world.add(ActorConfig::new("demo@lama.local", None));
    world.run_for(Duration::from_secs(1));
    let seed = world.seed();
    let invite = Command::Invite { policy: Policy::Auto, lifetime: None, label: String::new(), seed };
    let Ok(Reply::Invitation { invitation, .. }) = world.ask(inviter, invite) else {
        panic!("no invitation")
    };
    let link = invitation.to_link(lama_invite::LAMA_BASE).unwrap();
    Box::new(move || {
        world.command(joiner, Command::Join { link: link.clone(), rules: DialRules::default() });
        world.run_for(Duration::from_secs(5));
        let to = world.person(inviter);
        for n in 0..100 {
            world.command(joiner, Command::Send { to, channel: None, text: format!("message {n}") });
        }
        world.run_for(Duration::from_secs(5));
    })
}
