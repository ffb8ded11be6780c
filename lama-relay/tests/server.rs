//! The relay's promises in virtual time: registering, ringing, splicing, refusing, draining.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use lama_identity::SignPublic;
use lama_relay::wire::{FromClient, FromRelay, MAX_MESSAGE, REGISTER_LEN, Terms};
use lama_relay::{Binding, Config, RelayError, ServerInput, confirm_input};
use support::*;

#[test]
fn a_registration_is_answered_with_the_relays_own_proof() {
    let mut world = World::new(Config::default());
    let link = world.connect(1);
    let register = world.proof(link, &key(1));
    world.send(link, FromClient::Register(register).to_bytes());
    let said = world.said(link);
    let FromRelay::Confirm(signature) = said[0] else { panic!("{said:?}") };
    let hello = world.hello(link);
    let binding = Binding { hello: &hello, host: "relay.example", exporter: &[0; 32] };
    let relay = SignPublic::try_from(hello.relay_key).unwrap();
    relay.verify_input(&confirm_input(&binding, &register), &signature).unwrap();
    let terms = Terms { links: 1, max_links: 4, ping: 25, idle: 90, draining: false };
    assert_eq!(said[1..], [FromRelay::Terms(terms)]);
    assert_eq!((world.server.stats().routes, world.server.is_settled(link)), (1, true));
}

#[test]
fn a_call_is_rung_accepted_and_spliced_both_ways() {
    let mut world = World::new(Config::default());
    let callee = world.register(1, &key(1));
    let caller = world.ring(2, route_of(&key(1)));
    assert_eq!(world.said(callee)[2..], [FromRelay::Incoming]);
    assert_eq!(world.said(caller), []);
    world.send(callee, FromClient::Accept.to_bytes());
    assert_eq!(world.said(caller), [FromRelay::Connected]);
    for (from, to) in [(caller, callee), (callee, caller)] {
        let before = world.seen[&to].frames.len();
        let messages =
            [vec![], vec![9; 68], FromRelay::Unavailable.to_bytes().to_vec(), vec![1; MAX_MESSAGE]];
        for message in &messages {
            world.send(from, message);
        }
        assert_eq!(world.raw(to, before), messages);
    }
    // The connection is used up: the route has none until a fresh one comes.
    assert_eq!((world.server.stats().routes, world.server.stats().splices), (0, 1));
    world.down(caller);
    assert_eq!(world.seen[&callee].closed, Some((world.now, None)));
    world.down(callee);
    assert_eq!((world.server.stats().links, world.server.stats().splices), (0, 0));
}

/// What comes on a connection that was told of a call belongs to the caller: its other end hands the connection over with
/// ACCEPT, before it can have read anything more.
#[test]
fn nothing_follows_the_word_of_a_call() {
    let mut world = World::new(Config::default());
    let key = key(1);
    let callee = world.register(1, &key);
    let caller = world.ring(2, route_of(&key));
    assert_eq!(world.said(callee).last(), Some(&FromRelay::Incoming));
    let told = world.said(callee).len();
    let second = world.register(1, &key);
    assert!(
        world.said(second).iter().any(|frame| matches!(frame, FromRelay::Terms(terms) if terms.links == 2))
    );
    world.down(second);
    world.pass(core::time::Duration::from_secs(3));
    assert_eq!(world.said(callee).len(), told);
    world.send(callee, FromClient::Accept.to_bytes());
    world.send(caller, b"first");
    assert_eq!(world.raw(callee, told + 1), [b"first".as_slice()]);
}

#[test]
fn nothing_is_read_from_a_caller_before_the_call_is_accepted() {
    let mut world = World::new(Config::default());
    let callee = world.register(1, &key(1));
    let caller = world.ring(2, route_of(&key(1)));
    assert!(!world.server.wants_input(caller));
    world.send(callee, FromClient::Accept.to_bytes());
    assert_eq!(world.server.frame_limit(caller), MAX_MESSAGE);
    assert!(world.server.wants_input(caller));
    let early = world.ring(3, route_of(&key(1)));
    world.send(early, b"\x07 too early");
    assert!(matches!(world.closed(early), Some(RelayError::WrongLength { .. })));
}

