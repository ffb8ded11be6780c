//! The messages of reconciliation: RECON, CELLS, LIST, WANT, MARKS, MORE, GOAL.

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use super::{array_at, be, u32_at};
use crate::ChumError;
use crate::recon::Sketch;

/// Type of RECON.
pub const RECON: u8 = 0x20;
/// Type of CELLS: type 1, range 2, then cells that follow on the ones before.
pub const CELLS: u8 = 0x21;
/// Type of LIST: type 1, range 2, count 2, then the list.
pub const LIST: u8 = 0x22;
/// Type of WANT: type 1, flags 1 ([`WantFlags`]), then short ids of 8 bytes each.
pub const WANT: u8 = 0x23;
/// Type of MARKS: type 1, range 2, then one bit per id of that range's list, most significant first: 1 for wanted. No
/// bits: all are.
pub const MARKS: u8 = 0x24;
/// Type of MORE: type 1, range 2.
pub const MORE: u8 = 0x25;
/// Type of GOAL: type 1, number of cells of each range but the first 4.
pub const GOAL: u8 = 0x26;

/// Most short ids in one WANT.
pub const MAX_WANT: usize = 8_000;

/// Bytes before the cells of RECON.
const RECON_HEADER: usize = 10;

/// RECON: one round of reconciliation begins, on this snapshot of the sender's log.
///
/// | at | bytes | what |
/// |---|---|---|
/// | 0 | 1 | type 0x20 |
/// | 1 | 1 | round, which is the salt of the short ids |
/// | 2 | 4 | snapshot: head of the sender's log |
/// | 6 | 4 | number of ids in the set there |
/// | 10 | | cells 0 to 31 of that set |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recon {
    /// The round.
    pub round: u8,
    /// Head of the sender's log.
    pub snapshot: u64,
    /// Number of ids in the set.
    pub count: u64,
    /// The cells.
    pub sketch: Sketch,
}

impl Recon {
    /// Appends the message.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_u8(RECON);
        out.put_u8(self.round);
        out.put_slice(&be(self.snapshot));
        out.put_slice(&be(self.count));
        self.sketch.write(self.count, out);
    }

    /// Reads the message.
    ///
    /// # Errors
    /// [`ChumError::WrongLength`], [`ChumError::Recon`].
    pub fn read(message: &[u8]) -> Result<Self, ChumError> {
        let wrong = ChumError::WrongLength { kind: RECON, len: message.len() };
        let round = *message.get(1).ok_or(wrong)?;
        let (snapshot, count) = (u32_at(message, 2).ok_or(wrong)?, u32_at(message, 6).ok_or(wrong)?);
        let sketch = Sketch::read(message.get(RECON_HEADER..).ok_or(wrong)?, count)?;
        Ok(Self { round, snapshot, count, sketch })
    }
}

/// What a WANT says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantFlags {
    /// Another one follows.
    Part,
    /// It is the last one.
    Last,
    /// The cells could not be read: everything is wanted, and everything comes. Without short ids.
    Everything,
}

/// Appends WANT. At most [`MAX_WANT`] short ids.
pub fn write_want(flags: WantFlags, shorts: &[u64], out: &mut BytesMut) {
    out.put_u8(WANT);
    out.put_u8(match flags {
        WantFlags::Part => 0,
        WantFlags::Last => 1,
        WantFlags::Everything => 2,
    });
    shorts.iter().take(MAX_WANT).for_each(|short| out.put_u64(*short));
}

/// Reads WANT.
///
/// # Errors
/// [`ChumError::WrongLength`], also for flags that are none of [`WantFlags`].
pub fn read_want(message: &[u8]) -> Result<(WantFlags, Vec<u64>), ChumError> {
    let wrong = ChumError::WrongLength { kind: WANT, len: message.len() };
    let shorts = message.get(2..).ok_or(wrong)?;
    let flags = match (message.get(1), shorts.len()) {
        (Some(0), 8..) => WantFlags::Part,
        (Some(1), _) => WantFlags::Last,
        (Some(2), 0) => WantFlags::Everything,
        _ => return Err(wrong),
    };
    if !shorts.len().is_multiple_of(8) || shorts.len() > MAX_WANT * 8 {
        return Err(wrong);
    }
    Ok((
        flags,
        shorts.chunks_exact(8).filter_map(|short| Some(u64::from_be_bytes(array_at(short, 0)?))).collect(),
    ))
}

/// Appends GOAL.
pub fn write_goal(cells: u32, out: &mut BytesMut) {
    out.put_u8(GOAL);
    out.put_u32(cells);
}

/// Reads GOAL.
///
/// # Errors
/// [`ChumError::WrongLength`].
pub fn read_goal(message: &[u8]) -> Result<u32, ChumError> {
    let wrong = ChumError::WrongLength { kind: GOAL, len: message.len() };
    let cells = array_at(message, 1).map(u32::from_be_bytes).filter(|_| message.len() == 5);
    cells.ok_or(wrong)
}

/// Appends the type and the range with which CELLS, LIST, MARKS and MORE begin.
pub fn write_range(kind: u8, range: u32, out: &mut BytesMut) {
    out.put_u8(kind);
    out.put_u16(u16::try_from(range).unwrap_or(u16::MAX));
}

/// Reads the range of CELLS, LIST, MARKS or MORE, and what follows it.
///
/// # Errors
/// [`ChumError::WrongLength`].
pub fn read_range(message: &[u8]) -> Result<(u32, &[u8]), ChumError> {
    let kind = message.first().copied().unwrap_or_default();
    let wrong = ChumError::WrongLength { kind, len: message.len() };
    let range = array_at(message, 1).map(u16::from_be_bytes).ok_or(wrong)?;
    let rest = message.get(3..).ok_or(wrong)?;
    match (kind, rest.is_empty()) {
        (MORE, false) | (CELLS | LIST, true) => Err(wrong),
        _ => Ok((range.into(), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_lists_hold_something_and_more_nothing() {
        for (kind, empty, full) in
            [(CELLS, false, true), (LIST, false, true), (MARKS, true, true), (MORE, true, false)]
        {
            assert_eq!(read_range(&[kind, 1, 2]).is_ok(), empty, "{kind:#x}");
            assert_eq!(read_range(&[kind, 1, 2, 3]).is_ok(), full, "{kind:#x}");
            assert!(read_range(&[kind, 1]).is_err());
        }
        assert_eq!(read_range(&[LIST, 1, 2, 3]), Ok((0x0102, &[3][..])));
    }

    #[test]
    fn want_holds_whole_short_ids_and_so_many_of_them() {
        let read = |bytes: &[u8]| read_want(bytes);
        let of = |flags: u8, len: usize| [&[WANT, flags][..], &alloc::vec![7; len]].concat();
        let one = u64::from_be_bytes([7; 8]);
        assert_eq!(read(&of(0, 8)), Ok((WantFlags::Part, alloc::vec![one])));
        assert_eq!(read(&of(1, 0)), Ok((WantFlags::Last, Vec::new())));
        assert_eq!(read(&of(2, 0)), Ok((WantFlags::Everything, Vec::new())));
        assert_eq!(read(&of(1, MAX_WANT * 8)).map(|(_, shorts)| shorts.len()), Ok(MAX_WANT));
        for (flags, len) in [(0, 0), (0, 7), (1, 1), (1, 12), (1, (MAX_WANT + 1) * 8), (2, 8), (3, 8)] {
            let wrong = ChumError::WrongLength { kind: WANT, len: len + 2 };
            assert_eq!(read(&of(flags, len)), Err(wrong), "{flags} {len}");
        }
        assert!(read(&[WANT]).is_err());
    }
}
