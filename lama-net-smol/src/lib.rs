//! LAMA over WebSockets on smol.
//!
//! This crate decides nothing: it gives [`lama_net`]'s loop a clock, a sleep, sockets, and the stream of
//! `async-tungstenite`. No tokio is under it; `lama-net-tokio` is the same with the other runtime.
//!
//! ```no_run
//! use lama_net_smol::{Listen, Options, Parts};
//! # async fn example(parts: Parts) -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options { listen: Listen::Prefer(8765), ..Options::default() };
//! // On a thread of its own; or `prepare` the same and spawn the future on smol's global executor.
//! let (handle, mut events) = lama_net_smol::start(parts, options)?;
//! let status = handle.command(lama_node::Command::Status).await?;
//! while let Some(event) = events.next().await {
//!     println!("{event:?}");
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use futures_util::FutureExt as _;
use lama_core::{Instant, Now, Seed, WallTime};
use lama_net::{Alarm, Datagrams, EventLoop, Guard, Runtime, Wire};
use smol::io::{AsyncRead, AsyncWrite};
use smol::net::TcpStream;
use smol::{Async, Executor, Timer};

pub use lama_net::{
    Dialer, Events, Handle, Lagged, Listen, NetError, Options, Parts, RelayHandle, RelayParts, Signer,
    Storage,
};

/// Runs a node on a thread of its own, with an executor of its own. It ends with [`Handle::shutdown`], or when the
/// last [`Handle`] is dropped.
///
/// # Errors
/// As [`lama_net::prepare`].
pub fn start(parts: Parts, options: Options) -> Result<(Handle, Events), NetError> {
    let failed = |error: io::Error| NetError::Thread { kind: error.kind() };
    let executor = Arc::new(Executor::new());
    let runtime = Smol { executor: Some(Arc::clone(&executor)), ..Smol::new() };
    let (handle, events, event_loop) = lama_net::prepare(runtime, parts, options)?;
    let work = move || {
        // Its result is told through the handle.
        let _ = run(&executor, event_loop);
    };
    std::thread::Builder::new().name("lama-net".to_owned()).spawn(work).map_err(failed)?;
    Ok((handle, events))
}

/// The same without a thread: await or spawn the future where smol's global executor is.
///
/// # Errors
/// As [`lama_net::prepare`].
pub fn prepare(parts: Parts, options: Options) -> Result<(Handle, Events, EventLoop<Smol>), NetError> {
    lama_net::prepare(Smol::new(), parts, options)
}

/// Runs a relay on a thread of its own, with an executor of its own. The thread ends after [`RelayHandle::drain`].
///
/// # Errors
/// [`NetError::Thread`].
pub fn start_relay(parts: RelayParts) -> Result<(RelayHandle<Smol>, JoinHandle<()>), NetError> {
    let executor = Arc::new(Executor::new());
    let runtime = Smol { executor: Some(Arc::clone(&executor)), ..Smol::new() };
    let (handle, relay) = lama_net::prepare_relay(runtime, parts);
    let work = move || run(&executor, relay);
    let thread = std::thread::Builder::new().name("lama-relay".to_owned()).spawn(work);
    Ok((handle, thread.map_err(|error| NetError::Thread { kind: error.kind() })?))
}

/// Tasks at the door that are polled between two turns of the loop, when there are so many: sockets are asked as often.
const TASKS: usize = 16;

/// Runs a loop on this thread, and the tasks of its executor. ([`Executor::run`] would give the loop a turn after 200 of them.)
fn run<T>(executor: &Executor<'_>, work: impl Future<Output = T>) -> T {
    let tasks = async {
        loop {
            for _ in 0..TASKS {
                executor.tick().await;
            }
            smol::future::yield_now().await;
        }
    };
    smol::block_on(smol::future::or(work, tasks))
}

/// The runtime, with the origin of its clock.
#[derive(Debug, Clone)]
pub struct Smol {
    origin: std::time::Instant,
    /// `None`: smol's global one.
    executor: Option<Arc<Executor<'static>>>,
}

