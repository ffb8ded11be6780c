//! Grants that end, objects that are deleted, quotas, and what is said about all that.

use alloc::vec;
use alloc::vec::Vec;

use lama_chum::{Acked, Cursor, Lane, NO_EPOCH, Positions, Refusal};
use lama_core::WallTime;
use lama_identity::{Cid, LocalIdentity, PersonId};

use super::Place;
use super::fixture::{Dice, World, ids, linked, note, notes, person, world, world_with};
use crate::{
    Config, Explanation, Import, Object, Opening, Quota, QuotaRow, Read, Reply, Standing, StoreError, Write,
};

/// Two stores that know each other.
pub struct Both<P: Place> {
    pub a: LocalIdentity,
    pub b: LocalIdentity,
    pub at_a: World<P>,
    pub at_b: World<P>,
}

pub fn both<P: Place>() -> Both<P> {
    let (a, b) = (person("a"), person("b"));
    let (mut at_a, mut at_b) = (world::<P>(), world::<P>());
    at_a.befriend(&b);
    at_b.befriend(&a);
    Both { a, b, at_a, at_b }
}

/// Hands on what one store has for the other's instance, up to `most` entries, acknowledged.
fn hand_on<P: Place>(
    from: (&mut World<P>, &LocalIdentity),
    to: (&mut World<P>, &LocalIdentity),
    most: usize,
) -> usize {
    let (sender, me) = from;
    let (receiver, peer) = to;
    let epoch = sender.s().epoch();
    let received = receiver.head(me).unwrap().received;
    let after = if received.epoch == epoch { received.upto.whole() } else { 0 };
    let mut page = sender.page(peer, after, most.saturating_mul(60).min(1 << 20), false);
    let mut upto = page.next;
    if page.entries.len() > most {
        page.entries.truncate(most);
        upto = page.entries.last().map_or(after, |entry| entry.seq);
    }
    let count = page.entries.len();
    let objects: Vec<Object> = page.entries.into_iter().map(|entry| (entry.id, entry.object)).collect();
    let (after, at) = (Positions::all(after), Positions::all(upto));
    let import =
        Import { person: me.person_id(), instance: me.instance_id(), objects, epoch, after, upto: at };
    let refused = receiver.commit(vec![Write::Import(import)]).import.unwrap().refused;
    sender.commit(vec![
        Write::Acked {
            instance: peer.instance_id(),
            acked: Acked { cursor: Cursor::all(epoch, upto), life: NO_EPOCH },
        },
        Write::Refused { person: peer.person_id(), objects: refused },
    ]);
    count
}

impl<P: Place> Both<P> {
    pub fn a_to_b(&mut self, most: usize) -> usize {
        hand_on((&mut self.at_a, &self.a), (&mut self.at_b, &self.b), most)
    }

    pub fn b_to_a(&mut self, most: usize) -> usize {
        hand_on((&mut self.at_b, &self.b), (&mut self.at_a, &self.a), most)
    }

    /// Exchanges everything; then both sets must be equal and both stores sound.
    pub fn settle(&mut self) {
        while self.a_to_b(usize::MAX) + self.b_to_a(usize::MAX) > 0 {}
        self.equal();
        self.at_a.s().check().unwrap();
        self.at_b.s().check().unwrap();
    }

    pub fn equal(&mut self) {
        let (left, right) = (self.at_a.head(&self.b).unwrap().head, self.at_b.head(&self.a).unwrap().head);
        assert_eq!((left.count, left.fingerprint), (right.count, right.fingerprint));
    }

    fn revoke(&mut self, ids: &[Cid]) -> (u64, u64) {
        let revoke = Write::Revoke { ids: ids.to_vec(), persons: vec![self.b.person_id()] };
        let done = self.at_a.commit(vec![revoke]);
        done.revoked.first().map_or((0, 0), |revoked| (revoked.taken_back, revoked.stays))
    }

    fn share(&mut self, ids: &[Cid]) {
        self.at_a.share(ids, self.b.person_id());
    }
}

pub fn explain<P: Place>(world: &mut World<P>, object: Cid, person: PersonId) -> Explanation {
    let Reply::Explanation(told) = world.ask(Read::Explain { object, person }) else { panic!() };
    *told
}

