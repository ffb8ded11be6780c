//! Versions of one thing on many replicas: whatever the order of arrival, all say the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use lama_core::{Seed, WallTime};
use lama_identity::*;
use proptest::prelude::*;

const NOW: WallTime = WallTime(1_800_000_000_000);
const HOUR: u64 = 3_600_000;

fn identity(name: &str) -> LocalIdentity {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    let email = format!("{name}@lama.local").parse().unwrap();
    LocalIdentity::create(email, "desk", Seed::danger_fixed(seed), NOW).unwrap()
}

type Members = Signed<Versioned<GroupMembers>>;

/// A version by `by`, at `ms` after the start.
fn version<T: Merge>(by: &LocalIdentity, of: Cid, parents: &[Cid], ms: u64, data: T) -> Signed<Versioned<T>> {
    let mut parents: Vec<Reference> = parents.iter().map(|id| Reference(*id)).collect();
    parents.sort_unstable();
    let version = Versioned {
        by: Signer::Person,
        of: Reference(of),
        sig: None,
        data,
        clock: Hlc { ms: NOW.0 + ms, count: 0 },
        type_tag: TypeTag::default(),
        author: by.person_id(),
        parents,
        instance: by.instance_id(),
    };
    Unsigned::new(version).unwrap().sign(&by.person().unwrap().sign).unwrap()
}

fn list(persons: &[&LocalIdentity]) -> Vec<PersonId> {
    let mut ids: Vec<PersonId> = persons.iter().map(|who| who.person_id()).collect();
    ids.sort_unstable();
    ids
}

struct Club {
    owner: LocalIdentity,
    admin: LocalIdentity,
    others: [LocalIdentity; 3],
    group: Group,
}

fn club() -> Club {
    let owner = identity("owner");
    let group = Group::new("club", owner.person_id()).unwrap();
    Club { owner, admin: identity("admin"), others: ["x", "y", "z"].map(identity), group }
}

impl Club {
    fn of(&self) -> Cid {
        self.group.id().cid()
    }

    fn version(
        &self,
        by: &LocalIdentity,
        after: &[&Members],
        ms: u64,
        admins: &[&LocalIdentity],
        members: &[&LocalIdentity],
    ) -> Members {
        let parents: Vec<Cid> = after.iter().map(|version| version.cid()).collect();
        version(by, self.of(), &parents, ms, GroupMembers { admins: list(admins), members: list(members) })
    }

    fn merge(&self, versions: &[&Members]) -> Merged<GroupMembers> {
        let versions: Vec<Members> = versions.iter().map(|version| (*version).clone()).collect();
        merge(&self.owner.person_id(), &Reference(self.of()), &versions, NOW, &MergeConfig::default())
            .unwrap()
    }

    fn members(&self, versions: &[&Members]) -> Vec<PersonId> {
        self.merge(versions).data.map(|data| data.members).unwrap_or_default()
    }
}

#[test]
fn what_is_added_on_both_sides_is_in_and_what_was_removed_stays_out() {
    let club = club();
    let [x, y, z] = &club.others;
    let first = club.version(&club.owner, &[], 1, &[], &[x]);
    let removes = club.version(&club.owner, &[&first], 2, &[], &[]);
    let adds = club.version(&club.owner, &[&first], 3, &[], &[x, y]);
    // The second only hands on what it found: that is no new addition of x.
    assert_eq!(club.members(&[&first, &removes, &adds]), list(&[y]));
    let again = club.version(&club.owner, &[&removes], 2, &[], &[x]);
    assert_eq!(club.members(&[&first, &removes, &adds, &again]), list(&[x, y]));
    let both = club.version(&club.owner, &[&adds, &again], 4, &[], &[y, z]);
    assert_eq!(club.members(&[&first, &removes, &adds, &again, &both]), list(&[y, z]));
    // Whoever has only a part sees what that part says, also without the parents.
    assert_eq!(club.members(&[&both]), list(&[y, z]));
    assert_eq!(club.merge(&[&first, &removes, &adds]).heads.len(), 2);
}

