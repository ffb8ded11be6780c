//! Instances whose person was denied or removed here: they are told so once they have proved who they are, so that
//! both ends agree after one reconnect.

use bytes::Bytes;
use lama_handshake::RejectCode;
use lama_identity::{NoisePublic, PersonId, cbor};
use lama_store::Write;
use serde::{Deserialize, Serialize};

use super::{Known, setting};
use crate::node::Node;

/// Settings under which they stand; the Noise key in hexadecimal follows.
pub(crate) const DENIED: &str = "denied/";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Denied {
    /// Whose it is.
    pub(crate) person: PersonId,
    /// When, in milliseconds since the Unix epoch: the oldest make room.
    pub(crate) at: u64,
    /// Whether the pairing was denied; otherwise an active contact was removed.
    pub(crate) pairing: bool,
}

impl Denied {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        cbor::decode(bytes).ok()
    }

    fn to_bytes(&self) -> Bytes {
        // A record of plain fields always encodes.
        cbor::encode(self).unwrap_or_default()
    }

    /// What the instance is told.
    pub(crate) const fn code(&self) -> RejectCode {
        if self.pairing { RejectCode::Denied } else { RejectCode::Blocked }
    }
}

impl Node {
    /// The writes that remember a contact's instances as denied.
    pub(crate) fn deny_writes(&mut self, known: &Known) -> alloc::vec::Vec<Write> {
        let at = self.clock.latest().wall.0;
        let pairing = !known.is_active();
        let mut writes = alloc::vec::Vec::new();
        for instance in &known.contact.instances {
            let noise = *instance.keys.encryption_key.as_bytes();
            let denied = Denied { person: known.contact.id(), at, pairing };
            writes.push(Write::Setting { key: setting(DENIED, &noise), value: Some(denied.to_bytes()) });
            self.denied.insert(noise, denied);
        }
        while self.denied.len() > self.config.max_denied {
            let oldest = self.denied.iter().min_by_key(|(_, denied)| denied.at).map(|(noise, _)| *noise);
            let Some(oldest) = oldest else { break };
            self.denied.remove(&oldest);
            writes.push(Write::Setting { key: setting(DENIED, &oldest), value: None });
        }
        writes
    }

    /// The write that forgives an instance: it pairs anew.
    pub(crate) fn forgive(&mut self, noise: &NoisePublic) -> Option<Write> {
        self.denied.remove(noise.as_bytes())?;
        Some(Write::Setting { key: setting(DENIED, noise.as_bytes()), value: None })
    }
}
