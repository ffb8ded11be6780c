//! Whether an instance answers at a route: a handshake that ends once the other end has proved its key.
//!
//! It goes as far as a dial goes before anything is said of this side: the socket, TLS, the WebSocket, the relay if there
//! is one, and message 2, which only the holder of the instance's key can make. A listener that is another program's, or
//! that accepts and does nothing, does not pass.

use alloc::string::String;
use core::time::Duration;

use bytes::BytesMut;
use lama_core::{Instant, SortedMap, Ticket};
use lama_handshake::{Initiator, PinnedPerson};
use lama_identity::{InstanceId, NoisePublic, NoiseSecret};

use super::Purpose;
use crate::NodeError;
use crate::api::{Fault, LinkId, Reply};
use crate::node::Node;

/// A probe that is under way.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) noise: NoisePublic,
    pub(crate) person: PinnedPerson,
    route: String,
    dialled: Instant,
    opened: Option<Instant>,
}

/// By the tickets of the commands that wait.
pub(crate) type Probes = SortedMap<Ticket, Probe>;

impl Node {
    /// [`crate::Command::Probe`]; without an instance it is this one.
    pub(crate) fn start_probe(
        &mut self,
        reply: Ticket,
        instance: Option<InstanceId>,
        route: String,
    ) -> Result<(), NodeError> {
        let public = &self.identity.public;
        let (noise, person) = match instance {
            None => (*public.noise(), PinnedPerson { id: public.person_id(), pin: public.pin() }),
            Some(instance) => {
                let peer = self.peers.get(&instance).ok_or(NodeError::NoSuchInstance)?;
                let contact = &self.known(&peer.person)?.contact;
                let known = contact.instance(&instance).ok_or(NodeError::NoSuchInstance)?;
                (known.keys.encryption_key, PinnedPerson { id: contact.id(), pin: contact.pin() })
            }
        };
        let dialled = self.clock.latest().mono;
        self.probes.insert(reply, Probe { noise, person, route: route.clone(), dialled, opened: None });
        self.dial(Purpose::Probe(reply), route, self.config.dial);
        Ok(())
    }

    /// The WebSocket is open.
    pub(crate) fn probe_open(&mut self, ticket: Ticket) {
        let now = self.clock.latest().mono;
        if let Some(probe) = self.probes.get_mut(&ticket) {
            probe.opened = Some(now);
        }
    }

    /// Message 2. If it is right nothing more is said: message 3, which would show a key, is made with one of no use to
    /// anybody and stays here.
    pub(crate) fn probe_message2(&mut self, id: LinkId, ticket: Ticket, wait: Initiator, frame: &[u8]) {
        let nobody = NoiseSecret::from_seed(self.rng.seed());
        match wait.read_message2(frame, &nobody, &mut BytesMut::new()) {
            Ok(_) => self.probe_answered(id, ticket),
            Err(error) => self.refuse_handshake(id, &error),
        }
    }

    fn probe_answered(&mut self, id: LinkId, ticket: Ticket) {
        let now = self.clock.latest().mono;
        if let Some(probe) = self.probes.remove(&ticket) {
            let opened = probe.opened.unwrap_or(probe.dialled);
            let (open_after, round_trip): (Duration, Duration) =
                (opened.since(probe.dialled), now.since(opened));
            self.reply(ticket, Ok(Reply::Probed { open_after, round_trip }));
        }
        self.close_link(id);
    }

    /// It came to nothing.
    pub(crate) fn probe_failed(&mut self, ticket: Ticket, why: Fault) {
        if let Some(probe) = self.probes.remove(&ticket) {
            self.reply(ticket, Err(NodeError::NoAnswer { route: probe.route, why }));
        }
    }
}
