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
    /// The other side has the secrets of this key, and of the invitation if there is one. In one durable step keep it, and
    /// that its key has spent the invitation; then answer by [`super::Sessions::proceed`].
    ///
    /// In a pairing its person's id proves nothing: it follows from the e-mail address alone. Whoever keeps that person
    /// with another [`KnownPeer::pin`] has an impostor before him, or somebody who lost his key: answer by
    /// [`super::Sessions::refuse`] with `person`, and let people decide.
    Verified {
        /// Which link.
        link: u32,
        /// Who.
        peer: Box<KnownPeer>,
        /// Whether it is a pairing, by an invitation.
        pairing: bool,
        /// Which invitation, for whoever made it.
        locator: Option<String>,
        /// For whoever joins, as in [`SessionStep::Open`]: under `confirm` the other side is asked about it before that.
        check_code: Option<String>,
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
    /// The session has ended as it should: the other side has said goodbye, or this side has sent its own, after
    /// [`super::Sessions::close`] or when a day had passed and it was time for fresh keys (`renew`). Once, and the last step of a
    /// link: send what [`super::Sessions::poll_frame`] still has, then close it.
    Closed {
        /// Which link.
        link: u32,
        /// `done`, `shutdown`, `duplicate`, `renew`, `removed`, `denied`, `protocol`, `limit`, `internal`; later versions may have more.
        code: &'static str,
        /// In words.
        message: String,
    },
    /// It came to nothing. Once, and the last step of a link; questions that were not polled yet are gone: send what [`super::Sessions::poll_frame`] still has, then close the link.
    Failed {
        /// Which link.
        link: u32,
        /// A stable name.
        code: String,
        /// What happened, why, and what to do.
        message: String,
    },
}

impl SessionStep {
    pub(super) const fn link(&self) -> u32 {
        match self {
            Self::Asked { link, .. }
            | Self::Proved { link, .. }
            | Self::Verified { link, .. }
            | Self::Open { link, .. }
            | Self::Message { link, .. }
            | Self::Closed { link, .. }
            | Self::Failed { link, .. } => *link,
        }
    }

    pub(super) const fn is_question(&self) -> bool {
        matches!(self, Self::Asked { .. } | Self::Proved { .. } | Self::Verified { .. })
    }
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

    pub(super) fn log_head(&self) -> Result<LogHead, Problem> {
        let hash = HEXLOWER.decode(self.head.hash.as_bytes()).ok().and_then(|hash| hash.try_into().ok());
        let hash = hash.ok_or_else(|| Problem::argument("the head", "its hash is not one of 64 digits"))?;
        Ok(LogHead { seq: self.head.seq, hash })
    }

    pub(super) fn expect(&self, wall: WallTime) -> Result<(NoisePublic, Expect), Problem> {
        let (person, log_head) = (Some(self.pinned()?), Some(self.log_head()?));
        Ok((self.noise()?, Expect { person, log_head, wall, ..Expect::default() }))
    }
}
