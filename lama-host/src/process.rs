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

/// How many files and sockets this process may have open, raised towards `wanted` as far as the system lets it;
/// `None`: as many as it likes.
#[must_use]
pub fn open_files(wanted: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let now = limit.current?;
    let raised = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if raised <= now {
        return Some(now);
    }
    let new = Rlimit { current: Some(raised), maximum: limit.maximum };
    Some(setrlimit(Resource::Nofile, new).map_or(now, |()| raised))
}
