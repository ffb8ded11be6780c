//! A node at work on a runtime of its own, as an application sees it.

use std::future::Future;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use lama_core::{Seed, WallTime};
use lama_identity::{CertBody, Email, InstanceCert, InstanceId, LocalIdentity, PersonId};
use lama_net::{Dialer, Events, Handle, NetError, Options, Parts, RelayHome, Site, Storage};
use lama_node::{Command, Event, NodeError, Reply};
use lama_store::{Memory, Opening, Redb, RedbOptions, StorageKey, Store};

use super::Host;

/// Longest time that anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

static SEEDS: AtomicU8 = AtomicU8::new(1);

/// Seeds that differ within one test program.
pub fn seed() -> Seed {
    let n = SEEDS.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [n; 32];
    bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
    Seed::danger_fixed(bytes)
}

fn wall() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    WallTime(since.as_millis() as u64)
}

/// Somebody's keys, which can be started again and again, and the log that came with them.
pub struct Who(Vec<u8>, Vec<bytes::Bytes>);

impl Who {
    pub fn new(email: &str, instance: &str) -> Self {
        let email: Email = email.parse().unwrap();
        let identity = LocalIdentity::create(email, instance, seed(), wall()).unwrap();
        Self(identity.danger_export().unwrap().to_vec(), Vec::new())
    }

    /// Another instance of the same person, certified by it.
    pub fn second_instance(&self, name: &str) -> Self {
        let first = self.identity();
        let other = LocalIdentity::create(first.public().person.email.clone(), name, seed(), wall()).unwrap();
        let (mut public, noise, sign, _) = other.into_parts();
        public.person_keys = first.public().person_keys;
        let head = first.public().log_head;
        let mut log = vec![first.public().cert.bytes().clone()];
        let body = CertBody::new(&public.person_keys, &public.instance_keys, head, wall().unix_seconds());
        let (_, _, _, person) = first.into_parts();
        let person = person.unwrap();
        let signature = person.sign.sign_input(&body.person_input().unwrap());
        let back = sign.sign_input(&body.instance_input().unwrap());
        public.cert = InstanceCert::assemble(body, signature, back).unwrap();
        public.log_head = public.cert.log_head();
        log.push(public.cert.bytes().clone());
        let identity = LocalIdentity::from_parts(public, noise, sign, Some(person)).unwrap();
        Self(identity.danger_export().unwrap().to_vec(), log)
    }

    pub fn identity(&self) -> LocalIdentity {
        LocalIdentity::danger_import(&self.0).unwrap()
    }
}

/// Where a node keeps its things.
pub enum Disk {
    Memory,
    File(PathBuf),
    /// A file that was put back from a backup.
    Restored(PathBuf),
}

impl Disk {
    pub fn file(dir: &Path, name: &str) -> Self {
        Self::File(dir.join(name))
    }
}

/// A running node.
pub struct Running<H: Host> {
    pub handle: Handle,
    pub events: std::cell::RefCell<Events>,
    pub person: PersonId,
    pub instance: InstanceId,
    pub noise: [u8; 32],
    port: u16,
    host: PhantomData<H>,
}

impl<H: Host> Running<H> {
    /// A new person with a store in memory.
    pub fn new(email: &str, options: Options) -> Self {
        Self::start(&Who::new(email, "desk"), &Disk::Memory, options)
    }

    pub fn start(who: &Who, disk: &Disk, options: Options) -> Self {
        Self::try_start(who, disk, options).unwrap()
    }

    /// With files for browsers at its port, and a store in memory.
    pub fn with_site(email: &str, site: Site, options: Options) -> Self {
        let change = |parts: &mut Parts| parts.site = site;
        Self::try_start_with(&Who::new(email, "desk"), &Disk::Memory, options, change).unwrap()
    }

    /// Reached through relays, with a store in memory.
    pub fn start_behind(who: &Who, options: Options, relays: Vec<RelayHome>) -> Self {
        Self::start_dialing(who, options, relays, Dialer::default())
    }

