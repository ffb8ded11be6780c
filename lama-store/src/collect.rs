//! What nobody holds any more: found, and deleted.
//!
//! An object is *held* if somebody may still ask for it or something here rests on it: it was put here and never granted
//! (only who put it knows what for), a contact may see it, an access rule names it, an index rests on it, it waits for a
//! link, the caller names it, or something that is held links to it. What is left was granted once and taken back from
//! everybody, or was brought by somebody who is no contact any longer. It becomes a tombstone that nobody is told of; its
//! bytes go with the next compaction. What was deleted is gone already, and takes no part in this.

use alloc::vec::Vec;

use lama_core::{SortedMap, SortedSet};
use lama_identity::{Cid, Codec};

use crate::api::Committed;
use crate::check::Records;
use crate::engine::Engine;
use crate::import::links_of;
use crate::layout::{Slot, id_bytes, kind, meta};
use crate::revoke::Told;
use crate::typed::is_indexed;
use crate::view::{GONE, VOID};
use crate::{Store, StoreError};

/// Objects that become tombstones in one commit: so much work is done between two durable points.
const AT_ONCE: usize = 10_000;

/// What nobody held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl<E: Engine> Store<E> {
    /// Finds what nobody holds, apart from `keep` and what that links to, and deletes it unless `look` is all that is
    /// asked for. Reads the whole store; memory grows with what is found.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], [`StoreError::Corrupt`]; the engine's.
    pub fn collect(&mut self, keep: &[Cid], look: bool) -> Result<Collected, StoreError> {
        self.usable()?;
        if self.engine.is_read_only() && !look {
            return Err(StoreError::ReadOnly);
        }
        self.flush()?;
        let unheld = self.unheld(keep)?;
        let done = Collected { objects: unheld.len() as u64, bytes: unheld.values().sum() };
        if look {
            return Ok(done);
        }
        let ids: Vec<Cid> = unheld.into_keys().collect();
        for ids in ids.chunks(AT_ONCE) {
            let marked = self.entomb(ids, Told::Nobody, &mut Committed::default());
            marked.and_then(|()| self.flush()).inspect_err(|_| self.reload())?;
        }
        Ok(done)
    }

    /// What nobody holds, with its length.
    fn unheld(&self, keep: &[Cid]) -> Result<SortedMap<Cid, u64>, StoreError> {
        let keep: SortedSet<Cid> = keep.iter().copied().collect();
        let taken_back = self.taken_back()?;
        let mut found = SortedMap::new();
        let mut walk = Records::new(self)?;
        while let Some(record) = walk.as_mut().map_or(Ok(None), Records::next)? {
            let slot = self.object(&record.id)?.filter(|slot| slot.place == record.place);
            let Some(slot) = slot.filter(|slot| slot.is_visible()) else { continue };
            let bringer = self.hot.owner_of(record.source);
            let left = if slot.has(Slot::OWN) {
                taken_back.contains(&record.id)
            } else {
                bringer.is_some_and(|view| !self.is_contact(view))
            };
            if left && !keep.contains(&record.id) && !self.is_held(&record.id, slot, &record.bytes)? {
                found.insert(record.id, record.bytes.len() as u64);
            }
        }
        // What is held holds what it links to.
        let mut held: Vec<Cid> = Vec::new();
        let mut walk = Records::new(self)?;
        while let Some(record) = walk.as_mut().map_or(Ok(None), Records::next)? {
            if found.is_empty() {
                break;
            }
            let links = record.id.codec() == Codec::DagCbor && !found.contains_key(&record.id);
            let gone = self.object(&record.id)?.is_none_or(|slot| slot.has(Slot::GONE));
            if links && !gone {
                held.extend(links_of(&record.bytes)?);
            }
            while let Some(id) = held.pop() {
                if found.remove(&id).is_some()
                    && let Some(slot) = self.object(&id)?
                {
                    held.extend(self.links_in(slot)?);
                }
            }
        }
        Ok(found)
    }

    /// What was granted, and is not any more: to one person at least.
    fn taken_back(&self) -> Result<SortedSet<Cid>, StoreError> {
        let mut ids = SortedSet::new();
        for view in self.hot.views.keys() {
            let served = self.is_contact(*view);
            self.each_entry(*view, 0, &mut |entry| {
                if entry.source == 0 && (!served || entry.has(VOID) || entry.has(GONE)) {
                    ids.insert(entry.id);
                }
                Ok(true)
            })?;
        }
        Ok(ids)
    }

    fn is_contact(&self, view: u32) -> bool {
        self.hot.person_id(view).is_some_and(|person| self.hot.contacts.contains_key(&person))
    }

    /// Whether an object is held for its own sake.
    fn is_held(&self, id: &Cid, slot: Slot, bytes: &[u8]) -> Result<bool, StoreError> {
        if id.codec() == Codec::DagCbor && is_indexed(bytes) {
            return Ok(true);
        }
        let mut named = false;
        self.each_meta(&meta(kind::ACCESS, &[&id_bytes(id)]), &mut |_, _| {
            named = true;
            Ok(false)
        })?;
        if named {
            return Ok(true);
        }
        for view in self.hot.views.keys().filter(|view| self.is_contact(**view)) {
            if self.may_see(id, slot, *view)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
