//! Who links to what, and where in a view an object stands: what keeps the cost of taking back at what is taken back.
//!
//! Each content link has a row that leads from its target to the object that holds it; most objects have no links, and
//! cost nothing. Such a row consists of the places of both records: what is linked came shortly before, so rows that are
//! written together stand together, where ids would be scattered over the whole table. An object that links to many
//! in one pack has one row for all of them. Only a target that is not here is named by its id. Where the entries of an object stand is found by the place of its record: entries are appended as
//! objects come or are granted, so the places on one page of a view lie close together, and the pages that can hold an
//! object are few. The bounds of the pages are read once in the life of a store, when first something is taken back,
//! and kept in memory (24 bytes for some 1,800 entries).

use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::SortedSet;
use lama_identity::{Cid, Codec};

use crate::check::Records;
use crate::codec::{Reader, put_varint};
use crate::engine::{Engine, Table};
use crate::hot::page_key;
use crate::import::links_of;
use crate::layout::{Slot, id_at_end, id_bytes, kind, meta, pack_and_offset};
use crate::typed::type_is;
use crate::view::{PageReader, ViewEntry};
use crate::{Store, StoreError};

/// Rows that are written in one commit while they are made for the first time.
const AT_ONCE: usize = 20_000;

/// Links of one object into one pack from which on they share a row. Who looks for what links to an object reads all
/// such rows of its pack, so a few links are not worth one.
const MANY: usize = 8;

/// The offsets of ascending places in their pack, each as the distance from the one before.
fn offsets(places: &[u64]) -> Vec<u8> {
    let (mut row, mut before) = (Vec::with_capacity(2 * places.len()), 0);
    for place in places {
        let offset = pack_and_offset(*place).1 as u64;
        put_varint(&mut row, offset - before);
        before = offset;
    }
    row
}

/// Whether an offset is among them.
fn names(row: &[u8], offset: usize) -> bool {
    let (mut reader, mut at) = (Reader(row), 0_u64);
    while let Ok(distance) = reader.num() {
        at = at.saturating_add(distance);
        if at >= offset as u64 {
            return at == offset as u64;
        }
    }
    false
}

/// The pages of a view that are full, and what places stand on them.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    /// First number, and the lowest and highest place; a page without any has them the other way round.
    pages: Vec<(u64, u64, u64)>,
    /// First number that is on none of these pages.
    upto: u64,
}

impl<E: Engine> Store<E> {
    /// Takes note of what the object at a place links to. `slots` is what is known of the targets.
    pub(crate) fn note_links(&mut self, id: &Cid, place: u64, links: &[Cid], slots: &[Option<Slot>]) {
        let mut targets = Vec::new();
        for (link, slot) in links.iter().zip(slots) {
            match slot.map(|slot| slot.place).filter(|place| *place != Slot::NOWHERE) {
                Some(target) => targets.push(target),
                None => {
                    self.meta_put(meta(kind::LINKED, &[&id_bytes(link), &id_bytes(id)]), Bytes::new());
                }
            }
        }
        targets.sort_unstable();
        targets.dedup();
        for near in targets.chunk_by(|a, b| pack_and_offset(*a).0 == pack_and_offset(*b).0) {
            if let (Some(first), true) = (near.first(), near.len() >= MANY) {
                let (pack, _) = pack_and_offset(*first);
                let key = meta(kind::LINKED_MANY, &[&pack.to_be_bytes(), &place.to_be_bytes()]);
                self.meta_put(key, offsets(near));
            } else {
                for target in near {
                    let key = meta(kind::LINKED, &[&target.to_be_bytes(), &place.to_be_bytes()]);
                    self.meta_put(key, Bytes::new());
                }
            }
        }
    }

    fn place_of(&self, id: &Cid) -> Result<Option<u64>, StoreError> {
        Ok(self.object(id)?.map(|slot| slot.place).filter(|place| *place != Slot::NOWHERE))
    }

    /// Whether it is noted that the object at a place links to another: by place, or by its id if it was not here then.
    pub(crate) fn is_noted(&self, id: &Cid, place: u64, link: &Cid) -> Result<bool, StoreError> {
        if let Some(target) = self.place_of(link)? {
            let (pack, offset) = pack_and_offset(target);
            let many =
                self.meta_get(&meta(kind::LINKED_MANY, &[&pack.to_be_bytes(), &place.to_be_bytes()]))?;
            if many.is_some_and(|row| names(&row, offset))
                || self
                    .meta_get(&meta(kind::LINKED, &[&target.to_be_bytes(), &place.to_be_bytes()]))?
                    .is_some()
            {
                return Ok(true);
            }
        }
        Ok(self.meta_get(&meta(kind::LINKED, &[&id_bytes(link), &id_bytes(id)]))?.is_some())
    }

