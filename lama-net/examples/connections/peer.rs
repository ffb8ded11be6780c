//! A peer: a whole node with its store in memory, on a bare socket.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use lama_core::{Seed, Ticket, WallTime};
use lama_identity::{InstanceId, LocalIdentity, PersonId, PersonSecrets, SignSecret};
use lama_invite::DialRules;
use lama_net::Runtime as _;
use lama_net_tokio::Tokio;
use lama_node::{
    Command, DialError, Event, Group, Input, LinkCause, LinkId, Node, NodeError, NodeIdentity, Origin,
    Output, Reply, WhichKey,
};
use lama_store::{Memory, Opening, StorageKey, Store};
use zeroize::Zeroizing;

use crate::socket::{Socket, source};

/// What may wait for room in the socket.
const QUEUED: usize = 128 << 10;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// What a node said.
#[derive(Debug)]
pub(crate) enum Heard {
    Event(Event),
    Reply(Ticket, Result<Reply, NodeError>),
}

/// A dial under way, with the ticket to answer.
type Dialling = (Ticket, Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>);

/// What there was to do next.
enum Next {
    Bytes(io::Result<()>),
    Dialled(io::Result<Socket>),
    Time,
}

pub(crate) struct Peer {
    node: Node,
    store: Store<Memory>,
    sign: SignSecret,
    person: Option<PersonSecrets>,
    runtime: Tokio,
    /// While this says no, every dial fails.
    may_dial: Arc<AtomicBool>,
    /// Where it dials from; `None`: from another address each time.
    from: Option<Ipv4Addr>,
    dialling: Option<Dialling>,
    link: Option<(LinkId, Socket)>,
    numbers: u64,
    heard: VecDeque<Heard>,
    /// The other side, once there was a session.
    pub(crate) other: Option<(PersonId, InstanceId)>,
}

