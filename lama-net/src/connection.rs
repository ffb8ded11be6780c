//! Connections of groups for applications: a stream of those that contacts open, and messages both ways, with
//! back-pressure instead of loss.
//!
//! The loop hands each message to its connection over a queue of its own. It is bounded by the credit of the protocol: the
//! other side may send more only when [`Connection::recv`] has taken what came before.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_util::stream::FusedStream as _;
use futures_util::{Stream, StreamExt};
use lama_identity::InstanceId;
use lama_node::{
    Admits, Command, ConnectionEnd, ConnectionId, GroupCommand, GroupName, NodeError, PeerInfo, Reply,
};

use crate::Handle;
use crate::handle::Call;

/// What the loop tells a connection.
#[derive(Debug)]
pub(crate) enum Heard {
    Message(Bytes, u32),
    End(ConnectionEnd),
}

/// A connection as the loop makes it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) id: ConnectionId,
    /// Who has opened it; `None`: this side has.
    pub(crate) peer: Option<Box<PeerInfo>>,
    pub(crate) heard: mpsc::UnboundedReceiver<Heard>,
}

/// What an application is done with; nobody waits for it.
#[derive(Debug)]
pub(crate) enum Note {
    Taken(ConnectionId, u32),
    Close(ConnectionId),
    EndServing(GroupName),
}

impl From<Note> for Command {
    fn from(note: Note) -> Self {
        Self::Group(match note {
            Note::Taken(connection, cost) => GroupCommand::Taken { connection, cost },
            Note::Close(connection) => GroupCommand::Close { connection },
            Note::EndServing(group) => GroupCommand::EndServing { group: group.as_str().into() },
        })
    }
}

/// One connection with an instance of a contact. Dropping it closes it; what was sent before still leaves.
#[derive(Debug)]
pub struct Connection {
    handle: Handle,
    id: ConnectionId,
    peer: Option<Box<PeerInfo>>,
    heard: mpsc::UnboundedReceiver<Heard>,
    end: Option<ConnectionEnd>,
}

impl Connection {
    fn new(handle: &Handle, opened: Opened) -> Self {
        let Opened { id, peer, heard } = opened;
        Self { handle: handle.clone(), id, peer, heard, end: None }
    }

    /// Its name, as events and logs have it.
    #[must_use]
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Who has opened it; `None`: this side has.
    #[must_use]
    pub fn peer(&self) -> Option<&PeerInfo> {
        self.peer.as_deref()
    }

    /// Sends a message of at most [`lama_node::MAX_GROUP_MESSAGE`] bytes, and waits until it has left: that takes until the
    /// other side has room for it. Messages of one sender arrive in order. Dropping the future does not take it back.
    ///
    /// # Errors
    /// [`NodeError::NoSuchConnection`], [`NodeError::ConnectionEnded`], [`NodeError::MessageTooLong`]; and
    /// [`NodeError::ConnectionFull`] where many callers send at a time without waiting for each other.
    pub async fn send(&self, message: impl Into<Bytes>) -> Result<(), NodeError> {
        let (connection, message) = (self.id, message.into());
        self.handle.command(Command::Group(GroupCommand::Send { connection, message })).await.map(drop)
    }

