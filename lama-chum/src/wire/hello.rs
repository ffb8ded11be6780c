//! HELLO: the first message of each side, 45 bytes.

use bytes::{BufMut, BytesMut};

use super::{array_at, be, u32_at};
use crate::{ChumError, Cursor, Epoch, Fingerprint, ViewHead};

/// Length of HELLO in bytes.
pub const HELLO_LEN: usize = 45;

/// The version that this crate speaks.
const VERSION: u8 = 1;

/// HELLO: what one side has, and how far it has taken the other's log over.
///
/// | at | bytes | what |
/// |---|---|---|
/// | 0 | 1 | version (high four bits: 1) and flags (low four bits: sent as 0, ignored) |
/// | 1 | 8 | own epoch |
/// | 9 | 4 | own head |
/// | 13 | 8 | the other side's epoch as last seen; zero for none |
/// | 21 | 4 | cursor in that epoch |
/// | 25 | 4 | count of the own set |
/// | 29 | 16 | fingerprint of the own set |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Own log and set, in one snapshot.
    pub head: ViewHead,
    /// How far the other side's log has been taken over.
    pub cursor: Cursor,
}

impl Hello {
    /// Appends the message.
    pub fn write(&self, out: &mut BytesMut) {
        out.reserve(HELLO_LEN);
        out.put_u8(VERSION << 4);
        out.put_slice(&self.head.epoch);
        out.put_slice(&be(self.head.seq));
        out.put_slice(&self.cursor.epoch);
        out.put_slice(&be(self.cursor.upto));
        out.put_slice(&be(self.head.count));
        out.put_slice(&self.head.fingerprint.0);
    }

    /// Reads the message.
    ///
    /// # Errors
    /// [`ChumError::HelloMissing`] if it is another message, [`ChumError::UnknownVersion`],
    /// [`ChumError::WrongLength`].
    pub fn read(message: &[u8]) -> Result<Self, ChumError> {
        let first = *message.first().ok_or(ChumError::EmptyMessage)?;
        match first >> 4 {
            VERSION => {}
            0 => return Err(ChumError::HelloMissing),
            version => return Err(ChumError::UnknownVersion { version }),
        }
        let wrong = ChumError::WrongLength { kind: first, len: message.len() };
        if message.len() != HELLO_LEN {
            return Err(wrong);
        }
        Self::fields(message).ok_or(wrong)
    }

    fn fields(message: &[u8]) -> Option<Self> {
        let epoch: Epoch = array_at(message, 1)?;
        let head = ViewHead {
            epoch,
            seq: u32_at(message, 9)?,
            count: u32_at(message, 25)?,
            fingerprint: Fingerprint(array_at(message, 29)?),
        };
        let cursor = Cursor { epoch: array_at(message, 13)?, upto: u32_at(message, 21)? };
        Some(Self { head, cursor })
    }
}
