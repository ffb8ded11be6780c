//! `cargo xtask bench`: the criterion benches, then one table with a ratio for every peer measured beside ours.
//!
//! A bench group names its peers by a function id that begins with `peer:`, ours with `ours`; criterion keeps the
//! estimates as JSON, which is read from there.

pub(crate) mod bindings;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::{self, Failure};

/// One measured function.
struct Measured {
    group: String,
    function: String,
    parameter: String,
    nanoseconds: f64,
    throughput: Option<(String, f64)>,
}

/// Runs the benches whose name contains a word of `filter` (all without one) and prints the table.
pub(crate) fn run(filter: &[&str]) -> Result<(), Failure> {
    let mut args = vec!["bench", "--workspace", "--benches", "--locked", "--"];
    args.extend(filter);
    run::cargo(&args)?;
    table(&run::target_dir().join("criterion"))
}

/// Two processes over WebSockets, each with its store on disk; prints its own table.
pub(crate) fn end_to_end(words: &[&str]) -> Result<(), Failure> {
    let mut args = vec!["run", "--release", "--locked", "--package", "lama-net", "--example", "e2e", "--"];
    args.extend(words);
    run::cargo(&args)
}

/// What a relay costs: throughput, memory, calls, and what hostile callers do to others; prints its own figures.
pub(crate) fn relay(words: &[&str]) -> Result<(), Failure> {
    let mut args = vec!["run", "--release", "--locked", "--package", "lama-net", "--example", "relay", "--"];
    args.extend(words);
    run::cargo(&args)
}

/// What connections cost a node that listens: sessions a second, idle ones, latency under load and under strangers.
pub(crate) fn connections(words: &[&str]) -> Result<(), Failure> {
    let mut args =
        vec!["run", "--release", "--locked", "--package", "lama-net", "--example", "connections", "--"];
    args.extend(words);
    run::cargo(&args)
}

/// What it costs to find out who lacks what, as a table; up to `most` ids if that is said.
pub(crate) fn sync(most: &[&str]) -> Result<(), Failure> {
    let mut args = vec!["bench", "--package", "lama-chum", "--bench", "sync", "--", "run"];
    args.extend(most);
    run::cargo(&args)
}

fn table(dir: &Path) -> Result<(), Failure> {
    let mut rows = BTreeMap::<(String, String), Vec<Measured>>::new();
    for path in estimates(dir) {
        let Some(measured) = read(&path) else { continue };
        rows.entry((measured.group.clone(), measured.parameter.clone())).or_default().push(measured);
    }
    if rows.is_empty() {
        return Err("no bench left an estimate".to_owned());
    }
    println!(
        "\n{:<44} {:<26} {:>14} {:>16} {:>22}",
        "group", "function", "time", "throughput", "ours / peer (speed)"
    );
    for ((group, parameter), mut functions) in rows {
        functions.sort_by(|a, b| a.function.cmp(&b.function));
        let ours = functions.iter().find(|m| m.function.starts_with("ours")).map(|m| m.nanoseconds);
        let place = if parameter.is_empty() { group } else { format!("{group}/{parameter}") };
        for measured in &functions {
            let ratio = match ours {
                Some(ours) if !measured.function.starts_with("ours") => {
                    format!("{:.2}", measured.nanoseconds / ours)
                }
                _ => String::new(),
            };
            println!(
                "{place:<44} {:<26} {:>14} {:>16} {ratio:>22}",
                measured.function,
                time(measured.nanoseconds),
                throughput(measured),
            );
        }
    }
    Ok(())
}

fn estimates(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with("new/estimates.json") {
                found.push(path);
            }
        }
    }
    found
}

fn read(path: &Path) -> Option<Measured> {
    let json = |path: &Path| -> Option<Value> { serde_json::from_str(&fs::read_to_string(path).ok()?).ok() };
    let estimate = json(path)?;
    let about = json(&path.with_file_name("benchmark.json"))?;
    let text = |key: &str| about.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let best = ["slope", "mean"].iter().find_map(|key| estimate.get(key)?.get("point_estimate")?.as_f64())?;
    let throughput = about.get("throughput").and_then(Value::as_object).and_then(|kinds| {
        let (kind, amount) = kinds.iter().next()?;
        Some((kind.clone(), amount.as_f64()?))
    });
    Some(Measured {
        group: text("group_id"),
        function: text("function_id"),
        parameter: text("value_str"),
        nanoseconds: best,
        throughput,
    })
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n >= 1e9 => format!("{:.3} s", n / 1e9),
        n if n >= 1e6 => format!("{:.3} ms", n / 1e6),
        n if n >= 1e3 => format!("{:.3} µs", n / 1e3),
        n => format!("{n:.1} ns"),
    }
}

fn throughput(measured: &Measured) -> String {
    match &measured.throughput {
        Some((kind, amount)) if kind.starts_with("Bytes") => {
            format!("{:.3} GB/s", amount / measured.nanoseconds)
        }
        Some((_, amount)) => format!("{:.0} /s", amount * 1e9 / measured.nanoseconds),
        None => String::new(),
    }
}
