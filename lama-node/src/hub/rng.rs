//! What must be unpredictable though nobody hands a seed over: tags of dials, jitter, the boot id.

use alloc::format;

use lama_core::Seed;

/// Independent values from the seed of this start of the process.
#[derive(Debug)]
pub(crate) struct Rng {
    seed: Seed,
    drawn: u64,
}

impl Rng {
    pub(crate) const fn new(seed: Seed) -> Self {
        Self { seed, drawn: 0 }
    }

    fn draw(&mut self) -> [u8; 32] {
        self.drawn = self.drawn.wrapping_add(1);
        *self.seed.derive(&format!("node/{}", self.drawn))
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let drawn = self.draw();
        let mut out = [0; N];
        for (to, from) in out.iter_mut().zip(drawn) {
            *to = from;
        }
        out
    }

    /// A seed of its own.
    pub(crate) fn seed(&mut self) -> Seed {
        self.drawn = self.drawn.wrapping_add(1);
        self.seed.child(&format!("node/{}", self.drawn))
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let number = u64::from_be_bytes(self.bytes());
        // The high half of the product: as even as 64 bits allow.
        u64::try_from((u128::from(number) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}
