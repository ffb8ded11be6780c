//! How a command ended well.

use lama_invite::LAMA_BASE;
use lama_node::Reply as Node;
use serde::Serialize;

use crate::Problem;
use crate::command::Telling;
use crate::record::{
    Blocked, Channel, Contact, Explanation, Invitation, Message, OwnInstance, Pairing, Quota, Relay, Route,
    SharedItem, Status,
};

/// How a command ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Reply {
    /// It is done.
    Done,
    /// An invitation. Its link is a secret: whoever has it may pair, once.
    Invited {
        /// Its name in the list.
        locator: String,
        /// The link.
        link: String,
        /// When it ends.
        expires: u64,
        /// Where it leads.
        urls: Vec<String>,
    },
    /// All invitations that are remembered.
    Invitations {
        /// Them.
        invitations: Vec<Invitation>,
    },
    /// The contact that was made or approved.
    Contact {
        /// It.
        contact: Contact,
    },
    /// Pairings under way.
    Pending {
        /// Them.
        pairings: Vec<Pairing>,
    },
    /// All contacts.
    Contacts {
        /// Them.
        contacts: Vec<Contact>,
    },
    /// A message, an edit or a deletion is durable here.
    Sent {
        /// In which channel.
        channel: String,
        /// Its id.
        id: String,
    },
    /// All channels.
    Channels {
        /// Them.
        channels: Vec<Channel>,
    },
    /// Messages, oldest first.
    Messages {
        /// Them.
        messages: Vec<Message>,
    },
    /// It is shared.
    Shared {
        /// Objects that were left out: they are not here, or not ours to share.
        withheld: u64,
    },
    /// It is taken back.
    Unshared {
        /// Objects that have left before a contact got them, over all contacts.
        taken_back: u64,
        /// Objects that a contact has already, or that were on their way.
        stays: u64,
    },
    /// What is shared.
    SharedList {
        /// Each in its newest version.
        items: Vec<SharedItem>,
    },
    /// Where an object stands with a person.
    Explanation {
        /// It.
        explanation: Explanation,
    },
    /// What is kept of a contact.
    Quota {
        /// It.
        quota: Quota,
    },
    /// Who is blocked.
    Blocked {
        /// Ascending by id.
        people: Vec<Blocked>,
    },
    /// Routes to instances of contacts.
    Routes {
        /// By contact.
        routes: Vec<Route>,
    },
    /// The relays behind which this instance stands.
    Relays {
        /// Best first.
        relays: Vec<Relay>,
    },
    /// Our person's instances.
    Instances {
        /// Them.
        instances: Vec<OwnInstance>,
    },
    /// A file for another instance of our person, as text. Not secret.
    File {
        /// It: what the `lama` program writes into one.
        file: String,
    },
    /// How things stand.
    Status {
        /// It.
        status: Status,
    },
    /// The store is sound.
    StoreChecked {
        /// Objects looked at.
        objects: u64,
        /// Their bytes.
        bytes: u64,
    },
}

/// What the node said, as plain data; the list of shares is made by the instance, which can read them.
pub(crate) fn from_node(reply: Node, telling: &Telling) -> Result<Reply, Problem> {
    Ok(match reply {
        Node::Invitation { locator, invitation, exp } => Reply::Invited {
            locator: locator.to_string(),
            link: invitation.to_link(telling.base.as_deref().unwrap_or(LAMA_BASE))?.to_string(),
            expires: exp.0,
            urls: invitation.routes().iter().map(|route| route.url.to_string()).collect(),
        },
        Node::Invitations(list) => Reply::Invitations { invitations: rows(&list) },
        Node::Contact(contact) => Reply::Contact { contact: contact.as_ref().into() },
        Node::Pending(list) => Reply::Pending { pairings: rows(&list) },
        Node::Contacts(list) => Reply::Contacts { contacts: rows(&list) },
        Node::Sent { channel, id } => Reply::Sent { channel: channel.full(), id: id.to_string() },
        Node::Channels(list) => Reply::Channels { channels: rows(&list) },
        Node::Log(list) => Reply::Messages { messages: rows(&list) },
        Node::Shared { withheld } => Reply::Shared { withheld: withheld.len() as u64 },
        Node::Unshared { taken_back, stays } => Reply::Unshared { taken_back, stays },
        Node::File(bytes) => Reply::File { file: crate::enrol::write(&bytes) },
        Node::Explanation(told) => Reply::Explanation { explanation: told.as_ref().into() },
        Node::Quota(row) => Reply::Quota { quota: (&row).into() },
        Node::Instances(own) => Reply::Instances { instances: rows(&own.instances) },
        Node::Blocked(list) => Reply::Blocked { people: rows(&list) },
        Node::Routes(list) => Reply::Routes { routes: rows(&list) },
        Node::Status(status) => Reply::Status { status: status.as_ref().into() },
        Node::StoreChecked(checked) => Reply::StoreChecked { objects: checked.objects, bytes: checked.bytes },
        _ => Reply::Done,
    })
}

fn rows<'a, T: 'a, R: From<&'a T>>(list: &'a [T]) -> Vec<R> {
    list.iter().map(R::from).collect()
}