    /// The next message; the other side may then send as much more. `Err`: it was the last, and why.
    ///
    /// # Errors
    /// Why the connection ended, from then on every time.
    pub async fn recv(&mut self) -> Result<Bytes, ConnectionEnd> {
        if let Some(end) = self.end {
            return Err(end);
        }
        match self.heard.next().await {
            Some(Heard::Message(message, cost)) => {
                self.handle.note(Note::Taken(self.id, cost));
                Ok(message)
            }
            Some(Heard::End(end)) => {
                self.end = Some(end);
                Err(end)
            }
            // The loop is gone.
            None => {
                self.end = Some(ConnectionEnd::SessionEnded);
                Err(ConnectionEnd::SessionEnded)
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.end.is_none() {
            self.handle.note(Note::Close(self.id));
        }
    }
}

/// The connections of a group that contacts open, in order. Dropping it ends serving the group and closes those that were
/// opened.
#[derive(Debug)]
pub struct Incoming {
    handle: Handle,
    group: GroupName,
    opened: mpsc::UnboundedReceiver<Opened>,
}

impl Incoming {
    /// The next one; `None` when the node has ended, or the group is served elsewhere in this process.
    pub async fn next(&mut self) -> Option<Connection> {
        StreamExt::next(self).await
    }
}

impl Stream for Incoming {
    type Item = Connection;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Connection>> {
        let opened = self.opened.poll_next_unpin(cx);
        opened.map(|opened| opened.map(|opened| Connection::new(&self.handle, opened)))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Closed by the loop: another server has the group now.
        while self.opened.try_recv().is_ok() {}
        let is_replaced = self.opened.is_terminated();
        self.opened.close();
        if !is_replaced {
            self.handle.note(Note::EndServing(self.group.clone()));
        }
    }
}

/// Goes to the loop: who waits for a connection that this side opens.
pub(crate) type Opening = oneshot::Sender<Result<Opened, NodeError>>;

impl Handle {
    /// Serves a group from now on: contacts that `to` admits may open connections of it. One server for each group; the
    /// newest counts. As long as there is one, or a connection, the node runs.
    ///
    /// # Errors
    /// [`NodeError::GroupName`]; [`NodeError::Stopped`] if the node runs no more.
    pub async fn serve(&self, group: &str, to: Admits) -> Result<Incoming, NodeError> {
        let name = GroupName::new(group).ok_or_else(|| NodeError::GroupName { group: group.into() })?;
        let (server, opened) = mpsc::unbounded();
        self.call(Call::Serve(name.clone(), server)).await.map_err(|_| NodeError::Stopped)?;
        let serve = GroupCommand::Serve { group: group.into(), to };
        self.command(Command::Group(serve)).await?;
        Ok(Incoming { handle: self.clone(), group: name, opened })
    }

    /// Opens a connection of a group on the session with an instance of a contact.
    ///
    /// # Errors
    /// [`NodeError::NotConnected`], [`NodeError::GroupRefused`], [`NodeError::NoGroupsThere`],
    /// [`NodeError::GroupSilent`], [`NodeError::GroupName`], [`NodeError::Stopped`].
    pub async fn open(&self, instance: InstanceId, group: &str) -> Result<Connection, NodeError> {
        let (answer, answered) = oneshot::channel();
        let open = GroupCommand::Open { instance, group: group.into() };
        self.call(Call::Open(open, answer)).await.map_err(|_| NodeError::Stopped)?;
        let opened = answered.await.unwrap_or(Err(NodeError::Stopped))?;
        Ok(Connection::new(self, opened))
    }
}

/// The loop's side: where connections and their messages go.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    servers: BTreeMap<GroupName, mpsc::UnboundedSender<Opened>>,
    connections: BTreeMap<ConnectionId, mpsc::UnboundedSender<Heard>>,
}

impl Switch {
    pub(crate) fn serve(&mut self, group: GroupName, server: mpsc::UnboundedSender<Opened>) {
        self.servers.insert(group, server);
    }

    /// A connection that this side asked for is answered. Gives it back if nobody waits any more.
    pub(crate) fn answer(&mut self, who: Opening, result: Result<Reply, NodeError>) -> Option<ConnectionId> {
        let id = match result {
            Ok(Reply::Connection(id)) => id,
            Ok(_) => return None,
            Err(error) => {
                let _ = who.send(Err(error));
                return None;
            }
        };
        let opened = self.connect(id, None);
        if who.send(Ok(opened)).is_ok() {
            return None;
        }
        self.connections.remove(&id);
        Some(id)
    }

    fn connect(&mut self, id: ConnectionId, peer: Option<Box<PeerInfo>>) -> Opened {
        let (to, heard) = mpsc::unbounded();
        self.connections.insert(id, to);
        Opened { id, peer, heard }
    }

    /// Brings an event to its connection; gives it back if that is none of this module's.
    pub(crate) fn bring(&mut self, event: lama_node::GroupEvent) -> Option<lama_node::GroupEvent> {
        use lama_node::GroupEvent as Event;
        match event {
            Event::Opened { connection, group, peer } => {
                let Some(server) = self.servers.get(&group).filter(|server| !server.is_closed()).cloned()
                else {
                    self.servers.remove(&group);
                    return Some(Event::Opened { connection, group, peer });
                };
                let opened = self.connect(connection, Some(peer));
                let _ = server.unbounded_send(opened);
                None
            }
            Event::Message { connection, message, cost } => match self.connections.get(&connection) {
                Some(to) => {
                    let _ = to.unbounded_send(Heard::Message(message, cost));
                    None
                }
                None => Some(Event::Message { connection, message, cost }),
            },
            Event::Closed { connection, end } => match self.connections.remove(&connection) {
                Some(to) => {
                    let _ = to.unbounded_send(Heard::End(end));
                    None
                }
                None => Some(Event::Closed { connection, end }),
            },
        }
    }
}
