//! One round of reconciliation after another: who says what, and which of our entries the peer lacks.
//!
//! A round begins where both HELLOs say so, or where two sets are found different though everything was
//! exchanged. Each side stops sending objects, waits until what it sent is acknowledged, and says RECON: in the
//! round with which a session starts from the sketch that the host keeps, in others by reading the ids of its log.
//! With both RECONs, positions start again from 0 on both sides: what one side sends from now on are those of its entries
//! that the other lacks, with positions of their own up to the end of the snapshot (`found`). An acknowledgement says
//! how far the log is taken over once it has reached that.
//!
//! Where the 32 cells of RECON tell everything, nobody reads the whole log: the host looks for the entries behind the
//! few short ids, newest first. A table of all short ids is built only for more cells or a list, and freed after it.

mod find;
mod frame;
mod round;
mod work;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use lama_core::Ticket;
use lama_identity::Cid;

use crate::recon::{Decoder, Outcome, Plan, SKETCH_CELLS, ShortKey, Sketch, first_cells, more_cells};
use crate::wire::{self, Recon, WantFlags};
use crate::{ChumError, Config, PairKey};
use find::Finding;
pub(crate) use find::Step as FindStep;
use frame::{Frame, push_cells, push_wants};
use round::Round;
pub(crate) use round::Scanned;
use work::{Decode, Encode, Listing, Marking, Step, Work, entries};

/// The last round of a session: one where it starts, and two where sets are found different.
const LAST_ROUND: u8 = 2;

/// Entries to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Picks {
    /// These, of a range that has been read, in no order, of the snapshot that ends at `upto`; there will be more.
    Early { seqs: Vec<u64>, upto: u64 },
    /// These are all, in no order, of the snapshot that ends at `upto`.
    All { seqs: Vec<u64>, upto: u64 },
}

/// What the host keeps of our set, for the round with which a session starts.
#[derive(Debug)]
struct Kept {
    snapshot: u64,
    sketch: Sketch,
}

/// Whether RECON goes out with HELLO, before anybody knows that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ahead {
    No,
    Due,
    Sent,
}

/// Reconciliation in one session.
#[derive(Debug)]
pub(crate) struct Reconcile {
    pair: PairKey,
    /// Bits of a short id that count.
    bits: u32,
    kept: Option<Box<Kept>>,
    ahead: Ahead,
    /// The last round that has begun.
    last: Option<u8>,
    round: Option<Round>,
    /// The round is over, and the entries behind what it found are being looked for.
    finding: Option<Finding>,
    frames: VecDeque<Frame>,
    /// The last round ended with cells that we read: some may still be under way, and say nothing new.
    cells_under_way: bool,
}

impl Reconcile {
    pub(crate) const fn new(pair: PairKey, config: &Config) -> Self {
        Self {
            pair,
            bits: config.short_bits,
            kept: None,
            ahead: Ahead::No,
            last: None,
            round: None,
            finding: None,
            frames: VecDeque::new(),
            cells_under_way: false,
        }
    }

    /// The sketch of our set at `snapshot`, which our HELLO names; whether it goes out with that.
    pub(crate) fn keep(&mut self, snapshot: u64, sketch: Sketch, ahead: bool) {
        if self.bits == 64 {
            self.kept = Some(Box::new(Kept { snapshot, sketch }));
            self.ahead = if ahead { Ahead::Due } else { Ahead::No };
        }
    }

    /// The session starts without a round.
    pub(crate) fn skip(&mut self) {
        self.kept = None;
        self.ahead = Ahead::No;
    }

    /// Whether a round is under way: what is missing at either end is not known yet.
    pub(crate) const fn is_active(&self) -> bool {
        self.round.is_some() || self.finding.is_some()
    }

    /// Whether our RECON is made and the peer's has not come: what it acknowledges is of older positions.
    pub(crate) fn is_between(&self) -> bool {
        self.round.as_ref().is_some_and(|round| round.ready && round.theirs.is_none())
    }

    /// Whether nothing can be answered before our own log has been read: the peer is to wait.
    pub(crate) fn is_building(&self) -> bool {
        self.round.as_ref().is_some_and(|round| matches!(round.work, Work::Building))
    }

    /// Whether any round has begun.
    pub(crate) const fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// The number of another round, if there may be one now.
    pub(crate) fn another(&self) -> Option<u8> {
        let next = self.last.map_or(1, |last| last.saturating_add(1));
        (!self.is_active() && next <= LAST_ROUND).then_some(next)
    }

    fn key(&self, number: u8) -> ShortKey {
        self.pair.short_key(number.into()).shortened(self.bits)
    }

