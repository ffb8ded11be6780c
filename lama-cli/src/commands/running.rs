//! What goes on beside a running instance: figures for Prometheus, and the look for a machine that was asleep.

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

/// Looks for a machine or a process that was asleep: nothing that was believed of links holds then.
pub(super) struct Sleep {
    continued: Arc<AtomicBool>,
    mono: Instant,
    wall: WallTime,
}

impl Sleep {
    #[allow(clippy::disallowed_methods)] // A program reads its clocks to compare them.
    pub(super) fn watch() -> Self {
        let continued = Arc::new(AtomicBool::new(false));
        if let Ok(mut signals) = Signals::new([SIGCONT]) {
            let told = Arc::clone(&continued);
            std::thread::spawn(move || signals.forever().for_each(|_| told.store(true, Ordering::SeqCst)));
        }
        Self { continued, mono: Instant::now(), wall: crate::wall() }
    }

    /// Wakes the node if there is reason to; says so.
    pub(super) fn look(&mut self, live: &Live, output: Output) {
        let Some(why) = self.reason() else { return };
        tracing::info!(target: "lama::node", event = "node.woken", why);
        let woken: Result<Done, Failure> = ask_live(live, Request::Wake);
        if woken.is_ok() && output.is_json() {
            output.json_line(&json!({ "event": { "type": "woken", "why": why } }));
        }
    }

    #[allow(clippy::disallowed_methods)] // As above.
    fn reason(&mut self) -> Option<&'static str> {
        let (mono, wall) = (Instant::now(), crate::wall());
        let passed = mono.saturating_duration_since(self.mono);
        let told = Duration::from_millis(wall.0.saturating_sub(self.wall.0));
        let back = Duration::from_millis(self.wall.0.saturating_sub(wall.0));
        (self.mono, self.wall) = (mono, wall);
        if self.continued.swap(false, Ordering::SeqCst) {
            return Some("continued");
        }
        (told.abs_diff(passed) > APART || back > APART).then_some("clock")
    }
}
