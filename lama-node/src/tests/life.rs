//! Instances through time: enrolled, revoked, replaced, and who hears of it.

use std::string::ToString as _;
use std::vec::Vec;

use lama_identity::NoisePublic;

use super::{World, ms, secs};
use crate::{Command, EndReason, Event, NodeError, OwnInstances, RefuseReason, Reply};

const DESK: &str = "ws://localhost:1";
const BOB: &str = "ws://localhost:2";
const CAROL: &str = "ws://localhost:3";

fn instances(world: &mut World, actor: usize) -> OwnInstances {
    match world.ask(actor, Command::Instances) {
        Ok(Reply::Instances(list)) => *list,
        other => panic!("{other:?}"),
    }
}

fn noise_of(world: &mut World, actor: usize) -> NoisePublic {
    instances(world, actor).instances.iter().find(|row| row.is_this).unwrap().noise
}

fn revoke(world: &mut World, by: usize, noise: NoisePublic) {
    let command = Command::RevokeInstance { noise, reason: "lost on a train".to_string() };
    assert_eq!(world.ask(by, command), Ok(Reply::Done));
}

fn ended_as_revoked(world: &World, actor: usize) -> usize {
    let events = world.actors[actor].events.iter();
    events.filter(|event| matches!(event, Event::SessionEnded { reason: EndReason::Revoked, .. })).count()
}

fn refused_as_revoked(world: &World, actor: usize) -> usize {
    let events = world.actors[actor].events.iter();
    events
        .filter(|event| matches!(event, Event::LinkRefused { reason: RefuseReason::Revoked { .. }, .. }))
        .count()
}

/// Ada at a desk and with a phone that has not her person's key, and Bob, who knows both.
fn three() -> (World, usize, usize, usize) {
    let mut world = World::new();
    let desk = world.add("ada@lama.test", Some(DESK));
    let bob = world.add("bob@lama.test", Some(BOB));
    world.pair(desk, bob);
    let phone = world.enrol(desk, "phone", None, false);
    world.run(secs(5));
    (world, desk, phone, bob)
}

#[test]
fn an_enrolled_instance_is_accepted_by_the_contacts_of_its_person() {
    let (mut world, desk, phone, bob) = three();
    let ada = world.person(desk);
    let contact = world.contacts(bob).into_iter().find(|contact| contact.person == ada).unwrap();
    let connected = contact.instances.iter().filter(|instance| instance.connected).count();
    assert_eq!((contact.instances.len(), connected), (2, 2), "{contact:?}");
    world.say(phone, bob, "from the phone");
    assert_eq!(world.texts(bob, ada), ["from the phone"]);
    world.say(bob, desk, "to both");
    let bob_is = world.person(bob);
    assert!(world.texts(phone, bob_is).contains(&"to both".to_string()));
    // The desk sees that Bob has its log of two entries.
    let list = instances(&mut world, desk);
    assert_eq!((list.head.seq, list.reached.len()), (2, 1));
    assert_eq!(list.reached[0].has, 2, "{list:?}");
    assert_eq!(list.instances[1].name.as_deref(), Some("phone"));
    // Without the person's key the phone certifies, revokes and pairs nobody.
    let desk_key = noise_of(&mut world, desk);
    let command = Command::RevokeInstance { noise: desk_key, reason: "no".to_string() };
    assert_eq!(world.ask(phone, command), Err(NodeError::KeyAbsent));
}

#[test]
fn a_live_session_with_a_revoked_key_ends_at_once_and_it_never_comes_back() {
    let (mut world, desk, phone, bob) = three();
    let lost = noise_of(&mut world, phone);
    let ticket = world.command(desk, Command::RevokeInstance { noise: lost, reason: "lost".to_string() });
    world.run(ms(100));
    assert_eq!(world.answer(desk, ticket), Some(Ok(Reply::Done)));
    assert_eq!(ended_as_revoked(&world, bob), 1, "the session of the phone and no other");
    // What Bob writes from now on does not reach the phone, and what the phone writes does not reach Bob.
    world.say(bob, desk, "the phone is lost");
    world.command(
        phone,
        Command::Send { to: world.person(bob), channel: None, text: "let me in".to_string() },
    );
    world.run(secs(120));
    let (ada, bob_is) = (world.person(desk), world.person(bob));
    assert!(!world.texts(phone, bob_is).contains(&"the phone is lost".to_string()));
    assert_eq!(world.texts(bob, ada), ["the phone is lost"]);
    assert!(world.texts(desk, bob_is).contains(&"the phone is lost".to_string()));
    assert!(refused_as_revoked(&world, bob) > 3, "it tries, and is refused in silence");
    // Both sides forget their memory; the key stays out. So it does when Bob removes Ada and pairs with her anew.
    world.restart(bob);
    world.restart(phone);
    world.run(secs(60));
    assert_eq!(world.ask(bob, Command::RemoveContact { person: ada }), Ok(Reply::Done));
    world.ask(desk, Command::RemoveContact { person: bob_is }).unwrap();
    world.pair(desk, bob);
    world.run(secs(120));
    let contact = world.contacts(bob).into_iter().find(|contact| contact.person == ada).unwrap();
    assert_eq!(contact.instances.len(), 1, "{contact:?}");
    let list = instances(&mut world, desk);
    assert_eq!((list.instances[1].revoked, list.reached[0].has), (Some(3), 3));
}

