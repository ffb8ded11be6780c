//! One process in the simulator: a node, its store, its keys, and what it said.

use std::collections::BTreeMap;

use bytes::Bytes;
use lama_core::{Now, Seed, Ticket, Tickets, WallTime};
use lama_identity::{Contact, Email, LocalIdentity, PersonId, PublicIdentity, Signature};
use lama_node::{Config, Event, FormerKeys, Node, NodeError, NodeIdentity, Reply, WhichKey};
use lama_store::{Opening, Request, StorageKey, Store, StoreError};
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::rng::Rng;

/// When a process is killed: around its `effect`th durable write, counted from its first life on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashPoint {
    /// Which durable write, from 0.
    pub effect: u64,
    /// Whether the write still reached the disk. Its answer reaches nobody either way.
    pub written: bool,
}

/// What a process is made of.
#[derive(Debug, Clone)]
pub struct ActorConfig {
    /// The person's e-mail.
    pub email: String,
    /// The instance's name.
    pub instance: String,
    /// The node's limits.
    pub node: Config,
    /// The store's limits.
    pub store: lama_store::Config,
    /// Where it listens, if it does.
    pub url: Option<String>,
    /// How far its wall clock is ahead, in milliseconds.
    pub wall_ahead: i64,
}

impl ActorConfig {
    /// An instance of the person with this e-mail, reached at `url`.
    #[must_use]
    pub fn new(email: &str, url: Option<&str>) -> Self {
        Self {
            email: email.into(),
            instance: "sim".into(),
            node: Config::default(),
            store: lama_store::Config::default(),
            url: url.map(Into::into),
            wall_ahead: 0,
        }
    }
}

/// What outlives a process: its keys and its disk.
pub(crate) struct Given {
    pub(crate) keys: Zeroizing<Vec<u8>>,
    pub(crate) public: PublicIdentity,
    /// Keys that it had before.
    pub(crate) former: Vec<Zeroizing<Vec<u8>>>,
    /// The log and the contacts that came with the certificate.
    pub(crate) log: Vec<Bytes>,
    pub(crate) contacts: Vec<Contact>,
    pub(crate) disk: Disk,
    /// The disk came out of a backup, and has not been opened since.
    pub(crate) restored: bool,
}

impl Given {
    /// An instance on an empty disk.
    pub(crate) fn of(identity: &LocalIdentity) -> Self {
        Self {
            keys: identity.danger_export().expect("an identity that was just made can be exported"),
            public: identity.public().clone(),
            former: Vec::new(),
            log: Vec::new(),
            contacts: Vec::new(),
            disk: Disk::default(),
            restored: false,
        }
    }

    /// The same on a disk of its own.
    pub(crate) fn copied(&self) -> Self {
        Self {
            keys: self.keys.clone(),
            public: self.public.clone(),
            former: self.former.clone(),
            log: self.log.clone(),
            contacts: self.contacts.clone(),
            disk: self.disk.snapshot(),
            restored: self.restored,
        }
    }
}

/// A process that may crash and come back.
pub(crate) struct Actor {
    pub(crate) config: ActorConfig,
    pub(crate) given: Given,
    pub(crate) running: Option<Running>,
    /// Counts starts, so that what was meant for an earlier life is recognised.
    pub(crate) life: u32,
    pub(crate) crash_at: Vec<CrashPoint>,
    pub(crate) effects: u64,
    /// How often its timers called, and how often it dialled.
    pub(crate) wakeups: u64,
    pub(crate) dials: u64,
    /// Its machine has no network.
    pub(crate) cut_off: bool,
    /// On which side of a parted network it is.
    pub(crate) side: u64,
    pub(crate) events: Vec<(Now, Event)>,
    pub(crate) replies: BTreeMap<Ticket, Result<Reply, NodeError>>,
    pub(crate) tickets: Tickets,
}

/// A life.
pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) store: Store<Disk>,
    identity: LocalIdentity,
    former: Vec<Zeroizing<Vec<u8>>>,
    /// Something was staged and is not durable.
    staged: bool,
    /// It dies before anything more reaches its disk.
    doomed: bool,
}

impl Actor {
    pub(crate) fn new(config: ActorConfig, rng: &mut Rng, wall: WallTime) -> Self {
        let email = Email::normalise(&config.email).expect("the scenario gives a valid e-mail");
        let identity =
            LocalIdentity::create(email, &config.instance, rng.seed(), wall).expect("a valid identity");
        Self::from_given(config, Given::of(&identity))
    }

