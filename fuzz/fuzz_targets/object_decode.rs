//! See `lama_fuzz::object::decode`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::object::decode(data));

#[cfg(not(fuzzing))]
fn main() {}
