//! Starting other programs: each is printed before it runs, and a failure is one line.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One line that says what failed and what to do.
pub(crate) type Failure = String;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that started us.
pub(crate) fn cargo_path() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = if program == "cargo" { Command::new(cargo_path()) } else { Command::new(program) };
    command.args(args).current_dir(root());
    command
}

/// Runs a program with its output shown; an exit code other than 0 is a failure.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<(), Failure> {
    run_with(&[], program, args)
}

/// The same with variables of the environment set.
pub(crate) fn run_with(variables: &[(&str, &str)], program: &str, args: &[&str]) -> Result<(), Failure> {
    let set: String = variables.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    let line = format!("{set}{program} {}", args.join(" "));
    println!("==> {line}");
    let status = command(program, args)
        .envs(variables.iter().copied())
        .status()
        .map_err(|error| format!("cannot start `{line}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

/// Runs cargo with its output shown.
pub(crate) fn cargo(args: &[&str]) -> Result<(), Failure> {
    run("cargo", args)
}

/// Runs cargo with variables of the environment set, its output shown.
pub(crate) fn cargo_with(variables: &[(&str, &str)], args: &[&str]) -> Result<(), Failure> {
    run_with(variables, "cargo", args)
}

/// The packages that cargo is to work on, and with which features: always all of them, and those that only tests ask for.
/// A package by itself would want its dependencies with other features, and so compiled once more.
pub(crate) const WHOLE: [&str; 4] =
    ["--locked", "--workspace", "--features", "lama-ffi/conformance,lama-wasm/conformance"];

/// Builds parts of the workspace, as they are for the tests: what was compiled for those is not compiled again.
pub(crate) fn build(parts: &[&str]) -> Result<(), Failure> {
    // An example is what makes cargo take the features of what only tests depend on, too.
    let tested = ["--example", "lama-relay-vectors"];
    cargo(&[&["build", "--quiet"], &WHOLE[..], &tested, parts].concat())
}

/// Builds the `lama` program; gives where it is.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    build(&["--bin", "lama"])?;
    Ok(target_dir().join("debug/lama"))
}

/// Runs a program quietly and gives what it wrote to standard output.
pub(crate) fn read(program: &str, args: &[&str]) -> Result<String, Failure> {
    read_with(&[], program, args)
}

/// The same with variables of the environment set.
pub(crate) fn read_with(variables: &[(&str, &str)], program: &str, args: &[&str]) -> Result<String, Failure> {
    let line = format!("{program} {}", args.join(" "));
    let output = command(program, args)
        .envs(variables.iter().copied())
        .output()
        .map_err(|error| format!("cannot start `{line}`: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{line}` failed ({}): {}", output.status, text.trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{line}` wrote something that is not text"))
}

/// Whether a program starts and says yes.
pub(crate) fn works(program: &str, args: &[&str]) -> bool {
    command(program, args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Adds a component of the toolchain if its cargo command is missing.
pub(crate) fn need_component(subcommand: &str, component: &str) -> Result<(), Failure> {
    if works("cargo", &[subcommand, "--version"]) {
        return Ok(());
    }
    run("rustup", &["component", "add", component])
}
