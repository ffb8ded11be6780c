//! The node: what it holds, and how inputs, time and outputs pass through it.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::BytesMut;
use lama_core::{Clock, Instant, Now, Seed, SortedMap, SortedSet, Ticket, Tickets};
use lama_handshake::{BootId, Via};
use lama_identity::{ChannelId, Hlc, InstanceId, PersonId};
use lama_invite::{Ledger, Locator};
use lama_store::StoreError;

use crate::api::{Command, Event, HealthItem, Input, LinkId, NodeIdentity, Origin, Output, PeerInfo, Reply};
use crate::app::{Posting, Shutdown};
use crate::group::Groups;
use crate::hub::{Book, Denied, Dial, Effect, Limits, Peer, Probes, Rng, RoutesOff, Timer, Timers};
use crate::log::Logs;
use crate::pairing::Join;
use crate::session::Link;
use crate::{Config, NodeError};

/// How far the node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// What the store knows is being read; inputs wait.
    Loading,
    /// It works.
    Running,
    /// Sessions are being closed.
    Stopping,
    /// It is over, for this reason.
    Over(NodeError),
}

/// A LAMA instance as one machine with many links. See the [crate's front page](crate) for its loop.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: Config,
    pub(crate) identity: NodeIdentity,
    pub(crate) boot_id: BootId,
    pub(crate) rng: Rng,
    pub(crate) clock: Clock,
    pub(crate) hlc: Hlc,
    pub(crate) phase: Phase,
    pub(crate) backlog: VecDeque<Input>,
    pub(crate) tickets: Tickets,
    pub(crate) effects: SortedMap<Ticket, Effect>,
    /// Effects of which it was told already what can be seen.
    pub(crate) staged: SortedSet<Ticket>,
    pub(crate) out: VecDeque<Output>,
    pub(crate) timers: Timers,
    pub(crate) limits: Limits,
    pub(crate) book: Book,
    pub(crate) denied: SortedMap<[u8; 32], Denied>,
    /// Persons who get no session.
    pub(crate) blocked: SortedSet<PersonId>,
    pub(crate) routes_off: RoutesOff,
    /// What must not be missed, since the start.
    pub(crate) alarms: SortedMap<(&'static str, Option<PersonId>), HealthItem>,
    pub(crate) logs: Logs,
    /// An entry of our own log is on its way into the store.
    pub(crate) issuing: bool,
    /// What our person's other instances are called, as far as it was told here.
    pub(crate) names: SortedMap<InstanceId, String>,
    pub(crate) activating: SortedSet<PersonId>,
    pub(crate) ledger: Ledger,
    pub(crate) joins: SortedMap<Locator, Join>,
    pub(crate) peers: SortedMap<InstanceId, Peer>,
    pub(crate) dials: SortedMap<Ticket, Dial>,
    pub(crate) probes: Probes,
    pub(crate) links: SortedMap<LinkId, Link>,
    pub(crate) ready: SortedSet<LinkId>,
    pub(crate) sessions: u64,
    pub(crate) listening: Vec<String>,
    pub(crate) endpoint: Option<lama_identity::Cid>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) endpoint_busy: bool,
    pub(crate) epoch: lama_chum::Epoch,
    pub(crate) posting: SortedMap<ChannelId, Posting>,
    pub(crate) groups: Groups,
    pub(crate) shutdown: Shutdown,
}

impl Node {
    /// Starts a node. Its first outputs load what the store knows; [`crate::Event::Ready`] follows.
    /// `seed` is drawn for this start of the process alone.
    ///
    /// # Errors
    /// [`NodeError::WrongIdentity`] if the secret does not belong to the identity; [`NodeError::Identity`] if that
    /// does not hold together, or its certificate is not valid by this clock.
    pub fn new(config: Config, identity: NodeIdentity, seed: Seed, now: Now) -> Result<Self, NodeError> {
        if identity.noise.public() != identity.public.noise() {
            return Err(NodeError::WrongIdentity);
        }
        identity.public.verify(now.wall)?;
        let mut clock = Clock::default();
        clock.advance(now);
        let mut rng = Rng::new(seed);
        let boot_id = BootId(rng.bytes());
        let ledger = Ledger::new(config.invite.clone(), [], None, now);
        let mut node = Self {
            config,
            identity,
            boot_id,
            rng,
            clock,
            hlc: Hlc::default(),
            phase: Phase::Loading,
            backlog: VecDeque::new(),
            tickets: Tickets::default(),
            effects: SortedMap::new(),
            staged: SortedSet::new(),
            out: VecDeque::new(),
            timers: Timers::default(),
            limits: Limits::default(),
            book: Book::default(),
            denied: SortedMap::new(),
            blocked: SortedSet::new(),
            routes_off: RoutesOff::default(),
            alarms: SortedMap::new(),
            logs: Logs::default(),
            issuing: false,
            names: SortedMap::new(),
            activating: SortedSet::new(),
            ledger,
            joins: SortedMap::new(),
            peers: SortedMap::new(),
            dials: SortedMap::new(),
            probes: Probes::new(),
            links: SortedMap::new(),
            ready: SortedSet::new(),
            sessions: 0,
            listening: Vec::new(),
            endpoint: None,
            endpoint_url: None,
            endpoint_busy: false,
            epoch: lama_chum::NO_EPOCH,
            posting: SortedMap::new(),
            groups: Groups::default(),
            shutdown: Shutdown::default(),
        };
        node.load();
        Ok(node)
    }

