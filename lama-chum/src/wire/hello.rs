//! HELLO: the first message of each side, 45 bytes; 57 if the cursor is not the same in all lanes.

use bytes::{BufMut, BytesMut};

use super::{array_at, be, u32_at};
use crate::{ChumError, Cursor, Epoch, Fingerprint, Lane, Positions, ViewHead};

/// Length of HELLO in bytes.
pub const HELLO_LEN: usize = 45;

/// Length of HELLO in bytes if lanes differ.
pub const HELLO_LONG: usize = 57;

/// Flag: the cursor of the other lanes follows.
const LANES: u8 = 1;

/// Flag: the log has entries that change no set, of which the other side may not know.
const NEWS: u8 = 2;

/// Flag: it has such entries, and the other side has acknowledged all of them.
const OLD_NEWS: u8 = 4;

/// The version that this crate speaks.
const VERSION: u8 = 1;

/// HELLO: what one side has, and how far it has taken the other's log over.
///
/// | at | bytes | what |
/// |---|---|---|
/// | 0 | 1 | version (high four bits: 1) and flags (low four bits: 1: the last three fields are there; 2 and 4: [`LogNews`]; others are sent as 0 and ignored) |
/// | 1 | 8 | own epoch |
/// | 9 | 4 | own head |
/// | 13 | 8 | the other side's epoch as last seen; zero for none |
/// | 21 | 4 | cursor in that epoch |
/// | 25 | 4 | count of the own set |
/// | 29 | 16 | fingerprint of the own set |
/// | 45 | 4 | with flag 1: cursor of the lane of blobs, where it is ahead |
/// | 49 | 4 | with flag 1: that of objects |
/// | 53 | 4 | with flag 1: that of what someone waits for |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Own log and set, in one snapshot.
    pub head: ViewHead,
    /// How far the other side's log has been taken over.
    pub cursor: Cursor,
    /// What the log holds that changes no set.
    pub news: LogNews,
}

/// What a log holds that changes no set: that an object is gone which the set holds, or to be had again. Though sets be
/// equal, it is to be sent to whoever does not know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogNews {
    /// Nothing.
    #[default]
    None,
    /// The other side has acknowledged it all, and lacks it only if it has lost something since.
    Acknowledged,
    /// Something that the other side has not acknowledged.
    Open,
}

impl LogNews {
    const fn flags(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Acknowledged => OLD_NEWS,
            Self::Open => NEWS,
        }
    }

    const fn of(first: u8) -> Self {
        if first & NEWS != 0 {
            Self::Open
        } else if first & OLD_NEWS != 0 {
            Self::Acknowledged
        } else {
            Self::None
        }
    }
}

impl Hello {
    /// Appends the message.
    pub fn write(&self, out: &mut BytesMut) {
        let whole = self.cursor.upto.whole();
        let lanes = self.cursor.upto != Positions::all(whole);
        out.reserve(HELLO_LONG);
        out.put_u8((VERSION << 4) | if lanes { LANES } else { 0 } | self.news.flags());
        out.put_slice(&self.head.epoch);
        out.put_slice(&be(self.head.seq));
        out.put_slice(&self.cursor.epoch);
        out.put_slice(&be(whole));
        out.put_slice(&be(self.head.count));
        out.put_slice(&self.head.fingerprint.0);
        if lanes {
            for lane in [Lane::Blobs, Lane::Objects, Lane::Interactive] {
                out.put_slice(&be(self.cursor.upto.of(lane)));
            }
        }
    }

    /// Reads the message.
    ///
    /// # Errors
    /// [`ChumError::HelloMissing`] if it is another message, [`ChumError::UnknownVersion`],
    /// [`ChumError::WrongLength`], [`ChumError::CursorUnordered`].
    pub fn read(message: &[u8]) -> Result<Self, ChumError> {
        let first = *message.first().ok_or(ChumError::EmptyMessage)?;
        match first >> 4 {
            VERSION => {}
            0 => return Err(ChumError::HelloMissing),
            version => return Err(ChumError::UnknownVersion { version }),
        }
        let wrong = ChumError::WrongLength { kind: first, len: message.len() };
        let lanes = first & LANES != 0;
        if message.len() != if lanes { HELLO_LONG } else { HELLO_LEN } {
            return Err(wrong);
        }
        let mut hello = Self::fields(message).ok_or(wrong)?;
        hello.news = LogNews::of(first);
        if lanes {
            let at = |place: usize| u32_at(message, place).ok_or(wrong);
            let lanes = [at(53)?, at(49)?, at(45)?, hello.cursor.upto.whole()];
            hello.cursor.upto = Positions::new(lanes).ok_or(ChumError::CursorUnordered)?;
        }
        Ok(hello)
    }

    fn fields(message: &[u8]) -> Option<Self> {
        let epoch: Epoch = array_at(message, 1)?;
        let head = ViewHead {
            epoch,
            seq: u32_at(message, 9)?,
            count: u32_at(message, 25)?,
            fingerprint: Fingerprint(array_at(message, 29)?),
        };
        let cursor = Cursor::all(array_at(message, 13)?, u32_at(message, 21)?);
        Some(Self { head, cursor, news: LogNews::None })
    }
}
