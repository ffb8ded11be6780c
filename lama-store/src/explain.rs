//! Why an object does not reach a person.

use alloc::vec::Vec;

use lama_chum::{Lane, Refusal};
use lama_core::SortedSet;
use lama_identity::{Cid, ContactState, PersonId};

use crate::api::{Explanation, QuotaRow, Standing};
use crate::engine::Engine;
use crate::layout::{Slot, id_bytes, kind, meta};
use crate::view::{GONE, ROOT, VOID};
use crate::{Store, StoreError};

impl<E: Engine> Store<E> {
    /// Keeps what a person's instance refused, and why.
    pub(crate) fn put_refused(
        &mut self,
        person: PersonId,
        objects: &[(Cid, Refusal)],
    ) -> Result<(), StoreError> {
        let Some(view) = self.hot.persons.get(&person).copied() else {
            return Err(StoreError::NotAContact(person));
        };
        for (id, reason) in objects {
            // Whoever refuses what he was never offered has nothing written down for it.
            if let Some(slot) = self.object(id)?
                && self.is_member(id, slot, view)?
            {
                let key = meta(kind::REFUSED, &[&view.to_be_bytes(), &id_bytes(id)]);
                self.meta_put(key, [reason.code()].to_vec());
            }
        }
        Ok(())
    }

    /// What is kept of a person, and how much may be.
    pub(crate) fn quota_row(&self, person: &PersonId) -> QuotaRow {
        let log = self.hot.persons.get(person).and_then(|view| self.hot.views.get(view));
        let (objects, bytes, refused) = log.map_or((0, 0, 0), |log| (log.objects, log.bytes, log.refused));
        QuotaRow { limits: self.quota(person), objects, bytes, refused }
    }

    /// Where an object stands with a person.
    pub(crate) fn explain(&self, object: &Cid, person: &PersonId) -> Result<Explanation, StoreError> {
        let mut told = Explanation {
            object: *object,
            person: *person,
            standing: Standing::NotShared,
            instances: Vec::new(),
            direct: false,
            rules: self.access_rules(object)?,
        };
        let active = |contact: &lama_identity::Contact| contact.state == ContactState::Active;
        let view = self.hot.persons.get(person).copied();
        let Some(view) = view.filter(|_| self.hot.contacts.get(person).is_some_and(active)) else {
            told.standing = Standing::NotAContact;
            return Ok(told);
        };
        let slot = self.object(object)?;
        let state = slot.map_or(Ok(None), |slot| self.member(object, slot, view))?;
        match (slot, state) {
            (Some(slot), Some(state)) => self.explain_member(view, slot, state, &mut told)?,
            (Some(slot), None) if slot.has(Slot::GONE) => told.standing = Standing::Tombstone,
            (Some(slot), None) if slot.has(Slot::ASIDE) => told.standing = Standing::SetAside,
            (Some(slot), None) if slot.is_visible() => {}
            _ => told.standing = Standing::NotHere,
        }
        Ok(told)
    }

    /// The same for an object that the view holds.
    fn explain_member(
        &self,
        view: u32,
        slot: Slot,
        state: u8,
        told: &mut Explanation,
    ) -> Result<(), StoreError> {
        let mut at = (0, Lane::default());
        let (mut came, mut direct) = (state & Slot::CAME != 0, false);
        self.entries_at(view, &SortedSet::from([slot.place]), &mut |entry| {
            if entry.id == told.object && !entry.has(VOID) {
                at = (entry.seq, entry.lane);
                came |= entry.source != 0 && !entry.has(GONE);
                direct |= entry.has(ROOT);
            }
            Ok(true)
        })?;
        let (number, id) = (view.to_be_bytes(), id_bytes(&told.object));
        told.direct = direct || self.meta_get(&meta(kind::GRANT, &[&number, &id]))?.is_some();
        let refused = self.meta_get(&meta(kind::REFUSED, &[&number, &id]))?;
        let refused = refused.and_then(|row| Refusal::from_code(*row.first()?));
        let fixed = match refused {
            _ if state & Slot::TOLD != 0 || slot.has(Slot::GONE) => Some(Standing::Tombstone),
            Some(reason) => Some(Standing::Refused(reason)),
            None if came => Some(Standing::FromThem),
            None if slot.has(Slot::ASIDE) => Some(Standing::SetAside),
            None if !slot.is_visible() => Some(Standing::NotHere),
            None => None,
        };
        let (last, lane) = at;
        let sent = self.hot.views.get(&view).is_some_and(|log| log.sent.of(lane) >= last);
        let on_its_way = if sent { Standing::Sent } else { Standing::Pending };
        for number in self.hot.peers_of.get(&view).into_iter().flatten() {
            let Some(peer) = self.hot.peers.get(number) else { continue };
            let has_it = self.hot.acked(&peer.progress).of(lane) >= last;
            let standing = fixed.unwrap_or(if has_it { Standing::Acknowledged } else { on_its_way });
            told.instances.push((peer.record.instance, standing));
        }
        let behind = told.instances.iter().find(|(_, standing)| *standing == on_its_way);
        let any = behind.or(told.instances.first()).map(|(_, standing)| *standing);
        told.standing = fixed.or(any).unwrap_or(on_its_way);
        Ok(())
    }
}
