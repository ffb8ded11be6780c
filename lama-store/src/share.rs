//! Who may see what: granting an object puts it, and before it all that it links to, into views.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::Lane;
use lama_core::SortedMap;
use lama_identity::{Cid, PersonId};

use crate::api::{Committed, Withheld, WithheldReason};
use crate::engine::Engine;
use crate::import::links_of;
use crate::layout::{IndexKey, Slot, id_bytes, kind, meta};
use crate::view::{AGAIN, GONE, ROOT};
use crate::{Store, StoreError};

/// An object on the way down: its links, and how many of them are done.
struct Step {
    id: Cid,
    slot: Slot,
    links: Vec<Cid>,
    /// What was known of their targets when this step began.
    slots: Vec<Option<Slot>>,
    /// Targets that are deleted.
    gone: Vec<Cid>,
    done: usize,
    /// Number of the person who must see what is linked; 0: our own object, everything may be followed.
    author: u32,
}

/// What became of the ids below one root.
type Visited = SortedMap<Cid, Option<(Cid, WithheldReason)>>;

impl<E: Engine> Store<E> {
    /// Grants `ids` to `persons`: directly, or by a rule.
    pub(crate) fn share(
        &mut self,
        ids: &[Cid],
        persons: &[PersonId],
        direct: bool,
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        for person in persons {
            if !self.hot.contacts.contains_key(person) {
                return Err(StoreError::NotAContact(*person));
            }
            let view = self.hot.person(*person, &mut self.group.batch)?;
            let before = self.hot.views.get(&view).map_or(0, |log| log.seq);
            let mut visited = Visited::new();
            for root in ids {
                if direct {
                    self.retry_refused(view, root)?;
                }
                if let Some((id, reason)) = self.grant(view, root, direct, &mut visited)? {
                    report.withheld.push(Withheld { root: *root, id, reason });
                }
            }
            if self.hot.views.get(&view).map_or(0, |log| log.seq) > before {
                report.grown.push(*person);
            }
        }
        Ok(())
    }

    /// Puts `root` into a view, children first; tells what stood in the way.
    pub(crate) fn grant(
        &mut self,
        view: u32,
        root: &Cid,
        direct: bool,
        visited: &mut Visited,
    ) -> Result<Option<(Cid, WithheldReason)>, StoreError> {
        let mut stack: Vec<Step> = Vec::new();
        let slot = self.object(root)?;
        if slot.is_some_and(|slot| slot.has(Slot::GONE)) {
            return Ok(Some((*root, WithheldReason::NotHere)));
        }
        if direct
            && let Some(slot) = slot
            && self.may_see(root, slot, view)?
        {
            // It is there as a part of something else, or by a rule, which may end before this grant does.
            self.meta_put(meta(kind::GRANT, &[&view.to_be_bytes(), &id_bytes(root)]), Bytes::new());
            return Ok(None);
        }
        // What others wrote the person may have from them already: with all its parts, which come before it.
        let relayed = slot.is_some_and(|slot| !slot.has(Slot::OWN));
        let marks = (if direct { ROOT } else { 0 }, relayed);
        let mut verdict = self.begin(view, (root, slot), (0, marks), visited, &mut stack)?;
        while let Some(step) = stack.last_mut() {
            let refused = verdict.take();
            if refused.is_none()
                && let Some(link) = step.links.get(step.done).copied()
            {
                let known = step.slots.get(step.done).copied().flatten();
                step.done += 1;
                let author = step.author;
                // What this share has changed since stands in the group.
                let slot = self.group.index.get(&IndexKey::object(&link)).copied().or(known);
                verdict = self.begin(view, (&link, slot), (author, (0, relayed)), visited, &mut stack)?;
                continue;
            }
            let Some(mut step) = stack.pop() else { break };
            if refused.is_none() {
                self.show_gone(view, &step.gone)?;
                let marks = if step.id == *root { marks } else { (0, relayed) };
                self.show(view, &step.id, &mut step.slot, marks)?;
            }
            visited.insert(step.id, refused);
            verdict = refused;
        }
        Ok(verdict)
    }

