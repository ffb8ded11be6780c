//! Two instances that nobody can dial, as two browsers are: both stand behind one relay and reach each other through it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lama_bindings::{
    At, Command, DialCause, Event, Instance, Keys, Limits, LinkCause, LinkOrigin, Output, Reply,
};
use lama_core::{Instant, Now, Seed, WallTime};
use lama_identity::SignSecret;
use lama_invite::{RouteUrl, Source};
use lama_relay::{Config, LinkId, RelayAddress, Server, ServerInput, ServerOutput};
use lama_store::Memory;

const WALL: u64 = 1_800_000_000_000;

/// Instances, the relay between them and their WebSockets to it, in virtual time.
struct World {
    sides: Vec<Instance<Memory>>,
    relay: Server,
    key: SignSecret,
    up: bool,
    mono_ms: u64,
    /// Whose each link is; both ends name it the same.
    links: BTreeMap<u64, usize>,
    to_side: VecDeque<(u64, Vec<u8>)>,
    events: Vec<Vec<Event>>,
    replies: Vec<(u64, Result<Reply, String>)>,
    drawn: u8,
    count: u64,
}

impl World {
    fn new(emails: &[&str]) -> Self {
        let key = SignSecret::from_seed(Seed::danger_fixed([99; 32]));
        let relay = Server::new(Config::default(), *key.public(), &["relay.example"]);
        let mut world = Self {
            sides: Vec::new(),
            relay,
            key,
            up: true,
            mono_ms: 0,
            links: BTreeMap::new(),
            to_side: VecDeque::new(),
            events: emails.iter().map(|_| Vec::new()).collect(),
            replies: Vec::new(),
            drawn: 0,
            count: 0,
        };
        for email in emails {
            let keys = Keys::create(email, "page", world.draw(), WALL).unwrap();
            let (entropy, at) = (world.draw(), world.at());
            let side = Instance::open(keys, Memory::default(), &Limits::default(), entropy, at).unwrap();
            world.sides.push(side);
        }
        world
    }

    fn address(&self) -> String {
        let url = RouteUrl::parse("ws://relay.example:8770").unwrap();
        RelayAddress::new(url, self.key.public()).to_string()
    }

    fn at(&self) -> At {
        At { mono_ms: self.mono_ms, wall_ms: WALL + self.mono_ms }
    }

    fn now(&self) -> Now {
        let mono = Instant::from_origin(Duration::from_millis(self.mono_ms));
        Now { mono, wall: WallTime(WALL + self.mono_ms) }
    }

    fn draw(&mut self) -> [u8; 32] {
        self.drawn = self.drawn.wrapping_add(1);
        [self.drawn; 32]
    }

    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn ask(&mut self, side: usize, command: Command) -> Result<Reply, String> {
        let (ticket, entropy, at) = (self.next(), self.draw(), self.at());
        self.sides[side].command(ticket, command, entropy, at).map_err(|problem| problem.code)?;
        self.settle(|world| world.replies.iter().any(|(of, _)| *of == ticket));
        let at = self.replies.iter().position(|(of, _)| *of == ticket).unwrap();
        self.replies.remove(at).1
    }

    fn settle(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..50_000 {
            if done(self) {
                return;
            }
            if !self.step() {
                let relay = self.relay.poll_timeout().map(|at| at.since_origin().as_millis() as u64);
                let due = self.sides.iter().filter_map(Instance::poll_timeout).chain(relay).min();
                self.mono_ms = due.expect("nothing will ever happen").max(self.mono_ms + 1);
                let (now, at) = (self.now(), self.at());
                self.relay.handle_timeout(now).unwrap();
                self.sides.iter_mut().for_each(|side| side.handle_timeout(at));
            }
        }
        panic!("it does not settle: {:?}", self.events.iter().map(|list| list.last()).collect::<Vec<_>>());
    }

    fn tell(&mut self, input: ServerInput) {
        self.relay.handle(self.now(), input).unwrap();
    }

    /// Whether anything happened.
    fn step(&mut self) -> bool {
        let mut busy = false;
        for side in 0..self.sides.len() {
            while let Some(output) = {
                let at = self.at();
                self.sides[side].poll(at)
            } {
                busy = true;
                self.heed(side, output);
            }
            while let Some(link) = self.sides[side].next_ready_link() {
                self.send(link);
                busy = true;
            }
        }
        while let Some(output) = self.relay.poll() {
            busy = true;
            match output {
                ServerOutput::Sign { ticket, bytes } => {
                    let signature = Some(self.key.sign_input(&bytes));
                    self.tell(ServerInput::Signed { ticket, signature });
                }
                ServerOutput::Close { link, .. } => {
                    self.pump(link);
                    self.cut(link.0, LinkCause::Closed);
                }
                ServerOutput::Drained => {}
            }
        }
        while let Some(link) = self.relay.next_ready_link() {
            busy = true;
            self.pump(link);
        }
        while let Some((link, frame)) = self.to_side.pop_front() {
            busy = true;
            let Some(side) = self.links.get(&link).copied() else { continue };
            assert!(frame.len() <= self.sides[side].frame_limit(link));
            let at = self.at();
            self.sides[side].frame(link, &frame, at);
        }
        busy
    }

    fn pump(&mut self, link: LinkId) {
        while let Some(frame) = self.relay.poll_frame(link) {
            self.to_side.push_back((link.0, frame.to_vec()));
        }
    }

    fn send(&mut self, link: u64) {
        let Some(side) = self.links.get(&link).copied() else { return };
        while let Some(frame) = self.sides[side].poll_frame(link) {
            self.tell(ServerInput::Frame { link: LinkId(link), frame: frame.as_slice().into() });
        }
    }

