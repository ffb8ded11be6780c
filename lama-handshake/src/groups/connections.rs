//! The connections of one session: who may send what, and what waits to be sent.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use lama_core::{SortedMap, Ticket};

use super::{
    Frame, GroupError, GroupName, MAX_CONNECTIONS, MAX_CREDIT, MAX_GROUP_MESSAGE, MESSAGE_COST, MIN_CREDIT,
    RefuseCode, SendError,
};
use crate::Role;

/// Shorter messages are copied.
const SMALL: usize = 4 << 10;

/// This side's own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// What the peer may send on a connection before the application has taken any of it; between [`MIN_CREDIT`] and
    /// [`MAX_CREDIT`].
    pub credit: u32,
    /// Bytes of messages that may wait on a connection, each with [`MESSAGE_COST`].
    pub waiting: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { credit: 256 << 10, waiting: 256 << 10 }
    }
}

/// What a frame of the peer brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Happened {
    /// Nothing for the application.
    Nothing,
    /// The peer asks for a connection: answer with [`Connections::accept`] or [`Connections::refuse`].
    Asked {
        /// Its number.
        number: u32,
        /// Of which group.
        group: GroupName,
    },
    /// A connection that this side asked for is open.
    Accepted {
        /// Its number.
        number: u32,
    },
    /// A connection that this side asked for is refused, and gone.
    Refused {
        /// Its number.
        number: u32,
        /// Why.
        code: RefuseCode,
    },
    /// A message.
    Message {
        /// On which connection.
        number: u32,
        /// The message.
        message: Bytes,
        /// What it takes of the peer's credit, until [`Connections::taken`] gives that back.
        cost: u32,
    },
    /// The peer has closed a connection that this side has not closed. Nothing more comes or leaves.
    Closed {
        /// Its number.
        number: u32,
        /// Those who wait for messages that have not left.
        dropped: Vec<Ticket>,
    },
}

/// What a frame that was built means for the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// Who waits for the message that leaves with it.
    pub sent: Option<Ticket>,
}

/// What has to be said before anything else on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
enum First {
    Open(GroupName),
    Accept,
    Refuse(RefuseCode),
}

#[derive(Debug)]
struct Connection {
    ours: bool,
    first: Option<First>,
    /// Both sides have agreed to it.
    open: bool,
    /// Messages that wait for credit, and who waits for them to leave.
    waiting: VecDeque<(Option<Ticket>, Bytes)>,
    waiting_cost: u32,
    /// What this side may still send.
    credit: u32,
    /// What the peer may still send.
    given: u32,
    /// What the application has taken, and the peer was not told.
    owed: u32,
    close_wanted: bool,
    close_sent: bool,
    close_seen: bool,
}

impl Connection {
    const fn new(ours: bool, first: Option<First>, given: u32, credit: u32) -> Self {
        Self {
            ours,
            first,
            open: false,
            waiting: VecDeque::new(),
            waiting_cost: 0,
            credit,
            given,
            owed: 0,
            close_wanted: false,
            close_sent: false,
            close_seen: false,
        }
    }

    /// Whether the peer may send on it.
    const fn hears(&self) -> bool {
        self.open && !self.close_seen && self.first.is_none()
    }

    /// A little is not worth a frame, unless the peer may be stuck.
    const fn is_credit_due(&self, limits: &ConnectionLimits) -> bool {
        let worth = self.owed >= limits.credit / 4 || self.given < MIN_CREDIT;
        self.owed > 0 && worth && !self.close_wanted
    }
}

fn cost(message: &[u8]) -> u32 {
    u32::try_from(message.len()).unwrap_or(u32::MAX).saturating_add(MESSAGE_COST)
}

/// The connections of one session. See the [module](super).
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    /// The number of the next connection that this side opens, and of the next one of the peer's.
    next: [Option<u32>; 2],
    all: SortedMap<u32, Connection>,
    /// Where the next turn begins.
    turn: u32,
}

impl Connections {
    /// A session's connections: none.
    #[must_use]
    pub fn new(role: Role, limits: ConnectionLimits) -> Self {
        let credit = limits.credit.clamp(MIN_CREDIT, MAX_CREDIT);
        let next = match role {
            Role::Initiator => [Some(0), Some(1)],
            Role::Responder => [Some(1), Some(0)],
        };
        Self { limits: ConnectionLimits { credit, ..limits }, next, all: SortedMap::new(), turn: 0 }
    }

