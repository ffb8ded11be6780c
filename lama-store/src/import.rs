//! Objects coming in, from here and from others.

use alloc::vec::Vec;

use lama_chum::{Cursor, ImportOutcome, Lane, MAX_OBJECT, NO_EPOCH, Refusal, ViewHead};
use lama_identity::{Cid, Codec, ContactState, cbor};

use crate::api::{Committed, Import, Object};
use crate::engine::Engine;
use crate::layout::{IndexKey, Slot, id_at_end, id_bytes, kind, meta};
use crate::peer::Peer;
use crate::revoke::Told;
use crate::typed::is_indexed;
use crate::typed::is_waited_for;
use crate::{Store, StoreError};

/// What reading an object tells without decoding it.
struct Seen {
    links: Vec<Cid>,
    type_name: Option<alloc::string::String>,
}

/// Longest object in bytes that goes first because someone waits for it.
const MAX_WAITED: usize = 64 << 10;

/// Checks an object and lists what it links to.
fn look(id: &Cid, bytes: &[u8]) -> Result<Seen, StoreError> {
    if bytes.len() > MAX_OBJECT {
        return Err(StoreError::ObjectTooLarge { id: *id, length: bytes.len() });
    }
    let mut links = Vec::new();
    if id.codec() == Codec::Raw {
        return Ok(Seen { links, type_name: None });
    }
    let summary = cbor::scan(bytes, &mut |link| links.push(link))
        .map_err(|error| StoreError::NotCanonical { id: *id, error })?;
    Ok(Seen { links, type_name: summary.type_name.map(Into::into) })
}

/// The content links of a stored object.
pub(crate) fn links_of(bytes: &[u8]) -> Result<Vec<Cid>, StoreError> {
    let mut links = Vec::new();
    cbor::scan(bytes, &mut |link| links.push(link))
        .map_err(|_| StoreError::Corrupt("a stored object is not canonical"))?;
    Ok(links)
}

/// [`Slot::LIGHT`], if that is what the object is. `slots` is what is known of what it links to.
fn light(id: &Cid, seen: &Seen, slots: &[Option<Slot>], len: usize) -> u8 {
    if id.codec() == Codec::Raw {
        return 0;
    }
    if seen.links.is_empty() {
        let waited = seen.type_name.as_deref().is_some_and(is_waited_for) && len <= MAX_WAITED;
        return if waited { Slot::LIGHT } else { 0 };
    }
    // Of what is not here nothing is known.
    let leads_to_chunks =
        |(link, slot): (&Cid, &Option<Slot>)| slot.is_none_or(|slot| slot.lane(link) == Lane::Blobs);
    if seen.links.iter().zip(slots).any(leads_to_chunks) { 0 } else { Slot::LIGHT }
}

impl<E: Engine> Store<E> {
    /// Objects made here.
    pub(crate) fn put_objects(
        &mut self,
        objects: &[Object],
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        for (id, bytes) in objects {
            let known = self.object(id)?;
            if let Some(slot) = known.filter(|slot| slot.has(Slot::GONE) && slot.place != Slot::NOWHERE) {
                self.put_slot(id, Slot { flags: slot.flags | Slot::OWN, ..slot });
                self.revive(id, report)?;
                continue;
            }
            if let Some(slot) = known
                && slot.is_visible()
            {
                if !slot.has(Slot::OWN) {
                    self.make_own(id, slot, report)?;
                }
                continue;
            }
            if known.is_some_and(|slot| slot.has(Slot::GONE)) {
                self.meta_remove(meta(kind::TOMB, &[&id_bytes(id)]));
            }
            let seen = look(id, bytes)?;
            let slots = self.slots_of(&seen.links)?;
            if let Some(missing) = self.first_missing(&seen.links, &slots, None)? {
                return Err(StoreError::MissingLink { id: *id, missing });
            }
            if known.is_some_and(|slot| slot.place != Slot::NOWHERE) {
                return Err(StoreError::Corrupt("an object is set aside though all its links are here"));
            }
            let leaf = if seen.links.is_empty() { Slot::LEAF } else { 0 };
            let (view, state) = known.map_or((0, 0), |slot| (slot.view, slot.flags & Slot::STATE));
            let light = light(id, &seen, &slots, bytes.len());
            let place = self.write_record(0, id.codec(), bytes);
            self.note_links(id, place, &seen.links, &slots);
            self.put_slot(id, Slot { place, flags: Slot::OWN | leaf | light | state, view });
            self.appear(id, bytes, seen.type_name, 0, report)?;
            self.wake(id, report)?;
        }
        Ok(())
    }

