//! The last lines of the log, kept in memory for a debug bundle.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// How many lines.
const LINES: usize = 500;
/// The longest one, in bytes.
const LONGEST: usize = 1024;

static KEPT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Writes into memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept;

/// One line; kept when dropped.
#[derive(Debug, Default)]
pub(crate) struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = LONGEST.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend_from_slice(bytes.get(..room).unwrap_or_default());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= LINES {
            kept.pop_front();
        }
        kept.push_back(String::from_utf8_lossy(&self.0).trim_end().to_owned());
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line::default()
    }
}

/// The last lines, oldest first.
pub(crate) fn lines() -> Vec<String> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}
