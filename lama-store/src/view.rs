//! View logs: what stands in a page, and how entries are appended.
//!
//! A page holds entries with consecutive sequence numbers, the first of which is in its key:
//!
//! ```text
//! flags u8 | digest 32 | [lane u8, if LANE] | [source varint, if CHANGED] | [place: zigzag varint against the one before, unless NOWHERE]
//! ```
//!
//! The ids stand in the log itself, so that rebuilding a fingerprint or sketch is one sequential scan.

use alloc::vec::Vec;

use lama_chum::{Lane, Positions};
use lama_core::SortedMap;
use lama_identity::{Cid, Codec};

use crate::StoreError;
use crate::codec::{Reader, Writer, put_varint, unzigzag, zigzag};
use crate::layout::Slot;

/// The id is a chunk's.
const RAW: u8 = 1;
/// The entry came from another instance than the one before.
const CHANGED: u8 = 2;
/// The object was refused: it is counted, and not here.
const NOWHERE: u8 = 4;
/// The entry holds no id (any more): it takes no part in the set, and nothing is sent for it.
pub(crate) const VOID: u8 = 8;
/// The id is held, and its object not given: the peer is told the id as GONE.
pub(crate) const GONE: u8 = 16;
/// The id stands in the log already: the entry says something new of it and is not counted.
pub(crate) const AGAIN: u8 = 32;
/// The id was granted by itself, not as a part of something else.
pub(crate) const ROOT: u8 = 64;
/// The lane follows; without it, it is that of objects. Entries of older formats have none, and links among them are
/// in one lane, in the order of the log.
const LANE: u8 = 128;
/// The flags that say what an entry means, and may be changed where it stands.
const MARKS: u8 = VOID | GONE | AGAIN | ROOT;

/// One entry of a view log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ViewEntry {
    pub(crate) seq: u64,
    pub(crate) id: Cid,
    /// Place of the record, or [`Slot::NOWHERE`].
    pub(crate) place: u64,
    /// Number of the instance it came from; 0: from here.
    pub(crate) source: u32,
    /// [`VOID`], [`GONE`], [`AGAIN`], [`ROOT`].
    pub(crate) marks: u8,
    /// What it is to those who wait.
    pub(crate) lane: Lane,
}

impl ViewEntry {
    pub(crate) const fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// Whether the entry puts its id into the set.
    pub(crate) const fn counts(&self) -> bool {
        !self.has(VOID) && !self.has(AGAIN)
    }
}

/// Changes the marks of entries of a page whose first entry has the number `first`: by sequence number, the marks to
/// set and those to clear.
pub(crate) fn remark(
    first: u64,
    page: &mut [u8],
    changes: &SortedMap<u64, (u8, u8)>,
) -> Result<(), StoreError> {
    let mut places = Vec::new();
    let mut reader = PageReader::new(first, page);
    let whole = page.len();
    loop {
        let at = whole.saturating_sub(reader.reader.0.len());
        let Some(entry) = reader.next() else { break };
        if let Some(change) = changes.get(&entry?.seq) {
            places.push((at, *change));
        }
    }
    for (at, (set, clear)) in places {
        if let Some(flags) = page.get_mut(at) {
            *flags = (*flags & !(clear & MARKS)) | (set & MARKS);
        }
    }
    Ok(())
}

/// A page whose first entry has the number `first`, with the places that `place_of` gives: as the last page of a view.
pub(crate) fn moved(first: u64, page: &[u8], place_of: impl Fn(u64) -> u64) -> Result<View, StoreError> {
    let mut fresh = View { seq: first.saturating_sub(1), ..View::default() };
    fresh.begin_page();
    for entry in PageReader::new(first, page) {
        let ViewEntry { id, place, source, marks, lane, .. } = entry?;
        let place = if place == Slot::NOWHERE { place } else { place_of(place) };
        fresh.append(&id, place, source, marks, lane);
    }
    Ok(fresh)
}

/// What differs from entry to entry: the state of writer and reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Previous {
    place: u64,
    source: u32,
}

