//! Everything that must not work, and what is said about it.

use std::string::ToString as _;

use lama_invite::{InviteError, Policy};

use super::{World, ms, secs};
use crate::{Command, Event, Group, Input, InvitationState, NodeError, RefuseReason, Reply};

const A: &str = "ws://localhost:1001";

#[test]
fn no_invitation_no_pairing_with_the_reason() {
    let mut world = World::new();
    let b = world.add("ben@lama.local", None);
    let ticket = world.join(b, "");
    assert_eq!(world.answer(b, ticket), None);
    world.settle();
    assert_eq!(world.answer(b, ticket), Some(Err(NodeError::Invite(InviteError::NoLink))));
}

#[test]
fn the_same_person_on_both_sides_is_refused_and_told_what_to_do() {
    let mut world = World::new();
    let a = world.add("ada@lama.local", Some(A));
    let c = world.add_instance_of(a, "phone", None);
    let (_, link) = world.invite(a, Policy::Auto);
    let ticket = world.join(c, &link);
    world.run(secs(3));
    let Some(Err(error)) = world.answer(c, ticket) else { panic!() };
    assert!(matches!(error, NodeError::SamePerson { .. }));
    let text = error.to_string();
    assert!(
        text.contains("phone") && text.contains("key ") && text.contains("lama --data DIR init"),
        "{text}"
    );
    // Nothing was dialled.
    assert!(world.trace.is_empty());
}

#[test]
fn a_revoked_token_is_refused_without_a_word() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    let (locator, link) = world.invite(a, Policy::Auto);
    assert_eq!(world.ask(a, Command::RevokeInvitation { locator }), Ok(Reply::Done));
    let ticket = world.join(b, &link);
    world.run(secs(3));
    assert_eq!(world.answer(b, ticket), Some(Err(NodeError::InvitationRefused)));
    // Message 1 was the only frame.
    assert_eq!(world.trace.len(), 1);
    let refused = |event: &Event| {
        matches!(event, Event::LinkRefused { reason: RefuseReason::Token(InviteError::Revoked), .. })
    };
    assert!(world.actors[a].events.iter().any(refused), "{:?}", world.actors[a].events);
    assert!(world.contacts(a).is_empty() && world.contacts(b).is_empty());
}

#[test]
fn an_expired_invitation_is_refused_before_dialling() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    let (_, link) = world.invite_for(a, Policy::Auto, Some(secs(60)));
    world.run(secs(120));
    let ticket = world.join(b, &link);
    world.run(secs(3));
    let answer = world.answer(b, ticket);
    assert!(matches!(answer, Some(Err(NodeError::Invite(InviteError::Expired { .. })))), "{answer:?}");
    assert!(world.trace.is_empty());
    assert!(world.actors[a].events.iter().any(|event| matches!(event, Event::InvitationExpired { .. })));
}

#[test]
fn a_spent_token_is_refused() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    let c = world.add("cyd@lama.local", None);
    let (_, link) = world.invite(a, Policy::Auto);
    let first = world.join(b, &link);
    world.run(secs(3));
    assert!(world.answer(b, first).unwrap().is_ok());
    let second = world.join(c, &link);
    world.run(secs(10));
    assert_eq!(world.answer(c, second), Some(Err(NodeError::InvitationRefused)));
    assert!(world.contacts(c).is_empty());
    assert_eq!(world.contacts(a).len(), 1);
}

#[test]
fn nobody_there_is_said_with_the_address() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    let (_, link) = world.invite(a, Policy::Auto);
    world.actors[a].url = None;
    let ticket = world.join(b, &link);
    world.run(secs(3));
    let Some(Err(error)) = world.answer(b, ticket) else { panic!() };
    assert!(error.to_string().contains(A), "{error}");
}

#[test]
fn a_node_that_does_not_listen_cannot_invite() {
    let mut world = World::new();
    let a = world.add("ada@lama.local", None);
    let seed = world.seed();
    let invite = Command::Invite { policy: Policy::Auto, lifetime: None, label: "x".into(), seed };
    assert_eq!(world.ask(a, invite), Err(NodeError::NotListening));
}

