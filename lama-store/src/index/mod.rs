//! The index: from an id to its place in the log, and to the views that hold it.
//!
//! Keys are hashes, so they come in random order. The newest rows are in memory ([`recent`]); the others lie on disk in
//! sorted segments ([`segment`]), on levels each of which is four times as large as the one before it ([`level`]). A row
//! moves through the levels in ranges of keys, and is written again a few times on each: the cost of a row grows with
//! the logarithm of their number, and nothing is ever written in random order. A row that stands nearer to the front
//! is newer, and hides those behind it.
//!
//! Looking a key up costs one read of a page if it is on disk, and nearly always none if it is not there.

mod level;
pub(crate) mod older;
mod recent;
mod segment;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use self::level::{GROWTH, Level, Rows, Wanted};
pub(crate) use self::recent::Move;
use self::recent::Recent;
pub(crate) use self::segment::Filter;
use self::segment::{BLOCK, Builder, SEGMENT_ROWS, Segment};
use crate::StoreError;
use crate::engine::{Batch, Direction, Engine, Table};
use crate::layout::{IndexKey, Slot};

/// Levels at most: what the last of them may hold is beyond what a view may.
const MAX_LEVELS: usize = 24;

/// Rows that are written in one commit where the whole index is written: full segments.
const AT_ONCE: usize = 22 * SEGMENT_ROWS;

/// The rows in memory, and the headers of the segments on disk.
#[derive(Debug)]
pub(crate) struct Index {
    recent: Recent,
    levels: Vec<Level>,
    /// Number of the next segment.
    next: u64,
}

/// Takes a row.
type Visit<'a> = dyn FnMut(IndexKey, Slot) -> Result<(), StoreError> + 'a;

impl Index {
    /// Reads the runs and the headers; about `limit` rows will be in memory.
    pub(crate) fn load(engine: &impl Engine, limit: usize) -> Result<Self, StoreError> {
        let mut this = Self { recent: Recent::load(engine, limit)?, levels: Vec::new(), next: 0 };
        let mut levels: Vec<Vec<Segment>> = Vec::new();
        let mut failed = Ok(());
        engine.scan(Table::Index, &[], Some(&[BLOCK]), Direction::Up, &mut |key, value| {
            // Of an older format: see `older`.
            if older::is_row(key) {
                return true;
            }
            failed = Segment::from_row(key, value).and_then(|segment| {
                let at = usize::from(segment.level);
                levels.resize_with(levels.len().max(at + 1).min(MAX_LEVELS), Vec::new);
                this.next = this.next.max(segment.number() + 1);
                let level = levels.get_mut(at);
                level.ok_or(StoreError::Corrupt("a segment of the index is on no level"))?.push(segment);
                Ok(())
            });
            failed.is_ok()
        })?;
        failed?;
        this.levels = levels.into_iter().map(Level::new).collect();
        Ok(this)
    }

