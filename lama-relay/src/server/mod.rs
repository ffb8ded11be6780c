//! The relay itself: one machine with many links.

mod link;
mod register;
mod ring;
mod routes;
mod splice;
mod stats;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use lama_core::{Clock, Instant, Now, Seed, Ticket, Tickets, Timers};
use lama_identity::{SignPublic, Signature};
use lama_invite::Source;

use crate::wire::{FromClient, FromRelay, Hello, Terms};
use crate::{Config, LinkId, RelayError, RouteId, signed_host};
use link::{Fresh, Link, Owed, Stage};
use routes::Routes;

pub use stats::Stats;

/// What the host tells a relay.
#[derive(Debug)]
pub enum ServerInput {
    /// Somebody connected.
    LinkUp {
        /// Its name from now on.
        link: LinkId,
        /// From where.
        source: Source,
        /// The host as the client named it, from the `Host` field of the upgrade.
        host: String,
        /// The exporter of the TLS connection that ends here; `None` without one.
        exporter: Option<[u8; 32]>,
        /// Entropy drawn for this link alone.
        seed: Seed,
    },
    /// One WebSocket binary message. Unknown links are ignored: they may just have been closed.
    Frame {
        /// Where it arrived.
        link: LinkId,
        /// The message.
        frame: BytesMut,
    },
    /// A WebSocket is gone. Unknown links are ignored.
    LinkDown {
        /// Which one.
        link: LinkId,
    },
    /// Answers [`ServerOutput::Sign`]. `None`: the key is not here.
    Signed {
        /// The ticket of the output.
        ticket: Ticket,
        /// Over exactly the bytes of the output.
        signature: Option<Signature>,
    },
    /// Stop: no new registrations and calls; those under way have [`Config::drain`] to end.
    Drain,
}

/// What a relay asks of its host.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerOutput {
    /// Sign exactly these bytes with the relay's key (the label is in them already).
    Sign {
        /// Goes back with [`ServerInput::Signed`].
        ticket: Ticket,
        /// What to sign.
        bytes: Vec<u8>,
    },
    /// Nothing more will be read from this link. Take what [`Server::poll_frame`] still has for it, send that, then close
    /// the WebSocket with code 1000 and no reason.
    Close {
        /// Which one.
        link: LinkId,
        /// For this side's log and counters; never for the wire. `None`: the other end of its call has closed.
        why: Option<RelayError>,
    },
    /// After [`ServerInput::Drain`]: no link is left.
    Drained,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Link(LinkId),
    Route(RouteId),
    Drain,
}

/// A relay. See the [crate's front page](crate) for its loop.
#[derive(Debug)]
pub struct Server {
    config: Config,
    key: SignPublic,
    hosts: Vec<String>,
    clock: Clock,
    tickets: Tickets,
    signing: BTreeMap<Ticket, LinkId>,
    links: BTreeMap<LinkId, Link>,
    routes: Routes,
    timers: Timers<Timer>,
    ready: BTreeSet<LinkId>,
    out: VecDeque<ServerOutput>,
    pings: u64,
    draining: bool,
    drained: bool,
    stats: Stats,
}

impl Server {
    /// A relay with this key, under these host names (the first is the one it is known by).
    #[must_use]
    pub fn new(config: Config, key: SignPublic, hosts: &[&str]) -> Self {
        Self {
            config,
            key,
            hosts: hosts.iter().map(|host| signed_host(host)).collect(),
            clock: Clock::default(),
            tickets: Tickets::default(),
            signing: BTreeMap::new(),
            links: BTreeMap::new(),
            routes: Routes::default(),
            timers: Timers::default(),
            ready: BTreeSet::new(),
            out: VecDeque::new(),
            pings: 0,
            draining: false,
            drained: false,
            stats: Stats::default(),
        }
    }

