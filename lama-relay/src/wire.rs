//! The frames: one WebSocket binary message each, every one of a fixed length. `docs/protocol/relay.md` has the tables.

use bytes::{BufMut, Bytes, BytesMut};
use lama_identity::Signature;

use crate::{RelayError, RouteId};

/// The version in HELLO. Another number is another protocol.
pub const VERSION: u8 = 1;
/// Length of HELLO.
pub const HELLO_LEN: usize = 67;
/// Length of REGISTER: the longest frame that a client sends before it is spliced.
pub const REGISTER_LEN: usize = 137;
/// Length of CONFIRM.
pub const CONFIRM_LEN: usize = 65;
/// Length of TERMS.
pub const TERMS_LEN: usize = 8;
/// Length of PING and of PONG.
pub const PING_LEN: usize = 9;
/// Length of RING.
pub const RING_LEN: usize = 33;
/// Longest message that a splice carries: one of the session's.
pub const MAX_MESSAGE: usize = 65_535;

const HELLO: u8 = 0x01;
const REGISTER: u8 = 0x02;
const CONFIRM: u8 = 0x03;
const TERMS: u8 = 0x04;
const PING: u8 = 0x05;
const PONG: u8 = 0x06;
const RING: u8 = 0x07;
const INCOMING: u8 = 0x08;
const ACCEPT: u8 = 0x09;
const CONNECTED: u8 = 0x0a;
const UNAVAILABLE: u8 = 0x0b;

/// What a relay says of itself, first thing on every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Its Ed25519 key, which routes pin.
    pub relay_key: [u8; 32],
    /// Fresh for this connection.
    pub nonce: [u8; 32],
    /// Whether TLS ends at the relay itself, so that proofs are bound to its exporter. Whoever stands between gains nothing
    /// by changing it: both proofs are over what each side sees.
    pub tls: bool,
}

/// How an instance asks for calls to its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    /// The Ed25519 key of the route.
    pub route_key: [u8; 32],
    /// Fresh for this connection.
    pub nonce: [u8; 32],
    /// Until when the proof is good, in seconds since the Unix epoch.
    pub exp: u64,
    /// By the route key, over [`crate::register_input`].
    pub signature: Signature,
}

/// How things stand with a route, told with every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Connections that are registered for this route, this one too.
    pub links: u8,
    /// How many there may be.
    pub max_links: u8,
    /// Seconds from one PING to the next.
    pub ping: u16,
    /// Seconds of silence after which either side gives the connection up.
    pub idle: u16,
    /// The relay is about to stop: register elsewhere.
    pub draining: bool,
}

/// What a relay sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromRelay {
    /// First, to everybody.
    Hello(Hello),
    /// The registration stands: by the relay's key, over [`crate::confirm_input`].
    Confirm(Signature),
    /// How things stand.
    Terms(Terms),
    /// Is the connection alive?
    Ping(u64),
    /// Somebody rings. The next message after ACCEPT is the caller's.
    Incoming,
    /// The other side has accepted. The next message is the other side's.
    Connected,
    /// No call, no registration; why is not said.
    Unavailable,
}

/// What a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromClient {
    /// Asks for calls.
    Register(Register),
    /// Answers PING with its number.
    Pong(u64),
    /// Calls a route.
    Ring(RouteId),
    /// Takes a call.
    Accept,
}

