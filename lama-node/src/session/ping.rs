//! A sign of life on demand: a PING inside the session, which only the program at its other end can answer.

use lama_core::Ticket;
use lama_handshake::Via;
use lama_identity::InstanceId;

use super::Gate;
use crate::NodeError;
use crate::api::{LinkId, Reply};
use crate::node::Node;

impl Node {
    /// Asks an instance for a sign of life; whoever asks while another question is out shares its answer.
    pub(crate) fn ping(&mut self, reply: Ticket, instance: InstanceId) -> Result<(), NodeError> {
        let peer = self.peers.get(&instance).ok_or(NodeError::NoSuchInstance)?;
        let person = peer.person;
        let id = peer.session.ok_or(NodeError::NotConnected { person })?;
        let live = self.links.get_mut(&id).and_then(|link| link.live_mut());
        let live =
            live.filter(|live| live.gate != Gate::Closing).ok_or(NodeError::NotConnected { person })?;
        live.pings.push(reply);
        self.probe(id);
        Ok(())
    }

    /// A record came that carried nothing for the application: perhaps the answer to all questions.
    pub(super) fn pong_came(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let (relayed, url) = (link.via() != Via::Direct, link.url().cloned());
        let Some(live) = link.live_mut() else { return };
        if live.pings.is_empty() || live.mux.is_ping_outstanding() {
            return;
        }
        let Some(round_trip) = live.mux.round_trip() else { return };
        for ticket in core::mem::take(&mut live.pings) {
            self.reply(ticket, Ok(Reply::Pong { round_trip, relayed, url: url.clone() }));
        }
    }
}
