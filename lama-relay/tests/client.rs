//! An instance behind relays in virtual time: registering, spare connections, failover, outages.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lama_core::{Instant, Now, Ticket, WallTime};
use lama_identity::SignSecret;
use lama_invite::RouteUrl;
use lama_relay::wire::{FromRelay, Hello};
use lama_relay::{
    Client, ClientConfig, ClientInput, ClientOutput, Config, HomeState, LinkId, RelayAddress, RelayError,
    Server, ServerInput, ServerOutput,
};
use support::{key, ms, route_of, secs, seed, source};

/// A relay that can be switched off, or swallow everything.
struct Relay {
    server: Server,
    key: SignSecret,
    up: bool,
    mute: bool,
}

/// An instance and its relays. Links have room always.
struct Net {
    now: Duration,
    client: Client,
    relays: Vec<Relay>,
    /// Links of the client, and at which relay.
    links: BTreeMap<LinkId, usize>,
    events: Vec<(Duration, ClientOutput)>,
    dials: Vec<(Duration, usize)>,
    /// Messages of callers that arrived on links that were handed over.
    sessions: BTreeMap<LinkId, Vec<Bytes>>,
    hang: Vec<Ticket>,
    hanging: bool,
    next: u64,
}

fn address(key: &SignSecret) -> RelayAddress {
    RelayAddress::new(RouteUrl::parse("ws://relay.example:8770").unwrap(), key.public())
}

fn route_key(home: usize) -> SignSecret {
    key(500 + home as u64)
}

impl Net {
    fn new(relays: usize, config: ClientConfig) -> Self {
        let relays: Vec<Relay> = (0..relays)
            .map(|n| {
                let key = key(100 + n as u64);
                let server = Server::new(Config::default(), *key.public(), &["relay.example"]);
                Relay { server, key, up: true, mute: false }
            })
            .collect();
        let list = relays
            .iter()
            .enumerate()
            .map(|(home, relay)| (address(&relay.key), *route_key(home).public()))
            .collect();
        let client = Client::new(config, list, seed(1), Now::default());
        let mut net = Self {
            now: Duration::ZERO,
            client,
            relays,
            links: BTreeMap::new(),
            events: Vec::new(),
            dials: Vec::new(),
            sessions: BTreeMap::new(),
            hang: Vec::new(),
            hanging: false,
            next: 0,
        };
        net.run();
        net
    }

    fn at(&self) -> Now {
        let wall = support::WALL * 1000 + u64::try_from(self.now.as_millis()).unwrap();
        Now { mono: Instant::from_origin(self.now), wall: WallTime(wall) }
    }

    fn tell(&mut self, input: ClientInput) {
        self.client.handle(self.at(), input).unwrap();
    }

    fn tell_relay(&mut self, relay: usize, input: ServerInput) {
        let now = self.at();
        self.relays[relay].server.handle(now, input).unwrap();
    }

    fn run(&mut self) {
        loop {
            let mut busy = false;
            while let Some(output) = self.client.poll() {
                busy = true;
                self.client_output(output);
            }
            while let Some(link) = self.client.next_ready_link() {
                busy = true;
                while let Some(frame) = self.client.poll_frame(link) {
                    if let Some(relay) = self.links.get(&link).copied() {
                        self.tell_relay(relay, ServerInput::Frame { link, frame: frame.as_ref().into() });
                    }
                }
            }
            for relay in 0..self.relays.len() {
                busy |= self.relay(relay);
            }
            if !busy {
                return;
            }
        }
    }

    fn client_output(&mut self, output: ClientOutput) {
        match output {
            ClientOutput::Dial { ticket, home } => {
                self.dials.push((self.now, home));
                if self.hanging {
                    self.hang.push(ticket);
                } else {
                    self.answer(ticket, home);
                }
            }
            ClientOutput::Sign { ticket, home, bytes } => {
                let signature = Some(route_key(home).sign_input(&bytes));
                self.tell(ClientInput::Signed { ticket, signature });
            }
            ClientOutput::Close { link } => {
                if let Some(relay) = self.links.remove(&link) {
                    self.tell_relay(relay, ServerInput::LinkDown { link });
                }
                self.tell(ClientInput::LinkDown { link });
            }
            ClientOutput::HandOver { link, .. } => {
                self.sessions.insert(link, Vec::new());
                self.events.push((self.now, output));
            }
            event => self.events.push((self.now, event)),
        }
    }

