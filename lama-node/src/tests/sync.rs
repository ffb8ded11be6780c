//! Messages, objects, endpoints.

use std::string::ToString as _;
use std::vec;
use std::vec::Vec;

use lama_identity::{Cid, cbor};
use lama_invite::Policy;
use lama_store::Standing;

use super::{World, secs};
use crate::{Command, Event, NodeError, PeerState, Reply};

const A: &str = "ws://localhost:1001";
const B: &str = "ws://localhost:1002";

fn pair() -> (World, usize, usize) {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", Some(B)));
    world.pair(a, b);
    (world, a, b)
}

#[test]
fn messages_travel_both_ways_in_one_order() {
    let (mut world, a, b) = pair();
    let (pa, pb) = (world.person(a), world.person(b));
    world.say(a, b, "one");
    world.say(b, a, "two");
    for text in ["three", "four", "five"] {
        world.command(a, Command::Send { to: pb, channel: None, text: text.to_string() });
    }
    world.run(secs(2));
    let expected = ["one", "two", "three", "four", "five"];
    assert_eq!(world.texts(a, pb), expected);
    assert_eq!(world.texts(b, pa), expected);
    let came = |event: &&Event| matches!(event, Event::Message(entry) if entry.text == "five");
    assert_eq!(world.actors[b].events.iter().filter(came).count(), 1);
}

#[test]
fn messages_written_while_apart_arrive_later() {
    let (mut world, a, b) = pair();
    let (pa, pb) = (world.person(a), world.person(b));
    world.actors[b].url = None;
    world.restart(b);
    world.cut_all();
    world.say(a, b, "are you there?");
    world.say(b, a, "not yet");
    world.run(secs(90));
    assert_eq!(world.texts(a, pb).len(), 2);
    assert_eq!(world.texts(b, pa), world.texts(a, pb));
}

#[test]
fn a_shared_object_arrives_with_its_children_and_its_right() {
    let (mut world, a, b) = pair();
    let pb = world.person(b);
    let leaf = cbor::encode(&std::collections::BTreeMap::from([("$type$", "Leaf")])).unwrap();
    let leaf_id = Cid::of_object(&leaf);
    let root = cbor::encode(&std::collections::BTreeMap::from([("child", leaf_id)])).unwrap();
    let root_id = Cid::of_object(&root);
    let objects = vec![(leaf_id, leaf.clone()), (root_id, root.clone())];
    assert_eq!(world.ask(a, Command::Put { objects }), Ok(Reply::Done));
    let share = Command::Share { root: root_id, with: vec![pb], note: Some("look".to_string()) };
    assert_eq!(world.ask(a, share), Ok(Reply::Shared { withheld: vec![] }));
    for (id, bytes) in [(leaf_id, leaf), (root_id, root)] {
        assert_eq!(world.ask(b, Command::Object { id }), Ok(Reply::Object(Some(bytes))));
    }
    let shared = |event: &Event| matches!(event, Event::Shared(shared) if shared.root == root_id);
    assert!(world.actors[b].events.iter().any(shared), "{:?}", world.actors[b].events);
    let noted = |event: &Event| matches!(event, Event::Message(entry) if entry.attachment == Some(root_id));
    assert!(world.actors[b].events.iter().any(noted));
    for id in [a, b] {
        let reply = world.ask(id, Command::Shared { with: None });
        let Ok(Reply::SharedList(list)) = reply else { panic!("{reply:?}") };
        assert_eq!((list.len(), list[0].root), (1, root_id));
    }
}

#[test]
fn what_was_shared_is_taken_back_from_one_and_stays_with_another() {
    let (mut world, a, b) = pair();
    let c = world.add("cleo@lama.local", Some("ws://localhost:1003"));
    world.pair(a, c);
    let (pb, pc) = (world.person(b), world.person(c));
    let part = |n: u64| cbor::encode(&std::collections::BTreeMap::from([("n", n)])).unwrap();
    let (first, second) = (part(1), part(2));
    let ids = [Cid::of_object(&first), Cid::of_object(&second)];
    let objects = vec![(ids[0], first), (ids[1], second)];
    assert_eq!(world.ask(a, Command::Put { objects }), Ok(Reply::Done));
    let not_shared = Err(NodeError::NotShared { id: ids[0] });
    assert_eq!(world.ask(a, Command::Unshare { root: ids[0], with: vec![pb] }), not_shared);
    for with in [pb, pc] {
        let share = Command::Share { root: ids[0], with: vec![with], note: Some("look".to_string()) };
        assert_eq!(world.ask(a, share), Ok(Reply::Shared { withheld: vec![] }));
    }
    world.run(secs(2));
    // Ben has it: he is told, and may keep it. Cleo is not touched.
    let back = world.ask(a, Command::Unshare { root: ids[0], with: vec![pb] });
    assert_eq!(back, Ok(Reply::Unshared { taken_back: 0, stays: 1 }));
    // What is shared while nobody is there to get it leaves without a trace.
    world.stop(b);
    world.run(secs(2));
    let share = Command::Share { root: ids[1], with: vec![pb], note: None };
    assert_eq!(world.ask(a, share), Ok(Reply::Shared { withheld: vec![] }));
    let back = world.ask(a, Command::Unshare { root: ids[1], with: vec![pb] });
    assert_eq!(back, Ok(Reply::Unshared { taken_back: 1, stays: 0 }));
    world.restart(b);
    world.run(secs(90));
    let standing = |world: &mut World, object, person| match world.ask(a, Command::Explain { object, person })
    {
        Ok(Reply::Explanation(told)) => told.standing,
        other => panic!("{other:?}"),
    };
    assert_eq!(standing(&mut world, ids[0], pb), Standing::Tombstone);
    assert_eq!(standing(&mut world, ids[0], pc), Standing::Acknowledged);
    assert_eq!(standing(&mut world, ids[1], pb), Standing::NotShared);
    assert_eq!(world.ask(b, Command::Object { id: ids[1] }), Ok(Reply::Object(None)));
    let Ok(Reply::SharedList(list)) = world.ask(a, Command::Shared { with: None }) else { panic!() };
    assert_eq!(
        list.iter().map(|info| (info.root, info.with.clone())).collect::<Vec<_>>(),
        [(ids[0], vec![pc])]
    );
    // And once more with him: it is a share as any other.
    let share = Command::Share { root: ids[0], with: vec![pb], note: None };
    assert_eq!(world.ask(a, share), Ok(Reply::Shared { withheld: vec![] }));
    world.run(secs(90));
    assert_eq!(standing(&mut world, ids[0], pb), Standing::Acknowledged);
    assert_eq!(standing(&mut world, ids[0], pc), Standing::Acknowledged);
}

