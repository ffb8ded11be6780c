//! GONE: ids of the sender's log whose objects are not to be had any more.

use bytes::{BufMut, BytesMut};
use lama_identity::{Cid, Codec};

use super::{GONE, Label, ObjectsHeader, array_at, be, u32_at};
use crate::ChumError;

/// Bytes before the first id: type 1, upto 4, head 4.
pub const GONE_HEADER: usize = 9;

/// Most ids in one GONE.
pub const MAX_GONE: usize = 1_024;

/// Bytes of one id: codec, digest.
const GONE_ITEM: usize = 33;

/// Length of a GONE with so many ids.
#[must_use]
pub const fn gone_len(count: usize) -> usize {
    GONE_HEADER.saturating_add(count.saturating_mul(GONE_ITEM))
}

/// Appends GONE, 9 + 33 n bytes; gives its length. At most [`MAX_GONE`] ids.
///
/// | at | bytes | what |
/// |---|---|---|
/// | 0 | 1 | type 0x05 with its [`Label`] |
/// | 1 | 4 | once this is durable, these lanes of the sender's log have been taken over up to here |
/// | 5 | 4 | head of the sender's log now |
/// | 9 | 33 n | per id: codec, digest |
pub fn write_gone(
    label: Label,
    upto: u64,
    head: u64,
    ids: impl Iterator<Item = Cid>,
    out: &mut BytesMut,
) -> usize {
    let start = out.len();
    out.put_u8(label.kind(GONE));
    out.put_slice(&be(upto));
    out.put_slice(&be(head));
    for id in ids.take(MAX_GONE) {
        out.put_u8(id.codec() as u8);
        out.put_slice(id.digest());
    }
    out.len().saturating_sub(start)
}

/// Reads GONE and gives its ids in order. On an error some may have been given: drop them with the session.
///
/// # Errors
/// [`ChumError::WrongLength`], [`ChumError::GoneMalformed`], [`ChumError::SequenceBeyondHead`].
pub fn read_gone(message: &[u8], mut each: impl FnMut(Cid)) -> Result<ObjectsHeader, ChumError> {
    let kind = message.first().copied().unwrap_or_default();
    let wrong = ChumError::WrongLength { kind, len: message.len() };
    let (_, label) = Label::read(kind).ok_or(ChumError::UnknownMessage { kind })?;
    let (upto, head) = (u32_at(message, 1).ok_or(wrong)?, u32_at(message, 5).ok_or(wrong)?);
    let ids = message.get(GONE_HEADER..).unwrap_or_default();
    if ids.is_empty() || !ids.len().is_multiple_of(GONE_ITEM) || ids.len() > MAX_GONE * GONE_ITEM {
        return Err(wrong);
    }
    if upto > head {
        return Err(ChumError::SequenceBeyondHead);
    }
    for item in ids.chunks_exact(GONE_ITEM) {
        let codec = match item.first() {
            Some(0x55) => Codec::Raw,
            Some(0x71) => Codec::DagCbor,
            _ => return Err(ChumError::GoneMalformed),
        };
        each(Cid::from_parts(codec, array_at(item, 1).ok_or(ChumError::GoneMalformed)?));
    }
    Ok(ObjectsHeader { label, upto, head, count: ids.len() / GONE_ITEM })
}
