//! Ctrl-C and a polite end: the first one asks to stop, a second one stops at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Exit;

/// Whether this process was asked to stop. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    inner: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// Listens for Ctrl-C and SIGTERM.
    pub(crate) fn on_signals() -> Self {
        let stop = Self::default();
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return stop };
        let told = stop.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                if told.is_set() {
                    std::process::exit(i32::from(Exit::Interrupted.number()));
                }
                told.set();
            }
        });
        stop
    }

    /// Asks to stop.
    pub(crate) fn set(&self) {
        *self.inner.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.inner.1.notify_all();
    }

    /// Whether somebody asked.
    pub(crate) fn is_set(&self) -> bool {
        *self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody asks, at most `time`; says whether somebody did.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let guard = self.inner.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.inner.1.wait_timeout_while(guard, time, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