impl Smol {
    /// A clock that starts now, and the global executor.
    #[must_use]
    #[allow(clippy::new_without_default, clippy::disallowed_methods)] // This adapter is meant to read the clock.
    pub fn new() -> Self {
        Self { origin: std::time::Instant::now(), executor: None }
    }
}

impl Runtime for Smol {
    type Alarm = Deadline;
    type Listener = Async<std::net::TcpListener>;
    type Wire = Tcp;
    type Datagrams = Udp;
    type WebSocket = WebSocketStream<Tcp>;

    #[allow(clippy::disallowed_methods)] // This adapter is meant to read the clocks.
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: Instant::from_origin(self.origin.elapsed()),
            wall: WallTime(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    #[allow(clippy::disallowed_methods)] // This adapter is meant to draw entropy.
    fn entropy(&self) -> io::Result<Seed> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Seed::take(&mut bytes))
    }

    fn alarm(&self) -> Deadline {
        Deadline { origin: self.origin, timer: Timer::never() }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.executor {
            Some(executor) => executor.spawn(task).detach(),
            None => smol::spawn(task).detach(),
        }
    }

    fn listener(&self, bound: std::net::TcpListener) -> io::Result<Self::Listener> {
        Async::new(bound)
    }

    fn datagrams(&self, bound: std::net::UdpSocket) -> io::Result<Udp> {
        Async::new(bound).map(Udp)
    }

    async fn accept(&self, listener: &Self::Listener) -> io::Result<(Tcp, SocketAddr)> {
        let (stream, from) = listener.accept().await?;
        Ok((Tcp::new(stream.into())?, from))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Tcp> {
        Tcp::new(TcpStream::connect(address).await?)
    }

    async fn resolve(&self, host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        smol::net::resolve((host, port)).await
    }

    fn websocket(wire: Tcp, role: Role, config: WebSocketConfig) -> Option<WebSocketStream<Tcp>> {
        WebSocketStream::from_raw_socket(wire, role, Some(config)).now_or_never()
    }

    fn into_wire(socket: WebSocketStream<Tcp>) -> Tcp {
        socket.into_inner()
    }

    fn wire(socket: &mut WebSocketStream<Tcp>) -> &mut Tcp {
        socket.get_mut()
    }
}

/// A TCP connection with its guard.
#[derive(Debug)]
pub struct Tcp {
    stream: TcpStream,
    guard: Guard,
}

impl Tcp {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, guard: Guard::default() })
    }
}

impl Wire for Tcp {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { stream, guard } = self;
        guard.read(buf, |room| Pin::new(&mut *stream).poll_read(cx, room))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, guard } = self;
        guard.write(buf, |bytes| Pin::new(&mut *stream).poll_write(cx, bytes))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, guard } = self;
        ready!(guard.flush(|bytes| Pin::new(&mut *stream).poll_write(cx, bytes)))?;
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, guard } = self;
        ready!(guard.close(|bytes| Pin::new(&mut *stream).poll_write(cx, bytes)))?;
        Pin::new(stream).poll_close(cx)
    }

    fn guard(&mut self) -> &mut Guard {
        &mut self.guard
    }
}

impl AsyncRead for Tcp {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Wire::poll_read(self.get_mut(), cx, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Wire::poll_write(self.get_mut(), cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Wire::poll_flush(self.get_mut(), cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Wire::poll_close(self.get_mut(), cx)
    }
}

/// A UDP socket.
#[derive(Debug)]
pub struct Udp(Async<std::net::UdpSocket>);

impl Datagrams for Udp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        loop {
            match self.0.get_ref().recv_from(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Poll::Ready(received),
            }
            ready!(self.0.poll_readable(cx))?;
        }
    }

    fn send(&mut self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.get_ref().send_to(packet, to).map(drop)
    }
}

/// A deadline that can be moved.
#[derive(Debug)]
pub struct Deadline {
    origin: std::time::Instant,
    timer: Timer,
}

/// A deadline further away than this is as good as none.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

impl Alarm for Deadline {
    fn set(&mut self, at: Instant) {
        self.timer.set_at(self.origin + at.since_origin().min(self.origin.elapsed() + FAR));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.timer).poll(cx).map(|_| ())
    }
}
