//! A peer cannot tell a hidden object from none: with and without it, the same seed gives frames of the same lengths at
//! the same times.

use std::string::ToString as _;
use std::vec;
use std::vec::Vec;

use bytes::Bytes;
use core::time::Duration;
use lama_identity::{Cid, cbor};

use super::{World, secs};
use crate::{Command, Reply};

fn object(text: &str) -> (Cid, Bytes) {
    let bytes = cbor::encode(&std::collections::BTreeMap::from([("text", text)])).unwrap();
    (Cid::of_object(&bytes), bytes)
}

/// What went over the links, and when; and how many objects ben has.
fn run(hidden: usize) -> (Vec<(Duration, usize)>, u64) {
    let mut world = World::new();
    let a = world.add("ada@lama.local", Some("ws://localhost:1001"));
    let b = world.add("ben@lama.local", Some("ws://localhost:1002"));
    world.pair(a, b);
    let pb = world.person(b);
    let put = |world: &mut World, name: &str, count: usize| -> Vec<Cid> {
        let objects: Vec<_> = (0..count).map(|at| object(&std::format!("{name} {at}"))).collect();
        let ids = objects.iter().map(|object| object.0).collect();
        assert_eq!(world.ask(a, Command::Put { objects }), Ok(Reply::Done));
        ids
    };
    for round in 0..4 {
        // A list without objects, where nothing is hidden: the same command at the same time.
        put(&mut world, &std::format!("hidden {round}"), hidden);
        let shown = put(&mut world, &std::format!("shown {round}"), 3);
        let share = Command::Share { root: shown[0], with: vec![pb], note: Some("here".to_string()) };
        world.ask(a, share).unwrap();
        world.say(b, a, "thank you");
        if round == 1 {
            world.cut_all();
        }
        world.run(secs(100));
    }
    let Ok(Reply::Status(status)) = world.ask(b, Command::Status) else { panic!() };
    // Asked for what it links to itself, ben gets the same nothing for what is hidden and for what is not there.
    let (probe, bytes) = {
        let links = vec![object("hidden 0 0").0];
        let bytes = cbor::encode(&std::collections::BTreeMap::from([("links", links)])).unwrap();
        (Cid::of_object(&bytes), bytes)
    };
    assert!(world.ask(b, Command::Put { objects: vec![(probe, bytes)] }).is_err(), "the link is not there");
    world.say(b, a, "good bye");
    world.run(secs(100));
    let lengths = world.trace.iter().map(|(at, _, len, _)| (*at, *len)).collect();
    (lengths, status.store.objects)
}

#[test]
fn the_frames_do_not_depend_on_what_is_hidden() {
    let (without, objects) = run(0);
    let (with, of_these) = run(50);
    assert!(without.len() > 40);
    assert_eq!(without.len(), with.len());
    for (left, right) in without.iter().zip(&with) {
        assert_eq!(left, right);
    }
    assert_eq!(objects, of_these);
}
