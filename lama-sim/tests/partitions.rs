//! Revocations and rotations while the network parts and comes together: who may know of them learns of them, and no key
//! that was revoked comes back, whoever dials whom, restarts, or comes out of a backup.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lama_identity::NoisePublic;
use lama_node::{Command, Event, OwnInstances, Reply};
use lama_sim::{ActorConfig, ActorId, Backup, LinkConfig, Rng, World, WorldConfig};
use lama_store::Read;
use support::pair;

/// What happened, over all schedules.
#[derive(Debug, Default)]
struct Counts {
    revocations: u64,
    rotations: u64,
    /// Other signing keys of a person.
    persons: u64,
    partitions: u64,
    crashes: u64,
    restores: u64,
    /// Sessions that a revoked key had with somebody who had not heard of it.
    unaware: u64,
    /// Handshakes of revoked keys that were refused.
    refused: u64,
    /// Somebody learned of a revocation.
    learned: u64,
}

/// A key that was revoked.
struct Gone {
    person: usize,
    key: NoisePublic,
    /// Seconds of virtual time.
    at: f64,
    /// Who has it still: the instance that was revoked, or a thief with a copy from before.
    holder: ActorId,
}

struct Scene {
    world: World,
    chance: Rng,
    seed: u64,
    /// By person; the first instance has the person's key.
    people: Vec<Vec<ActorId>>,
    contacts: BTreeSet<(usize, usize)>,
    gone: Vec<Gone>,
    /// Since when somebody refuses a key, as of his store; by his place in time of the last restore.
    learned: BTreeMap<(ActorId, usize), f64>,
    /// When somebody learned of it for the first time, restores aside.
    first: BTreeMap<(ActorId, usize), f64>,
    backups: BTreeMap<ActorId, Backup>,
    healed: f64,
    counts: Counts,
}

