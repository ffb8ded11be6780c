//! What a session without a node tells its host, and what the host keeps of a peer.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use lama_core::WallTime;
use lama_handshake::{Expect, Peer, PinnedPerson};
use lama_identity::{LogHead, NoisePublic};
use serde::{Deserialize, Serialize};

use crate::Problem;
use crate::command::of_key;

/// What happened on a link. Three of them are questions, and the handshake waits for the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SessionStep {
    /// Somebody begins, and names an invitation, or nothing that means anything here. Answer by [`super::Sessions::answer`].
    Asked {
        /// Which link.
        link: u32,
        /// The invitation's locator.
        locator: String,
    },
    /// Somebody without an invitation has proved a key. Answer by [`super::Sessions::expect`].
    Proved {
        /// Which link.
        link: u32,
        /// The key, as in [`KnownPeer::key`].
        key: String,
    },
    /// The other side is who it says: keep it, and mark the invitation as spent, in one durable step; then answer by
    /// [`super::Sessions::proceed`], or by [`super::Sessions::refuse`].
    Verified {
        /// Which link.
        link: u32,
        /// Who.
        peer: KnownPeer,
        /// Whether it is a pairing, by an invitation.
        pairing: bool,
    },
    /// Both sides have proceeded: messages may be sent.
    Open {
        /// Which link.
        link: u32,
        /// After a pairing: six digits, the same on both sides, for two people to compare.
        check_code: Option<String>,
    },
    /// A message of the other side.
    Message {
        /// Which link.
        link: u32,
        /// On which stream, 0 to 3.
        stream: u8,
        /// All of it.
        #[serde(skip)]
        message: Bytes,
    },
    /// The other side has said goodbye, or a day has passed and it is time for fresh keys (`renew`): send what
    /// [`super::Sessions::poll_frame`] still has, then close the link.
    Closed {
        /// Which link.
        link: u32,
        /// `done`, `shutdown`, `duplicate`, `renew`, `removed`, `denied`, `protocol`, `limit`, `internal`; later versions may have more.
        code: &'static str,
        /// In words.
        message: String,
    },
    /// It came to nothing: send what [`super::Sessions::poll_frame`] still has, then close the link.
    Failed {
        /// Which link.
        link: u32,
        /// A stable name.
        code: String,
        /// What happened, why, and what to do.
        message: String,
    },
}

/// What is kept of a peer: by this it is dialled, and known when it comes. No secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownPeer {
    /// The person's id.
    pub person: String,
    /// The person's e-mail address.
    pub email: String,
    /// The SHA-256 of the person's signing key.
    pub pin: String,
    /// The instance's key for connections, 64 digits.
    pub key: String,
    /// The instance's id.
    pub instance: String,
    /// What its person calls it.
    pub name: String,
    /// Where it says it can be dialled; empty: nowhere.
    pub url: String,
    /// Where the person's log ended. To be kept anew after each handshake: whoever shows an older one is refused.
    pub head: Head,
}

/// The end of a person's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// How many entries it has.
    pub seq: u64,
    /// The SHA-256 of the last, 64 digits.
    pub hash: String,
}

impl KnownPeer {
    pub(super) fn of(peer: &Peer) -> Self {
        let (identity, pinned) = (&peer.identity, peer.person());
        let head = identity.log_head;
        Self {
            person: pinned.id.full(),
            email: identity.person.email.to_string(),
            pin: pinned.pin.full(),
            key: HEXLOWER.encode(peer.noise().as_bytes()),
            instance: identity.instance_id().full(),
            name: identity.instance.name.clone(),
            url: peer.endpoint.url.clone(),
            head: Head { seq: head.seq, hash: HEXLOWER.encode(&head.hash) },
        }
    }

    pub(super) fn noise(&self) -> Result<NoisePublic, Problem> {
        of_key(&self.key)
    }

    pub(super) fn pinned(&self) -> Result<PinnedPerson, Problem> {
        let id = self.person.parse().map_err(|error| Problem::argument("the person", error))?;
        let pin = self.pin.parse().map_err(|error| Problem::argument("the pin", error))?;
        Ok(PinnedPerson { id, pin })
    }

    fn log_head(&self) -> Result<LogHead, Problem> {
        let hash = HEXLOWER.decode(self.head.hash.as_bytes()).ok().and_then(|hash| hash.try_into().ok());
        let hash = hash.ok_or_else(|| Problem::argument("the head", "its hash is not one of 64 digits"))?;
        Ok(LogHead { seq: self.head.seq, hash })
    }

    pub(super) fn expect(&self, wall: WallTime) -> Result<(NoisePublic, Expect), Problem> {
        let (person, log_head) = (Some(self.pinned()?), Some(self.log_head()?));
        Ok((self.noise()?, Expect { person, log_head, wall, ..Expect::default() }))
    }
}