    /// Takes one input. Never seals a record: that happens in [`Node::poll_frame`] alone. (The few fixed-size
    /// messages of a handshake are made here, at most two at a time.)
    ///
    /// # Errors
    /// Only what ends the node for good: the store failed while it was loaded, [`NodeError::Stopped`] after
    /// [`crate::Event::Stopped`]. What goes wrong with a command, a link or a peer is an output.
    pub fn handle(&mut self, now: Now, input: Input) -> Result<(), NodeError> {
        self.clock.advance(now);
        if let Phase::Over(error) = &self.phase {
            let error = error.clone();
            if let Input::Command { ticket, .. } = input {
                self.reply(ticket, Err(error.clone()));
            }
            return Err(error);
        }
        if self.phase == Phase::Loading && !matches!(input, Input::Stored { .. }) {
            self.wait_for_load(input);
        } else {
            self.input(input);
        }
        self.settle();
        self.outcome()
    }

    /// Tells the node that time has passed; a call before [`Node::poll_timeout`] does nothing.
    ///
    /// # Errors
    /// As [`Node::handle`].
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), NodeError> {
        let now = self.clock.advance(now);
        self.outcome()?;
        if self.phase != Phase::Loading {
            while let Some(timer) = self.timers.pop(now.mono) {
                self.timer(timer);
            }
            self.settle();
        }
        self.outcome()
    }

    /// The next effect, reply or event, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Whether [`Node::poll`] has something to give.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Appends the next frame for `link` to `out` and returns `true`, or leaves `out` alone and returns `false`.
    /// Call it only when that link has room: a frame that was built must be sent.
    pub fn poll_frame(&mut self, link: LinkId, out: &mut BytesMut) -> bool {
        let sent = self.frame(link, out);
        if sent {
            self.ready.insert(link);
        }
        sent
    }

    /// A link that may have frames to send. A link that was named is not named again before something new
    /// happened on it or [`Node::poll_frame`] returned `true` for it: poll a named link, when it has room, until
    /// that returns `false`.
    pub fn next_ready_link(&mut self) -> Option<LinkId> {
        self.ready.pop_first()
    }

    /// When [`Node::handle_timeout`] wants to be called; the last reading while [`Node::poll`] would yield.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.out.is_empty() {
            return Some(self.clock.latest().mono);
        }
        match self.phase {
            Phase::Loading | Phase::Over(_) => None,
            Phase::Running | Phase::Stopping => self.timers.next(),
        }
    }

    /// Whether the node can take another frame of this link. `false` for the sake of local work only (the store
    /// is behind); ask again after the next [`Input::Stored`]. Unknown links: `true`, their frames are ignored.
    #[must_use]
    pub fn wants_input(&self, link: LinkId) -> bool {
        self.phase != Phase::Loading && self.links.get(&link).is_none_or(Link::wants_input)
    }

    /// The longest frame that is taken from this link now (`security.md` 9): 256 bytes during the handshake,
    /// about 4.2 KiB until both persons are authenticated, then 65,535. The host closes the link on a longer
    /// one, before it allocates; the node refuses it in any case.
    #[must_use]
    pub fn frame_limit(&self, link: LinkId) -> usize {
        self.links.get(&link).map_or(256, Link::frame_limit)
    }

    fn outcome(&self) -> Result<(), NodeError> {
        match &self.phase {
            Phase::Over(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// What arrives before the store was read waits, within bounds.
    fn wait_for_load(&mut self, input: Input) {
        if self.backlog.len() < self.config.max_waiting {
            self.backlog.push_back(input);
            return;
        }
        match input {
            Input::Command { ticket, .. } => {
                self.reply(ticket, Err(NodeError::Busy { max: self.config.max_waiting }));
            }
            Input::LinkUp { link, .. } => self.out.push_back(Output::CloseLink { link }),
            _ => {}
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        match input {
            Input::Command { ticket, command } => self.command(ticket, command),
            Input::Listening { urls } => self.listening(urls),
            Input::Nearby { instance, at } => self.nearby(instance, at),
            Input::LinkUp { link, origin, seed } => match origin {
                Origin::Accepted { source } => self.accepted(link, source, Via::Direct, seed),
                Origin::Relayed { source, route } => self.accepted(link, source, Via::Relay(route), seed),
                Origin::Dialled(ticket) => self.dialled(link, ticket, seed),
            },
            Input::Frame { link, frame } => self.received(link, frame),
            Input::LinkDown { link, cause } => self.link_down(link, cause),
            Input::DialFailed { ticket, cause } => self.dial_failed(ticket, cause),
            Input::Staged { ticket, results } => self.staged(ticket, &results),
            Input::Stored { ticket, results } => {
                if let Some(effect) = self.effects.remove(&ticket) {
                    let results = self.beyond_staged(ticket, results);
                    self.stored(effect, results);
                }
            }
            Input::Signed { ticket, signature } => {
                if let Some(effect) = self.effects.remove(&ticket) {
                    self.signed(effect, signature);
                }
            }
        }
    }

    fn timer(&mut self, timer: Timer) {
        match timer {
            Timer::Link(link) => self.link_timer(link),
            Timer::Peer(instance) => self.peer_timer(instance),
            Timer::Join(locator) => self.join_timer(locator),
            Timer::Connection(connection) => self.connection_timer(connection),
            Timer::Ledger => {
                let now = self.clock.latest();
                self.ledger.handle_timeout(now);
            }
        }
    }

    /// What runs by itself after every input.
    fn settle(&mut self) {
        if self.phase == Phase::Loading {
            return;
        }
        self.drive_ledger();
        if self.phase == Phase::Stopping {
            self.drive_shutdown();
        }
    }

    pub(crate) fn reply(&mut self, ticket: Ticket, result: Result<Reply, NodeError>) {
        self.out.push_back(Output::Reply { ticket, result });
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.note_alarm(&event);
        self.out.push_back(Output::Event(event));
    }

    pub(crate) const fn me(&self) -> PersonId {
        self.identity.public.person_id()
    }

    /// How this side is shown.
    pub(crate) fn own_info(&self) -> PeerInfo {
        peer_info(&self.identity.public)
    }

    /// A store that failed where nothing else can be done about it.
    pub(crate) fn store_failed(&mut self, doing: &'static str, error: StoreError) {
        self.event(Event::StoreFailed { doing, error });
    }

    fn command(&mut self, ticket: Ticket, command: Command) {
        if self.phase == Phase::Stopping {
            self.reply(ticket, Err(NodeError::Stopped));
        } else if self.effects.len() >= self.config.max_waiting {
            self.reply(ticket, Err(NodeError::Busy { max: self.config.max_waiting }));
        } else if let Err(error) = self.dispatch(ticket, command) {
            self.reply(ticket, Err(error));
        }
    }

    fn signed(&mut self, effect: Effect, signature: Option<lama_identity::Signature>) {
        match effect {
            Effect::Auth { link } => self.auth_signed(link, signature),
            Effect::Trust { link, unsigned } => self.trust_signed(link, *unsigned, signature),
            Effect::Approval { reply, unsigned } => self.approval_signed(reply, *unsigned, signature),
            Effect::Endpoint { unsigned } => self.endpoint_signed(*unsigned, signature),
            Effect::PostSigned { channel } => self.post_signed(channel, signature),
            Effect::IssueSigned(issuing) => self.issue_signed(*issuing, signature),
            Effect::Share { reply, unsigned, wish } => self.share_signed(reply, *unsigned, wish, signature),
            _ => {}
        }
    }
}

/// How an identity is shown.
pub(crate) fn peer_info(identity: &lama_identity::PublicIdentity) -> PeerInfo {
    PeerInfo {
        person: identity.person_id(),
        email: identity.person.email.as_str().into(),
        instance: identity.instance_id(),
        instance_name: identity.instance.name.clone(),
    }
}
