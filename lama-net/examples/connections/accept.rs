//! Sessions of known peers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::listener::Listener;
use crate::{RUNTIMES, block_on, crowd};

/// So many reconnect at the same time.
const PEERS: usize = 64;

pub(crate) fn run(amount: u64) {
    for runtime in RUNTIMES {
        let mut listener = Listener::start(runtime);
        block_on(async {
            let peers = crowd::paired(&mut listener, PEERS, &Arc::new(AtomicBool::new(true))).await;
            let done = Arc::<AtomicU64>::default();
            let (began, before) = (Instant::now(), listener.processor());
            crowd::reconnect(peers, Arc::clone(&done), amount).await;
            let (took, busy) = (began.elapsed().as_secs_f64(), listener.processor() - before);
            let done = done.load(Ordering::Relaxed) as f64;
            println!(
                "accept, {runtime}: {:.0} sessions a second in sync, {:.2} ms of processor time for each, {:.0} % of a core",
                done / took,
                busy / done * 1e3,
                busy / took * 100.0
            );
        });
        listener.stop();
    }
}
