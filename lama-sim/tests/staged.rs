//! Messages that are seen before they are durable: what a crash takes away in between comes back, once.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use lama_node::{ChannelRef, Command, Event, PageFrom, Reply};
use lama_sim::{ActorConfig, ActorId, CrashPoint, Rng, World, WorldConfig};
use support::pair;

/// Far longer than a message takes to the other side.
const SYNC: Duration = Duration::from_millis(50);

fn texts(world: &mut World, actor: ActorId, with: ActorId) -> Vec<String> {
    let channel = ChannelRef::With { person: world.person(with), name: None };
    match world.ask(actor, Command::Log { channel, from: PageFrom::First, limit: 1_000 }) {
        Ok(Reply::Log(entries)) => entries.into_iter().map(|entry| entry.text).collect(),
        other => panic!("no log: {other:?}"),
    }
}

fn seen(world: &World, actor: ActorId) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::Message(entry) => Some(entry.text.clone()),
        _ => None,
    };
    world.events(actor).filter_map(text).collect()
}

fn two(seed: u64) -> (World, [ActorId; 2]) {
    let mut world = World::new(WorldConfig { sync_delay: SYNC, ..WorldConfig::default() }, seed);
    let actors = [0, 1].map(|n| {
        let url = format!("ws://localhost:{}", 8765 + n);
        world.add(ActorConfig::new(&format!("person{n}@lama.local"), Some(&url)))
    });
    world.run_for(Duration::from_secs(1));
    pair(&mut world, actors[0], actors[1]);
    world.run_for(Duration::from_secs(5));
    (world, actors)
}

#[test]
fn a_message_is_seen_before_it_is_durable_and_acknowledged_after() {
    let (mut world, [from, to]) = two(1);
    let person = world.person(to);
    let ticket = world.command(from, Command::Send { to: person, channel: None, text: "early".to_owned() });
    world.run_for(SYNC / 2);
    assert_eq!(seen(&world, to), ["early"]);
    assert!(world.reply(from, ticket).is_none(), "it is not durable here");
    let received =
        |world: &World| world.events(to).filter(|event| matches!(event, Event::Received { .. })).count();
    let before = received(&world);
    world.run_for(2 * SYNC);
    assert!(matches!(world.reply(from, ticket), Some(Ok(Reply::Sent { .. }))));
    assert_eq!((seen(&world, to).len(), received(&world)), (1, before + 1));
}

/// Either side dies between the two, at any of its writes. Gives whether the other side had seen the message that was
/// lost where it was written.
fn lost(seed: u64) -> bool {
    let mut chance = Rng::new(seed);
    let (mut world, [from, to]) = two(seed);
    let victim = if chance.one_in(2) { from } else { to };
    let mut sent = BTreeSet::new();
    let effect = world.effects(victim) + chance.below(6);
    world.plan_crash(victim, CrashPoint { effect, written: false });
    let mut came_back = false;
    for n in 0..6 {
        let text = format!("{n}");
        let person = world.person(to);
        let ticket = world.command(from, Command::Send { to: person, channel: None, text: text.clone() });
        world.run_for(Duration::from_millis(chance.below(120)));
        if world.crash_is_due(victim) || seen(&world, to).contains(&text) {
            sent.insert(text.clone());
        }
        world.run_for(2 * SYNC);
        let promised = matches!(world.reply(from, ticket), Some(Ok(Reply::Sent { .. })));
        came_back |= !promised && seen(&world, to).contains(&text);
        if promised {
            sent.insert(text);
        }
        world.run_for(Duration::from_secs(1));
    }
    world.run_for(Duration::from_secs(100));
    let (here, there) = (texts(&mut world, from, to), texts(&mut world, to, from));
    assert_eq!(here, there, "seed {seed}");
    let set: BTreeSet<String> = here.iter().cloned().collect();
    assert_eq!(set.len(), here.len(), "seed {seed}: twice: {here:?}");
    let missing: Vec<&String> = sent.difference(&set).collect();
    assert!(missing.is_empty(), "seed {seed}: {missing:?} of {here:?}");
    came_back
}

#[test]
fn what_was_seen_and_then_lost_comes_back_once() {
    let back = (0..24).filter(|seed| lost(*seed)).count();
    println!("{back} messages of 24 runs were seen by the other side, lost by their writer, and came back");
    assert!(back >= 3, "{back}");
}
