//! A WebSocket client on a bare socket, which holds almost nothing.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::websocket;

/// What is read at once, at least.
const ROOM: usize = 1024;

static SOURCES: AtomicU32 = AtomicU32::new(0);

/// Another address of this machine with every call.
pub(crate) fn source() -> Ipv4Addr {
    websocket::source(SOURCES.fetch_add(1, Ordering::Relaxed))
}

pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    input: BytesMut,
    pub(crate) output: BytesMut,
}

impl Socket {
    /// Up to the open WebSocket.
    pub(crate) async fn open(port: u16, from: Ipv4Addr) -> io::Result<Self> {
        let stream = websocket::open(from, port, "localhost", "lama.1").await?;
        Ok(Self { stream, input: BytesMut::new(), output: BytesMut::new() })
    }

    /// Queues a binary frame.
    pub(crate) fn queue(&mut self, payload: &[u8]) {
        websocket::put_frame(payload, &mut self.output);
    }

    /// Reads or writes something. Nothing is lost if this is given up.
    pub(crate) async fn pass(&mut self) -> io::Result<()> {
        let (mut reader, mut writer) = self.stream.split();
        self.input.reserve(ROOM);
        tokio::select! {
            read = reader.read_buf(&mut self.input) => match read? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            },
            written = writer.write_buf(&mut self.output), if !self.output.is_empty() => written.map(drop),
        }
    }

    /// The next whole binary frame that was read. Anything else ends the connection, as a close frame does.
    pub(crate) fn frame(&mut self) -> io::Result<Option<BytesMut>> {
        let (header, len) = match *self.input {
            [0x82, len @ 0..126, ..] => (2, usize::from(len)),
            [0x82, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
            [0x82, 126, ..] | [0x82] | [] => return Ok(None),
            _ => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        if self.input.len() < header + len {
            return Ok(None);
        }
        self.input.advance(header);
        let frame = self.input.split_to(len);
        if self.input.is_empty() {
            // What waits for the next one is taken when that comes.
            self.input = BytesMut::new();
        }
        Ok(Some(frame))
    }
}
