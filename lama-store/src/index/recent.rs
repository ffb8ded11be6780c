//! Rows of the index that are in memory, and in runs on disk.
//!
//! Ids are random: rows that are written as they come would be scattered over the whole index. Instead a commit writes
//! its rows as one run and keeps them in memory. When there are more than
//! [`Config::recent_entries`](crate::Config) of them, the ones that follow a rotating position move into the first
//! level of segments ([`super::level`]): as many as came in, but never just a few, so that writing single objects does
//! not write a segment each. A run is removed once the position has passed through all keys since it was written, or
//! when the store is closed. Opening reads the runs that are left.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::level::Rows;
use super::segment::ROW;
use crate::StoreError;
use crate::codec::Reader;
use crate::engine::{Batch, Direction, Engine, Table};
use crate::layout::{IndexKey, PACK, Slot};

/// Runs that one commit removes at most: a long row of small ones must not make one commit slow.
const MAX_REMOVED: u64 = 256;

/// What moves at a time, at least, is this part of what may be in memory.
const MOVED_PART: usize = 16;

/// Rows that a bucket holds on average when memory is full.
const BUCKET_ROWS: usize = 16;

/// Sorted rows in buckets by the first bits of their keys. Keys are hashes, so a bucket stays as small as one or two
/// nodes of a tree; where somebody has chosen them to fall together it is a larger tree.
#[derive(Debug)]
pub(super) struct Buckets {
    buckets: Vec<BTreeMap<IndexKey, Slot>>,
    rows: usize,
}

impl Buckets {
    fn for_rows(rows: usize) -> Self {
        let mut buckets = Vec::new();
        buckets.resize_with(rows.div_ceil(BUCKET_ROWS).max(1), BTreeMap::new);
        Self { buckets, rows: 0 }
    }

    #[inline]
    fn at(&self, key: &IndexKey) -> usize {
        ((u128::from(key.first_bits()) * self.buckets.len() as u128) >> 64) as usize
    }

    #[inline]
    pub(super) fn get(&self, key: &IndexKey) -> Option<&Slot> {
        self.buckets.get(self.at(key))?.get(key)
    }

    fn insert(&mut self, key: IndexKey, slot: Slot) {
        let at = self.at(&key);
        if let Some(bucket) = self.buckets.get_mut(at) {
            self.rows += usize::from(bucket.insert(key, slot).is_none());
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&IndexKey, &Slot)> {
        self.buckets.iter().flatten()
    }
}

/// The rows in memory, and which runs hold them on disk.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) map: Buckets,
    /// Where the rotation stands: buckets before it were moved in this round.
    position: usize,
    /// Number of the next run.
    next_run: u64,
    /// Number of the oldest run on disk.
    oldest_run: u64,
    /// Number of the first run of this round; what is older is in segments when the round ends.
    round: u64,
    /// Runs below this number are in segments.
    merged: u64,
}

/// What a flush does to [`Recent`] once it is durable.
#[derive(Debug, Default)]
pub(crate) struct Move {
    /// The buckets from the position up to this one have moved.
    end: Option<usize>,
    runs: u64,
    removed_below: u64,
}

impl Recent {
    /// Reads the runs; about `limit` rows will be in memory.
    pub(super) fn load(engine: &impl Engine, limit: usize) -> Result<Self, StoreError> {
        let (mut map, mut first, mut next_run) = (Buckets::for_rows(limit), None, 0);
        let mut failed = Ok(());
        engine.scan(Table::Recent, &[], None, Direction::Up, &mut |key, run| {
            // Where a key stands in several runs, the last one counts.
            failed = read_run(run, &mut map).and_then(|()| {
                let number = u64::from_be_bytes(Reader(key).array()?);
                first.get_or_insert(number);
                next_run = number + 1;
                Ok(())
            });
            failed.is_ok()
        })?;
        failed?;
        let oldest_run = first.unwrap_or(0);
        Ok(Self { map, position: 0, next_run, oldest_run, round: next_run, merged: oldest_run })
    }

