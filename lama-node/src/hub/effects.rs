//! What is under way outside: each ticket with what to do when its answer comes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::Lane;
use lama_core::Ticket;
use lama_handshake::PairKey;
use lama_identity::{
    Access, ChannelId, InstanceId, OneInstanceEndpoint, PersonId, TrustKeysCertificate, Unsigned, Versioned,
};
use lama_invite::{Invitation, Locator};
use lama_store::{Read, Request, Write};

use crate::api::{ConnectionId, LinkId, Order, Output, WhichKey};
use crate::app::Answer;
use crate::hub::Known;
use crate::node::Node;

/// What an answer of the store or a signature is for.
#[derive(Debug)]
pub(crate) enum Effect {
    /// What the store knows, at the start.
    Load,
    /// The own identity objects are stored.
    Prepared,
    /// A durable step of the ledger's own accord.
    Ledger { change: Ticket },
    /// Nobody waits.
    Quiet { doing: &'static str },
    /// A command waits.
    Answer { reply: Ticket, answer: Answer },
    /// A fresh invitation.
    Issued { reply: Ticket, change: Ticket, invitation: Box<Invitation> },
    /// A revoked one; with `person` it is a denial.
    Revoked { reply: Option<Ticket>, change: Option<Ticket>, person: Option<PersonId>, by_peer: bool },
    /// A contact was removed or denied.
    Removed { reply: Option<Ticket>, person: PersonId, by_peer: bool },
    /// The intention to join is written down.
    Journal { locator: Locator },
    /// A trust certificate for the person on this link is to be signed.
    Trust { link: LinkId, unsigned: Box<Unsigned<TrustKeysCertificate>> },
    /// A person has approved: the certificate says so, too.
    Approval { reply: Ticket, unsigned: Box<Unsigned<TrustKeysCertificate>> },
    /// This side's Auth is to be signed.
    Auth { link: LinkId },
    /// The inviter's one durable step; with the contact, where it is a new one.
    Admitted { link: LinkId, change: Ticket, known: Option<Box<Known>> },
    /// The joiner's pending contact.
    Pending { link: LinkId, known: Box<Known> },
    /// At the inviter: the joiner is ready, and a person has to approve.
    Ready { link: LinkId, known: Box<Known> },
    /// A contact became active.
    Activated { known: Box<Known>, change: Option<Ticket>, reply: Option<Ticket> },
    /// A token was completed by a contact that was active before.
    Completed { change: Ticket },
    /// The heads with which CHUM starts on this link, under this pair key.
    Opened { link: LinkId, pair: Option<(InstanceId, PairKey)> },
    /// The head of a view that has grown.
    Head { link: LinkId },
    /// CHUM's own.
    Chum { link: LinkId, ticket: Ticket },
    /// A new version of our endpoint is to be signed.
    Endpoint { unsigned: Box<Unsigned<Versioned<OneInstanceEndpoint>>> },
    /// It is stored and shared.
    EndpointStored { id: lama_identity::Cid, url: alloc::string::String },
    /// The heads of a channel in which something is to be posted.
    PostHeads { channel: ChannelId },
    /// An entry is to be signed.
    PostSigned { channel: ChannelId },
    /// Entries are stored and shared.
    Posted { channel: ChannelId },
    /// An access rule is to be signed.
    Share { reply: Ticket, unsigned: Box<Unsigned<Versioned<Access>>>, wish: Box<crate::app::Wish> },
    /// An entry of our log is to be signed.
    IssueSigned(Box<crate::log::Issuing>),
    /// It is stored.
    EntryIssued { issuing: Box<crate::log::Issuing>, chain: Box<lama_identity::LogChain> },
    /// The tail of a contact's log is stored.
    LogTaken { link: LinkId, head: lama_identity::LogHead },
    /// The store is looked at for a contact that asks how this side sees the session.
    Asked { connection: ConnectionId },
    /// It is stored, and does what was wished.
    Shared { reply: Ticket, wish: Box<crate::app::Wish> },
}

impl Node {
    /// Asks the store.
    pub(crate) fn store(&mut self, requests: Vec<Request>, effect: Effect) {
        let order = order(&requests, &effect);
        self.store_in(order, requests, effect);
    }

    /// Asks the store for something that may wait, or not.
    pub(crate) fn store_in(&mut self, order: Order, requests: Vec<Request>, effect: Effect) {
        let ticket = self.tickets.issue();
        self.effects.insert(ticket, effect);
        self.out.push_back(Output::Store { ticket, requests, order });
    }

    /// Asks the store for one commit.
    pub(crate) fn commit(&mut self, writes: Vec<Write>, effect: Effect) {
        self.store(alloc::vec![Request::Commit(writes)], effect);
    }

    /// Asks the store for one read.
    pub(crate) fn read(&mut self, read: Read, effect: Effect) {
        self.store(alloc::vec![Request::Read(read)], effect);
    }

    /// Asks for a signature.
    pub(crate) fn sign(&mut self, key: WhichKey, bytes: Bytes, effect: Effect) {
        let ticket = self.tickets.issue();
        self.effects.insert(ticket, effect);
        self.out.push_back(Output::Sign { ticket, key, bytes });
    }
}

/// Whether what is asked of the store may wait: what is read in bulk for others, unless someone may wait for something
/// in it. Imports say it themselves.
fn order(requests: &[Request], effect: &Effect) -> Order {
    match (requests, effect) {
        ([Request::Read(Read::Page { lanes, .. })], Effect::Chum { .. })
            if lanes.contains(Lane::Interactive) =>
        {
            Order::Live
        }
        ([Request::Read(_)], Effect::Chum { .. }) => Order::Later,
        ([Request::Read(_)], Effect::Head { .. } | Effect::PostHeads { .. }) => Order::Live,
        _ => Order::InTurn,
    }
}
