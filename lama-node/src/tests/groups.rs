//! Groups that applications serve, and connections of them.

use std::string::String;
use std::vec;
use std::vec::Vec;

use bytes::Bytes;
use lama_handshake::StreamId;
use lama_identity::InstanceId;

use super::{World, ms, secs};
use crate::{
    Admits, Command, Config, ConnectionEnd, ConnectionId, EndReason, Event, GroupCommand, GroupEvent,
    MAX_GROUP_MESSAGE, MESSAGE_COST, NodeError, Reply, Status,
};

pub(super) const ADA: &str = "ws://localhost:1";
pub(super) const BOB: &str = "ws://localhost:2";

pub(super) fn two() -> (World, usize, usize) {
    let mut world = World::new();
    let (ada, bob) = (world.add("ada@lama.test", Some(ADA)), world.add("bob@lama.test", Some(BOB)));
    world.pair(ada, bob);
    world.run(secs(5));
    (world, ada, bob)
}

pub(super) fn status(world: &mut World, actor: usize) -> Status {
    match world.ask(actor, Command::Status) {
        Ok(Reply::Status(status)) => *status,
        other => panic!("{other:?}"),
    }
}

pub(super) fn peer_of(world: &mut World, actor: usize) -> InstanceId {
    status(world, actor).peers[0].peer.instance
}

fn serve(world: &mut World, actor: usize, group: &str, to: Admits) {
    let command = GroupCommand::Serve { group: group.into(), to };
    assert_eq!(world.ask(actor, Command::Group(command)), Ok(Reply::Done));
}

fn open(world: &mut World, actor: usize, group: &str) -> Result<ConnectionId, NodeError> {
    let instance = peer_of(world, actor);
    let command = GroupCommand::Open { instance, group: group.into() };
    match world.ask(actor, Command::Group(command))? {
        Reply::Connection(connection) => Ok(connection),
        other => panic!("{other:?}"),
    }
}

fn send(
    world: &mut World,
    actor: usize,
    connection: ConnectionId,
    message: &[u8],
) -> Result<Reply, NodeError> {
    let message = Bytes::copy_from_slice(message);
    world.ask(actor, Command::Group(GroupCommand::Send { connection, message }))
}

fn close(world: &mut World, actor: usize, connection: ConnectionId) -> Result<Reply, NodeError> {
    world.ask(actor, Command::Group(GroupCommand::Close { connection }))
}

fn events(world: &World, actor: usize) -> Vec<GroupEvent> {
    let group = |event: &Event| match event {
        Event::Group(event) => Some(event.clone()),
        _ => None,
    };
    world.actors[actor].events.iter().filter_map(group).collect()
}

/// The connection that somebody opened here last.
fn opened(world: &World, actor: usize) -> ConnectionId {
    let opened = |event: &GroupEvent| match event {
        GroupEvent::Opened { connection, .. } => Some(*connection),
        _ => None,
    };
    events(world, actor).iter().rev().find_map(opened).expect("a connection")
}

fn heard(world: &World, actor: usize, on: ConnectionId) -> Vec<Bytes> {
    let message = |event: GroupEvent| match event {
        GroupEvent::Message { connection, message, .. } if connection == on => Some(message),
        _ => None,
    };
    events(world, actor).into_iter().filter_map(message).collect()
}

fn ended(world: &World, actor: usize, on: ConnectionId) -> Vec<ConnectionEnd> {
    let end = |event: GroupEvent| match event {
        GroupEvent::Closed { connection, end } if connection == on => Some(end),
        _ => None,
    };
    events(world, actor).into_iter().filter_map(end).collect()
}

#[test]
fn either_side_opens_both_talk_and_each_end_is_told_once() {
    let (mut world, ada, bob) = two();
    for (server, client) in [(ada, bob), (bob, ada)] {
        serve(&mut world, server, "chess", Admits::Contacts);
        let ours = open(&mut world, client, "chess").unwrap();
        let theirs = opened(&world, server);
        let last = events(&world, server).pop();
        let Some(GroupEvent::Opened { group, peer, .. }) = last else { panic!("{last:?}") };
        assert_eq!((group.as_str(), peer.person), ("chess", world.person(client)));
        assert_eq!(send(&mut world, client, ours, b"e4"), Ok(Reply::Done));
        assert_eq!(send(&mut world, server, theirs, b"e5"), Ok(Reply::Done));
        assert_eq!(heard(&world, server, theirs), ["e4"]);
        assert_eq!(heard(&world, client, ours), ["e5"]);
        assert_eq!(close(&mut world, client, ours), Ok(Reply::Done));
        assert_eq!(ended(&world, client, ours), [ConnectionEnd::ClosedHere]);
        assert_eq!(ended(&world, server, theirs), [ConnectionEnd::ClosedByPeer]);
        assert_eq!(send(&mut world, server, theirs, b"?"), Err(NodeError::NoSuchConnection));
        assert_eq!(close(&mut world, client, ours), Err(NodeError::NoSuchConnection));
    }
    assert_eq!(status(&mut world, ada).peers.len(), 1, "it is all one session");
    let started = world.actors[ada].events.iter();
    assert_eq!(started.filter(|event| matches!(event, Event::SessionStarted { .. })).count(), 1);
}

