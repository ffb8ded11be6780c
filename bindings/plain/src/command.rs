//! What a program asks of its instance.

use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use lama_core::Seed;
use lama_identity::{ChannelId, Cid, NoisePublic, PersonId};
use lama_invite::{DialRules, LinkOrigin, Locator, Policy};
use lama_node::{ChannelRef, Command as Node, PageFrom, RouteScope};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{Problem, enrol};

/// What a program asks of its instance; each is answered by one `reply` or `failed` output with its ticket. Persons,
/// objects, messages and channels are named by the ids that the instance gave, in full.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    /// Makes an invitation, good once. Reply `invited`. The instance must listen, or stand behind a relay.
    Invite {
        /// Whether a person has to approve whoever joins.
        #[serde(default)]
        confirm: bool,
        /// How long it is good, in seconds; `None`: 15 minutes.
        #[serde(default)]
        lifetime: Option<u32>,
        /// A name for the own list.
        #[serde(default)]
        label: String,
        /// What the link begins with: a page's `https:` address; `None`: `lama://join`.
        #[serde(default)]
        base: Option<String>,
    },
    /// All invitations that are remembered. Reply `invitations`.
    Invitations,
    /// Takes an invitation back. Reply `done`.
    RevokeInvitation {
        /// Its name in the list.
        locator: String,
    },
    /// Joins by an invitation. Reply `contact`, when both sides hold it; under `confirm` not before somebody approved.
    Join {
        /// The link.
        link: String,
        /// Whether the local network may be dialled.
        #[serde(default)]
        lan: bool,
        /// Whether another program opened the link, so that it may lead anywhere; `false`: the user handed it over.
        #[serde(default)]
        opened: bool,
    },
    /// Pairings under way. Reply `pending`.
    Pending,
    /// Approves one. Reply `contact`.
    Approve {
        /// Who.
        person: String,
    },
    /// Denies one, on either side. Reply `done`.
    Deny {
        /// Who.
        person: String,
    },
    /// All contacts. Reply `contacts`.
    Contacts,
    /// Removes one here. Reply `done`.
    RemoveContact {
        /// Who.
        person: String,
    },
    /// Writes a message. Reply `sent`, when it is durable here.
    Send {
        /// To whom.
        to: String,
        /// At most 64 KiB.
        text: String,
        /// In the channel of this name; `None`: `chat`.
        #[serde(default)]
        channel: Option<String>,
    },
    /// All channels. Reply `channels`.
    Channels,
    /// Messages of a channel, oldest first. Reply `messages`.
    Log {
        /// The channel's id, or...
        #[serde(default)]
        channel: Option<String>,
        /// ...the person whose `chat` is meant.
        #[serde(default)]
        with: Option<String>,
        /// Those right before this message; `None`, and nothing else named: the last ones.
        #[serde(default)]
        before: Option<String>,
        /// Those that follow this message.
        #[serde(default)]
        after: Option<String>,
        /// The unread ones that arrived first.
        #[serde(default)]
        unread: bool,
        /// At most so many.
        limit: u32,
    },
    /// Puts another text in the place of an own message. Reply `sent`.
    Edit {
        /// The message.
        message: String,
        /// At most 64 KiB.
        text: String,
    },
    /// Deletes an own message. Reply `sent`.
    Delete {
        /// The message.
        message: String,
    },
    /// What arrived in a channel is read. Reply `done`.
    MarkRead {
        /// The channel's id.
        channel: String,
        /// Up to this arrival, as the list of channels says it.
        upto: u64,
    },
    /// Lets contacts see a file or folder that was stored here. Reply `shared`, when it is durable here.
    Share {
        /// Its id.
        root: String,
        /// Contacts.
        with: Vec<String>,
        /// The text of a message that points to it, to each of them; `None`: no message.
        #[serde(default)]
        note: Option<String>,
    },
    /// Takes back what `share` granted: nothing more of it is sent. What a contact has already he may keep. Reply
    /// `unshared`.
    Unshare {
        /// Its id, of the very version that was shared.
        root: String,
        /// Contacts.
        with: Vec<String>,
    },
    /// The newest version of everything shared by us and with us, by name. Reply `sharedList`.
    Shared,
    /// Dials a contact now, whatever the backoff. Reply `done`.
    Connect {
        /// Who.
        person: String,
    },
    /// Why an object does not reach a person, or how far it has come. Reply `explanation`.
    Explain {
        /// The object.
        object: String,
        /// The person.
        person: String,
    },
    /// What is kept of a contact, and how much may be. Reply `quota`.
    Quota {
        /// Whose.
        person: String,
        /// New limits in the place of all old ones; `None`: they stay.
        #[serde(default)]
        set: Option<QuotaLimits>,
    },
    /// The person's own instances. Reply `instances`.
    Instances,
    /// What a further instance of our person has to know before it asks to be certified (`Enrolling`). Reply `file`.
    OfferInstance,
    /// Certifies a further instance of our person, by its request. Needs the person's key. Reply `file`, to be brought back.
    CertifyInstance {
        /// The request, as it was made there.
        request: String,
        /// Whether another living instance of that name may be replaced.
        #[serde(default)]
        replace: bool,
    },
    /// Revokes a key of another instance of our person, for good. Needs the person's key. Reply `done`.
    RevokeInstance {
        /// The key, as the list of instances names it.
        key: String,
        /// Why, for people.
        #[serde(default)]
        reason: String,
    },
    /// Nothing is to be had from a person, and nothing goes there, until `unblock`: live sessions end at once. He is told
    /// nothing, and need not be a contact. Reply `done`, when it is durable.
    Block {
        /// Whom.
        person: String,
    },
    /// Takes that back. Reply `done`.
    Unblock {
        /// Whom.
        person: String,
    },
    /// Who is blocked. Reply `blocked`.
    Blocked,
    /// All routes to instances of contacts. Reply `routes`.
    Routes,
    /// Switches routes on or off, for good: exactly one of person, instance and route is there. What is off is not dialled,
    /// and a session along it ends. Reply `done`.
    SetRoute {
        /// All routes to all instances of this person, or...
        #[serde(default)]
        person: Option<String>,
        /// ...all routes to this instance, or...
        #[serde(default)]
        instance: Option<String>,
        /// ...this one, as the list of routes has it, whoever is reached by it.
        #[serde(default)]
        route: Option<String>,
        /// Whether they are dialled from now on.
        on: bool,
    },
    /// The relays behind which this instance stands. Reply `relays`.
    Relays,
    /// Stands behind these relays and no others, now and whenever it runs: so it is reached where nobody can dial it, as in a
    /// browser. Reply `done`, when the list is durable; `relayRegistered` says when one of them passes calls on.
    SetRelays {
        /// Their addresses, best first, as `lama relay run` prints them. It is registered at two of them at a time.
        relays: Vec<String>,
    },
    /// The network has changed, or this machine was asleep: everybody is tried at once. Reply `done`.
    Wake,
    /// How things stand. Reply `status`.
    Status,
    /// Walks the whole store, which does nothing else meanwhile. Reply `storeChecked`.
    CheckStore,
    /// Ends all sessions in an authenticated way and closes the store. Reply `done`, then output `ended`.
    Shutdown,
}

