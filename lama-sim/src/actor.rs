//! One process in the simulator: a node, its store, its keys, and what it said.

use std::collections::BTreeMap;

use lama_core::{Now, Seed, Ticket, Tickets, WallTime};
use lama_identity::{Email, LocalIdentity, PersonId, PublicIdentity, Signature};
use lama_node::{Config, Event, Node, NodeError, NodeIdentity, Reply, WhichKey};
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

/// A process that may crash and come back.
pub(crate) struct Actor {
    pub(crate) config: ActorConfig,
    pub(crate) keys: Zeroizing<Vec<u8>>,
    pub(crate) public: PublicIdentity,
    pub(crate) disk: Disk,
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
    pub(crate) events: Vec<(Now, Event)>,
    pub(crate) replies: BTreeMap<Ticket, Result<Reply, NodeError>>,
    pub(crate) tickets: Tickets,
}

/// A life.
pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) store: Store<Disk>,
    identity: LocalIdentity,
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
        Self {
            config,
            keys: identity.danger_export().expect("an identity that was just made can be exported"),
            public: identity.public().clone(),
            disk: Disk::default(),
            running: None,
            life: 0,
            crash_at: Vec::new(),
            effects: 0,
            wakeups: 0,
            dials: 0,
            cut_off: false,
            events: Vec::new(),
            replies: BTreeMap::new(),
            tickets: Tickets::default(),
        }
    }

    pub(crate) fn person(&self) -> PersonId {
        self.public.person_id()
    }

    /// Starts a life from what is on the disk.
    pub(crate) fn start(&mut self, now: Now, rng: &mut Rng) {
        let identity = LocalIdentity::danger_import(&self.keys).expect("the keys are intact");
        let (public, noise, _, _) =
            LocalIdentity::danger_import(&self.keys).expect("the keys are intact").into_parts();
        let mut store = Store::open(
            self.disk.clone(),
            self.config.store,
            &StorageKey::danger_fixed([7; 32]),
            rng.seed(),
            Opening::Normal,
        )
        .expect("the disk holds a sound store");
        store.set_owner(public.clone()).expect("the owner can be told");
        let node = Node::new(
            self.config.node.clone(),
            NodeIdentity::new(public, noise),
            rng.seed(),
            self.local(now),
        )
        .expect("the identity is sound");
        self.running = Some(Running { node, store, identity, staged: false, doomed: false });
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
