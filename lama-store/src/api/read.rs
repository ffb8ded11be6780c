//! What can be asked, and the rows of the answers.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Secret32;
use bytes::Bytes;
use lama_chum::recon::{ShortKey, Sketch};
use lama_chum::{Cursor, Entry, Epoch, Fingerprint, Lanes, Positions, Refusal, ViewHead};
use lama_identity::{Access, ChannelId, Cid, GroupId, Hlc, InstanceId, PersonId, Reference};

use super::Quota;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Read {
    /// An object's bytes.
    Object(Cid),
    /// The next entries of the view towards an instance, for CHUM: entries that came from that instance are
    /// skipped, and `next` passes over them.
    Page {
        /// Whose view.
        person: PersonId,
        /// The instance it is read for.
        instance: InstanceId,
        /// The entry after which to start; 0: from the start.
        after: u64,
        /// Of these lanes. What is of others is passed over, so many entries at a time
        /// ([`Config::max_page_walk`](crate::Config)): a page may be empty though there is more.
        lanes: Lanes,
        /// Object bytes after which the page ends; it holds at least one entry if there is one.
        max_bytes: usize,
        /// Also the entries that came from that instance: it has lost them.
        whole: bool,
    },
    /// Chosen entries of the view towards an instance, for CHUM, also those that came from it: what reconciliation
    /// found it to lack. Answered as [`Read::Page`] is.
    Fetch {
        /// Whose view.
        person: PersonId,
        /// The instance it is read for.
        instance: InstanceId,
        /// Their sequence numbers, ascending.
        seqs: Vec<u64>,
        /// Object bytes after which the page ends; it holds at least one entry if there is one.
        max_bytes: usize,
    },
    /// Entries of a person's view log that change no set; of what the instance brought, what it said is gone and has not
    /// brought since: [`Reply::News`](crate::Reply::News).
    News {
        /// Whose view.
        person: PersonId,
        /// The instance that is to know them.
        instance: InstanceId,
        /// Entries above are looked at.
        after: u64,
        /// What the instance has of each lane already: that is left out.
        known: Positions,
        /// At most so many.
        limit: usize,
    },
    /// The ids of a person's set with their sequence numbers, in the order of the log, for CHUM.
    Ids {
        /// Whose view.
        person: PersonId,
        /// The entry after which to start; 0: from the start.
        after: u64,
        /// At most so many (and never more than [`Config::max_page_entries`](crate::Config)).
        limit: usize,
    },
    /// The entries of a person's set behind short ids, from `upto` downwards, for CHUM.
    Find {
        /// Whose view.
        person: PersonId,
        /// Makes the short ids.
        key: ShortKey,
        /// What is looked for, ascending.
        shorts: Arc<[u64]>,
        /// The last entry to look at.
        upto: u64,
        /// At most so many entries are looked at.
        limit: usize,
    },
    /// Heads and cursors between us and one instance.
    Head {
        /// Its owner.
        person: PersonId,
        /// The instance.
        instance: InstanceId,
    },
    /// The known instances of one person, or of all.
    Peers(Option<PersonId>),
    /// All contacts, pending ones too.
    Contacts,
    /// The trust records of one person, or all.
    Trust(Option<PersonId>),
    /// All tokens, in the order of their locators.
    Tokens,
    /// The newest endpoint of each instance of a contact.
    /// [`StoreError::NotAContact`](crate::StoreError::NotAContact) for a stranger: nothing of his is discoverable.
    Endpoints(PersonId),
    /// All channels.
    Channels,
    /// Entries of a channel in causal order, ties by (clock, author, id). What edits or deletes another entry is not
    /// among them: it shows in that one's [`EntryState`].
    Channel {
        /// The channel.
        channel: ChannelId,
        /// Where to start, and in which direction.
        from: PageFrom,
        /// At most so many entries (and never more than [`Config::max_page_entries`](crate::Config)).
        limit: usize,
    },
    /// One entry as it stands in its channel; none if it is no entry that counts.
    Entry(Cid),
    /// What a new entry of a channel names as seen.
    ChannelHeads {
        /// The channel.
        channel: ChannelId,
        /// Heads with a later clock are left out (a clock far in the future would drag all others along).
        clock_limit: Hlc,
    },
    /// In whose views an object stands.
    Access(Cid),
    /// The access rules received or made for an object, in effect or not.
    AccessRules(Cid),
    /// All access rules received or made, in effect or not.
    AllAccessRules,
    /// What one author's rules for an identity object say together, for who writes the next version.
    Policy {
        /// The identity object.
        of: Cid,
        /// Whose rules.
        author: PersonId,
    },
    /// Why an object does not reach a person, or how far it has come.
    Explain {
        /// The object.
        object: Cid,
        /// The person.
        person: PersonId,
    },
    /// What is known of a group.
    Group(GroupId),
    /// What is kept of a contact, and how much may be.
    Quota(PersonId),
    /// Ids in a person's view, in the order of the log.
    View {
        /// Whose.
        person: PersonId,
        /// The entry after which to start; 0: from the start.
        after: u64,
        /// At most so many ids.
        limit: usize,
    },
    /// One setting.
    Setting(String),
    /// All settings whose name starts so.
    Settings(String),
    /// Sizes and counts.
    Stats,
    /// The integrity walk ([`Store::check`](crate::Store::check)): reads the whole store.
    Check,
}

