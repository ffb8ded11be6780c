//! Persons, objects and stores for the suites.

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::{Entry, Epoch, Lanes, Positions};
use lama_core::{Seed, WallTime};
use lama_identity::{
    Cid, Contact, ContactState, InstanceId, LocalIdentity, PersonId, Reference, Signable, TrustOrigin,
    Unsigned, cbor,
};
use lama_invite::{Draft, Invitation, Policy, Route, TokenRecord};
use serde::Serialize;

use super::Place;
use crate::engine::{Batch, Direction, Table};
use crate::{
    Committed, Compacted, Config, Engine, Import, Memory, Object, Opening, Page, PeerHead, PeerRecord, Read,
    Reply, Request, Secret32, StorageKey, Store, StoreError, Write,
};

/// When everything happens, unless a test says otherwise.
pub const NOW: WallTime = WallTime(1_800_000_000_000);

/// Numbers that look random and are the same every time (SplitMix64).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, usize::try_from(self.below(at as u64 + 1)).unwrap());
        }
    }
}

/// What the secrets of the stores are sealed under.
pub fn storage_key() -> StorageKey {
    StorageKey::danger_fixed([0x5e; 32])
}

/// A person with one instance.
pub fn person(name: &str) -> LocalIdentity {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    let email = alloc::format!("{name}@lama.local").parse().unwrap();
    LocalIdentity::create(email, "desk", Seed::danger_fixed(seed), NOW).unwrap()
}

/// The record of a token that was just issued.
pub fn token() -> TokenRecord {
    let me = person("me");
    let draft = Draft {
        r_static: *me.public().noise(),
        r_person_id: me.person_id(),
        r_person_pin: me.public().pin(),
        routes: vec![Route::direct("ws://localhost:8765").unwrap()],
        policy: Policy::Auto,
        lifetime: None,
    };
    let invitation =
        Invitation::create(draft, &lama_invite::Config::default(), NOW, Seed::danger_fixed([3; 32])).unwrap();
    TokenRecord::issued(&invitation, "for one", NOW)
}

/// What others hold of a person.
pub fn contact(of: &LocalIdentity, state: ContactState) -> Contact {
    let mut contact = Contact::pending(of.public(), TrustOrigin::Token, NOW);
    contact.state = state;
    contact
}

/// The peer record of an instance.
pub fn peer(person: PersonId, instance: InstanceId, key: u8) -> PeerRecord {
    PeerRecord { instance, person, pair_key: Secret32::new([key; 32]), body: Bytes::new() }
}

#[derive(Serialize)]
struct Note<'a> {
    #[serde(rename = "$type$")]
    type_name: &'static str,
    text: &'a str,
    links: Vec<Cid>,
    refs: Vec<Reference>,
}

/// An object with links and references.
pub fn linked(text: &str, links: &[Cid], refs: &[Cid]) -> Object {
    let refs = refs.iter().map(|id| Reference(*id)).collect();
    let bytes = cbor::encode(&Note { type_name: "Note", text, links: links.to_vec(), refs }).unwrap();
    (Cid::of_object(&bytes), bytes)
}

/// An object without.
pub fn note(text: &str) -> Object {
    linked(text, &[], &[])
}

/// `count` objects that differ.
pub fn notes(name: &str, count: usize) -> Vec<Object> {
    (0..count).map(|at| note(&alloc::format!("{name} {at}"))).collect()
}

/// The ids of objects.
pub fn ids(objects: &[Object]) -> Vec<Cid> {
    objects.iter().map(|object| object.0).collect()
}

/// Signs as the person and gives the object.
pub fn signed<T: Signable>(value: T, by: &LocalIdentity) -> Object {
    let signed = Unsigned::new(value).unwrap().sign(&by.person().unwrap().sign).unwrap();
    (signed.cid(), signed.bytes().clone())
}

/// A store and the place where it lives.
#[derive(Debug)]
pub struct World<P: Place> {
    pub place: P,
    pub config: Config,
    pub store: Option<Store<P::Engine>>,
    seed: u8,
}

/// A place with a new store.
pub fn world<P: Place>() -> World<P> {
    world_with(Config::default())
}

/// The same with limits.
pub fn world_with<P: Place>(config: Config) -> World<P> {
    let mut world = World { place: P::default(), config, store: None, seed: 0 };
    world.open(Opening::Normal).unwrap();
    world
}

impl<P: Place> World<P> {
    pub fn open(&mut self, opening: Opening) -> Result<(), StoreError> {
        self.seed += 1;
        let engine = self.place.open()?;
        let seed = Seed::danger_fixed([self.seed; 32]);
        self.store = Some(Store::open(engine, self.config, &storage_key(), seed, opening)?);
        Ok(())
    }

    pub fn s(&mut self) -> &mut Store<P::Engine> {
        self.store.as_mut().unwrap()
    }

    /// Checks, closes in good order and opens again.
    pub fn again(&mut self) {
        self.s().check().unwrap();
        let engine = self.store.take().unwrap().close().unwrap();
        self.place.keep(engine);
        self.open(Opening::Normal).unwrap();
        self.s().check().unwrap();
    }

