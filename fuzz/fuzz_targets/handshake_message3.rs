//! See `lama_fuzz::handshake::message3`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::handshake::message3(data));

#[cfg(not(fuzzing))]
fn main() {}
