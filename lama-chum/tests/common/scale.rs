//! Two machines over views that are only lists, so that sets of a million ids cost little beside what the machines do;
//! every message, byte and flight is counted, and what it costs in processor time if a clock is given.
//!
//! The objects have 12 bytes, `{"n": number}`, and are made when they are asked for. Their bytes are not counted: what is
//! left is what it takes to find out who lacks what, to say hello, to acknowledge and to agree.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lama_chum::recon::ShortKey;
use lama_chum::wire;
use lama_chum::{
    Chum, Config, Cursor, Entry, Event, Fingerprinter, ImportOutcome, Input, Output, PairKey, Past, ViewHead,
};
use lama_core::{Instant, Machine, Now, WallTime};
use lama_identity::Cid;

const NOW: Now = Now { mono: Instant::ORIGIN, wall: WallTime(0) };

/// What an object takes in a message: its length and itself.
const OBJECT: usize = 13;

/// The pair key of all runs.
pub fn pair() -> PairKey {
    PairKey::new([42; 32])
}

fn object(number: u64) -> Bytes {
    let number = (number | 1 << 63).to_be_bytes();
    Bytes::from([&b"\xa1\x61n\x1b"[..], &number].concat())
}

/// The id of object `number`.
pub fn id(number: u64) -> Cid {
    Cid::of_object(&object(number))
}

/// A log, a head, a fingerprint.
#[derive(Clone)]
pub struct View {
    pub log: Vec<(Cid, u64, bool)>,
    pub head: ViewHead,
    pub cursor: Cursor,
    key: Fingerprinter,
    short: ShortKey,
    past: Past,
}

impl View {
    pub fn new(epoch: u8) -> Self {
        let head = ViewHead { epoch: [epoch; 8], ..ViewHead::default() };
        Self {
            log: Vec::new(),
            head,
            cursor: Cursor::default(),
            key: pair().fingerprinter(),
            short: pair().short_key(0),
            past: Past::default(),
        }
    }

    pub fn append(&mut self, id: Cid, number: u64, from_peer: bool) {
        self.log.push((id, number, from_peer));
        self.head.seq += 1;
        self.head.count += 1;
        self.head.fingerprint.add(&self.key, &id);
        self.past.sketch.add(&self.short, self.short.short(&id));
    }

    fn entry(&self, seq: u64) -> Entry {
        let (id, number, source_is_peer) = self.log[seq as usize - 1];
        Entry {
            seq,
            id,
            lane: lama_chum::Lane::Objects,
            source_is_peer,
            again: false,
            gone: false,
            object: object(number),
        }
    }

    fn answer(&mut self, job: Output) -> Option<Input> {
        match job {
            // Everything is in one lane.
            Output::Scan { ticket, lanes, .. } if !lanes.contains(lama_chum::Lane::Objects) => {
                Some(Input::Page { ticket, entries: Vec::new(), next: self.head.seq, head: self.head })
            }
            Output::Scan { ticket, after, lanes: _, max_bytes, whole } => {
                let next = self.head.seq.min(after + max_bytes as u64 / 12);
                let seqs = (after + 1..=next).filter(|seq| whole || !self.log[*seq as usize - 1].2);
                let entries = seqs.map(|seq| self.entry(seq)).collect();
                Some(Input::Page { ticket, entries, next, head: self.head })
            }
            Output::Ids { ticket, after, limit } => {
                let ids = (after + 1..).zip(self.log.iter().skip(after as usize).take(limit));
                let ids: Vec<(u64, Cid)> = ids.map(|(seq, entry)| (seq, entry.0)).collect();
                let next = ids.last().map_or(after, |(seq, _)| *seq);
                Some(Input::Ids { ticket, ids, next })
            }
            Output::Fetch { ticket, seqs, max_bytes } => {
                let seqs = seqs.iter().take(max_bytes / 12);
                let entries: Vec<Entry> = seqs.map(|seq| self.entry(*seq)).collect();
                let next = entries.last().map_or(0, |entry| entry.seq);
                Some(Input::Page { ticket, entries, next, head: self.head })
            }
            Output::News { ticket, after, limit, .. } => {
                let next = (after + limit as u64).min(self.log.len() as u64);
                Some(Input::News { ticket, seqs: Vec::new(), next })
            }
            Output::Find { ticket, key, shorts, upto, limit } => {
                let from = upto.saturating_sub(limit as u64);
                let stretch = &self.log[from as usize..upto as usize];
                let shorts_of = (from + 1..).zip(stretch).map(|(seq, entry)| (key.short(&entry.0), seq));
                let found = shorts_of.filter(|(short, _)| shorts.binary_search(short).is_ok()).collect();
                Some(Input::Found { ticket, found, from })
            }
            Output::Import { ticket, objects, epoch, upto, .. } => {
                let before = self.head.seq;
                for (id, object) in objects {
                    let number = u64::from_be_bytes(*object.last_chunk().unwrap()) & !(1 << 63);
                    self.append(id, number, true);
                }
                self.cursor = self.cursor.then(Cursor { epoch, upto });
                let outcome = ImportOutcome { before, head: self.head, ..ImportOutcome::default() };
                Some(Input::Imported { ticket, outcome })
            }
            Output::Cursor(cursor) => {
                self.cursor = self.cursor.then(cursor);
                None
            }
            _ => None,
        }
    }
}

