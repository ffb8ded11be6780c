//! What can go wrong, in four buckets: the peer misbehaved, the caller misused the store, a limit, the engine.

use alloc::string::String;
use core::fmt;

use lama_identity::{Cid, EncodingError, InstanceId, PersonId};

/// Why a request failed. Nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The peer sent an object that is not canonical DAG-CBOR.
    NotCanonical {
        /// The object.
        id: Cid,
        /// The rule it breaks.
        error: EncodingError,
    },
    /// The peer sent an object or chunk above the size limit.
    ObjectTooLarge {
        /// The object.
        id: Cid,
        /// Its length in bytes.
        length: usize,
    },
    /// An import does not join what was imported before: the cursor it starts from lies behind the stored one.
    Hole {
        /// The stored cursor, in the lane that does not join.
        stored: u64,
        /// Where the import starts.
        after: u64,
    },

    /// An own object links to one that is not here.
    MissingLink {
        /// The object.
        id: Cid,
        /// The link.
        missing: Cid,
    },
    /// The request names an instance of which there is no peer record, or one of another person.
    UnknownPeer(InstanceId),
    /// The request asks for what is only known of contacts.
    NotAContact(PersonId),
    /// The request is not one that the store can carry out.
    Misuse(&'static str),
    /// A read-only store was asked to write.
    ReadOnly,

    /// A bound of [`Config`](crate::Config) or of the format is reached.
    Limit {
        /// Which.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },

    /// Another process has the store open.
    Locked,
    /// The object is not here, was not put here, or is one on which an index rests.
    NotDeletable(Cid),
    /// So much that this person brought was refused that the refusals alone are a burden.
    TooManyRefused {
        /// Who.
        person: PersonId,
        /// How much may be refused.
        limit: u64,
    },
    /// The store was written by a newer version of this program.
    NewerFormat {
        /// The version of the store.
        found: u32,
        /// The newest version that this program reads.
        supported: u32,
    },
    /// The place holds something that is not a store.
    NotAStore,
    /// The storage key is not the one under which the store was sealed.
    WrongKey,
    /// The file cannot be written (or not even read): permissions, a read-only file system.
    NotWritable,
    /// There is no room left on the disk.
    Full,
    /// What is stored contradicts itself.
    Corrupt(&'static str),
    /// The engine failed; the text is for people.
    Engine(String),
}

impl StoreError {
    /// A stable name for bindings and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotCanonical { .. } => "store-not-canonical",
            Self::ObjectTooLarge { .. } => "store-object-too-large",
            Self::Hole { .. } => "store-hole",
            Self::MissingLink { .. } => "store-missing-link",
            Self::UnknownPeer(_) => "store-unknown-peer",
            Self::NotAContact(_) => "store-not-a-contact",
            Self::Misuse(_) => "store-misuse",
            Self::ReadOnly => "store-read-only",
            Self::Limit { .. } => "store-limit",
            Self::NotDeletable(_) => "store-not-deletable",
            Self::TooManyRefused { .. } => "store-too-many-refused",
            Self::Locked => "store-locked",
            Self::NewerFormat { .. } => "store-newer-format",
            Self::NotAStore => "store-not-a-store",
            Self::WrongKey => "store-wrong-key",
            Self::NotWritable => "store-not-writable",
            Self::Full => "store-full",
            Self::Corrupt(_) => "store-corrupt",
            Self::Engine(_) => "store-engine",
        }
    }

    /// Whether the peer whose data it was broke a rule, so that the session with him must end.
    #[must_use]
    pub const fn is_peers_fault(&self) -> bool {
        matches!(self, Self::NotCanonical { .. } | Self::ObjectTooLarge { .. } | Self::TooManyRefused { .. })
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCanonical { id, error } => {
                write!(
                    f,
                    "the object {id} is not canonical DAG-CBOR ({error}); nothing of its batch was kept"
                )
            }
            Self::ObjectTooLarge { id, length } => {
                write!(
                    f,
                    "the object {id} has {length} bytes, more than an object may have; send it as a blob"
                )
            }
            Self::Hole { stored, after } => write!(
                f,
                "the batch starts after entry {after} of the peer's log, but only {stored} are here; take the log up at the stored cursor"
            ),
            Self::MissingLink { id, missing } => {
                write!(f, "the object {id} links to {missing}, which is not here; put what is linked first")
            }
            Self::UnknownPeer(instance) => {
                write!(
                    f,
                    "nothing is known of the instance {instance}, or it belongs to another person; pair with it first"
                )
            }
            Self::NotAContact(person) => {
                write!(
                    f,
                    "{person} is not a contact, and of strangers nothing can be discovered; pair with that person first"
                )
            }
            Self::Misuse(what) => f.write_str(what),
            Self::ReadOnly => f.write_str("the store is open for reading only; open it for writing"),
            Self::Limit { what, limit } => write!(f, "{what}: at most {limit} are allowed"),
            Self::NotDeletable(id) => write!(
                f,
                "{id} cannot be deleted: only objects made here can, and neither channels, entries nor versions; end its sharing instead"
            ),
            Self::TooManyRefused { person, limit } => write!(
                f,
                "more than {limit} objects of {person} were refused and he sends on; raise his quota, or remove the contact"
            ),
            Self::Locked => f.write_str(
                "another process has this store open; stop it, or give this one a directory of its own",
            ),
            Self::NewerFormat { found, supported } => write!(
                f,
                "the store has format {found}, and this program reads formats up to {supported}; use the newer program that wrote it"
            ),
            Self::NotAStore => f.write_str(
                "the file is not a LAMA store, or is damaged beyond recognition; name another directory",
            ),
            Self::WrongKey => f.write_str(
                "the store was sealed under another key: the key file and the store belong to different instances or backups; put back the two that belong together",
            ),
            Self::NotWritable => f.write_str(
                "the system does not let this program write the store's file: it is read-only, lies on a read-only file system, or belongs to another user; make it writable and try again",
            ),
            Self::Full => {
                f.write_str("there is no room left on the disk; nothing was written; make room and try again")
            }
            Self::Corrupt(what) => {
                write!(
                    f,
                    "the store contradicts itself ({what}); run the integrity check, and restore a backup if it fails"
                )
            }
            Self::Engine(text) => write!(f, "the storage engine failed: {text}"),
        }
    }
}

impl core::error::Error for StoreError {}
