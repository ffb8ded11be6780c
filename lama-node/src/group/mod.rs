//! Connections of groups: who serves what, which connections are open, and what applications want of them.

mod commands;
mod frames;

use lama_core::{Now, SortedMap, SortedSet, Ticket};
use lama_handshake::groups::GroupName;
use lama_identity::PersonId;

use crate::api::{Admits, ConnectionId, LinkId, PeerInfo};

/// Who deals with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// An application has asked for it, and the other side has not answered.
    Opening { reply: Ticket },
    /// An application.
    Application,
    /// This side asks how the other one sees the session; since when.
    Asks { reply: Ticket, asked: Now },
    /// The other side asks how this one sees it.
    Answers,
}

/// A connection that somebody here knows of.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) link: LinkId,
    /// Its number in the session.
    pub(crate) number: u32,
    pub(crate) group: GroupName,
    pub(crate) peer: PeerInfo,
    /// Whether this side has opened it.
    pub(crate) ours: bool,
    pub(crate) handler: Handler,
}

/// All groups and connections.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(crate) served: SortedMap<GroupName, Admits>,
    pub(crate) open: SortedMap<ConnectionId, Held>,
    last: u64,
    /// Who may ask how this side sees a session.
    pub(crate) debug_allowed: SortedSet<PersonId>,
}

impl Groups {
    pub(crate) fn keep(&mut self, held: Held) -> ConnectionId {
        self.last = self.last.saturating_add(1);
        let id = ConnectionId(self.last);
        self.open.insert(id, held);
        id
    }

    /// The connection with this number in a session.
    fn named(&self, link: LinkId, number: u32) -> Option<ConnectionId> {
        let mut all = self.open.iter();
        all.find(|(_, held)| held.link == link && held.number == number).map(|(id, _)| *id)
    }

    /// How many connections a person has opened.
    fn opened_by(&self, person: &PersonId) -> usize {
        self.open.values().filter(|held| !held.ours && held.peer.person == *person).count()
    }
}
