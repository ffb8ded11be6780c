//! `cargo xtask tidy`: the rules of the house that no compiler checks. Every finding is printed, then it fails.

mod docs;
mod files;
mod layers;
mod manifest;
mod trees;

use crate::run::Failure;

/// The crates that see no clock, no entropy, no thread and no socket, from the leaf upwards.
pub(crate) const PURE: &[&str] = &[
    "lama-core",
    "lama-identity",
    "lama-invite",
    "lama-handshake",
    "lama-relay",
    "lama-lan",
    "lama-chum",
    "lama-store",
    "lama-node",
];

/// Runs every check.
pub(crate) fn run() -> Result<(), Failure> {
    let workspace = manifest::Workspace::read()?;
    let mut findings = Vec::new();
    layers::check(&workspace, &mut findings);
    files::check(&mut findings)?;
    docs::check(&mut findings)?;
    manifest::check_dependency_notes(&workspace, &mut findings)?;
    manifest::check_untested(&workspace, &mut findings)?;
    trees::check(&mut findings)?;
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("{count} findings (above)")),
    }
}
