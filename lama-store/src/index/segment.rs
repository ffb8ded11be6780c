//! Segments: some thousand rows of the index, sorted, in blocks that each fill a page of the engine.
//!
//! | key in `Index` | value |
//! |---|---|
//! | 0, segment u64 BE | the header: level u8, rows u32 LE, last key, number of blocks u8, the first key of each, filter |
//! | 1, segment u64 BE, block u8 | rows: key (digest 32, codec 1, view u32 BE) and slot (13), ascending |
//!
//! A segment is written once, in the commit that removes those that it was merged from. Headers are kept in memory, some
//! 2 bytes a row: of a key that is not there, the filter says so in nearly all cases; else one block is read.

use alloc::vec::Vec;

use bytes::Bytes;

use super::level::Wanted;
use crate::StoreError;
use crate::codec::Reader;
use crate::engine::{Batch, Direction, Engine, Table};
use crate::layout::{IndexKey, Slot};

/// Bytes of a row.
pub(crate) const ROW: usize = IndexKey::LEN + Slot::LEN;

/// Rows of a full block: with key and header just below a page of 4 KiB.
const BLOCK_ROWS: usize = 80;

/// Blocks of a full segment: its header stays just below a page, too.
const BLOCKS: usize = 28;

/// Rows of a full segment.
pub(super) const SEGMENT_ROWS: usize = BLOCK_ROWS * BLOCKS;

/// Up to so many keys of a segment are looked up one by one.
const FEW: usize = 8;

/// Bits of the filter for each row.
const FILTER_BITS: usize = 10;

/// Bits that a key sets. All of them are in one line of 512, so that a look costs one access to memory.
const FILTER_MARKS: u32 = 5;

const DAMAGED: StoreError = StoreError::Corrupt("a segment of the index cannot be read");

/// Says of most keys that are not in a set that they are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter(Vec<[u64; 8]>);

impl Filter {
    pub(crate) fn for_rows(rows: usize) -> Self {
        Self(alloc::vec![[0; 8]; (rows * FILTER_BITS).div_ceil(512)])
    }

    /// The line of a key, and the bits in it: 9 bits of `bits` name one.
    #[inline]
    fn place(&self, key: &IndexKey) -> (usize, u64) {
        let (line, bits) = key.spread();
        let line = (u128::from(line) * self.0.len() as u128) >> 64;
        (line as usize, bits)
    }

    pub(crate) fn add(&mut self, key: &IndexKey) {
        let (line, bits) = self.place(key);
        let Some(line) = self.0.get_mut(line) else { return };
        for mark in 0..FILTER_MARKS {
            let bit = bits >> (9 * mark);
            if let Some(word) = line.get_mut((bit >> 6 & 7) as usize) {
                *word |= 1 << (bit & 63);
            }
        }
    }

    #[inline]
    pub(crate) fn may_hold(&self, key: &IndexKey) -> bool {
        let (line, bits) = self.place(key);
        let Some(line) = self.0.get(line) else { return false };
        (0..FILTER_MARKS).all(|mark| {
            let bit = bits >> (9 * mark);
            line.get((bit >> 6 & 7) as usize).is_some_and(|word| word >> (bit & 63) & 1 == 1)
        })
    }
}

/// The header of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    number: u64,
    pub(super) level: u8,
    pub(super) rows: usize,
    pub(super) last: IndexKey,
    /// The first key of each block.
    firsts: Vec<IndexKey>,
    filter: Filter,
}

