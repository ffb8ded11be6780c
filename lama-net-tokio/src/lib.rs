//! LAMA over WebSockets on tokio.
//!
//! This crate decides nothing: it gives [`lama_net`]'s loop a clock, a sleep, sockets, and the stream of
//! `tokio-tungstenite`. No smol is under it; `lama-net-smol` is the same with the other runtime.
//!
//! ```no_run
//! use lama_net_tokio::{Listen, Options, Parts};
//! # async fn example(parts: Parts) -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options { listen: Listen::Prefer(8765), ..Options::default() };
//! // On a thread of its own; or `prepare` the same and spawn the future on your runtime.
//! let (handle, mut events) = lama_net_tokio::start(parts, options)?;
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
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use lama_core::{Instant, Now, Seed, WallTime};
use lama_net::{Alarm, Datagrams, EventLoop, Guard, Runtime, Wire};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

pub use lama_net::{
    Dialer, Events, Handle, Lagged, Listen, NetError, Options, Parts, RelayHandle, RelayParts, Signer,
    Storage,
};

/// Runs a node on a thread of its own, with a runtime of its own. It ends with [`Handle::shutdown`], or when the
/// last [`Handle`] is dropped.
///
/// # Errors
/// As [`lama_net::prepare`].
pub fn start(parts: Parts, options: Options) -> Result<(Handle, Events), NetError> {
    let failed = |error: io::Error| NetError::Thread { kind: error.kind() };
    let runtime = runtime().map_err(failed)?;
    let (handle, events, event_loop) = prepare(parts, options)?;
    let work = move || {
        // Its result is told through the handle.
        let _ = runtime.block_on(event_loop);
    };
    std::thread::Builder::new().name("lama-net".to_owned()).spawn(work).map_err(failed)?;
    Ok((handle, events))
}

/// The same without a thread: await or spawn the future inside any tokio runtime with time and IO.
///
/// # Errors
/// As [`lama_net::prepare`].
pub fn prepare(parts: Parts, options: Options) -> Result<(Handle, Events, EventLoop<Tokio>), NetError> {
    lama_net::prepare(Tokio::new(), parts, options)
}

/// Runs a relay on a thread of its own, with a runtime of its own. The thread ends after [`RelayHandle::drain`].
///
/// # Errors
/// [`NetError::Thread`].
pub fn start_relay(parts: RelayParts) -> Result<(RelayHandle<Tokio>, JoinHandle<()>), NetError> {
    let failed = |error: io::Error| NetError::Thread { kind: error.kind() };
    let runtime = runtime().map_err(failed)?;
    let (handle, relay) = lama_net::prepare_relay(Tokio::new(), parts);
    let work = move || runtime.block_on(relay);
    let thread = std::thread::Builder::new().name("lama-relay".to_owned()).spawn(work).map_err(failed)?;
    Ok((handle, thread))
}

/// Tasks at the door that are polled between two turns of the loop, when there are so many: sockets are asked as often.
const TASKS: u32 = 16;

/// Of one thread.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().event_interval(TASKS).build()
}

/// The runtime, with the origin of its clock.
#[derive(Debug, Clone, Copy)]
pub struct Tokio {
    origin: std::time::Instant,
}

impl Tokio {
    /// A clock that starts now.
    #[must_use]
    #[allow(clippy::new_without_default, clippy::disallowed_methods)] // This adapter is meant to read the clock.
    pub fn new() -> Self {
        Self { origin: std::time::Instant::now() }
    }
}

impl Runtime for Tokio {
    type Alarm = Deadline;
    type Listener = TcpListener;
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
        Deadline { origin: self.origin, sleep: None }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    fn listener(&self, bound: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(bound)
    }

    fn datagrams(&self, bound: std::net::UdpSocket) -> io::Result<Udp> {
        UdpSocket::from_std(bound).map(Udp)
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(Tcp, SocketAddr)> {
        let (stream, from) = listener.accept().await?;
        Ok((Tcp::new(stream)?, from))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Tcp> {
        Tcp::new(TcpStream::connect(address).await?)
    }

    async fn resolve(&self, host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
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
        guard.read(buf, |room| {
            let mut room = ReadBuf::new(room);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut room))?;
            Poll::Ready(Ok(room.filled().len()))
        })
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
        Pin::new(stream).poll_shutdown(cx)
    }

    fn guard(&mut self) -> &mut Guard {
        &mut self.guard
    }
}

impl AsyncRead for Tcp {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Wire::poll_read(self.get_mut(), cx, buf.initialize_unfilled()))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Wire::poll_write(self.get_mut(), cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Wire::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Wire::poll_close(self.get_mut(), cx)
    }
}

/// A UDP socket.
#[derive(Debug)]
pub struct Udp(UdpSocket);

impl Datagrams for Udp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut room = ReadBuf::new(buf);
        let from = ready!(self.0.poll_recv_from(cx, &mut room))?;
        Poll::Ready(Ok((room.filled().len(), from)))
    }

    fn send(&mut self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.try_send_to(packet, to).map(drop)
    }
}

/// A deadline that can be moved.
#[derive(Debug)]
pub struct Deadline {
    origin: std::time::Instant,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// A deadline further away than this is as good as none.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

impl Alarm for Deadline {
    fn set(&mut self, at: Instant) {
        let at =
            tokio::time::Instant::from_std(self.origin + at.since_origin().min(self.origin.elapsed() + FAR));
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}
