//! OBJECTS: as many objects as fit, each with its length and its bytes as they are.

use bytes::{BufMut, Bytes, BytesMut};
use lama_identity::{Cid, Codec, cbor};

use super::{Label, OBJECTS, be, u32_at};
use crate::{ChumError, MAX_OBJECT};

/// Bytes before the first object: type 1, upto 4, head 4, count 2.
pub const OBJECTS_HEADER: usize = 11;

/// Longest message: one object of the largest size, in a message of its own.
pub const MAX_MESSAGE: usize = OBJECTS_HEADER + 4 + MAX_OBJECT;

/// The header of OBJECTS.
///
/// | at | bytes | what |
/// |---|---|---|
/// | 0 | 1 | type 0x01 with its [`Label`] |
/// | 1 | 4 | once these objects are durable, these lanes of the sender's log have been taken over up to here |
/// | 5 | 4 | head of the sender's log now |
/// | 9 | 2 | number of objects, at least 1 |
///
/// Then per object: its length times two, plus one for a chunk of raw bytes, as an LEB128 number in its shortest
/// form (1 to 4 bytes); then its bytes. The ids do not travel: the receiver computes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectsHeader {
    /// Which lanes move, and whether someone waits.
    pub label: Label,
    /// The cursor once these objects are durable.
    pub upto: u64,
    /// Head of the sender's log.
    pub head: u64,
    /// Number of objects.
    pub count: usize,
}

/// What an object of `len` bytes takes in a message.
#[must_use]
pub const fn framed_len(len: usize) -> usize {
    let mut rest = (len << 1) >> 7;
    let mut framed = len.saturating_add(1);
    while rest > 0 {
        framed = framed.saturating_add(1);
        rest >>= 7;
    }
    framed
}

/// Writes one OBJECTS message at the end of a buffer: objects first, the header's figures last.
#[derive(Debug)]
pub struct ObjectsWriter<'a> {
    out: &'a mut BytesMut,
    start: usize,
    count: u16,
}

impl<'a> ObjectsWriter<'a> {
    /// Begins a message.
    pub fn begin(out: &'a mut BytesMut) -> Self {
        let start = out.len();
        out.put_bytes(0, OBJECTS_HEADER);
        Self { out, start, count: 0 }
    }

    /// The message's length so far.
    #[must_use]
    pub fn written(&self) -> usize {
        self.out.len().saturating_sub(self.start)
    }

    /// How many objects it holds so far.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// Appends an object.
    pub fn push(&mut self, codec: Codec, object: &[u8]) {
        let mut number = (object.len() << 1) | usize::from(codec == Codec::Raw);
        while number > 0x7f {
            self.out.put_u8((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.out.put_u8(number as u8);
        self.out.put_slice(object);
        self.count = self.count.saturating_add(1);
    }

    /// Writes the header and gives the message's length.
    pub fn finish(self, label: Label, upto: u64, head: u64) -> usize {
        let mut header = [0; OBJECTS_HEADER];
        let kind = label.kind(OBJECTS);
        let fields = [kind].into_iter().chain(be(upto)).chain(be(head)).chain(self.count.to_be_bytes());
        header.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        if let Some(place) = self.out.get_mut(self.start..self.start.saturating_add(OBJECTS_HEADER)) {
            place.copy_from_slice(&header);
        }
        self.written()
    }
}

/// Reads OBJECTS: checks every length, computes every id, checks every encoding, and gives the objects as slices
/// of the message, in order. On an error some objects may have been given: drop them with the session.
///
/// # Errors
/// The variants of [`ChumError`] that speak of objects and of OBJECTS; not those that need the session's state.
pub fn read_objects(message: &Bytes, mut each: impl FnMut(Cid, Bytes)) -> Result<ObjectsHeader, ChumError> {
    let header = read_header(message)?;
    let mut at = OBJECTS_HEADER;
    for _ in 0..header.count {
        let (number, start) = read_length(message, at)?;
        let len = number >> 1;
        if len == 0 {
            return Err(ChumError::ObjectEmpty);
        }
        if len > MAX_OBJECT {
            return Err(ChumError::ObjectTooLong { len });
        }
        let end = start.saturating_add(len);
        let bytes = message.get(start..end).ok_or(ChumError::ObjectsTruncated)?;
        let id = if number & 1 == 1 {
            Cid::of_chunk(bytes)
        } else {
            cbor::check(bytes).map_err(ChumError::NotCanonical)?;
            Cid::of_object(bytes)
        };
        each(id, message.slice(start..end));
        at = end;
    }
    if at == message.len() { Ok(header) } else { Err(ChumError::ObjectsTrailing) }
}

/// Reads the header alone, and checks it against itself and the message's length.
fn read_header(message: &[u8]) -> Result<ObjectsHeader, ChumError> {
    let kind = message.first().copied().unwrap_or_default();
    let wrong = ChumError::WrongLength { kind, len: message.len() };
    let (_, label) = Label::read(kind).ok_or(ChumError::UnknownMessage { kind })?;
    let upto = u32_at(message, 1).ok_or(wrong)?;
    let head = u32_at(message, 5).ok_or(wrong)?;
    let count = match message.get(9..OBJECTS_HEADER) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => return Err(wrong),
    };
    if count == 0 {
        return Err(ChumError::NoObjects);
    }
    if upto > head {
        return Err(ChumError::SequenceBeyondHead);
    }
    // An object takes two bytes at least, so a count that lies is found before anything is reserved for it.
    if message.len().saturating_sub(OBJECTS_HEADER) / 2 < count {
        return Err(ChumError::ObjectsTruncated);
    }
    Ok(ObjectsHeader { label, upto, head, count })
}

/// An LEB128 number of at most 32 bits in its shortest form, and where the bytes after it begin.
fn read_length(message: &[u8], at: usize) -> Result<(usize, usize), ChumError> {
    let mut number = 0_usize;
    let mut next = at;
    for shift in [0, 7, 14, 21] {
        let byte = *message.get(next).ok_or(ChumError::ObjectsTruncated)?;
        next = next.saturating_add(1);
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let shortest = byte != 0 || shift == 0;
            return if shortest { Ok((number, next)) } else { Err(ChumError::LengthEncoding) };
        }
    }
    Err(ChumError::LengthEncoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_message_is_one_object_of_the_largest_size() {
        assert_eq!((MAX_OBJECT, MAX_MESSAGE, framed_len(MAX_OBJECT)), (1 << 20, 1_048_591, (1 << 20) + 4));
    }

    #[test]
    fn what_an_object_takes_is_what_is_written() {
        for len in [1, 63, 64, 100, 8_191, 8_192, 100_000, MAX_OBJECT] {
            let mut out = BytesMut::new();
            let mut writer = ObjectsWriter::begin(&mut out);
            writer.push(Codec::Raw, &Bytes::from(alloc::vec![7; len]));
            assert_eq!(writer.written(), OBJECTS_HEADER + framed_len(len), "{len}");
            assert_eq!(writer.finish(Label::default(), 1, 1), out.len());
        }
        assert_eq!([63, 64, 8_191, 8_192].map(|len| framed_len(len) - len), [1, 2, 2, 3]);
    }
}
