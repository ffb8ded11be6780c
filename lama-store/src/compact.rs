//! Compaction: the store is written anew, without the bytes of what was deleted.
//!
//! The log is written from its start, so that every object gets a new place; index and view logs are written with those.
//! What is not given any more keeps its tombstone (the slot of the index, the entries of the views, a row for repairs) and
//! loses its bytes. Nothing changes in the store that is read: if the copy ends early it is thrown away.

use alloc::vec::Vec;

use crate::check::Records;
use crate::engine::copy::{COMMIT, copy_table};
use crate::engine::{Batch, Engine, Table};
use crate::hot::{Pack, page_key};
use crate::index::Whole;
use crate::layout::{Slot, kind, meta};
use crate::opening::put_epoch;
use crate::revoke::tomb_row;
use crate::view::{View, moved};
use crate::{Store, StoreError};
use lama_core::SortedMap;

/// What a compaction left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Objects that were deleted, and whose bytes were still kept.
    pub dropped: u64,
    /// Those bytes.
    pub bytes: u64,
}

/// From the old place of each record to its new one.
type Places = SortedMap<u64, u64>;

impl<E: Engine> Store<E> {
    /// Closes the store, and writes all that it says into an empty engine. The copy goes on in the same life, with the
    /// same epoch. Reads the whole store; memory grows by some 20 bytes an object.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the store contradicts itself: it is to be repaired first; of either engine. The
    /// target is then no store that may be used.
    pub fn compact_into(mut self, to: &mut impl Engine) -> Result<(E, Compacted), StoreError> {
        self.usable()?;
        put_epoch(&mut self.group.batch, self.hot.epoch, true);
        self.flush()?;
        let mut done = Compacted::default();
        let places = self.compact_log(to, &mut done)?;
        self.compact_index(to, &places)?;
        let tails = self.compact_views(to, &places)?;
        let stale = meta(kind::STALE, &[]);
        copy_table(&self.engine, to, Table::Meta, &mut |key, value| {
            let left_out = match key.first() {
                Some(&kind::VIEW) => true,
                // They name places: the next opening makes them anew.
                Some(&kind::LINKED | &kind::LINKED_MANY | &kind::LINKS_KNOWN) => true,
                _ => key == stale,
            };
            Ok((!left_out).then(|| value.to_vec()))
        })?;
        let mut batch = Batch::default();
        for (number, view) in &self.hot.views {
            let head = tails.get(number).map_or_else(|| view.clone(), |tail| view.with_tail(tail));
            batch.put(Table::Meta, meta(kind::VIEW, &[&number.to_be_bytes()]), head.to_bytes());
        }
        to.commit(&batch)?;
        Ok((self.engine, done))
    }

    /// The records that are still given, one after the other.
    fn compact_log(&self, to: &mut impl Engine, done: &mut Compacted) -> Result<Places, StoreError> {
        let (mut places, mut pack, mut batch, mut bytes) =
            (Places::new(), Pack::default(), Batch::default(), 0);
        let Some(mut records) = Records::new(self)? else { return Ok(places) };
        while let Some(found) = records.next()? {
            let slot = self.object(&found.id)?.filter(|slot| slot.place == found.place);
            let Some(slot) = slot else {
                return Err(StoreError::Corrupt("a record is not in the index, or another one is"));
            };
            if slot.has(Slot::GONE) {
                done.dropped += 1;
                done.bytes += found.bytes.len() as u64;
                let (key, row) = tomb_row(&found.id, slot);
                batch.put(Table::Meta, key, row);
                continue;
            }
            let place = pack.append(found.source, found.id.codec(), &found.bytes, &mut batch);
            places.insert(found.place, place);
            bytes += found.bytes.len();
            if bytes > COMMIT {
                to.commit(&core::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        if !pack.bytes.is_empty() {
            batch.put(Table::Log, pack.number.to_be_bytes(), pack.bytes);
        }
        to.commit(&batch)?;
        Ok(places)
    }

    /// The index, with what stood in memory.
    fn compact_index(&self, to: &mut impl Engine, places: &Places) -> Result<(), StoreError> {
        let mut whole = Whole::default();
        self.index.each(&self.engine, &mut |key, slot| {
            let place = match places.get(&slot.place) {
                _ if key.view != 0 || slot.place == Slot::NOWHERE => slot.place,
                Some(place) => *place,
                None if slot.has(Slot::GONE) => Slot::NOWHERE,
                None => {
                    return Err(StoreError::Corrupt("an index entry names a record that is not there"));
                }
            };
            whole.push(to, key, Slot { place, ..slot })
        })?;
        whole.finish(to, self.config.recent_entries, Batch::default())
    }

    /// The view logs; gives the last page of each as it is now.
    fn compact_views(
        &self,
        to: &mut impl Engine,
        places: &Places,
    ) -> Result<SortedMap<u32, View>, StoreError> {
        let last: SortedMap<Vec<u8>, u32> =
            self.hot.views.iter().map(|(number, view)| (page_key(*number, view.page), *number)).collect();
        let mut tails = SortedMap::new();
        copy_table(&self.engine, to, Table::Views, &mut |key, page| {
            let mut fresh = moved(crate::access::first_of(key)?, page, |place| {
                places.get(&place).copied().unwrap_or(Slot::NOWHERE)
            })?;
            let bytes = fresh.open.take();
            if let Some(number) = last.get(key) {
                tails.insert(*number, fresh);
            }
            Ok(bytes)
        })?;
        Ok(tails)
    }
}
