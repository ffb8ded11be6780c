//! What `cargo metadata` says about the workspace, and the note that every direct dependency needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::{self, Failure};

/// A dependency as a member of the workspace declares it.
pub(super) struct Dependency {
    /// The crate depended on.
    pub(super) name: String,
    /// Used by tests, examples and benches alone.
    pub(super) dev: bool,
    /// From a registry, not from this workspace.
    pub(super) foreign: bool,
}

/// Members and what they declare.
pub(super) struct Workspace {
    /// By name of the member.
    pub(super) members: BTreeMap<String, Vec<Dependency>>,
    /// Where the sources of those libraries and programs lie whose manifest says `test = false`.
    untested: BTreeSet<PathBuf>,
}

impl Workspace {
    /// Asks cargo.
    pub(super) fn read() -> Result<Self, Failure> {
        let text =
            run::read("cargo", &["metadata", "--format-version", "1", "--no-deps", "--locked", "--quiet"])?;
        let json: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        let (mut members, mut untested) = (BTreeMap::new(), BTreeSet::new());
        for package in list(&json, "packages") {
            let dependencies = list(package, "dependencies").map(|dependency| Dependency {
                name: text_of(dependency, "name"),
                dev: text_of(dependency, "kind") == "dev",
                foreign: dependency.get("source").is_some_and(|source| !source.is_null()),
            });
            members.insert(text_of(package, "name"), dependencies.collect());
            let off = list(package, "targets").filter(|target| is_source(target) && !is_tested(target));
            let places = off.map(|target| PathBuf::from(text_of(target, "src_path")));
            untested.extend(places.filter_map(|path| path.parent().map(Path::to_path_buf)));
        }
        Ok(Self { members, untested })
    }
}

/// A library or a program, and not an example, a bench or a build script.
fn is_source(target: &Value) -> bool {
    list(target, "kind").filter_map(Value::as_str).any(|kind| kind == "bin" || kind.ends_with("lib"))
}

fn is_tested(target: &Value) -> bool {
    target.get("test").and_then(Value::as_bool).unwrap_or(true)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text_of(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Where a manifest says that there are no tests inside, and so no program for them is built, there are none.
pub(super) fn check_untested(workspace: &Workspace, findings: &mut Vec<String>) -> Result<(), Failure> {
    let mut open: Vec<PathBuf> = workspace.untested.iter().cloned().collect();
    while let Some(path) = open.pop() {
        let error = |error| format!("cannot read {}: {error}", path.display());
        if path.is_dir() {
            open.extend(fs::read_dir(&path).map_err(error)?.flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|end| end == "rs")
            && fs::read_to_string(&path).map_err(error)?.contains("#[test]")
        {
            findings.push(format!(
                "{} has a test that never runs: its manifest says `test = false`",
                path.display()
            ));
        }
    }
    Ok(())
}

const NOTES: &str = "docs/dependencies.md";

/// Every direct dependency has one line in the notes, and every line a dependency.
pub(super) fn check_dependency_notes(
    workspace: &Workspace,
    findings: &mut Vec<String>,
) -> Result<(), Failure> {
    let notes = fs::read_to_string(run::root().join(NOTES)).map_err(|error| format!("{NOTES}: {error}"))?;
    let explained: BTreeSet<&str> = notes
        .lines()
        .filter_map(|line| line.strip_prefix("- `"))
        .filter_map(|line| line.split_once('`').map(|(name, _)| name))
        .collect();
    let used: BTreeSet<&str> = workspace
        .members
        .values()
        .flatten()
        .filter(|dependency| dependency.foreign)
        .map(|dependency| dependency.name.as_str())
        .collect();
    for name in used.difference(&explained) {
        findings.push(format!("{NOTES} has no line that says why `{name}` is here"));
    }
    for name in explained.difference(&used) {
        findings.push(format!("{NOTES} explains `{name}`, which nothing depends on"));
    }
    Ok(())
}