    /// Takes one input. Never builds a frame.
    ///
    /// # Errors
    /// [`RelayError::LinkTwice`], [`RelayError::UnknownTicket`]: the host misuses the machine, which goes on all the same.
    /// What is wrong with a link is an output.
    pub fn handle(&mut self, now: Now, input: ServerInput) -> Result<(), RelayError> {
        let now = self.clock.advance(now);
        match input {
            ServerInput::LinkUp { link, source, host, exporter, seed } => {
                self.link_up(link, source, &host, exporter, &seed)?;
            }
            ServerInput::Frame { link, frame } => {
                if let Err(why) = self.frame(link, frame, now) {
                    self.close(link, Some(why));
                }
            }
            ServerInput::LinkDown { link } => self.link_down(link),
            ServerInput::Signed { ticket, signature } => {
                let link = self.signing.remove(&ticket).ok_or(RelayError::UnknownTicket(ticket))?;
                self.confirmed(link, signature);
            }
            ServerInput::Drain => self.drain(),
        }
        self.settle();
        Ok(())
    }

    /// Tells the relay that time has passed; a call before [`Server::poll_timeout`] does nothing.
    ///
    /// # Errors
    /// None; the result is the machine contract's.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), RelayError> {
        let now = self.clock.advance(now);
        while let Some(timer) = self.timers.pop(now.mono) {
            match timer {
                Timer::Link(link) => self.link_timer(link),
                Timer::Route(route) => self.route_left(route),
                Timer::Drain => self.cut(),
            }
        }
        self.settle();
        Ok(())
    }

    /// The next effect, in order.
    pub fn poll(&mut self) -> Option<ServerOutput> {
        self.out.pop_front()
    }

    /// The next frame for a link. Call it only when that link has room: a frame that was taken must be sent.
    pub fn poll_frame(&mut self, id: LinkId) -> Option<Bytes> {
        let owed = self.links.get(&id)?.owed.first();
        let frame = match owed {
            Some(one) => self.build(id, one),
            None => self.spliced_frame(id),
        };
        if frame.is_some() {
            self.ready.insert(id);
        }
        frame
    }

    /// A link that may have frames to send, or from which may be read again. One that was named is not named again before
    /// something new happened on it: poll a named link, when it has room, until there is no frame.
    pub fn next_ready_link(&mut self) -> Option<LinkId> {
        self.ready.pop_first()
    }

    /// When [`Server::handle_timeout`] wants to be called; the last reading while [`Server::poll`] would yield.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.out.is_empty() { self.timers.next() } else { Some(self.clock.latest().mono) }
    }

    /// Whether another message may be read from this link: not from a caller before the call is accepted, and not while
    /// the other end of its call has no room. Unknown links: `true`, their messages are ignored.
    pub fn wants_input(&mut self, id: LinkId) -> bool {
        let wants = match self.links.get(&id).map(|link| &link.stage) {
            Some(Stage::Ringing { .. } | Stage::Signing(_) | Stage::Refused { .. }) => false,
            // What answers HELLO cannot come before it has left; RING may, and waits.
            Some(Stage::Fresh(_)) => !self.owes(id, Owed::HELLO),
            Some(Stage::Spliced(splice)) => self
                .links
                .get(&splice.other)
                .and_then(Link::splice)
                .is_none_or(|other| other.queued < self.config.splice_buffer),
            _ => true,
        };
        if let Some(link) = self.links.get_mut(&id) {
            link.held = !wants;
        }
        wants
    }

    /// The longest message that may be read from this link now. The host closes the link on a longer one, before it
    /// allocates; the relay refuses it in any case.
    #[must_use]
    pub fn frame_limit(&self, id: LinkId) -> usize {
        self.links.get(&id).map_or(0, Link::frame_limit)
    }

    /// Whether this link has proved a route, or is part of a call: it no longer counts as a stranger's.
    #[must_use]
    pub fn is_settled(&self, id: LinkId) -> bool {
        self.links.get(&id).is_some_and(|link| link.spare().is_some() || link.splice().is_some())
    }

    /// What is here, and what has happened since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            links: self.links.len(),
            routes: self.routes.by_id.values().filter(|route| !route.links.is_empty()).count(),
            splices: self.splices(),
            draining: self.draining,
            ..self.stats
        }
    }

    fn link_up(
        &mut self,
        id: LinkId,
        source: Source,
        host: &str,
        exporter: Option<[u8; 32]>,
        seed: &Seed,
    ) -> Result<(), RelayError> {
        if self.links.contains_key(&id) {
            return Err(RelayError::LinkTwice);
        }
        let host = signed_host(host);
        let known = self.hosts.iter().position(|known| *known == host);
        let why = match known {
            _ if self.draining => Some(RelayError::Draining),
            _ if self.links.len() >= self.config.links => Some(RelayError::TooManyLinks),
            None => Some(RelayError::UnknownHost),
            Some(_) => None,
        };
        let nonce = *seed.derive("relay/hello");
        let hello = Hello { relay_key: *self.key.as_bytes(), nonce, tls: exporter.is_some() };
        let fresh = Fresh { hello, host: known.unwrap_or_default(), exporter: exporter.unwrap_or_default() };
        let mut link = Link { source, stage: Stage::Fresh(fresh.into()), owed: Owed::default(), held: false };
        if why.is_none() {
            link.owed.add(Owed::HELLO);
            self.ready.insert(id);
            self.due(id, self.clock.latest().mono + self.config.half_open);
        }
        self.links.insert(id, link);
        if why.is_some() {
            self.close(id, why);
        }
        Ok(())
    }

    fn frame(&mut self, id: LinkId, frame: BytesMut, now: Now) -> Result<(), RelayError> {
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        if matches!(link.stage, Stage::Spliced(_)) {
            return self.carry(id, frame.freeze(), now.mono);
        }
        if matches!(link.stage, Stage::Closing(_)) {
            return Ok(());
        }
        let frame = FromClient::read(&frame)?;
        if link.owed.has(Owed::HELLO) {
            return Err(RelayError::OutOfTurn { kind: frame.kind() });
        }
        match (frame, &mut link.stage) {
            (FromClient::Register(register), Stage::Fresh(_)) => self.register(id, register, now),
            (FromClient::Ring(route), Stage::Fresh(_)) => {
                self.ring(id, route, now.mono);
                Ok(())
            }
            (FromClient::Pong(number), Stage::Idle(spare) | Stage::Rung { spare, .. }) => {
                if number == 0 || number > spare.ping {
                    return Err(RelayError::PongUnasked);
                }
                if number == spare.ping {
                    spare.heard = now.mono;
                }
                Ok(())
            }
            (FromClient::Accept, Stage::Rung { caller, .. }) => {
                let caller = *caller;
                self.accept(id, caller, now.mono);
                Ok(())
            }
            (frame, _) => Err(RelayError::OutOfTurn { kind: frame.kind() }),
        }
    }

    fn link_timer(&mut self, id: LinkId) {
        let now = self.clock.latest().mono;
        let Some(link) = self.links.get_mut(&id) else { return };
        match &mut link.stage {
            Stage::Idle(spare) => {
                if now.since(spare.heard) >= self.config.idle {
                    return self.close(id, Some(RelayError::Silent));
                }
                self.pings += 1;
                spare.ping = self.pings;
                let due = (now + self.config.ping).min(spare.heard + self.config.idle);
                self.owe(id, Owed::PING);
                self.due(id, due);
            }
            Stage::Refused { why } => {
                let why = why.clone();
                self.refuse_now(id, why);
            }
            Stage::Ringing { .. } => {
                self.stats.rings_unanswered += 1;
                self.refuse_now(id, RelayError::HalfOpen);
            }
            Stage::Spliced(_) => self.splice_timer(id, now),
            Stage::Fresh(_) | Stage::Signing(_) | Stage::Rung { .. } => {
                self.close(id, Some(RelayError::HalfOpen));
            }
            Stage::Closing(_) => {}
        }
    }

    /// Builds one frame that is owed.
    fn build(&mut self, id: LinkId, one: Owed) -> Option<Bytes> {
        let terms = self.terms(id);
        let link = self.links.get_mut(&id)?;
        link.owed.remove(one);
        let frame = match one {
            Owed::HELLO => match &link.stage {
                Stage::Fresh(fresh) => FromRelay::Hello(fresh.hello),
                _ => return self.poll_frame(id),
            },
            Owed::CONFIRM => match link.spare_mut().and_then(|spare| spare.confirm.take()) {
                Some(signature) => FromRelay::Confirm(*signature),
                None => return self.poll_frame(id),
            },
            Owed::TERMS => FromRelay::Terms(terms),
            Owed::PING => match link.spare() {
                Some(spare) => FromRelay::Ping(spare.ping),
                None => return self.poll_frame(id),
            },
            Owed::INCOMING => FromRelay::Incoming,
            Owed::CONNECTED => FromRelay::Connected,
            _ => FromRelay::Unavailable,
        };
        Some(frame.to_bytes())
    }

    fn terms(&self, id: LinkId) -> Terms {
        let route = self.links.get(&id).and_then(Link::route).and_then(|route| self.routes.by_id.get(&route));
        let seconds = |duration: core::time::Duration| u16::try_from(duration.as_secs()).unwrap_or(u16::MAX);
        Terms {
            links: u8::try_from(route.map_or(0, |route| route.links.len())).unwrap_or(u8::MAX),
            max_links: u8::try_from(self.config.links_per_route).unwrap_or(u8::MAX),
            ping: seconds(self.config.ping),
            idle: seconds(self.config.idle),
            draining: self.draining,
        }
    }

    /// A link is to be sent a frame when it has room.
    fn owe(&mut self, id: LinkId, one: Owed) {
        if let Some(link) = self.links.get_mut(&id) {
            link.owed.add(one);
            self.ready.insert(id);
        }
    }

    fn owes(&self, id: LinkId, one: Owed) -> bool {
        self.links.get(&id).is_some_and(|link| link.owed.has(one))
    }

    fn due(&mut self, id: LinkId, at: Instant) {
        self.timers.set(Timer::Link(id), Some(at));
    }

    /// A link has to be read from again, if it was held.
    fn release(&mut self, id: LinkId) {
        if self.links.get(&id).is_some_and(|link| link.held) {
            self.ready.insert(id);
        }
    }

    /// Ends a link; what hangs on it is told.
    fn close(&mut self, id: LinkId, why: Option<RelayError>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if matches!(link.stage, Stage::Closing(_)) {
            return;
        }
        let rest = match &mut link.stage {
            Stage::Spliced(splice) => core::mem::take(&mut splice.queue),
            _ => VecDeque::new(),
        };
        let stage = core::mem::replace(&mut link.stage, Stage::Closing(rest));
        // What was promised to a caller still leaves, the rest has no sense any more.
        for one in [Owed::HELLO, Owed::CONFIRM, Owed::PING, Owed::INCOMING] {
            link.owed.remove(one);
        }
        self.timers.set(Timer::Link(id), None);
        self.ready.insert(id);
        self.stats.count_close(why.as_ref());
        self.out.push_back(ServerOutput::Close { link: id, why });
        self.let_go(id, stage);
    }

    fn link_down(&mut self, id: LinkId) {
        self.timers.set(Timer::Link(id), None);
        self.ready.remove(&id);
        if let Some(link) = self.links.remove(&id) {
            self.let_go(id, link.stage);
        }
    }

    /// What hangs on a link that is no more.
    fn let_go(&mut self, id: LinkId, stage: Stage) {
        match stage {
            Stage::Idle(spare) => self.unregister(id, spare.route),
            Stage::Rung { spare, caller } => {
                self.unregister(id, spare.route);
                self.ring_on(caller);
            }
            Stage::Ringing { route, callee, .. } => {
                if let Some(route) = self.routes.by_id.get_mut(&route) {
                    route.pending.retain(|waiting| *waiting != id);
                }
                // It was told of the call; a fresh connection knows nothing of it.
                if let Some(callee) = callee {
                    self.close(callee, None);
                }
                self.route_left(route);
            }
            Stage::Spliced(splice) => {
                self.end_splice(&splice);
            }
            _ => {}
        }
    }

    fn drain(&mut self) {
        if self.draining {
            return;
        }
        self.draining = true;
        self.timers.set(Timer::Drain, Some(self.clock.latest().mono + self.config.drain));
        let open: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.splice().is_none()).map(|(id, _)| *id).collect();
        for id in open {
            if self.links.get(&id).is_some_and(|link| link.spare().is_some()) {
                self.owe(id, Owed::TERMS);
            }
            self.close(id, Some(RelayError::Draining));
        }
    }

    /// The time to end calls is over.
    fn cut(&mut self) {
        let open: Vec<LinkId> = self.links.keys().copied().collect();
        for id in open {
            self.close(id, Some(RelayError::Draining));
        }
    }

    fn settle(&mut self) {
        if self.draining && !self.drained && self.links.is_empty() {
            self.drained = true;
            self.timers.set(Timer::Drain, None);
            self.out.push_back(ServerOutput::Drained);
        }
    }
}