    /// Looks at one id, of which the index says `slot`: done with at once, or pushed on the stack.
    fn begin(
        &mut self,
        view: u32,
        (id, slot): (&Cid, Option<Slot>),
        (author, marks): (u32, (u8, bool)),
        visited: &mut Visited,
        stack: &mut Vec<Step>,
    ) -> Result<Option<(Cid, WithheldReason)>, StoreError> {
        let known = slot.filter(|slot| slot.place != Slot::NOWHERE || slot.has(Slot::GONE));
        let Some(mut slot) = known else { return Ok(Some((*id, WithheldReason::NotHere))) };
        if slot.has(Slot::GONE) {
            if let Some(step) = stack.last_mut() {
                step.gone.push(*id);
            }
            return Ok(None);
        }
        if slot.has(Slot::ASIDE) {
            return Ok(Some((*id, WithheldReason::SetAside)));
        }
        // Before anything that was found out about the id: the verdict depends on who links to it.
        if author != 0 && !self.may_see(id, slot, author)? {
            return Ok(Some((*id, WithheldReason::NotVisibleToAuthor)));
        }
        // What stands in the view already went through here, or came from that person, children first.
        if self.may_see(id, slot, view)? {
            return Ok(None);
        }
        if let Some(verdict) = visited.get(id) {
            return Ok(*verdict);
        }
        if visited.len() + stack.len() >= self.config.max_closure {
            return Err(StoreError::Limit {
                what: "objects below one share",
                limit: self.config.max_closure as u64,
            });
        }
        if slot.has(Slot::LEAF) {
            self.show(view, id, &mut slot, marks)?;
            return Ok(None);
        }
        let record = self.record(slot.place)?;
        let author = if slot.has(Slot::OWN) { 0 } else { self.hot.owner_of(record.source).unwrap_or(0) };
        let links = links_of(&record.bytes)?;
        let slots = self.slots_of(&links)?;
        stack.push(Step { id: *id, slot, links, slots, gone: Vec::new(), done: 0, author });
        Ok(None)
    }

    /// What links to these must not wait for them. Not before it is certain that it is shown itself: whoever may not see it
    /// does not hear of what it names. Whoever has them from a third is told, too.
    fn show_gone(&mut self, view: u32, ids: &[Cid]) -> Result<(), StoreError> {
        for id in ids {
            let Some(mut slot) = self.object(id)? else { continue };
            if !self.is_member(id, slot, view)? {
                self.enter(view, id, &mut slot, 0, GONE)?;
                self.enter(view, id, &mut slot, 0, GONE | AGAIN)?;
            }
        }
        Ok(())
    }

    /// Lets a view's person see an object: for the first time, or again after it was a tombstone.
    fn show(
        &mut self,
        view: u32,
        id: &Cid,
        slot: &mut Slot,
        (marks, relayed): (u8, bool),
    ) -> Result<(), StoreError> {
        match self.member(id, *slot, view)? {
            None => {
                let lane = if relayed { Lane::Relayed } else { slot.lane(id) };
                self.enter_lane(view, id, slot, 0, (marks, lane))
            }
            Some(state) if state & Slot::TOLD != 0 => self.enter(view, id, slot, 0, marks | AGAIN),
            Some(_) => Ok(()),
        }
    }

    /// What a person's instance refused is offered again by granting it once more.
    fn retry_refused(&mut self, view: u32, id: &Cid) -> Result<(), StoreError> {
        let key = meta(kind::REFUSED, &[&view.to_be_bytes(), &id_bytes(id)]);
        if self.meta_get(&key)?.is_some()
            && let Some(mut slot) = self.object(id)?.filter(|slot| slot.is_visible())
            && self.may_see(id, slot, view)?
        {
            self.meta_remove(key);
            self.enter(view, id, &mut slot, 0, AGAIN)?;
        }
        Ok(())
    }

    /// Number of the person who brought an object; `None`: it was put here (too).
    pub(crate) fn brought_by(&self, slot: Slot) -> Result<Option<u32>, StoreError> {
        if slot.has(Slot::OWN) {
            return Ok(None);
        }
        Ok(self.hot.owner_of(self.record(slot.place)?.source))
    }
}