#[test]
fn what_is_not_served_or_not_for_this_person_is_refused_with_a_reason() {
    let (mut world, ada, bob) = two();
    let code = |result: Result<ConnectionId, NodeError>| result.unwrap_err().code();
    assert_eq!(code(open(&mut world, bob, "chess")), "node.group-not-served");
    let somebody = Admits::Persons([world.person(ada)].into());
    serve(&mut world, ada, "chess", somebody);
    assert_eq!(code(open(&mut world, bob, "chess")), "node.group-not-allowed");
    let him = Admits::Persons([world.person(bob)].into());
    serve(&mut world, ada, "chess", him);
    let connection = open(&mut world, bob, "chess").unwrap();
    // No longer served: what others have opened is closed.
    let end = Command::Group(GroupCommand::EndServing { group: "chess".into() });
    assert_eq!(world.ask(ada, end), Ok(Reply::Done));
    assert_eq!(ended(&world, bob, connection), [ConnectionEnd::ClosedByPeer]);
    assert_eq!(code(open(&mut world, bob, "chess")), "node.group-not-served");
    // Names that are none, and those of the node itself.
    for group in ["", "Chess", "chum", "pairing", "debug"] {
        let serve = GroupCommand::Serve { group: group.into(), to: Admits::Contacts };
        let refused = world.ask(bob, Command::Group(serve)).unwrap_err();
        assert_eq!(refused, NodeError::GroupName { group: group.into() });
        assert_eq!(code(open(&mut world, bob, group)), "node.group-name");
    }
    // The session has not suffered.
    assert!(status(&mut world, bob).peers[0].session.is_some());
}

#[test]
fn a_contact_has_no_more_connections_than_allowed_over_all_its_instances() {
    let mut world = World::new();
    let config = Config { connections_per_person: 3, ..Config::default() };
    let (ada, bob) = (world.add_with("ada@lama.test", Some(ADA), config), world.add("bob@lama.test", None));
    world.pair(ada, bob);
    let second = world.add_instance_of(bob, "phone", None);
    world.run(secs(10));
    serve(&mut world, ada, "chess", Admits::Contacts);
    let first = open(&mut world, bob, "chess").unwrap();
    open(&mut world, bob, "chess").unwrap();
    open(&mut world, second, "chess").unwrap();
    for actor in [bob, second] {
        assert_eq!(open(&mut world, actor, "chess").unwrap_err().code(), "node.group-busy");
    }
    close(&mut world, bob, first).unwrap();
    open(&mut world, second, "chess").unwrap();
}

#[test]
fn nobody_opens_one_without_a_session_or_before_he_is_a_contact() {
    let mut world = World::new();
    let (ada, bob) = (world.add("ada@lama.test", Some(ADA)), world.add("bob@lama.test", Some(BOB)));
    serve(&mut world, ada, "chess", Admits::Contacts);
    let stranger = GroupCommand::Open { instance: InstanceId([9; 32]), group: "chess".into() };
    assert_eq!(world.ask(bob, Command::Group(stranger)), Err(NodeError::NoSuchInstance));
    let (_, link) = world.invite(ada, lama_invite::Policy::Confirm);
    world.join(bob, &link);
    world.run(secs(3));
    let person = world.person(ada);
    assert_eq!(open(&mut world, bob, "chess"), Err(NodeError::NotConnected { person }), "it is pending");
    let who = world.person(bob);
    world.ask(ada, Command::Approve { person: who }).unwrap();
    world.run(secs(3));
    let connection = open(&mut world, bob, "chess").unwrap();
    // The end of the session is the end of its connections, and another one takes new ones.
    world.cut_all();
    world.run(secs(5));
    assert_eq!(ended(&world, bob, connection), [ConnectionEnd::SessionEnded]);
    let theirs = opened(&world, ada);
    assert_eq!(ended(&world, ada, theirs), [ConnectionEnd::SessionEnded]);
    open(&mut world, bob, "chess").unwrap();
    world.ask(ada, Command::Block { person: who }).unwrap();
    assert_eq!(open(&mut world, bob, "chess"), Err(NodeError::NotConnected { person }));
}

