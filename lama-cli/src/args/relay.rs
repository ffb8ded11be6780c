//! The arguments of `lama relay`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use lama_invite::RouteUrl;
use lama_relay::RelayAddress;

#[derive(Debug, Subcommand)]
pub(crate) enum RelayCommand {
    /// Run a relay and print the option with which instances stand behind it; needs no instance here
    Run(RelayRun),
    /// Say what is wrong with the options of a relay, without running it; takes what `lama relay run` takes
    Check(RelaySetup),
    /// The relays behind which this instance stands whenever it runs, best first
    List,
    /// Stand behind a relay, too: at once if the instance runs, and from then on
    Add(RelayAdd),
    /// Stand behind a relay no longer: at once if the instance runs; calls under way go on
    Remove(RelayRemove),
}

#[derive(Debug, Args)]
pub(crate) struct RelayAdd {
    /// The address of the relay, as `lama relay run` prints it
    #[arg(value_name = "ADDRESS", value_parser = RelayAddress::parse)]
    pub(crate) relay: RelayAddress,
    /// It is the best one, and called first
    #[arg(long)]
    pub(crate) first: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RelayRemove {
    /// Its address, or its host
    #[arg(value_name = "ADDRESS|HOST")]
    pub(crate) relay: String,
}

#[derive(Debug, Args)]
pub(crate) struct RelayRun {
    #[command(flatten)]
    pub(crate) setup: RelaySetup,
    /// End when standard input ends; for a program that starts this one
    #[arg(long, hide = true)]
    pub(crate) while_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RelaySetup {
    /// Where to listen; port 0 is any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8770")]
    pub(crate) listen: SocketAddr,
    /// The URL under which clients reach it [default: ws:// and where it listens]
    #[arg(long, value_name = "URL", value_parser = RouteUrl::parse)]
    pub(crate) url: Option<RouteUrl>,
    /// The file with the relay's key; made if it is not there
    #[arg(long, value_name = "FILE", required_unless_present = "dev")]
    pub(crate) key: Option<PathBuf>,
    /// To try it out: a new key with every run, so that its address is good for this run only
    #[arg(long, conflicts_with = "key")]
    pub(crate) dev: bool,
    /// The TLS certificate in PEM, with those that it rests on behind it; read again on SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the TLS certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// It is reached through a proxy alone, which adds X-Forwarded-For: limits count by the address that stands last there
    #[arg(long, conflicts_with = "tls_cert")]
    pub(crate) behind_proxy: bool,
    /// The most connections
    #[arg(long, value_name = "N", default_value_t = 16_384)]
    pub(crate) max_connections: usize,
    /// The most routes that are registered
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) max_routes: usize,
    /// The most calls at a time
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_calls: usize,
}
