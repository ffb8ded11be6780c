//! An echo over the sockets, guards and WebSocket streams of the two adapters, with the limits of the protocol lifted: what
//! the Autobahn test suite is let loose on. `cargo xtask autobahn` runs all of it; by hand:
//!
//! ```text
//! cargo run -p lama-net --example autobahn tokio|smol server        prints its port, echoes until standard input ends
//! cargo run -p lama-net --example autobahn tokio|smol client HOST:PORT AGENT
//! ```
//!
//! LAMA itself speaks binary messages of at most 65,535 bytes and refuses everything else at the header, which the suite
//! would count as failures; `tests/door.rs` is about that. The server's upgrade is the product's own, with subprotocol
//! `lama.1`. The suite's server grants no subprotocol, which the product's client refuses, so the client's is made here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::future::{Future, poll_fn};
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener};

use futures_util::{SinkExt as _, StreamExt as _};
use lama_net::{Runtime, Wire, upgrade};
use lama_net_smol::Smol;
use lama_net_tokio::Tokio;
use tungstenite::Message;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};

/// The suite's largest message has 16 MiB.
const MAX_MESSAGE: usize = 64 << 20;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tokio", rest @ ..] => on_tokio(run(Tokio::new(), rest)),
        ["smol", rest @ ..] => smol::block_on(run(Smol::new(), rest)),
        _ => usage(),
    }
}

fn usage() {
    eprintln!("usage: autobahn tokio|smol server | autobahn tokio|smol client HOST:PORT AGENT");
    std::process::exit(2);
}

fn on_tokio(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap().block_on(work);
}

async fn run<R: Runtime>(runtime: R, words: &[&str]) {
    match words {
        ["server"] => server(runtime).await,
        ["client", at, agent] => client(&runtime, at.parse().unwrap(), agent).await,
        _ => usage(),
    }
}

/// Echoes to whoever comes, until standard input ends.
async fn server<R: Runtime>(runtime: R) {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    println!("{}", socket.local_addr().unwrap().port());
    std::thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let listener = runtime.listener(socket).unwrap();
    loop {
        let (mut wire, _) = runtime.accept(&listener).await.unwrap();
        runtime.spawn(async move {
            match upgrade::accept(&mut wire).await {
                Ok(()) => echo::<R>(open::<R>(wire, Role::Server)).await,
                Err(error) => eprintln!("no upgrade: {error}"),
            }
        });
    }
}

/// Asks the suite how many cases it has, is put through each of them, and asks for the reports.
async fn client<R: Runtime>(runtime: &R, at: SocketAddr, agent: &str) {
    let mut counting = dial(runtime, at, "/getCaseCount").await.unwrap();
    let Some(Ok(Message::Text(count))) = counting.next().await else { panic!("the suite does not count") };
    echo::<R>(counting).await;
    let count: usize = count.parse().unwrap();
    for case in 1..=count {
        let path = format!("/runCase?case={case}&agent={agent}");
        match dial(runtime, at, &path).await {
            Ok(socket) => echo::<R>(socket).await,
            Err(error) => eprintln!("case {case}: {error}"),
        }
    }
    echo::<R>(dial(runtime, at, &format!("/updateReports?agent={agent}")).await.unwrap()).await;
}

/// The stream as a link has it once its peer is known, with the limits lifted.
fn open<R: Runtime>(mut wire: R::Wire, role: Role) -> R::WebSocket {
    wire.guard().open();
    let config = WebSocketConfig::default()
        .read_buffer_size(128 * 1024)
        .write_buffer_size(64 * 1024)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    R::websocket(wire, role, config).unwrap()
}

/// Sends every message back until the connection ends. Pings and the closing handshake are the stream's.
async fn echo<R: Runtime>(mut socket: R::WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
    // What an error left to be said, such as why it is closed.
    let _ = socket.close().await;
}

/// A WebSocket without a subprotocol.
async fn dial<R: Runtime>(runtime: &R, at: SocketAddr, path: &str) -> io::Result<R::WebSocket> {
    let mut wire = runtime.connect(at).await?;
    let key = generate_key();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {at}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    let mut rest = request.as_bytes();
    while !rest.is_empty() {
        let sent = poll_fn(|cx| wire.poll_write(cx, rest)).await?;
        rest = &rest[sent..];
    }
    poll_fn(|cx| wire.poll_flush(cx)).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Byte by byte, so that no frame is read with it.
        let mut byte = [0];
        if poll_fn(|cx| wire.poll_read(cx, &mut byte)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head);
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(&derive_accept_key(key.as_bytes())), "{head}");
    Ok(open::<R>(wire, Role::Client))
}
