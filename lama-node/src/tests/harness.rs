//! A world of nodes for tests: every frame arrives, in order, after a fixed delay.

use core::time::Duration;
use std::collections::BTreeMap;
use std::string::{String, ToString as _};
use std::vec::Vec;

use bytes::BytesMut;
use lama_core::{Instant, Now, Seed, Ticket, WallTime};
use lama_identity::{LocalIdentity, PersonId, PersonSecrets, SignSecret};
use lama_invite::{DialRules, LAMA_BASE, Locator, Policy, Route, RouteUrl, Source, Via};
use lama_store::{Memory, Opening, PageFrom, StorageKey, Store};
use zeroize::Zeroizing;

use super::puppet::Puppet;
use crate::{
    Command, Config, ContactInfo, ContactStanding, DialError, Event, FormerKeys, Input, LinkCause, LinkId,
    Node, NodeError, NodeIdentity, Origin, Output, Reply, WhichKey,
};

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One way, for every frame.
pub(super) const DELAY: Duration = Duration::from_millis(10);
const START: u64 = 1_800_000_000_000;

pub(super) struct Actor {
    pub(super) node: Node,
    pub(super) config: Config,
    exported: Zeroizing<Vec<u8>>,
    /// What was exported before its keys were replaced.
    pub(super) former: Vec<Zeroizing<Vec<u8>>>,
    sign: SignSecret,
    person: Option<PersonSecrets>,
    store: Option<Store<Memory>>,
    pub(super) url: Option<String>,
    /// Where it can be called through a relay.
    pub(super) via: Option<Via>,
    pub(super) events: Vec<Event>,
    pub(super) replies: BTreeMap<Ticket, Result<Reply, NodeError>>,
    pub(super) over: Option<NodeError>,
}

struct End {
    actor: usize,
    peer: LinkId,
}