#[test]
fn every_refusal_is_the_same_frame_after_the_same_time() {
    let config = Config { pending_per_route: 1, splices: 2, ..Config::default() };
    let mut world = World::new(config);
    let known = route_of(&key(1));
    let callee = world.register(1, &key(1));
    let mut refused = vec![world.ring(2, route_of(&key(2)))]; // not registered
    world.ring(2, known); // takes the connection
    world.ring(2, known); // waits
    refused.push(world.ring(2, known)); // full
    for _ in 0..10 {
        refused.push(world.ring(3, route_of(&key(2))));
    }
    refused.push(world.ring(3, known)); // over the source's rate, though it would be full besides
    let begin = world.now;
    world.pass(ms(249));
    assert!(refused.iter().all(|link| world.refused_at(*link).is_none() && !world.is_closed(*link)));
    world.pass(ms(1));
    for link in refused {
        assert_eq!(world.refused_at(link), Some(begin + ms(250)));
        assert_eq!(world.raw(link, 1), [FromRelay::Unavailable.to_bytes()]);
        assert_eq!(world.closed(link), Some(RelayError::Unavailable));
    }
    assert!(!world.is_closed(callee));
}

#[test]
fn calls_that_ring_at_once_are_no_more_than_the_limit_when_all_are_accepted() {
    let mut world = World::new(Config { splices: 2, ..Config::default() });
    let calls: Vec<_> = (1..=3)
        .map(|n| (world.register(n, &key(n.into())), world.ring(10 + n, route_of(&key(n.into())))))
        .collect();
    for (callee, _) in &calls {
        world.send(*callee, FromClient::Accept.to_bytes());
    }
    let (late, caller) = calls[2];
    assert_eq!((world.server.stats().splices, world.is_closed(late)), (2, true));
    assert_eq!(world.refused_at(caller), None, "not before all others are refused");
    world.pass(ms(250));
    assert_eq!(world.refused_at(caller), Some(ms(250)));
    // Who hangs up makes room.
    world.down(calls[0].0);
    let callee = world.register(3, &key(3));
    let caller = world.ring(14, route_of(&key(3)));
    world.send(callee, FromClient::Accept.to_bytes());
    assert_eq!((world.said(caller), world.server.stats().splices), (vec![FromRelay::Connected], 2));
}

#[test]
fn a_refused_registration_says_no_more_than_a_refused_call() {
    let config = Config { routes_per_source: 1, ..Config::default() };
    let mut world = World::new(config);
    world.register(1, &key(1));
    let second = world.register(1, &key(2));
    let other = world.register(2, &key(3));
    world.pass(ms(250));
    assert_eq!(world.refused_at(second), Some(ms(250)));
    assert!(!world.is_closed(other));
    assert_eq!(world.server.stats().registers_limited, 1);
}

#[test]
fn a_caller_waits_for_a_fresh_connection_and_is_served_in_order() {
    let mut world = World::new(Config::default());
    let first = world.register(1, &key(1));
    let callers: Vec<_> = (2..5).map(|from| world.ring(from, route_of(&key(1)))).collect();
    world.send(first, FromClient::Accept.to_bytes());
    assert_eq!(world.said(callers[0]), [FromRelay::Connected]);
    for caller in &callers[1..] {
        assert_eq!(world.said(*caller), []);
        let fresh = world.register(1, &key(1));
        world.send(fresh, FromClient::Accept.to_bytes());
        assert_eq!(world.said(*caller), [FromRelay::Connected]);
    }
}

#[test]
fn a_call_goes_on_to_the_next_connection_when_one_breaks() {
    let mut world = World::new(Config::default());
    let [a, b] = [1, 1].map(|from| world.register(from, &key(1)));
    let caller = world.ring(2, route_of(&key(1)));
    let rung = |world: &World, link| world.said(link).contains(&FromRelay::Incoming);
    let (first, second) = if rung(&world, a) { (a, b) } else { (b, a) };
    world.down(first);
    assert!(rung(&world, second));
    world.send(second, FromClient::Accept.to_bytes());
    assert_eq!(world.said(caller), [FromRelay::Connected]);
}

#[test]
fn calls_go_to_the_connection_that_answered_last() {
    let mut world = World::new(Config { ping: secs(25), ..Config::default() });
    let [quiet, lively] = [1, 1].map(|from| world.register(from, &key(1)));
    world.pass(secs(26));
    let Some(FromRelay::Ping(number)) = world.said(lively).last().copied() else { panic!() };
    world.send(lively, FromClient::Pong(number).to_bytes());
    world.ring(2, route_of(&key(1)));
    assert_eq!(world.said(lively).last(), Some(&FromRelay::Incoming));
    assert!(!world.said(quiet).contains(&FromRelay::Incoming));
}

#[test]
fn a_silent_connection_is_given_up_after_the_idle_time_and_no_sooner() {
    let mut world = World::new(Config::default());
    let link = world.register(1, &key(1));
    let answering = world.register(2, &key(2));
    for _ in 0..9 {
        world.pass(secs(10));
        let pings: Vec<_> =
            world.said(answering).into_iter().filter(|f| matches!(f, FromRelay::Ping(_))).collect();
        if let Some(FromRelay::Ping(number)) = pings.last() {
            world.send(answering, FromClient::Pong(*number).to_bytes());
        }
    }
    assert_eq!(world.seen[&link].closed, Some((secs(90), Some(RelayError::Silent))));
    assert!(!world.is_closed(answering));
}