impl Peer {
    /// Of a person of its own, which dials again at once when its session is over.
    pub(crate) fn new(may_dial: Arc<AtomicBool>) -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let runtime = Tokio::new();
        let seed = || runtime.entropy().unwrap();
        let email = format!("peer-{number}@lama.test").parse().unwrap();
        let wall = WallTime::from_unix_seconds(1_700_000_000);
        let identity = LocalIdentity::create(email, "bench", seed(), wall).unwrap();
        let key = StorageKey::danger_fixed([2; 32]);
        let mut store =
            Store::open(Memory::default(), lama_store::Config::default(), &key, seed(), Opening::Normal)
                .unwrap();
        store.set_owner(identity.public().clone()).unwrap();
        let (public, noise, sign, person) = identity.into_parts();
        let identity = NodeIdentity { person_key: true, ..NodeIdentity::new(public, noise) };
        let config = lama_node::Config {
            backoff_first: Duration::from_millis(1),
            backoff_max: Duration::from_secs(2),
            ..lama_node::Config::default()
        };
        let mut node = Node::new(config, identity, seed(), runtime.now()).unwrap();
        node.handle(runtime.now(), Input::Listening { urls: Vec::new() }).unwrap();
        Self {
            node,
            store,
            sign,
            person,
            runtime,
            may_dial,
            from: None,
            dialling: None,
            link: None,
            numbers: 0,
            heard: VecDeque::new(),
            other: None,
        }
    }

    /// One that dials whenever it wants to.
    pub(crate) fn free() -> Self {
        Self::new(Arc::new(AtomicBool::new(true)))
    }

    /// One that always dials from that address.
    pub(crate) fn at(from: Ipv4Addr) -> Self {
        Self { from: Some(from), ..Self::free() }
    }

    fn seed(&self) -> Seed {
        self.runtime.entropy().unwrap()
    }

    fn tell(&mut self, input: Input) {
        self.node.handle(self.runtime.now(), input).unwrap();
    }

    pub(crate) fn command(&mut self, command: Command) -> Ticket {
        self.numbers += 1;
        let ticket = Ticket(self.numbers);
        self.tell(Input::Command { ticket, command });
        ticket
    }

    /// Breaks the connection off without a word. What happened on it and was not asked for yet is forgotten.
    pub(crate) fn break_off(&mut self) {
        self.heard.retain(|heard| matches!(heard, Heard::Reply(..)));
        if let Some((link, _)) = self.link.take() {
            self.tell(Input::LinkDown { link, cause: LinkCause::Lost });
        }
    }

    /// The next thing that the node says. Nothing is lost if this is given up.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            self.outputs();
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            self.frames();
            self.wait().await;
        }
    }

    /// Runs until it is told otherwise.
    pub(crate) async fn run(&mut self) {
        loop {
            self.next().await;
        }
    }

    pub(crate) async fn reply(&mut self, ticket: Ticket) -> Result<Reply, NodeError> {
        loop {
            match self.next().await {
                Heard::Reply(to, reply) if to == ticket => return reply,
                _ => {}
            }
        }
    }

    /// Until contacts are in sync.
    pub(crate) async fn in_sync(&mut self) {
        while !matches!(self.next().await, Heard::Event(Event::InSync { .. })) {}
    }

    /// Until there is a session of contacts.
    pub(crate) async fn session(&mut self) {
        loop {
            if let Heard::Event(Event::SessionStarted { group: Group::Chum, .. }) = self.next().await {
                return;
            }
        }
    }

    /// Becomes a contact of whoever invited.
    pub(crate) async fn pair(&mut self, link: String) {
        let ticket = self.command(Command::Join { link: Zeroizing::new(link), rules: DialRules::default() });
        self.reply(ticket).await.expect("paired");
    }

    /// How long the other side's program takes to answer.
    pub(crate) async fn ping(&mut self) -> Duration {
        let (_, instance) = self.other.unwrap();
        let ticket = self.command(Command::Ping { instance });
        match self.reply(ticket).await {
            Ok(Reply::Pong { round_trip, .. }) => round_trip,
            other => panic!("the session of a peer is over: {other:?}"),
        }
    }

    fn outputs(&mut self) {
        while let Some(output) = self.node.poll() {
            match output {
                Output::Store { ticket, requests, .. } => {
                    let results = self.store.execute(&requests);
                    self.tell(Input::Stored { ticket, results });
                }
                Output::Sign { ticket, key, bytes } => {
                    let signature = match key {
                        WhichKey::Person => self.person.as_ref().map(|keys| keys.sign.sign_input(&bytes)),
                        WhichKey::Instance => Some(self.sign.sign_input(&bytes)),
                        WhichKey::Former(_) => None,
                    };
                    self.tell(Input::Signed { ticket, signature });
                }
                Output::Dial { ticket, url, .. } => self.dial(ticket, &url),
                Output::CloseLink { link } => {
                    if self.link.as_ref().is_some_and(|(open, _)| *open == link) {
                        self.break_off();
                    }
                }
                Output::Reply { ticket, result } => self.heard.push_back(Heard::Reply(ticket, result)),
                Output::Event(event) => {
                    if let Event::SessionStarted { peer, .. } = &event {
                        self.other = Some((peer.person, peer.instance));
                    }
                    self.heard.push_back(Heard::Event(event));
                }
            }
        }
    }

    fn dial(&mut self, ticket: Ticket, url: &str) {
        if self.link.is_some() || self.dialling.is_some() || !self.may_dial.load(Ordering::Relaxed) {
            self.tell(Input::DialFailed { ticket, cause: DialError::Refused });
            return;
        }
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        self.dialling = Some((ticket, Box::pin(Socket::open(port, self.from.unwrap_or_else(source)))));
    }

    fn frames(&mut self) {
        while self.node.next_ready_link().is_some() {}
        let Some((link, socket)) = &mut self.link else { return };
        let mut frame = BytesMut::new();
        while socket.output.len() < QUEUED && self.node.poll_frame(*link, &mut frame) {
            socket.queue(&frame.split());
        }
    }

    async fn wait(&mut self) {
        let timeout = self.node.poll_timeout().map(|at| at.since(self.runtime.now().mono));
        let time = async {
            match timeout {
                Some(left) => tokio::time::sleep(left).await,
                None => pending().await,
            }
        };
        let bytes = async {
            match &mut self.link {
                Some((_, socket)) => socket.pass().await,
                None => pending().await,
            }
        };
        let dial = async {
            match &mut self.dialling {
                Some((_, dial)) => dial.await,
                None => pending().await,
            }
        };
        let next = tokio::select! {
            result = bytes => Next::Bytes(result),
            result = dial => Next::Dialled(result),
            () = time => Next::Time,
        };
        match next {
            Next::Bytes(result) => {
                if result.and_then(|()| self.receive()).is_err() {
                    self.break_off();
                }
            }
            Next::Dialled(result) => self.dialled(result),
            Next::Time => self.node.handle_timeout(self.runtime.now()).unwrap(),
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        while let Some((link, socket)) = &mut self.link
            && let Some(frame) = socket.frame()?
        {
            let link = *link;
            self.tell(Input::Frame { link, frame });
        }
        Ok(())
    }

    fn dialled(&mut self, result: io::Result<Socket>) {
        let Some((ticket, _)) = self.dialling.take() else { return };
        match result {
            Ok(socket) => {
                self.numbers += 1;
                let (link, seed) = (LinkId(self.numbers), self.seed());
                self.link = Some((link, socket));
                self.tell(Input::LinkUp { link, origin: Origin::Dialled(ticket), seed });
            }
            Err(_) => self.tell(Input::DialFailed { ticket, cause: DialError::Other }),
        }
    }
}