    /// What stands under a key.
    #[inline]
    pub(crate) fn find(&self, engine: &impl Engine, key: &IndexKey) -> Result<Option<Slot>, StoreError> {
        if let Some(slot) = self.recent.map.get(key) {
            return Ok(Some(*slot));
        }
        for level in &self.levels {
            let found = level.find(engine, key)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What stands under each of many keys, in their order. On disk that costs little more than half as much as asking for
    /// one after the other: they are looked up in the order in which they lie there.
    pub(crate) fn find_many(
        &self,
        engine: &impl Engine,
        keys: &[IndexKey],
    ) -> Result<Vec<Option<Slot>>, StoreError> {
        let mut found: Vec<Option<Slot>> = keys.iter().map(|key| self.recent.map.get(key).copied()).collect();
        let open = keys.iter().zip(&mut found).filter(|(_, slot)| slot.is_none());
        let mut open: Vec<Wanted<'_>> = open.map(|(key, slot)| Wanted { key: *key, slot }).collect();
        open.sort_unstable_by_key(|wanted| wanted.key);
        for level in &self.levels {
            level.find_many(engine, &mut open)?;
            open.retain(|wanted| wanted.slot.is_none());
        }
        Ok(found)
    }

    /// Writes the rows of one commit, and moves older ones on. Follow it with [`Index::apply`] when the batch is durable,
    /// and load the index anew where that failed.
    pub(crate) fn plan(
        &mut self,
        engine: &impl Engine,
        new: &BTreeMap<IndexKey, Slot>,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<Move, StoreError> {
        let (plan, mut rows) = self.recent.plan(new, limit, batch);
        let (mut at, mut limit) = (0, limit.max(1));
        while !rows.is_empty() {
            limit = limit.saturating_mul(GROWTH);
            let (level, next) = self.level(at)?;
            level.take(engine, batch, (at as u8, next), rows)?;
            rows = match level.rows.saturating_sub(limit) {
                0 => Rows::new(),
                excess => level.give(engine, batch, excess)?,
            };
            at += 1;
        }
        Ok(plan)
    }

    fn level(&mut self, at: usize) -> Result<(&mut Level, &mut u64), StoreError> {
        if at >= MAX_LEVELS {
            return Err(StoreError::Limit { what: "levels of the index", limit: MAX_LEVELS as u64 });
        }
        self.levels.resize_with(self.levels.len().max(at + 1), Level::default);
        let lost = StoreError::Corrupt("a level of the index is not there");
        Ok((self.levels.get_mut(at).ok_or(lost)?, &mut self.next))
    }

    /// What [`Index::plan`] wrote is durable.
    pub(crate) fn apply(&mut self, plan: &Move, new: BTreeMap<IndexKey, Slot>) {
        self.recent.apply(plan, new);
    }

    /// At the end of a life, writes what is in memory so that it is read fast. The batch is empty if it will be anyway.
    pub(crate) fn pack(&self, batch: &mut Batch) {
        self.recent.pack(batch);
    }

    /// Visits all rows in the order of their keys, the newest of each.
    pub(crate) fn each(&self, engine: &impl Engine, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let memory = self.recent.map.iter().map(|(key, slot)| Ok((*key, *slot)));
        let mut sources: Vec<Source<'_>> =
            alloc::vec![(Box::new(memory) as Box<dyn Iterator<Item = _>>).peekable()];
        for level in &self.levels {
            let rows = level.segments.iter().flat_map(move |segment| {
                (0..segment.blocks()).flat_map(move |block| block_rows(segment, engine, block))
            });
            sources.push((Box::new(rows) as Box<dyn Iterator<Item = _>>).peekable());
        }
        let mut before: Option<IndexKey> = None;
        loop {
            let mut least: Option<IndexKey> = None;
            for source in &mut sources {
                match source.peek() {
                    Some(Ok((key, _))) if least.is_none_or(|least| *key < least) => least = Some(*key),
                    Some(Err(error)) => return Err(error.clone()),
                    _ => {}
                }
            }
            let Some(least) = least else { return Ok(()) };
            if before.replace(least).is_some_and(|before| before >= least) {
                return Err(StoreError::Corrupt("segments of one level of the index overlap"));
            }
            let mut newest = None;
            for source in &mut sources {
                if let Some(Ok((_, slot))) =
                    source.next_if(|row| matches!(row, Ok((key, _)) if *key == least))
                {
                    newest.get_or_insert(slot);
                }
            }
            if let Some(slot) = newest {
                visit(least, slot)?;
            }
        }
    }

    /// All that can be read, whatever is damaged.
    pub(crate) fn remains(&self, engine: &impl Engine) -> BTreeMap<IndexKey, Slot> {
        let mut all = BTreeMap::new();
        for segment in self.levels.iter().rev().flat_map(|level| &level.segments) {
            for block in 0..segment.blocks() {
                // What cannot be read is written anew, or was of no use.
                let _ = segment.each_in(engine, &Batch::default(), block, &mut |key, slot| {
                    all.insert(key, slot);
                });
            }
        }
        all.extend(self.recent.map.iter().map(|(key, slot)| (*key, *slot)));
        all
    }

    /// Puts other rows, ascending, in the place of all that are there. Whatever stops it, the old ones or the new ones
    /// stand there, whole.
    pub(crate) fn replace(
        &mut self,
        engine: &mut impl Engine,
        rows: &BTreeMap<IndexKey, Slot>,
        limit: usize,
    ) -> Result<(), StoreError> {
        let mut last = Batch::default();
        for table in [Table::Index, Table::Recent] {
            engine.scan(table, &[], None, Direction::Up, &mut |key, _| {
                last.remove(table, key);
                true
            })?;
        }
        let mut whole = Whole { next: self.next, ..Whole::default() };
        for (key, slot) in rows {
            whole.push(engine, *key, *slot)?;
        }
        whole.finish(engine, limit, last)?;
        *self = Self::load(engine, limit)?;
        Ok(())
    }
}

type Source<'a> = core::iter::Peekable<Box<dyn Iterator<Item = Result<(IndexKey, Slot), StoreError>> + 'a>>;

/// The rows of one block, or that they are not what the header says.
fn block_rows<E: Engine>(
    segment: &Segment,
    engine: &E,
    block: usize,
) -> impl Iterator<Item = Result<(IndexKey, Slot), StoreError>> + use<E> {
    let mut rows = Rows::new();
    let read = segment.each_in(engine, &Batch::default(), block, &mut |key, slot| rows.push((key, slot)));
    let error = match read {
        Ok(()) if segment.speaks_of(block, &rows) => None,
        Ok(()) => Some(StoreError::Corrupt("a segment of the index is not what its header says")),
        Err(error) => Some(error),
    };
    let rows = if error.is_none() { rows } else { Rows::new() };
    error.map(Err).into_iter().chain(rows.into_iter().map(Ok))
}

/// Writes a whole index, row by row in ascending order. Nothing of it is seen before the end.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    next: u64,
    rows: Rows,
    segments: Vec<Segment>,
}

impl Whole {
    pub(crate) fn push(&mut self, to: &mut impl Engine, key: IndexKey, slot: Slot) -> Result<(), StoreError> {
        self.rows.push((key, slot));
        if self.rows.len() < AT_ONCE {
            return Ok(());
        }
        let mut batch = Batch::default();
        self.build(&mut batch);
        to.commit(&batch)
    }

    fn build(&mut self, batch: &mut Batch) {
        let mut builder = Builder::new(batch, &mut self.next, self.rows.len());
        self.rows.drain(..).for_each(|(key, slot)| builder.push(key, slot));
        self.segments.append(&mut builder.finish());
    }

    /// Writes what is left and the headers, together with what `last` changes.
    pub(crate) fn finish(
        mut self,
        to: &mut impl Engine,
        limit: usize,
        mut last: Batch,
    ) -> Result<(), StoreError> {
        self.build(&mut last);
        let level = level_for(self.segments.iter().map(|segment| segment.rows).sum(), limit);
        for mut segment in self.segments {
            segment.level = level;
            segment.put(&mut last);
        }
        to.commit(&last)
    }
}

/// The first level on which so many rows may stand, if `limit` may stand in memory.
fn level_for(rows: usize, limit: usize) -> u8 {
    let mut room = limit.max(1);
    let levels = 0..MAX_LEVELS as u8 - 1;
    let mut fits = levels.skip_while(|_| {
        room = room.saturating_mul(GROWTH);
        room < rows
    });
    fits.next().unwrap_or(MAX_LEVELS as u8 - 1)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use lama_identity::Cid;

    use super::*;
    use crate::engine::Memory;

    /// An index, what it is to say, and what lies under it.
    struct Kept {
        index: Index,
        engine: Memory,
        said: BTreeMap<IndexKey, Slot>,
        limit: usize,
    }

    fn key(number: u32, view: u32) -> IndexKey {
        IndexKey::member(&Cid::of_object(&number.to_be_bytes()), view)
    }

    fn slot(number: u32) -> Slot {
        Slot { place: u64::from(number), flags: Slot::LEAF, view: number % 3 }
    }

    impl Kept {
        fn new(limit: usize) -> Self {
            let engine = Memory::default();
            Self { index: Index::load(&engine, limit).unwrap(), engine, said: BTreeMap::new(), limit }
        }

        fn commit(&mut self, rows: impl Iterator<Item = (IndexKey, Slot)>) -> usize {
            let new: BTreeMap<_, _> = rows.collect();
            let mut batch = Batch::default();
            let plan = self.index.plan(&self.engine, &new, self.limit, &mut batch).unwrap();
            self.engine.commit(&batch).unwrap();
            self.said.extend(new.iter().map(|(key, slot)| (*key, *slot)));
            self.index.apply(&plan, new);
            batch.table(Table::Index).len()
        }

        fn load(&mut self) {
            self.index = Index::load(&self.engine, self.limit).unwrap();
        }

        fn verify(&self) {
            let mut all = Vec::new();
            self.index
                .each(&self.engine, &mut |key, slot| {
                    all.push((key, slot));
                    Ok(())
                })
                .unwrap();
            assert!(all.iter().map(|row| (&row.0, &row.1)).eq(&self.said));
            let (mut keys, mut slots) = (Vec::new(), Vec::new());
            for (at, (key, slot)) in self.said.iter().enumerate() {
                assert_eq!(self.index.find(&self.engine, key), Ok(Some(*slot)));
                // All at first, then few of each segment; and some that are not there.
                if at < 9_000 || at % 400 < 3 {
                    keys.extend([*key, super::tests::key(1 << 20 | at as u32, 7)]);
                    slots.extend([Some(*slot), None]);
                }
            }
            keys.reverse();
            slots.reverse();
            assert_eq!(self.index.find_many(&self.engine, &keys), Ok(slots));
            assert_eq!(self.index.remains(&self.engine), self.said);
        }
    }

    #[test]
    fn rows_move_through_the_levels_and_the_newest_counts() {
        let mut kept = Kept::new(500);
        for round in 0..60_u32 {
            // Some are new, some are said again, some are of another view of the same id.
            let fresh = (round * 700..(round + 1) * 700).map(|number| (key(number, 0), slot(number)));
            let again =
                (0..100).map(|at| (key((round * 37 + at * 11) % (round * 700 + 1), at % 2), slot(at)));
            kept.commit(fresh.chain(again));
            if round % 13 == 5 {
                kept.load();
            }
        }
        assert!(kept.index.levels.len() >= 3, "{} levels", kept.index.levels.len());
        assert!(kept.index.levels.iter().any(|level| level.segments.len() > 4));
        assert!(kept.index.recent.map.iter().count() < 1_300);
        kept.verify();
        kept.load();
        kept.verify();
        for number in 100_000..103_000 {
            assert_eq!(kept.index.find(&kept.engine, &key(number, 0)), Ok(None));
        }
    }

    #[test]
    fn a_commit_of_one_row_seldom_writes_a_segment() {
        let mut kept = Kept::new(1_600);
        kept.commit((0..20_000).map(|number| (key(number, 0), slot(number))));
        for at in 0..40 {
            kept.commit((0..500).map(|n| (key(50_000 + at * 500 + n, 0), slot(n))));
        }
        let writing = (0..1_000).filter(|at| kept.commit([(key(90_000 + at, 0), slot(*at))].into_iter()) > 0);
        assert!(writing.count() <= 15);
        kept.verify();
    }

    #[test]
    fn no_commit_writes_much_more_than_it_brings() {
        let mut kept = Kept::new(4_000);
        let mut most = 0;
        for round in 0..100_u32 {
            let blocks = kept.commit((0..1_000).map(|n| (key(round * 1_000 + n, 0), slot(n))));
            most = most.max(blocks);
        }
        // 100,000 rows are 1,250 blocks, and what is removed counts as much as what is written.
        assert!(most < 700, "{most} rows of the engine in one commit");
    }

    #[test]
    fn ids_that_somebody_chose_to_fall_together_are_found() {
        let mut kept = Kept::new(64);
        let near = |number: u32| {
            let mut digest = [0x55; 32];
            digest[28..].copy_from_slice(&number.to_be_bytes());
            IndexKey::object(&Cid::from_parts(lama_identity::Codec::DagCbor, digest))
        };
        for round in 0..10 {
            kept.commit((0..500).map(|n| (near((n * 7 + round * 3_500) ^ 0x55), slot(n))));
        }
        kept.commit((0..50).map(|n| (key(n, 0), slot(n))));
        kept.verify();
        assert_eq!(kept.index.find(&kept.engine, &near(1 << 20)), Ok(None));
    }

    #[test]
    fn another_index_takes_the_place_of_all() {
        let mut kept = Kept::new(200);
        for at in 0..20 {
            kept.commit((0..300).map(|n| (key(at * 300 + n, 0), slot(n))));
        }
        let other: BTreeMap<_, _> = (3_000..9_000).map(|number| (key(number, 1), slot(number))).collect();
        kept.index.replace(&mut kept.engine, &other, 200).unwrap();
        kept.said = other;
        kept.verify();
        kept.commit((0..600).map(|number| (key(number, 1), slot(number))));
        kept.verify();
    }

    #[test]
    fn a_block_that_is_damaged_or_lost_is_an_error_and_the_rest_remains() {
        let mut kept = Kept::new(100);
        for at in 0..10 {
            kept.commit((0..300).map(|n| (key(at * 300 + n, 0), slot(n))));
        }
        let mut blocks = Vec::new();
        kept.engine
            .scan(Table::Index, &[BLOCK], None, Direction::Up, &mut |key, rows| {
                blocks.push((key.to_vec(), rows.to_vec()));
                true
            })
            .unwrap();
        let (at, rows) = blocks[blocks.len() / 2].clone();
        let mut shifted = rows.clone();
        shifted[3] ^= 1;
        for (damage, lost) in
            [(None, rows.len() / 50), (Some(vec![1; 49]), rows.len() / 50), (Some(shifted), 0)]
        {
            let mut batch = Batch::default();
            match damage {
                Some(rows) => batch.put(Table::Index, at.clone(), rows),
                None => batch.remove(Table::Index, at.clone()),
            }
            kept.engine.commit(&batch).unwrap();
            assert!(matches!(kept.index.each(&kept.engine, &mut |_, _| Ok(())), Err(StoreError::Corrupt(_))));
            let left = kept.index.remains(&kept.engine);
            assert!(left.len() + lost >= kept.said.len(), "{} of {}", left.len(), kept.said.len());
        }
    }

    #[test]
    fn packing_leaves_what_is_in_memory_and_no_more_runs_than_that_takes() {
        let mut kept = Kept::new(2_000);
        for at in 0..900 {
            kept.commit([(key(at, 0), slot(at))].into_iter());
        }
        let mut batch = Batch::default();
        kept.index.pack(&mut batch);
        kept.engine.commit(&batch).unwrap();
        let mut runs = 0;
        kept.engine
            .scan(Table::Recent, &[], None, Direction::Up, &mut |_, _| {
                runs += 1;
                true
            })
            .unwrap();
        assert_eq!(runs, 1);
        kept.load();
        kept.verify();
        let mut nothing = Batch::default();
        kept.index.pack(&mut nothing);
        assert!(nothing.is_empty());
    }
}
