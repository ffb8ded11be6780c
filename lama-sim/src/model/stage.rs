//! The stage: replicas, links and the time that passes, with what must hold at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lama_chum::{Chum, Entry, Event, Input, Output, PairKey, Past, Positions};
use lama_core::{Instant, Machine as _, Now, WallTime};
use lama_identity::Cid;
use lama_store::{Import, Read, Reply, Write};

use super::cast::START;
use super::mind::{Known, Universe};
use super::replica::{Comeback, Replica};
use super::wire::{Job, Seen, Wire};
use super::{Cast, Hidden, Plan, Tally, Who};
use crate::Rng;

/// Virtual time of a tick.
const TICK: Duration = Duration::from_millis(5);

/// Where an object stands in a log: in which life of the store, in which lane, and its number.
type Place = ([u8; 8], lama_chum::Lane, u64);

/// Everything of one history.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) cast: &'a Cast,
    pub(super) plan: Plan,
    pub(super) replicas: Vec<Replica>,
    pub(super) wires: Vec<Wire>,
    pub(super) universe: Universe,
    /// By the first bytes of their digests: finds ids in messages.
    prefixes: BTreeMap<u64, Cid>,
    first_bytes: Vec<u64>,
    /// What each person was ever allowed to know the id of.
    may_name: Vec<BTreeSet<Cid>>,
    /// What each person was ever allowed to have.
    may_have: Vec<BTreeSet<Cid>>,
    /// What was handed out by whom for whom.
    handed: BTreeSet<(Who, Who, Cid)>,
    /// What was said to be gone by whom to whom.
    said_gone: BTreeSet<(Who, Who, Cid)>,
    /// What was handed out to whoever had brought it himself, and lost.
    pub(super) returned: BTreeSet<(Who, Who, Cid)>,
    /// Where it stood in whose log then.
    sent: BTreeMap<(Who, Who, Cid), Place>,
    pub(super) tick: u64,
    /// Chance of restarts: store epochs and nothing else.
    lives: Rng,
    pub(super) tally: Tally,
    /// Whether links break by themselves.
    pub(super) stormy: bool,
    /// The tick of the last message or work.
    moved: u64,
}

impl<'a> Stage<'a> {
    pub(super) fn new(cast: &'a Cast, plan: Plan) -> Self {
        let persons = plan.persons;
        let mut lives = Rng::new(plan.seed ^ 0x11fe);
        let replicas =
            (0..persons).map(|who| Replica::new(cast, who, persons, plan.store, &mut lives)).collect();
        let mut wires = Vec::new();
        for a in 0..persons {
            for b in a + 1..persons {
                let seed = plan.seed.wrapping_mul(0x9e37_79b9).wrapping_add(16 * a as u64 + b as u64);
                wires.push(Wire::new([a, b], seed));
            }
        }
        Self {
            cast,
            plan,
            replicas,
            wires,
            universe: Universe::new(),
            prefixes: BTreeMap::new(),
            first_bytes: vec![0; 1024],
            may_name: vec![BTreeSet::new(); persons],
            may_have: vec![BTreeSet::new(); persons],
            handed: BTreeSet::new(),
            said_gone: BTreeSet::new(),
            returned: BTreeSet::new(),
            sent: BTreeMap::new(),
            tick: 0,
            lives,
            tally: Tally::default(),
            stormy: true,
            moved: 0,
        }
    }

