//! Who is looked for on the local network, and what comes of finding somebody there.

use std::net::SocketAddrV4;
use std::vec::Vec;

use lama_identity::InstanceId;

use super::{World, ms, secs};
use crate::{Command, DialError, Event, Input, PeerState, Reply, RouteScope};

const ADA: &str = "ws://localhost:1";
const NEARBY: &str = "ws://192.168.1.7:8765";

fn at(url: &str) -> SocketAddrV4 {
    url.strip_prefix("ws://").unwrap().parse().unwrap()
}

/// Whom an actor knows, and whether that one is sought.
fn lan(world: &World, actor: usize) -> Vec<(InstanceId, bool)> {
    let peers = world.actors[actor].node.lan_peers();
    peers.iter().map(|peer| (peer.instance, peer.sought)).collect()
}

fn state(world: &mut World, actor: usize) -> PeerState {
    match world.ask(actor, Command::Status) {
        Ok(Reply::Status(status)) => status.peers[0].state,
        other => panic!("{other:?}"),
    }
}

/// Ada has moved to where Bob finds her on the local network only, and Bob's next dial is long away.
fn apart() -> (World, usize, usize) {
    let mut world = World::new();
    let (ada, bob) = (world.add("ada@lama.test", Some(ADA)), world.add("bob@lama.test", None));
    world.pair(ada, bob);
    world.run(secs(5));
    assert_eq!(lan(&world, bob).iter().map(|(_, sought)| *sought).collect::<Vec<_>>(), [false]);
    world.actors[ada].url = Some(NEARBY.into());
    world.cut_all();
    world.run(secs(600));
    (world, ada, bob)
}

#[test]
fn who_is_found_nearby_is_dialled_there_at_once() {
    let (mut world, _, bob) = apart();
    let [(instance, true)] = lan(&world, bob)[..] else { panic!("she is sought") };
    world.input(bob, Input::Nearby { instance, at: at(NEARBY) });
    world.run(ms(300));
    assert_eq!(state(&mut world, bob), PeerState::InSync);
    assert_eq!(lan(&world, bob), [(instance, false)]);
}

#[test]
fn a_place_where_nobody_is_costs_one_dial() {
    let (mut world, _, bob) = apart();
    let instance = lan(&world, bob)[0].0;
    let nobody = "ws://192.168.1.8:1";
    world.input(bob, Input::Nearby { instance, at: at(nobody) });
    world.run(secs(600));
    let failed = world.actors[bob].events.iter().filter(
        |event| matches!(event, Event::DialFailed { url, cause: DialError::Refused, .. } if url == nobody),
    );
    assert_eq!(failed.count(), 1);
}

#[test]
fn a_session_through_a_relay_moves_to_the_local_network() {
    let mut world = World::new();
    let (ada, bob) = (world.add("ada@lama.test", None), world.add("bob@lama.test", None));
    world.stand_behind_relay(ada, None);
    world.pair(ada, bob);
    world.run(secs(5));
    let [(instance, true)] = lan(&world, bob)[..] else { panic!("a relay is not near") };
    world.actors[ada].url = Some(NEARBY.into());
    world.input(bob, Input::Nearby { instance, at: at(NEARBY) });
    world.run(secs(2));
    assert_eq!(lan(&world, bob), [(instance, false)]);
    assert_eq!(state(&mut world, bob), PeerState::InSync);
}

#[test]
fn who_is_blocked_or_switched_off_is_not_sought_nor_dialled() {
    let (mut world, ada, bob) = apart();
    let (person, instance) = (world.person(ada), lan(&world, bob)[0].0);
    let off = RouteScope::Person(person);
    assert_eq!(world.ask(bob, Command::SetRoute { scope: off.clone(), on: false }), Ok(Reply::Done));
    assert_eq!(lan(&world, bob), [(instance, false)], "she is answered");
    world.input(bob, Input::Nearby { instance, at: at(NEARBY) });
    world.run(secs(100));
    assert_eq!(state(&mut world, bob), PeerState::Off);
    assert_eq!(world.ask(bob, Command::SetRoute { scope: off, on: true }), Ok(Reply::Done));
    assert_eq!(world.ask(bob, Command::Block { person }), Ok(Reply::Done));
    assert_eq!(lan(&world, bob), [], "a blocked person learns nothing");
    world.input(bob, Input::Nearby { instance, at: at(NEARBY) });
    world.run(secs(100));
    assert_eq!(state(&mut world, bob), PeerState::Blocked);
}
