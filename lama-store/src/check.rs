//! The integrity walk: everything is read, hashed and counted, and each index is held against what it indexes.

use alloc::vec::Vec;

use lama_core::{SortedMap, SortedSet};
use lama_identity::{Cid, Codec};

use crate::codec::Reader;
use crate::engine::{Engine, Table};
use crate::import::links_of;
use crate::layout::{IndexKey, Slot, UNUSED, id_at_end, kind, pack_and_offset, place, read_id};
use crate::peer::Sums;
use crate::view::VOID;
use crate::{Store, StoreError};

/// What an integrity walk went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Records in the object log.
    pub records: u64,
    /// Objects that can be read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries in all views.
    pub entries: u64,
}

const fn damaged<T>(what: &'static str) -> Result<T, StoreError> {
    Err(StoreError::Corrupt(what))
}

/// A record of the log: its place, who brought it, and its bytes under their recomputed id.
pub(crate) struct Found {
    pub(crate) place: u64,
    pub(crate) source: u32,
    pub(crate) id: Cid,
    pub(crate) bytes: Vec<u8>,
}

/// Goes through the bytes of the log, pack by pack.
pub(crate) struct Records<'a, E> {
    store: &'a Store<E>,
    pack: Vec<u8>,
    number: u64,
    offset: usize,
}

impl<'a, E: Engine> Records<'a, E> {
    /// At the first record; `None`: the log is empty.
    pub(crate) fn new(store: &'a Store<E>) -> Result<Option<Self>, StoreError> {
        let mut first = None;
        store.rows(Table::Log, &[], None, &mut |key, _| {
            first = Some(u64::from_be_bytes(Reader(key).array()?));
            Ok(false)
        })?;
        let Some(first) = first else { return Ok(None) };
        let mut records = Self { store, pack: Vec::new(), number: first, offset: 0 };
        records.take(first)?;
        Ok(Some(records))
    }

    /// Where the next record begins, or the pack in which the last one ended does.
    pub(crate) fn place(&self) -> u64 {
        place(self.number, self.offset)
    }

    /// Goes on at a place.
    pub(crate) fn skip_to(&mut self, place: u64) -> Result<(), StoreError> {
        let (number, offset) = pack_and_offset(place);
        self.take(number)?;
        self.offset = offset.min(self.pack.len());
        Ok(())
    }

    /// Takes the pack with that number, or says that there is none.
    fn take(&mut self, number: u64) -> Result<bool, StoreError> {
        let row = self.store.row(Table::Log, &number.to_be_bytes())?;
        self.number = number;
        self.offset = 0;
        self.pack = row.as_ref().map(|row| row.to_vec()).unwrap_or_default();
        Ok(row.is_some())
    }

