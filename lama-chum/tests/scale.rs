//! What reconciling costs at scale, where it takes no time to find out: messages, bytes beyond the objects, and flights.
//! `cargo xtask bench sync` goes on to a million ids and measures the time, beside another implementation.
#![allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "common/scale.rs"]
mod scale;

use std::fmt::Write as _;

use scale::{Shape, no_clock, run};

/// Bytes are CHUM messages before padding and sealing, without the objects. A flight is half a round trip: `object` is
/// that with which the first object arrives, `synced` the one with which both know that they agree.
const COSTS: &str = "\
ids       differ sides  messages    bytes A    bytes B  object  synced
1000           0   one       2/2        471        471       -       1
1000           1   one       4/4        511        529       2       3
1000           1   two       4/4        529        511       2       3
1000          10   one       4/4        511        529       2       3
1000          10   two       4/4        511        511       2       3
1000         100   one       4/4        484       2115       3       4
1000         100   two       5/6        633       3085       3       5
1000        1000   one       3/2        482         74       2       3
1000        1000   two       6/5       1870        514       3       5
100000         0   one       2/2        489        489       -       1
100000         1   one       4/4        529        547       2       3
100000         1   two       4/4        547        529       2       3
100000        10   one       4/4        529        547       2       3
100000        10   two       4/4        529        529       2       3
100000       100   one       4/4        502       2052       3       4
100000       100   two       6/5       2497        930       3       5
100000      1000   one       4/4        502      18439       3       4
100000      1000   two       5/6       4532      16957       3       5
100000     10000   one     19/32        573     167090       3       8
100000     10000   two     13/12     256877      12432       3       5
";

#[test]
fn costs_at_scale() {
    let mut table = String::from("ids       differ sides  messages    bytes A    bytes B  object  synced\n");
    for n in [1_000, 100_000] {
        for d in [0, 1, 10, 100, 1_000, 10_000].into_iter().filter(|d| *d <= n) {
            for shape in [Shape::OneSided, Shape::TwoSided] {
                if d == 0 && shape == Shape::TwoSided {
                    continue;
                }
                let (costs, _) = run(shape.views(n, d), no_clock);
                let [a, b] = costs.messages;
                let object = costs.first_object.map_or_else(|| "-".to_owned(), |flight| flight.to_string());
                writeln!(
                    table,
                    "{n:<8}{d:>8}{:>6}{:>10}{:>11}{:>11}{object:>8}{:>8}",
                    shape.name(),
                    format!("{a}/{b}"),
                    costs.bytes[0],
                    costs.bytes[1],
                    costs.synced
                )
                .unwrap();
            }
        }
    }
    println!("{table}");
    assert_eq!(table, COSTS);
}

/// A known peer costs the difference, whatever there is besides: the same bytes at each size.
#[test]
fn a_known_peer_costs_the_same_at_every_size() {
    let cost = |n: u64| {
        let (_, [mut a, b]) = run(Shape::OneSided.views(n, 0), no_clock);
        (0..10).for_each(|more| a.append(scale::id(1 << 40 | more), 1 << 40 | more, false));
        run([a, b], no_clock).0
    };
    let small = cost(100);
    assert_eq!(small, cost(20_000));
    println!("{small:?}");
    assert!(small.bytes.iter().sum::<usize>() < 200);
}
