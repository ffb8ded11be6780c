//! One test for each rule that a peer, or the host, can break.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use bytes::Bytes;
use lama_core::Ticket;
use lama_identity::Signature;
use lama_invite::{RouteUrl, Via};
use lama_relay::wire::{FromClient, FromRelay, Hello, MAX_MESSAGE, Register};
use lama_relay::{
    Binding, Caller, Config, Fault, LinkId, RelayAddress, RelayError, RouteId, ServerInput, register_input,
};
use proptest::prelude::*;
use support::*;

/// The reason for which a relay closes a fresh link that sends this.
fn fresh(frame: impl AsRef<[u8]>) -> Option<RelayError> {
    let mut world = World::new(Config::default());
    let link = world.connect(1);
    world.send(link, frame);
    assert_eq!(world.raw(link, 1), [] as [Bytes; 0], "nothing is said about it");
    world.closed(link)
}

/// The reason for which a relay closes a link that registers with this.
fn registering(change: impl FnOnce(&mut Register, Hello)) -> Option<RelayError> {
    let mut world = World::new(Config::default());
    let link = world.connect(1);
    let mut register = world.proof(link, &key(1));
    change(&mut register, world.hello(link));
    world.send(link, FromClient::Register(register).to_bytes());
    assert_eq!(world.said(link), []);
    world.closed(link)
}

fn signed(register: &mut Register, binding: &Binding<'_>) {
    let input = register_input(binding, &register.route_key, &register.nonce, register.exp);
    register.signature = key(1).sign_input(&input);
}

#[test]
fn empty_frame() {
    assert_eq!(fresh([]), Some(RelayError::EmptyFrame));
}

#[test]
fn unknown_frame() {
    assert_eq!(fresh([0x0c]), Some(RelayError::UnknownFrame { kind: 0x0c }));
}

#[test]
fn wrong_length() {
    assert_eq!(fresh([9, 9]), Some(RelayError::WrongLength { kind: 9, len: 2 }));
    assert_eq!(fresh([7; 32]), Some(RelayError::WrongLength { kind: 7, len: 32 }));
}

#[test]
fn out_of_turn() {
    assert_eq!(fresh([9]), Some(RelayError::OutOfTurn { kind: 9 }), "ACCEPT without a call");
    assert_eq!(fresh(FromRelay::Incoming.to_bytes()), Some(RelayError::OutOfTurn { kind: 8 }));
    let mut world = World::new(Config::default());
    let link = world.register(1, &key(1));
    let again = world.proof(link, &key(1));
    world.send(link, FromClient::Register(again).to_bytes());
    assert_eq!(world.closed(link), Some(RelayError::OutOfTurn { kind: 2 }));
}

#[test]
fn nothing_is_taken_before_hello_has_left() {
    let mut world = World::new(Config::default());
    world.full.push(LinkId(0));
    let link = world.connect(1);
    assert!(!world.server.wants_input(link));
    world.send(link, FromClient::Ring(RouteId([0; 32])).to_bytes());
    assert_eq!(world.closed(link), Some(RelayError::OutOfTurn { kind: 7 }));
}

#[test]
fn bad_key() {
    let bad = registering(|register, _| register.route_key = [0; 32]);
    assert_eq!(bad, Some(RelayError::BadKey));
}

#[test]
fn register_signature() {
    let wrong = Some(RelayError::RegisterSignature);
    assert_eq!(registering(|register, _| register.signature.0[5] ^= 1), wrong);
    assert_eq!(registering(|register, _| register.nonce[0] ^= 1), wrong);
    assert_eq!(registering(|register, _| register.exp += 1), wrong);
    assert_eq!(registering(|register, _| register.route_key = *key(2).public().as_bytes()), wrong);
}

#[test]
fn a_proof_for_another_relay_host_connection_or_tls_session_is_none() {
    let wrong = Some(RelayError::RegisterSignature);
    type Change = fn(&mut Hello, &mut &str, &mut [u8; 32]);
    let changes: [Change; 4] = [
        |hello, _, _| hello.relay_key = *key(9).public().as_bytes(),
        |hello, _, _| hello.nonce[0] ^= 1,
        |_, host, _| *host = "other.example",
        |_, _, exporter| exporter[0] ^= 1,
    ];
    for change in changes {
        let found = registering(|register, mut hello| {
            let (mut host, mut exporter) = ("relay.example", [0; 32]);
            change(&mut hello, &mut host, &mut exporter);
            signed(register, &Binding { hello: &hello, host, exporter: &exporter });
        });
        assert_eq!(found, wrong);
    }
}