    pub(super) fn now(&self) -> Now {
        let passed = TICK * u32::try_from(self.tick).unwrap_or(u32::MAX);
        let wall = WallTime(START.0 + u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        Now { mono: Instant::from_origin(passed), wall }
    }

    /// Tells what happens to whoever wants to know.
    pub(super) fn say(&self, text: impl FnOnce() -> String) {
        if self.plan.aloud {
            eprintln!("{:>6}  {}", self.tick, text());
        }
    }

    /// An object was made by somebody.
    pub(super) fn make(&mut self, by: Who, id: Cid, known: Known) {
        let prefix = u64::from_be_bytes(*id.digest().first_chunk().expect("32 bytes"));
        self.prefixes.insert(prefix, id);
        let two = (prefix >> 48) as usize;
        self.first_bytes[two / 64] |= 1 << (two % 64);
        self.universe.insert(id, Rc::new(known));
        self.tally.objects += 1;
        self.allow(by, id);
    }

    /// Somebody may have an object from now on.
    fn allow(&mut self, who: Who, id: Cid) {
        if self.may_have[who].insert(id) {
            self.may_name[who].insert(id);
            self.may_name[who].extend(self.universe[&id].names.iter().copied());
        }
    }

    /// Takes over what the model of `who` has granted.
    fn note_grants(&mut self, who: Who) {
        for (with, id) in std::mem::take(&mut self.replicas[who].mind.fresh) {
            self.allow(with, id);
            if self.handed.contains(&(who, with, id)) {
                self.with_end(with, who, |end| *end.again.entry(id).or_default() += 1);
            } else if self.said_gone.contains(&(who, with, id)) {
                self.with_end(with, who, |end| {
                    end.again.entry(id).or_default();
                });
            }
        }
    }

    fn with_end(&mut self, me: Who, peer: Who, change: impl FnOnce(&mut super::wire::End)) {
        let wire = self.wires.iter_mut().find(|wire| wire.who.contains(&me) && wire.who.contains(&peer));
        if let Some(wire) = wire {
            change(&mut wire.ends[usize::from(wire.who[1] == me)]);
        }
    }

    /// A commit by a person himself.
    pub(super) fn commit(&mut self, who: Who, writes: Vec<Write>) -> lama_store::Committed {
        self.tally.writes += 1;
        self.say(|| format!("{who} writes {}", summary(&writes)));
        let done = self.replicas[who].commit(writes);
        self.committed(who, None, &done);
        done
    }

    /// Views have grown: their sessions hear of it. What the models say about the commit is known by now.
    fn committed(&mut self, who: Who, except: Option<Who>, done: &lama_store::Committed) {
        for person in &done.grown {
            let grown = self.cast.who(person).filter(|grown| Some(*grown) != except);
            if let Some(grown) = grown {
                self.with_end(who, grown, |end| {
                    if end.chum.is_some() {
                        end.jobs.push_back(Job::Head);
                    }
                });
            }
        }
        self.replicas[who].durable_at = self.tick;
        self.moved = self.tick;
    }

    /// Runs what the model does beside a commit of `who`.
    pub(super) fn think<T>(
        &mut self,
        who: Who,
        with: impl FnOnce(&mut super::mind::Mind, &Universe, &mut Tally) -> T,
    ) -> T {
        let done = with(&mut self.replicas[who].mind, &self.universe, &mut self.tally);
        self.note_grants(who);
        done
    }

    /// A process ends and starts again.
    pub(super) fn restart(&mut self, who: Who, how: Comeback, pick: u64) {
        self.say(|| format!("{who} comes back: {how:?}"));
        let touched: Vec<usize> =
            (0..self.wires.len()).filter(|at| self.wires[*at].who.contains(&who)).collect();
        for at in touched {
            self.take_down(at);
        }
        self.level(who);
        match self.replicas[who].come_back(self.cast, how, pick, &mut self.lives) {
            Comeback::Closed => return self.tally.restarts += 1,
            Comeback::Crashed => self.tally.crashes += 1,
            Comeback::Restored => {
                self.tally.restored += 1;
                for wire in self.wires.iter_mut().filter(|wire| wire.who.contains(&who)) {
                    // Nobody knows what of it a restored store still has, before both have agreed.
                    let end = &mut wire.ends[usize::from(wire.who[1] == who)];
                    end.doubtful.extend(end.heard.keys().chain(&end.unheard).copied());
                }
            }
        }
        for wire in self.wires.iter_mut().filter(|wire| wire.who.contains(&who)) {
            // Whether what it granted again was taken back in the life that is undone, it does not know if the other end
            // listened to more of that one than this one can know of; nor does the other end know what of that this one has
            // still heard, if it was finding out what both lack. Then it is said once more.
            wire.ends.iter_mut().flat_map(|end| end.again.values_mut()).for_each(|left| *left += 1);
        }
        self.forget(who, self.replicas[who].durable_at);
    }

    /// What `who` has heard of since then it does not know any more.
    fn forget(&mut self, who: Who, then: u64) {
        for wire in self.wires.iter_mut().filter(|wire| wire.who.contains(&who)) {
            let end = &mut wire.ends[usize::from(wire.who[0] == who)];
            let forgotten = end.heard.extract_if(.., |_, tick| *tick >= then);
            end.unheard.extend(forgotten.map(|(id, _)| id));
        }
    }

    /// A crash loses what may wait, such as a cursor, unless anything else was written since. Two histories that must be
    /// compared do not differ by that.
    fn level(&mut self, who: Who) {
        if self.plan.hidden != Hidden::Open {
            let value = Some(Bytes::from_static(b"everything before is durable"));
            self.replicas[who].commit(vec![Write::Setting { key: "level".to_owned(), value }]);
        }
    }

    /// Copies what is durable.
    pub(super) fn back_up(&mut self, who: Who) {
        self.level(who);
        self.replicas[who].back_up();
    }

    /// Time passes.
    pub(super) fn step(&mut self) {
        self.tick += 1;
        for at in 0..self.wires.len() {
            let chance = self.wires[at].rng.next_u64();
            if !self.wires[at].up {
                if self.tick >= self.wires[at].next_up {
                    self.bring_up(at);
                }
                continue;
            }
            for side in 0..2 {
                let chance = chance >> (8 * side);
                self.time(at, side);
                self.outputs(at, side);
                for _ in 0..chance & 3 {
                    self.work(at, side);
                }
                for _ in 0..(chance >> 2) & 3 {
                    self.send(at, side);
                }
                for _ in 0..(chance >> 4) & 3 {
                    self.deliver(at, side);
                }
            }
        }
    }

    /// Runs until nothing moves any more.
    pub(super) fn settle(&mut self) {
        let start = self.tick;
        self.moved = self.tick;
        while self.tick < self.moved + 40 || !self.wires.iter().all(Wire::is_quiet) {
            self.step();
            assert!(self.tick < start + 60_000, "it never comes to rest");
        }
    }

    /// Breaks a link. What the stores were asked for may have been done all the same.
    pub(super) fn take_down(&mut self, at: usize) {
        let chance = self.wires[at].rng.next_u64();
        if !self.wires[at].up {
            return;
        }
        self.say(|| format!("{:?} are cut off", self.wires[at].who));
        for side in 0..2 {
            self.outputs(at, side);
            for job in std::mem::take(&mut self.wires[at].ends[side].jobs) {
                match job {
                    Job::Chum(Output::Cursor(cursor)) => self.wires[at].ends[side].cursor = Some(cursor),
                    Job::Chum(Output::Import { objects, epoch, after, upto, .. }) => {
                        if chance >> side & 1 == 1 {
                            self.tally.lost_answers += 1;
                            self.import(at, side, (objects, epoch, after, upto));
                        }
                        break;
                    }
                    _ => {}
                }
            }
            self.write_down(at, side);
        }
        let wire = &mut self.wires[at];
        for end in &mut wire.ends {
            let kept = std::mem::take(end);
            let super::wire::End { again, unheard, doubtful, heard, .. } = kept;
            *end = super::wire::End { again, unheard, doubtful, heard, ..Default::default() };
        }
        wire.up = false;
        wire.next_up = self.tick + 1 + (chance >> 8) % 40;
        self.moved = self.tick;
    }

    fn bring_up(&mut self, at: usize) {
        let who = self.wires[at].who;
        let (first, second) = (self.wires[at].rng.next_u64(), self.wires[at].rng.next_u64());
        let mut cursors = 0;
        for side in 0..2 {
            let (me, peer) = (who[side], who[1 - side]);
            let head = self.replicas[me].head(self.cast, peer);
            cursors += u64::from(head.received.epoch == self.replicas[peer].store().epoch());
            let key = PairKey::new(*head.pair_key.expose());
            // The store keeps its sketch of short ids in full length: the machine passes over one of another kind.
            let sketch = if self.plan.keeps_sketches { head.sketch } else { Default::default() };
            let past = Past {
                sketch,
                seen: head.seen,
                agreed: head.agreed,
                news: head.news,
                last_news: head.last_news,
                acked: head.last_acked.upto,
                acked_in: head.last_acked.epoch,
                acked_by: head.acked_by,
                before: head.before,
                life: head.life,
            };
            let chum = Chum::new(self.plan.chum, head.head, head.received, key).with_past(&past);
            let chance = if side == 0 { first } else { second };
            let cut = (self.stormy && chance.is_multiple_of(2)).then_some((chance >> 8) % 6_000);
            let end = &mut self.wires[at].ends[side];
            (end.chum, end.cut_after) = (Some(chum), cut);
        }
        self.wires[at].up = true;
        self.say(|| format!("{who:?} are connected, {cursors} cursors are valid"));
        self.tally.sessions += 1;
        self.tally.replayed += u64::from(cursors == 2);
        self.moved = self.tick;
    }

    fn handle(&mut self, at: usize, side: usize, input: Input) {
        let now = self.now();
        let wire = &mut self.wires[at];
        let who = wire.who;
        if let Some(chum) = &mut wire.ends[side].chum {
            let done = chum.handle(now, input);
            assert!(done.is_ok(), "the session between {who:?} ends at end {side}: {done:?}");
        }
    }

    /// Lets a machine know what time it is, if it waits for that.
    fn time(&mut self, at: usize, side: usize) {
        let now = self.now();
        let Some(chum) = &mut self.wires[at].ends[side].chum else { return };
        if chum.poll_timeout().is_some_and(|due| due <= now.mono) {
            assert!(chum.handle_timeout(now).is_ok());
            self.moved = self.tick;
        }
    }

    fn outputs(&mut self, at: usize, side: usize) {
        while let Some(output) = self.wires[at].ends[side].chum.as_mut().and_then(|chum| chum.poll()) {
            self.wires[at].ends[side].jobs.push_back(Job::Chum(output));
        }
    }

    /// Does the next job at a store.
    fn work(&mut self, at: usize, side: usize) {
        self.outputs(at, side);
        // By the time alone, so that histories that differ in what is hidden differ in nothing else.
        if self.tick.is_multiple_of(2) && self.wires[at].ends[side].overtake() {
            self.tally.overtaken += 1;
        }
        let Some(job) = self.wires[at].ends[side].jobs.pop_front() else { return };
        self.moved = self.tick;
        let (me, peer) = (self.wires[at].who[side], self.wires[at].who[1 - side]);
        let (person, instance) = (self.cast.id(peer), self.cast.people[peer].instance_id());
        let output = match job {
            Job::Head => {
                let head = self.replicas[me].head(self.cast, peer).head;
                return self.handle(at, side, Input::Grown(head));
            }
            Job::Chum(output) => output,
        };
        let input = match output {
            Output::Scan { ticket, after, lanes, max_bytes, whole } => {
                self.page(me, peer, ticket, Read::Page { person, instance, after, lanes, max_bytes, whole })
            }
            Output::Fetch { ticket, seqs, max_bytes } => {
                self.page(me, peer, ticket, Read::Fetch { person, instance, seqs, max_bytes })
            }
            Output::Ids { ticket, after, limit } => {
                match self.replicas[me].ask(Read::Ids { person, after, limit }) {
                    Reply::Ids(ids) => Input::Ids { ticket, ids: ids.ids, next: ids.next },
                    other => panic!("{other:?}"),
                }
            }
            Output::News { ticket, after, known, limit } => {
                match self.replicas[me].ask(Read::News { person, instance, after, known, limit }) {
                    Reply::News(page) => Input::News { ticket, seqs: page.seqs, next: page.next },
                    other => panic!("{other:?}"),
                }
            }
            Output::Find { ticket, key, shorts, upto, limit } => {
                match self.replicas[me].ask(Read::Find { person, key, shorts, upto, limit }) {
                    Reply::Found(page) => Input::Found { ticket, found: page.found, from: page.from },
                    other => panic!("{other:?}"),
                }
            }
            Output::Import { ticket, objects, epoch, after, upto, .. } => {
                let outcome = self.import(at, side, (objects, epoch, after, upto));
                Input::Imported { ticket, outcome }
            }
            Output::Cursor(cursor) => return self.wires[at].ends[side].cursor = Some(cursor),
            Output::Acked(acked) => return self.wires[at].ends[side].acked = Some(acked),
            Output::Event(event) => return self.event(at, side, event),
        };
        self.handle(at, side, input);
    }

    /// A stretch of a view is handed out: nothing may be in it that access does not allow.
    fn page(&mut self, me: Who, peer: Who, ticket: lama_core::Ticket, read: Read) -> Input {
        let Reply::Page(page) = self.replicas[me].ask(read) else { panic!("no page") };
        for Entry { seq, id, lane, gone, source_is_peer, .. } in &page.entries {
            let seen = self.replicas[me].mind.towards(peer, id);
            self.say(|| {
                format!("{me} hands out to {peer} {} (seq {seq} lane {lane:?} gone: {gone}, was his: {source_is_peer})", short(id))
            });
            let fine = if *gone { self.may_name[peer].contains(id) } else { seen.may_see() || seen.came };
            if *gone {
                self.said_gone.insert((me, peer, *id));
            } else {
                self.handed.insert((me, peer, *id));
                if *source_is_peer {
                    self.returned.insert((me, peer, *id));
                }
                self.sent.insert((me, peer, *id), (page.head.epoch, *lane, *seq));
            }
            assert!(
                fine || *source_is_peer,
                "{me} hands {id} to {peer} (gone: {gone}), and he stands so: {seen:?}"
            );
        }
        Input::Page { ticket, entries: page.entries, next: page.next, head: page.head }
    }

    fn import(
        &mut self,
        at: usize,
        side: usize,
        (objects, epoch, after, upto): (Vec<(Cid, Bytes)>, [u8; 8], Positions, Positions),
    ) -> lama_chum::ImportOutcome {
        let (me, peer) = (self.wires[at].who[side], self.wires[at].who[1 - side]);
        let (person, instance) = (self.cast.id(peer), self.cast.people[peer].instance_id());
        self.tally.imports += 1;
        let mut writes = vec![Write::Clock(self.replicas[me].wall(self.now().wall))];
        if let Some(acked) = self.wires[at].ends[side].acked {
            self.heard(at, side, acked.cursor);
        }
        let end = &mut self.wires[at].ends[side];
        writes.extend(end.cursor.take().map(|cursor| Write::Cursor { instance, cursor }));
        writes.extend(end.acked.take().map(|acked| Write::Acked { instance, acked }));
        for (id, bytes) in &objects {
            self.arrives(at, side, id, bytes.is_empty());
        }
        writes.push(Write::Import(Import { person, instance, objects, epoch, after, upto }));
        let mut done = self.replicas[me].commit(writes);
        self.committed(me, Some(peer), &done);
        let outcome = done.import.take().unwrap_or_default();
        self.tally.set_aside += outcome.aside.len() as u64;
        outcome
    }

    /// An object, or the news that it is gone, becomes durable at its receiver.
    fn arrives(&mut self, at: usize, side: usize, id: &Cid, gone: bool) {
        let (me, peer) = (self.wires[at].who[side], self.wires[at].who[1 - side]);
        self.say(|| format!("{me} has from {peer} {}{}", short(id), if gone { " (gone)" } else { "" }));
        if gone {
            self.tally.told_gone += 1;
            assert!(
                self.may_name[me].contains(id),
                "{peer} tells {me} of {id}, which is none of his business"
            );
            return self.think(me, |mind, universe, tally| mind.gone(universe, peer, id, tally));
        }
        assert!(
            self.may_have[me].contains(id),
            "{peer} sends {id} to {me}, who was never allowed to have it"
        );
        self.tally.received += 1;
        let mind = &self.replicas[me].mind;
        if mind.towards(peer, id).came {
            self.again(at, side, id);
            self.tally.repeated += 1;
        } else if mind.held.contains_key(id) {
            self.tally.received_twice += 1;
        }
        let end = &mut self.wires[at].ends[side];
        end.heard.remove(id);
        end.unheard.insert(*id);
        if end.between {
            end.crossing.insert(*id);
        }
        self.think(me, |mind, universe, tally| mind.import(universe, peer, *id, tally));
    }

    /// An object arrives that the same instance has brought already. It may, if it was granted again, if nobody heard that
    /// it had become durable, or if it was on its way when its receiver began another round.
    fn again(&mut self, at: usize, side: usize, id: &Cid) {
        let (me, peer) = (self.wires[at].who[side], self.wires[at].who[1 - side]);
        let end = &mut self.wires[at].ends[side];
        if let Some(left) = end.again.get_mut(id).filter(|left| **left > 0) {
            *left -= 1;
        } else if end.unheard.contains(id) || end.doubtful.contains(id) {
            self.tally.unheard += 1;
        } else {
            assert!(
                end.crossing.remove(id),
                "{peer} sends {id} to {me} again, who has it, and {peer} knows it"
            );
            self.tally.crossed += 1;
        }
    }

    /// A person hears that objects of his are durable at `peer`, and has that written down.
    fn heard(&mut self, at: usize, side: usize, cursor: lama_chum::Cursor) {
        let (me, peer) = (self.wires[at].who[side], self.wires[at].who[1 - side]);
        let (sent, tick) = (&self.sent, self.tick);
        let end = &mut self.wires[at].ends[1 - side];
        let heard = end.unheard.extract_if(.., |id| {
            let said = sent.get(&(me, peer, *id));
            said.is_some_and(|(epoch, lane, seq)| *epoch == cursor.epoch && *seq <= cursor.upto.of(*lane))
        });
        let heard: Vec<Cid> = heard.collect();
        end.heard.extend(heard.iter().map(|id| (*id, tick)));
        self.say(|| {
            let heard: Vec<String> = heard.iter().map(short).collect();
            format!("{me} knows that {peer} has {}", heard.join(" "))
        });
    }

    fn event(&mut self, at: usize, side: usize, event: Event) {
        let (me, peer) = (self.wires[at].who[side], self.wires[at].who[1 - side]);
        match event {
            Event::InSync { count, fingerprint } => {
                let end = &mut self.wires[at].ends[side];
                (end.in_sync, end.agreed) = (Some((count, fingerprint)), Some((count, fingerprint)));
                end.doubtful.clear();
                self.write_down(at, side);
            }
            Event::OutOfSync { .. } => self.tally.out_of_sync += 1,
            Event::RefusedThere { id, reason } => {
                let write = Write::Refused { person: self.cast.id(peer), objects: vec![(id, reason)] };
                self.replicas[me].commit(vec![write]);
            }
            _ => {}
        }
    }

    /// Writes down what could wait.
    fn write_down(&mut self, at: usize, side: usize) {
        let (me, peer) = (self.wires[at].who[side], self.wires[at].who[1 - side]);
        let instance = self.cast.people[peer].instance_id();
        if let Some(acked) = self.wires[at].ends[side].acked {
            self.heard(at, side, acked.cursor);
        }
        let end = &mut self.wires[at].ends[side];
        let mut writes: Vec<Write> = Vec::new();
        writes.extend(end.cursor.take().map(|cursor| Write::Cursor { instance, cursor }));
        writes.extend(end.acked.take().map(|acked| Write::Acked { instance, acked }));
        let agreed = end.agreed.take();
        writes.extend(agreed.map(|(count, fingerprint)| Write::Agreed { instance, count, fingerprint }));
        if !writes.is_empty() {
            self.replicas[me].commit(writes);
        }
    }

    /// Takes a message from a machine if the link has room.
    fn send(&mut self, at: usize, side: usize) {
        let tick = self.tick;
        let wire = &mut self.wires[at];
        if !wire.up {
            return;
        }
        let mut frame = BytesMut::new();
        let [first, second] = &mut wire.ends;
        let (here, there) = if side == 0 { (first, second) } else { (second, first) };
        if there.inbox_bytes >= self.plan.capacity
            || !here.chum.as_mut().is_some_and(|chum| chum.poll_frame(&mut frame))
        {
            return;
        }
        let message = frame.freeze();
        if message.first() == Some(&0x20) {
            here.between = message.get(1).is_some_and(|round| *round > here.round);
        }
        there.inbox_bytes += message.len();
        there.inbox.push_back((tick + self.plan.delay, message.clone()));
        wire.seen.push(Seen { tick, side, message });
        self.moved = tick;
    }

    /// Gives a machine the next message that has arrived.
    fn deliver(&mut self, at: usize, side: usize) {
        let tick = self.tick;
        let wire = &mut self.wires[at];
        let end = &mut wire.ends[side];
        let due = end.inbox.front().is_some_and(|(due, _)| *due <= tick);
        if !wire.up || !due || !end.chum.as_ref().is_some_and(|chum| chum.wants_input()) {
            return;
        }
        let Some((_, message)) = end.inbox.pop_front() else { return };
        end.inbox_bytes -= message.len();
        let carried = end.carried + message.len() as u64;
        let cut = end.cut_after.filter(|cut| *cut <= carried);
        self.moved = tick;
        if cut.is_none_or(|cut| cut == carried) {
            end.carried = carried;
            self.read_along(at, side, &message);
            self.handle(at, side, Input::Message(message));
        }
        if cut.is_some() {
            self.tally.cuts += 1;
            self.take_down(at);
        }
    }

    /// Looks at a message as its receiver could: no id is in it that is none of his business.
    fn read_along(&mut self, at: usize, side: usize, message: &Bytes) {
        let me = self.wires[at].who[side];
        self.say(|| {
            format!("{me} gets of {:?} {:02x?}", self.wires[at].who, &message[..message.len().min(48)])
        });
        self.tally.frames += 1;
        self.tally.bytes += message.len() as u64;
        match message.first() {
            Some(0x20) => {
                self.tally.reconciled += 1;
                self.wires[at].ends[side].undecoded = false;
                if let Some(round) = message.get(1).filter(|round| **round > 0) {
                    self.tally.salted += 1;
                    let end = &mut self.wires[at].ends[side];
                    (end.round, end.between) = (*round, false);
                }
            }
            Some(0x21 | 0x22) => {
                let end = &mut self.wires[at].ends[side];
                self.tally.undecoded += u64::from(!std::mem::replace(&mut end.undecoded, true));
                self.tally.lists += u64::from(message.first() == Some(&0x22));
            }
            Some(0x25) => self.tally.more += 1,
            _ => {}
        }
        for window in message.windows(8) {
            let two = usize::from(window[0]) << 8 | usize::from(window[1]);
            if self.first_bytes[two / 64] >> (two % 64) & 1 == 0 {
                continue;
            }
            let prefix = u64::from_be_bytes(*window.first_chunk().expect("8 bytes"));
            if let Some(id) = self.prefixes.get(&prefix) {
                assert!(
                    self.may_name[me].contains(id),
                    "a message to {me} names {id}, of which he must not know"
                );
                self.tally.scanned_hits += 1;
            }
        }
    }
}

/// The start of an id.
pub(super) fn short(id: &Cid) -> String {
    id.to_string().chars().skip(7).take(6).collect()
}

fn summary(writes: &[Write]) -> String {
    let shorts = |ids: &[Cid]| ids.iter().map(short).collect::<Vec<_>>().join(" ");
    let one = |write: &Write| match write {
        Write::Put { objects } => {
            format!("put {}", shorts(&objects.iter().map(|(id, _)| *id).collect::<Vec<_>>()))
        }
        Write::Share { ids, persons } => format!("share {} with {}", shorts(ids), persons.len()),
        Write::Revoke { ids, .. } => format!("revoke {}", shorts(ids)),
        Write::Delete { ids } => format!("delete {}", shorts(ids)),
        other => format!("{other:?}"),
    };
    writes.iter().map(one).collect::<Vec<_>>().join(", ")
}
