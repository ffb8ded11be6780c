//! See `lama_fuzz::recon::round`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::recon::round(data));

#[cfg(not(fuzzing))]
fn main() {}