    /// What somebody brought is put here, too: its own person answers for it from now on, so rules of whoever brought it
    /// do not speak of it any more, and rules of its own person do.
    fn make_own(&mut self, id: &Cid, slot: Slot, report: &mut Committed) -> Result<(), StoreError> {
        let before = self.entitled(id)?;
        self.put_slot(id, Slot { flags: slot.flags | Slot::OWN, ..slot });
        self.apply_rules_for(id, report)?;
        self.withdraw(&[*id].into(), &before, report)
    }

    /// Objects that a peer's instance sent.
    pub(crate) fn import(&mut self, import: &Import, report: &mut Committed) -> Result<(), StoreError> {
        let (source, peer) = self.peer(import.instance, Some(import.person))?;
        let (view, stored) = (peer.view, peer.progress.received);
        self.require_active(&import.person)?;
        if stored.epoch == import.epoch {
            for (stored, after) in stored.upto.to_array().into_iter().zip(import.after.to_array()) {
                if stored < after {
                    return Err(StoreError::Hole { stored, after });
                }
            }
        }
        self.note_day(view)?;
        let before = self.hot.views.get(&view).map_or(0, |log| log.seq);
        let mut outcome = ImportOutcome { before, ..ImportOutcome::default() };
        let mut entered = 0;
        for (id, bytes) in &import.objects {
            let before = self.hot.views.get(&view).map_or(0, |log| log.seq);
            let from_there = if bytes.is_empty() {
                self.import_gone(view, source, id, report)?
            } else {
                self.import_one(view, source, id, bytes, &mut outcome, report)?;
                true
            };
            let grew = self.hot.views.get(&view).is_some_and(|log| log.seq > before);
            entered += u64::from(grew && from_there);
        }
        let head = self.hot.views.get(&view).map_or(0, |log| log.seq);
        if head - before != entered {
            // What came brought other things into this view or out of it: those are looked at.
            outcome.before = head;
        }
        if let Some(peer) = self.hot.peers.get_mut(&source).filter(|_| import.epoch != NO_EPOCH) {
            let received = &mut peer.progress.received;
            *received = received.then(Cursor { epoch: import.epoch, upto: import.upto });
            let news = self.hot.views.get(&view).map_or(0, |log| log.news);
            peer.progress.note_life(news);
        }
        self.hot.dirty_peers.insert(source);
        if head > before {
            report.grown.push(import.person);
        }
        outcome.head = self.head(view, source);
        report.import = Some(outcome);
        Ok(())
    }

