//! An instance behind relays: registered at some of a list, with spare connections at each, for as long as it runs.

mod homes;
mod spare;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Bytes, BytesMut};
use lama_core::{Clock, Instant, Now, Seed, SortedMap, SortedSet, Ticket, Tickets, Timers};
use lama_identity::{SignPublic, Signature};

use crate::wire::{FromClient, FromRelay, HELLO_LEN};
use crate::{ClientConfig, LinkId, RelayAddress, RelayError};
use homes::Place;
use spare::{Spare, Step};

pub use homes::{Home, HomeState};

/// What the host tells the client.
#[derive(Debug)]
pub enum ClientInput {
    /// Answers [`ClientOutput::Dial`]: the WebSocket is open.
    LinkUp {
        /// The ticket of the dial.
        ticket: Ticket,
        /// Its name from now on.
        link: LinkId,
        /// The exporter of its TLS connection; `None` without one.
        exporter: Option<[u8; 32]>,
        /// Entropy drawn for this link alone.
        seed: Seed,
    },
    /// Answers [`ClientOutput::Dial`]: nobody was reached.
    DialFailed {
        /// The ticket of the dial.
        ticket: Ticket,
    },
    /// One WebSocket binary message. Unknown links are ignored.
    Frame {
        /// Where it arrived.
        link: LinkId,
        /// The message.
        frame: BytesMut,
    },
    /// A WebSocket is gone. Unknown links are ignored: those that were handed over are the session's.
    LinkDown {
        /// Which one.
        link: LinkId,
    },
    /// Answers [`ClientOutput::Sign`]. `None`: the key is not here.
    Signed {
        /// The ticket of the output.
        ticket: Ticket,
        /// Over exactly the bytes of the output.
        signature: Option<Signature>,
    },
    /// The network changed, or the machine woke up: what waits is tried at once, and fresh connections take the place of
    /// those that are registered, unless something is heard on these first.
    Retry,
    /// These are the relays of the list from now on, best first: what is new is registered at, what is gone is left, and
    /// what stays is not touched. A relay keeps the number under which outputs name it; a new one gets the next.
    Relays(Vec<(RelayAddress, SignPublic)>),
    /// Leave all relays. Calls that were handed over go on.
    Stop,
}

/// What the client asks of its host, and what it reports. `home` is the relay's number: its index in the first list, or the
/// next one for a relay that came later ([`Client::address`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientOutput {
    /// Open a WebSocket to this relay.
    Dial {
        /// Goes back with the answer.
        ticket: Ticket,
        /// Which relay.
        home: usize,
    },
    /// Sign exactly these bytes with the route key for this relay (the label is in them already).
    Sign {
        /// Goes back with [`ClientInput::Signed`].
        ticket: Ticket,
        /// Which relay.
        home: usize,
        /// What to sign.
        bytes: Vec<u8>,
    },
    /// Somebody called and was accepted: this link carries a session from here on, of which this instance is the
    /// responder.
    HandOver {
        /// Which link.
        link: LinkId,
        /// Through which relay.
        home: usize,
    },
    /// Send what [`Client::poll_frame`] still has for this link, then close it.
    Close {
        /// Which one.
        link: LinkId,
    },
    /// This relay passes calls on from now on.
    Registered {
        /// Which relay.
        home: usize,
    },
    /// This relay passes no calls on any more, or did not come to it. It is tried again after the pause.
    Lost {
        /// Which relay.
        home: usize,
        /// What happened; `None`: nobody was reached, or the connection broke.
        why: Option<RelayError>,
        /// Until the next attempt; `None`: it is not needed now.
        pause: Option<Duration>,
    },
    /// Somebody else is registered under our route key: a copy of this instance's data is in use elsewhere.
    Shared {
        /// At which relay.
        home: usize,
        /// Registered connections there.
        links: u8,
    },
    /// After [`ClientInput::Stop`]: no link is left.
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Link(LinkId),
    Dial(Ticket),
    Home(usize),
}

/// The client side of the relay protocol. See the [crate's front page](crate).
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    places: Vec<Place>,
    /// The list: which places, best first.
    order: Vec<usize>,
    seed: Seed,
    drawn: u64,
    clock: Clock,
    tickets: Tickets,
    dials: SortedMap<Ticket, usize>,
    signing: SortedMap<Ticket, LinkId>,
    links: SortedMap<LinkId, Spare>,
    timers: Timers<Timer>,
    ready: SortedSet<LinkId>,
    out: VecDeque<ClientOutput>,
    stopping: bool,
    stopped: bool,
}

impl Client {
    /// A client of these relays, best first, each with the route key that is used there and nowhere else. Its first
    /// outputs dial.
    #[must_use]
    pub fn new(config: ClientConfig, relays: Vec<(RelayAddress, SignPublic)>, seed: Seed, now: Now) -> Self {
        let mut client = Self {
            config,
            places: Vec::new(),
            order: Vec::new(),
            seed,
            drawn: 0,
            clock: Clock::default(),
            tickets: Tickets::default(),
            dials: SortedMap::new(),
            signing: SortedMap::new(),
            links: SortedMap::new(),
            timers: Timers::default(),
            ready: SortedSet::new(),
            out: VecDeque::new(),
            stopping: false,
            stopped: false,
        };
        client.clock.advance(now);
        client.relays(relays);
        client.settle();
        client
    }

