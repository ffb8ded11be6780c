//! The store on a thread of its own.
//!
//! It takes jobs one after the other and makes what they wrote durable together: when nothing waits any more, or when it
//! has come to much. While that is synced the next ones gather. Nothing is ever durable later than its answer.
//!
//! Three things keep a message from waiting for bulk. Jobs that may wait ([`Order::Later`]) are overtaken by all others.
//! What somebody waits for is told *before* the disk is waited for, as staged, and what is asked in consequence (the
//! entries that leave for a peer) is read in between: a disk takes milliseconds, and a message should not. And what is
//! synced at once is little while somebody waits, since that is the one thing that nobody can overtake.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_channel::mpsc as answers;
use lama_core::Ticket;
use lama_identity::PublicIdentity;
use lama_node::Order;
use lama_store::{Engine, Reply, Request, Store, StoreError, Write};

use crate::NetError;

/// Jobs that share a sync, at most.
const MAX_GROUP: usize = 1024;
/// Objects, and their bytes, after which a group is synced though more waits.
const FULL: Load = Load { objects: 6_144, bytes: 4 << 20 };
/// The same while somebody waits.
const SMALL: Load = Load { objects: 1_536, bytes: 1 << 20 };
/// For so many groups after something that somebody waits for.
const SMALL_GROUPS: u32 = 64;
/// Jobs by which one that may wait is overtaken, at most.
const MAX_OVERTAKEN: u32 = 256;

/// How long the disk is kept waiting for a question that follows from what was staged: the head of a view, then a page of
/// it.
const FOLLOWS: Duration = Duration::from_millis(2);
/// How long once those two were asked: others may have something to send, too.
const FOLLOWS_MORE: Duration = Duration::from_micros(300);
/// How many of them.
const MAX_FOLLOWING: usize = 16;

type Results = Vec<Result<Reply, StoreError>>;

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

/// One thing to do.
#[derive(Debug)]
struct Job {
    ticket: Ticket,
    requests: Vec<Request>,
    order: Order,
}

impl Job {
    fn writes(&self) -> bool {
        self.requests.iter().any(|request| matches!(request, Request::Commit(_)))
    }

    /// Whether it was written here: then it is sent at once.
    fn is_own(&self) -> bool {
        let import = |write: &Write| matches!(write, Write::Import(_));
        self.requests.iter().all(|request| match request {
            Request::Commit(writes) => !writes.iter().any(import),
            Request::Read(_) => true,
        })
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
    pub(crate) fn start(storage: Box<dyn Storage>) -> Result<Self, NetError> {
        let (jobs, waiting) = mpsc::channel();
        let (answer, answers) = answers::unbounded();
        thread::Builder::new()
            .name("lama-store".to_owned())
            .spawn(move || {
                let mut worker = Worker::new(storage, Waiting::new(waiting), answer);
                while worker.go_on() {}
                // Before the answers end: who waits for that may open the same files again.
                if let Err(error) = worker.storage.close() {
                    tracing::error!(%error, "the store was not closed in good order");
                }
                drop(worker.answer);
            })
            .map_err(|error| NetError::Thread { kind: error.kind() })?;
        Ok(Self { jobs: Some(jobs), answers })
    }

    /// Asks for these requests. They are answered in [`StoreThread::answers`], unless the thread has died.
    pub(crate) fn ask(&self, ticket: Ticket, requests: Vec<Request>, order: Order) -> Result<(), NetError> {
        let jobs = self.jobs.as_ref().ok_or(NetError::StoreGone)?;
        jobs.send(Job { ticket, requests, order }).map_err(|_| NetError::StoreGone)
    }

    /// Asks for nothing more; the thread ends when it has done what it was asked for.
    pub(crate) fn close(&mut self) {
        self.jobs = None;
    }
}

/// What waits to be done, in the order in which it was asked for.
struct Waiting {
    asked: mpsc::Receiver<Job>,
    /// What may wait, and everything else, each with its number.
    later: VecDeque<(u64, Job)>,
    turn: VecDeque<(u64, Job)>,
    numbers: u64,
    /// Jobs that have overtaken the first of those that may wait.
    overtaken: u32,
}

impl Waiting {
    const fn new(asked: mpsc::Receiver<Job>) -> Self {
        Self { asked, later: VecDeque::new(), turn: VecDeque::new(), numbers: 0, overtaken: 0 }
    }

    fn sort_in(&mut self, job: Job) {
        self.numbers += 1;
        let queue = if job.order == Order::Later { &mut self.later } else { &mut self.turn };
        queue.push_back((self.numbers, job));
    }

    /// Takes note of what was asked for meanwhile.
    fn gather(&mut self) {
        while let Ok(job) = self.asked.try_recv() {
            self.sort_in(job);
        }
    }

    /// Waits until something is asked for; `false` when nothing will be any more.
    fn wait(&mut self) -> bool {
        self.asked.recv().map(|job| self.sort_in(job)).is_ok()
    }

    /// Waits for a moment; whether something was asked for.
    fn wait_for(&mut self, time: Duration) -> bool {
        self.asked.recv_timeout(time).map(|job| self.sort_in(job)).is_ok()
    }

