//! How long what a contact brought is kept, where his limits say so.
//!
//! The age of an object goes by its arrival: where a day of the wall clock begins in the log of his view is written down,
//! and what stands before the oldest day that is kept becomes a tombstone nobody is told of. What else holds an object
//! keeps it: it was put here, too; another contact may see it; something that is ours or another contact's links to it; an
//! index rests on it (so messages stay, and what hangs below them goes). Each reading of the clock goes on where the last
//! one stopped, for a bounded stretch of the log. Whoever brings the object again begins a new age.

use alloc::vec::Vec;

use lama_identity::{Cid, PersonId};

use crate::api::Committed;
use crate::codec::{Reader, Writer};
use crate::engine::{Engine, Table};
use crate::layout::{Slot, kind, meta};
use crate::revoke::Told;
use crate::typed::is_indexed;
use crate::view::{GONE, VOID};
use crate::{Store, StoreError};

const DAY_MS: u64 = 86_400_000;

/// Entries of one view that are looked at with one reading of the clock.
const AT_ONCE: u64 = 5_000;

impl<E: Engine> Store<E> {
    /// Writes down where this day begins in the log of a view; called before something is brought.
    pub(crate) fn note_day(&mut self, view: u32) -> Result<(), StoreError> {
        let day = self.now.0 / DAY_MS;
        let log = self.hot.views.entry(view).or_default();
        let (known, next) = (log.hour / 24, log.seq + 1);
        let key = meta(kind::DAY, &[&view.to_be_bytes(), &day.to_be_bytes()]);
        if known < day && self.meta_get(&key)?.is_none() {
            self.meta_put(key, Writer::default().num(next).0);
        }
        Ok(())
    }

    /// Lets go what is too old, as far as that is to be looked at now.
    pub(crate) fn expire(&mut self, report: &mut Committed) -> Result<(), StoreError> {
        let kept = self.hot.quotas.iter().filter_map(|(person, quota)| Some((*person, quota.days?)));
        let kept: Vec<(PersonId, u64)> = kept.collect();
        for (person, days) in kept {
            let Some(view) = self.hot.persons.get(&person).copied() else { continue };
            let Some(last_day) = (self.now.0 / DAY_MS).checked_sub(days.saturating_add(1)) else { continue };
            let key = meta(kind::SWEPT, &[&view.to_be_bytes()]);
            let swept = self.meta_get(&key)?.map_or(Ok(0), |row| Reader(&row).num())?;
            let upto = self.arrived_by(view, last_day)?.min(swept.saturating_add(AT_ONCE));
            if upto <= swept {
                continue;
            }
            let mut ids = Vec::new();
            self.each_entry(view, swept, &mut |entry| {
                if entry.seq <= upto && entry.source != 0 && !entry.has(VOID) && !entry.has(GONE) {
                    ids.push(entry.id);
                }
                Ok(entry.seq < upto)
            })?;
            let mut old = Vec::new();
            for id in ids {
                if self.is_his_alone(view, &id)? {
                    old.push(id);
                }
            }
            self.entomb(&old, Told::Nobody, report)?;
            self.meta_put(key, Writer::default().num(upto).0);
        }
        Ok(())
    }

    /// The last entry of a view that had arrived when that day ended.
    fn arrived_by(&self, view: u32, day: u64) -> Result<u64, StoreError> {
        let from = meta(kind::DAY, &[&view.to_be_bytes(), &day.saturating_add(1).to_be_bytes()]);
        let to = crate::layout::after_prefix(&meta(kind::DAY, &[&view.to_be_bytes()]));
        let mut next = None;
        self.rows(Table::Meta, &from, to.as_deref(), &mut |_, value| {
            next = Some(Reader(value).num()?);
            Ok(false)
        })?;
        let log = self.hot.views.get(&view);
        let all = log.filter(|log| log.hour / 24 <= day).map_or(0, |log| log.seq);
        Ok(next.map_or(all, |next| next.saturating_sub(1)))
    }

    /// Whether nothing but the person of a view has to do with an object.
    fn is_his_alone(&self, view: u32, id: &Cid) -> Result<bool, StoreError> {
        let Some(slot) = self.object(id)?.filter(|slot| slot.is_visible()) else { return Ok(false) };
        let record = self.record(slot.place)?;
        let his = |slot: Slot, source: u32| !slot.has(Slot::OWN) && self.hot.owner_of(source) == Some(view);
        if !his(slot, record.source) || is_indexed(&record.bytes) {
            return Ok(false);
        }
        for other in self.hot.views.keys().filter(|other| **other != view) {
            if self.may_see(id, slot, *other)? {
                return Ok(false);
            }
        }
        for parent in self.linked_from(id)? {
            if let Some(slot) = self.object(&parent)?.filter(|slot| slot.is_visible())
                && !his(slot, self.record(slot.place)?.source)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
