//! What is built in: no runtime under the other's adapter, and no crate twice in what we ship.

use std::collections::BTreeMap;

use crate::run::{self, Failure};

/// The adapter, and beginnings of names that must not be under it.
const FOREIGN: &[(&str, &[&str])] = &[
    ("lama-net-smol", &["tokio", "mio"]),
    ("lama-net-tokio", &["smol", "async-io", "async-executor", "async-net", "async-global", "polling"]),
    ("lama-net", &["tokio", "mio", "smol", "async-io", "polling"]),
];

/// Crates that are in the shipped tree twice, and why nothing can be done about it here.
const TWICE: &[(&str, &str)] = &[
    ("getrandom", "ring asks for an older one; ours is the newer"),
    ("syn", "macros alone: the curve crate's derive has not moved to the new one yet"),
];

/// Checks both.
pub(super) fn check(findings: &mut Vec<String>) -> Result<(), Failure> {
    for (adapter, forbidden) in FOREIGN {
        for (name, _) in tree(adapter)? {
            if forbidden.iter().any(|beginning| name.starts_with(beginning)) {
                findings
                    .push(format!("`{adapter}` is built with `{name}` (cargo tree -p {adapter} -i {name})"));
            }
        }
    }
    for (name, versions) in tree("lama-cli")? {
        if versions.len() > 1 && !TWICE.iter().any(|(known, _)| *known == name) {
            findings.push(format!(
                "`lama` is built with {} versions of `{name}`: {}",
                versions.len(),
                versions.join(", ")
            ));
        }
    }
    Ok(())
}

/// Every crate under `package` with its versions, without what only tests or the compiler use.
fn tree(package: &str) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let args = [
        "tree",
        "--package",
        package,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--locked",
    ];
    let text = run::read("cargo", &args)?;
    let mut crates = BTreeMap::<String, Vec<String>>::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let versions = crates.entry(name.to_owned()).or_default();
        if !versions.iter().any(|known| known == version) {
            versions.push(version.to_owned());
        }
    }
    Ok(crates)
}
