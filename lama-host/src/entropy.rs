//! The one place of this crate where entropy enters.

use lama_core::Seed;

use crate::HostError;

/// Fills `bytes` from the operating system.
///
/// # Errors
/// [`HostError::NoEntropy`].
#[allow(clippy::disallowed_methods)] // This is the adapter that is meant to draw entropy.
pub fn fill(bytes: &mut [u8]) -> Result<(), HostError> {
    getrandom::fill(bytes).map_err(|_| HostError::NoEntropy)
}

/// A seed for one use.
///
/// # Errors
/// [`HostError::NoEntropy`].
pub fn seed() -> Result<Seed, HostError> {
    let mut bytes = [0; 32];
    fill(&mut bytes)?;
    Ok(Seed::take(&mut bytes))
}

/// N random bytes that are no secret (salts, nonces).
pub(crate) fn array<const N: usize>() -> Result<[u8; N], HostError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}
