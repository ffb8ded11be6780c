//! Progress on standard error: one bar for each direction that moves, or plain lines where there is no terminal.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::output::Output;
use crate::text;

/// Less than this has moved before anybody could read about it.
const WORTH_SHOWING: u64 = 100_000;

/// What is shown of [`lama_node::Event::Progress`].
#[derive(Debug)]
pub(crate) struct Progress {
    output: Output,
    bars: MultiProgress,
    ways: [Way; 2],
}

/// One direction.
#[derive(Debug)]
struct Way {
    key: &'static str,
    word: &'static str,
    bar: Option<ProgressBar>,
    /// The last tenth that was written as a line.
    tenth: u64,
}

impl Way {
    const fn new(key: &'static str, word: &'static str) -> Self {
        Self { key, word, bar: None, tenth: 0 }
    }
}

impl Progress {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            bars: MultiProgress::new(),
            ways: [Way::new("received", "receiving"), Way::new("sent", "sending")],
        }
    }

    /// Takes an event; what is no progress is ignored.
    pub(crate) fn event(&mut self, event: &Value) {
        if event.get("type").and_then(Value::as_str) != Some("progress") || !self.output.progress() {
            return;
        }
        for way in &mut self.ways {
            let number =
                |key: &str| event.get(way.key).and_then(|flow| flow.get(key)).and_then(Value::as_u64);
            let (Some(done), Some(total)) = (number("done"), number("total")) else { continue };
            let moved = number("bytes").unwrap_or_default();
            if moved < WORTH_SHOWING {
                continue;
            }
            if self.output.bars() {
                let bar = way.bar.get_or_insert_with(|| self.bars.add(new_bar(way.word)));
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(text::bytes(moved));
                if done >= total {
                    bar.finish();
                }
            } else {
                let tenth = done.saturating_mul(10) / total;
                if tenth > way.tenth {
                    self.output.note(&format!("{} {done} of {total} ({})", way.word, text::bytes(moved)));
                }
                way.tenth = tenth;
            }
        }
    }

    /// Writes a line above the bars.
    pub(crate) fn line(&self, line: &str) {
        if self.output.is_json() {
            return;
        }
        if self.output.bars() && self.ways.iter().any(|way| way.bar.is_some()) {
            let _ = self.bars.println(line);
        } else {
            self.output.note(line);
        }
    }

    /// Leaves the bars as they are.
    pub(crate) fn finish(&self) {
        for bar in self.ways.iter().filter_map(|way| way.bar.as_ref()) {
            bar.abandon();
        }
    }
}

fn new_bar(word: &'static str) -> ProgressBar {
    let bar = ProgressBar::no_length().with_prefix(word);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>9} [{bar:40}] {pos}/{len} {msg} {eta}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