#[test]
fn our_own_confirmation_is_no_proof() {
    let mut world = World::new(Config::default());
    let link = world.connect(1);
    let mut register = world.proof(link, &key(1));
    let hello = world.hello(link);
    let binding = Binding { hello: &hello, host: "relay.example", exporter: &[0; 32] };
    register.signature = key(1).sign_input(&lama_relay::confirm_input(&binding, &register));
    world.send(link, FromClient::Register(register).to_bytes());
    assert_eq!(world.closed(link), Some(RelayError::RegisterSignature));
}

#[test]
fn register_expiry() {
    for exp in [0, WALL, WALL + 601, u64::MAX] {
        let found = registering(|register, hello| {
            register.exp = exp;
            signed(register, &Binding { hello: &hello, host: "relay.example", exporter: &[0; 32] });
        });
        assert_eq!(found, Some(RelayError::RegisterExpiry), "{exp}");
    }
}

#[test]
fn pong_unasked() {
    for number in [0, 1, u64::MAX] {
        let mut world = World::new(Config::default());
        let link = world.register(1, &key(1));
        world.send(link, FromClient::Pong(number).to_bytes());
        assert_eq!(world.closed(link), Some(RelayError::PongUnasked));
    }
}

#[test]
fn message_too_long() {
    let mut world = World::new(Config::default());
    let (_, caller) = world.call(&key(1));
    world.send(caller, vec![0; MAX_MESSAGE + 1]);
    assert_eq!(world.closed(caller), Some(RelayError::MessageTooLong { len: MAX_MESSAGE + 1 }));
}

#[test]
fn too_many_links() {
    let mut world = World::new(Config { links: 1, ..Config::default() });
    world.connect(1);
    let second = world.connect(1);
    assert_eq!(world.closed(second), Some(RelayError::TooManyLinks));
}

#[test]
fn half_open() {
    let mut world = World::new(Config::default());
    let callee = world.register(1, &key(1));
    let caller = world.ring(2, route_of(&key(1)));
    world.pass(secs(10));
    assert_eq!(world.refused_at(caller), Some(secs(10)));
    assert!(world.is_closed(callee), "who does not accept is not there");
}

#[test]
fn unknown_ticket_link_twice_and_no_signature() {
    let mut world = World::new(Config::default());
    let signature = Some(Signature([0; 64]));
    let now = world.at();
    let input = ServerInput::Signed { ticket: Ticket(7), signature };
    assert_eq!(world.server.handle(now, input), Err(RelayError::UnknownTicket(Ticket(7))));
    let up = || ServerInput::LinkUp {
        link: LinkId(77),
        source: source(1),
        host: "localhost".into(),
        exporter: None,
        seed: seed(1),
    };
    assert_eq!(world.server.handle(now, up()), Ok(()));
    assert_eq!(world.server.handle(now, up()), Err(RelayError::LinkTwice));
    let link = world.connect(1);
    let register = world.proof(link, &key(1));
    let frame = FromClient::Register(register).to_bytes().as_ref().into();
    world.server.handle(now, ServerInput::Frame { link, frame }).unwrap();
    let input = ServerInput::Signed { ticket: Ticket(0), signature: None };
    world.server.handle(now, input).unwrap();
    assert!(!world.server.is_settled(link));
}

fn via() -> Via {
    let url = RouteUrl::parse("wss://relay.example").unwrap();
    let pin = RelayAddress::new(url, relay_key().public()).pin;
    Via { relay_pin: pin, route_id: route_of(&key(1)).0 }
}

#[test]
fn a_caller_takes_nothing_but_its_turn() {
    let hello = |key| FromRelay::Hello(Hello { relay_key: key, nonce: [0; 32], tls: false }).to_bytes();
    let right = hello(*relay_key().public().as_bytes());
    let read = |frames: &[Bytes]| {
        let (mut caller, ring) = Caller::ring(&via());
        assert_eq!(FromClient::read(&ring), Ok(FromClient::Ring(route_of(&key(1)))));
        for frame in frames {
            match caller.read(frame)? {
                lama_relay::Called::Waiting(next) => caller = next,
                lama_relay::Called::Connected => return Ok(true),
            }
        }
        Ok(false)
    };
    let (connected, unavailable) = (FromRelay::Connected.to_bytes(), FromRelay::Unavailable.to_bytes());
    assert_eq!(read(&[right.clone(), connected.clone()]), Ok(true));
    assert_eq!(read(&[right.clone(), unavailable]), Err(RelayError::Unavailable));
    assert_eq!(read(&[connected]), Err(RelayError::OutOfTurn { kind: 10 }));
    assert_eq!(read(&[right.clone(), right]), Err(RelayError::OutOfTurn { kind: 1 }));
    assert_eq!(read(&[hello(*key(3).public().as_bytes())]), Err(RelayError::RelayKeyMismatch));
}

