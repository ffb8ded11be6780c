//! What an id is to a view, and how entries come to stand in its log: appended, and never taken out of its numbering.
//!
//! An entry that was taken back before anybody had it stays as an empty one, and another empty one is appended, so
//! that a head (number, count, fingerprint) names one set only. What may have been sent stays in the set; if its
//! object is not to be given any more, the entry becomes a tombstone.

use lama_chum::{Lane, Positions};
use lama_core::{SortedMap, SortedSet};
use lama_identity::Cid;

use crate::access::open_page;
use crate::engine::{Engine, Table};
use crate::hot::page_key;
use crate::layout::{IndexKey, PACK, Slot};
use crate::peer::Peer;
use crate::view::{AGAIN, GONE, VOID, remark};
use crate::{Store, StoreError};

impl<E: Engine> Store<E> {
    /// The state of an id in a view ([`Slot::CAME`], [`Slot::TOLD`]); `None`: the view does not hold it. `slot` is what
    /// the index says of the object.
    #[inline]
    pub(crate) fn member(&self, id: &Cid, slot: Slot, view: u32) -> Result<Option<u8>, StoreError> {
        if slot.view == view {
            return Ok((!slot.has(Slot::LEFT)).then_some(slot.flags & Slot::STATE));
        }
        if slot.view == 0 {
            return Ok(None);
        }
        let row = self.slot(&IndexKey::member(id, view))?.filter(|row| !row.has(Slot::LEFT));
        Ok(row.map(|row| row.flags & Slot::STATE))
    }

    /// Whether a view holds an id.
    #[inline]
    pub(crate) fn is_member(&self, id: &Cid, slot: Slot, view: u32) -> Result<bool, StoreError> {
        Ok(self.member(id, slot, view)?.is_some())
    }

    /// Whether a view's person may see the object behind an id: the view holds it, and not as a tombstone.
    pub(crate) fn may_see(&self, id: &Cid, slot: Slot, view: u32) -> Result<bool, StoreError> {
        Ok(self.member(id, slot, view)?.is_some_and(|state| state & Slot::TOLD == 0))
    }

