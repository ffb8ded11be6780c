//! What goes into the machine and what comes out of it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::Ticket;
use lama_identity::Cid;

use crate::recon::ShortKey;
use crate::{Cursor, Entry, Epoch, Fingerprint, Lanes, Positions, ViewHead};

/// What the host tells the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// One whole CHUM message from the peer. Its objects are sliced out of it, not copied.
    Message(Bytes),
    /// The view log has grown to this head: whatever of it did not come from the peer leaves at once. A head
    /// that lies behind a known one is ignored, so the host may say it twice and in any order.
    Grown(ViewHead),
    /// Answers [`Output::Scan`] and [`Output::Fetch`].
    Page {
        /// The scan's ticket.
        ticket: Ticket,
        /// The entries after `after`, in order; those that came from the peer's instance may be left out.
        entries: Vec<Entry>,
        /// The last sequence number that was looked at, entries left out included: the next scan starts after
        /// it. Above `after` unless the log ends there. Of a fetch: the last of its numbers that was looked at.
        next: u64,
        /// The log's head at that moment.
        head: ViewHead,
    },
    /// Answers [`Output::Ids`].
    Ids {
        /// The scan's ticket.
        ticket: Ticket,
        /// Sequence numbers and ids after `after`, in order, whichever side they came from. An id that left the
        /// set is left out.
        ids: Vec<(u64, Cid)>,
        /// The last sequence number that was looked at: the next scan starts after it. The log's head where the
        /// log ends.
        next: u64,
    },
    /// Answers [`Output::Find`].
    Found {
        /// The ticket of that step.
        ticket: Ticket,
        /// Short ids with the sequence numbers of their entries, in any order. An id that left the set is left out.
        found: Vec<(u64, u64)>,
        /// Every entry above this one has been looked at: the next step goes on below it. Below `upto`, unless that
        /// is 0.
        from: u64,
    },
    /// Answers [`Output::News`].
    News {
        /// The step's ticket.
        ticket: Ticket,
        /// Sequence numbers after `after`, in order, of entries that change no set.
        seqs: Vec<u64>,
        /// The last sequence number that was looked at: above `after`.
        next: u64,
    },
    /// Answers [`Output::Import`]: everything in it is durable now, cursor included.
    Imported {
        /// The import's ticket.
        ticket: Ticket,
        /// What the store made of it.
        outcome: ImportOutcome,
    },
    /// Answers any effect with a failure of the store: the machine ends.
    Failed {
        /// The ticket of the effect that failed.
        ticket: Ticket,
        /// What failed.
        failure: StoreFailure,
    },
}

/// What the store made of one [`Output::Import`].
///
/// *Every* id of the import stands in the view log afterwards and counts in the head's set, also where the
/// object was set aside or refused: else the two ends could never be seen to agree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportOutcome {
    /// The view's head just before the import, in the same transaction. The store vouches that the entries
    /// after `before` up to `head.seq` all came from the peer's instance; it says `before == head.seq` if it
    /// cannot, and the machine scans them.
    pub before: u64,
    /// The view's head just after the import, in the same transaction.
    pub head: ViewHead,
    /// Objects kept aside because a content link of theirs cannot be had yet.
    pub aside: Vec<Cid>,
    /// Objects not kept, and why; the peer is told.
    pub refused: Vec<(Cid, Refusal)>,
}

/// Why an object was not kept. Its code travels in REFUSED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The quota of this contact is used up.
    Quota,
    /// The object's type is not taken from this contact.
    Policy,
    /// The object contradicts its own type.
    Malformed,
    /// A reason that this version does not know.
    Other(u8),
}

/// Why the store could not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StoreFailure {
    /// There is no room left.
    Full,
    /// It does not answer, or is being closed.
    Unavailable,
    /// What it holds is damaged.
    Corrupt,
    /// An import's `after` lies beyond the stored cursor: an import before it is missing.
    Hole,
}

