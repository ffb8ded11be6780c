//! What a person here has switched off: persons who are blocked, and routes that are not dialled.
//!
//! A blocked person gets no session, whoever dials, and is told nothing: to him it looks as if nobody knew him. A route
//! that is off is not dialled; whoever is reached by it may still dial this side.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::{SortedSet, Ticket};
use lama_handshake::CloseCode;
use lama_identity::{InstanceId, PersonId, cbor};
use lama_store::Write;
use serde::{Deserialize, Serialize};

use super::{Effect, setting};
use crate::NodeError;
use crate::api::{EndReason, LinkId, RefuseReason, Reply, RouteInfo, RouteScope};
use crate::app::Answer;
use crate::hub::Timer;
use crate::node::Node;
use crate::session::Way;

/// Settings under which blocked persons stand; the person's id in hexadecimal follows.
pub(crate) const BLOCKED: &str = "blocked/";
/// The routes that are off.
pub(crate) const ROUTES_OFF: &str = "node/routes-off";

/// Routes that are not dialled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoutesOff {
    #[serde(with = "set")]
    persons: SortedSet<PersonId>,
    #[serde(with = "set")]
    instances: SortedSet<InstanceId>,
    #[serde(with = "set")]
    routes: SortedSet<String>,
}

/// A set as an array.
mod set {
    use alloc::vec::Vec;

    use lama_core::SortedSet;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        set: &SortedSet<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(set)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de> + Ord, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SortedSet<T>, D::Error> {
        Vec::deserialize(deserializer).map(|members: Vec<T>| members.into_iter().collect())
    }
}

impl RoutesOff {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        cbor::decode(bytes).ok()
    }

    /// What switches a route off, the widest first.
    pub(crate) fn by(&self, person: &PersonId, instance: &InstanceId, route: &str) -> Option<RouteScope> {
        if self.persons.contains(person) {
            return Some(RouteScope::Person(*person));
        }
        if self.instances.contains(instance) {
            return Some(RouteScope::Instance(*instance));
        }
        self.routes.contains(route).then(|| RouteScope::Route(route.into()))
    }

    fn set(&mut self, scope: RouteScope, on: bool) {
        match (scope, on) {
            (RouteScope::Person(person), false) => {
                self.persons.insert(person);
            }
            (RouteScope::Person(person), true) => {
                self.persons.remove(&person);
            }
            (RouteScope::Instance(instance), false) => {
                self.instances.insert(instance);
            }
            (RouteScope::Instance(instance), true) => {
                self.instances.remove(&instance);
            }
            (RouteScope::Route(route), false) => {
                self.routes.insert(route);
            }
            (RouteScope::Route(route), true) => {
                self.routes.remove(&route);
            }
        }
    }
}

impl Node {
    /// Whether this person is blocked here.
    pub(crate) fn is_blocked(&self, person: &PersonId) -> bool {
        self.blocked.contains(person)
    }

    /// [`crate::Command::Block`]: what is live ends now, the answer comes when it is durable.
    pub(crate) fn block(&mut self, reply: Ticket, person: PersonId) -> Result<(), NodeError> {
        if person == self.me() {
            return Err(NodeError::OwnInstance);
        }
        self.blocked.insert(person);
        for link in self.links_with(&person) {
            if self.links.get(&link).is_some_and(|link| link.live().is_some()) {
                // In silence: it looks as any end does.
                self.end_session(link, Some(CloseCode::Shutdown), EndReason::Blocked);
            } else {
                self.refuse(link, RefuseReason::Blocked { person });
            }
        }
        for instance in self.instances_of(&person) {
            if let Some(peer) = self.peers.get_mut(&instance) {
                peer.again = None;
                peer.problem = None;
            }
            self.timers.set(Timer::Peer(instance), None);
        }
        let write =
            Write::Setting { key: setting(BLOCKED, &person.0), value: Some(Bytes::from_static(&[1])) };
        self.commit(alloc::vec![write], Effect::Answer { reply, answer: Answer::Put });
        Ok(())
    }

