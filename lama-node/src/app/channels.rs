//! What arrives in channels and by access rules, as events.

use alloc::boxed::Box;

use lama_store::{AccessRow, ChannelEntryRow};

use crate::api::{Event, SharedInfo};
use crate::node::Node;

impl Node {
    /// An entry stands in its channel.
    pub(crate) fn entry_came(&mut self, row: &ChannelEntryRow, from_peer: bool) {
        if from_peer && row.author != self.me() {
            let entry = self.entry_info(row);
            self.event(Event::Message(Box::new(entry)));
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
