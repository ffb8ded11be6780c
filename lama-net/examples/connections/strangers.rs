//! What strangers do to those who are known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::listener::Listener;
use crate::peer::Peer;
use crate::watcher::Watcher;
use crate::{RUNTIMES, Times, block_on, flood};

/// Sessions beside the one that is watched.
const SESSIONS: usize = 100;

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

/// A known peer that reconnects once a second, from an address of its own each time: how long each took.
fn comer(listener: &mut Listener) -> std::sync::mpsc::Receiver<Duration> {
    let link = listener.invite(1).remove(0);
    let (say, took) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        block_on(async {
            let mut peer = Peer::free();
            peer.pair(link).await;
            peer.in_sync().await;
            loop {
                let _ = tokio::time::timeout(Duration::from_secs(1), peer.run()).await;
                let began = Instant::now();
                peer.break_off();
                peer.in_sync().await;
                if say.send(began.elapsed()).is_err() {
                    return;
                }
            }
        });
    });
    took
}

pub(crate) fn run(count: u64) {
    RUNTIMES.iter().for_each(|runtime| on(runtime, count));
}

fn on(runtime: &str, count: u64) {
    let mut listener = Listener::start(runtime);
    let watcher = Watcher::start(&mut listener);
    let ended = others(&mut listener);
    let link = listener.invite(1).remove(0);
    let comer = comer(&mut listener);
    watcher.pings(50);
    let alone = Times::of(watcher.pings(count));
    let came_alone = Times::of(comer.try_iter().collect());
    let before = listener.resident();
    let stop = Arc::<AtomicBool>::default();
    let counts = flood::start(listener.port, &link, &stop);
    std::thread::sleep(Duration::from_secs(5));
    let read = |of: fn(&flood::Count) -> &AtomicU64| -> Vec<u64> {
        counts.iter().map(|count| of(count).load(Ordering::Relaxed)).collect()
    };
    let (tried, inside) = (read(|count| &count.tried), read(|count| &count.inside));
    let (busy, _) = (listener.processor(), comer.try_iter().count());
    let began = Instant::now();
    let memory = listener.watch_resident(&stop);
    let flooded = Times::of(watcher.pings(count));
    let took = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let memory = memory.join().unwrap();
    let busy = (listener.processor() - busy) / took * 100.0;
    let came: Vec<Duration> = comer.try_iter().collect();
    println!(
        "strangers, {runtime}: a ping {alone} alone, {flooded} in the flood: {:.2} times",
        flooded.middle / alone.middle
    );
    let rate = |now: u64, then: u64| (now - then) as f64 / took;
    for (kind, name) in flood::KINDS.iter().enumerate() {
        println!(
            "    {:.0} {name} a second, {:.0} of them let in",
            rate(counts[kind].tried.load(Ordering::Relaxed), tried[kind]),
            rate(counts[kind].inside.load(Ordering::Relaxed), inside[kind])
        );
    }
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "    memory {:.1} MB before, {:.1} to {:.1} MB in the flood, {:.1} MB at its end; {busy:.0} % of a core; {} of {SESSIONS} sessions ended",
        mb(before),
        mb(*memory.iter().min().unwrap()),
        mb(*memory.iter().max().unwrap()),
        mb(*memory.last().unwrap()),
        ended.load(Ordering::Relaxed)
    );
    match came.len() {
        0 => println!("    a known peer was back after {came_alone} alone, and not at all in the flood"),
        times => println!(
            "    a known peer was back after {came_alone} alone, {} in the flood ({times} times)",
            Times::of(came)
        ),
    }
    listener.stop();
}