#[test]
fn addresses_read_back_and_wrong_ones_say_what_is_wrong() {
    let url = RouteUrl::parse("ws://[::1]:8770/x").unwrap();
    let address = RelayAddress::new(url, relay_key().public());
    assert_eq!(RelayAddress::parse(&address.to_string()), Ok(address.clone()));
    assert_eq!(address.signed_host(), "::1");
    for (text, code) in [
        ("wss://relay.example", "relay-address-pin"),
        ("wss://relay.example#k=abc", "relay-address-pin"),
        ("wss://relay.example#x=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "relay-address-pin"),
        ("http://relay.example#k=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "relay-address-url"),
    ] {
        assert_eq!(RelayAddress::parse(text).unwrap_err().code(), code, "{text}");
    }
}

#[test]
fn codes_are_stable_and_blame_is_laid_on_the_right_side() {
    assert_eq!(RelayError::Unavailable.code(), "relay-unavailable");
    for (error, fault) in [
        (RelayError::BadKey, Fault::Peer),
        (RelayError::SpliceQuota, Fault::Limit),
        (RelayError::Silent, Fault::Timeout),
        (RelayError::LinkTwice, Fault::Caller),
    ] {
        assert_eq!(error.fault(), fault);
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_as_the_same_bytes(frame in proptest::collection::vec(any::<u8>(), 0..140), kind in 0..12_u8, cut in 0..5_usize) {
        let lens = [0, 67, 137, 65, 8, 9, 9, 33, 1, 1, 1, 1];
        let mut frame = frame;
        frame.resize(140, kind);
        frame[0] = kind;
        if kind == 1 { frame[1] = 1; frame[2] &= 1; }
        if kind == 4 { frame[7] &= 1; }
        frame.truncate((lens[usize::from(kind)] + cut).saturating_sub(1));
        if let Ok(read) = FromRelay::read(&frame) {
            prop_assert_eq!(read.to_bytes(), frame.clone());
            prop_assert!(FromClient::read(&frame).is_err(), "no frame belongs to both sides");
        }
        if let Ok(read) = FromClient::read(&frame) {
            prop_assert_eq!(read.to_bytes(), frame.clone());
        }
        if cut == 1 && kind > 0 {
            prop_assert!(FromRelay::read(&frame).is_ok() || FromClient::read(&frame).is_ok());
        }
    }

    /// Whatever happens in whatever order: when every link is gone, nothing is left but what has to be paid back.
    #[test]
    fn nothing_is_left_when_everybody_has_gone(steps in proptest::collection::vec((0..8_u8, any::<u8>()), 1..80)) {
        let config = Config { links_per_route: 2, pending_per_route: 2, routes: 3, splices: 2, ..Config::default() };
        let mut world = World::new(config);
        let mut links = Vec::new();
        for (step, with) in steps {
            let link = links.get(usize::from(with) % links.len().max(1)).copied();
            match (step, link) {
                (0, _) => links.push(world.register(with % 4, &key(u64::from(with % 5)))),
                (1, _) => links.push(world.ring(with % 4, route_of(&key(u64::from(with % 5))))),
                (2, _) => links.push(world.connect(with % 4)),
                (3, Some(link)) => world.send(link, FromClient::Accept.to_bytes()),
                (4, Some(link)) => world.down(link),
                (5, Some(link)) if world.server.wants_input(link) => world.send(link, vec![with; 300]),
                (6, _) => world.pass(ms(u64::from(with) * 200)),
                _ => {}
            }
            let stats = world.server.stats();
            prop_assert!(stats.splices <= 2 && stats.routes <= 3);
        }
        for link in links {
            world.down(link);
        }
        let stats = world.server.stats();
        prop_assert_eq!((stats.links, stats.routes, stats.splices), (0, 0, 0));
        world.pass(secs(24 * 60 * 60 + 100));
        prop_assert_eq!(world.server.poll_timeout(), None);
    }
}
