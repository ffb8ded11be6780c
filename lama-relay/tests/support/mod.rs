//! A relay with raw links and virtual time, for the tests of its rules.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lama_core::{Instant, Now, Seed, WallTime};
use lama_identity::SignSecret;
use lama_invite::Source;
use lama_relay::wire::{FromClient, FromRelay, Hello, Register};
use lama_relay::{
    Binding, Config, LinkId, RelayError, RouteId, Server, ServerInput, ServerOutput, register_input,
};

/// The wall clock at the origin.
pub const WALL: u64 = 1_900_000_000;

pub fn seed(number: u64) -> Seed {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Seed::danger_fixed(bytes)
}

pub fn key(number: u64) -> SignSecret {
    SignSecret::from_seed(seed(number))
}

/// The key of the relay in all tests.
pub fn relay_key() -> SignSecret {
    key(1_000_000)
}

pub fn route_of(key: &SignSecret) -> RouteId {
    RouteId::of(key.public())
}

pub fn source(n: u8) -> Source {
    Source::new([n; 16])
}

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What happened on one link.
#[derive(Default)]
pub struct Seen {
    /// Every frame, and when.
    pub frames: Vec<(Duration, Bytes)>,
    /// When it was closed, and why.
    pub closed: Option<(Duration, Option<RelayError>)>,
}

/// A relay whose links have room always, unless a test takes it away.
pub struct World {
    pub server: Server,
    pub now: Duration,
    pub seen: BTreeMap<LinkId, Seen>,
    /// Links without room.
    pub full: Vec<LinkId>,
    pub drained: bool,
    next: u64,
    key: SignSecret,
}

impl World {
    pub fn new(config: Config) -> Self {
        let key = relay_key();
        let server = Server::new(config, *key.public(), &["relay.example", "localhost"]);
        Self {
            server,
            now: Duration::ZERO,
            seen: BTreeMap::new(),
            full: Vec::new(),
            drained: false,
            next: 0,
            key,
        }
    }

    pub fn at(&self) -> Now {
        Now {
            mono: Instant::from_origin(self.now),
            wall: WallTime(WALL * 1000 + u64::try_from(self.now.as_millis()).unwrap()),
        }
    }

    pub fn input(&mut self, input: ServerInput) {
        self.server.handle(self.at(), input).unwrap();
        self.run();
    }

    /// Outputs, and frames to links that have room.
    pub fn run(&mut self) {
        loop {
            while let Some(output) = self.server.poll() {
                match output {
                    ServerOutput::Sign { ticket, bytes } => {
                        let signature = Some(self.key.sign_input(&bytes));
                        self.server.handle(self.at(), ServerInput::Signed { ticket, signature }).unwrap();
                    }
                    ServerOutput::Close { link, why } => {
                        let seen = self.seen.entry(link).or_default();
                        assert!(seen.closed.is_none(), "closed twice");
                        seen.closed = Some((self.now, why));
                    }
                    ServerOutput::Drained => self.drained = true,
                }
            }
            let Some(link) = self.server.next_ready_link() else { return };
            self.flush(link);
        }
    }

    /// Takes what a link is owed, if it has room.
    pub fn flush(&mut self, link: LinkId) {
        if self.full.contains(&link) {
            return;
        }
        while let Some(frame) = self.server.poll_frame(link) {
            self.seen.entry(link).or_default().frames.push((self.now, frame));
        }
    }

    /// Lets time pass, with every timer at its moment.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.server.poll_timeout().map(Instant::since_origin).filter(|due| *due <= end)
        {
            self.now = self.now.max(due);
            self.server.handle_timeout(self.at()).unwrap();
            self.run();
        }
        self.now = end;
    }

    /// A connection from `from` to `host`.
    pub fn connect_to(&mut self, from: u8, host: &str) -> LinkId {
        let link = LinkId(self.next);
        self.next += 1;
        self.seen.insert(link, Seen::default());
        let input = ServerInput::LinkUp {
            link,
            source: source(from),
            host: host.into(),
            exporter: None,
            seed: seed(link.0 + 5000),
        };
        self.input(input);
        link
    }

    pub fn connect(&mut self, from: u8) -> LinkId {
        self.connect_to(from, "relay.example")
    }

    pub fn send(&mut self, link: LinkId, frame: impl AsRef<[u8]>) {
        self.input(ServerInput::Frame { link, frame: BytesMut::from(frame.as_ref()) });
    }

    pub fn down(&mut self, link: LinkId) {
        self.input(ServerInput::LinkDown { link });
    }

    /// What HELLO said on a link.
    pub fn hello(&self, link: LinkId) -> Hello {
        match FromRelay::read(&self.seen[&link].frames[0].1) {
            Ok(FromRelay::Hello(hello)) => hello,
            other => panic!("{other:?}"),
        }
    }

    /// A right REGISTER for a link.
    pub fn proof(&self, link: LinkId, key: &SignSecret) -> Register {
        let hello = self.hello(link);
        let binding = Binding { hello: &hello, host: "relay.example", exporter: &[0; 32] };
        let (route_key, nonce, exp) = (*key.public().as_bytes(), [3; 32], self.at().wall.unix_seconds() + 60);
        let signature = key.sign_input(&register_input(&binding, &route_key, &nonce, exp));
        Register { route_key, nonce, exp, signature }
    }

    /// A registered connection.
    pub fn register(&mut self, from: u8, key: &SignSecret) -> LinkId {
        let link = self.connect(from);
        let register = self.proof(link, key);
        self.send(link, FromClient::Register(register).to_bytes());
        link
    }

    /// A caller of a route.
    pub fn ring(&mut self, from: u8, route: RouteId) -> LinkId {
        let link = self.connect(from);
        self.send(link, FromClient::Ring(route).to_bytes());
        link
    }

    /// A call that stands: callee, caller.
    pub fn call(&mut self, key: &SignSecret) -> (LinkId, LinkId) {
        let callee = self.register(1, key);
        let caller = self.ring(2, route_of(key));
        self.send(callee, FromClient::Accept.to_bytes());
        (callee, caller)
    }

    /// The frames of a link since HELLO, read.
    pub fn said(&self, link: LinkId) -> Vec<FromRelay> {
        self.seen[&link].frames.iter().skip(1).map(|(_, frame)| FromRelay::read(frame).unwrap()).collect()
    }

    /// The frames of a link behind the first `skip`, as they came.
    pub fn raw(&self, link: LinkId, skip: usize) -> Vec<Bytes> {
        self.seen[&link].frames.iter().skip(skip).map(|(_, frame)| frame.clone()).collect()
    }

    pub fn closed(&self, link: LinkId) -> Option<RelayError> {
        self.seen[&link].closed.clone().and_then(|(_, why)| why)
    }

    pub fn is_closed(&self, link: LinkId) -> bool {
        self.seen[&link].closed.is_some()
    }

    /// When a link was told `unavailable`.
    pub fn refused_at(&self, link: LinkId) -> Option<Duration> {
        let frames = &self.seen[&link].frames;
        frames.iter().find(|(_, frame)| frame == &FromRelay::Unavailable.to_bytes()).map(|(at, _)| *at)
    }
}