    /// Asks for a connection; its number. `None`: there are as many as there may be.
    pub fn open(&mut self, group: GroupName) -> Option<u32> {
        if self.count(true) >= MAX_CONNECTIONS {
            return None;
        }
        let [next, _] = &mut self.next;
        let number = (*next)?;
        *next = number.checked_add(2);
        let first = Some(First::Open(group));
        self.all.insert(number, Connection::new(true, first, self.limits.credit, 0));
        Some(number)
    }

    fn count(&self, ours: bool) -> usize {
        self.all.values().filter(|connection| connection.ours == ours).count()
    }

    /// The connection that the peer asked for is open.
    pub fn accept(&mut self, number: u32) {
        if let Some(connection) = self.all.get_mut(&number).filter(|one| !one.ours && !one.open) {
            connection.open = true;
            connection.first = Some(First::Accept);
        }
    }

    /// There is no such connection for the peer.
    pub fn refuse(&mut self, number: u32, code: RefuseCode) {
        if let Some(connection) = self.all.get_mut(&number).filter(|one| !one.ours && !one.open) {
            connection.first = Some(First::Refuse(code));
        }
    }

    /// Takes a message, to be sent when there is credit. [`Polled::sent`] names `who` when it leaves.
    ///
    /// # Errors
    /// See [`SendError`]; nothing has changed then.
    pub fn send(&mut self, number: u32, who: Option<Ticket>, message: Bytes) -> Result<(), SendError> {
        let connection = self.all.get_mut(&number).filter(|one| one.open && !one.close_wanted);
        let connection = connection.ok_or(SendError::NotOpen)?;
        if message.len() > MAX_GROUP_MESSAGE {
            return Err(SendError::TooLong);
        }
        let with = connection.waiting_cost.saturating_add(cost(&message));
        if with > self.limits.waiting && !connection.waiting.is_empty() {
            return Err(SendError::Full);
        }
        connection.waiting_cost = with;
        connection.waiting.push_back((who, message));
        Ok(())
    }

    /// The application has worked off messages of this [`Happened::Message`] cost: the peer may send as much again.
    pub fn taken(&mut self, number: u32, cost: u32) {
        if let Some(connection) = self.all.get_mut(&number) {
            let most = self.limits.credit.saturating_sub(connection.given);
            connection.owed = connection.owed.saturating_add(cost).min(most);
        }
    }

    /// Closes a connection once what waits on it has left. The peer's messages are dropped from now on.
    pub fn close(&mut self, number: u32) {
        if let Some(connection) = self.all.get_mut(&number) {
            connection.close_wanted = true;
        }
    }

    /// The session is over: those who wait for messages that have not left.
    pub fn end(&mut self) -> Vec<Ticket> {
        let all = core::mem::take(&mut self.all).into_values();
        all.flat_map(|connection| connection.waiting).filter_map(|(who, _)| who).collect()
    }

    /// Takes a frame of the peer.
    ///
    /// # Errors
    /// The rule that the peer broke; the session ends.
    pub fn receive(&mut self, frame: Bytes) -> Result<Happened, GroupError> {
        match Frame::read(frame)? {
            Frame::Open { number, credit, group } => self.asked(number, credit, group),
            Frame::Accept { number, credit } => {
                let given = in_range(credit)?;
                let connection = self.answered(number)?;
                connection.open = true;
                connection.credit = given;
                let wanted = !connection.close_wanted;
                Ok(if wanted { Happened::Accepted { number } } else { Happened::Nothing })
            }
            Frame::Refuse { number, code } => {
                self.answered(number)?;
                self.all.remove(&number);
                Ok(Happened::Refused { number, code })
            }
            Frame::Message { number, message } => self.heard(number, message),
            Frame::Credit { number, credit } => {
                let connection = self.hearing(number)?;
                let total = connection.credit.checked_add(credit).filter(|total| *total <= MAX_CREDIT);
                connection.credit = total.filter(|_| credit > 0).ok_or(GroupError::CreditRange)?;
                Ok(Happened::Nothing)
            }
            Frame::Close { number } => self.closed(number),
        }
    }

    fn asked(&mut self, number: u32, credit: u32, group: GroupName) -> Result<Happened, GroupError> {
        let [_, next] = &mut self.next;
        if *next != Some(number) {
            return Err(GroupError::Number);
        }
        *next = number.checked_add(2);
        if self.count(false) >= MAX_CONNECTIONS {
            return Err(GroupError::TooMany);
        }
        let connection = Connection::new(false, None, self.limits.credit, in_range(credit)?);
        self.all.insert(number, connection);
        Ok(Happened::Asked { number, group })
    }

