//! The node: signatures.

use alloc::collections::VecDeque;

use bytes::BytesMut;
use lama_core::{Clock, Instant, Now, Seed};

use crate::api::{Input, LinkId, NodeIdentity, Output};
use crate::{Config, NodeError};

/// A LAMA instance as one machine with many links. See the [crate's front page](crate) for its loop.
#[derive(Debug)]
pub struct Node {
    config: Config,
    identity: NodeIdentity,
    seed: Seed,
    clock: Clock,
    out: VecDeque<Output>,
}

impl Node {
    /// Starts a node. Its first outputs load what the store knows; [`crate::Event::Ready`] follows.
    /// `seed` is drawn for this start of the process alone.
    ///
    /// # Errors
    /// [`NodeError::WrongIdentity`].
    pub fn new(config: Config, identity: NodeIdentity, seed: Seed, now: Now) -> Result<Self, NodeError> {
        let mut clock = Clock::default();
        clock.advance(now);
        Ok(Self { config, identity, seed, clock, out: VecDeque::new() })
    }

    /// Takes one input. Never builds a frame.
    ///
    /// # Errors
    /// Only what ends the node for good: the store failed while it was loaded, [`NodeError::Stopped`] after
    /// [`crate::Event::Stopped`]. What goes wrong with a command, a link or a peer is an output.
    pub fn handle(&mut self, now: Now, _input: Input) -> Result<(), NodeError> {
        self.clock.advance(now);
        Ok(())
    }

    /// Tells the node that time has passed; a call before [`Node::poll_timeout`] does nothing.
    ///
    /// # Errors
    /// As [`Node::handle`].
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), NodeError> {
        self.clock.advance(now);
        Ok(())
    }

    /// The next effect, reply or event, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Appends the next frame for `link` to `out` and returns `true`, or leaves `out` alone and returns `false`.
    /// Call it only when that link has room: a frame that was built must be sent.
    pub fn poll_frame(&mut self, _link: LinkId, _out: &mut BytesMut) -> bool {
        false
    }

    /// A link that may have frames to send. A link that was named is not named again before something new
    /// happened on it or [`Node::poll_frame`] returned `true` for it: poll a named link, when it has room, until
    /// that returns `false`.
    pub fn next_ready_link(&mut self) -> Option<LinkId> {
        None
    }

    /// When [`Node::handle_timeout`] wants to be called; the last reading while [`Node::poll`] would yield.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Whether the node can take another frame of this link. `false` for the sake of local work only (the store
    /// is behind); ask again after the next [`Input::Stored`]. Unknown links: `true`, their frames are ignored.
    #[must_use]
    pub fn wants_input(&self, _link: LinkId) -> bool {
        true
    }

    /// The longest frame that is taken from this link now (`security.md` 9): 256 bytes during the handshake,
    /// about 4.2 KiB until both persons are authenticated, then 65,535. The host closes the link on a longer
    /// one, before it allocates; the node refuses it in any case.
    #[must_use]
    pub fn frame_limit(&self, _link: LinkId) -> usize {
        256
    }
}
