//! Where everything stands: keys, values and the format version.
//!
//! | table | key | value |
//! |---|---|---|
//! | `Log` | pack number u64 BE | up to [`PACK`] bytes of records, one after the other; a record may run over into the next packs |
//! | `Index` | a segment, and a block in it | sorted rows (see [`crate::index`]): key and [`Slot`] |
//! | `Recent` | run number u64 BE | rows of one commit that may not be in `Index` yet |
//! | `Views` | view u32 BE, first sequence number u64 BE | a page of entries (see [`crate::view`]) |
//! | `Meta` | a letter of [`kind`], then the key of that kind | a small record; tokens, peers and settings sealed ([`crate::seal`]) |
//!
//! The key of a row is an id (digest 32, codec 1) and a view (u32 BE): 0 for the object itself, else that view holds the
//! id, too, which is not the first one to do so.
//!
//! Objects and views are written in append order, many to a value; only the index has keys in random order, and
//! those are collected in memory and merged by ranges into sorted segments (`docs/store-engine.md` has the figures). Persons and instances stand in all this as small
//! numbers, given out in the order of their first appearance.

use alloc::vec::Vec;
use core::cmp::Ordering;

use lama_chum::Lane;
use lama_identity::{Cid, Codec};

use crate::StoreError;
use crate::codec::Reader;

/// The format that this code writes and reads.
pub(crate) const FORMAT: u32 = 4;

/// First bytes of the format record.
pub(crate) const MAGIC: &[u8; 10] = b"lama-store";

/// In the place of a record's codec: nothing that is used, of any length; a repair left it out.
pub(crate) const UNUSED: u8 = 0;

/// Bytes in one pack or page. With key and header this is just below 64 KiB: the engine rounds up to a power of 2.
pub(crate) const PACK: usize = 65_400;

/// A page of a view that is shorter than this is extended by the next commit; a longer one is left alone.
pub(crate) const SMALL_PAGE: usize = 4_000;

