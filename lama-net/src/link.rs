//! One WebSocket: binary messages in and out, bounded from the first byte.
//!
//! A link starts small (a few KiB, every frame judged by the [`Guard`](crate::guard::Guard) before the WebSocket
//! crate sees its header). When the peer is known *and* data moves, the socket is put under a stream with large
//! buffers. So strangers and idle peers are cheap, and bulk goes at full speed.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use lama_node::LinkCause;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message};

use crate::runtime::{Runtime, Wire as _};

/// The longest message of the protocol: a record with its tag.
pub const MAX_MESSAGE: usize = 65_535;

/// What is written out at once, at least.
const WRITE_BUFFER: usize = 64 * 1024;
const READ_BUFFER: usize = 128 * 1024;
const SMALL_READ_BUFFER: usize = 1024;
const SMALL_WRITE_BUFFER: usize = 4 * 1024;
/// Room for one message above the write buffer, with header and a pong.
const WRITE_MARGIN: usize = MAX_MESSAGE + 1024;
/// Bytes after which a link of a known peer gets large buffers.
const BUSY: usize = 128 * 1024;
/// Control frames taken in one turn.
const MAX_CONTROL_FRAMES: usize = 16;

/// A WebSocket over the runtime's sockets.
pub struct Link<R: Runtime> {
    /// `None` only while it is rebuilt.
    socket: Option<R::WebSocket>,
    role: Role,
    small: bool,
    moved: usize,
    unflushed: bool,
}

impl<R: Runtime> Link<R> {
    /// Takes over a connection after [`crate::upgrade::accept`] (`Server`) or [`crate::upgrade::request`]
    /// (`Client`).
    #[must_use]
    pub fn new(mut wire: R::Wire, role: Role) -> Self {
        wire.guard().limit(0);
        let socket = R::websocket(wire, role, config(SMALL_READ_BUFFER, SMALL_WRITE_BUFFER));
        Self { socket, role, small: true, moved: 0, unflushed: false }
    }

    /// What only the two ends of its TLS connection know; `None`: it goes without TLS.
    pub(crate) fn exporter(&mut self) -> Option<[u8; 32]> {
        self.socket.as_mut().and_then(|socket| R::wire(socket).guard().exporter())
    }

    /// Whether another message can be sent.
    ///
    /// # Errors
    /// The link is down.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkCause>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(Err(LinkCause::Lost)) };
        socket.poll_ready_unpin(cx).map_err(cause)
    }

    /// Sends a message. Only after [`Link::poll_ready`]; it lies in the write buffer until that is full or flushed.
    ///
    /// # Errors
    /// The link is down.
    pub fn send(&mut self, message: Bytes) -> Result<(), LinkCause> {
        let Some(socket) = &mut self.socket else { return Err(LinkCause::Lost) };
        self.moved = self.moved.saturating_add(message.len());
        self.unflushed = true;
        socket.start_send_unpin(Message::Binary(message)).map_err(cause)
    }

    /// Whether something was sent that may still lie in the write buffer.
    #[must_use]
    pub const fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    /// Hands everything sent to the operating system.
    ///
    /// # Errors
    /// The link is down.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkCause>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(Err(LinkCause::Lost)) };
        ready!(socket.poll_flush_unpin(cx)).map_err(cause)?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// The next message of at most `limit` bytes. A longer one ends the link when its header arrives.
    ///
    /// # Errors
    /// Why the link is down: the first error is final.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Result<BytesMut, LinkCause>> {
        if self.small {
            self.adjust(cx, limit)?;
        }
        let Some(socket) = &mut self.socket else { return Poll::Ready(Err(LinkCause::Lost)) };
        for _ in 0..MAX_CONTROL_FRAMES {
            match ready!(socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Binary(message))) if message.len() <= limit => {
                    self.moved = self.moved.saturating_add(message.len());
                    return Poll::Ready(Ok(message.into()));
                }
                // The next read answers a ping and may thereby flush what the writer waits for: wake it, since the
                // socket's own wake-up is used up then.
                Some(Ok(Message::Ping(_))) => cx.waker().wake_by_ref(),
                Some(Ok(Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => {
                    // The answer to the close frame goes out if there is room for it.
                    let _ = socket.poll_flush_unpin(cx);
                    return Poll::Ready(Err(LinkCause::Closed));
                }
                Some(Ok(_)) => return Poll::Ready(Err(LinkCause::Violation)),
                Some(Err(error)) => return Poll::Ready(Err(cause(error))),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Says goodbye (code 1000 would be a reason: there is none) and flushes.
    ///
    /// # Errors
    /// The link is down.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkCause>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(Err(LinkCause::Lost)) };
        std::pin::Pin::new(socket).poll_close(cx).map_err(cause)
    }

    /// Reads and forgets until the peer has closed too: what was sent last would be lost if the connection were
    /// dropped with unread bytes in it.
    pub fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..MAX_CONTROL_FRAMES {
            if ready!(self.poll_recv(cx, MAX_MESSAGE)).is_err() {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sets the limit for the next frame of a small link, or makes the link large.
    fn adjust(&mut self, cx: &mut Context<'_>, limit: usize) -> Result<(), LinkCause> {
        let Some(socket) = &mut self.socket else { return Err(LinkCause::Lost) };
        let guard = R::wire(socket).guard();
        guard.limit(limit);
        if limit < MAX_MESSAGE || self.moved < BUSY || !guard.at_boundary() {
            return Ok(());
        }
        // At the end of a frame nothing that was read lies in the stream; what was written must be out.
        match self.poll_flush(cx) {
            Poll::Ready(flushed) => flushed?,
            Poll::Pending => return Ok(()),
        }
        if let Some(socket) = self.socket.take() {
            let mut wire = R::into_wire(socket);
            wire.guard().open();
            self.socket = R::websocket(wire, self.role, config(READ_BUFFER, WRITE_BUFFER));
            self.small = false;
            // That flush may have used up the wake-up for which the writer waits.
            cx.waker().wake_by_ref();
        }
        Ok(())
    }
}

fn config(read: usize, write: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(read)
        .write_buffer_size(write)
        .max_write_buffer_size(write + WRITE_MARGIN)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

fn cause(error: Error) -> LinkCause {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => LinkCause::Closed,
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => LinkCause::Lost,
        Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => LinkCause::Violation,
        Error::Io(_) => LinkCause::Lost,
        _ => LinkCause::Violation,
    }
}
