//! Taking back: grants that end, and objects that are deleted.
//!
//! What nobody has seen leaves the view without a trace. What was sent, or is on its way, stays in the set; whoever has
//! not got it yet is told that it is gone. What is looked at is what is taken back, what links to that, and the pages of
//! the view on which these stand (`links.rs`): not the view.

use alloc::vec::Vec;

use lama_chum::Positions;
use lama_core::{SortedMap, SortedSet};
use lama_identity::{Cid, PersonId};

use crate::api::{Committed, Revoked};
use crate::engine::Engine;
use crate::import::links_of;
use crate::layout::{Slot, id_bytes, kind, meta};
use crate::typed::is_indexed;
use crate::view::{AGAIN, GONE, ROOT, VOID, ViewEntry};
use crate::{Store, StoreError};

/// What stands in one view of some ids.
#[derive(Default)]
struct Standing {
    /// Entries of ours by id.
    entries: SortedMap<Cid, Vec<ViewEntry>>,
    /// Ids that stay granted.
    kept: SortedSet<Cid>,
}

/// Who hears that an object is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Whoever may have it.
    All,
    /// The same, but for the person of this view, who said so himself.
    AllBut(u32),
    /// Nobody who has it: it is only not kept here any longer. Whoever has not got it yet gets its id alone.
    Nobody,
}

/// The row that outlives the bytes of a deleted object.
pub(crate) fn tomb_row(id: &Cid, slot: Slot) -> (Vec<u8>, Vec<u8>) {
    (meta(kind::TOMB, &[&id_bytes(id)]), [u8::from(!slot.has(Slot::OWN))].to_vec())
}

/// Objects with what they link to, and the places of their records.
type Around = (SortedMap<Cid, Vec<Cid>>, SortedSet<u64>);

impl<E: Engine> Store<E> {
    /// Ends direct grants.
    pub(crate) fn revoke(
        &mut self,
        ids: &[Cid],
        persons: &[PersonId],
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        for person in persons {
            let Some(view) = self.hot.persons.get(person).copied() else {
                return Err(StoreError::NotAContact(*person));
            };
            for id in ids {
                self.meta_remove(meta(kind::GRANT, &[&view.to_be_bytes(), &id_bytes(id)]));
            }
            self.retract(*person, ids, true, report)?;
        }
        Ok(())
    }

    /// Takes back what a person sees by `roots` and by nothing else; `direct`: their direct grants have ended, too.
    pub(crate) fn retract(
        &mut self,
        person: PersonId,
        roots: &[Cid],
        direct: bool,
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        let Some(view) = self.hot.persons.get(&person).copied() else { return Ok(()) };
        let below = self.below(view, roots)?;
        if below.is_empty() {
            return Ok(());
        }
        let ended: &[Cid] = if direct { roots } else { &[] };
        let standing = self.standing(view, &person, &below, ended)?;
        let sent = self.hot.views.get(&view).map_or(Positions::all(0), |log| log.sent);
        let mut changes = SortedMap::new();
        let mut left = Vec::new();
        let mut revoked = Revoked { person, taken_back: 0, stays: 0 };
        for (id, entries) in &standing.entries {
            if standing.kept.contains(id) {
                if ended.contains(id) {
                    changes.extend(entries.iter().map(|entry| (entry.seq, (0, ROOT))));
                }
                continue;
            }
            for entry in entries {
                let unseen = entry.seq > sent.of(entry.lane);
                changes.insert(entry.seq, if unseen { (VOID, ROOT) } else { (GONE, ROOT) });
                if unseen && !entry.has(AGAIN) {
                    left.push(*id);
                }
            }
            if left.last() == Some(id) {
                revoked.taken_back += 1;
                continue;
            }
            revoked.stays += 1;
            if let Some(mut slot) = self.object(id)? {
                self.put_state(id, &mut slot, view, Slot::TOLD);
            }
        }
        self.remark(view, &changes)?;
        self.leave(view, &left)?;
        if !left.is_empty() {
            report.grown.push(person);
        }
        if revoked.taken_back + revoked.stays > 0 {
            report.revoked.push(revoked);
        }
        Ok(())
    }

    /// What a view holds of `roots` and of what their content links reach.
    fn below(&self, view: u32, roots: &[Cid]) -> Result<SortedSet<Cid>, StoreError> {
        let mut found = SortedSet::new();
        let mut open = roots.to_vec();
        while let Some(id) = open.pop() {
            if found.contains(&id) {
                continue;
            }
            let Some(slot) = self.object(&id)? else { continue };
            if !self.may_see(&id, slot, view)? {
                continue;
            }
            if found.len() >= self.config.max_closure {
                return Err(StoreError::Limit {
                    what: "objects below one share",
                    limit: self.config.max_closure as u64,
                });
            }
            found.insert(id);
            open.extend(self.links_in(slot)?);
        }
        Ok(found)
    }