#[test]
fn not_authorised() {
    let club = club();
    let [x, y, _] = &club.others;
    let first = club.version(&club.owner, &[], 1, &[], &[x]);
    let stranger = club.version(y, &[&first], 2, &[y], &[x, y]);
    let merged = club.merge(&[&first, &stranger]);
    assert_eq!(merged.data.unwrap().members, list(&[x]));
    assert_eq!(merged.left_out, [(stranger.cid(), IdentityError::NotAuthorised)]);
    assert_eq!(merged.heads, [Reference(first.cid())]);
    // What follows it counts, and hands on what lay before it.
    let after = club.version(&club.owner, &[&stranger], 3, &[], &[x]);
    assert_eq!(club.members(&[&first, &stranger, &after]), list(&[x]));
    let elsewhere: Members = version(&club.owner, x.person_id().cid(), &[], 1, GroupMembers::default());
    let mismatch = (elsewhere.cid(), IdentityError::Mismatch { field: "of" });
    assert_eq!(club.merge(&[&elsewhere]), Merged { data: None, heads: vec![], left_out: vec![mismatch] });
}

#[test]
fn an_admin_writes_as_long_as_the_owner_lets_him_and_dating_back_does_not_help() {
    let club = club();
    let [x, y, z] = &club.others;
    let first = club.version(&club.owner, &[], 1, &[&club.admin], &[x]);
    let by_admin = club.version(&club.admin, &[&first], 2, &[&club.admin, y], &[x, y]);
    let merged = club.merge(&[&first, &by_admin]).data.unwrap();
    assert_eq!((merged.members, merged.admins), (list(&[x, y]), list(&[&club.admin])));
    // The owner takes it back after having seen that; what the admin then writes beside it does not count.
    let removes = club.version(&club.owner, &[&by_admin], 3, &[], &[x, y]);
    let beside = club.version(&club.admin, &[&by_admin], 2, &[&club.admin], &[x, y, z]);
    let after = club.version(&club.admin, &[&removes], 9, &[&club.admin], &[z]);
    let merged = club.merge(&[&first, &by_admin, &removes, &beside, &after]);
    assert_eq!(merged.data.unwrap(), GroupMembers { admins: vec![], members: list(&[x, y]) });
    assert_eq!(merged.left_out.len(), 2);
    // Named again, he writes again; what was refused stays refused.
    let again = club.version(&club.owner, &[&removes], 4, &[&club.admin], &[x, y]);
    let new = club.version(&club.admin, &[&again], 5, &[&club.admin], &[x]);
    let merged = club.merge(&[&first, &by_admin, &removes, &beside, &after, &again, &new]);
    assert_eq!(merged.data.unwrap().members, list(&[x]));
    // Before the grant he had no say either.
    let early = club.version(&club.admin, &[], 1, &[], &[z]);
    assert_eq!(club.merge(&[&first, &early]).left_out[0].0, early.cid());
}

