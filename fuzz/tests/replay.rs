//! Runs the committed corpus through the bodies of the targets: what the fuzzer found once stays found.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

#[test]
fn every_input_of_every_corpus() {
    let corpus = Path::new(lama_fuzz::ROOT).join("corpus");
    for (target, body) in lama_fuzz::TARGETS {
        let dir = corpus.join(target);
        let mut inputs: Vec<_> = fs::read_dir(&dir)
            .unwrap_or_else(|_| panic!("no corpus for {target}: cargo run --example seeds"))
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{target} has no inputs");
        for input in &inputs {
            println!("{target}: {}", input.file_name().unwrap().to_string_lossy());
            body(&fs::read(input).unwrap());
        }
    }
}

#[test]
fn every_seed_is_in_its_corpus_and_every_target_has_a_fuzzer() {
    let root = Path::new(lama_fuzz::ROOT);
    for (target, name, _) in lama_fuzz::seeds::all() {
        assert!(lama_fuzz::TARGETS.iter().any(|(known, _)| *known == target), "{target}");
        assert!(root.join("corpus").join(target).exists(), "{target}/{name}: cargo run --example seeds");
    }
    for (target, _) in lama_fuzz::TARGETS {
        assert!(root.join("fuzz_targets").join(format!("{target}.rs")).exists(), "{target}");
    }
}
