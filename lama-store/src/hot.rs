//! What the store keeps in memory: heads, cursors, contacts and the numbers of persons and instances. All of it
//! is read back from the engine when the store is opened, or when a commit failed half-way.

use alloc::vec::Vec;

use lama_chum::{Epoch, NO_EPOCH, Positions};
use lama_core::{SortedMap, SortedSet};
use lama_identity::{Codec, Contact, InstanceId, PersonId};

use crate::StoreError;
use crate::api::Quota;
use crate::codec::{Reader, Writer, put_varint};
use crate::engine::{Batch, Direction, Engine, Table};
use crate::layout::{PACK, after_prefix, kind, meta, place};
use crate::links::Spans;
use crate::peer::{Peer, Progress};
use crate::records;
use crate::seal::Sealer;
use crate::view::View;

/// Counts over the whole store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) aside: u64,
    /// Pairs of a missing link and an object that waits for it.
    pub(crate) waiting: u64,
    /// Objects of which access rules speak.
    pub(crate) rules: u64,
    /// Identity objects of which access rules speak with all that belongs to them.
    pub(crate) id_rules: u64,
}

/// The pack at the end of the object log.
#[derive(Debug, Default)]
pub(crate) struct Pack {
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Room that the header of a record takes at most; it never runs over into the next pack.
const MAX_HEADER: usize = 16;

impl Pack {
    /// Appends a record and tells its place; packs that are full go into the batch.
    pub(crate) fn append(&mut self, source: u32, codec: Codec, bytes: &[u8], batch: &mut Batch) -> u64 {
        if self.bytes.len() + MAX_HEADER > PACK {
            self.next(batch);
        }
        let at = place(self.number, self.bytes.len());
        put_varint(&mut self.bytes, source.into());
        self.bytes.push(codec as u8);
        put_varint(&mut self.bytes, bytes.len() as u64);
        let mut rest = bytes;
        loop {
            let room = PACK.saturating_sub(self.bytes.len()).min(rest.len());
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.bytes.extend_from_slice(now);
            if later.is_empty() {
                return at;
            }
            rest = later;
            self.next(batch);
        }
    }

    fn next(&mut self, batch: &mut Batch) {
        let full = core::mem::take(&mut self.bytes);
        batch.put(Table::Log, self.number.to_be_bytes(), full);
        self.number += 1;
    }
}

/// Everything small and busy.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    pub(crate) epoch: Epoch,
    pub(crate) counts: Counts,
    pub(crate) persons: SortedMap<PersonId, u32>,
    pub(crate) person_rows: Vec<PersonId>,
    pub(crate) instances: SortedMap<InstanceId, u32>,
    pub(crate) instance_rows: Vec<(InstanceId, u32)>,
    pub(crate) views: SortedMap<u32, View>,
    pub(crate) peers: SortedMap<u32, Peer>,
    /// Numbers of the instances with a peer record, by the number of their person.
    pub(crate) peers_of: SortedMap<u32, SortedSet<u32>>,
    pub(crate) contacts: SortedMap<PersonId, Contact>,
    /// Limits of single contacts.
    pub(crate) quotas: SortedMap<PersonId, Quota>,
    pub(crate) pack: Pack,
    /// Where places stand in the views of which something was taken back.
    pub(crate) spans: SortedMap<u32, Spans>,
    pub(crate) dirty_views: SortedSet<u32>,
    pub(crate) dirty_peers: SortedSet<u32>,
    /// Cursors that changed and may wait for a commit.
    pub(crate) lazy_peers: SortedSet<u32>,
    /// Views of which only what was sent has changed: may wait for a commit, too.
    pub(crate) lazy_views: SortedSet<u32>,
    pub(crate) dirty_counts: bool,
}