/// The head of one view log, and the page at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Sequence number of the last entry.
    pub(crate) seq: u64,
    /// How many ids the set holds.
    pub(crate) count: u64,
    /// Bytes of objects that this person's instances brought here.
    pub(crate) bytes: u64,
    /// How many objects those are.
    pub(crate) objects: u64,
    /// How many the person brought that were refused.
    pub(crate) refused: u64,
    /// The hour since the Unix epoch in which he last brought something.
    pub(crate) hour: u64,
    /// Bytes that he brought in that hour.
    pub(crate) hour_bytes: u64,
    /// How far each lane was given to be sent, or is known to be at an instance of the person: what stands above can
    /// be taken back without a trace.
    pub(crate) sent: Positions,
    /// The last entry that is [`AGAIN`], or was appended as [`GONE`].
    pub(crate) news: u64,
    /// Those of them that are set aside.
    pub(crate) aside_objects: u64,
    /// Their bytes.
    pub(crate) aside_bytes: u64,
    /// First sequence number of the last page; 0: there is none.
    pub(crate) page: u64,
    /// Its length in bytes.
    pub(crate) page_len: u64,
    previous: Previous,
    /// The page, while it is being extended.
    pub(crate) open: Option<Vec<u8>>,
}

impl View {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [self.seq, self.count, self.bytes, self.aside_objects, self.aside_bytes, self.page, self.page_len]
            .into_iter()
            .fold(Writer::default(), Writer::num)
            .num(self.previous.place)
            .num(self.previous.source.into())
            .num(self.objects)
            .num(self.refused)
            .num(self.hour)
            .num(self.hour_bytes)
            .num(self.sent.whole())
            .num(self.sent.of(Lane::Blobs))
            .num(self.sent.of(Lane::Objects))
            .num(self.sent.of(Lane::Interactive))
            .num(self.news)
            .0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let mut num = || reader.num();
        let mut view = Self {
            seq: num()?,
            count: num()?,
            bytes: num()?,
            aside_objects: num()?,
            aside_bytes: num()?,
            page: num()?,
            page_len: num()?,
            previous: Previous { place: num()?, source: reader.num32()? },
            ..Self::default()
        };
        // What older records do not say may have happened.
        view.news = view.seq;
        // A record of the first kind ends here: of what it has sent nothing is known, so nothing is taken back.
        if reader.0.is_empty() {
            view.sent = Positions::all(view.seq);
            return Ok(view);
        }
        let mut num = || reader.num();
        (view.objects, view.refused, view.hour, view.hour_bytes) = (num()?, num()?, num()?, num()?);
        view.sent = read_positions(&mut reader)?;
        if !reader.0.is_empty() {
            view.news = reader.num()?;
        }
        reader.end()?;
        Ok(view)
    }

    /// The same head over another last page.
    pub(crate) fn with_tail(&self, tail: &Self) -> Self {
        Self { page_len: tail.page_len, previous: tail.previous, ..self.clone() }
    }

    /// Begins a page at the next sequence number.
    pub(crate) fn begin_page(&mut self) {
        self.page = self.seq + 1;
        self.previous = Previous::default();
        self.open = Some(Vec::new());
    }

    /// Appends an entry to the open page.
    #[inline]
    pub(crate) fn append(&mut self, id: &Cid, place: u64, source: u32, marks: u8, lane: Lane) {
        let out = self.open.get_or_insert_default();
        let nowhere = place == Slot::NOWHERE;
        let changed = source != self.previous.source;
        let mut flags = marks & MARKS;
        flags |= if id.codec() == Codec::Raw { RAW } else { 0 };
        flags |= if changed { CHANGED } else { 0 };
        flags |= if nowhere { NOWHERE } else { 0 };
        flags |= if lane == Lane::default() { 0 } else { LANE };
        out.push(flags);
        out.extend_from_slice(id.digest());
        if flags & LANE != 0 {
            out.push(lane.index() as u8);
        }
        if changed {
            put_varint(out, source.into());
            self.previous.source = source;
        }
        if !nowhere {
            put_varint(out, zigzag(self.previous.place, place));
            self.previous.place = place;
        }
        self.page_len = out.len() as u64;
        self.seq += 1;
        if marks & (AGAIN | GONE) != 0 {
            self.news = self.seq;
        }
        self.count += u64::from(marks & (VOID | AGAIN) == 0);
    }
}

/// Reads how far each lane is; where older formats had one number for all, the record ends.
pub(crate) fn read_positions(reader: &mut Reader<'_>) -> Result<Positions, StoreError> {
    let whole = reader.num()?;
    if reader.0.is_empty() {
        return Ok(Positions::all(whole));
    }
    let (blobs, objects, interactive) = (reader.num()?, reader.num()?, reader.num()?);
    Positions::new([interactive, objects, blobs, whole])
        .ok_or(StoreError::Corrupt("a lane is ahead of one before it"))
}