    /// Whether some person has brought an object and not said since that it is gone.
    pub(crate) fn is_brought(&self, id: &Cid, slot: Slot) -> Result<bool, StoreError> {
        for (view, _) in (1..).zip(&self.hot.person_rows) {
            if self.member(id, slot, view)?.is_some_and(|state| state & Slot::CAME != 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sets the state of an id in a view of which the index knows.
    pub(crate) fn put_state(&mut self, id: &Cid, slot: &mut Slot, view: u32, state: u8) {
        if slot.view == view {
            slot.flags = (slot.flags & !Slot::STATE) | state;
            self.put_slot(id, *slot);
        } else {
            self.group.index.insert(IndexKey::member(id, view), Slot { flags: state, ..Slot::default() });
        }
    }

    /// Enters an id into a view that does not hold it: log, count, index and all sums. One that it holds as a
    /// tombstone is said [`AGAIN`], which changes no set.
    pub(crate) fn enter(
        &mut self,
        view: u32,
        id: &Cid,
        slot: &mut Slot,
        source: u32,
        marks: u8,
    ) -> Result<(), StoreError> {
        // Of what is gone and was never here nothing is known: first, so that it comes before what may follow it.
        let unknown = marks & GONE != 0 && slot.place == Slot::NOWHERE;
        let mut lane = if unknown { Lane::Interactive } else { slot.lane(id) };
        if marks & AGAIN != 0 && source == 0 {
            // What is said of it later does not overtake what was said before.
            lane = lane.max(self.last_lane(view, id, *slot)?);
        }
        self.enter_lane(view, id, slot, source, (marks, lane))
    }

    /// The last lane in which something of an id was put into a view here.
    fn last_lane(&mut self, view: u32, id: &Cid, slot: Slot) -> Result<Lane, StoreError> {
        let mut last = Lane::Interactive;
        self.index_pages(view)?;
        self.entries_at(view, &SortedSet::from([slot.place]), &mut |entry| {
            if entry.id == *id && entry.source == 0 && !entry.has(VOID) {
                last = last.max(entry.lane);
            }
            Ok(true)
        })?;
        Ok(last)
    }

    /// [`Store::enter`], in a lane that another knows better than the object itself.
    pub(crate) fn enter_lane(
        &mut self,
        view: u32,
        id: &Cid,
        slot: &mut Slot,
        source: u32,
        (marks, lane): (u8, Lane),
    ) -> Result<(), StoreError> {
        let again = marks & AGAIN != 0;
        let state = match (marks & GONE, source) {
            (0, 0) => 0,
            (0, _) => Slot::CAME,
            _ => Slot::TOLD,
        };
        if slot.view == 0 {
            slot.view = view;
        }
        if slot.view == view && !again && state == 0 && slot.flags & Slot::STATE == 0 {
            self.put_slot(id, *slot);
        } else {
            self.put_state(id, slot, view, state);
        }
        self.append(view, id, slot.place, source, marks, lane)?;
        if !again {
            self.fold(view, |peer| peer.progress.sums.add(&peer.keys, id));
        }
        Ok(())
    }

    /// Appends an entry to the log of a view.
    fn append(
        &mut self,
        view: u32,
        id: &Cid,
        place: u64,
        source: u32,
        marks: u8,
        lane: Lane,
    ) -> Result<(), StoreError> {
        let log = self.hot.views.entry(view).or_default();
        if log.seq >= u32::MAX.into() {
            return Err(StoreError::Limit { what: "entries in one view", limit: u32::MAX.into() });
        }
        if log.open.is_none() {
            open_page(&self.engine, &self.group.batch, view, log)?;
        }
        if log.page_len as usize + 64 > PACK
            && let Some(full) = log.open.take()
        {
            crate::hot::put_page(&mut self.group.batch, view, log.page, full);
            log.begin_page();
        }
        log.append(id, place, source, marks, lane);
        self.hot.dirty_views.insert(view);
        Ok(())
    }

    /// Changes what is added up over a view, towards each instance of its person.
    fn fold(&mut self, view: u32, change: impl Fn(&mut Peer)) {
        for number in self.hot.peers_of.get(&view).into_iter().flatten() {
            if let Some(peer) = self.hot.peers.get_mut(number) {
                change(peer);
                self.hot.dirty_peers.insert(*number);
            }
        }
    }

    /// Takes ids out of a view whose entries nobody has seen: out of count, sums and index. Their entries are
    /// emptied by the caller ([`Store::remark`]).
    pub(crate) fn leave(&mut self, view: u32, ids: &[Cid]) -> Result<(), StoreError> {
        for id in ids {
            let Some(mut slot) = self.object(id)? else { continue };
            self.put_state(id, &mut slot, view, Slot::LEFT);
            self.fold(view, |peer| peer.progress.sums.remove(&peer.keys, id));
            if let Some(log) = self.hot.views.get_mut(&view) {
                log.count = log.count.saturating_sub(1);
            }
        }
        match ids.last() {
            Some(last) => self.append(view, last, Slot::NOWHERE, 0, VOID, Lane::default()),
            None => Ok(()),
        }
    }

    /// Changes the marks of entries: by sequence number, the marks to set and those to clear.
    pub(crate) fn remark(&mut self, view: u32, changes: &SortedMap<u64, (u8, u8)>) -> Result<(), StoreError> {
        let mut next = changes.keys().next().copied();
        while let Some(seq) = next {
            let first = self.page_of(view, seq)?;
            let Some(log) = self.hot.views.get_mut(&view) else { return Ok(()) };
            let in_open = log.open.is_some() && seq >= log.page;
            let last = if in_open {
                if let Some(page) = log.open.as_mut() {
                    remark(log.page, page, changes)?;
                }
                self.hot.dirty_views.insert(view);
                u64::MAX
            } else {
                let lost = StoreError::Corrupt("a page of a view is not there");
                let key = page_key(view, first);
                let mut page = alloc::vec::Vec::from(&self.row(Table::Views, &key)?.ok_or(lost)?[..]);
                remark(first, &mut page, changes)?;
                let entries = crate::view::PageReader::new(first, &page).count() as u64;
                self.group.batch.put(Table::Views, key, page);
                first.saturating_add(entries).saturating_sub(1)
            };
            next = last.checked_add(1).and_then(|from| changes.range(from..).next()).map(|(seq, _)| *seq);
        }
        Ok(())
    }

    /// Entries up to here were given to be sent to an instance of the view's person, or are known to be there. Kept
    /// in memory until the next commit: a store that was not closed has forgotten it, and takes a new epoch.
    pub(crate) fn note_sent(&mut self, view: u32, upto: Positions) {
        if let Some(log) = self.hot.views.get_mut(&view) {
            let upto = Positions::limited(upto.to_array().map(|upto| upto.min(log.seq)));
            if !log.sent.covers(upto) {
                log.sent = log.sent.max(upto);
                self.hot.lazy_views.insert(view);
            }
        }
    }
}