impl Hot {
    /// Reads everything.
    pub(crate) fn load(engine: &impl Engine, sealer: &Sealer) -> Result<Self, StoreError> {
        let mut this = Self::default();
        each(engine, kind::EPOCH, &mut |_, value| {
            this.epoch = Reader(value).array()?;
            Ok(())
        })?;
        each(engine, kind::COUNTS, &mut |_, value| {
            let mut reader = Reader(value);
            this.counts = Counts {
                objects: reader.num()?,
                bytes: reader.num()?,
                aside: reader.num()?,
                waiting: reader.num()?,
                rules: reader.num()?,
                id_rules: if reader.0.is_empty() { 0 } else { reader.num()? },
            };
            reader.end()
        })?;
        each(engine, kind::PERSON, &mut |_, value| {
            let person = PersonId(Reader(value).array()?);
            this.person_rows.push(person);
            this.persons.insert(person, number(this.person_rows.len())?);
            Ok(())
        })?;
        each(engine, kind::INSTANCE, &mut |_, value| {
            let mut reader = Reader(value);
            let row = (InstanceId(reader.array()?), reader.num32()?);
            this.instance_rows.push(row);
            this.instances.insert(row.0, number(this.instance_rows.len())?);
            Ok(())
        })?;
        each(engine, kind::VIEW, &mut |key, value| {
            this.views.insert(key_number(key)?, View::from_bytes(value)?);
            Ok(())
        })?;
        each(engine, kind::CONTACT, &mut |_, value| {
            let contact = records::read_contact(value)?;
            this.contacts.insert(contact.id(), contact);
            Ok(())
        })?;
        each(engine, kind::QUOTA, &mut |key, value| {
            this.quotas.insert(PersonId(Reader(key).array()?), crate::quota::read_quota(value)?);
            Ok(())
        })?;
        this.load_peers(engine, sealer)?;
        engine.scan(Table::Log, &[], None, Direction::Down, &mut |key, _| {
            if let Ok(last) = Reader(key).array() {
                this.pack.number = u64::from_be_bytes(last) + 1;
            }
            false
        })?;
        Ok(this)
    }

    fn load_peers(&mut self, engine: &impl Engine, sealer: &Sealer) -> Result<(), StoreError> {
        each(engine, kind::PEER, &mut |key, value| {
            let value = sealer.must_open(&meta(kind::PEER, &[key]), value)?;
            let record = records::read_peer(&value)?;
            let view = *self
                .persons
                .get(&record.person)
                .ok_or(StoreError::Corrupt("a peer record without its person"))?;
            self.add_peer(key_number(key)?, Peer::new(record, view));
            Ok(())
        })?;
        each(engine, kind::PROGRESS, &mut |key, value| {
            if let Some(peer) = self.peers.get_mut(&key_number(key)?) {
                peer.progress = Progress::from_bytes(value)?;
            }
            Ok(())
        })
    }

    /// Number of a person, given out now if he has none.
    pub(crate) fn person(&mut self, person: PersonId, batch: &mut Batch) -> Result<u32, StoreError> {
        if let Some(known) = self.persons.get(&person) {
            return Ok(*known);
        }
        self.person_rows.push(person);
        let given = number(self.person_rows.len())?;
        self.persons.insert(person, given);
        batch.put(Table::Meta, meta(kind::PERSON, &[&given.to_be_bytes()]), person.0.to_vec());
        Ok(given)
    }

    /// Number of an instance, given out now if it has none.
    pub(crate) fn instance(
        &mut self,
        instance: InstanceId,
        person: u32,
        batch: &mut Batch,
    ) -> Result<u32, StoreError> {
        if let Some(known) = self.instances.get(&instance) {
            return Ok(*known);
        }
        self.instance_rows.push((instance, person));
        let given = number(self.instance_rows.len())?;
        self.instances.insert(instance, given);
        let row = Writer::default().raw(&instance.0).num(person.into()).0;
        batch.put(Table::Meta, meta(kind::INSTANCE, &[&given.to_be_bytes()]), row);
        Ok(given)
    }

    /// Takes note of a peer.
    pub(crate) fn add_peer(&mut self, number: u32, peer: Peer) {
        self.peers_of.entry(peer.view).or_default().insert(number);
        self.peers.insert(number, peer);
    }

