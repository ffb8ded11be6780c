//! `cargo xtask web`: the page of `lama run --web`, from `web/` and the package for JavaScript to `web/dist`, where the next
//! build of the program takes it from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bindings;
use crate::run::{self, Failure};

/// What the page's worker needs of the package, and nothing else.
const PARTS: &[&str] = &[
    "browser.js",
    "client.js",
    "host.js",
    "instance.js",
    "lama.js",
    "lama_bg.wasm",
    "opfs.js",
    "platform.js",
    "protocol.js",
    "secrets.js",
    "worker.js",
];

/// What is served as it is.
const PLAIN: &[&str] = &["html", "css", "svg"];

/// Builds the package and the page.
pub(crate) fn build() -> Result<(), Failure> {
    bindings::js()?;
    let package = bindings::package();
    let (sources, work) = (run::root().join("web"), run::target_dir().join("web"));
    let dist = sources.join("dist");
    for dir in [&work, &dist] {
        // What is gone in the sources goes here, too.
        let _ = fs::remove_dir_all(dir);
    }
    for dir in [&work.join("instance"), &dist.join("instance")] {
        fs::create_dir_all(dir).map_err(|error| failed("make", dir, &error))?;
    }
    for file in list(&sources)? {
        match ending(&file) {
            "ts" | "json" => copy(&file, &work)?,
            plain if PLAIN.contains(&plain) => copy(&file, &dist)?,
            _ => {}
        }
    }
    for file in list(&package)?.iter().filter(|file| file.to_string_lossy().ends_with(".d.ts")) {
        copy(file, &work.join("instance"))?;
    }
    for part in PARTS {
        copy(&package.join(part), &dist.join("instance"))?;
    }
    let tsc = package.join("node_modules/.bin/tsc");
    let args = ["--project", bindings::text(&work)?, "--outDir", bindings::text(&dist)?];
    run::run(bindings::text(&tsc)?, &args)?;
    println!("{}: the next build of the program has the page in it", dist.display());
    Ok(())
}

/// Builds the page and the program with it, and drives both in a real browser, and the page of `lama inspect`. Pictures go to
/// `target/screenshots`.
pub(crate) fn test() -> Result<(), Failure> {
    let chromium = chromium()?;
    build()?;
    let program = run::program()?;
    let work = workshop()?;
    let shots = run::target_dir().join("screenshots");
    let variables = [
        ("LAMA_PROGRAM", bindings::text(&program)?),
        ("LAMA_CHROMIUM", chromium),
        ("LAMA_SCREENSHOTS", bindings::text(&shots)?),
    ];
    let (page, inspect) = (work.join("page.test.mjs"), work.join("inspect.test.mjs"));
    let tests = [bindings::text(&page)?, bindings::text(&inspect)?];
    // One after the other: each has a browser.
    let options = ["--test", "--test-reporter=spec", "--test-concurrency=1"];
    run::run_with(&variables, "node", &[&options[..], &tests].concat())
}

/// Where the tests of the pages run, with what drives a browser.
pub(crate) fn workshop() -> Result<PathBuf, Failure> {
    let work = run::target_dir().join("web-test");
    fs::create_dir_all(&work).map_err(|error| failed("make", &work, &error))?;
    for file in list(&run::root().join("web/test"))? {
        copy(&file, &work)?;
    }
    bindings::install(&work)?;
    Ok(work)
}

/// Chromium, from Debian's package where it is missing.
pub(crate) fn chromium() -> Result<&'static str, Failure> {
    const AT: &str = "/usr/bin/chromium";
    if !Path::new(AT).exists() {
        let missing =
            |_| "Chromium is missing, and the page is tested in it: apt-get install chromium".to_owned();
        run::run("apt-get", &["-qq", "update"]).map_err(missing)?;
        run::run("apt-get", &["-qq", "install", "-y", "--no-install-recommends", "chromium"])
            .map_err(missing)?;
    }
    Ok(AT)
}

fn ending(file: &Path) -> &str {
    file.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

pub(crate) fn list(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(dir).map_err(|error| failed("read", dir, &error))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}

pub(crate) fn copy(file: &Path, to: &Path) -> Result<(), Failure> {
    let to = to.join(file.file_name().unwrap_or_default());
    fs::copy(file, &to).map(drop).map_err(|error| failed("copy", file, &error))
}

fn failed(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    format!("cannot {doing} {}: {error}", path.display())
}
