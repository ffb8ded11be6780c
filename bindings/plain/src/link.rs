//! Calls through a relay: until the other side has accepted, a link speaks the relay's three frames.

use lama_core::{Instant, Seed, SortedMap, Ticket};
use lama_invite::Via;
use lama_node::LinkId;
use lama_relay::{Called, Caller, RelayError};

/// How long a relay and the other side may take to accept a call, in milliseconds.
const DEADLINE: u64 = 10_000;

/// A call that is being set up on an open link.
#[derive(Debug)]
struct Call {
    dial: Ticket,
    /// Drawn for the handshake that follows.
    seed: Seed,
    caller: Caller,
    ring: Option<Vec<u8>>,
    until: Instant,
}

/// All calls that are being set up, and the dials that will become some.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    vias: SortedMap<Ticket, Via>,
    calls: SortedMap<LinkId, Call>,
}

/// What came of a frame.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The link is no call: the frame is the node's.
    NotACall,
    /// Wait.
    Waiting,
    /// The other side has accepted; the link is the answer to this dial.
    Connected(Ticket, Seed),
    /// It came to nothing.
    Failed(Ticket, RelayError),
}

impl Calls {
    /// The dial leads to a relay.
    pub(crate) fn dial(&mut self, dial: Ticket, via: Via) {
        self.vias.insert(dial, via);
    }

    /// The dial failed, or is answered.
    pub(crate) fn forget(&mut self, dial: Ticket) -> Option<Via> {
        self.vias.remove(&dial)
    }

    /// A link to a relay is open: the call begins.
    pub(crate) fn begin(&mut self, link: LinkId, dial: Ticket, via: &Via, seed: Seed, now: Instant) {
        let (caller, ring) = Caller::ring(via);
        let until = now + std::time::Duration::from_millis(DEADLINE);
        self.calls.insert(link, Call { dial, seed, caller, ring: Some(ring.to_vec()), until });
    }

    /// The frame that is to be sent on the link.
    pub(crate) fn frame(&mut self, link: LinkId) -> Option<Vec<u8>> {
        self.calls.get_mut(&link)?.ring.take()
    }

    /// Whether the link is a call.
    pub(crate) fn is_call(&self, link: LinkId) -> bool {
        self.calls.contains_key(&link)
    }

    /// A frame arrived.
    pub(crate) fn heard(&mut self, link: LinkId, frame: &[u8]) -> Heard {
        let Some(call) = self.calls.remove(&link) else { return Heard::NotACall };
        match call.caller.read(frame) {
            Ok(Called::Waiting(caller)) => {
                self.calls.insert(link, Call { caller, ..call });
                Heard::Waiting
            }
            Ok(Called::Connected) => Heard::Connected(call.dial, call.seed),
            Err(error) => Heard::Failed(call.dial, error),
        }
    }

    /// The link is gone: the dial it was for, if it was a call.
    pub(crate) fn down(&mut self, link: LinkId) -> Option<Ticket> {
        self.calls.remove(&link).map(|call| call.dial)
    }

    /// A call that took too long.
    pub(crate) fn late(&mut self, now: Instant) -> Option<(LinkId, Ticket)> {
        let link = self.calls.iter().find(|(_, call)| call.until <= now).map(|(link, _)| *link)?;
        self.down(link).map(|dial| (link, dial))
    }

    /// When [`Calls::late`] has something to say.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.calls.values().map(|call| call.until).min()
    }
}
