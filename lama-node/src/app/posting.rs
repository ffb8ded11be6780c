//! Writing into channels: entries that wait together are signed one after the other and stored together.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::Ticket;
use lama_identity::{
    Channel, ChannelEntry, ChannelId, Cid, Content, Hlc, MAX_ENTRY_LINKS, PersonId, Reference, Signature,
    Signer, TypeTag, Unsigned, cbor,
};
use lama_store::{Read, Reply as StoreReply, StoreError, Write};
use serde::{Deserialize, Serialize};

use crate::NodeError;
use crate::api::{Reply, WhichKey};
use crate::hub::{Effect, setting};
use crate::node::Node;

/// Settings under which the last own entry of each channel stands; the channel's id in hexadecimal follows.
pub(crate) const POSTS: &str = "post/";

/// Entries of one batch: what is written while a batch is under way goes with the next.
const BATCH: usize = 1_000;

/// The last own entry in a life of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    clock: Hlc,
    entry: Reference,
    #[serde(with = "serde_bytes")]
    epoch: [u8; 8],
}

/// One text or attachment that is to be posted.
#[derive(Debug)]
struct Post {
    reply: Option<Ticket>,
    content: Content,
}

/// An entry that is signed.
#[derive(Debug)]
struct Entry {
    reply: Option<Ticket>,
    id: Cid,
    clock: Hlc,
    bytes: Bytes,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    Heads,
    Signing {
        unsigned: Box<Unsigned<ChannelEntry>>,
        reply: Option<Ticket>,
        done: Vec<Entry>,
    },
    Storing {
        entries: Vec<(Option<Ticket>, Cid)>,
        last: Option<Last>,
    },
}

/// The writing into one channel.
#[derive(Debug)]
pub(crate) struct Posting {
    channel: Option<Channel>,
    queue: VecDeque<Post>,
    stage: Stage,
    last: Option<Last>,
}

impl Posting {
    const fn new(last: Option<Last>) -> Self {
        Self { channel: None, queue: VecDeque::new(), stage: Stage::Idle, last }
    }

    /// Takes up what the store remembers of the last own entry.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        cbor::decode(bytes).ok().map(|last| Self::new(Some(last)))
    }
}

impl Node {
    /// [`crate::Command::Send`].
    pub(crate) fn send(
        &mut self,
        reply: Ticket,
        to: PersonId,
        channel: Option<&str>,
        text: String,
    ) -> Result<(), NodeError> {
        self.known(&to)?;
        if text.len() > self.config.max_text {
            return Err(NodeError::TextTooLong { len: text.len(), max: self.config.max_text });
        }
        let channel = Channel::new(channel.unwrap_or(Channel::DIRECT), [self.me(), to])?;
        self.post(channel, Some(reply), Content::text(text));
        Ok(())
    }

    /// Queues an entry.
    pub(crate) fn post(&mut self, channel: Channel, reply: Option<Ticket>, content: Content) {
        let id = channel.id();
        let posting = self.posting.entry(id).or_insert(Posting::new(None));
        posting.channel = Some(channel);
        posting.queue.push_back(Post { reply, content });
        self.post_next(id);
    }

    /// Begins a batch: what have we seen of the channel?
    fn post_next(&mut self, channel: ChannelId) {
        let ahead = u64::try_from(self.config.max_clock_ahead.as_millis()).unwrap_or(u64::MAX);
        let ms = self.clock.latest().wall.0.saturating_add(ahead);
        let Some(posting) = self.posting.get_mut(&channel) else { return };
        if !matches!(posting.stage, Stage::Idle) || posting.queue.is_empty() {
            return;
        }
        posting.stage = Stage::Heads;
        let clock_limit = Hlc { ms, count: u32::MAX };
        self.read(Read::ChannelHeads { channel, clock_limit }, Effect::PostHeads { channel });
    }

    /// The channel's heads are read: the first entry of the batch.
    pub(crate) fn post_heads(&mut self, channel: ChannelId, result: Option<Result<StoreReply, StoreError>>) {
        let wall = self.clock.latest().wall;
        match result {
            Some(Ok(StoreReply::ChannelHeads(found))) => {
                // What lies too far ahead was left out.
                let _ = self.hlc.observe(found.clock, wall, self.config.max_clock_ahead);
                let mut heads: Vec<Reference> = found.heads.into_iter().map(Reference).collect();
                heads.sort_unstable();
                heads.truncate(MAX_ENTRY_LINKS);
                self.post_one(channel, heads, Vec::new());
            }
            Some(Err(error)) => self.post_failed(channel, &NodeError::Store(error)),
            _ => self.post_failed(channel, &NodeError::NoSuchChannel),
        }
    }

