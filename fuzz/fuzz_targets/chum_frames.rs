//! See `lama_fuzz::chum::frames`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::chum::frames(data));

#[cfg(not(fuzzing))]
fn main() {}