    fn import_one(
        &mut self,
        view: u32,
        source: u32,
        id: &Cid,
        bytes: &bytes::Bytes,
        outcome: &mut ImportOutcome,
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        let known = self.object(id)?;
        // Whoever has it brings it back; what was deleted here stays so.
        let again = known.is_some_and(|slot| slot.has(Slot::GONE) && !slot.has(Slot::OWN));
        let lost = |slot: &Slot| slot.place == Slot::NOWHERE && (again || !slot.has(Slot::GONE));
        if let Some(mut slot) = known.filter(|slot| !lost(slot)) {
            match self.member(id, slot, view)? {
                None => self.enter(view, id, &mut slot, source, 0)?,
                Some(state) if state & Slot::CAME == 0 => self.put_state(id, &mut slot, view, Slot::CAME),
                Some(_) => {}
            }
            if again {
                self.revive(id, report)?;
            }
            if slot.has(Slot::ASIDE) {
                outcome.aside.push(*id);
            }
            return Ok(());
        }
        let seen = look(id, bytes)?;
        let slots = self.slots_of(&seen.links)?;
        let missing = self.first_missing(&seen.links, &slots, Some(view))?;
        let (first_view, state) = known.map_or((0, 0), |slot| (slot.view, slot.flags & Slot::STATE));
        let mut slot = Slot { place: Slot::NOWHERE, flags: state, view: first_view };
        let kept = self.within_quota(view, bytes.len() as u64, missing.is_some())?;
        if kept {
            if again {
                self.meta_remove(meta(kind::TOMB, &[&id_bytes(id)]));
            }
            slot.place = self.write_record(source, id.codec(), bytes);
            self.note_links(id, slot.place, &seen.links, &slots);
            slot.flags |= if seen.links.is_empty() { Slot::LEAF } else { 0 };
            slot.flags |= if missing.is_some() { Slot::ASIDE } else { 0 };
            slot.flags |= light(id, &seen, &slots, bytes.len());
        } else {
            outcome.refused.push((*id, Refusal::Quota));
        }
        if let Some(state) = self.member(id, slot, view)? {
            self.put_slot(id, slot);
            if kept && state & Slot::CAME == 0 {
                self.put_state(id, &mut slot, view, Slot::CAME);
            }
        } else {
            // Writes the slot, too, if this is the first view that holds the id.
            if slot.view != 0 {
                self.put_slot(id, slot);
            }
            self.enter(view, id, &mut slot, source, 0)?;
        }
        match missing.filter(|_| kept) {
            Some(missing) => {
                outcome.aside.push(*id);
                self.set_aside(id, &missing, view, bytes.len() as u64);
            }
            None if kept => {
                self.appear(id, bytes, seen.type_name, source, report)?;
                self.wake(id, report)?;
            }
            None => {}
        }
        Ok(())
    }

    /// What is known of the targets of links, in their order.
    pub(crate) fn slots_of(&self, links: &[Cid]) -> Result<Vec<Option<Slot>>, StoreError> {
        let keys: Vec<IndexKey> = links.iter().map(IndexKey::object).collect();
        let mut slots = self.index.find_many(&self.engine, &keys)?;
        for (key, slot) in keys.iter().zip(&mut slots) {
            *slot = self.group.index.get(key).copied().or(*slot);
        }
        Ok(slots)
    }

    /// The first link whose target cannot be read here, and was not deleted: here, or by the person of `view`. `slots` is
    /// what is known of the targets.
    pub(crate) fn first_missing(
        &self,
        links: &[Cid],
        slots: &[Option<Slot>],
        view: Option<u32>,
    ) -> Result<Option<Cid>, StoreError> {
        for (link, slot) in links.iter().zip(slots) {
            let Some(slot) = *slot else { return Ok(Some(*link)) };
            if slot.is_settled() {
                continue;
            }
            let told = match view {
                Some(view) => self.member(link, slot, view)?.is_some_and(|state| state & Slot::TOLD != 0),
                None => false,
            };
            if !told {
                return Ok(Some(*link));
            }
        }
        Ok(None)
    }

    /// An object can be read from now on.
    fn appear(
        &mut self,
        id: &Cid,
        bytes: &bytes::Bytes,
        type_name: Option<alloc::string::String>,
        source: u32,
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        self.hot.counts.objects += 1;
        self.hot.counts.bytes += bytes.len() as u64;
        self.hot.dirty_counts = true;
        report.stored += 1;
        match type_name {
            Some(type_name) => self.typed(id, bytes, type_name, source, report),
            // A rule may have come before what it speaks of.
            None => self.apply_waiting_rules(id, report),
        }
    }

    /// A deleted object is here again.
    fn revive(&mut self, id: &Cid, report: &mut Committed) -> Result<(), StoreError> {
        let Some(slot) = self.object(id)? else { return Ok(()) };
        self.put_slot(id, Slot { flags: slot.flags & !Slot::GONE, ..slot });
        self.meta_remove(meta(kind::TOMB, &[&id_bytes(id)]));
        let record = self.record(slot.place)?;
        let length = record.bytes.len() as u64;
        self.count_kept(record.source, |objects, bytes| {
            (objects.saturating_add(1), bytes.saturating_add(length))
        });
        let type_name = look(id, &record.bytes)?.type_name;
        self.appear(id, &record.bytes, type_name, record.source, report)
    }