/// What the machine asks of the host, and what it reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Read some lanes of the view log: answered by [`Input::Page`] or [`Input::Failed`]. One is under way at a time, and
    /// while it is, the page before it is being sent.
    Scan {
        /// Names this scan.
        ticket: Ticket,
        /// Entries with higher sequence numbers are wanted, from the lowest on.
        after: u64,
        /// Of these lanes.
        lanes: Lanes,
        /// Stop once the objects come to this many bytes; at least one entry if there is any. A store may stop
        /// sooner, so that others have their turn, even with no entry, if it says how far it looked.
        max_bytes: usize,
        /// Whether entries that came from the peer's instance are wanted, too: it has lost them.
        whole: bool,
    },
    /// Read the ids of the view log, without their objects: answered by [`Input::Ids`] or [`Input::Failed`].
    Ids {
        /// Names this scan.
        ticket: Ticket,
        /// Entries with higher sequence numbers are wanted, from the lowest on.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// Look for the entries behind short ids, from `upto` downwards: those that one side lacks are mostly young. Answered
    /// by [`Input::Found`] or [`Input::Failed`].
    Find {
        /// Names this step.
        ticket: Ticket,
        /// Makes the short ids ([`ShortKey::short`]).
        key: ShortKey,
        /// What is looked for, ascending.
        shorts: Arc<[u64]>,
        /// The last entry to look at.
        upto: u64,
        /// Look at no more entries than this in one step.
        limit: usize,
    },
    /// Look for entries of the view log that change no set: that say that an object is gone which the set holds, or to be
    /// had again. Of what came from the peer those that say of an object that it is gone, as long as it is: a peer that was
    /// restored from a backup may have forgotten what it said. Answered by [`Input::News`] or [`Input::Failed`].
    News {
        /// Names this step.
        ticket: Ticket,
        /// Entries with higher sequence numbers are looked at, from the lowest on.
        after: u64,
        /// What the peer has of each lane already: that is left out.
        known: Positions,
        /// At most so many, and at least one.
        limit: usize,
    },
    /// Read these entries of the view log, which the peer lacks, whichever side they came from: answered by
    /// [`Input::Page`] or [`Input::Failed`]. What cannot be had any more is left out.
    Fetch {
        /// Names this fetch.
        ticket: Ticket,
        /// Their sequence numbers, ascending.
        seqs: Vec<u64>,
        /// Stop once the objects come to this many bytes; at least one entry if there is any.
        max_bytes: usize,
    },
    /// Store these objects, append their ids to the view with the peer as their source, and move the cursor,
    /// all in one durable transaction: answered by [`Input::Imported`] or [`Input::Failed`]. Several are under
    /// way at a time. The host executes them in this order, and none after one that failed; but those that are
    /// urgent it may execute before those that are not.
    Import {
        /// Names this import.
        ticket: Ticket,
        /// The objects in the order in which they came: children before parents. Each id was computed from the
        /// bytes, each encoding is canonical. They are slices of larger buffers: copy what is kept for long.
        /// Empty bytes stand for an id that the peer says is GONE: it is in his set, its object is not to be had.
        objects: Vec<(Cid, Bytes)>,
        /// The life of the peer's log in which `after` and `upto` count; [`NO_EPOCH`](crate::NO_EPOCH): the cursor
        /// stays where it is.
        epoch: Epoch,
        /// The cursor before. A store refuses ([`StoreFailure::Hole`]) if its own cursor is of this epoch and
        /// lies before it.
        after: Positions,
        /// Where the cursor stands with the objects, joined to the stored one by [`Cursor::then`].
        upto: Positions,
        /// Someone waits for them. They link to nothing, and depend on no import before.
        urgent: bool,
    },
    /// The cursor into the peer's log has moved over entries that brought no object. Write it down in order
    /// with the imports, as [`Cursor::then`] says; it need not be durable, for losing it costs the peer a scan and
    /// nothing else.
    Cursor(Cursor),
    /// The peer holds our log durably up to here. Write it down when convenient.
    Acked(Acked),
    /// Something that a person or an application may want to know.
    Event(Event),
}

/// What an instance holds of our log durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// A cursor into our log.
    pub cursor: Cursor,
    /// The life of its store in which that is so: a later one may have been restored from before.
    pub life: Epoch,
}

/// What the machine reports.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// How far both directions are. Reported after both HELLOs and then whenever something moved; reports that
    /// nobody has fetched yet are merged.
    Progress(Progress),
    /// Both ends hold the same set: counts and fingerprints were compared. Reported once per set.
    InSync {
        /// How many ids the set holds.
        count: u64,
        /// Its fingerprint under the pair key.
        fingerprint: Fingerprint,
    },
    /// Everything was exchanged and acknowledged, and yet the sets differ: one side has lost or hidden something.
    /// Reported once per pair of snapshots; the session goes on live.
    OutOfSync {
        /// Our count and fingerprint.
        ours: (u64, Fingerprint),
        /// The peer's.
        theirs: (u64, Fingerprint),
    },
    /// Objects received and kept aside, since a content link of theirs cannot be had yet.
    SetAside {
        /// Their ids.
        ids: Vec<Cid>,
    },
    /// Our store refused objects of the peer.
    RefusedHere {
        /// Their ids, and why.
        objects: Vec<(Cid, Refusal)>,
    },
    /// The peer refused an object of ours.
    RefusedThere {
        /// Its id.
        id: Cid,
        /// Why.
        reason: Refusal,
    },
}

/// How far one session's synchronisation is, in both directions. No figure ever goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// From the peer to us: durable here.
    pub received: Flow,
    /// From us to the peer: durable there.
    pub sent: Flow,
}

/// One direction of [`Progress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// Log entries dealt with in this session, those included that needed no sending.
    pub done: u64,
    /// Log entries to deal with in this session as far as known; grows when the log grows. `None` before HELLO.
    pub total: Option<u64>,
    /// Objects that are durable at the receiving end.
    pub objects: u64,
    /// Bytes of those objects.
    pub bytes: u64,
}