/// Reads the entries of one page.
pub(crate) struct PageReader<'a> {
    reader: Reader<'a>,
    seq: u64,
    previous: Previous,
}

impl<'a> PageReader<'a> {
    /// A page whose first entry has the number `first`.
    pub(crate) fn new(first: u64, page: &'a [u8]) -> Self {
        Self { reader: Reader(page), seq: first, previous: Previous::default() }
    }

    fn entry(&mut self) -> Result<ViewEntry, StoreError> {
        let flags = self.reader.u8()?;
        let digest = self.reader.array()?;
        let mut lane = Lane::default();
        if flags & LANE != 0 {
            let known = Lane::ALL.get(usize::from(self.reader.u8()?)).copied();
            lane = known.ok_or(StoreError::Corrupt("a view entry is in a lane that is not known"))?;
        }
        if flags & CHANGED != 0 {
            self.previous.source = self.reader.num32()?;
        }
        let mut place = Slot::NOWHERE;
        if flags & NOWHERE == 0 {
            place = unzigzag(self.previous.place, self.reader.num()?);
            self.previous.place = place;
        }
        let codec = if flags & RAW == 0 { Codec::DagCbor } else { Codec::Raw };
        let entry = ViewEntry {
            seq: self.seq,
            id: Cid::from_parts(codec, digest),
            place,
            source: self.previous.source,
            marks: flags & MARKS,
            lane,
        };
        self.seq += 1;
        Ok(entry)
    }
}

impl Iterator for PageReader<'_> {
    type Item = Result<ViewEntry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.0.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            self.reader.0 = &[];
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back() {
        let mut view = View { seq: 41, count: 40, ..View::default() };
        view.begin_page();
        let rows = [
            (Cid::of_object(b"a"), 5_u64, 0_u32, ROOT, Lane::Objects),
            (Cid::of_chunk(b"b"), 900, 3, 0, Lane::Blobs),
            (Cid::of_object(b"c"), Slot::NOWHERE, 3, 0, Lane::Objects),
            (Cid::of_object(b"d"), 7, 0, 0, Lane::Interactive),
            (Cid::of_object(b"a"), 5, 0, GONE | AGAIN, Lane::Objects),
        ];
        for (id, place, source, marks, lane) in rows {
            view.append(&id, place, source, marks, lane);
        }
        assert_eq!((view.seq, view.count, view.page), (46, 44, 42));
        let read: Result<Vec<_>, _> = PageReader::new(42, view.open.as_deref().unwrap()).collect();
        let expected: Vec<_> = rows
            .iter()
            .zip(42..)
            .map(|(&(id, place, source, marks, lane), seq)| ViewEntry { seq, id, place, source, marks, lane })
            .collect();
        assert_eq!(read, Ok(expected.clone()));
        let mut page = view.open.clone().unwrap();
        remark(42, &mut page, &SortedMap::from([(43, (VOID, 0)), (42, (GONE, ROOT)), (99, (GONE, 0))]))
            .unwrap();
        let read: Vec<_> = PageReader::new(42, &page).map(Result::unwrap).collect();
        assert_eq!((read[0].marks, read[1].marks), (GONE, VOID));
        assert_eq!(read[2..], expected[2..]);
        view.sent = Positions::new([9, 7, 7, 6]).unwrap();
        let bytes = view.to_bytes();
        let closed = View { open: None, ..view };
        assert_eq!(View::from_bytes(&bytes), Ok(closed.clone()));
        // A record of format 2 has one number for all lanes.
        let older = &bytes[..bytes.len() - 4];
        assert_eq!(View::from_bytes(older), Ok(View { sent: Positions::all(6), ..closed }));
    }

    #[test]
    fn a_damaged_page_is_an_error_and_ends() {
        assert!(PageReader::new(1, &[0; 20]).next().unwrap().is_err());
        let unknown = [&[0x80][..], &[7; 32], &[4, 0]].concat();
        let mut unknown = PageReader::new(1, &unknown);
        assert!(unknown.next().unwrap().is_err());
        assert!(unknown.next().is_none());
    }
}