    fn set_aside(&mut self, id: &Cid, missing: &Cid, view: u32, length: u64) {
        let row = crate::codec::Writer::default().num(view.into()).num(length).0;
        self.meta_put(meta(kind::WAITING, &[&id_bytes(missing), &id_bytes(id)]), row);
        self.hot.counts.aside += 1;
        self.hot.counts.waiting += 1;
        self.hot.dirty_counts = true;
    }

    /// Looks again at what waited for an object, and for what that brings.
    pub(crate) fn wake(&mut self, id: &Cid, report: &mut Committed) -> Result<(), StoreError> {
        if self.hot.counts.waiting == 0 {
            return Ok(());
        }
        let mut awake = alloc::vec![*id];
        while let Some(here) = awake.pop() {
            let prefix = meta(kind::WAITING, &[&id_bytes(&here)]);
            let mut waiting = Vec::new();
            self.each_meta(&prefix, &mut |key, value| {
                let mut reader = crate::codec::Reader(value);
                waiting.push((id_at_end(key)?, reader.num32()?, reader.num()?));
                Ok(true)
            })?;
            for (id, view, length) in waiting {
                self.meta_remove(meta(kind::WAITING, &[&id_bytes(&here), &id_bytes(&id)]));
                self.hot.counts.waiting -= 1;
                self.hot.counts.aside -= 1;
                self.hot.dirty_counts = true;
                if self.look_again(&id, view, length, report)? {
                    awake.push(id);
                }
            }
        }
        Ok(())
    }

    /// Whether an object that was set aside has all its links now; else it waits for the next one.
    fn look_again(
        &mut self,
        id: &Cid,
        view: u32,
        length: u64,
        report: &mut Committed,
    ) -> Result<bool, StoreError> {
        let Some(slot) = self.object(id)? else { return Err(StoreError::Corrupt("what waits is not there")) };
        let record = self.record(slot.place)?;
        let links = links_of(&record.bytes)?;
        if let Some(missing) = self.first_missing(&links, &self.slots_of(&links)?, Some(view))? {
            self.set_aside(id, &missing, view, length);
            return Ok(false);
        }
        self.put_slot(id, Slot { flags: slot.flags & !Slot::ASIDE, ..slot });
        if let Some(log) = self.hot.views.get_mut(&view) {
            log.aside_objects = log.aside_objects.saturating_sub(1);
            log.aside_bytes = log.aside_bytes.saturating_sub(length);
            self.hot.dirty_views.insert(view);
        }
        let type_name = look(id, &record.bytes)?.type_name;
        self.appear(id, &record.bytes, type_name, record.source, report)?;
        // While it waited, whoever brought it said that it is gone.
        let Some(slot) = self.object(id)?.filter(|slot| !slot.has(Slot::OWN)) else { return Ok(true) };
        let told = self.member(id, slot, view)?.is_some_and(|state| state & Slot::TOLD != 0);
        if told && !self.is_brought(id, slot)? && !is_indexed(&record.bytes) {
            self.entomb(&[*id], Told::AllBut(view), report)?;
        }
        Ok(true)
    }

    /// Only with an established contact is anything exchanged.
    pub(crate) fn require_active(&self, person: &lama_identity::PersonId) -> Result<(), StoreError> {
        match self.hot.contacts.get(person) {
            Some(contact) if contact.state == ContactState::Active => Ok(()),
            _ => Err(StoreError::NotAContact(*person)),
        }
    }

    /// The head of a view towards one instance.
    pub(crate) fn head(&self, view: u32, instance: u32) -> ViewHead {
        let (seq, count) = self.hot.views.get(&view).map_or((0, 0), |log| (log.seq, log.count));
        let fingerprint = self
            .hot
            .peers
            .get(&instance)
            .map(|peer: &Peer| peer.progress.sums.fingerprint)
            .unwrap_or_default();
        ViewHead { epoch: self.hot.epoch, seq, count, fingerprint }
    }
}