/// A stretch of a view log towards one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Entries of the wanted lanes that did not come from that instance, ascending by sequence number.
    pub entries: Vec<Entry>,
    /// Everything up to this sequence number is in this page or was skipped: the next `after`.
    pub next: u64,
    /// The head of the view when the page was read.
    pub head: ViewHead,
}

/// A stretch of the ids of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// Sequence numbers and ids.
    pub ids: Vec<(u64, Cid)>,
    /// Everything up to this sequence number is in it or was skipped: the next `after`. The log's head where the
    /// log ends.
    pub next: u64,
}

/// What was found in a stretch of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Short ids with the sequence numbers of their entries.
    pub found: Vec<(u64, u64)>,
    /// Every entry above this one was looked at, from `upto` on.
    pub from: u64,
}

/// A step through a view log: what changes no set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Sequence numbers of entries that say of an id in the set that it is gone, or to be had again.
    pub seqs: Vec<u64>,
    /// The last one that was looked at; the log's head where the log ends.
    pub next: u64,
}

/// Heads and cursors between us and one instance of another person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerHead {
    /// Our view towards it.
    pub head: ViewHead,
    /// Up to where we have its log; [`lama_chum::NO_EPOCH`] before anything was received.
    pub received: Cursor,
    /// Up to where it has our log, as acknowledged in the current epoch; 0: nothing.
    pub acked: Positions,
    /// Up to where it has our log, as acknowledged last, and in which life of our store: this one, or one before whose log
    /// this one continues from there.
    pub last_acked: Cursor,
    /// The life of its store in which that was.
    pub acked_by: Epoch,
    /// The life of our store before this one, and up to where this one's log is the same; 0: nowhere.
    pub before: (Epoch, u64),
    /// The last life of its store in which it had acknowledged all that changes no set; [`lama_chum::NO_EPOCH`]: there
    /// was none.
    pub life: Epoch,
    /// The first 32 cells of the head's set.
    pub sketch: Sketch,
    /// Whether it has taken note of this life of our store: acknowledged something in it, or agreed with us.
    pub seen: bool,
    /// The set on which both ends last agreed, in whatever life: count and fingerprint.
    pub agreed: Option<(u64, Fingerprint)>,
    /// The last entry of the view's log that changes no set; 0: there is none that the instance did not bring and has not
    /// acknowledged.
    pub news: u64,
    /// The last entry that changes no set, or was a tombstone from the start, whatever is known of it; 0: there is none.
    pub last_news: u64,
    /// The pair key under which the head's fingerprint and sketch were made.
    pub pair_key: Secret32,
}

/// How one instance of a person is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    /// Its owner.
    pub person: PersonId,
    /// The instance.
    pub instance: InstanceId,
    /// The signed version that says so.
    pub id: Cid,
    /// Its bytes.
    pub object: Bytes,
}

/// Which stretch of a channel is read. Answers are ascending, whatever the direction. A page is anchored at an entry and
/// not at a number, so entries that arrive meanwhile neither shift nor repeat what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageFrom {
    /// The first entries.
    #[default]
    First,
    /// The entries that follow this one.
    After(Cid),
    /// The entries that lie right before this one.
    Before(Cid),
    /// The last entries.
    Last,
    /// The unread entries that arrived first, wherever they stand.
    Unread,
}

