//! A link between two replicas, with the two machines at its ends: bounded in bytes, cut at any of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use lama_chum::{Acked, Chum, Cursor, Fingerprint, Output};
use lama_core::Machine;
use lama_identity::Cid;

use super::Who;
use crate::Rng;

/// What an end has to do at its store.
#[derive(Debug)]
pub(super) enum Job {
    /// What the machine asked for.
    Chum(Output),
    /// The view has grown: read its head.
    Head,
}

/// One end of a link.
#[derive(Debug, Default)]
pub(super) struct End {
    /// The machine, while the link is up.
    pub(super) chum: Option<Chum>,
    /// Its work.
    pub(super) jobs: VecDeque<Job>,
    /// Messages on their way here, with the tick at which they arrive.
    pub(super) inbox: VecDeque<(u64, Bytes)>,
    /// Their bytes.
    pub(super) inbox_bytes: usize,
    /// What may be written down later.
    pub(super) cursor: Option<Cursor>,
    /// The same.
    pub(super) acked: Option<Acked>,
    /// The same.
    pub(super) agreed: Option<(u64, Fingerprint)>,
    /// Bytes that arrived here on this link.
    pub(super) carried: u64,
    /// The link breaks when so many have.
    pub(super) cut_after: Option<u64>,
    /// The set that both ends were last seen to have.
    pub(super) in_sync: Option<(u64, Fingerprint)>,
    /// Objects that the other end may send again, and how often: they were granted once more since they were handed
    /// out.
    pub(super) again: BTreeMap<Cid, u64>,
    /// What came from the other end and is durable here, and the other end has not heard so.
    pub(super) unheard: BTreeSet<Cid>,
    /// The same of a store that was put back since, as long as both have not agreed.
    pub(super) doubtful: BTreeSet<Cid>,
    /// The same where the other end has heard so, and when.
    pub(super) heard: BTreeMap<Cid, u64>,
    /// The last round for which the other end has told of its set.
    pub(super) round: u8,
    /// This end has told of its set in another round, and the other end has not.
    pub(super) between: bool,
    /// The cells of the last round were not decoded.
    pub(super) undecoded: bool,
    /// What became durable meanwhile.
    pub(super) crossing: BTreeSet<Cid>,
}

impl End {
    /// Puts the next urgent import before the imports that are not, as a store may; whether there was one behind them.
    pub(super) fn overtake(&mut self) -> bool {
        let is = |job: &Job, wanted: bool| match job {
            Job::Chum(Output::Import { urgent, .. }) => *urgent == wanted,
            _ => false,
        };
        let Some(from) = self.jobs.iter().position(|job| is(job, true)) else { return false };
        let Some(to) = self.jobs.iter().take(from).position(|job| is(job, false)) else { return false };
        self.jobs.remove(from).map(|job| self.jobs.insert(to, job)).is_some()
    }
}

/// A message as somebody sees it who reads the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// When.
    pub(super) tick: u64,
    /// From which end.
    pub(super) side: usize,
    /// All of it: the same seed must give the same bytes, with what is hidden and without.
    pub(super) message: Bytes,
}

/// A link.
#[derive(Debug)]
pub(super) struct Wire {
    /// Whose ends these are; the first is the smaller.
    pub(super) who: [Who; 2],
    /// The ends.
    pub(super) ends: [End; 2],
    /// Whether it is up.
    pub(super) up: bool,
    /// When it comes up.
    pub(super) next_up: u64,
    /// Its own chance: what happens elsewhere does not change what happens here.
    pub(super) rng: Rng,
    /// What went over it.
    pub(super) seen: Vec<Seen>,
}

impl Wire {
    /// A link that is not up yet.
    pub(super) fn new(who: [Who; 2], seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let next_up = rng.below(40);
        Self { who, ends: Default::default(), up: false, next_up, rng, seen: Vec::new() }
    }

    /// Nobody reads, works or waits here.
    pub(super) fn is_quiet(&self) -> bool {
        let waits = |end: &End| end.chum.as_ref().is_some_and(|chum| chum.poll_timeout().is_some());
        self.up && self.ends.iter().all(|end| end.jobs.is_empty() && end.inbox.is_empty() && !waits(end))
    }
}