fn hex(key: &NoisePublic) -> String {
    key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Scene {
    /// Three to five persons with one to three instances each, contacts at random.
    fn new(seed: u64) -> Self {
        let mut chance = Rng::new(seed ^ 0x5eed);
        let link = LinkConfig::default().delayed(Duration::from_millis(5 + chance.below(200)));
        let mut world = World::new(WorldConfig { link, ..WorldConfig::default() }, seed);
        let mut port = 0;
        let mut url = || {
            port += 1;
            format!("ws://localhost:{port}")
        };
        let persons = 3 + usize::try_from(chance.below(3)).unwrap();
        let mut people: Vec<Vec<ActorId>> = (0..persons)
            .map(|n| vec![world.add(ActorConfig::new(&format!("person{n}@lama.local"), Some(&url())))])
            .collect();
        world.run_for(Duration::from_secs(1));
        let mut contacts = BTreeSet::new();
        for a in 0..persons {
            for b in a + 1..persons {
                // A ring, so that nobody is alone, and more at random.
                if b == a + 1 || (a == 0 && b == persons - 1) || chance.one_in(2) {
                    pair(&mut world, people[a][0], people[b][0]);
                    contacts.extend([(a, b), (b, a)]);
                }
            }
        }
        for (person, instances) in people.iter_mut().enumerate() {
            for n in 0..chance.below(3) {
                let listens = chance.one_in(2).then(&mut url);
                let mut config = ActorConfig::new(&format!("person{person}@lama.local"), listens.as_deref());
                config.instance = format!("device{n}");
                let owner = instances[0];
                instances.push(world.enrol(owner, config));
            }
        }
        world.run_for(Duration::from_secs(60));
        let backups = people.iter().flatten().map(|actor| (*actor, world.backup(*actor))).collect();
        Self {
            world,
            chance,
            seed,
            people,
            contacts,
            gone: Vec::new(),
            learned: BTreeMap::new(),
            first: BTreeMap::new(),
            backups,
            healed: 0.0,
            counts: Counts::default(),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.chance.below(bound as u64)).unwrap()
    }

    fn now(&self) -> f64 {
        World::seconds(self.world.now())
    }

    fn all(&self) -> Vec<ActorId> {
        self.people.iter().flatten().copied().collect()
    }

    /// Instances of contacts of a person which are still theirs.
    fn peers_of(&self, person: usize) -> Vec<ActorId> {
        let out: BTreeSet<ActorId> = self.gone.iter().map(|gone| gone.holder).collect();
        let peers = (0..self.people.len()).filter(|other| self.contacts.contains(&(person, *other)));
        peers.flat_map(|other| &self.people[other]).copied().filter(|actor| !out.contains(actor)).collect()
    }

    /// Lets time pass, and looks each second at what everybody knows.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.world.run_for(Duration::from_secs(1));
            self.look();
        }
    }

    fn look(&mut self) {
        let now = self.now();
        for actor in self.all() {
            if !self.world.is_running(actor) {
                continue;
            }
            let lama_store::Reply::Settings(rows) = self.world.inspect(actor, Read::Settings("gone/".into()))
            else {
                panic!("settings")
            };
            let known: BTreeSet<String> =
                rows.into_iter().map(|(key, _)| key.trim_start_matches("gone/").to_owned()).collect();
            for (index, gone) in self.gone.iter().enumerate() {
                let knows = known.contains(&hex(&gone.key));
                let before = self.learned.contains_key(&(actor, index));
                assert!(knows || !before, "seed {}: {actor:?} has forgotten a revocation", self.seed);
                if knows && !before {
                    self.learned.insert((actor, index), now);
                    self.first.entry((actor, index)).or_insert(now);
                    self.counts.learned += 1;
                }
            }
            let lama_store::Reply::Contacts(contacts) = self.world.inspect(actor, Read::Contacts) else {
                panic!("contacts")
            };
            for instance in contacts.iter().flat_map(|contact| &contact.instances) {
                let living = instance.revoked.is_none();
                let key = hex(&instance.keys.encryption_key);
                assert!(!living || !known.contains(&key), "seed {}: a revoked key is back", self.seed);
            }
        }
    }

    /// A person revokes a further instance, or gives the first one new keys, of which a thief has taken the old ones.
    fn end_a_key(&mut self) {
        let person = self.below(self.people.len());
        let owner = self.people[person][0];
        if !self.world.is_running(owner) {
            return;
        }
        if self.chance.one_in(4) {
            if self.world.rotate_person(owner).is_ok() {
                self.counts.persons += 1;
                self.forget_backups(person);
            }
            return;
        }
        let out: Vec<ActorId> = self.gone.iter().map(|gone| gone.holder).collect();
        let others: Vec<ActorId> =
            self.people[person][1..].iter().copied().filter(|actor| !out.contains(actor)).collect();
        let (key, holder) = match others.first() {
            Some(other) if self.chance.one_in(2) => {
                let noise = self.world.noise(*other);
                let revoke = Command::RevokeInstance { noise, reason: "lost".into() };
                // Its own log may be behind, as when nobody has told it of an entry: then there is nothing to do.
                let Ok(Reply::Done) = self.world.ask(owner, revoke) else { return };
                self.counts.revocations += 1;
                (noise, *other)
            }
            _ => {
                // Thieves of two persons could hold these two by each other's stolen keys, until their sessions are renewed.
                let everybody = self.all();
                let is_thief = |gone: &&Gone| gone.person != person && !everybody.contains(&gone.holder);
                if self.gone.iter().any(|gone| is_thief(&gone)) {
                    return;
                }
                let (noise, stolen) = (self.world.noise(owner), self.world.backup(owner));
                if self.world.rotate(owner).is_err() {
                    return;
                }
                self.counts.rotations += 1;
                let config = ActorConfig::new(&format!("person{person}@lama.local"), None);
                let thief = self.world.copy(&stolen, config);
                let side = self.chance.below(2);
                self.world.set_side(thief, side);
                (noise, thief)
            }
        };
        let at = self.now();
        self.gone.push(Gone { person, key, at, holder });
        self.forget_backups(person);
    }

    /// The log of the person has grown: an older one of an instance of his own would be an alarm.
    fn forget_backups(&mut self, person: usize) {
        for actor in self.people[person].clone() {
            self.backups.remove(&actor);
        }
    }

    /// Whether every peer knows every person by the present key.
    fn everybody_follows(&mut self) -> bool {
        for person in 0..self.people.len() {
            let owner = self.people[person][0];
            let (id, pin) = (self.world.person(owner), self.world.pin(owner));
            for peer in self.peers_of(person) {
                let lama_store::Reply::Contacts(contacts) = self.world.inspect(peer, Read::Contacts) else {
                    panic!("contacts")
                };
                let known = contacts.iter().find(|contact| contact.id() == id).expect("a contact");
                if known.pin() != pin {
                    return false;
                }
            }
        }
        true
    }

    fn step(&mut self) {
        let everybody = self.all();
        let somebody = everybody[self.below(everybody.len())];
        match self.chance.below(8) {
            0..=2 => self.end_a_key(),
            3 | 4 => {
                self.counts.partitions += 1;
                for actor in everybody.iter().copied().chain(self.gone.iter().map(|gone| gone.holder)) {
                    let side = self.chance.below(2);
                    self.world.set_side(actor, side);
                }
            }
            5 => self.heal(),
            6 => {
                self.counts.crashes += 1;
                self.world.crash(somebody);
            }
            _ => {
                // Of a person whose log is as it was: an older log of his own is an alarm, and rightly.
                if let Some(backup) = self.backups.get(&somebody) {
                    self.counts.restores += 1;
                    self.world.restore(somebody, backup);
                    self.learned.retain(|(actor, _), _| *actor != somebody);
                }
            }
        }
        let pause = 1 + self.chance.below(40);
        self.pass(pause);
    }

    fn heal(&mut self) {
        for actor in self.all().into_iter().chain(self.gone.iter().map(|gone| gone.holder)) {
            self.world.set_side(actor, 0);
        }
        self.healed = self.now();
    }

    /// Everybody who has to know a revocation does.
    fn everybody_knows(&self) -> bool {
        let missing = |(index, gone): (usize, &Gone)| {
            self.peers_of(gone.person).iter().any(|peer| !self.learned.contains_key(&(*peer, index)))
        };
        !self.gone.iter().enumerate().any(missing)
    }

    fn instances(&mut self, actor: ActorId) -> OwnInstances {
        match self.world.ask(actor, Command::Instances) {
            Ok(Reply::Instances(list)) => *list,
            other => panic!("no instances: {other:?}"),
        }
    }

    /// What the holders of revoked keys came to.
    fn judge_holders(&mut self) {
        for (index, gone) in self.gone.iter().enumerate() {
            for (at, event) in self.world.timeline(gone.holder) {
                let Event::SessionStarted { peer, .. } = event else { continue };
                let at = World::seconds(*at);
                let with =
                    self.people.iter().flatten().find(|actor| self.world.instance(**actor) == peer.instance);
                let with = *with.expect("somebody whom we know");
                // A thief has the instance's name, too, and outcasts may talk with each other.
                let holder = self.world.instance(gone.holder);
                let there = self.world.timeline(with).any(|(then, event)| {
                    let started =
                        matches!(event, Event::SessionStarted { peer, .. } if peer.instance == holder);
                    started && (World::seconds(*then) - at).abs() < 2.0
                });
                if at < gone.at || !there {
                    continue;
                }
                // A look a second, and the way of a frame.
                let knew = self.learned.get(&(with, index)).is_some_and(|since| at > since + 2.0);
                assert!(!knew, "seed {}: {with:?} has let in a key that it knew to be revoked", self.seed);
                self.counts.unaware += 1;
            }
            let refused = |event: &&Event| matches!(event, Event::LinkRefused { .. });
            self.counts.refused += self.world.events(gone.holder).filter(refused).count() as u64;
        }
    }

    /// The owners know that everybody knows, and so do their other instances.
    fn judge_owners(&mut self) {
        let out: BTreeSet<ActorId> = self.gone.iter().map(|gone| gone.holder).collect();
        for person in 0..self.people.len() {
            let instances: Vec<ActorId> =
                self.people[person].iter().copied().filter(|actor| !out.contains(actor)).collect();
            let list = self.instances(instances[0]);
            for row in &list.reached {
                assert_eq!(row.has, list.head.seq, "seed {}: {row:?}", self.seed);
            }
            for other in &instances[1..] {
                let theirs = self.instances(*other).head;
                assert_eq!(theirs, list.head, "seed {}: an instance of one's own is behind", self.seed);
            }
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// `LAMA_SEEDS` sets how many schedules there are.
#[test]
fn whoever_can_be_reached_learns_of_a_revocation_and_the_key_never_comes_back() {
    let seeds: u64 = std::env::var("LAMA_SEEDS").map_or(6, |seeds| seeds.parse().unwrap());
    let mut total = Counts::default();
    let (mut since_revoked, mut since_healed) = (Vec::new(), Vec::new());
    for seed in 0..seeds {
        let mut scene = Scene::new(seed);
        for _ in 0..14 {
            scene.step();
        }
        scene.heal();
        let mut waited = 0;
        while !scene.everybody_knows() || !scene.everybody_follows() {
            assert!(waited < 600, "seed {seed}: somebody who can be reached never hears of it");
            scene.pass(5);
            waited += 5;
        }
        // Who has heard of it from a backup's past or by a former key says so with the next session.
        scene.pass(150);
        scene.judge_holders();
        scene.judge_owners();
        for (index, gone) in scene.gone.iter().enumerate() {
            let times = scene.first.iter().filter(|((_, of), _)| *of == index).map(|(_, at)| *at);
            let last = times.fold(gone.at, f64::max);
            since_revoked.push(last - gone.at);
            since_healed.push((last - gone.at.max(scene.healed)).max(0.0));
        }
        let Counts {
            revocations,
            rotations,
            persons,
            partitions,
            crashes,
            restores,
            unaware,
            refused,
            learned,
        } = scene.counts;
        total.persons += persons;
        total.revocations += revocations;
        total.rotations += rotations;
        total.partitions += partitions;
        total.crashes += crashes;
        total.restores += restores;
        total.unaware += unaware;
        total.refused += refused;
        total.learned += learned;
    }
    println!("{seeds} schedules: {total:?}");
    let longest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    println!(
        "from a revocation to the last peer who can be reached: median {:.0} s, longest {:.0} s; from the end of the last \
         partition: median {:.0} s, longest {:.0} s",
        median(&mut since_revoked),
        longest(&since_revoked),
        median(&mut since_healed),
        longest(&since_healed)
    );
    let Counts { revocations, rotations, persons, partitions, crashes, restores, refused, learned, .. } =
        total;
    for (what, count, least) in [
        ("revocations", revocations, seeds / 2),
        ("rotations", rotations, seeds / 2),
        ("other keys of persons", persons, seeds / 2),
        ("partitions", partitions, 2 * seeds),
        ("crashes", crashes, seeds / 2),
        ("restores", restores, seeds / 6),
        ("refusals of revoked keys", refused, 10 * seeds),
        ("learned", learned, 4 * seeds),
    ] {
        assert!(count >= least, "too few {what} to say anything: {count} of {least}");
    }
}
