//! The store: opening, executing requests in groups, closing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use lama_chum::{Cursor, Epoch, Lane, Positions};
use lama_core::{Seed, SortedMap, WallTime};
use lama_identity::{PublicIdentity, SignPublic};

use crate::api::{Committed, Read, Reply, Request, Write};
use crate::engine::{Batch, Engine, Table};
use crate::hot::Hot;
use crate::index::{Filter, Index, older};
use crate::layout::{IndexKey, Slot, kind, meta};
use crate::opening::{self, Opening, put_epoch};
use crate::peer::Progress;
use crate::seal::{Sealer, StorageKey};
use crate::view::View;
use crate::{Config, StoreError};

/// What was written since the last durable commit. All of it can be read already.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) batch: Batch,
    pub(crate) index: BTreeMap<IndexKey, Slot>,
    /// Bytes of objects in it.
    pub(crate) bytes: usize,
}

/// What [`Store::stage`] did: done again if what is staged later fails half-way.
#[derive(Debug)]
enum Step {
    Commit(Vec<Write>),
    /// Up to where a view was given to be sent.
    Given(u32, Positions),
}

/// Objects, views, contacts, channels, tokens and settings over an [`Engine`]. One owner, no locks: a host gives it
/// a thread of its own and hands it whatever requests have come in, all at once.
#[derive(Debug)]
pub struct Store<E> {
    pub(crate) engine: E,
    pub(crate) config: Config,
    pub(crate) sealer: Sealer,
    pub(crate) hot: Hot,
    pub(crate) index: Index,
    pub(crate) group: Group,
    /// Of which objects rules may speak; `None`: nobody has asked yet, or they are too many.
    pub(crate) ruled: Option<Filter>,
    pub(crate) owner: Option<PublicIdentity>,
    /// Signing keys that this instance had before.
    pub(crate) former_keys: Vec<SignPublic>,
    /// Cursors that were answered for and wait for the next durable commit.
    waiting: SortedMap<u32, Progress>,
    /// Up to where views were given to be sent, where that is not durable yet.
    given: SortedMap<u32, Positions>,
    /// What the wall clock showed last.
    pub(crate) now: WallTime,
    mended: bool,
    /// The life before this one, and where each view ended when this one began: up to there both have the same log.
    pub(crate) before: (Epoch, SortedMap<u32, u64>),
    /// Set when memory and engine may differ and could not be brought together again.
    broken: Option<StoreError>,
    /// What [`Store::stage`] has answered for is not durable yet.
    staged: bool,
    /// What that was, in order.
    steps: Vec<Step>,
    /// Why it is lost, where that is known before [`Store::make_durable`] was called.
    lost: Option<StoreError>,
    /// For the epoch after a commit that failed when others may have seen it.
    seed: Seed,
}

