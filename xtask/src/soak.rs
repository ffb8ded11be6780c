//! `cargo xtask soak [storms|model|partitions|kills|ids|blob|fuzz|mutants] [AMOUNT]`: what takes longer than CI may, by the hour.
//!
//! Every part is a part of CI with a larger number: the same tests read how often from the environment.

use std::fs;

use crate::run::{self, Failure};

/// A part of the soak, how much of it when nothing is said, and what runs it.
type Part = (&'static str, u64, fn(u64) -> Result<(), Failure>);

const PARTS: &[Part] = &[
    ("storms", 2_000, storms),
    ("model", 5_000, model),
    ("partitions", 500, partitions),
    ("kills", 200, kills),
    ("ids", 1_000_000, ids),
    ("blob", 10_000_000_000, blob),
    ("fuzz", 600, fuzz),
    ("mutants", 60, mutants),
];

/// Runs the named part, `amount` of it, or all parts.
pub(crate) fn run(part: Option<&str>, amount: Option<&str>) -> Result<(), Failure> {
    let amount = amount
        .map(|text| text.parse::<u64>().map_err(|_| format!("{text} is no number: see `cargo xtask help`")))
        .transpose()?;
    let chosen: Vec<&Part> =
        PARTS.iter().filter(|(name, ..)| part.is_none_or(|part| part == *name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = PARTS.iter().map(|(name, ..)| *name).collect();
        return Err(format!("there is no such soak: choose one of {}", names.join(", ")));
    }
    for (name, usual, step) in chosen {
        println!("=== {name}, {}", amount.unwrap_or(*usual));
        step(amount.unwrap_or(*usual)).map_err(|failure| format!("{name}: {failure}"))?;
    }
    Ok(())
}

/// Simulated networks under cuts and crashes, as many seeds as said.
fn storms(seeds: u64) -> Result<(), Failure> {
    let test =
        ["test", "--release", "--package", "lama-sim", "--test", "network", "--", "--nocapture", "storm"];
    run::cargo_with(&[("LAMA_SEEDS", &seeds.to_string())], &test)
}

/// Histories beside the reference model, as many seeds as said; and as many with something to hide.
fn model(seeds: u64) -> Result<(), Failure> {
    let test = ["test", "--release", "--package", "lama-sim", "--test", "model", "--", "--nocapture"];
    run::cargo_with(&[("LAMA_SEEDS", &seeds.to_string())], &test)
}

/// Keys that are revoked and replaced while the network parts, as many seeds as said.
fn partitions(seeds: u64) -> Result<(), Failure> {
    let test = ["test", "--release", "--package", "lama-sim", "--test", "partitions", "--", "--nocapture"];
    run::cargo_with(&[("LAMA_SEEDS", &seeds.to_string())], &test)
}

/// A writing process is killed as often as said, and what it called durable is looked for; then one of two processes
/// that synchronise, and both must come to hold the same.
fn kills(rounds: u64) -> Result<(), Failure> {
    for package in ["lama-store", "lama-net"] {
        let test = ["test", "--release", "--package", package, "--test", "kill", "--", "--nocapture"];
        run::cargo_with(&[("LAMA_KILLS", &rounds.to_string())], &test)?;
    }
    Ok(())
}

/// Ten differences among as many ids as said.
fn ids(count: u64) -> Result<(), Failure> {
    let test =
        ["test", "--release", "--package", "lama-chum", "--test", "reconcile", "--", "--nocapture", "many"];
    run::cargo_with(&[("LAMA_RECON_N", &count.to_string())], &test)
}

/// One blob of so many random bytes between two processes, with the memory of both as it goes on. Takes twice the room
/// on the disk.
fn blob(bytes: u64) -> Result<(), Failure> {
    crate::bench::end_to_end(&["big", &bytes.to_string()])
}

/// Every fuzz target for so many seconds, from the committed corpus; what is found stays in `fuzz/artifacts`.
fn fuzz(seconds: u64) -> Result<(), Failure> {
    if !run::works("cargo", &["fuzz", "--version"]) {
        run::cargo(&["install", "--locked", "cargo-fuzz"])?;
    }
    if !run::works("rustup", &["run", "nightly", "rustc", "--version"]) {
        run::run("rustup", &["toolchain", "install", "nightly", "--profile", "minimal"])?;
    }
    let time = format!("-max_total_time={seconds}");
    for target in fuzz_targets()? {
        let found = run::target_dir().join("fuzz-found").join(&target);
        fs::create_dir_all(&found).map_err(|error| format!("cannot make {}: {error}", found.display()))?;
        let found = found.to_str().ok_or("the target directory's path is not UTF-8")?.to_owned();
        let corpus = format!("fuzz/corpus/{target}");
        // The libraries are free of unsafe code, so the address sanitizer would find nothing and take most of the time.
        let fuzz = ["run", "nightly", "cargo", "fuzz", "run", "-s", "none", &target, &found, &corpus];
        let args: Vec<&str> =
            fuzz.into_iter().chain(["--", &time, "-print_final_stats=1", "-max_len=8192"]).collect();
        run::run("rustup", &args)?;
    }
    Ok(())
}

/// The names of the fuzz targets, in order.
fn fuzz_targets() -> Result<Vec<String>, Failure> {
    let dir = run::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Changed code that the tests of these crates should notice; so many seconds for each change.
fn mutants(seconds: u64) -> Result<(), Failure> {
    if !run::works("cargo", &["mutants", "--version"]) {
        run::cargo(&["install", "--locked", "cargo-mutants"])?;
    }
    let timeout = seconds.to_string();
    for package in ["lama-invite", "lama-handshake", "lama-chum"] {
        run::cargo(&["mutants", "--package", package, "--timeout", &timeout, "--", "--lib", "--tests"])?;
    }
    Ok(())
}
