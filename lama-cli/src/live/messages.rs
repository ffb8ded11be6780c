//! Messages: writing, reading, marking as read, editing, deleting.

use lama_identity::{Cid, PersonId};
use lama_node::{ChannelInfo, ChannelRef, Command, EntryInfo, PageFrom, Reply};

use super::work::{contact, contacts, unexpected};
use super::{Live, rows};
use crate::api;
use crate::failure::{Exit, Failure};
use crate::text::after_prefix;

/// How many messages are looked through at a time.
const PAGE: usize = 500;

/// The fewest characters that name a message.
const SHORTEST: usize = 4;

/// What `lama log` is to show.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) with: Option<String>,
    pub(super) limit: usize,
    pub(super) unread: bool,
    pub(super) before: Option<String>,
    pub(super) mark_read: bool,
}

pub(super) fn send(live: &Live, to: &str, text: String) -> Result<api::Sent, Failure> {
    let contact = contact(live, to)?;
    match live.call(Command::Send { to: contact.person, channel: None, text })? {
        Reply::Sent { id, .. } => Ok(api::Sent {
            id: id.to_string(),
            to: contact.email,
            connected: contact.instances.iter().any(|instance| instance.connected),
        }),
        other => Err(unexpected(&other)),
    }
}

fn channels(live: &Live) -> Result<Vec<ChannelInfo>, Failure> {
    match live.call(Command::Channels)? {
        Reply::Channels(list) => Ok(list),
        other => Err(unexpected(&other)),
    }
}

fn entries(
    live: &Live,
    channel: &ChannelInfo,
    from: PageFrom,
    limit: usize,
) -> Result<Vec<EntryInfo>, Failure> {
    match live.call(Command::Log { channel: ChannelRef::Id(channel.channel), from, limit })? {
        Reply::Log(entries) => Ok(entries),
        other => Err(unexpected(&other)),
    }
}

/// The last `limit` messages before `from`, oldest first: as many pages as it takes.
fn last(
    live: &Live,
    channel: &ChannelInfo,
    mut from: PageFrom,
    limit: usize,
) -> Result<Vec<EntryInfo>, Failure> {
    let mut pages = Vec::new();
    let mut left = limit;
    while left > 0 {
        let page = entries(live, channel, from, left.min(PAGE))?;
        let Some(first) = page.first() else { break };
        from = PageFrom::Before(first.id);
        left = left.saturating_sub(page.len());
        pages.push(page);
    }
    Ok(pages.into_iter().rev().flatten().collect())
}

pub(super) fn log(live: &Live, wanted: &Wanted) -> Result<api::Messages, Failure> {
    let only =
        wanted.with.as_deref().map(|text| contact(live, text)).transpose()?.map(|contact| contact.person);
    let known = contacts(live)?;
    let before = wanted.before.as_deref().map(|name| find(live, name)).transpose()?;
    let mut answer = api::Messages::default();
    for info in channels(live)? {
        let others: Vec<PersonId> =
            info.members.iter().copied().filter(|who| who.full() != live.id.person).collect();
        if only.is_some_and(|only| !others.contains(&only))
            || before.as_ref().is_some_and(|before| before.channel != info.channel)
            || (wanted.unread && info.unread == 0)
        {
            continue;
        }
        let found = match &before {
            _ if wanted.unread => entries(live, &info, PageFrom::Unread, wanted.limit)?,
            Some(before) => last(live, &info, PageFrom::Before(before.id), wanted.limit)?,
            None => last(live, &info, PageFrom::Last, wanted.limit)?,
        };
        let email = |who: &PersonId| {
            known.iter().find(|c| c.person == *who).map_or_else(|| who.full(), |c| c.email.clone())
        };
        if wanted.mark_read {
            // Up to what had arrived before they were read: what comes meanwhile stays unread.
            live.call(Command::MarkRead { channel: ChannelRef::Id(info.channel), upto: info.arrived })?;
        }
        answer.channels.push(api::Channel {
            channel: info.name,
            with: others.iter().map(email).collect(),
            unread: info.unread,
            messages: found.iter().map(rows::message).collect(),
        });
    }
    answer.channels.sort_by(|a, b| (&a.with, &a.channel).cmp(&(&b.with, &b.channel)));
    Ok(answer)
}

/// Edits an own message or, without a text, deletes it.
pub(super) fn amend(live: &Live, name: &str, text: Option<String>) -> Result<api::Amended, Failure> {
    let entry = match name.parse::<Cid>() {
        Ok(id) => id,
        Err(_) => find(live, name)?.id,
    };
    let command = match text {
        Some(text) => Command::Edit { entry, text },
        None => Command::Delete { entry },
    };
    match live.call(command)? {
        Reply::Sent { id, .. } => Ok(api::Amended { id: entry.to_string(), by: id.to_string() }),
        other => Err(unexpected(&other)),
    }
}

/// The message of that id, or whose name begins so.
fn find(live: &Live, name: &str) -> Result<EntryInfo, Failure> {
    let name = name.to_ascii_lowercase();
    let mut found: Option<EntryInfo> = None;
    for channel in channels(live)? {
        let mut from = PageFrom::Last;
        loop {
            let page = entries(live, &channel, from, PAGE)?;
            let Some(first) = page.first().map(|entry| entry.id) else { break };
            from = PageFrom::Before(first);
            for entry in page {
                let id = entry.id.to_string();
                let is_meant = id == name || (name.len() >= SHORTEST && after_prefix(&id).starts_with(&name));
                if is_meant && found.replace(entry).is_some_and(|before| before.id.to_string() != id) {
                    let text = format!("{name} is the beginning of several messages' names; give more of it");
                    return Err(Failure::new(Exit::RefusedByRule, "ambiguous_message", text));
                }
            }
        }
    }
    found.ok_or_else(|| {
        let text = format!("{name} names no message; `lama log` shows the name in front of each");
        Failure::new(Exit::RefusedByRule, "unknown_message", text)
    })
}
