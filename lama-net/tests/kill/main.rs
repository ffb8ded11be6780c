//! Two processes that synchronise over a WebSocket are killed in the middle of it, again and again.
//!
//! This test starts itself twice as a child ([`child`]): one on tokio, one on smol, each with its store on disk. Both
//! share objects without end; at a random moment one of them is killed (SIGKILL) and started again, and both must come
//! to hold the same. `LAMA_KILLS` sets the number of rounds. Printed is what was sent more than once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
#![allow(clippy::disallowed_methods)] // It waits, and reads the clock to lose patience.

mod child;
mod counting;
mod process;
mod work;

use std::path::Path;
use std::time::{Duration, Instant};

use lama_identity::Cid;
use lama_store::{Read, Redb, RedbOptions, Reply};

use process::Process;
use work::Work;

const PATIENCE: Duration = Duration::from_secs(60);

/// A generator of which the test needs no quality: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Asks until it is so.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Both hold what both have shared, and say that they hold the same.
fn converge(both: &mut [Process; 2], roots: [Cid; 2], round: u64) {
    eventually(&format!("round {round}: both hold the same"), || {
        let there = both.iter_mut().all(|process| roots.iter().all(|root| process.has(root)));
        let [one, other] = both.each_ref().map(Process::synced);
        there && one.is_some() && one == other
    });
}

/// What the stores say when both processes have ended in good order: the same set, sound, and nothing missing of what
/// was shared. Gives the bytes of the objects in it.
fn compare(dirs: [&Path; 2], shared: &[Work]) -> u64 {
    let mut sets = Vec::new();
    let mut bytes = 0;
    for dir in dirs {
        let engine = Redb::open(&dir.join("store"), RedbOptions::default()).unwrap();
        let mut store = child::open(engine);
        store.check().unwrap();
        let Ok(Reply::Contacts(contacts)) = store.ask(Read::Contacts) else { panic!("no contacts") };
        let person = contacts[0].id();
        let (mut set, mut after) = (Vec::new(), 0);
        loop {
            let Ok(Reply::Ids(page)) = store.ask(Read::Ids { person, after, limit: 10_000 }) else {
                panic!("no ids")
            };
            if page.ids.is_empty() {
                break;
            }
            set.extend(page.ids.iter().map(|(_, id)| *id));
            after = page.next;
        }
        set.sort_unstable();
        for id in shared.iter().flat_map(|work| work.objects().into_iter().map(|(id, _)| id)) {
            assert!(set.binary_search(&id).is_ok(), "{id} was shared and is not in the set");
        }
        bytes = set
            .iter()
            .map(|id| match store.ask(Read::Object(*id)) {
                Ok(Reply::Object(Some(object))) => object.len() as u64,
                other => panic!("{id} is in the set and not here: {other:?}"),
            })
            .sum();
        sets.push(set);
    }
    assert_eq!(sets[0], sets[1]);
    bytes
}

#[test]
fn what_is_killed_during_sync_converges() {
    let rounds: u64 = std::env::var("LAMA_KILLS").map_or(10, |rounds| rounds.parse().unwrap());
    let temp = tempfile::tempdir().unwrap();
    let dirs = ["tokio", "smol"].map(|name| temp.path().join(name));
    dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    let mut both = dirs.each_ref().map(|dir| Process::start(dir));
    let link = both[0].invite();
    both[1].join(&link);
    let (mut dice, mut shared, mut killed) = (Dice(0x9e37_79b9_7f4a_7c15), Vec::new(), [0_u64; 2]);
    let (mut busy, begun) = (0_u64, Instant::now());
    for round in 0..rounds {
        let works = [0, 1].map(|side| Work { seed: 2 * round + side });
        let roots = works.map(|work| work.root());
        both.iter_mut().zip(works).for_each(|(process, work)| process.share(work));
        std::thread::sleep(Duration::from_millis(dice.below(40)));
        let mut known = [false; 2];
        for side in 0..2 {
            known[side] = both[side].has(&roots[1 - side]);
        }
        // Killed before the other's work had arrived, or its own at the other.
        busy += u64::from(known != [true; 2]);
        let victim = dice.below(2) as usize;
        both[victim].kill();
        killed[victim] += 1;
        both[victim] = Process::start(&dirs[victim]);
        // What it had not written down it says again.
        both[victim].share(works[victim]);
        both.iter_mut().for_each(Process::shared);
        converge(&mut both, roots, round);
        both[victim].check();
        shared.extend(works);
    }
    both.into_iter().for_each(Process::stop);
    let took = begun.elapsed();
    let once = compare(dirs.each_ref().map(|dir| dir.as_path()), &shared);
    let counted = dirs.each_ref().map(|dir| counting::read(dir)).into_iter().sum::<counting::Count>();
    println!(
        "{rounds} kills ({} tokio, {} smol; {busy} of them while objects were under way) in {:.1} s: \
         {once} bytes of objects in the set; {} were read to be sent, {} more than once; \
         {} arrived at a store, {} more than once",
        killed[0],
        killed[1],
        took.as_secs_f64(),
        counted.given,
        counted.given.saturating_sub(once),
        counted.taken,
        counted.taken.saturating_sub(once),
    );
    // How many depends on the machine; with none, nothing was tried.
    assert!(busy > 0, "every kill came when nothing was under way");
}
