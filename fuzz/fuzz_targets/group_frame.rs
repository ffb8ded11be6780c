//! See `lama_fuzz::groups::frame`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::groups::frame(data));

#[cfg(not(fuzzing))]
fn main() {}
