//! Channels: who talks, and the signed entries each member appends.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::clock::Hlc;
use crate::fixed::name32;
use crate::object::{Object, TypeName, TypeTag};
use crate::person::check_name;
use crate::signed::{Signer, signable};
use crate::version::sorted;
use crate::{Cid, Codec, IdentityError, InstanceId, MAX_NAME, PersonId, Reference, Signature, cbor};

name32!(
    /// A channel's label: the SHA-256 of the canonical [`Channel`] object.
    ChannelId
);

impl ChannelId {
    /// The id of the `Channel` object behind this label.
    #[must_use]
    pub const fn cid(&self) -> Cid {
        Cid::from_parts(Codec::DagCbor, self.0)
    }
}

/// Most members of a channel.
pub const MAX_CHANNEL_MEMBERS: usize = 256;

/// The id object of a channel: `{"$type$": "Channel", "name", "members"}`. Members who name the same channel have the
/// same channel, without having to agree first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// 1 to [`MAX_NAME`] bytes.
    pub name: String,
    /// `Channel`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
    /// Who writes and reads; ascending, 1 to [`MAX_CHANNEL_MEMBERS`].
    pub members: Vec<PersonId>,
}

impl TypeName for Channel {
    const TYPE: &'static str = "Channel";
}

impl Object for Channel {
    const LIMIT: usize = cbor::MAX_IDENTITY;

    fn validate(&self) -> Result<(), IdentityError> {
        check_name("channel name", &self.name, MAX_NAME)?;
        if self.members.len() > MAX_CHANNEL_MEMBERS {
            return Err(IdentityError::TooLong { field: "members", limit: MAX_CHANNEL_MEMBERS });
        }
        if self.members.is_empty() {
            return Err(IdentityError::Field { field: "members", rule: "must not be empty" });
        }
        sorted("members", &self.members)
    }
}

impl Channel {
    /// Name of the channel that any two contacts have.
    pub const DIRECT: &'static str = "chat";

    /// The channel of that name among these persons, in any order.
    ///
    /// # Errors
    /// [`IdentityError::Field`], [`IdentityError::TooLong`].
    pub fn new(name: &str, members: impl IntoIterator<Item = PersonId>) -> Result<Self, IdentityError> {
        let mut members: Vec<PersonId> = members.into_iter().collect();
        members.sort_unstable();
        members.dedup();
        let channel = Self { name: name.into(), type_tag: TypeTag::default(), members };
        channel.validate()?;
        Ok(channel)
    }

    /// The channel that two contacts have without further ado: both sides derive the same one.
    #[must_use]
    pub fn direct(a: PersonId, b: PersonId) -> Self {
        let members = alloc::vec![a.min(b), a.max(b)];
        Self { name: Self::DIRECT.into(), type_tag: TypeTag::default(), members }
    }

    /// The channel's label.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        let members: Vec<&[u8]> = self.members.iter().map(|member| &member.0[..]).collect();
        ChannelId(cbor::hash_map(&[
            ("name", cbor::Plain::Text(&self.name)),
            ("$type$", cbor::Plain::Text(Self::TYPE)),
            ("members", cbor::Plain::List(&members)),
        ]))
    }
}

/// Longest text of an entry in bytes.
pub const MAX_TEXT: usize = 64 << 10;

/// Most heads, most links, and most objects pointed to, in one entry.
pub const MAX_ENTRY_LINKS: usize = 64;

/// What an entry says: text, things shared with it, or both; or what becomes of an earlier entry of its author.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The entry that this one takes the place of. It must be an entry of the same author in the same channel, and no
    /// edit or deletion itself; otherwise this one has no effect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub edit: Option<Reference>,
    /// What the person wrote. Not escaped: see [`crate::text::for_terminal`] before showing it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// Objects that the entry points to, such as a file or folder that is shared by a rule of its own: whoever gets the
    /// entry does not get them by it, and may lose them while the entry stays.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub about: Vec<Reference>,
    /// Objects that are part of the entry, such as a file or folder: whoever gets the entry gets them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub links: Vec<Cid>,
    /// The entry that this one deletes, with the same conditions as for `edit`. Nothing else is said then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delete: Option<Reference>,
}

/// What an edit or a deletion speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amends {
    /// The entry that was written first.
    pub entry: Cid,
    /// Whether it is deleted, for good: a deletion goes before every edit.
    pub deletes: bool,
}

impl Content {
    /// Plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// Text that takes the place of `entry`.
    #[must_use]
    pub fn edit(entry: Cid, text: impl Into<String>) -> Self {
        Self { edit: Some(Reference(entry)), ..Self::text(text) }
    }

    /// The end of `entry`.
    #[must_use]
    pub fn delete(entry: Cid) -> Self {
        Self { delete: Some(Reference(entry)), ..Self::default() }
    }

    /// What it edits or deletes; `None` for an entry of its own.
    #[must_use]
    pub fn amends(&self) -> Option<Amends> {
        let edit = self.edit.map(|entry| Amends { entry: entry.0, deletes: false });
        self.delete.map(|entry| Amends { entry: entry.0, deletes: true }).or(edit)
    }
}

/// One entry of a channel, signed by its author: `{by, sig, prev, clock, epoch, heads, $type$, author, channel,
/// content, instance}`. `prev` and `heads` are references: an entry does not drag the history along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelEntry {
    /// Which key signed.
    pub by: Signer,
    /// The signature; `None` only while it is being made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sig: Option<Signature>,
    /// The author's entry before this one in the same channel, instance and epoch.
    pub prev: Option<Reference>,
    /// When, among all entries: orders what `heads` leaves open.
    pub clock: Hlc,
    /// The epoch of the author's store.
    #[serde(with = "crate::fixed")]
    pub epoch: [u8; 8],
    /// The entries that nothing else known to the author follows; ascending.
    pub heads: Vec<Reference>,
    /// `ChannelEntry`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
    /// Who wrote it.
    pub author: PersonId,
    /// Where it belongs.
    pub channel: ChannelId,
    /// What it says.
    pub content: Content,
    /// Where it was written.
    pub instance: InstanceId,
}

impl TypeName for ChannelEntry {
    const TYPE: &'static str = "ChannelEntry";
}

impl Object for ChannelEntry {
    fn validate(&self) -> Result<(), IdentityError> {
        let Content { edit, text, about, links, delete } = &self.content;
        for (field, len) in [("heads", self.heads.len()), ("links", links.len()), ("about", about.len())] {
            if len > MAX_ENTRY_LINKS {
                return Err(IdentityError::TooLong { field, limit: MAX_ENTRY_LINKS });
            }
        }
        if self.content.text.as_ref().is_some_and(|text| text.len() > MAX_TEXT) {
            return Err(IdentityError::TooLong { field: "text", limit: MAX_TEXT });
        }
        let says = text.is_some() || !links.is_empty() || !about.is_empty();
        if delete.is_some() && (says || edit.is_some()) {
            return Err(IdentityError::Field { field: "delete", rule: "must stand alone" });
        }
        if delete.is_none() && !says {
            return Err(IdentityError::Field { field: "content", rule: "must say something" });
        }
        sorted("heads", &self.heads)
    }
}

signable!([] ChannelEntry, "LAMA/channel-entry/1");