impl FromRelay {
    /// Reads a frame.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn read(frame: &[u8]) -> Result<Self, RelayError> {
        let (kind, body) = split(frame)?;
        let wrong = RelayError::WrongLength { kind, len: frame.len() };
        match kind {
            HELLO => {
                let [version, tls, rest @ ..] = exactly::<{ HELLO_LEN - 1 }>(body, wrong)?;
                if *version != VERSION {
                    return Err(RelayError::UnknownVersion { version: *version });
                }
                let (tls, (relay_key, nonce)) = (flag(*tls)?, halves(rest));
                Ok(Self::Hello(Hello { relay_key, nonce, tls }))
            }
            CONFIRM => Ok(Self::Confirm(Signature(*exactly(body, wrong)?))),
            TERMS => {
                let [links, max_links, ping @ .., i0, i1, draining] =
                    exactly::<{ TERMS_LEN - 1 }>(body, wrong)?;
                let draining = flag(*draining)?;
                let (ping, idle) = (u16::from_be_bytes(*ping), u16::from_be_bytes([*i0, *i1]));
                Ok(Self::Terms(Terms { links: *links, max_links: *max_links, ping, idle, draining }))
            }
            PING => Ok(Self::Ping(u64::from_be_bytes(*exactly(body, wrong)?))),
            INCOMING => exactly::<0>(body, wrong).map(|_| Self::Incoming),
            CONNECTED => exactly::<0>(body, wrong).map(|_| Self::Connected),
            UNAVAILABLE => exactly::<0>(body, wrong).map(|_| Self::Unavailable),
            REGISTER | PONG | RING | ACCEPT => Err(RelayError::OutOfTurn { kind }),
            _ => Err(RelayError::UnknownFrame { kind }),
        }
    }

    /// The frame.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let mut out = BytesMut::with_capacity(HELLO_LEN);
        match self {
            Self::Hello(hello) => {
                out.put_slice(&[HELLO, VERSION, u8::from(hello.tls)]);
                out.put_slice(&hello.relay_key);
                out.put_slice(&hello.nonce);
            }
            Self::Confirm(signature) => {
                out.put_u8(CONFIRM);
                out.put_slice(&signature.0);
            }
            Self::Terms(terms) => {
                out.put_slice(&[TERMS, terms.links, terms.max_links]);
                out.put_u16(terms.ping);
                out.put_u16(terms.idle);
                out.put_u8(u8::from(terms.draining));
            }
            Self::Ping(number) => {
                out.put_u8(PING);
                out.put_u64(number);
            }
            Self::Incoming => return Bytes::from_static(&[INCOMING]),
            Self::Connected => return Bytes::from_static(&[CONNECTED]),
            Self::Unavailable => return Bytes::from_static(&[UNAVAILABLE]),
        }
        out.freeze()
    }
}

impl FromClient {
    /// Reads a frame.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn read(frame: &[u8]) -> Result<Self, RelayError> {
        let (kind, body) = split(frame)?;
        let wrong = RelayError::WrongLength { kind, len: frame.len() };
        match kind {
            REGISTER => {
                let body = exactly::<{ REGISTER_LEN - 1 }>(body, wrong.clone())?;
                let (keys, rest) = body.split_first_chunk::<64>().ok_or(wrong.clone())?;
                let (exp, signature) = rest.split_first_chunk::<8>().ok_or(wrong.clone())?;
                let (route_key, nonce) = halves(keys);
                let signature = Signature(*exactly(signature, wrong)?);
                Ok(Self::Register(Register { route_key, nonce, exp: u64::from_be_bytes(*exp), signature }))
            }
            PONG => Ok(Self::Pong(u64::from_be_bytes(*exactly(body, wrong)?))),
            RING => Ok(Self::Ring(RouteId(*exactly(body, wrong)?))),
            ACCEPT => exactly::<0>(body, wrong).map(|_| Self::Accept),
            HELLO | CONFIRM | TERMS | PING | INCOMING | CONNECTED | UNAVAILABLE => {
                Err(RelayError::OutOfTurn { kind })
            }
            _ => Err(RelayError::UnknownFrame { kind }),
        }
    }

    /// The frame.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let mut out = BytesMut::with_capacity(REGISTER_LEN);
        match self {
            Self::Register(register) => {
                out.put_u8(REGISTER);
                out.put_slice(&register.route_key);
                out.put_slice(&register.nonce);
                out.put_u64(register.exp);
                out.put_slice(&register.signature.0);
            }
            Self::Pong(number) => {
                out.put_u8(PONG);
                out.put_u64(number);
            }
            Self::Ring(route) => {
                out.put_u8(RING);
                out.put_slice(&route.0);
            }
            Self::Accept => return Bytes::from_static(&[ACCEPT]),
        }
        out.freeze()
    }

    /// The type of the frame.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Register(_) => REGISTER,
            Self::Pong(_) => PONG,
            Self::Ring(_) => RING,
            Self::Accept => ACCEPT,
        }
    }
}

impl FromRelay {
    /// The type of the frame.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => HELLO,
            Self::Confirm(_) => CONFIRM,
            Self::Terms(_) => TERMS,
            Self::Ping(_) => PING,
            Self::Incoming => INCOMING,
            Self::Connected => CONNECTED,
            Self::Unavailable => UNAVAILABLE,
        }
    }
}

fn split(frame: &[u8]) -> Result<(u8, &[u8]), RelayError> {
    frame.split_first().map(|(kind, body)| (*kind, body)).ok_or(RelayError::EmptyFrame)
}

fn flag(byte: u8) -> Result<bool, RelayError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(RelayError::BadFlag),
    }
}

fn exactly<const N: usize>(body: &[u8], wrong: RelayError) -> Result<&[u8; N], RelayError> {
    body.try_into().map_err(|_| wrong)
}

fn halves(both: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (mut first, mut second) = ([0; 32], [0; 32]);
    let (a, b) = both.split_at(32);
    first.copy_from_slice(a);
    second.copy_from_slice(b);
    (first, second)
}
