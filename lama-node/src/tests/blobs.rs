//! Blobs between two nodes: several at once, chunks that are there already, transfers that break off.

use std::vec::Vec;
use std::{println, vec};

use bytes::Bytes;
use lama_chum::blob::{BlobConfig, Chunker};
use lama_identity::{Cid, PersonId};
use lama_store::{Read, Reply as StoreReply, Standing};

use super::{World, ms, secs};
use crate::{Command, Config, Reply};

const A: &str = "ws://localhost:1001";
const B: &str = "ws://localhost:1002";
const CHUNK: usize = 64 << 10;

/// Bytes that look random: chunk `at` of everything.
fn chunk(at: u64) -> Vec<u8> {
    let mut state = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..CHUNK).map(|_| byte()).collect()
}

/// A blob of these chunks: its objects, the root last.
fn blob(chunks: &[u64]) -> Vec<(Cid, Bytes)> {
    let data: Vec<u8> = chunks.iter().flat_map(|at| chunk(*at)).collect();
    let config = BlobConfig { chunk_size: CHUNK, ..BlobConfig::default() };
    let (mut chunker, mut objects, mut rest) = (Chunker::new(config).unwrap(), Vec::new(), data.as_slice());
    while !rest.is_empty() {
        objects.extend(chunker.push(&mut rest).unwrap());
    }
    objects.extend(chunker.finish().unwrap().objects);
    objects
}

fn put(world: &mut World, at: usize, objects: &[(Cid, Bytes)]) {
    world.ask(at, Command::Put { objects: objects.to_vec() }).unwrap();
}

fn share(world: &mut World, from: usize, to: PersonId, objects: &[(Cid, Bytes)]) {
    let root = objects.last().unwrap().0;
    world.command(from, Command::Share { root, with: vec![to], note: None });
}

/// Bytes of all frames that travelled so far.
fn travelled(world: &World) -> usize {
    world.trace.iter().map(|(_, _, length, _)| length).sum()
}

fn has(world: &mut World, actor: usize, objects: &[(Cid, Bytes)]) -> usize {
    let store = world.store(actor);
    let mut here = |id: &Cid| matches!(store.ask(Read::Object(*id)), Ok(StoreReply::Object(Some(_))));
    objects.iter().map(|(id, _)| here(id)).filter(|here| *here).count()
}

#[test]
fn several_blobs_at_once_and_no_chunk_twice() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", Some(B)));
    world.pair(a, b);
    let pb = world.person(b);
    let first = blob(&[1, 2, 3, 4, 5, 6, 7, 8]);
    put(&mut world, a, &first);
    let before = travelled(&world);
    share(&mut world, a, pb, &first);
    world.run(secs(5));
    assert_eq!(has(&mut world, b, &first), 9);
    let cost = travelled(&world) - before;
    assert!((8 * CHUNK..9 * CHUNK).contains(&cost), "{cost}");
    // Three more at once, of which two chunks are new; one of these stands in two of them.
    let more = [blob(&[1, 2, 3, 9]), blob(&[9, 8, 7]), blob(&[10, 5, 5, 5])];
    more.iter().for_each(|blob| put(&mut world, a, blob));
    let before = travelled(&world);
    more.iter().for_each(|blob| share(&mut world, a, pb, blob));
    world.run(secs(5));
    for blob in &more {
        assert_eq!(has(&mut world, b, blob), blob.len());
    }
    let cost = travelled(&world) - before;
    assert!((2 * CHUNK..3 * CHUNK).contains(&cost), "{cost}");
}

#[test]
fn a_transfer_that_breaks_off_goes_on_at_the_chunk() {
    let mut world = World::new();
    let window = 4 * CHUNK;
    let mut config = Config::default();
    (config.chum.send_bytes, config.chum.page_bytes, config.chum.batch_bytes) = (window, CHUNK, CHUNK);
    let a = world.add_with("ada@lama.local", Some(A), config.clone());
    let b = world.add_with("ben@lama.local", Some(B), config);
    world.pair(a, b);
    let pb = world.person(b);
    let whole = blob(&(0..40).collect::<Vec<u64>>());
    put(&mut world, a, &whole);
    let before = travelled(&world);
    share(&mut world, a, pb, &whole);
    let mut stops = Vec::new();
    for (killed, least) in [(b, 5), (a, 15), (b, 25)] {
        while has(&mut world, b, &whole) < least {
            world.run(ms(5));
        }
        let here = has(&mut world, b, &whole);
        assert!(here < whole.len(), "{here} are here before the kill: it goes too fast for this test");
        stops.push(here);
        world.restart(killed);
    }
    world.run(secs(120));
    assert_eq!(has(&mut world, b, &whole), whole.len());
    let again = (travelled(&world) - before).saturating_sub(40 * CHUNK);
    println!("{again} bytes beyond the blob's, killed when {stops:?} of 41 objects were there");
    // Each kill loses at most what was not acknowledged; the rest is handshakes and the like.
    assert!(again < 3 * window + CHUNK, "{again} bytes were sent again, killed at {stops:?}");
    assert!(stops[2] > stops[0], "{stops:?}");
}

#[test]
fn an_object_is_pending_then_sent_then_acknowledged() {
    let mut world = World::new();
    let (a, b) = (world.add("ada@lama.local", Some(A)), world.add("ben@lama.local", Some(B)));
    world.pair(a, b);
    let person = world.person(b);
    let objects = blob(&[77]);
    let object = objects[0].0;
    put(&mut world, a, &objects);
    share(&mut world, a, person, &objects);
    let mut seen = Vec::new();
    for _ in 0..100 {
        let told = world.store(a).ask(Read::Explain { object, person });
        let Ok(StoreReply::Explanation(told)) = told else { panic!("{told:?}") };
        if seen.last() != Some(&told.standing) {
            seen.push(told.standing);
        }
        world.run(ms(1));
    }
    assert!(matches!(seen.as_slice(), [.., Standing::Sent, Standing::Acknowledged]), "{seen:?}");
    let reply = world.ask(a, Command::Explain { object, person });
    assert!(matches!(reply, Ok(Reply::Explanation(told)) if told.standing == Standing::Acknowledged));
}
