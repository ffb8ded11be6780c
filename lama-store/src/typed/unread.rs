//! Which entries of others were not read yet.
//!
//! Entries are merged into a channel wherever their clocks put them, so "read" is kept by arrival and not by place: what
//! arrives late and stands early is unread all the same.

use alloc::vec::Vec;

use lama_identity::{ChannelId, Cid};

use super::channel::EntryAt;
use crate::codec::{Reader, Writer};
use crate::engine::{Engine, Table};
use crate::layout::{after_prefix, id_at_end, id_bytes, kind, meta};
use crate::{Store, StoreError};

/// How far a channel was read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Arrivals {
    /// Number of the last entry that came from others; 0: none.
    pub(super) last: u64,
    /// Number of the last one that was read.
    read: u64,
    /// How many are unread.
    pub(super) unread: u64,
}

impl Arrivals {
    fn to_bytes(self) -> Vec<u8> {
        Writer::default().num(self.last).num(self.read).num(self.unread).0
    }
}

fn unread_key(channel: &ChannelId, arrival: u64) -> Vec<u8> {
    meta(kind::UNREAD, &[&channel.0, &arrival.to_be_bytes()])
}

impl<E: Engine> Store<E> {
    pub(super) fn arrivals(&self, channel: &ChannelId) -> Result<Arrivals, StoreError> {
        let Some(value) = self.meta_get(&meta(kind::ARRIVALS, &[&channel.0]))? else {
            return Ok(Arrivals::default());
        };
        let mut reader = Reader(&value);
        let arrivals = Arrivals { last: reader.num()?, read: reader.num()?, unread: reader.num()? };
        reader.end()?;
        Ok(arrivals)
    }

    fn put_arrivals(&mut self, channel: &ChannelId, arrivals: Arrivals) {
        self.meta_put(meta(kind::ARRIVALS, &[&channel.0]), arrivals.to_bytes());
    }

    /// An entry of somebody else stands in the channel from now on: its number.
    pub(super) fn arrive(&mut self, channel: &ChannelId, id: &Cid) -> Result<u64, StoreError> {
        let mut arrivals = self.arrivals(channel)?;
        arrivals.last += 1;
        arrivals.unread += 1;
        self.put_arrivals(channel, arrivals);
        self.meta_put(unread_key(channel, arrivals.last), id_bytes(id).to_vec());
        Ok(arrivals.last)
    }

    /// An entry stands there no longer.
    pub(super) fn unarrive(&mut self, id: &Cid, at: &EntryAt) -> Result<(), StoreError> {
        let key = unread_key(&at.channel, self.arrival(id, at)?);
        if self.meta_get(&key)?.is_some() {
            self.meta_remove(key);
            let mut arrivals = self.arrivals(&at.channel)?;
            arrivals.unread = arrivals.unread.saturating_sub(1);
            self.put_arrivals(&at.channel, arrivals);
        }
        Ok(())
    }

    /// The number of an entry; 0 for one's own, and for what was read before numbers were given.
    fn arrival(&self, id: &Cid, at: &EntryAt) -> Result<u64, StoreError> {
        let Some(value) = self.meta_get(&at.order(id))? else { return Ok(0) };
        let mut reader = Reader(&value);
        let _: [u8; 32] = reader.array()?;
        if reader.0.is_empty() { Ok(0) } else { reader.num() }
    }

    pub(super) fn is_unread(&self, id: &Cid, at: &EntryAt) -> Result<bool, StoreError> {
        let arrival = self.arrival(id, at)?;
        Ok(arrival > 0 && arrival > self.arrivals(&at.channel)?.read)
    }

    /// The unread entries of a channel in the order of arrival.
    pub(super) fn unread(&self, channel: &ChannelId, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let mut ids = Vec::new();
        if limit > 0 {
            self.each_meta(&meta(kind::UNREAD, &[&channel.0]), &mut |_, value| {
                ids.push(id_at_end(value)?);
                Ok(ids.len() < limit)
            })?;
        }
        Ok(ids)
    }

    /// Everything that arrived up to number `upto` is read.
    pub(crate) fn mark_read(&mut self, channel: &ChannelId, upto: u64) -> Result<(), StoreError> {
        let mut arrivals = self.arrivals(channel)?;
        let upto = upto.min(arrivals.last);
        if upto <= arrivals.read {
            return Ok(());
        }
        let mut keys = Vec::new();
        let to = after_prefix(&unread_key(channel, upto));
        self.rows(Table::Meta, &unread_key(channel, 0), to.as_deref(), &mut |key, _| {
            keys.push(key.to_vec());
            Ok(true)
        })?;
        arrivals.read = upto;
        arrivals.unread = arrivals.unread.saturating_sub(keys.len() as u64);
        self.put_arrivals(channel, arrivals);
        keys.into_iter().for_each(|key| self.meta_remove(key));
        Ok(())
    }
}
