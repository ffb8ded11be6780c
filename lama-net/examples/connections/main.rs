//! What connections cost a node that listens, on this machine: `cargo xtask bench connections`, or by hand
//! `cargo run --release -p lama-net --example connections [PART [AMOUNT]]`, with the parts
//!
//! | part | what it measures | amount |
//! |---|---|---|
//! | `accept` | sessions of known peers a second, from the TCP connection to the same set on both sides | 5,000 of them |
//! | `idle` | memory and processor time of a process for each session that is idle | 5,000 of them |
//! | `latency` | how long a sign of life and a command take, alone, while others reconnect, and while objects move | 500 pings |
//! | `strangers` | the same, memory, and how soon known peers are back, while strangers flood the listener, and while they flood another one | 1,000 pings |
//!
//! The listener is a node as it is shipped, in a process of its own with its store on disk. Its peers are whole nodes, too,
//! with their stores in memory, all of them in the measuring process; each connection comes from an address of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)] // It measures time.

mod accept;
mod comer;
mod crowd;
#[allow(dead_code)] // Blobs are not sent here.
#[path = "../e2e/data.rs"]
mod data;
mod flood;
mod idle;
mod latency;
mod listener;
mod peer;
mod socket;
mod strangers;
mod watcher;
#[path = "../websocket/mod.rs"]
mod websocket;

use std::path::Path;
use std::time::Duration;

/// The part, its usual amount, and what runs it.
type Part = (&'static str, u64, fn(u64));

const PARTS: [Part; 4] = [
    ("accept", 5_000, accept::run),
    ("idle", 5_000, idle::run),
    ("latency", 500, latency::run),
    ("strangers", 1_000, strangers::run),
];

const RUNTIMES: [&str; 2] = ["tokio", "smol"];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["child", runtime, dir] => listener::run(runtime, Path::new(dir)),
        [] => PARTS.iter().for_each(|(_, usual, run)| run(*usual)),
        [part, amount @ ..] => {
            let chosen = PARTS.iter().find(|(name, ..)| name == part);
            let (_, usual, run) = chosen.unwrap_or_else(|| panic!("there is no part {part}"));
            run(amount.first().map_or(*usual, |amount| amount.replace('_', "").parse().unwrap()));
        }
    }
}

/// Runs a future on a runtime of this thread.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The middle of some times, what one in a hundred exceeds, and the worst, in milliseconds.
struct Times {
    middle: f64,
    p99: f64,
    worst: f64,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let last = times.len().checked_sub(1).expect("something was measured");
        let at = |place: usize| times[place.min(last)].as_secs_f64() * 1e3;
        Self { middle: at(times.len() / 2), p99: at(times.len() * 99 / 100), worst: at(last) }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ms (p99 {:.1}, worst {:.1})", self.middle, self.p99, self.worst)
    }
}