    fn answer(&mut self, ticket: Ticket, home: usize) {
        if !self.relays[home].up {
            return self.tell(ClientInput::DialFailed { ticket });
        }
        let link = self.link();
        self.links.insert(link, home);
        self.tell(ClientInput::LinkUp { ticket, link, exporter: None, seed: seed(link.0) });
        self.connect(link, home, 1);
    }

    fn link(&mut self) -> LinkId {
        self.next += 1;
        LinkId(self.next)
    }

    fn connect(&mut self, link: LinkId, relay: usize, from: u8) {
        let input = ServerInput::LinkUp {
            link,
            source: source(from),
            host: "relay.example:8770".split(':').next().unwrap().into(),
            exporter: None,
            seed: seed(link.0 + 900),
        };
        self.tell_relay(relay, input);
    }

    fn relay(&mut self, relay: usize) -> bool {
        let mut busy = false;
        while let Some(output) = self.relays[relay].server.poll() {
            busy = true;
            match output {
                ServerOutput::Sign { ticket, bytes } => {
                    let signature = Some(self.relays[relay].key.sign_input(&bytes));
                    self.tell_relay(relay, ServerInput::Signed { ticket, signature });
                }
                ServerOutput::Close { link, .. } => {
                    self.pump(relay, link);
                    self.tell_relay(relay, ServerInput::LinkDown { link });
                    if !self.relays[relay].mute && self.links.remove(&link).is_some() {
                        self.tell(ClientInput::LinkDown { link });
                    }
                }
                ServerOutput::Drained => {}
            }
        }
        while let Some(link) = self.relays[relay].server.next_ready_link() {
            busy = true;
            self.pump(relay, link);
        }
        busy
    }

