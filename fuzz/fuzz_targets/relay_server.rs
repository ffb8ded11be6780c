//! See `lama_fuzz::relay::server`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::relay::server(data));

#[cfg(not(fuzzing))]
fn main() {}
