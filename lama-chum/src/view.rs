//! What CHUM knows of a view log: its head, its entries and a cursor into it.

use bytes::Bytes;
use lama_identity::Cid;

use crate::recon::Sketch;
use crate::{Fingerprint, Lane, Positions};

/// Names one life of a store. Random, and new whenever the store was restored, re-created or not stopped
/// cleanly, so that no cursor of an older life is trusted. [`NO_EPOCH`] stands for "none seen yet".
pub type Epoch = [u8; 8];

/// The epoch of a peer of which nothing has been seen; no store draws it.
pub const NO_EPOCH: Epoch = [0; 8];

/// Where a view log ends, together with the set that it holds there: one consistent snapshot, read in one
/// transaction of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ViewHead {
    /// The life of the store that keeps the log.
    pub epoch: Epoch,
    /// Sequence number of the last entry; the first has 1, and 0 means an empty log. At most `u32::MAX`.
    pub seq: u64,
    /// How many ids the set holds: had by both, on their way, tombstones, refused and set aside. At most `u32::MAX`.
    pub count: u64,
    /// XOR over those ids under the pair key (see [`crate::Fingerprinter`]).
    pub fingerprint: Fingerprint,
}

/// One entry of a view log, with the object that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence number: above the one before it, below or equal to the `next` of its page.
    pub seq: u64,
    /// The object's id.
    pub id: Cid,
    /// What it is to those who wait: not before the lane of any object that it links to.
    pub lane: Lane,
    /// Whether the object came from the instance at the other end, to which it is therefore not sent (unless
    /// the [`crate::Output::Scan`] asked for the `whole` view). A store may leave such entries out altogether.
    pub source_is_peer: bool,
    /// Whether the id stood in the log before, so that the entry changes no set: an object that is to be had again, or
    /// gone. Equal sets do not tell whether the peer knows of it.
    pub again: bool,
    /// Whether the object is not to be had any more: deleted, or withdrawn before this instance had it. The peer
    /// is told the id alone.
    pub gone: bool,
    /// The object's exact bytes; may be empty only if `source_is_peer` or `gone`.
    pub object: Bytes,
}

/// What a host knows of its view and of earlier sessions with the instance, beside head and cursor, and in the same
/// snapshot: see [`crate::Chum::with_past`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// The first 32 cells of the head's set, under the pair key and salt 0 ([`crate::PairKey::short_key`]).
    pub sketch: Sketch,
    /// Whether the instance has taken note of this epoch of ours: it acknowledged something, or agreed with us.
    pub seen: bool,
    /// Count and fingerprint on which both ends last agreed, in whatever epoch.
    pub agreed: Option<(u64, Fingerprint)>,
    /// The last entry of the log that changes no set and did not come from the instance: it says that an object is gone,
    /// or to be had again. 0 if there is none that the instance has not acknowledged.
    pub news: u64,
    /// The last entry that changes no set, or names an object that was gone when its id came: whoever it came from, and
    /// acknowledged or not. 0: there is none.
    pub last_news: u64,
    /// Up to where the instance has our log, as it acknowledged last: in this epoch or in one before, of whose log this one
    /// has everything up to there. All 0: nothing.
    pub acked: Positions,
    /// The epoch of ours in which that was.
    pub acked_in: Epoch,
    /// The epoch of the instance in which that was: a later one may have been restored from before.
    pub acked_by: Epoch,
    /// Our epoch before this one, and up to where the log is the same; 0: that is not known.
    pub before: (Epoch, u64),
    /// The last epoch of the instance in which it had acknowledged all that changes no set, or there was nothing of the
    /// kind, when something was taken over from it; [`NO_EPOCH`]: there was none.
    pub life: Epoch,
}

/// How far one log has been taken over, durably: in each lane everything up to `upto` in that `epoch` of the peer's log.
///
/// A cursor belongs to one's own person's view and the remote *instance*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The life of the peer's store in which `upto` counts; [`NO_EPOCH`] before first contact.
    pub epoch: Epoch,
    /// The last sequence numbers taken over; 0 for none.
    pub upto: Positions,
}

impl Cursor {
    /// Everything up to `upto` was taken over, whatever its lane.
    #[must_use]
    pub const fn all(epoch: Epoch, upto: u64) -> Self {
        Self { epoch, upto: Positions::all(upto) }
    }

    /// What a store keeps that has this cursor and is told another one: within an epoch no lane goes back, since what
    /// someone waits for may be stored before what came before it. The default, of no epoch, takes all back.
    #[must_use]
    pub fn then(self, told: Self) -> Self {
        if self.epoch == told.epoch { Self { upto: self.upto.max(told.upto), ..self } } else { told }
    }
}
