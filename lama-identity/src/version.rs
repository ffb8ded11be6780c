//! Versioned objects: immutable signed versions of a thing that changes, and the rule by which they merge.

use alloc::string::String;
use alloc::vec::Vec;

use lama_core::SortedSet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Hlc;
use crate::fixed::name32;
use crate::object::{Object, TypeName, TypeTag};
use crate::person::check_name;
use crate::signed::{Signed, Signer, signable};
use crate::{
    Cid, Codec, IdentityError, InstanceId, MAX_NAME, OneInstanceEndpoint, PersonId, Reference, Signature,
    cbor,
};

/// Label of every version's signature.
pub const VERSION_LABEL: &str = "LAMA/version/1";

/// Most versions that one version may name as its parents.
pub const MAX_PARENTS: usize = 64;

/// Most persons, groups or objects that one list in a version may name.
pub const MAX_MEMBERS: usize = 1024;

/// What a version may hold.
pub trait VersionData: Serialize + DeserializeOwned {
    /// The `$type$` of the versions.
    const TYPE: &'static str;

    /// The rules of the data, given who wrote it and of what it is a version.
    ///
    /// # Errors
    /// [`IdentityError::Field`], [`IdentityError::TooLong`], [`IdentityError::Mismatch`].
    fn validate(&self, of: &Reference, author: &PersonId) -> Result<(), IdentityError>;
}

/// One version of something: `{by, of, sig, data, clock, $type$, author, parents, instance}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(bound(serialize = "T: VersionData", deserialize = "T: VersionData"))]
pub struct Versioned<T: VersionData> {
    /// Which key signed.
    pub by: Signer,
    /// The identity object of the thing (a `Person` for its profile, an `Instance` for its endpoint, a `Group`).
    pub of: Reference,
    /// The signature; `None` only while it is being made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sig: Option<Signature>,
    /// What it says.
    pub data: T,
    /// When, among all versions.
    pub clock: Hlc,
    /// The name under `$type$`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
    /// Who wrote it.
    pub author: PersonId,
    /// The versions that this one replaces.
    pub parents: Vec<Reference>,
    /// Where it was written.
    pub instance: InstanceId,
}

impl<T: VersionData> TypeName for Versioned<T> {
    const TYPE: &'static str = T::TYPE;
}

impl<T: VersionData> Object for Versioned<T> {
    fn validate(&self) -> Result<(), IdentityError> {
        if self.parents.len() > MAX_PARENTS {
            return Err(IdentityError::TooLong { field: "parents", limit: MAX_PARENTS });
        }
        sorted("parents", &self.parents)?;
        self.data.validate(&self.of, &self.author)
    }
}

signable!([T: VersionData] Versioned<T>, VERSION_LABEL);

/// The rule for every list that is a set: strictly ascending, so that one set has one encoding.
pub(crate) fn sorted<T: Ord>(field: &'static str, list: &[T]) -> Result<(), IdentityError> {
    if list.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(IdentityError::Field { field, rule: "must be in ascending order without duplicates" })
    }
}

fn set<T: Ord>(field: &'static str, list: &[T]) -> Result<(), IdentityError> {
    if list.len() > MAX_MEMBERS {
        return Err(IdentityError::TooLong { field, limit: MAX_MEMBERS });
    }
    sorted(field, list)
}

/// The heads among versions of one thing: those that no other one names as its parent, by id.
#[must_use]
pub fn heads<T: VersionData>(versions: &[Signed<Versioned<T>>]) -> Vec<&Signed<Versioned<T>>> {
    let replaced: SortedSet<Cid> =
        versions.iter().flat_map(|version| version.value().parents.iter().map(|parent| parent.0)).collect();
    let mut heads: Vec<_> = versions.iter().filter(|version| !replaced.contains(&version.cid())).collect();
    heads.sort_by_key(|version| version.cid());
    heads.dedup_by_key(|version| version.cid());
    heads
}

/// The version that counts among concurrent heads: the one with the greatest (clock, author, id). The same on every
/// instance, whatever the order in which versions arrived. For data whose fields merge each on its own, apply it
/// field by field.
#[must_use]
pub fn winner<T: VersionData>(versions: &[Signed<Versioned<T>>]) -> Option<&Signed<Versioned<T>>> {
    heads(versions).into_iter().max_by_key(|head| (head.value().clock, head.value().author, head.cid()))
}

