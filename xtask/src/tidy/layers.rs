//! The order of layers: a crate depends only on crates of a lower layer.

use super::PURE;
use super::manifest::Workspace;

/// The layers above the pure crates; the members of one line do not know each other.
const UPPER: &[&[&str]] = &[
    &["lama-net", "lama-sim"],
    &["lama-net-tokio", "lama-net-smol", "lama-host", "lama-bindings"],
    // What the benches of the bindings share.
    &["lama-measure"],
    // Each language's own; and what runs the generator of one of them.
    &["lama-ffi", "lama-wasm", "lama-wasm-pack"],
    &["lama-cli", "lama-examples"],
    &["xtask"],
];

/// Crates that no pure crate may name, not even in a test: they would bring a runtime.
const RUNTIMES: &[&str] =
    &["tokio", "smol", "async-io", "async-std", "tokio-tungstenite", "async-tungstenite"];

fn rank(name: &str) -> Option<usize> {
    PURE.iter()
        .position(|pure| *pure == name)
        .or_else(|| UPPER.iter().position(|layer| layer.contains(&name)).map(|layer| layer + PURE.len()))
}

/// Checks every member.
pub(super) fn check(workspace: &Workspace, findings: &mut Vec<String>) {
    for (name, dependencies) in &workspace.members {
        let Some(own) = rank(name) else {
            findings.push(format!("`{name}` has no place in the order of layers (xtask/src/tidy/layers.rs)"));
            continue;
        };
        for dependency in dependencies {
            let upward = rank(&dependency.name).is_some_and(|theirs| theirs >= own);
            if upward && !dependency.dev {
                findings.push(format!(
                    "`{name}` depends on `{}`, which lies above or beside it",
                    dependency.name
                ));
            }
            if PURE.contains(&name.as_str()) && RUNTIMES.contains(&dependency.name.as_str()) {
                findings.push(format!("`{name}` is pure and must not know `{}`", dependency.name));
            }
        }
    }
}
