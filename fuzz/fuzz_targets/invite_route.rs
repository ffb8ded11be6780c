//! See `lama_fuzz::invite::route`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::invite::route(data));

#[cfg(not(fuzzing))]
fn main() {}