    fn pump(&mut self, relay: usize, link: LinkId) {
        while let Some(frame) = self.relays[relay].server.poll_frame(link) {
            if self.relays[relay].mute {
                continue;
            }
            if let Some(session) = self.sessions.get_mut(&link) {
                session.push(frame);
            } else if self.links.contains_key(&link) {
                self.tell(ClientInput::Frame { link, frame: frame.as_ref().into() });
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let relays =
                self.relays.iter().filter(|relay| relay.up).filter_map(|relay| relay.server.poll_timeout());
            let due = relays.chain(self.client.poll_timeout()).min().map(Instant::since_origin);
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            let now = self.at();
            self.client.handle_timeout(now).unwrap();
            for relay in self.relays.iter_mut().filter(|relay| relay.up) {
                relay.server.handle_timeout(now).unwrap();
            }
            self.run();
        }
        self.now = end;
    }

    /// A relay dies: every connection breaks at once, and nothing is remembered.
    fn kill(&mut self, relay: usize) {
        self.relays[relay].up = false;
        let key = &self.relays[relay].key;
        self.relays[relay].server = Server::new(Config::default(), *key.public(), &["relay.example"]);
        let dead: Vec<_> = self.links.iter().filter(|(_, at)| **at == relay).map(|(id, _)| *id).collect();
        for link in dead {
            self.links.remove(&link);
            self.tell(ClientInput::LinkDown { link });
        }
        self.run();
    }

    /// Somebody rings; the link of the caller.
    fn ring(&mut self, relay: usize, home: usize) -> LinkId {
        let caller = self.link();
        self.connect(caller, relay, 2);
        self.run();
        let ring = lama_relay::wire::FromClient::Ring(route_of(&route_key(home))).to_bytes();
        self.tell_relay(relay, ServerInput::Frame { link: caller, frame: ring.as_ref().into() });
        self.run();
        caller
    }

    fn states(&self) -> Vec<(HomeState, usize)> {
        self.client.homes().map(|home| (home.state, home.links)).collect()
    }

    fn losses(&self, home: usize) -> Vec<Option<RelayError>> {
        let why = |event: &ClientOutput| match event {
            ClientOutput::Lost { home: at, why, .. } if *at == home => Some(why.clone()),
            _ => None,
        };
        self.events.iter().filter_map(|(_, event)| why(event)).collect()
    }
}

const READY: (HomeState, usize) = (HomeState::Registered, 2);
const UNNEEDED: (HomeState, usize) = (HomeState::Unneeded, 0);

#[test]
fn two_of_a_list_are_registered_with_two_spare_connections_each() {
    let net = Net::new(3, ClientConfig::default());
    assert_eq!(net.states(), [READY, READY, UNNEEDED]);
    assert_eq!(net.dials.len(), 4);
    assert!(net.losses(0).is_empty());
    let homes: Vec<_> = net.client.homes().collect();
    let via = homes[1].route.via.unwrap();
    assert_eq!(via.route_id, route_of(&route_key(1)).0);
    assert_eq!(via.relay_pin, address(&net.relays[1].key).pin);
}

#[test]
fn a_call_is_handed_over_with_its_first_message_and_a_fresh_connection_takes_its_place() {
    let mut net = Net::new(1, ClientConfig::default());
    let caller = net.ring(0, 0);
    let (_, event) = net.events.last().unwrap();
    let ClientOutput::HandOver { link, home: 0 } = *event else { panic!("{event:?}") };
    assert!(!net.client.holds(link));
    assert_eq!(net.states(), [READY]);
    net.tell_relay(0, ServerInput::Frame { link: caller, frame: BytesMut::from("message 1") });
    net.run();
    assert_eq!(net.sessions[&link], ["message 1"]);
    assert!(!net.events.iter().any(|(_, event)| matches!(event, ClientOutput::Shared { .. })));
}

#[test]
fn more_calls_than_spare_connections_all_arrive() {
    let mut net = Net::new(1, ClientConfig::default());
    for _ in 0..8 {
        net.ring(0, 0);
    }
    assert_eq!(net.sessions.len(), 8);
    assert_eq!(net.states(), [READY]);
}

#[test]
fn the_next_of_the_list_takes_the_place_of_one_that_dies_and_gives_it_back_later() {
    let mut net = Net::new(3, ClientConfig::default());
    net.pass(secs(60));
    net.kill(0);
    assert_eq!(net.states()[1..], [READY, READY], "at once");
    net.pass(secs(60));
    assert_eq!(net.states()[0].0, HomeState::Waiting);
    net.relays[0].up = true;
    net.pass(secs(121));
    assert_eq!(net.states(), [READY, READY, UNNEEDED]);
}

#[test]
fn a_relay_that_comes_and_goes_does_not_move_the_others() {
    let mut net = Net::new(3, ClientConfig::default());
    net.pass(secs(60));
    for _ in 0..5 {
        net.kill(0);
        net.pass(secs(5));
        net.relays[0].up = true;
        net.client.handle(net.at(), ClientInput::Retry).unwrap();
        net.run();
        net.pass(secs(5));
        assert_eq!(net.states(), [READY, READY, READY]);
    }
    assert!(net.losses(1).is_empty() && net.losses(2).is_empty());
}

#[test]
fn a_day_without_relays_costs_a_bounded_number_of_dials_and_ends_with_them() {
    let mut net = Net::new(2, ClientConfig::default());
    net.kill(0);
    net.kill(1);
    net.dials.clear();
    net.pass(secs(24 * 60 * 60));
    let count = net.dials.len();
    assert!((2 * 24 * 30..2 * 24 * 62).contains(&count), "{count} dials, one in 60 to 120 s at each");
    let gaps: Vec<_> = net.dials.iter().filter(|(_, home)| *home == 0).map(|(at, _)| *at).collect();
    let gaps: Vec<_> = gaps.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap <= secs(120)));
    let distinct: std::collections::BTreeSet<_> = gaps.iter().rev().take(100).collect();
    assert!(distinct.len() > 50, "never quite regular");
    for relay in &mut net.relays {
        relay.up = true;
    }
    net.pass(secs(121));
    assert_eq!(net.states(), [READY, READY]);
}