/// The key under which the header of a segment stands.
fn header_key(number: u64) -> [u8; 9] {
    let mut key = [0; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// First byte of the keys of blocks: headers come before it.
pub(super) const BLOCK: u8 = 1;

fn block_key(number: u64, block: usize) -> [u8; 10] {
    let mut key = [BLOCK; 10];
    key[1..9].copy_from_slice(&number.to_be_bytes());
    key[9..].fill(block as u8);
    key
}

impl Segment {
    pub(super) fn first(&self) -> IndexKey {
        self.firsts.first().copied().unwrap_or(self.last)
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Writes the header.
    pub(super) fn put(&self, batch: &mut Batch) {
        batch.put(Table::Index, header_key(self.number), self.to_bytes());
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.firsts.len() * IndexKey::LEN + self.filter.0.len() * 64);
        out.push(self.level);
        out.extend_from_slice(&(self.rows as u32).to_le_bytes());
        self.last.write_to(&mut out);
        out.push(self.firsts.len() as u8);
        self.firsts.iter().for_each(|first| first.write_to(&mut out));
        self.filter.0.iter().flatten().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out
    }

    pub(super) fn from_row(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let mut at = Reader(key.get(1..).unwrap_or_default());
        let number = u64::from_be_bytes(at.array()?);
        at.end()?;
        let mut reader = Reader(value);
        let (level, rows) = (reader.u8()?, u32::from_le_bytes(reader.array()?) as usize);
        let last = IndexKey::read(&mut reader)?;
        let firsts = (0..reader.u8()?).map(|_| IndexKey::read(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        let (words, rest) = reader.0.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (lines, odd) = words.as_chunks::<8>();
        let sorted = firsts.is_sorted_by(|a, b| a < b) && firsts.last().is_some_and(|first| *first <= last);
        if !rest.is_empty() || !odd.is_empty() || lines.is_empty() || !sorted {
            return Err(DAMAGED);
        }
        Ok(Self { number, level, rows, last, firsts, filter: Filter(lines.to_vec()) })
    }

    /// What stands under a key.
    #[inline]
    pub(super) fn find(&self, engine: &impl Engine, key: &IndexKey) -> Result<Option<Slot>, StoreError> {
        if !self.filter.may_hold(key) {
            return Ok(None);
        }
        let Some(block) = self.firsts.partition_point(|first| first <= key).checked_sub(1) else {
            return Ok(None);
        };
        let mut found = Err(DAMAGED);
        engine.read(Table::Index, &block_key(self.number, block), &mut |rows| found = find(rows, key))?;
        found
    }

    /// The same for many keys, ascending. Where there is one for most blocks, these are read one after the other.
    pub(super) fn find_many(
        &self,
        engine: &impl Engine,
        wanted: &mut [Wanted<'_>],
    ) -> Result<(), StoreError> {
        let mut wanted = wanted.iter_mut().filter(|wanted| self.filter.may_hold(&wanted.key)).peekable();
        let mut few = Vec::with_capacity(FEW);
        few.extend(wanted.by_ref().take(FEW));
        if wanted.peek().is_none() {
            for Wanted { key, slot } in few {
                **slot = self.find(engine, key)?;
            }
            return Ok(());
        }
        let mut wanted = few.into_iter().chain(wanted).peekable();
        let (mut block, mut outcome) = (0, Ok(()));
        let (from, to) = (block_key(self.number, 0), block_key(self.number, self.blocks()));
        engine.scan(Table::Index, &from, Some(&to), Direction::Up, &mut |key, rows| {
            if key != block_key(self.number, block) {
                return false;
            }
            block += 1;
            let next = self.firsts.get(block);
            while let Some(Wanted { key, slot }) =
                wanted.next_if(|wanted| next.is_none_or(|next| wanted.key < *next))
            {
                match find(rows, key) {
                    Ok(found) => **slot = found,
                    Err(error) => outcome = Err(error),
                }
            }
            outcome.is_ok() && wanted.peek().is_some()
        })?;
        if wanted.peek().is_some() {
            return outcome.and(Err(DAMAGED));
        }
        outcome
    }

    /// Visits the rows of one block, which a commit that is being made may have written.
    pub(super) fn each_in(
        &self,
        engine: &impl Engine,
        batch: &Batch,
        block: usize,
        visit: &mut dyn FnMut(IndexKey, Slot),
    ) -> Result<(), StoreError> {
        let key = block_key(self.number, block);
        let mut each = |rows: &[u8]| {
            let mut reader = Reader(rows);
            while !reader.0.is_empty() {
                visit(IndexKey::read(&mut reader)?, Slot::read(&mut reader)?);
            }
            Ok(())
        };
        if let Some(Some(rows)) = batch.table(Table::Index).get(key.as_slice()) {
            return each(rows);
        }
        let mut outcome = Err(DAMAGED);
        engine.read(Table::Index, &key, &mut |rows| outcome = each(rows))?;
        outcome
    }

    pub(super) const fn blocks(&self) -> usize {
        self.firsts.len()
    }

    /// Whether the header says of its rows what they are.
    pub(super) fn speaks_of(&self, block: usize, rows: &[(IndexKey, Slot)]) -> bool {
        let first = self.firsts.get(block).copied();
        let known = first.is_some() && rows.first().map(|row| row.0) == first;
        let next = self.firsts.get(block + 1);
        let ended = match next {
            Some(next) => rows.last().is_some_and(|row| row.0 < *next),
            None => rows.last().map(|row| row.0) == Some(self.last),
        };
        known
            && ended
            && rows.is_sorted_by(|a, b| a.0 < b.0)
            && rows.iter().all(|row| self.filter.may_hold(&row.0))
    }

    /// Removes it from the engine.
    pub(super) fn remove(&self, batch: &mut Batch) {
        batch.remove(Table::Index, header_key(self.number));
        (0..self.blocks()).for_each(|block| batch.remove(Table::Index, block_key(self.number, block)));
    }
}

/// Looks a key up among sorted rows, from where it stands if they are spread evenly, as hashes are: each row that is
/// looked at lies in another line of memory.
fn find(rows: &[u8], key: &IndexKey) -> Result<Option<Slot>, StoreError> {
    let (rows, rest) = rows.as_chunks::<ROW>();
    let bits = |row: Option<&[u8; ROW]>| {
        row.and_then(|row| row.first_chunk()).map_or(0, |first| u64::from_be_bytes(*first))
    };
    let (low, high, wanted) = (bits(rows.first()), bits(rows.last()), key.first_bits());
    if !rest.is_empty() || high < low {
        return Err(DAMAGED);
    }
    let (from, width) = (wanted.saturating_sub(low) >> 32, ((high - low) >> 32).max(1));
    let guess = (from * rows.len() as u64 / width) as usize;
    let is_less = |row: &[u8; ROW]| IndexKey::read(&mut Reader(row)).is_ok_and(|found| found < *key);
    let (mut start, mut end) = (0, rows.len());
    let (mut at, mut step) = (guess.min(end), 4);
    // Doubles the step until the key is between two of the rows that were looked at.
    if rows.get(at).is_some_and(is_less) {
        while rows.get(at).is_some_and(is_less) {
            (start, at, step) = (at + 1, at + step, step * 2);
        }
        end = at.min(end);
    } else {
        while at > 0 && !rows.get(at).is_some_and(is_less) {
            (end, at, step) = (at, at.saturating_sub(step), step * 2);
        }
        start = at;
    }
    let within = rows.get(start..end).unwrap_or_default();
    let Some(row) = rows.get(start + within.partition_point(is_less)) else { return Ok(None) };
    let mut reader = Reader(row);
    if IndexKey::read(&mut reader)? != *key {
        return Ok(None);
    }
    Slot::read(&mut reader).map(Some)
}

/// Writes sorted rows as segments of about equal length.
pub(super) struct Builder<'a> {
    batch: &'a mut Batch,
    next: &'a mut u64,
    /// Rows of each segment.
    per: usize,
    block: Vec<u8>,
    open: Option<Segment>,
    done: Vec<Segment>,
}

impl<'a> Builder<'a> {
    /// For at most `rows` of them; `next` is the number of the next segment.
    pub(super) fn new(batch: &'a mut Batch, next: &'a mut u64, rows: usize) -> Self {
        let per = rows.div_ceil(rows.div_ceil(SEGMENT_ROWS).max(1)).max(1);
        Self { batch, next, per, block: Vec::new(), open: None, done: Vec::new() }
    }

    pub(super) fn push(&mut self, key: IndexKey, slot: Slot) {
        let (number, per) = (*self.next, self.per);
        let open = self.open.get_or_insert_with(|| Segment {
            number,
            level: 0,
            rows: 0,
            last: key,
            firsts: Vec::with_capacity(per.div_ceil(BLOCK_ROWS)),
            filter: Filter::for_rows(per),
        });
        if self.block.is_empty() {
            open.firsts.push(key);
            self.block.reserve_exact(BLOCK_ROWS * ROW);
        }
        key.write_to(&mut self.block);
        self.block.extend_from_slice(&slot.to_bytes());
        open.filter.add(&key);
        open.last = key;
        open.rows += 1;
        let full = open.rows == self.per;
        if full || self.block.len() >= BLOCK_ROWS * ROW {
            self.end_block();
        }
        if full {
            self.end_segment();
        }
    }

    fn end_block(&mut self) {
        let rows = core::mem::take(&mut self.block);
        if let Some(open) = self.open.as_ref().filter(|_| !rows.is_empty()) {
            let key = block_key(open.number, open.firsts.len().saturating_sub(1));
            self.batch.put(Table::Index, key, Bytes::from(rows));
        }
    }

    fn end_segment(&mut self) {
        let Some(segment) = self.open.take() else { return };
        *self.next += 1;
        self.done.push(segment);
    }

    /// The segments, ascending, on the first level. Their blocks are written; they are not seen without their headers
    /// ([`Segment::put`]).
    pub(super) fn finish(mut self) -> Vec<Segment> {
        self.end_block();
        self.end_segment();
        self.done
    }
}