    /// Takes one input. Never builds a frame.
    ///
    /// # Errors
    /// [`RelayError::UnknownTicket`], [`RelayError::LinkTwice`]: the host misuses the machine, which goes on all the same.
    pub fn handle(&mut self, now: Now, input: ClientInput) -> Result<(), RelayError> {
        self.clock.advance(now);
        let result = match input {
            ClientInput::LinkUp { ticket, link, exporter, seed } => {
                self.link_up(ticket, link, exporter, &seed)
            }
            ClientInput::DialFailed { ticket } => self.dial_failed(ticket),
            ClientInput::Frame { link, frame } => {
                if let Err(why) = self.frame(link, &frame) {
                    self.fail(link, Some(why));
                }
                Ok(())
            }
            ClientInput::LinkDown { link } => {
                self.link_down(link);
                Ok(())
            }
            ClientInput::Signed { ticket, signature } => match self.signing.remove(&ticket) {
                Some(link) => {
                    self.signed(link, signature);
                    Ok(())
                }
                None => Err(RelayError::UnknownTicket(ticket)),
            },
            ClientInput::Retry => {
                self.retry();
                Ok(())
            }
            ClientInput::Relays(relays) => {
                self.relays(relays);
                Ok(())
            }
            ClientInput::Stop => {
                self.stop();
                Ok(())
            }
        };
        self.settle();
        result
    }

    /// Tells the client that time has passed; a call before [`Client::poll_timeout`] does nothing.
    ///
    /// # Errors
    /// None; the result is the machine contract's.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), RelayError> {
        let now = self.clock.advance(now);
        while let Some(timer) = self.timers.pop(now.mono) {
            match timer {
                Timer::Link(link) => {
                    let registered = self
                        .links
                        .get(&link)
                        .is_some_and(|spare| matches!(spare.step, Step::Idle | Step::Doubted));
                    self.fail(link, Some(if registered { RelayError::Silent } else { RelayError::HalfOpen }));
                }
                Timer::Dial(ticket) => {
                    if let Some(home) = self.dials.remove(&ticket) {
                        self.lost(home, None, false);
                    }
                }
                Timer::Home(home) => {
                    if let Some(place) = self.places.get_mut(home) {
                        place.again = place.again.filter(|at| *at > now.mono);
                    }
                }
            }
        }
        self.settle();
        Ok(())
    }

    /// The next effect or event, in order.
    pub fn poll(&mut self) -> Option<ClientOutput> {
        self.out.pop_front()
    }

    /// The next frame for a link. Call it only when that link has room: a frame that was taken must be sent.
    pub fn poll_frame(&mut self, id: LinkId) -> Option<Bytes> {
        let spare = self.links.get_mut(&id)?;
        if let Some(register) = spare.register.take() {
            self.ready.insert(id);
            return Some(FromClient::Register(*register).to_bytes());
        }
        if let Some(number) = spare.pong.take() {
            self.ready.insert(id);
            return Some(FromClient::Pong(number).to_bytes());
        }
        if spare.step != Step::Rung {
            return None;
        }
        // With ACCEPT the link is the session's.
        let home = spare.home;
        self.links.remove(&id);
        self.timers.set(Timer::Link(id), None);
        self.remember(home);
        self.out.push_back(ClientOutput::HandOver { link: id, home });
        self.settle();
        Some(FromClient::Accept.to_bytes())
    }

    /// A link that may have frames to send; named again when something new happened on it.
    pub fn next_ready_link(&mut self) -> Option<LinkId> {
        self.ready.pop_first()
    }

    /// When [`Client::handle_timeout`] wants to be called; the last reading while [`Client::poll`] would yield.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.out.is_empty() { self.timers.next() } else { Some(self.clock.latest().mono) }
    }

    /// Whether the link is the client's: one that was handed over is not.
    #[must_use]
    pub fn holds(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// The longest frame that a relay may send before a call.
    pub const FRAME_LIMIT: usize = HELLO_LEN;

    /// How it stands at each relay, in the order of the list.
    pub fn homes(&self) -> impl Iterator<Item = Home> {
        self.order.iter().filter_map(|home| self.places.get(*home)).map(Place::home)
    }

    /// How it stands at the relay with this number, also if it is in the list no more.
    #[must_use]
    pub fn home(&self, home: usize) -> Option<Home> {
        self.places.get(home).map(Place::home)
    }

    /// The relay with this number.
    #[must_use]
    pub fn address(&self, home: usize) -> Option<&RelayAddress> {
        self.places.get(home).map(|place| &place.address)
    }

    fn frame(&mut self, id: LinkId, frame: &[u8]) -> Result<(), RelayError> {
        if self.links.contains_key(&id) {
            let frame = FromRelay::read(frame)?;
            self.heard(id, frame)?;
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.stopping = true;
        let open: Vec<LinkId> = self.links.keys().copied().collect();
        for link in open {
            self.close(link);
        }
        for ticket in core::mem::take(&mut self.dials).into_keys() {
            self.timers.set(Timer::Dial(ticket), None);
        }
        for home in 0..self.places.len() {
            self.timers.set(Timer::Home(home), None);
        }
    }

    /// A number below `bound`, for pauses that are never quite regular.
    fn below(&mut self, bound: u64) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        let drawn = self.seed.derive(&format!("relay/{}", self.drawn));
        let number = drawn.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        u64::try_from((u128::from(number) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}
