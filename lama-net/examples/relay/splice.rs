//! Bytes through a call.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use lama_identity::SignSecret;
use lama_relay::wire::{FromClient, FromRelay};
use lama_relay::{Config, RouteId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::{HOST, block_on, listener, raw, relay};

const MESSAGE: usize = 65_519;
const ROUNDS: usize = 3;

/// A name, and what takes how long with so many bytes.
type Way = (&'static str, fn(u64) -> Duration);

type Socket = WebSocketStream<TcpStream>;

fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(128 * 1024).write_buffer_size(64 * 1024)
}

async fn dial(port: u16) -> Socket {
    let stream = TcpStream::connect((HOST, port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut request = format!("ws://{HOST}:{port}/").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "lama-relay.1".parse().unwrap());
    tokio_tungstenite::client_async_with_config(request, stream, Some(config())).await.unwrap().0
}

async fn frame(socket: &mut Socket) -> FromRelay {
    loop {
        if let Message::Binary(frame) = socket.next().await.unwrap().unwrap() {
            return FromRelay::read(&frame).unwrap();
        }
    }
}

async fn say(socket: &mut Socket, frame: impl Into<Bytes>) {
    socket.send(Message::Binary(frame.into())).await.unwrap();
}

/// As many messages as make `amount`, as fast as they are taken.
async fn send(socket: &mut Socket, amount: u64) {
    let message = Bytes::from(vec![5; MESSAGE]);
    for _ in 0..amount / MESSAGE as u64 {
        socket.feed(Message::Binary(message.clone())).await.unwrap();
    }
    socket.flush().await.unwrap();
}

async fn receive(socket: &mut Socket, amount: u64) {
    let mut left = amount / MESSAGE as u64;
    while left > 0 {
        if let Message::Binary(message) = socket.next().await.unwrap().unwrap() {
            assert_eq!(message.len(), MESSAGE);
            left -= 1;
        }
    }
}

/// Runs one end on this thread and the other beside it: from the first byte sent until the last has come.
fn timed(
    receiver: impl FnOnce(Sender<()>) + Send + 'static,
    sender: impl FnOnce(Receiver<()>) -> Instant,
) -> Duration {
    let (ready, waits) = channel();
    let receiving = std::thread::spawn(move || {
        receiver(ready);
        Instant::now()
    });
    let began = sender(waits);
    receiving.join().unwrap() - began
}

fn through_relay(amount: u64) -> Duration {
    let port = relay(Config::default());
    let key = SignSecret::from_seed(raw::seed());
    let route = RouteId::of(key.public());
    let receiver = move |ready: Sender<()>| {
        block_on(async {
            let mut socket = dial(port).await;
            let FromRelay::Hello(hello) = frame(&mut socket).await else { panic!() };
            say(&mut socket, raw::register(&hello, &key)).await;
            assert!(matches!(frame(&mut socket).await, FromRelay::Confirm(_)));
            ready.send(()).unwrap();
            while frame(&mut socket).await != FromRelay::Incoming {}
            say(&mut socket, FromClient::Accept.to_bytes()).await;
            receive(&mut socket, amount).await;
        });
    };
    timed(receiver, |ready| {
        ready.recv().unwrap();
        block_on(async {
            let mut socket = dial(port).await;
            say(&mut socket, FromClient::Ring(route).to_bytes()).await;
            while frame(&mut socket).await != FromRelay::Connected {}
            let began = Instant::now();
            send(&mut socket, amount).await;
            // Until the other end hangs up.
            while socket.next().await.is_some_and(|message| message.is_ok()) {}
            began
        })
    })
}

/// What comes first is the receiver, then the sender.
#[allow(clippy::result_large_err)] // What the library wants of the callback.
fn through_copier(amount: u64) -> Duration {
    let (socket, port) = listener();
    std::thread::spawn(move || {
        block_on(async {
            let listener = TcpListener::from_std(socket).unwrap();
            let accept = async || {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                // The client names a subprotocol and takes no answer without it.
                let pick =
                    |_: &_, mut answer: tokio_tungstenite::tungstenite::handshake::server::Response| {
                        answer
                            .headers_mut()
                            .insert("Sec-WebSocket-Protocol", "lama-relay.1".parse().unwrap());
                        Ok(answer)
                    };
                tokio_tungstenite::accept_hdr_async_with_config(stream, pick, Some(config())).await.unwrap()
            };
            let (mut to, mut from) = (accept().await, accept().await);
            'all: while let Some(Ok(message)) = from.next().await {
                to.feed(message).await.unwrap();
                while let Some(next) = from.next().now_or_never() {
                    let Some(Ok(message)) = next else { break 'all };
                    to.feed(message).await.unwrap();
                }
                to.flush().await.unwrap();
            }
            let _ = to.flush().await;
        });
    });
    let receiver = move |ready: Sender<()>| {
        block_on(async {
            let mut socket = dial(port).await;
            ready.send(()).unwrap();
            receive(&mut socket, amount).await;
        });
    };
    timed(receiver, |ready| {
        ready.recv().unwrap();
        block_on(async {
            let mut socket = dial(port).await;
            let began = Instant::now();
            send(&mut socket, amount).await;
            let _ = socket.close(None).await;
            began
        })
    })
}

fn through_tcp(amount: u64) -> Duration {
    let (socket, port) = listener();
    std::thread::spawn(move || {
        block_on(async {
            let listener = TcpListener::from_std(socket).unwrap();
            let (mut to, _) = listener.accept().await.unwrap();
            let (from, _) = listener.accept().await.unwrap();
            let mut from = tokio::io::BufReader::with_capacity(128 * 1024, from);
            tokio::io::copy_buf(&mut from, &mut to).await.unwrap();
        });
    });
    let whole = amount / MESSAGE as u64 * MESSAGE as u64;
    let receiver = move |ready: Sender<()>| {
        block_on(async {
            let mut stream = TcpStream::connect((HOST, port)).await.unwrap();
            ready.send(()).unwrap();
            let (mut buf, mut left) = (vec![0; 128 * 1024], whole);
            while left > 0 {
                left -= stream.read(&mut buf).await.unwrap() as u64;
            }
        });
    };
    timed(receiver, |ready| {
        ready.recv().unwrap();
        block_on(async {
            let mut stream = TcpStream::connect((HOST, port)).await.unwrap();
            let message = vec![5; MESSAGE];
            let began = Instant::now();
            for _ in 0..amount / MESSAGE as u64 {
                stream.write_all(&message).await.unwrap();
            }
            began
        })
    })
}

pub(crate) fn run(amount: u64) {
    let ways: [Way; 3] = [
        ("a call through the relay", through_relay),
        ("a bare WebSocket copier", through_copier),
        ("a TCP splice", through_tcp),
    ];
    // In turns, so that whatever else the machine does hits all alike.
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for ((_, way), times) in ways.iter().zip(&mut times) {
            times.push(way(amount));
        }
    }
    let mut rates = times.map(|mut times| {
        times.sort();
        amount as f64 / times[ROUNDS / 2].as_secs_f64() / 1e6
    });
    for ((name, _), rate) in ways.iter().zip(&mut rates) {
        println!("splice: {name}: {rate:.0} MB/s");
    }
    let [ours, copier, tcp] = rates;
    println!("splice: ours / copier {:.2}, ours / TCP {:.2}", ours / copier, ours / tcp);
}
