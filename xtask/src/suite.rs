//! `cargo xtask test`: what CI runs, cheapest first, stopping at the first failure.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::ahead::Ahead;
use crate::run::{self, Failure};
use crate::{bindings, examples, foreign, icount, kotlin, tidy, vectors, web};

/// How the program is built that the demo starts: as a user builds it.
pub(crate) const RELEASE: &[&str] = &["build", "--release", "--locked"];

const TESTS: &str = "tests";

type Step = (&'static str, fn() -> Result<(), Failure>);

const QUICK: &[Step] = &[
    ("tidy", tidy::run),
    ("format", format),
    ("lints", lints),
    ("tests, compiled", compile),
    (TESTS, tests),
];
const REST: &[Step] = &[
    ("doctests", doctests),
    ("the portable cipher", portable),
    ("vectors", vectors::check),
    ("fuzz targets", fuzz_targets),
    ("Python client", python_client),
    ("JavaScript bindings", bindings::test_js),
    ("Python bindings", foreign::test_python),
    ("Kotlin bindings", kotlin::test),
    ("examples", examples::run),
    // Before the page, which is part of the program from then on.
    ("demo", demo),
    ("the page in a browser", web::test),
    ("instructions", icount::gate),
];

/// Runs all steps, or only those up to the tests, and prints what each took.
pub(crate) fn run(quick: bool) -> Result<(), Failure> {
    let steps: Vec<&Step> = if quick { QUICK.iter().collect() } else { QUICK.iter().chain(REST).collect() };
    let mut took: Vec<(&str, Duration)> = Vec::new();
    let mut ahead = None;
    for (name, step) in &steps {
        if !quick && *name == TESTS {
            ahead = Some(Ahead::start());
        }
        println!("=== {name}");
        let begin = clock();
        step().map_err(|failure| format!("{name}: {failure}"))?;
        took.push((name, begin.elapsed()));
    }
    drop(ahead);
    println!("\nall {} steps passed:", took.len());
    for (name, time) in took {
        println!("  {name:<36} {:>6.1} s", time.as_secs_f64());
    }
    Ok(())
}

#[allow(clippy::disallowed_methods)] // A developer's tool may look at the clock; the pure crates may not.
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}

fn format() -> Result<(), Failure> {
    run::need_component("fmt", "rustfmt")?;
    run::cargo(&["fmt", "--all", "--check"])
}

fn lints() -> Result<(), Failure> {
    run::need_component("clippy", "clippy")?;
    let (command, lints) = (["clippy", "--all-targets", "--quiet"], ["--", "-D", "warnings"]);
    run::cargo(&[&command[..], &run::WHOLE, &lints].concat())
}

fn has_nextest() -> bool {
    run::works("cargo", &["nextest", "--version"])
}

fn compile() -> Result<(), Failure> {
    if has_nextest() {
        return run::cargo(&[&["nextest", "run", "--no-run"], &run::WHOLE[..]].concat());
    }
    run::cargo(&[&["test", "--lib", "--bins", "--tests", "--no-run"], &run::WHOLE[..]].concat())
}

/// Half of the time the tests wait: for timers, the disk, and the other side. So twice as many run as there are cores.
fn tests() -> Result<(), Failure> {
    if has_nextest() {
        let at_once = (2 * thread::available_parallelism().map_or(1, usize::from)).to_string();
        let run = ["nextest", "run", "--no-fail-fast", "--test-threads", &at_once];
        return run::cargo(&[&run[..], &run::WHOLE].concat());
    }
    run::cargo(&[&["test", "--lib", "--bins", "--tests", "--no-fail-fast"], &run::WHOLE[..]].concat())
}

fn doctests() -> Result<(), Failure> {
    run::cargo(&[&["test", "--doc", "--quiet"], &run::WHOLE[..]].concat())
}

/// The program, and what tests with its cipher, bring the faster implementation of it into the whole workspace; without
/// them the crate is built with the portable one. Both pass the same tests and vectors. (What is tested inside the crate
/// does not know the cipher.)
///
/// All other packages are there for the features that they give to third parties, which are compiled so already.
fn portable() -> Result<(), Failure> {
    const WITHOUT: [&str; 2] = ["lama-cli", "lama-net"];
    let names = test_files("lama-handshake")?;
    // That one compares the two, and is part of the tests already.
    let tests = names.iter().filter(|name| *name != "ring").flat_map(|name| ["--test", name]);
    let without = WITHOUT.iter().flat_map(|package| ["--exclude", package]);
    let args = ["test", "--quiet"].into_iter().chain(run::WHOLE).chain(without).chain(tests);
    run::cargo(&args.collect::<Vec<_>>())
}

/// The tests of a package that are programs of their own, in order.
fn test_files(package: &str) -> Result<Vec<String>, Failure> {
    let dir = run::root().join(package).join("tests");
    let entries = fs::read_dir(&dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.is_file() || path.join("main.rs").exists());
    let mut names: Vec<String> =
        files.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}

/// The fuzz targets are a workspace of their own, whose manifest and lock have to fit what they fuzz. Their corpus is
/// among the tests.
fn fuzz_targets() -> Result<(), Failure> {
    let metadata = ["metadata", "--manifest-path", "fuzz/Cargo.toml", "--locked", "--format-version", "1"];
    run::read("cargo", &metadata).map(drop)
}

/// The second implementation, written from docs/protocol alone, joins a running instance.
fn python_client() -> Result<(), Failure> {
    let script = run::root().join("clients/python/ci.sh");
    let program = run::program()?;
    run::run_with(&[("LAMA_BIN", text(&program)?)], "bash", &[text(&script)?])
}

/// The promise of the README: two processes, one on each runtime, pair, sync and agree.
fn demo() -> Result<(), Failure> {
    run::cargo(&["run", "--release", "--locked", "--quiet", "--", "demo", "--once", "--no-qr"])
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| format!("the path {} is not UTF-8", path.display()))
}
