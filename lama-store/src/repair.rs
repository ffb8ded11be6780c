//! Repair: what can be computed from the object log and the view logs is computed anew.
//!
//! The log is the truth about objects, the view logs are the truth about who has what. From these come the index, the
//! members of each view, what is set aside, the counts, the heads, fingerprints and sketches of the views. What a typed object
//! did when it came (channels, endpoints, rules) is left as it is, but for the number of entries of a channel. Contacts,
//! tokens and peers are nowhere else: where they are damaged only a backup helps.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use lama_chum::{Cursor, NO_EPOCH};
use lama_core::{Seed, SortedMap, SortedSet};
use lama_identity::{Cid, Codec};

use crate::check::{Found, Records};
use crate::codec::Reader;
use crate::engine::{Engine, Table};
use crate::hot::{Counts, page_key};
use crate::import::links_of;
use crate::layout::{IndexKey, PACK, Slot, UNUSED, id_bytes, kind, meta, pack_and_offset, place, read_id};
use crate::opening::{draw_epoch, put_epoch};
use crate::peer::Sums;
use crate::view::{GONE, VOID, ViewEntry};
use crate::{Store, StoreError};

/// What a repair changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Entries of the index that were written anew, or removed.
    pub index: u64,
    /// Views whose head, pages or fingerprints were not those of their entries.
    pub views: u64,
    /// Whether the numbers of objects and bytes were wrong.
    pub counts: bool,
    /// Channels whose number of entries was wrong.
    pub channels: u64,
    /// Records that are damaged: their bytes are not those of any object that is known.
    pub damaged: u64,
    /// Objects that stand in a view and whose bytes are lost. The store has taken a new epoch and forgotten up to where
    /// it had the logs of others, so that those who have them bring them back.
    pub lost: u64,
}

impl Repaired {
    /// Whether nothing had to be changed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// An object of the log.
struct Known {
    place: u64,
    source: u32,
    length: u64,
    links: Vec<Cid>,
}

type Objects = SortedMap<Cid, Known>;
type Index = BTreeMap<IndexKey, Slot>;
type Tombs = SortedMap<Cid, bool>;

impl<E: Engine> Store<E> {
    /// Mends what can be mended: the engine's own structures, then all that follows from the logs. Reads the whole
    /// store; memory grows with it (some 150 bytes an object). `seed` is used if objects are lost. Check again afterwards.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], [`StoreError::Corrupt`] where the logs themselves cannot be read; the engine's.
    pub fn repair(&mut self, seed: Seed) -> Result<Repaired, StoreError> {
        if self.engine.is_read_only() {
            return Err(StoreError::ReadOnly);
        }
        self.usable()?;
        match self.engine.check() {
            Ok(()) | Err(StoreError::Corrupt(_)) => {}
            Err(error) => return Err(error),
        }
        self.flush()?;
        let mut done = Repaired::default();
        let old = self.index.remains(&self.engine);
        let (objects, damaged) = self.whole_log(&old)?;
        done.damaged = damaged.len() as u64;
        for (from, to) in damaged {
            self.leave_out(from, to)?;
        }
        let mut index = wanted_objects(&objects, &old, &self.tombs()?);
        let lossy = self.wanted_members(&old, &mut index, &mut done)?;
        self.write_index(&old, &index, &mut done)?;
        self.mend_views(&index, &lossy, &mut done)?;
        let counts = self.hot.counts;
        self.mend_waiting(&objects, &index)?;
        done.counts = counts != self.hot.counts;
        self.mend_channels(&mut done)?;
        if done.lost > 0 {
            self.forget_cursors(&seed);
        }
        self.flush()?;
        self.hot.spans.clear();
        self.build_links()?;
        Ok(done)
    }

    /// What was deleted, and whether it was put here.
    fn tombs(&self) -> Result<Tombs, StoreError> {
        let mut tombs = Tombs::new();
        self.each_meta(&[kind::TOMB], &mut |key, value| {
            tombs.insert(read_id(&mut Reader(key))?, Reader(value).num32()? == 0);
            Ok(true)
        })?;
        Ok(tombs)
    }

