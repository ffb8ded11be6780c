//! Answers to questions.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::recon::ShortKey;
use lama_chum::{Entry, Lanes, Positions};
use lama_identity::{Cid, InstanceId, PersonId};

use crate::access::Near;
use crate::api::{Found, Ids, News, Page, PeerHead, Read, Reply, Stats};
use crate::engine::Engine;
use crate::layout::{ID, Slot, kind, meta};
use crate::view::{AGAIN, GONE, VOID, ViewEntry};
use crate::{Store, StoreError};

/// Which entries a page is made of.
enum Chosen<'a> {
    Lanes(Lanes),
    Seqs(&'a [u64]),
}

impl<E: Engine> Store<E> {
    /// Answers one question. What is being built has been settled before.
    pub(crate) fn read(&self, read: &Read) -> Result<Reply, StoreError> {
        Ok(match read {
            Read::Object(id) => Reply::Object(self.visible(id)?),
            Read::Page { person, instance, after, lanes, max_bytes, whole } => Reply::Page(self.page(
                *person,
                *instance,
                *after,
                *max_bytes,
                *whole,
                Chosen::Lanes(*lanes),
            )?),
            Read::Fetch { person, instance, seqs, max_bytes } => {
                let after = seqs.first().map_or(0, |first| first.saturating_sub(1));
                Reply::Page(self.page(*person, *instance, after, *max_bytes, true, Chosen::Seqs(seqs))?)
            }
            Read::News { person, instance, after, known, limit } => {
                Reply::News(self.news(person, *instance, (*after, *known), *limit)?)
            }
            Read::Ids { person, after, limit } => Reply::Ids(self.ids(person, *after, *limit)?),
            Read::Find { person, key, shorts, upto, limit } => {
                Reply::Found(self.find(person, key, shorts, *upto, *limit)?)
            }
            Read::Head { person, instance } => Reply::Head(self.peer_head(*person, *instance)?),
            Read::Peers(person) => Reply::Peers(
                self.hot
                    .peers
                    .values()
                    .map(|peer| &peer.record)
                    .filter(|record| person.is_none_or(|person| person == record.person))
                    .cloned()
                    .collect(),
            ),
            Read::Contacts => Reply::Contacts(self.hot.contacts.values().cloned().collect()),
            Read::Trust(person) => Reply::Trust(self.trust(*person)?),
            Read::Tokens => Reply::Tokens(self.tokens()?),
            Read::Endpoints(person) => Reply::Endpoints(self.endpoints(person)?),
            Read::Channels => Reply::Channels(self.channels()?),
            Read::Channel { channel, from, limit } => {
                Reply::Channel(self.channel_page(channel, from, *limit)?)
            }
            Read::Entry(id) => Reply::Channel(self.channel_entry(id)?.into_iter().collect()),
            Read::ChannelHeads { channel, clock_limit } => {
                Reply::ChannelHeads(self.channel_heads(channel, *clock_limit)?)
            }
            Read::Access(id) => Reply::Access(self.who_may_see(id)?),
            Read::AllAccessRules => Reply::AccessRules(self.all_access_rules()?),
            Read::Policy { of, author } => Reply::Policy(self.policy_row(of, author)?),
            Read::AccessRules(id) => Reply::AccessRules(self.access_rules(id)?),
            Read::Explain { object, person } => Reply::Explanation(Box::new(self.explain(object, person)?)),
            Read::Group(group) => Reply::Group(self.group_row(group)?),
            Read::Quota(person) => Reply::Quota(self.quota_row(person)),
            Read::View { person, after, limit } => Reply::View(self.view_ids(person, *after, *limit)?),
            Read::Setting(name) => {
                let found = self.sealed_get(&meta(kind::SETTING, &[name.as_bytes()]))?;
                Reply::Setting(found.map(|value| Bytes::copy_from_slice(&value)))
            }
            Read::Settings(prefix) => Reply::Settings(self.settings(prefix)?),
            Read::Stats => Reply::Stats(self.stats()),
            Read::Check => return Err(StoreError::Misuse("the walk needs the store for itself")),
        })
    }

    /// The bytes of an object that can be read.
    pub(crate) fn visible(&self, id: &Cid) -> Result<Option<Bytes>, StoreError> {
        match self.object(id)?.filter(|slot| slot.is_visible()) {
            Some(slot) => Ok(Some(self.record(slot.place)?.bytes)),
            None => Ok(None),
        }
    }

