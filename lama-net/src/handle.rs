//! What an application holds: commands in, events out, from any executor.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use futures_channel::{mpsc, oneshot};
use futures_util::future::{FutureExt as _, Shared};
use futures_util::{SinkExt as _, Stream, StreamExt};
use lama_node::{Command, Event, GroupCommand, GroupName, NodeError, Reply};

use crate::connection::{Note, Opened, Opening};
use crate::metrics::Counters;
use crate::{Listen, NetError, RelayHome};

/// Calls that wait for the loop at a time; more wait in their callers.
pub(crate) const MAX_CALLS: usize = 64;

pub(crate) enum Call {
    Command(Command, oneshot::Sender<Result<Reply, NodeError>>),
    Listen(Listen, oneshot::Sender<Result<Vec<String>, NetError>>),
    Subscribe(Subscriber),
    Relays(Vec<RelayHome>),
    Serve(GroupName, mpsc::UnboundedSender<Opened>),
    Open(GroupCommand, Opening),
}

/// Speaks to a running node. Cheap to clone; works from any executor and any thread. When the last one is dropped,
/// the node shuts down.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) calls: mpsc::Sender<Call>,
    /// What connections say without waiting; bounded by what came on them.
    pub(crate) notes: mpsc::UnboundedSender<Note>,
    pub(crate) ended: Shared<oneshot::Receiver<Result<(), NetError>>>,
    pub(crate) event_buffer: usize,
    pub(crate) counters: Arc<Mutex<Counters>>,
}

impl Handle {
    /// What has been counted since the start; works after the end, too.
    #[must_use]
    pub fn counters(&self) -> Arc<Mutex<Counters>> {
        Arc::clone(&self.counters)
    }

    /// Asks the node for something and waits for its answer.
    ///
    /// # Errors
    /// What the node says; [`NodeError::Stopped`] if it runs no more.
    pub async fn command(&self, command: Command) -> Result<Reply, NodeError> {
        let (answer, answered) = oneshot::channel();
        self.call(Call::Command(command, answer)).await.map_err(|_| NodeError::Stopped)?;
        answered.await.unwrap_or(Err(NodeError::Stopped))
    }

    /// Listens there from now on, and nowhere else. Open links stay. Returns what is advertised.
    ///
    /// # Errors
    /// [`NetError::PortTaken`] or [`NetError::Bind`]: then everything stays as it was.
    pub async fn listen(&self, listen: Listen) -> Result<Vec<String>, NetError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || NetError::Node(NodeError::Stopped);
        self.call(Call::Listen(listen, answer)).await.map_err(|_| stopped())?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Stands behind these relays from now on, best first, and behind no others: what is new is registered at, what is gone is
    /// left, and what stays is not touched. Calls under way go on.
    ///
    /// # Errors
    /// [`NodeError::Stopped`] if the node runs no more.
    pub async fn set_relays(&self, relays: Vec<RelayHome>) -> Result<(), NodeError> {
        self.call(Call::Relays(relays)).await.map_err(|_| NodeError::Stopped)
    }

    /// Another stream of all events from now on.
    ///
    /// # Errors
    /// [`NodeError::Stopped`] if the node runs no more.
    pub async fn events(&self) -> Result<Events, NodeError> {
        let (subscriber, events) = subscription(self.event_buffer);
        self.call(Call::Subscribe(subscriber)).await.map_err(|_| NodeError::Stopped)?;
        Ok(events)
    }

    /// Ends all sessions in an authenticated way and waits until sockets and store are closed.
    ///
    /// # Errors
    /// As [`Handle::ended`].
    pub async fn shutdown(&self) -> Result<(), NetError> {
        let _ = self.command(Command::Shutdown).await;
        self.ended().await
    }

    /// Waits until the loop has ended, for whatever reason: sockets and store are closed then.
    ///
    /// # Errors
    /// Why it ended, if that was not asked for.
    pub async fn ended(&self) -> Result<(), NetError> {
        self.ended.clone().await.unwrap_or(Err(NetError::Node(NodeError::Stopped)))
    }

    pub(crate) fn note(&self, note: Note) {
        let _ = self.notes.unbounded_send(note);
    }

    pub(crate) async fn call(&self, call: Call) -> Result<(), mpsc::SendError> {
        self.calls.clone().send(call).await
    }
}

/// Events were not fetched fast enough, so some are missing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lagged(
    /// How many.
    pub u64,
);

impl core::fmt::Display for Lagged {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} events were not fetched in time; ask for the state instead", self.0)
    }
}

impl core::error::Error for Lagged {}

/// A stream of events. It is bounded: who does not fetch misses some, and is told how many.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Event>,
    missed: Arc<AtomicU64>,
}

impl Stream for Events {
    type Item = Result<Event, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.missed.swap(0, Ordering::AcqRel) {
            0 => Poll::Ready(ready!(self.queue.poll_next_unpin(cx)).map(Ok)),
            missed => Poll::Ready(Some(Err(Lagged(missed)))),
        }
    }
}

impl Events {
    /// The next event; `None` after the last.
    ///
    /// # Errors
    /// [`Lagged`], once for each gap.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        StreamExt::next(self).await
    }
}

/// The loop's end of [`Events`].
#[derive(Debug)]
pub(crate) struct Subscriber {
    queue: mpsc::Sender<Event>,
    missed: Arc<AtomicU64>,
}

impl Subscriber {
    /// Hands an event over. `false`: nobody fetches any more.
    pub(crate) fn tell(&mut self, event: Event) -> bool {
        match self.queue.try_send(event) {
            Ok(()) => true,
            Err(error) if error.is_full() => {
                self.missed.fetch_add(1, Ordering::AcqRel);
                true
            }
            Err(_) => false,
        }
    }
}

pub(crate) fn subscription(buffer: usize) -> (Subscriber, Events) {
    let (sender, queue) = mpsc::channel(buffer);
    let missed = Arc::<AtomicU64>::default();
    (Subscriber { queue: sender, missed: Arc::clone(&missed) }, Events { queue, missed })
}

/// What [`crate::prepare`] needs for a [`Handle`]: both ends.
pub(crate) fn handle(
    event_buffer: usize,
    counters: Arc<Mutex<Counters>>,
) -> (Handle, mpsc::Receiver<Call>, mpsc::UnboundedReceiver<Note>, Ended) {
    let (calls, waiting) = mpsc::channel(MAX_CALLS);
    let (notes, noted) = mpsc::unbounded();
    let (end, ended) = oneshot::channel();
    (Handle { calls, notes, ended: ended.shared(), event_buffer, counters }, waiting, noted, end)
}

/// Told once, when the loop ends.
pub(crate) type Ended = oneshot::Sender<Result<(), NetError>>;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn who_does_not_fetch_is_told_how_much_he_missed() {
        let (mut subscriber, mut events) = subscription(1);
        for _ in 0..5 {
            assert!(subscriber.tell(Event::Ready));
        }
        let mut seen = (0, 0);
        while let Some(Some(next)) = events.next().now_or_never() {
            match next {
                Ok(_) => seen.0 += 1,
                Err(Lagged(missed)) => seen.1 += missed,
            }
        }
        assert_eq!(seen.0 + seen.1, 5);
        assert!(seen.1 > 0);
        drop(events);
        assert!(!subscriber.tell(Event::Ready));
    }
}