/// How two sets differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One has all `n`, the other lacks `d` of them.
    OneSided,
    /// Of `n` in all, each lacks half of `d`.
    TwoSided,
}

impl Shape {
    /// Two views without cursors, in which the ids that are not shared stand anywhere.
    pub fn views(self, n: u64, d: u64) -> [View; 2] {
        let (mut a, mut b) = (View::new(1), View::new(2));
        let every = n.checked_div(d).unwrap_or(u64::MAX);
        let mut apart = 0;
        for number in 0..n {
            let id = id(number);
            let own = number % every == every - 1 && apart < d;
            apart += u64::from(own);
            let other = own && (self == Self::OneSided || apart % 2 == 0);
            if !own || other {
                a.append(id, number, false);
            }
            if !(own && other) {
                b.append(id, number, false);
            }
        }
        [a, b]
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::OneSided => "one",
            Self::TwoSided => "two",
        }
    }
}

/// What a run cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Costs {
    pub messages: [usize; 2],
    /// Without the objects.
    pub bytes: [usize; 2],
    /// After how many flights the first object had arrived, and both knew that they agree. A flight is half a round trip.
    pub first_object: Option<usize>,
    pub synced: usize,
    /// Taking in a log from its ids: what a session does that has nothing maintained to begin with.
    pub rebuild: Duration,
    /// Saying and reading everything but objects.
    pub reconcile: Duration,
    /// Saying and reading objects.
    pub objects: Duration,
}

struct Side {
    chum: Chum,
    view: View,
    inbox: VecDeque<Bytes>,
    agreed: bool,
}

impl Side {
    fn new(view: View) -> Self {
        let chum = Chum::new(Config::default(), view.head, view.cursor, pair()).with_past(&view.past);
        Self { chum, view, inbox: VecDeque::new(), agreed: false }
    }
}

/// A clock that says how long this thread has worked.
pub type ThreadClock = fn() -> Duration;

/// No clock: every run costs no time.
pub fn no_clock() -> Duration {
    Duration::ZERO
}

const fn is_objects(message: &[u8]) -> bool {
    matches!(message, [wire::OBJECTS, ..])
}

struct Run {
    sides: [Side; 2],
    costs: Costs,
    clock: ThreadClock,
}

impl Run {
    fn handle(&mut self, side: usize, input: Input) {
        let (scan, objects) = match &input {
            Input::Ids { .. } => (true, false),
            Input::Message(message) => (false, is_objects(message)),
            _ => (false, true),
        };
        let begin = (self.clock)();
        self.sides[side].chum.handle(NOW, input).unwrap();
        let took = (self.clock)() - begin;
        match (scan, objects) {
            (true, _) => self.costs.rebuild += took,
            (_, true) => self.costs.objects += took,
            _ => self.costs.reconcile += took,
        }
    }

    fn local(&mut self, side: usize) {
        while let Some(output) = self.sides[side].chum.poll() {
            if let Output::Event(event) = &output {
                if let Event::InSync { count, fingerprint } = event {
                    let past = &mut self.sides[side].view.past;
                    (past.seen, past.agreed) = (true, Some((*count, *fingerprint)));
                    self.sides[side].agreed = true;
                }
            } else if let Some(answer) = self.sides[side].view.answer(output) {
                self.handle(side, answer);
            }
        }
    }

    fn flight(&mut self) -> bool {
        let mut sent = false;
        for side in 0..2 {
            loop {
                self.local(side);
                let begin = (self.clock)();
                let mut frame = BytesMut::new();
                if !self.sides[side].chum.poll_frame(&mut frame) {
                    break;
                }
                let took = (self.clock)() - begin;
                let mut len = frame.len();
                if is_objects(&frame) {
                    self.costs.objects += took;
                    let header = lama_chum::wire::OBJECTS_HEADER;
                    len -= (len - header) / OBJECT * OBJECT;
                } else {
                    self.costs.reconcile += took;
                }
                sent = true;
                self.costs.messages[side] += 1;
                self.costs.bytes[side] += len;
                self.sides[1 - side].inbox.push_back(frame.freeze());
            }
        }
        for side in 0..2 {
            while let Some(message) = self.sides[side].inbox.pop_front() {
                self.handle(side, Input::Message(message));
                self.local(side);
            }
        }
        sent
    }
}

/// Runs until both are silent and agree.
pub fn run(views: [View; 2], clock: ThreadClock) -> (Costs, [View; 2]) {
    let before = [0, 1].map(|side: usize| views[side].log.len());
    let mut run = Run { sides: views.map(Side::new), costs: Costs::default(), clock };
    let mut flights = 0;
    while run.flight() {
        flights += 1;
        let grown = (0..2).any(|side| run.sides[side].view.log.len() > before[side]);
        if grown && run.costs.first_object.is_none() {
            run.costs.first_object = Some(flights);
        }
        if run.costs.synced == 0 && run.sides.iter().all(|side| side.agreed) {
            run.costs.synced = flights;
        }
    }
    let [a, b] = run.sides.map(|side| side.view);
    assert_eq!((a.head.count, a.head.fingerprint), (b.head.count, b.head.fingerprint));
    (run.costs, [a, b])
}