#[test]
fn two_holders_of_one_key_stand_side_by_side_and_are_told() {
    let mut world = World::new(Config::default());
    let first = world.register(1, &key(1));
    let second = world.register(2, &key(1));
    assert!(!world.is_closed(first));
    for link in [first, second] {
        let Some(FromRelay::Terms(terms)) = world.said(link).last().copied() else { panic!() };
        assert_eq!(terms.links, 2);
    }
}

#[test]
fn a_full_route_makes_room_only_for_a_connection_that_missed_its_ping() {
    let mut world = World::new(Config { links_per_route: 2, ..Config::default() });
    let links = [1, 1].map(|from| world.register(from, &key(1)));
    let third = world.register(1, &key(1));
    world.pass(ms(250));
    assert_eq!(world.closed(third), Some(RelayError::Unavailable));
    // One answers, the other does not.
    world.pass(secs(25));
    let Some(FromRelay::Ping(number)) = world.said(links[0]).last().copied() else { panic!() };
    world.send(links[0], FromClient::Pong(number).to_bytes());
    world.pass(secs(11));
    let fourth = world.register(1, &key(1));
    assert_eq!(world.closed(links[1]), Some(RelayError::Replaced));
    assert!(!world.is_closed(links[0]) && !world.is_closed(fourth));
}

#[test]
fn what_lies_in_a_splice_is_bounded_and_reading_goes_on_when_there_is_room() {
    let mut world = World::new(Config::default());
    let (callee, caller) = world.call(&key(1));
    world.full.push(callee);
    let mut sent = 0;
    while world.server.wants_input(caller) {
        world.send(caller, vec![0; MAX_MESSAGE]);
        sent += MAX_MESSAGE;
    }
    assert!(sent <= 128 * 1024 + MAX_MESSAGE, "{sent}");
    assert!(world.server.wants_input(callee), "one direction does not stop the other");
    world.full.clear();
    world.flush(callee);
    let named: Vec<_> = std::iter::from_fn(|| world.server.next_ready_link()).collect();
    assert!(named.contains(&caller), "the reader that was held is named");
    assert!(world.server.wants_input(caller));
    // Messages without a byte are bounded too.
    world.full.push(callee);
    let mut count = 0;
    while world.server.wants_input(caller) {
        world.send(caller, []);
        count += 1;
    }
    assert_eq!(count, 2048);
}

#[test]
fn what_was_sent_before_the_close_still_arrives() {
    let mut world = World::new(Config::default());
    let (callee, caller) = world.call(&key(1));
    world.full.push(callee);
    world.send(caller, b"last words");
    world.down(caller);
    world.full.clear();
    world.flush(callee);
    assert_eq!(world.raw(callee, 0).last().unwrap(), "last words");
}

#[test]
fn a_call_ends_by_its_quotas() {
    let mut world = World::new(Config { splice_bytes: 1000, ..Config::default() });
    let (callee, caller) = world.call(&key(1));
    world.send(caller, [0; 600]);
    world.send(callee, [0; 400]);
    assert!(!world.is_closed(caller));
    world.send(callee, [0; 1]);
    assert_eq!((world.closed(callee), world.is_closed(caller)), (Some(RelayError::SpliceQuota), true));

    let mut world = World::new(Config { splice_time: secs(100), ..Config::default() });
    let (callee, caller) = world.call(&key(1));
    for _ in 0..10 {
        world.pass(secs(9));
        world.send(caller, [0; 1]);
    }
    assert!(!world.is_closed(callee));
    world.pass(secs(90));
    assert!(world.is_closed(callee) && world.is_closed(caller));

    let mut world = World::new(Config::default());
    let (callee, caller) = world.call(&key(1));
    world.pass(secs(60));
    world.send(callee, [0; 1]);
    world.pass(secs(89));
    assert!(!world.is_closed(caller));
    world.pass(secs(1));
    assert!(world.is_closed(callee) && world.is_closed(caller));
}

#[test]
fn leaving_and_coming_back_is_no_way_around_the_bytes_of_a_route() {
    let config = Config { route_bytes: 1000, route_bytes_in: secs(1000), ..Config::default() };
    let mut world = World::new(config);
    for round in 0..2 {
        let (callee, caller) = world.call(&key(1));
        world.send(caller, [0; 900]);
        assert_eq!(world.is_closed(callee), round == 1);
        world.down(caller);
        world.down(callee);
    }
    world.pass(secs(2000));
    let (callee, caller) = world.call(&key(1));
    world.send(caller, [0; 900]);
    assert!(!world.is_closed(callee));
}

