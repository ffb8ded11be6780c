//! What is kept of one connection.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::Bytes;
use lama_core::Instant;
use lama_identity::Signature;
use lama_invite::Source;

use crate::wire::{Hello, MAX_MESSAGE, PING_LEN, REGISTER_LEN};
use crate::{LinkId, RelayError, RouteId};

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) source: Source,
    pub(super) stage: Stage,
    pub(super) owed: Owed,
    /// Whether its reader was told to wait, and has to be told to go on.
    pub(super) held: bool,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// HELLO is on its way; RING or REGISTER is awaited.
    Fresh(Box<Fresh>),
    /// The proof was right; our own is being signed.
    Signing(RouteId),
    /// Registered and free.
    Idle(Box<Spare>),
    /// INCOMING is on its way; ACCEPT is awaited.
    Rung { spare: Box<Spare>, caller: LinkId },
    /// A caller whose call waits for a free connection (`callee` is `None`), or for ACCEPT.
    Ringing { route: RouteId, callee: Option<LinkId>, since: Instant },
    /// A refusal that waits for its time.
    Refused { why: RelayError },
    /// One end of a call.
    Spliced(Box<Splice>),
    /// Only what is owed still leaves.
    Closing(VecDeque<Bytes>),
}

/// What a registration will be bound to.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) hello: Hello,
    /// Index into the relay's names.
    pub(super) host: usize,
    pub(super) exporter: [u8; 32],
}

/// A registered connection.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) route: RouteId,
    /// Until CONFIRM has left.
    pub(super) confirm: Option<Box<Signature>>,
    /// The number of the last PING; 0: none yet.
    pub(super) ping: u64,
    /// When the last one was answered, or the registration.
    pub(super) heard: Instant,
}

/// One end of a call: what comes from the other end lies here until this link has room.
#[derive(Debug)]
pub(super) struct Splice {
    pub(super) route: RouteId,
    pub(super) other: LinkId,
    pub(super) queue: VecDeque<Bytes>,
    /// Bytes in `queue`, with what each message costs besides.
    pub(super) queued: usize,
    /// When something came from this end.
    pub(super) heard: Instant,
    /// When the call has lasted long enough.
    pub(super) ends: Instant,
    /// Bytes that came from this end.
    pub(super) moved: u64,
}

/// The frames that a link is still to be sent, built when it has room for them: at most one of each, and they leave in the
/// order of these numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Owed(u8);

impl Owed {
    pub(super) const HELLO: Self = Self(1);
    pub(super) const CONFIRM: Self = Self(2);
    pub(super) const TERMS: Self = Self(4);
    pub(super) const PING: Self = Self(8);
    pub(super) const INCOMING: Self = Self(16);
    pub(super) const CONNECTED: Self = Self(32);
    pub(super) const UNAVAILABLE: Self = Self(64);
    pub(super) const fn add(&mut self, one: Self) {
        self.0 |= one.0;
    }

    pub(super) const fn remove(&mut self, one: Self) {
        self.0 &= !one.0;
    }

    pub(super) const fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    pub(super) const fn first(self) -> Option<Self> {
        if self.0 == 0 { None } else { Some(Self(self.0 & self.0.wrapping_neg())) }
    }
}

/// What a message in a queue costs besides its bytes, so that empty ones are bounded too.
pub(super) const MESSAGE_COST: usize = 64;

impl Link {
    pub(super) fn frame_limit(&self) -> usize {
        match &self.stage {
            Stage::Fresh(_) => REGISTER_LEN,
            Stage::Spliced(_) | Stage::Closing(_) => MAX_MESSAGE,
            _ => PING_LEN,
        }
    }

    pub(super) fn route(&self) -> Option<RouteId> {
        match &self.stage {
            Stage::Idle(spare) | Stage::Rung { spare, .. } => Some(spare.route),
            _ => None,
        }
    }

    pub(super) fn spare(&self) -> Option<&Spare> {
        match &self.stage {
            Stage::Idle(spare) | Stage::Rung { spare, .. } => Some(spare),
            _ => None,
        }
    }

    pub(super) fn spare_mut(&mut self) -> Option<&mut Spare> {
        match &mut self.stage {
            Stage::Idle(spare) | Stage::Rung { spare, .. } => Some(spare),
            _ => None,
        }
    }

    pub(super) fn splice(&self) -> Option<&Splice> {
        match &self.stage {
            Stage::Spliced(splice) => Some(splice),
            _ => None,
        }
    }

    pub(super) fn splice_mut(&mut self) -> Option<&mut Splice> {
        match &mut self.stage {
            Stage::Spliced(splice) => Some(splice),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_leaves_in_its_order_and_once() {
        let mut owed = Owed::default();
        for one in [Owed::UNAVAILABLE, Owed::HELLO, Owed::TERMS, Owed::HELLO] {
            owed.add(one);
        }
        let mut left = alloc::vec::Vec::new();
        while let Some(one) = owed.first() {
            owed.remove(one);
            left.push(one);
        }
        assert_eq!(left, [Owed::HELLO, Owed::TERMS, Owed::UNAVAILABLE]);
    }
}
