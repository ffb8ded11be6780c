//! A message overtakes a blob of 50 MB that is under way on a link of bounded rate and room.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use lama_chum::blob::{BlobConfig, Chunker};
use lama_core::Instant;
use lama_identity::Cid;
use lama_node::{Command, Event};
use lama_sim::{ActorConfig, ActorId, LinkConfig, PipeConfig, World, WorldConfig};
use support::pair;

const SIZE: usize = 50_000_000;
/// Bytes a second.
const RATE: u64 = 5_000_000;
/// What the sockets and the network hold.
const ROOM: usize = 128 * 1024;
const DELAY: Duration = Duration::from_millis(5);
/// A chunk of the blob: one message, which is not interrupted.
const CHUNK: usize = 256 * 1024;

/// Puts and shares a blob of bytes that repeat nowhere; gives its root.
fn share_blob(world: &mut World, from: ActorId, to: ActorId) -> Cid {
    let mut chunker = Chunker::new(BlobConfig::default()).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let put = |world: &mut World, objects| match world.ask(from, Command::Put { objects }) {
        Ok(_) => {}
        Err(error) => panic!("not put: {error}"),
    };
    let mut left = SIZE;
    while left > 0 {
        let part: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take(left.min(CHUNK) / 8)
        .flatten()
        .collect();
        left -= part.len();
        let mut data = &part[..];
        while !data.is_empty() {
            let objects: Vec<_> = chunker.push(&mut data).unwrap().into_iter().collect();
            put(world, objects);
        }
    }
    let finished = chunker.finish().unwrap();
    put(world, finished.objects);
    let with = vec![world.person(to)];
    assert!(world.ask(from, Command::Share { root: finished.root, with, note: None }).is_ok());
    finished.root
}

fn seen_at(world: &World, actor: ActorId, text: &str) -> Option<Instant> {
    world.timeline(actor).find_map(|(now, event)| match event {
        Event::Message(entry) if entry.text == text => Some(now.mono),
        _ => None,
    })
}

#[test]
fn a_message_overtakes_a_blob_of_50_mb_on_a_bounded_link() {
    let pipe = PipeConfig { capacity: ROOM, delay: DELAY, rate: Some(RATE), ..PipeConfig::default() };
    let link = LinkConfig { forth: pipe, back: pipe };
    let sync_delay = Duration::from_millis(4);
    let mut world = World::new(WorldConfig { link, sync_delay, ..WorldConfig::default() }, 3);
    let [from, to] = [0, 1].map(|n| {
        let url = format!("ws://localhost:{}", 8765 + n);
        world.add(ActorConfig::new(&format!("person{n}@lama.local"), Some(&url)))
    });
    world.run_for(Duration::from_secs(1));
    pair(&mut world, from, to);
    world.run_for(Duration::from_secs(5));
    let root = share_blob(&mut world, from, to);
    let whole = |world: &mut World| {
        matches!(world.inspect(to, lama_store::Read::Object(root)), lama_store::Reply::Object(Some(_)))
    };
    let (mut waits, mut sent) = (Vec::new(), 0);
    let with = world.person(to);
    let begun = world.now().mono;
    while !whole(&mut world) {
        let text = format!("message {sent}");
        let at = world.now().mono;
        world.command(from, Command::Send { to: with, channel: None, text: text.clone() });
        world.run_for(Duration::from_millis(150));
        waits.push(seen_at(&world, to, &text).unwrap_or_else(|| panic!("{text} is not there")).since(at));
        sent += 1;
        assert!(sent < 1_000, "the blob never comes");
    }
    let took = world.now().mono.since(begun);
    waits.sort_unstable();
    println!(
        "{sent} messages in {took:?}: {:?} in the median, {:?} at most",
        waits[sent / 2],
        waits[sent - 1]
    );
    // The rate is used: the blob takes little longer than its bytes do.
    let least = Duration::from_secs_f64(SIZE as f64 / RATE as f64);
    assert!(took > least && took < least * 5 / 4, "{took:?}");
    // Before a message goes what the link holds, and the rest of the chunk that is being put into it.
    let most =
        Duration::from_secs_f64((ROOM + CHUNK) as f64 / RATE as f64) + DELAY + Duration::from_millis(15);
    assert!(waits[sent - 1] < most, "{:?} of {most:?}", waits[sent - 1]);
}
