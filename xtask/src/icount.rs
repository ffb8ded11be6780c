//! `cargo xtask bench icount [--update]`: instructions of the hot paths, each with a budget that it may not exceed.
//!
//! callgrind counts what the program executes between entering and leaving one function, so neither the preparation
//! nor the load of the machine is in the figure. The budgets stand in `lama-sim/benches/icount.budget`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::run::{self, Failure};

/// How far above its budget a path may be: compilers and allocators move a little.
const TOLERANCE: f64 = 1.05;

/// How the program of the paths is built.
pub(crate) const BUILD: &[&str] =
    &["bench", "--package", "lama-sim", "--bench", "icount", "--no-run", "--locked"];

/// The function between whose entry and exit instructions are counted.
const REGION: &str = "--toggle-collect=icount::measured";

/// Counts every path, prints it beside its budget, and fails if one is above. With `update` the counts become the
/// budgets.
pub(crate) fn run(update: bool) -> Result<(), Failure> {
    need_valgrind()?;
    let program = build()?;
    let names = run::read(&program, &[])?;
    let budgets = budgets()?;
    let mut counted = BTreeMap::new();
    let mut above = Vec::new();
    println!("{:<28} {:>14} {:>14} {:>8}", "path", "instructions", "budget", "ratio");
    for name in names.lines() {
        let count = count(&program, name)?;
        let budget = budgets.get(name).copied();
        let ratio = budget.map(|budget| count as f64 / budget as f64);
        let [budget, shown] =
            [budget.map(|budget| budget.to_string()), ratio.map(|ratio| format!("{ratio:.3}"))]
                .map(|text| text.unwrap_or_else(|| "none".to_owned()));
        println!("{name:<28} {count:>14} {budget:>14} {shown:>8}");
        if ratio.is_none_or(|ratio| ratio > TOLERANCE) {
            above.push(name.to_owned());
        }
        counted.insert(name.to_owned(), count);
    }
    if update {
        let text: String = counted.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
        return fs::write(budget_file(), text).map_err(|error| format!("cannot write the budgets: {error}"));
    }
    if above.is_empty() {
        return Ok(());
    }
    Err(format!(
        "above budget, or without one: {}; if that is meant, run `cargo xtask bench icount --update` and say why in the commit",
        above.join(", ")
    ))
}

/// As part of CI: where instructions cannot be counted one line says so, and nothing is compared.
pub(crate) fn gate() -> Result<(), Failure> {
    // The budgets are those of the fast code that valgrind lets a program choose on such a processor.
    let features = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !features.split_whitespace().any(|feature| feature == "avx2") {
        println!("instructions are not compared: the budgets are those of a processor with AVX2");
        return Ok(());
    }
    if let Err(failure) = need_valgrind() {
        println!("instructions are not compared: {failure}");
        return Ok(());
    }
    run(false)
}

/// Installs valgrind with the system's package manager if it is missing.
fn need_valgrind() -> Result<(), Failure> {
    let there = || run::works("valgrind", &["--version"]);
    if there() {
        return Ok(());
    }
    let ways: [(&str, &[&[&str]]); 3] = [
        ("apt-get", &[&["update", "--quiet"], &["install", "--yes", "--quiet", "valgrind"]]),
        ("dnf", &[&["install", "--assumeyes", "--quiet", "valgrind"]]),
        ("apk", &[&["add", "--quiet", "valgrind"]]),
    ];
    for (manager, steps) in ways {
        if run::works(manager, &["--version"]) {
            // What fails shows itself below.
            let _ = steps.iter().try_for_each(|step| run::run(manager, step));
        }
    }
    if there() {
        return Ok(());
    }
    Err("they are counted with valgrind, which is not installed and could not be: install its package"
        .to_owned())
}

/// Builds the program of the paths; gives where it is.
fn build() -> Result<String, Failure> {
    let messages = run::read("cargo", &[BUILD, &["--message-format", "json"]].concat())?;
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let named = message.get("target")?.get("name")?.as_str()? == "icount";
        named.then(|| message.get("executable")?.as_str().map(str::to_owned)).flatten()
    };
    messages.lines().find_map(executable).ok_or_else(|| "cargo built no bench named icount".to_owned())
}

/// The instructions of one path.
fn count(program: &str, name: &str) -> Result<u64, Failure> {
    let out = run::target_dir().join(format!("callgrind.{name}"));
    let file = format!("--callgrind-out-file={}", out.display());
    run::read("valgrind", &["--tool=callgrind", "--collect-atstart=no", REGION, &file, program, name])?;
    let text = fs::read_to_string(&out).map_err(|error| format!("callgrind left no counts: {error}"))?;
    let total = |line: &str| line.strip_prefix("totals: ")?.trim().parse().ok();
    match text.lines().find_map(total) {
        Some(0) | None => {
            Err(format!("callgrind counted nothing for {name}: is the function `measured` gone?"))
        }
        Some(count) => Ok(count),
    }
}

fn budget_file() -> PathBuf {
    run::root().join("lama-sim/benches/icount.budget")
}

fn budgets() -> Result<BTreeMap<String, u64>, Failure> {
    let text = fs::read_to_string(budget_file()).unwrap_or_default();
    let line = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    text.lines().map(|text| line(text).ok_or_else(|| format!("not a budget: {text}"))).collect()
}