pub fn ids_that_were_compared_can_be_taken_back<P: Place>() {
    let mut both = both::<P>();
    let objects = notes("secret", 50);
    both.at_a.put(&objects);
    both.share(&ids(&objects));
    let (person, instance) = (both.b.person_id(), both.b.instance_id());
    let key = lama_chum::PairKey::new([7; 32]).short_key(0);
    let mut shorts: Vec<u64> = objects.iter().map(|object| key.short(&object.0)).collect();
    shorts.sort_unstable();
    let Reply::Ids(read) = both.at_a.ask(Read::Ids { person, after: 0, limit: 100 }) else { panic!() };
    assert_eq!(read.ids.len(), 50);
    let find = Read::Find { person, key, shorts: shorts.into(), upto: 50, limit: 100 };
    let Reply::Found(found) = both.at_a.ask(find) else { panic!() };
    assert_eq!(found.found.len(), 50);
    // What is read for sending is on its way, and what lies before it in the log.
    both.at_a.ask(Read::Fetch { person, instance, seqs: vec![2, 10], max_bytes: 100_000 });
    assert_eq!(both.revoke(&ids(&objects)), (40, 10));
    both.settle();
}

pub fn what_nobody_has_seen_leaves_without_a_trace<P: Place>() {
    let mut both = both::<P>();
    let first = note("first");
    both.at_a.put(&[first.clone()]);
    both.share(&[first.0]);
    both.settle();
    let before = both.at_a.head(&both.b).unwrap().head;
    let objects = notes("secret", 50);
    both.at_a.put(&objects);
    both.share(&ids(&objects));
    both.at_a.again();
    assert_eq!(both.revoke(&ids(&objects)), (50, 0));
    let after = both.at_a.head(&both.b).unwrap().head;
    assert_eq!((after.count, after.fingerprint), (before.count, before.fingerprint));
    assert!(after.seq > before.seq + 50, "a head names one set");
    assert_eq!(both.at_a.view(both.b.person_id()), [first.0]);
    assert_eq!(both.at_a.ask(Read::Access(objects[0].0)), Reply::Access(vec![]));
    assert_eq!(both.a_to_b(usize::MAX), 0);
    both.settle();
    assert!(objects.iter().all(|object| both.at_b.object(object.0).is_none()));
    // Granted once more it stands at the end, once.
    both.share(&ids(&objects[..10]));
    both.at_a.again();
    assert_eq!(both.a_to_b(usize::MAX), 10);
    both.settle();
    assert_eq!(both.at_a.view(both.b.person_id()).len(), 11);
}

pub fn what_was_sent_stays_and_is_sent_no_more<P: Place>() {
    let mut both = both::<P>();
    let objects = notes("n", 20);
    both.at_a.put(&objects);
    both.share(&ids(&objects));
    // Twelve were read for sending, five arrived.
    both.at_a.page(&both.b, 0, 12 * objects[0].1.len(), false);
    both.a_to_b(0);
    let page = both.at_a.page(&both.b, 0, 1, false);
    assert_eq!(page.entries.len(), 1);
    let sent = both.at_a.page(&both.b, 0, 1 << 20, false).entries.len();
    assert_eq!(sent, 20);
    // All of it was given to be sent by now.
    assert_eq!(both.revoke(&ids(&objects)), (0, 20));
    // Whoever has not got it gets its id, and both sets are equal.
    let page = both.at_a.page(&both.b, 0, 1 << 20, false);
    assert!(page.entries.len() == 20 && page.entries.iter().all(|entry| entry.gone));
    both.settle();
    assert_eq!(both.at_b.head(&both.a).unwrap().head.count, 20);
    assert!(both.at_b.object(objects[0].0).is_none());
    assert_eq!(explain(&mut both.at_a, objects[0].0, both.b.person_id()).standing, Standing::Tombstone);
    // Granted once more it is sent once more.
    both.share(&[objects[3].0]);
    both.settle();
    assert_eq!(both.at_b.object(objects[3].0), Some(objects[3].1.clone()));
    assert_eq!(both.at_a.head(&both.b).unwrap().head.count, 20);
    both.at_a.again();
    both.at_b.again();
}