#[test]
fn rings_are_limited_by_route_and_by_source_and_allowed_again_later() {
    let mut world = World::new(Config::default());
    let route = route_of(&key(1));
    let rung = |world: &mut World, from| {
        let callee = world.register(1, &key(1));
        let caller = world.ring(from, route);
        let rung = world.said(callee).contains(&FromRelay::Incoming);
        world.down(caller);
        world.down(callee);
        rung
    };
    let by_source: Vec<_> = (0..11).map(|_| rung(&mut world, 2)).collect();
    assert_eq!(by_source.iter().filter(|ok| **ok).count(), 10);
    let by_route: Vec<_> = (3..15).map(|from| rung(&mut world, from)).collect();
    assert_eq!(by_route.iter().filter(|ok| **ok).count(), 10, "20 in all");
    world.pass(secs(6));
    assert!(rung(&mut world, 2));
}

#[test]
fn draining_tells_the_registered_lets_calls_end_and_then_cuts_them() {
    let mut world = World::new(Config::default());
    let (callee, caller) = world.call(&key(1));
    let idle = world.register(3, &key(2));
    world.input(ServerInput::Drain);
    let Some(FromRelay::Terms(terms)) = world.said(idle).last().copied() else { panic!() };
    assert!(terms.draining);
    assert_eq!(world.closed(idle), Some(RelayError::Draining));
    let late = world.connect(4);
    assert_eq!(world.closed(late), Some(RelayError::Draining));
    world.send(caller, b"on");
    assert_eq!(world.raw(callee, 0).last().unwrap(), "on");
    world.pass(secs(30));
    assert!(world.is_closed(callee) && world.is_closed(caller) && !world.drained);
    for link in [callee, caller, idle, late] {
        world.down(link);
    }
    assert!(world.drained);
    assert_eq!(world.server.poll_timeout(), None);
}

#[test]
fn slow_openings_end_and_hold_nothing() {
    let mut world = World::new(Config::default());
    let links: Vec<_> = (0..50).map(|from| world.connect(from)).collect();
    assert!(links.iter().all(|link| world.server.frame_limit(*link) == REGISTER_LEN));
    world.pass(secs(10));
    for link in links {
        assert_eq!(world.seen[&link].closed, Some((secs(10), Some(RelayError::HalfOpen))));
        world.down(link);
    }
    assert_eq!((world.server.stats().links, world.server.poll_timeout()), (0, None));
}

#[test]
fn a_flood_of_rings_leaves_other_routes_alone() {
    let mut world = World::new(Config::default());
    let victim = world.register(1, &key(1));
    let other = world.register(2, &key(2));
    // 200 sources ring one route and routes that do not exist; nobody accepts.
    for from in 10..210 {
        world.ring(from, route_of(&key(1)));
        world.ring(from, route_of(&key(u64::from(from) + 100)));
    }
    assert_eq!(world.said(victim).iter().filter(|f| **f == FromRelay::Incoming).count(), 1);
    let caller = world.ring(3, route_of(&key(2)));
    world.send(other, FromClient::Accept.to_bytes());
    assert_eq!(world.said(caller), [FromRelay::Connected]);
    assert_eq!(world.now, ms(0), "without any delay");
    // The victim is free again when those who waited have been sent away, and its rate has recovered.
    world.pass(secs(11));
    let fresh = world.register(1, &key(1));
    let caller = world.ring(4, route_of(&key(1)));
    world.send(fresh, FromClient::Accept.to_bytes());
    assert_eq!(world.said(caller), [FromRelay::Connected]);
}

#[test]
fn a_name_that_is_not_the_relays_is_refused_and_case_and_port_do_not_matter() {
    let mut world = World::new(Config::default());
    let link = world.connect_to(1, "other.example");
    assert_eq!((world.closed(link), world.raw(link, 0).len()), (Some(RelayError::UnknownHost), 0));
    let link = world.connect_to(1, "Relay.Example");
    assert!(!world.is_closed(link));
}

#[test]
fn the_same_seeds_and_inputs_give_the_same_bytes() {
    let run = || {
        let mut world = World::new(Config::default());
        let (callee, caller) = world.call(&key(1));
        world.send(caller, [1, 2, 3]);
        world.ring(5, route_of(&key(9)));
        world.pass(secs(200));
        world.down(callee);
        let seen: Vec<_> =
            world.seen.values().map(|seen| (seen.frames.clone(), seen.closed.clone())).collect();
        seen
    };
    assert_eq!(run(), run());
}