    /// Every object whose bytes are those of its id, as far as that can be told, and the stretches between them.
    fn whole_log(&self, old: &Index) -> Result<(Objects, Vec<(u64, u64)>), StoreError> {
        let places: SortedMap<u64, IndexKey> = old
            .iter()
            .filter(|(key, slot)| key.view == 0 && slot.place != Slot::NOWHERE)
            .map(|(key, slot)| (slot.place, *key))
            .collect();
        let after = |place: u64| places.range(place + 1..).map(|(place, _)| *place).next();
        let (mut objects, mut damaged) = (Objects::new(), Vec::new());
        let Some(mut records) = Records::new(self)? else { return Ok((objects, damaged)) };
        let end = place(self.hot.pack.number, 0);
        loop {
            let start = records.place();
            let Found { place, source, id, bytes } = match records.next() {
                Ok(Some(found)) => found,
                Ok(None) => return Ok((objects, damaged)),
                Err(_) => {
                    let next = after(start);
                    damaged.push((start, next.unwrap_or(end)));
                    let Some(next) = next else { return Ok((objects, damaged)) };
                    records.skip_to(next)?;
                    continue;
                }
            };
            let claimed = places.get(&place).is_none_or(|key| *key == IndexKey::object(&id));
            let links = if id.codec() == Codec::Raw { Ok(Vec::new()) } else { links_of(&bytes) };
            // A length that was damaged runs over the next record: believe the index about where that begins.
            let inside = after(place).filter(|next| *next < records.place());
            match links {
                Ok(links) if claimed && inside.is_none() => {
                    let length = bytes.len() as u64;
                    objects.entry(id).or_insert(Known { place, source, length, links });
                }
                _ => damaged.push((place, inside.unwrap_or_else(|| records.place()))),
            }
            if let Some(inside) = inside {
                records.skip_to(inside)?;
            }
        }
    }

    /// Marks what lies between two places as unused.
    fn leave_out(&mut self, from: u64, to: u64) -> Result<(), StoreError> {
        const LOST: StoreError = StoreError::Corrupt("a pack of the object log is missing");
        let ((first, offset), (last, end)) = (pack_and_offset(from), pack_and_offset(to));
        let pack = |this: &Self, number: u64| this.row(Table::Log, &number.to_be_bytes());
        let mut bytes = pack(self, first)?.ok_or(LOST)?.to_vec();
        let mut length = if first == last { end } else { bytes.len() }.saturating_sub(offset) as u64;
        for number in first + 1..=last {
            let whole = pack(self, number)?.map_or(0, |pack| pack.len());
            length += if number == last { end } else { whole } as u64;
        }
        // Source 0, the mark, and a length of as many bytes as make the sum right.
        let mut header = alloc::vec![0, UNUSED];
        let rest = length.checked_sub(2).ok_or(LOST)?;
        let width = (1..=5).find(|width| rest >= *width && (rest - width) >> (7 * width) == 0).ok_or(LOST)?;
        for at in 0..width {
            let more = if at + 1 < width { 0x80 } else { 0 };
            header.push((((rest - width) >> (7 * at)) & 0x7f) as u8 | more);
        }
        let place = bytes.get_mut(offset..offset + header.len()).ok_or(LOST)?;
        place.copy_from_slice(&header);
        self.group.batch.put(Table::Log, first.to_be_bytes(), bytes);
        Ok(())
    }

    /// Enters the members of all views; gives the views that name what is lost.
    fn wanted_members(
        &self,
        old: &Index,
        index: &mut Index,
        done: &mut Repaired,
    ) -> Result<SortedSet<u32>, StoreError> {
        let mut lossy = SortedSet::new();
        let mut lost = SortedSet::new();
        for view in self.hot.views.keys() {
            self.each_entry(*view, 0, &mut |entry| {
                if entry.has(VOID) {
                    return Ok(true);
                }
                let key = IndexKey::object(&entry.id);
                let known = old.get(&key).copied().unwrap_or_default();
                let slot = index.entry(key).or_insert(Slot { place: Slot::NOWHERE, flags: 0, view: 0 });
                // What was said of the id in this view, besides that it is there, stands in the index; where that is
                // lost, what the last entry says: whether it is a tombstone, or was brought.
                let state = Slot::STATE & !Slot::LEFT;
                let told = match (entry.has(GONE), entry.source) {
                    (true, _) => Slot::TOLD,
                    (false, 0) => 0,
                    (false, _) => Slot::CAME,
                };
                if entry.place != Slot::NOWHERE && entry.place != slot.place {
                    lossy.insert(*view);
                }
                if slot.place == Slot::NOWHERE && old.get(&key).is_some_and(|old| old.place != Slot::NOWHERE)
                {
                    lost.insert(entry.id);
                }
                if slot.view == 0 {
                    slot.view = *view;
                    let same = known.view == *view;
                    let row = old.get(&IndexKey::member(&entry.id, *view)).map(|row| row.flags);
                    slot.flags |= if same { known.flags } else { row.unwrap_or(told) } & state;
                } else if slot.view != *view {
                    let row = IndexKey::member(&entry.id, *view);
                    let same = known.view == *view;
                    let said = if same { known.flags } else { old.get(&row).map_or(told, |row| row.flags) };
                    index.insert(row, Slot { flags: said & state, ..Slot::default() });
                } else {
                    slot.flags &= !Slot::LEFT;
                    if known.view != *view && !old.contains_key(&IndexKey::member(&entry.id, *view)) {
                        slot.flags = (slot.flags & !state) | told;
                    }
                }
                Ok(true)
            })?;
        }
        // Views that hold an id no more are remembered.
        for (key, row) in old.iter().filter(|(key, row)| key.view != 0 && row.has(Slot::LEFT)) {
            index.entry(*key).or_insert(*row);
        }
        done.lost = lost.len() as u64;
        Ok(lossy)
    }

