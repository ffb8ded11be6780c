//! Strangers that cost what they can.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use lama_core::Seed;
use lama_handshake::{Access, Dial, Initiator, PinnedPerson, Via};
use lama_net::Runtime as _;
use lama_net_tokio::Tokio;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::block_on;
use crate::socket::{Socket, source};
use crate::websocket;

/// Of each kind at the same time.
const EACH: usize = 100;
/// So many of them come from one address, all others from another one each time.
const SHARED: usize = 5;
/// That address.
pub(crate) const SHARED_FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);
/// Between two attempts of one.
const PAUSE: Duration = Duration::from_millis(10);

/// What each kind does.
pub(crate) const KINDS: [&str; 5] = [
    "slow openings",
    "open WebSockets that say nothing",
    "first messages of garbage",
    "frames that claim 1 GiB",
    "handshakes that end after the listener's message",
];

/// Whom a handshake is for: what everybody who was ever invited knows.
#[derive(Clone, Copy)]
struct Target {
    instance: lama_identity::NoisePublic,
    person: PinnedPerson,
}

/// How often each kind tried, and how many of those were let in as far as they wanted to get.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) tried: AtomicU64,
    pub(crate) inside: AtomicU64,
}

/// Runs until `stop` says so, on a thread of its own. `link` is an invitation of the listener.
pub(crate) fn start(port: u16, link: &str, stop: &Arc<AtomicBool>) -> Arc<[Count; 5]> {
    let invitation = lama_invite::parse_unchecked(link).unwrap();
    let person = PinnedPerson { id: invitation.r_person_id(), pin: invitation.r_person_pin() };
    let target = Target { instance: *invitation.r_static(), person };
    let counts = Arc::<[Count; 5]>::default();
    let (shared, stop) = (Arc::clone(&counts), Arc::clone(stop));
    std::thread::spawn(move || {
        block_on(async {
            let mut tasks = Vec::new();
            for kind in 0..KINDS.len() {
                for number in 0..EACH {
                    let (counts, stop) = (Arc::clone(&shared), Arc::clone(&stop));
                    tasks.push(tokio::spawn(async move {
                        let runtime = Tokio::new();
                        while !stop.load(Ordering::Relaxed) {
                            counts[kind].tried.fetch_add(1, Ordering::Relaxed);
                            let from = if number < SHARED { SHARED_FROM } else { source() };
                            let seed = runtime.entropy().unwrap();
                            if once(kind, port, from, &target, seed).await.is_ok() {
                                counts[kind].inside.fetch_add(1, Ordering::Relaxed);
                            }
                            tokio::time::sleep(PAUSE).await;
                        }
                    }));
                }
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
    counts
}

/// Until the listener hangs up.
async fn wait(socket: &mut Socket) {
    while socket.pass().await.is_ok() {}
}

async fn once(kind: usize, port: u16, from: Ipv4Addr, target: &Target, seed: Seed) -> std::io::Result<()> {
    if kind == 0 {
        // An octet at a time, for as long as that is suffered.
        let mut stream = websocket::connect(from, port).await?;
        for byte in b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: ".iter().chain([b'w'; 100].iter()) {
            stream.write_all(&[*byte]).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        return Ok(());
    }
    let mut socket = Socket::open(port, from).await?;
    match kind {
        1 => wait(&mut socket).await,
        2 => {
            socket.queue(&[0x5a; 68]);
            wait(&mut socket).await;
        }
        3 => {
            socket.output.extend_from_slice(&[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]);
            wait(&mut socket).await;
        }
        _ => {
            let dial = Dial {
                instance: target.instance,
                person: target.person,
                access: Access::Known,
                via: Via::Direct,
            };
            let mut message = BytesMut::new();
            let initiator = Initiator::dial(&dial, seed, &mut message).unwrap();
            socket.queue(&message);
            socket.stream.write_all(&socket.output.split()).await?;
            // It has computed two key exchanges for this.
            socket.stream.read_u8().await?;
            drop(initiator);
        }
    }
    Ok(())
}
