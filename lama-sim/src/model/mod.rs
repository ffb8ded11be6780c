//! A reference model, and histories that drive it beside the real thing.
//!
//! Two to four replicas, each a [`lama_store::Store`] in memory, joined by [`lama_chum::Chum`] machines over links that
//! are bounded in bytes and break at any of them. A seed makes a history: objects, grants, revocations, rules, groups,
//! channels, deletions, crashes, restores of older backups. Beside each store runs a [`mind::Mind`], which knows the
//! written rules and nothing else. It is told what persons did and what became durable where; it says what each person
//! may be given, at every moment, and what each replica has to hold in the end.
//!
//! What is checked, and where:
//! - nothing is handed out that access does not allow ([`stage`], at every read of a view), no message names an id that
//!   is none of its receiver's business, nothing that is durable is sent again;
//! - in the end all links are in sync, every store agrees with its model object by object, whoever may see something
//!   has it, groups and channels read as the rules say, and the store's own check is clean ([`verdict`]);
//! - the same history with and without objects for a third person gives the same messages at the same times
//!   ([`run`] with [`Hidden`]).

pub mod cast;
mod history;
pub mod merge;
pub mod mind;
mod replica;
mod stage;
mod tally;
mod verdict;
mod wire;

use lama_chum::Config as ChumConfig;
use lama_store::Config as StoreConfig;

pub use cast::Cast;
pub use tally::Tally;

use crate::Rng;

/// One of the persons of a history.
pub type Who = usize;

/// Whether a history has what one of two peers must not notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// Everybody shares with everybody.
    Open,
    /// Two persons share; nothing else happens.
    Without,
    /// The same two share the same, and each has business with a third person.
    With,
}

/// What a history is like.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Names the history.
    pub seed: u64,
    /// How many persons.
    pub persons: usize,
    /// How many things happen.
    pub events: u64,
    /// Limits of the machines.
    pub chum: ChumConfig,
    /// Whether the machines are given what the stores keep for them.
    pub keeps_sketches: bool,
    /// Limits of the stores.
    pub store: StoreConfig,
    /// Objects that two persons have before anything else happens.
    pub shared: u64,
    /// Bytes that a direction of a link holds.
    pub capacity: usize,
    /// Ticks that a message takes.
    pub delay: u64,
    /// Whether there is something to hide.
    pub hidden: Hidden,
    /// Whether what happens is told as it happens.
    pub aloud: bool,
}

impl Plan {
    /// The plan that belongs to a seed.
    pub fn new(seed: u64, hidden: Hidden) -> Self {
        let mut rng = Rng::new(seed ^ 0x9_1a4);
        let mut pick =
            |choices: &[usize]| choices[usize::try_from(rng.below(choices.len() as u64)).unwrap_or(0)];
        let persons = if hidden == Hidden::Open { pick(&[2, 2, 3, 3, 3, 4]) } else { 3 };
        let chum = ChumConfig {
            room: pick(&[1_024, 1_500, 65_500]),
            page_bytes: pick(&[1, 700, 4_000, 512 << 10]),
            batch_bytes: pick(&[1, 500, 1 << 20]),
            batch_objects: pick(&[1, 3, 8_192]),
            max_imports: pick(&[1, 2, 4]),
            send_bytes: pick(&[400, 3_000, 8 << 20]),
            send_objects: pick(&[1, 4, 65_536]),
            ..ChumConfig::default()
        };
        let store = StoreConfig {
            max_page_entries: pick(&[3, 40, 10_000]),
            recent_entries: pick(&[5, 100_000]),
            ..StoreConfig::default()
        };
        let relay_delay = core::time::Duration::from_millis(pick(&[0, 20, 60]) as u64);
        let chum =
            ChumConfig { relay_delay, short_bits: if pick(&[0, 0, 1]) == 1 { 16 } else { 64 }, ..chum };
        let keeps_sketches = pick(&[0, 1, 1, 1]) == 1;
        let events = pick(&[12, 25, 40]) as u64;
        let shared =
            if hidden == Hidden::Open && pick(&[0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]) == 0 { 480 } else { 0 };
        let (capacity, delay) = (pick(&[1, 600, 4_000, 64 << 10]), pick(&[0, 1, 7]) as u64);
        Self {
            seed,
            persons,
            events,
            chum,
            keeps_sketches,
            store,
            shared,
            capacity,
            delay,
            hidden,
            aloud: false,
        }
    }
}

/// What came of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What happened how often.
    pub tally: Tally,
    /// Each message of each link: when, from which end, and all its bytes. The first link is that of persons 0 and 1.
    pub lines: Vec<Vec<(u64, usize, bytes::Bytes)>>,
}

/// Says on the way down which history it was.
struct Replay(u64, Hidden);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(seed, hidden) = self;
            eprintln!("seed {seed} ({hidden:?}): to see it again, run this test with LAMA_SEED={seed}");
        }
    }
}

/// Plays the history of a plan to its end and judges it.
///
/// # Panics
/// If anything is not as the model says.
pub fn run(cast: &Cast, plan: Plan) -> Outcome {
    let replay = Replay(plan.seed, plan.hidden);
    let mut stage = stage::Stage::new(cast, plan);
    history::play(&mut stage);
    verdict::judge(&mut stage);
    stage.tally.runs = 1;
    drop(replay);
    let lines = stage.wires.iter_mut().map(|wire| std::mem::take(&mut wire.seen));
    let lines = lines.map(|line| line.into_iter().map(|seen| (seen.tick, seen.side, seen.message)).collect());
    Outcome { tally: stage.tally, lines: lines.collect() }
}
