//! Channels: which entries count, their order, and their heads. Reading them: `reading.rs`.
//!
//! An entry counts if its author is a member and its clock lies after the clocks of all entries it names that are
//! here. What counts is therefore a function of the set of entries, whatever the order of their arrival, and
//! sorting by (clock, author, id) is a causal order. A clock that lies moves its author's own entries and no others:
//! nobody writes after a head that lies too far ahead.
//!
//! An edit or deletion is an entry like any other, but stands with the entry that it speaks of instead of in the
//! order; whether it has an effect is found when that is read, so it may come first.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{Amends, Channel, ChannelEntry, ChannelId, Cid, Hlc, InstanceId, PersonId};

use super::{Lacks, typed_object};
use crate::api::{ChannelHeads, ChannelRow, Committed, Effect};
use crate::codec::{Reader, Writer};
use crate::engine::Engine;
use crate::layout::{id_at_end, id_bytes, kind, meta, read_id};
use crate::{Store, StoreError};

/// What is known of one entry, whether it counts or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryAt {
    pub(super) channel: ChannelId,
    pub(super) clock: Hlc,
    pub(super) author: PersonId,
    pub(super) instance: InstanceId,
    pub(super) counts: bool,
    /// Whether it edits or deletes another one.
    pub(super) amends: bool,
}

impl EntryAt {
    fn to_bytes(self) -> Vec<u8> {
        Writer::default()
            .raw(&self.channel.0)
            .raw(&clock_bytes(self.clock))
            .raw(&self.author.0)
            .raw(&self.instance.0)
            .u8(u8::from(self.counts) | u8::from(self.amends) << 1)
            .0
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let channel = ChannelId(reader.array()?);
        let clock = read_clock(&mut reader)?;
        let (author, instance) = (PersonId(reader.array()?), InstanceId(reader.array()?));
        let flags = reader.u8()?;
        reader.end()?;
        Ok(Self { channel, clock, author, instance, counts: flags & 1 != 0, amends: flags & 2 != 0 })
    }

    /// Its place in the order of the channel.
    pub(super) fn order(&self, id: &Cid) -> Vec<u8> {
        meta(kind::ENTRY, &[&self.channel.0, &clock_bytes(self.clock), &self.author.0, &id_bytes(id)])
    }

    /// Its place with what it edits or deletes.
    fn amendment(&self, id: &Cid, amends: Amends) -> Vec<u8> {
        let mut key = amendments(&amends.entry, self, amends.deletes);
        key.extend_from_slice(&clock_bytes(self.clock));
        key.extend_from_slice(&id_bytes(id));
        key
    }

    fn head(&self, id: &Cid) -> Vec<u8> {
        meta(kind::HEAD, &[&self.channel.0, &id_bytes(id)])
    }
}

/// Where the edits or the deletions of an entry stand that `by`'s author wrote in `by`'s channel, by their clocks.
pub(super) fn amendments(entry: &Cid, by: &EntryAt, deletes: bool) -> Vec<u8> {
    meta(kind::AMENDS, &[&id_bytes(entry), &by.channel.0, &by.author.0, &[deletes.into()]])
}

/// A clock whose bytes sort as it does.
fn clock_bytes(clock: Hlc) -> [u8; 12] {
    let mut bytes = [0; 12];
    let (ms, count) = bytes.split_at_mut(8);
    ms.copy_from_slice(&clock.ms.to_be_bytes());
    count.copy_from_slice(&clock.count.to_be_bytes());
    bytes
}

pub(super) fn read_clock(reader: &mut Reader<'_>) -> Result<Hlc, StoreError> {
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
    Ok(ChannelRow { channel: ChannelId(Reader(key).array()?), name, members, entries, arrived: 0, unread: 0 })
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
        let (id, name, members) = (channel.id(), channel.name, channel.members);
        let row = ChannelRow { channel: id, name, members, entries: 0, arrived: 0, unread: 0 };
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
        let amends = entry.content.amends();
        let mut at = EntryAt {
            channel: entry.channel,
            clock: entry.clock,
            author: entry.author,
            instance: entry.instance,
            counts: true,
            amends: amends.is_some(),
        };
        for parent in &named {
            self.meta_put(meta(kind::NAMED_BY, &[&id_bytes(parent), &id_bytes(id)]), Bytes::new());
            let before = self.entry_at(parent)?;
            at.counts &= before.is_none_or(|before| before.channel == at.channel && before.clock < at.clock);
        }
        self.meta_put(meta(kind::ENTRY_AT, &[&id_bytes(id)]), at.to_bytes());
        if at.counts {
            match amends {
                Some(amends) => self.meta_put(at.amendment(id, amends), Bytes::new()),
                None => {
                    let own = source == 0 || self.owner.as_ref().map(|me| me.person_id()) == Some(at.author);
                    let arrival = if own { 0 } else { self.arrive(&at.channel, id)? };
                    self.meta_put(at.order(id), Writer::default().raw(&at.instance.0).num(arrival).0);
                    channel.entries += 1;
                }
            }
        }
        let children = self.named_by(id)?;
        for child in &children {
            // It named this one, and yet its clock does not lie after it.
            if let Some(later) = self.entry_at(child)?
                && later.counts
                && (later.clock <= at.clock || later.channel != at.channel)
            {
                channel.entries -= u64::from(later.channel == at.channel && !later.amends);
                self.discount(child, later)?;
            }
        }
        self.meta_put(meta(kind::CHANNEL, &[&at.channel.0]), channel_bytes(&channel));
        self.refresh_head(id)?;
        for parent in &named {
            self.refresh_head(parent)?;
        }
        match amends {
            _ if !at.counts => {}
            None => report.effects.push(Effect::ChannelEntry(self.row_of(id, at, bytes.clone())?)),
            Some(amends) => {
                // Only what changes how the entry reads is worth a word.
                if let Some(row) = self.channel_entry(&amends.entry)?
                    && row.state.by() == Some(*id)
                {
                    report.effects.push(Effect::ChannelEntryChanged(row));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Takes an entry out of its channel.
    fn discount(&mut self, id: &Cid, at: EntryAt) -> Result<(), StoreError> {
        self.unarrive(id, &at)?;
        self.meta_remove(at.order(id));
        self.meta_remove(at.head(id));
        self.meta_put(meta(kind::ENTRY_AT, &[&id_bytes(id)]), EntryAt { counts: false, ..at }.to_bytes());
        let bytes = self.visible(id)?.unwrap_or_default();
        if let Ok(entry) = typed_object::<ChannelEntry>(&bytes) {
            if let Some(amends) = entry.content.amends() {
                self.meta_remove(at.amendment(id, amends));
            }
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

    pub(super) fn entry_at(&self, id: &Cid) -> Result<Option<EntryAt>, StoreError> {
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
        for row in &mut rows {
            let arrivals = self.arrivals(&row.channel)?;
            (row.arrived, row.unread) = (arrivals.last, arrivals.unread);
        }
        Ok(rows)
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
