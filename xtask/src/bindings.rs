//! `cargo xtask bindings js`: the package for JavaScript with its two modules, from a fresh checkout to `target/bindings/js`.
//!
//! The sources are copied beside what is generated and compiled there, so nothing that is made lies among them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{self, Failure};
use crate::web;

const TARGET: &str = "wasm32-unknown-unknown";
/// Bytes of the modules, compressed by gzip, at most: of a whole node with its store, and of sessions alone. What they
/// consist of: `docs/figures.md`.
const BUDGETS: [u64; 2] = [880 * 1024, 300_000];

/// How the module that is shipped is built.
pub(crate) const SHIPPED: &[&str] =
    &["build", "--locked", "--package", "lama-wasm", "--target", TARGET, "--profile", "wasm"];
/// The one of sessions alone.
pub(crate) const SESSIONS: &[&str] = &[
    "build",
    "--locked",
    "--package",
    "lama-wasm",
    "--no-default-features",
    "--features",
    "sessions",
    "--target",
    TARGET,
    "--profile",
    "wasm",
];
/// And the one that only tests load.
const TESTED: &[&str] =
    &["build", "--locked", "--package", "lama-wasm", "--target", TARGET, "--features", "conformance"];

/// Where the package is put together.
pub(crate) fn package() -> PathBuf {
    run::target_dir().join("bindings/js")
}

/// Builds the package.
pub(crate) fn js() -> Result<(), Failure> {
    prepare()?;
    build()
}

/// The scripts of the package, which is built, around a module that counts: for `cargo xtask bench bindings`.
pub(crate) fn measuring() -> Result<PathBuf, Failure> {
    let (package, to) = (package(), run::target_dir().join("bindings/js-measure"));
    for dir in ["", "bench"] {
        let into = to.join(dir);
        fs::create_dir_all(&into).map_err(|error| format!("cannot make {}: {error}", into.display()))?;
        let scripts = web::list(&package.join(dir))?;
        for script in scripts.iter().filter(|file| file.extension().is_some_and(|end| end == "js")) {
            web::copy(script, &into)?;
        }
    }
    web::copy(&package.join("package.json"), &to)?;
    // The optimiser changes no count, and how fast bytes are sealed hardly.
    pack(&module("wasm", &[SHIPPED, &["--features", "measure"]].concat())?, &to)?;
    Ok(to)
}

/// The rest of it, where everything is prepared.
fn build() -> Result<(), Failure> {
    let package = package();
    let modules = [(SHIPPED, package.clone()), (SESSIONS, package.join("sessions"))];
    for (build, directory) in &modules {
        pack(&module("wasm", build)?, directory)?;
        optimise(&package, &directory.join("lama_bg.wasm"))?;
    }
    compile(&package)?;
    for ((_, directory), budget) in modules.iter().zip(BUDGETS) {
        weigh(&directory.join("lama_bg.wasm"), budget)?;
    }
    Ok(())
}

/// Builds the package, and beside it a module with what only tests call; runs the tests, some of them against the
/// program.
pub(crate) fn test_js() -> Result<(), Failure> {
    web::chromium()?;
    let program = run::program()?;
    prepare()?;
    let package = package();
    let suites = package.join("test/module");
    pack(&module("debug", TESTED)?, &suites)?;
    build()?;
    let vectors = run::root().join("vectors");
    let known = [("LAMA_PROGRAM", text(&program)?), ("LAMA_VECTORS", text(&vectors)?)];
    let tests = tests(&package.join("test"))?;
    let mut args = vec!["--test"];
    args.extend(tests.iter().map(String::as_str));
    run::run_with(&known, "node", &args)
}

/// The files that hold tests; what lies beside them is used by one.
fn tests(dir: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let tests = paths.filter_map(|path| path.to_str().map(str::to_owned));
    Ok(tests.filter(|path| path.ends_with(".test.js")).collect())
}

/// Tools, sources and what npm brings.
fn prepare() -> Result<(), Failure> {
    need_target()?;
    need("node", "Node 20 or later (Debian: apt-get install nodejs npm)")?;
    need("npm", "npm (Debian: apt-get install npm)")?;
    let package = package();
    copy_sources(&package)?;
    install(&package)
}

/// Writes the JavaScript around a module.
fn pack(module: &Path, to: &Path) -> Result<(), Failure> {
    run::build(&["--bin", "lama-wasm-pack"])?;
    let pack = run::target_dir().join("debug/lama-wasm-pack");
    run::run(text(&pack)?, &[text(module)?, text(to)?])
}

fn compile(package: &Path) -> Result<(), Failure> {
    // Not every run makes the module that only tests load.
    let project =
        if package.join("test/module/lama.js").exists() { "tsconfig.json" } else { "tsconfig.package.json" };
    let (tsc, project) = (package.join("node_modules/.bin/tsc"), package.join(project));
    run::run(text(&tsc)?, &["--project", text(&project)?])
}

