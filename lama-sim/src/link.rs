//! A link between two actors: two pipes, and which actor's end is which.

use lama_core::{Instant, Ticket};
use lama_node::LinkId;

use crate::pipe::{Pipe, PipeConfig};

/// What a link is like in both directions.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkConfig {
    /// From the actor that dialled to the one that accepted.
    pub forth: PipeConfig,
    /// From the actor that accepted to the one that dialled.
    pub back: PipeConfig,
}

impl LinkConfig {
    /// Breaks when `bytes` have arrived at the accepting actor.
    #[must_use]
    pub const fn cut_forth(mut self, bytes: u64) -> Self {
        self.forth.cut_after = Some(bytes);
        self
    }

    /// Breaks when `bytes` have arrived at the dialling actor.
    #[must_use]
    pub const fn cut_back(mut self, bytes: u64) -> Self {
        self.back.cut_after = Some(bytes);
        self
    }

    /// Both directions with this delay.
    #[must_use]
    pub const fn delayed(mut self, delay: std::time::Duration) -> Self {
        self.forth.delay = delay;
        self.back.delay = delay;
        self
    }

    /// Both directions hold at most so many bytes under way.
    #[must_use]
    pub const fn narrow(mut self, capacity: usize) -> Self {
        self.forth.capacity = capacity;
        self.back.capacity = capacity;
        self
    }
}

/// What one end of a link may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndState {
    /// Reads and writes.
    Open,
    /// Asked to close: writes what it still has.
    Closing,
    /// Neither.
    Gone,
}

/// One end of a link.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) actor: usize,
    /// The actor's life in which the link was made: a restarted process knows nothing of it.
    pub(crate) life: u32,
    pub(crate) id: LinkId,
    /// What this end reads from.
    pub(crate) incoming: Pipe,
    pub(crate) state: EndState,
}

/// A link between two actors; end 0 is the one that dialled.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) ends: [End; 2],
    pub(crate) dial: Ticket,
    pub(crate) opened: bool,
    pub(crate) made: Instant,
}

/// What a link carried, as the tests print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// Bytes to the actor that accepted.
    pub forth: u64,
    /// Bytes to the actor that dialled.
    pub back: u64,
    /// Frames to the actor that accepted.
    pub frames_forth: u64,
    /// Frames to the actor that dialled.
    pub frames_back: u64,
}

impl Link {
    pub(crate) fn carried(&self) -> Carried {
        let [dialler, acceptor] = &self.ends;
        Carried {
            forth: acceptor.incoming.carried(),
            back: dialler.incoming.carried(),
            frames_forth: acceptor.incoming.frames(),
            frames_back: dialler.incoming.frames(),
        }
    }
}