#[test]
fn the_last_writer_counts_among_concurrent_ones_and_causality_goes_before_clocks() {
    let me = identity("me");
    let of = me.person_id().cid();
    let profile = |parents: &[&Signed<Versioned<Profile>>], ms: u64, name: &str| {
        let parents: Vec<Cid> = parents.iter().map(|version| version.cid()).collect();
        version(&me, of, &parents, ms, Profile { name: name.into() })
    };
    let name = |versions: &[&Signed<Versioned<Profile>>], now: WallTime| {
        let versions: Vec<_> = versions.iter().map(|version| (*version).clone()).collect();
        let config = MergeConfig { max_ahead: Duration::from_secs(600), ..MergeConfig::default() };
        merge(&me.person_id(), &Reference(of), &versions, now, &config).unwrap().data.unwrap().name
    };
    let first = profile(&[], 1, "first");
    let (early, late) = (profile(&[&first], 2, "early"), profile(&[&first], 3, "late"));
    assert_eq!(name(&[&late, &first, &early], NOW), "late");
    // A clock that runs a year ahead loses against a concurrent one, until that year is over ...
    let lying = profile(&[&first], 365 * 24 * HOUR, "lying");
    assert_eq!(name(&[&lying, &early, &first], NOW), "early");
    assert_eq!(name(&[&lying, &early, &first], WallTime(NOW.0 + 366 * 24 * HOUR)), "lying");
    // ... alone it is better than nothing, and whoever has seen it replaces it, whatever his own clock says.
    assert_eq!(name(&[&lying, &first], NOW), "lying");
    let corrected = profile(&[&lying], 4, "corrected");
    assert_eq!(name(&[&lying, &corrected, &first], WallTime(NOW.0 + 366 * 24 * HOUR)), "corrected");
}

#[test]
fn limits_are_kept() {
    let club = club();
    let [x, y, _] = &club.others;
    let first = club.version(&club.owner, &[], 1, &[], &[x, y]);
    let second = club.version(&club.owner, &[], 2, &[], &[x]);
    let merge = |config: MergeConfig| {
        let versions = [first.clone(), second.clone()];
        merge(&club.owner.person_id(), &Reference(club.of()), &versions, NOW, &config).err()
    };
    let config = MergeConfig::default();
    assert_eq!(merge(config), None);
    let too_many = Some(IdentityError::TooLong { field: "versions", limit: 1 });
    assert_eq!(merge(MergeConfig { max_versions: 1, ..config }), too_many);
    let too_large = Some(IdentityError::TooLong { field: "set", limit: 1 });
    assert_eq!(merge(MergeConfig { max_elements: 1, ..config }), too_large);
}

/// What one replica does.
#[derive(Debug, Clone)]
struct Step {
    replica: usize,
    /// Which of the versions made so far reach it before it writes: one bit each.
    gets: u32,
    /// It names all heads that it knows as parents, or only some of them: one bit each.
    names: u32,
    /// Who is in the set that it writes, and who is admin: one bit each.
    members: u8,
    admins: u8,
    /// By how much its clock lies, in hours.
    ahead: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let ahead = prop_oneof![3 => Just(0), 1 => 1..100_000_u64];
    let names = prop_oneof![2 => Just(u32::MAX), 1 => any::<u32>()];
    (0..4_usize, any::<u32>(), names, 0..8_u8, 0..4_u8, ahead).prop_map(
        |(replica, gets, names, members, admins, ahead)| Step {
            replica,
            gets,
            names,
            members,
            admins,
            ahead,
        },
    )
}