/// How much may be kept of a contact; `None`: the store's own limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QuotaLimits {
    /// Objects.
    pub objects: Option<u64>,
    /// Bytes of them.
    pub bytes: Option<u64>,
    /// Bytes that he may bring in one hour.
    pub bytes_per_hour: Option<u64>,
    /// Whole days for which what he brought is kept; `None`: for ever.
    pub days: Option<u64>,
}

/// How an answer is to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Telling {
    /// What an invitation's link begins with.
    pub(crate) base: Option<String>,
}

impl Command {
    /// The same for a node.
    pub(crate) fn into_node(self, seed: Seed) -> Result<(Node, Telling), Problem> {
        let mut telling = Telling::default();
        let command = match self {
            Self::Invite { confirm, lifetime, label, base } => {
                telling.base = base;
                let policy = if confirm { Policy::Confirm } else { Policy::Auto };
                let lifetime = lifetime.map(|seconds| Duration::from_secs(seconds.into()));
                Node::Invite { policy, lifetime, label, seed }
            }
            Self::Invitations => Node::Invitations,
            Self::RevokeInvitation { locator } => {
                let found = Locator::from_text(&locator);
                Node::RevokeInvitation {
                    locator: found.ok_or_else(|| Problem::argument("the invitation", "it is no locator"))?,
                }
            }
            Self::Join { link, lan, opened } => {
                let origin = if opened { LinkOrigin::Opened } else { LinkOrigin::Handed };
                Node::Join { link: Zeroizing::new(link), rules: DialRules { lan, origin } }
            }
            Self::Pending => Node::Pending,
            Self::Approve { person } => Node::Approve { person: of_person(&person)? },
            Self::Deny { person } => Node::Deny { person: of_person(&person)? },
            Self::Contacts => Node::Contacts,
            Self::RemoveContact { person } => Node::RemoveContact { person: of_person(&person)? },
            Self::Send { to, text, channel } => Node::Send { to: of_person(&to)?, channel, text },
            Self::Channels => Node::Channels,
            Self::Log { channel, with, before, after, unread, limit } => Node::Log {
                channel: of_channel(channel.as_deref(), with.as_deref())?,
                from: page(before.as_deref(), after.as_deref(), unread)?,
                limit: limit as usize,
            },
            Self::Edit { message, text } => Node::Edit { entry: of_object(&message)?, text },
            Self::Delete { message } => Node::Delete { entry: of_object(&message)? },
            Self::MarkRead { channel, upto } => {
                Node::MarkRead { channel: of_channel(Some(&channel), None)?, upto }
            }
            Self::Share { root, with, note } => Node::Share {
                root: of_object(&root)?,
                with: with.iter().map(|person| of_person(person)).collect::<Result<_, _>>()?,
                note,
            },
            Self::Unshare { root, with } => Node::Unshare {
                root: of_object(&root)?,
                with: with.iter().map(|person| of_person(person)).collect::<Result<_, _>>()?,
            },
            Self::Shared => Node::Shared { with: None },
            Self::Connect { person } => Node::Connect { person: of_person(&person)? },
            Self::Explain { object, person } => {
                Node::Explain { object: of_object(&object)?, person: of_person(&person)? }
            }
            Self::Quota { person, set } => Node::Quota {
                person: of_person(&person)?,
                set: set.map(|limits| lama_store::Quota {
                    objects: limits.objects,
                    bytes: limits.bytes,
                    bytes_per_hour: limits.bytes_per_hour,
                    days: limits.days,
                }),
            },
            Self::Instances => Node::Instances,
            Self::OfferInstance => Node::OfferInstance,
            Self::CertifyInstance { request, replace } => {
                Node::CertifyInstance { request: enrol::read("the request", &request)?.into(), replace }
            }
            Self::RevokeInstance { key, reason } => Node::RevokeInstance { noise: of_key(&key)?, reason },
            Self::Block { person } => Node::Block { person: of_person(&person)? },
            Self::Unblock { person } => Node::Unblock { person: of_person(&person)? },
            Self::Blocked => Node::Blocked,
            Self::Routes => Node::Routes,
            Self::SetRoute { person, instance, route, on } => {
                Node::SetRoute { scope: of_routes(person.as_deref(), instance.as_deref(), route)?, on }
            }
            // The first two are answered by the instance itself.
            Self::Relays | Self::SetRelays { .. } | Self::Status => Node::Status,
            Self::Wake => Node::Wake,
            Self::CheckStore => Node::CheckStore,
            Self::Shutdown => Node::Shutdown,
        };
        Ok((command, telling))
    }
}

