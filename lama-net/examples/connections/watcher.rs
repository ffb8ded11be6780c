//! One session that is asked for signs of life, on a thread of its own.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::block_on;
use crate::listener::Listener;
use crate::peer::Peer;

/// Between two of them.
const EVERY: Duration = Duration::from_millis(20);

pub(crate) struct Watcher {
    orders: UnboundedSender<u64>,
    answers: Receiver<Vec<Duration>>,
}

impl Watcher {
    pub(crate) fn start(listener: &mut Listener) -> Self {
        let link = listener.invite(1).remove(0);
        let (orders, mut ordered) = unbounded_channel();
        let (answer, answers) = channel();
        std::thread::spawn(move || {
            block_on(async {
                let mut peer = Peer::free();
                peer.pair(link).await;
                peer.in_sync().await;
                let _ = answer.send(Vec::new());
                loop {
                    let order = tokio::select! {
                        order = ordered.recv() => order,
                        () = peer.run() => None,
                    };
                    let Some(count) = order else { return };
                    let _ = answer.send(pings(&mut peer, count).await);
                }
            });
        });
        answers.recv().expect("the watcher is paired");
        Self { orders, answers }
    }

    /// How long so many answers took. The thread of the caller waits.
    pub(crate) fn pings(&self, count: u64) -> Vec<Duration> {
        self.orders.send(count).unwrap();
        self.answers.recv().unwrap()
    }

    /// How long so many take at least.
    pub(crate) fn time(count: u64) -> Duration {
        EVERY * u32::try_from(count).unwrap()
    }
}

async fn pings(peer: &mut Peer, count: u64) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..count {
        times.push(peer.ping().await);
        let _ = tokio::time::timeout(EVERY, peer.run()).await;
    }
    times
}
