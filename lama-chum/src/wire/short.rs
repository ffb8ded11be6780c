//! The short messages: ACK, SYNCED, HELD, REFUSED.

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};
use lama_identity::{Cid, Codec};

use super::{ACK, HELD, Label, REFUSED, SYNCED, array_at, be, u32_at};
use crate::{ChumError, Fingerprint, Lane, Refusal};

/// Most ids in one REFUSED.
pub const MAX_REFUSED: usize = 1_024;

/// Bytes of one id and its reason in REFUSED.
const REFUSED_ITEM: usize = 34;

/// Appends ACK, 5 bytes: type with its [`Label`], then the sequence number of the other side's log up to which the
/// lanes up to `covers` are durable here.
pub fn ack(covers: Lane, upto: u64, out: &mut BytesMut) {
    out.put_u8(Label::covering(covers).kind(ACK));
    out.put_slice(&be(upto));
}

/// Reads ACK.
///
/// # Errors
/// [`ChumError::WrongLength`].
pub fn read_ack(message: &[u8]) -> Result<(Lane, u64), ChumError> {
    let kind = message.first().copied().unwrap_or_default();
    let wrong = ChumError::WrongLength { kind, len: message.len() };
    let (_, label) = Label::read(kind).ok_or(ChumError::UnknownMessage { kind })?;
    if message.len() != 5 { Err(wrong) } else { Ok((label.covers, u32_at(message, 1).ok_or(wrong)?)) }
}

/// SYNCED: the snapshot at which nothing is left to send.
///
/// | at | bytes | what |
/// |---|---|---|
/// | 0 | 1 | type 0x03 |
/// | 1 | 4 | own entries have all been sent up to here: the head of this snapshot |
/// | 5 | 4 | the other side's entries are durable up to here, and in this snapshot; acknowledges them |
/// | 9 | 4 | count of the set |
/// | 13 | 16 | fingerprint of the set |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synced {
    /// Own entries up to here.
    pub own: u64,
    /// The other side's entries up to here.
    pub peer: u64,
    /// How many ids the set holds.
    pub count: u64,
    /// The set's fingerprint.
    pub fingerprint: Fingerprint,
}

impl Synced {
    /// Length in bytes.
    pub const LEN: usize = 29;

    /// Appends the message.
    pub fn write(&self, out: &mut BytesMut) {
        out.reserve(Self::LEN);
        out.put_u8(SYNCED);
        out.put_slice(&be(self.own));
        out.put_slice(&be(self.peer));
        out.put_slice(&be(self.count));
        out.put_slice(&self.fingerprint.0);
    }

    /// Reads the message.
    ///
    /// # Errors
    /// [`ChumError::WrongLength`].
    pub fn read(message: &[u8]) -> Result<Self, ChumError> {
        let wrong = ChumError::WrongLength { kind: SYNCED, len: message.len() };
        if message.len() == Self::LEN { Self::fields(message).ok_or(wrong) } else { Err(wrong) }
    }

    fn fields(message: &[u8]) -> Option<Self> {
        Some(Self {
            own: u32_at(message, 1)?,
            peer: u32_at(message, 5)?,
            count: u32_at(message, 9)?,
            fingerprint: Fingerprint(array_at(message, 13)?),
        })
    }
}

/// Appends HELD, 21 bytes: type, count (4) and fingerprint (16) of the set as it is now. Something of it is held back,
/// for the other side may have it from others: it says so by having the same set.
pub fn write_held((count, fingerprint): (u64, Fingerprint), out: &mut BytesMut) {
    out.put_u8(HELD);
    out.put_slice(&be(count));
    out.put_slice(&fingerprint.0);
}

/// Reads HELD.
///
/// # Errors
/// [`ChumError::WrongLength`].
pub fn read_held(message: &[u8]) -> Result<(u64, Fingerprint), ChumError> {
    let wrong = ChumError::WrongLength { kind: HELD, len: message.len() };
    if message.len() != 21 {
        return Err(wrong);
    }
    Ok((u32_at(message, 1).ok_or(wrong)?, Fingerprint(array_at(message, 5).ok_or(wrong)?)))
}

/// One object that was not kept.
pub type Refused = (Cid, Refusal);

/// Appends REFUSED, 1 + 34 n bytes: type, then per object codec, digest and reason. At most [`MAX_REFUSED`].
pub fn write_refused(objects: impl Iterator<Item = Refused>, out: &mut BytesMut) {
    out.put_u8(REFUSED);
    for (id, reason) in objects.take(MAX_REFUSED) {
        out.put_u8(id.codec() as u8);
        out.put_slice(id.digest());
        out.put_u8(reason.code());
    }
}

/// Reads REFUSED.
///
/// # Errors
/// [`ChumError::WrongLength`], [`ChumError::RefusedMalformed`].
pub fn read_refused(message: &[u8]) -> Result<Vec<Refused>, ChumError> {
    let items = message.get(1..).unwrap_or_default();
    let whole = items.len().is_multiple_of(REFUSED_ITEM);
    if !whole || items.is_empty() || items.len() > MAX_REFUSED * REFUSED_ITEM {
        return Err(ChumError::WrongLength { kind: REFUSED, len: message.len() });
    }
    items.chunks_exact(REFUSED_ITEM).map(|item| refused(item).ok_or(ChumError::RefusedMalformed)).collect()
}

fn refused(item: &[u8]) -> Option<Refused> {
    let codec = match item.first()? {
        0x55 => Codec::Raw,
        0x71 => Codec::DagCbor,
        _ => return None,
    };
    let id = Cid::from_parts(codec, array_at(item, 1)?);
    Some((id, Refusal::from_code(*item.get(33)?)?))
}

impl Refusal {
    /// The code in REFUSED, never 0.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Quota => 1,
            Self::Policy => 2,
            Self::Malformed => 3,
            Self::Other(code) => code,
        }
    }

    /// The reason behind a code; `None` for 0.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => return None,
            1 => Self::Quota,
            2 => Self::Policy,
            3 => Self::Malformed,
            code => Self::Other(code),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_holds_objects_and_chunks_and_so_many_of_them() {
        let some = |count: usize| -> alloc::vec::Vec<Refused> {
            let ids = (0..count).map(|n| n.to_be_bytes());
            ids.map(|n| if n[7] % 2 == 0 { Cid::of_chunk(&n) } else { Cid::of_object(&n) })
                .map(|id| (id, Refusal::Quota))
                .collect()
        };
        let mut out = BytesMut::new();
        write_refused(some(MAX_REFUSED).into_iter(), &mut out);
        assert_eq!(read_refused(&out), Ok(some(MAX_REFUSED)));
        out.extend_from_slice(&out.clone()[1..=REFUSED_ITEM]);
        let wrong = ChumError::WrongLength { kind: REFUSED, len: out.len() };
        assert_eq!(read_refused(&out), Err(wrong), "one more");
    }
}
