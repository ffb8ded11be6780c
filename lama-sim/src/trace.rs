//! A running fingerprint of all that happens, to compare two runs of one scenario.

use lama_core::Instant;

/// FNV-1a over everything that was added: enough to tell runs apart, and nothing more is claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    pub(crate) fn add_frame(&mut self, at: Instant, link: u64, frame: &[u8]) {
        self.add(&at.since_origin().as_nanos().to_le_bytes());
        self.add(&link.to_le_bytes());
        self.add(frame);
    }

    pub(crate) fn add_text(&mut self, at: Instant, actor: usize, text: &str) {
        self.add_frame(at, actor as u64, text.as_bytes());
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