    /// What links to an object.
    pub(crate) fn linked_from(&self, id: &Cid) -> Result<Vec<Cid>, StoreError> {
        let (mut found, mut places) = (Vec::new(), Vec::new());
        self.each_meta(&meta(kind::LINKED, &[&id_bytes(id)]), &mut |key, _| {
            found.push(id_at_end(key)?);
            Ok(true)
        })?;
        if let Some(target) = self.place_of(id)? {
            self.each_meta(&meta(kind::LINKED, &[&target.to_be_bytes()]), &mut |key, _| {
                // An id may begin with the same bytes: its row is longer.
                places.extend(key.try_into().map(u64::from_be_bytes));
                Ok(true)
            })?;
            let (pack, offset) = pack_and_offset(target);
            self.each_meta(&meta(kind::LINKED_MANY, &[&pack.to_be_bytes()]), &mut |key, row| {
                if names(row, offset) {
                    places.extend(key.try_into().map(u64::from_be_bytes));
                }
                Ok(true)
            })?;
        }
        for place in places {
            let bytes = self.record(place)?.bytes;
            found.push(Cid::of_object(&bytes));
        }
        Ok(found)
    }

    /// Whether the rows of [`Store::note_links`] are complete.
    pub(crate) fn links_known(&self) -> Result<bool, StoreError> {
        Ok(self.meta_get(&meta(kind::LINKS_KNOWN, &[]))?.is_some())
    }

    /// Makes the rows for a store that was written before there were any, and judges its access rules by the policies
    /// that came with them. Ends early without harm: it is begun again.
    pub(crate) fn build_links(&mut self) -> Result<(), StoreError> {
        let (mut from, mut rules) = (None, Vec::new());
        loop {
            let (mut rows, mut count) = (Vec::new(), 0);
            let Some(mut records) = Records::new(self)? else { break };
            if let Some(place) = from {
                records.skip_to(place)?;
            }
            let mut ended = true;
            while let Some(found) = records.next()? {
                if found.id.codec() == Codec::DagCbor {
                    let links = links_of(&found.bytes)?;
                    count += links.len();
                    if type_is(&found.bytes, "Access") {
                        rules.push(found.id);
                    }
                    if !links.is_empty() {
                        rows.push((found.id, found.place, links));
                    }
                }
                if count >= AT_ONCE {
                    ended = false;
                    break;
                }
            }
            from = Some(records.place());
            for (id, place, links) in &rows {
                let slots = self.slots_of(links)?;
                self.note_links(id, *place, links, &slots);
            }
            self.flush()?;
            if ended {
                break;
            }
        }
        self.retake_rules(&rules)?;
        self.meta_put(meta(kind::LINKS_KNOWN, &[]), Bytes::new());
        self.flush()
    }

    /// Reads the bounds of the pages of a view that were filled since the last time.
    pub(crate) fn index_pages(&mut self, view: u32) -> Result<(), StoreError> {
        let Some(last) = self.hot.views.get(&view).map(|log| log.page) else { return Ok(()) };
        let mut spans = self.hot.spans.remove(&view).unwrap_or_default();
        let outcome = self.rows(
            Table::Views,
            &page_key(view, spans.upto),
            Some(&page_key(view, last)),
            &mut |key, page| {
                let first = crate::access::first_of(key)?;
                let (mut low, mut high) = (u64::MAX, 0);
                for entry in PageReader::new(first, page) {
                    let place = entry?.place;
                    if place != Slot::NOWHERE {
                        (low, high) = (low.min(place), high.max(place));
                    }
                }
                spans.pages.push((first, low, high));
                Ok(true)
            },
        );
        spans.upto = spans.upto.max(last);
        outcome?;
        self.hot.spans.insert(view, spans);
        Ok(())
    }

    /// Visits entries of a view, ascending: all that were appended for a record at one of `places`, and others. Without
    /// [`Store::index_pages`], or for what has no place, that is the whole view.
    pub(crate) fn entries_at(
        &self,
        view: u32,
        places: &SortedSet<u64>,
        visit: &mut dyn FnMut(ViewEntry) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let known = self.hot.spans.get(&view).filter(|_| !places.contains(&Slot::NOWHERE));
        let Some(spans) = known else { return self.each_entry(view, 0, visit) };
        for (first, low, high) in &spans.pages {
            if low > high || places.range(low..=high).next().is_none() {
                continue;
            }
            let page = self.row(Table::Views, &page_key(view, *first))?;
            let page = page.ok_or(StoreError::Corrupt("a page of a view is not there"))?;
            for entry in PageReader::new(*first, &page) {
                if !visit(entry?)? {
                    return Ok(());
                }
            }
        }
        self.each_entry(view, spans.upto.saturating_sub(1), visit)
    }
}
