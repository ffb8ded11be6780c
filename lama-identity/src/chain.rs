//! A person's log with the bytes of its entries: what is stored, what is handed on, and how a longer one is taken in.

use alloc::vec::Vec;

use bytes::Bytes;
use serde_bytes::ByteBuf;

use crate::log::{LogEntry, LogHead, PersonLog};
use crate::{IdentityError, InstanceCert, Keys, NoisePublic, PersonId, PublicIdentity, SignPublic, cbor};

/// A verified log and its entries. What is handed on are the exact bytes that were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChain {
    log: PersonLog,
    entries: Vec<Bytes>,
}

impl LogChain {
    /// Verifies a log from its first entry on, which has to be a certificate and names the person's first key. That
    /// proves that the log holds together, and *not* whose it is: compare [`LogChain::is_pinned_by`].
    ///
    /// # Errors
    /// As [`PersonLog::append`]; [`IdentityError::LogGap`] for an empty one.
    pub fn verify(person_id: PersonId, entries: &[Bytes]) -> Result<Self, IdentityError> {
        let first = entries.first().ok_or(IdentityError::LogGap { expected: 1, found: 0 })?;
        let first = InstanceCert::from_bytes(first.clone())?;
        let key = SignPublic::try_from(first.body().person_sign_key)?;
        let mut chain = Self { log: PersonLog::new(person_id, key), entries: Vec::new() };
        chain.extend(entries)?;
        Ok(chain)
    }

    /// Appends the entries of a tail that are not in the log yet: all of them, or none. Gives the new ones.
    ///
    /// # Errors
    /// As [`PersonLog::append`]; the log is then as it was.
    pub fn extend(&mut self, tail: &[Bytes]) -> Result<Vec<LogEntry>, IdentityError> {
        let mut log = self.log.clone();
        let mut found = Vec::new();
        let mut fresh = Vec::new();
        for bytes in tail {
            if bytes.len() > cbor::MAX_IDENTITY {
                return Err(IdentityError::TooLong { field: "log entry", limit: cbor::MAX_IDENTITY });
            }
            let before = log.head();
            let entry = log.append(bytes)?;
            if log.head() != before {
                found.push(entry);
                fresh.push(bytes.clone());
            }
        }
        self.log = log;
        self.entries.extend(fresh);
        Ok(found)
    }

    /// The entries behind a head that somebody else has.
    ///
    /// # Errors
    /// [`IdentityError::LogFork`] if that head is not one of this log: an alarm; [`IdentityError::LogLower`] if it is
    /// higher than this log.
    pub fn tail(&self, after: LogHead) -> Result<&[Bytes], IdentityError> {
        self.check_head(after)?;
        let at = usize::try_from(after.seq).unwrap_or(usize::MAX);
        Ok(self.entries.get(at..).unwrap_or_default())
    }

    /// Whether a head that somebody shows is one of this log, at its end or before.
    ///
    /// # Errors
    /// [`IdentityError::LogFork`], [`IdentityError::LogLower`]: see [`LogChain::tail`].
    pub fn check_head(&self, shown: LogHead) -> Result<(), IdentityError> {
        let known = self.head().seq;
        if shown.seq > known {
            return Err(IdentityError::LogLower { known: shown.seq, shown: known });
        }
        let hash = self.log.hash_at(shown.seq);
        if hash == Some(shown.hash) { Ok(()) } else { Err(IdentityError::LogFork { seq: shown.seq }) }
    }

    /// Whether the log passes through this head, which was authenticated otherwise, and ends with this key.
    #[must_use]
    pub fn is_pinned_by(&self, head: LogHead, key: &SignPublic) -> bool {
        self.check_head(head).is_ok() && self.log.key() == Some(key)
    }

    /// What the instance `me` shows of itself to somebody who knows its person by `key`: its certificate under that key,
    /// and the log as it is here. `None`: that key has not certified its present keys.
    #[must_use]
    pub fn shown_by(&self, me: &PublicIdentity, key: &SignPublic) -> Option<PublicIdentity> {
        let certs =
            self.entries.iter().rev().filter_map(|entry| InstanceCert::from_bytes(entry.clone()).ok());
        let of_ours = |cert: &InstanceCert| {
            let body = cert.body();
            body.i_noise == *me.noise().as_bytes() && body.person_sign_key == *key.as_bytes()
        };
        let person_keys = Keys::new(me.person_id(), *key, me.person_keys.encryption_key);
        let shown = |cert| PublicIdentity { cert, person_keys, log_head: self.head(), ..me.clone() };
        certs.into_iter().find(of_ours).map(shown)
    }