    /// [`crate::Command::Unblock`].
    pub(crate) fn unblock(&mut self, reply: Ticket, person: PersonId) {
        self.blocked.remove(&person);
        let write = Write::Setting { key: setting(BLOCKED, &person.0), value: None };
        self.commit(alloc::vec![write], Effect::Answer { reply, answer: Answer::Put });
        self.dial_afresh(&person);
    }

    /// [`crate::Command::Blocked`].
    pub(crate) fn blocked(&self) -> Reply {
        let email = |person: &PersonId| {
            self.book.person(person).map(|known| known.contact.person.email.as_str().into())
        };
        Reply::Blocked(self.blocked.iter().map(|person| (*person, email(person))).collect())
    }

    /// [`crate::Command::Routes`].
    pub(crate) fn routes(&self) -> Reply {
        let mut rows = Vec::new();
        for known in self.book.iter() {
            let contact = &known.contact;
            for instance in contact.instances.iter().filter(|instance| instance.revoked.is_none()) {
                let id = instance.keys.owner;
                let Some(peer) = self.instance_info(&id) else { continue };
                let session = self.peers.get(&id).and_then(|peer| peer.session);
                let used = session.and_then(|link| self.links.get(&link)?.url());
                rows.extend(instance.urls.iter().map(|url| RouteInfo {
                    peer: peer.clone(),
                    route: url.clone(),
                    relayed: url.contains('#'),
                    off_by: self.routes_off.by(&contact.id(), &id, url),
                    in_use: used == Some(url),
                }));
            }
        }
        Reply::Routes(rows)
    }

    /// [`crate::Command::SetRoute`]: a session along a route that is switched off ends, and the next one is dialled.
    pub(crate) fn set_route(&mut self, reply: Ticket, scope: RouteScope, on: bool) {
        self.routes_off.set(scope, on);
        let value = cbor::encode(&self.routes_off).ok();
        let write = Write::Setting { key: ROUTES_OFF.into(), value };
        self.commit(alloc::vec![write], Effect::Answer { reply, answer: Answer::Put });
        let off = |(id, link): (&LinkId, &crate::session::Link)| {
            let live = link.live()?;
            let Way::Dialled { url, .. } = &link.way else { return None };
            self.routes_off.by(&live.info.person, &live.info.instance, url).map(|_| *id)
        };
        let ending: Vec<LinkId> = self.links.iter().filter_map(off).collect();
        for link in ending {
            self.end_session(link, Some(CloseCode::Shutdown), EndReason::RouteOff);
        }
        if on {
            let persons: SortedSet<PersonId> = self.peers.values().map(|peer| peer.person).collect();
            for person in persons {
                self.dial_afresh(&person);
            }
        }
    }

    /// Dials the instances of a person who are not connected, or through a relay only, as if nothing had failed before.
    pub(crate) fn dial_afresh(&mut self, person: &PersonId) {
        for instance in self.instances_of(person) {
            let Some(peer) = self.peers.get_mut(&instance) else { continue };
            if peer.session.is_none() {
                peer.failures = 0;
                self.dial_peer(instance);
            } else {
                self.seek_direct_now(instance);
            }
        }
    }

    pub(crate) fn instances_of(&self, person: &PersonId) -> Vec<InstanceId> {
        self.peers.iter().filter(|(_, peer)| peer.person == *person).map(|(id, _)| *id).collect()
    }

    /// [`crate::Command::Wake`]: the network or the clock has changed, so nothing that was believed of links holds. Every
    /// session is asked for a sign of life, and everybody else is dialled without regard to what failed before.
    pub(crate) fn wake(&mut self) {
        let live: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.live().is_some()).map(|(id, _)| *id).collect();
        for link in live {
            self.probe(link);
        }
        let persons: SortedSet<PersonId> = self.peers.values().map(|peer| peer.person).collect();
        for person in persons {
            self.dial_afresh(&person);
        }
        // Beside a session through a relay a direct route may have become possible.
        let instances: Vec<InstanceId> = self.peers.keys().copied().collect();
        for instance in instances {
            self.seek_direct_now(instance);
        }
        let joins: Vec<lama_invite::Locator> = self.joins.keys().copied().collect();
        for locator in joins {
            self.join_timer(locator);
        }
    }
}
