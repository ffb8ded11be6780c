//! Two processes, one on each runtime, that synchronise over a WebSocket on loopback, each with its store on disk:
//! `cargo xtask bench sync-e2e`, or by hand
//! `cargo run --release -p lama-net --example e2e [PART [AMOUNT]]`, with the parts
//!
//! | part | what it measures | amount |
//! |---|---|---|
//! | `objects` | objects of 200 bytes, tokio to smol and back again | 1,000,000 of them |
//! | `blob` | one blob of random bytes, beside a pump that does nothing else | 1,000,000,000 bytes |
//! | `live` | how long a message takes to be seen, idle and during a bulk transfer | 300 messages |
//! | `known` | what a reconnection costs with 1,000 and with many objects | 1,000,000 of them |
//! | `far` | objects over a proxy that delays by 25 ms each way, and without | 10,000 of them |
//! | `big` | one blob, with the memory of both sides as it goes on | 10,000,000,000 bytes |
//!
//! The measuring process holds no objects: sender and receiver are two more, which this program starts itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)] // It measures time.

mod child;
mod data;
mod parts;
mod process;
mod proxy;
mod pump;
mod usage;

use std::path::Path;

/// The part, its usual amount, and what runs it.
type Part = (&'static str, u64, fn(u64));

const PARTS: [Part; 6] = [
    ("objects", 1_000_000, parts::objects),
    ("blob", 1_000_000_000, parts::blob),
    ("live", 300, parts::live),
    ("known", 1_000_000, parts::known),
    ("far", 10_000, parts::far),
    ("big", 10_000_000_000, parts::big),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["child", runtime, dir] => child::run(runtime, Path::new(dir)),
        ["pump-send", file] => pump::send(Path::new(file)),
        ["pump-receive", port, file] => pump::receive(port.parse().unwrap(), Path::new(file)),
        // The largest one only when it is named.
        [] => PARTS.iter().filter(|(name, ..)| *name != "big").for_each(|(_, usual, run)| run(*usual)),
        [part, amount @ ..] => {
            let chosen = PARTS.iter().find(|(name, ..)| name == part);
            let (_, usual, run) = chosen.unwrap_or_else(|| panic!("there is no part {part}"));
            run(amount.first().map_or(*usual, |amount| amount.replace('_', "").parse().unwrap()));
        }
    }
}
