//! What is built in: no tokio under the adapter for smol, no smol under the one for tokio, neither under the loop.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::process::Command;

/// The names of all crates under one, without what only tests use.
fn tree(of: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", of, "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .arg("--locked")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let names: Vec<String> =
        output.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(names.len() > 20, "cargo tree said {output}");
    names
}

fn has_none(of: &str, forbidden: &[&str]) {
    for name in tree(of).iter().filter(|name| name.as_str() != of) {
        assert!(!forbidden.iter().any(|beginning| name.starts_with(beginning)), "{of} is built with {name}");
    }
}

const SMOL: &[&str] =
    &["smol", "async-io", "async-executor", "async-net", "polling", "blocking", "lama-net-smol"];
const TOKIO: &[&str] = &["tokio", "mio", "lama-net-tokio"];

#[test]
fn no_tokio_under_smol() {
    has_none("lama-net-smol", TOKIO);
}

#[test]
fn no_smol_under_tokio() {
    has_none("lama-net-tokio", SMOL);
}

#[test]
fn neither_under_the_loop() {
    has_none("lama-net", SMOL);
    has_none("lama-net", TOKIO);
}