    /// Begins a round. Whether our RECON is made already.
    pub(crate) fn begin(&mut self, number: u8) -> bool {
        let key = self.key(number);
        self.last = Some(number);
        self.cells_under_way = false;
        let kept = self.kept.take().filter(|_| number == 0);
        let round = match kept {
            Some(kept) => Round::kept(number, key, kept.snapshot, kept.sketch),
            None => Round::new(number, key),
        };
        let (ready, said) = (round.ready, self.ahead == Ahead::Sent);
        self.ahead = Ahead::No;
        if ready && !said {
            self.frames.push_back(Frame::Recon(Box::new(round.recon())));
        }
        self.round = Some(round);
        ready
    }

    /// Takes the peer's RECON; whether our side has to begin the round.
    pub(crate) fn theirs(&mut self, recon: Recon) -> Result<bool, ChumError> {
        let wrong = ChumError::ReconOutOfTurn { kind: wire::RECON };
        if let Some(round) = &mut self.round {
            if round.number != recon.round || round.theirs.is_some() {
                return Err(wrong);
            }
            round.theirs = Some(recon);
            return Ok(false);
        }
        if self.another() != Some(recon.round) {
            return Err(wrong);
        }
        self.begin(recon.round);
        if let Some(round) = &mut self.round {
            round.theirs = Some(recon);
        }
        Ok(true)
    }

    /// The next scan of ids, if one is needed: after which entry, and how many.
    pub(crate) fn next_scan(&mut self, head: u64, drained: bool) -> Option<(u64, usize)> {
        self.round.as_mut()?.next_scan(head, drained)
    }

    /// The next step of looking for entries.
    pub(crate) fn next_find(&self) -> Option<FindStep> {
        self.finding.as_ref()?.next()
    }

    /// Notes the scan that was asked for.
    pub(crate) const fn scanning(&mut self, ticket: Ticket) {
        if let Some(round) = &mut self.round {
            round.scanning(ticket);
        }
    }

    /// Notes the step of looking for entries that was asked for.
    pub(crate) const fn finding(&mut self, ticket: Ticket) {
        if let Some(finding) = &mut self.finding {
            finding.asked(ticket);
        }
    }

    /// Whether `ticket` names the scan under way.
    pub(crate) fn is_scan(&self, ticket: Ticket) -> bool {
        self.round.as_ref().is_some_and(|round| round.is_scan(ticket))
    }

    /// Whether `ticket` names the step of looking for entries that is under way.
    pub(crate) fn is_find(&self, ticket: Ticket) -> bool {
        self.finding.as_ref().is_some_and(|finding| finding.is_asked(ticket))
    }

    /// Takes a page of ids. With the last of them for RECON, that is made.
    pub(crate) fn ids(&mut self, ids: &[(u64, Cid)], next: u64) -> Result<Scanned, ChumError> {
        let round = self.round.as_mut().ok_or(ChumError::PageOutOfOrder)?;
        let scanned = round.ids(ids, next)?;
        if matches!(scanned, Scanned::Said) {
            self.frames.push_back(Frame::Recon(Box::new(round.recon())));
        }
        Ok(scanned)
    }

    /// Takes what was found in one step. All our entries that the peer lacks, once they are known.
    pub(crate) fn found(&mut self, found: Vec<(u64, u64)>, from: u64) -> Result<Option<Picks>, ChumError> {
        let finding = self.finding.as_mut().ok_or(ChumError::PageOutOfOrder)?;
        let picks = finding.found(found, from)?;
        if picks.is_some() {
            self.finding = None;
        }
        Ok(picks)
    }

    /// With both RECONs: reads the difference, or settles who says what. Our entries that the peer lacks, if that
    /// is known now.
    pub(crate) fn resolve(&mut self) -> Result<Option<Picks>, ChumError> {
        let Some(round) = &mut self.round else { return Ok(None) };
        let (Some(theirs), true, Work::Waiting) = (round.theirs, round.ready, &round.work) else {
            return Ok(None);
        };
        let mut decoder = Decoder::new(round.key.clone());
        if decoder.extend(theirs.sketch.cells(), round.sketch.cells())? == Outcome::Done {
            let ours = decoder.into_differences().ours;
            if !round.built {
                return Ok(self.find(ours));
            }
            let seqs = entries(&round.table, &ours);
            return Ok(self.end().map(|(upto, _)| Picks::All { seqs, upto }));
        }
        round.decoder = Some(decoder);
        round.work = Work::Building;
        if round.built { self.plan() } else { Ok(None) }
    }

