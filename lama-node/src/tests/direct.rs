//! From a relay to a direct route.

use std::string::ToString as _;
use std::time::Duration;
use std::vec::Vec;

use super::{World, secs};
use crate::{Command, EndReason, Event, Reply};

const A: &str = "ws://localhost:1001";
const B: &str = "ws://localhost:1002";

/// Whether the session with the only peer goes through a relay; `None`: there is none.
fn relayed(world: &mut World, actor: usize) -> Option<bool> {
    let Ok(Reply::Status(status)) = world.ask(actor, Command::Status) else { panic!("no status") };
    status.peers.first().and_then(|peer| peer.session.map(|_| peer.relayed))
}

fn replaced(world: &World, actor: usize) -> usize {
    let over = |event: &&Event| matches!(event, Event::SessionEnded { .. });
    let of = world.actors[actor].events.iter().filter(over);
    of.inspect(|event| {
        assert!(matches!(event, Event::SessionEnded { reason: EndReason::Replaced, .. }), "{event:?}");
    })
    .count()
}

/// Ada stands behind a relay and says that she listens at an address where nobody answers yet; Ben joins.
fn pair_through_a_relay(direct_of_ada: bool) -> (World, usize, usize) {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", None), world.add("ben@lama.local", None));
    world.stand_behind_relay(a, direct_of_ada.then_some(A));
    world.pair(a, b);
    // The pairing itself may have tried the direct way first.
    assert_eq!((relayed(&mut world, a), relayed(&mut world, b)), (Some(true), Some(true)));
    (world, a, b)
}

#[test]
fn a_session_moves_to_a_direct_route_once_that_answers() {
    let (mut world, a, b) = pair_through_a_relay(true);
    world.run(secs(60));
    assert_eq!((relayed(&mut world, b), replaced(&world, b)), (Some(true), 0), "it goes on meanwhile");
    world.actors[a].url = Some(A.to_string());
    world.run(secs(120));
    assert_eq!((relayed(&mut world, a), relayed(&mut world, b)), (Some(false), Some(false)));
    assert_eq!((replaced(&world, a), replaced(&world, b)), (1, 1));
    // And stays there, without another dial.
    let dials = world.dialled.len();
    world.run(secs(3600));
    assert_eq!((world.dialled.len(), relayed(&mut world, a)), (dials, Some(false)));
    world.say(a, b, "directly");
    let with = world.person(a);
    assert_eq!(world.texts(b, with), ["directly"]);
}

/// Whoever can be dialled, and whoever dialled the session through the relay: both orders of the two ids.
#[test]
fn the_direct_session_wins_whoever_dialled_it() {
    for names in [
        ["ada@lama.local", "ben@lama.local"],
        ["ben@lama.local", "ada@lama.local"],
        ["x@lama.local", "y@lama.local"],
    ] {
        for by_joiner in [true, false] {
            let mut world = World::new();
            let (a, b) = (world.add(names[0], None), world.add(names[1], None));
            world.stand_behind_relay(a, None);
            world.pair(a, b);
            assert_eq!(relayed(&mut world, a), Some(true));
            // One of the two starts to listen, and says so.
            let (who, url) = if by_joiner { (b, B) } else { (a, A) };
            world.actors[who].url = Some(url.to_string());
            if by_joiner {
                world.listen(b, Some(B));
            } else {
                world.stand_behind_relay(a, Some(A));
            }
            world.run(secs(2));
            let paths = (relayed(&mut world, a), relayed(&mut world, b));
            assert_eq!(paths, (Some(false), Some(false)), "{names:?} {by_joiner}");
            let sessions = |world: &mut World, actor| match world.ask(actor, Command::Status) {
                Ok(Reply::Status(status)) => {
                    status.peers.iter().filter(|peer| peer.session.is_some()).count()
                }
                other => panic!("{other:?}"),
            };
            assert_eq!((sessions(&mut world, a), sessions(&mut world, b)), (1, 1));
        }
    }
}

/// Messages are written all the time, in both directions: each arrives once, in its order.
#[test]
fn nothing_is_lost_and_nothing_comes_twice_while_the_route_changes() {
    for step in [7, 11, 13, 17, 23] {
        let (mut world, a, b) = pair_through_a_relay(true);
        let mut sent = Vec::new();
        for n in 0..45 {
            if n == 10 {
                world.actors[a].url = Some(A.to_string());
            }
            let text = std::format!("message {n}");
            for (from, to) in [(a, b), (b, a)] {
                let to = world.person(to);
                world.command(from, Command::Send { to, channel: None, text: text.as_str().into() });
            }
            sent.push(text);
            world.run(Duration::from_millis(step * 37));
        }
        world.run(secs(5));
        assert_eq!((relayed(&mut world, a), replaced(&world, a)), (Some(false), 1));
        for (at, from) in [(a, b), (b, a)] {
            let with = world.person(from);
            let texts: Vec<_> = world.texts(at, with);
            // Both wrote the same texts, so each stands there twice: once by either.
            assert_eq!(texts.iter().filter(|text| **text == "message 44").count(), 2);
            let mut each = texts;
            each.sort();
            let mut both: Vec<_> = sent.iter().chain(&sent).cloned().collect();
            both.sort();
            assert_eq!(each, both);
        }
    }
}

/// Where nobody ever answers, attempts become rare and never end.
#[test]
fn a_day_of_direct_routes_in_vain_costs_a_bounded_number_of_dials() {
    let (mut world, _, b) = pair_through_a_relay(true);
    let before = world.dialled.len();
    world.run(secs(24 * 3600));
    let direct = world.dialled.iter().skip(before).filter(|(_, who, relay)| *who == b && !relay).count();
    // One in ten minutes at most, once the pauses have grown; one in ten minutes at least, since jitter only shortens.
    assert!((140..=320).contains(&direct), "{direct}");
    assert_eq!(relayed(&mut world, b), Some(true), "what goes through the relay goes on");
    let late = world.dialled.iter().rev().find(|(_, who, relay)| *who == b && !relay).unwrap().0;
    assert!(world.now - late < secs(601));
}

/// A route that is switched off is not tried; switched on, or after a sleep, it is tried at once.
#[test]
fn a_direct_route_is_tried_if_it_is_on_and_at_once_after_a_change() {
    let (mut world, a, b) = pair_through_a_relay(true);
    let off = crate::RouteScope::Route(A.into());
    world.ask(b, Command::SetRoute { scope: off.clone(), on: false }).unwrap();
    let dials = world.dialled.len();
    world.actors[a].url = Some(A.to_string());
    world.run(secs(3600));
    assert_eq!((world.dialled.len(), relayed(&mut world, b)), (dials, Some(true)));
    world.ask(b, Command::SetRoute { scope: off, on: true }).unwrap();
    world.run(secs(1));
    assert_eq!(relayed(&mut world, b), Some(false));

    let (mut world, a, b) = pair_through_a_relay(true);
    world.run(secs(3600));
    world.actors[a].url = Some(A.to_string());
    world.ask(b, Command::Wake).unwrap();
    world.run(secs(1));
    assert_eq!(relayed(&mut world, b), Some(false));
}