    fn page(
        &self,
        person: PersonId,
        instance: InstanceId,
        after: u64,
        max_bytes: usize,
        whole: bool,
        chosen: Chosen<'_>,
    ) -> Result<Page, StoreError> {
        let (number, peer) = self.peer(instance, Some(person))?;
        self.require_active(&person)?;
        let max_bytes = max_bytes.min(self.config.max_page_bytes);
        let mut page = Page { entries: Vec::new(), next: after, head: self.head(peer.view, number) };
        let (lanes, only) = match chosen {
            Chosen::Lanes(lanes) => (lanes, None),
            Chosen::Seqs(seqs) => (Lanes::ALL, Some(seqs)),
        };
        let (mut bytes, mut passed, mut near) = (0, 0, Near::default());
        let mut chosen = only.unwrap_or_default().iter().peekable();
        self.each_entry(peer.view, after, &mut |entry| {
            if only.is_some() {
                while chosen.next_if(|seq| **seq < entry.seq).is_some() {}
                match chosen.peek() {
                    None => return Ok(false),
                    Some(seq) if **seq > entry.seq => return Ok(true),
                    Some(_) => {}
                }
            }
            let from_peer = entry.source == number;
            if (from_peer && !whole) || !lanes.contains(entry.lane) {
                page.next = entry.seq;
                passed += usize::from(!from_peer);
                return Ok(passed < self.config.max_page_walk);
            }
            let (seq, id, lane, source_is_peer) = (entry.seq, entry.id, entry.lane, from_peer);
            let again = entry.has(AGAIN);
            let mut gone = entry.has(GONE);
            let place = match entry.place {
                // Refused when it came; it may have come again since.
                Slot::NOWHERE => {
                    let slot =
                        self.object(&entry.id)?.unwrap_or(Slot { place: Slot::NOWHERE, ..Slot::default() });
                    gone |= slot.has(Slot::GONE);
                    slot.place
                }
                place if entry.source == 0 => place,
                // What another instance of the person brought may have been deleted by him.
                place => {
                    gone |= self.object(&entry.id)?.is_some_and(|slot| slot.has(Slot::GONE));
                    place
                }
            };
            let void = entry.has(VOID) || self.is_outdated(peer.view, &entry)?;
            if gone && !void {
                bytes += ID;
                page.next = entry.seq;
                page.entries.push(Entry { seq, id, lane, source_is_peer, again, gone, object: Bytes::new() });
                return Ok(bytes < max_bytes && page.entries.len() < self.config.max_page_entries);
            }
            if void {
                page.next = entry.seq;
                return Ok(true);
            }
            if place == Slot::NOWHERE {
                page.next = entry.seq;
                return Ok(true);
            }
            let object = self.record_near(place, &mut near)?.bytes;
            bytes += object.len();
            if bytes > max_bytes && !page.entries.is_empty() {
                return Ok(false);
            }
            page.next = entry.seq;
            page.entries.push(Entry { seq, id, lane, source_is_peer, again, gone, object });
            Ok(bytes < max_bytes && page.entries.len() < self.config.max_page_entries)
        })?;
        Ok(page)
    }

    fn news(
        &self,
        person: &PersonId,
        instance: InstanceId,
        (after, known): (u64, Positions),
        limit: usize,
    ) -> Result<News, StoreError> {
        let (number, _) = self.peer(instance, Some(*person))?;
        self.require_active(person)?;
        let head =
            self.hot.persons.get(person).and_then(|view| self.hot.views.get(view)).map_or(0, |log| log.seq);
        let mut page = News { seqs: Vec::new(), next: after.saturating_add(limit.max(1) as u64).min(head) };
        if let Some(view) = self.hot.persons.get(person) {
            self.each_entry(*view, after, &mut |entry| {
                if entry.seq > page.next {
                    return Ok(false);
                }
                let said = entry.has(GONE) && entry.source == number;
                let news = is_news(&entry, number) && !self.is_outdated(*view, &entry)?;
                let unknown = entry.seq > known.of(entry.lane);
                if unknown && (news || (said && self.was_told(*view, &entry.id)?)) {
                    page.seqs.push(entry.seq);
                }
                Ok(true)
            })?;
        }
        Ok(page)
    }

    fn ids(&self, person: &PersonId, after: u64, limit: usize) -> Result<Ids, StoreError> {
        self.require_active(person)?;
        let limit = limit.min(self.config.max_page_entries).max(1);
        let mut page = Ids { ids: Vec::new(), next: after };
        let Some(view) = self.hot.persons.get(person) else { return Ok(page) };
        let mut whole = true;
        self.each_entry(*view, after, &mut |entry| {
            if entry.counts() {
                page.ids.push((entry.seq, entry.id));
            }
            page.next = entry.seq;
            whole = page.ids.len() < limit;
            Ok(whole)
        })?;
        if whole {
            page.next = self.hot.views.get(view).map_or(0, |log| log.seq).max(page.next);
        }
        Ok(page)
    }

