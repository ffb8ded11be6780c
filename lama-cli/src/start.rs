//! Starting an instance in this process: store, keys, sockets, on the runtime that the user chose.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use lama_host::{DataDir, Lock};
use lama_identity::{Enrolment, LocalIdentity, SignSecret};
use lama_net::{
    Dialer, Events as Stream, Handle, LanOptions, Listen, NetError, Options, Parts, Proxies, RelayHome, Site,
};
use lama_node::{Command, FormerKeys, NodeError, NodeIdentity, Reply as NodeReply, WhichKey};
use lama_relay::RelayAddress;
use lama_store::{Engine, Opening, Read, Reply, StorageKey, Store, StoreError};
use smol::future::block_on;

use crate::api::Id;
use crate::args::RuntimeName;
use crate::failure::{Exit, Failure};
use crate::live::{Events, Live, Port};
use crate::signal::Stop;
use crate::{atrest, relay};

/// A running instance and what ends with it.
pub(crate) struct Running {
    pub(crate) live: Arc<Live>,
    handle: Handle,
    /// Here as long as the instance is at work; what still lies there when one starts was left by one that was killed.
    at_work: PathBuf,
    lock: Lock,
}

/// The name of that file.
const AT_WORK: &str = "at-work";

impl Running {
    /// Ends all sessions in an authenticated way, closes the store, and waits for both.
    pub(crate) fn shut_down(self) -> Result<(), Failure> {
        self.end().map(drop)
    }

    /// The same, for whoever starts it anew: nobody else gets the directory in between.
    pub(crate) fn end(self) -> Result<Lock, Failure> {
        block_on(self.handle.shutdown())?;
        let _ = std::fs::remove_file(&self.at_work);
        Ok(self.lock)
    }
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Node(error) => Self::from(error),
            other => Self::new(Exit::Failed, other.code(), other.to_string()),
        }
    }
}

#[derive(Debug)]
struct NetPort(Handle);

impl Port for NetPort {
    fn call(&self, command: Command) -> Result<NodeReply, NodeError> {
        block_on(self.0.command(command))
    }

    fn relays(&self, relays: Vec<RelayHome>) -> Result<(), NodeError> {
        block_on(self.0.set_relays(relays))
    }

    fn start(&self, command: Command) -> Receiver<Result<NodeReply, NodeError>> {
        let (to, from) = channel();
        let handle = self.0.clone();
        std::thread::spawn(move || {
            let _ = to.send(block_on(handle.command(command)));
        });
        from
    }
}

/// What the instance does on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// Nothing: the command only works with the store. Contacts learn nothing of it.
    Offline,
    /// It connects to contacts, and listens there.
    Online(Listen),
    /// It connects to contacts, and listens where it listened last: contacts that only dial look for it there. The
    /// first time it listens on this port if it is free and no contact's, or on a free one; `None`: nowhere.
    Usual(Option<u16>),
}

/// The same, and whether contacts are looked for on the local network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) network: Network,
    pub(crate) lan: bool,
}

impl From<Network> for Reach {
    fn from(network: Network) -> Self {
        Self { network, lan: false }
    }
}

/// What to start.
pub(crate) struct Start {
    pub(crate) dir: DataDir,
    pub(crate) lock: Lock,
    pub(crate) id: Id,
    pub(crate) identity: LocalIdentity,
    /// Keys that it had before.
    pub(crate) former: Vec<(FormerKeys, SignSecret)>,
    pub(crate) storage_key: StorageKey,
    pub(crate) enrolment: Option<Enrolment>,
    pub(crate) runtime: RuntimeName,
    pub(crate) reach: Reach,
    /// Behind which relays it stands besides those that are kept; `None`: behind none, those either.
    pub(crate) relays: Option<Vec<RelayAddress>>,
    pub(crate) site: Site,
    pub(crate) stop: Stop,
}

