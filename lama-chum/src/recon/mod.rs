//! Reconciliation: two sets of ids, what each has and the other lacks, at a cost that follows the difference.
//!
//! This folder decides how an id becomes a [short id](ShortKey), which cells a short id stands in
//! ([`each_cell`]), how cells travel ([`write_cells`]), how differences are read out of them ([`Decoder`]) and
//! estimated ([`Sketch::estimate`]), and what to do beyond that ([`Plan`]): more cells, in ranges where the
//! difference is large, or a sorted list ([`write_list`]). It refuses to decide when any of that is sent, and
//! knows no object.
//!
//! Every figure is an integer, so that every platform and language derives the same: `docs/protocol/chum.md`
//! writes the mapping down for a second implementation.
//!
//! ```
//! use lama_chum::PairKey;
//! use lama_chum::recon::{Decoder, Outcome, cells};
//!
//! let key = PairKey::new([7; 32]).short_key(0);
//! let (ours, theirs): (Vec<u64>, Vec<u64>) = ((0..900).collect(), (3..902).collect());
//! let mut decoder = Decoder::new(key.clone());
//! let outcome = decoder.extend(&cells(&key, &theirs, 0, 32), &cells(&key, &ours, 0, 32));
//! assert_eq!(outcome, Ok(Outcome::Done));
//! assert_eq!(decoder.differences().ours.len(), 3);
//! assert_eq!(decoder.differences().theirs.len(), 2);
//! ```
//!
//! # What holds
//!
//! - **Decoding ends.** A cell is peeled at most once, so there are no more differences than cells, and each
//!   costs the same bounded number of steps, whatever the cells say.
//! - **Memory is that of the cells.** No queue outgrows them.
//! - **More cells are always possible**, up to [`MAX_CELLS`]: a small difference may take ten times the mean.

mod cell;
mod decoder;
mod estimate;
mod key;
mod list;
mod mapping;
mod plan;
mod sketch;

pub use cell::{Cell, cells, fill, read_cells, write_cells};
pub use decoder::{Decoder, Differences, Outcome};
pub use key::ShortKey;
pub use list::{MAX_LIST, compare, read_list, scale, write_list};
pub use mapping::{MAX_CELLS, each_cell};
pub use plan::{LIST_RANGE, Plan, first_cells, more_cells, range_cells, range_of};
pub use sketch::{SKETCH_CELLS, Sketch};

use core::fmt;

/// What is wrong with cells or lists. The machine ends the session with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReconError {
    /// The bytes end inside a cell or a list, or go on behind it.
    Length,
    /// A number that is not written in its shortest form, or with more bits than it can have.
    Encoding,
    /// A cell's count that is negative or above the number of ids in the set.
    Count,
    /// More cells than [`MAX_CELLS`], or more listed ids than [`MAX_LIST`].
    TooMany,
    /// Cells from which the same difference is read twice: no set has such cells.
    Contradiction,
}

impl fmt::Display for ReconError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "the bytes do not end where the cells or the list end",
            Self::Encoding => "a number is not in its shortest form or too large",
            Self::Count => "a cell holds fewer than no ids or more than there are",
            Self::TooMany => "there are more cells or listed ids than the protocol allows",
            Self::Contradiction => "the cells contradict themselves",
        })
    }
}

impl core::error::Error for ReconError {}
