//! See `lama_fuzz::invite::link`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::invite::link(data));

#[cfg(not(fuzzing))]
fn main() {}
