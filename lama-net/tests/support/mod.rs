//! What the tests over real sockets share: both runtimes behind one trait, and nodes that are easily made.
#![allow(clippy::disallowed_methods)] // A test reads the clock to lose patience.
#![allow(dead_code, unreachable_pub, unused_imports)] // No test program needs all of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod authority;
mod proxy;
pub mod relay;
mod running;
pub mod tap;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use lama_net::{EventLoop, Events, Handle, Link, NetError, Options, Parts, Runtime, upgrade};
use lama_net_smol::Smol;
use lama_net_tokio::Tokio;
use tungstenite::protocol::Role;

pub use proxy::Proxy;
pub use running::{Disk, PATIENCE, Running, Who, port_of, seed};

/// One of the two runtimes, as a test starts it.
pub trait Host: 'static {
    type R: Runtime;

    fn runtime() -> Self::R;

    /// Runs a future on a runtime of its own, on this thread.
    fn block_on<T>(work: impl Future<Output = T>) -> T;

    /// The same, but not for longer than that.
    fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Option<T>;

    /// The adapter's own `start`.
    fn start(parts: Parts, options: Options) -> Result<(Handle, Events), NetError>;
}

pub struct OnTokio;

impl Host for OnTokio {
    type R = Tokio;

    fn runtime() -> Tokio {
        Tokio::new()
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .unwrap()
            .block_on(work)
    }

    fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        Self::block_on(async { tokio::time::timeout(patience, work).await.ok() })
    }

    fn start(parts: Parts, options: Options) -> Result<(Handle, Events), NetError> {
        lama_net_tokio::start(parts, options)
    }
}

pub struct OnSmol;

impl Host for OnSmol {
    type R = Smol;

    fn runtime() -> Smol {
        Smol::new()
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        smol::block_on(work)
    }

    fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        let late = async {
            smol::Timer::after(patience).await;
            None
        };
        smol::block_on(smol::future::or(async { Some(work.await) }, late))
    }

    fn start(parts: Parts, options: Options) -> Result<(Handle, Events), NetError> {
        lama_net_smol::start(parts, options)
    }
}

/// Makes one `#[test]` of a generic function for each pair of runtimes.
#[macro_export]
macro_rules! on_both_and_mixed {
    ($($name:ident),+ $(,)?) => {
        mod tokio_tokio { $(#[test] fn $name() { super::$name::<super::support::OnTokio, super::support::OnTokio>() })+ }
        mod smol_smol { $(#[test] fn $name() { super::$name::<super::support::OnSmol, super::support::OnSmol>() })+ }
        mod tokio_smol { $(#[test] fn $name() { super::$name::<super::support::OnTokio, super::support::OnSmol>() })+ }
        mod smol_tokio { $(#[test] fn $name() { super::$name::<super::support::OnSmol, super::support::OnTokio>() })+ }
    };
}

/// A bound listener on 127.0.0.1 and its URL.
pub fn bind() -> (TcpListener, String) {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let url = format!("ws://127.0.0.1:{}", socket.local_addr().unwrap().port());
    (socket, url)
}

/// Accepts one link.
pub async fn accept_one<R: Runtime>(runtime: &R, socket: TcpListener) -> Link<R> {
    let listener = runtime.listener(socket).unwrap();
    let (mut wire, _) = runtime.accept(&listener).await.unwrap();
    upgrade::accept(&mut wire).await.unwrap();
    Link::new(wire, Role::Server)
}

/// Runs `work` on a thread of its own.
pub fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::spawn(work)
}

/// The loop's future on a thread.
pub fn run<H: Host>(event_loop: EventLoop<H::R>) -> JoinHandle<Result<(), NetError>> {
    aside(move || H::block_on(event_loop))
}

/// A connection that speaks whatever a test wants.
pub struct Raw(pub std::net::TcpStream);

impl Raw {
    pub fn connect(port: u16) -> Self {
        let stream = std::net::TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// From another address of this machine: to the limits it is somebody else.
    pub fn connect_from(from: [u8; 4], port: u16) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(socket.into())
    }

    pub fn write(&mut self, bytes: &[u8]) {
        use io::Write as _;
        // A peer that has hung up already is a finding of the read that follows.
        let _ = self.0.write_all(bytes);
    }

    /// A correct upgrade but for what `change` does to the request; the answer's status line, or nothing.
    pub fn upgrade(&mut self, change: impl FnOnce(String) -> String) -> String {
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Protocol: lama.1\r\n\r\n";
        self.write(change(request.into()).as_bytes());
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            use io::Read as _;
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => break,
            }
        }
        String::from_utf8(head).unwrap().lines().next().unwrap_or_default().to_owned()
    }

    /// A masked frame (the mask is zero) with this first byte, claim and payload.
    pub fn frame(&mut self, first: u8, claim: u64, payload: &[u8]) {
        let mut frame = vec![first];
        match claim {
            0..=125 => frame.push(0x80 | u8::try_from(claim).unwrap()),
            126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(claim).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend(claim.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.write(&frame);
    }

    /// Everything until the other end hangs up, or `None` if it does not within `patience`.
    pub fn rest(&mut self, patience: Duration) -> Option<Vec<u8>> {
        use io::Read as _;
        self.0.set_read_timeout(Some(patience)).unwrap();
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => Some(rest),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => None,
            Err(_) => Some(rest),
        }
    }
}
