//! `cargo xtask bindings python|kotlin|swift`: what UniFFI writes, in `target/bindings/<language>`. Nothing of it is
//! committed; `--check` proves that all three can be made.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bindings::text;
use crate::run::{self, Failure};

/// Written from one library.
const LANGUAGES: [&str; 3] = ["python", "kotlin", "swift"];

/// Makes one language's sources; for Python a package that can be imported.
pub(crate) fn generate(language: &str) -> Result<(), Failure> {
    let library = library()?;
    if language == "python" { package(&library) } else { write(&library, language, &place(language)) }
}

/// Makes all of them and sees that they are there.
pub(crate) fn check() -> Result<(), Failure> {
    let library = library()?;
    for (language, file) in LANGUAGES.into_iter().zip(["lama_ffi.py", "lama_ffi.kt", "lama_ffi.swift"]) {
        let to = run::target_dir().join("bindings/check").join(language);
        write(&library, language, &to)?;
        if !has(&to, file) {
            return Err(format!("UniFFI wrote no {file} below {}", to.display()));
        }
    }
    Ok(())
}

/// The tests of the package, in an environment of their own, some of them against the program; and the other languages.
pub(crate) fn test_python() -> Result<(), Failure> {
    run::cargo(&["build", "--quiet", "--locked", "--package", "lama-cli"])?;
    check()?;
    package(&library()?)?;
    let python = environment()?;
    let (program, packages) = (run::target_dir().join("debug/lama"), place("python"));
    let known = [
        ("LAMA_PROGRAM", text(&program)?),
        ("PYTHONPATH", text(&packages)?),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ];
    run::run_with(
        &known,
        text(&python)?,
        &["-m", "unittest", "discover", "--start-directory", "bindings/python/tests"],
    )
}

fn place(language: &str) -> PathBuf {
    run::target_dir().join("bindings").join(language)
}

/// The shared library.
fn library() -> Result<PathBuf, Failure> {
    run::cargo(&["build", "--quiet", "--locked", "--package", "lama-ffi"])?;
    let names = ["liblama_ffi.so", "liblama_ffi.dylib", "lama_ffi.dll"];
    let built =
        names.iter().map(|name| run::target_dir().join("debug").join(name)).find(|path| path.exists());
    built.ok_or_else(|| "cargo built lama-ffi, but no shared library lies in target/debug".to_owned())
}

/// What the library offers is read from the symbols of the archive beside it: some linkers leave none in a shared one
/// once the debug information is stripped.
fn write(library: &Path, language: &str, to: &Path) -> Result<(), Failure> {
    let tool = run::target_dir().join("debug/uniffi-bindgen");
    let archive = library.with_file_name("liblama_ffi.rlib");
    let args = ["generate", text(&archive)?, "--language", language, "--no-format", "--out-dir", text(to)?];
    run::run(text(&tool)?, &args)
}

/// What is generated, the library, and the host on asyncio, as one package.
fn package(library: &Path) -> Result<(), Failure> {
    let package = place("python").join("lama_instance");
    write(library, "python", &package)?;
    let source = run::root().join("bindings/python");
    let files =
        fs::read_dir(&source).map_err(|error| format!("cannot read {}: {error}", source.display()))?;
    let ours = files
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "py"));
    for file in ours.chain([library.to_path_buf()]) {
        let name = file.file_name().unwrap_or_default();
        fs::copy(&file, package.join(name))
            .map_err(|error| format!("cannot copy {} to {}: {error}", file.display(), package.display()))?;
    }
    Ok(())
}

/// A Python with what the host needs, unless just that is there already.
fn environment() -> Result<PathBuf, Failure> {
    let (venv, wanted) = (
        run::target_dir().join("bindings/python-venv"),
        run::root().join("bindings/python/requirements.txt"),
    );
    let (python, stamp) = (venv.join("bin/python"), venv.join("requirements.txt"));
    let read =
        |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    if read(&stamp).is_ok_and(|installed| read(&wanted).is_ok_and(|wanted| installed == wanted)) {
        return Ok(python);
    }
    if !run::works("python3", &["-c", "import ensurepip, sys; assert sys.version_info >= (3, 11)"]) {
        return Err(
            "Python 3.11 or later with venv is needed (Debian: apt-get install python3-venv)".to_owned()
        );
    }
    run::run("python3", &["-m", "venv", "--clear", text(&venv)?])?;
    let pip =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", text(&wanted)?];
    run::run(text(&python)?, &pip)?;
    fs::copy(&wanted, &stamp)
        .map(drop)
        .map_err(|error| format!("cannot write {}: {error}", stamp.display()))
        .map(|()| python)
}

fn has(directory: &Path, name: &str) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() { has(&path, name) } else { path.file_name().is_some_and(|found| found == name) }
    })
}