#[test]
fn what_is_not_here_is_not_shared_and_wrong_ids_are_refused() {
    let (mut world, a, b) = pair();
    let pb = world.person(b);
    let id = Cid::of_object(b"\xa0");
    let share = Command::Share { root: id, with: vec![pb], note: None };
    assert_eq!(world.ask(a, share), Err(NodeError::ObjectNotHere { id }));
    let objects = vec![(id, bytes::Bytes::from_static(b"\xa1\x61a\x01"))];
    assert_eq!(world.ask(a, Command::Put { objects }), Err(NodeError::ObjectMismatch { id }));
}

#[test]
fn a_peer_that_moves_is_found_again() {
    let (mut world, a, b) = pair();
    let pb = world.person(b);
    world.listen(b, Some("ws://localhost:2002"));
    world.run(secs(2));
    let Ok(Reply::Endpoints(endpoints)) = world.ask(a, Command::Endpoints { person: pb }) else { panic!() };
    assert_eq!(endpoints[0].url, "ws://localhost:2002");
    assert!(endpoints[0].object.is_some());
    let moved =
        |event: &Event| matches!(event, Event::EndpointChanged { url, .. } if url == "ws://localhost:2002");
    assert!(world.actors[a].events.iter().any(moved));
    world.restart(a);
    world.run(secs(5));
    let Ok(Reply::Status(status)) = world.ask(a, Command::Status) else { panic!() };
    assert_eq!(status.peers[0].state, PeerState::InSync, "{status:?}");
}

#[test]
fn a_peer_that_moved_while_nobody_was_connected_is_learned_from_its_introduction() {
    let (mut world, a, b) = pair();
    let pb = world.person(b);
    world.restart(b);
    world.listen(b, Some("ws://localhost:3002"));
    world.run(secs(5));
    let Ok(Reply::Endpoints(endpoints)) = world.ask(a, Command::Endpoints { person: pb }) else { panic!() };
    assert_eq!(endpoints[0].url, "ws://localhost:3002");
}

/// One side only dials, and the other has moved while it was away: nobody but a person can tell it.
#[test]
fn an_invitation_of_a_contact_says_where_it_is_now() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", None));
    world.pair(a, b);
    world.actors[a].url = None;
    world.cut_all();
    world.run(secs(1));
    world.listen(a, Some("ws://localhost:3003"));
    world.say(a, b, "I have moved");
    world.run(secs(300));
    let pa = world.person(a);
    assert!(world.texts(b, pa).is_empty(), "nobody has told it");
    let (_, link) = world.invite(a, Policy::Auto);
    let ticket = world.join(b, &link);
    world.run(secs(90));
    assert!(world.answer(b, ticket).unwrap().is_ok());
    assert_eq!(world.texts(b, pa), ["I have moved"]);
    assert_eq!((world.contacts(a).len(), world.contacts(b).len()), (1, 1));
}

#[test]
fn two_instances_of_one_contact_stand_side_by_side() {
    let (mut world, a, b) = pair();
    let c = world.add_instance_of(b, "phone", None);
    let pb = world.person(b);
    world.pair(a, c);
    world.run(secs(2));
    assert_eq!(world.contacts(a).len(), 1);
    let Ok(Reply::Status(status)) = world.ask(a, Command::Status) else { panic!() };
    let up = status.peers.iter().filter(|peer| peer.session.is_some()).count();
    assert_eq!((status.peers.len(), up), (2, 2), "{status:?}");
    world.say(a, b, "to both of you");
    let pa = world.person(a);
    assert_eq!(world.texts(b, pa), ["to both of you"]);
    assert_eq!(world.texts(c, pa), ["to both of you"]);
    let _ = pb;
}

#[test]
fn one_session_per_pair_of_instances() {
    let (mut world, a, b) = pair();
    for _ in 0..5 {
        world.cut_all();
        world.run(secs(20));
        for id in [a, b] {
            let Ok(Reply::Status(status)) = world.ask(id, Command::Status) else { panic!() };
            assert_eq!(status.peers[0].state, PeerState::InSync, "{status:?}");
        }
    }
    assert_eq!(world.actors[a].node.links.len(), 1);
    assert_eq!(world.actors[b].node.links.len(), 1);
}

#[test]
fn shutdown_says_goodbye_and_stops() {
    let (mut world, a, b) = pair();
    assert_eq!(world.ask(a, Command::Shutdown), Ok(Reply::Done));
    assert_eq!(world.actors[a].events.last(), Some(&Event::Stopped));
    let closed =
        |event: &Event| matches!(event, Event::SessionEnded { reason: crate::EndReason::ClosedByPeer, .. });
    assert!(world.actors[b].events.iter().any(closed), "{:?}", world.actors[b].events);
}
