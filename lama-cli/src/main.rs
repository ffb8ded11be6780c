//! The `lama` command.
fn main() {}
