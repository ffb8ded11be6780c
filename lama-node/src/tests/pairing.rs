//! Pairing by policy `auto`, cut and resumed.

use std::vec::Vec;

use lama_identity::Object as _;
use lama_invite::Policy;

use super::{World, secs};
use crate::{Command, Event, Group, InvitationState, NodeError, Reply};

const A: &str = "ws://localhost:1001";
const B: &str = "ws://localhost:1002";

#[test]
fn two_persons_become_contacts_and_sync_on_the_same_link() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    world.pair(a, b);
    assert_eq!(world.are_contacts(a, b), (true, true));
    let sessions = |world: &World, id: usize| -> Vec<Event> {
        let started =
            |event: &&Event| matches!(event, Event::SessionStarted { .. } | Event::SessionEnded { .. });
        world.actors[id].events.iter().filter(started).cloned().collect()
    };
    // One session each, which is still up.
    for id in [a, b] {
        let events = sessions(&world, id);
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(matches!(events[0], Event::SessionStarted { group: Group::Pairing, .. }));
    }
    let in_sync = |world: &World, id: usize| {
        world.actors[id].events.iter().rev().find_map(|event| match event {
            Event::InSync { count, fingerprint, .. } => Some((*count, *fingerprint)),
            _ => None,
        })
    };
    let (ours, theirs) = (in_sync(&world, a).expect("in sync"), in_sync(&world, b).expect("in sync"));
    assert_eq!(ours, theirs);
    assert!(ours.0 > 10, "{ours:?}");
}

#[test]
fn the_check_code_is_the_same_on_both_sides() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    world.pair(a, b);
    let (ca, cb) = (world.contacts(a), world.contacts(b));
    assert!(ca[0].check_code.is_some());
    assert_eq!(ca[0].check_code, cb[0].check_code);
}

#[test]
fn two_round_trips_to_both_persons() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    world.pair(a, b);
    // Reconnect: known mode.
    world.cut_all();
    world.run(secs(5));
    for id in [a, b] {
        let Ok(Reply::Status(status)) = world.ask(id, Command::Status) else { panic!() };
        let traffic = status.peers[0].traffic;
        assert!(traffic.authenticated_after.unwrap() <= 2, "{traffic:?}");
    }
}

#[test]
fn three_round_trips_to_the_first_object_for_contacts() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    world.pair(a, b);
    world.actors[a].url = None;
    world.cut_all();
    world.run(secs(1));
    world.say(a, b, "for you");
    world.trace.clear();
    world.actors[a].url = Some(A.into());
    world.run(secs(120));
    let Ok(Reply::Status(status)) = world.ask(b, Command::Status) else { panic!() };
    let traffic = status.peers[0].traffic;
    assert_eq!((traffic.authenticated_after, traffic.first_object_after), (Some(2), Some(3)), "{traffic:?}");
}

#[test]
fn both_sides_keep_one_trust_certificate() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    world.pair(a, b);
    for (id, other) in [(a, b), (b, a)] {
        let (person, store) = (world.person(other), world.store(id));
        let trust = store.ask(lama_store::Read::Trust(None)).unwrap();
        let lama_store::Reply::Trust(records) = trust else { panic!("{trust:?}") };
        assert_eq!((records.len(), records[0].person), (1, person));
    }
}

#[test]
fn sessions_are_renewed_with_fresh_keys() {
    let mut world = World::new();
    let mut config = crate::Config::default();
    config.session.renew_after = secs(2);
    let a = world.add_with("ada@lama.local", Some(A), config.clone());
    let b = world.add_with("ben@lama.local", None, config);
    world.pair(a, b);
    world.run(secs(30));
    let renewed =
        |event: &&Event| matches!(event, Event::SessionEnded { reason: crate::EndReason::Renewed, .. });
    assert!(world.actors[a].events.iter().filter(renewed).count() > 5);
    world.say(a, b, "still here");
    let with = world.person(a);
    assert_eq!(world.texts(b, with), ["still here"]);
}

#[test]
fn contact_token_and_trust_agree_wherever_the_link_is_cut() {
    let whole = {
        let mut world = World::new();
        let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
        world.pair(a, b);
        world.trace.len()
    };
    assert!(whole > 10);
    for after in 0..whole {
        let mut world = World::new();
        let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
        let (locator, link) = world.invite(a, Policy::Auto);
        world.cut_after = Some(after);
        let ticket = world.join(b, &link);
        world.run(secs(20));
        let answer = world.answer(b, ticket);
        assert!(matches!(answer, Some(Ok(Reply::Contact(_)))), "cut after {after}: {answer:?}");
        assert_eq!(world.are_contacts(a, b), (true, true), "cut after {after}");
        let Ok(Reply::Invitations(list)) = world.ask(a, Command::Invitations) else { panic!() };
        let row = list.iter().find(|row| row.locator == locator).unwrap();
        assert!(matches!(row.state, InvitationState::Completed { .. }), "cut after {after}: {row:?}");
    }
}

#[test]
fn a_restart_of_either_side_in_the_middle_resumes_by_itself() {
    for who in [0, 1] {
        for after in 0..12_u64 {
            let mut world = World::new();
            let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", Some(B)));
            let (_, link) = world.invite(a, Policy::Auto);
            world.join(b, &link);
            world.run(super::ms(after * 10 + 5));
            world.restart(if who == 0 { a } else { b });
            world.run(secs(20));
            assert_eq!(world.are_contacts(a, b), (true, true), "restart of {who} after {after}");
        }
    }
}

#[test]
fn reconnects_after_restart_without_a_new_invitation() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    world.pair(a, b);
    world.restart(a);
    world.restart(b);
    world.run(secs(10));
    world.say(a, b, "still there?");
    let with = world.person(a);
    assert_eq!(world.texts(b, with), ["still there?"]);
}

#[test]
fn of_two_joiners_exactly_one_wins() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    let c = world.add("cyd@lama.local", None);
    let (_, link) = world.invite(a, Policy::Auto);
    let (first, second) = (world.join(b, &link), world.join(c, &link));
    world.run(secs(20));
    let answers = [world.answer(b, first).unwrap(), world.answer(c, second).unwrap()];
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert!(answers.iter().any(|answer| *answer == Err(NodeError::InvitationRefused)), "{answers:?}");
    assert_eq!(world.contacts(a).len(), 1);
    assert_eq!(world.contacts(b).len() + world.contacts(c).len(), 1);
}

#[test]
fn a_second_run_makes_no_second_contact() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    let (_, link) = world.invite(a, Policy::Auto);
    let first = world.join(b, &link);
    world.run(secs(3));
    assert!(world.answer(b, first).unwrap().is_ok());
    let second = world.join(b, &link);
    world.run(secs(3));
    assert!(world.answer(b, second).unwrap().is_ok());
    assert_eq!((world.contacts(a).len(), world.contacts(b).len()), (1, 1));
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let run = || {
        let mut world = World::new();
        let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", Some(B)));
        world.pair(a, b);
        world.say(a, b, "one");
        world.cut_all();
        world.run(secs(30));
        world.trace
    };
    assert_eq!(run(), run());
}

#[test]
fn the_person_object_of_the_other_arrives() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    world.pair(a, b);
    let person = lama_identity::Person::new("ada@lama.local".parse().unwrap());
    let id = person.cid().unwrap();
    let reply = world.ask(b, Command::Object { id });
    assert_eq!(reply, Ok(Reply::Object(Some(person.to_bytes().unwrap()))));
}
