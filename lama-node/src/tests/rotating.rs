//! New keys of an instance: who is connected goes on by them, who was away gets to them by the old one, and the old ones
//! never come back.

use std::string::{String, ToString as _};
use std::vec::Vec;

use lama_identity::NoisePublic;
use lama_invite::Policy;

use super::{World, secs};
use crate::{Command, Event, InvitationState, NodeError, OwnInstances, Reply};

pub(super) const DESK: &str = "ws://localhost:1";
pub(super) const BOB: &str = "ws://localhost:2";

fn instances(world: &mut World, actor: usize) -> OwnInstances {
    match world.ask(actor, Command::Instances) {
        Ok(Reply::Instances(list)) => *list,
        other => panic!("{other:?}"),
    }
}

fn key_of(world: &World, actor: usize) -> NoisePublic {
    *world.identity(actor).public().noise()
}

/// Where the contact of `actor` who owns `key` says that it is connected.
fn connected(world: &mut World, actor: usize, to: usize) -> usize {
    let person = world.person(to);
    let contacts = world.contacts(actor);
    let contact = contacts.iter().find(|contact| contact.person == person).expect("a contact");
    contact.instances.iter().filter(|instance| instance.connected).count()
}

fn rotated(world: &World, actor: usize) -> usize {
    let events = world.actors[actor].events.iter();
    events.filter(|event| matches!(event, Event::InstanceRotated { .. })).count()
}

/// What frightens people, at all actors.
pub(super) fn alarms(world: &World) -> usize {
    let alarm = |event: &&Event| {
        matches!(
            event,
            Event::LogAlarm { .. }
                | Event::KeyChanged { .. }
                | Event::InstanceCloned { .. }
                | Event::InstanceRevoked { .. }
                | Event::RevokedHere
        )
    };
    world.actors.iter().map(|actor| actor.events.iter().filter(alarm).count()).sum()
}

/// Ada at a desk, and Bob.
pub(super) fn two(desk: Option<&str>, bob: Option<&str>) -> (World, usize, usize) {
    let mut world = World::new();
    let ada = world.add("ada@lama.test", desk);
    let bob = world.add("bob@lama.test", bob);
    if desk.is_some() {
        world.pair(ada, bob)
    } else {
        world.pair(bob, ada)
    }
    world.run(secs(5));
    (world, ada, bob)
}

/// Whichever side can dial, and both ways.
pub(super) const WAYS: [(Option<&str>, Option<&str>); 3] =
    [(Some(DESK), Some(BOB)), (Some(DESK), None), (None, Some(BOB))];

#[test]
fn who_is_connected_goes_on_with_the_new_keys_and_the_old_ones_are_revoked() {
    for (desk_url, bob_url) in WAYS {
        let (mut world, desk, bob) = two(desk_url, bob_url);
        let old = key_of(&world, desk);
        world.rotate(desk);
        world.run(secs(30));
        let new = key_of(&world, desk);
        assert_ne!(old, new);
        assert_eq!((connected(&mut world, bob, desk), connected(&mut world, desk, bob)), (1, 1));
        assert_eq!(rotated(&world, bob), 1);
        // Certificate, the new one, the revocation of the old one; and Bob has them.
        let list = instances(&mut world, desk);
        assert_eq!((list.head.seq, list.reached[0].has), (3, 3), "{list:?}");
        let rows: Vec<_> = list.instances.iter().map(|row| (row.noise, row.revoked, row.is_this)).collect();
        assert_eq!(rows, [(old, Some(3), false), (new, None, true)]);
        world.say(desk, bob, "by the new key");
        world.say(bob, desk, "to the new key");
        let (ada, bob_is) = (world.person(desk), world.person(bob));
        assert!(world.texts(bob, ada).contains(&"by the new key".to_string()));
        assert!(world.texts(desk, bob_is).contains(&"to the new key".to_string()));
        assert_eq!(alarms(&world), 0);
    }
}