    /// The same with its own way of dialling.
    pub fn start_dialing(who: &Who, options: Options, relays: Vec<RelayHome>, dialer: Dialer) -> Self {
        let change = |parts: &mut Parts| (parts.relays, parts.dialer) = (relays, dialer);
        Self::try_start_with(who, &Disk::Memory, options, change).unwrap()
    }

    pub fn try_start(who: &Who, disk: &Disk, options: Options) -> Result<Self, NetError> {
        Self::try_start_with(who, disk, options, |_| {})
    }

    fn try_start_with(
        who: &Who,
        disk: &Disk,
        options: Options,
        change: impl FnOnce(&mut Parts),
    ) -> Result<Self, NetError> {
        let identity = who.identity();
        let (person, instance) = (identity.person_id(), identity.instance_id());
        let noise = *identity.noise().public().as_bytes();
        let config = lama_store::Config::default();
        let key = StorageKey::danger_fixed([3; 32]);
        let parts = |storage: Box<dyn Storage>| {
            let mut parts = Parts::new(lama_node::Config::default(), identity, Nothing);
            parts.storage = storage;
            parts.identity.log.clone_from(&who.1);
            parts
        };
        let mut parts = match disk {
            Disk::Memory => {
                let store = Store::open(Memory::default(), config, &key, seed(), Opening::Normal).unwrap();
                parts(Box::new(store))
            }
            Disk::File(path) | Disk::Restored(path) => {
                let restored = matches!(disk, Disk::Restored(_));
                let opening = if restored { Opening::Restored } else { Opening::Normal };
                let engine = Redb::open(path, RedbOptions::default()).unwrap();
                parts(Box::new(Store::open(engine, config, &key, seed(), opening).unwrap()))
            }
        };
        change(&mut parts);
        let (handle, events) = H::start(parts, options)?;
        let status = |handle: &Handle| H::block_on(handle.command(Command::Status));
        let port = match status(&handle) {
            Ok(Reply::Status(status)) => port_of(&status.listening),
            other => panic!("{other:?}"),
        };
        Ok(Self { handle, events: events.into(), person, instance, noise, port, host: PhantomData })
    }

    /// Where it listened at first.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        H::block_on(work)
    }

    pub fn ask(&self, command: Command) -> Reply {
        let name = command.name();
        self.try_ask(command).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn try_ask(&self, command: Command) -> Result<Reply, NodeError> {
        H::block_on(self.handle.command(command))
    }

    /// Events until one is what the test waits for. A test that waits in vain fails with what it saw instead.
    pub fn until<T>(&self, what: &str, mut want: impl FnMut(&Event) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(event) = self.next_before(deadline) else {
                panic!("waited for {what} and saw {seen:#?}")
            };
            if let Some(found) = want(&event) {
                return found;
            }
            seen.push(event);
        }
    }

    /// The next event, if one comes before the deadline.
    pub fn next_before(&self, deadline: Instant) -> Option<Event> {
        let mut events = self.events.borrow_mut();
        let patience = deadline.saturating_duration_since(Instant::now());
        H::within(patience, events.next())?.map(|next| next.unwrap())
    }

    /// All events that are there, or come within a moment.
    pub fn drain(&self, moment: Duration) -> Vec<Event> {
        let deadline = Instant::now() + moment;
        std::iter::from_fn(|| self.next_before(deadline)).collect()
    }

    /// Asks until the answer is as wanted.
    pub fn eventually<T>(&self, what: &str, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = ask(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn shutdown(self) {
        H::block_on(self.handle.shutdown()).unwrap();
    }
}

/// The port of the first URL; 0: none that is direct.
pub fn port_of(urls: &[String]) -> u16 {
    urls.iter()
        .find(|url| !url.contains('#'))
        .map_or(0, |url| url.rsplit(':').next().unwrap().parse().unwrap())
}

/// Put in where the real store follows.
struct Nothing;

impl Storage for Nothing {
    fn execute(
        &mut self,
        _: &[lama_store::Request],
    ) -> Vec<Result<lama_store::Reply, lama_store::StoreError>> {
        Vec::new()
    }

    fn set_owner(&mut self, _: lama_identity::PublicIdentity) -> Result<(), lama_store::StoreError> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), lama_store::StoreError> {
        Ok(())
    }
}