#[test]
fn whoever_is_not_read_is_not_sent_more_and_chum_goes_on() {
    let (mut world, ada, bob) = two();
    serve(&mut world, ada, "chess", Admits::Contacts);
    let ours = open(&mut world, bob, "chess").unwrap();
    let theirs = opened(&world, ada);
    let long = vec![1; MAX_GROUP_MESSAGE];
    let cost = MAX_GROUP_MESSAGE as u32 + MESSAGE_COST;
    let fits = (256 << 10) / cost;
    for _ in 0..fits {
        assert_eq!(send(&mut world, bob, ours, &long), Ok(Reply::Done));
    }
    // Without credit they wait, so many and no more.
    let message = Bytes::from(long.clone());
    let command = || Command::Group(GroupCommand::Send { connection: ours, message: message.clone() });
    let waiting: Vec<_> = (0..fits).map(|_| world.command(bob, command())).collect();
    world.run(secs(60));
    assert_eq!(world.ask(bob, command()), Err(NodeError::ConnectionFull));
    assert!(waiting.iter().all(|ticket| world.answer(bob, *ticket).is_none()));
    assert_eq!(heard(&world, ada, theirs).len(), fits as usize);
    world.say(bob, ada, "over the same session");
    let person = world.person(bob);
    assert_eq!(world.texts(ada, person), ["over the same session"]);
    // All are read: all leave.
    let taken = GroupCommand::Taken { connection: theirs, cost: fits * cost };
    assert_eq!(world.ask(ada, Command::Group(taken)), Ok(Reply::Done));
    assert!(waiting.iter().all(|ticket| world.answer(bob, *ticket) == Some(Ok(Reply::Done))));
    assert_eq!(heard(&world, ada, theirs).len(), 2 * fits as usize);
    let too_long = vec![0; MAX_GROUP_MESSAGE + 1];
    let refused = send(&mut world, bob, ours, &too_long);
    assert_eq!(refused.unwrap_err().code(), "node.message-too-long");
    // What has not left when the session ends is said so.
    let waiting: Vec<_> = (0..fits).map(|_| world.command(bob, command())).collect();
    world.cut_all();
    world.run(ms(10));
    for ticket in waiting {
        assert_eq!(world.answer(bob, ticket), Some(Err(NodeError::ConnectionEnded)));
    }
}

#[test]
fn a_program_without_groups_is_sent_no_frame_of_them() {
    let (mut world, ada, bob) = two();
    serve(&mut world, ada, "chess", Admits::Contacts);
    for link in world.actors[bob].node.links.values_mut() {
        link.live_mut().unwrap().peer.caps = 0;
    }
    let frames = world.trace.len();
    let person = world.person(ada);
    let instance = peer_of(&mut world, bob);
    let ticket = world.command(bob, Command::Group(GroupCommand::Open { instance, group: "chess".into() }));
    world.settle();
    assert_eq!(world.answer(bob, ticket), Some(Err(NodeError::NoGroupsThere { person })));
    assert_eq!(world.trace.len(), frames);
}

#[test]
fn whoever_breaks_a_rule_of_connections_loses_the_session() {
    let frames: [&[u8]; 4] =
        [b"\x07\0\0\0\0", b"\x01\0\0\0\x02\0\x04\0\0chess", b"\x01\0\0\0\0\0\0\0\x01chess", b"\x06\0\0\0\0"];
    for (frame, code) in
        frames.into_iter().zip(["group-malformed", "group-number", "group-credit-range", "group-number"])
    {
        let (mut world, ada, bob) = two();
        let link = world.possess(bob, ada);
        world.say_on(link, StreamId::INTERACTIVE, frame.to_vec());
        world.run(secs(1));
        let reason = |event: &Event| match event {
            Event::SessionEnded { reason: EndReason::Violation(fault), .. } => Some(String::from(fault.code)),
            _ => None,
        };
        let reasons: Vec<_> = world.actors[ada].events.iter().filter_map(reason).collect();
        assert_eq!(reasons, [code]);
    }
}

#[test]
fn whoever_does_not_answer_is_not_waited_for_for_ever() {
    let (mut world, ada, bob) = two();
    world.possess(bob, ada);
    let person = world.person(bob);
    let instance = peer_of(&mut world, ada);
    let command = Command::Group(GroupCommand::Open { instance, group: "chess".into() });
    let ticket = world.command(ada, command);
    world.run(Config::default().connection_deadline);
    assert_eq!(world.answer(ada, ticket), Some(Err(NodeError::GroupSilent { person })));
}
