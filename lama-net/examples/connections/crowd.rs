//! Many peers of one listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::listener::Listener;
use crate::peer::Peer;

/// Pairings at a time: a quarter of what a listener lets in.
const AT_A_TIME: usize = 64;

/// Peers that are contacts of the listener and in sync with it; each dials while `may_dial` says so.
pub(crate) async fn paired(listener: &mut Listener, count: usize, may_dial: &Arc<AtomicBool>) -> Vec<Peer> {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let now = AT_A_TIME.min(count - all.len());
        let pairing: Vec<_> = listener
            .invite(now)
            .into_iter()
            .map(|link| {
                let mut peer = Peer::new(Arc::clone(may_dial));
                tokio::spawn(async move {
                    peer.pair(link).await;
                    peer.in_sync().await;
                    peer
                })
            })
            .collect();
        for peer in pairing {
            all.push(peer.await.unwrap());
        }
    }
    all
}

/// Breaks each peer's connection off and waits until the next one is in sync, again and again: `done` counts them all.
pub(crate) async fn reconnect(peers: Vec<Peer>, done: Arc<AtomicU64>, until: u64) {
    let tasks: Vec<_> = peers
        .into_iter()
        .map(|mut peer| {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                while done.load(Ordering::Relaxed) < until {
                    peer.break_off();
                    peer.in_sync().await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