    /// A connection of ours that the peer may answer.
    fn answered(&mut self, number: u32) -> Result<&mut Connection, GroupError> {
        let connection = self.all.get_mut(&number).ok_or(GroupError::Number)?;
        let may = connection.ours && !connection.open && connection.first.is_none();
        if may { Ok(connection) } else { Err(GroupError::Unexpected) }
    }

    /// A connection on which the peer may speak.
    fn hearing(&mut self, number: u32) -> Result<&mut Connection, GroupError> {
        let connection = self.all.get_mut(&number).ok_or(GroupError::Number)?;
        if connection.hears() { Ok(connection) } else { Err(GroupError::Unexpected) }
    }

    fn heard(&mut self, number: u32, message: Bytes) -> Result<Happened, GroupError> {
        let connection = self.hearing(number)?;
        let cost = cost(&message);
        connection.given = connection.given.checked_sub(cost).ok_or(GroupError::CreditExceeded)?;
        if connection.close_wanted {
            return Ok(Happened::Nothing);
        }
        // A short message must not hold the memory of all that came with it.
        let message = if message.len() < SMALL { Bytes::copy_from_slice(&message) } else { message };
        Ok(Happened::Message { number, message, cost })
    }

    fn closed(&mut self, number: u32) -> Result<Happened, GroupError> {
        let connection = self.hearing(number)?;
        connection.close_seen = true;
        let news = !connection.close_wanted;
        connection.close_wanted = true;
        let dropped = connection.waiting.drain(..).filter_map(|(who, _)| who).collect();
        if connection.close_sent {
            self.all.remove(&number);
        }
        Ok(if news { Happened::Closed { number, dropped } } else { Happened::Nothing })
    }

    /// Appends the next frame, or leaves `out` alone.
    pub fn poll_frame(&mut self, out: &mut BytesMut) -> Option<Polled> {
        // In order: the peer counts.
        let opening = |one: &Connection| matches!(one.first, Some(First::Open(_)));
        let first = self.all.iter().find(|(_, one)| opening(one)).map(|(number, _)| *number);
        let turn = self.turn;
        let behind = self.all.range(turn..).chain(self.all.range(..turn)).map(|(number, _)| *number);
        let order: Vec<u32> = first.into_iter().chain(behind).collect();
        for number in order {
            if let Some((frame, sent)) = self.next_frame(number) {
                frame.write(out);
                self.turn = number.saturating_add(1);
                return Some(Polled { sent });
            }
        }
        None
    }

    fn next_frame(&mut self, number: u32) -> Option<(Frame, Option<Ticket>)> {
        let limits = self.limits;
        let connection = self.all.get_mut(&number)?;
        let credit = limits.credit;
        match connection.first.take() {
            Some(First::Open(group)) => return Some((Frame::Open { number, credit, group }, None)),
            Some(First::Accept) => return Some((Frame::Accept { number, credit }, None)),
            Some(First::Refuse(code)) => {
                self.all.remove(&number);
                return Some((Frame::Refuse { number, code }, None));
            }
            None => {}
        }
        if !connection.open || connection.close_sent {
            return None;
        }
        if connection.is_credit_due(&limits) {
            let credit = core::mem::take(&mut connection.owed);
            connection.given = connection.given.saturating_add(credit);
            return Some((Frame::Credit { number, credit }, None));
        }
        if let Some((_, message)) = connection.waiting.front() {
            let cost = cost(message);
            connection.credit = connection.credit.checked_sub(cost)?;
            connection.waiting_cost = connection.waiting_cost.saturating_sub(cost);
            let (who, message) = connection.waiting.pop_front()?;
            return Some((Frame::Message { number, message }, who));
        }
        if connection.close_wanted {
            connection.close_sent = true;
            if connection.close_seen {
                self.all.remove(&number);
            }
            return Some((Frame::Close { number }, None));
        }
        None
    }
}

/// Credit with which a connection may begin.
fn in_range(credit: u32) -> Result<u32, GroupError> {
    let fits = (MIN_CREDIT..=MAX_CREDIT).contains(&credit);
    if fits { Ok(credit) } else { Err(GroupError::CreditRange) }
}