    fn cut(&mut self, link: u64, cause: LinkCause) {
        let Some(side) = self.links.remove(&link) else { return };
        let at = self.at();
        for (_, frame) in self.to_side.iter().filter(|(of, _)| *of == link) {
            self.sides[side].frame(link, frame, at);
        }
        self.to_side.retain(|(of, _)| *of != link);
        self.sides[side].link_down(link, cause, at);
        self.tell(ServerInput::LinkDown { link: LinkId(link) });
    }

    fn heed(&mut self, side: usize, output: Output) {
        match output {
            Output::Dial { dial, url, subprotocol, .. } => {
                assert_eq!((url.as_str(), subprotocol), ("ws://relay.example:8770", "lama-relay.1"));
                let at = self.at();
                if !self.up {
                    return self.sides[side].dial_failed(dial, DialCause::Refused, at);
                }
                let (link, ours, theirs) = (self.next(), self.draw(), self.draw());
                self.links.insert(link, side);
                self.sides[side].link_up(link, &LinkOrigin::dialled(dial, None), ours, at);
                self.tell(ServerInput::LinkUp {
                    link: LinkId(link),
                    source: Source::new([side as u8; 16]),
                    host: "relay.example".into(),
                    exporter: None,
                    seed: Seed::danger_fixed(theirs),
                });
                // HELLO leaves before anything is read.
                self.pump(LinkId(link));
            }
            Output::Close { link } => {
                self.send(link);
                self.cut(link, LinkCause::Local);
            }
            Output::Reply { ticket, reply } => self.replies.push((ticket, Ok(reply))),
            Output::Failed { ticket, problem } => self.replies.push((ticket, Err(problem.code))),
            Output::Event { event } => self.events[side].push(event),
            _ => {}
        }
    }

    fn behind(&mut self, side: usize) {
        let relays = vec![self.address()];
        assert_eq!(self.ask(side, Command::SetRelays { relays }), Ok(Reply::Done));
        self.settle(|world| {
            world.events[side].iter().any(|event| matches!(event, Event::RelayRegistered { .. }))
        });
    }

    fn states(&mut self, side: usize) -> Vec<&'static str> {
        let Ok(Reply::Relays { relays }) = self.ask(side, Command::Relays) else { panic!() };
        relays.iter().map(|relay| relay.state).collect()
    }
}

fn invite() -> Command {
    Command::Invite { confirm: false, lifetime: None, label: String::new(), base: None }
}

fn heard(world: &World, side: usize, text: &str) -> bool {
    world.events[side].iter().any(|event| matches!(event, Event::Message { message } if message.text == text))
}

#[test]
fn two_that_nobody_can_dial_pair_and_talk_through_a_relay() {
    let mut world = World::new(&["ada@lama.local", "bob@lama.local"]);
    assert_eq!(world.ask(0, invite()).unwrap_err(), "node.not-listening");
    world.behind(0);
    world.behind(1);
    let Ok(Reply::Invited { link, urls, .. }) = world.ask(0, invite()) else { panic!() };
    assert_eq!(urls, ["ws://relay.example:8770"]);
    let joined = world.ask(1, Command::Join { link, lan: false, opened: false });
    let Ok(Reply::Contact { contact: ada }) = joined else { panic!("{joined:?}") };
    let send = |to: &str, text: &str| Command::Send { to: to.into(), text: text.into(), channel: None };
    world.ask(1, send(&ada.person, "hello")).unwrap();
    world.settle(|world| heard(world, 0, "hello"));
    let Ok(Reply::Status { status }) = world.ask(0, Command::Status) else { panic!() };
    assert_eq!((status.peers[0].path, status.peers[0].dialled), ("relay", false));
    assert!(status.peers[0].url.is_some(), "Bob is reached through his relay, too");
    // A connection that was used up is made good.
    world.settle(|world| world.links.len() == 2 * (2 + 1));
    assert_eq!(world.states(0), ["registered"]);
    let alarms = world.events.iter().flatten().filter(|event| matches!(event, Event::Alarm { .. }));
    assert_eq!(alarms.count(), 0);
}

#[test]
fn a_relay_that_comes_back_is_found_again_and_a_changed_list_is_heeded() {
    let mut world = World::new(&["ada@lama.local"]);
    world.behind(0);
    world.up = false;
    let open: Vec<u64> = world.links.keys().copied().collect();
    open.into_iter().for_each(|link| world.cut(link, LinkCause::Lost));
    let lost = |event: &Event| matches!(event, Event::RelayLost { pause: Some(_), .. });
    world.settle(|world| world.events[0].iter().any(lost));
    assert_eq!(world.ask(0, invite()).unwrap_err(), "node.not-listening");
    assert_eq!(world.states(0), ["waiting"]);
    world.up = true;
    assert_eq!(world.ask(0, Command::Wake), Ok(Reply::Done));
    world
        .settle(|world| matches!(world.events[0].last(), Some(Event::Listening { urls }) if urls.len() == 1));
    assert_eq!(world.states(0), ["registered"]);

    let twice = vec![world.address(), world.address()];
    assert_eq!(world.ask(0, Command::SetRelays { relays: twice }).unwrap_err(), "binding.argument");
    let wrong = vec!["ws://relay.example:8770".to_owned()];
    assert_eq!(world.ask(0, Command::SetRelays { relays: wrong }).unwrap_err(), "relay-address-pin");
    assert_eq!(world.ask(0, Command::SetRelays { relays: Vec::new() }), Ok(Reply::Done));
    world.settle(|world| world.links.is_empty());
    assert_eq!(world.states(0), Vec::<&str>::new());
    assert_eq!(world.ask(0, invite()).unwrap_err(), "node.not-listening");
}
