//! `cargo xtask bindings python|kotlin|swift`: what UniFFI writes, in `target/bindings/<language>`. Nothing of it is
//! committed; `--check` proves that all three can be made.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bindings::{self, text};
use crate::run::{self, Failure};

/// Written from one library.
const LANGUAGES: [&str; 3] = ["python", "kotlin", "swift"];

/// Makes one language's sources; for Python a package that can be imported.
pub(crate) fn generate(language: &str) -> Result<(), Failure> {
    let library = library(&[])?;
    if language == "python" {
        package(&library, &place(language))
    } else {
        write(&library, language, &place(language))
    }
}

/// Makes all of them and sees that they are there.
pub(crate) fn check() -> Result<(), Failure> {
    check_of(&library(&[])?)
}

fn check_of(library: &Path) -> Result<(), Failure> {
    for (language, file) in LANGUAGES.into_iter().zip(["lama_ffi.py", "lama_ffi.kt", "lama_ffi.swift"]) {
        let to = run::target_dir().join("bindings/check").join(language);
        write(library, language, &to)?;
        if !has(&to, file) {
            return Err(format!("UniFFI wrote no {file} below {}", to.display()));
        }
    }
    Ok(())
}

/// The tests of the package, in an environment of their own, some of them against the program; and the other languages.
pub(crate) fn test_python() -> Result<(), Failure> {
    let program = run::program()?;
    check_of(&tested_library()?)?;
    let (python, packages) = ready()?;
    let js = bindings::package();
    if !js.join("node.js").exists() {
        bindings::js()?;
    }
    let known = [
        ("LAMA_PROGRAM", text(&program)?),
        ("LAMA_JS_PACKAGE", text(&js)?),
        ("PYTHONPATH", text(&packages)?),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ];
    run::run_with(
        &known,
        text(&python)?,
        &["-m", "unittest", "discover", "--start-directory", "bindings/python/tests"],
    )?;
    test_wheel()
}

/// The library, and the Kotlin sources for it.
pub(crate) fn kotlin() -> Result<(PathBuf, PathBuf), Failure> {
    let (library, to) = (tested_library()?, place("kotlin"));
    write(&library, "kotlin", &to)?;
    Ok((library, to.join("uniffi/lama_ffi/lama_ffi.kt")))
}

/// A Python that has what the host needs, and the directory with the package.
pub(crate) fn ready() -> Result<(PathBuf, PathBuf), Failure> {
    package(&tested_library()?, &place("python"))?;
    Ok((environment()?, place("python")))
}

/// The same, optimised as a release is, in a directory of its own.
pub(crate) fn released(directory: &str, options: &[&str]) -> Result<(PathBuf, PathBuf), Failure> {
    package(&library(&[&["--release"], options].concat())?, &place(directory))?;
    Ok((environment()?, place(directory)))
}

fn place(language: &str) -> PathBuf {
    run::target_dir().join("bindings").join(language)
}

/// The shared library.
fn library(options: &[&str]) -> Result<PathBuf, Failure> {
    let mut args = vec!["build", "--quiet", "--locked", "--package", "lama-ffi"];
    args.extend(options);
    run::cargo(&args)?;
    built(if options.contains(&"--release") { "release" } else { "debug" })
}

/// The library that the tests load makes the test vectors, too.
fn tested_library() -> Result<PathBuf, Failure> {
    run::build(&["--lib", "--bin", "uniffi-bindgen"])?;
    built("debug")
}

fn built(profile: &str) -> Result<PathBuf, Failure> {
    let profile = run::target_dir().join(profile);
    let names = ["liblama_ffi.so", "liblama_ffi.dylib", "lama_ffi.dll"];
    let built = names.iter().map(|name| profile.join(name)).find(|path| path.exists());
    built.ok_or_else(|| format!("cargo built lama-ffi, but no shared library lies in {}", profile.display()))
}

