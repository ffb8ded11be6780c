//! Policy `confirm`: a person compares the code, and approves or denies.

use lama_invite::Policy;

use super::{World, ms, secs};
use crate::{Command, ContactStanding, Event, InvitationState, NodeError, PairingRole, Reply, WaitsFor};

const A: &str = "ws://localhost:1001";

fn pending() -> (World, usize, usize, lama_invite::Locator, lama_core::Ticket) {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    let (locator, link) = world.invite(a, Policy::Confirm);
    let ticket = world.join(b, &link);
    world.run(secs(3));
    (world, a, b, locator, ticket)
}

#[test]
fn nothing_is_established_before_the_approval() {
    let (mut world, a, b, _, ticket) = pending();
    assert_eq!(world.answer(b, ticket), None);
    for (id, role, waits) in
        [(a, PairingRole::Inviter, WaitsFor::OurApproval), (b, PairingRole::Joiner, WaitsFor::TheirApproval)]
    {
        assert_eq!(world.contacts(id)[0].standing, ContactStanding::Pending);
        let Ok(Reply::Pending(list)) = world.ask(id, Command::Pending) else { panic!() };
        assert_eq!((list.len(), list[0].role, list[0].waits_for), (1, role, waits));
    }
    let Ok(Reply::Pending(ours)) = world.ask(a, Command::Pending) else { panic!() };
    let Ok(Reply::Pending(theirs)) = world.ask(b, Command::Pending) else { panic!() };
    assert!(ours[0].check_code.is_some());
    assert_eq!(ours[0].check_code, theirs[0].check_code);
    let started = |event: &Event| matches!(event, Event::InSync { .. } | Event::Paired(_));
    assert!(!world.actors.iter().any(|actor| actor.events.iter().any(started)));
}

#[test]
fn approval_makes_both_contacts_on_the_same_link() {
    let (mut world, a, b, locator, ticket) = pending();
    let person = world.person(b);
    assert!(matches!(world.ask(a, Command::Approve { person }), Ok(Reply::Contact(_))));
    assert!(matches!(world.answer(b, ticket), Some(Ok(Reply::Contact(_)))));
    assert_eq!(world.are_contacts(a, b), (true, true));
    let Ok(Reply::Invitations(list)) = world.ask(a, Command::Invitations) else { panic!() };
    assert_eq!((list[0].locator, list[0].state), (locator, InvitationState::Completed { by: person }));
    let ended = |event: &Event| matches!(event, Event::SessionEnded { .. });
    assert!(!world.actors.iter().any(|actor| actor.events.iter().any(ended)));
}

#[test]
fn denial_removes_both_and_burns_the_token() {
    let (mut world, a, b, _, ticket) = pending();
    let person = world.person(b);
    assert_eq!(world.ask(a, Command::Deny { person }), Ok(Reply::Done));
    let inviter = world.person(a);
    assert_eq!(world.answer(b, ticket), Some(Err(NodeError::Denied { person: inviter })));
    assert!(world.contacts(a).is_empty() && world.contacts(b).is_empty());
    let Ok(Reply::Invitations(list)) = world.ask(a, Command::Invitations) else { panic!() };
    assert_eq!(list[0].state, InvitationState::Revoked);
}

#[test]
fn a_denial_reaches_a_joiner_who_was_away() {
    let (mut world, a, b, _, ticket) = pending();
    world.actors[a].url = None;
    world.cut_all();
    world.run(ms(100));
    let person = world.person(b);
    assert_eq!(world.ask(a, Command::Deny { person }), Ok(Reply::Done));
    assert_eq!(world.contacts(b).len(), 1);
    world.actors[a].url = Some(A.into());
    world.run(secs(120));
    let inviter = world.person(a);
    assert_eq!(world.answer(b, ticket), Some(Err(NodeError::Denied { person: inviter })));
    assert!(world.contacts(b).is_empty());
}

#[test]
fn an_approval_reaches_a_joiner_who_was_away() {
    let (mut world, a, b, _, ticket) = pending();
    world.actors[a].url = None;
    world.cut_all();
    world.run(ms(100));
    let person = world.person(b);
    assert!(matches!(world.ask(a, Command::Approve { person }), Ok(Reply::Contact(_))));
    world.actors[a].url = Some(A.into());
    world.run(secs(120));
    assert!(matches!(world.answer(b, ticket), Some(Ok(Reply::Contact(_)))));
    assert_eq!(world.are_contacts(a, b), (true, true));
}

#[test]
fn the_joiner_can_deny_too() {
    let (mut world, a, b, _, ticket) = pending();
    let person = world.person(a);
    assert_eq!(world.ask(b, Command::Deny { person }), Ok(Reply::Done));
    assert_eq!(world.answer(b, ticket), Some(Err(NodeError::DeniedHere { person })));
    assert!(world.contacts(a).is_empty() && world.contacts(b).is_empty());
    let Ok(Reply::Invitations(list)) = world.ask(a, Command::Invitations) else { panic!() };
    assert_eq!(list[0].state, InvitationState::Revoked);
}

#[test]
fn the_joiners_denial_reaches_an_inviter_who_was_away() {
    let (mut world, a, b, _, ticket) = pending();
    world.actors[a].url = None;
    world.cut_all();
    world.run(ms(100));
    let person = world.person(a);
    assert_eq!(world.ask(b, Command::Deny { person }), Ok(Reply::Done));
    assert_eq!(world.answer(b, ticket), Some(Err(NodeError::DeniedHere { person })));
    assert_eq!(world.contacts(a).len(), 1);
    world.restart(b);
    world.actors[a].url = Some(A.into());
    world.run(secs(120));
    assert!(world.contacts(a).is_empty() && world.contacts(b).is_empty());
    let Ok(Reply::Invitations(list)) = world.ask(a, Command::Invitations) else { panic!() };
    assert_eq!(list[0].state, InvitationState::Revoked);
    assert!(world.actors[b].node.joins.is_empty());
}

#[test]
fn pending_survives_restarts_on_both_sides_and_the_wait() {
    let (mut world, a, b, ..) = pending();
    world.restart(a);
    world.restart(b);
    world.run(secs(400));
    let person = world.person(b);
    let Ok(Reply::Pending(list)) = world.ask(a, Command::Pending) else { panic!() };
    assert_eq!(list.len(), 1, "{list:?}");
    assert!(matches!(world.ask(a, Command::Approve { person }), Ok(Reply::Contact(_))));
    world.run(secs(120));
    assert_eq!(world.are_contacts(a, b), (true, true));
}