pub fn what_else_grants_it_stays<P: Place>() {
    let mut both = both::<P>();
    let (shared, only, deep) = (note("shared"), note("only"), note("deep"));
    let left = linked("left", &[shared.0, only.0], &[]);
    let right = linked("right", &[shared.0], &[]);
    let outer = linked("outer", &[right.0, deep.0], &[]);
    let all = [shared.clone(), only.clone(), deep.clone(), left.clone(), right.clone(), outer.clone()];
    both.at_a.put(&all);
    both.share(&[left.0, outer.0]);
    assert_eq!(both.revoke(&[left.0]), (2, 0));
    assert_eq!(both.at_a.view(both.b.person_id()), [shared.0, right.0, deep.0, outer.0]);
    // A part is no grant of its own, and cannot be taken out of what stays.
    assert_eq!(both.revoke(&[deep.0]), (0, 0));
    // Granted by itself, too, it outlives what it is a part of: in either order.
    both.share(&[deep.0]);
    assert_eq!(both.revoke(&[outer.0]), (3, 0));
    assert_eq!(both.at_a.view(both.b.person_id()), [deep.0]);
    assert_eq!(both.revoke(&[deep.0]), (1, 0));
    both.share(&[right.0]);
    both.share(&[outer.0]);
    assert_eq!(both.revoke(&[outer.0]), (2, 0));
    assert_eq!(both.at_a.view(both.b.person_id()), [shared.0, right.0]);
    both.settle();
}

/// What the other side brought itself is no grant of ours, and nothing of it can be taken back.
pub fn what_they_brought_stays<P: Place>() {
    let mut both = both::<P>();
    let object = note("both have it");
    both.at_a.put(&[object.clone()]);
    both.at_b.put(&[object.clone()]);
    both.share(&[object.0]);
    both.at_b.share(&[object.0], both.a.person_id());
    both.b_to_a(1);
    assert_eq!(both.revoke(&[object.0]), (0, 0));
    both.settle();
    assert_eq!(both.at_a.head(&both.b).unwrap().head.count, 1);
}

pub fn what_is_deleted_is_told_to_whoever_has_it<P: Place>() {
    let mut both = both::<P>();
    let child = note("child");
    let parent = linked("parent", &[child.0], &[]);
    let (unsent, foreign) = (note("unsent"), note("of b"));
    both.at_a.put(&[child.clone(), parent.clone(), unsent.clone()]);
    both.share(&[parent.0]);
    both.at_b.put(&[foreign.clone()]);
    both.at_b.share(&[foreign.0], both.a.person_id());
    both.settle();
    both.share(&[unsent.0]);
    let delete = |ids: &[Cid]| vec![Write::Delete { ids: ids.to_vec() }];
    assert_eq!(both.at_a.fails(delete(&[foreign.0])), StoreError::NotDeletable(foreign.0));
    assert_eq!(both.at_a.fails(delete(&[note("?").0])), StoreError::NotDeletable(note("?").0));
    let done = both.at_a.commit(delete(&[child.0, unsent.0]));
    assert_eq!(done.grown, [both.b.person_id()]);
    both.at_a.again();
    assert_eq!(both.at_a.object(child.0), None);
    assert!(both.at_b.object(child.0).is_some());
    both.settle();
    assert_eq!(both.at_b.object(child.0), None);
    assert!(both.at_b.object(parent.0).is_some(), "a hole that its owner made");
    both.at_b.again();
    both.at_a.crash();
    // Whoever comes later gets the parent and the news that its part is gone.
    let c = person("c");
    both.at_a.befriend(&c);
    both.at_a.share(&[parent.0], c.person_id());
    let told: Vec<_> = both.at_a.replay(&c).iter().map(|entry| (entry.id, entry.gone)).collect();
    assert_eq!(told, [(child.0, true), (child.0, true), (parent.0, false)]);
    // Made once more, shared once more, sent once more.
    both.at_a.put(&[child.clone()]);
    both.share(&[child.0]);
    both.settle();
    assert!(both.at_b.object(child.0).is_some() && both.at_a.object(child.0).is_some());
}

