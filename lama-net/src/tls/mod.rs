//! TLS between socket and WebSocket, for `wss://`: rustls moves bytes in memory only, so one implementation serves every
//! runtime. It lies inside the [`Guard`](crate::guard::Guard), below its bounds on frames.
//!
//! The session inside is authenticated by itself (`security.md` 3): TLS hides from the network which host is spoken to and
//! what kind of traffic it is, and gets through where only HTTPS does. Nobody is trusted because of a certificate.

mod client;
mod inspect;
mod server;

use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::task::{Poll, ready};

use lama_node::TlsFault;
use rustls::{Connection, Error};

use crate::runtime::Wire;
use crate::upgrade::write_all;

pub use client::TlsClient;
pub use inspect::{CertificateFault, inspect_certificate};
pub use server::{TlsFilesError, TlsServer};

/// The label of the exporter to which a registration at a relay is bound.
const EXPORTER: &[u8] = b"EXPORTER-LAMA-relay";
/// What is said over TLS.
const ALPN: &[u8] = b"http/1.1";
/// Read at once during the handshake.
const READ: usize = 4096;

/// A connection whose handshake is done.
#[derive(Debug)]
pub(crate) struct Tls {
    connection: Connection,
    exporter: Option<[u8; 32]>,
    closing: bool,
}

impl Tls {
    /// The next bytes of the peer; none: it has said that there are no more.
    pub(crate) fn read(
        &mut self,
        buf: &mut [u8],
        socket: &mut dyn FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.connection.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end without word is an error: somebody may have cut the connection.
                result => return Poll::Ready(result),
            }
            ready!(blocking(self.connection.read_tls(&mut From(socket))))?;
            self.connection.process_new_packets().map_err(invalid)?;
        }
    }

    /// Takes some of `buf`. What it was turned into may wait here until the next write or flush.
    pub(crate) fn write(
        &mut self,
        buf: &[u8],
        socket: &mut dyn FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        // So no more than one write waits.
        ready!(self.flush(socket))?;
        let taken = self.connection.writer().write(buf)?;
        match self.flush(socket) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    /// Hands all that was written to the socket.
    pub(crate) fn flush(
        &mut self,
        socket: &mut dyn FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            if ready!(blocking(self.connection.write_tls(&mut To(socket))))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more comes, and hands that to the socket.
    pub(crate) fn close(
        &mut self,
        socket: &mut dyn FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        if !self.closing {
            self.closing = true;
            self.connection.send_close_notify();
        }
        self.flush(socket)
    }

    /// What only the two ends of this connection can compute; `None`: its version does not bind it to the handshake.
    pub(crate) const fn exporter(&self) -> Option<[u8; 32]> {
        self.exporter
    }
}

/// Shakes hands over a bare connection, and puts TLS into it. The caller brings the deadline.
pub(crate) async fn handshake<W: Wire>(wire: &mut W, mut connection: Connection) -> Result<(), TlsFault> {
    let mut buf = [0; READ];
    loop {
        say(wire, &mut connection).await?;
        if !connection.is_handshaking() {
            break;
        }
        let read = poll_fn(|cx| wire.poll_read(cx, &mut buf)).await.map_err(|_| TlsFault::Lost)?;
        let mut rest = buf.get(..read).unwrap_or_default();
        if rest.is_empty() {
            return Err(TlsFault::Lost);
        }
        while !rest.is_empty() {
            connection.read_tls(&mut rest).map_err(|_| TlsFault::NotTls)?;
            if let Err(error) = connection.process_new_packets() {
                // The alert that tells the other end; whether it arrives changes nothing.
                let _ = say(wire, &mut connection).await;
                tracing::debug!(%error, "no TLS connection");
                return Err(client::fault(&error));
            }
        }
    }
    let bound = connection.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    let exporter = connection.export_keying_material([0; 32], EXPORTER, None).ok().filter(|_| bound);
    wire.guard().encrypt(Box::new(Tls { connection, exporter, closing: false }));
    Ok(())
}

async fn say<W: Wire>(wire: &mut W, connection: &mut Connection) -> Result<(), TlsFault> {
    let mut out = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut out).map_err(|_| TlsFault::Lost)?;
    }
    write_all(wire, &out).await.map_err(|_| TlsFault::Lost)
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// rustls speaks to a socket as if that never said "not now" but by an error.
fn blocking(result: io::Result<usize>) -> Poll<io::Result<usize>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

struct From<'a>(&'a mut dyn FnMut(&mut [u8]) -> Poll<io::Result<usize>>);

impl io::Read for From<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match (self.0)(buf) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

struct To<'a>(&'a mut dyn FnMut(&[u8]) -> Poll<io::Result<usize>>);

impl io::Write for To<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match (self.0)(buf) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
