//! What a loop is given: the node's parts, and the host's choices.

use std::time::Duration;

use lama_identity::{LocalIdentity, SignSecret, Signature};
use lama_node::{NodeIdentity, WhichKey};
use lama_relay::RelayAddress;

use crate::dial::Dialer;
use crate::gate::GateConfig;
use crate::lan::LanOptions;
use crate::listen::Listen;
use crate::site::Site;
use crate::storage::Storage;

/// Keeps the signing keys. It is asked on the loop's task: a signature takes some 13 µs.
pub trait Signer: Send + 'static {
    /// Signs exactly these bytes; `None`: the key is not on this device.
    fn sign(&self, key: WhichKey, bytes: &[u8]) -> Option<Signature>;
}

impl<F: Fn(WhichKey, &[u8]) -> Option<Signature> + Send + 'static> Signer for F {
    fn sign(&self, key: WhichKey, bytes: &[u8]) -> Option<Signature> {
        self(key, bytes)
    }
}

/// What a node is made of.
pub struct Parts {
    /// Limits of the protocol.
    pub config: lama_node::Config,
    /// Who it is.
    pub identity: NodeIdentity,
    /// Who signs for it.
    pub signer: Box<dyn Signer>,
    /// Its store; it moves to a thread of its own.
    pub storage: Box<dyn Storage>,
    /// The relays behind which it is reached, best first; none: it is dialled directly, or dials.
    pub relays: Vec<RelayHome>,
    /// What browsers find at the port of the listener, and which sites' pages may connect to it.
    pub site: Site,
    /// How it dials: whose certificates count.
    pub dialer: Dialer,
}

/// A relay of this instance's list.
pub struct RelayHome {
    /// Where it is, and which key it has.
    pub address: RelayAddress,
    /// The route key: drawn for this relay and used for nothing else, so that no two relays see the same.
    pub key: SignSecret,
}

impl Parts {
    /// A node whose signing keys lie in this process.
    #[must_use]
    pub fn new(config: lama_node::Config, identity: LocalIdentity, storage: impl Storage) -> Self {
        let (public, noise, instance, person) = identity.into_parts();
        let person_key = person.is_some();
        let signer = move |key, bytes: &[u8]| match key {
            WhichKey::Person => person.as_ref().map(|keys| keys.sign.sign_input(bytes)),
            WhichKey::Instance => Some(instance.sign_input(bytes)),
            WhichKey::Former(_) => None,
        };
        let identity = NodeIdentity { person_key, ..NodeIdentity::new(public, noise) };
        Self {
            config,
            identity,
            signer: Box::new(signer),
            storage: Box::new(storage),
            relays: Vec::new(),
            site: Site::default(),
            dialer: Dialer::default(),
        }
    }
}

/// The host's choices. Every limit is finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Where to listen at first.
    pub listen: Listen,
    /// How many strangers may knock.
    pub gate: GateConfig,
    /// From the accepted socket to the open WebSocket: 5 s.
    pub upgrade_deadline: Duration,
    /// From a URL to the open WebSocket, over all addresses: 10 s.
    pub dial_deadline: Duration,
    /// How long a closed link may take to bring its last frames away: 2 s.
    pub linger: Duration,
    /// Events that wait for an application that does not fetch them: 4,096.
    pub event_buffer: usize,
    /// Looks for contacts on the local network, answers them there, and listens on all of this machine's addresses for
    /// them. Not unless that is said.
    pub lan: Option<LanOptions>,
    /// Opens no connection, and leaves what was advertised as it is: for a program that only works with the store, while
    /// the instance does not run. No.
    pub offline: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Listen::Nowhere,
            gate: GateConfig::default(),
            upgrade_deadline: Duration::from_secs(5),
            dial_deadline: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            event_buffer: 4096,
            lan: None,
            offline: false,
        }
    }
}
