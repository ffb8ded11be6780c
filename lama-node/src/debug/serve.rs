//! Asking and answering, on connections of the group `debug`.

use alloc::boxed::Box;
use alloc::string::ToString as _;

use bytes::Bytes;
use lama_core::Ticket;
use lama_handshake::{VERSION, Via};
use lama_identity::{InstanceId, LogChain, PersonId};
use lama_store::{Read, Reply as StoreReply, StoreError, Write};

use super::{Ask, View};
use crate::NodeError;
use crate::api::{ConnectionEnd, ConnectionId, DebugCommand, Fault, HealthItem, Reply, Seen, Severity};
use crate::app::Answer;
use crate::group::{Handler, Held};
use crate::hub::{Effect, setting};
use crate::node::Node;
use crate::session::is_complete;

/// The group's name.
pub(crate) const DEBUG: &str = "debug";

/// Settings under which those stand who may ask; the person's id in hexadecimal follows.
pub(crate) const ALLOWED: &str = "debug/";

/// What of this instance's health is told: nothing that names or counts others.
const TOLD: [&str; 4] = ["clock.", "listener.", "store.", "alarm.revoked-here"];

impl Node {
    /// [`crate::Command::Debug`].
    pub(crate) fn debug_command(&mut self, reply: Ticket, command: DebugCommand) -> Result<(), NodeError> {
        match command {
            DebugCommand::Allow { person, allow } => self.allow_debug(reply, person, allow),
            DebugCommand::Allowed => {
                let email = |person: &PersonId| {
                    self.book.person(person).map(|known| known.contact.person.email.as_str().into())
                };
                let list = self.groups.debug_allowed.iter().map(|person| (*person, email(person)));
                let list = Reply::DebugAllowed(list.collect());
                self.reply(reply, Ok(list));
                Ok(())
            }
            DebugCommand::Ask { instance } => self.ask_debug(reply, instance),
        }
    }

    fn allow_debug(&mut self, reply: Ticket, person: PersonId, allow: bool) -> Result<(), NodeError> {
        if allow {
            self.known(&person)?;
            self.groups.debug_allowed.insert(person);
        } else if !self.groups.debug_allowed.remove(&person) {
            self.known(&person)?;
        }
        let write = allowed_write(&person, allow);
        self.commit(alloc::vec![write], Effect::Answer { reply, answer: Answer::Put });
        Ok(())
    }

    /// A contact is removed: so is what it may ask. The write for that.
    pub(crate) fn forbid_debug(&mut self, person: &PersonId) -> Option<Write> {
        self.groups.debug_allowed.remove(person).then(|| allowed_write(person, false))
    }

    fn ask_debug(&mut self, reply: Ticket, instance: InstanceId) -> Result<(), NodeError> {
        let asked = self.clock.latest();
        self.open_connection(instance, DEBUG, Handler::Asks { reply, asked })
    }

    /// The other side agrees to be asked.
    pub(crate) fn debug_accepted(&mut self, connection: ConnectionId) {
        let now = self.clock.latest();
        if let Some(Held { handler: Handler::Asks { asked, .. }, .. }) = self.groups.open.get_mut(&connection)
        {
            *asked = now;
        }
        if let Ok(bytes) = Ask::default().to_bytes() {
            self.send_quietly(connection, bytes);
        }
    }

    /// A question: the store is looked at before it is answered.
    pub(crate) fn debug_asked(&mut self, connection: ConnectionId, message: &Bytes) {
        let may = self
            .groups
            .open
            .get(&connection)
            .is_some_and(|held| self.groups.debug_allowed.contains(&held.peer.person));
        if !may || Ask::from_bytes(message).is_err() {
            return self.close_held(connection, ConnectionEnd::ClosedHere);
        }
        self.read(Read::Stats, Effect::Asked { connection });
    }

    /// The store has been looked at: the answer, after which the connection is closed.
    pub(crate) fn debug_looked(
        &mut self,
        connection: ConnectionId,
        result: Option<Result<StoreReply, StoreError>>,
    ) {
        let store = match result {
            Some(Ok(_)) => ("store.opens", Severity::Good),
            _ => ("store.failed", Severity::Error),
        };
        if let Some(view) = self.view_for(connection, store)
            && let Ok(bytes) = view.to_bytes()
        {
            self.send_quietly(connection, bytes);
        }
        self.close_held(connection, ConnectionEnd::ClosedHere);
    }

    fn view_for(&self, connection: ConnectionId, store: (&str, Severity)) -> Option<View> {
        let now = self.clock.latest();
        let held = self.groups.open.get(&connection)?;
        let link = self.links.get(&held.link)?;
        let live = link.live()?;
        let person = held.peer.person;
        let is_told = |item: &HealthItem| {
            item.person == Some(person)
                || (item.person.is_none() && TOLD.iter().any(|told| item.code.starts_with(told)))
        };
        let items = self.health_items();
        let told = items.iter().filter(|item| is_told(item)).map(|item| (item.code, item.severity));
        let mut items: alloc::vec::Vec<_> = told.chain([store]).collect();
        items.sort_unstable();
        items.dedup_by_key(|(code, _)| *code);
        let items = items.into_iter().take(View::MAX_ITEMS);
        let mut view = View::new(now.wall.0, (VERSION, VERSION));
        view.age = u64::try_from(now.mono.since(live.since).as_millis()).unwrap_or(u64::MAX);
        view.head = self.logs.of(&person).map(LogChain::head).unwrap_or_default();
        view.items = items.map(|(code, severity)| (code.to_string(), severity as u8)).collect();
        view.program = env!("CARGO_PKG_VERSION").to_string();
        view.in_sync = live.in_sync && is_complete(&Self::progress_of(live));
        view.dialled = link.dialled();
        view.relayed = link.via() != Via::Direct;
        let micros = |time: core::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        view.round_trip = live.mux.round_trip().map(micros);
        Some(view)
    }

    /// The answer.
    pub(crate) fn debug_answered(&mut self, connection: ConnectionId, message: &Bytes) {
        let now = self.clock.latest();
        let Some(held) = self.groups.open.get(&connection) else { return };
        let Handler::Asks { reply, asked } = held.handler else { return };
        let peer = held.peer.clone();
        let result = match View::from_bytes(message) {
            Ok(view) => {
                let round_trip = now.mono.since(asked.mono);
                let half = u64::try_from(round_trip.as_millis() / 2).unwrap_or_default();
                let ours = now.wall.0.saturating_sub(half);
                let clock_ahead = i64::try_from(i128::from(view.at) - i128::from(ours)).unwrap_or(i64::MAX);
                let own_head = self.own_head();
                Ok(Reply::Seen(Box::new(Seen { peer, view, round_trip, clock_ahead, own_head })))
            }
            Err(error) => {
                let fault = Fault::new("debug-view", &error);
                Err(NodeError::Violation { code: fault.code, text: fault.text })
            }
        };
        self.reply(reply, result);
        self.close_held(connection, ConnectionEnd::ClosedHere);
    }
}

fn allowed_write(person: &PersonId, allow: bool) -> Write {
    Write::Setting { key: setting(ALLOWED, &person.0), value: allow.then(|| Bytes::from_static(&[1])) }
}
