//! What a caller says to the store and what it answers: plain data, `Clone`, nothing borrowed.
//!
//! A [`Request`] is either one [`Commit`](Request::Commit), a list of [`Write`]s of which all take effect or
//! none, or one [`Read`]. [`Store::execute`](crate::Store::execute) takes many requests at once, runs them in
//! order (each sees what the ones before it wrote), makes all writes durable together, and answers each.

mod read;
mod records;
mod write;

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::ImportOutcome;
use lama_identity::{Cid, Contact, PersonId};
use lama_invite::TokenRecord;

pub use read::{
    AccessRow, ChannelEntryRow, ChannelHeads, ChannelRow, EndpointRow, EntryState, Explanation, Found,
    GroupRow, Ids, News, Page, PageFrom, PeerHead, PolicyRow, QuotaRow, Read, Standing, Stats,
};
pub use records::{PeerRecord, Quota, Secret32, TrustRecord};
pub use write::{Import, Write};

/// An object with its id. Whoever builds the pair has computed the id from the bytes: CHUM does so for what it
/// receives, the application for what it makes (`Cid::of_object`, `Cid::of_chunk`). The store does not hash it a
/// second time; [`Store::check`](crate::Store::check) does.
pub type Object = (Cid, Bytes);

/// One unit of work for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// All writes or none, durable before the answer: [`Reply::Committed`], or [`Reply::Conflict`] and nothing
    /// was written.
    Commit(Vec<Write>),
    /// One question. Sees every commit before it in the same call.
    Read(Read),
}

/// What the store answers to one [`Request`] that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// The commit is durable.
    Committed(Committed),
    /// The commit changed nothing, because a token was not in the state its [`Write::Token`] expected. Carries
    /// the record as it stands, `None` if there is none.
    Conflict(Option<Box<TokenRecord>>),
    /// The bytes of an object, for [`Read::Object`]; `None`: not here (or set aside).
    Object(Option<Bytes>),
    /// For [`Read::Page`] and [`Read::Fetch`].
    Page(Page),
    /// For [`Read::News`].
    News(News),
    /// For [`Read::Ids`].
    Ids(Ids),
    /// For [`Read::Find`].
    Found(Found),
    /// For [`Read::Head`]; `None`: no [`Write::Peer`] was ever made for that instance.
    Head(Option<Box<PeerHead>>),
    /// For [`Read::Peers`].
    Peers(Vec<PeerRecord>),
    /// For [`Read::Contacts`].
    Contacts(Vec<Contact>),
    /// For [`Read::Trust`].
    Trust(Vec<TrustRecord>),
    /// For [`Read::Tokens`].
    Tokens(Vec<TokenRecord>),
    /// For [`Read::Endpoints`].
    Endpoints(Vec<EndpointRow>),
    /// For [`Read::Channels`].
    Channels(Vec<ChannelRow>),
    /// For [`Read::Channel`], in the order of the channel.
    Channel(Vec<ChannelEntryRow>),
    /// For [`Read::ChannelHeads`].
    ChannelHeads(ChannelHeads),
    /// For [`Read::Access`]: the persons in whose views the object stands.
    Access(Vec<PersonId>),
    /// For [`Read::AccessRules`] and [`Read::AllAccessRules`].
    AccessRules(Vec<AccessRow>),
    /// For [`Read::Policy`].
    Policy(PolicyRow),
    /// For [`Read::Explain`].
    Explanation(Box<Explanation>),
    /// For [`Read::Group`]; `None`: no such group is known.
    Group(Option<GroupRow>),
    /// For [`Read::Quota`].
    Quota(QuotaRow),
    /// For [`Read::View`]: ids in the order of the view log.
    View(Vec<Cid>),
    /// For [`Read::Setting`].
    Setting(Option<Bytes>),
    /// For [`Read::Settings`].
    Settings(Vec<(alloc::string::String, Bytes)>),
    /// For [`Read::Stats`].
    Stats(Stats),
    /// For [`Read::Check`]: what the walk went through; nothing contradicts itself.
    Checked(crate::Checked),
}

/// What one durable commit did, beyond what it was told to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Persons whose view logs have new entries: their CHUM sessions have something to send. Ascending, each once.
    pub grown: Vec<PersonId>,
    /// What took effect in the typed indexes: the node turns these into events. In the order of arrival.
    pub effects: Vec<Effect>,
    /// For a commit with a [`Write::Import`]: what CHUM is told.
    pub import: Option<ImportOutcome>,
    /// Ids of a share that were left out, with the reason. Nothing that links to them was shared either.
    pub withheld: Vec<Withheld>,
    /// What ended grants came to, for each person whose view they changed.
    pub revoked: Vec<Revoked>,
    /// Objects of this commit that were new here.
    pub stored: u64,
}

impl Committed {
    /// Whether somebody is likely to wait for it: something was said in a channel.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        let said =
            |effect: &Effect| matches!(effect, Effect::ChannelEntry(_) | Effect::ChannelEntryChanged(_));
        self.effects.iter().any(said)
    }
}

/// A typed object that took effect: it is in the index of its `$type$`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// A channel became known.
    Channel(ChannelRow),
    /// An entry stands in its channel.
    ChannelEntry(ChannelEntryRow),
    /// An entry was edited or deleted: so it stands now.
    ChannelEntryChanged(ChannelEntryRow),
    /// A newer endpoint of a person's instance is known.
    Endpoint(EndpointRow),
    /// An access rule took effect for an object that its author authored.
    Access(AccessRow),
    /// What is known of a group's members changed.
    Group(GroupRow),
    /// Any other object with a `$type$` arrived (shared objects and folders, profiles, ...).
    Object {
        /// Its id.
        id: Cid,
        /// Its `$type$`.
        type_name: alloc::string::String,
        /// Who delivered it; `None`: it was put here.
        from: Option<PersonId>,
    },
}

/// What the end of grants came to for one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Who may not see something any more.
    pub person: PersonId,
    /// Objects that nobody had seen: they have left his view.
    pub taken_back: u64,
    /// Objects that were sent or are on their way: they cannot be taken back, and are not sent again.
    pub stays: u64,
}

/// An id that a share left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld {
    /// The root that the caller named.
    pub root: Cid,
    /// The object below it (or the root itself) that cannot be shared.
    pub id: Cid,
    /// Why.
    pub reason: WithheldReason,
}

/// Why a share left an id out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WithheldReason {
    /// It is not in this store.
    NotHere,
    /// It waits for a content link of its own.
    SetAside,
    /// It is linked from an object whose author may himself not see it: following that link would serve an
    /// object because somebody named its id.
    NotVisibleToAuthor,
}