/// First byte of a key in `Meta`.
pub(crate) mod kind {
    /// Format version.
    pub(crate) const FORMAT: u8 = b'!';
    /// Nothing, sealed: tells whether the storage key is this store's.
    pub(crate) const KEY: u8 = b'k';
    /// Format from which the store was brought up to date, while pages of the file may hold what it no longer says.
    pub(crate) const STALE: u8 = b'~';
    /// Nothing: the index still holds rows as formats up to 3 wrote them.
    pub(crate) const OLD_INDEX: u8 = b'x';
    /// Epoch and whether the store was closed cleanly.
    pub(crate) const EPOCH: u8 = b'E';
    /// Counts of objects and bytes.
    pub(crate) const COUNTS: u8 = b'#';
    /// Number u32 BE to person.
    pub(crate) const PERSON: u8 = b'p';
    /// Number u32 BE to instance and number of its person.
    pub(crate) const INSTANCE: u8 = b'i';
    /// View number u32 BE to the head of that view.
    pub(crate) const VIEW: u8 = b'v';
    /// Instance number u32 BE to the peer record, sealed.
    pub(crate) const PEER: u8 = b'P';
    /// Instance number u32 BE to fingerprint, cursors, the set last agreed on, and sketch.
    pub(crate) const PROGRESS: u8 = b'Q';
    /// Person to contact.
    pub(crate) const CONTACT: u8 = b'C';
    /// Person and slot to trust record.
    pub(crate) const TRUST: u8 = b'T';
    /// Locator to token, sealed.
    pub(crate) const TOKEN: u8 = b'K';
    /// Name to setting, sealed.
    pub(crate) const SETTING: u8 = b'S';
    /// Missing id and waiting id, nothing.
    pub(crate) const WAITING: u8 = b'W';
    /// Person, instance and id of a version of its endpoint that no other one follows, to id and clock.
    pub(crate) const ENDPOINT: u8 = b'D';
    /// Person, instance and id of a version of its endpoint that another one follows, whether it is here or not; nothing.
    pub(crate) const FOLLOWED: u8 = b'f';
    /// Channel to its name, members and number of entries.
    pub(crate) const CHANNEL: u8 = b'H';
    /// Channel, clock, author, id to instance and number of arrival: the order of the channel.
    pub(crate) const ENTRY: u8 = b'h';
    /// Amended entry, channel, author, whether it is deleted, clock, and id of the entry that says so; nothing.
    pub(crate) const AMENDS: u8 = b'm';
    /// Channel to its last arrival, the last one that was read, and how many are unread.
    pub(crate) const ARRIVALS: u8 = b'u';
    /// Channel and number of an arrival u64 BE to the unread entry.
    pub(crate) const UNREAD: u8 = b'n';
    /// Id of an entry to channel, clock, author, and whether it counts and amends another.
    pub(crate) const ENTRY_AT: u8 = b'e';
    /// Channel and id of an entry that no other one names, to its clock.
    pub(crate) const HEAD: u8 = b'g';
    /// Named entry and naming entry, nothing.
    pub(crate) const NAMED_BY: u8 = b'r';
    /// Channel or author that is not known yet, and the entry that waits for it.
    pub(crate) const ENTRY_WAITS: u8 = b'w';
    /// Object, author and identity object of a policy, to the rule that last named it and whether that took effect.
    pub(crate) const ACCESS: u8 = b'a';
    /// Identity object, author and identity object of a policy, nothing: what speaks of all that belongs to it.
    pub(crate) const ACCESS_ID: u8 = b'j';
    /// Group, author and identity object of a policy, nothing: what names the group.
    pub(crate) const ACCESS_GROUP: u8 = b'y';
    /// Author and identity object to what all his access rules for it say together.
    pub(crate) const POLICY: u8 = b'o';
    /// Identity object, author and version, nothing.
    pub(crate) const VERSION: u8 = b'V';
    /// Group to its owner, admins and members.
    pub(crate) const GROUP: u8 = b'G';
    /// View number u32 BE and id, nothing: granted by itself, though it stood in the view before.
    pub(crate) const GRANT: u8 = b's';
    /// View number u32 BE and id to the reason for which the person's instance refused it.
    pub(crate) const REFUSED: u8 = b'R';
    /// Deleted object to whether it was brought (1) or put here (0): what is gone, for a repair of the index.
    pub(crate) const TOMB: u8 = b'b';
    /// View number u32 BE and day since the Unix epoch u64 BE to the first sequence number of that day.
    pub(crate) const DAY: u8 = b'd';
    /// View number u32 BE to the last entry whose age was looked at.
    pub(crate) const SWEPT: u8 = b'z';
    /// Place u64 BE of the target of a content link and of the object that holds the link, nothing; their ids if the target
    /// was not here.
    pub(crate) const LINKED: u8 = b'l';
    /// Pack u64 BE of the targets of content links and place u64 BE of the object that holds them, to their offsets there.
    pub(crate) const LINKED_MANY: u8 = b'M';
    /// Nothing: there is a row for every content link.
    pub(crate) const LINKS_KNOWN: u8 = b'L';
    /// Person to his quota.
    pub(crate) const QUOTA: u8 = b'q';
}

