//! A client of a relay on a bare socket.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use lama_core::Seed;
use lama_identity::SignSecret;
use lama_relay::wire::{FromClient, FromRelay, Hello, Register};
use lama_relay::{Binding, RouteId, register_input};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{HOST, websocket};

static SEEDS: AtomicU64 = AtomicU64::new(1);

/// Another one with every call.
pub(crate) fn seed() -> Seed {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&SEEDS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Seed::danger_fixed(bytes)
}

/// The n-th address of this machine.
pub(crate) fn source(n: usize) -> Ipv4Addr {
    websocket::source(u32::try_from(n).unwrap())
}

/// REGISTER as an answer to HELLO.
pub(crate) fn register(hello: &Hello, key: &SignSecret) -> Vec<u8> {
    let exp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 60;
    let binding = Binding { hello, host: HOST, exporter: &[0; 32] };
    let (route_key, nonce) = (*key.public().as_bytes(), [7; 32]);
    let signature = key.sign_input(&register_input(&binding, &route_key, &nonce, exp));
    FromClient::Register(Register { route_key, nonce, exp, signature }).to_bytes().to_vec()
}

pub(crate) struct Raw(TcpStream);

impl Raw {
    /// Up to the open WebSocket.
    pub(crate) async fn open(from: Ipv4Addr, port: u16) -> io::Result<Self> {
        Ok(Self(websocket::open(from, port, HOST, "lama-relay.1").await?))
    }

    pub(crate) async fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::new();
        websocket::put_frame(payload, &mut frame);
        self.0.write_all(&frame).await
    }

    /// The next frame of the relay.
    pub(crate) async fn receive(&mut self) -> io::Result<FromRelay> {
        let first = self.0.read_u8().await?;
        let len = self.0.read_u8().await?;
        if first != 0x82 || len >= 126 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut payload = vec![0; usize::from(len)];
        self.0.read_exact(&mut payload).await?;
        FromRelay::read(&payload).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// The next frame that is no PING; those are answered.
    pub(crate) async fn next(&mut self) -> io::Result<FromRelay> {
        loop {
            match self.receive().await? {
                FromRelay::Ping(number) => self.send(&FromClient::Pong(number).to_bytes()).await?,
                FromRelay::Terms(_) => {}
                other => return Ok(other),
            }
        }
    }

    /// A registered connection.
    pub(crate) async fn registered(from: Ipv4Addr, port: u16, key: &SignSecret) -> io::Result<Self> {
        let mut raw = Self::open(from, port).await?;
        let FromRelay::Hello(hello) = raw.receive().await? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        raw.send(&register(&hello, key)).await?;
        match raw.receive().await? {
            FromRelay::Confirm(_) => Ok(raw),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    /// Calls a route and waits until the call stands.
    pub(crate) async fn call(from: Ipv4Addr, port: u16, route: RouteId) -> io::Result<Self> {
        let mut raw = Self::open(from, port).await?;
        raw.send(&FromClient::Ring(route).to_bytes()).await?;
        loop {
            match raw.receive().await? {
                FromRelay::Hello(_) => {}
                FromRelay::Connected => return Ok(raw),
                _ => return Err(io::ErrorKind::ConnectionRefused.into()),
            }
        }
    }

    /// Waits for a call, takes it, and hangs up with its caller, who says nothing else.
    pub(crate) async fn take_call(mut self) -> io::Result<()> {
        while self.next().await? != FromRelay::Incoming {}
        self.send(&FromClient::Accept.to_bytes()).await?;
        let _ = self.0.read_u8().await;
        Ok(())
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.0
    }
}
