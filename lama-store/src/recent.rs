//! Index entries that are not in the tree yet.
//!
//! Ids are random, so writing each commit's ids into a B-tree touches about one page for each id. Instead a
//! commit writes its ids as one run, in append order, and keeps them in memory; when there are more than
//! [`Config::recent_entries`](crate::Config) of them, each commit moves the ones that follow a rotating position
//! into the tree, as many as it brings. Since what moves is a dense range of keys, a page of the tree takes many
//! at a time. A run is removed once the position has passed through all keys since it was written. Opening reads
//! the runs that are left.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::StoreError;
use crate::codec::Reader;
use crate::engine::{Batch, Direction, Engine, Table};
use crate::layout::{ID, IndexKey, PACK, Slot};

const ROW: usize = IndexKey::LEN + Slot::LEN;

/// Runs that one commit removes at most: a long row of small ones must not make one commit slow.
const MAX_REMOVED: u64 = 256;

/// The entries in memory, and which runs hold them on disk.
#[derive(Debug)]
pub(crate) struct Recent {
    pub(crate) map: BTreeMap<IndexKey, Slot>,
    /// Where the rotation stands: smaller keys were moved in this round.
    position: IndexKey,
    /// Number of the next run.
    next_run: u64,
    /// Number of the oldest run on disk.
    oldest_run: u64,
    /// Number of the first run of this round; what is older is in the tree when the round ends.
    round: u64,
    /// Runs below this number are in the tree.
    merged: u64,
}

/// What a flush does to [`Recent`] once it is durable.
#[derive(Debug, Default)]
pub(crate) struct Move {
    /// The last entry that moved; the first one was the one at the position.
    last: Option<IndexKey>,
    wraps: bool,
    runs: u64,
    removed_below: u64,
}

impl Recent {
    /// Reads the runs.
    pub(crate) fn load(engine: &impl Engine) -> Result<Self, StoreError> {
        let mut this = Self {
            map: BTreeMap::new(),
            position: IndexKey::MIN,
            next_run: 0,
            oldest_run: 0,
            round: 0,
            merged: 0,
        };
        let mut first = None;
        let mut failed = Ok(());
        engine.scan(Table::Recent, &[], None, Direction::Up, &mut |key, run| {
            failed = this.read_run(key, run).map(|number| {
                first.get_or_insert(number);
                this.next_run = number + 1;
            });
            failed.is_ok()
        })?;
        failed?;
        this.oldest_run = first.unwrap_or(0);
        this.merged = this.oldest_run;
        this.round = this.next_run;
        Ok(this)
    }

    fn read_run(&mut self, key: &[u8], run: &[u8]) -> Result<u64, StoreError> {
        let mut reader = Reader(run);
        while !reader.0.is_empty() {
            let key = IndexKey::read(&mut reader)?;
            self.map.insert(key, Slot::read(&mut reader)?);
        }
        Ok(u64::from_be_bytes(Reader(key).array()?))
    }

    /// Writes the entries of one commit as runs, and moves others into the tree to keep below `limit`.
    pub(crate) fn plan(&self, new: &BTreeMap<IndexKey, Slot>, limit: usize, batch: &mut Batch) -> Move {
        let mut plan = Move::default();
        if new.is_empty() {
            return plan;
        }
        let mut run = Vec::with_capacity(ROW * new.len().min(PACK / ROW));
        let mut rows = new.iter().peekable();
        while let Some((key, slot)) = rows.next() {
            key.write_to(&mut run);
            run.extend_from_slice(&slot.to_bytes());
            if run.len() + ROW > PACK || rows.peek().is_none() {
                batch.put(
                    Table::Recent,
                    (self.next_run + plan.runs).to_be_bytes(),
                    core::mem::take(&mut run),
                );
                plan.runs += 1;
            }
        }
        let excess = (self.map.len() + new.len()).saturating_sub(limit).min(self.map.len());
        if excess > 0 {
            let moved = self.map.range((Bound::Included(self.position), Bound::Unbounded)).take(excess);
            let mut count = 0;
            batch.put_sorted(
                Table::Index,
                moved.map(|(key, slot)| {
                    plan.last = Some(*key);
                    count += 1;
                    (key.to_bytes(), slot.to_bytes().to_vec())
                }),
            );
            plan.wraps = count < excess;
        }
        let merged = if plan.wraps { self.round } else { self.merged };
        plan.removed_below = merged.min(self.oldest_run + MAX_REMOVED);
        for number in self.oldest_run..plan.removed_below {
            batch.remove(Table::Recent, number.to_be_bytes());
        }
        plan
    }

    /// Follows what [`Recent::plan`] wrote, now that it is durable.
    pub(crate) fn apply(&mut self, plan: &Move, new: BTreeMap<IndexKey, Slot>) {
        if let Some(last) = plan.last {
            self.map.extract_if(self.position..=last, |_, _| true).for_each(drop);
        }
        self.map.extend(new);
        self.next_run += plan.runs;
        self.oldest_run = self.oldest_run.max(plan.removed_below);
        if plan.wraps {
            // A whole round is over: what was here before it began is in the tree.
            self.merged = self.round;
            self.round = self.next_run;
            self.position = IndexKey::MIN;
        } else if let Some(last) = plan.last {
            self.position = last;
        }
    }
}

/// Reads a row of the tree for `check`.
pub(crate) fn read_row(key: &[u8], value: &[u8]) -> Result<(IndexKey, Slot), StoreError> {
    let mut reader = Reader(key);
    let mut row = IndexKey::read_object(&mut reader)?;
    if key.len() > ID {
        row.view = u32::from_be_bytes(reader.array()?);
    }
    reader.end()?;
    let mut reader = Reader(value);
    let slot = Slot::read(&mut reader)?;
    reader.end()?;
    Ok((row, slot))
}
