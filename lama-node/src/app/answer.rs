//! Answers of the store to commands that only read, or only write.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use lama_core::Ticket;
use lama_identity::{ChannelEntry, Cid, Object as _, OneInstanceEndpoint, PersonId, Versioned, cbor};
use lama_store::{
    AccessRow, ChannelEntryRow, EndpointRow, EntryState, Read, Reply as StoreReply, Request, StoreError,
};

use crate::NodeError;
use crate::api::{ChannelInfo, EndpointInfo, EntryInfo, EntryStanding, Reply, SharedInfo};
use crate::hub::Effect;
use crate::node::Node;

/// What a command wants of the store's answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Endpoints of a contact.
    Endpoints { person: PersonId },
    /// Channels.
    Channels,
    /// Entries of a channel.
    Log,
    /// An own entry to be edited or, without a text, deleted.
    Amend { entry: Cid, text: Option<String> },
    /// Something was stored.
    Put,
    /// An object.
    Object,
    /// Access rules, to be completed by the types of what they speak of.
    Rules { with: Option<PersonId> },
    /// The objects behind access rules.
    Roots { rules: Vec<AccessRow> },
    /// Our rules for an object, of which the next one is to be written.
    Policy(Box<super::Wish>),
    /// Where an object stands.
    Explain,
    /// What is kept of a contact, once new limits are written.
    Quota,
    /// Statistics.
    Status,
    /// What the host keeps, once it is written.
    Setting,
    /// The store is sound.
    Check,
}

impl Node {
    /// The store has answered: so is the command.
    pub(crate) fn answered(
        &mut self,
        reply: Ticket,
        answer: Answer,
        mut results: Vec<Result<StoreReply, StoreError>>,
    ) {
        if let Answer::Roots { rules } = answer {
            let list = self.shared_list(rules, &results);
            return self.reply(reply, Ok(Reply::SharedList(list)));
        }
        if let Answer::Amend { entry, text } = answer {
            return self.amend_found(reply, entry, text, results);
        }
        if let Answer::Policy(wish) = answer {
            return self.policy_read(reply, *wish, results);
        }
        if matches!(answer, Answer::Quota | Answer::Setting)
            && let Some(Err(error)) = results.first()
        {
            let error = NodeError::Store(error.clone());
            return self.reply(reply, Err(error));
        }
        let result = match results.pop() {
            Some(Ok(found)) => found,
            Some(Err(StoreError::NotAContact(person))) => {
                return self.reply(reply, Err(NodeError::NotAContact { person }));
            }
            Some(Err(error)) => return self.reply(reply, Err(NodeError::Store(error))),
            None => return self.reply(reply, Err(NodeError::Stopped)),
        };
        let answered = match (answer, result) {
            (Answer::Endpoints { person }, StoreReply::Endpoints(rows)) => {
                Reply::Endpoints(self.endpoints(&person, &rows))
            }
            (Answer::Channels, StoreReply::Channels(rows)) => Reply::Channels(
                rows.into_iter()
                    .map(|row| ChannelInfo {
                        channel: row.channel,
                        name: row.name,
                        members: row.members,
                        entries: row.entries,
                        arrived: row.arrived,
                        unread: row.unread,
                    })
                    .collect(),
            ),
            (Answer::Log, StoreReply::Channel(rows)) => {
                Reply::Log(rows.iter().map(|row| self.entry_info(row)).collect())
            }
            (Answer::Put, StoreReply::Committed(committed)) => {
                self.committed(&committed, None);
                Reply::Done
            }
            (Answer::Object, StoreReply::Object(bytes)) => Reply::Object(bytes),
            (Answer::Rules { with }, StoreReply::AccessRules(rows)) => {
                return self.read_roots(reply, with, rows);
            }
            (Answer::Explain, StoreReply::Explanation(told)) => Reply::Explanation(told),
            (Answer::Quota, StoreReply::Quota(row)) => Reply::Quota(row),
            (Answer::Status, StoreReply::Stats(stats)) => self.status(stats),
            (Answer::Setting, StoreReply::Setting(value)) => Reply::Setting(value),
            (Answer::Check, StoreReply::Checked(checked)) => Reply::StoreChecked(checked),
            _ => Reply::Done,
        };
        self.reply(reply, Ok(answered));
    }

