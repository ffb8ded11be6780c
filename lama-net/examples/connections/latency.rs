//! How late the loop comes to a message and to a command while it has other things to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use lama_node::Command;

use crate::listener::Listener;
use crate::peer::Peer;
use crate::watcher::Watcher;
use crate::{RUNTIMES, Times, block_on, data};

/// So many reconnect at the same time.
const PEERS: usize = 16;

/// What runs beside, counting what it has done, until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    began: Instant,
    thread: JoinHandle<()>,
}

impl Load {
    /// `run` gets what to count in, and what says when it is over.
    fn start(run: impl FnOnce(Arc<AtomicU64>, Arc<AtomicBool>) + Send + 'static) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&done));
        let thread = std::thread::spawn(move || run(counted, stopped));
        // Once it is at work.
        while done.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        done.store(0, Ordering::Relaxed);
        Self { stop, done, began: Instant::now(), thread }
    }

    /// How much it did in a second.
    fn stop(self) -> f64 {
        let rate = self.done.load(Ordering::Relaxed) as f64 / self.began.elapsed().as_secs_f64();
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        rate
    }
}

/// Peers that reconnect as fast as they can.
fn reconnecting(listener: &mut Listener) -> Load {
    let links = listener.invite(PEERS);
    Load::start(move |done, stop| {
        block_on(async {
            let tasks = links.into_iter().map(|link| {
                let (done, stop) = (Arc::clone(&done), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut peer = Peer::free();
                    peer.pair(link).await;
                    peer.in_sync().await;
                    while !stop.load(Ordering::Relaxed) {
                        peer.break_off();
                        peer.in_sync().await;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
    })
}

/// A peer that shares objects of 200 bytes, 10,000 at a time.
fn sharing(listener: &mut Listener) -> Load {
    let link = listener.invite(1).remove(0);
    Load::start(move |done, stop| {
        block_on(async {
            let mut peer = Peer::free();
            peer.pair(link).await;
            peer.in_sync().await;
            let (person, _) = peer.other.unwrap();
            let mut from = 0;
            while !stop.load(Ordering::Relaxed) {
                let objects = data::objects(from, data::LINKS);
                from += data::LINKS;
                let root = objects.last().unwrap().0;
                let put = peer.command(Command::Put { objects });
                peer.reply(put).await.unwrap();
                let share = peer.command(Command::Share { root, with: vec![person], note: None });
                peer.reply(share).await.unwrap();
                peer.in_sync().await;
                done.fetch_add(data::LINKS, Ordering::Relaxed);
            }
        });
    })
}

fn measure(listener: &mut Listener, watcher: &Watcher, count: u64, what: &str) {
    listener.begin_commands(Watcher::time(count));
    let pings = Times::of(watcher.pings(count));
    let commands = Times::of(listener.commands_took());
    println!("latency, {what}: a ping of another session {pings}; a command {commands}");
}

pub(crate) fn run(count: u64) {
    for runtime in RUNTIMES {
        let mut listener = Listener::start(runtime);
        let watcher = Watcher::start(&mut listener);
        watcher.pings(50);
        measure(&mut listener, &watcher, count, &format!("{runtime}, alone"));
        let load = reconnecting(&mut listener);
        measure(&mut listener, &watcher, count, &format!("{runtime}, while others reconnect"));
        println!("    {:.0} sessions a second", load.stop());
        let load = sharing(&mut listener);
        measure(&mut listener, &watcher, count, &format!("{runtime}, while objects move"));
        println!("    {:.0} objects a second", load.stop());
        let (sessions, objects) = (reconnecting(&mut listener), sharing(&mut listener));
        measure(&mut listener, &watcher, count, &format!("{runtime}, with both"));
        println!("    {:.0} sessions, {:.0} objects a second", sessions.stop(), objects.stop());
        listener.stop();
    }
}
