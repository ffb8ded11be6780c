//! See `lama_fuzz::relay::frames`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::relay::frames(data));

#[cfg(not(fuzzing))]
fn main() {}
