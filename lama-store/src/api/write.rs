//! What can be written.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::{Acked, Cursor, Epoch, Fingerprint, Positions, Refusal};
use lama_core::WallTime;
use lama_identity::{ChannelId, Cid, Contact, InstanceId, PersonId};
use lama_invite::{Locator, StateTag, TokenRecord};

use super::{Object, PeerRecord, Quota, TrustRecord};

/// One effect of a [`Request::Commit`](super::Request::Commit).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Write {
    /// Writes the record of a token if it now is in the state `expect` (`None`: if there is none). Otherwise
    /// the whole commit changes nothing and answers [`Reply::Conflict`](super::Reply::Conflict).
    Token {
        /// The new record.
        record: TokenRecord,
        /// The state the token must be in.
        expect: Option<StateTag>,
    },
    /// Deletes the record of a token that has ended (see [`lama_invite::Step::Forget`]). None there: nothing to do.
    ForgetToken(Locator),
    /// Adds a contact or replaces what is known of him.
    Contact(Contact),
    /// Removes a contact with his trust records and the peer records of his instances. What was shared with
    /// him stays in his view log (it cannot be taken back), but is served to nobody.
    RemoveContact(PersonId),
    /// Adds or replaces a trust record.
    Trust(TrustRecord),
    /// Adds or replaces what is known of one instance of another person. A new pair key rebuilds the
    /// fingerprint of that instance from the view log; the same one leaves fingerprint and cursors alone.
    Peer(PeerRecord),
    /// Objects made here, children before parents. All content links must be here, or earlier in the list.
    Put {
        /// The objects.
        objects: Vec<Object>,
    },
    /// Puts `ids`, and before each whatever its content links reach, into the view logs of `persons`. What
    /// stands in a view already is not entered again. What cannot be shared is left out and reported in
    /// [`Committed::withheld`](super::Committed::withheld).
    Share {
        /// The roots.
        ids: Vec<Cid>,
        /// Who may see them from now on.
        persons: Vec<PersonId>,
    },
    /// Ends what [`Write::Share`] granted: `ids`, and whatever below them nothing else grants, is sent to `persons` no
    /// more. What nobody has seen yet leaves their views; what was sent, or is on its way, stays in the set and cannot
    /// be taken back. [`Committed::revoked`](super::Committed::revoked) says how much was which.
    Revoke {
        /// The roots.
        ids: Vec<Cid>,
        /// Who may not see them any more.
        persons: Vec<PersonId>,
    },
    /// Deletes objects that were put here: their bytes are given no more, and whoever may have them is told.
    /// [`StoreError::NotDeletable`](crate::StoreError::NotDeletable) for anything else, and for objects on which an
    /// index rests (channels, entries, versions).
    Delete {
        /// The objects.
        ids: Vec<Cid>,
    },
    /// Limits for one contact; [`Quota::default`] leaves the store's own ([`Config`](crate::Config)).
    Quota {
        /// Whose.
        person: PersonId,
        /// At most this much of him is kept.
        quota: Quota,
    },
    /// What the wall clock shows, for limits by the hour. Holds until the next one.
    Clock(WallTime),
    /// A person's instance refused objects of ours.
    Refused {
        /// Whose instance.
        person: PersonId,
        /// The objects, and why.
        objects: Vec<(Cid, Refusal)>,
    },
    /// A batch that CHUM received, with the cursor it brings the peer's log to. At most one in a commit.
    Import(Import),
    /// The cursor into the peer's log moved over entries that brought no object. Written down lazily: with the
    /// next commit that must be durable anyway, or at close.
    Cursor {
        /// Whose log.
        instance: InstanceId,
        /// The cursor.
        cursor: Cursor,
    },
    /// The peer's instance has our log up to here durably. Written down lazily, too.
    Acked {
        /// The instance that acknowledged.
        instance: InstanceId,
        /// Up to where, and in which life of its store; a cursor of another epoch than ours is ignored.
        acked: Acked,
    },
    /// Both ends were seen to hold the same set. Written down lazily, too.
    Agreed {
        /// The instance at the other end.
        instance: InstanceId,
        /// How many ids the set holds.
        count: u64,
        /// Its fingerprint under the pair key.
        fingerprint: Fingerprint,
    },
    /// What has arrived in a channel is read. Nothing happens where there is nothing unread.
    MarkRead {
        /// The channel.
        channel: ChannelId,
        /// Up to this arrival ([`ChannelRow::arrived`](crate::ChannelRow::arrived)): what came later stays unread.
        upto: u64,
    },
    /// A value under a name of the caller's; `None` removes it.
    Setting {
        /// At most 255 bytes.
        key: String,
        /// At most 64 KiB.
        value: Option<Bytes>,
    },
}

/// A received batch. Objects, log, view, indexes and cursor change together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The person whose authenticated session delivered it: the objects become visible to him, and to nobody
    /// else.
    pub person: PersonId,
    /// The instance whose session it was; there must be a [`Write::Peer`] for it.
    pub instance: InstanceId,
    /// The objects, ids verified by the receiver; empty bytes: the person says that this one is gone.
    pub objects: Vec<Object>,
    /// The life of the peer's log in which `after` and `upto` count; [`NO_EPOCH`](lama_chum::NO_EPOCH): the cursor stays
    /// where it is.
    pub epoch: Epoch,
    /// The cursor before. [`StoreError::Hole`](crate::StoreError::Hole) if the stored one is of this epoch and
    /// lies before it.
    pub after: Positions,
    /// Where the cursor stands with the objects, joined to the stored one by [`Cursor::then`].
    pub upto: Positions,
}
