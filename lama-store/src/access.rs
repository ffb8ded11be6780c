//! Reading through: what the open group holds first, then the entries in memory, then the engine.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{Cid, Codec};

use crate::codec::Reader;
use crate::engine::{Direction, Engine, Table};
use crate::hot::page_key;
use crate::layout::{IndexKey, Slot, after_prefix, pack_and_offset};
use crate::view::{PageReader, View, ViewEntry};
use crate::{Store, StoreError};

const LOST: StoreError = StoreError::Corrupt("an index entry names a record that is not there");

/// A stored object with where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Number of the instance that brought it; 0: it was put here.
    pub(crate) source: u32,
    pub(crate) bytes: Bytes,
}

/// Visits keys and values and says whether to go on.
pub(crate) type EachRow<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError> + 'a;

impl<E: Engine> Store<E> {
    /// A row of any table.
    pub(crate) fn row(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(changed) = self.group.batch.table(table).get(key) {
            return Ok(changed.clone());
        }
        let mut found = None;
        self.engine.read(table, key, &mut |value| found = Some(Bytes::copy_from_slice(value)))?;
        Ok(found)
    }

    pub(crate) fn meta_get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.row(Table::Meta, key)
    }

    pub(crate) fn meta_put(&mut self, key: Vec<u8>, value: impl Into<Bytes>) {
        self.group.batch.put(Table::Meta, key, value);
    }

    pub(crate) fn meta_remove(&mut self, key: Vec<u8>) {
        self.group.batch.remove(Table::Meta, key);
    }

    /// Visits the rows of a table from `from` up to before `to`, ascending.
    pub(crate) fn rows(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut EachRow<'_>,
    ) -> Result<(), StoreError> {
        self.rows_in(Direction::Up, table, from, to, visit)
    }

    /// Visits the rows of a table that lie before `to`, descending down to `from`.
    pub(crate) fn rows_down(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut EachRow<'_>,
    ) -> Result<(), StoreError> {
        self.rows_in(Direction::Down, table, from, to, visit)
    }

    /// Merges what the engine has with what this group of commits changes, in the direction of the scan.
    fn rows_in(
        &self,
        direction: Direction,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut EachRow<'_>,
    ) -> Result<(), StoreError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let upper = to.map_or(core::ops::Bound::Unbounded, core::ops::Bound::Excluded);
        let mut range =
            self.group.batch.table(table).range::<[u8], _>((core::ops::Bound::Included(from), upper));
        let mut changed = core::iter::from_fn(|| match direction {
            Direction::Up => range.next(),
            Direction::Down => range.next_back(),
        })
        .peekable();
        let reached = |at: &[u8], key: &[u8]| match direction {
            Direction::Up => at <= key,
            Direction::Down => at >= key,
        };
        let mut state = Ok(true);
        self.engine.scan(table, from, to, direction, &mut |key, value| {
            while let Some((at, change)) = changed.next_if(|(at, _)| reached(at, key)) {
                if let Some(change) = change {
                    state = visit(at, change);
                }
                if at.as_slice() == key || !matches!(state, Ok(true)) {
                    return matches!(state, Ok(true));
                }
            }
            state = visit(key, value);
            matches!(state, Ok(true))
        })?;
        for (at, change) in changed {
            if !state? {
                return Ok(());
            }
            state = change.as_ref().map_or(Ok(true), |change| visit(at, change));
        }
        state.map(|_| ())
    }

    /// Visits the records of `Meta` whose key begins with `prefix`, with the rest of the key.
    pub(crate) fn each_meta(&self, prefix: &[u8], visit: &mut EachRow<'_>) -> Result<(), StoreError> {
        self.rows(Table::Meta, prefix, after_prefix(prefix).as_deref(), &mut |key, value| {
            visit(key.get(prefix.len()..).unwrap_or_default(), value)
        })
    }

    /// What the index has under a key.
    #[inline]
    pub(crate) fn slot(&self, key: &IndexKey) -> Result<Option<Slot>, StoreError> {
        match self.group.index.get(key) {
            Some(slot) => Ok(Some(*slot)),
            None => self.index.find(&self.engine, key),
        }
    }

    /// What is known of an object.
    #[inline]
    pub(crate) fn object(&self, id: &Cid) -> Result<Option<Slot>, StoreError> {
        self.slot(&IndexKey::object(id))
    }

    pub(crate) fn put_slot(&mut self, id: &Cid, slot: Slot) {
        self.group.index.insert(IndexKey::object(id), slot);
    }

    /// Visits the entries of a view with a higher number than `after`.
    pub(crate) fn each_entry(
        &self,
        view: u32,
        after: u64,
        visit: &mut dyn FnMut(ViewEntry) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let Some(log) = self.hot.views.get(&view).filter(|log| log.seq > after) else { return Ok(()) };
        let begin = self.page_of(view, after.saturating_add(1))?;
        let mut page_rows = |first: u64, page: &[u8]| {
            for entry in PageReader::new(first, page) {
                let entry = entry?;
                if entry.seq > after && !visit(entry)? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let open = log.open.as_deref().map(|bytes| (log.page, bytes));
        let end = open.map_or_else(|| page_key(view, u64::MAX), |(first, _)| page_key(view, first));
        let mut go_on = true;
        self.rows(Table::Views, &page_key(view, begin), Some(&end), &mut |key, page| {
            go_on = page_rows(first_of(key)?, page)?;
            Ok(go_on)
        })?;
        if let Some((first, bytes)) = open.filter(|_| go_on) {
            page_rows(first, bytes)?;
        }
        Ok(())
    }

    /// First number of the page that holds entry `seq`.
    pub(crate) fn page_of(&self, view: u32, seq: u64) -> Result<u64, StoreError> {
        let (from, to) = (page_key(view, 0), page_key(view, seq.saturating_add(1)));
        let mut first = Ok(0);
        self.engine.scan(Table::Views, &from, Some(&to), Direction::Down, &mut |key, _| {
            first = first_of(key);
            false
        })?;
        let changed = self.group.batch.table(Table::Views).range::<[u8], _>((
            core::ops::Bound::Included(from.as_slice()),
            core::ops::Bound::Excluded(to.as_slice()),
        ));
        Ok(first?.max(changed.last().map_or(Ok(0), |(key, _)| first_of(key))?))
    }

    /// Appends a record to the object log and tells its place.
    pub(crate) fn write_record(&mut self, source: u32, codec: Codec, bytes: &[u8]) -> u64 {
        self.group.bytes += bytes.len();
        self.hot.pack.append(source, codec, bytes, &mut self.group.batch)
    }

    /// Calls `with` with the bytes of one pack.
    fn pack<T>(&self, number: u64, with: &mut dyn FnMut(&[u8]) -> T) -> Result<T, StoreError> {
        if number == self.hot.pack.number {
            return Ok(with(&self.hot.pack.bytes));
        }
        let key = number.to_be_bytes();
        if let Some(Some(pack)) = self.group.batch.table(Table::Log).get(key.as_slice()) {
            return Ok(with(pack));
        }
        let mut result = None;
        self.engine.read(Table::Log, &key, &mut |pack| result = Some(with(pack)))?;
        result.ok_or(LOST)
    }

    /// Reads the record at a place.
    pub(crate) fn record(&self, place: u64) -> Result<Record, StoreError> {
        let (number, offset) = pack_and_offset(place);
        let mut bytes = Vec::new();
        let (source, length) = self.pack(number, &mut |pack| {
            let (source, length, rest) = record_in(pack, offset)?;
            bytes.reserve_exact(length);
            bytes.extend_from_slice(rest.get(..length.min(rest.len())).unwrap_or_default());
            Ok((source, length))
        })??;
        let mut next = number;
        while bytes.len() < length {
            next += 1;
            let before = bytes.len();
            self.pack(next, &mut |pack| {
                bytes.extend_from_slice(pack.get(..pack.len().min(length - before)).unwrap_or_default());
            })?;
            if bytes.len() == before {
                return Err(LOST);
            }
        }
        Ok(Record { source, bytes: bytes.into() })
    }

    /// Reads one of many records in the order of a log: most stand in the pack of the one before.
    pub(crate) fn record_near(&self, place: u64, near: &mut Near) -> Result<Record, StoreError> {
        let (number, offset) = pack_and_offset(place);
        if near.number != Some(number) {
            (near.number, near.pack) = (Some(number), Vec::new());
            return self.record(place);
        }
        if near.pack.is_empty() {
            self.pack(number, &mut |pack| near.pack = pack.to_vec())?;
        }
        let (source, length, rest) = record_in(&near.pack, offset)?;
        match rest.get(..length) {
            Some(bytes) => Ok(Record { source, bytes: Bytes::copy_from_slice(bytes) }),
            None => self.record(place),
        }
    }
}

/// The pack that was read last, once two records of it were wanted.
#[derive(Debug, Default)]
pub(crate) struct Near {
    number: Option<u64>,
    pack: Vec<u8>,
}

/// The header of a record in its pack, and the pack from its first byte on.
fn record_in(pack: &[u8], offset: usize) -> Result<(u32, usize, &[u8]), StoreError> {
    let mut reader = Reader(pack.get(offset..).ok_or(LOST)?);
    let source = reader.num32()?;
    let _codec = reader.u8()?;
    let length = usize::try_from(reader.num()?).map_err(|_| LOST)?;
    if length > lama_chum::MAX_OBJECT { Err(LOST) } else { Ok((source, length, reader.0)) }
}

/// Opens the last page of a view for appending, or begins one.
pub(crate) fn open_page(
    engine: &impl Engine,
    batch: &crate::engine::Batch,
    view: u32,
    log: &mut View,
) -> Result<(), StoreError> {
    if log.page == 0 || log.page_len as usize >= crate::layout::SMALL_PAGE {
        log.begin_page();
        return Ok(());
    }
    let key = page_key(view, log.page);
    let mut bytes = None;
    match batch.table(Table::Views).get(&key) {
        Some(Some(page)) => bytes = Some(page.to_vec()),
        _ => {
            engine.read(Table::Views, &key, &mut |page| bytes = Some(page.to_vec()))?;
        }
    }
    log.open = Some(bytes.ok_or(StoreError::Corrupt("the last page of a view is not there"))?);
    Ok(())
}

pub(crate) fn first_of(key: &[u8]) -> Result<u64, StoreError> {
    let mut reader = Reader(key);
    let _view: [u8; 4] = reader.array()?;
    Ok(u64::from_be_bytes(reader.array()?))
}
