//! Two machines over links bounded in bytes, each with a view whose work takes its time.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lama_chum::{Chum, ChumError, Config, Event, Input, Output, wire};
use lama_core::{Instant, Machine, Now, WallTime};
use sha2::{Digest, Sha256};

use super::Rng;
use super::view::View;

/// What one side has sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    pub frames: usize,
    pub bytes: usize,
    /// As WebSocket messages: padded to a bucket and sealed.
    pub wire: usize,
}

/// What a message takes as one sealed record (session.md 1 and 3).
fn sealed(len: usize) -> usize {
    let plaintext = len + 10 + 4;
    let buckets = [64, 256, 1_024, 4_096, 16_384, 65_519];
    buckets.into_iter().find(|bucket| plaintext <= *bucket).map_or(plaintext, |bucket| bucket) + 16
}

pub struct Side {
    /// What a message of many parts may take.
    pub room: usize,
    pub chum: Chum,
    pub view: View,
    pub jobs: VecDeque<Output>,
    pub events: Vec<Event>,
    pub sent: Sent,
    /// Messages on their way *to* this side.
    pub inbox: VecDeque<Bytes>,
    pub inbox_bytes: usize,
    pub most_imports: usize,
    /// Messages sent, by their first byte.
    pub kinds: [usize; 256],
    /// Their bytes.
    pub kind_bytes: [usize; 256],
    /// Ids that the store gives in one page.
    pub ids_at_most: usize,
    /// Urgent imports that went before others.
    pub overtaken: usize,
}

impl Side {
    pub fn new(config: Config, view: View) -> Self {
        let chum = Chum::new(config, view.head, view.cursor, super::pair_key()).with_past(&view.past());
        Self {
            room: config.room,
            chum,
            view,
            jobs: VecDeque::new(),
            events: Vec::new(),
            sent: Sent::default(),
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            most_imports: 0,
            kinds: [0; 256],
            kind_bytes: [0; 256],
            ids_at_most: 7_000,
            overtaken: 0,
        }
    }

    pub fn in_sync(&self) -> bool {
        self.events.iter().rev().find_map(|event| match event {
            Event::InSync { count, fingerprint } => Some((*count, *fingerprint)),
            _ => None,
        }) == Some((self.view.head.count, self.view.head.fingerprint))
    }

    /// Puts the next urgent import before what was asked for earlier and is not urgent; whether there was one.
    pub fn overtake(&mut self) -> bool {
        let urgent = |job: &Output| matches!(job, Output::Import { urgent: true, .. });
        let Some(from) = self.jobs.iter().position(urgent) else { return false };
        let bulk = |job: &Output| matches!(job, Output::Import { urgent: false, .. });
        let Some(to) = self.jobs.iter().take(from).position(bulk) else { return false };
        self.overtaken += 1;
        self.jobs.remove(from).map(|job| self.jobs.insert(to, job)).is_some()
    }

    /// Does the next job of the store; gives what answers it.
    pub fn execute(&mut self) -> Option<Input> {
        match self.jobs.pop_front()? {
            Output::Scan { ticket, after, lanes, max_bytes, whole } => {
                let (entries, next, head) = self.view.page(after, lanes, max_bytes, whole);
                Some(Input::Page { ticket, entries, next, head })
            }
            Output::Ids { ticket, after, limit } => {
                let (ids, next) = self.view.ids(after, limit.min(self.ids_at_most));
                Some(Input::Ids { ticket, ids, next })
            }
            Output::News { ticket, after, known, limit } => {
                let next = (after + limit as u64).min(self.view.log.len() as u64);
                // A log of a single lane.
                let seqs = self.view.news.range(after + 1..=next).copied();
                let seqs = seqs.filter(|seq| *seq > known.whole()).collect();
                Some(Input::News { ticket, seqs, next })
            }
            Output::Find { ticket, key, shorts, upto, limit } => {
                let (found, from) = self.view.find(&key, &shorts, upto, limit.min(self.ids_at_most));
                Some(Input::Found { ticket, found, from })
            }
            Output::Fetch { ticket, seqs, max_bytes } => {
                let (entries, next, head) = self.view.fetch(&seqs, max_bytes);
                Some(Input::Page { ticket, entries, next, head })
            }
            Output::Import { ticket, objects, epoch, after, upto, .. } => {
                Some(match self.view.import(objects, epoch, after, upto) {
                    Ok(outcome) => Input::Imported { ticket, outcome },
                    Err(failure) => Input::Failed { ticket, failure },
                })
            }
            Output::Cursor(cursor) => {
                self.view.take_cursor(self.view.cursor.then(cursor));
                None
            }
            Output::Acked(acked) => {
                self.view.take_acked(acked);
                None
            }
            Output::Event(_) => None,
        }
    }
}