    /// Writes the index anew if any entry differs.
    fn write_index(&mut self, old: &Index, index: &Index, done: &mut Repaired) -> Result<(), StoreError> {
        let changed = index.iter().filter(|(key, slot)| old.get(key) != Some(slot)).count();
        let gone = old.keys().filter(|key| !index.contains_key(key)).count();
        done.index = (changed + gone) as u64;
        // What the index itself contradicts is written anew, too: a header that does not speak of its rows.
        if done.index == 0 && self.index.each(&self.engine, &mut |_, _| Ok(())).is_ok() {
            return Ok(());
        }
        self.index.replace(&mut self.engine, index, self.config.recent_entries)
    }

    /// Heads, fingerprints, sketches, and the pages of views that name a record that is lost.
    fn mend_views(
        &mut self,
        index: &Index,
        lossy: &SortedSet<u32>,
        done: &mut Repaired,
    ) -> Result<(), StoreError> {
        let numbers: Vec<u32> = self.hot.views.keys().copied().collect();
        for number in numbers {
            let peers: Vec<u32> = self.hot.peers_of.get(&number).into_iter().flatten().copied().collect();
            let mut rebuilt: Vec<Sums> = peers.iter().map(|_| Sums::empty()).collect();
            let mut entries = Vec::new();
            self.each_entry(number, 0, &mut |entry| {
                for (peer, sums) in peers.iter().zip(&mut rebuilt).filter(|_| entry.counts()) {
                    if let Some(peer) = self.hot.peers.get(peer) {
                        sums.add(&peer.keys, &entry.id);
                    }
                }
                if lossy.contains(&number) {
                    entries.push(entry);
                }
                Ok(true)
            })?;
            let mut changed = lossy.contains(&number);
            for (peer, sums) in peers.iter().zip(rebuilt) {
                if let Some(peer) = self.hot.peers.get_mut(peer) {
                    changed |= !peer.progress.sums.agree_with(&sums);
                    peer.progress.sums = sums;
                }
            }
            self.hot.dirty_peers.extend(&peers);
            if lossy.contains(&number) {
                self.write_pages(number, &entries, index)?;
            }
            done.views += u64::from(changed);
        }
        Ok(())
    }

    /// Writes a view log again, with the places that its objects have now.
    fn write_pages(&mut self, number: u32, entries: &[ViewEntry], index: &Index) -> Result<(), StoreError> {
        let Some(view) = self.hot.views.get(&number) else { return Ok(()) };
        let mut fresh = view.clone();
        (fresh.seq, fresh.count, fresh.page, fresh.page_len, fresh.open) = (0, 0, 0, 0, None);
        let mut old = Vec::new();
        self.rows(Table::Views, &page_key(number, 0), Some(&page_key(number, u64::MAX)), &mut |key, _| {
            old.push(key.to_vec());
            Ok(true)
        })?;
        old.into_iter().for_each(|key| self.group.batch.remove(Table::Views, key));
        fresh.begin_page();
        for entry in entries {
            if fresh.page_len as usize + 64 > PACK
                && let Some(full) = fresh.open.take()
            {
                crate::hot::put_page(&mut self.group.batch, number, fresh.page, full);
                fresh.begin_page();
            }
            let place = index.get(&IndexKey::object(&entry.id)).map_or(Slot::NOWHERE, |slot| slot.place);
            fresh.append(&entry.id, place, entry.source, entry.marks, entry.lane);
        }
        self.hot.views.insert(number, fresh);
        self.hot.dirty_views.insert(number);
        Ok(())
    }

    /// What waits for a link, and the counts.
    fn mend_waiting(&mut self, objects: &Objects, index: &Index) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        self.each_meta(&[kind::WAITING], &mut |key, _| {
            rows.push(meta(kind::WAITING, &[key]));
            Ok(true)
        })?;
        rows.into_iter().for_each(|key| self.meta_remove(key));
        for view in self.hot.views.values_mut() {
            (view.aside_objects, view.aside_bytes) = (0, 0);
        }
        self.hot.dirty_views.extend(self.hot.views.keys());
        self.hot.counts =
            Counts { rules: self.hot.counts.rules, id_rules: self.hot.counts.id_rules, ..Counts::default() };
        self.hot.dirty_counts = true;
        let slot = |id: &Cid| index.get(&IndexKey::object(id)).copied().unwrap_or_default();
        for (id, known) in objects.iter().filter(|(id, _)| !slot(id).has(Slot::GONE)) {
            let waits = slot(id).has(Slot::ASIDE);
            let Some(missing) = known.links.iter().find(|link| waits && !is_settled(index, link)) else {
                self.hot.counts.objects += 1;
                self.hot.counts.bytes += known.length;
                continue;
            };
            let view = self.hot.owner_of(known.source).unwrap_or(0);
            if let Some(view) = self.hot.views.get_mut(&view) {
                view.aside_objects += 1;
                view.aside_bytes += known.length;
            }
            let row = crate::codec::Writer::default().num(view.into()).num(known.length).0;
            self.meta_put(meta(kind::WAITING, &[&id_bytes(missing), &id_bytes(id)]), row);
            self.hot.counts.aside += 1;
            self.hot.counts.waiting += 1;
        }
        Ok(())
    }

