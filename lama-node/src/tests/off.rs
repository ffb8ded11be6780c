//! Persons who are blocked, routes that are off, and what happens when a machine wakes up.

use std::string::{String, ToString as _};
use std::vec::Vec;

use super::groups::{ADA, BOB, status, two};
use super::{World, ms, secs};
use crate::{
    Command, EndReason, Event, HealthItem, NodeError, PeerState, RefuseReason, Reply, RouteInfo, RouteScope,
    Severity,
};

fn state(world: &mut World, actor: usize) -> PeerState {
    status(world, actor).peers[0].state
}

fn health(world: &mut World, actor: usize) -> Vec<HealthItem> {
    match world.ask(actor, Command::Health) {
        Ok(Reply::Health(items)) => items,
        other => panic!("{other:?}"),
    }
}

fn codes(world: &mut World, actor: usize) -> Vec<&'static str> {
    health(world, actor).iter().filter(|item| item.severity > Severity::Good).map(|item| item.code).collect()
}

fn routes(world: &mut World, actor: usize) -> Vec<RouteInfo> {
    match world.ask(actor, Command::Routes) {
        Ok(Reply::Routes(rows)) => rows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_blocked_person_loses_the_session_at_once_and_gets_none_until_unblocked() {
    let (mut world, ada, bob) = two();
    let person = world.person(bob);
    let ticket = world.command(ada, Command::Block { person });
    // Not after the disk's answer: now.
    world.settle();
    let ended = world.actors[ada].events.iter();
    let ended = ended.filter(|event| matches!(event, Event::SessionEnded { reason: EndReason::Blocked, .. }));
    assert_eq!(ended.count(), 1);
    assert_eq!(world.answer(ada, ticket), Some(Ok(Reply::Done)));
    world.restart(ada);
    world.run(secs(200));
    assert_eq!(state(&mut world, ada), PeerState::Blocked);
    let refused = world.actors[ada].events.iter();
    let refused = refused
        .filter(|event| matches!(event, Event::LinkRefused { reason: RefuseReason::Blocked { .. }, .. }))
        .count();
    assert!(refused > 0, "Bob has tried, and was refused after the restart, too");
    assert!(codes(&mut world, ada).contains(&"contact.blocked"));
    // Bob's word is kept until he may speak.
    world.say(bob, ada, "hello?");
    assert_eq!(world.texts(ada, person), Vec::<String>::new());
    assert_eq!(world.ask(ada, Command::Unblock { person }), Ok(Reply::Done));
    world.run(secs(2));
    assert_eq!(state(&mut world, ada), PeerState::InSync);
    assert_eq!(world.texts(ada, person), ["hello?"]);
    assert_eq!(world.ask(ada, Command::Blocked), Ok(Reply::Blocked(Vec::new())));
}

#[test]
fn a_blocked_stranger_cannot_pair() {
    let mut world = World::new();
    let (ada, bob) = (world.add("ada@lama.test", Some(ADA)), world.add("bob@lama.test", Some(BOB)));
    let person = world.person(bob);
    assert_eq!(world.ask(ada, Command::Block { person }), Ok(Reply::Done));
    let (_, link) = world.invite(ada, lama_invite::Policy::Auto);
    world.join(bob, &link);
    world.run(secs(30));
    assert_eq!(world.are_contacts(ada, bob), (false, false));
}

#[test]
fn a_route_that_is_off_is_not_dialled_and_the_other_side_still_may() {
    let (mut world, ada, bob) = two();
    let row = routes(&mut world, bob).remove(0);
    assert_eq!((row.route.as_str(), row.relayed, row.in_use), (ADA, false, true), "{row:?}");
    let instance = row.peer.instance;
    let scopes = [
        RouteScope::Route(ADA.to_string()),
        RouteScope::Instance(instance),
        RouteScope::Person(world.person(ada)),
    ];
    // Ada does not dial, so that only Bob's routes count.
    let theirs = RouteScope::Person(world.person(bob));
    assert_eq!(world.ask(ada, Command::SetRoute { scope: theirs.clone(), on: false }), Ok(Reply::Done));
    for scope in scopes {
        assert_eq!(world.ask(bob, Command::SetRoute { scope: scope.clone(), on: false }), Ok(Reply::Done));
        assert_eq!(routes(&mut world, bob)[0].off_by, Some(scope.clone()));
        world.restart(bob);
        world.run(secs(100));
        assert_eq!(state(&mut world, bob), PeerState::Off, "{scope:?}");
        assert!(codes(&mut world, bob).contains(&"contact.routes-off"), "{scope:?}");
        assert_eq!(world.ask(bob, Command::SetRoute { scope, on: true }), Ok(Reply::Done));
        world.run(secs(2));
        assert_eq!(state(&mut world, bob), PeerState::InSync);
    }
    let off = RouteScope::Person(world.person(ada));
    assert_eq!(world.ask(bob, Command::SetRoute { scope: off, on: false }), Ok(Reply::Done));
    assert_eq!(state(&mut world, bob), PeerState::Off);
    assert_eq!(world.ask(ada, Command::SetRoute { scope: theirs, on: true }), Ok(Reply::Done));
    world.run(secs(2));
    assert_eq!(state(&mut world, bob), PeerState::InSync, "Ada has dialled");
}

#[test]
fn waking_up_dials_at_once_whatever_the_backoff() {
    let mut world = World::new();
    // Only Bob can dial.
    let (ada, bob) = (world.add("ada@lama.test", Some(ADA)), world.add("bob@lama.test", None));
    world.pair(ada, bob);
    world.listen(ada, None);
    world.cut_all();
    world.run(secs(600));
    world.listen(ada, Some(ADA));
    world.run(ms(100));
    let before = status(&mut world, bob).peers.remove(0);
    assert!(before.session.is_none() && before.again.unwrap() > secs(5), "{:?}", before.again);
    let _ = world.command(bob, Command::Wake);
    world.run(secs(1));
    assert_eq!(state(&mut world, bob), PeerState::InSync);
}

#[test]
fn a_session_that_died_asleep_is_found_out_within_one_step_of_waking() {
    let (mut world, ada, _bob) = two();
    // The other side is gone without a word, as after a change of the network.
    world.lose_words();
    let _ = world.command(ada, Command::Wake);
    world.run(world.step());
    let ended = world.actors[ada].events.iter();
    let dead = ended.filter(|event| matches!(event, Event::SessionEnded { reason: EndReason::Dead, .. }));
    assert_eq!(dead.count(), 1);
}

#[test]
fn a_probe_proves_the_instance_and_not_only_a_listener() {
    let (mut world, ada, bob) = two();
    let own = Command::Probe { instance: None, route: ADA.to_string() };
    match world.ask(ada, own) {
        Ok(Reply::Probed { round_trip, .. }) => assert_eq!(round_trip, 2 * super::DELAY),
        other => panic!("{other:?}"),
    }
    let instance = status(&mut world, ada).peers[0].peer.instance;
    let theirs = Command::Probe { instance: Some(instance), route: BOB.to_string() };
    assert!(matches!(world.ask(ada, theirs), Ok(Reply::Probed { .. })));
    // Somebody listens there, and it is another one.
    let wrong = Command::Probe { instance: None, route: BOB.to_string() };
    assert_eq!(world.ask(ada, wrong).unwrap_err().code(), "node.no-answer");
    let nobody = Command::Probe { instance: None, route: "ws://localhost:9".to_string() };
    match world.ask(ada, nobody) {
        Err(NodeError::NoAnswer { why, .. }) => assert_eq!(why.code, "dial.refused"),
        other => panic!("{other:?}"),
    }
    // Nothing of it stays.
    world.run(secs(20));
    assert_eq!(status(&mut world, ada).unauthenticated, 0);
    assert_eq!((state(&mut world, ada), state(&mut world, bob)), (PeerState::InSync, PeerState::InSync));
}

#[test]
fn health_names_what_is_missing_with_the_remedy() {
    let mut world = World::new();
    let ada = world.add("ada@lama.test", None);
    assert_eq!(codes(&mut world, ada), ["listener.none", "contacts.none"]);
    assert!(
        health(&mut world, ada).iter().all(|item| item.severity == Severity::Good || !item.remedy.is_empty())
    );
    world.listen(ada, Some(ADA));
    let (_, link) = world.invite(ada, lama_invite::Policy::Auto);
    let none = health(&mut world, ada).into_iter().find(|item| item.code == "contacts.none").unwrap();
    assert!(none.text.contains("an invitation is open"), "{none:?}");
    let bob = world.add("bob@lama.test", None);
    world.join(bob, &link);
    world.run(secs(5));
    assert_eq!(codes(&mut world, ada), Vec::<&str>::new());
    assert_eq!(codes(&mut world, bob), ["listener.none"]);
    // Bob only dials; when he is gone nothing can be done here.
    world.stop(bob);
    world.run(secs(5));
    assert_eq!(codes(&mut world, ada), ["contact.no-endpoint"]);
}

#[test]
fn a_direct_route_that_is_off_is_not_tried_beside_the_relay() {
    let mut world = World::new();
    let (ada, bob) = (world.add("ada@lama.test", None), world.add("bob@lama.test", None));
    world.stand_behind_relay(ada, Some(ADA));
    world.pair(ada, bob);
    let off = RouteScope::Route(ADA.to_string());
    assert_eq!(world.ask(bob, Command::SetRoute { scope: off.clone(), on: false }), Ok(Reply::Done));
    world.actors[ada].url = Some(ADA.to_string());
    let relayed = |world: &mut World| {
        let row = status(world, bob).peers.remove(0);
        (row.session.is_some(), row.relayed)
    };
    world.run(secs(1800));
    assert_eq!(relayed(&mut world), (true, true));
    let _ = world.command(bob, Command::Wake);
    world.run(secs(5));
    assert_eq!(relayed(&mut world), (true, true), "not even when the machine wakes up");
    assert_eq!(world.ask(bob, Command::SetRoute { scope: off, on: true }), Ok(Reply::Done));
    let _ = world.command(bob, Command::Wake);
    world.run(secs(5));
    assert_eq!(relayed(&mut world), (true, false));
}
