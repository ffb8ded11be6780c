//! The door in virtual time.

use super::*;

fn source(n: u32) -> Source {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    Source::new(id)
}

fn at(ms: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(ms))
}

/// As many as want to, as far as rates go.
fn without_rates(config: GateConfig) -> GateConfig {
    GateConfig { interval: Duration::ZERO, total_interval: Duration::ZERO, ..config }
}

#[test]
fn where_nobody_is_put_out_the_newest_is_refused_and_leaving_makes_room() {
    let gate = Gate::new(GateConfig { per_source: 2, total: 3, ..GateConfig::refusing() });
    let first = gate.admit(source(1), at(0)).unwrap();
    let _second = gate.admit(source(1), at(0)).unwrap();
    assert_eq!(gate.admit(source(1), at(1_000_000)).unwrap_err(), Full::Source);
    let _third = gate.admit(source(2), at(0)).unwrap();
    assert_eq!(gate.admit(source(2), at(1_000_000)).unwrap_err(), Full::Total);
    drop(first);
    assert!(gate.admit(source(1), at(0)).is_ok());
}

#[test]
fn a_burst_then_one_in_an_interval() {
    let config = GateConfig { burst: 3, interval: Duration::from_millis(100), ..GateConfig::default() };
    let gate = Gate::new(config);
    let mut admitted = |ms| gate.admit(source(1), at(ms)).is_ok();
    assert_eq!(
        [0, 0, 0, 0, 99, 100, 150, 200].map(&mut admitted),
        [true, true, true, false, false, true, false, true]
    );
}

#[test]
fn a_familiar_source_may_come_more_often() {
    let config = GateConfig { burst: 1, interval: Duration::from_millis(100), ..GateConfig::default() };
    let gate = Gate::new(config);
    gate.admit(source(1), at(0)).unwrap().authenticated(at(0));
    let mut admitted = [0, 0];
    for ms in 100..1_100 {
        for (number, count) in std::iter::zip(1.., &mut admitted) {
            *count += u32::from(gate.admit(source(number), at(ms)).is_ok());
        }
    }
    assert_eq!(admitted, [250, 10]);
}

/// Connections of a stranger are dear; nobody who has become familiar is kept out for having made some.
#[test]
fn what_a_source_cost_before_it_was_familiar_is_forgiven() {
    let gate = Gate::new(GateConfig::default());
    let mut inside: Vec<Permit> = (0..4).map(|_| gate.admit(source(1), at(0)).unwrap()).collect();
    inside.remove(0).authenticated(at(10));
    for _ in 0..5 {
        gate.admit(source(1), at(10)).unwrap();
    }
}

#[test]
fn what_is_remembered_is_bounded_and_forgotten() {
    let config = GateConfig { sources: 2, burst: 1, ..GateConfig::default() };
    let gate = Gate::new(config);
    drop(gate.admit(source(1), at(0)).unwrap());
    drop(gate.admit(source(2), at(0)).unwrap());
    assert_eq!(gate.admit(source(3), at(0)).unwrap_err(), Full::Sources);
    assert!(gate.admit(source(3), at(100)).is_ok());
}

#[test]
fn who_only_waits_loses_his_place_to_the_next_and_is_told() {
    let gate = Gate::new(GateConfig { total: 3, reserved: 0, ..GateConfig::default() });
    let waits = gate.admit(source(1), at(0)).unwrap();
    let later = gate.admit(source(2), at(50)).unwrap();
    let last = gate.admit(source(3), at(60)).unwrap();
    // Everybody has his time.
    assert_eq!(gate.admit(source(4), at(99)).unwrap_err(), Full::Total);
    let next = gate.admit(source(4), at(100)).unwrap();
    assert_eq!([&waits, &later, &last, &next].map(Permit::is_put_out), [true, false, false, false]);
    assert_eq!(gate.counts().0, 3);
    // Whoever was put out takes no place away again when his connection is dropped.
    drop(waits);
    assert_eq!(gate.counts().0, 3);
    assert_eq!(gate.admit(source(5), at(149)).unwrap_err(), Full::Total);
    drop(later);
    assert!(gate.admit(source(5), at(149)).is_ok());
}

#[test]
fn who_gets_on_has_time_again_and_goes_after_those_who_do_not() {
    let gate = Gate::new(GateConfig { total: 4, reserved: 0, ..GateConfig::default() });
    let mut knows_us = gate.admit(source(1), at(0)).unwrap();
    let mut has_a_key = gate.admit(source(2), at(0)).unwrap();
    let opened = gate.admit(source(3), at(0)).unwrap();
    let came = gate.admit(source(4), at(10)).unwrap();
    knows_us.came(Step::Answered, at(20));
    has_a_key.came(Step::Answered, at(20));
    has_a_key.came(Step::Proved, at(40));
    // To do the same again is no step.
    knows_us.came(Step::Answered, at(1_000));
    opened.opened(at(90));
    let mut order = Vec::new();
    let mut new = Vec::new();
    for ms in 100..400 {
        if let Ok(mut permit) = gate.admit(source(ms), at(ms.into())) {
            // Nobody who came later is weaker than those of before.
            permit.came(Step::Proved, at(1_000));
            new.push(permit);
        }
        let all = [("came", &came), ("opened", &opened), ("knows", &knows_us), ("key", &has_a_key)];
        for (name, permit) in all {
            if permit.is_put_out() && !order.contains(&(name, ms)) && order.iter().all(|(of, _)| *of != name)
            {
                order.push((name, ms));
            }
        }
    }
    assert_eq!(order, [("came", 110), ("knows", 120), ("key", 140), ("opened", 190)]);
}

