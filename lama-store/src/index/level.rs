//! Levels: segments that do not overlap. Each holds at most four times as many rows as the one before it.
//!
//! What comes into a level is a dense range of keys, and only the segments of that range are written again. What is too
//! much for a level goes on to the next one, from where a rotating position stands, a segment at least: so a commit
//! does as much work as it brings rows, times a small number for each level, and no commit does much more than others.

use alloc::vec::Vec;
use core::ops::Range;

use super::segment::{Builder, SEGMENT_ROWS, Segment};
use crate::StoreError;
use crate::engine::{Batch, Engine};
use crate::layout::{IndexKey, Slot};

/// How many times as many rows as the one before it a level holds.
pub(super) const GROWTH: usize = 4;

/// Sorted rows without two of one key.
pub(super) type Rows = Vec<(IndexKey, Slot)>;

/// A key that is looked up, and where to put what is found.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) key: IndexKey,
    pub(super) slot: &'a mut Option<Slot>,
}

#[derive(Debug)]
pub(super) struct Level {
    pub(super) segments: Vec<Segment>,
    /// Rows of all of them.
    pub(super) rows: usize,
    /// What stands before it has gone on to the next level in this round.
    position: IndexKey,
}

impl Default for Level {
    fn default() -> Self {
        Self { segments: Vec::new(), rows: 0, position: IndexKey::MIN }
    }
}

impl Level {
    /// Of segments in any order; whether they overlap is for a check to find.
    pub(super) fn new(mut segments: Vec<Segment>) -> Self {
        segments.sort_unstable_by_key(Segment::first);
        let rows = segments.iter().map(|segment| segment.rows).sum();
        Self { segments, rows, position: IndexKey::MIN }
    }

    #[inline]
    pub(super) fn find(&self, engine: &impl Engine, key: &IndexKey) -> Result<Option<Slot>, StoreError> {
        let at = self.segments.partition_point(|segment| segment.last < *key);
        match self.segments.get(at) {
            Some(segment) => segment.find(engine, key),
            None => Ok(None),
        }
    }

    /// The same for many keys, ascending.
    pub(super) fn find_many(
        &self,
        engine: &impl Engine,
        mut wanted: &mut [Wanted<'_>],
    ) -> Result<(), StoreError> {
        while let Some(first) = wanted.first() {
            let at = self.segments.partition_point(|segment| segment.last < first.key);
            let Some(segment) = self.segments.get(at) else { return Ok(()) };
            let end = wanted.partition_point(|wanted| wanted.key <= segment.last);
            let (of_this, rest) = core::mem::take(&mut wanted).split_at_mut_checked(end).unwrap_or_default();
            segment.find_many(engine, of_this)?;
            wanted = rest;
        }
        Ok(())
    }

    /// The segments that a range of keys touches, and short ones beside them.
    fn touched(&self, first: &IndexKey, last: &IndexKey) -> Range<usize> {
        let is_short = |at: Option<usize>| {
            at.and_then(|at| self.segments.get(at)).is_some_and(|segment| segment.rows < SEGMENT_ROWS / 2)
        };
        let mut start = self.segments.partition_point(|segment| segment.last < *first);
        let mut end = self.segments.partition_point(|segment| segment.first() <= *last).max(start);
        if is_short(start.checked_sub(1)) {
            start -= 1;
        }
        if is_short(Some(end)) {
            end += 1;
        }
        start..end
    }

    /// Takes rows in, which are newer than its own.
    pub(super) fn take(
        &mut self,
        engine: &impl Engine,
        batch: &mut Batch,
        (level, next): (u8, &mut u64),
        rows: Rows,
    ) -> Result<(), StoreError> {
        let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else { return Ok(()) };
        let touched = self.touched(first, last);
        let mut old = Rows::new();
        for segment in self.segments.get(touched.clone()).unwrap_or_default() {
            read(segment, engine, batch, &mut old)?;
            segment.remove(batch);
            self.rows = self.rows.saturating_sub(segment.rows);
        }
        let mut builder = Builder::new(batch, next, old.len() + rows.len());
        let mut new = rows.into_iter().peekable();
        for (key, slot) in old {
            while let Some((key, slot)) = new.next_if(|(newer, _)| *newer < key) {
                builder.push(key, slot);
            }
            let newer = new.next_if(|(newer, _)| *newer == key);
            builder.push(key, newer.map_or(slot, |(_, slot)| slot));
        }
        new.for_each(|(key, slot)| builder.push(key, slot));
        let mut fresh = builder.finish();
        for segment in &mut fresh {
            segment.level = level;
            segment.put(batch);
        }
        self.rows += fresh.iter().map(|segment| segment.rows).sum::<usize>();
        self.segments.splice(touched, fresh);
        Ok(())
    }

    /// Gives up at least so many rows, as far as there are so many before the position comes round.
    pub(super) fn give(
        &mut self,
        engine: &impl Engine,
        batch: &mut Batch,
        least: usize,
    ) -> Result<Rows, StoreError> {
        let mut start = self.segments.partition_point(|segment| segment.first() < self.position);
        if start == self.segments.len() {
            start = 0;
        }
        let (mut rows, mut end) = (Rows::new(), start);
        while let Some(segment) = self.segments.get(end).filter(|_| rows.len() < least) {
            read(segment, engine, batch, &mut rows)?;
            segment.remove(batch);
            self.rows = self.rows.saturating_sub(segment.rows);
            end += 1;
        }
        self.segments.drain(start..end);
        self.position = rows.last().map_or(IndexKey::MIN, |row| row.0);
        Ok(rows)
    }
}

/// Appends the rows of a segment.
pub(super) fn read(
    segment: &Segment,
    engine: &impl Engine,
    batch: &Batch,
    rows: &mut Rows,
) -> Result<(), StoreError> {
    rows.reserve(segment.rows);
    for block in 0..segment.blocks() {
        segment.each_in(engine, batch, block, &mut |key, slot| rows.push((key, slot)))?;
    }
    Ok(())
}