/// A key of `Meta`.
pub(crate) fn meta(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(kind);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// The smallest key that does not begin with `prefix`; `None` if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// Length of an id as the store writes it.
pub(crate) const ID: usize = 33;

/// An id as the store writes it: digest, then codec.
pub(crate) fn id_bytes(id: &Cid) -> [u8; ID] {
    let mut bytes = [0; ID];
    let (digest, codec) = bytes.split_at_mut(32);
    digest.copy_from_slice(id.digest());
    codec.fill(id.codec() as u8);
    bytes
}

/// Reads what [`id_bytes`] wrote.
pub(crate) fn read_id(reader: &mut Reader<'_>) -> Result<Cid, StoreError> {
    let digest = reader.array()?;
    let codec = match reader.u8()? {
        0x55 => Codec::Raw,
        0x71 => Codec::DagCbor,
        _ => return Err(StoreError::Corrupt("an id has an unknown codec")),
    };
    Ok(Cid::from_parts(codec, digest))
}

/// The end of a key that is an id.
pub(crate) fn id_at_end(key: &[u8]) -> Result<Cid, StoreError> {
    let at = key.len().checked_sub(ID).ok_or(StoreError::Corrupt("a key is too short"))?;
    read_id(&mut Reader(key.get(at..).unwrap_or_default()))
}

/// A key of the index: an id, and the view in which it stands (0: the entry of the object itself).
///
/// The digest stands here as four numbers, most significant byte first: they order as the bytes do, and comparing
/// them is what looking up ids spends its time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexKey {
    digest: [u64; 4],
    codec: u8,
    pub(crate) view: u32,
}

/// Number by number: slices are compared by a function that is called.
impl Ord for IndexKey {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let [[a, b, c, d], [e, f, g, h]] = [self.digest, other.digest];
        let rest = || (b, c, d, self.codec, self.view).cmp(&(f, g, h, other.codec, other.view));
        a.cmp(&e).then_with(rest)
    }
}

impl PartialOrd for IndexKey {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl IndexKey {
    pub(crate) const LEN: usize = ID + 4;
    pub(crate) const MIN: Self = Self { digest: [0; 4], codec: 0, view: 0 };

    pub(crate) fn object(id: &Cid) -> Self {
        Self::member(id, 0)
    }

    pub(crate) fn member(id: &Cid, view: u32) -> Self {
        Self::new(id.digest(), id.codec() as u8, view)
    }

    fn new(bytes: &[u8; 32], codec: u8, view: u32) -> Self {
        let mut digest = [0; 4];
        for (number, part) in digest.iter_mut().zip(bytes.as_chunks().0) {
            *number = u64::from_be_bytes(*part);
        }
        Self { digest, codec, view }
    }

    /// Orders as the keys do.
    #[inline]
    pub(crate) const fn first_bits(&self) -> u64 {
        let [first, ..] = self.digest;
        first
    }

    /// Two numbers that differ from key to key as if they were drawn, for a filter.
    #[inline]
    pub(crate) const fn spread(&self) -> (u64, u64) {
        let [_, line, bits, _] = self.digest;
        let view = (self.view as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (line ^ view, bits ^ view.rotate_left(32))
    }

    /// Appends the id, and the view also where it is 0: as in a run.
    pub(crate) fn write_to(self, out: &mut Vec<u8>) {
        self.digest.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
        out.push(self.codec);
        out.extend_from_slice(&self.view.to_be_bytes());
    }

    /// Reads what [`IndexKey::write_to`] wrote.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        let mut key = Self::read_object(reader)?;
        key.view = u32::from_be_bytes(reader.array()?);
        Ok(key)
    }

    /// Reads an id without a view.
    pub(crate) fn read_object(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        Ok(Self::new(&reader.array()?, reader.u8()?, 0))
    }
}

/// What the index knows of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Slot {
    /// Where its record begins; [`Slot::NOWHERE`] if it was refused.
    pub(crate) place: u64,
    /// Bits [`Slot::OWN`] to [`Slot::LIGHT`]. In the entry of a view those of [`Slot::STATE`] alone, which in the
    /// entry of the object speak of its first view.
    pub(crate) flags: u8,
    /// The first view that holds the id; 0: none.
    pub(crate) view: u32,
}

