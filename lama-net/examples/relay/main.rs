//! What a relay costs, on this machine: `cargo xtask bench relay`, or by hand
//! `cargo run --release -p lama-net --example relay [PART [AMOUNT]]`, with the parts
//!
//! | part | what it measures | amount |
//! |---|---|---|
//! | `splice` | bytes through a call, beside a bare WebSocket copier on the same library and a TCP splice | 1,000,000,000 bytes |
//! | `idle` | memory of the relay's process for each route that is registered and waits | 10,000 of them |
//! | `calls` | calls set up a second, each with a registration that takes the place of the used one | 5,000 of them |
//! | `hostile` | how long a call takes to be set up, alone and while others flood the relay | 15 calls |
//!
//! Relay, copier and clients have a thread each; for `idle` the relay has a process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)] // It measures time.

mod calls;
mod idle;
mod raw;
mod splice;
#[path = "../websocket/mod.rs"]
mod websocket;

use std::net::TcpListener;

use lama_identity::SignSecret;
use lama_net::{RelayParts, prepare_relay};
use lama_net_tokio::Tokio;
use lama_relay::Config;

/// The part, its usual amount, and what runs it.
type Part = (&'static str, u64, fn(u64));

const PARTS: [Part; 4] = [
    ("splice", 1_000_000_000, splice::run),
    ("idle", 10_000, idle::run),
    ("calls", 5_000, calls::rate),
    ("hostile", 15, calls::hostile),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["child"] => idle::child(),
        [] => PARTS.iter().for_each(|(_, usual, run)| run(*usual)),
        [part, amount @ ..] => {
            let chosen = PARTS.iter().find(|(name, ..)| name == part);
            let (_, usual, run) = chosen.unwrap_or_else(|| panic!("there is no part {part}"));
            run(amount.first().map_or(*usual, |amount| amount.replace('_', "").parse().unwrap()));
        }
    }
}

/// The name under which the relay is known here.
const HOST: &str = "127.0.0.1";

/// Runs a future on a runtime of this thread.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn listener() -> (TcpListener, u16) {
    let socket = TcpListener::bind((HOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// A relay on a thread of its own; its port.
fn relay(config: Config) -> u16 {
    let (socket, port) = listener();
    std::thread::spawn(move || serve(config, socket));
    port
}

fn serve(config: Config, socket: TcpListener) {
    let key = SignSecret::from_seed(raw::seed());
    let mut parts = RelayParts::new(key, vec![HOST.into()], vec![socket]);
    parts.config = config;
    block_on(async {
        // The handle may go: the relay runs on.
        let (_, relay) = prepare_relay(Tokio::new(), parts);
        relay.await;
    });
}

/// The middle and the worst of some times, in milliseconds.
fn middle_and_worst(mut times: Vec<std::time::Duration>) -> (f64, f64) {
    times.sort();
    let ms = |time: &std::time::Duration| time.as_secs_f64() * 1000.0;
    (ms(&times[times.len() / 2]), ms(times.last().unwrap()))
}