    /// Forgets all peers of a person and tells their numbers.
    pub(crate) fn remove_peers(&mut self, view: u32) -> SortedSet<u32> {
        let numbers = self.peers_of.remove(&view).unwrap_or_default();
        for number in &numbers {
            self.peers.remove(number);
            self.dirty_peers.remove(number);
            self.lazy_peers.remove(number);
        }
        numbers
    }

    /// The person with that number.
    pub(crate) fn person_id(&self, number: u32) -> Option<PersonId> {
        self.person_rows.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
    }

    /// Number of the person to whom an instance belongs; `None` for what came from here.
    pub(crate) fn owner_of(&self, source: u32) -> Option<u32> {
        self.instance_rows.get(usize::try_from(source.checked_sub(1)?).ok()?).map(|row| row.1)
    }

    /// Writes what changed into the batch, cursors that may wait included.
    pub(crate) fn write_to(&mut self, batch: &mut Batch) {
        let mut views = core::mem::take(&mut self.dirty_views);
        views.append(&mut self.lazy_views);
        for number in views {
            if let Some(view) = self.views.get_mut(&number) {
                if let Some(page) = view.open.take() {
                    put_page(batch, number, view.page, page);
                }
                batch.put(Table::Meta, meta(kind::VIEW, &[&number.to_be_bytes()]), view.to_bytes());
            }
        }
        let mut peers = core::mem::take(&mut self.dirty_peers);
        peers.append(&mut self.lazy_peers);
        for number in peers {
            if let Some(peer) = self.peers.get(&number) {
                let key = meta(kind::PROGRESS, &[&number.to_be_bytes()]);
                batch.put(Table::Meta, key, peer.progress.to_bytes());
            }
        }
        if core::mem::take(&mut self.dirty_counts) {
            let Counts { objects, bytes, aside, waiting, rules, id_rules } = self.counts;
            let row = [objects, bytes, aside, waiting, rules, id_rules];
            let row = row.into_iter().fold(Writer::default(), Writer::num).0;
            batch.put(Table::Meta, meta(kind::COUNTS, &[]), row);
        }
        if !self.pack.bytes.is_empty() {
            let bytes = core::mem::take(&mut self.pack.bytes);
            batch.put(Table::Log, self.pack.number.to_be_bytes(), bytes);
            self.pack.number += 1;
        }
    }

    /// A cursor into our log that a peer acknowledged, if it is of this life of the store.
    pub(crate) fn acked(&self, progress: &Progress) -> Positions {
        let counts = progress.acked.epoch == self.epoch && self.epoch != NO_EPOCH;
        if counts { progress.acked.upto } else { Positions::all(0) }
    }
}

/// Writes one page of a view.
pub(crate) fn put_page(batch: &mut Batch, view: u32, first: u64, page: Vec<u8>) {
    batch.put(Table::Views, page_key(view, first), page);
}

/// The key of a page.
pub(crate) fn page_key(view: u32, first: u64) -> Vec<u8> {
    let mut key = view.to_be_bytes().to_vec();
    key.extend_from_slice(&first.to_be_bytes());
    key
}

fn number(length: usize) -> Result<u32, StoreError> {
    u32::try_from(length)
        .map_err(|_| StoreError::Limit { what: "persons or instances ever met", limit: u32::MAX.into() })
}

fn key_number(key: &[u8]) -> Result<u32, StoreError> {
    Ok(u32::from_be_bytes(Reader(key).array()?))
}

/// Takes one record.
type EachRecord<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// Visits all records of a kind, with the key after the letter.
fn each(engine: &impl Engine, kind: u8, visit: &mut EachRecord<'_>) -> Result<(), StoreError> {
    let mut result = Ok(());
    let prefix = [kind];
    engine.scan(
        Table::Meta,
        &prefix,
        after_prefix(&prefix).as_deref(),
        Direction::Up,
        &mut |key, value| {
            result = visit(key.get(1..).unwrap_or_default(), value);
            result.is_ok()
        },
    )?;
    result
}