#[test]
fn endpoints_of_strangers_are_not_discoverable() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    let person = world.person(b);
    assert_eq!(world.ask(a, Command::Endpoints { person }), Err(NodeError::NotAContact { person }));
    let send = Command::Send { to: person, channel: None, text: "hello".into() };
    assert_eq!(world.ask(a, send), Err(NodeError::NotAContact { person }));
}

#[test]
fn a_stranger_who_asks_for_chum_is_refused_without_learning_anything() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    world.pair(a, b);
    // Ada forgets Ben and his instance, as if her store had never known them.
    world.cut_all();
    let person = world.person(b);
    assert_eq!(world.ask(a, Command::RemoveContact { person }), Ok(Reply::Done));
    world.actors[a].node.denied.clear();
    world.trace.clear();
    world.actors[a].events.clear();
    world.run(secs(5));
    // Ben dials, shows who he is, and hears nothing but message 2.
    let from_ada: std::vec::Vec<usize> = world
        .trace
        .iter()
        .filter(|(_, link, ..)| link.0 % 2 == world.trace[1].1.0 % 2)
        .map(|(.., len, _)| *len)
        .collect();
    assert!(from_ada.iter().all(|len| *len == 48), "{from_ada:?}");
    let refused = |event: &Event| {
        let group = Some(Group::Chum);
        matches!(event, Event::LinkRefused { reason: RefuseReason::UnknownInstance { group: found }, .. } if *found == group)
    };
    assert!(world.actors[a].events.iter().any(refused), "{:?}", world.actors[a].events);
}

#[test]
fn garbage_from_strangers_closes_the_link() {
    let mut world = World::new();
    let a = world.add("ada@lama.local", Some(A));
    for (n, garbage) in [&b""[..], b"LAM1", &[0; 68], &[b'L'; 300]].into_iter().enumerate() {
        let link = crate::LinkId(10_000 + n as u64);
        let (source, seed) = (crate::Source::new([9; 16]), world.seed());
        world.input(a, Input::LinkUp { link, origin: crate::Origin::Accepted { source }, seed });
        assert_eq!(world.actors[a].node.frame_limit(link), 256);
        world.input(a, Input::Frame { link, frame: garbage.into() });
        world.settle();
    }
    let refused =
        world.actors[a].events.iter().filter(|event| matches!(event, Event::LinkRefused { .. })).count();
    assert_eq!(refused, 4);
    assert!(world.trace.is_empty());
}

#[test]
fn a_silent_stranger_is_dropped_at_the_deadline() {
    let mut world = World::new();
    let a = world.add("ada@lama.local", Some(A));
    let (source, seed) = (crate::Source::new([9; 16]), world.seed());
    let link = crate::LinkId(10_000);
    world.input(a, Input::LinkUp { link, origin: crate::Origin::Accepted { source }, seed });
    world.run(secs(6));
    let late = |event: &Event| matches!(event, Event::LinkRefused { reason: RefuseReason::Deadline(_), .. });
    assert!(world.actors[a].events.iter().any(late));
    world.run(secs(6));
    assert!(world.actors[a].node.links.is_empty());
}

#[test]
fn a_revocation_at_any_moment_leaves_token_and_contact_in_agreement() {
    let mut outcomes = [0; 2];
    for at in 0..160 {
        let mut world = World::new();
        let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
        let (locator, link) = world.invite(a, Policy::Auto);
        // So that it also falls between a durable step and its answer.
        world.store_delay = ms(5);
        world.join(b, &link);
        world.run(ms(at));
        let _ = world.ask(a, Command::RevokeInvitation { locator });
        world.run(secs(120));
        let Ok(Reply::Invitations(list)) = world.ask(a, Command::Invitations) else { panic!() };
        let revoked = list[0].state == InvitationState::Revoked;
        for restarted in [false, true] {
            if restarted {
                world.restart(a);
                world.run(secs(5));
            }
            // Where the pairing was complete in the store and its answer on the way, the contact is taken back, too.
            let neither = world.contacts(a).is_empty() && world.contacts(b).is_empty();
            let both = !revoked && world.are_contacts(a, b) == (true, true);
            assert!(neither || both, "at {at} ms, restarted: {restarted}");
            outcomes[usize::from(neither)] += 1;
        }
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}
