//! The developer's commands: `cargo xtask <test|tidy|bench|ci|bindings|vectors|autobahn|soak>`. A laptop and CI run the same.
//!
//! This crate decides what "green" means and in which order it is found out: cheap checks first, each crate
//! built once for each profile. It refuses to know the protocol: vectors, benches and tests live in the
//! crates they are about, and are only started from here.

#![forbid(unsafe_code)]

mod ahead;
mod autobahn;
mod bench;
mod bindings;
mod examples;
mod foreign;
mod icount;
mod kotlin;
mod run;
mod soak;
mod suite;
mod tidy;
mod vectors;
mod web;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--quick]      everything CI runs: tidy, format, lints, tests, doctests, vectors, fuzz corpus, the Python client,
                      the JavaScript, Python and Kotlin bindings, the examples, the page in a browser, the demo, instruction budgets. --quick stops after the tests
  ci                  the same as test
  tidy                the rules of the house: layers, purity, files, dependencies, runtimes that do not leak
  bench [FILTER]      the criterion benches, then one table of ratios
  bench relay [PART [AMOUNT]]
                      splice (bytes), idle (routes), calls (how many), hostile (calls)
  bench connections [PART [AMOUNT]]
                      accept (sessions), idle (sessions), latency (pings), strangers (pings)
  bench sync-e2e [PART [AMOUNT]]
                      two real processes: objects, blob, live, known, far (all without a name), big
  bench icount        instructions of the hot paths beside their budgets (--update makes the counts the budgets)
  bench bindings [OBJECTS]
                      the same work in Node, Chromium and Python beside Rust, and what a frame costs at the border
  bench sync [IDS]    what it costs to find out who lacks what, beside another implementation; up to so many ids
  bindings js [--test]
                      the package for JavaScript, in target/bindings/js; installs the target and what npm brings
  bindings python [--test], kotlin [--test], swift
                      what UniFFI writes, in target/bindings; for Python a package with a host on asyncio
  bindings wheel      the package for Python as a wheel, in target/bindings/wheel: `pip install` takes it
  bindings --check    whether all three can be written
  examples            every program of examples/, run to its end; those for browsers in Chromium
  web [--test]        the page of `lama run --web`, in web/dist: the next build of the program has it in it
  vectors [--check]   write the test vectors under vectors/, or compare them with what the code gives
  autobahn            the WebSockets of both adapters under the Autobahn test suite (Python 2.7); writes docs/autobahn.md
  soak [PART [AMOUNT]]
                      what takes hours: storms and model (seeds), kills (rounds), ids (how many), blob (bytes),
                      fuzz (seconds a target), mutants (seconds a mutant)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test" | "ci"] => suite::run(false),
        ["test" | "ci", "--quick"] => suite::run(true),
        ["tidy"] => tidy::run(),
        ["bench", "icount"] => icount::run(false),
        ["bench", "icount", "--update"] => icount::run(true),
        ["bench", "sync-e2e", words @ ..] => bench::end_to_end(words),
        ["bench", "relay", words @ ..] => bench::relay(words),
        ["bench", "connections", words @ ..] => bench::connections(words),
        ["bench", "bindings"] => bench::bindings::run(None),
        ["bench", "bindings", objects] => bench::bindings::run(Some(objects)),
        ["bench", "sync", most @ ..] => bench::sync(most),
        ["bench", filter @ ..] => bench::run(filter),
        ["autobahn"] => autobahn::run(),
        ["soak"] => soak::run(None, None),
        ["soak", part] => soak::run(Some(part), None),
        ["soak", part, amount] => soak::run(Some(part), Some(amount)),
        ["bindings", "js"] => bindings::js(),
        ["bindings", "js", "--test"] => bindings::test_js(),
        ["bindings", "python", "--test"] => foreign::test_python(),
        ["bindings", "kotlin", "--test"] => kotlin::test(),
        ["bindings", "wheel"] => foreign::wheel(),
        ["bindings", "--check"] => foreign::check(),
        ["bindings", language @ ("python" | "kotlin" | "swift")] => foreign::generate(language),
        ["examples"] => examples::run(),
        ["web"] => web::build(),
        ["web", "--test"] => web::test(),
        ["vectors"] => vectors::write(),
        ["vectors", "--check"] => vectors::check(),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
