//! The three handshake messages: sizes, magic, prologue.

use alloc::vec::Vec;

use lama_identity::{NoisePublic, PersonId, PersonPin};
use lama_invite::Locator;
use serde::{Deserialize, Serialize};

/// First bytes of message 1.
pub const MAGIC: [u8; 4] = *b"LAM1";

/// Length of message 1: magic, tag, ephemeral key, tag of the empty payload.
pub const MESSAGE1_LEN: usize = 4 + 16 + 32 + 16;

/// Length of message 2: ephemeral key, tag of the empty payload.
pub const MESSAGE2_LEN: usize = 32 + 16;

/// Length of message 3: encrypted static key, tag of the empty payload.
pub const MESSAGE3_LEN: usize = 32 + 16 + 16;

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Dialled, and sends first.
    Initiator = 1,
    /// Was dialled.
    Responder = 2,
}

impl Role {
    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// Which handshake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// `XKpsk3` with the key of an invitation.
    Pairing,
    /// `XK`: both know each other's keys.
    Known,
}

/// Over what the two talk. Bound into the transcript, so a relay cannot pass for another, nor for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Via {
    /// A direct link.
    #[default]
    Direct,
    /// A relay, by the route's id.
    Relay([u8; 32]),
}

/// What a connection is for. Both sides name the same, in Auth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Become contacts. Goes on as [`Group::Chum`] on the same connection after READY and its acknowledgement.
    Pairing,
    /// Synchronise what is accessible.
    Chum,
}

impl Group {
    /// The name that is signed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pairing => "pairing",
            Self::Chum => "chum",
        }
    }

    /// The group of a handshake in this mode: pairing leads to [`Group::Pairing`] and to nothing else.
    #[must_use]
    pub const fn fits(self, mode: Mode) -> bool {
        matches!((self, mode), (Self::Pairing, Mode::Pairing) | (Self::Chum, Mode::Known))
    }
}

/// A person as it is known beforehand: from an invitation or the contact store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinnedPerson {
    /// The label.
    pub id: PersonId,
    /// The SHA-256 of its signing key.
    pub pin: PersonPin,
}

/// `"LAMA/noise/1" || 0x01 (suite) || tag16 || via`.
pub(crate) fn prologue(tag: &Locator, via: Via) -> Vec<u8> {
    let mut prologue = Vec::with_capacity(12 + 1 + 16 + 33);
    prologue.extend_from_slice(b"LAMA/noise/1\x01");
    prologue.extend_from_slice(tag.as_bytes());
    match via {
        Via::Direct => prologue.push(0),
        Via::Relay(route) => {
            prologue.push(1);
            prologue.extend_from_slice(&route);
        }
    }
    prologue
}

/// What the signature in Auth binds a person to.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    /// Who signs.
    pub(crate) role: Role,
    /// The transcript hash.
    pub(crate) h: [u8; 32],
    /// The signer's instance.
    pub(crate) own_noise: NoisePublic,
    /// The other instance.
    pub(crate) peer_noise: NoisePublic,
    /// The signer's person.
    pub(crate) own_pin: PersonPin,
    /// The other person.
    pub(crate) peer_pin: PersonPin,
}

impl Binding {
    /// `"LAMA/auth/1\0" || role || h || own_i_noise || peer_i_noise || own_pin || peer_pin || three hashes`.
    pub(crate) fn signing_input(&self, group: &[u8; 32], endpoint: &[u8; 32], rest: &[u8; 32]) -> Vec<u8> {
        let mut input = Vec::with_capacity(12 + 1 + 8 * 32);
        input.extend_from_slice(b"LAMA/auth/1\0");
        input.push(self.role as u8);
        let parts: [&[u8; 32]; 8] = [
            &self.h,
            self.own_noise.as_bytes(),
            self.peer_noise.as_bytes(),
            self.own_pin.as_bytes(),
            self.peer_pin.as_bytes(),
            group,
            endpoint,
            rest,
        ];
        parts.into_iter().for_each(|part| input.extend_from_slice(part));
        input
    }
}