    /// Drops the store as a crash would, and opens again.
    pub fn crash(&mut self) {
        let engine = self.store.take().unwrap().danger_into_engine();
        self.place.keep(engine);
        self.open(Opening::Normal).unwrap();
        self.s().check().unwrap();
    }

    /// Closes in good order and opens as something else than the same life.
    pub fn open_again(&mut self, opening: Opening) {
        let engine = self.store.take().unwrap().close().unwrap();
        self.place.keep(engine);
        self.open(opening).unwrap();
    }

    /// A commit that must succeed.
    /// Writes the store anew without what was deleted.
    pub fn compact(&mut self) -> Compacted {
        let mut fresh = Memory::default();
        let (mut engine, done) = self.store.take().unwrap().compact_into(&mut fresh).unwrap();
        for table in Table::ALL {
            let mut batch = Batch::default();
            engine
                .scan(table, &[], None, Direction::Up, &mut |key, _| {
                    batch.remove(table, key);
                    true
                })
                .unwrap();
            engine.commit(&batch).unwrap();
        }
        crate::engine::copy(&fresh, &mut engine).unwrap();
        self.place.keep(engine);
        self.open(Opening::Normal).unwrap();
        self.s().check().unwrap();
        done
    }

    pub fn commit(&mut self, writes: Vec<Write>) -> Committed {
        match self.s().commit(writes) {
            Ok(Reply::Committed(done)) => done,
            other => panic!("{other:?}"),
        }
    }

    pub fn fails(&mut self, writes: Vec<Write>) -> StoreError {
        self.s().commit(writes).expect_err("the commit should fail")
    }

    pub fn put(&mut self, objects: &[Object]) -> Committed {
        self.commit(vec![Write::Put { objects: objects.to_vec() }])
    }

    pub fn share(&mut self, ids: &[Cid], with: PersonId) -> Committed {
        self.commit(vec![Write::Share { ids: ids.to_vec(), persons: vec![with] }])
    }

    /// Makes a person an active contact with a known instance.
    pub fn befriend(&mut self, who: &LocalIdentity) {
        let record = peer(who.person_id(), who.instance_id(), 7);
        self.commit(vec![Write::Contact(contact(who, ContactState::Active)), Write::Peer(record)]);
    }

    /// Objects from a contact, at the end of what was received.
    pub fn receive(&mut self, from: &LocalIdentity, objects: &[Object]) -> Committed {
        let import = self.import_of(from, objects);
        self.commit(vec![Write::Import(import)])
    }

    pub fn import_of(&mut self, from: &LocalIdentity, objects: &[Object]) -> Import {
        const EPOCH: Epoch = [9; 8];
        let after = self.head(from).map_or(0, |head| head.received.upto.whole());
        Import {
            person: from.person_id(),
            instance: from.instance_id(),
            objects: objects.to_vec(),
            epoch: EPOCH,
            after: Positions::all(after),
            upto: Positions::all(after + objects.len() as u64),
        }
    }

    pub fn ask(&mut self, read: Read) -> Reply {
        self.s().ask(read).unwrap()
    }

    pub fn object(&mut self, id: Cid) -> Option<Bytes> {
        let Reply::Object(found) = self.ask(Read::Object(id)) else { panic!() };
        found
    }

    pub fn head(&mut self, of: &LocalIdentity) -> Option<PeerHead> {
        let read = Read::Head { person: of.person_id(), instance: of.instance_id() };
        let Reply::Head(head) = self.ask(read) else { panic!() };
        head.map(|head| *head)
    }

    pub fn view(&mut self, person: PersonId) -> Vec<Cid> {
        let Reply::View(ids) = self.ask(Read::View { person, after: 0, limit: usize::MAX }) else { panic!() };
        ids
    }

    pub fn page(&mut self, to: &LocalIdentity, after: u64, max_bytes: usize, whole: bool) -> Page {
        let (person, instance) = (to.person_id(), to.instance_id());
        let Reply::Page(page) =
            self.ask(Read::Page { person, instance, after, lanes: Lanes::ALL, max_bytes, whole })
        else {
            panic!()
        };
        page
    }

    /// All entries towards an instance.
    pub fn replay(&mut self, to: &LocalIdentity) -> Vec<Entry> {
        let (mut entries, mut after) = (Vec::new(), 0);
        loop {
            let page = self.page(to, after, 1000, false);
            entries.extend(page.entries);
            if page.next == after {
                return entries;
            }
            after = page.next;
        }
    }
}

/// Runs requests together and tells which succeeded.
pub fn group<E: Engine>(store: &mut Store<E>, commits: Vec<Vec<Write>>) -> Vec<Result<Reply, StoreError>> {
    let requests: Vec<Request> = commits.into_iter().map(Request::Commit).collect();
    store.execute(&requests)
}

/// A text for a setting.
pub fn setting(key: &str, value: &str) -> Write {
    Write::Setting { key: key.to_string(), value: Some(Bytes::copy_from_slice(value.as_bytes())) }
}