/// Runs the steps and gives all versions, in the order in which they were made.
fn play(club: &Club, steps: &[Step]) -> Vec<Members> {
    // The owner on two instances would be the same person; so two replicas write as the owner, one as admin, one as
    // somebody who never may.
    let writers = [&club.owner, &club.owner, &club.admin, &club.others[2]];
    let mut all: Vec<Members> = Vec::new();
    let mut known: [BTreeSet<usize>; 4] = Default::default();
    for (number, step) in steps.iter().enumerate() {
        let mine = &mut known[step.replica];
        mine.extend((0..all.len()).filter(|at| step.gets >> at & 1 == 1));
        let seen: Vec<Members> = mine.iter().map(|at| all[*at].clone()).collect();
        let mut parents: Vec<&Members> = heads(&seen);
        let kept: Vec<bool> = (0..parents.len()).map(|at| step.names >> (at % 32) & 1 == 1).collect();
        let mut keep = kept.iter();
        parents.retain(|_| *keep.next().unwrap());
        let pick = |bits: u8, among: &[&LocalIdentity]| -> Vec<PersonId> {
            let mut ids: Vec<PersonId> = among
                .iter()
                .enumerate()
                .filter(|(at, _)| bits >> at & 1 == 1)
                .map(|(_, who)| who.person_id())
                .collect();
            ids.sort_unstable();
            ids
        };
        let [x, y, z] = &club.others;
        let data = GroupMembers {
            admins: pick(step.admins, &[&club.admin, x]),
            members: pick(step.members, &[x, y, z]),
        };
        let parents: Vec<Cid> = parents.iter().map(|version| version.cid()).collect();
        let made =
            version(writers[step.replica], club.of(), &parents, number as u64 + step.ahead * HOUR, data);
        mine.insert(all.len());
        all.push(made);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_replica_comes_to_the_same_in_every_order(
        steps in proptest::collection::vec(step(), 1..14),
        orders in proptest::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let club = club();
        let all = play(&club, &steps);
        let (owner, of, config) = (club.owner.person_id(), Reference(club.of()), MergeConfig::default());
        let merged = merge(&owner, &of, &all, NOW, &config).unwrap();
        for chunk in orders.chunks(20) {
            // Another order, with repetitions: one replica's arrivals.
            let mut arrived: Vec<Members> = chunk.iter().map(|at| at.get(&all).clone()).collect();
            let mut rest = all.clone();
            for at in chunk {
                let to = at.index(rest.len());
                rest.swap(0, to);
            }
            arrived.extend(rest);
            prop_assert_eq!(&merge(&owner, &of, &arrived, NOW, &config).unwrap(), &merged);
        }
        // Clocks say nothing about sets.
        prop_assert_eq!(&merge(&owner, &of, &all, WallTime(u64::MAX), &config).unwrap().data, &merged.data);
        // Nobody who was never let in has had a say, and what was left out is not in the heads.
        for version in &all {
            let author = version.value().author;
            let refused = merged.left_out.iter().any(|(id, _)| *id == version.cid());
            prop_assert!(author != club.others[2].person_id() || refused);
            prop_assert!(author != owner || !refused);
            prop_assert!(!refused || !merged.heads.contains(&Reference(version.cid())));
        }
        // Writing down what was merged, after all heads, changes nothing.
        if let Some(data) = merged.data.clone() {
            let parents: Vec<Cid> = merged.heads.iter().map(|head| head.0).collect();
            let sealed = version(&club.owner, club.of(), &parents, 99, data);
            let mut more = all.clone();
            more.push(sealed.clone());
            let again = merge(&owner, &of, &more, NOW, &config).unwrap();
            prop_assert_eq!(&again.data, &merged.data);
            prop_assert!(again.heads.contains(&Reference(sealed.cid())));
        }
    }

    #[test]
    fn a_removal_holds_against_whoever_had_not_added_anew(steps in proptest::collection::vec(step(), 1..12)) {
        let club = club();
        let all = play(&club, &steps);
        let merged = club.merge(&all.iter().collect::<Vec<_>>());
        let [x, y, z] = &club.others;
        // The owner, having seen everything, empties the group: whatever the admin did before, nobody is in it.
        let parents: Vec<Cid> = heads(&all).iter().map(|version| version.cid()).collect();
        let empty = version(&club.owner, club.of(), &parents, 1, GroupMembers::default());
        let mut more: Vec<&Members> = all.iter().collect();
        more.push(&empty);
        prop_assert_eq!(club.merge(&more).data, Some(GroupMembers::default()));
        // And what somebody adds beside it, having seen what was before, is all that is in it.
        let mut plus = merged.data.unwrap_or_default();
        let before: BTreeSet<PersonId> = plus.members.iter().copied().collect();
        plus.members = list(&[x, y, z]);
        let beside = version(&club.owner, club.of(), &parents, 1, plus);
        more.push(&beside);
        let left: BTreeSet<PersonId> = club.members(&more).into_iter().collect();
        let added: BTreeSet<PersonId> = list(&[x, y, z]).into_iter().filter(|who| !before.contains(who)).collect();
        prop_assert_eq!(left, added);
    }
}
