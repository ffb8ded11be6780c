//! Where answers go: standard output, as text for people or JSON for programs. Progress goes to standard error.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use serde_json::json;

use crate::args::Global;
use crate::failure::Failure;

/// How this process speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    qr: bool,
    progress: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            qr: !global.no_qr,
            progress: !(global.no_progress || global.json || global.quiet),
        }
    }

    /// For what goes wrong before the command line is understood.
    pub(crate) const fn before_arguments(json: bool) -> Self {
        Self { json, quiet: false, qr: false, progress: false }
    }

    /// Whether answers are JSON.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Whether bars may be drawn: wanted, and standard error is a terminal.
    pub(crate) fn bars(self) -> bool {
        self.progress && std::io::stderr().is_terminal()
    }

    /// Whether progress is wanted at all (as plain lines where no bar can be drawn).
    pub(crate) const fn progress(self) -> bool {
        self.progress
    }

    /// Whether a QR code of `columns` fits the terminal on standard output.
    pub(crate) fn fits_qr(self, columns: usize) -> bool {
        self.qr
            && !self.json
            && std::io::stdout().is_terminal()
            && lama_host::process::terminal_columns() >= columns
    }

    /// Writes an answer: JSON as it is, or text made from it.
    pub(crate) fn answer<T: Serialize>(self, answer: &T, text: impl FnOnce(&T) -> String) {
        if self.json {
            self.json_line(answer);
        } else {
            print(&text(answer));
        }
    }

    /// Text for people, where there is no JSON for it.
    pub(crate) fn text(self, text: &str) {
        if !self.json {
            print(text);
        }
    }

    /// One JSON object on a line of its own.
    pub(crate) fn json_line<T: Serialize>(self, value: &T) {
        if let Ok(line) = serde_json::to_string(value) {
            print(&format!("{line}\n"));
        }
    }

    /// A line about what is going on, for people: standard error, never JSON.
    pub(crate) fn note(self, line: &str) {
        if !(self.json || self.quiet) {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// The end of a command that failed.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            let error =
                json!({ "code": failure.code, "message": failure.message, "exit": failure.exit.number() });
            self.json_line(&json!({ "error": error }));
        } else {
            let _ = writeln!(std::io::stderr(), "{}", failure.line());
        }
    }
}

/// Writes to standard output; a reader that went away is not our failure.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