pub struct Pair {
    pub sides: [Side; 2],
    /// Bytes that each link holds; one message always goes.
    pub capacity: usize,
    pub steps: u64,
    /// Whether every output and frame goes into the trace.
    pub tracing: bool,
    trace: Sha256,
    pub rng: Rng,
}

/// One thing that may happen.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Poll(usize),
    Execute(usize),
    Frame(usize),
    Deliver(usize),
    Overtake(usize),
}

impl Pair {
    pub fn new(config: Config, a: View, b: View, capacity: usize, seed: u64) -> Self {
        let sides = [Side::new(config, a), Side::new(config, b)];
        Self { sides, capacity, steps: 0, tracing: false, trace: Sha256::new(), rng: Rng(seed | 1) }
    }

    pub fn now(&self) -> Now {
        Now { mono: Instant::from_origin(Duration::from_millis(self.steps)), wall: WallTime(self.steps) }
    }

    /// Shares on one side while the session runs.
    pub fn share(&mut self, side: usize, objects: Vec<(lama_identity::Cid, Bytes)>) {
        let now = self.now();
        let head = self.sides[side].view.share(objects);
        self.sides[side].chum.handle(now, Input::Grown(head)).unwrap();
    }

    /// Deletes an object on one side while the session runs.
    #[allow(dead_code)] // not every test that shares this module deletes
    pub fn delete(&mut self, side: usize, id: lama_identity::Cid) {
        let now = self.now();
        let head = self.sides[side].view.delete(id, false);
        self.sides[side].chum.handle(now, Input::Grown(head)).unwrap();
    }

    fn note(&mut self, side: usize, what: &str, bytes: &[u8]) {
        self.trace.update([side as u8]);
        self.trace.update(what.as_bytes());
        self.trace.update(bytes);
    }

    /// Tries a step; whether anything happened.
    pub fn step(&mut self, step: Step) -> Result<bool, ChumError> {
        self.steps += 1;
        let now = self.now();
        match step {
            Step::Poll(side) => {
                let Some(output) = self.sides[side].chum.poll() else { return Ok(false) };
                if self.tracing {
                    self.note(side, "output", format!("{output:?}").as_bytes());
                }
                match output {
                    Output::Event(event) => {
                        if let Event::InSync { count, fingerprint } = event {
                            self.sides[side].view.agreed = Some((count, fingerprint));
                            self.sides[side].view.agreed_in = self.sides[side].view.head.epoch;
                        }
                        self.sides[side].events.push(event);
                    }
                    job => self.sides[side].jobs.push_back(job),
                }
                let imports = self.sides[side].jobs.iter().filter(|job| matches!(job, Output::Import { .. }));
                self.sides[side].most_imports = self.sides[side].most_imports.max(imports.count());
            }
            Step::Execute(side) => {
                if self.sides[side].jobs.is_empty() {
                    return Ok(false);
                }
                if let Some(answer) = self.sides[side].execute() {
                    self.sides[side].chum.handle(now, answer)?;
                }
            }
            Step::Overtake(side) => return Ok(self.sides[side].overtake()),
            Step::Frame(side) => {
                let there = &self.sides[1 - side];
                if there.inbox_bytes >= self.capacity {
                    return Ok(false);
                }
                let mut frame = BytesMut::new();
                if !self.sides[side].chum.poll_frame(&mut frame) {
                    return Ok(false);
                }
                self.note(side, "frame", &frame);
                assert!(frame[0] != wire::CELLS || frame.len() <= self.sides[side].room);
                self.sides[side].kinds[usize::from(frame[0])] += 1;
                self.sides[side].kind_bytes[usize::from(frame[0])] += frame.len();
                self.sides[side].sent.frames += 1;
                self.sides[side].sent.bytes += frame.len();
                self.sides[side].sent.wire += sealed(frame.len());
                self.sides[1 - side].inbox_bytes += frame.len();
                self.sides[1 - side].inbox.push_back(frame.freeze());
            }
            Step::Deliver(side) => {
                if !self.sides[side].chum.wants_input() {
                    return Ok(false);
                }
                let Some(message) = self.sides[side].inbox.pop_front() else { return Ok(false) };
                self.sides[side].inbox_bytes -= message.len();
                self.sides[side].chum.handle(now, Input::Message(message))?;
            }
        }
        Ok(true)
    }

