//! The store on a thread of its own.
//!
//! It takes everything that waits and runs it as one group: one durable commit for all of it. While that is synced,
//! the next group gathers. Nothing is ever durable later than its answer.
//!
//! What somebody waits for is told *before* the disk is waited for, as staged, and what is asked in consequence (the
//! entries that leave for a peer) is read in between: a disk takes milliseconds, and a message should not.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_channel::mpsc as answers;
use lama_core::Ticket;
use lama_identity::PublicIdentity;
use lama_store::{Engine, Reply, Request, Store, StoreError};

use crate::NetError;

/// Requests that are run as one group, at most.
const MAX_GROUP: usize = 1024;

/// How long the disk is kept waiting for the next question that follows from what was staged.
const FOLLOWS: Duration = Duration::from_micros(500);
/// How many of them.
const MAX_FOLLOWING: usize = 16;

type Results = Vec<Result<Reply, StoreError>>;
type Job = (Ticket, Vec<Request>);

/// What runs requests: a [`Store`], or what stands in for one in a test.
pub trait Storage: Send + 'static {
    /// One result for each request, in order. What it writes is durable when it returns.
    fn execute(&mut self, requests: &[Request]) -> Results;

    /// The same, though nothing need be durable before [`Storage::make_durable`] (see [`Store::stage`]). What cannot be
    /// done in two steps is done in one.
    fn stage(&mut self, requests: &[Request]) -> Results {
        self.execute(requests)
    }

    /// Makes durable what was staged.
    ///
    /// # Errors
    /// The engine's: every commit that was staged has failed.
    fn make_durable(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

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

    fn stage(&mut self, requests: &[Request]) -> Results {
        Self::stage(self, requests)
    }

    fn make_durable(&mut self) -> Result<(), StoreError> {
        Self::make_durable(self)
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
    jobs: Option<mpsc::Sender<Job>>,
    /// Ends when the thread has dropped its store.
    pub(crate) answers: answers::UnboundedReceiver<Answer>,
}

/// What the thread answers to one job.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It can be seen, and is not durable yet. [`Answer::Done`] follows.
    Staged(Ticket, Results),
    /// It is done.
    Done(Ticket, Results),
}

impl StoreThread {
    /// Starts the thread.
    pub(crate) fn start(mut storage: Box<dyn Storage>) -> Result<Self, NetError> {
        let (jobs, waiting) = mpsc::channel();
        let (answer, answers) = answers::unbounded();
        thread::Builder::new()
            .name("lama-store".to_owned())
            .spawn(move || {
                let mut next = None;
                while let Some(first) = next.take().or_else(|| waiting.recv().ok()) {
                    match run_group(storage.as_mut(), first, &waiting, &answer) {
                        Ok(left) => next = left,
                        Err(Unheard) => break,
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

/// Nobody wants the answers any more.
struct Unheard;

/// Runs `first` and what waits behind it; gives back a job that was taken and has to wait for the next group.
fn run_group(
    storage: &mut dyn Storage,
    first: Job,
    waiting: &mpsc::Receiver<Job>,
    answer: &answers::UnboundedSender<Answer>,
) -> Result<Option<Job>, Unheard> {
    let say = |said: Answer| answer.unbounded_send(said).map_err(|_| Unheard);
    let (ticket, mut requests) = first;
    let mut parts = vec![(ticket, requests.len())];
    while requests.len() < MAX_GROUP
        && let Ok((ticket, more)) = waiting.try_recv()
    {
        parts.push((ticket, more.len()));
        requests.extend(more);
    }
    tracing::trace!(jobs = parts.len(), requests = requests.len(), "store group");
    let mut results = storage.stage(&requests).into_iter();
    let (mut urgent, mut open) = (false, Vec::new());
    for (ticket, len) in parts {
        let results: Results = results.by_ref().take(len).collect();
        if results.iter().any(is_urgent) {
            say(Answer::Staged(ticket, results.clone()))?;
            urgent = true;
        }
        open.push((ticket, results));
    }
    let left = if urgent { what_follows(storage, waiting, &say)? } else { None };
    let failed = storage.make_durable().err();
    for (ticket, mut results) in open {
        if let Some(error) = &failed {
            results
                .iter_mut()
                .filter(|result| is_commit(result))
                .for_each(|result| *result = Err(error.clone()));
        }
        say(Answer::Done(ticket, results))?;
    }
    Ok(left)
}

/// Answers questions that come at once after something was staged; the first job that writes has to wait.
fn what_follows(
    storage: &mut dyn Storage,
    waiting: &mpsc::Receiver<Job>,
    say: &dyn Fn(Answer) -> Result<(), Unheard>,
) -> Result<Option<Job>, Unheard> {
    for _ in 0..MAX_FOLLOWING {
        let Ok((ticket, requests)) = waiting.recv_timeout(FOLLOWS) else { break };
        if requests.iter().any(|request| matches!(request, Request::Commit(_))) {
            return Ok(Some((ticket, requests)));
        }
        say(Answer::Done(ticket, storage.stage(&requests)))?;
    }
    Ok(None)
}

fn is_urgent(result: &Result<Reply, StoreError>) -> bool {
    matches!(result, Ok(Reply::Committed(committed)) if committed.is_urgent())
}

const fn is_commit(result: &Result<Reply, StoreError>) -> bool {
    matches!(result, Ok(Reply::Committed(_)))
}