pub(super) struct World {
    pub(super) now: Duration,
    pub(super) actors: Vec<Actor>,
    queue: BTreeMap<(Duration, u64), (usize, Input)>,
    ends: BTreeMap<LinkId, End>,
    next: u64,
    seeds: u64,
    /// Every frame that travelled: for comparing runs.
    pub(super) trace: Vec<(Duration, LinkId, usize, u8)>,
    /// Every dial: when, whose, and whether through a relay.
    pub(super) dialled: Vec<(Duration, usize, bool)>,
    /// How long the store's answers take; what they say is done at once.
    pub(super) store_delay: Duration,
    /// Frames after which every link is cut, if set.
    pub(super) cut_after: Option<usize>,
    /// Links whose sessions say what a test tells them to.
    pub(super) puppets: BTreeMap<LinkId, Puppet>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: Duration::ZERO,
            actors: Vec::new(),
            queue: BTreeMap::new(),
            ends: BTreeMap::new(),
            next: 0,
            seeds: 0,
            trace: Vec::new(),
            dialled: Vec::new(),
            store_delay: Duration::ZERO,
            cut_after: None,
            puppets: BTreeMap::new(),
        }
    }

    pub(super) fn seed(&mut self) -> Seed {
        self.seeds += 1;
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&self.seeds.to_be_bytes());
        Seed::danger_fixed(bytes)
    }

    pub(super) fn clock(&self) -> Now {
        Now { mono: Instant::from_origin(self.now), wall: WallTime(START + self.now.as_millis() as u64) }
    }

    /// An actor of a new person.
    pub(super) fn add(&mut self, email: &str, url: Option<&str>) -> usize {
        self.add_with(email, url, Config::default())
    }

    pub(super) fn add_with(&mut self, email: &str, url: Option<&str>, config: Config) -> usize {
        let seed = self.seed();
        let wall = self.clock().wall;
        let identity = LocalIdentity::create(email.parse().unwrap(), "desk", seed, wall).unwrap();
        self.add_identity(identity, url, config)
    }

    pub(super) fn store(&mut self, actor: usize) -> &mut Store<Memory> {
        self.actors[actor].store.as_mut().unwrap()
    }

    pub(super) fn add_identity(
        &mut self,
        identity: LocalIdentity,
        url: Option<&str>,
        config: Config,
    ) -> usize {
        self.start_identity(identity, Vec::new(), Vec::new(), url, config)
    }

    /// The keys of an actor.
    pub(super) fn identity(&self, actor: usize) -> LocalIdentity {
        LocalIdentity::danger_import(&self.actors[actor].exported).unwrap()
    }

    /// The contacts of an actor, as its store has them.
    pub(super) fn known_to(&mut self, actor: usize) -> Vec<lama_identity::Contact> {
        match self.store(actor).ask(lama_store::Read::Contacts) {
            Ok(lama_store::Reply::Contacts(contacts)) => contacts,
            other => panic!("{other:?}"),
        }
    }

    /// Stops an actor for good.
    pub(super) fn stop(&mut self, actor: usize) {
        self.actors[actor].over = Some(NodeError::Stopped);
        self.actors[actor].url = None;
        self.cut_all();
    }

    pub(super) fn start_identity(
        &mut self,
        identity: LocalIdentity,
        log: Vec<bytes::Bytes>,
        contacts: Vec<lama_identity::Contact>,
        url: Option<&str>,
        config: Config,
    ) -> usize {
        let exported = identity.danger_export().unwrap();
        let seed = self.seed();
        let store = open(Memory::default(), seed, &identity);
        let (public, noise, sign, person) = identity.into_parts();
        let seed = self.seed();
        let person_key = person.is_some();
        let given = NodeIdentity { log, contacts, person_key, ..NodeIdentity::new(public, noise) };
        let node = Node::new(config.clone(), given, seed, self.clock()).unwrap();
        let url = url.map(String::from);
        self.actors.push(Actor {
            node,
            config,
            exported,
            former: Vec::new(),
            sign,
            person,
            store: Some(store),
            url: url.clone(),
            via: None,
            events: Vec::new(),
            replies: BTreeMap::new(),
            over: None,
        });
        let actor = self.actors.len() - 1;
        self.listen(actor, url.as_deref());
        self.settle();
        actor
    }

    /// A second instance of an actor's person, with the same person keys, enrolled by file.
    pub(super) fn add_instance_of(&mut self, actor: usize, name: &str, url: Option<&str>) -> usize {
        self.enrol(actor, name, url, true)
    }

    /// A second instance of an actor's person, enrolled by file.
    pub(super) fn enrol(&mut self, actor: usize, name: &str, url: Option<&str>, person_key: bool) -> usize {
        use lama_identity::{Enrolment, InstanceOffer, InstanceRequest, NoiseSecret, Object as _};
        let file = |reply| match reply {
            Ok(Reply::File(bytes)) => bytes,
            other => panic!("{other:?}"),
        };
        let offer = file(self.ask(actor, Command::OfferInstance));
        let offer = InstanceOffer::from_bytes(&offer).unwrap();
        let (noise, sign) = (NoiseSecret::from_seed(self.seed()), SignSecret::from_seed(self.seed()));
        let wall = self.clock().wall;
        let request = InstanceRequest::new(&offer, name, &noise, &sign, wall).unwrap();
        let command = Command::CertifyInstance { request: request.to_bytes().unwrap(), replace: false };
        let enrolment = Enrolment::from_bytes(&file(self.ask(actor, command))).unwrap();
        let (public, chain) = enrolment.accept(&offer, &request).unwrap();
        let first = LocalIdentity::danger_import(&self.actors[actor].exported).unwrap();
        let (_, _, _, secrets) = first.into_parts();
        let identity =
            LocalIdentity::from_parts(public, noise, sign, secrets.filter(|_| person_key)).unwrap();
        let entries = chain.entries().to_vec();
        self.start_identity(identity, entries, enrolment.contacts, url, Config::default())
    }

    /// Certifies new keys of an instance; it goes on with the old ones until it is restarted with [`World::take_up`].
    pub(super) fn certify_new_keys(&mut self, actor: usize) -> Result<LocalIdentity, NodeError> {
        use lama_identity::{Enrolment, InstanceOffer, InstanceRequest, NoiseSecret, Object as _};
        let Reply::File(offer) = self.ask(actor, Command::OfferInstance)? else { panic!("a file") };
        let offer = InstanceOffer::from_bytes(&offer).unwrap();
        let (noise, sign) = (NoiseSecret::from_seed(self.seed()), SignSecret::from_seed(self.seed()));
        let (_, _, _, person) = self.identity(actor).into_parts();
        let (name, wall) = (self.identity(actor).public().instance.name.clone(), self.clock().wall);
        let request = InstanceRequest::new(&offer, &name, &noise, &sign, wall).unwrap();
        let command = Command::RotateInstance { request: request.to_bytes().unwrap() };
        let Reply::File(enrolment) = self.ask(actor, command)? else { panic!("a file") };
        let (public, _) = Enrolment::from_bytes(&enrolment).unwrap().accept(&offer, &request).unwrap();
        Ok(LocalIdentity::from_parts(public, noise, sign, person).unwrap())
    }

    /// Restarts an instance with the keys that were certified for it.
    pub(super) fn take_up(&mut self, actor: usize, new: &LocalIdentity) {
        let before = core::mem::replace(&mut self.actors[actor].exported, new.danger_export().unwrap());
        self.actors[actor].former.push(before);
        self.restart(actor);
    }

    /// Certifies another signing key of an actor's person, and starts anew with it.
    pub(super) fn rotate_person(&mut self, actor: usize) {
        use lama_identity::{Enrolment, InstanceOffer, LogChain, Object as _};
        let Ok(Reply::File(offer)) = self.ask(actor, Command::OfferInstance) else { panic!("a file") };
        let head = InstanceOffer::from_bytes(&offer).unwrap().head;
        let (new, me) = (SignSecret::from_seed(self.seed()), self.identity(actor));
        let entries = lama_identity::rotate_person(&me, head, &new, self.clock().wall).unwrap();
        let Ok(Reply::File(file)) = self.ask(actor, Command::RotatePerson { entries }) else {
            panic!("a file")
        };
        let entries = Enrolment::from_bytes(&file).unwrap().entries;
        let entries: Vec<_> = entries.into_iter().map(|bytes| bytes.into_vec().into()).collect();
        let chain = LogChain::verify(me.person_id(), &entries).unwrap();
        self.actors[actor].exported = me.with_person_key(&chain, new).unwrap().danger_export().unwrap();
        self.restart(actor);
    }

    pub(super) fn rotate(&mut self, actor: usize) {
        let new = self.certify_new_keys(actor).expect("certified");
        self.take_up(actor, &new);
    }

    pub(super) fn listen(&mut self, actor: usize, url: Option<&str>) {
        self.actors[actor].url = url.map(String::from);
        let urls = url.map(String::from).into_iter().collect();
        self.input(actor, Input::Listening { urls });
    }

    /// Says that an actor is called through a relay, and at its own address too if `url` says so, whether or not anybody
    /// answers there.
    pub(super) fn stand_behind_relay(&mut self, actor: usize, url: Option<&str>) {
        let via = Via { relay_pin: [8; 32], route_id: [u8::try_from(actor).unwrap(); 32] };
        self.actors[actor].via = Some(via);
        let route = Route { url: RouteUrl::parse("ws://relay.test").unwrap(), via: Some(via) };
        let urls = url.map(String::from).into_iter().chain([route.to_string()]).collect();
        self.input(actor, Input::Listening { urls });
    }

    pub(super) fn person(&self, actor: usize) -> PersonId {
        LocalIdentity::danger_import(&self.actors[actor].exported).unwrap().person_id()
    }

    fn push(&mut self, at: Duration, actor: usize, input: Input) {
        self.next += 1;
        self.queue.insert((at, self.next), (actor, input));
    }

    pub(super) fn input(&mut self, actor: usize, input: Input) {
        let now = self.clock();
        let input = match input {
            Input::Frame { link, frame } if self.puppets.contains_key(&link) => {
                return self.puppet_hears(actor, link, frame);
            }
            input => input,
        };
        let actor = &mut self.actors[actor];
        if let Err(error) = actor.node.handle(now, input) {
            actor.over = Some(error);
        }
    }

    fn outputs(&mut self, id: usize) -> bool {
        let mut any = false;
        while let Some(output) = self.actors[id].node.poll() {
            any = true;
            self.output(id, output);
        }
        while let Some(link) = self.actors[id].node.next_ready_link() {
            let mut frame = BytesMut::new();
            while self.actors[id].node.poll_frame(link, &mut frame) {
                any = true;
                self.deliver(link, frame.split());
            }
        }
        any |= self.puppet_says(id);
        any
    }

    pub(super) fn deliver(&mut self, link: LinkId, frame: BytesMut) {
        let Some(end) = self.ends.get(&link) else { return };
        let (peer, actor) = (end.peer, self.ends.get(&end.peer).map(|end| end.actor));
        self.trace.push((self.now, link, frame.len(), frame.first().copied().unwrap_or_default()));
        if self.cut_after.is_some_and(|after| self.trace.len() > after) {
            self.cut_after = None;
            self.cut_all();
            return;
        }
        if let Some(actor) = actor {
            let at = self.now + DELAY;
            self.push(at, actor, Input::Frame { link: peer, frame });
        }
    }

    /// Cuts every link; what is under way is lost.
    pub(super) fn cut_all(&mut self) {
        let links: Vec<(LinkId, usize)> = self.ends.iter().map(|(link, end)| (*link, end.actor)).collect();
        self.queue.retain(|_, (_, input)| {
            !matches!(input, Input::Frame { .. } | Input::LinkUp { .. } | Input::LinkDown { .. })
        });
        self.ends.clear();
        for (link, actor) in links {
            let at = self.now + ms(1);
            self.push(at, actor, Input::LinkDown { link, cause: LinkCause::Lost });
        }
    }

    /// From now on no frame of an open link arrives, and nobody is told.
    pub(super) fn lose_words(&mut self) {
        self.queue.retain(|_, (_, input)| !matches!(input, Input::Frame { .. }));
        self.ends.clear();
    }

    /// The patience of one step.
    pub(super) fn step(&self) -> Duration {
        Config::default().session.step_timeout + DELAY
    }

    fn close(&mut self, link: LinkId) {
        let Some(end) = self.ends.remove(&link) else { return };
        let at = self.now + DELAY;
        self.push(at, end.actor, Input::LinkDown { link, cause: LinkCause::Local });
        if let Some(other) = self.ends.remove(&end.peer) {
            self.push(at, other.actor, Input::LinkDown { link: end.peer, cause: LinkCause::Closed });
        }
    }

    fn output(&mut self, id: usize, output: Output) {
        match output {
            Output::Store { ticket, requests, .. } => {
                let results = self.actors[id].store.as_mut().unwrap().execute(&requests);
                let at = self.now + self.store_delay;
                self.push(at, id, Input::Stored { ticket, results });
            }
            Output::Sign { ticket, key, bytes } => {
                let actor = &self.actors[id];
                let signature = match key {
                    WhichKey::Former(at) => {
                        let keys = LocalIdentity::danger_import(&actor.former[at]).unwrap();
                        Some(keys.sign().sign_input(&bytes))
                    }
                    WhichKey::Instance => Some(actor.sign.sign_input(&bytes)),
                    WhichKey::Person => actor.person.as_ref().map(|person| person.sign.sign_input(&bytes)),
                };
                let at = self.now;
                self.push(at, id, Input::Signed { ticket, signature });
            }
            Output::Dial { ticket, url, via, .. } => {
                self.dialled.push((self.now, id, via.is_some()));
                self.dial(id, ticket, &url, via);
            }
            Output::CloseLink { link } => {
                let mut frame = BytesMut::new();
                while self.actors[id].node.poll_frame(link, &mut frame) {
                    self.deliver(link, frame.split());
                }
                self.close(link);
            }
            Output::Reply { ticket, result } => {
                assert!(self.actors[id].replies.insert(ticket, result).is_none(), "answered twice");
            }
            Output::Event(event) => self.actors[id].events.push(event),
        }
    }

    fn dial(&mut self, id: usize, ticket: Ticket, url: &str, via: Option<Via>) {
        let at = self.now + DELAY + DELAY;
        let listener = self.actors.iter().position(|actor| {
            let there = if via.is_some() { actor.via == via } else { actor.url.as_deref() == Some(url) };
            there && actor.over.is_none()
        });
        let Some(listener) = listener else {
            self.push(at, id, Input::DialFailed { ticket, cause: DialError::Refused });
            return;
        };
        self.next += 2;
        let (ours, theirs) = (LinkId(self.next), LinkId(self.next + 1));
        self.next += 1;
        self.ends.insert(ours, End { actor: id, peer: theirs });
        self.ends.insert(theirs, End { actor: listener, peer: ours });
        let (a, b) = (self.seed(), self.seed());
        self.push(at, id, Input::LinkUp { link: ours, origin: Origin::Dialled(ticket), seed: a });
        let source = Source::new([id as u8; 16]);
        let origin = match via {
            Some(via) => Origin::Relayed { source, route: via.route_id },
            None => Origin::Accepted { source },
        };
        self.push(at, listener, Input::LinkUp { link: theirs, origin, seed: b });
    }

    /// Runs what is due now, without letting time pass.
    pub(super) fn settle(&mut self) {
        self.run_until(self.now);
    }

    fn run_until(&mut self, end: Duration) {
        loop {
            while (0..self.actors.len()).fold(false, |any, actor| self.outputs(actor) | any) {}
            let timers = self.actors.iter().enumerate().filter_map(|(id, actor)| {
                actor.over.is_none().then_some(())?;
                Some((actor.node.poll_timeout()?.since_origin(), id))
            });
            let timer = timers.min();
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let next = [timer.map(|(at, _)| at), queued].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if queued == Some(next) {
                let (_, (actor, input)) = self.queue.pop_first().unwrap();
                if self.actors[actor].over.is_none() {
                    self.input(actor, input);
                }
            } else if let Some((_, actor)) = timer {
                let now = self.clock();
                let _ = self.actors[actor].node.handle_timeout(now);
            }
        }
        self.now = self.now.max(end);
    }

    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Gives a command and lets time pass; the answer.
    pub(super) fn ask(&mut self, actor: usize, command: Command) -> Result<Reply, NodeError> {
        let ticket = self.command(actor, command);
        self.run(secs(3));
        self.actors[actor].replies.remove(&ticket).expect("an answer")
    }

    pub(super) fn command(&mut self, actor: usize, command: Command) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.input(actor, Input::Command { ticket, command });
        ticket
    }

    pub(super) fn answer(&mut self, actor: usize, ticket: Ticket) -> Option<Result<Reply, NodeError>> {
        self.actors[actor].replies.remove(&ticket)
    }

    pub(super) fn invite(&mut self, actor: usize, policy: Policy) -> (Locator, Zeroizing<String>) {
        self.invite_for(actor, policy, None)
    }

    pub(super) fn invite_for(
        &mut self,
        actor: usize,
        policy: Policy,
        lifetime: Option<Duration>,
    ) -> (Locator, Zeroizing<String>) {
        let seed = self.seed();
        let label = "for a friend".to_string();
        let ticket = self.command(actor, Command::Invite { policy, lifetime, label, seed });
        self.settle();
        match self.answer(actor, ticket).expect("an answer").unwrap() {
            Reply::Invitation { locator, invitation, .. } => {
                (locator, invitation.to_link(LAMA_BASE).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn join(&mut self, actor: usize, link: &str) -> Ticket {
        let link = Zeroizing::new(link.to_string());
        self.command(actor, Command::Join { link, rules: DialRules::default() })
    }

    /// Makes two actors contacts, the first one inviting.
    pub(super) fn pair(&mut self, inviter: usize, joiner: usize) {
        let (_, link) = self.invite(inviter, Policy::Auto);
        let ticket = self.join(joiner, &link);
        self.run(secs(3));
        self.answer(joiner, ticket).expect("an answer").expect("paired");
    }

    pub(super) fn contacts(&mut self, actor: usize) -> Vec<ContactInfo> {
        let ticket = self.command(actor, Command::Contacts);
        self.settle();
        match self.answer(actor, ticket) {
            Some(Ok(Reply::Contacts(contacts))) => contacts,
            other => panic!("{other:?}"),
        }
    }

    /// Whether both know each other as active contacts.
    pub(super) fn are_contacts(&mut self, a: usize, b: usize) -> (bool, bool) {
        let (pa, pb) = (self.person(a), self.person(b));
        let active = |contacts: Vec<ContactInfo>, who| {
            contacts.iter().any(|c| c.person == who && c.standing == ContactStanding::Active)
        };
        let first = self.contacts(a);
        let second = self.contacts(b);
        (active(first, pb), active(second, pa))
    }

    /// Stops an actor in the middle of everything and starts it again from its store.
    pub(super) fn restart(&mut self, id: usize) {
        let links: Vec<LinkId> =
            self.ends.iter().filter(|(_, end)| end.actor == id).map(|(link, _)| *link).collect();
        for link in links {
            let Some(end) = self.ends.remove(&link) else { continue };
            if let Some(other) = self.ends.remove(&end.peer) {
                let at = self.now + DELAY;
                self.push(at, other.actor, Input::LinkDown { link: end.peer, cause: LinkCause::Lost });
            }
        }
        self.queue.retain(|_, (actor, _)| *actor != id);
        let identity = LocalIdentity::danger_import(&self.actors[id].exported).unwrap();
        let engine = self.actors[id].store.take().unwrap().close().unwrap();
        let (a, b) = (self.seed(), self.seed());
        let mut store = open(engine, a, &identity);
        let signing = |keys: &Zeroizing<Vec<u8>>| {
            LocalIdentity::danger_import(keys).unwrap().public().instance_keys.sign_key
        };
        store.set_former_keys(self.actors[id].former.iter().map(signing).collect());
        let (public, noise, sign, person) = identity.into_parts();
        let config = self.actors[id].config.clone();
        let former = self.actors[id].former.iter().map(|exported| {
            let (public, noise, ..) = LocalIdentity::danger_import(exported).unwrap().into_parts();
            FormerKeys { public, noise }
        });
        let given = NodeIdentity {
            person_key: person.is_some(),
            former: former.collect(),
            ..NodeIdentity::new(public, noise)
        };
        let node = Node::new(config, given, b, self.clock()).unwrap();
        let actor = &mut self.actors[id];
        (actor.node, actor.sign, actor.person, actor.store, actor.over) =
            (node, sign, person, Some(store), None);
        let url = actor.url.clone();
        self.listen(id, url.as_deref());
    }

    pub(super) fn texts(&mut self, actor: usize, with: PersonId) -> Vec<String> {
        let channel = crate::ChannelRef::With { person: with, name: None };
        let ticket = self.command(actor, Command::Log { channel, from: PageFrom::First, limit: 100 });
        self.settle();
        match self.answer(actor, ticket) {
            Some(Ok(Reply::Log(entries))) => entries.into_iter().map(|entry| entry.text).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn say(&mut self, from: usize, to: usize, text: &str) {
        let to = self.person(to);
        let reply = self.ask(from, Command::Send { to, channel: None, text: text.to_string() });
        assert!(matches!(reply, Ok(Reply::Sent { .. })), "{reply:?}");
    }
}

fn open(engine: Memory, seed: Seed, owner: &LocalIdentity) -> Store<Memory> {
    let (config, key) = (lama_store::Config::default(), StorageKey::danger_fixed([7; 32]));
    let mut store = Store::open(engine, config, &key, seed, Opening::Normal).unwrap();
    store.set_owner(owner.public().clone()).unwrap();
    store
}
