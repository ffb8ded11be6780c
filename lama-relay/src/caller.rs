//! Calling a route: three frames, turn by turn.

use bytes::Bytes;
use lama_invite::Via;

use crate::address::pin_of;
use crate::wire::{FromClient, FromRelay, HELLO_LEN};
use crate::{RelayError, RouteId};

/// A call that is being set up. RING may leave before HELLO has come, so a call takes one round trip to the relay
/// and one from there to the other side.
#[derive(Debug)]
pub struct Caller {
    pin: [u8; 32],
    greeted: bool,
}

/// What came of a frame.
#[derive(Debug)]
pub enum Called {
    /// Wait for the next one.
    Waiting(Caller),
    /// The other side has accepted: the link carries the session from here on.
    Connected,
}

impl Caller {
    /// Begins a call over a fresh link to the relay. The frame is RING; a deadline is the host's to keep.
    #[must_use]
    pub fn ring(via: &Via) -> (Self, Bytes) {
        let frame = FromClient::Ring(RouteId(via.route_id)).to_bytes();
        (Self { pin: via.relay_pin, greeted: false }, frame)
    }

    /// The longest frame that may come before the call is connected.
    pub const FRAME_LIMIT: usize = HELLO_LEN;

    /// Takes the relay's next frame.
    ///
    /// # Errors
    /// [`RelayError::Unavailable`], [`RelayError::RelayKeyMismatch`], or the rule that the relay breaks: close the link.
    pub fn read(mut self, frame: &[u8]) -> Result<Called, RelayError> {
        match FromRelay::read(frame)? {
            FromRelay::Hello(hello) if !self.greeted => {
                // The relay proves nothing to a caller; this finds a route that is out of date.
                if pin_of(&hello.relay_key) != self.pin {
                    return Err(RelayError::RelayKeyMismatch);
                }
                self.greeted = true;
                Ok(Called::Waiting(self))
            }
            FromRelay::Connected if self.greeted => Ok(Called::Connected),
            FromRelay::Unavailable if self.greeted => Err(RelayError::Unavailable),
            other => Err(RelayError::OutOfTurn { kind: other.kind() }),
        }
    }
}
