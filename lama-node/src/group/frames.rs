//! Frames of connections on a session: what the other side opens, sends and closes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::Ticket;
use lama_handshake::groups::{GroupName, Happened, MAX_CONNECTIONS, RefuseCode};
use lama_handshake::{CloseCode, Receipt};

use super::{Handler, Held};
use crate::NodeError;
use crate::api::{ConnectionEnd, ConnectionId, EndReason, Event, Fault, GroupEvent, LinkId, Reply};
use crate::debug::DEBUG;
use crate::hub::Timer;
use crate::node::Node;
use crate::session::Gate;

impl Node {
    /// A frame of the peer. Before this side is ready it can only ask for connections, and those wait.
    pub(crate) fn group_message(&mut self, id: LinkId, frame: Bytes, receipt: Receipt) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        if live.gate == Gate::Closing {
            return;
        }
        if live.connects() {
            live.mux.release(receipt);
            self.group_frame(id, frame);
        } else if live.early_groups.len() < MAX_CONNECTIONS {
            live.early_groups.push((frame, receipt));
        } else {
            let text = "connections went on before they were agreed to";
            let fault = Fault::new("group-early", &text);
            self.end_session(id, Some(CloseCode::Protocol), EndReason::Violation(fault));
        }
    }

    /// This side is ready: what waited is taken up.
    pub(crate) fn groups_ready(&mut self, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        if live.connects() {
            for (frame, receipt) in core::mem::take(&mut live.early_groups) {
                self.group_message(id, frame, receipt);
            }
        }
    }

    fn group_frame(&mut self, id: LinkId, frame: Bytes) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        match live.connections.receive(frame) {
            Ok(Happened::Nothing) => {}
            Ok(Happened::Asked { number, group }) => self.connection_asked(id, number, group),
            Ok(Happened::Accepted { number }) => self.connection_accepted(id, number),
            Ok(Happened::Refused { number, code }) => self.connection_refused(id, number, code),
            Ok(Happened::Message { number, message, cost }) => {
                self.connection_heard(id, number, message, cost);
            }
            Ok(Happened::Closed { number, dropped }) => self.connection_closed(id, number, dropped),
            Err(error) => {
                let fault = Fault::new(error.code(), &error);
                self.end_session(id, Some(CloseCode::Protocol), EndReason::Violation(fault));
            }
        }
        self.ready.insert(id);
    }

    /// Whether a contact gets a connection of this group.
    fn admission(&self, group: &GroupName, person: &lama_identity::PersonId) -> Result<(), RefuseCode> {
        if group.as_str() == DEBUG {
            if !self.groups.debug_allowed.contains(person) {
                return Err(RefuseCode::NotAllowed);
            }
        } else {
            let admits = self.groups.served.get(group).ok_or(RefuseCode::NotServed)?;
            if !admits.admits(person) {
                return Err(RefuseCode::NotAllowed);
            }
        }
        let is_room = self.groups.opened_by(person) < self.config.connections_per_person;
        if is_room { Ok(()) } else { Err(RefuseCode::Busy) }
    }

    fn connection_asked(&mut self, id: LinkId, number: u32, group: GroupName) {
        let Some(live) = self.links.get(&id).and_then(|link| link.live()) else { return };
        let peer = live.info.clone();
        let admission = self.admission(&group, &peer.person);
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        if let Err(code) = admission {
            return live.connections.refuse(number, code);
        }
        live.connections.accept(number);
        let answers = group.as_str() == DEBUG;
        let handler = if answers { Handler::Answers } else { Handler::Application };
        let held = Held { link: id, number, group: group.clone(), peer: peer.clone(), ours: false, handler };
        let connection = self.groups.keep(held);
        if !answers {
            let peer = Box::new(peer);
            self.event(Event::Group(GroupEvent::Opened { connection, group, peer }));
        }
    }

    fn connection_accepted(&mut self, id: LinkId, number: u32) {
        let Some(connection) = self.groups.named(id, number) else { return };
        let Some(held) = self.groups.open.get_mut(&connection) else { return };
        match held.handler {
            Handler::Opening { reply } => {
                held.handler = Handler::Application;
                self.timers.set(Timer::Connection(connection), None);
                self.reply(reply, Ok(Reply::Connection(connection)));
            }
            Handler::Asks { .. } => self.debug_accepted(connection),
            Handler::Application | Handler::Answers => {}
        }
    }

    fn connection_refused(&mut self, id: LinkId, number: u32, code: RefuseCode) {
        let Some(connection) = self.groups.named(id, number) else { return };
        let Some(held) = self.groups.open.remove(&connection) else { return };
        self.timers.set(Timer::Connection(connection), None);
        if let Handler::Opening { reply } | Handler::Asks { reply, .. } = held.handler {
            let (person, email) = (held.peer.person, held.peer.email);
            let group = held.group.as_str().into();
            self.reply(reply, Err(NodeError::GroupRefused { group, person, email, code }));
        }
    }

    fn connection_heard(&mut self, id: LinkId, number: u32, message: Bytes, cost: u32) {
        let Some(connection) = self.groups.named(id, number) else { return };
        match self.groups.open.get(&connection).map(|held| held.handler) {
            Some(Handler::Application) => {
                self.event(Event::Group(GroupEvent::Message { connection, message, cost }));
            }
            Some(Handler::Asks { .. }) => self.debug_answered(connection, &message),
            Some(Handler::Answers) => self.debug_asked(connection, &message),
            Some(Handler::Opening { .. }) | None => {}
        }
    }

    fn connection_closed(&mut self, id: LinkId, number: u32, dropped: Vec<Ticket>) {
        self.drop_messages(dropped);
        let Some(connection) = self.groups.named(id, number) else { return };
        self.connection_failed(connection);
        self.close_held(connection, ConnectionEnd::ClosedByPeer);
    }

    /// Whoever waits for an answer on a connection gets none.
    fn connection_failed(&mut self, connection: ConnectionId) {
        let Some(held) = self.groups.open.get(&connection) else { return };
        if let Handler::Opening { reply } | Handler::Asks { reply, .. } = held.handler {
            let person = held.peer.person;
            self.reply(reply, Err(NodeError::NotConnected { person }));
        }
    }

    fn drop_messages(&mut self, dropped: Vec<Ticket>) {
        for ticket in dropped {
            self.reply(ticket, Err(NodeError::ConnectionEnded));
        }
    }

    /// The session is over, and with it its connections.
    pub(crate) fn connections_ended(&mut self, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        live.early_groups.clear();
        let dropped = live.connections.end();
        self.drop_messages(dropped);
        let on_it = self.groups.open.iter().filter(|(_, held)| held.link == id);
        let ended: Vec<ConnectionId> = on_it.map(|(connection, _)| *connection).collect();
        for connection in ended {
            self.connection_failed(connection);
            self.close_held(connection, ConnectionEnd::SessionEnded);
        }
    }
}
