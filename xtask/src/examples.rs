//! `cargo xtask examples`: every program of `examples/` does what it is there to show, on this machine alone.

use std::fs;
use std::path::Path;

use crate::bindings::{self, text};
use crate::run::{self, Failure};
use crate::{foreign, web};

/// Those in Rust, and what each writes at its end.
const RUST: &[&str] = &["tokio", "smol", "pipe"];

/// Builds and runs all of them; the packages of the bindings are built where they are missing.
pub(crate) fn run() -> Result<(), Failure> {
    run::build(&RUST.iter().flat_map(|name| ["--bin", name]).collect::<Vec<_>>())?;
    for name in RUST {
        let program = run::target_dir().join("debug").join(name);
        says(text(&program)?, &[], &[], "Bob says")?;
    }
    python()?;
    javascript()
}

fn python() -> Result<(), Failure> {
    let (python, packages) = foreign::ready()?;
    let known = [("PYTHONPATH", text(&packages)?), ("PYTHONDONTWRITEBYTECODE", "1")];
    says(text(&python)?, &["examples/python/pair.py"], &known, "see you at eight")
}

/// They name the package as any program would; so it lies where Node looks for it, beside what drives the browser.
fn javascript() -> Result<(), Failure> {
    let chromium = web::chromium()?;
    let package = bindings::package();
    if !package.join("node.js").exists() {
        bindings::js()?;
    }
    let (from, work) = (run::root().join("examples"), run::target_dir().join("examples"));
    for dir in ["node", "browser", "electron", "test"] {
        let to = work.join(dir);
        fs::create_dir_all(&to).map_err(|error| format!("cannot make {}: {error}", to.display()))?;
        for file in web::list(&from.join(dir))? {
            web::copy(&file, &to)?;
        }
    }
    for file in ["package.json", "package-lock.json"] {
        web::copy(&run::root().join("web/test").join(file), &work)?;
    }
    bindings::install(&work)?;
    link(&package, &work.join("node_modules/@lama"))?;
    let pair = work.join("node/pair.mjs");
    says("node", &[text(&pair)?], &[], "see you at eight")?;
    let program = run::program()?;
    let known = [
        ("LAMA_PROGRAM", text(&program)?),
        ("LAMA_CHROMIUM", chromium),
        ("LAMA_PACKAGE", text(&package)?),
        ("LAMA_EXAMPLES", text(&work)?),
    ];
    let test = work.join("test/browser.test.mjs");
    run::run_with(&known, "node", &["--test", "--test-reporter=spec", text(&test)?])
}

/// `@lama/instance` is the package that was built here.
fn link(package: &Path, scope: &Path) -> Result<(), Failure> {
    fs::create_dir_all(scope).map_err(|error| format!("cannot make {}: {error}", scope.display()))?;
    let at = scope.join("instance");
    let _ = fs::remove_file(&at);
    std::os::unix::fs::symlink(package, &at)
        .map_err(|error| format!("cannot link {} to {}: {error}", at.display(), package.display()))
}

/// Runs a program to its end, which must come, and looks for what it has to say.
fn says(program: &str, args: &[&str], variables: &[(&str, &str)], wanted: &str) -> Result<(), Failure> {
    let said = run::read_with(variables, program, args)?;
    print!("{said}");
    if said.contains(wanted) {
        return Ok(());
    }
    Err(format!("`{program} {}` ended without having said {wanted:?}", args.join(" ")))
}