    /// The content links of an object that can be read.
    pub(crate) fn links_in(&self, slot: Slot) -> Result<Vec<Cid>, StoreError> {
        if slot.has(Slot::LEAF) || !slot.is_visible() {
            return Ok(Vec::new());
        }
        links_of(&self.record(slot.place)?.bytes)
    }

    /// Where `below` stands in a view, and what of it is granted by something else than the direct grants of `ended`: by
    /// itself, by a rule, or as a part of what stays.
    fn standing(
        &mut self,
        view: u32,
        person: &PersonId,
        below: &SortedSet<Cid>,
        ended: &[Cid],
    ) -> Result<Standing, StoreError> {
        if !self.links_known()? {
            return Err(StoreError::Corrupt("who links to what is not known"));
        }
        self.index_pages(view)?;
        let (parents, places) = self.around(view, below)?;
        let mut standing = Standing::default();
        self.entries_at(view, &places, &mut |entry| {
            if entry.has(VOID) || entry.has(GONE) {
                return Ok(true);
            }
            if below.contains(&entry.id) {
                if entry.source != 0 || (entry.has(ROOT) && !ended.contains(&entry.id)) {
                    standing.kept.insert(entry.id);
                }
                if entry.source == 0 {
                    standing.entries.entry(entry.id).or_default().push(entry);
                }
            } else if entry.source == 0 {
                standing.kept.extend(parents.get(&entry.id).into_iter().flatten());
            }
            Ok(true)
        })?;
        for id in below {
            let Some(slot) = self.object(id)? else { continue };
            let came = self.member(id, slot, view)?.is_some_and(|state| state & Slot::CAME != 0);
            let granted = meta(kind::GRANT, &[&view.to_be_bytes(), &id_bytes(id)]);
            if came || self.meta_get(&granted)?.is_some() || self.entitled(id)?.contains(person) {
                standing.kept.insert(*id);
            }
        }
        let mut open: Vec<Cid> = standing.kept.iter().copied().collect();
        while let Some(id) = open.pop() {
            let Some(slot) = self.object(&id)? else { continue };
            for link in self.links_in(slot)? {
                if below.contains(&link) && standing.kept.insert(link) {
                    open.push(link);
                }
            }
        }
        Ok(standing)
    }

    /// What else a view's person sees that links to `below`, with what it links to there; and the places of all of them.
    fn around(&self, view: u32, below: &SortedSet<Cid>) -> Result<Around, StoreError> {
        let (mut parents, mut places) = (SortedMap::<Cid, Vec<Cid>>::new(), SortedSet::new());
        for id in below {
            places.extend(self.object(id)?.map(|slot| slot.place));
            for parent in self.linked_from(id)? {
                if below.contains(&parent) {
                    continue;
                }
                if let Some(slot) = self.object(&parent)?
                    && self.may_see(&parent, slot, view)?
                {
                    places.insert(slot.place);
                    parents.entry(parent).or_default().push(*id);
                }
            }
        }
        Ok((parents, places))
    }

    /// Deletes objects that were put here.
    pub(crate) fn delete(&mut self, ids: &[Cid], report: &mut Committed) -> Result<(), StoreError> {
        for id in ids {
            let slot = self.object(id)?.filter(|slot| slot.is_visible() && slot.has(Slot::OWN));
            let Some(slot) = slot else { return Err(StoreError::NotDeletable(*id)) };
            if is_indexed(&self.record(slot.place)?.bytes) {
                return Err(StoreError::NotDeletable(*id));
            }
        }
        self.entomb(ids, Told::All, report)
    }

    /// Ids that a person's instance says are gone. Whether what that appends to the view came from there.
    pub(crate) fn import_gone(
        &mut self,
        view: u32,
        source: u32,
        id: &Cid,
        report: &mut Committed,
    ) -> Result<bool, StoreError> {
        let unknown = Slot { place: Slot::NOWHERE, ..Slot::default() };
        let mut slot = self.object(id)?.unwrap_or(unknown);
        match self.member(id, slot, view)? {
            None => {
                self.enter(view, id, &mut slot, source, GONE)?;
                // Whatever of his links to it waits in vain.
                self.wake(id, report)?;
                return Ok(true);
            }
            // Said before, or withdrawn here.
            Some(state) if state & Slot::TOLD != 0 => return Ok(true),
            // Never brought by him: what is granted here is not his to take back. He has heard that it is gone, in a life of
            // this store that a backup has undone, or lets his own go: it is offered once more.
            Some(state) if state & Slot::CAME == 0 => {
                if slot.is_visible() && !self.is_offered(view, source, id, slot)? {
                    self.enter(view, id, &mut slot, 0, AGAIN)?;
                }
                return Ok(false);
            }
            Some(_) => {
                self.hush(view, id, slot)?;
                self.enter(view, id, &mut slot, source, GONE | AGAIN)?;
            }
        }
        if !slot.is_visible() || slot.has(Slot::OWN) {
            return Ok(true);
        }
        // It stays as long as somebody else has brought it: in whichever order they came and go.
        if !is_indexed(&self.record(slot.place)?.bytes) && !self.is_brought(id, slot)? {
            self.entomb(&[*id], Told::AllBut(view), report)?;
        }
        Ok(true)
    }