#[test]
fn a_change_of_network_is_tried_at_once() {
    let mut net = Net::new(1, ClientConfig::default());
    net.kill(0);
    net.pass(secs(3600));
    net.relays[0].up = true;
    net.tell(ClientInput::Retry);
    net.run();
    assert_eq!(net.states(), [READY]);
}

/// The connections that were registered lead nowhere, and neither end is told: as when the address has changed.
#[test]
fn after_a_change_of_network_fresh_connections_take_the_place_of_dead_ones() {
    let mut net = Net::new(1, ClientConfig::default());
    net.pass(secs(30));
    let dead: Vec<LinkId> = net.links.keys().copied().collect();
    net.links.clear();
    net.events.clear();
    net.tell(ClientInput::Retry);
    net.run();
    assert_eq!(net.states(), [READY], "at once");
    assert!(net.events.is_empty(), "the route was never withdrawn: {:?}", net.events);
    assert!(dead.iter().all(|link| !net.client.holds(*link)));
    net.ring(0, 0);
    assert_eq!(net.sessions.len(), 1, "calls come by the fresh ones");
}

#[test]
fn what_is_heard_after_a_change_of_network_is_believed() {
    let mut net = Net::new(1, ClientConfig::default());
    net.pass(secs(20));
    let live: Vec<LinkId> = net.links.keys().copied().collect();
    net.hanging = true;
    net.tell(ClientInput::Retry);
    net.run();
    assert_eq!(net.states(), [(HomeState::Registered, 0)]);
    // The relay's next PING.
    net.pass(secs(8));
    assert_eq!(net.states(), [READY]);
    assert!(live.iter().all(|link| net.client.holds(*link)));
    // Those that were being opened come late, and there are no more of them in the end than before.
    net.hanging = false;
    for ticket in std::mem::take(&mut net.hang) {
        net.answer(ticket, 0);
    }
    net.run();
    assert_eq!(net.states(), [READY]);
    assert!(net.losses(0).is_empty(), "the route was never withdrawn");
    assert!(!net.events.iter().any(|(_, event)| matches!(event, ClientOutput::Shared { .. })));
}

#[test]
fn a_relay_that_swallows_everything_is_given_up() {
    let mut net = Net::new(1, ClientConfig::default());
    net.pass(secs(30));
    net.relays[0].mute = true;
    net.pass(secs(100));
    assert_eq!(net.losses(0).first(), Some(&Some(RelayError::Silent)));
    // And what is tried anew does not hang either.
    net.pass(secs(60));
    assert!(net.losses(0).contains(&Some(RelayError::HalfOpen)));
    net.relays[0].mute = false;
    net.pass(secs(240));
    assert_eq!(net.states(), [READY]);
}

#[test]
fn a_dial_that_is_never_answered_is_given_up_and_a_late_answer_is_closed() {
    let mut net = Net::new(1, ClientConfig::default());
    net.kill(0);
    net.hanging = true;
    net.pass(secs(2));
    let ticket = net.hang[0];
    net.pass(secs(20));
    net.events.clear();
    let seed = seed(7);
    net.tell(ClientInput::LinkUp { ticket, link: LinkId(999), exporter: None, seed });
    assert_eq!(net.client.poll(), Some(ClientOutput::Close { link: LinkId(999) }));
    assert!(net.hang.len() > 1, "it is tried again");
}