    /// With both RECONs and all our short ids: settles who says what, and hears what the peer has said meanwhile.
    pub(crate) fn plan(&mut self) -> Result<Option<Picks>, ChumError> {
        let Self { round: Some(round), frames, .. } = self else { return Ok(None) };
        let (Some(theirs), Work::Building) = (round.theirs, &round.work) else { return Ok(None) };
        let estimate = round.sketch.minus(&theirs.sketch).estimate();
        let rank = |count: u64, sketch: &Sketch| (count, sketch.cells().first().map(|cell| cell.sum));
        let smaller = rank(round.count, &round.sketch) < rank(theirs.count, &theirs.sketch);
        let plan = Plan::new(estimate, round.count.min(theirs.count));
        let ranges = 1_u32 << plan.ranges();
        let start = if ranges == 1 { SKETCH_CELLS } else { 0 };
        let goal = first_cells(estimate / u64::from(ranges)).max(more_cells(start));
        let decoder = round.decoder.take();
        round.work = match (plan, smaller) {
            (Plan::Cells { ranges: log }, true) => {
                // What the first range takes tells what the others will.
                push_cells(frames, 0, start, goal);
                let mut goals = alloc::vec![0; ranges as usize];
                goals.iter_mut().take(1).for_each(|first| *first = goal);
                Work::Encode(Encode { ranges: log, goals, wanted: Vec::new() })
            }
            (Plan::Cells { ranges: log }, false) => {
                Work::Decode(Decode::new(&round.key, log, goal, decoder.filter(|_| ranges == 1)))
            }
            (Plan::List { ranges: log }, true) => {
                (0..ranges).for_each(|range| frames.push_back(Frame::List { range }));
                Work::List(Listing { ranges: log, next: 0, wanted: Vec::new() })
            }
            (Plan::List { ranges: log }, false) => Work::Mark(Marking {
                ranges: log,
                next: 0,
                total: theirs.count,
                listed: 0,
                unlisted: Vec::new(),
            }),
        };
        let mut early = core::mem::take(&mut round.early);
        let mut some = Vec::new();
        while let Some(message) = early.pop_front() {
            let kind = message.first().copied().unwrap_or_default();
            match self.message(kind, &message)? {
                Some(Picks::Early { seqs, .. }) => some.extend(seqs),
                None => {}
                // It holds those before, too.
                all => return Ok(all),
            }
        }
        Ok(self.early(some))
    }

    /// Takes CELLS, LIST, WANT, MARKS, MORE or GOAL. Our entries that the peer lacks, if that is known now.
    pub(crate) fn message(&mut self, kind: u8, message: &Bytes) -> Result<Option<Picks>, ChumError> {
        let out_of_turn = ChumError::ReconOutOfTurn { kind };
        if kind == wire::CELLS && self.round.is_none() && self.cells_under_way {
            return Ok(None);
        }
        let Self { round: Some(round), frames, .. } = self else { return Err(out_of_turn) };
        let table = round.table.as_slice();
        let (seqs, done) = match (&mut round.work, kind) {
            (Work::Building, _) => {
                round.early.push_back(message.clone());
                return Ok(None);
            }
            (Work::Decode(decode), wire::CELLS) => {
                let (range, bytes) = wire::read_range(message)?;
                let total = round.theirs.map_or(0, |theirs| theirs.count);
                match decode.cells(&round.key, table, range, bytes, total)? {
                    Step::Wait => return Ok(None),
                    Step::More => {
                        frames.push_back(Frame::More { range });
                        return Ok(None);
                    }
                    Step::GiveUp => return Ok(Some(self.give_up())),
                    Step::Read(found) => {
                        let done = decode.is_done();
                        push_wants(frames, &found.theirs, done);
                        if range == 0 && !done {
                            let Some(cells) = decode.set_goal(found.ours.len() + found.theirs.len()) else {
                                return Ok(Some(self.give_up()));
                            };
                            frames.push_back(Frame::Goal { cells });
                        }
                        (entries(table, if done { &decode.ours } else { &found.ours }), done)
                    }
                }
            }
            (Work::Encode(encode), wire::MORE) => {
                let (range, _) = wire::read_range(message)?;
                let (first, end) = encode.more(range).ok_or(out_of_turn)?;
                push_cells(frames, range, first, end);
                return Ok(None);
            }
            (Work::Encode(encode), wire::GOAL) => {
                let cells = wire::read_goal(message)?;
                if !encode.set_goal(cells) {
                    return Err(out_of_turn);
                }
                (1..1 << encode.ranges).for_each(|range| push_cells(frames, range, 0, cells));
                return Ok(None);
            }
            (Work::Encode(encode), wire::WANT) => {
                let (flags, shorts) = wire::read_want(message)?;
                let before = encode.wanted.len();
                encode.wanted.extend(shorts);
                if encode.wanted.len() as u64 > round.count {
                    return Err(ChumError::WantBeyondSet);
                }
                match flags {
                    WantFlags::Part => {
                        (entries(table, encode.wanted.get(before..).unwrap_or_default()), false)
                    }
                    WantFlags::Last => (entries(table, &encode.wanted), true),
                    WantFlags::Everything => return Ok(Some(self.finish_with_all())),
                }
            }
            (Work::Mark(marking), wire::LIST) => {
                let (range, bytes) = wire::read_range(message)?;
                let marked = marking.list(table, range, bytes)?;
                frames.push_back(Frame::Marks { range, bits: marked.bits });
                let all = core::mem::take(&mut marking.unlisted);
                if marked.done {
                    (all, true)
                } else {
                    marking.unlisted = all;
                    (marked.unlisted, false)
                }
            }
            (Work::List(listing), wire::MARKS) => {
                let (range, bits) = wire::read_range(message)?;
                let (wanted, done) = listing.marks(table, range, bits)?;
                (if done { core::mem::take(&mut listing.wanted) } else { wanted }, done)
            }
            _ => return Err(out_of_turn),
        };
        if done {
            return Ok(self.end().map(|(upto, _)| Picks::All { seqs, upto }));
        }
        Ok(self.early(seqs))
    }