/// The package as a wheel, optimised as a release is: `pip install` takes it.
pub(crate) fn wheel() -> Result<(), Failure> {
    package(&library(&[])?, &place("python"))?;
    let (released, package) = (library(&["--release"])?, place("python").join("lama_instance"));
    fs::copy(&released, package.join(released.file_name().unwrap_or_default()))
        .map_err(|error| format!("cannot copy {}: {error}", released.display()))?;
    pack_wheel().map(drop)
}

fn pack_wheel() -> Result<PathBuf, Failure> {
    let (source, package) = (run::root().join("bindings/python"), place("python").join("lama_instance"));
    let (script, requirements) = (source.join("build/wheel.py"), source.join("requirements.txt"));
    let to = place("wheel");
    let args = [text(&script)?, text(&package)?, env!("CARGO_PKG_VERSION"), text(&requirements)?, text(&to)?];
    let wheel = run::read("python3", &args)?;
    println!("{}", wheel.trim());
    Ok(PathBuf::from(wheel.trim()))
}

/// A wheel goes into a Python that has nothing else, and an example runs there. Not optimised: what is tested is the
/// packing.
fn test_wheel() -> Result<(), Failure> {
    let (wheel, venv) = (pack_wheel()?, place("wheel-venv"));
    run::run("python3", &["-m", "venv", "--clear", text(&venv)?])?;
    let python = venv.join("bin/python");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", text(&wheel)?];
    run::run(text(&python)?, &pip)?;
    // Isolated: nothing of this directory or of the environment is on its path.
    let said = run::read(text(&python)?, &["-I", "examples/python/pair.py"])?;
    if said.contains("see you at eight") { Ok(()) } else { Err(format!("the example said: {said}")) }
}

/// What the library offers is read from the symbols of the archive beside it: some linkers leave none in a shared one
/// once the debug information is stripped.
fn write(library: &Path, language: &str, to: &Path) -> Result<(), Failure> {
    let tool = library.with_file_name("uniffi-bindgen");
    let archive = library.with_file_name("liblama_ffi.rlib");
    let args = ["generate", text(&archive)?, "--language", language, "--no-format", "--out-dir", text(to)?];
    run::run(text(&tool)?, &args)
}

/// What is generated, the library, and the host on asyncio, as one package below that directory.
fn package(library: &Path, place: &Path) -> Result<(), Failure> {
    let package = place.join("lama_instance");
    write(library, "python", &package)?;
    let source = run::root().join("bindings/python");
    let files =
        fs::read_dir(&source).map_err(|error| format!("cannot read {}: {error}", source.display()))?;
    let ours = files
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "py" || end == "typed"));
    for file in ours.chain([library.to_path_buf()]) {
        let name = file.file_name().unwrap_or_default();
        fs::copy(&file, package.join(name))
            .map_err(|error| format!("cannot copy {} to {}: {error}", file.display(), package.display()))?;
    }
    Ok(())
}

/// A Python with what the host needs, unless just that is there already.
fn environment() -> Result<PathBuf, Failure> {
    let (venv, source) = (place("python-venv"), run::root().join("bindings/python"));
    let lists = [source.join("requirements.txt"), source.join("tests/requirements.txt")];
    let (python, stamp) = (venv.join("bin/python"), venv.join("requirements.txt"));
    let read =
        |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let wanted = lists.iter().map(|list| read(list)).collect::<Result<Vec<_>, _>>()?.concat();
    if read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if !run::works("python3", &["-c", "import ensurepip, sys; assert sys.version_info >= (3, 11)"]) {
        return Err(
            "Python 3.11 or later with venv is needed (Debian: apt-get install python3-venv)".to_owned()
        );
    }
    run::run("python3", &["-m", "venv", "--clear", text(&venv)?])?;
    let mut pip = vec!["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    for list in &lists {
        pip.extend(["--requirement", text(list)?]);
    }
    run::run(text(&python)?, &pip)?;
    fs::write(&stamp, wanted)
        .map_err(|error| format!("cannot write {}: {error}", stamp.display()))
        .map(|()| python)
}

fn has(directory: &Path, name: &str) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() { has(&path, name) } else { path.file_name().is_some_and(|found| found == name) }
    })
}