pub(crate) fn of_person(text: &str) -> Result<PersonId, Problem> {
    text.parse().map_err(|error| Problem::argument("the person", error))
}

pub(crate) fn of_object(text: &str) -> Result<Cid, Problem> {
    text.parse().map_err(|error| Problem::argument("the object", error))
}

pub(crate) fn of_key(text: &str) -> Result<NoisePublic, Problem> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    let bytes: [u8; 32] = bytes.ok_or_else(|| Problem::argument("the key", "it is no key of 64 digits"))?;
    NoisePublic::try_from(bytes).map_err(|error| Problem::argument("the key", error))
}

fn of_channel(id: Option<&str>, with: Option<&str>) -> Result<ChannelRef, Problem> {
    match (id, with) {
        (Some(id), None) => {
            let id: ChannelId = id.parse().map_err(|error| Problem::argument("the channel", error))?;
            Ok(ChannelRef::Id(id))
        }
        (None, Some(person)) => Ok(ChannelRef::With { person: of_person(person)?, name: None }),
        _ => Err(Problem::argument("the channel", "exactly one of its id and its person must be there")),
    }
}

fn of_routes(
    person: Option<&str>,
    instance: Option<&str>,
    route: Option<String>,
) -> Result<RouteScope, Problem> {
    match (person, instance, route) {
        (Some(person), None, None) => Ok(RouteScope::Person(of_person(person)?)),
        (None, Some(instance), None) => {
            let parsed = instance.parse().map_err(|error| Problem::argument("the instance", error));
            Ok(RouteScope::Instance(parsed?))
        }
        (None, None, Some(route)) => Ok(RouteScope::Route(route)),
        _ => Err(Problem::argument("the routes", "exactly one of person, instance and route must be there")),
    }
}

fn page(before: Option<&str>, after: Option<&str>, unread: bool) -> Result<PageFrom, Problem> {
    match (before, after, unread) {
        (None, None, false) => Ok(PageFrom::Last),
        (None, None, true) => Ok(PageFrom::Unread),
        (Some(id), None, false) => Ok(PageFrom::Before(of_object(id)?)),
        (None, Some(id), false) => Ok(PageFrom::After(of_object(id)?)),
        _ => Err(Problem::argument("the page", "at most one of before, after and unread may be there")),
    }
}