    /// Whether an object is on its way to an instance already because it was granted again.
    fn is_offered(&mut self, view: u32, instance: u32, id: &Cid, slot: Slot) -> Result<bool, StoreError> {
        let acked = self.hot.peers.get(&instance).map_or(0, |peer| self.hot.acked(&peer.progress).whole());
        let mut found = false;
        self.index_pages(view)?;
        self.entries_at(view, &SortedSet::from([slot.place]), &mut |entry| {
            let again = entry.has(AGAIN) && !entry.has(GONE) && !entry.has(VOID);
            found |= entry.id == *id && entry.source == 0 && again && entry.seq > acked;
            Ok(!found)
        })?;
        Ok(found)
    }

    /// What was granted is not sent any more, also where it was under way when a session was cut: of what is read again
    /// the id alone is told.
    fn hush(&mut self, view: u32, id: &Cid, slot: Slot) -> Result<(), StoreError> {
        let mut changes = SortedMap::new();
        self.index_pages(view)?;
        self.entries_at(view, &SortedSet::from([slot.place]), &mut |entry| {
            if entry.id == *id && entry.source == 0 && !entry.has(VOID) && !entry.has(GONE) {
                changes.insert(entry.seq, (GONE, ROOT));
            }
            Ok(true)
        })?;
        self.remark(view, &changes)
    }

    /// Gives objects no more. What people brought does not count against their quota any longer.
    pub(crate) fn entomb(
        &mut self,
        ids: &[Cid],
        told: Told,
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        let mut first_views = SortedMap::new();
        for id in ids {
            let Some(mut slot) = self.object(id)?.filter(|slot| slot.is_visible()) else { continue };
            let record = self.record(slot.place)?;
            let length = record.bytes.len() as u64;
            self.count_kept(record.source, |objects, bytes| {
                (objects.saturating_sub(1), bytes.saturating_sub(length))
            });
            slot.flags |= Slot::GONE;
            self.put_slot(id, slot);
            let (key, row) = tomb_row(id, slot);
            self.meta_put(key, row);
            self.hot.counts.objects = self.hot.counts.objects.saturating_sub(1);
            self.hot.counts.bytes = self.hot.counts.bytes.saturating_sub(length);
            self.hot.dirty_counts = true;
            first_views.insert(*id, slot);
        }
        for (view, person) in (1..).zip(self.hot.person_rows.clone()) {
            let mut here = SortedSet::new();
            for (id, slot) in first_views.iter().filter(|_| told != Told::AllBut(view)) {
                if self.may_see(id, *slot, view)? {
                    here.insert(*id);
                }
            }
            if !here.is_empty() {
                self.entomb_in(view, &here, told != Told::Nobody)?;
                report.grown.push(person);
            }
        }
        Ok(())
    }

    fn entomb_in(&mut self, view: u32, ids: &SortedSet<Cid>, tell: bool) -> Result<(), StoreError> {
        let (mut changes, mut told, mut places) = (SortedMap::new(), SortedSet::new(), SortedSet::new());
        for id in ids {
            places.extend(self.object(id)?.map(|slot| slot.place));
        }
        self.index_pages(view)?;
        self.entries_at(view, &places, &mut |entry| {
            if ids.contains(&entry.id) && !entry.has(VOID) && !entry.has(GONE) {
                changes.insert(entry.seq, (GONE, ROOT));
                // Also what was never sent: the other side may have it from a third, or from a life of this store which a
                // backup or a crash has undone. Both sets hold the id then, and nothing but news would tell.
                if tell && entry.source == 0 {
                    told.insert(entry.id);
                }
            }
            Ok(true)
        })?;
        self.remark(view, &changes)?;
        for id in ids {
            let Some(mut slot) = self.object(id)? else { continue };
            self.meta_remove(meta(kind::GRANT, &[&view.to_be_bytes(), &id_bytes(id)]));
            if told.contains(id) {
                self.enter(view, id, &mut slot, 0, GONE | AGAIN)?;
            } else {
                self.put_state(id, &mut slot, view, Slot::TOLD);
            }
        }
        Ok(())
    }
}
