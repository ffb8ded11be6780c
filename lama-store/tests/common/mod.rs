//! A workload whose every commit can be told apart afterwards.
#![allow(dead_code, unreachable_pub)]

use bytes::Bytes;
use lama_chum::Positions;
use lama_core::Seed;
use lama_identity::{Cid, ContactState, LocalIdentity};
use lama_store::conformance::fixture::{Dice, contact, ids, linked, note, notes, peer, person, storage_key};
use lama_store::{Config, Engine, Import, Object, Opening, Read, Reply, Store, Write};

/// Few entries in memory, so that merging goes on all the time.
pub const CONFIG: Config = Config {
    recent_entries: 40,
    max_aside_objects: 10_000,
    max_aside_bytes: 64 << 20,
    max_person_bytes: 1 << 40,
    max_person_objects: 1 << 40,
    max_person_bytes_per_hour: 1 << 40,
    max_person_refused: 1 << 40,
    max_versions: 512,
    max_page_entries: 10_000,
    max_page_walk: 16_384,
    max_page_bytes: 8 << 20,
    max_closure: 1 << 20,
    max_group_bytes: 20_000,
    sample_entries: 1_000,
    new_epoch_after_crash: true,
};

/// Name of the setting that holds the number of the last commit.
const LAST: &str = "last";

pub fn open<E: Engine>(engine: E, seed: u8) -> Store<E> {
    Store::open(engine, CONFIG, &storage_key(), Seed::danger_fixed([seed; 32]), Opening::Normal).unwrap()
}

/// The persons of the workload.
pub struct Cast {
    a: LocalIdentity,
    b: LocalIdentity,
}

impl Cast {
    pub fn new() -> Self {
        Self { a: person("a"), b: person("b") }
    }

    /// What commit `number` brings: own objects (a chunk now and then), and objects from `a` with links.
    fn objects(number: u64) -> (Vec<Object>, Vec<Object>) {
        let count = usize::try_from(Dice::new(number).below(30)).unwrap() + 1;
        let mut own = notes(&format!("own {number}"), count);
        own.push(linked(&format!("root {number}"), &ids(&own), &[]));
        if number % 7 == 3 {
            let chunk = Bytes::from(vec![u8::try_from(number % 251).unwrap(); 100_000]);
            own.push((Cid::of_chunk(&chunk), chunk));
        }
        // Each waits for one that comes with the next commit.
        let mut theirs = notes(&format!("theirs {number}"), count);
        theirs.push(linked(&format!("waits {number}"), &[note(&format!("theirs {} 0", number + 1)).0], &[]));
        (own, theirs)
    }

    /// Commit `number`, all in one.
    pub fn writes(&self, number: u64) -> Vec<Write> {
        let mut writes = Vec::new();
        if number == 1 {
            for who in [&self.a, &self.b] {
                writes.push(Write::Contact(contact(who, ContactState::Active)));
                writes.push(Write::Peer(peer(who.person_id(), who.instance_id(), 7)));
            }
        }
        let (own, theirs) = Self::objects(number);
        let roots = ids(&own[own.len() - 1..]);
        writes.push(Write::Put { objects: own });
        writes.push(Write::Share { ids: roots, persons: vec![self.a.person_id(), self.b.person_id()] });
        writes.push(Write::Import(Import {
            person: self.a.person_id(),
            instance: self.a.instance_id(),
            objects: theirs,
            epoch: [9; 8],
            after: Positions::all(number - 1),
            upto: Positions::all(number),
        }));
        let value = Some(Bytes::copy_from_slice(&number.to_be_bytes()));
        writes.push(Write::Setting { key: LAST.to_owned(), value });
        writes
    }

    /// Holds a store against what it must contain after commit `last`, and nothing of any later one.
    pub fn verify<E: Engine>(&self, store: &mut Store<E>) -> u64 {
        store.check().unwrap();
        let Ok(Reply::Setting(last)) = store.ask(Read::Setting(LAST.to_owned())) else { panic!() };
        let last = last.map_or(0, |bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()));
        for number in 1..=last + 1 {
            let (own, theirs) = Self::objects(number);
            let waits = theirs.len() - 1;
            for (at, (id, bytes)) in own.iter().chain(&theirs).enumerate() {
                let readable = number < last || (number == last && at != own.len() + waits);
                let Ok(Reply::Object(found)) = store.ask(Read::Object(*id)) else { panic!() };
                assert_eq!(
                    found.as_ref(),
                    readable.then_some(bytes),
                    "object {at} of commit {number} of {last}"
                );
            }
        }
        if last > 0 {
            let read = Read::Head { person: self.a.person_id(), instance: self.a.instance_id() };
            let Ok(Reply::Head(Some(head))) = store.ask(read) else { panic!() };
            assert_eq!(head.received.upto, Positions::all(last));
        }
        last
    }
}
