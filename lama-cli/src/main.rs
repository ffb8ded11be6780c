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
mod commands;
mod demo;
mod failure;
mod identity;
mod live;
mod output;
mod progress;
mod render;
mod signal;
mod start;
mod text;

use std::process::ExitCode;

use clap::Parser;
use lama_core::WallTime;
use tracing_subscriber::EnvFilter;

use args::Cli;
use output::Output;

/// Which events of the program's parts go to standard error, such as `lama_net=debug`.
const LOG_VARIABLE: &str = "LAMA_LOG";

fn main() -> ExitCode {
    lama_host::process::harden();
    let cli = Cli::parse();
    if let Ok(filter) = EnvFilter::try_from_env(LOG_VARIABLE) {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let output = Output::new(&cli.global);
    match commands::dispatch(&cli, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit.number())
        }
    }
}

/// What the wall clock says.
#[allow(clippy::disallowed_methods)] // A program reads the clock once for what it writes down.
fn wall() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
