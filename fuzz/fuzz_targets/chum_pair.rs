//! See `lama_fuzz::chum::pair`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::chum::pair(data));

#[cfg(not(fuzzing))]
fn main() {}