#[test]
fn whoever_was_away_is_brought_up_to_date_before_anything_else_moves() {
    let (mut world, desk, phone, bob) = three();
    let carol = world.add("carol@lama.test", Some(CAROL));
    world.pair(desk, carol);
    world.run(secs(5));
    let lost = noise_of(&mut world, phone);
    // Bob is away while the phone is revoked, and comes back with a message waiting for him.
    world.stop(bob);
    world.say(desk, bob, "the phone is lost");
    revoke(&mut world, desk, lost);
    let list = instances(&mut world, desk);
    let has = |email: &str| list.reached.iter().find(|row| row.peer.email == email).unwrap().has;
    assert_eq!(
        (list.head.seq, has("bob@lama.test"), has("carol@lama.test")),
        (3, 2, 3),
        "arrived at one of two"
    );
    world.restart(bob);
    world.actors[bob].events.clear();
    world.run(secs(120));
    let events = &world.actors[bob].events;
    let first = |wanted: fn(&Event) -> bool| events.iter().position(wanted).expect("it happens");
    let revoked = first(|event| matches!(event, Event::InstanceRevoked { .. }));
    assert!(revoked < first(|event| matches!(event, Event::Message(_))), "the log first: {events:#?}");
    assert!(revoked < first(|event| matches!(event, Event::InSync { .. })));
    // Whatever came first, in the end Bob has the revocation, and the desk knows that he has.
    let list = instances(&mut world, desk);
    assert!(list.reached.iter().all(|row| row.has == 3), "{list:?}");
    world.say(phone, bob, "am I still here?");
    world.run(secs(60));
    let ada = world.person(desk);
    assert!(!world.texts(bob, ada).contains(&"am I still here?".to_string()));
}

#[test]
fn a_third_instance_learns_of_its_own_persons_log_from_a_contact() {
    let (mut world, desk, phone, bob) = three();
    let tablet = world.enrol(desk, "tablet", None, false);
    world.run(secs(10));
    // The phone and the desk do not connect to each other: Bob has handed on the log.
    let list = instances(&mut world, phone);
    assert_eq!(list.head.seq, 3, "{list:?}");
    let lost = noise_of(&mut world, tablet);
    revoke(&mut world, desk, lost);
    world.run(secs(10));
    assert_eq!(instances(&mut world, phone).instances[2].revoked, Some(4));
    world.say(phone, bob, "still here");
    let ada = world.person(desk);
    assert!(world.texts(bob, ada).contains(&"still here".to_string()));
    assert!(
        world
            .actors
            .iter()
            .all(|actor| { !actor.events.iter().any(|event| matches!(event, Event::LogAlarm { .. })) })
    );
}

#[test]
fn a_log_that_is_shorter_than_before_or_another_one_is_an_alarm() {
    let (mut world, desk, _, bob) = three();
    let ada = world.person(desk);
    // The desk comes back from a backup of before the phone was enrolled: its log has one entry again.
    let contacts = world.known_to(desk);
    let restored = world.identity(desk);
    world.stop(desk);
    let restored = world.start_identity(restored, Vec::new(), contacts, None, Default::default());
    world.actors[bob].events.clear();
    world.run(secs(60));
    let alarms = |world: &World| {
        let of = |event: &&Event| matches!(event, Event::LogAlarm { person, .. } if *person == ada);
        world.actors[bob].events.iter().filter(of).count()
    };
    assert!(alarms(&world) > 0);
    let started = |event: &Event| matches!(event, Event::SessionStarted { .. });
    let own = |event: &Event| started(event) && std::format!("{event:?}").contains("\"desk\"");
    assert!(!world.actors[bob].events.iter().any(own), "nobody is let in with an older log");
    // What it certifies now is a second history, and no phone of that history gets in anywhere.
    let _ = world.enrol(restored, "tablet", None, false);
    world.actors[bob].events.clear();
    world.run(secs(60));
    assert!(alarms(&world) > 0);
    let contact = world.contacts(bob).into_iter().find(|contact| contact.person == ada).unwrap();
    assert!(!contact.instances.iter().any(|row| row.name == "tablet" && row.connected), "{contact:?}");
}

#[test]
fn the_key_that_answers_cannot_revoke_itself_and_an_unknown_one_is_named() {
    let (mut world, desk, _, bob) = three();
    let own = noise_of(&mut world, desk);
    let revoke = |noise| Command::RevokeInstance { noise, reason: "why not".to_string() };
    assert_eq!(world.ask(desk, revoke(own)), Err(NodeError::OwnInstance));
    let foreign = noise_of(&mut world, bob);
    assert_eq!(world.ask(desk, revoke(foreign)), Err(NodeError::NoSuchInstance));
    let codes: Vec<&str> =
        [NodeError::OwnInstance, NodeError::NoSuchInstance].iter().map(NodeError::code).collect();
    assert_eq!(codes, ["node.own-instance", "node.no-such-instance"]);
}

#[test]
fn what_the_host_keeps_is_kept_and_what_is_the_nodes_is_out_of_reach() {
    let mut world = World::new();
    let ada = world.add("ada@lama.test", None);
    let setting = |key: &str, set: Option<&'static str>| Command::HostSetting {
        key: key.to_string(),
        set: set.map(|text| text.as_bytes().into()),
    };
    assert_eq!(world.ask(ada, setting("relays", None)), Ok(Reply::Setting(None)));
    let kept = Ok(Reply::Setting(Some("one".into())));
    assert_eq!(world.ask(ada, setting("relays", Some("one"))), kept);
    world.restart(ada);
    assert_eq!(world.ask(ada, setting("relays", None)), kept);
    for key in ["node/wall", "blocked/00", "debug/00", ""] {
        let refused = world.ask(ada, setting(key, Some("x"))).unwrap_err();
        assert_eq!(refused.code(), "node.not-the-hosts", "{key}");
    }
}
