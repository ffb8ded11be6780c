//! Writes the seeds into `corpus/`: `cargo run --example seeds` in `fuzz/`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

fn main() {
    let corpus = Path::new(lama_fuzz::ROOT).join("corpus");
    for (target, name, bytes) in lama_fuzz::seeds::all() {
        fs::create_dir_all(corpus.join(target)).unwrap();
        fs::write(corpus.join(target).join(name), bytes).unwrap();
    }
}
