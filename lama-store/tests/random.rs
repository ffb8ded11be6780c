//! The same random requests to two stores that differ in everything but what they promise: engine, size of groups,
//! entries in memory, and how often they are closed and opened. They must give the same answers, always.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use lama_chum::{Cursor, Lane, Lanes, PairKey, Positions};
use lama_core::Seed;
use lama_identity::{Cid, ContactState, LocalIdentity};
use lama_store::conformance::fixture::{Dice, contact, linked, peer, person, storage_key};
use lama_store::{
    Config, Engine, Import, Memory, Object, Opening, Read, Redb, RedbOptions, Reply, Request, Store,
    StoreError, Write,
};

struct Generator {
    dice: Dice,
    persons: Vec<LocalIdentity>,
    /// Objects that some request may have brought, and some that none has yet.
    objects: Vec<Object>,
}

impl Generator {
    fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), persons: ["a", "b", "c"].map(person).into(), objects: Vec::new() }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.dice.below(limit as u64)).unwrap()
    }

    fn object(&mut self) -> Object {
        if self.objects.is_empty() || self.below(3) == 0 {
            let known = self.objects.len();
            let count = self.below(4).min(known);
            let mut links: Vec<Cid> = Vec::new();
            for _ in 0..count {
                let at = known - 1 - self.below(known.min(12));
                links.push(self.objects[at].0);
            }
            links.dedup();
            let text = "x".repeat(self.below(300));
            let made = linked(&format!("{known} {text}"), &links, &[]);
            self.objects.push(made);
        }
        let recent = self.objects.len().min(30);
        let at = self.objects.len() - 1 - self.below(recent);
        self.objects[at].clone()
    }

    fn objects(&mut self, most: usize) -> Vec<Object> {
        (0..self.below(most)).map(|_| self.object()).collect()
    }

    fn write(&mut self) -> Write {
        let who = self.below(self.persons.len());
        let (person, instance) = (self.persons[who].person_id(), self.persons[who].instance_id());
        match self.below(12) {
            0 => {
                let state = if self.below(4) == 0 { ContactState::Pending } else { ContactState::Active };
                Write::Contact(contact(&self.persons[who], state))
            }
            1 => Write::Peer(peer(person, instance, u8::try_from(self.below(2)).unwrap())),
            2 if self.below(4) == 0 => Write::RemoveContact(person),
            3..=5 => Write::Put { objects: self.objects(12) },
            6..=7 => {
                let ids = self.objects(12).into_iter().map(|object| object.0).collect();
                let persons =
                    (0..=self.below(2)).map(|more| self.persons[(who + more) % 3].person_id()).collect();
                Write::Share { ids, persons }
            }
            8..=10 => {
                let after = self.below(3) as u64;
                let epoch = [u8::try_from(self.below(2)).unwrap() + 1; 8];
                Write::Import(Import {
                    person,
                    instance,
                    objects: self.objects(12),
                    epoch,
                    after: Positions::all(after),
                    upto: Positions::all(after + 1),
                })
            }
            _ => {
                let cursor = Cursor::all([1; 8], self.below(4) as u64);
                Write::Cursor { instance, cursor }
            }
        }
    }

    fn read(&mut self) -> Read {
        let who = self.below(self.persons.len());
        let (person, instance) = (self.persons[who].person_id(), self.persons[who].instance_id());
        match self.below(10) {
            0 => Read::Object(self.object().0),
            1 => Read::Page {
                person,
                instance,
                after: self.below(60) as u64,
                lanes: Lane::ALL.into_iter().fold(Lanes::NONE, |lanes, lane| match self.below(3) {
                    0 => lanes,
                    _ => lanes.with(lane),
                }),
                max_bytes: self.below(3000),
                whole: self.below(2) == 0,
            },
            2 => Read::Head { person, instance },
            3 => Read::View { person, after: self.below(20) as u64, limit: self.below(50) },
            4 => Read::Access(self.object().0),
            5 => Read::Contacts,
            6 => Read::Ids { person, after: self.below(60) as u64, limit: self.below(50) },
            7 => {
                let first = self.below(40) as u64;
                let seqs = (first..first + 20).filter(|_| self.below(3) == 0).collect();
                Read::Fetch { person, instance, seqs, max_bytes: self.below(3000) }
            }
            8 => {
                let key = PairKey::new([7; 32]).short_key(0);
                let mut shorts: Vec<u64> = (0..5).map(|_| key.short(&self.object().0)).collect();
                shorts.sort_unstable();
                let (upto, limit) = (self.below(60) as u64, self.below(50));
                Read::Find { person, key, shorts: shorts.into(), upto, limit }
            }
            _ => Read::Peers(None),
        }
    }

    fn requests(&mut self) -> Vec<Request> {
        (0..=self.below(8))
            .map(|_| match self.below(2) {
                0 => Request::Read(self.read()),
                _ => Request::Commit((0..=self.below(3)).map(|_| self.write()).collect()),
            })
            .collect()
    }
}

fn open<E: Engine>(engine: E, config: Config) -> Store<E> {
    Store::open(engine, config, &storage_key(), Seed::danger_fixed([1; 32]), Opening::Normal).unwrap()
}

/// The longest run in commits, and how many of them changed something.
fn compare(seed: u64, rounds: usize) -> (u64, u64) {
    let mut generator = Generator::new(seed);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let small = Config { max_aside_objects: 6, max_person_bytes: 20_000, ..Config::default() };
    let other = Config { recent_entries: 7, max_group_bytes: 500, ..small };
    let mut memory = open(Memory::default(), small);
    let mut disk = Some(open(Redb::open(&path, RedbOptions::default()).unwrap(), other));
    let (mut commits, mut done) = (0, 0);
    for round in 0..rounds {
        let requests = generator.requests();
        let expected = memory.execute(&requests);
        let store = disk.as_mut().unwrap();
        // Together, or each by itself: the same answers.
        let answers: Vec<Result<Reply, StoreError>> = if generator.below(2) == 0 {
            store.execute(&requests)
        } else {
            requests.iter().flat_map(|request| store.execute(core::slice::from_ref(request))).collect()
        };
        for ((request, expected), answer) in requests.iter().zip(&expected).zip(&answers) {
            assert_eq!(expected, answer, "seed {seed}, round {round}: {request:?}");
            commits += u64::from(matches!(request, Request::Commit(_)));
            done += u64::from(matches!(answer, Ok(Reply::Committed(_))));
        }
        if generator.below(12) == 0 {
            let before = disk.take().unwrap();
            drop(before.close().unwrap());
            disk = Some(open(Redb::open(&path, RedbOptions::default()).unwrap(), other));
            assert_eq!(memory.check().unwrap(), disk.as_mut().unwrap().check().unwrap());
        }
    }
    (commits, done)
}

#[test]
fn two_stores_give_the_same_answers() {
    let (mut commits, mut done) = (0, 0);
    for seed in 0..6 {
        let (of_all, of_these) = compare(seed, 120);
        commits += of_all;
        done += of_these;
    }
    println!("{commits} commits, {done} of them changed something");
    assert!(done * 5 > commits && done < commits, "{done} of {commits}");
}