    /// What the log says.
    #[must_use]
    pub const fn log(&self) -> &PersonLog {
        &self.log
    }

    /// The end of the log.
    #[must_use]
    pub fn head(&self) -> LogHead {
        self.log.head()
    }

    /// The exact bytes of every entry, in order.
    #[must_use]
    pub fn entries(&self) -> &[Bytes] {
        &self.entries
    }

    /// Whether a Noise static key was certified once and is revoked now.
    #[must_use]
    pub fn is_revoked(&self, noise: &NoisePublic) -> bool {
        self.log.check_instance(noise) == Err(IdentityError::Revoked)
    }
}

/// What the two ends of a session say about logs, one message each; canonical DAG-CBOR:
/// `[kind, person id, {"seq", "hash"}, [entry, ...]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogMessage {
    /// "Of your log I have so much: send what follows." Only about the receiver's own person.
    Want {
        /// Whose log.
        person: PersonId,
        /// The end of what the sender has.
        head: LogHead,
    },
    /// Entries of the sender's person, or of the receiver's, whose other instance has made them.
    Entries {
        /// Whose log.
        person: PersonId,
        /// The end of the log as the sender has it: more messages may follow.
        head: LogHead,
        /// Entries in order, exact bytes.
        entries: Vec<Bytes>,
    },
    /// A receipt: "so much of your log is durable here."
    Have {
        /// Whose log.
        person: PersonId,
        /// How far.
        head: LogHead,
    },
}

/// Entries in one [`LogMessage`] take at most so many bytes, apart from a single longer one.
pub const LOG_PIECE: usize = 16 << 10;

#[derive(serde::Serialize, serde::Deserialize)]
struct Wire(alloc::string::String, PersonId, LogHead, Vec<ByteBuf>);

impl LogMessage {
    /// Whose log.
    #[must_use]
    pub const fn person(&self) -> &PersonId {
        match self {
            Self::Want { person, .. } | Self::Entries { person, .. } | Self::Have { person, .. } => person,
        }
    }

    /// The next piece of a log behind `after`, and what `after` becomes; `None` at its end.
    #[must_use]
    pub fn piece(person: PersonId, chain: &LogChain, after: u64) -> Option<(Self, u64)> {
        let at = usize::try_from(after).ok()?;
        let rest = chain.entries.get(at..)?;
        let mut entries: Vec<Bytes> = Vec::new();
        let mut len = 0_usize;
        for entry in rest {
            len = len.saturating_add(entry.len());
            if len > LOG_PIECE && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        if entries.is_empty() {
            return None;
        }
        let upto = after.saturating_add(entries.len() as u64);
        Some((Self::Entries { person, head: chain.head(), entries }, upto))
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`IdentityError::Encoding`]; none in practice.
    pub fn to_bytes(&self) -> Result<Bytes, IdentityError> {
        let (kind, person, head, entries) = match self {
            Self::Want { person, head } => ("want", person, head, &[][..]),
            Self::Entries { person, head, entries } => ("entries", person, head, &entries[..]),
            Self::Have { person, head } => ("have", person, head, &[][..]),
        };
        let entries = entries.iter().map(|bytes| ByteBuf::from(bytes.to_vec())).collect();
        Ok(cbor::encode(&Wire(kind.into(), *person, *head, entries))?)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`IdentityError::Encoding`]; [`IdentityError::WrongType`] for an unknown kind, and for entries where none belong
    /// or none where some do; [`IdentityError::TooLong`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let limit = LOG_PIECE + cbor::MAX_IDENTITY + 256;
        if bytes.len() > limit {
            return Err(IdentityError::TooLong { field: "log message", limit });
        }
        let Wire(kind, person, head, entries) = cbor::decode(bytes)?;
        match (kind.as_str(), entries.is_empty()) {
            ("want", true) => Ok(Self::Want { person, head }),
            ("have", true) => Ok(Self::Have { person, head }),
            ("entries", false) => {
                let entries = entries.into_iter().map(|bytes| bytes.into_vec().into()).collect();
                Ok(Self::Entries { person, head, entries })
            }
            _ => Err(IdentityError::WrongType { expected: "a message about a log" }),
        }
    }
}
