//! The Noise Protocol Framework (revision 34) for one suite: `25519_ChaChaPoly_SHA256`.
//!
//! Written on the named primitives, in the specification's own terms: [`CipherState`] (section 5.1),
//! [`SymmetricState`] (5.2), [`HandshakeState`] (5.3) and the [`Pattern`]s as tables (7). LAMA speaks `XK` and
//! `XKpsk3` alone; the relatives are here because the test vectors of others exercise the same code with them.

mod aead;
mod cipher_state;
mod handshake_state;
mod pattern;
mod symmetric_state;

#[cfg(feature = "ring")]
pub use aead::PortableAead;
pub use aead::{Aead, KEY_LEN, TAG_LEN};
pub use cipher_state::CipherState;
pub use handshake_state::{HandshakeState, Setup, Split};
pub use pattern::{Pattern, Token};
pub use symmetric_state::SymmetricState;

/// Longest Noise message in bytes (section 3 of the specification).
pub const MAX_MESSAGE: usize = 65_535;
