//! The store on a thread of its own.
//!
//! It takes everything that waits and runs it as one group: one durable commit for all of it. While that is synced,
//! the next group gathers. Nothing is ever durable later than its answer.

use std::sync::mpsc;
use std::thread;

use futures_channel::mpsc as answers;
use lama_core::Ticket;
use lama_identity::PublicIdentity;
use lama_store::{Engine, Reply, Request, Store, StoreError};

use crate::NetError;

/// Requests that are run as one group, at most.
const MAX_GROUP: usize = 1024;

type Results = Vec<Result<Reply, StoreError>>;

/// What runs requests: a [`Store`], or what stands in for one in a test.
pub trait Storage: Send + 'static {
    /// One result for each request, in order. What it writes is durable when it returns.
    fn execute(&mut self, requests: &[Request]) -> Results;

    /// Says whose store it is, before anything is asked of it (see [`Store::set_owner`]).
    ///
    /// # Errors
    /// The engine's.
    fn set_owner(&mut self, owner: PublicIdentity) -> Result<(), StoreError>;

    /// Ends the store's life in good order.
    ///
    /// # Errors
    /// The engine's.
    fn close(self: Box<Self>) -> Result<(), StoreError>;
}

impl<E: Engine + Send + 'static> Storage for Store<E> {
    fn execute(&mut self, requests: &[Request]) -> Results {
        Self::execute(self, requests)
    }

    fn set_owner(&mut self, owner: PublicIdentity) -> Result<(), StoreError> {
        Self::set_owner(self, owner).map(drop)
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Self::close(*self).map(drop)
    }
}

/// The loop's end of the thread.
#[derive(Debug)]
pub(crate) struct StoreThread {
    jobs: Option<mpsc::Sender<(Ticket, Vec<Request>)>>,
    /// Ends when the thread has dropped its store.
    pub(crate) answers: answers::UnboundedReceiver<(Ticket, Results)>,
}

impl StoreThread {
    /// Starts the thread.
    pub(crate) fn start(mut storage: Box<dyn Storage>) -> Result<Self, NetError> {
        let (jobs, waiting) = mpsc::channel();
        let (answer, answers) = answers::unbounded();
        thread::Builder::new()
            .name("lama-store".to_owned())
            .spawn(move || {
                while let Ok(first) = waiting.recv() {
                    if !run_group(storage.as_mut(), first, &waiting, &answer) {
                        break;
                    }
                }
                // Before the answers end: who waits for that may open the same files again.
                if let Err(error) = storage.close() {
                    tracing::error!(%error, "the store was not closed in good order");
                }
                drop(answer);
            })
            .map_err(|error| NetError::Thread { kind: error.kind() })?;
        Ok(Self { jobs: Some(jobs), answers })
    }

    /// Asks for these requests. They are answered in [`StoreThread::answers`], unless the thread has died.
    pub(crate) fn ask(&self, ticket: Ticket, requests: Vec<Request>) -> Result<(), NetError> {
        let jobs = self.jobs.as_ref().ok_or(NetError::StoreGone)?;
        jobs.send((ticket, requests)).map_err(|_| NetError::StoreGone)
    }

    /// Asks for nothing more; the thread ends when it has done what it was asked for.
    pub(crate) fn close(&mut self) {
        self.jobs = None;
    }
}

/// Runs `first` and what waits behind it. `false`: nobody wants the answers any more.
fn run_group(
    storage: &mut dyn Storage,
    first: (Ticket, Vec<Request>),
    waiting: &mpsc::Receiver<(Ticket, Vec<Request>)>,
    answer: &answers::UnboundedSender<(Ticket, Results)>,
) -> bool {
    let (ticket, mut requests) = first;
    let mut parts = vec![(ticket, requests.len())];
    while requests.len() < MAX_GROUP
        && let Ok((ticket, more)) = waiting.try_recv()
    {
        parts.push((ticket, more.len()));
        requests.extend(more);
    }
    tracing::trace!(jobs = parts.len(), requests = requests.len(), "store group");
    let mut results = storage.execute(&requests).into_iter();
    parts
        .into_iter()
        .all(|(ticket, len)| answer.unbounded_send((ticket, results.by_ref().take(len).collect())).is_ok())
}
