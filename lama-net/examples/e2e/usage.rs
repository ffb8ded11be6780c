//! What a process has used, as Linux knows it; 0 elsewhere.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds by the clock of the machine, the same in all processes.
pub(crate) fn stamp() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

/// Peak of memory since the last [`forget_peak`], in MB.
pub(crate) fn peak_memory() -> u64 {
    status("VmHWM:") / 1024
}

/// Memory now, in MB.
pub(crate) fn memory() -> u64 {
    status("VmRSS:") / 1024
}

fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Starts the peak anew.
pub(crate) fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// User and system time of all threads.
pub(crate) fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    // 100 ticks a second.
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
