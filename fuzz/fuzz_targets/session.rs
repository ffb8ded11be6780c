//! See `lama_fuzz::handshake::session`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::handshake::session(data));

#[cfg(not(fuzzing))]
fn main() {}
