//! One instance: node, store and keys, fed and asked by a host.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use bytes::BytesMut;
use lama_core::{Instant, Now, Seed, SortedMap, SortedSet, Ticket, Tickets, WallTime};
use lama_identity::{PersonId, SignSecret};
use lama_invite::{HostClass, Source};
use lama_node::{Command as NodeCommand, Output as NodeOutput, Reply as NodeReply};
use lama_node::{
    DialError, Event as NodeEvent, Input, LinkId, Node, NodeError, NodeIdentity, Origin, TlsFault, WhichKey,
};
use lama_relay::RelayError;
use lama_store::{Engine, Opening, Store};
use serde::Deserialize;

use crate::behind::Behind;
use crate::command::Telling;
use crate::files::Uploads;
use crate::link::{Calls, Heard};
use crate::{Command, Keys, Output, Problem, Reply, event, reply};

/// The subprotocols of the WebSocket.
const DIRECT: &str = "lama.1";
pub(crate) const RELAY: &str = "lama-relay.1";

/// Both clocks of the host, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// Since an origin of the host's choosing; never goes back.
    pub mono_ms: u64,
    /// Since the Unix epoch.
    pub wall_ms: u64,
}

impl At {
    pub(crate) const fn now(self) -> Now {
        Now { mono: Instant::from_origin(Duration::from_millis(self.mono_ms)), wall: WallTime(self.wall_ms) }
    }
}

/// How a link came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOrigin {
    /// It answers [`Output::Dial`].
    Dialled {
        /// The number of the dial.
        dial: u64,
        /// 32 bytes of its TLS connection (RFC 8446 section 7.5, label `EXPORTER-LAMA-relay`, no context), where there is
        /// one and the platform tells them. Only a relay that ends TLS itself asks for them.
        exporter: Option<[u8; 32]>,
    },
    /// Somebody connected from this address.
    Accepted(String),
}

impl LinkOrigin {
    /// A link that was dialled; an exporter of another length than 32 bytes is none.
    #[must_use]
    pub fn dialled(dial: u64, exporter: Option<&[u8]>) -> Self {
        Self::Dialled { dial, exporter: exporter.and_then(|bytes| bytes.try_into().ok()) }
    }
}

/// Why a link is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LinkCause {
    /// The other end closed it in an orderly way.
    Closed,
    /// It broke.
    Lost,
    /// The other end sent what may not be: text, or a frame that is too long.
    Violation,
    /// The host closed it.
    Local,
}

/// Why nobody was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DialCause {
    /// Nothing listens there.
    Refused,
    /// The name has no address.
    NotFound,
    /// There is no way there.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// TLS: nobody whom this system trusts has signed the certificate.
    UnknownIssuer,
    /// TLS: the certificate was valid once.
    Expired,
    /// TLS: the certificate will be valid later.
    NotYetValid,
    /// TLS: the certificate is for another name.
    WrongName,
    /// TLS: its issuer has revoked the certificate.
    Revoked,
    /// TLS: anything else.
    Tls,
    /// What listens there does not speak the subprotocol.
    NotLama,
    /// The name leads to an address that the dial does not allow.
    NotAllowed,
    /// Anything else; all that a browser tells.
    Other,
}

impl DialCause {
    const fn node(self) -> DialError {
        match self {
            Self::Refused => DialError::Refused,
            Self::NotFound => DialError::NotFound,
            Self::Unreachable => DialError::Unreachable,
            Self::Timeout => DialError::Timeout,
            Self::UnknownIssuer => DialError::Tls(TlsFault::UnknownIssuer),
            Self::Expired => DialError::Tls(TlsFault::Expired),
            Self::NotYetValid => DialError::Tls(TlsFault::NotYetValid),
            Self::WrongName => DialError::Tls(TlsFault::WrongName),
            Self::Revoked => DialError::Tls(TlsFault::Revoked),
            Self::Tls => DialError::Tls(TlsFault::Refused),
            Self::NotLama => DialError::NotLama,
            Self::NotAllowed => DialError::NotAllowed,
            Self::Other => DialError::Other,
        }
    }
}

