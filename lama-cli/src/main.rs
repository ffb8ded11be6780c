//! The `lama` command: what a person sees of an instance.
//!
//! This crate decides words, exit codes and where text goes: answers to standard output, progress and errors to
//! standard error. It refuses to know any rule of the protocol; those are below `lama-node`. Every command is one
//! [`api::Request`] to an instance: the one that runs already, over its control socket, or one that is started for as
//! long as the command takes.

#![forbid(unsafe_code)]

mod api;
mod args;
mod failure;
mod identity;
mod output;
mod signal;
mod text;

use std::process::ExitCode;

use clap::Parser;
use lama_core::WallTime;

use args::{Cli, Command};
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    lama_host::process::harden();
    let cli = Cli::parse();
    let output = Output::new(&cli.global);
    match run(&cli, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit.number())
        }
    }
}

fn run(cli: &Cli, output: Output) -> Result<(), Failure> {
    match &cli.command {
        Command::Init(init) => {
            let id = identity::init(&cli.global, init, wall())?;
            output.answer(&id, |id| format!("{} is ready in {}\n", text::escape(&id.email), id.data));
        }
        _ => {}
    }
    Ok(())
}

/// What the wall clock says.
#[allow(clippy::disallowed_methods)] // A program reads the clock once for what it writes down.
fn wall() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