/// Saying that an id is gone shows nothing, takes nothing and gives no right.
pub fn gone_proves_nothing<P: Place>() {
    let mut both = both::<P>();
    let secret = note("secret of a");
    both.at_a.put(&[secret.clone()]);
    both.at_a.receive(&both.b, &[(secret.0, bytes::Bytes::new())]);
    assert!(both.at_a.object(secret.0).is_some());
    // A link to it from b's own object serves nobody, b included.
    let c = person("c");
    both.at_a.befriend(&c);
    let probe = linked("probe", &[secret.0], &[]);
    both.at_a.receive(&both.b, &[probe.clone()]);
    let done = both.at_a.share(&[probe.0], c.person_id());
    assert_eq!(done.withheld.len(), 1);
    assert!(both.at_a.replay(&c).is_empty());
    assert!(
        both.at_a
            .page(&both.b, 0, 1 << 20, true)
            .entries
            .iter()
            .all(|entry| { entry.id != secret.0 || (entry.gone && entry.object.is_empty()) })
    );
    both.at_a.again();
    // Until it is really granted.
    both.share(&[secret.0]);
    assert!(both.at_a.replay(&both.b).iter().any(|entry| entry.object == secret.1));
    both.at_a.again();
}

/// What several have brought stays until the last of them says that it is gone, in whichever order they came and went.
pub fn what_several_brought_goes_when_all_of_them_say_so<P: Place>() {
    let (a, b) = (person("a"), person("b"));
    let object = note("from both");
    let gone = (object.0, bytes::Bytes::new());
    for a_says_it_first in [true, false] {
        let mut world = world::<P>();
        world.befriend(&a);
        world.befriend(&b);
        world.receive(&a, &[object.clone()]);
        world.receive(&b, &[object.clone()]);
        let (first, last) = if a_says_it_first { (&a, &b) } else { (&b, &a) };
        world.receive(first, &[gone.clone()]);
        assert!(world.object(object.0).is_some(), "the other one has not said so");
        world.again();
        world.receive(last, &[gone.clone()]);
        assert_eq!(world.object(object.0), None);
        let kept = |world: &mut World<P>| {
            let Reply::Quota(row) = world.ask(Read::Quota(a.person_id())) else { panic!() };
            (row.objects, row.bytes)
        };
        assert_eq!(kept(&mut world), (0, 0));
        // Whoever still has it, or has it again, brings it back; it counts again.
        world.receive(last, &[object.clone()]);
        assert_eq!(world.object(object.0), Some(object.1.clone()));
        assert_eq!(kept(&mut world), (1, object.1.len() as u64));
        world.again();
    }
    // What was deleted here stays so, whoever brings it.
    let mut world = world::<P>();
    world.befriend(&a);
    world.put(&[object.clone()]);
    world.commit(vec![Write::Delete { ids: vec![object.0] }]);
    world.receive(&a, &[object.clone()]);
    assert_eq!(world.object(object.0), None);
    world.again();
}

/// A grant that was not sent yet can be revoked whatever its person says of the object meanwhile.
pub fn what_they_call_gone_can_still_be_revoked<P: Place>() {
    let object = note("at both");
    let gone = (object.0, bytes::Bytes::new());
    for he_brought_it in [false, true] {
        let (mut world, a) = (world::<P>(), person("a"));
        world.befriend(&a);
        world.put(&[object.clone()]);
        world.share(&[object.0], a.person_id());
        if he_brought_it {
            world.receive(&a, &[object.clone()]);
        }
        world.receive(&a, &[gone.clone()]);
        assert!(world.object(object.0).is_some());
        let granted = |world: &mut World<P>| world.replay(&a).iter().any(|entry| !entry.gone);
        world.again();
        world.commit(vec![Write::Revoke { ids: vec![object.0], persons: vec![a.person_id()] }]);
        assert!(!granted(&mut world), "brought: {he_brought_it}");
        world.again();
        // Unless it is granted once more.
        world.share(&[object.0], a.person_id());
        assert!(granted(&mut world), "brought: {he_brought_it}");
        world.again();
    }
}