impl Start {
    /// Opens the store, binds the sockets and runs the node on a thread of its own.
    pub(crate) fn run(self) -> Result<Running, Failure> {
        let at_work = self.dir.path().join(AT_WORK);
        let unclean = at_work.exists();
        let mut store = atrest::open_store(&self.dir.store(), &self.storage_key, Opening::Normal)?;
        let (former, signers): (Vec<FormerKeys>, Vec<SignSecret>) = self.former.into_iter().unzip();
        let person = self.identity.person_id();
        let log = lama_node::kept_log(&mut store, &person).map_err(NodeError::from)?;
        let of_person = log.iter().flat_map(|log| log.log().keys()).map(|(_, key)| *key);
        store.set_former_keys(of_person.chain(signers.iter().map(|key| *key.public())).collect());
        let Reach { network, lan } = self.reach;
        let usual = match network {
            Network::Usual(first) => usual(&mut store, first).map_err(NodeError::from)?,
            _ => Listen::Nowhere,
        };
        let last_port =
            lama_node::last_url(&mut store).map_err(NodeError::from)?.and_then(|url| local_port(&url));
        // A process that ends without a word leaves it behind; that is all it is for.
        let _ = std::fs::write(&at_work, []);
        let list = match &self.relays {
            Some(named) => relay::list::with(&mut store, named)?,
            None => Vec::new(),
        };
        let relays = relay::homes(&mut store, &list)?;
        let (public, noise, instance_key, person_keys) = self.identity.into_parts();
        let mut given = NodeIdentity::new(public, noise);
        (given.person_key, given.former) = (person_keys.is_some(), former);
        if let Some(enrolment) = self.enrolment {
            given.log = enrolment.entries.into_iter().map(|bytes| bytes.into_vec().into()).collect();
            given.contacts = enrolment.contacts;
        }
        let signer = move |key: WhichKey, bytes: &[u8]| match key {
            WhichKey::Former(at) => signers.get(at).map(|key| key.sign_input(bytes)),
            WhichKey::Instance => Some(instance_key.sign_input(bytes)),
            WhichKey::Person => person_keys.as_ref().map(|keys| keys.sign.sign_input(bytes)),
        };
        let parts = Parts {
            config: lama_node::Config::default(),
            identity: given,
            signer: Box::new(signer),
            storage: Box::new(store),
            relays,
            site: self.site,
            dialer: dialer(),
        };
        let options = Options { lan: lan.then(LanOptions::default), ..Options::default() };
        let options = match network {
            Network::Offline => Options { offline: true, ..options },
            Network::Online(listen) => Options { listen, ..options },
            Network::Usual(_) => Options { listen: usual, ..options },
        };
        let (handle, events) = match self.runtime {
            RuntimeName::Tokio => lama_net_tokio::start(parts, options)?,
            RuntimeName::Smol => lama_net_smol::start(parts, options)?,
        };
        let hub = Events::default();
        pump(events, hub.clone());
        let live = Live {
            id: self.id,
            port: Box::new(NetPort(handle.clone())),
            events: hub,
            runtime: self.runtime.as_str(),
            stop: self.stop,
            counters: handle.counters(),
            online: network != Network::Offline,
            relays: relay::list::row(&list).relays.into(),
            stands: self.relays.is_some(),
            unclean,
            last_port,
            data: self.dir.path().to_path_buf(),
            renewed: Mutex::default(),
        };
        Ok(Running { live: Arc::new(live), handle, at_work, lock: self.lock })
    }
}

/// Certificates as the system judges them, proxies as the environment names them.
fn dialer() -> Dialer {
    let proxies = Proxies::from_variables(|name| std::env::var(name).ok());
    Dialer { proxies: Arc::new(proxies), ..Dialer::default() }
}

/// See [`Network::Usual`].
fn usual<E: Engine>(store: &mut Store<E>, first: Option<u16>) -> Result<Listen, StoreError> {
    if let Some(port) = lama_node::last_url(store)?.and_then(|url| local_port(&url)) {
        return Ok(Listen::Prefer(port));
    }
    let Some(first) = first else { return Ok(Listen::Nowhere) };
    let Reply::Contacts(contacts) = store.ask(Read::Contacts)? else { return Ok(Listen::Prefer(first)) };
    let mut urls = contacts.iter().flat_map(|contact| &contact.instances).flat_map(|known| &known.urls);
    // Its owner could not come back there.
    let is_a_contacts = urls.any(|url| local_port(url) == Some(first));
    Ok(if is_a_contacts { Listen::Free } else { Listen::Prefer(first) })
}

/// The port of a URL on this machine.
fn local_port(url: &str) -> Option<u16> {
    let (host, port) = url.strip_prefix("ws://")?.rsplit_once(':')?;
    matches!(host, "localhost" | "127.0.0.1" | "[::1]").then(|| port.parse().ok())?
}

/// Hands every event to all who listen in this process.
fn pump(mut events: Stream, hub: Events) {
    std::thread::spawn(move || {
        while let Some(next) = block_on(events.next()) {
            if let Ok(event) = next {
                hub.publish(&event);
            }
        }
    });
}
