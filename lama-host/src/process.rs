//! Habits of a process that holds secrets.

/// No core dumps of this process, no reading of its memory by others of the same user, and private files by default.
/// Where the system does not know how, nothing happens.
pub fn harden() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    let _ = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// How many columns the terminal on standard output has; 0 if it is none.
#[must_use]
pub fn terminal_columns() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col))
}