    /// Has the next entry signed, or stores the batch.
    fn post_one(&mut self, channel: ChannelId, heads: Vec<Reference>, done: Vec<Entry>) {
        let wall = self.clock.latest().wall;
        let (author, instance, epoch) = (self.me(), self.identity.public.instance_id(), self.epoch);
        let clock = self.hlc.tick(wall);
        let Some(posting) = self.posting.get_mut(&channel) else { return };
        let next = if done.len() < BATCH { posting.queue.pop_front() } else { None };
        let Some(Post { reply, content }) = next else { return self.store_posts(channel, done) };
        let before = done.last().map(|entry| Reference(entry.id));
        // An entry of ours from a time when our clock ran ahead cannot be followed: a new chain begins.
        let kept =
            posting.last.filter(|last| last.epoch == epoch && last.clock < clock).map(|last| last.entry);
        let entry = ChannelEntry {
            by: Signer::Instance,
            sig: None,
            prev: before.or(kept),
            clock,
            epoch,
            heads,
            type_tag: TypeTag::default(),
            author,
            channel,
            content,
            instance,
        };
        match Unsigned::new(entry).and_then(|unsigned| Ok((unsigned.input()?, unsigned))) {
            Ok((bytes, unsigned)) => {
                posting.stage = Stage::Signing { unsigned: Box::new(unsigned), reply, done };
                self.sign(WhichKey::Instance, bytes, Effect::PostSigned { channel });
            }
            Err(error) => {
                if let Some(reply) = reply {
                    self.reply(reply, Err(NodeError::Identity(error)));
                }
                let heads = done.last().map(|entry| alloc::vec![Reference(entry.id)]).unwrap_or_default();
                self.post_one(channel, heads, done);
            }
        }
    }

    /// An entry is signed.
    pub(crate) fn post_signed(&mut self, channel: ChannelId, signature: Option<Signature>) {
        let Some(posting) = self.posting.get_mut(&channel) else { return };
        let Stage::Signing { unsigned, reply, mut done } = core::mem::take(&mut posting.stage) else {
            return;
        };
        let signed =
            signature.ok_or(NodeError::KeyAbsent).and_then(|signature| Ok(unsigned.attach(signature)?));
        match signed {
            Ok(signed) => {
                let id = signed.cid();
                done.push(Entry { reply, id, clock: signed.value().clock, bytes: signed.bytes().clone() });
                self.post_one(channel, alloc::vec![Reference(id)], done);
            }
            Err(error) => {
                let replies = done.into_iter().map(|entry| entry.reply).chain([reply]).flatten();
                for reply in replies.collect::<Vec<_>>() {
                    self.reply(reply, Err(error.clone()));
                }
                self.post_failed(channel, &error);
            }
        }
    }

    /// The batch in one commit: the channel, the entries, and who sees them.
    fn store_posts(&mut self, channel: ChannelId, done: Vec<Entry>) {
        let (me, epoch) = (self.me(), self.epoch);
        let Some(posting) = self.posting.get_mut(&channel) else { return };
        let Some(identity) = &posting.channel else { return };
        let persons: Vec<PersonId> =
            identity.members.iter().copied().filter(|member| *member != me).collect();
        let mut objects: Vec<(Cid, Bytes)> = Self::channel_object(identity).into_iter().collect();
        let entries = done.iter().map(|entry| (entry.reply, entry.id)).collect();
        let last = done.last().map(|entry| Last { clock: entry.clock, entry: Reference(entry.id), epoch });
        objects.extend(done.into_iter().map(|entry| (entry.id, entry.bytes)));
        let ids = objects.iter().map(|(id, _)| *id).collect();
        let value = last.and_then(|last| cbor::encode(&last).ok());
        posting.stage = Stage::Storing { entries, last };
        let writes = alloc::vec![
            Write::Put { objects },
            Write::Share { ids, persons },
            Write::Setting { key: setting(POSTS, &channel.0), value },
        ];
        self.commit(writes, Effect::Posted { channel });
    }

    /// The batch is durable.
    pub(crate) fn posted(&mut self, channel: ChannelId, result: Option<Result<StoreReply, StoreError>>) {
        let Some(posting) = self.posting.get_mut(&channel) else { return };
        let Stage::Storing { entries, last } = core::mem::take(&mut posting.stage) else { return };
        match result {
            Some(Ok(StoreReply::Committed(committed))) => {
                posting.last = last.or(posting.last);
                for (reply, id) in entries {
                    if let Some(reply) = reply {
                        self.reply(reply, Ok(Reply::Sent { channel, id }));
                    }
                }
                self.committed(&committed, None);
                self.post_next(channel);
            }
            Some(Err(error)) => {
                let error = NodeError::Store(error);
                for reply in entries.into_iter().filter_map(|(reply, _)| reply) {
                    self.reply(reply, Err(error.clone()));
                }
                self.post_failed(channel, &error);
            }
            _ => {}
        }
    }

    /// Whatever waits for this channel has failed.
    fn post_failed(&mut self, channel: ChannelId, error: &NodeError) {
        let Some(posting) = self.posting.get_mut(&channel) else { return };
        posting.stage = Stage::Idle;
        for post in core::mem::take(&mut posting.queue) {
            if let Some(reply) = post.reply {
                self.reply(reply, Err(error.clone()));
            }
        }
    }
}