/// What others wrote is sent last. That it is gone, or to be had again, is not said before it.
pub fn what_is_gone_overtakes_nothing_that_was_relayed<P: Place>() {
    let Both { a, b, mut at_a, .. } = both::<P>();
    let object = note("by b");
    let other = person("c");
    at_a.befriend(&other);
    at_a.receive(&b, &[object.clone()]);
    at_a.share(&[object.0], other.person_id());
    let lanes = |world: &mut World<P>| -> Vec<(Lane, bool)> {
        world.replay(&other).iter().map(|entry| (entry.lane, entry.gone)).collect()
    };
    assert_eq!(lanes(&mut at_a), [(Lane::Relayed, false)]);
    at_a.receive(&b, &[(object.0, bytes::Bytes::new())]);
    assert_eq!(lanes(&mut at_a), [(Lane::Relayed, true), (Lane::Relayed, true)]);
    at_a.put(core::slice::from_ref(&object));
    at_a.share(&[object.0], other.person_id());
    assert_eq!(lanes(&mut at_a).last(), Some(&(Lane::Relayed, false)));
    let _ = a;
}

/// What was not sent the other side may have all the same: from a third, or from a life that a backup has undone. Both sets
/// hold it then, and nothing but news tells that it is gone.
pub fn what_is_deleted_is_told_whether_it_was_sent_or_not<P: Place>() {
    for restored in [true, false] {
        let Both { b, mut at_a, .. } = both::<P>();
        let object = note("not sent yet");
        at_a.put(core::slice::from_ref(&object));
        at_a.share(&[object.0], b.person_id());
        if restored {
            at_a.open_again(Opening::Restored);
        }
        at_a.commit(vec![Write::Delete { ids: vec![object.0] }]);
        let entries: Vec<_> = at_a.replay(&b).iter().map(|entry| (entry.gone, entry.again)).collect();
        assert_eq!(entries, [(true, false), (true, true)]);
    }
}

/// They have heard that it is gone in a life of this store that a backup has undone.
pub fn what_they_call_gone_and_is_shown_here_is_offered_again<P: Place>() {
    let Both { b, mut at_a, .. } = both::<P>();
    let object = note("shown");
    at_a.put(core::slice::from_ref(&object));
    at_a.share(&[object.0], b.person_id());
    let gone = (object.0, bytes::Bytes::new());
    for _ in 0..2 {
        let outcome = at_a.receive(&b, &[gone.clone()]).import.unwrap();
        // Not from there, so that the session looks at it.
        assert_eq!(outcome.before, outcome.head.seq);
        let entries = at_a.replay(&b);
        assert_eq!(entries.len(), 2, "once is enough while it is on its way");
        assert!(entries.iter().all(|entry| entry.id == object.0 && !entry.gone));
        assert!(entries[1].again && !entries[0].again);
    }
}