/// What a person says about himself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name to show: 1 to [`MAX_NAME`] bytes.
    pub name: String,
}

impl VersionData for Profile {
    const TYPE: &'static str = "Profile";

    fn validate(&self, of: &Reference, author: &PersonId) -> Result<(), IdentityError> {
        only_of(of, author.cid())?;
        check_name("profile name", &self.name, MAX_NAME)
    }
}

fn only_of(of: &Reference, expected: Cid) -> Result<(), IdentityError> {
    if of.0 == expected { Ok(()) } else { Err(IdentityError::Mismatch { field: "of" }) }
}

/// Where an instance can be reached; written by its owner, and by nobody else.
impl VersionData for OneInstanceEndpoint {
    const TYPE: &'static str = "EndpointVersion";

    fn validate(&self, of: &Reference, author: &PersonId) -> Result<(), IdentityError> {
        only_of(of, self.instance_id.cid())?;
        if self.person_id != *author {
            return Err(IdentityError::Mismatch { field: "personId" });
        }
        Object::validate(self)
    }
}

name32!(
    /// A group's label: the SHA-256 of the canonical [`Group`] object.
    GroupId
);

/// The id object of a group: `{"$type$": "Group", "name", "owner"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// 1 to [`MAX_NAME`] bytes.
    pub name: String,
    /// Who may write its members, and name admins who may too.
    pub owner: PersonId,
    /// `Group`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
}

impl TypeName for Group {
    const TYPE: &'static str = "Group";
}

impl Object for Group {
    const LIMIT: usize = cbor::MAX_IDENTITY;

    fn validate(&self) -> Result<(), IdentityError> {
        check_name("group name", &self.name, MAX_NAME)
    }
}

impl Group {
    /// The group of that name of that person.
    ///
    /// # Errors
    /// [`IdentityError::Field`] and [`IdentityError::TooLong`] for a bad name.
    pub fn new(name: &str, owner: PersonId) -> Result<Self, IdentityError> {
        let group = Self { name: name.into(), owner, type_tag: TypeTag::default() };
        group.validate()?;
        Ok(group)
    }

    /// The group's label.
    #[must_use]
    pub fn id(&self) -> GroupId {
        GroupId(cbor::hash_map(&[
            ("name", cbor::Plain::Text(&self.name)),
            ("owner", cbor::Plain::Bytes(&self.owner.0)),
            ("$type$", cbor::Plain::Text(Self::TYPE)),
        ]))
    }
}

impl GroupId {
    /// The id of the `Group` object behind this label.
    #[must_use]
    pub const fn cid(&self) -> Cid {
        Cid::from_parts(Codec::DagCbor, self.0)
    }
}

/// Who is in a group. Whether the author may say so, the reader decides: the owner, and the admins that he signed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMembers {
    /// Who may write members too; ascending.
    pub admins: Vec<PersonId>,
    /// Who is in it; ascending.
    pub members: Vec<PersonId>,
}

impl VersionData for GroupMembers {
    const TYPE: &'static str = "GroupMembers";

    fn validate(&self, _: &Reference, _: &PersonId) -> Result<(), IdentityError> {
        set("admins", &self.admins)?;
        set("members", &self.members)
    }
}

/// Who may see what: a right that its author gives over what *he* authored, and over nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Identity objects (channels, groups, persons) with all their versions and entries; ascending.
    pub ids: Vec<Reference>,
    /// Groups whose members may see it; ascending.
    pub groups: Vec<GroupId>,
    /// Single objects, with what they link to; ascending.
    pub objects: Vec<Reference>,
    /// Persons who may see it; ascending.
    pub persons: Vec<PersonId>,
}

impl VersionData for Access {
    const TYPE: &'static str = "Access";

    fn validate(&self, _: &Reference, _: &PersonId) -> Result<(), IdentityError> {
        set("ids", &self.ids)?;
        set("groups", &self.groups)?;
        set("objects", &self.objects)?;
        set("persons", &self.persons)
    }
}