    /// Numbers of entries.
    fn mend_channels(&mut self, done: &mut Repaired) -> Result<(), StoreError> {
        for mut channel in self.channels()? {
            let mut entries = 0;
            self.each_meta(&meta(kind::ENTRY, &[&channel.channel.0]), &mut |_, _| {
                entries += 1;
                Ok(true)
            })?;
            if entries != channel.entries {
                channel.entries = entries;
                let row = crate::typed::channel::channel_bytes(&channel);
                self.meta_put(meta(kind::CHANNEL, &[&channel.channel.0]), row);
                done.channels += 1;
            }
        }
        Ok(())
    }

    /// Objects that are lost come back from those who have them only if nobody trusts a cursor of before.
    fn forget_cursors(&mut self, seed: &Seed) {
        for (number, peer) in &mut self.hot.peers {
            (peer.progress.received, peer.progress.acked) = (Cursor::default(), Cursor::default());
            peer.progress.life = NO_EPOCH;
            self.hot.dirty_peers.insert(*number);
        }
        self.before = Default::default();
        self.hot.epoch = draw_epoch(seed, self.hot.epoch);
        put_epoch(&mut self.group.batch, self.hot.epoch, false);
    }
}

/// The entries of the objects themselves, with what is set aside for want of a link.
fn wanted_objects(objects: &Objects, old: &Index, tombs: &Tombs) -> Index {
    let mut index = Index::new();
    // Tombstones whose bytes went with a compaction.
    for (id, own) in tombs.iter().filter(|(id, _)| !objects.contains_key(*id)) {
        let key = IndexKey::object(id);
        let before = old.get(&key).copied().unwrap_or_default();
        let (left, view) = if before.has(Slot::LEFT) { (Slot::LEFT, before.view) } else { (0, 0) };
        let kept = before.flags & (Slot::OWN | Slot::LEAF) | if *own { Slot::OWN } else { 0 };
        index.insert(key, Slot { place: Slot::NOWHERE, flags: Slot::GONE | kept | left, view });
    }
    for (id, known) in objects {
        let key = IndexKey::object(id);
        let before = old.get(&key).copied().unwrap_or_default();
        let own = known.source == 0 || before.has(Slot::OWN);
        let gone = if tombs.contains_key(id) { Slot::GONE } else { 0 };
        let mut flags = (before.flags & (Slot::GONE | Slot::LIGHT)) | gone | if own { Slot::OWN } else { 0 };
        let view = if before.has(Slot::LEFT) { before.view } else { 0 };
        flags |= if view == 0 { 0 } else { Slot::LEFT };
        // Until its links turn out to be here.
        flags |= if known.links.is_empty() { Slot::LEAF } else { Slot::ASIDE };
        index.insert(key, Slot { place: known.place, flags, view });
    }
    // In the order of the log: links mostly stand before what names them, so one round settles nearly all.
    let mut open: Vec<(&Cid, &Known)> = objects.iter().filter(|(_, known)| !known.links.is_empty()).collect();
    open.sort_unstable_by_key(|(_, known)| known.place);
    loop {
        let before = open.len();
        open.retain(|(id, known)| {
            // A part that nobody will bring leaves a hole that is known, if the object was to be seen before.
            let seen = old.get(&IndexKey::object(id)).is_some_and(|slot| !slot.has(Slot::ASIDE));
            let hole =
                |link: &Cid| old.get(&IndexKey::object(link)).is_some_and(|slot| slot.place == Slot::NOWHERE);
            let here = known.links.iter().all(|link| is_settled(&index, link) || (seen && hole(link)));
            if here && let Some(slot) = index.get_mut(&IndexKey::object(id)) {
                slot.flags &= !Slot::ASIDE;
            }
            !here
        });
        if open.len() == before {
            return index;
        }
    }
}

/// Whether what links to an object need not wait for it.
fn is_settled(index: &Index, id: &Cid) -> bool {
    index.get(&IndexKey::object(id)).is_some_and(|slot| slot.is_settled())
}
