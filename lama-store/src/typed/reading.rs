//! Reading channels: pages in both directions, and what became of an entry since it was written.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{ChannelId, Cid};

use super::channel::{EntryAt, amendments, read_clock};
use crate::api::{ChannelEntryRow, EntryState, PageFrom};
use crate::codec::Reader;
use crate::engine::{Engine, Table};
use crate::layout::{after_prefix, id_at_end, kind, meta};
use crate::{Store, StoreError};

const LOST: StoreError = StoreError::Corrupt("a channel names an entry that is not here");

impl EntryState {
    /// The entry that edited or deleted it.
    #[must_use]
    pub const fn by(&self) -> Option<Cid> {
        match self {
            Self::Original => None,
            Self::Edited { by, .. } | Self::Deleted { by, .. } => Some(*by),
        }
    }
}

impl<E: Engine> Store<E> {
    /// Entries in the order of the channel.
    pub(crate) fn channel_page(
        &self,
        channel: &ChannelId,
        from: &PageFrom,
        limit: usize,
    ) -> Result<Vec<ChannelEntryRow>, StoreError> {
        let limit = limit.min(self.config.max_page_entries);
        let prefix = meta(kind::ENTRY, &[&channel.0]);
        let end = after_prefix(&prefix);
        let ids = match from {
            PageFrom::First => self.ids_up(&prefix, end.as_deref(), limit)?,
            PageFrom::After(id) => {
                let mut from = self.anchor(channel, id)?;
                from.push(0);
                self.ids_up(&from, end.as_deref(), limit)?
            }
            PageFrom::Before(id) => self.ids_down(&prefix, Some(&self.anchor(channel, id)?), limit)?,
            PageFrom::Last => self.ids_down(&prefix, end.as_deref(), limit)?,
            PageFrom::Unread => self.unread(channel, limit)?,
        };
        ids.iter().map(|id| self.channel_entry(id)?.ok_or(LOST)).collect()
    }

    /// The place of an entry in its channel, whether it still counts or not: a reader may stand there.
    fn anchor(&self, channel: &ChannelId, id: &Cid) -> Result<Vec<u8>, StoreError> {
        let at = self.entry_at(id)?.filter(|at| at.channel == *channel);
        Ok(at.ok_or(StoreError::Misuse("no entry of that channel has that id"))?.order(id))
    }

    fn ids_up(&self, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let mut ids = Vec::new();
        if limit > 0 {
            self.rows(Table::Meta, from, to, &mut |key, _| {
                ids.push(id_at_end(key)?);
                Ok(ids.len() < limit)
            })?;
        }
        Ok(ids)
    }

    /// The last ids before `to`, ascending.
    fn ids_down(&self, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let mut ids = Vec::new();
        if limit > 0 {
            self.rows_down(Table::Meta, from, to, &mut |key, _| {
                ids.push(id_at_end(key)?);
                Ok(ids.len() < limit)
            })?;
        }
        ids.reverse();
        Ok(ids)
    }

    /// An entry as it stands in its channel; `None` if it does not stand there.
    pub(crate) fn channel_entry(&self, id: &Cid) -> Result<Option<ChannelEntryRow>, StoreError> {
        let Some(at) = self.entry_at(id)?.filter(|at| at.counts && !at.amends) else { return Ok(None) };
        let object = self.visible(id)?.ok_or(LOST)?;
        self.row_of(id, at, object).map(Some)
    }

    pub(super) fn row_of(&self, id: &Cid, at: EntryAt, object: Bytes) -> Result<ChannelEntryRow, StoreError> {
        let state = self.state(id, &at)?;
        let unread = self.is_unread(id, &at)?;
        let EntryAt { channel, clock, author, instance, .. } = at;
        Ok(ChannelEntryRow { channel, id: *id, author, instance, clock, object, state, unread })
    }

    /// A deletion by its author goes before every edit, and of several the one with the greatest (clock, id) counts. What
    /// does not lie after the entry by its clock has not seen it.
    fn state(&self, id: &Cid, at: &EntryAt) -> Result<EntryState, StoreError> {
        for deletes in [true, false] {
            let prefix = amendments(id, at, deletes);
            let mut last = None;
            self.rows_down(Table::Meta, &prefix, after_prefix(&prefix).as_deref(), &mut |key, _| {
                let clock = read_clock(&mut Reader(key.get(prefix.len()..).unwrap_or_default()))?;
                last = Some((clock, id_at_end(key)?));
                Ok(false)
            })?;
            if let Some((clock, by)) = last.filter(|(clock, _)| *clock > at.clock) {
                if deletes {
                    return Ok(EntryState::Deleted { by, clock });
                }
                let object = self.visible(&by)?.ok_or(LOST)?;
                return Ok(EntryState::Edited { by, clock, object });
            }
        }
        Ok(EntryState::Original)
    }
}
