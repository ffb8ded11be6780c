//! The trait that every long-lived machine implements. Its seven rules stand on the crate's front page.

use bytes::BytesMut;

use crate::{Instant, Now};

/// A pure, long-lived protocol machine with one link. See the [crate's front page](crate) for the seven rules.
pub trait Machine {
    /// What the host tells the machine: received frames, finished jobs, commands.
    type Input;
    /// What the machine asks of the host, and what it reports: effects with tickets, and events.
    type Output;
    /// Why the machine ended. The first error is final; later calls return a clone of it.
    type Error: core::error::Error + Clone;

    /// Takes one input. Never builds a frame (rule 2).
    ///
    /// # Errors
    /// The reason for which the machine has ended, now or earlier.
    fn handle(&mut self, now: Now, input: Self::Input) -> Result<(), Self::Error>;

    /// Tells the machine that time has passed; a call before [`Machine::poll_timeout`] does nothing.
    ///
    /// # Errors
    /// The reason for which the machine has ended, now or earlier.
    fn handle_timeout(&mut self, now: Now) -> Result<(), Self::Error>;

    /// The next effect or event, in order.
    fn poll(&mut self) -> Option<Self::Output>;

    /// Appends the next frame to `out` and returns `true`, or leaves `out` alone and returns `false`.
    /// Call it only when the link has room: a frame that was built must be sent.
    fn poll_frame(&mut self, out: &mut BytesMut) -> bool;

    /// When [`Machine::handle_timeout`] wants to be called. O(1).
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether the machine can take another frame from the peer. It says `false` for the sake of local work
    /// only, never because the link outwards is full (rule 3).
    fn wants_input(&self) -> bool;
}
