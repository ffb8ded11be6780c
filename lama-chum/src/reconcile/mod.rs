//! One round of reconciliation after another: who says what, and which of our entries the peer lacks.
//!
//! A round begins where both HELLOs say so, or where two sets are found different though everything was
//! exchanged. Each side stops sending objects, waits until what it sent is acknowledged, reads the ids of its log
//! and says RECON. With both RECONs, the positions in both logs start again from 0: what one side sends from now
//! on are those of its entries that the other lacks, in the order of its log, so that children precede parents
//! and an acknowledgement of a position means what it always means.

mod work;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};
use lama_core::Ticket;
use lama_identity::Cid;

use crate::recon::{
    Decoder, Outcome, Plan, SKETCH_CELLS, ShortKey, Sketch, first_cells, more_cells, write_cells, write_list,
};
use crate::wire::{self, MAX_WANT, Recon, WantFlags};
use crate::{ChumError, Config, PairKey};
use work::{Decode, Encode, Listing, Marking, Work, in_range, list_base, part_cells, scaled, share};

/// The last round of a session: one where it starts, and two where sets are found different.
const LAST_ROUND: u8 = 2;

/// Ids in one page of a scan.
const IDS: usize = 8_192;

/// One entry of our log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    short: u64,
    seq: u32,
}

/// The entries to send, ascending, of the snapshot that ends at `upto`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Picks {
    pub(crate) seqs: Vec<u64>,
    pub(crate) upto: u64,
}

/// A frame to be built when the link has room.
#[derive(Debug)]
enum Frame {
    Recon(Box<Recon>),
    Cells { range: u32, first: u32, end: u32 },
    List { range: u32 },
    Want(WantFlags, Vec<u64>),
    Marks { range: u32, bits: Vec<u8> },
    More { range: u32 },
}

/// Cells to be sent.
fn push_cells(frames: &mut VecDeque<Frame>, range: u32, first: u32, end: u32) {
    frames.push_back(Frame::Cells { range, first, end });
}

/// Short ids to be asked for.
fn push_wants(frames: &mut VecDeque<Frame>, shorts: &[u64]) {
    let mut rest = shorts;
    while let Some((part, behind)) = rest.split_at_checked(MAX_WANT).filter(|(_, behind)| !behind.is_empty())
    {
        frames.push_back(Frame::Want(WantFlags::Part, part.to_vec()));
        rest = behind;
    }
    frames.push_back(Frame::Want(WantFlags::Last, rest.to_vec()));
}

/// The round under way.
#[derive(Debug)]
struct Round {
    number: u8,
    key: ShortKey,
    /// Head of our log when the scan began; `None` before.
    snapshot: Option<u64>,
    scan: Option<Ticket>,
    /// The log has been looked at up to here.
    scanned: u64,
    /// Sorted by short id once the scan is complete.
    items: Vec<Item>,
    sketch: Sketch,
    ready: bool,
    theirs: Option<Recon>,
    work: Work,
}

/// Reconciliation in one session.
#[derive(Debug)]
pub(crate) struct Reconcile {
    pair: PairKey,
    /// The last round that has begun.
    last: Option<u8>,
    round: Option<Round>,
    frames: VecDeque<Frame>,
    /// The last round ended with cells that we read: some may still be under way, and say nothing new.
    cells_under_way: bool,
}

impl Reconcile {
    pub(crate) const fn new(pair: PairKey) -> Self {
        Self { pair, last: None, round: None, frames: VecDeque::new(), cells_under_way: false }
    }

    /// Whether a round is under way: what is missing at either end is not known yet.
    pub(crate) const fn is_active(&self) -> bool {
        self.round.is_some()
    }

    /// Whether our RECON is made and the peer's has not come: what it acknowledges is of older positions.
    pub(crate) fn is_between(&self) -> bool {
        self.round.as_ref().is_some_and(|round| round.ready && round.theirs.is_none())
    }

    /// Whether the round under way is not the one with which a session starts.
    pub(crate) fn is_repeated(&self) -> bool {
        self.round.as_ref().is_some_and(|round| round.number > 0)
    }

    /// The number of another round, if there may be one now.
    pub(crate) fn another(&self) -> Option<u8> {
        let next = self.last.map_or(1, |last| last.saturating_add(1));
        (self.round.is_none() && next <= LAST_ROUND).then_some(next)
    }