impl Slot {
    pub(crate) const LEN: usize = 13;
    pub(crate) const NOWHERE: u64 = u64::MAX;
    /// It was put here, by this instance's own person.
    pub(crate) const OWN: u8 = 1;
    /// It has no content links.
    pub(crate) const LEAF: u8 = 2;
    /// It waits for a content link.
    pub(crate) const ASIDE: u8 = 4;
    /// It was deleted: its bytes are not given any more.
    pub(crate) const GONE: u8 = 8;
    /// The view holds it no more.
    pub(crate) const LEFT: u8 = 16;
    /// An instance of the view's person has brought it, and none has said since that it is gone.
    pub(crate) const CAME: u8 = 32;
    /// The view holds it as a tombstone: its person is not given it, and has no right to see it.
    pub(crate) const TOLD: u8 = 64;
    /// It travels one lane before where its kind does: something small that is waited for, which links to nothing; or
    /// what links to objects alone, none of which leads to a chunk. Not set by older formats, which is always safe.
    pub(crate) const LIGHT: u8 = 128;
    /// What speaks of a view, not of the object.
    pub(crate) const STATE: u8 = Self::LEFT | Self::CAME | Self::TOLD;

    pub(crate) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What the object is to those who wait. Never before the lane of anything that it links to.
    pub(crate) fn lane(self, id: &Cid) -> Lane {
        match (id.codec(), self.has(Self::LEAF), self.has(Self::LIGHT)) {
            (Codec::Raw, ..) | (_, false, false) => Lane::Blobs,
            (_, true, true) => Lane::Interactive,
            _ => Lane::Objects,
        }
    }

    /// Whether the object can be read and shared.
    pub(crate) const fn is_visible(self) -> bool {
        self.place != Self::NOWHERE && !self.has(Self::ASIDE) && !self.has(Self::GONE)
    }

    /// Whether what links to the object need not wait for it: it can be read, or nobody will ever bring it.
    pub(crate) const fn is_settled(self) -> bool {
        self.is_visible() || self.has(Self::GONE)
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (place, rest) = bytes.split_at_mut(8);
        place.copy_from_slice(&self.place.to_le_bytes());
        let (flags, view) = rest.split_at_mut(1);
        flags.fill(self.flags);
        view.copy_from_slice(&self.view.to_le_bytes());
        bytes
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            place: u64::from_le_bytes(reader.array()?),
            flags: reader.u8()?,
            view: u32::from_le_bytes(reader.array()?),
        })
    }
}

/// The place of a record: its pack and the offset there.
pub(crate) const fn place(pack: u64, offset: usize) -> u64 {
    (pack << 20) | offset as u64
}

/// Takes [`place`] apart.
pub(crate) const fn pack_and_offset(place: u64) -> (u64, usize) {
    (place >> 20, (place & 0xf_ffff) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_where_the_next_begins() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 0xff, 0xff]), Some([2].to_vec()));
        assert_eq!(after_prefix(&[0xff]), None);
    }

    #[test]
    fn index_keys_order_as_their_bytes() {
        let mut keys: Vec<IndexKey> =
            (0..200_u8).map(|at| IndexKey::member(&Cid::of_object(&[at / 2]), u32::from(at % 2))).collect();
        keys.sort_unstable();
        let bytes = |key: &IndexKey| {
            let mut bytes = Vec::new();
            key.write_to(&mut bytes);
            bytes
        };
        assert!(keys.is_sorted_by(|a, b| bytes(a) < bytes(b)));
        let mut bytes = Vec::new();
        keys.iter().for_each(|key| key.write_to(&mut bytes));
        let mut reader = Reader(&bytes);
        assert!(keys.iter().all(|key| IndexKey::read(&mut reader) == Ok(*key)));
    }

    #[test]
    fn slots_and_places_come_back() {
        let slot = Slot { place: place(77, 65_399), flags: Slot::OWN | Slot::LEAF, view: 9 };
        assert_eq!(Slot::read(&mut Reader(&slot.to_bytes())), Ok(slot));
        assert_eq!(pack_and_offset(slot.place), (77, 65_399));
        assert!(!Slot { place: Slot::NOWHERE, ..slot }.is_visible());
    }
}
