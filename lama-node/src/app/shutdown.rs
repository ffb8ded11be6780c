//! The end in good order: every session says goodbye, then the node stops.

use alloc::vec::Vec;

use lama_core::Ticket;
use lama_handshake::CloseCode;

use crate::NodeError;
use crate::api::{EndReason, Event, LinkId, RefuseReason, Reply};
use crate::node::{Node, Phase};

/// Who asked for the end.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    reply: Option<Ticket>,
}

impl Node {
    /// [`crate::Command::Shutdown`].
    pub(crate) fn shut_down(&mut self, reply: Ticket) {
        self.phase = Phase::Stopping;
        self.shutdown.reply = Some(reply);
        self.joins_stop();
        self.dials.clear();
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.end_session(link, Some(CloseCode::Shutdown), EndReason::ClosedHere);
            self.refuse(link, RefuseReason::Ended);
        }
    }

    /// Once all links are gone and nothing is under way outside, it is over.
    pub(crate) fn drive_shutdown(&mut self) {
        if !self.links.is_empty() || !self.effects.is_empty() {
            return;
        }
        if let Some(reply) = self.shutdown.reply.take() {
            self.reply(reply, Ok(Reply::Done));
        }
        self.event(Event::Stopped);
        self.phase = Phase::Over(NodeError::Stopped);
    }
}
