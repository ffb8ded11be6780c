//! What the type byte of OBJECTS, GONE and ACK says besides the type: which lanes move, and whether someone waits.

use super::{ACK, GONE, OBJECTS};
use crate::Lane;

/// Someone waits for what the message holds.
const URGENT: u8 = 0x08;

/// The two highest bits of the type byte: which lanes move.
const LANES: u8 = 0xc0;

/// What a type byte says besides the type.
///
/// | bits | what |
/// |---|---|
/// | `0xc0` | the lanes that move to `upto`: 0 all, 1 interactive alone, 2 objects, too, 3 blobs, too |
/// | `0x08` | the objects are interactive (never set in ACK) |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// This lane and those that leave before it move to `upto`: nothing of them up to there is still to come.
    pub covers: Lane,
    /// Whether the objects are interactive.
    pub urgent: bool,
}

impl Default for Label {
    /// All lanes move, nobody waits: the type byte is the bare type.
    fn default() -> Self {
        Self::covering(Lane::LAST)
    }
}

impl Label {
    /// Lanes up to this one move, nobody waits.
    #[must_use]
    pub const fn covering(covers: Lane) -> Self {
        Self { covers, urgent: false }
    }

    /// The type byte.
    #[must_use]
    pub const fn kind(self, bare: u8) -> u8 {
        let lanes = match self.covers {
            Lane::Relayed => 0,
            Lane::Interactive => 0x40,
            Lane::Objects => 0x80,
            Lane::Blobs => 0xc0,
        };
        bare | lanes | if self.urgent { URGENT } else { 0 }
    }

    /// Takes a type byte apart; `None` if it is not that of OBJECTS, GONE or ACK.
    #[must_use]
    pub const fn read(kind: u8) -> Option<(u8, Self)> {
        let covers = match kind & LANES {
            0 => Lane::Relayed,
            0x40 => Lane::Interactive,
            0x80 => Lane::Objects,
            _ => Lane::Blobs,
        };
        let urgent = kind & URGENT != 0;
        match kind & !(LANES | URGENT) {
            bare @ (OBJECTS | GONE) => Some((bare, Self { covers, urgent })),
            ACK if !urgent => Some((ACK, Self { covers, urgent })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_byte_comes_back_or_is_none() {
        let mut labelled = 0;
        for kind in 0..=u8::MAX {
            if let Some((bare, label)) = Label::read(kind) {
                assert_eq!(label.kind(bare), kind);
                labelled += 1;
            }
        }
        assert_eq!(labelled, 8 + 8 + 4);
        assert_eq!(Label::default().kind(OBJECTS), OBJECTS);
    }
}
