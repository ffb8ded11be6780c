//! See `lama_fuzz::recon::sets`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::recon::sets(data));

#[cfg(not(fuzzing))]
fn main() {}