    const ALL: [Step; 10] = [
        Step::Poll(0),
        Step::Poll(1),
        Step::Execute(0),
        Step::Execute(1),
        Step::Frame(0),
        Step::Frame(1),
        Step::Deliver(0),
        Step::Deliver(1),
        Step::Overtake(0),
        Step::Overtake(1),
    ];

    /// One random step that does something; `false` when nothing is left to do.
    pub fn random_step(&mut self) -> Result<bool, ChumError> {
        let first = self.rng.below(Self::ALL.len());
        for offset in 0..Self::ALL.len() {
            if self.step(Self::ALL[(first + offset) % Self::ALL.len()])? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Runs until nothing is left to do, at random.
    pub fn settle(&mut self) -> Result<(), ChumError> {
        let mut steps = 0_u64;
        while self.random_step()? || self.wait()? {
            steps += 1;
            assert!(steps < 10_000_000, "it never ends");
        }
        Ok(())
    }

    /// Lets time pass until a deadline; `false` if there is none.
    pub fn wait(&mut self) -> Result<bool, ChumError> {
        let due = self.sides.iter().filter_map(|side| side.chum.poll_timeout()).min();
        let Some(due) = due else { return Ok(false) };
        self.steps = self.steps.max(due.since_origin().as_millis() as u64);
        let now = self.now();
        for side in &mut self.sides {
            side.chum.handle_timeout(now)?;
        }
        Ok(true)
    }

    /// Both sides learn of objects that a third one wrote, each of its own: as in a mesh.
    pub fn relay(&mut self, side: usize, objects: Vec<(lama_identity::Cid, Bytes)>) {
        self.sides[side].view.relayed.extend(objects.iter().map(|(id, _)| *id));
        self.share(side, objects);
    }

    /// Messages with objects that both sides have sent.
    pub fn object_messages(&self) -> usize {
        let kinds = |side: &Side| {
            (0..=u8::MAX)
                .filter(|kind| kind & 0x37 == 0x01)
                .map(|kind| side.kinds[usize::from(kind)])
                .sum::<usize>()
        };
        self.sides.iter().map(kinds).sum()
    }

    /// One flight: everything local is done on both sides, then what each side can send crosses at once. Whether
    /// anything was sent.
    pub fn flight(&mut self) -> bool {
        for side in 0..2 {
            while self.step(Step::Poll(side)).unwrap() || self.step(Step::Execute(side)).unwrap() {}
        }
        let mut sent = false;
        for side in 0..2 {
            loop {
                while self.step(Step::Poll(side)).unwrap() || self.step(Step::Execute(side)).unwrap() {}
                if !self.step(Step::Frame(side)).unwrap() {
                    break;
                }
                sent = true;
            }
        }
        for side in 0..2 {
            while self.step(Step::Deliver(side)).unwrap() {}
        }
        for side in 0..2 {
            while self.step(Step::Poll(side)).unwrap() || self.step(Step::Execute(side)).unwrap() {}
        }
        sent
    }

    pub fn assert_in_sync(&self) {
        let [a, b] = &self.sides;
        assert_eq!(a.view.members, b.view.members);
        assert_eq!(
            (a.view.head.count, a.view.head.fingerprint),
            (b.view.head.count, b.view.head.fingerprint)
        );
        assert!(a.in_sync() && b.in_sync(), "{:?}\n{:?}", a.events, b.events);
    }

    pub fn trace(&self) -> Vec<u8> {
        self.trace.clone().finalize().to_vec()
    }
}
