//! Frames of connections, as bytes.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::{GroupError, GroupName, MAX_GROUP_MESSAGE};

const OPEN: u8 = 1;
const ACCEPT: u8 = 2;
const REFUSE: u8 = 3;
const MESSAGE: u8 = 4;
const CREDIT: u8 = 5;
const CLOSE: u8 = 6;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefuseCode {
    /// Nobody serves the group there.
    NotServed,
    /// It is served, and not for this person.
    NotAllowed,
    /// A limit is reached.
    Busy,
    /// A code of a later version.
    Other(u8),
}

impl RefuseCode {
    const fn number(self) -> u8 {
        match self {
            Self::NotServed => 1,
            Self::NotAllowed => 2,
            Self::Busy => 3,
            Self::Other(code) => code,
        }
    }

    const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::NotServed,
            2 => Self::NotAllowed,
            3 => Self::Busy,
            code => Self::Other(code),
        }
    }

    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotServed => "not-served",
            Self::NotAllowed => "not-allowed",
            Self::Busy => "busy",
            Self::Other(_) => "other",
        }
    }
}

/// A frame: one message of the stream. `type u8 | number u32 | the rest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Asks for a connection.
    Open {
        /// Its number: those of the session's initiator are even, those of the responder odd, each in order.
        number: u32,
        /// What the other side may send at first.
        credit: u32,
        /// Of which group.
        group: GroupName,
    },
    /// The connection is open.
    Accept {
        /// Which.
        number: u32,
        /// What the other side may send at first.
        credit: u32,
    },
    /// There is no connection; the number is spent.
    Refuse {
        /// Which.
        number: u32,
        /// Why.
        code: RefuseCode,
    },
    /// A message.
    Message {
        /// On which connection.
        number: u32,
        /// At most [`MAX_GROUP_MESSAGE`] bytes.
        message: Bytes,
    },
    /// So much more may be sent.
    Credit {
        /// On which connection.
        number: u32,
        /// Bytes, with [`super::MESSAGE_COST`] for each message.
        credit: u32,
    },
    /// The last frame of a direction.
    Close {
        /// Of which connection.
        number: u32,
    },
}

impl Frame {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`GroupError::Malformed`].
    pub fn read(mut frame: Bytes) -> Result<Self, GroupError> {
        let malformed = |_| GroupError::Malformed;
        let kind = frame.try_get_u8().map_err(malformed)?;
        let number = frame.try_get_u32().map_err(malformed)?;
        if kind == MESSAGE {
            let fits = frame.len() <= MAX_GROUP_MESSAGE;
            return if fits {
                Ok(Self::Message { number, message: frame })
            } else {
                Err(GroupError::Malformed)
            };
        }
        let read = match kind {
            OPEN => {
                let credit = frame.try_get_u32().map_err(malformed)?;
                let name = core::str::from_utf8(&frame).ok().and_then(GroupName::new);
                frame.clear();
                Self::Open { number, credit, group: name.ok_or(GroupError::Malformed)? }
            }
            ACCEPT => Self::Accept { number, credit: frame.try_get_u32().map_err(malformed)? },
            REFUSE => {
                let code = RefuseCode::from_number(frame.try_get_u8().map_err(malformed)?);
                Self::Refuse { number, code }
            }
            CREDIT => Self::Credit { number, credit: frame.try_get_u32().map_err(malformed)? },
            CLOSE => Self::Close { number },
            _ => return Err(GroupError::Malformed),
        };
        if frame.is_empty() { Ok(read) } else { Err(GroupError::Malformed) }
    }

    /// Appends the frame's bytes.
    pub fn write(&self, out: &mut BytesMut) {
        let mut head = |kind, number| {
            out.put_u8(kind);
            out.put_u32(number);
        };
        match self {
            Self::Open { number, credit, group } => {
                head(OPEN, *number);
                out.put_u32(*credit);
                out.put_slice(group.as_str().as_bytes());
            }
            Self::Accept { number, credit } => {
                head(ACCEPT, *number);
                out.put_u32(*credit);
            }
            Self::Refuse { number, code } => {
                head(REFUSE, *number);
                out.put_u8(code.number());
            }
            Self::Message { number, message } => {
                head(MESSAGE, *number);
                out.put_slice(message);
            }
            Self::Credit { number, credit } => {
                head(CREDIT, *number);
                out.put_u32(*credit);
            }
            Self::Close { number } => head(CLOSE, *number),
        }
    }
}
