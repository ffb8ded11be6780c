//! A day of outages in virtual time: nothing spins, nothing sleeps for ever, and who comes back is in sync at once.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use lama_node::{Command, Event, PeerState, Reply, Status};
use lama_sim::{ActorConfig, ActorId, LinkConfig, Rng, World, WorldConfig};
use support::pair;

const ROUND_TRIP: Duration = Duration::from_millis(100);
const URLS: [Option<&str>; 3] = [Some("ws://localhost:1"), Some("ws://localhost:2"), None];

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Two who listen and one who only dials, all contacts of each other.
fn three(seed: u64) -> (World, Vec<ActorId>) {
    let config =
        WorldConfig { link: LinkConfig::default().delayed(ROUND_TRIP / 2), ..WorldConfig::default() };
    let mut world = World::new(config, seed);
    let actors: Vec<ActorId> = URLS
        .iter()
        .enumerate()
        .map(|(n, url)| world.add(ActorConfig::new(&format!("person{n}@lama.local"), *url)))
        .collect();
    world.run_for(Duration::from_secs(1));
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        pair(&mut world, actors[a], actors[b]);
    }
    world.run_for(Duration::from_secs(30));
    (world, actors)
}

fn status(world: &mut World, actor: ActorId) -> Status {
    match world.ask(actor, Command::Status) {
        Ok(Reply::Status(status)) => *status,
        other => panic!("no status: {other:?}"),
    }
}

fn all_in_sync(world: &mut World, actors: &[ActorId]) -> bool {
    actors.iter().all(|actor| {
        let status = status(world, *actor);
        status.peers.len() == 2 && status.peers.iter().all(|peer| peer.state == PeerState::InSync)
    })
}

/// How long, in steps of a second, until everybody is in sync with everybody.
fn recovery(world: &mut World, actors: &[ActorId], patience: u64) -> u64 {
    (0..patience)
        .find(|_| {
            world.run_for(Duration::from_secs(1));
            all_in_sync(world, actors)
        })
        .unwrap_or_else(|| panic!("somebody sleeps for ever"))
}

/// `LAMA_SEEDS` sets how many days there are.
#[test]
fn a_day_of_outages_neither_spins_nor_sleeps() {
    let seeds: u64 = std::env::var("LAMA_SEEDS").map_or(1, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut chance = Rng::new(seed);
        let (mut world, actors) = three(seed);
        let (mut down, mut outages, mut longest) = (0, 0, 0);
        let before: Vec<(u64, u64)> =
            actors.iter().map(|actor| (world.wakeups(*actor), world.dials(*actor))).collect();
        let mut passed = 0;
        while passed < 24 * 60 {
            let quiet = 5 + chance.below(60);
            world.run_for(minutes(quiet));
            let index = usize::try_from(chance.below(3)).unwrap();
            let (actor, length) = (actors[index], 1 + chance.below(45));
            match chance.below(4) {
                // The process ends, and is started again.
                0 => {
                    world.stop(actor);
                    world.run_for(minutes(length));
                    world.resume(actor, URLS[index]);
                }
                // The network goes, without a word to anybody, and comes back the same way.
                1 | 2 => {
                    world.set_cut_off(actor, true);
                    world.run_for(minutes(length));
                    let said = status(&mut world, actor);
                    assert!(
                        length < 3 || said.offline,
                        "seed {seed}: {length} minutes without network: {said:?}"
                    );
                    world.set_cut_off(actor, false);
                }
                // A router forgets its links.
                _ => world.lose_links(actor),
            }
            outages += 1;
            down += length;
            // The longest pause of the backoff, and then the silence after which a half-open link is given up.
            longest = recovery(&mut world, &actors, 130).max(longest);
            passed += quiet + length;
        }
        for (actor, (wakeups, dials)) in actors.iter().zip(before) {
            let (wakeups, dials) = (world.wakeups(*actor) - wakeups, world.dials(*actor) - dials);
            println!(
                "seed {seed}: {passed} minutes, {outages} outages of {down} minutes, back after {longest} s at most; \
                 {wakeups} wake-ups, {dials} dials"
            );
            // Two peers, a PING each 20 s at the most often.
            assert!(wakeups < 2 * 3 * passed, "seed {seed}: it spins: {wakeups} wake-ups");
            // A pause of 45 s in the mean to each peer who is not there, and shorter ones at the beginning of each outage.
            assert!(dials < 2 * (3 * down / 2 + 10 * outages), "seed {seed}: it spins: {dials} dials");
        }
    }
}

/// From the moment at which both ends have authenticated each other.
#[test]
fn who_comes_back_is_in_sync_within_one_round_trip() {
    let (mut world, actors) = three(9);
    let [a, _, c] = actors[..] else { panic!("three") };
    world.set_cut_off(c, true);
    world.run_for(minutes(20));
    // Something to catch up with, on both sides.
    for (from, to) in [(a, c), (c, a)] {
        let to = world.person(to);
        world.command(from, Command::Send { to, channel: None, text: "meanwhile".into() });
    }
    world.run_for(Duration::from_secs(1));
    world.set_cut_off(c, false);
    let began = world.now().mono;
    world.command(c, Command::Wake);
    world.run_for(Duration::from_secs(5));
    let after =
        |world: &World, actor: ActorId, with: ActorId, what: fn(&Event, lama_identity::PersonId) -> bool| {
            let person = world.person(with);
            let mut all = world.timeline(actor).filter(|(at, _)| at.mono > began);
            let found =
                all.find(|(_, event)| what(event, person)).unwrap_or_else(|| panic!("it did not happen"));
            found.0.mono.since(began)
        };
    let started =
        |event: &Event, with| matches!(event, Event::SessionStarted { peer, .. } if peer.person == with);
    let message = |event: &Event, with| matches!(event, Event::Message(entry) if entry.author == with);
    let both = after(&world, a, c, started).max(after(&world, c, a, started));
    let caught_up = after(&world, a, c, message).max(after(&world, c, a, message));
    let trips = caught_up.saturating_sub(both).as_secs_f64() / ROUND_TRIP.as_secs_f64();
    println!("dialled and authenticated after {both:?}, caught up {trips:.2} round trips later");
    assert!(both < 4 * ROUND_TRIP, "waking up dials at once: {both:?}");
    assert!(trips <= 1.1, "in sync {trips:.2} round trips after both were authenticated");
}
