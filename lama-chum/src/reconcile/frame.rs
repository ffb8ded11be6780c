//! The messages of reconciliation that wait for the link, built only when it has room.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use super::round::Round;
use super::work::{Work, in_range, list_base, part_cells, scaled, share};
use crate::Config;
use crate::recon::{write_cells, write_list};
use crate::wire::{self, MAX_WANT, Recon, WantFlags};

/// A frame to be built when the link has room.
#[derive(Debug)]
pub(super) enum Frame {
    Recon(Box<Recon>),
    Cells { range: u32, first: u32, end: u32 },
    List { range: u32 },
    Want(WantFlags, Vec<u64>),
    Marks { range: u32, bits: Vec<u8> },
    More { range: u32 },
    Goal { cells: u32 },
}

/// Cells to be sent.
pub(super) fn push_cells(frames: &mut VecDeque<Frame>, range: u32, first: u32, end: u32) {
    frames.push_back(Frame::Cells { range, first, end });
}

/// Short ids to be asked for; `last`: there will be no more of them.
pub(super) fn push_wants(frames: &mut VecDeque<Frame>, shorts: &[u64], last: bool) {
    let mut parts = shorts.chunks(MAX_WANT).peekable();
    while let Some(part) = parts.next() {
        let flags = if last && parts.peek().is_none() { WantFlags::Last } else { WantFlags::Part };
        frames.push_back(Frame::Want(flags, part.to_vec()));
    }
    if last && shorts.is_empty() {
        frames.push_back(Frame::Want(WantFlags::Last, Vec::new()));
    }
}

/// Builds the next frame, if there is one.
pub(super) fn write(
    frames: &mut VecDeque<Frame>,
    round: Option<&Round>,
    config: &Config,
    out: &mut BytesMut,
) -> bool {
    let Some(frame) = frames.pop_front() else { return false };
    match frame {
        Frame::Recon(recon) => recon.write(out),
        Frame::Cells { range, first, end } => {
            // 17 bytes are the most that a cell takes.
            let fit = u32::try_from(config.room.saturating_sub(3) / 17).unwrap_or(u32::MAX).max(1);
            let until = end.min(first.saturating_add(fit));
            if until < end {
                frames.push_front(Frame::Cells { range, first: until, end });
            }
            if let Some(round) = round
                && let Work::Encode(encode) = &round.work
            {
                let part = in_range(&round.table, range, encode.ranges);
                let cells = part_cells(&round.key, part, first, until);
                wire::write_range(wire::CELLS, range, out);
                write_cells(&cells, first, share(round.count, encode.ranges), out);
            }
        }
        Frame::List { range } => {
            if let Some(round) = round
                && let Work::List(listing) = &round.work
            {
                let part = in_range(&round.table, range, listing.ranges);
                wire::write_range(wire::LIST, range, out);
                out.put_u16(u16::try_from(part.len()).unwrap_or(u16::MAX));
                let base = list_base(range, listing.ranges, round.count);
                write_list(base, scaled(part, round.count), out);
            }
        }
        Frame::Want(flags, shorts) => wire::write_want(flags, &shorts, out),
        Frame::Marks { range, bits } => {
            wire::write_range(wire::MARKS, range, out);
            out.put_slice(&bits);
        }
        Frame::More { range } => wire::write_range(wire::MORE, range, out),
        Frame::Goal { cells } => wire::write_goal(cells, out),
    }
    true
}
