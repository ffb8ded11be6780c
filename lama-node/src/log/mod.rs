//! Logs of persons: our own and those of contacts, kept, spread, and taken in (`docs/protocol/log.md`).

mod issue;
mod rotate;
mod spread;
mod take;

use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::SortedMap;
use lama_identity::{Contact, IdentityError, LogChain, LogHead, NoisePublic, PersonId, cbor};
use lama_store::Write;

use crate::NodeError;
use crate::hub::{Known, Note, setting, setting_id};
use crate::node::Node;

pub(crate) use issue::Issuing;
pub use rotate::kept_log;
pub(crate) use spread::LogSide;

/// Settings under which entries stand; the person's id and the sequence number in hexadecimal follow.
pub(crate) const LOGS: &str = "log/";
/// Settings under which revoked keys stand, for good; the Noise key in hexadecimal follows.
pub(crate) const GONE: &str = "gone/";
/// Settings under which the names of our person's other instances stand; the instance's id in hexadecimal follows.
pub(crate) const NAMES: &str = "own/";

/// Every log that is known, and every key that was revoked.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    chains: SortedMap<PersonId, LogChain>,
    /// Keys that are revoked, and whose they were. Apart from the logs: a contact may be removed, its revoked keys stay.
    gone: SortedMap<[u8; 32], PersonId>,
    /// What is read from the store before it is verified.
    raw: SortedMap<PersonId, SortedMap<u64, Bytes>>,
}

impl Logs {
    pub(crate) fn of(&self, person: &PersonId) -> Option<&LogChain> {
        self.chains.get(person)
    }

    pub(crate) fn put(&mut self, person: PersonId, chain: LogChain) {
        self.chains.insert(person, chain);
    }

    /// Forgets a person's log, not the keys that it revoked: the writes for that.
    pub(crate) fn forget(&mut self, person: &PersonId) -> Vec<Write> {
        let entries = self.chains.remove(person).map_or(0, |chain| chain.head().seq);
        (1..=entries).map(|seq| Write::Setting { key: entry_key(person, seq), value: None }).collect()
    }

    pub(crate) fn is_gone(&self, noise: &NoisePublic) -> bool {
        self.gone.contains_key(noise.as_bytes())
    }

    /// Whose a revoked key was.
    pub(crate) fn owner_of(&self, noise: &NoisePublic) -> Option<PersonId> {
        self.gone.get(noise.as_bytes()).copied()
    }

    /// Remembers a key as revoked: the write for that.
    pub(crate) fn bury(&mut self, noise: &NoisePublic, person: PersonId) -> Write {
        self.gone.insert(*noise.as_bytes(), person);
        let value = cbor::encode(&person).ok();
        Write::Setting { key: setting(GONE, noise.as_bytes()), value }
    }

    /// A setting that the store held; `true` if it was one of ours.
    pub(crate) fn loaded(&mut self, key: &str, value: &Bytes) -> bool {
        if let Some(name) = setting_id::<40>(LOGS, key) {
            let (person, seq) = name.split_at(32);
            if let (Ok(person), Ok(seq)) = (person.try_into(), seq.try_into()) {
                let entries = self.raw.entry(PersonId(person)).or_default();
                entries.insert(u64::from_be_bytes(seq), value.clone());
            }
            true
        } else if let Some(noise) = setting_id::<32>(GONE, key) {
            if let Ok(person) = cbor::decode::<PersonId>(value) {
                self.gone.insert(noise, person);
            }
            true
        } else {
            false
        }
    }

    /// Verifies what was loaded.
    fn verify(&mut self) -> Result<(), IdentityError> {
        for (person, entries) in core::mem::take(&mut self.raw) {
            let entries: Vec<Bytes> = entries.into_values().collect();
            self.chains.insert(person, LogChain::verify(person, &entries)?);
        }
        Ok(())
    }
}

/// The name of an entry's setting.
fn entry_key(person: &PersonId, seq: u64) -> alloc::string::String {
    let mut name = [0; 40];
    let (id, number) = name.split_at_mut(32);
    id.copy_from_slice(&person.0);
    number.copy_from_slice(&seq.to_be_bytes());
    setting(LOGS, &name)
}

/// The writes that keep entries of a log from `after` on.
fn entry_writes(person: &PersonId, chain: &LogChain, after: u64) -> Vec<Write> {
    let skip = usize::try_from(after).unwrap_or(usize::MAX);
    let entries = chain.entries().iter().enumerate().skip(skip);
    entries
        .map(|(at, bytes)| Write::Setting {
            key: entry_key(person, (at as u64).saturating_add(1)),
            value: Some(bytes.clone()),
        })
        .collect()
}

impl Node {
    /// Everything is read: verify the logs, and bring our own one together with what came with the identity. Gives the
    /// writes that are still to be made.
    pub(crate) fn logs_loaded(&mut self) -> Result<Vec<Write>, NodeError> {
        self.logs.verify()?;
        let me = self.me();
        let mut given = core::mem::take(&mut self.identity.log);
        if given.is_empty() && self.identity.public.cert.body().seq == 1 {
            given.push(self.identity.public.cert.bytes().clone());
        }
        let known = self.logs.of(&me).map_or(0, |chain| chain.head().seq);
        let chain = match self.logs.of(&me).cloned() {
            Some(mut chain) => {
                // A shorter log, such as that of an enrolment long ago, is part of the one in the store.
                chain.extend(&given)?;
                Some(chain)
            }
            None if given.is_empty() => None,
            None => Some(LogChain::verify(me, &given)?),
        };
        let Some(chain) = chain else { return Ok(Vec::new()) };
        let mut writes = entry_writes(&me, &chain, known);
        self.own_log(chain);
        let contacts = core::mem::take(&mut self.identity.contacts);
        // Once: a contact that is removed here later does not come back with the next start.
        if known == 0 {
            for contact in contacts {
                writes.extend(self.take_over(contact));
            }
        }
        Ok(writes)
    }

    /// A contact that another instance of our person has made.
    fn take_over(&mut self, contact: Contact) -> Vec<Write> {
        let person = contact.id();
        if person == self.me() || self.book.person(&person).is_some() {
            return Vec::new();
        }
        for instance in &contact.instances {
            self.peer(person, instance.keys.owner);
        }
        let note = Note { inviter: true, locator: None, confirm: false, ready: false, code: None };
        let known = Known { contact, note };
        let mut writes: Vec<Write> = crate::pairing::known_writes(&known).into();
        self.book.put(known);
        writes.extend(self.first_share(person));
        writes
    }

    /// Our own log is this one now.
    pub(crate) fn own_log(&mut self, chain: LogChain) {
        let me = self.me();
        self.identity.public.log_head = chain.head();
        self.logs.put(me, chain);
    }

    /// The end of our own log.
    pub(crate) fn own_head(&self) -> LogHead {
        self.logs.of(&self.me()).map_or(self.identity.public.log_head, LogChain::head)
    }

    /// Whether our own person has revoked this very instance.
    pub(crate) fn am_revoked(&self) -> bool {
        self.logs.of(&self.me()).is_some_and(|chain| chain.is_revoked(self.identity.public.noise()))
    }
}