    /// Some of our entries that the peer lacks, while others are still to be found.
    fn early(&self, seqs: Vec<u64>) -> Option<Picks> {
        let upto = self.round.as_ref()?.snapshot?;
        (!seqs.is_empty()).then_some(Picks::Early { seqs, upto })
    }

    /// The round is over on our side: its table goes. Gives its snapshot and key.
    fn end(&mut self) -> Option<(u64, ShortKey)> {
        let round = self.round.take()?;
        self.cells_under_way = matches!(round.work, Work::Decode(_));
        // Cells that the peer could do without.
        self.frames.retain(|frame| !matches!(frame, Frame::Cells { .. }));
        Some((round.snapshot.unwrap_or_default(), round.key))
    }

    /// The peer lacks what stands behind these short ids of 32 cells, for which no table was needed. Unknown ones are
    /// left out.
    fn find(&mut self, shorts: Vec<u64>) -> Option<Picks> {
        let (upto, key) = self.end()?;
        if shorts.is_empty() {
            return Some(Picks::All { seqs: Vec::new(), upto });
        }
        self.finding = Some(Finding::new(key, shorts, upto));
        None
    }

    /// Nobody can tell what the peer lacks.
    fn finish_with_all(&mut self) -> Picks {
        let table = self.round.as_mut().map(|round| core::mem::take(&mut round.table)).unwrap_or_default();
        let seqs = table.iter().map(|item| u64::from(item.seq)).filter(|seq| *seq > 0).collect();
        Picks::All { seqs, upto: self.end().map_or(0, |(upto, _)| upto) }
    }

    /// Cells do not tell, and no more of them are read: everything is wanted, and everything goes.
    fn give_up(&mut self) -> Picks {
        self.frames.push_back(Frame::Want(WantFlags::Everything, Vec::new()));
        self.finish_with_all()
    }

    /// Builds RECON behind HELLO, if it goes out before anybody knows that it is needed.
    pub(crate) fn write_ahead(&mut self, out: &mut BytesMut) -> bool {
        let Some(kept) = self.kept.as_deref().filter(|_| self.ahead == Ahead::Due) else { return false };
        Round::kept(0, self.key(0), kept.snapshot, kept.sketch).recon().write(out);
        self.ahead = Ahead::Sent;
        true
    }

    /// Builds the next frame, if there is one.
    pub(crate) fn write(&mut self, config: &Config, out: &mut BytesMut) -> bool {
        frame::write(&mut self.frames, self.round.as_ref(), config, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_what_has_not_left_the_set() {
        let mut reconcile = Reconcile::new(PairKey::new([1; 32]), &Config::default());
        let mut round = Round::new(1, reconcile.key(1));
        round.snapshot = Some(9);
        round.table = [(3, 9), (5, 0), (8, 1)].map(|(short, seq)| work::Item { short, seq }).to_vec();
        reconcile.round = Some(round);
        assert_eq!(reconcile.finish_with_all(), Picks::All { seqs: alloc::vec![9, 1], upto: 9 });
        assert!(!reconcile.is_active());
    }
}
