//! Pairing cannot end half-done: cut at every byte in both directions, and killed around every durable write, on
//! either side and on both, contact, trust and token agree at both ends after one reconnect.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use lama_invite::Policy;
use lama_sim::{CrashPoint, LinkConfig};
use support::Scene;

const PATIENCE: Duration = Duration::from_secs(60);

/// What an undisturbed pairing looks like.
struct Baseline {
    forth: u64,
    back: u64,
    inviter_effects: (u64, u64),
    joiner_effects: (u64, u64),
}

fn baseline() -> Baseline {
    let mut scene = Scene::new(1, Policy::Auto);
    let before = (scene.world.effects(scene.inviter), scene.world.effects(scene.joiner));
    scene.join();
    scene.settle(PATIENCE);
    scene.assert_paired("undisturbed");
    let carried = scene.world.carried();
    assert_eq!(carried.len(), 1, "an undisturbed pairing takes one connection, not {}", carried.len());
    Baseline {
        forth: carried[0].forth,
        back: carried[0].back,
        inviter_effects: (before.0, scene.world.effects(scene.inviter)),
        joiner_effects: (before.1, scene.world.effects(scene.joiner)),
    }
}

fn cut(link: LinkConfig, context: &str) -> u64 {
    let mut scene = Scene::new(1, Policy::Auto);
    scene.world.plan_link(link);
    scene.join();
    scene.settle(PATIENCE);
    scene.assert_paired(context);
    scene.world.trace()
}

#[test]
fn cut_at_every_byte_to_the_inviter() {
    let bytes = baseline().forth;
    for byte in 0..=bytes {
        cut(LinkConfig::default().cut_forth(byte), &format!("cut after {byte} bytes to the inviter"));
    }
    println!("{} cuts on the way to the inviter, one after each byte", bytes + 1);
}

#[test]
fn cut_at_every_byte_to_the_joiner() {
    let bytes = baseline().back;
    for byte in 0..=bytes {
        cut(LinkConfig::default().cut_back(byte), &format!("cut after {byte} bytes to the joiner"));
    }
    println!("{} cuts on the way to the joiner, one after each byte", bytes + 1);
}

fn kill(inviter: Option<CrashPoint>, joiner: Option<CrashPoint>) {
    let mut scene = Scene::new(1, Policy::Auto);
    let context = format!("inviter killed at {inviter:?}, joiner at {joiner:?}");
    for (actor, point) in [(scene.inviter, inviter), (scene.joiner, joiner)] {
        if let Some(point) = point {
            scene.world.plan_crash(actor, point);
        }
    }
    scene.join();
    scene.settle(PATIENCE);
    scene.assert_paired(&context);
}

fn points((from, to): (u64, u64)) -> impl Iterator<Item = CrashPoint> + Clone {
    (from..to).flat_map(|effect| [false, true].map(|written| CrashPoint { effect, written }))
}

#[test]
fn killed_around_every_durable_write_on_either_side_and_on_both() {
    let whole = baseline();
    let (inviter, joiner) = (points(whole.inviter_effects), points(whole.joiner_effects));
    let mut kills = 0;
    for point in inviter.clone() {
        kill(Some(point), None);
        kills += 1;
    }
    for point in joiner.clone() {
        kill(None, Some(point));
        kills += 1;
    }
    for at_inviter in inviter {
        for at_joiner in joiner.clone() {
            kill(Some(at_inviter), Some(at_joiner));
            kills += 1;
        }
    }
    assert!(kills > 0, "a pairing writes durably on both sides");
    println!("{kills} kills around durable writes");
}

#[test]
fn the_same_scenario_runs_the_same_way_twice() {
    for byte in [0, 68, 69, 500, 4_000] {
        let link = LinkConfig::default().cut_forth(byte);
        assert_eq!(cut(link, "first run"), cut(link, "second run"), "cut after {byte} bytes");
    }
}
