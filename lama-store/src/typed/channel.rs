//! Channels: the order of their entries, and their heads.
//!
//! An entry counts if its author is a member and its clock lies after the clocks of all entries it names that are
//! here. What counts is therefore a function of the set of entries, whatever the order of their arrival, and
//! sorting by (clock, author, id) is a causal order.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{Channel, ChannelEntry, ChannelId, Cid, Hlc, InstanceId, PersonId};

use super::{Lacks, typed_object};
use crate::api::{ChannelEntryRow, ChannelHeads, ChannelRow, Committed, Effect};
use crate::codec::{Reader, Writer};
use crate::engine::{Engine, Table};
use crate::layout::{after_prefix, id_at_end, id_bytes, kind, meta, read_id};
use crate::{Store, StoreError};

/// What is known of one entry, whether it counts or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EntryAt {
    channel: ChannelId,
    clock: Hlc,
    author: PersonId,
    instance: InstanceId,
    counts: bool,
}

impl EntryAt {
    fn to_bytes(self) -> Vec<u8> {
        Writer::default()
            .raw(&self.channel.0)
            .raw(&clock_bytes(self.clock))
            .raw(&self.author.0)
            .raw(&self.instance.0)
            .u8(self.counts.into())
            .0
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let this = Self {
            channel: ChannelId(reader.array()?),
            clock: read_clock(&mut reader)?,
            author: PersonId(reader.array()?),
            instance: InstanceId(reader.array()?),
            counts: reader.u8()? == 1,
        };
        reader.end()?;
        Ok(this)
    }

    /// Its place in the order of the channel.
    fn order(&self, id: &Cid) -> Vec<u8> {
        meta(kind::ENTRY, &[&self.channel.0, &clock_bytes(self.clock), &self.author.0, &id_bytes(id)])
    }

    fn head(&self, id: &Cid) -> Vec<u8> {
        meta(kind::HEAD, &[&self.channel.0, &id_bytes(id)])
    }
}

/// A clock whose bytes sort as it does.
fn clock_bytes(clock: Hlc) -> [u8; 12] {
    let mut bytes = [0; 12];
    let (ms, count) = bytes.split_at_mut(8);
    ms.copy_from_slice(&clock.ms.to_be_bytes());
    count.copy_from_slice(&clock.count.to_be_bytes());
    bytes
}

fn read_clock(reader: &mut Reader<'_>) -> Result<Hlc, StoreError> {
    Ok(Hlc { ms: u64::from_be_bytes(reader.array()?), count: u32::from_be_bytes(reader.array()?) })
}

pub(crate) fn channel_bytes(row: &ChannelRow) -> Vec<u8> {
    let out = Writer::default().num(row.entries).bytes(row.name.as_bytes()).num(row.members.len() as u64);
    row.members.iter().fold(out, |out, member| out.raw(&member.0)).0
}

fn read_channel(key: &[u8], value: &[u8]) -> Result<ChannelRow, StoreError> {
    let mut reader = Reader(value);
    let entries = reader.num()?;
    let name = reader.text()?;
    let members = (0..reader.num()?).map(|_| reader.array().map(PersonId)).collect::<Result<_, _>>()?;
    reader.end()?;
    Ok(ChannelRow { channel: ChannelId(Reader(key).array()?), name, members, entries })
}

impl<E: Engine> Store<E> {
    /// A channel became known.
    pub(super) fn take_channel(
        &mut self,
        bytes: &Bytes,
        source: u32,
        report: &mut Committed,
    ) -> Result<Result<(), Lacks>, StoreError> {
        let Ok(channel) = typed_object::<Channel>(bytes) else { return Ok(Err(Lacks::Validity)) };
        let from = self.hot.owner_of(source).and_then(|number| self.hot.person_id(number));
        if from.is_some_and(|person| !channel.members.contains(&person)) {
            return Ok(Err(Lacks::Validity));
        }
        let row =
            ChannelRow { channel: channel.id(), name: channel.name, members: channel.members, entries: 0 };
        self.meta_put(meta(kind::CHANNEL, &[&row.channel.0]), channel_bytes(&row));
        let label = row.channel.0;
        report.effects.push(Effect::Channel(row));
        self.label_known(&label, report)?;
        Ok(Ok(()))
    }

    /// An entry arrived, or what it lacked.
    pub(super) fn take_entry(
        &mut self,
        id: &Cid,
        bytes: &Bytes,
        source: u32,
        report: &mut Committed,
    ) -> Result<Result<(), Lacks>, StoreError> {
        let signed = match self.verified::<ChannelEntry>(bytes, source) {
            Ok(signed) => signed,
            Err(lacks) => return Ok(Err(lacks)),
        };
        let entry = signed.value();
        let Some(mut channel) = self.channel_row(&entry.channel)? else {
            return Ok(Err(Lacks::Label(entry.channel.0)));
        };
        if !channel.members.contains(&entry.author) {
            return Ok(Err(Lacks::Validity));
        }
        let named: Vec<Cid> = entry.heads.iter().chain(&entry.prev).map(|reference| reference.0).collect();
        let mut at = EntryAt {
            channel: entry.channel,
            clock: entry.clock,
            author: entry.author,
            instance: entry.instance,
            counts: true,
        };
        for parent in &named {
            self.meta_put(meta(kind::NAMED_BY, &[&id_bytes(parent), &id_bytes(id)]), Bytes::new());
            let before = self.entry_at(parent)?;
            at.counts &= before.is_none_or(|before| before.channel == at.channel && before.clock < at.clock);
        }
        self.meta_put(meta(kind::ENTRY_AT, &[&id_bytes(id)]), at.to_bytes());
        if at.counts {
            self.meta_put(at.order(id), at.instance.0.to_vec());
            channel.entries += 1;
        }
        let children = self.named_by(id)?;
        for child in &children {
            // It named this one, and yet its clock does not lie after it.
            if let Some(later) = self.entry_at(child)?
                && later.counts
                && (later.clock <= at.clock || later.channel != at.channel)
            {
                channel.entries -= u64::from(later.channel == at.channel);
                self.discount(child, later)?;
            }
        }
        self.meta_put(meta(kind::CHANNEL, &[&at.channel.0]), channel_bytes(&channel));
        self.refresh_head(id)?;
        for parent in &named {
            self.refresh_head(parent)?;
        }
        if at.counts {
            report.effects.push(Effect::ChannelEntry(row_of(id, at, bytes.clone())));
        }
        Ok(Ok(()))
    }

