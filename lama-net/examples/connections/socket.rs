//! A WebSocket client on a bare socket from an address of one's choice, which holds almost nothing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// What is read at once, at least.
const ROOM: usize = 1024;

static SOURCES: AtomicU32 = AtomicU32::new(0);

/// Another address of this machine with every call, of some 16 million: the limits count those of each.
pub(crate) fn source() -> Ipv4Addr {
    let n = SOURCES.fetch_add(1, Ordering::Relaxed) % 0x00fe_0000;
    let [_, a, b, c] = (n + 0x1_0000).to_be_bytes();
    Ipv4Addr::new(127, a, b, c)
}

pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    input: BytesMut,
    pub(crate) output: BytesMut,
}

impl Socket {
    /// A connection from that address, which says nothing.
    pub(crate) async fn bare(port: u16, from: Ipv4Addr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Up to the open WebSocket.
    pub(crate) async fn open(port: u16, from: Ipv4Addr) -> io::Result<Self> {
        let mut stream = Self::bare(port, from).await?;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: lama.1\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut last = [0; 4];
        while last != *b"\r\n\r\n" {
            last.rotate_left(1);
            last[3] = stream.read_u8().await?;
        }
        Ok(Self { stream, input: BytesMut::new(), output: BytesMut::new() })
    }

    /// Queues a binary frame of less than 65,536 bytes, with a mask of zeros.
    pub(crate) fn queue(&mut self, payload: &[u8]) {
        match u8::try_from(payload.len()) {
            Ok(len @ 0..126) => self.output.extend_from_slice(&[0x82, 0x80 | len]),
            _ => {
                self.output.extend_from_slice(&[0x82, 0x80 | 126]);
                self.output.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        self.output.extend_from_slice(&[0; 4]);
        self.output.extend_from_slice(payload);
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
