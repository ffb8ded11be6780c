//! The deadlines of a handshake.

use lama_core::Instant;

use crate::{Config, HandshakeError};

/// When a handshake has taken too long: as a whole, or in one step.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    whole: Instant,
    step: Instant,
    config_step: core::time::Duration,
}

impl Deadlines {
    /// Begins with the open link.
    #[must_use]
    pub fn start(config: &Config, now: Instant) -> Self {
        Self {
            whole: now + config.handshake_timeout,
            step: now + config.step_timeout,
            config_step: config.step_timeout,
        }
    }

    /// A message of the peer was accepted: the next step begins.
    pub fn step(&mut self, now: Instant) {
        self.step = now + self.config_step;
    }

    /// When [`Deadlines::check`] will fail.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.whole.min(self.step)
    }

    /// Whether there is still time.
    ///
    /// # Errors
    /// [`HandshakeError::HandshakeTimeout`].
    pub fn check(&self, now: Instant) -> Result<(), HandshakeError> {
        if now >= self.due() { Err(HandshakeError::HandshakeTimeout) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn handshake_timeout() {
        let at = |secs| Instant::from_origin(Duration::from_secs(secs));
        let mut deadlines = Deadlines::start(&Config::default(), at(100));
        assert_eq!(deadlines.check(at(104)), Ok(()));
        assert_eq!(deadlines.check(at(105)), Err(HandshakeError::HandshakeTimeout));
        deadlines.step(at(104));
        assert_eq!((deadlines.check(at(108)), deadlines.due()), (Ok(()), at(109)));
        deadlines.step(at(108));
        assert_eq!(deadlines.due(), at(110));
        assert_eq!(deadlines.check(at(110)), Err(HandshakeError::HandshakeTimeout));
    }
}