    /// Takes an entry out of its channel.
    fn discount(&mut self, id: &Cid, at: EntryAt) -> Result<(), StoreError> {
        self.meta_remove(at.order(id));
        self.meta_remove(at.head(id));
        self.meta_put(meta(kind::ENTRY_AT, &[&id_bytes(id)]), EntryAt { counts: false, ..at }.to_bytes());
        let bytes = self.visible(id)?.unwrap_or_default();
        if let Ok(entry) = typed_object::<ChannelEntry>(&bytes) {
            for parent in entry.heads.iter().chain(&entry.prev) {
                self.refresh_head(&parent.0)?;
            }
        }
        Ok(())
    }

    /// An entry is a head if it counts and no entry that counts names it.
    fn refresh_head(&mut self, id: &Cid) -> Result<(), StoreError> {
        let Some(at) = self.entry_at(id)? else { return Ok(()) };
        let mut named = false;
        for child in self.named_by(id)? {
            named |= self.entry_at(&child)?.is_some_and(|child| child.counts);
        }
        if at.counts && !named {
            self.meta_put(at.head(id), clock_bytes(at.clock).to_vec());
        } else {
            self.meta_remove(at.head(id));
        }
        Ok(())
    }

    fn entry_at(&self, id: &Cid) -> Result<Option<EntryAt>, StoreError> {
        self.meta_get(&meta(kind::ENTRY_AT, &[&id_bytes(id)]))?
            .map(|value| EntryAt::from_bytes(&value))
            .transpose()
    }

    fn named_by(&self, id: &Cid) -> Result<Vec<Cid>, StoreError> {
        let mut children = Vec::new();
        self.each_meta(&meta(kind::NAMED_BY, &[&id_bytes(id)]), &mut |key, _| {
            children.push(id_at_end(key)?);
            Ok(true)
        })?;
        Ok(children)
    }

    fn channel_row(&self, channel: &ChannelId) -> Result<Option<ChannelRow>, StoreError> {
        let value = self.meta_get(&meta(kind::CHANNEL, &[&channel.0]))?;
        value.map(|value| read_channel(&channel.0, &value)).transpose()
    }

    /// All channels, by label.
    pub(crate) fn channels(&self) -> Result<Vec<ChannelRow>, StoreError> {
        let mut rows = Vec::new();
        self.each_meta(&[kind::CHANNEL], &mut |key, value| {
            rows.push(read_channel(key, value)?);
            Ok(true)
        })?;
        Ok(rows)
    }

    /// Entries in the order of the channel.
    pub(crate) fn channel_page(
        &self,
        channel: &ChannelId,
        after: Option<&Cid>,
        limit: usize,
    ) -> Result<Vec<ChannelEntryRow>, StoreError> {
        let limit = limit.min(self.config.max_page_entries);
        let prefix = meta(kind::ENTRY, &[&channel.0]);
        let mut from = prefix.clone();
        if let Some(after) = after {
            let at = self.entry_at(after)?.filter(|at| at.counts && at.channel == *channel);
            from = at.ok_or(StoreError::Misuse("no entry of that channel has that id"))?.order(after);
            from.push(0);
        }
        let mut ids = Vec::new();
        if limit > 0 {
            self.rows(Table::Meta, &from, after_prefix(&prefix).as_deref(), &mut |key, _| {
                ids.push(id_at_end(key)?);
                Ok(ids.len() < limit)
            })?;
        }
        ids.iter().map(|id| self.entry_row(id)).collect()
    }

    fn entry_row(&self, id: &Cid) -> Result<ChannelEntryRow, StoreError> {
        const LOST: StoreError = StoreError::Corrupt("a channel names an entry that is not here");
        let object = self.visible(id)?.ok_or(LOST)?;
        Ok(row_of(id, self.entry_at(id)?.ok_or(LOST)?, object))
    }

    /// What a new entry names as seen.
    pub(crate) fn channel_heads(
        &self,
        channel: &ChannelId,
        clock_limit: Hlc,
    ) -> Result<ChannelHeads, StoreError> {
        let mut heads = ChannelHeads::default();
        self.each_meta(&meta(kind::HEAD, &[&channel.0]), &mut |key, value| {
            let clock = read_clock(&mut Reader(value))?;
            if clock <= clock_limit {
                heads.heads.push(read_id(&mut Reader(key))?);
                heads.clock = heads.clock.max(clock);
            }
            Ok(true)
        })?;
        heads.heads.sort_unstable();
        Ok(heads)
    }
}

fn row_of(id: &Cid, at: EntryAt, object: Bytes) -> ChannelEntryRow {
    let EntryAt { channel, clock, author, instance, .. } = at;
    ChannelEntryRow { channel, id: *id, author, instance, clock, object }
}
