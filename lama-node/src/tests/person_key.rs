//! Another signing key for a person: contacts follow the log, whoever was away is told in the session, the person's other
//! instances go on, and a second history is an alarm.

use std::string::ToString as _;
use std::vec::Vec;

use lama_identity::PersonPin;

use super::rotating::{BOB, DESK, WAYS, alarms, two};
use super::{World, secs};
use crate::{Command, Event, NodeError, Reply};

const PHONE: &str = "ws://localhost:3";

/// By which key an actor knows another one's person, and how many of that one's instances it is connected with.
fn known(world: &mut World, actor: usize, other: usize) -> (PersonPin, usize) {
    let person = world.person(other);
    let contacts = world.contacts(actor);
    let contact = contacts.iter().find(|contact| contact.person == person).expect("a contact");
    (contact.pin, contact.instances.iter().filter(|instance| instance.connected).count())
}

fn pin(world: &World, actor: usize) -> PersonPin {
    world.identity(actor).public().pin()
}

fn count(world: &World, actor: usize, of: fn(&Event) -> bool) -> usize {
    world.actors[actor].events.iter().filter(|event| of(event)).count()
}

fn they_talk(world: &mut World, a: usize, b: usize, about: &str) {
    world.say(a, b, &std::format!("{about} from {a}"));
    world.say(b, a, &std::format!("{about} from {b}"));
    world.run(secs(5));
    let (pa, pb) = (world.person(a), world.person(b));
    assert!(world.texts(b, pa).contains(&std::format!("{about} from {a}")));
    assert!(world.texts(a, pb).contains(&std::format!("{about} from {b}")));
}

#[test]
fn contacts_follow_another_key_of_a_person() {
    for (desk_url, bob_url) in WAYS {
        let (mut world, desk, bob) = two(desk_url, bob_url);
        let old = pin(&world, desk);
        world.rotate_person(desk);
        world.run(secs(30));
        let new = pin(&world, desk);
        assert_ne!(old, new);
        assert_eq!(known(&mut world, bob, desk), (new, 1));
        assert_eq!(count(&world, bob, |event| matches!(event, Event::PersonRotated { .. })), 1);
        they_talk(&mut world, desk, bob, "by the new key");
        // And once more, and after both have forgotten what they can.
        world.rotate_person(desk);
        world.run(secs(30));
        world.restart(bob);
        world.restart(desk);
        world.run(secs(60));
        let newest = pin(&world, desk);
        assert_eq!(known(&mut world, bob, desk), (newest, 1));
        they_talk(&mut world, desk, bob, "by the newest key");
        // Whoever pairs from now on knows the newest alone, and the whole log.
        let carol = world.add("carol@lama.test", Some(PHONE));
        world.pair(carol, desk);
        world.run(secs(5));
        assert_eq!(known(&mut world, carol, desk), (newest, 1));
        they_talk(&mut world, carol, desk, "later");
        assert_eq!(alarms(&world), 0);
    }
}

#[test]
fn a_contact_who_was_away_is_told_in_the_session_and_nobody_is_alarmed() {
    for (desk_url, bob_url) in WAYS {
        let (mut world, desk, bob) = two(desk_url, bob_url);
        world.stop(bob);
        world.say(desk, bob, "before");
        world.rotate_person(desk);
        world.run(secs(5));
        // The instance's keys, too, in between two of the person's: everything that Bob knows is old. He has to be able to
        // dial the old one.
        if desk_url.is_some() {
            world.rotate(desk);
            world.run(secs(5));
        }
        world.rotate_person(desk);
        world.run(secs(5));
        world.actors[bob].url = bob_url.map(Into::into);
        world.restart(bob);
        world.run(secs(120));
        let (ada, newest) = (world.person(desk), pin(&world, desk));
        assert_eq!(known(&mut world, bob, desk), (newest, 1), "{desk_url:?} {bob_url:?}");
        assert!(world.texts(bob, ada).contains(&"before".to_string()));
        they_talk(&mut world, desk, bob, "again");
        assert_eq!(alarms(&world), 0);
    }
}

#[test]
fn other_instances_without_the_persons_key_go_on() {
    for phone_url in [None, Some(PHONE)] {
        let (mut world, desk, bob) = two(Some(DESK), Some(BOB));
        let phone = world.enrol(desk, "phone", phone_url, false);
        world.run(secs(10));
        // The phone is away; Bob hears of it first.
        world.stop(phone);
        world.rotate_person(desk);
        world.run(secs(30));
        world.actors[phone].url = phone_url.map(Into::into);
        world.restart(phone);
        world.run(secs(120));
        let new = pin(&world, desk);
        assert_eq!(known(&mut world, bob, desk), (new, 2), "{phone_url:?}");
        let bob_is = world.person(bob);
        world.say(phone, bob, "from the phone");
        let ada = world.person(desk);
        assert!(world.texts(bob, ada).contains(&"from the phone".to_string()));
        world.say(bob, desk, "to both");
        world.run(secs(10));
        assert!(world.texts(phone, bob_is).contains(&"to both".to_string()));
        match world.ask(phone, Command::Instances) {
            Ok(Reply::Instances(list)) => assert_eq!(list.head.seq, 4, "the phone has the log from Bob"),
            other => panic!("{other:?}"),
        }
        assert_eq!(alarms(&world), 0);
    }
}

#[test]
fn a_second_history_of_a_persons_key_is_an_alarm_and_changes_nothing() {
    let (mut world, desk, bob) = two(Some(DESK), Some(BOB));
    let (stolen, contacts) = (world.identity(desk), world.known_to(desk));
    world.rotate_person(desk);
    world.run(secs(30));
    let new = pin(&world, desk);
    // Whoever has the old keys rotates, too: the same instance key, another key of the person.
    world.stop(desk);
    let thief = world.start_identity(stolen, Vec::new(), contacts, None, Default::default());
    world.rotate_person(thief);
    world.actors[bob].events.clear();
    world.run(secs(60));
    assert_eq!(known(&mut world, bob, desk).0, new, "nothing was accepted");
    assert!(count(&world, bob, |event| matches!(event, Event::LogAlarm { .. })) > 0);
    let started = |event: &Event| matches!(event, Event::SessionStarted { .. });
    assert_eq!(count(&world, bob, started), 0);
}

#[test]
fn entries_that_are_no_rotation_of_this_instance_are_refused() {
    let (mut world, desk, bob) = two(Some(DESK), Some(BOB));
    let (me, other) = (world.identity(desk), world.identity(bob));
    let head = me.public().log_head;
    let new = lama_identity::SignSecret::from_seed(world.seed());
    let wall = world.clock().wall;
    let of_another = lama_identity::rotate_person(&other, other.public().log_head, &new, wall).unwrap();
    let mut half = lama_identity::rotate_person(&me, head, &new, wall).unwrap();
    half.truncate(1);
    for entries in [of_another, half, Vec::new()] {
        let reply = world.ask(desk, Command::RotatePerson { entries });
        assert!(matches!(reply, Err(NodeError::Identity(_))), "{reply:?}");
    }
    let phone = world.enrol(desk, "phone", None, false);
    assert_eq!(world.ask(phone, Command::RotatePerson { entries: Vec::new() }), Err(NodeError::KeyAbsent));
    they_talk(&mut world, desk, bob, "as before");
}
