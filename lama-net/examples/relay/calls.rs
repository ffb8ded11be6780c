//! Calls that are set up: how many a second, and how long one takes while others flood the relay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lama_identity::SignSecret;
use lama_relay::wire::FromClient;
use lama_relay::{Config, Rate, RouteId};
use tokio::io::AsyncWriteExt as _;

use crate::raw::{Raw, seed, source};
use crate::websocket;
use crate::{block_on, middle_and_worst, relay};

/// Instances that are called, and callers.
const PAIRS: usize = 32;

/// Registers a route again and again, a connection for each call.
async fn callee(place: usize, port: u16, key: Arc<SignSecret>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        if let Ok(raw) = Raw::registered(source(place), port, &key).await {
            let _ = raw.take_call().await;
        }
    }
}

pub(crate) fn rate(amount: u64) {
    let open = Rate { burst: 1_000_000, interval: Duration::from_nanos(1) };
    let config = Config {
        rings_per_route: open,
        rings_per_source: open,
        registers_per_source: open,
        ..Config::default()
    };
    let port = relay(config);
    let stop = Arc::new(AtomicBool::new(false));
    let keys: Vec<_> = (0..PAIRS).map(|_| Arc::new(SignSecret::from_seed(seed()))).collect();
    let called = keys.clone();
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || {
        block_on(async {
            let tasks: Vec<_> = called
                .into_iter()
                .enumerate()
                .flat_map(|(n, key)| (0..3).map(move |_| (n, Arc::clone(&key))))
                .map(|(n, key)| tokio::spawn(callee(n, port, key, Arc::clone(&stopped))))
                .collect();
            for task in tasks {
                let _ = task.await;
            }
        });
    });
    std::thread::sleep(Duration::from_secs(1));
    let (done, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let began = Instant::now();
    block_on(async {
        let tasks: Vec<_> = (0..PAIRS)
            .map(|n| {
                let (done, failed, route) =
                    (Arc::clone(&done), Arc::clone(&failed), RouteId::of(keys[n].public()));
                tokio::spawn(async move {
                    let mut turn = 0;
                    while done.load(Ordering::Relaxed) < amount {
                        // From many addresses, for the door counts those of each.
                        let from = source(1000 + n * 200 + turn % 200);
                        turn += 1;
                        match Raw::call(from, port, route).await {
                            Ok(_) => done.fetch_add(1, Ordering::Relaxed),
                            Err(_) => failed.fetch_add(1, Ordering::Relaxed),
                        };
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let rate = done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    println!(
        "calls: {rate:.0} a second set up, from the TCP connection on, each with a registration for the next one; {} of {} came to nothing",
        failed.load(Ordering::Relaxed),
        done.load(Ordering::Relaxed)
    );
}

/// Calls one after another, each from an address of its own: how long each took that was set up, and how many came to
/// nothing.
async fn calls(port: u16, route: RouteId, amount: u64, first: usize) -> (Vec<Duration>, u64) {
    let (mut times, mut refused) = (Vec::new(), 0);
    for n in 0..usize::try_from(amount).unwrap() {
        let began = Instant::now();
        match Raw::call(source(first + n), port, route).await {
            Ok(_) => times.push(began.elapsed()),
            Err(_) => refused += 1,
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!times.is_empty(), "no call was set up");
    (times, refused)
}

/// Those who flood: each kind from many addresses, again and again.
async fn flood(kind: usize, n: usize, port: u16, victim: RouteId, done: Arc<AtomicU64>) {
    for turn in 0.. {
        let from = source(20_000 + kind * 10_000 + n * 50 + turn % 50);
        done.fetch_add(1, Ordering::Relaxed);
        match kind {
            // Rings: routes that are not there, and one that is.
            0 => {
                if let Ok(mut raw) = Raw::open(from, port).await {
                    let mut id = [u8::try_from(n % 251).unwrap(); 32];
                    id[0] = u8::try_from(turn % 251).unwrap();
                    let route = if turn % 2 == 0 { victim } else { RouteId(id) };
                    let _ = raw.send(&FromClient::Ring(route).to_bytes()).await;
                    let _ = raw.receive().await;
                }
            }
            // Openings, an octet at a time.
            1 => {
                if let Ok(mut stream) = websocket::connect(from, port).await {
                    for byte in b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n" {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        if stream.write_all(&[*byte]).await.is_err() {
                            break;
                        }
                    }
                }
            }
            // A frame that claims a gigabyte.
            _ => {
                if let Ok(mut raw) = Raw::open(from, port).await {
                    let _ =
                        raw.stream().write_all(&[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]).await;
                    let _ = raw.stream().write_all(&[0; 4096]).await;
                    while raw.receive().await.is_ok() {}
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn hostile(amount: u64) {
    let port = relay(Config::default());
    let stop = Arc::new(AtomicBool::new(false));
    let keys: Vec<_> = (0..3).map(|_| Arc::new(SignSecret::from_seed(seed()))).collect();
    let (called, stopped) = (keys.clone(), Arc::clone(&stop));
    std::thread::spawn(move || {
        block_on(async {
            for (n, key) in called.into_iter().enumerate() {
                for _ in 0..3 {
                    tokio::spawn(callee(n, port, Arc::clone(&key), Arc::clone(&stopped)));
                }
            }
            std::future::pending::<()>().await;
        });
    });
    std::thread::sleep(Duration::from_secs(1));
    let [quiet, busy, victim] = [0, 1, 2].map(|n: usize| RouteId::of(keys[n].public()));
    let (alone, _) = block_on(calls(port, quiet, amount, 1000));
    let floods: Vec<_> = (0..3).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let done = floods.clone();
    std::thread::spawn(move || {
        block_on(async {
            for (kind, done) in done.iter().enumerate() {
                for n in 0..100 {
                    tokio::spawn(flood(kind, n, port, victim, Arc::clone(done)));
                }
            }
            std::future::pending::<()>().await;
        });
    });
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    let before: Vec<u64> = floods.iter().map(|done| done.load(Ordering::Relaxed)).collect();
    let (flooded, refused) = block_on(calls(port, busy, amount, 2000));
    let took = began.elapsed().as_secs_f64();
    let rates: Vec<f64> = floods
        .iter()
        .zip(before)
        .map(|(done, before)| (done.load(Ordering::Relaxed) - before) as f64 / took)
        .collect();
    let ((alone, alone_worst), (flooded, flooded_worst)) =
        (middle_and_worst(alone), middle_and_worst(flooded));
    println!(
        "hostile: a call is set up in {alone:.1} ms (worst {alone_worst:.1}) alone, and in {flooded:.1} ms (worst {flooded_worst:.1}), \
         {refused} of {amount} not at all, beside {:.0} rings, {:.0} slow openings and {:.0} oversized frames a second from 15,000 addresses",
        rates[0], rates[1], rates[2]
    );
}
