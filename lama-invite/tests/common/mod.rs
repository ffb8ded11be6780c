//! What the tests share: a fixed instance that invites.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use core::time::Duration;

use lama_core::{Instant, Now, Seed, WallTime};
use lama_identity::{NoisePublic, NoiseSecret, PersonId, PersonPin};
use lama_invite::{Config, Draft, Invitation, Policy, Route};

/// Friday, 15 January 2027, 08:00:00 UTC.
pub const START: u64 = 1_800_000_000;

pub fn wall(secs: u64) -> WallTime {
    WallTime::from_unix_seconds(START + secs)
}

/// Both clocks `secs` after the start of the test.
pub fn at(secs: u64) -> Now {
    Now { mono: Instant::from_origin(Duration::from_secs(secs)), wall: wall(secs) }
}

pub fn noise(n: u8) -> NoisePublic {
    *NoiseSecret::from_seed(Seed::danger_fixed([n; 32])).public()
}

pub fn person(n: u8) -> PersonId {
    PersonId([n; 32])
}

/// A draft of person 1 with one local route.
pub fn draft() -> Draft {
    Draft {
        r_static: noise(1),
        r_person_id: person(1),
        r_person_pin: PersonPin([0x11; 32]),
        routes: vec![Route::direct("ws://localhost:8765").unwrap()],
        policy: Policy::Auto,
        lifetime: None,
    }
}

pub fn routed(urls: &[&str]) -> Draft {
    Draft { routes: urls.iter().map(|url| Route::direct(url).unwrap()).collect(), ..draft() }
}

/// An invitation made at the start of the test, for 15 minutes.
pub fn invitation(seed: u8) -> Invitation {
    create(draft(), seed)
}

pub fn create(draft: Draft, seed: u8) -> Invitation {
    Invitation::create(draft, &Config::default(), wall(0), Seed::danger_fixed([seed; 32])).unwrap()
}
