//! Persons and instances: who owns data, and which device acts for him.

use alloc::string::{String, ToString as _};
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::cbor::Plain;
use crate::fixed::name32;
use crate::object::{Object, TypeName, TypeTag};
use crate::{Cid, Codec, IdentityError, cbor};

name32!(
    /// A person's label: the SHA-256 of the canonical [`Person`] object. Public, not a secret and no credential;
    /// all the same it never stands in clear on the wire, nor in logs at the default level.
    PersonId
);

name32!(
    /// An instance's label: the SHA-256 of the canonical [`Instance`] object.
    InstanceId
);

impl PersonId {
    /// The id of the `Person` object behind this label.
    #[must_use]
    pub const fn cid(&self) -> Cid {
        Cid::from_parts(Codec::DagCbor, self.0)
    }
}

impl InstanceId {
    /// The id of the `Instance` object behind this label.
    #[must_use]
    pub const fn cid(&self) -> Cid {
        Cid::from_parts(Codec::DagCbor, self.0)
    }
}

/// A normalised e-mail address: one mailbox, one text, one [`PersonId`].
///
/// The rule, in this order:
/// 1. ASCII white space before and after is removed;
/// 2. upper-case ASCII letters become lower-case, in the local part too (no provider in use keeps two mailboxes apart
///    by case, and people do not type it consistently);
/// 3. what is left must be `local@domain` in ASCII with exactly one `@`, at most 254 bytes;
/// 4. `local` is a dot-atom of RFC 5322 of 1 to 64 bytes: letters, digits, ``!#$%&'*+-/=?^_`{|}~``, and single dots
///    inside. Quoted local parts and comments are refused;
/// 5. `domain` is one or more labels of 1 to 63 letters, digits and inner hyphens, joined by single dots, at most 253
///    bytes. International domains are given in their `xn--` form.
///
/// Nothing else is changed: no provider's own rules (dots, `+tags`) are applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

impl Email {
    /// Normalises and checks an address as a person typed it.
    ///
    /// # Errors
    /// [`IdentityError::Email`] with the part of the rule that it breaks.
    pub fn normalise(text: &str) -> Result<Self, IdentityError> {
        let broken = |rule| Err(IdentityError::Email { rule });
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if text.len() > 254 {
            return broken("it is longer than 254 characters");
        }
        if !text.is_ascii() {
            return broken("it has characters outside ASCII; write an international domain in its xn-- form");
        }
        let text = text.to_ascii_lowercase();
        let Some((local, domain)) = text.split_once('@') else {
            return broken("it has no @");
        };
        if domain.contains('@') {
            return broken("it has more than one @");
        }
        let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        if local.is_empty()
            || local.len() > 64
            || local.split('.').any(|part| part.is_empty() || !part.chars().all(atom))
        {
            return broken(
                "the part before the @ is not 1 to 64 letters, digits and signs with single dots inside",
            );
        }
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        if domain.len() > 253 || !domain.split('.').all(label) {
            return broken("the part after the @ is not a domain name");
        }
        Ok(Self(text))
    }

    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Self::normalise(text)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Email {
    /// Reads only what is normalised already: an object with another spelling would be a second id of one mailbox.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let email = Self::normalise(&text).map_err(de::Error::custom)?;
        if email.0 == text {
            Ok(email)
        } else {
            Err(de::Error::custom("the e-mail address is not normalised"))
        }
    }
}

/// The id object of a person: `{"$type$": "Person", "email": ...}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Normalised.
    pub email: Email,
    /// `Person`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
}

impl TypeName for Person {
    const TYPE: &'static str = "Person";
}

impl Object for Person {
    const LIMIT: usize = cbor::MAX_IDENTITY;
}

impl Person {
    /// The person behind an address.
    #[must_use]
    pub fn new(email: Email) -> Self {
        Self { email, type_tag: TypeTag::default() }
    }

    /// The person's label.
    #[must_use]
    pub fn id(&self) -> PersonId {
        PersonId(cbor::hash_map(&[
            ("email", Plain::Text(&self.email.0)),
            ("$type$", Plain::Text(Self::TYPE)),
        ]))
    }
}

/// Longest name of an instance in bytes.
pub const MAX_NAME: usize = 64;

/// The id object of an instance: `{"$type$": "Instance", "name": ..., "owner": PersonId}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// What its person calls it: 1 to [`MAX_NAME`] bytes, no control characters, no white space at the ends.
    pub name: String,
    /// Whose it is.
    pub owner: PersonId,
    /// `Instance`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
}

impl TypeName for Instance {
    const TYPE: &'static str = "Instance";
}

impl Object for Instance {
    const LIMIT: usize = cbor::MAX_IDENTITY;

    fn validate(&self) -> Result<(), IdentityError> {
        check_name("instance name", &self.name, MAX_NAME)
    }
}

impl Instance {
    /// The instance of that name of that person.
    ///
    /// # Errors
    /// [`IdentityError::Field`] and [`IdentityError::TooLong`] for a bad name.
    pub fn new(name: &str, owner: PersonId) -> Result<Self, IdentityError> {
        let instance = Self { name: name.trim().to_string(), owner, type_tag: TypeTag::default() };
        instance.validate()?;
        Ok(instance)
    }

    /// The instance's label.
    #[must_use]
    pub fn id(&self) -> InstanceId {
        InstanceId(cbor::hash_map(&[
            ("name", Plain::Text(&self.name)),
            ("owner", Plain::Bytes(&self.owner.0)),
            ("$type$", Plain::Text(Self::TYPE)),
        ]))
    }
}

/// The rule for short names: 1 to `limit` bytes, no control characters, no white space at the ends.
pub(crate) fn check_name(field: &'static str, name: &str, limit: usize) -> Result<(), IdentityError> {
    if name.len() > limit {
        return Err(IdentityError::TooLong { field, limit });
    }
    if name.is_empty() || name.trim() != name {
        return Err(IdentityError::Field {
            field,
            rule: "must not be empty, nor begin or end with white space",
        });
    }
    if name.chars().any(char::is_control) {
        return Err(IdentityError::Field { field, rule: "must not contain control characters" });
    }
    Ok(())
}
