//! An honest machine with its store, and whoever is at the other end says what he likes.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use lama_chum::recon::{Sketch, write_cells};
use lama_chum::wire::{self, Hello, LogNews, Recon};
use lama_chum::{ChumError, Config, Cursor, Fingerprint, Input, Output, ViewHead};
use lama_core::{Instant, Machine, Now, WallTime};
use lama_identity::Cid;

use super::pair::Side;
use super::view::View;
use super::{objects, pair_key};

const NOW: Now = Now { mono: Instant::ORIGIN, wall: WallTime(0) };

/// An honest machine, whose store works at once.
pub struct Victim {
    pub side: Side,
    /// What it said after HELLO, not yet looked at.
    pub said: Vec<Bytes>,
    /// Whether its store is slow: nothing becomes durable, and no log is read.
    pub stuck: bool,
}

impl Victim {
    /// With `count` objects of its own. The peer has said HELLO, knows all of them by its cursor, and has `theirs` more.
    pub fn new(config: Config, count: u64, theirs: u64) -> Self {
        let mut view = View::new(1);
        view.strict = false;
        view.share(objects("own", count, 60));
        view.cursor = Cursor::all([2; 8], 0);
        let view_head = view.head;
        let mut this = Self { side: Side::new(config, view), said: Vec::new(), stuck: false };
        // With nothing more the sets are equal.
        let fingerprint = if theirs == 0 { view_head.fingerprint } else { Fingerprint::default() };
        let head = ViewHead { epoch: [2; 8], seq: theirs, count: count + theirs, fingerprint };
        let cursor = Cursor::all([1; 8], count);
        this.hear(&message(|out| Hello { head, cursor, news: LogNews::None }.write(out))).unwrap();
        this.said.clear();
        this
    }

    /// As [`Victim::new`], but the peer knows nothing: a round of reconciliation begins at once.
    pub fn unknown(config: Config, count: u64, theirs: u64) -> Self {
        let mut view = View::new(1);
        view.share(objects("own", count, 60));
        let mut this = Self { side: Side::new(config, view), said: Vec::new(), stuck: false };
        let head = ViewHead { epoch: [2; 8], seq: theirs, count: theirs, ..ViewHead::default() };
        this.hear(&message(|out| Hello { head, cursor: Cursor::default(), news: LogNews::None }.write(out)))
            .unwrap();
        this.said.clear();
        this
    }

    /// Takes a message, then does whatever there is to do.
    pub fn hear(&mut self, message: &Bytes) -> Result<(), ChumError> {
        self.side.chum.handle(NOW, Input::Message(message.clone()))?;
        self.work()
    }

    /// Hears of a new head of its own log.
    pub fn grown(&mut self, head: ViewHead) -> Result<(), ChumError> {
        self.side.chum.handle(NOW, Input::Grown(head))?;
        self.work()
    }

    /// Takes messages until one ends the session.
    pub fn hear_all(&mut self, messages: &[Bytes]) -> Result<(), ChumError> {
        messages.iter().try_for_each(|message| self.hear(message))
    }

    /// Does whatever there is to do.
    pub fn work(&mut self) -> Result<(), ChumError> {
        loop {
            let mut busy = false;
            while let Some(output) = self.side.chum.poll() {
                busy = true;
                match output {
                    Output::Event(event) => self.side.events.push(event),
                    job => self.side.jobs.push_back(job),
                }
            }
            while let Some(job) = self.side.jobs.front() {
                if self.stuck && matches!(job, Output::Import { .. } | Output::Ids { .. }) {
                    break;
                }
                busy = true;
                if let Some(answer) = self.side.execute() {
                    self.side.chum.handle(NOW, answer)?;
                }
            }
            let mut frame = BytesMut::new();
            while self.side.chum.poll_frame(&mut frame) {
                busy = true;
                self.said.push(frame.split().freeze());
            }
            if !busy {
                return Ok(());
            }
        }
    }

    /// The types of what it said since this was asked last.
    pub fn kinds(&mut self) -> BTreeSet<u8> {
        self.said.drain(..).map(|message| message[0]).collect()
    }
}

/// A message.
pub fn message(build: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    build(&mut out);
    out.freeze()
}

/// RECON about a set that holds of the victim's objects those in `shared`, and `own` that the victim lacks.
pub fn recon(round: u8, snapshot: u64, shared: std::ops::Range<u64>, own: u64) -> Bytes {
    let key = pair_key().short_key(round.into());
    let mut sketch = Sketch::default();
    let count = shared.end - shared.start + own;
    let ids = objects("own", shared.end, 60).split_off(shared.start as usize).into_iter();
    for (id, _) in ids.chain(objects("his", own, 60)) {
        sketch.add(&key, key.short(&id));
    }
    message(|out| Recon { round, snapshot, count, sketch }.write(out))
}

/// The short ids, in a round, of some of the victim's objects.
pub fn shorts(round: u8, ids: &[Cid]) -> Vec<u64> {
    let key = pair_key().short_key(round.into());
    ids.iter().map(|id| key.short(id)).collect()
}

/// CELLS of a range, `first` on, of a set of `total` ids: `each` of them as wanted.
pub fn cells(
    range: u32,
    first: u32,
    total: u64,
    count: usize,
    each: impl FnMut(usize) -> lama_chum::recon::Cell,
) -> Bytes {
    let cells: Vec<_> = (0..count).map(each).collect();
    message(|out| {
        wire::write_range(wire::CELLS, range, out);
        write_cells(&cells, first, total, out);
    })
}

/// A LIST of a range with these bytes.
pub fn list(range: u32, count: u16, list: &[u8]) -> Bytes {
    message(|out| {
        wire::write_range(wire::LIST, range, out);
        out.put_u16(count);
        out.put_slice(list);
    })
}