    pub(crate) fn next(&mut self) -> Result<Option<Found>, StoreError> {
        loop {
            if self.offset == self.pack.len() && !self.take(self.number + 1)? {
                return Ok(None);
            }
            let found = self.one()?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// The record here; `None`: one that is not used.
    fn one(&mut self) -> Result<Option<Found>, StoreError> {
        let place = self.place();
        let mut reader = Reader(self.pack.get(self.offset..).unwrap_or_default());
        let source = reader.num32()?;
        let codec = match reader.u8()? {
            0x71 => Some(Codec::DagCbor),
            0x55 => Some(Codec::Raw),
            UNUSED => None,
            _ => return damaged("a record has an unknown codec"),
        };
        let length = usize::try_from(reader.num()?).unwrap_or(usize::MAX);
        if codec.is_some() && length > lama_chum::MAX_OBJECT {
            return damaged("a record is too long");
        }
        self.offset = self.pack.len() - reader.0.len();
        let mut bytes = Vec::with_capacity(if codec.is_some() { length } else { 0 });
        let mut left = length;
        loop {
            let rest = self.pack.get(self.offset..).unwrap_or_default();
            let taken = rest.len().min(left);
            if codec.is_some() {
                bytes.extend_from_slice(rest.get(..taken).unwrap_or_default());
            }
            self.offset += taken;
            left -= taken;
            if left == 0 {
                let found = |codec| Found { place, source, id: Cid::of(codec, &bytes), bytes };
                return Ok(codec.map(found));
            }
            if !self.take(self.number + 1)? {
                return damaged("the last record is cut short");
            }
        }
    }
}

impl<E: Engine> Store<E> {
    /// Walks everything: the engine's own structures, each record (hashed again), index, links, views with their
    /// fingerprints, what is set aside, and the channels. Reads the whole store.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with the first contradiction; the engine's.
    pub fn check(&mut self) -> Result<Checked, StoreError> {
        self.usable()?;
        self.engine.check()?;
        self.settle()?;
        let mut checked = Checked::default();
        let places = self.check_log(&mut checked)?;
        let members = self.check_index(&places)?;
        self.check_views(&members, &mut checked)?;
        self.check_waiting()?;
        self.check_channels()?;
        if checked.objects != self.hot.counts.objects || checked.bytes != self.hot.counts.bytes {
            return damaged("the number of objects is not what was counted");
        }
        Ok(checked)
    }

    fn check_log(&self, checked: &mut Checked) -> Result<SortedSet<u64>, StoreError> {
        let mut places = SortedSet::new();
        let Some(mut records) = Records::new(self)? else { return Ok(places) };
        while let Some(Found { place, source, id, bytes }) = records.next()? {
            checked.records += 1;
            places.insert(place);
            let Some(slot) = self.object(&id)? else { return damaged("a record is not in the index") };
            if slot.place != place {
                return damaged("an object is stored twice");
            }
            if source != 0 && self.hot.owner_of(source).is_none() {
                return damaged("a record came from nobody");
            }
            if !slot.is_visible() {
                continue;
            }
            checked.objects += 1;
            checked.bytes += bytes.len() as u64;
            let links = if id.codec() == Codec::Raw { Vec::new() } else { links_of(&bytes)? };
            if slot.has(Slot::LEAF) != links.is_empty() {
                return damaged("an object has other links than the index says");
            }
            for link in &links {
                if !self.is_noted(&id, place, link)? {
                    return damaged("an object is not known to link to what it links to");
                }
                // What was deleted, refused or never given by its owner leaves a hole that is known.
                if self.object(link)?.is_none_or(|slot| slot.has(Slot::ASIDE)) {
                    return damaged("an object can be read, and what it links to cannot");
                }
            }
        }
        Ok(places)
    }

    /// Checks that each slot names a record, and counts the members of each view.
    fn check_index(&self, places: &SortedSet<u64>) -> Result<SortedMap<u32, u64>, StoreError> {
        let mut members: SortedMap<u32, u64> = SortedMap::new();
        let mut look = |key: IndexKey, slot: Slot| {
            if key.view != 0 && slot.has(Slot::LEFT) {
                return Ok(());
            }
            if key.view != 0 {
                *members.entry(key.view).or_default() += 1;
                return Ok(());
            }
            if slot.view != 0 && !slot.has(Slot::LEFT) {
                *members.entry(slot.view).or_default() += 1;
            }
            if slot.place != Slot::NOWHERE && !places.contains(&slot.place) {
                return damaged("an index entry names a record that is not there");
            }
            Ok(())
        };
        let newer = &self.group.index;
        newer.iter().try_for_each(|(key, slot)| look(*key, *slot))?;
        self.index.each(&self.engine, &mut |key, slot| {
            if newer.contains_key(&key) { Ok(()) } else { look(key, slot) }
        })?;
        Ok(members)
    }

    fn check_views(&self, members: &SortedMap<u32, u64>, checked: &mut Checked) -> Result<(), StoreError> {
        for (number, view) in &self.hot.views {
            let peers: Vec<_> = self.hot.peers.values().filter(|peer| peer.view == *number).collect();
            let mut rebuilt: Vec<_> = peers.iter().map(|_| Sums::empty()).collect();
            let (mut seq, mut count) = (0, 0);
            self.each_entry(*number, 0, &mut |entry| {
                seq += 1;
                if entry.has(VOID) {
                    return if entry.seq == seq { Ok(true) } else { damaged("a view log has a gap") };
                }
                let Some(slot) = self.object(&entry.id)? else {
                    return damaged("a view names an unknown id");
                };
                if entry.seq != seq || !self.is_member(&entry.id, slot, *number)? {
                    return damaged("a view log and its members differ");
                }
                if entry.place != Slot::NOWHERE && entry.place != slot.place {
                    return damaged("a view entry names another record than the index");
                }
                count += u64::from(entry.counts());
                for (peer, sums) in peers.iter().zip(&mut rebuilt).filter(|_| entry.counts()) {
                    sums.add(&peer.keys, &entry.id);
                }
                Ok(true)
            })?;
            // Since every entry is a member, equal numbers mean that no id stands there twice.
            if seq != view.seq
                || count != view.count
                || count != members.get(number).copied().unwrap_or_default()
            {
                return damaged("a view log is longer or shorter than its head says");
            }
            if peers.iter().zip(&rebuilt).any(|(peer, sums)| !peer.progress.sums.agree_with(sums)) {
                return damaged("a fingerprint or sketch is not that of its view");
            }
            checked.entries += seq;
        }
        if members.keys().any(|view| !self.hot.views.contains_key(view)) {
            return damaged("an id stands in a view that is not there");
        }
        Ok(())
    }

    fn check_waiting(&self) -> Result<(), StoreError> {
        let mut waiting = 0;
        self.each_meta(&[kind::WAITING], &mut |key, _| {
            waiting += 1;
            let (missing, id) = (read_id(&mut Reader(key))?, id_at_end(key)?);
            if self.object(&missing)?.is_some_and(Slot::is_visible) {
                return damaged("an object waits for one that is here");
            }
            if !self.object(&id)?.is_some_and(|slot| slot.has(Slot::ASIDE)) {
                return damaged("an object waits that is not set aside");
            }
            Ok(true)
        })?;
        if waiting != self.hot.counts.waiting || waiting != self.hot.counts.aside {
            return damaged("the number of objects set aside is not what was counted");
        }
        Ok(())
    }

    fn check_channels(&self) -> Result<(), StoreError> {
        for channel in self.channels()? {
            let mut entries = 0;
            self.each_meta(&crate::layout::meta(kind::ENTRY, &[&channel.channel.0]), &mut |key, _| {
                entries += 1;
                if !self.object(&id_at_end(key)?)?.is_some_and(Slot::is_visible) {
                    return damaged("a channel names an entry that is not here");
                }
                Ok(true)
            })?;
            if entries != channel.entries {
                return damaged("a channel has more or fewer entries than were counted");
            }
            let mut unread = 0;
            self.each_meta(&crate::layout::meta(kind::UNREAD, &[&channel.channel.0]), &mut |_, value| {
                unread += 1;
                if !self.object(&id_at_end(value)?)?.is_some_and(Slot::is_visible) {
                    return damaged("an unread entry is not here");
                }
                Ok(true)
            })?;
            if unread != channel.unread {
                return damaged("a channel has more or fewer unread entries than were counted");
            }
        }
        Ok(())
    }
}