/// What a client says of a relay that sends these frames.
fn against(frames: impl Fn(&mut Client, &RelayAddress) -> Vec<Bytes>) -> Option<RelayError> {
    let relay = key(100);
    let list = vec![(address(&relay), *route_key(0).public())];
    let now = Now { wall: WallTime(support::WALL * 1000), ..Now::default() };
    let mut client = Client::new(ClientConfig::default(), list, seed(1), now);
    let Some(ClientOutput::Dial { ticket, .. }) = client.poll() else { panic!() };
    let link = LinkId(1);
    client.handle(now, ClientInput::LinkUp { ticket, link, exporter: None, seed: seed(2) }).unwrap();
    for frame in frames(&mut client, &address(&relay)) {
        client.handle(now, ClientInput::Frame { link, frame: frame.as_ref().into() }).unwrap();
        while let Some(output) = client.poll() {
            match output {
                ClientOutput::Sign { ticket, bytes, .. } => {
                    let signature = Some(route_key(0).sign_input(&bytes));
                    client.handle(now, ClientInput::Signed { ticket, signature }).unwrap();
                    client.poll_frame(link).unwrap();
                }
                ClientOutput::Lost { why, .. } => return why,
                ClientOutput::Registered { .. } => panic!("registered"),
                _ => {}
            }
        }
    }
    None
}

fn hello_of(key: &SignSecret) -> Bytes {
    FromRelay::Hello(Hello { relay_key: *key.public().as_bytes(), nonce: [0; 32], tls: false }).to_bytes()
}

#[test]
fn relay_key_mismatch() {
    assert_eq!(against(|_, _| vec![hello_of(&key(101))]), Some(RelayError::RelayKeyMismatch));
}

#[test]
fn a_host_that_does_not_know_its_tls_connection_registers_at_no_relay_that_ends_tls() {
    let hello = Hello { relay_key: *key(100).public().as_bytes(), nonce: [0; 32], tls: true };
    let why = against(|_, _| vec![FromRelay::Hello(hello).to_bytes()]);
    assert_eq!(why, Some(RelayError::NoExporter));
}

#[test]
fn confirm_signature() {
    let forged = FromRelay::Confirm(key(101).sign_input(b"whatever")).to_bytes();
    assert_eq!(against(|_, _| vec![hello_of(&key(100)), forged.clone()]), Some(RelayError::ConfirmSignature));
}

#[test]
fn unavailable_and_frames_out_of_turn_end_a_registration() {
    let unavailable = FromRelay::Unavailable.to_bytes();
    assert_eq!(against(|_, _| vec![hello_of(&key(100)), unavailable.clone()]), Some(RelayError::Unavailable));
    for frame in [FromRelay::Incoming, FromRelay::Connected, FromRelay::Ping(1)] {
        let kind = frame.kind();
        assert_eq!(against(|_, _| vec![frame.to_bytes()]), Some(RelayError::OutOfTurn { kind }));
    }
    let version = Bytes::from([&[1, 2, 0][..], &[0; 64]].concat());
    assert_eq!(against(|_, _| vec![version.clone()]), Some(RelayError::UnknownVersion { version: 2 }));
    let flag = Bytes::from_static(&[4, 1, 4, 0, 25, 0, 90, 2]);
    assert_eq!(against(|_, _| vec![flag.clone()]), Some(RelayError::BadFlag));
}