#[test]
fn a_contact_who_was_away_gets_to_the_new_key_by_the_old_one() {
    for (desk_url, bob_url) in WAYS {
        let (mut world, desk, bob) = two(desk_url, bob_url);
        world.stop(bob);
        // Signed by a key that Bob, when he gets it, knows to be replaced.
        world.say(desk, bob, "before the rotations");
        // Twice: Bob knows a key that is the last but one.
        world.rotate(desk);
        world.run(secs(5));
        world.rotate(desk);
        world.run(secs(5));
        assert_eq!(instances(&mut world, desk).head.seq, 5);
        world.actors[bob].url = bob_url.map(Into::into);
        world.restart(bob);
        if bob_url.is_none() {
            // Nothing but the former keys leads there.
            let former = core::mem::take(&mut world.actors[desk].former);
            world.restart(desk);
            world.run(secs(120));
            assert_eq!(connected(&mut world, bob, desk), 0);
            world.actors[desk].former = former;
            world.restart(desk);
        }
        world.run(secs(120));
        assert_eq!(connected(&mut world, bob, desk), 1, "{desk_url:?} {bob_url:?}");
        let ada = world.person(desk);
        assert!(world.texts(bob, ada).contains(&"before the rotations".to_string()));
        world.say(bob, desk, "I am back");
        let bob_is = world.person(bob);
        assert!(world.texts(desk, bob_is).contains(&"I am back".to_string()));
        let list = instances(&mut world, desk);
        assert_eq!(list.reached[0].has, 5, "{list:?}");
        assert_eq!(alarms(&world), 0);
    }
}

#[test]
fn a_copy_of_the_old_keys_gets_in_nowhere() {
    let (mut world, desk, bob) = two(Some(DESK), Some(BOB));
    let (stolen, contacts) = (world.identity(desk), world.known_to(desk));
    world.rotate(desk);
    world.run(secs(30));
    let thief = world.start_identity(stolen, Vec::new(), contacts, None, Default::default());
    world.actors[bob].events.clear();
    world.run(secs(60));
    let started = |event: &Event| matches!(event, Event::SessionStarted { .. });
    assert!(!world.actors[bob].events.iter().any(started));
    assert!(!world.actors[thief].events.iter().any(started));
    // Nor after Bob has forgotten everything he can forget.
    world.restart(bob);
    world.run(secs(60));
    assert!(!world.actors[thief].events.iter().any(started));
    assert_eq!(connected(&mut world, bob, desk), 1);
}

#[test]
fn whoever_stops_between_the_certificate_and_the_new_start_goes_on_with_either_keys() {
    let (mut world, desk, bob) = two(Some(DESK), Some(BOB));
    let new = world.certify_new_keys(desk).unwrap();
    // It is in the log and nowhere else yet: the old keys still work, for both sides.
    world.restart(desk);
    world.restart(bob);
    world.run(secs(30));
    assert_eq!(connected(&mut world, bob, desk), 1, "the desk dials with the keys that it has");
    world.take_up(desk, &new);
    world.run(secs(30));
    assert_eq!((connected(&mut world, bob, desk), alarms(&world)), (1, 0));
    assert_eq!(instances(&mut world, desk).reached[0].has, 3);
}

#[test]
fn open_invitations_are_taken_back_and_a_pairing_under_way_comes_first() {
    let mut world = World::new();
    let ada = world.add("ada@lama.test", Some(DESK));
    let bob = world.add("bob@lama.test", None);
    let (_, link) = world.invite(ada, Policy::Confirm);
    let ticket = world.join(bob, &link);
    world.run(secs(3));
    assert!(world.answer(bob, ticket).is_none(), "it waits for an approval");
    assert_eq!(world.certify_new_keys(ada).err(), Some(NodeError::PairingUnderWay));
    let person = world.person(bob);
    assert!(world.ask(ada, Command::Approve { person }).is_ok());
    world.run(secs(5));
    // An invitation names the key that goes.
    let (locator, link) = world.invite(ada, Policy::Auto);
    let new = world.certify_new_keys(ada).unwrap();
    let state = |world: &mut World| match world.ask(ada, Command::Invitations) {
        Ok(Reply::Invitations(list)) => list.iter().find(|info| info.locator == locator).unwrap().state,
        other => panic!("{other:?}"),
    };
    assert_eq!(state(&mut world), InvitationState::Revoked);
    let seed = world.seed();
    let again = Command::Invite { policy: Policy::Auto, lifetime: None, label: String::new(), seed };
    assert_eq!(world.ask(ada, again).err(), Some(NodeError::KeysReplaced));
    world.take_up(ada, &new);
    world.run(secs(5));
    let carol = world.add("carol@lama.test", None);
    let ticket = world.join(carol, &link);
    world.run(secs(10));
    assert_eq!(world.answer(carol, ticket), Some(Err(NodeError::InvitationRefused)));
    world.pair(ada, carol);
    let (a, b) = world.are_contacts(ada, carol);
    assert!(a && b);
}

#[test]
fn without_the_persons_key_no_keys_are_replaced() {
    let (mut world, desk, bob) = two(Some(DESK), Some(BOB));
    let phone = world.enrol(desk, "phone", None, false);
    world.run(secs(10));
    assert_eq!(world.certify_new_keys(phone).err(), Some(NodeError::KeyAbsent));
    assert_eq!(connected(&mut world, bob, desk), 2);
}
