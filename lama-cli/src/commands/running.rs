//! What goes on beside a running instance: figures for Prometheus, and the look for a machine that was asleep or moved.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lama_core::WallTime;
use serde_json::json;
use signal_hook::consts::SIGCONT;
use signal_hook::iterator::Signals;

use crate::api::{Done, Request};
use crate::args::Run;
use crate::commands::ask_live;
use crate::failure::Failure;
use crate::live::Live;
use crate::local::{Local, Pages};
use crate::output::Output;

/// How far the two clocks may part between two looks before the machine was asleep, or the clock was set.
const APART: Duration = Duration::from_secs(5);
/// How often the addresses of this machine are looked at: each time takes less than a tenth of a millisecond.
const LOOK: Duration = Duration::from_secs(1);

/// Serves the figures, if they are wanted.
pub(super) fn metrics(live: &Arc<Live>, run: &Run, output: Output) -> Result<Option<Local>, Failure> {
    let Some(at) = run.metrics else { return Ok(None) };
    let live = Arc::clone(live);
    let pages: Pages = Arc::new(move |path| {
        let page = (path == "/metrics").then(|| live.metrics())?;
        Some(("text/plain; version=0.0.4; charset=utf-8", page.ok()?))
    });
    let local = Local::start(at, pages)?;
    let url = format!("http://{}/metrics", local.at());
    if output.is_json() {
        output.json_line(&json!({ "metrics": { "url": url } }));
    } else {
        output.note(&format!("figures for Prometheus at {url}"));
    }
    Ok(Some(local))
}

/// Looks for a machine or a process that was asleep, and for a network that has changed: nothing that was believed of links
/// holds then.
pub(super) struct Sleep {
    continued: Arc<AtomicBool>,
    mono: Instant,
    wall: WallTime,
    addresses: Addresses,
}

impl Sleep {
    #[allow(clippy::disallowed_methods)] // A program reads its clocks to compare them.
    pub(super) fn watch() -> Self {
        let continued = Arc::new(AtomicBool::new(false));
        if let Ok(mut signals) = Signals::new([SIGCONT]) {
            let told = Arc::clone(&continued);
            std::thread::spawn(move || signals.forever().for_each(|_| told.store(true, Ordering::SeqCst)));
        }
        let mono = Instant::now();
        Self { continued, mono, wall: crate::wall(), addresses: Addresses::new(mono) }
    }

    /// Wakes the node if there is reason to; says so.
    #[allow(clippy::disallowed_methods)] // As above.
    pub(super) fn look(&mut self, live: &Live, output: Output) {
        let Some(why) = self.reason(Instant::now(), crate::wall()) else { return };
        tracing::info!(target: "lama::node", event = "node.woken", why);
        let woken: Result<Done, Failure> = ask_live(live, Request::Wake);
        if woken.is_ok() && output.is_json() {
            output.json_line(&json!({ "event": { "type": "woken", "why": why } }));
        }
    }

    /// Why the node has to be woken, by what both clocks say now.
    fn reason(&mut self, mono: Instant, wall: WallTime) -> Option<&'static str> {
        let passed =
            i128::try_from(mono.saturating_duration_since(self.mono).as_millis()).unwrap_or_default();
        let apart = (i128::from(wall.0) - i128::from(self.wall.0) - passed).unsigned_abs();
        (self.mono, self.wall) = (mono, wall);
        let moved = self.addresses.have_changed(mono);
        if self.continued.swap(false, Ordering::SeqCst) {
            return Some("continued");
        }
        if apart > APART.as_millis() {
            return Some("clock");
        }
        moved.then_some("network")
    }
}

/// The addresses of this machine, as they were at the last look.
struct Addresses {
    known: Option<BTreeSet<IpAddr>>,
    again: Instant,
}

impl Addresses {
    fn new(now: Instant) -> Self {
        Self { known: lama_net::local_addresses(), again: now + LOOK }
    }

    /// Looks again, but not more often than is worth while. A system that does not say has not changed.
    fn have_changed(&mut self, now: Instant) -> bool {
        if now < self.again {
            return false;
        }
        self.again = now + LOOK;
        let Some(found) = lama_net::local_addresses() else { return false };
        self.known.replace(found.clone()).is_some_and(|known| known != found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute in looks of 200 ms, with a wall clock that is set by `by` milliseconds once in it; why it was woken.
    fn minute(by: i64) -> Vec<&'static str> {
        let mut sleep = Sleep::watch();
        let (mono, wall) = (sleep.mono, sleep.wall.0);
        let look = |n: u64| {
            let (passed, set) = (n * 200, if n < 150 { 0 } else { by });
            let wall = WallTime((wall + passed).saturating_add_signed(set));
            sleep.reason(mono + Duration::from_millis(passed), wall).filter(|why| *why == "clock")
        };
        (1..300).filter_map(look).collect()
    }

    #[test]
    fn a_wall_clock_that_parts_from_the_monotonic_one_wakes_the_node_once() {
        // A machine that was asleep for an hour: its monotonic clock stood still. And one whose clock is set back.
        for by in [3_600_000, 5_001, -5_001, -3_600_000] {
            assert_eq!(minute(by), ["clock"], "{by} ms");
        }
        // What time servers do to a clock is no sleep.
        for by in [0, 4_000, -4_000] {
            assert!(minute(by).is_empty(), "{by} ms");
        }
    }

    #[test]
    fn looks_that_are_late_are_no_sleep() {
        let mut sleep = Sleep::watch();
        let late = Duration::from_secs(60);
        let (mono, wall) = (sleep.mono + late, WallTime(sleep.wall.0 + 60_000));
        assert_ne!(sleep.reason(mono, wall), Some("clock"), "both clocks went on");
    }
}