/// Limits of an instance. The defaults are those of the crates below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of sessions, invitations and synchronisation.
    pub node: lama_node::Config,
    /// Of the store.
    pub store: lama_store::Config,
}

/// Whose answer is awaited.
#[derive(Debug)]
pub(crate) enum Asker {
    Host(u64, Telling),
    /// The list of shares is made here.
    Shares(u64),
    /// A call of this crate's, answered at once.
    Inside,
}

/// A whole instance. See the [crate's front page](crate) for its loop.
///
/// It stores and signs by itself, within the call that needs it: a call may take as long as the disk does.
pub struct Instance<E: Engine> {
    pub(crate) node: Node,
    /// `None` once it is over.
    pub(crate) store: Option<Store<E>>,
    sign: SignSecret,
    person: Option<SignSecret>,
    pub(crate) me: PersonId,
    pub(crate) now: Now,
    pub(crate) out: VecDeque<Output>,
    tickets: Tickets,
    asked: SortedMap<Ticket, Asker>,
    inside: SortedMap<Ticket, Result<NodeReply, NodeError>>,
    calls: Calls,
    pub(crate) behind: Behind,
    /// Where the host itself listens.
    listening: Vec<String>,
    /// What was last said of both.
    advertised: Option<Vec<String>>,
    ready: SortedSet<LinkId>,
    pub(crate) uploads: Uploads,
}

impl<E: Engine> Instance<E> {
    /// Opens the store on `engine` and starts the instance. `entropy` is drawn for this start alone.
    ///
    /// # Errors
    /// What the store or the identity says: a store of another key, of a newer format, damaged keys.
    pub fn open(
        keys: Keys,
        engine: E,
        limits: &Limits,
        mut entropy: [u8; 32],
        at: At,
    ) -> Result<Self, Problem> {
        let seed = Seed::take(&mut entropy);
        let (public, noise, sign, person) = keys.identity.into_parts();
        let opened = seed.child("LAMA/store");
        let mut store = Store::open(engine, limits.store, &keys.storage, opened, Opening::Normal)?;
        store.set_owner(public.clone())?;
        let me = public.person_id();
        let mut identity = NodeIdentity { person_key: person.is_some(), ..NodeIdentity::new(public, noise) };
        if let Some(enrolment) = keys.enrolment {
            identity.log = enrolment.entries.into_iter().map(|bytes| bytes.into_vec().into()).collect();
            identity.contacts = enrolment.contacts;
        }
        let now = at.now();
        let node = Node::new(limits.node.clone(), identity, seed.child("LAMA/node"), now)?;
        let mut instance = Self {
            node,
            store: Some(store),
            sign,
            person: person.map(|secrets| secrets.sign),
            me,
            now,
            out: VecDeque::new(),
            tickets: Tickets::default(),
            asked: SortedMap::new(),
            inside: SortedMap::new(),
            calls: Calls::default(),
            behind: Behind::default(),
            listening: Vec::new(),
            advertised: None,
            ready: SortedSet::new(),
            uploads: Uploads::default(),
        };
        instance.drive();
        instance.behind_kept(seed.child("LAMA/relays"))?;
        Ok(instance)
    }

    /// Asks for something; answered by one [`Output::Reply`] or [`Output::Failed`] with this ticket, which is the
    /// host's choice. `entropy` is drawn for this call alone.
    ///
    /// # Errors
    /// `binding.argument` for text that is no id; nothing was asked then.
    pub fn command(
        &mut self,
        ticket: u64,
        command: Command,
        mut entropy: [u8; 32],
        at: At,
    ) -> Result<(), Problem> {
        let seed = Seed::take(&mut entropy);
        self.now = at.now();
        match &command {
            Command::Relays => return self.reply(ticket, Ok(self.relays())),
            Command::SetRelays { relays } => {
                let done = self.set_relays(relays, seed);
                return self.reply(ticket, done);
            }
            Command::Wake => self.retry_relays(),
            _ => {}
        }
        let shares = command == Command::Shared;
        let (command, telling) = command.into_node(seed)?;
        let asker = if shares { Asker::Shares(ticket) } else { Asker::Host(ticket, telling) };
        self.ask(asker, command, at.now());
        Ok(())
    }