    /// Whether what comes next may wait; `None`: nothing does.
    fn next_is_later(&self) -> Option<bool> {
        match (self.turn.front(), self.later.front()) {
            (None, None) => None,
            (None, Some(_)) => Some(true),
            (Some(_), None) => Some(false),
            // Nothing runs before what was asked for before it, but for what overtakes.
            (Some((turn, _)), Some((later, _))) => Some(self.overtaken >= MAX_OVERTAKEN && later < turn),
        }
    }

    fn next(&mut self) -> Option<Job> {
        let later = self.next_is_later()?;
        let queue = if later { &mut self.later } else { &mut self.turn };
        let (_, job) = queue.pop_front()?;
        self.overtaken = if later || self.later.is_empty() { 0 } else { self.overtaken + 1 };
        Some(job)
    }
}

/// What is to be written to the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    objects: usize,
    bytes: usize,
}

impl Load {
    fn add(&mut self, requests: &[Request]) {
        let writes = requests.iter().filter_map(|request| match request {
            Request::Commit(writes) => Some(writes),
            Request::Read(_) => None,
        });
        for write in writes.flatten() {
            let objects = match write {
                Write::Import(import) => &import.objects,
                Write::Put { objects } => objects,
                _ => continue,
            };
            self.objects += objects.len();
            self.bytes += objects.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        }
    }

    const fn reaches(self, limit: Self) -> bool {
        self.objects >= limit.objects || self.bytes >= limit.bytes
    }
}

/// The thread.
struct Worker {
    storage: Box<dyn Storage>,
    waiting: Waiting,
    answer: answers::UnboundedSender<Answer>,
    /// What is done and not durable.
    open: Vec<(Ticket, Results)>,
    load: Load,
    /// Somebody waits for something in it: how many questions that follow from it are still awaited.
    following: usize,
    /// Something in it may not wait.
    hurries: bool,
    /// Groups that are still to be small.
    small: u32,
}

impl Worker {
    fn new(storage: Box<dyn Storage>, waiting: Waiting, answer: answers::UnboundedSender<Answer>) -> Self {
        Self {
            storage,
            waiting,
            answer,
            open: Vec::new(),
            load: Load::default(),
            following: 0,
            hurries: false,
            small: 0,
        }
    }

    /// One job, or one sync. `false`: it is over.
    fn go_on(&mut self) -> bool {
        self.waiting.gather();
        match self.waiting.next_is_later() {
            Some(later) if !later || !self.hurries => {}
            _ if self.follows() => return true,
            _ if !self.open.is_empty() => return self.sync(),
            None => return self.waiting.wait(),
            Some(_) => {}
        }
        let Some(job) = self.waiting.next() else { return true };
        self.run(&job) && (!self.is_full() || self.sync())
    }

    /// Whether something was asked for in consequence of what was staged.
    fn follows(&mut self) -> bool {
        let Some(left) = self.following.checked_sub(1) else { return false };
        self.following = left;
        self.waiting.wait_for(if left + 2 >= MAX_FOLLOWING { FOLLOWS } else { FOLLOWS_MORE })
    }

    fn is_full(&self) -> bool {
        let limit = if self.small > 0 { SMALL } else { FULL };
        self.open.len() >= MAX_GROUP || self.load.reaches(limit)
    }

    fn say(&self, answer: Answer) -> bool {
        self.answer.unbounded_send(answer).is_ok()
    }

    /// Does a job. `false`: nobody wants the answers any more.
    fn run(&mut self, job: &Job) -> bool {
        let results = self.storage.stage(&job.requests);
        let durable = self.open.is_empty() || job.order != Order::InTurn;
        if durable && !job.writes() {
            return self.say(Answer::Done(job.ticket, results));
        }
        if results.iter().any(is_urgent) {
            self.following = if job.is_own() { MAX_FOLLOWING } else { self.following };
            self.small = SMALL_GROUPS;
            if !self.say(Answer::Staged(job.ticket, results.clone())) {
                return false;
            }
        }
        self.hurries |= job.order != Order::Later;
        self.load.add(&job.requests);
        self.open.push((job.ticket, results));
        true
    }

    /// Makes durable what was done, and says so. `false`: nobody wants the answers any more.
    fn sync(&mut self) -> bool {
        tracing::trace!(jobs = self.open.len(), load = ?self.load, small = self.small, "store group");
        let failed = self.storage.make_durable().err();
        (self.load, self.following, self.hurries) = (Load::default(), 0, false);
        self.small = self.small.saturating_sub(1);
        for (ticket, mut results) in std::mem::take(&mut self.open) {
            if let Some(error) = &failed {
                let commits = results.iter_mut().filter(|result| is_commit(result));
                commits.for_each(|result| *result = Err(error.clone()));
            }
            if !self.say(Answer::Done(ticket, results)) {
                return false;
            }
        }
        true
    }
}

fn is_urgent(result: &Result<Reply, StoreError>) -> bool {
    matches!(result, Ok(Reply::Committed(committed)) if committed.is_urgent())
}

const fn is_commit(result: &Result<Reply, StoreError>) -> bool {
    matches!(result, Ok(Reply::Committed(_)))
}

#[cfg(test)]
mod tests;