fn need_target() -> Result<(), Failure> {
    let sysroot = run::read("rustc", &["--print", "sysroot"])?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib").exists() {
        return Ok(());
    }
    run::run("rustup", &["target", "add", TARGET]).map_err(|_| {
        format!("the Rust target {TARGET} is missing and rustup cannot add it: install it (Debian: apt-get install libstd-rust-dev-wasm32)")
    })
}

fn need(program: &str, what: &str) -> Result<(), Failure> {
    if run::works(program, &["--version"]) {
        Ok(())
    } else {
        Err(format!("`{program}` is missing: install {what}"))
    }
}

/// Everything in `bindings/js`, but for what is downloaded; what is gone there goes here too.
fn copy_sources(package: &Path) -> Result<(), Failure> {
    let from = run::root().join("bindings/js");
    for dir in ["", "bench", "sessions", "test", "test/module", "test/page"] {
        let to = package.join(dir);
        let error = |error| format!("cannot copy the sources to {}: {error}", to.display());
        fs::create_dir_all(&to).map_err(error)?;
        for old in fs::read_dir(&to).map_err(error)?.flatten().map(|entry| entry.path()) {
            let made = old.extension().is_some_and(|end| end == "ts" || end == "js" || end == "mjs");
            if old.is_file() && made {
                fs::remove_file(&old).map_err(error)?;
            }
        }
        for source in fs::read_dir(from.join(dir)).map_err(error)?.flatten().map(|entry| entry.path()) {
            if let (true, Some(name)) = (source.is_file(), source.file_name()) {
                fs::copy(&source, to.join(name)).map_err(error)?;
            }
        }
    }
    Ok(())
}

/// `npm ci`, unless just that is installed already.
pub(crate) fn install(package: &Path) -> Result<(), Failure> {
    let (lock, stamp) = (package.join("package-lock.json"), package.join("node_modules/.installed"));
    let wanted = fs::read(&lock).map_err(|error| format!("cannot read {}: {error}", lock.display()))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run::run("npm", &["ci", "--prefix", text(package)?, "--ignore-scripts", "--no-audit", "--no-fund"])?;
    fs::write(&stamp, wanted).map_err(|error| format!("cannot write {}: {error}", stamp.display()))
}

/// Builds the module; it lies in that directory below the target's.
fn module(directory: &str, build: &[&str]) -> Result<PathBuf, Failure> {
    run::cargo(build)?;
    Ok(run::target_dir().join(TARGET).join(directory).join("lama_wasm.wasm"))
}

/// What binaryen does, and may use: what every browser of the last years and Node 20 know. Like comes beside like: gzip
/// looks back 32 KB, and the copies of a generic function for each type are much alike.
const OPTIONS: [&str; 9] = [
    "-Os",
    "--reorder-functions-by-name",
    "--strip-debug",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Binaryen from npm: what distributions ship is too old for what the compiler writes. It takes longer than all the rest
/// here, so what it last made, and of what and how, is kept for the next build of the same.
fn optimise(package: &Path, module: &Path) -> Result<(), Failure> {
    let name = module.parent().and_then(Path::file_name).unwrap_or_default();
    let kept = run::target_dir().join("bindings/optimised").join(name);
    let [before, after, by] = ["before.wasm", "after.wasm", "how"].map(|name| kept.join(name));
    let failed = |error| format!("cannot keep the module in {}: {error}", kept.display());
    let input = fs::read(module).map_err(failed)?;
    // The lock names the version of the tool.
    let lock = fs::read_to_string(package.join("package-lock.json")).map_err(failed)?;
    let how = format!("{}\n{lock}", OPTIONS.join(" "));
    if fs::read_to_string(&by).is_ok_and(|last| last == how)
        && fs::read(&before).is_ok_and(|last| last == input)
    {
        println!("the module is the one that was optimised last");
        return fs::copy(&after, module).map(drop).map_err(failed);
    }
    let _ = fs::remove_dir_all(&kept);
    let (tool, path) = (package.join("node_modules/.bin/wasm-opt"), text(module)?);
    run::run(text(&tool)?, &[&OPTIONS[..], &[path, "-o", path]].concat())?;
    fs::create_dir_all(&kept).map_err(failed)?;
    fs::write(&before, input).map_err(failed)?;
    fs::copy(module, &after).map_err(failed)?;
    fs::write(&by, how).map_err(failed)
}

fn weigh(module: &Path, budget: u64) -> Result<(), Failure> {
    let plain = fs::metadata(module).map_err(|error| format!("{}: {error}", module.display()))?.len();
    let script = "process.stdout.write(String(require('zlib').gzipSync(require('fs').readFileSync(process.argv[1]), { level: 9 }).length))";
    let packed = run::read("node", &["-e", script, text(module)?])?;
    let packed: u64 = packed.trim().parse().map_err(|_| "node did not say how large the module is")?;
    println!("{}: {plain} bytes, {packed} compressed by gzip; the budget is {budget}", module.display());
    if packed <= budget {
        return Ok(());
    }
    Err(format!("the module has {packed} bytes compressed by gzip, and may have {budget}"))
}

pub(crate) fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| format!("the path {} is not UTF-8", path.display()))
}
