//! Sessions that are idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::listener::Listener;
use crate::{RUNTIMES, block_on, crowd};

/// In which the processor time is taken: each side of each session asks for a sign of life at least twice.
const WATCHED: Duration = Duration::from_secs(60);

pub(crate) fn run(amount: u64) {
    RUNTIMES.iter().for_each(|runtime| on(runtime, usize::try_from(amount).unwrap()));
}

/// Each of two processes has a socket for each session.
fn check_files(sessions: usize) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let most: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    let wanted = sessions + 100;
    assert!(
        most >= wanted,
        "{sessions} sessions need {wanted} open files and {most} are allowed: `ulimit -n {wanted}`"
    );
}

fn on(runtime: &str, count: usize) {
    check_files(count);
    let mut listener = Listener::start(runtime);
    block_on(async {
        let may_dial = Arc::new(AtomicBool::new(true));
        let began = Instant::now();
        let peers = crowd::paired(&mut listener, count, &may_dial).await;
        println!("idle, {runtime}: {count} peers paired in {:.1} s", began.elapsed().as_secs_f64());
        // What pairing took is not what a session takes: the process starts anew and knows all of them.
        may_dial.store(false, Ordering::Relaxed);
        let (say, mut synced) = mpsc::unbounded_channel();
        for mut peer in peers {
            let say = say.clone();
            tokio::spawn(async move {
                peer.break_off();
                loop {
                    peer.in_sync().await;
                    say.send(()).unwrap();
                }
            });
        }
        let listener = listener.restart();
        let before = listener.resident();
        may_dial.store(true, Ordering::Relaxed);
        let began = Instant::now();
        for _ in 0..count {
            synced.recv().await.unwrap();
        }
        let back = began.elapsed().as_secs_f64();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let each = (listener.resident() - before) / count as u64;
        let busy = listener.processor();
        tokio::time::sleep(WATCHED).await;
        let busy = (listener.processor() - busy) / WATCHED.as_secs_f64();
        let again = std::iter::from_fn(|| synced.try_recv().ok()).count();
        println!(
            "idle, {runtime}: {count} sessions back {back:.1} s after a restart; {each} bytes of the process for each beside {} MB \
             without any; {:.2} % of a core in all, {:.2} µs a second for each; {again} sessions began anew",
            before / 1_000_000,
            busy * 100.0,
            busy / count as f64 * 1e6
        );
        listener.stop();
    });
}
