//! Persons, instances, keys, certificates and content-addressed objects of LAMA.
//!
//! This crate decides how an object is encoded and named ([`cbor`], [`Cid`]), what a person and an instance are
//! ([`Person`], [`Instance`]), which keys are keys at all ([`SignPublic`], [`NoisePublic`], [`SealPublic`]), and when
//! an instance acts for a person ([`InstanceCert`], [`PublicIdentity`]). It refuses to know sockets, sessions, engines,
//! clocks and entropy: time and seeds are arguments.
//!
//! ```
//! use lama_core::{Seed, WallTime};
//! use lama_identity::{Email, LocalIdentity, Object as _, Person, PersonId};
//! # fn main() -> Result<(), lama_identity::IdentityError> {
//! let now = WallTime::from_unix_seconds(1_800_000_000);
//! let email: Email = "Demo@Lama.local".parse()?;
//! let me = LocalIdentity::create(email, "laptop", Seed::danger_fixed([7; 32]), now)?;
//! me.public().verify(now)?; // what a peer checks
//! let bytes = me.public().person.to_bytes()?; // canonical DAG-CBOR
//! assert_eq!(Person::from_bytes(&bytes)?.id(), me.person_id());
//! assert_eq!(me.person_id().full().parse::<PersonId>()?, me.person_id());
//! # Ok(())
//! # }
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod base32;
pub mod cbor;
mod cert;
mod chain;
mod channel;
mod cid;
mod clock;
mod contact;
mod enrol;
mod error;
mod exchange;
mod fixed;
#[cfg(feature = "keyfile")]
pub mod keyfile;
mod keys;
mod local;
mod log;
mod merge;
mod object;
mod person;
mod seal;
mod signed;
mod signing;
pub mod text;
mod trust;
mod version;

pub use cert::{CERT_BACK_LABEL, CERT_LABEL, CertBody, InstanceCert};
pub use chain::{LOG_PIECE, LogChain, LogMessage};
pub use channel::{
    Amends, Channel, ChannelEntry, ChannelId, Content, MAX_CHANNEL_MEMBERS, MAX_ENTRY_LINKS, MAX_TEXT,
};
pub use cid::{Cid, Codec, Reference};
pub use clock::{Hlc, MAX_AHEAD};
pub use contact::{Contact, ContactInstance, ContactState, MAX_INSTANCES, MAX_URLS};
pub use enrol::{Enrolment, InstanceOffer, InstanceRequest, revoke_instance, rotate_person};
pub use error::{EncodingError, IdentityError};
pub use exchange::{NoisePublic, NoiseSecret, SealPublic, SealSecret};
pub use keys::{InstanceKeys, Keys, MAX_URL, OneInstanceEndpoint, PersonKeys};
pub use local::{CLOCK_TOLERANCE, LocalIdentity, PersonSecrets, PublicIdentity};
pub use log::{
    Certified, HeadChange, LogEntry, LogHead, MAX_LOG, MAX_REASON, PersonLog, REVOCATION_LABEL,
    ROTATION_LABEL, Revocation, Revoked, Rotation,
};
pub use merge::{History, Merge, MergeConfig, Merged, merge};
pub use object::{Object, TypeName, TypeTag};
pub use person::{Email, Instance, InstanceId, MAX_NAME, Person, PersonId};
pub use seal::SEAL_OVERHEAD;
pub use signed::{Author, KeyRing, Signable, Signed, Signer, Unsigned};
pub use signing::{PersonPin, SignPublic, SignSecret, Signature, signing_input};
pub use trust::{TrustKeysCertificate, TrustOrigin};
pub use version::{
    Access, Group, GroupId, GroupMembers, MAX_MEMBERS, MAX_PARENTS, Profile, VERSION_LABEL, VersionData,
    Versioned, heads, winner,
};
