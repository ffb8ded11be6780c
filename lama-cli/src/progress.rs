//! Progress on standard error: one bar for each direction that moves, and below it one for each contact where there are
//! several; plain lines where there is no terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::meter::{Both, Flow, Meter};
use crate::output::Output;
use crate::text;

/// Less than this has moved before anybody could read about it.
const WORTH_SHOWING: u64 = 100_000;

/// What is shown of [`lama_node::Event::Progress`].
#[derive(Debug)]
pub(crate) struct Progress {
    output: Output,
    bars: MultiProgress,
    meter: Meter,
    overall: [Way; 2],
    contacts: BTreeMap<String, [Way; 2]>,
    /// E-mail of each person who was met.
    names: BTreeMap<String, String>,
}

/// One direction.
#[derive(Debug)]
struct Way {
    label: String,
    bar: Option<ProgressBar>,
    /// The last tenth that was written as a line.
    tenth: u64,
}

impl Way {
    fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), bar: None, tenth: 0 }
    }

    /// Draws the bar, or gives the line to be written.
    fn show(&mut self, flow: Flow, output: Output, bars: &MultiProgress) -> Option<String> {
        let total = flow.total.filter(|_| flow.bytes >= WORTH_SHOWING)?;
        if output.bars() {
            let bar = self.bar.get_or_insert_with(|| bars.add(new_bar(&self.label)));
            bar.set_length(total);
            bar.set_position(flow.done);
            bar.set_message(text::bytes(flow.bytes));
            return None;
        }
        let tenth = flow.done.saturating_mul(10).checked_div(total).unwrap_or(10);
        let line = format!("{} {} of {total} ({})", self.label, flow.done, text::bytes(flow.bytes));
        let is_news = tenth > self.tenth;
        self.tenth = self.tenth.max(tenth);
        is_news.then_some(line)
    }
}

impl Progress {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            bars: MultiProgress::new(),
            meter: Meter::default(),
            overall: [Way::new("receiving"), Way::new("sending")],
            contacts: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// Takes an event; what is no progress is ignored.
    pub(crate) fn event(&mut self, event: &Value) {
        let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
        if let (Some("session_started"), Some(person), Some(email)) =
            (event.get("type").and_then(Value::as_str), text("person"), text("email"))
        {
            self.names.insert(person, email);
        }
        let Some(person) = self.meter.event(event) else { return };
        if !self.output.progress() {
            return;
        }
        let lines = show(&mut self.overall, self.meter.overall(), self.output, &self.bars);
        if self.meter.contacts() > 1 && self.output.bars() {
            let name = self.names.get(&person).unwrap_or(&person);
            let ways = self.contacts.entry(person.clone()).or_insert_with(|| {
                let name = text::escape(name);
                [Way::new(format!("  from {name}")), Way::new(format!("  to {name}"))]
            });
            show(ways, self.meter.of(&person), self.output, &self.bars);
        }
        lines.iter().flatten().for_each(|line| self.output.note(line));
    }

    /// An event for programs: progress says how far everything is, too.
    pub(crate) fn with_overall(&self, mut event: Value) -> Value {
        if event.get("type").and_then(Value::as_str) == Some("progress")
            && let Some(fields) = event.as_object_mut()
        {
            fields.insert("overall".to_owned(), self.meter.row());
        }
        event
    }

    /// Writes a line above the bars.
    pub(crate) fn line(&self, line: &str) {
        if self.output.is_json() {
            return;
        }
        if self.output.bars() && self.ways().any(|way| way.bar.is_some()) {
            let _ = self.bars.println(line);
        } else {
            self.output.note(line);
        }
    }

    /// Leaves the bars as they are.
    pub(crate) fn finish(&self) {
        for bar in self.ways().filter_map(|way| way.bar.as_ref()) {
            bar.abandon();
        }
    }

    fn ways(&self) -> impl Iterator<Item = &Way> {
        self.overall.iter().chain(self.contacts.values().flatten())
    }
}

fn show(ways: &mut [Way; 2], both: Both, output: Output, bars: &MultiProgress) -> [Option<String>; 2] {
    let [receiving, sending] = ways;
    [receiving.show(both.received, output, bars), sending.show(both.sent, output, bars)]
}

fn new_bar(label: &str) -> ProgressBar {
    let bar = ProgressBar::no_length().with_prefix(label.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{prefix:>9} [{bar:40}] {pos}/{len} {msg} {eta}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
