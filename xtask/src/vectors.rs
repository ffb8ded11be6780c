//! `cargo xtask vectors [--check]`: the test vectors under `vectors/`, as the code gives them.
//!
//! A crate that specifies something has an example `examples/vectors.rs`, named after the crate; started with a
//! directory it writes its files there, always the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{self, Failure};

/// Writes all vectors into `vectors/`.
pub(crate) fn write() -> Result<(), Failure> {
    generate(&run::root().join("vectors"))
}

/// Writes all vectors elsewhere and compares: same names, same bytes.
pub(crate) fn check() -> Result<(), Failure> {
    let fresh_dir = run::target_dir().join("vectors");
    let _ = fs::remove_dir_all(&fresh_dir);
    generate(&fresh_dir)?;
    let fresh = files(&fresh_dir)?;
    let committed = files(&run::root().join("vectors"))?;
    // Directories that the code does not write hold what others wrote.
    let ours: BTreeSet<&str> = fresh.keys().filter_map(|name| directory(name)).collect();
    let differing: Vec<&str> = fresh
        .keys()
        .chain(committed.keys())
        .map(String::as_str)
        .filter(|name| directory(name).is_none_or(|directory| ours.contains(directory)))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|name| fresh.get(*name) != committed.get(*name) && name.ends_with(".json"))
        .collect();
    if differing.is_empty() {
        println!("{} vector files agree", fresh.len());
        return Ok(());
    }
    Err(format!(
        "these vectors are not what the code gives: {}; if the change is meant, run `cargo xtask vectors` and commit",
        differing.join(", ")
    ))
}

fn directory(name: &str) -> Option<&str> {
    name.split_once('/').map(|(directory, _)| directory)
}

/// Crates with such an example.
fn crates() -> Vec<String> {
    let Ok(entries) = fs::read_dir(run::root()) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("examples/vectors.rs").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn generate(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    let dir = dir.to_str().ok_or("the target directory's path is not UTF-8")?;
    let names = crates();
    let examples = names.iter().map(|name| format!("{name}-vectors")).collect::<Vec<_>>();
    run::build(&examples.iter().flat_map(|example| ["--example", example]).collect::<Vec<_>>())?;
    for name in names {
        let program = run::target_dir().join("debug/examples").join(format!("{name}-vectors"));
        let program = program.to_str().ok_or("the target directory's path is not UTF-8")?;
        run::run(program, &[dir])?;
    }
    Ok(())
}

fn files(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut found = BTreeMap::new();
    let mut open: Vec<PathBuf> = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
            let bytes =
                fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            found.insert(name, bytes);
        }
    }
    Ok(found)
}
