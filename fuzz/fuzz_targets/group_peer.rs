//! See `lama_fuzz::groups::peer`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lama_fuzz::groups::peer(data));

#[cfg(not(fuzzing))]
fn main() {}
