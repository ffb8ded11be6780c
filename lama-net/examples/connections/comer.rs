//! A known peer that goes away and comes back, again and again, on a thread of its own.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::listener::Listener;
use crate::peer::Peer;
use crate::{Times, block_on};

/// So long it stays.
const STAYS: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Came {
    times: Vec<Duration>,
    /// Since when it is away.
    away: Option<Instant>,
}

pub(crate) struct Comer(Arc<Mutex<Came>>);

impl Comer {
    /// From that address; `None`: from another one with every attempt.
    pub(crate) fn start(listener: &mut Listener, from: Option<Ipv4Addr>) -> Self {
        let link = listener.invite(1).remove(0);
        let came = Arc::<Mutex<Came>>::default();
        let told = Arc::clone(&came);
        std::thread::spawn(move || {
            block_on(async {
                let mut peer = from.map_or_else(Peer::free, Peer::at);
                peer.pair(link).await;
                peer.in_sync().await;
                loop {
                    let _ = tokio::time::timeout(STAYS, peer.run()).await;
                    let left = Instant::now();
                    told.lock().unwrap().away = Some(left);
                    peer.break_off();
                    peer.in_sync().await;
                    let mut told = told.lock().unwrap();
                    told.times.push(left.elapsed());
                    told.away = None;
                }
            });
        });
        Self(came)
    }

    /// How long it took each time since it was asked last, until both were in sync again. If it has been away for longer than
    /// in any of them, that counts, too.
    pub(crate) fn took(&self) -> Option<(usize, Times)> {
        let mut came = self.0.lock().unwrap();
        let away = came.away.map(|left| left.elapsed()).unwrap_or_default();
        let mut times = std::mem::take(&mut came.times);
        if times.iter().all(|time| *time < away) {
            times.push(away);
        }
        (!times.is_empty()).then(|| (times.len(), Times::of(times)))
    }
}