impl<E: Engine> Store<E> {
    /// Opens a store; an empty engine becomes a new one, and a store of an older format is brought up to date.
    /// `key` is what its secrets are sealed under; `seed` is used if a new epoch is needed.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`], [`StoreError::NewerFormat`], [`StoreError::WrongKey`], [`StoreError::Corrupt`], and
    /// the engine's.
    pub fn open(
        mut engine: E,
        config: Config,
        key: &StorageKey,
        seed: Seed,
        opening: Opening,
    ) -> Result<Self, StoreError> {
        let sealer = Sealer::new(key);
        let old = opening::begin(&mut engine, &config, &sealer, &seed, opening)?;
        let (hot, mut index) = (Hot::load(&engine, &sealer)?, Index::load(&engine, config.recent_entries)?);
        if older::is_there(&engine)? {
            index.convert(&mut engine, config.recent_entries)?;
        }
        let ends = || hot.views.iter().map(|(view, log)| (*view, log.seq)).collect();
        let before = if old == hot.epoch { Default::default() } else { (old, ends()) };
        let mut this = Self {
            engine,
            config,
            sealer,
            hot,
            index,
            before,
            group: Group::default(),
            ruled: None,
            owner: None,
            former_keys: Vec::new(),
            waiting: SortedMap::new(),
            given: SortedMap::new(),
            now: WallTime(0),
            mended: false,
            broken: None,
            staged: false,
            steps: Vec::new(),
            lost: None,
            seed: seed.child("LAMA/store next epoch"),
        };
        this.mended = this.sample(&seed);
        if !this.engine.is_read_only() && !this.links_known()? {
            match this.build_links() {
                // A damaged log is for the check to tell and the repair to mend: what is sound can be read meanwhile.
                Ok(()) | Err(StoreError::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(this)
    }

    /// Whether opening found the fingerprint or sketch of a view wrong, and set it right. A sample: one instance's, drawn
    /// by the seed. Whoever sees it should check the whole store.
    #[must_use]
    pub const fn is_mended(&self) -> bool {
        self.mended
    }

    /// This life's epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.hot.epoch
    }

    /// The engine, for looking at it.
    pub const fn engine(&self) -> &E {
        &self.engine
    }

    /// Whether the file may still hold, in pages that are free now, what was sealed when the store was brought up to
    /// date. Copying it into a new file ([`crate::engine::copy`]) ends that.
    ///
    /// # Errors
    /// The engine's.
    pub fn is_stale(&self) -> Result<bool, StoreError> {
        opening::is_stale(&self.engine)
    }

    /// Executes requests in order and answers each, in the same order.
    ///
    /// All commits of a call share one durable commit of the engine: the more requests a host collects while the
    /// last call was under way, the cheaper each becomes. A commit that fails leaves no trace and does not
    /// disturb the others.
    pub fn execute(&mut self, requests: &[Request]) -> Vec<Result<Reply, StoreError>> {
        let (mut replies, first) = self.run(requests);
        self.finish(requests.get(first..).unwrap_or_default(), replies.get_mut(first..).unwrap_or_default());
        self.note_given();
        replies
    }

    /// The same in two steps, for what a person waits for: afterwards everything can be read, and nothing need be
    /// durable before [`Store::make_durable`] says so. More can be staged up to then: all of it shares one durable commit.
    ///
    /// What is staged may be shown and sent on. If it is lost the store takes a new epoch, after a crash as always and
    /// where [`Store::make_durable`] fails, so nobody trusts what others know of the old one. This needs
    /// [`Config::new_epoch_after_crash`].
    pub fn stage(&mut self, requests: &[Request]) -> Vec<Result<Reply, StoreError>> {
        let (replies, first) = self.run(requests);
        self.staged = true;
        for (request, reply) in requests.iter().zip(&replies).skip(first) {
            let step = match (request, reply) {
                (Request::Commit(writes), Ok(Reply::Committed(_))) => Some(Step::Commit(writes.clone())),
                _ => self.given_by(request, reply).map(|(view, upto)| Step::Given(view, upto)),
            };
            self.steps.extend(step);
        }
        replies
    }

    /// Makes durable what was staged.
    ///
    /// # Errors
    /// The engine's: every commit since the last durable one has failed, whatever [`Store::stage`] had answered.
    pub fn make_durable(&mut self) -> Result<(), StoreError> {
        let before = self.lost.take();
        let done = match self.broken.clone() {
            Some(error) => Err(error),
            None => self.flush(),
        };
        (self.staged, self.lost) = (false, None);
        self.steps.clear();
        self.note_given();
        before.map_or(done, Err)
    }

    /// Runs requests up to, but for large groups, what makes them durable: with the answers, from which request on they
    /// are not durable yet.
    fn run(&mut self, requests: &[Request]) -> (Vec<Result<Reply, StoreError>>, usize) {
        // What cannot be used is answered below, request by request.
        let _ = self.usable();
        let mut replies = Vec::with_capacity(requests.len());
        let mut first = 0;
        for (at, request) in requests.iter().enumerate() {
            let reply = match (&self.broken, request) {
                (Some(error), _) => Err(error.clone()),
                (None, Request::Read(Read::Check)) => self.check().map(Reply::Checked),
                (None, Request::Read(read)) => {
                    self.settle().and_then(|()| self.prepare(read)).and_then(|()| self.read(read))
                }
                (None, Request::Commit(writes)) => self.apply(writes),
            };
            self.note_page(request, &reply);
            let failed = matches!((request, &reply), (Request::Commit(_), Err(_)));
            replies.push(reply);
            if failed && self.broken.is_none() {
                // What the failed commit had begun cannot be told from what came before: drop all, repeat that.
                self.reload();
                self.stage_again();
                let before = requests.get(first..at).unwrap_or_default();
                let answers = replies.get_mut(first..at).unwrap_or_default();
                self.repeat(before, answers);
                first = at + 1;
            } else if self.group.bytes >= self.config.max_group_bytes {
                let answers = replies.get_mut(first..).unwrap_or_default();
                self.finish(requests.get(first..=at).unwrap_or_default(), answers);
                first = at + 1;
            }
        }
        (replies, first)
    }

    fn note_given(&mut self) {
        let views = &self.hot.views;
        let given = |number: &u32| Some((*number, views.get(number)?.sent));
        self.given = self.hot.lazy_views.iter().filter_map(given).collect();
    }

    /// What an answer needs and is not there yet.
    fn prepare(&mut self, read: &Read) -> Result<(), StoreError> {
        let hot = &self.hot;
        match read {
            Read::Head { instance, .. } => {
                hot.instances.get(instance).copied().map_or(Ok(()), |number| self.build_sketch(number))
            }
            Read::Explain { person, .. } => {
                hot.persons.get(person).copied().map_or(Ok(()), |view| self.index_pages(view))
            }
            _ => Ok(()),
        }
    }

    /// Takes note of what is given to be sent.
    fn note_page(&mut self, request: &Request, reply: &Result<Reply, StoreError>) {
        if let Some((view, given)) = self.given_by(request, reply) {
            self.note_sent(view, given);
        }
    }

    /// Up to where an answer gives a view to be sent.
    fn given_by(&self, request: &Request, reply: &Result<Reply, StoreError>) -> Option<(u32, Positions)> {
        let (person, lane, upto) = match (request, reply) {
            (Request::Read(Read::Page { person, lanes, .. }), Ok(Reply::Page(page))) => {
                (person, lanes.last()?, page.next)
            }
            (Request::Read(Read::Fetch { person, .. }), Ok(Reply::Page(page))) => {
                (person, Lane::LAST, page.next)
            }
            // Ids alone, and what is made of them, bring nothing to anybody: they can still be taken back.
            _ => return None,
        };
        let mut given = Positions::all(0);
        given.raise(lane, upto);
        self.hot.persons.get(person).map(|view| (*view, given))
    }

    /// Does again what was staged, after the group was dropped. It succeeded before, so it does now.
    fn stage_again(&mut self) {
        let steps = core::mem::take(&mut self.steps);
        for step in &steps {
            match step {
                Step::Commit(writes) => {
                    if let Err(error) = self.apply(writes) {
                        self.lost = Some(error);
                        return self.reload();
                    }
                }
                Step::Given(view, upto) => self.note_sent(*view, *upto),
            }
        }
        self.steps = steps;
    }

    /// One commit by itself.
    ///
    /// # Errors
    /// Why it changed nothing.
    pub fn commit(&mut self, writes: Vec<Write>) -> Result<Reply, StoreError> {
        self.execute(&[Request::Commit(writes)]).pop().unwrap_or(Err(StoreError::Misuse("no answer")))
    }

    /// One question by itself.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask(&mut self, read: crate::Read) -> Result<Reply, StoreError> {
        self.execute(&[Request::Read(read)]).pop().unwrap_or(Err(StoreError::Misuse("no answer")))
    }

    /// Writes down what was allowed to wait, and that this life ends in good order, so that the next one keeps
    /// the epoch. A store that is dropped without it takes a new epoch.
    ///
    /// # Errors
    /// The engine's.
    pub fn close(mut self) -> Result<E, StoreError> {
        if !self.engine.is_read_only() {
            if let Some(error) = self.broken {
                return Err(error);
            }
            put_epoch(&mut self.group.batch, self.hot.epoch, true);
            self.flush()?;
            let mut batch = Batch::default();
            self.index.pack(&mut batch);
            if !batch.is_empty() {
                // Where that fails the next opening has more to read, and nothing else.
                let _ = self.engine.commit(&batch);
            }
        }
        Ok(self.engine)
    }

    /// Gives the engine back as a crash would leave it: what may wait is lost, and the next life takes a new epoch.
    #[must_use]
    pub fn danger_into_engine(self) -> E {
        self.engine
    }

    /// Applies commits again after the group was dropped: they succeeded before, so they do now.
    fn repeat(&mut self, requests: &[Request], replies: &mut [Result<Reply, StoreError>]) {
        let mut outcome = Ok(());
        for (request, reply) in requests.iter().zip(replies.iter_mut()) {
            if let Request::Commit(writes) = request
                && outcome.is_ok()
            {
                *reply = self.apply(writes);
                outcome = reply.as_ref().map(|_| ()).map_err(Clone::clone);
            }
            self.note_page(request, reply);
        }
        match outcome {
            Ok(()) => self.finish(requests, replies),
            Err(error) => {
                self.reload();
                fail_commits(requests, replies, &error);
            }
        }
    }

    /// Makes the group durable; where that fails, its commits have failed.
    fn finish(&mut self, requests: &[Request], replies: &mut [Result<Reply, StoreError>]) {
        if let Err(error) = self.flush() {
            fail_commits(requests, replies, &error);
        }
    }

    /// Tells the store whose it is, so that what its person wrote in another life is known as his when others bring
    /// it back. Not stored: a host says it after each opening.
    ///
    /// # Errors
    /// As of a commit.
    pub fn set_owner(&mut self, owner: PublicIdentity) -> Result<Committed, StoreError> {
        let label = owner.person_id().0;
        self.owner = Some(owner);
        let mut report = Committed::default();
        if !self.engine.is_read_only() {
            let done = self.label_known(&label, &mut report).and_then(|()| self.flush());
            done.inspect_err(|_| self.reload())?;
        }
        Ok(report)
    }

    /// Signing keys that this instance had before: what they have signed is its own, too. As [`Store::set_owner`], before it.
    pub fn set_former_keys(&mut self, keys: Vec<SignPublic>) {
        self.former_keys = keys;
    }

    fn apply(&mut self, writes: &[Write]) -> Result<Reply, StoreError> {
        if self.engine.is_read_only() {
            return Err(StoreError::ReadOnly);
        }
        // Before anything changes: a conflict must leave the group as it was.
        for write in writes {
            if let Write::Token { record, expect } = write {
                let stands = self.token(&record.locator)?;
                if stands.as_ref().map(|record| record.state.tag()) != *expect {
                    return Ok(Reply::Conflict(stands.map(Into::into)));
                }
            }
        }
        if writes.iter().filter(|write| matches!(write, Write::Import(_))).count() > 1 {
            return Err(StoreError::Misuse("a commit holds at most one import"));
        }
        let mut report = Committed::default();
        for write in writes {
            self.write(write, &mut report)?;
        }
        report.grown.sort_unstable();
        report.grown.dedup();
        Ok(Reply::Committed(report))
    }

    fn write(&mut self, write: &Write, report: &mut Committed) -> Result<(), StoreError> {
        match write {
            Write::Token { record, .. } => self.put_token(record),
            Write::ForgetToken(locator) => {
                self.meta_remove(meta(kind::TOKEN, &[locator.as_bytes()]));
                Ok(())
            }
            Write::Contact(contact) => self.put_contact(contact, report),
            Write::RemoveContact(person) => self.remove_contact(*person),
            Write::Trust(trust) => self.put_trust(trust),
            Write::Peer(peer) => self.put_peer(peer),
            Write::Put { objects } => self.put_objects(objects, report),
            Write::Share { ids, persons } => self.share(ids, persons, true, report),
            Write::Revoke { ids, persons } => self.revoke(ids, persons, report),
            Write::Delete { ids } => self.delete(ids, report),
            Write::Quota { person, quota } => self.put_quota(*person, *quota),
            Write::Refused { person, objects } => self.put_refused(*person, objects),
            Write::Clock(now) => {
                self.set_clock(*now);
                self.expire(report)
            }
            Write::Import(import) => self.import(import, report),
            Write::Cursor { instance, cursor } => {
                self.note(*instance, |progress| progress.received = progress.received.then(*cursor))
            }
            Write::Acked { instance, acked } => self.note_acked(*instance, *acked),
            Write::Agreed { instance, count, fingerprint } => {
                self.note_agreed(*instance, *count, *fingerprint)
            }
            Write::MarkRead { channel, upto } => self.mark_read(channel, *upto),
            Write::Setting { key, value } => self.put_setting(key, value.as_ref()),
        }
    }

    /// Makes the group durable. Cursors alone may wait for the next one.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        let idle = self.group.batch.is_empty()
            && self.group.index.is_empty()
            && self.hot.dirty_views.is_empty()
            && self.hot.dirty_peers.is_empty()
            && self.hot.pack.bytes.is_empty();
        if idle {
            // What may wait has been answered for: no commit that fails later takes it along.
            self.waiting = self
                .hot
                .lazy_peers
                .iter()
                .filter_map(|number| Some((*number, self.hot.peers.get(number)?.progress.clone())))
                .collect();
            return Ok(());
        }
        let mut group = core::mem::take(&mut self.group);
        self.hot.write_to(&mut group.batch);
        let limit = self.config.recent_entries;
        let done = self.index.plan(&self.engine, &group.index, limit, &mut group.batch).and_then(|plan| {
            self.engine.commit(&group.batch)?;
            Ok(plan)
        });
        match done {
            Ok(plan) => {
                self.index.apply(&plan, group.index);
                self.waiting.clear();
                self.steps.clear();
                Ok(())
            }
            Err(error) => {
                if !self.steps.is_empty() {
                    self.lost = Some(error.clone());
                }
                self.steps.clear();
                self.recover();
                Err(error)
            }
        }
    }

