//! See `lama_fuzz::lan::packets`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::lan::packets(data));

#[cfg(not(fuzzing))]
fn main() {}
