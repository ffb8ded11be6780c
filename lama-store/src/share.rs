//! Who may see what: granting an object puts it, and before it all that it links to, into views.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use lama_identity::{Cid, PersonId};

use crate::api::{Committed, Withheld, WithheldReason};
use crate::engine::Engine;
use crate::import::links_of;
use crate::layout::Slot;
use crate::{Store, StoreError};

/// An object on the way down: its links, and how many of them are done.
struct Step {
    id: Cid,
    slot: Slot,
    links: Vec<Cid>,
    done: usize,
    /// Number of the person who must see what is linked; 0: our own object, everything may be followed.
    author: u32,
}

/// What became of the ids below one root.
type Visited = BTreeMap<Cid, Option<(Cid, WithheldReason)>>;

impl<E: Engine> Store<E> {
    /// Grants `ids` to `persons`.
    pub(crate) fn share(
        &mut self,
        ids: &[Cid],
        persons: &[PersonId],
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
                if let Some((id, reason)) = self.grant(view, root, &mut visited)? {
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
        visited: &mut Visited,
    ) -> Result<Option<(Cid, WithheldReason)>, StoreError> {
        let mut stack: Vec<Step> = Vec::new();
        let mut verdict = self.begin(view, root, 0, visited, &mut stack)?;
        while let Some(step) = stack.last_mut() {
            let refused = verdict.take();
            if refused.is_none()
                && let Some(link) = step.links.get(step.done).copied()
            {
                step.done += 1;
                let author = step.author;
                verdict = self.begin(view, &link, author, visited, &mut stack)?;
                continue;
            }
            let Some(mut step) = stack.pop() else { break };
            if refused.is_none() && !self.is_member(&step.id, step.slot, view)? {
                self.enter(view, &step.id, &mut step.slot, 0)?;
            }
            visited.insert(step.id, refused);
            verdict = refused;
        }
        Ok(verdict)
    }

    /// Looks at one id: done with at once, or pushed on the stack.
    fn begin(
        &mut self,
        view: u32,
        id: &Cid,
        author: u32,
        visited: &mut Visited,
        stack: &mut Vec<Step>,
    ) -> Result<Option<(Cid, WithheldReason)>, StoreError> {
        let Some(mut slot) = self.object(id)?.filter(|slot| slot.place != Slot::NOWHERE) else {
            return Ok(Some((*id, WithheldReason::NotHere)));
        };
        if slot.has(Slot::ASIDE) {
            return Ok(Some((*id, WithheldReason::SetAside)));
        }
        // Before anything that was found out about the id: the verdict depends on who links to it.
        if author != 0 && !self.is_member(id, slot, author)? {
            return Ok(Some((*id, WithheldReason::NotVisibleToAuthor)));
        }
        // What stands in the view already went through here, or came from that person, children first.
        if self.is_member(id, slot, view)? {
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
            self.enter(view, id, &mut slot, 0)?;
            return Ok(None);
        }
        let record = self.record(slot.place)?;
        let author = if slot.has(Slot::OWN) { 0 } else { self.hot.owner_of(record.source).unwrap_or(0) };
        stack.push(Step { id: *id, slot, links: links_of(&record.bytes)?, done: 0, author });
        Ok(None)
    }

    /// Number of the person who brought an object; `None`: it was put here (too).
    pub(crate) fn brought_by(&self, slot: Slot) -> Result<Option<u32>, StoreError> {
        if slot.has(Slot::OWN) {
            return Ok(None);
        }
        Ok(self.hot.owner_of(self.record(slot.place)?.source))
    }
}