#[test]
fn strangers_cannot_take_what_is_reserved_and_a_familiar_source_gets_in_at_once() {
    let config = GateConfig::default();
    let gate = Gate::new(config);
    let known = source(0);
    gate.admit(known, at(0)).unwrap().authenticated(at(0));
    // 20,000 a second for ten seconds, each from another address; whoever gets in says nothing.
    let mut inside = Vec::new();
    let (mut number, mut came, mut tries) = (1, 0, 0);
    for ms in 1..=10_000 {
        for _ in 0..20 {
            number += 1;
            if let Ok(permit) = gate.admit(source(number), at(ms)) {
                inside.push(permit);
            }
        }
        inside.retain(|permit| !permit.is_put_out());
        if ms % 100 == 0 {
            tries += 1;
            came += u32::from(gate.admit(known, at(ms)).is_ok());
        }
        let (strangers, _, remembered) = gate.counts();
        assert!(strangers <= config.total - config.reserved && remembered <= config.sources);
        assert_eq!(strangers, inside.len());
    }
    assert_eq!((tries, came), (100, 100));
    assert_eq!(inside.len(), config.total - config.reserved);
}

#[test]
fn familiar_sources_take_the_places_of_strangers_and_never_of_each_other_while_there_are_some() {
    let gate = Gate::new(without_rates(GateConfig { total: 20, reserved: 4, ..GateConfig::default() }));
    let strangers: Vec<Permit> = (100..116).map(|n| gate.admit(source(n), at(0)).unwrap()).collect();
    assert_eq!(gate.admit(source(200), at(0)).unwrap_err(), Full::Total);
    for n in 0..20 {
        gate.inside().familiar.remember(source(n), at(0));
    }
    let known: Vec<Permit> = (0..20).filter_map(|n| gate.admit(source(n), at(100)).ok()).collect();
    assert_eq!(known.len(), 20);
    assert!(strangers.iter().all(Permit::is_put_out) && !known.iter().any(Permit::is_put_out));
    // A stranger puts none of them out, whatever he waits for; the next of theirs does, in time.
    assert_eq!(gate.admit(source(300), at(99_000)).unwrap_err(), Full::Total);
    assert_eq!(gate.admit(source(0), at(199)).unwrap_err(), Full::Total);
    assert!(gate.admit(source(0), at(200)).is_ok());
    assert!(known[0].is_put_out() && !known[1].is_put_out());
}

#[test]
fn a_source_that_is_full_of_strangers_has_room_for_the_next_one_from_there() {
    let gate = Gate::new(without_rates(GateConfig::default()));
    let other = gate.admit(source(2), at(0)).unwrap();
    let shared: Vec<Permit> = (1..=8).map(|ms| gate.admit(source(1), at(ms)).unwrap()).collect();
    assert_eq!(gate.admit(source(1), at(100)).unwrap_err(), Full::Source);
    let next = gate.admit(source(1), at(101)).unwrap();
    assert_eq!(gate.counts().0, 9);
    assert_eq!(shared.iter().filter(|permit| permit.is_put_out()).count(), 1);
    assert!(shared[0].is_put_out() && !next.is_put_out() && !other.is_put_out());
    // Where somebody has authenticated, there are more of them, and no end of it either.
    next.authenticated(at(200));
    let more: Vec<Permit> = (0..30).filter_map(|_| gate.admit(source(1), at(200)).ok()).collect();
    assert_eq!(more.iter().filter(|permit| !permit.is_put_out()).count(), 24);
}

#[test]
fn a_newcomer_of_a_flood_has_his_share_of_the_rate_and_never_none() {
    let gate = Gate::new(GateConfig::default());
    let mut inside = Vec::new();
    let (mut number, mut let_in) = (1, 0);
    // The newcomer is one of 14 a millisecond, at another place among them each time.
    let (mut tries, mut came) = (0, 0);
    for ms in 0..60_000 {
        for turn in 0..14 {
            number += 1;
            let permit = gate.admit(source(number), at(ms));
            let_in += u32::from(permit.is_ok());
            if ms % 7 == 0 && u64::from(turn == (ms / 7) % 14) == 1 {
                tries += 1;
                came += u32::from(permit.is_ok());
            }
            inside.extend(permit);
        }
        inside.retain(|permit| !permit.is_put_out());
    }
    // One a millisecond by the rate of all, of which places are the smaller: 144 in 100 ms each, and what the burst had.
    assert!((59_000..=60_300).contains(&let_in), "{let_in}");
    let share = f64::from(came) / f64::from(tries);
    assert!((0.04..0.11).contains(&share), "{came} of {tries}");
}
