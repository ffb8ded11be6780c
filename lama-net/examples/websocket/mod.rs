//! The client's side of a WebSocket on a bare socket, from an address of one's choice: what costs little itself, and may
//! misbehave.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::BufMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// The n-th address of this machine, of some 16 million: the limits count those of each.
pub(crate) fn source(n: u32) -> Ipv4Addr {
    let [_, a, b, c] = (n % 0x00fe_0000 + 0x1_0000).to_be_bytes();
    Ipv4Addr::new(127, a, b, c)
}

/// A connection from that address, which says nothing.
pub(crate) async fn connect(from: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Up to the open WebSocket.
pub(crate) async fn open(from: Ipv4Addr, port: u16, host: &str, protocol: &str) -> io::Result<TcpStream> {
    let mut stream = connect(from, port).await?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut last = [0; 4];
    while last != *b"\r\n\r\n" {
        last.rotate_left(1);
        last[3] = stream.read_u8().await?;
    }
    Ok(stream)
}

/// Appends a binary frame of less than 65,536 bytes, with a mask of zeros.
pub(crate) fn put_frame(payload: &[u8], out: &mut impl BufMut) {
    match u8::try_from(payload.len()) {
        Ok(len @ 0..126) => out.put_slice(&[0x82, 0x80 | len]),
        _ => {
            out.put_slice(&[0x82, 0x80 | 126]);
            out.put_u16(u16::try_from(payload.len()).unwrap());
        }
    }
    out.put_slice(&[0; 4]);
    out.put_slice(payload);
}