/// What became of an entry since it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryState {
    /// It stands as it was written.
    Original,
    /// Its author has put another text in its place.
    Edited {
        /// The entry that says so.
        by: Cid,
        /// When.
        clock: Hlc,
        /// That entry's bytes.
        object: Bytes,
    },
    /// Its author has deleted it: its text is not to be shown any more.
    Deleted {
        /// The entry that says so.
        by: Cid,
        /// When.
        clock: Hlc,
    },
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRow {
    /// Its label.
    pub channel: ChannelId,
    /// Its name.
    pub name: String,
    /// Its members, ascending.
    pub members: Vec<PersonId>,
    /// How many entries stand in it, without edits and deletions.
    pub entries: u64,
    /// The number of the last arrival from others: [`Write::MarkRead`](crate::Write::MarkRead) takes it.
    pub arrived: u64,
    /// How many entries of others are unread.
    pub unread: u64,
}

/// One entry of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelEntryRow {
    /// The channel.
    pub channel: ChannelId,
    /// The entry's id.
    pub id: Cid,
    /// Who wrote it.
    pub author: PersonId,
    /// On which instance.
    pub instance: InstanceId,
    /// Its hybrid logical clock.
    pub clock: Hlc,
    /// The entry itself, as it was first written.
    pub object: Bytes,
    /// What became of it.
    pub state: EntryState,
    /// Whether it came from somebody else and was not marked as read.
    pub unread: bool,
}

/// Where a channel stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelHeads {
    /// Entries that no other entry names, ascending.
    pub heads: Vec<Cid>,
    /// The highest clock among the heads; zero: the channel is empty.
    pub clock: Hlc,
}

/// How far an object has come on its way to a person. From [`Standing::Pending`] on it is in his view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// The person is no established contact: nothing is sent to him.
    NotAContact,
    /// The object is not here.
    NotHere,
    /// It waits for a content link of its own, and is not shown to anybody.
    SetAside,
    /// It was deleted here, or withdrawn: the person is told that it is gone.
    Tombstone,
    /// Nothing grants it to him.
    NotShared,
    /// It is granted, and was not sent yet.
    Pending,
    /// It was sent, or is on its way, and is not acknowledged.
    Sent,
    /// Over the quota that the person's instance has for us, or refused by another rule of its: it is not sent again
    /// unless it is shared once more.
    Refused(Refusal),
    /// The person's instances have it durably.
    Acknowledged,
    /// An instance of the person brought it here.
    FromThem,
}

/// Where an object stands with a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The object.
    pub object: Cid,
    /// The person.
    pub person: PersonId,
    /// How far it has come; with several instances, the one that is behind.
    pub standing: Standing,
    /// The same for each known instance of the person.
    pub instances: Vec<(InstanceId, Standing)>,
    /// Whether it was shared by itself, apart from rules.
    pub direct: bool,
    /// The access rules that speak of it, with whether they are in effect: one that is not was made by somebody who
    /// did not author the object.
    pub rules: Vec<AccessRow>,
}

/// What is known of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// The group.
    pub group: GroupId,
    /// Who made it.
    pub owner: PersonId,
    /// Who may write its members, besides the owner; ascending.
    pub admins: Vec<PersonId>,
    /// Who is in it; ascending.
    pub members: Vec<PersonId>,
}

/// What is kept of a contact, and how much may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaRow {
    /// The limits in force.
    pub limits: Quota,
    /// Objects kept.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were refused.
    pub refused: u64,
}

/// One access rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRow {
    /// The rule's own id.
    pub rule: Cid,
    /// Who made it.
    pub author: PersonId,
    /// What it speaks of.
    pub object: Cid,
    /// Who may see that.
    pub persons: Vec<PersonId>,
    /// Groups whose members may see that.
    pub groups: Vec<GroupId>,
    /// Whether it is in effect: the object is here and `author` authored it.
    pub in_effect: bool,
}

/// What one author's rules for an identity object say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRow {
    /// The merged rules; nothing in it: there are none.
    pub data: Access,
    /// The versions that the next one has to name as its parents. Ascending.
    pub heads: Vec<Reference>,
}

/// Sizes and counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Objects here, without those set aside.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects set aside.
    pub aside: u64,
    /// Persons with a view.
    pub views: u64,
    /// This store's epoch.
    pub epoch: Epoch,
}
