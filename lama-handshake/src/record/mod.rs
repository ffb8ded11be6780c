//! Records: what travels once there are keys. `type u8 | len u24 | body | zero padding`, sealed as one.
//!
//! One record is one WebSocket binary message. The counter of the cipher is never sent: a record that was left out,
//! repeated or moved does not open.

mod opener;
mod sealer;

pub use opener::Opener;
pub use sealer::Sealer;

use crate::noise::TAG_LEN;

/// Bytes before the body: the type and the body's length.
pub const HEADER_LEN: usize = 4;

/// Longest ciphertext of a record.
pub const MAX_RECORD: usize = 65_535;

/// Longest plaintext of a record: header, body and padding.
pub const MAX_PLAINTEXT: usize = MAX_RECORD - TAG_LEN;

/// Longest body of a record.
pub const MAX_BODY: usize = MAX_PLAINTEXT - HEADER_LEN;

/// The lengths that a plaintext may have. An observer learns the bucket and nothing finer.
pub const BUCKETS: [usize; 6] = [64, 256, 1_024, 4_096, 16_384, MAX_PLAINTEXT];

/// The plaintext of an Auth record, and of a REJECT in its place.
pub const AUTH_PLAINTEXT: usize = 4_096;

/// Longest body of an Auth record.
pub const MAX_AUTH: usize = AUTH_PLAINTEXT - HEADER_LEN;

/// The ciphertext of an Auth record.
pub const AUTH_RECORD_LEN: usize = AUTH_PLAINTEXT + TAG_LEN;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordType {
    /// A person's introduction: the first record of each side.
    Auth = 1,
    /// From the initiator: Auth is verified and stored. From the responder: so is READY.
    Ready = 2,
    /// A piece of a message on a stream.
    Data = 3,
    /// Credit for a stream.
    Window = 4,
    /// "Are you there?"
    Ping = 5,
    /// "Yes."
    Pong = 6,
    /// The sender takes a new key after this record.
    Rekey = 7,
    /// The last record of a direction.
    Close = 8,
    /// Instead of Auth or READY: refused.
    Reject = 9,
}

impl RecordType {
    /// Reads the type byte; `None` for a type that this version does not have.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Auth,
            2 => Self::Ready,
            3 => Self::Data,
            4 => Self::Window,
            5 => Self::Ping,
            6 => Self::Pong,
            7 => Self::Rekey,
            8 => Self::Close,
            9 => Self::Reject,
            _ => return None,
        })
    }

    /// The type byte.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// The smallest bucket for a plaintext of `len` bytes; `None` above the largest.
#[must_use]
pub const fn bucket(len: usize) -> Option<usize> {
    let mut at = 0;
    while at < BUCKETS.len() {
        #[allow(clippy::indexing_slicing, reason = "bounded by the loop; `get` is not const")]
        let size = BUCKETS[at];
        if len <= size {
            return Some(size);
        }
        at += 1;
    }
    None
}

/// Counts what went through one key, to say when `REKEY` is due. Both ends count the same.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    records: u32,
    bytes: u64,
}

impl Usage {
    /// Whether the key has done its work, asked before each record.
    const fn is_spent(self, limits: &crate::RekeyLimits) -> bool {
        self.records >= limits.records || self.bytes >= limits.bytes
    }

    /// One more record of `len` bytes of ciphertext.
    const fn count(&mut self, len: usize) {
        self.records = self.records.saturating_add(1);
        self.bytes = self.bytes.saturating_add(len as u64);
    }
}
