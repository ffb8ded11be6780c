//! What the loop needs of a runtime. An adapter implements these three traits and nothing else.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};
use lama_core::{Instant, Now, Seed};
use tungstenite::Message;
use tungstenite::protocol::{Role, WebSocketConfig};

use crate::guard::Guard;

/// A runtime with its sockets, clock and entropy. Cheap to clone.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A deadline that can be moved.
    type Alarm: Alarm;
    /// A bound listener, registered with the runtime.
    type Listener: Send + 'static;
    /// A TCP connection with its guard.
    type Wire: Wire;
    /// A UDP socket.
    type Datagrams: Datagrams;
    /// The WebSocket crate's stream over such a connection.
    type WebSocket: Stream<Item = Result<Message, tungstenite::Error>>
        + Sink<Message, Error = tungstenite::Error>
        + Send
        + Unpin
        + 'static;

    /// Both clocks. The origin of the monotonic one is the making of this runtime value.
    fn now(&self) -> Now;

    /// 32 bytes from the operating system.
    ///
    /// # Errors
    /// The operating system has none.
    fn entropy(&self) -> io::Result<Seed>;

    /// A deadline that lies at no time.
    fn alarm(&self) -> Self::Alarm;

    /// Runs a task beside the loop, for as long as it takes; it is dropped with the runtime.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Registers a non-blocking listener. Called on the loop's task.
    ///
    /// # Errors
    /// As the operating system reports.
    fn listener(&self, bound: TcpListener) -> io::Result<Self::Listener>;

    /// Registers a non-blocking UDP socket.
    ///
    /// # Errors
    /// As the operating system reports.
    fn datagrams(&self, bound: UdpSocket) -> io::Result<Self::Datagrams>;

    /// The next connection.
    fn accept(
        &self,
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Wire, SocketAddr)>> + Send;

    /// Opens a connection.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Wire>> + Send;

    /// The addresses of a name.
    fn resolve(&self, host: String, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Puts an upgraded connection under the WebSocket crate's stream. `None` cannot happen: both crates build
    /// their stream at once, in a function that is `async` all the same.
    fn websocket(wire: Self::Wire, role: Role, config: WebSocketConfig) -> Option<Self::WebSocket>;

    /// Takes it out again. Only at the end of a frame, with everything flushed.
    fn into_wire(socket: Self::WebSocket) -> Self::Wire;

    /// The connection below.
    fn wire(socket: &mut Self::WebSocket) -> &mut Self::Wire;
}

/// A TCP connection. Everything goes through its guard ([`Guard::read`], [`Guard::write`], [`Guard::flush`], [`Guard::close`]).
pub trait Wire: Send + Unpin + 'static {
    /// Reads some bytes; none at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some bytes.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;

    /// Hands all that was written to the operating system.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Says that nothing more is written.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// What all bytes go through, both ways.
    fn guard(&mut self) -> &mut Guard;
}

/// A UDP socket: packets may be lost, and are not waited for.
pub trait Datagrams: Send + 'static {
    /// The next packet and who sent it; what does not fit into `buf` is cut off.
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>>;

    /// Sends a packet, if there is room for it now.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`], or as the operating system reports: the packet is lost.
    fn send(&mut self, packet: &[u8], to: SocketAddr) -> io::Result<()>;
}

/// A deadline that can be moved.
pub trait Alarm: Send + Unpin + 'static {
    /// Moves it.
    fn set(&mut self, at: Instant);

    /// Ready when the deadline is over. One that was never set is never over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Lets the runtime do something else first.
pub(crate) async fn give_way() {
    let mut given = false;
    std::future::poll_fn(move |cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for `task`, until `deadline` at the latest: `None`.
pub(crate) async fn within<R: Runtime, T>(
    runtime: &R,
    deadline: Instant,
    task: impl Future<Output = T>,
) -> Option<T> {
    let mut alarm = runtime.alarm();
    alarm.set(deadline);
    let mut task = std::pin::pin!(task);
    std::future::poll_fn(move |cx| match task.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => alarm.poll(cx).map(|()| None),
    })
    .await
}
