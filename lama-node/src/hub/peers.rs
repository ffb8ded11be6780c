//! Instances of contacts: what is kept of each, and where we stand with it.

use alloc::string::String;

use bytes::Bytes;
use lama_chum::Fingerprint;
use lama_core::{Instant, Ticket, WallTime};
use lama_handshake::{BootId, PairKey, PairKeyId};
use lama_identity::{InstanceId, LogHead, PersonId, cbor};
use lama_store::{PeerRecord, Secret32};
use serde::{Deserialize, Serialize};

use super::Timer;
use crate::api::{Fault, LinkId};
use crate::node::Node;

/// What stands in the body of a [`PeerRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerNote {
    /// The public name of the pair key.
    pub(crate) pair: PairKeyId,
    /// When the instance was last seen, in milliseconds since the Unix epoch.
    pub(crate) seen: u64,
    /// How far it has acknowledged our log.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) has: u64,
    /// The end of its person's log as it showed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shown: Option<LogHead>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The signature that serde asks for.
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// One instance of a contact.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) person: PersonId,
    /// The pair key, once there was a session.
    pub(crate) pair: Option<PairKey>,
    pub(crate) seen: Option<WallTime>,
    /// The live session.
    pub(crate) session: Option<LinkId>,
    /// A dial or a handshake of ours that is under way.
    pub(crate) dialling: Option<Ticket>,
    /// Dials in vain since it was last reached.
    pub(crate) failures: u32,
    /// Why it was not reached the last time, or why the last session ended.
    pub(crate) problem: Option<Fault>,
    /// When it is dialled again.
    pub(crate) again: Option<Instant>,
    /// Where it was found on the local network; dialled once.
    pub(crate) nearby: Option<String>,
    /// Direct routes tried in vain since the session goes through a relay.
    pub(crate) sought: u32,
    /// When both ends were last seen to hold the same.
    pub(crate) in_sync: Option<(u64, Fingerprint)>,
    /// The last two lives of its process: one that comes back lives twice.
    pub(crate) boots: [Option<BootId>; 2],
    /// Whether it has said that our contact was removed there.
    pub(crate) removed: bool,
    /// The last entry of our log that it has acknowledged.
    pub(crate) has: u64,
    /// The end of its person's log as it showed it last: it never shows less.
    pub(crate) shown: Option<LogHead>,
}

impl Peer {
    pub(crate) const fn new(person: PersonId) -> Self {
        Self {
            person,
            pair: None,
            seen: None,
            session: None,
            dialling: None,
            failures: 0,
            problem: None,
            again: None,
            nearby: None,
            sought: 0,
            in_sync: None,
            boots: [None; 2],
            removed: false,
            has: 0,
            shown: None,
        }
    }

    /// What the store keeps; `None` before the first session.
    pub(crate) fn record(&self, instance: InstanceId) -> Option<PeerRecord> {
        let pair = self.pair.as_ref()?;
        let seen = self.seen.unwrap_or_default().0;
        let note = PeerNote { pair: pair.id(), seen, has: self.has, shown: self.shown };
        Some(PeerRecord {
            instance,
            person: self.person,
            pair_key: Secret32::new(*pair.expose()),
            // A record of plain fields always encodes.
            body: cbor::encode(&note).unwrap_or_else(|_| Bytes::new()),
        })
    }

    /// Notes a life of the peer's process; `true` if an older one has come back: the key lives twice.
    pub(crate) fn booted(&mut self, boot: BootId) -> bool {
        let [last, before] = self.boots;
        if last == Some(boot) {
            return false;
        }
        self.boots = [Some(boot), last];
        before == Some(boot)
    }
}

impl Node {
    /// The peer of an instance of a contact, made where it is new.
    pub(crate) fn peer(&mut self, person: PersonId, instance: InstanceId) -> &mut Peer {
        self.peers.entry(instance).or_insert(Peer::new(person))
    }

    /// Forgets the instances of a person.
    pub(crate) fn forget_peers(&mut self, person: &PersonId) {
        let gone: alloc::vec::Vec<InstanceId> =
            self.peers.iter().filter(|(_, peer)| peer.person == *person).map(|(id, _)| *id).collect();
        for instance in gone {
            self.peers.remove(&instance);
            self.timers.set(Timer::Peer(instance), None);
        }
    }
}