#[test]
fn a_copy_of_the_instance_is_noticed_and_a_reconnect_is_not_taken_for_one() {
    let mut net = Net::new(1, ClientConfig::default());
    net.pass(secs(40));
    // Both connections break on our side only: the relay still counts them.
    let ours: Vec<_> = net.links.keys().copied().collect();
    for link in ours {
        net.links.remove(&link);
        net.tell(ClientInput::LinkDown { link });
    }
    net.run();
    net.pass(secs(5));
    assert_eq!(net.states(), [READY]);
    assert!(!net.events.iter().any(|(_, event)| matches!(event, ClientOutput::Shared { .. })));
    net.pass(secs(200));
    // A copy registers.
    let copy = net.link();
    net.connect(copy, 0, 9);
    let hello = FromRelay::read(&net.relays[0].server.poll_frame(copy).unwrap());
    let Ok(FromRelay::Hello(hello)) = hello else { panic!() };
    let binding = lama_relay::Binding { hello: &hello, host: "relay.example", exporter: &[0; 32] };
    let (route_key, exp) = (route_key(0), net.at().wall.unix_seconds() + 60);
    let input = lama_relay::register_input(&binding, route_key.public().as_bytes(), &[1; 32], exp);
    let register = lama_relay::wire::Register {
        route_key: *route_key.public().as_bytes(),
        nonce: [1; 32],
        exp,
        signature: route_key.sign_input(&input),
    };
    let frame = lama_relay::wire::FromClient::Register(register).to_bytes();
    net.tell_relay(0, ServerInput::Frame { link: copy, frame: frame.as_ref().into() });
    net.run();
    let shared = ClientOutput::Shared { home: 0, links: 3 };
    assert!(net.events.iter().any(|(_, event)| *event == shared));
}

#[test]
fn a_relay_that_drains_is_left_for_the_next() {
    let mut net = Net::new(2, ClientConfig { relays: 1, ..ClientConfig::default() });
    assert_eq!(net.states(), [READY, UNNEEDED]);
    net.tell_relay(0, ServerInput::Drain);
    net.run();
    assert_eq!(net.states()[1], READY);
    assert!(net.losses(0).contains(&Some(RelayError::Draining)));
}

#[test]
fn after_a_stop_nothing_is_left_but_the_calls() {
    let mut net = Net::new(2, ClientConfig::default());
    net.ring(0, 0);
    net.tell(ClientInput::Stop);
    net.run();
    assert_eq!(net.events.last().unwrap().1, ClientOutput::Stopped);
    assert_eq!(net.client.poll_timeout(), None);
    assert_eq!(net.relays[0].server.stats().splices, 1);
    net.pass(ms(10));
}

#[test]
fn the_list_changes_while_the_client_runs_and_what_stays_is_not_touched() {
    let mut net = Net::new(3, ClientConfig::default());
    let entry = |net: &Net, home: usize| (address(&net.relays[home].key), *route_key(home).public());
    let (first, second, third) = (entry(&net, 0), entry(&net, 1), entry(&net, 2));
    let dials = net.dials.len();
    // The second is taken out, and the third takes its place.
    net.tell(ClientInput::Relays(vec![first.clone(), third.clone()]));
    net.run();
    assert_eq!(net.states(), [READY, READY]);
    assert_eq!(net.dials[dials..].iter().map(|(_, home)| *home).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(net.losses(1), [None], "it is told that it passes no calls on");
    assert!(net.losses(0).is_empty() && net.losses(2).is_empty());
    assert_eq!(net.client.address(1), Some(&second.0));
    assert_eq!(net.client.home(1).unwrap().links, 0);
    // Only another order: nobody is dialled or left.
    let dials = net.dials.len();
    net.tell(ClientInput::Relays(vec![third.clone(), first.clone()]));
    net.run();
    assert_eq!((net.states(), net.dials.len()), (vec![READY, READY], dials));
    // It comes back under its number, and calls arrive through it.
    net.tell(ClientInput::Relays(vec![second]));
    net.run();
    assert_eq!((net.states(), net.losses(0).len(), net.losses(2).len()), (vec![READY], 1, 1));
    net.ring(1, 1);
    assert!(matches!(net.events.last(), Some((_, ClientOutput::HandOver { home: 1, .. }))));
    // None at all, and the end.
    net.tell(ClientInput::Relays(Vec::new()));
    net.run();
    assert_eq!(net.states(), []);
    net.now += Duration::from_secs(600);
    net.client.handle_timeout(net.at()).unwrap();
    let dials = net.dials.len();
    net.run();
    assert_eq!(net.dials.len(), dials, "nobody is dialled any more");
    net.tell(ClientInput::Stop);
    net.run();
    assert!(matches!(net.events.last(), Some((_, ClientOutput::Stopped))));
}
