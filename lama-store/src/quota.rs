//! How much of a contact is kept: the store's limits, and his own where they are set.

use lama_core::WallTime;
use lama_identity::PersonId;

use crate::api::Quota;
use crate::codec::{Reader, Writer};
use crate::engine::Engine;
use crate::layout::{kind, meta};
use crate::{Store, StoreError};

const HOUR_MS: u64 = 3_600_000;

pub(crate) fn read_quota(value: &[u8]) -> Result<Quota, StoreError> {
    let mut reader = Reader(value);
    let mut limit = || Ok(if reader.u8()? == 1 { Some(reader.num()?) } else { None });
    let mut quota = Quota { objects: limit()?, bytes: limit()?, bytes_per_hour: limit()?, days: None };
    // A row of the first kind ends here.
    if !reader.0.is_empty() {
        quota.days = if reader.u8()? == 1 { Some(reader.num()?) } else { None };
    }
    reader.end()?;
    Ok(quota)
}

fn quota_bytes(quota: &Quota) -> alloc::vec::Vec<u8> {
    [quota.objects, quota.bytes, quota.bytes_per_hour, quota.days]
        .into_iter()
        .fold(Writer::default(), |out, limit| match limit {
            Some(limit) => out.u8(1).num(limit),
            None => out.u8(0),
        })
        .0
}

impl<E: Engine> Store<E> {
    /// Sets a contact's own limits.
    pub(crate) fn put_quota(&mut self, person: PersonId, quota: Quota) -> Result<(), StoreError> {
        if !self.hot.contacts.contains_key(&person) {
            return Err(StoreError::NotAContact(person));
        }
        let key = meta(kind::QUOTA, &[&person.0]);
        if quota == Quota::default() {
            self.meta_remove(key);
            self.hot.quotas.remove(&person);
        } else {
            self.meta_put(key, quota_bytes(&quota));
            self.hot.quotas.insert(person, quota);
        }
        Ok(())
    }

    /// The limits of a person: his own, where they are below the store's.
    pub(crate) fn quota(&self, person: &PersonId) -> Quota {
        let own = self.hot.quotas.get(person).copied().unwrap_or_default();
        let limit = |own: Option<u64>, most: u64| Some(own.map_or(most, |own| own.min(most)));
        Quota {
            objects: limit(own.objects, self.config.max_person_objects),
            bytes: limit(own.bytes, self.config.max_person_bytes),
            bytes_per_hour: limit(own.bytes_per_hour, self.config.max_person_bytes_per_hour),
            days: own.days,
        }
    }

    /// What the wall clock shows.
    pub(crate) const fn set_clock(&mut self, now: WallTime) {
        self.now = now;
    }

    /// Counts what a person's instances bring, and whether it is still within his quota.
    ///
    /// # Errors
    /// [`StoreError::TooManyRefused`]: he goes on though so much was refused that the refusals alone are a burden.
    pub(crate) fn within_quota(&mut self, view: u32, length: u64, aside: bool) -> Result<bool, StoreError> {
        let person = self.hot.person_id(view).unwrap_or(PersonId([0; 32]));
        let quota = self.quota(&person);
        let hour = self.now.0 / HOUR_MS;
        let config = &self.config;
        let log = self.hot.views.entry(view).or_default();
        if log.hour != hour {
            (log.hour, log.hour_bytes) = (hour, 0);
        }
        let below = |now: u64, more: u64, limit: Option<u64>| {
            limit.is_none_or(|limit| now.saturating_add(more) <= limit)
        };
        let fits = below(log.objects, 1, quota.objects)
            && below(log.bytes, length, quota.bytes)
            && below(log.hour_bytes, length, quota.bytes_per_hour)
            && (!aside
                || (log.aside_objects < config.max_aside_objects
                    && log.aside_bytes.saturating_add(length) <= config.max_aside_bytes));
        if fits {
            log.objects += 1;
            log.bytes += length;
            log.hour_bytes += length;
            if aside {
                log.aside_objects += 1;
                log.aside_bytes += length;
            }
        } else {
            log.refused += 1;
            if log.refused > config.max_person_refused {
                return Err(StoreError::TooManyRefused { person, limit: config.max_person_refused });
            }
        }
        self.hot.dirty_views.insert(view);
        Ok(fits)
    }

    /// Changes how much is kept of whoever brought an object from that source; what was put here counts nowhere.
    pub(crate) fn count_kept(&mut self, source: u32, change: impl FnOnce(u64, u64) -> (u64, u64)) {
        if let Some(view) = self.hot.owner_of(source)
            && let Some(log) = self.hot.views.get_mut(&view)
        {
            (log.objects, log.bytes) = change(log.objects, log.bytes);
            self.hot.dirty_views.insert(view);
        }
    }
}
