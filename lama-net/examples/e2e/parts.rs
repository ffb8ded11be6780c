//! What is measured, and the lines that are printed.

use std::path::Path;
use std::time::Duration;

use crate::process::{Process, Synced};
use crate::{data, proxy};

/// A sender and a receiver that are contacts and in sync.
struct Pair {
    sender: Process,
    receiver: Process,
    /// Objects that both hold.
    count: u64,
    dir: tempfile::TempDir,
}

impl Pair {
    fn new(from: &str, to: &str) -> Self {
        Self::over(from, to, None)
    }

    /// Over a proxy with that delay, if one is named.
    fn over(from: &str, to: &str, delay: Option<Duration>) -> Self {
        let dir = tempfile::tempdir_in(place()).unwrap();
        let start = |runtime: &str| {
            let dir = dir.path().join(runtime);
            std::fs::create_dir(&dir).unwrap();
            Process::node(runtime, &dir)
        };
        let (mut sender, mut receiver) = (start(from), start(to));
        let link = sender.ask("invite", "link");
        if let Some(delay) = delay {
            let before: u16 = sender.ask("port", "port").parse().unwrap();
            let now: u16 = sender.ask("move", "moved").parse().unwrap();
            proxy::start(before, now, delay);
        }
        receiver.ask(&format!("join {link}"), "joined");
        let mut this = Self { sender, receiver, count: 0, dir };
        this.count = this.settle();
        this
    }

    /// Waits until nothing moves any more, and tells how many objects both hold.
    fn settle(&mut self) -> u64 {
        std::thread::sleep(Duration::from_millis(700));
        self.sender.ask("memory", "memory");
        self.receiver.ask("memory", "memory");
        self.receiver.wait_synced(1).count
    }

    /// Shares all of these and waits until the receiver has them durably: when it began, and when it was over.
    fn share(&mut self, roots: &[String], objects: u64) -> (u64, Synced) {
        let (_, _) = (self.sender.used(), self.receiver.used());
        let begun = crate::usage::stamp();
        roots.iter().for_each(|root| self.sender.say(&format!("share {root}")));
        // Each share is an object itself.
        let wanted = self.count + objects + roots.len() as u64;
        let synced = self.receiver.wait_synced(wanted);
        self.count = synced.count;
        (begun, synced)
    }

    /// What both have used since the last time.
    fn print_used(&mut self) {
        let (sender, receiver) = (self.sender.used(), self.receiver.used());
        println!(
            "    processor {:.2} s and {:.2} s, peak memory {} MB and {} MB (sender and receiver)",
            sender.cpu, receiver.cpu, sender.peak_mb, receiver.peak_mb
        );
    }

    fn stop(self) {
        self.receiver.stop();
        self.sender.stop();
    }
}

/// Where stores and blobs lie: on a disk, not in memory.
fn place() -> std::path::PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.parent().and_then(Path::parent).unwrap().to_path_buf()
}

fn seconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}

/// Has the sender make small objects, and gives their roots.
fn make(sender: &mut Process, from: u64, count: u64) -> Vec<String> {
    sender.say(&format!("make {from} {count}"));
    (0..count.div_ceil(data::LINKS)).map(|_| sender.answer("root")).collect()
}

pub(crate) fn objects(count: u64) {
    for (from, to) in [("tokio", "smol"), ("smol", "tokio")] {
        let mut pair = Pair::new(from, to);
        let roots = make(&mut pair.sender, 0, count);
        let (begun, synced) = pair.share(&roots, count + roots.len() as u64);
        let took = seconds(begun, synced.at);
        println!(
            "{count} objects of 200 bytes, {from} to {to}: {took:.2} s, {:.0} a second",
            count as f64 / took
        );
        pair.print_used();
        pair.stop();
    }
}

pub(crate) fn blob(size: u64) {
    let dir = tempfile::tempdir_in(place()).unwrap();
    let file = dir.path().join("blob");
    data::random_file(&file, size);
    for (from, to) in [("tokio", "smol"), ("smol", "tokio")] {
        let pumped = pump(&file, &dir.path().join("copy"));
        let _ = std::fs::remove_file(dir.path().join("copy"));
        let mut pair = Pair::new(from, to);
        let root = pair.sender.ask(&format!("cut {}", file.display()), "blob");
        let objects = size.div_ceil(256 << 10);
        let (begun, synced) = pair.share(&[root], objects);
        let took = seconds(begun, synced.at);
        let mb = size as f64 / 1e6;
        println!(
            "blob of {mb:.0} MB, {from} to {to}: {took:.2} s, {:.0} MB/s; the pump {pumped:.2} s, {:.0} MB/s; ratio {:.2}",
            mb / took,
            mb / pumped,
            pumped / took
        );
        pair.print_used();
        pair.stop();
    }
}

/// Seconds that the pump takes for the file.
fn pump(file: &Path, copy: &Path) -> f64 {
    let mut sender = Process::start(&["pump-send", file.to_str().unwrap()]);
    let port = sender.answer("port");
    let mut receiver = Process::start(&["pump-receive", &port, copy.to_str().unwrap()]);
    let begun: u64 = sender.answer("begun").parse().unwrap();
    let ended: u64 = receiver.answer("ended").parse().unwrap();
    receiver.stop();
    sender.stop();
    seconds(begun, ended)
}

