//! `cargo xtask bindings kotlin --test`: what UniFFI writes for Kotlin is compiled, and two instances pair in a JVM.

use std::fs;
use std::path::Path;

use crate::bindings::{self, text};
use crate::foreign;
use crate::run::{self, Failure};
use crate::web;

/// The bridge from the JVM to C, as Debian packs it.
const JNA: &str = "/usr/share/java/jna.jar";

/// Compiles and runs it.
pub(crate) fn test() -> Result<(), Failure> {
    need(run::works("java", &["-version"]), "openjdk-17-jre-headless")?;
    need(Path::new(JNA).exists(), "libjna-java")?;
    let (library, sources) = foreign::kotlin()?;
    let (from, work) = (run::root().join("bindings/kotlin"), run::target_dir().join("bindings/kotlin-test"));
    fs::create_dir_all(&work).map_err(|error| format!("cannot make {}: {error}", work.display()))?;
    for file in ["package.json", "package-lock.json", "Pair.kt"] {
        web::copy(&from.join(file), &work)?;
    }
    bindings::install(&work)?;
    let home = work.join("node_modules/kotlin-compiler");
    let jar = |name: &str| format!("{}/lib/{name}.jar", home.display());
    let parts = ["kotlin-compiler", "kotlin-stdlib", "kotlin-script-runtime", "kotlin-reflect"];
    let more = ["annotations-13.0", "kotlinx-coroutines-core-jvm", "trove4j"];
    let compiler = parts.iter().chain(&more).map(|name| jar(name)).collect::<Vec<_>>().join(":");
    let (pair, classes) = (work.join("Pair.kt"), work.join("classes"));
    let main = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler";
    let (home, pair, out) = (text(&home)?, text(&pair)?, text(&classes)?);
    let args = ["-Xmx1500m", "-cp", &compiler, main, "-nowarn", "-kotlin-home", home, "-cp", JNA, "-d", out];
    run::run("java", &[&args[..], &[text(&sources)?, pair]].concat())?;
    let path = format!("{out}:{}:{JNA}", jar("kotlin-stdlib"));
    let place = format!("-Djna.library.path={}", library.parent().unwrap_or(&library).display());
    let said = run::read("java", &["-cp", &path, &place, "PairKt"])?;
    print!("{said}");
    if said.contains("Bob says hello from Kotlin") {
        return Ok(());
    }
    Err("the two instances in the JVM ended without having talked".to_owned())
}

/// A package of Debian's, where it is missing.
fn need(is_there: bool, package: &str) -> Result<(), Failure> {
    if is_there {
        return Ok(());
    }
    run::run("apt-get", &["-qq", "install", "-y", "--no-install-recommends", package])
        .map_err(|_| format!("the test of the Kotlin sources needs it: apt-get install {package}"))
}
