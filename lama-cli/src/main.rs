//! The `lama` command: what a person sees of an instance.
//!
//! This crate decides words, exit codes and where text goes: answers to standard output, progress and errors to
//! standard error. It refuses to know any rule of the protocol; those are below `lama-node`. Every command is one
//! [`api::Request`] to an instance: the one that runs already, over its control socket, or one that is started for as
//! long as the command takes.

#![forbid(unsafe_code)]

mod api;
mod args;
mod atrest;
mod backend;
mod backup;
mod bundle;
mod commands;
mod demo;
mod doctor;
mod failure;
mod identity;
mod inspect;
mod kept;
mod live;
mod local;
mod meter;
mod output;
mod page;
mod progress;
mod relay;
mod render;
mod rotate;
mod signal;
mod start;
mod text;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use lama_core::WallTime;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use args::Cli;
use failure::{Exit, Failure};
use output::Output;

/// Which events of the program's parts go to standard error, such as `lama_net=debug`.
const LOG_VARIABLE: &str = "LAMA_LOG";

fn main() -> ExitCode {
    lama_host::process::harden();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    log();
    let output = Output::new(&cli.global);
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic)));
    let outcome = std::panic::catch_unwind(|| commands::dispatch(&cli, output));
    match outcome.unwrap_or_else(|panic| Err(broken(panic.as_ref()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.code.is_empty() {
                output.failure(&failure);
            }
            ExitCode::from(failure.exit.number())
        }
    }
}

/// What is asked for goes to standard error; what is worth a line in any case is kept for a debug bundle.
fn log() {
    let shown = EnvFilter::try_from_env(LOG_VARIABLE).ok().map(|filter| {
        fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .with_filter(filter)
    });
    let kept = fmt::layer().with_ansi(false).with_writer(kept::Kept).with_filter(EnvFilter::new("lama=info"));
    tracing_subscriber::registry().with(shown).with(kept).init();
}

/// A fault of the program, or of a library below it: one line, as every other error.
fn broken(panic: &(dyn core::any::Any + Send)) -> Failure {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it did not say why");
    let text = format!(
        "the program failed ({said}); if the data directory was damaged restore it from a backup, otherwise please report \
         this with what {LOG_VARIABLE}=error shows"
    );
    Failure::new(Exit::Failed, "internal", text)
}

/// What was asked for is shown; what is wrong is one line, or JSON, as every other error.
fn not_understood(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let json = std::env::args_os().any(|argument| argument == "--json");
    let failure = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            if !json {
                let _ = error.print();
                return ExitCode::from(Exit::Usage.number());
            }
            Failure::usage("no command was given; see `lama --help`")
        }
        _ => {
            let text = error.to_string();
            let said = text.split("For more information").next().unwrap_or_default();
            let words: Vec<&str> = said.trim_start_matches("error: ").split_whitespace().collect();
            Failure::usage(format!("{}; see `lama --help`", words.join(" ").replace(" Usage: ", "; usage: ")))
        }
    };
    Output::before_arguments(json).failure(&failure);
    ExitCode::from(failure.exit.number())
}

/// What the wall clock says.
#[allow(clippy::disallowed_methods)] // A program reads the clock once for what it writes down.
fn wall() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
