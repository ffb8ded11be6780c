//! A replica: the store under test, the model beside it, and the backups of both.

use std::collections::BTreeMap;

use lama_core::WallTime;
use lama_identity::{Cid, Hlc};
use lama_store::{Committed, Config, Opening, PeerHead, Read, Reply, Request, StorageKey, Store, Write};

use super::mind::Mind;
use super::{Cast, Who};
use crate::{Disk, Rng};

/// What a person's application keeps beside the objects, in the same store.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    /// The last own entry of each channel, with the store's epoch then.
    pub(super) posts: BTreeMap<Cid, (Cid, [u8; 8], Hlc)>,
}

/// A copy of everything durable.
#[derive(Debug, Clone)]
struct Backup {
    durable_at: u64,
    disk: Disk,
    mind: Mind,
    notes: Notes,
}

/// How a store comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comeback {
    /// It was closed in good order.
    Closed,
    /// It was not.
    Crashed,
    /// An older copy of its disk was put back.
    Restored,
}

/// A store with its model.
#[derive(Debug)]
pub(super) struct Replica {
    /// Whose it is.
    pub(super) who: Who,
    /// What the store has to agree with.
    pub(super) mind: Mind,
    /// What its person's application keeps.
    pub(super) notes: Notes,
    /// By how much its wall clock is ahead, in milliseconds.
    pub(super) ahead: u64,
    store: Option<Store<Disk>>,
    disk: Disk,
    config: Config,
    backups: Vec<Backup>,
    /// When something was made durable last: what may wait for that is lost with a crash, and not in a backup.
    pub(super) durable_at: u64,
}

fn open(disk: Disk, config: Config, rng: &mut Rng, opening: Opening) -> Store<Disk> {
    Store::open(disk, config, &StorageKey::danger_fixed([7; 32]), rng.seed(), opening).expect("a sound store")
}

impl Replica {
    /// A new store whose person knows all others.
    pub(super) fn new(cast: &Cast, who: Who, persons: usize, config: Config, rng: &mut Rng) -> Self {
        let disk = Disk::default();
        let mut store = open(disk.clone(), config, rng, Opening::Normal);
        store.set_owner(cast.people[who].public().clone()).expect("the owner can be told");
        let mut this = Self {
            who,
            mind: Mind::new(who, persons),
            notes: Notes::default(),
            ahead: 0,
            store: Some(store),
            disk,
            config,
            backups: Vec::new(),
            durable_at: 0,
        };
        let others = (0..persons).filter(|other| *other != who);
        this.commit(others.flat_map(|other| cast.befriend(who, other)).collect());
        this
    }

    /// The store.
    pub(super) fn store(&mut self) -> &mut Store<Disk> {
        self.store.as_mut().expect("it is open")
    }

    /// Executes a request that must succeed.
    pub(super) fn request(&mut self, request: Request) -> Reply {
        let reply = self.store().execute(std::slice::from_ref(&request)).remove(0);
        reply.unwrap_or_else(|error| panic!("{error:?} for {request:?}"))
    }

    /// A commit that must succeed.
    pub(super) fn commit(&mut self, writes: Vec<Write>) -> Committed {
        match self.request(Request::Commit(writes)) {
            Reply::Committed(done) => done,
            other => panic!("{other:?}"),
        }
    }

    /// A question that must be answered.
    pub(super) fn ask(&mut self, read: Read) -> Reply {
        self.request(Request::Read(read))
    }

    /// The view towards somebody's instance.
    pub(super) fn head(&mut self, cast: &Cast, of: Who) -> PeerHead {
        let (person, instance) = (cast.id(of), cast.people[of].instance_id());
        match self.ask(Read::Head { person, instance }) {
            Reply::Head(Some(head)) => *head,
            other => panic!("{other:?}"),
        }
    }

    /// Its clocks at `now`.
    pub(super) const fn wall(&self, now: WallTime) -> WallTime {
        WallTime(now.0 + self.ahead)
    }

    /// Copies what is durable.
    pub(super) fn back_up(&mut self) {
        let (disk, mind, notes) = (self.disk.snapshot(), self.mind.clone(), self.notes.clone());
        let backup = Backup { durable_at: self.durable_at, disk, mind, notes };
        self.backups.push(backup);
    }

    /// Ends a life and begins another. `pick` chooses the backup; without one nothing is put back.
    pub(super) fn come_back(&mut self, cast: &Cast, how: Comeback, pick: u64, rng: &mut Rng) -> Comeback {
        let store = self.store.take().expect("it is open");
        let mut done = how;
        let mut opening = Opening::Normal;
        match how {
            Comeback::Closed => drop(store.close().expect("it can be closed")),
            Comeback::Crashed => drop(store),
            Comeback::Restored => {
                drop(store);
                done = Comeback::Crashed;
                let at = usize::try_from(pick).unwrap_or_default() % self.backups.len().max(1);
                if let Some(backup) = self.backups.get(at).cloned() {
                    self.disk = backup.disk.snapshot();
                    (self.mind, self.notes) = (backup.mind, backup.notes);
                    self.durable_at = backup.durable_at;
                    (done, opening) = (Comeback::Restored, Opening::Restored);
                }
            }
        }
        let mut store = open(self.disk.clone(), self.config, rng, opening);
        store.set_owner(cast.people[self.who].public().clone()).expect("the owner can be told");
        self.store = Some(store);
        done
    }
}
