//! Entropy as an argument.

use core::fmt;

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// 32 bytes of entropy for one purpose: drawn from the operating system by the adapter, passed in by value,
/// used once, wiped when dropped. Not `Clone`, and never printed.
///
/// A consumer that needs several independent values takes them with [`Seed::derive`] under different labels.
pub struct Seed([u8; 32]);

impl Seed {
    /// Takes the entropy and wipes the caller's copy.
    #[must_use]
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let seed = Self(*bytes);
        bytes.zeroize();
        seed
    }

    /// A seed from fixed bytes: for test vectors and the simulator, never for keys that matter.
    #[must_use]
    pub const fn danger_fixed(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives the entropy itself, as where it *is* the secret (a Noise ephemeral, a token).
    #[must_use]
    pub fn expose(mut self) -> Zeroizing<[u8; 32]> {
        let bytes = Zeroizing::new(self.0);
        self.0.zeroize();
        bytes
    }

    /// 32 bytes for the purpose named by `label`: `SHA-256("LAMA/seed/1" || 0x00 || label || 0x00 || seed)`.
    /// Different labels give values that are independent for anyone without the seed.
    #[must_use]
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut hash = Sha256::new();
        hash.update(b"LAMA/seed/1\0");
        hash.update(label.as_bytes());
        hash.update([0]);
        hash.update(self.0);
        Zeroizing::new(hash.finalize().into())
    }

    /// A seed of its own for the purpose named by `label`.
    #[must_use]
    pub fn child(&self, label: &str) -> Self {
        Self(*self.derive(label))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn take_wipes_the_callers_copy() {
        let mut bytes = [7; 32];
        let seed = Seed::take(&mut bytes);
        assert_eq!(bytes, [0; 32]);
        assert_eq!(*seed.expose(), [7; 32]);
    }

    #[test]
    fn labels_separate_and_seeds_separate() {
        let seed = Seed::danger_fixed([1; 32]);
        assert_eq!(*seed.derive("a"), *seed.derive("a"));
        assert_ne!(*seed.derive("a"), *seed.derive("b"));
        assert_ne!(*seed.derive("a"), *Seed::danger_fixed([2; 32]).derive("a"));
        assert_eq!(*seed.child("a").expose(), *seed.derive("a"));
    }

    #[test]
    fn never_printed() {
        assert_eq!(std::format!("{:?}", Seed::danger_fixed([9; 32])), "Seed(..)");
    }
}