    /// Takes a store up again whose engine had failed, if that is possible now.
    pub(crate) fn usable(&mut self) -> Result<(), StoreError> {
        if self.broken.is_some() {
            self.recover();
        }
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// After a failure of the engine, of which nobody knows what reached the disk: takes what is durable.
    fn recover(&mut self) {
        if core::mem::take(&mut self.staged) {
            // Others may have seen what is lost now: the numbers of this life's logs would come to mean other things.
            self.hot.epoch = opening::draw_epoch(&self.seed, self.hot.epoch);
            self.seed = self.seed.child("LAMA/store next epoch");
        }
        match self.engine.recover().and_then(|()| Index::load(&self.engine, self.config.recent_entries)) {
            Ok(index) => {
                self.index = index;
                self.broken = None;
                self.reload();
            }
            Err(error) => {
                self.group = Group::default();
                self.broken = Some(error);
            }
        }
    }

    /// Forgets the group and reads back what is durable.
    pub(crate) fn reload(&mut self) {
        self.group = Group::default();
        match Hot::load(&self.engine, &self.sealer) {
            Ok(mut hot) => {
                if hot.epoch != self.hot.epoch {
                    hot.epoch = self.hot.epoch;
                    put_epoch(&mut self.group.batch, hot.epoch, false);
                }
                for (number, progress) in &self.waiting {
                    if let Some(peer) = hot.peers.get_mut(number) {
                        peer.progress.received = progress.received;
                        peer.progress.life = progress.life;
                        peer.progress.acked_by = progress.acked_by;
                        // What is lost of the log was acknowledged in vain: others will have its numbers.
                        let kept = if progress.acked.epoch == hot.epoch {
                            u64::MAX
                        } else {
                            hot.views.get(&peer.view).map_or(0, |log| log.seq)
                        };
                        let upto = progress.acked.upto.to_array().map(|upto| upto.min(kept));
                        peer.progress.acked = Cursor { upto: Positions::limited(upto), ..progress.acked };
                        peer.progress.agreed = progress.agreed;
                        hot.lazy_peers.insert(*number);
                    }
                }
                self.hot = hot;
                for (view, upto) in core::mem::take(&mut self.given) {
                    self.note_sent(view, upto);
                    self.given.insert(view, upto);
                }
            }
            Err(error) => self.broken = Some(error),
        }
    }

    /// Puts what is being built into the batch, so that reads find it there.
    pub(crate) fn settle(&mut self) -> Result<(), StoreError> {
        for number in &self.hot.dirty_views {
            if let Some(View { page, open: Some(bytes), .. }) = self.hot.views.get(number) {
                crate::hot::put_page(&mut self.group.batch, *number, *page, bytes.clone());
            }
        }
        let pack = &self.hot.pack;
        if !pack.bytes.is_empty() {
            self.group.batch.put(Table::Log, pack.number.to_be_bytes(), pack.bytes.clone());
        }
        Ok(())
    }
}

fn fail_commits(requests: &[Request], replies: &mut [Result<Reply, StoreError>], error: &StoreError) {
    for (request, reply) in requests.iter().zip(replies) {
        if matches!((request, &reply), (Request::Commit(_), Ok(Reply::Committed(_)))) {
            *reply = Err(error.clone());
        }
    }
}
