//! What arrives in channels and by access rules, as events; edits and deletions.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use lama_core::Ticket;
use lama_identity::{Channel, Cid, Content};
use lama_store::{AccessRow, ChannelEntryRow, EntryState, Read, Reply as StoreReply, Request, StoreError};

use super::Answer;
use crate::NodeError;
use crate::api::{Event, SharedInfo};
use crate::hub::Effect;
use crate::node::Node;

impl Node {
    /// An entry stands in its channel.
    pub(crate) fn entry_came(&mut self, row: &ChannelEntryRow, from_peer: bool) {
        if from_peer && row.author != self.me() {
            let entry = self.entry_info(row);
            self.event(Event::Message(Box::new(entry)));
        }
    }

    /// An entry was edited or deleted.
    pub(crate) fn entry_changed(&mut self, row: &ChannelEntryRow, from_peer: bool) {
        if from_peer && row.author != self.me() {
            let entry = self.entry_info(row);
            self.event(Event::MessageChanged(Box::new(entry)));
        }
    }

    /// [`crate::Command::Edit`] and [`crate::Command::Delete`]: is it ours, and in which channel?
    pub(crate) fn amend(&mut self, reply: Ticket, entry: Cid, text: Option<String>) -> Result<(), NodeError> {
        let len = text.as_ref().map_or(0, String::len);
        if len > self.config.max_text {
            return Err(NodeError::TextTooLong { len, max: self.config.max_text });
        }
        let reads = alloc::vec![Request::Read(Read::Entry(entry)), Request::Read(Read::Channels)];
        self.store(reads, Effect::Answer { reply, answer: Answer::Amend { entry, text } });
        Ok(())
    }

    /// The entry is read, and the channels: the edit or deletion is an entry of its own.
    pub(crate) fn amend_found(
        &mut self,
        reply: Ticket,
        entry: Cid,
        text: Option<String>,
        results: Vec<Result<StoreReply, StoreError>>,
    ) {
        let (mut row, mut channels) = (None, Vec::new());
        for result in results {
            match result {
                Ok(StoreReply::Channel(rows)) => row = rows.into_iter().next(),
                Ok(StoreReply::Channels(rows)) => channels = rows,
                Err(error) => return self.reply(reply, Err(NodeError::Store(error))),
                Ok(_) => {}
            }
        }
        let Some(row) = row else { return self.reply(reply, Err(NodeError::NoSuchMessage { id: entry })) };
        let refused = match row.state {
            _ if row.author != self.me() => Some(NodeError::NotYourMessage { id: entry }),
            EntryState::Deleted { .. } => Some(NodeError::MessageDeleted { id: entry }),
            _ => None,
        };
        if let Some(error) = refused {
            return self.reply(reply, Err(error));
        }
        let found = channels.into_iter().find(|channel| channel.channel == row.channel);
        match found
            .ok_or(NodeError::NoSuchChannel)
            .and_then(|found| Ok(Channel::new(&found.name, found.members)?))
        {
            Ok(channel) => {
                let content = text.map_or(Content::delete(entry), |text| Content::edit(entry, text));
                self.post(channel, Some(reply), content);
            }
            Err(error) => self.reply(reply, Err(error)),
        }
    }

    /// An access rule took effect.
    pub(crate) fn access_came(&mut self, row: &AccessRow) {
        if row.author != self.me() {
            let shared = SharedInfo {
                root: row.object,
                by: row.author,
                with: row.persons.clone(),
                type_name: None,
                rule: row.rule,
            };
            self.event(Event::Shared(Box::new(shared)));
        }
    }
}
