//! The persons of a history, and the objects that they make.

use bytes::Bytes;
use lama_core::{Seed, WallTime};
use lama_identity::{
    Access, Channel, ChannelEntry, ChannelId, Cid, Contact, ContactState, Content, Group, GroupId,
    GroupMembers, Hlc, LocalIdentity, Object as _, PersonId, Reference, Signable, Signer, TrustOrigin,
    TypeTag, Unsigned, VersionData, Versioned, cbor,
};
use lama_store::{PeerRecord, Secret32, Write};
use serde::Serialize;

use super::Who;

/// What the clocks show when a history begins.
pub const START: WallTime = WallTime(1_800_000_000_000);

/// An object with its bytes.
pub type Object = (Cid, Bytes);

/// Persons with one instance each. They are the same in every history: making keys takes longer than a history.
#[derive(Debug)]
pub struct Cast {
    /// The persons.
    pub people: Vec<LocalIdentity>,
}

#[derive(Serialize)]
struct Note<'a> {
    #[serde(rename = "$type$")]
    type_name: &'static str,
    text: &'a str,
    links: &'a [Cid],
}

impl Default for Cast {
    fn default() -> Self {
        let person = |at: u8| {
            let email = format!("p{at}@lama.local").parse().expect("a valid address");
            LocalIdentity::create(email, "desk", Seed::danger_fixed([at + 1; 32]), START).expect("a person")
        };
        Self { people: (0..4).map(person).collect() }
    }
}

impl Cast {
    /// A person's label.
    pub fn id(&self, who: Who) -> PersonId {
        self.people[who].person_id()
    }

    /// Who has this label.
    pub fn who(&self, id: &PersonId) -> Option<Who> {
        self.people.iter().position(|person| person.person_id() == *id)
    }

    /// Labels of some, ascending.
    pub fn ids(&self, some: impl IntoIterator<Item = Who>) -> Vec<PersonId> {
        let mut ids: Vec<PersonId> = some.into_iter().map(|who| self.id(who)).collect();
        ids.sort_unstable();
        ids
    }

    /// What makes `other` an established contact of `me`.
    pub fn befriend(&self, me: Who, other: Who) -> [Write; 2] {
        let person = &self.people[other];
        let mut contact = Contact::pending(person.public(), TrustOrigin::Token, START);
        contact.state = ContactState::Active;
        let key = u8::try_from(16 * me.min(other) + me.max(other)).unwrap_or_default();
        let record = PeerRecord {
            instance: person.instance_id(),
            person: person.person_id(),
            pair_key: Secret32::new([key; 32]),
            body: Bytes::new(),
        };
        [Write::Contact(contact), Write::Peer(record)]
    }

    /// A note.
    pub fn note(text: &str, links: &[Cid]) -> Object {
        object(cbor::encode(&Note { type_name: "Note", text, links }).expect("a note has an encoding"))
    }

    /// A group's id object.
    pub fn group(&self, name: &str, owner: Who) -> Object {
        let group = Group::new(name, self.id(owner)).expect("a valid name");
        object(group.to_bytes().expect("a group has an encoding"))
    }

    /// A channel's id object.
    pub fn channel(&self, name: &str, members: impl IntoIterator<Item = Who>) -> Object {
        let channel = Channel::new(name, self.ids(members)).expect("a valid channel");
        object(channel.to_bytes().expect("a channel has an encoding"))
    }

    /// A version of a group's members.
    pub fn members(&self, by: Who, of: Cid, (admins, members): (&[Who], &[Who]), after: &After) -> Object {
        let data = GroupMembers {
            admins: self.ids(admins.iter().copied()),
            members: self.ids(members.iter().copied()),
        };
        self.version(by, of, data, after)
    }

    /// A version of somebody's access rules for a thing.
    pub fn rule(&self, by: Who, of: Cid, objects: &[Cid], to: (&[Who], &[Cid]), after: &After) -> Object {
        let mut groups: Vec<GroupId> = to.1.iter().map(|id| GroupId(*id.digest())).collect();
        groups.sort_unstable();
        let data = Access {
            ids: Vec::new(),
            groups,
            objects: references(objects),
            persons: self.ids(to.0.iter().copied()),
        };
        self.version(by, of, data, after)
    }

    fn version<T: VersionData>(&self, by: Who, of: Cid, data: T, after: &After) -> Object {
        self.sign(
            by,
            Versioned::<T> {
                by: Signer::Person,
                of: Reference(of),
                sig: None,
                data,
                clock: after.clock,
                type_tag: TypeTag::default(),
                author: self.id(by),
                parents: references(&after.parents),
                instance: self.people[by].instance_id(),
            },
        )
    }

    /// An entry of a channel.
    pub fn entry(&self, by: Who, channel: Cid, content: Content, after: &After) -> Object {
        let entry = ChannelEntry {
            by: Signer::Person,
            sig: None,
            prev: after.prev.map(Reference),
            clock: after.clock,
            epoch: after.epoch,
            heads: references(&after.parents),
            type_tag: TypeTag::default(),
            author: self.id(by),
            channel: ChannelId(*channel.digest()),
            content,
            instance: self.people[by].instance_id(),
        };
        self.sign(by, entry)
    }

    fn sign<T: Signable>(&self, by: Who, value: T) -> Object {
        let person = self.people[by].person().expect("the key is here");
        let signed = Unsigned::new(value).and_then(|unsigned| unsigned.sign(&person.sign));
        let signed = signed.expect("what the history makes is valid");
        (signed.cid(), signed.bytes().clone())
    }
}

/// What a version or an entry comes after.
#[derive(Debug, Clone, Default)]
pub struct After {
    /// What it replaces, or names as heads.
    pub parents: Vec<Cid>,
    /// Its author's entry before it.
    pub prev: Option<Cid>,
    /// Its time.
    pub clock: Hlc,
    /// The author's store.
    pub epoch: [u8; 8],
}

fn references(ids: &[Cid]) -> Vec<Reference> {
    let mut references: Vec<Reference> = ids.iter().map(|id| Reference(*id)).collect();
    references.sort_unstable();
    references.dedup();
    references
}

fn object(bytes: Bytes) -> Object {
    (Cid::of_object(&bytes), bytes)
}