    /// Begins a round.
    pub(crate) fn begin(&mut self, number: u8) {
        self.last = Some(number);
        self.cells_under_way = false;
        self.round = Some(Round {
            number,
            key: self.pair.short_key(number.into()),
            snapshot: None,
            scan: None,
            scanned: 0,
            items: Vec::new(),
            sketch: Sketch::default(),
            ready: false,
            theirs: None,
            work: Work::Waiting,
        });
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

    /// The next scan of ids, once nothing of ours is under way: after which entry, and how many.
    pub(crate) fn next_scan(&mut self, head: u64, drained: bool) -> Option<(u64, usize)> {
        let round = self.round.as_mut().filter(|round| !round.ready && round.scan.is_none())?;
        if !drained && round.snapshot.is_none() {
            return None;
        }
        round.snapshot.get_or_insert(head);
        Some((round.scanned, IDS))
    }

    /// Notes the scan that was asked for.
    pub(crate) fn scanning(&mut self, ticket: Ticket) {
        if let Some(round) = &mut self.round {
            round.scan = Some(ticket);
        }
    }

    /// Whether `ticket` names the scan under way.
    pub(crate) fn is_scan(&self, ticket: Ticket) -> bool {
        self.round.as_ref().and_then(|round| round.scan) == Some(ticket)
    }

    /// Takes a page of ids; whether the snapshot is complete and RECON made.
    pub(crate) fn ids(&mut self, ids: &[(u64, Cid)], next: u64) -> Result<bool, ChumError> {
        let misuse = ChumError::PageOutOfOrder;
        let round = self.round.as_mut().ok_or(misuse)?;
        round.scan.take().ok_or(misuse)?;
        let after = round.scanned;
        let snapshot = round.snapshot.ok_or(misuse)?;
        if next <= after && after < snapshot {
            return Err(misuse);
        }
        let mut last = after;
        for (seq, id) in ids {
            if *seq <= last || *seq > next {
                return Err(misuse);
            }
            last = *seq;
            if *seq <= snapshot {
                let seq = u32::try_from(*seq).map_err(|_| ChumError::ViewTooLong)?;
                round.items.push(Item { short: round.key.short(id), seq });
            }
        }
        round.scanned = next;
        if next < snapshot {
            return Ok(false);
        }
        round.items.sort_unstable();
        // An id that stands in the log twice counts once, where it stands last.
        round.items.reverse();
        round.items.dedup_by_key(|item| item.short);
        round.items.reverse();
        for item in &round.items {
            round.sketch.add(&round.key, item.short);
        }
        round.ready = true;
        self.frames.push_back(Frame::Recon(Box::new(Recon {
            round: round.number,
            snapshot,
            count: round.items.len() as u64,
            sketch: round.sketch,
        })));
        Ok(true)
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
            return Ok(Some(self.finish(&ours)));
        }
        let (count, estimate) = (round.items.len() as u64, round.sketch.minus(&theirs.sketch).estimate());
        let rank = |count: u64, sketch: &Sketch| (count, sketch.cells().first().map(|cell| cell.sum));
        let smaller = rank(count, &round.sketch) < rank(theirs.count, &theirs.sketch);
        let plan = Plan::new(estimate, count.min(theirs.count));
        let ranges = 1_u32 << plan.ranges();
        let start = if ranges == 1 { SKETCH_CELLS } else { 0 };
        let goal = first_cells(estimate / u64::from(ranges)).max(more_cells(start));
        round.work = match (plan, smaller) {
            (Plan::Cells { ranges: log }, true) => {
                for range in 0..ranges {
                    push_cells(&mut self.frames, range, start, goal);
                }
                Work::Encode(Encode {
                    ranges: log,
                    goals: alloc::vec![goal; ranges as usize],
                    wanted: Vec::new(),
                })
            }
            (Plan::Cells { ranges: log }, false) => {
                Work::Decode(Decode::new(&round.key, log, goal, (ranges == 1).then_some(decoder)))
            }
            (Plan::List { ranges: log }, true) => {
                (0..ranges).for_each(|range| self.frames.push_back(Frame::List { range }));
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
        Ok(None)
    }

    /// Takes CELLS, LIST, WANT, MARKS or MORE. Our entries that the peer lacks, if that is known now.
    pub(crate) fn message(&mut self, kind: u8, message: &[u8]) -> Result<Option<Picks>, ChumError> {
        let out_of_turn = ChumError::ReconOutOfTurn { kind };
        if kind == wire::CELLS && self.round.is_none() && self.cells_under_way {
            return Ok(None);
        }
        let Self { round: Some(round), frames, .. } = self else { return Err(out_of_turn) };
        let items = round.items.as_slice();
        let shorts = match (&mut round.work, kind) {
            (Work::Decode(decode), wire::CELLS) => {
                let (range, bytes) = wire::read_range(message)?;
                let total = round.theirs.map_or(0, |theirs| theirs.count);
                match decode.cells(&round.key, items, range, bytes, total)? {
                    work::Step::Wait => return Ok(None),
                    work::Step::More => {
                        frames.push_back(Frame::More { range });
                        return Ok(None);
                    }
                    work::Step::GiveUp => {
                        frames.push_back(Frame::Want(WantFlags::Everything, Vec::new()));
                        items.iter().map(|item| item.short).collect()
                    }
                    work::Step::Done => {
                        push_wants(frames, &decode.theirs);
                        core::mem::take(&mut decode.ours)
                    }
                }
            }
            (Work::Encode(encode), wire::MORE) => {
                let (range, _) = wire::read_range(message)?;
                let (first, end) = encode.more(range).ok_or(out_of_turn)?;
                push_cells(frames, range, first, end);
                return Ok(None);
            }
            (Work::Encode(encode), wire::WANT) => {
                let (flags, shorts) = wire::read_want(message)?;
                encode.wanted.extend(shorts);
                if encode.wanted.len() > items.len() {
                    return Err(ChumError::WantBeyondSet);
                }
                match flags {
                    WantFlags::Part => return Ok(None),
                    WantFlags::Last => core::mem::take(&mut encode.wanted),
                    WantFlags::Everything => items.iter().map(|item| item.short).collect(),
                }
            }
            (Work::Mark(marking), wire::LIST) => {
                let (range, bytes) = wire::read_range(message)?;
                let (bits, done) = marking.list(items, range, bytes)?;
                frames.push_back(Frame::Marks { range, bits });
                if !done {
                    return Ok(None);
                }
                core::mem::take(&mut marking.unlisted)
            }
            (Work::List(listing), wire::MARKS) => {
                let (range, bits) = wire::read_range(message)?;
                if !listing.marks(items, range, bits)? {
                    return Ok(None);
                }
                core::mem::take(&mut listing.wanted)
            }
            _ => return Err(out_of_turn),
        };
        Ok(Some(self.finish(&shorts)))
    }

    /// The round is over on our side: finds the entries behind short ids. Unknown ones are left out.
    fn finish(&mut self, shorts: &[u64]) -> Picks {
        let Some(round) = self.round.take() else { return Picks { seqs: Vec::new(), upto: 0 } };
        self.cells_under_way = matches!(round.work, Work::Decode(_));
        // Cells that the peer could do without.
        self.frames.retain(|frame| !matches!(frame, Frame::Cells { .. }));
        let mut seqs: Vec<u64> = shorts
            .iter()
            .filter_map(|short| {
                let at = round.items.binary_search_by_key(short, |item| item.short).ok()?;
                round.items.get(at).map(|item| item.seq.into())
            })
            .collect();
        seqs.sort_unstable();
        seqs.dedup();
        Picks { seqs, upto: round.snapshot.unwrap_or_default() }
    }

    /// Builds the next frame, if there is one.
    pub(crate) fn write(&mut self, config: &Config, out: &mut BytesMut) -> bool {
        let Some(frame) = self.frames.pop_front() else { return false };
        match frame {
            Frame::Recon(recon) => recon.write(out),
            Frame::Cells { range, first, end } => {
                // 17 bytes are the most that a cell takes.
                let fit = u32::try_from(config.room.saturating_sub(3) / 17).unwrap_or(u32::MAX).max(1);
                let until = end.min(first.saturating_add(fit));
                if until < end {
                    self.frames.push_front(Frame::Cells { range, first: until, end });
                }
                if let Some(round) = &self.round
                    && let Work::Encode(encode) = &round.work
                {
                    let part = in_range(&round.items, range, encode.ranges);
                    let cells = part_cells(&round.key, part, first, until);
                    wire::write_range(wire::CELLS, range, out);
                    write_cells(&cells, first, share(round.items.len() as u64, encode.ranges), out);
                }
            }
            Frame::List { range } => {
                if let Some(round) = &self.round
                    && let Work::List(listing) = &round.work
                {
                    let part = in_range(&round.items, range, listing.ranges);
                    let total = round.items.len() as u64;
                    wire::write_range(wire::LIST, range, out);
                    out.put_u16(u16::try_from(part.len()).unwrap_or(u16::MAX));
                    write_list(list_base(range, listing.ranges, total), scaled(part, total), out);
                }
            }
            Frame::Want(flags, shorts) => wire::write_want(flags, &shorts, out),
            Frame::Marks { range, bits } => {
                wire::write_range(wire::MARKS, range, out);
                out.put_slice(&bits);
            }
            Frame::More { range } => wire::write_range(wire::MORE, range, out),
        }
        true
    }
}
