//! `uniffi-bindgen`: writes the sources of another language from the built library, at the version that the library
//! was built with, so that nothing has to be installed.

#![forbid(unsafe_code)]

fn main() {
    uniffi::uniffi_bindgen_main();
}