pub(crate) fn live(count: u64) {
    for (from, to) in [("tokio", "smol"), ("smol", "tokio")] {
        let mut pair = Pair::new(from, to);
        pair.sender.ask("messages 20 20000", "sent");
        pair.settle();
        pair.receiver.ask("seen", "seen");
        pair.sender.ask(&format!("messages {count} 10000"), "sent");
        pair.settle();
        latencies(&format!("live, {from} to {to}, idle"), &pair.receiver.ask("seen", "seen"));
        let roots = make(&mut pair.sender, 0, 1_000_000.min(count * 3_000));
        roots.iter().for_each(|root| pair.sender.say(&format!("share {root}")));
        pair.sender.ask(&format!("messages {count} 10000"), "sent");
        pair.receiver.wait_synced(pair.count + 1_000_000.min(count * 3_000));
        pair.settle();
        latencies(&format!("live, {from} to {to}, while objects move"), &pair.receiver.ask("seen", "seen"));
        let file = pair.dir.path().join("blob");
        data::random_file(&file, count * 2_000_000);
        let root = pair.sender.ask(&format!("cut {}", file.display()), "blob");
        std::fs::remove_file(&file).unwrap();
        pair.sender.say(&format!("share {root}"));
        pair.sender.ask(&format!("messages {count} 10000"), "sent");
        latencies(&format!("live, {from} to {to}, while a blob moves"), &pair.receiver.ask("seen", "seen"));
        pair.settle();
        pair.stop();
    }
}

fn latencies(what: &str, seen: &str) {
    let pairs: Vec<(u64, u64)> = seen
        .split(' ')
        .filter_map(|pair| pair.split_once('/'))
        .map(|(seen, durable)| (seen.parse().unwrap(), durable.parse().unwrap()))
        .collect();
    let at = |mut all: Vec<u64>, share: f64| {
        all.sort_unstable();
        all.get(((all.len() as f64 * share) as usize).min(all.len() - 1)).copied().unwrap_or(0) as f64 / 1e3
    };
    let (seen, durable): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
    println!(
        "{what}: {} messages; seen after {:.2} ms (median), {:.2} ms (p99); durable after {:.2} ms, {:.2} ms",
        seen.len(),
        at(seen.clone(), 0.5),
        at(seen.clone(), 0.99),
        at(durable.clone(), 0.5),
        at(durable, 0.99)
    );
}

pub(crate) fn known(count: u64) {
    for count in [1_000, count] {
        let mut pair = Pair::new("tokio", "smol");
        let roots = make(&mut pair.sender, 0, count);
        pair.share(&roots, count + roots.len() as u64);
        pair.settle();
        let held = pair.count;
        let dir = pair.dir.path().join("smol");
        for round in 0..2 {
            pair.receiver.stop();
            pair.sender.answer("traffic");
            if round == 1 {
                // One object more while the other was away.
                let root = make(&mut pair.sender, u64::from(u32::MAX), 1).remove(0);
                pair.sender.ask(&format!("share {root}"), "shared");
            }
            pair.sender.synced = None;
            let begun = crate::usage::stamp();
            pair.receiver = Process::node("smol", &dir);
            let synced = pair.receiver.wait_synced(held + 3 * round);
            std::thread::sleep(Duration::from_millis(300));
            println!(
                "known peer with {held} objects, {}: {:.0} ms from the start of the process to the same set",
                if round == 0 { "nothing new" } else { "1 object and its share new" },
                seconds(begun, synced.at) * 1e3
            );
        }
        pair.receiver.stop();
        let traffic = pair.sender.answer("traffic");
        println!("    sealed bytes of the last session, out and in: {traffic}");
        pair.sender.stop();
    }
}

pub(crate) fn far(count: u64) {
    let mut took = Vec::new();
    for delay in [None, Some(Duration::from_millis(25))] {
        let mut pair = Pair::over("tokio", "smol", delay);
        let roots = make(&mut pair.sender, 0, count);
        let (begun, synced) = pair.share(&roots, count + roots.len() as u64);
        took.push(seconds(begun, synced.at));
        pair.stop();
    }
    println!(
        "{count} objects: {:.2} s, and {:.2} s at 50 ms round-trip time: {:.2} s more",
        took[0],
        took[1],
        took[1] - took[0]
    );
}

pub(crate) fn big(size: u64) {
    let mut pair = Pair::new("tokio", "smol");
    let file = pair.dir.path().join("blob");
    data::random_file(&file, size);
    let root = pair.sender.ask(&format!("cut {}", file.display()), "blob");
    std::fs::remove_file(&file).unwrap();
    pair.print_used();
    let objects = size.div_ceil(256 << 10);
    let wanted = pair.count + objects + 1;
    let begun = crate::usage::stamp();
    pair.sender.say(&format!("share {root}"));
    while pair.receiver.synced.as_ref().is_none_or(|synced| synced.count < wanted) {
        let received = pair.receiver.ask("memory", "memory");
        let memory = (pair.sender.ask("memory", "memory"), received);
        println!("    {:>6.1} s: {} MB and {} MB", seconds(begun, crate::usage::stamp()), memory.0, memory.1);
        std::thread::sleep(Duration::from_secs(5));
    }
    let took = seconds(begun, pair.receiver.synced.as_ref().unwrap().at);
    println!("blob of {size} bytes: {took:.1} s, {:.0} MB/s", size as f64 / 1e6 / took);
    pair.print_used();
    pair.stop();
}
