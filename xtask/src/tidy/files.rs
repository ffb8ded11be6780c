//! What stands in the files: length, a front line, purity, and nothing of the machine they were written on.

use std::fs;
use std::path::{Path, PathBuf};

use super::PURE;
use crate::run::{self, Failure};

const MAX_LINES: usize = 800;

/// What a pure crate must not contain outside its tests, and what to do instead.
const IMPURE: &[(&str, &str)] = &[
    ("Instant::now", "time comes in as `Now`"),
    ("SystemTime", "time comes in as `Now`"),
    ("std::time", "take core::time::Duration; time comes in as `Now`"),
    ("HashMap", "its order differs from run to run; take BTreeMap"),
    ("HashSet", "its order differs from run to run; take BTreeSet"),
    ("getrandom", "entropy comes in as `Seed`"),
    ("OsRng", "entropy comes in as `Seed`"),
    ("thread_rng", "entropy comes in as `Seed`"),
    ("async fn", "a machine never waits; ask by a ticket"),
    (".await", "a machine never waits; ask by a ticket"),
    ("std::thread", "a machine has no threads"),
    ("std::net", "sockets belong to the adapters"),
    ("std::fs", "files belong to engines and hosts"),
    ("println!", "report by an event"),
];

/// Parts of pure crates that are allowed to be impure: the engines of the store, each behind a feature.
const ENGINES: &[&str] = &["lama-store/src/engine", "lama-store/src/redb"];

/// Beginnings of paths that exist on one machine only. Put together here, so that this file does not find itself.
const PLACES: &[&str] = &[
    concat!("/", "work/"),
    concat!("/", "root/"),
    concat!("/", "home/"),
    concat!("/", "tmp/w/"),
    concat!("/", "tmp/t/"),
    concat!("/", "tmp/hub"),
    concat!("/", "Users/"),
];

/// Ways to accept certificates that nobody trusts. There is none in the tree, not even in a test: tests name an authority of
/// their own. Put together here, so that this file does not find itself.
const TRUSTING: &[&str] = &[
    concat!("dangerous", "()"),
    concat!("ServerCert", "Verifier"),
    concat!("with_custom_certificate", "_verifier"),
    concat!("DangerousClient", "ConfigBuilder"),
];

/// Checks every tracked file.
pub(super) fn check(findings: &mut Vec<String>) -> Result<(), Failure> {
    for path in tracked()? {
        let Ok(text) = fs::read_to_string(run::root().join(&path)) else { continue };
        let shown = path.display();
        for place in PLACES.iter().filter(|place| text.contains(**place)) {
            findings.push(format!("{shown} names a path of one machine ({place})"));
        }
        if path.extension().is_some_and(|extension| extension == "rs") {
            rust_file(&path, &text, findings);
        }
    }
    for name in PURE {
        front_page(name, findings);
    }
    Ok(())
}

/// Tracked files; without git, every file that is not built or downloaded.
pub(super) fn tracked() -> Result<Vec<PathBuf>, Failure> {
    let listed = run::read("git", &["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    if let Ok(text) = listed {
        return Ok(text.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect());
    }
    let root = run::root();
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(next) = open.pop() {
        let entries = fs::read_dir(&next).map_err(|error| format!("{}: {error}", next.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                open.push(path);
            } else if path.is_file() {
                found.push(path.strip_prefix(&root).unwrap_or(&path).to_path_buf());
            }
        }
    }
    Ok(found)
}

fn rust_file(path: &Path, text: &str, findings: &mut Vec<String>) {
    let shown = path.display();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{shown} has {lines} lines; {MAX_LINES} is the most"));
    }
    let fuzz = path.starts_with("fuzz") && text.starts_with("#![no_main]");
    if !fuzz && !text.starts_with("//!") {
        findings.push(format!("{shown} does not begin with `//!`: say what the file is for"));
    }
    for way in TRUSTING.iter().filter(|way| text.contains(**way)) {
        findings.push(format!(
            "{shown} has `{way}`: certificates are judged by the platform, or by a root that is named"
        ));
    }
    let name = path.to_string_lossy();
    let pure = PURE.iter().any(|pure| name.starts_with(&format!("{pure}/src/")));
    if !pure
        || ENGINES.iter().any(|engine| name.starts_with(engine))
        || name.ends_with("tests.rs")
        || name.contains("/tests/")
    {
        return;
    }
    for (number, line) in code_lines(text) {
        for (word, instead) in IMPURE.iter().filter(|(word, _)| line.contains(word)) {
            findings.push(format!("{shown}:{number}: `{word}` in a pure crate: {instead}"));
        }
    }
}

/// The lines before the test module, without comments, numbered from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let code = text.get(..end).unwrap_or(text);
    code.lines().enumerate().map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
}

/// A pure crate forbids unsafe code and the standard library, in its own words.
fn front_page(name: &str, findings: &mut Vec<String>) {
    let Ok(text) = fs::read_to_string(run::root().join(name).join("src/lib.rs")) else { return };
    if !text.contains("#![forbid(unsafe_code)]") {
        findings.push(format!("{name}/src/lib.rs lacks #![forbid(unsafe_code)]"));
    }
    if !text.contains("no_std") {
        findings.push(format!("{name}/src/lib.rs is not no_std"));
    }
}