    fn reply(&mut self, ticket: u64, result: Result<Reply, Problem>) -> Result<(), Problem> {
        self.out.push_back(Output::Reply { ticket, reply: result? });
        Ok(())
    }

    /// Where the host listens now, best first, each as it is to be advertised; empty: nowhere.
    pub fn listening(&mut self, urls: Vec<String>, at: At) {
        self.now = at.now();
        self.listening = urls;
        self.advertise();
    }

    /// Where others reach this instance: where the host listens, and behind which relays it stands.
    pub(crate) fn advertise(&mut self) {
        let routes = self.behind.routes();
        let urls: Vec<String> = self.listening.iter().cloned().chain(routes).collect();
        if self.advertised.as_ref() != Some(&urls) {
            self.advertised = Some(urls.clone());
            self.tell(self.now, Input::Listening { urls });
        }
    }

    /// A WebSocket is open. `link` is a number that was never used before; `entropy` is drawn for it alone.
    pub fn link_up(&mut self, link: u64, origin: &LinkOrigin, mut entropy: [u8; 32], at: At) {
        let (link, seed) = (LinkId(link), Seed::take(&mut entropy));
        let origin = match origin {
            LinkOrigin::Dialled { dial, exporter } if Behind::is_dial(*dial) => {
                self.now = at.now();
                return self.relay_up(link, *dial, *exporter, &seed);
            }
            LinkOrigin::Dialled { dial, .. } => {
                let dial = Ticket(*dial);
                if let Some(via) = self.calls.forget(dial) {
                    self.now = at.now();
                    self.calls.begin(link, dial, &via, seed, self.now.mono);
                    self.ready.insert(link);
                    return;
                }
                Origin::Dialled(dial)
            }
            // What is no address shares one source, and with it the limits of one.
            LinkOrigin::Accepted(address) => Origin::Accepted {
                source: Source::of_ip(address.parse().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))),
            },
        };
        self.tell(at.now(), Input::LinkUp { link, origin, seed });
    }

    /// Nobody was reached.
    pub fn dial_failed(&mut self, dial: u64, cause: DialCause, at: At) {
        if Behind::is_dial(dial) {
            self.now = at.now();
            return self.relay_not_reached(dial);
        }
        self.calls.forget(Ticket(dial));
        self.tell(at.now(), Input::DialFailed { ticket: Ticket(dial), cause: cause.node() });
    }

    /// One binary message of a WebSocket, whole.
    pub fn frame(&mut self, link: u64, bytes: &[u8], at: At) {
        let link = LinkId(link);
        if self.behind.holds(link) {
            self.now = at.now();
            return self.relay_frame(link, bytes);
        }
        match self.calls.heard(link, bytes) {
            Heard::NotACall => self.tell(at.now(), Input::Frame { link, frame: BytesMut::from(bytes) }),
            Heard::Waiting => {}
            Heard::Connected(dial, seed) => {
                self.tell(at.now(), Input::LinkUp { link, origin: Origin::Dialled(dial), seed });
            }
            Heard::Failed(dial, error) => {
                let cause =
                    if error == RelayError::Unavailable { DialError::Unavailable } else { DialError::Relay };
                self.out.push_back(Output::Close { link: link.0 });
                self.tell(at.now(), Input::DialFailed { ticket: dial, cause });
            }
        }
    }

    /// A WebSocket is gone.
    pub fn link_down(&mut self, link: u64, cause: LinkCause, at: At) {
        let link = LinkId(link);
        if self.behind.holds(link) {
            self.now = at.now();
            return self.relay_down(link);
        }
        if let Some(ticket) = self.calls.down(link) {
            // A relay that hangs up without a word is full, or has no such name.
            return self.tell(at.now(), Input::DialFailed { ticket, cause: DialError::Unavailable });
        }
        let cause = match cause {
            LinkCause::Closed => lama_node::LinkCause::Closed,
            LinkCause::Lost => lama_node::LinkCause::Lost,
            LinkCause::Violation => lama_node::LinkCause::Violation,
            LinkCause::Local => lama_node::LinkCause::Local,
        };
        self.tell(at.now(), Input::LinkDown { link, cause });
    }

    /// Time has passed: call it at [`Instance::poll_timeout`].
    pub fn handle_timeout(&mut self, at: At) {
        self.now = at.now();
        while let Some((link, ticket)) = self.calls.late(self.now.mono) {
            self.out.push_back(Output::Close { link: link.0 });
            self.tell(self.now, Input::DialFailed { ticket, cause: DialError::Timeout });
        }
        self.relay_timeout();
        if self.store.is_some() {
            let result = self.node.handle_timeout(self.now);
            self.heed(result);
        }
    }

    /// The next thing the host has to do or to know. What waits for the store is stored first, all of it by one commit.
    pub fn poll(&mut self, at: At) -> Option<Output> {
        self.now = at.now();
        if self.out.is_empty() {
            self.drive();
        }
        self.out.pop_front()
    }

    /// A link that may have frames to send; it is not named again before something new happens on it, so poll it, when
    /// it has room, until that gives nothing.
    pub fn next_ready_link(&mut self) -> Option<u64> {
        let of_relays = || self.behind.next_ready_link();
        let link = self.ready.pop_first().or_else(of_relays).or_else(|| self.node.next_ready_link())?;
        Some(link.0)
    }

    /// The next frame of a link, to be sent as one binary message. Only while the link has room: what was made must be
    /// sent.
    pub fn poll_frame(&mut self, link: u64) -> Option<Vec<u8>> {
        let link = LinkId(link);
        if self.calls.is_call(link) {
            return self.calls.frame(link);
        }
        if self.behind.holds(link) {
            return self.relay_frame_out(link);
        }
        let mut frame = BytesMut::new();
        self.node.poll_frame(link, &mut frame).then(|| frame.into())
    }

    /// When [`Instance::handle_timeout`] wants to be called, by the host's monotonic clock; in the past while
    /// [`Instance::poll`] has something; `None`: only something new can make work.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        if !self.out.is_empty() {
            return Some(0);
        }
        let due =
            [self.node.poll_timeout(), self.calls.due(), self.behind.due()].into_iter().flatten().min()?;
        // Rounded up, so that nobody comes a moment too early and has to come again.
        Some(u64::try_from(due.since_origin().as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }

    /// Whether frames of this link are taken now. If not, ask again after the next [`Instance::poll`].
    #[must_use]
    pub fn wants_input(&self, link: u64) -> bool {
        self.node.wants_input(LinkId(link))
    }

    /// The longest frame that may come on this link now: close it with [`LinkCause::Violation`] on a longer one.
    #[must_use]
    pub fn frame_limit(&self, link: u64) -> usize {
        let link = LinkId(link);
        if self.calls.is_call(link) {
            return lama_relay::Caller::FRAME_LIMIT;
        }
        if self.behind.holds(link) {
            return lama_relay::Client::FRAME_LIMIT;
        }
        self.node.frame_limit(link)
    }

    /// Does something for this crate, whose answer does not wait for anybody else.
    pub(crate) fn ask_inside(&mut self, command: NodeCommand) -> Result<NodeReply, Problem> {
        let ticket = self.ask(Asker::Inside, command, self.now);
        self.drive();
        self.asked.remove(&ticket);
        Ok(self.inside.remove(&ticket).unwrap_or(Err(NodeError::Stopped))?)
    }

    fn ask(&mut self, asker: Asker, command: NodeCommand, now: Now) -> Ticket {
        let ticket = self.tickets.issue();
        self.asked.insert(ticket, asker);
        if self.store.is_some() {
            self.tell(now, Input::Command { ticket, command });
        } else {
            self.now = now;
            self.answer(ticket, Err(NodeError::Stopped));
        }
        ticket
    }

    pub(crate) fn tell(&mut self, now: Now, input: Input) {
        self.now = now;
        if self.store.is_some() {
            let result = self.node.handle(now, input);
            self.heed(result);
        }
    }

    /// The node's errors end it; that it was stopped is said by its last event, behind all others.
    fn heed(&mut self, result: Result<(), NodeError>) {
        if let Err(error) = result
            && error != NodeError::Stopped
        {
            self.end(Some(error.into()));
        }
    }

    fn end(&mut self, problem: Option<Problem>) {
        let Some(store) = self.store.take() else { return };
        self.behind = Behind::default();
        let closed = store.close().map(drop).map_err(Problem::from);
        let waiting: Vec<Ticket> = self.asked.keys().copied().collect();
        for ticket in waiting {
            self.answer(ticket, Err(NodeError::Stopped));
        }
        self.out.push_back(Output::Ended { problem: problem.or(closed.err()) });
    }

    /// Takes what the node says until only the host can go on. All that waits for the store goes into one commit.
    fn drive(&mut self) {
        while self.store.is_some() {
            let (mut requests, mut spans) = (Vec::new(), Vec::new());
            while let Some(output) = self.node.poll() {
                match output {
                    NodeOutput::Store { ticket, requests: more, .. } => {
                        spans.push((ticket, more.len()));
                        requests.extend(more);
                    }
                    other => self.take(other),
                }
            }
            let Some(store) = self.store.as_mut().filter(|_| !spans.is_empty()) else { return };
            let mut results = store.execute(&requests).into_iter();
            for (ticket, count) in spans {
                let results = results.by_ref().take(count).collect();
                self.tell(self.now, Input::Stored { ticket, results });
            }
        }
    }

    fn take(&mut self, output: NodeOutput) {
        match output {
            NodeOutput::Store { .. } => {}
            NodeOutput::Sign { ticket, key, bytes } => {
                let signature = match key {
                    WhichKey::Instance => Some(self.sign.sign_input(&bytes)),
                    WhichKey::Former(_) => None,
                    WhichKey::Person => self.person.as_ref().map(|key| key.sign_input(&bytes)),
                };
                self.tell(self.now, Input::Signed { ticket, signature });
            }
            NodeOutput::Dial { ticket, url, via, rules } => {
                let subprotocol = if via.is_some() { RELAY } else { DIRECT };
                if let Some(via) = via {
                    self.calls.dial(ticket, via);
                }
                self.out.push_back(Output::Dial {
                    dial: ticket.0,
                    url,
                    subprotocol,
                    loopback: rules.allows(HostClass::Loopback),
                    private: rules.allows(HostClass::Private),
                });
            }
            NodeOutput::CloseLink { link } => self.out.push_back(Output::Close { link: link.0 }),
            NodeOutput::Reply { ticket, result } => self.answer(ticket, result),
            NodeOutput::Event(NodeEvent::Stopped) => self.end(None),
            NodeOutput::Event(event) => {
                self.out.extend(event::from_node(event).map(|event| Output::Event { event }));
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, result: Result<NodeReply, NodeError>) {
        let (ticket, result) = match self.asked.remove(&ticket) {
            None => return,
            Some(Asker::Inside) => {
                self.inside.insert(ticket, result);
                return;
            }
            Some(Asker::Shares(host)) => match result {
                Ok(NodeReply::SharedList(rules)) => {
                    (host, self.shared(rules).map(|items| Reply::SharedList { items }))
                }
                other => (host, other.map(|_| Reply::Done).map_err(Problem::from)),
            },
            Some(Asker::Host(host, telling)) => {
                (host, result.map_err(Problem::from).and_then(|reply| reply::from_node(reply, &telling)))
            }
        };
        self.out.push_back(match result {
            Ok(reply) => Output::Reply { ticket, reply },
            Err(problem) => Output::Failed { ticket, problem },
        });
    }
}

impl<E: Engine> fmt::Debug for Instance<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({})", self.me)
    }
}
