//! What strangers do to those who are known.
//!
//! A flood costs a machine what makes it, too, and both run here. So the same flood is measured twice: against the listener,
//! and against another one in a process of its own while the first has nothing to do with it. What differs is what a flood does to
//! the listener; what a busy machine does to everybody is in both.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::comer::Comer;
use crate::flood::{Count, KINDS, SHARED_FROM};
use crate::listener::Listener;
use crate::peer::Peer;
use crate::watcher::Watcher;
use crate::{RUNTIMES, Times, block_on, flood};

/// Sessions beside the one that is watched.
const SESSIONS: usize = 100;
/// Until a flood is what it will be.
const SETTLES: Duration = Duration::from_secs(5);
/// Of one who has it for himself.
const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// Known peers that are connected all the time: how many sessions ended.
fn others(listener: &mut Listener) -> Arc<AtomicU64> {
    let ended = Arc::<AtomicU64>::default();
    let (counted, links) = (Arc::clone(&ended), listener.invite(SESSIONS));
    let (say, paired) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        block_on(async {
            for link in links {
                let mut peer = Peer::free();
                peer.pair(link).await;
                peer.in_sync().await;
                let ended = Arc::clone(&counted);
                tokio::spawn(async move {
                    loop {
                        peer.session().await;
                        ended.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            say.send(()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    paired.recv().unwrap();
    ended
}

pub(crate) fn run(count: u64) {
    RUNTIMES.iter().for_each(|runtime| on(runtime, count));
}

/// Known peers that come back from where strangers are not, from where they are, and from where nobody was before.
struct Comers([(&'static str, Comer); 3]);

impl Comers {
    fn start(listener: &mut Listener) -> Self {
        let mut comer = |name, from| (name, Comer::start(listener, from));
        Self([
            comer("an address of its own", Some(OWN)),
            comer("an address of strangers", Some(SHARED_FROM)),
            comer("a new address with each attempt", None),
        ])
    }

    fn forget(&self) {
        for (_, comer) in &self.0 {
            comer.took();
        }
    }

    fn print(&self) {
        for (name, comer) in &self.0 {
            match comer.took() {
                Some((count, times)) => println!("        back from {name} after {times}, {count} times"),
                None => println!("        never left to come back from {name}"),
            }
        }
    }
}

/// A flood while something else is measured.
struct Flood {
    stop: Arc<AtomicBool>,
    counts: Arc<[Count; 5]>,
    before: [(u64, u64); 5],
    began: Instant,
}

fn read(counts: &[Count; 5]) -> [(u64, u64); 5] {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    std::array::from_fn(|kind| (read(&counts[kind].tried), read(&counts[kind].inside)))
}

impl Flood {
    fn start(listener: &mut Listener) -> Self {
        let link = listener.invite(1).remove(0);
        let stop = Arc::<AtomicBool>::default();
        let counts = flood::start(listener.port, &link, &stop);
        std::thread::sleep(SETTLES);
        let before = read(&counts);
        Self { stop, counts, before, began: Instant::now() }
    }

    fn stop(self) {
        let took = self.began.elapsed().as_secs_f64();
        let after = read(&self.counts);
        self.stop.store(true, Ordering::Relaxed);
        let rate = |now: u64, then: u64| (now - then) as f64 / took;
        let rates =
            std::iter::zip(after, self.before).map(|(now, then)| (rate(now.0, then.0), rate(now.1, then.1)));
        let (mut all, mut lines) = (0.0, String::new());
        for (name, (tried, inside)) in std::iter::zip(KINDS, rates) {
            all += tried;
            lines += &format!("; {tried:.0} {name}, {inside:.0} of them got so far");
        }
        println!("        {all:.0} strangers a second{lines}");
    }
}

fn on(runtime: &str, count: u64) {
    let mut listener = Listener::start(runtime);
    let watcher = Watcher::start(&mut listener);
    let ended = others(&mut listener);
    let comers = Comers::start(&mut listener);
    watcher.pings(50);
    comers.forget();
    let alone = Times::of(watcher.pings(count));
    println!("strangers, {runtime}: a ping {alone} alone");
    comers.print();

    let mut other = Listener::start(runtime);
    let flood = Flood::start(&mut other);
    comers.forget();
    let beside = Times::of(watcher.pings(count));
    println!("    while strangers flood another process: a ping {beside}");
    flood.stop();
    comers.print();
    other.stop();
    std::thread::sleep(SETTLES);

    let before = listener.resident();
    let flood = Flood::start(&mut listener);
    comers.forget();
    let (began, busy) = (Instant::now(), listener.processor());
    let memory = listener.watch_resident(&flood.stop);
    let flooded = Times::of(watcher.pings(count));
    let busy = (listener.processor() - busy) / began.elapsed().as_secs_f64() * 100.0;
    println!(
        "    while they flood the listener: a ping {flooded}: {:.2} times beside the other flood, {:.2} at the 99th percentile",
        flooded.middle / beside.middle,
        flooded.p99 / beside.p99
    );
    flood.stop();
    comers.print();
    let memory = memory.join().unwrap();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "        memory {:.1} MB before, {:.1} to {:.1} MB in the flood, {:.1} MB at its end; {busy:.0} % of a core; {} of {SESSIONS} sessions ended",
        mb(before),
        mb(*memory.iter().min().unwrap()),
        mb(*memory.iter().max().unwrap()),
        mb(*memory.last().unwrap()),
        ended.load(Ordering::Relaxed)
    );
    listener.stop();
}
