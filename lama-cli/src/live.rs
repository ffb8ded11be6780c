//! An instance that runs in this process, and what can be asked of it. Blocking: whoever asks has a thread.

mod bundle;
mod folders;
mod getting;
mod health;
mod instances;
pub(crate) mod keeping;
mod limits;
mod messages;
mod peers;
mod people;
mod relays;
mod rows;
mod seeing;
mod unsharing;
mod work;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lama_host::control;
use lama_net::{Counters, RelayHome};
use lama_node::{Command, Event, NodeError, Reply};
use lama_store::StoreError;
use serde_json::Value;

use crate::api::{Id, Request};
use crate::failure::{Exit, Failure};
use crate::identity::Keys;
use crate::signal::Stop;

pub(crate) use rows::event as event_row;

/// The way to a running node: both adapters give one.
pub(crate) trait Port: std::fmt::Debug + Send + Sync {
    /// Does a command and waits for its end.
    fn call(&self, command: Command) -> Result<Reply, NodeError>;
    /// Stands behind these relays from now on.
    fn relays(&self, relays: Vec<RelayHome>) -> Result<(), NodeError>;
    /// Starts a command; the answer comes through the receiver.
    fn start(&self, command: Command) -> Receiver<Result<Reply, NodeError>>;
}

/// Events for everybody in this process who wants them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<SyncSender<Event>>>>);

impl Events {
    /// Hands an event to all who listen. Whoever does not keep up loses events, not the node its time.
    pub(crate) fn publish(&self, event: &Event) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|to| !matches!(to.try_send(event.clone()), Err(TrySendError::Disconnected(_))));
    }

    /// All events from now on.
    pub(crate) fn subscribe(&self) -> Receiver<Event> {
        let (to, from) = sync_channel(4096);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(to);
        from
    }
}

/// A running instance.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: Id,
    pub(crate) port: Box<dyn Port>,
    pub(crate) events: Events,
    pub(crate) runtime: &'static str,
    /// What has happened since the start.
    pub(crate) counters: Arc<Mutex<Counters>>,
    /// Whether it listens and dials, or only works with the store.
    pub(crate) online: bool,
    /// The relays that it was told to stand behind, now.
    pub(crate) relays: Mutex<Vec<String>>,
    /// Whether it stands behind those that are kept.
    pub(crate) stands: bool,
    /// Whether the process before did not end in good order.
    pub(crate) unclean: bool,
    /// The port at which it listened last.
    pub(crate) last_port: Option<u16>,
    /// The data directory: never part of what is shared.
    pub(crate) data: PathBuf,
    /// Set when somebody asks the instance to end.
    pub(crate) stop: Stop,
    /// The new keys with which the instance is to be started anew.
    pub(crate) renewed: Mutex<Option<Keys>>,
}

impl Live {
    /// Does a command and waits for its end, however long that takes.
    pub(crate) fn call(&self, command: Command) -> Result<Reply, Failure> {
        self.port.call(command).map_err(Failure::from)
    }

    /// Whether the instance is to be started anew with other keys.
    pub(crate) fn is_renewed(&self) -> bool {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The keys for that.
    pub(crate) fn take_renewed(&self) -> Option<Keys> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The relays that it was told to stand behind.
    pub(crate) fn relays(&self) -> Vec<String> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Figures, as Prometheus reads them.
    pub(crate) fn metrics(&self) -> Result<String, Failure> {
        let (status, health) = match (self.call(Command::Status)?, self.call(Command::Health)?) {
            (Reply::Status(status), Reply::Health(health)) => (status, health),
            (other, _) => return Err(work::unexpected(&other)),
        };
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(counters.text(&status, &health, env!("CARGO_PKG_VERSION")))
    }

    /// Does a command and calls `meanwhile` every tenth of a second until it ends, or until that says otherwise.
    pub(crate) fn call_while(
        &self,
        command: Command,
        mut meanwhile: impl FnMut() -> Result<(), Failure>,
    ) -> Result<Reply, Failure> {
        let answer = self.port.start(command);
        loop {
            match answer.recv_timeout(Duration::from_millis(100)) {
                Ok(result) => return result.map_err(Failure::from),
                Err(RecvTimeoutError::Timeout) => meanwhile()?,
                Err(RecvTimeoutError::Disconnected) => return Err(stopped()),
            }
        }
    }

    /// Answers a request; `emit` sends an event in between and says `false` when nobody listens any more.
    pub(crate) fn ask(
        &self,
        request: Request,
        emit: &mut dyn FnMut(Value) -> bool,
    ) -> Result<Value, Failure> {
        work::answer(self, request, emit)
    }
}

fn stopped() -> Failure {
    Failure::from(NodeError::Stopped)
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let exit = match error.bucket() {
            _ if matches!(error, NodeError::Store(StoreError::Corrupt(_))) => Exit::Damaged,
            _ if matches!(error, NodeError::Store(StoreError::Locked | StoreError::NewerFormat { .. })) => {
                Exit::RefusedHere
            }
            // An invitation that is over by the clock: nobody was asked, so nobody was missed.
            lama_node::Bucket::Timeout if matches!(error, NodeError::Invite(_)) => Exit::RefusedByRule,
            lama_node::Bucket::Peer | lama_node::Bucket::Misuse | lama_node::Bucket::Limit => {
                Exit::RefusedByRule
            }
            lama_node::Bucket::Timeout => Exit::Unreached,
            lama_node::Bucket::Local => Exit::Failed,
        };
        Self::new(exit, error.code(), error.to_string())
    }
}

/// Serves the control socket of a running instance.
#[derive(Debug)]
pub(crate) struct Served(pub(crate) Arc<Live>);

impl control::Handler for Served {
    fn handle(&self, request: Value, emit: &mut dyn FnMut(Value) -> bool) -> Result<Value, Value> {
        let answer = serde_json::from_value(request)
            .map_err(|error| {
                Failure::usage(format!("the running instance does not know this request: {error}"))
            })
            .and_then(|request| self.0.ask(request, emit));
        answer.map_err(|failure| serde_json::to_value(failure).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_that_ran_out_is_refused_by_rule_and_nobody_was_missed() {
        let expired = lama_invite::InviteError::TokenExpired;
        assert_eq!(Failure::from(NodeError::Invite(expired)).exit, Exit::RefusedByRule);
        assert_eq!(Failure::from(NodeError::Interrupted).exit, Exit::Unreached);
    }
}
