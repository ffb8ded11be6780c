//! Why something does not arrive: what the application is told.

use std::vec;

use bytes::Bytes;
use lama_chum::Refusal;
use lama_identity::{Cid, cbor};
use lama_store::{Explanation, Quota, Standing};

use super::{World, secs};
use crate::{Command, Event, NodeError, Reply};

fn object(text: &str) -> (Cid, Bytes) {
    let bytes = cbor::encode(&std::collections::BTreeMap::from([("text", text)])).unwrap();
    (Cid::of_object(&bytes), bytes)
}

fn explain(world: &mut World, actor: usize, object: Cid, person: lama_identity::PersonId) -> Explanation {
    let reply = world.ask(actor, Command::Explain { object, person });
    let Ok(Reply::Explanation(told)) = reply else { panic!("{reply:?}") };
    *told
}

#[test]
fn an_object_is_followed_to_its_end() {
    let mut world = World::new();
    let a = world.add("ada@lama.local", Some("ws://localhost:1001"));
    let b = world.add("ben@lama.local", Some("ws://localhost:1002"));
    let (pa, pb) = (world.person(a), world.person(b));
    let (id, bytes) = object("one");
    assert_eq!(explain(&mut world, a, id, pb).standing, Standing::NotAContact);
    world.pair(a, b);
    assert_eq!(explain(&mut world, a, id, pb).standing, Standing::NotHere);
    assert_eq!(world.ask(a, Command::Put { objects: vec![(id, bytes.clone())] }), Ok(Reply::Done));
    assert_eq!(explain(&mut world, a, id, pb).standing, Standing::NotShared);
    world.actors[a].url = None;
    world.actors[b].url = None;
    world.cut_all();
    world.run(secs(1));
    let share = Command::Share { root: id, with: vec![pb], note: None };
    assert_eq!(world.ask(a, share), Ok(Reply::Shared { withheld: vec![] }));
    let told = explain(&mut world, a, id, pb);
    assert_eq!((told.standing, told.rules.len(), told.rules[0].in_effect), (Standing::Pending, 1, true));
    world.listen(b, Some("ws://localhost:1002"));
    world.run(secs(120));
    assert_eq!(explain(&mut world, a, id, pb).standing, Standing::Acknowledged);
    assert_eq!(explain(&mut world, b, id, pa).standing, Standing::FromThem);
    assert_eq!(world.ask(a, Command::DeleteObjects { ids: vec![id] }), Ok(Reply::Done));
    world.run(secs(2));
    assert_eq!(world.ask(b, Command::Object { id }), Ok(Reply::Object(None)));
    assert_eq!(explain(&mut world, a, id, pb).standing, Standing::Tombstone);
    for actor in [a, b] {
        let Ok(Reply::Status(status)) = world.ask(actor, Command::Status) else { panic!() };
        assert_eq!(status.peers[0].state, crate::PeerState::InSync, "{status:?}");
    }
}

#[test]
fn what_is_over_quota_is_refused_and_both_sides_know() {
    let mut world = World::new();
    let a = world.add("ada@lama.local", Some("ws://localhost:1001"));
    let b = world.add("ben@lama.local", Some("ws://localhost:1002"));
    world.pair(a, b);
    let (pa, pb) = (world.person(a), world.person(b));
    let Ok(Reply::Quota(before)) = world.ask(b, Command::Quota { person: pa, set: None }) else { panic!() };
    let quota = Quota { objects: Some(before.objects), ..Quota::default() };
    let Ok(Reply::Quota(after)) = world.ask(b, Command::Quota { person: pa, set: Some(quota) }) else {
        panic!()
    };
    assert_eq!((after.limits.objects, after.objects), (Some(before.objects), before.objects));
    let (id, bytes) = object("too much");
    world.ask(a, Command::Put { objects: vec![(id, bytes)] }).unwrap();
    world.ask(a, Command::Share { root: id, with: vec![pb], note: None }).unwrap();
    world.run(secs(2));
    assert_eq!(explain(&mut world, a, id, pb).standing, Standing::Refused(Refusal::Quota));
    assert_eq!(world.ask(b, Command::Object { id }), Ok(Reply::Object(None)));
    for (actor, far) in [(a, true), (b, false)] {
        let refused = |event: &Event| matches!(event, Event::ObjectRefused { there, reason: Refusal::Quota, id: of, .. } if *there == far && *of == id);
        assert!(world.actors[actor].events.iter().any(refused), "{:?}", world.actors[actor].events);
    }
    let stranger = world.add("eve@lama.local", None);
    let person = world.person(stranger);
    assert_eq!(
        world.ask(b, Command::Quota { person, set: Some(quota) }),
        Err(NodeError::NotAContact { person })
    );
}