/// What a contact said is gone may be said back to him, until he brings it again.
pub fn what_they_said_is_gone_is_said_back<P: Place>() {
    let Both { b, mut at_a, .. } = both::<P>();
    let [kept, back] = [note("kept"), note("back")];
    at_a.receive(&b, &[kept.clone(), back.clone()]);
    at_a.receive(&b, &[(kept.0, bytes::Bytes::new()), (back.0, bytes::Bytes::new())]);
    let news = |world: &mut World<P>| {
        let (person, instance) = (b.person_id(), b.instance_id());
        match world.ask(Read::News { person, instance, after: 0, known: Positions::all(0), limit: 100 }) {
            Reply::News(news) => news.seqs,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((news(&mut at_a), at_a.head(&b).unwrap().last_news), (vec![3, 4], 4));
    at_a.receive(&b, &[back]);
    assert_eq!(news(&mut at_a), [3]);
}

/// An object that only waits for what its own person says is gone waits no longer.
pub fn what_waits_for_what_is_gone_wakes_up<P: Place>() {
    let mut world = world::<P>();
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    world.befriend(&b);
    let child = note("child");
    let parent = linked("parent", &[child.0], &[]);
    world.receive(&a, &[parent.clone()]);
    world.receive(&b, &[(child.0, bytes::Bytes::new())]);
    assert!(world.object(parent.0).is_none(), "somebody else's word does not count");
    world.receive(&a, &[(child.0, bytes::Bytes::new())]);
    assert!(world.object(parent.0).is_some());
    world.again();
    world.receive(&b, &[child.clone()]);
    assert!(world.object(child.0).is_some());
    world.again();
}

/// Random sharing, revoking, deleting, sending of parts, closing, crashing and compacting on one side: whatever happened, both
/// sets are equal after an exchange, and b has what is granted.
pub fn random_grants_converge<P: Place>() {
    let (mut taken, mut stayed, mut deleted, mut dropped) = (0, 0, 0, 0);
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let mut both = both::<P>();
        let mut all: Vec<Object> = Vec::new();
        for round in 0..60 {
            let mut below = |limit: usize| usize::try_from(dice.below(limit as u64)).unwrap();
            let links: Vec<Cid> = (0..below(3).min(all.len())).map(|_| all[below(all.len())].0).collect();
            let links: Vec<Cid> = links.into_iter().filter(|id| both.at_a.object(*id).is_some()).collect();
            let object = linked(&alloc::format!("{round}"), &links, &[]);
            both.at_a.put(&[object.clone()]);
            all.push(object);
            let some: Vec<Cid> = (0..=below(4)).map(|_| all[below(all.len())].0).collect();
            match below(10) {
                0..=3 => both.share(&some),
                4 | 5 => {
                    let (left, stays) = both.revoke(&some);
                    taken += left;
                    stayed += stays;
                }
                6 => {
                    let there = both.at_a.object(some[0]).is_some();
                    if there {
                        both.at_a.commit(vec![Write::Delete { ids: vec![some[0]] }]);
                        deleted += 1;
                    }
                }
                7 => {
                    both.a_to_b(below(4));
                    both.at_a.s().check().unwrap();
                }
                8 => {
                    dropped += both.at_a.compact().dropped + both.at_b.compact().dropped;
                }
                _ if below(4) > 0 => both.at_a.again(),
                _ => both.settle(),
            }
        }
        both.settle();
        for (id, bytes) in &all {
            let standing = explain(&mut both.at_a, *id, both.b.person_id()).standing;
            if standing == Standing::Acknowledged {
                assert_eq!(both.at_b.object(*id).as_ref(), Some(bytes), "seed {seed}");
            }
            assert!(!matches!(standing, Standing::Pending | Standing::Sent), "seed {seed}: {standing:?}");
        }
    }
    assert!(taken > 30 && stayed > 15, "{taken} {stayed}");
    assert!(deleted > 30 && dropped > 30, "{deleted} {dropped}");
}

pub fn why_an_object_does_not_arrive<P: Place>() {
    let mut both = both::<P>();
    let (one, two) = (note("one"), linked("two", &[note("one").0], &[]));
    let b = both.b.person_id();
    let standing = |both: &mut Both<P>, id: Cid| explain(&mut both.at_a, id, b).standing;
    assert_eq!(standing(&mut both, one.0), Standing::NotHere);
    assert_eq!(
        explain(&mut both.at_a, one.0, person("stranger").person_id()).standing,
        Standing::NotAContact
    );
    both.at_a.put(&[one.clone(), two.clone()]);
    assert_eq!(standing(&mut both, two.0), Standing::NotShared);
    both.share(&[two.0]);
    let told = explain(&mut both.at_a, two.0, b);
    assert_eq!((told.standing, told.direct), (Standing::Pending, true));
    assert!(!explain(&mut both.at_a, one.0, b).direct);
    let page = both.at_a.page(&both.b, 0, 1, false);
    assert_eq!((page.entries.len(), page.next), (1, 1));
    assert_eq!(standing(&mut both, one.0), Standing::Sent);
    assert_eq!(standing(&mut both, two.0), Standing::Pending);
    both.settle();
    assert_eq!(standing(&mut both, two.0), Standing::Acknowledged);
    assert_eq!(explain(&mut both.at_b, two.0, both.a.person_id()).standing, Standing::FromThem);
    // Over the quota that the other side has set.
    let quota = Quota { objects: Some(2), ..Quota::default() };
    both.at_b.commit(vec![Write::Quota { person: both.a.person_id(), quota }]);
    let three = note("three");
    both.at_a.put(&[three.clone()]);
    both.share(&[three.0]);
    both.settle();
    both.at_a.again();
    assert_eq!(standing(&mut both, three.0), Standing::Refused(Refusal::Quota));
    assert!(both.at_b.object(three.0).is_none());
    // Once there is room, sharing it again offers it again.
    both.at_b.commit(vec![Write::Quota { person: both.a.person_id(), quota: Quota::default() }]);
    both.share(&[three.0]);
    both.settle();
    assert!(both.at_b.object(three.0).is_some());
    assert_eq!(standing(&mut both, three.0), Standing::Acknowledged);
    both.at_a.commit(vec![Write::Delete { ids: vec![three.0] }]);
    assert_eq!(standing(&mut both, three.0), Standing::Tombstone);
}

pub fn each_contact_has_a_quota<P: Place>() {
    let config = Config { max_person_refused: 20, ..Config::default() };
    let mut world = world_with::<P>(config);
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    world.befriend(&b);
    let refused = |world: &mut World<P>, from: &LocalIdentity, objects: &[Object]| {
        world.receive(from, objects).import.unwrap().refused.len()
    };
    let quota = |world: &mut World<P>, person: PersonId, quota: Quota| {
        world.commit(vec![Write::Quota { person, quota }]);
    };
    let of_a = notes("a", 12);
    let length = of_a[0].1.len() as u64;
    quota(&mut world, a.person_id(), Quota { objects: Some(3), ..Quota::default() });
    assert_eq!(refused(&mut world, &a, &of_a[..5]), 2);
    assert_eq!(refused(&mut world, &b, &notes("b", 5)), 0, "of each for himself");
    world.again();
    assert_eq!(refused(&mut world, &a, &of_a[5..6]), 1);
    let row = QuotaRow {
        limits: Quota {
            objects: Some(3),
            bytes: Some(config.max_person_bytes),
            bytes_per_hour: Some(config.max_person_bytes_per_hour),
            days: None,
        },
        objects: 3,
        bytes: 3 * length,
        refused: 3,
    };
    assert_eq!(world.ask(Read::Quota(a.person_id())), Reply::Quota(row));
    quota(&mut world, a.person_id(), Quota { bytes: Some(4 * length), ..Quota::default() });
    assert_eq!(refused(&mut world, &a, &of_a[6..8]), 1);
    // By the hour of the wall clock.
    quota(&mut world, a.person_id(), Quota { bytes_per_hour: Some(length + 1), ..Quota::default() });
    let hour = |n: u64| Write::Clock(WallTime(n * 3_600_000));
    world.commit(vec![hour(500)]);
    assert_eq!(refused(&mut world, &a, &of_a[8..10]), 1);
    world.commit(vec![hour(501)]);
    assert_eq!(refused(&mut world, &a, &of_a[10..11]), 0);
    assert_eq!(refused(&mut world, &a, &of_a[11..12]), 1);
    let stranger = person("c").person_id();
    let unknown = Write::Quota { person: stranger, quota: Quota::default() };
    assert_eq!(world.fails(vec![unknown]), StoreError::NotAContact(stranger));
    // Refusals alone must not fill the disk either.
    let flood = world.import_of(&a, &notes("flood", 30));
    let error = world.fails(vec![Write::Import(flood)]);
    assert_eq!(error, StoreError::TooManyRefused { person: a.person_id(), limit: 20 });
    assert!(error.is_peers_fault());
    world.again();
}

/// A crash forgets what was given to be sent. What was taken back too early comes back from whoever has it.
pub fn a_crash_forgets_what_was_sent_and_both_converge<P: Place>() {
    let mut both = both::<P>();
    let object = note("sent");
    both.at_a.put(&[object.clone()]);
    both.share(&[object.0]);
    // Sent, and arrived; nobody wrote down the acknowledgement.
    let page = both.at_a.page(&both.b, 0, 1 << 20, false);
    both.at_b.receive(&both.a, &[(page.entries[0].id, page.entries[0].object.clone())]);
    both.at_a.crash();
    assert_eq!(both.revoke(&[object.0]), (1, 0));
    // In the new life everything is exchanged, also what came from there.
    let page = both.at_b.page(&both.a, 0, 1 << 20, true);
    both.at_a.receive(&both.b, &[(page.entries[0].id, page.entries[0].object.clone())]);
    both.equal();
    both.at_a.s().check().unwrap();
    both.at_a.open_again(Opening::Restored);
    both.at_a.s().check().unwrap();
}
