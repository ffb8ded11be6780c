//! How the other side sees a session: asked, allowed, and what is told.

use std::string::ToString as _;
use std::vec::Vec;

use super::groups::{peer_of, two};
use super::{DELAY, World, secs};
use crate::{Command, ContactInfo, DebugCommand, NodeError, Reply, Seen};

fn ask(world: &mut World, actor: usize) -> Result<Seen, NodeError> {
    let instance = peer_of(world, actor);
    match world.ask(actor, Command::Debug(DebugCommand::Ask { instance }))? {
        Reply::Seen(seen) => Ok(*seen),
        other => panic!("{other:?}"),
    }
}

fn allow(world: &mut World, actor: usize, other: usize, allow: bool) -> Result<Reply, NodeError> {
    let person = world.person(other);
    world.ask(actor, Command::Debug(DebugCommand::Allow { person, allow }))
}

fn allowed(world: &mut World, actor: usize) -> usize {
    match world.ask(actor, Command::Debug(DebugCommand::Allowed)) {
        Ok(Reply::DebugAllowed(list)) => list.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_may_ask_before_he_is_allowed_and_that_is_kept_until_it_is_denied() {
    let (mut world, ada, bob) = two();
    let refused = ask(&mut world, bob).unwrap_err();
    assert_eq!(refused.code(), "node.group-not-allowed");
    assert!(
        refused.to_string().contains("ada@lama.test") && refused.to_string().contains("lama debug allow")
    );
    assert_eq!(allow(&mut world, ada, bob, true), Ok(Reply::Done));
    ask(&mut world, bob).unwrap();
    assert!(ask(&mut world, ada).is_err(), "it holds in one direction");
    world.restart(ada);
    world.run(secs(10));
    ask(&mut world, bob).unwrap();
    assert_eq!(allowed(&mut world, ada), 1);
    assert_eq!(allow(&mut world, ada, bob, false), Ok(Reply::Done));
    assert!(ask(&mut world, bob).is_err());
    // With the contact goes what it may.
    allow(&mut world, ada, bob, true).unwrap();
    let person = world.person(bob);
    world.ask(ada, Command::RemoveContact { person }).unwrap();
    assert_eq!(allowed(&mut world, ada), 0);
    world.restart(ada);
    assert_eq!(allowed(&mut world, ada), 0);
    assert_eq!(allow(&mut world, ada, bob, true), Err(NodeError::NotAContact { person }));
}

#[test]
fn the_view_says_how_the_session_looks_from_there() {
    let (mut world, ada, bob) = two();
    allow(&mut world, ada, bob, true).unwrap();
    let seen = ask(&mut world, bob).unwrap();
    assert_eq!(seen.peer.email, "ada@lama.test");
    // The question, and behind its permission the answer.
    assert_eq!(seen.round_trip, 2 * DELAY);
    assert_eq!(seen.clock_ahead, 0);
    let view = &seen.view;
    assert_eq!((view.dialled, view.relayed, view.in_sync), (false, false, true));
    assert_eq!((view.versions, view.program.as_str()), ((1, 1), env!("CARGO_PKG_VERSION")));
    assert!(view.age >= 5_000 && view.age <= world.now.as_millis() as u64);
    assert_eq!((view.head, view.head.seq), (seen.own_head, 1));
    let items: Vec<_> = view.items.iter().map(|(code, severity)| (code.as_str(), *severity)).collect();
    assert_eq!(items, [("clock.forward", 0), ("listener.routes", 0), ("store.opens", 0)]);
    // One PING later the other side knows its round trip, too.
    let instance = peer_of(&mut world, ada);
    world.ask(ada, Command::Ping { instance }).unwrap();
    assert_eq!(ask(&mut world, bob).unwrap().view.round_trip, Some((2 * DELAY).as_micros() as u64));
    // It is one question, and nothing stays of it.
    assert!(world.actors[ada].node.groups.open.is_empty() && world.actors[bob].node.groups.open.is_empty());
}

#[test]
fn nothing_of_third_persons_and_of_other_contacts_is_told() {
    let (mut world, ada, bob) = two();
    let carl = world.add("carl@lama.test", None);
    world.pair(ada, carl);
    let contacts: Vec<ContactInfo> = world.contacts(ada);
    assert_eq!(contacts.len(), 2);
    world.stop(carl);
    world.run(secs(10));
    allow(&mut world, ada, bob, true).unwrap();
    world.run(secs(10));
    let seen = ask(&mut world, bob).unwrap();
    assert!(seen.view.items.iter().all(|(code, _)| !code.starts_with("contact")), "{:?}", seen.view.items);
    let bytes = seen.view.to_bytes().unwrap();
    let carls = world.person(carl);
    assert!(
        !bytes.windows(4).any(|piece| piece == b"carl") && !bytes.windows(32).any(|piece| piece == carls.0)
    );
}
