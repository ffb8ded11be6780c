//! What applications want of groups and connections.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::Ticket;
use lama_handshake::groups::{CAP_GROUPS, GroupName, MAX_CONNECTIONS, MAX_GROUP_MESSAGE, SendError};
use lama_identity::InstanceId;

use super::{Handler, Held};
use crate::NodeError;
use crate::api::{ConnectionEnd, ConnectionId, Event, GroupCommand, GroupEvent, Reply};
use crate::debug::DEBUG;
use crate::hub::Timer;
use crate::node::Node;

/// Groups that no application serves.
const OWN: [&str; 3] = ["chum", "pairing", DEBUG];

/// The name of a group that an application may serve.
fn name(group: &str) -> Result<GroupName, NodeError> {
    let name = GroupName::new(group).filter(|name| !OWN.contains(&name.as_str()));
    name.ok_or_else(|| NodeError::GroupName { group: group.into() })
}

impl Node {
    /// [`crate::Command::Group`].
    pub(crate) fn group_command(&mut self, reply: Ticket, command: GroupCommand) -> Result<(), NodeError> {
        match command {
            GroupCommand::Serve { group, to } => {
                self.groups.served.insert(name(&group)?, to);
            }
            GroupCommand::EndServing { group } => self.end_serving(&name(&group)?),
            GroupCommand::Open { instance, group } => {
                name(&group)?;
                return self.open_connection(instance, &group, Handler::Opening { reply });
            }
            GroupCommand::Send { connection, message } => {
                return self.send_on(connection, Some(reply), message);
            }
            GroupCommand::Taken { connection, cost } => {
                let held = self.groups.open.get(&connection).ok_or(NodeError::NoSuchConnection)?;
                let (link, number) = (held.link, held.number);
                if let Some(live) = self.links.get_mut(&link).and_then(|link| link.live_mut()) {
                    live.connections.taken(number, cost);
                    self.ready.insert(link);
                }
            }
            GroupCommand::Close { connection } => {
                if !self.groups.open.contains_key(&connection) {
                    return Err(NodeError::NoSuchConnection);
                }
                self.close_held(connection, ConnectionEnd::ClosedHere);
            }
        }
        self.reply(reply, Ok(Reply::Done));
        Ok(())
    }

    fn end_serving(&mut self, group: &GroupName) {
        self.groups.served.remove(group);
        let open = self.groups.open.iter().filter(|(_, held)| !held.ours && held.group == *group);
        let ending: Vec<ConnectionId> = open.map(|(id, _)| *id).collect();
        for connection in ending {
            self.close_held(connection, ConnectionEnd::ClosedHere);
        }
    }

    /// Asks for a connection on the session with an instance.
    pub(crate) fn open_connection(
        &mut self,
        instance: InstanceId,
        group: &str,
        handler: Handler,
    ) -> Result<(), NodeError> {
        let group = GroupName::new(group).ok_or_else(|| NodeError::GroupName { group: group.into() })?;
        let peer = self.peers.get(&instance).ok_or(NodeError::NoSuchInstance)?;
        let person = peer.person;
        let link = peer.session.ok_or(NodeError::NotConnected { person })?;
        let live = self.links.get_mut(&link).and_then(|link| link.live_mut());
        let live = live.filter(|live| live.connects()).ok_or(NodeError::NotConnected { person })?;
        if live.peer.caps & CAP_GROUPS == 0 {
            return Err(NodeError::NoGroupsThere { person });
        }
        let number = live.connections.open(group.clone());
        let number = number.ok_or(NodeError::TooManyConnections { max: MAX_CONNECTIONS })?;
        let peer = live.info.clone();
        let connection = self.groups.keep(Held { link, number, group, peer, ours: true, handler });
        let due = self.clock.latest().mono + self.config.connection_deadline;
        self.timers.set(Timer::Connection(connection), Some(due));
        self.ready.insert(link);
        Ok(())
    }

    /// The other side has not answered in time.
    pub(crate) fn connection_timer(&mut self, connection: ConnectionId) {
        let Some(held) = self.groups.open.get(&connection) else { return };
        if let Handler::Opening { reply } | Handler::Asks { reply, .. } = held.handler {
            let person = held.peer.person;
            self.reply(reply, Err(NodeError::GroupSilent { person }));
            self.close_held(connection, ConnectionEnd::ClosedHere);
        }
    }

    fn send_on(
        &mut self,
        connection: ConnectionId,
        who: Option<Ticket>,
        message: Bytes,
    ) -> Result<(), NodeError> {
        let held = self.groups.open.get(&connection).ok_or(NodeError::NoSuchConnection)?;
        let (link, number, len) = (held.link, held.number, message.len());
        let live = self.links.get_mut(&link).and_then(|link| link.live_mut());
        let live = live.ok_or(NodeError::NoSuchConnection)?;
        live.connections.send(number, who, message).map_err(|error| match error {
            SendError::NotOpen => NodeError::NoSuchConnection,
            SendError::TooLong => NodeError::MessageTooLong { len, max: MAX_GROUP_MESSAGE },
            SendError::Full => NodeError::ConnectionFull,
        })?;
        self.ready.insert(link);
        Ok(())
    }

    /// A message that nobody waits for.
    pub(crate) fn send_quietly(&mut self, connection: ConnectionId, message: Bytes) {
        let _ = self.send_on(connection, None, message);
    }

    /// This side closes a connection, or the other one has.
    pub(crate) fn close_held(&mut self, connection: ConnectionId, end: ConnectionEnd) {
        let Some(held) = self.groups.open.remove(&connection) else { return };
        self.timers.set(Timer::Connection(connection), None);
        if let Some(live) = self.links.get_mut(&held.link).and_then(|link| link.live_mut()) {
            live.connections.close(held.number);
            self.ready.insert(held.link);
        }
        if held.handler == Handler::Application {
            self.event(Event::Group(GroupEvent::Closed { connection, end }));
        }
    }
}