    /// Endpoints that the contact's instances have published, and those that only a session has told.
    fn endpoints(&self, person: &PersonId, rows: &[EndpointRow]) -> Vec<EndpointInfo> {
        let Some(known) = self.book.person(person) else { return Vec::new() };
        let instances = &known.contact.instances;
        instances
            .iter()
            .map(|instance| {
                let row = rows.iter().find(|row| row.instance == instance.keys.owner);
                let told = instance.urls.first().cloned().unwrap_or_default();
                let published = row.and_then(|row| {
                    let version = Versioned::<OneInstanceEndpoint>::from_bytes(&row.object).ok()?;
                    Some((version.data.url, row.id))
                });
                let (url, object) = published.map_or((told, None), |(url, id)| (url, Some(id)));
                EndpointInfo {
                    person: *person,
                    instance: instance.keys.owner,
                    noise: instance.keys.encryption_key,
                    url,
                    object,
                }
            })
            .collect()
    }

    /// An entry as it is shown.
    pub(crate) fn entry_info(&self, row: &ChannelEntryRow) -> EntryInfo {
        let (object, standing) = match &row.state {
            EntryState::Edited { object, clock, .. } => (object, EntryStanding::Edited { at: clock.wall() }),
            EntryState::Deleted { clock, .. } => (&row.object, EntryStanding::Deleted { at: clock.wall() }),
            EntryState::Original => (&row.object, EntryStanding::Original),
        };
        let is_deleted = matches!(standing, EntryStanding::Deleted { .. });
        let entry = ChannelEntry::from_bytes(object).ok().filter(|_| !is_deleted);
        let content = entry.map(|entry| entry.content);
        let email = if row.author == self.me() {
            String::from(self.identity.public.person.email.as_str())
        } else {
            let known = self.book.person(&row.author);
            known.map(|known| String::from(known.contact.person.email.as_str())).unwrap_or_default()
        };
        EntryInfo {
            channel: row.channel,
            id: row.id,
            author: row.author,
            email,
            instance: row.instance,
            written: row.clock.wall(),
            attachment: content.as_ref().and_then(|content| {
                content.links.first().copied().or_else(|| content.about.first().map(|about| about.0))
            }),
            text: content.and_then(|content| content.text).unwrap_or_default(),
            standing,
            unread: row.unread,
        }
    }

    /// The objects that access rules speak of, for their types.
    fn read_roots(&mut self, reply: Ticket, with: Option<PersonId>, mut rules: Vec<AccessRow>) {
        // A rule that names nobody any more is not a share.
        rules.retain(|rule| !(rule.persons.is_empty() && rule.groups.is_empty()));
        if let Some(with) = with {
            rules.retain(|rule| rule.author == with || rule.persons.contains(&with));
        }
        let reads = rules.iter().map(|rule| Request::Read(Read::Object(rule.object))).collect();
        self.store(reads, Effect::Answer { reply, answer: Answer::Roots { rules } });
    }

    fn shared_list(
        &self,
        rules: Vec<AccessRow>,
        results: &[Result<StoreReply, StoreError>],
    ) -> Vec<SharedInfo> {
        let shared = |(rule, result): (AccessRow, &Result<StoreReply, StoreError>)| SharedInfo {
            root: rule.object,
            by: rule.author,
            with: rule.persons,
            type_name: match result {
                Ok(StoreReply::Object(Some(bytes))) => {
                    cbor::check(bytes).ok().and_then(|seen| seen.type_name.map(String::from))
                }
                _ => None,
            },
            rule: rule.rule,
        };
        rules.into_iter().zip(results).map(shared).collect()
    }
}