    pub(crate) fn from_given(config: ActorConfig, given: Given) -> Self {
        Self {
            config,
            given,
            running: None,
            life: 0,
            crash_at: Vec::new(),
            effects: 0,
            wakeups: 0,
            dials: 0,
            cut_off: false,
            side: 0,
            events: Vec::new(),
            replies: BTreeMap::new(),
            tickets: Tickets::default(),
        }
    }

    pub(crate) fn person(&self) -> PersonId {
        self.given.public.person_id()
    }

    /// Starts a life from what is on the disk.
    pub(crate) fn start(&mut self, now: Now, rng: &mut Rng) {
        let import = |keys: &[u8]| LocalIdentity::danger_import(keys).expect("the keys are intact");
        let given = &mut self.given;
        let identity = import(&given.keys);
        let (public, noise, _, person) = import(&given.keys).into_parts();
        let opening = if std::mem::take(&mut given.restored) { Opening::Restored } else { Opening::Normal };
        let mut store = Store::open(
            given.disk.clone(),
            self.config.store,
            &StorageKey::danger_fixed([7; 32]),
            rng.seed(),
            opening,
        )
        .expect("the disk holds a sound store");
        let signing = |keys: &Zeroizing<Vec<u8>>| import(keys).public().instance_keys.sign_key;
        store.set_former_keys(given.former.iter().map(signing).collect());
        store.set_owner(public.clone()).expect("the owner can be told");
        let former = given.former.iter().map(|keys| {
            let (public, noise, ..) = import(keys).into_parts();
            FormerKeys { public, noise }
        });
        let signers = given.former.clone();
        let own = NodeIdentity {
            log: given.log.clone(),
            contacts: given.contacts.clone(),
            person_key: person.is_some(),
            former: former.collect(),
            ..NodeIdentity::new(public, noise)
        };
        let node = Node::new(self.config.node.clone(), own, rng.seed(), self.local(now))
            .expect("the identity is sound");
        self.running = Some(Running { node, store, identity, former: signers, staged: false, doomed: false });
        self.life += 1;
    }

    /// What this process's clocks read.
    pub(crate) fn local(&self, now: Now) -> Now {
        Now { mono: now.mono, wall: WallTime(now.wall.0.saturating_add_signed(self.config.wall_ahead)) }
    }

    /// Whether the write that comes now is one around which the process dies.
    pub(crate) fn crash_now(&mut self) -> Option<CrashPoint> {
        let effect = self.effects;
        self.effects += 1;
        let at = self.crash_at.iter().position(|point| point.effect == effect)?;
        Some(self.crash_at.swap_remove(at))
    }
}

impl Running {
    pub(crate) fn sign(&self, key: WhichKey, bytes: &[u8]) -> Option<Signature> {
        match key {
            WhichKey::Person => self.identity.person().ok().map(|person| person.sign.sign_input(bytes)),
            WhichKey::Former(at) => {
                let keys = LocalIdentity::danger_import(self.former.get(at)?).ok()?;
                Some(keys.sign().sign_input(bytes))
            }
            WhichKey::Instance => Some(self.identity.sign().sign_input(bytes)),
        }
    }

    pub(crate) fn execute(&mut self, requests: &[Request]) -> Vec<Result<lama_store::Reply, StoreError>> {
        if self.staged { self.store.stage(requests) } else { self.store.execute(requests) }
    }

    /// Runs requests that write without making them durable. `last`: nothing will be any more. `None`: it is too late.
    pub(crate) fn stage(
        &mut self,
        requests: &[Request],
        last: bool,
    ) -> Option<Vec<Result<lama_store::Reply, StoreError>>> {
        if self.doomed {
            return None;
        }
        self.make_durable();
        (self.staged, self.doomed) = (true, last);
        Some(self.store.stage(requests))
    }

    /// Makes durable what was staged.
    pub(crate) fn make_durable(&mut self) {
        if !self.doomed {
            self.store.make_durable().expect("the simulated disk does not fail");
            self.staged = false;
        }
    }
}

/// Whether it is shown before it is durable.
pub(crate) fn is_urgent(result: &Result<lama_store::Reply, StoreError>) -> bool {
    matches!(result, Ok(lama_store::Reply::Committed(committed)) if committed.is_urgent())
}

/// Whether any of these requests writes.
pub(crate) fn is_durable(requests: &[Request]) -> bool {
    requests.iter().any(|request| matches!(request, Request::Commit(_)))
}

/// A seed for something in the scenario itself, such as a token.
pub(crate) fn seed(rng: &mut Rng) -> Seed {
    rng.seed()
}