    fn find(
        &self,
        person: &PersonId,
        key: &ShortKey,
        shorts: &[u64],
        upto: u64,
        limit: usize,
    ) -> Result<Found, StoreError> {
        self.require_active(person)?;
        let from = upto.saturating_sub(limit.max(1) as u64);
        let mut found = Vec::new();
        let Some(view) = self.hot.persons.get(person) else { return Ok(Found { found, from }) };
        self.each_entry(*view, from, &mut |entry| {
            if entry.seq <= upto && entry.counts() {
                let short = key.short(&entry.id);
                if shorts.binary_search(&short).is_ok() {
                    found.push((short, entry.seq));
                }
            }
            Ok(entry.seq < upto)
        })?;
        Ok(Found { found, from })
    }

    fn peer_head(&self, person: PersonId, instance: InstanceId) -> Result<Option<Box<PeerHead>>, StoreError> {
        let Ok((number, peer)) = self.peer(instance, Some(person)) else { return Ok(None) };
        let head = self.head(peer.view, number);
        Ok(Some(Box::new(PeerHead {
            head,
            received: peer.progress.received,
            acked: self.hot.acked(&peer.progress),
            last_acked: peer.progress.acked,
            acked_by: peer.progress.acked_by,
            before: (self.before.0, self.before.1.get(&peer.view).copied().unwrap_or(0)),
            sketch: peer.progress.sums.sketch.as_deref().copied().unwrap_or_default(),
            seen: peer.progress.is_seen(self.hot.epoch),
            agreed: peer.progress.agreed(),
            news: self.last_news(peer.view, number, peer.progress.acked.upto)?,
            last_news: self.hot.views.get(&peer.view).map_or(0, |log| log.news),
            life: peer.progress.life,
            pair_key: peer.record.pair_key.clone(),
        })))
    }

    /// Whether a view holds an id as one that was said to be gone.
    fn was_told(&self, view: u32, id: &Cid) -> Result<bool, StoreError> {
        let Some(slot) = self.object(id)? else { return Ok(false) };
        Ok(self.member(id, slot, view)?.is_some_and(|state| state & Slot::TOLD != 0))
    }

    /// Whether an entry says of an object that it is gone, which its receiver has brought since.
    fn is_outdated(&self, view: u32, entry: &ViewEntry) -> Result<bool, StoreError> {
        let says_gone = entry.has(GONE) && entry.has(AGAIN) && entry.source == 0;
        Ok(says_gone && !self.was_told(view, &entry.id)?)
    }

    /// The last entry of a view that changes no set, if there is one after `acked` that an instance did not bring.
    fn last_news(&self, view: u32, instance: u32, acked: Positions) -> Result<u64, StoreError> {
        let last = self.hot.views.get(&view).map_or(0, |log| log.news);
        let (mut looked, mut found) = (0, false);
        if last > acked.whole() {
            self.each_entry(view, acked.whole(), &mut |entry| {
                looked += 1;
                // Where much is to be sent, it is not worth knowing.
                let unknown = entry.seq > acked.of(entry.lane);
                let news = unknown && is_news(&entry, instance) && !self.is_outdated(view, &entry)?;
                found = news || looked > self.config.max_page_entries;
                Ok(!found && entry.seq < last)
            })?;
        }
        Ok(if found { last } else { 0 })
    }

    fn who_may_see(&self, id: &Cid) -> Result<Vec<PersonId>, StoreError> {
        let Some(slot) = self.object(id)? else { return Ok(Vec::new()) };
        let mut persons = Vec::new();
        for (number, person) in (1..).zip(&self.hot.person_rows) {
            if self.is_member(id, slot, number)? {
                persons.push(*person);
            }
        }
        persons.sort_unstable();
        Ok(persons)
    }

    fn view_ids(&self, person: &PersonId, after: u64, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let limit = limit.min(self.config.max_page_entries);
        let mut ids = Vec::new();
        if let Some(view) = self.hot.persons.get(person).filter(|_| limit > 0) {
            self.each_entry(*view, after, &mut |entry| {
                if entry.counts() {
                    ids.push(entry.id);
                }
                Ok(ids.len() < limit)
            })?;
        }
        Ok(ids)
    }

    fn settings(&self, prefix: &str) -> Result<Vec<(alloc::string::String, Bytes)>, StoreError> {
        let mut rows = Vec::new();
        self.each_sealed(&meta(kind::SETTING, &[prefix.as_bytes()]), &mut |rest, value| {
            let rest =
                core::str::from_utf8(rest).map_err(|_| StoreError::Corrupt("a setting's name is no text"))?;
            rows.push((alloc::format!("{prefix}{rest}"), Bytes::copy_from_slice(value)));
            Ok(true)
        })?;
        Ok(rows)
    }

    fn stats(&self) -> Stats {
        let counts = self.hot.counts;
        Stats {
            objects: counts.objects,
            bytes: counts.bytes,
            aside: counts.aside,
            views: self.hot.views.len() as u64,
            epoch: self.hot.epoch,
        }
    }
}

/// Whether an entry changes no set, and the instance does not know what it says.
fn is_news(entry: &ViewEntry, instance: u32) -> bool {
    entry.has(AGAIN) && !entry.has(VOID) && entry.source != instance
}