    /// Writes the rows of one commit as runs, and gives those that are to move into segments to keep below `limit`.
    pub(super) fn plan(
        &self,
        new: &BTreeMap<IndexKey, Slot>,
        limit: usize,
        batch: &mut Batch,
    ) -> (Move, Rows) {
        let (mut plan, mut moved) = (Move::default(), Rows::new());
        if new.is_empty() {
            return (plan, moved);
        }
        plan.runs = write_runs(new.iter(), new.len(), self.next_run, batch);
        let excess = (self.map.rows + new.len()).saturating_sub(limit);
        if excess > 0 {
            let wanted = excess.max(limit / MOVED_PART).min(self.map.rows);
            let mut end = self.position;
            while let Some(bucket) = self.map.buckets.get(end).filter(|_| moved.len() < wanted) {
                moved.extend(bucket.iter().map(|(key, slot)| (*key, *slot)));
                end += 1;
            }
            plan.end = Some(end);
        }
        let merged = if self.wraps(&plan) { self.round } else { self.merged };
        plan.removed_below = merged.min(self.oldest_run + MAX_REMOVED).max(self.oldest_run);
        for number in self.oldest_run..plan.removed_below {
            batch.remove(Table::Recent, number.to_be_bytes());
        }
        (plan, moved)
    }

    /// Whether a round is over: what was here before it began is in segments.
    fn wraps(&self, plan: &Move) -> bool {
        plan.end == Some(self.map.buckets.len())
    }

    /// Follows what [`Recent::plan`] wrote, now that it is durable.
    pub(super) fn apply(&mut self, plan: &Move, new: BTreeMap<IndexKey, Slot>) {
        let end = plan.end.unwrap_or(self.position);
        for bucket in self.map.buckets.get_mut(self.position..end).unwrap_or_default() {
            self.map.rows = self.map.rows.saturating_sub(bucket.len());
            bucket.clear();
        }
        new.into_iter().for_each(|(key, slot)| self.map.insert(key, slot));
        self.next_run += plan.runs;
        self.oldest_run = plan.removed_below.max(self.oldest_run);
        self.position = end;
        if self.wraps(plan) {
            self.merged = self.round;
            self.round = self.next_run;
            self.position = 0;
        }
    }

    /// Writes what is in memory as one row of runs in place of all others, if there are many more: opening then reads no
    /// more than it needs.
    pub(super) fn pack(&self, batch: &mut Batch) {
        let needed = (self.map.rows * ROW / PACK) as u64 + 1;
        if self.next_run.saturating_sub(self.oldest_run) > 2 * needed {
            write_runs(self.map.iter(), self.map.rows, self.next_run, batch);
            (self.oldest_run..self.next_run)
                .for_each(|number| batch.remove(Table::Recent, number.to_be_bytes()));
        }
    }
}

/// Writes sorted rows as runs of bounded length, from number `first` on, and tells how many.
fn write_runs<'r>(
    rows: impl Iterator<Item = (&'r IndexKey, &'r Slot)>,
    count: usize,
    first: u64,
    batch: &mut Batch,
) -> u64 {
    let mut runs = 0;
    let mut left = count;
    let mut run = Vec::with_capacity(ROW * left.min(PACK / ROW));
    for (key, slot) in rows {
        key.write_to(&mut run);
        run.extend_from_slice(&slot.to_bytes());
        left = left.saturating_sub(1);
        if run.len() + ROW > PACK || left == 0 {
            let next = Vec::with_capacity(ROW * left.min(PACK / ROW));
            batch.put(Table::Recent, (first + runs).to_be_bytes(), core::mem::replace(&mut run, next));
            runs += 1;
        }
    }
    runs
}

fn read_run(run: &[u8], map: &mut Buckets) -> Result<(), StoreError> {
    let mut reader = Reader(run);
    while !reader.0.is_empty() {
        let key = IndexKey::read(&mut reader)?;
        map.insert(key, Slot::read(&mut reader)?);
    }
    Ok(())
}
