//! Three nodes, one of them hostile: its session ends with the reason, and the other one does not notice. The store is a
//! real one, so what a hostile peer can ask it is asked here too.

use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};
use core::time::Duration;
use lama_chum::recon::Sketch;
use lama_chum::wire::{self, ObjectsWriter, Recon, Synced, WantFlags};
use lama_chum::{ChumError, Fingerprint, Refusal};
use lama_identity::{Cid, Codec, cbor};

use super::{World, secs};
use crate::{Command, EndReason, Event, LinkId, PeerState, Reply};

const A: &str = "ws://localhost:1001";
/// Objects that ada shares with eve before anything happens.
const SHARED: usize = 400;

fn object(text: &str) -> (Cid, Bytes) {
    let bytes = cbor::encode(&BTreeMap::from([("text", text)])).unwrap();
    (Cid::of_object(&bytes), bytes)
}

/// Ada, honest ben, and eve, whose session with ada is a puppet's.
struct Scene {
    world: World,
    ada: usize,
    ben: usize,
    eve: usize,
    link: LinkId,
    /// What ada and eve had in common when eve turned.
    head: lama_chum::ViewHead,
    hidden: Cid,
}

fn scene() -> Scene {
    let mut world = World::new();
    let ada = world.add("ada@lama.local", Some(A));
    let (ben, eve) = (world.add("ben@lama.local", None), world.add("eve@lama.local", None));
    world.pair(ada, ben);
    world.pair(ada, eve);
    let hidden = object("hidden");
    let mut objects: Vec<_> = (0..SHARED).map(|n| object(&std::format!("shared {n}"))).collect();
    let shared: Vec<Cid> = objects.iter().map(|object| object.0).collect();
    let all = cbor::encode(&BTreeMap::from([("all", shared)])).unwrap();
    let root = Cid::of_object(&all);
    objects.extend([(root, all), hidden.clone()]);
    world.ask(ada, Command::Put { objects }).unwrap();
    let with = vec![world.person(eve)];
    world.ask(ada, Command::Share { root, with, note: None }).unwrap();
    let with = vec![world.person(ben)];
    world.ask(ada, Command::Share { root: hidden.0, with, note: None }).unwrap();
    world.run(secs(5));
    let (person, instance) = (world.person(ada), world.actors[ada].node.identity.public.instance_id());
    let read = lama_store::Read::Head { person, instance };
    let Ok(lama_store::Reply::Head(Some(head))) = world.store(eve).ask(read) else { panic!() };
    let link = world.possess(eve, ada);
    Scene { world, ada, ben, eve, link, head: head.head, hidden: hidden.0 }
}

impl Scene {
    fn say(&mut self, build: impl FnOnce(&mut BytesMut)) {
        let mut out = BytesMut::new();
        build(&mut out);
        self.world.say_raw(self.link, out);
        self.world.run(secs(1));
    }

    /// Why ada ended the session with eve.
    fn ended(&self) -> Option<EndReason> {
        let eve = self.world.person(self.eve);
        self.world.actors[self.ada].events.iter().find_map(|event| match event {
            Event::SessionEnded { peer, reason, .. } if peer.person == eve => Some(reason.clone()),
            _ => None,
        })
    }

    /// RECON about ada's set and `more` ids that nobody has.
    fn recon(&mut self, more: u64) {
        let ids = self.ids();
        let snapshot = self.head.seq;
        let key = self.key();
        let mut sketch = Sketch::default();
        ids.iter().for_each(|id| sketch.add(&key, key.short(id)));
        (0..more).for_each(|n| sketch.add(&key, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let count = ids.len() as u64 + more;
        self.say(|out| Recon { round: 1, snapshot, count, sketch }.write(out));
    }

    /// The ids of ada's view of eve.
    fn ids(&mut self) -> Vec<Cid> {
        let person = self.world.person(self.eve);
        let read = lama_store::Read::Ids { person, after: 0, limit: 100_000 };
        let Ok(lama_store::Reply::Ids(page)) = self.world.store(self.ada).ask(read) else { panic!() };
        page.ids.into_iter().map(|(_, id)| id).collect()
    }

    fn key(&mut self) -> lama_chum::recon::ShortKey {
        let (person, instance) =
            (self.world.person(self.eve), self.world.actors[self.eve].node.identity.public.instance_id());
        let read = lama_store::Read::Head { person, instance };
        let Ok(lama_store::Reply::Head(Some(head))) = self.world.store(self.ada).ask(read) else { panic!() };
        lama_chum::PairKey::new(*head.pair_key.expose()).short_key(1)
    }

    /// Ben, meanwhile: what is said arrives both ways, in the session that was there before.
    fn ben_does_not_notice(&mut self) {
        let (ada, ben) = (self.ada, self.ben);
        let (pa, pb) = (self.world.person(ada), self.world.person(ben));
        self.world.say(ada, ben, "how are you?");
        self.world.say(ben, ada, "well, thank you");
        assert_eq!(self.world.texts(ben, pa), ["how are you?", "well, thank you"]);
        assert_eq!(self.world.texts(ada, pb), ["how are you?", "well, thank you"]);
        for (actor, other) in [(ada, pb), (ben, pa)] {
            let Ok(Reply::Status(status)) = self.world.ask(actor, Command::Status) else { panic!() };
            let peer = status.peers.iter().find(|peer| peer.peer.person == other).unwrap();
            assert_eq!(peer.state, PeerState::InSync);
            let ended =
                |event: &Event| matches!(event, Event::SessionEnded { peer, .. } if peer.person == other);
            assert!(!self.world.actors[actor].events.iter().any(ended));
        }
    }
}

fn chunks(upto: u64, head: u64, count: usize, len: usize) -> BytesMut {
    let mut out = BytesMut::new();
    let mut writer = ObjectsWriter::begin(&mut out);
    (0..count).for_each(|n| writer.push(Codec::Raw, &vec![n as u8; len]));
    writer.finish(wire::Label::default(), upto, head);
    out
}

/// What a hostile peer says, and the error with which its session ends.
type Case = (&'static str, fn(&mut Scene), ChumError);

#[test]
fn every_offence_ends_its_own_session_with_its_reason_and_no_other() {
    let out_of_turn = |kind| ChumError::ReconOutOfTurn { kind };
    let cases: [Case; 10] = [
        ("nonsense", |eve| eve.say(|out| out.put_bytes(0xee, 9)), ChumError::UnknownMessage { kind: 0xee }),
        (
            "a want out of turn",
            |eve| eve.say(|out| wire::write_want(WantFlags::Last, &[7], out)),
            out_of_turn(0x23),
        ),
        (
            "more wants than there are objects",
            |eve| {
                eve.recon(24);
                eve.say(|out| wire::write_want(WantFlags::Part, &[7; 1_000], out));
            },
            ChumError::WantBeyondSet,
        ),
        (
            "the same round twice",
            |eve| {
                eve.recon(24);
                eve.recon(24);
            },
            out_of_turn(0x20),
        ),
        (
            "MORE without end",
            |eve| {
                eve.recon(24);
                (0..200).for_each(|_| eve.world.say_raw(eve.link, &b"\x25\0\0"[..]));
                eve.world.run(secs(30));
            },
            out_of_turn(0x25),
        ),
        (
            "objects without end, and nothing waits for the store",
            |eve| {
                eve.world.store_delay = secs(3_600);
                let seq = eve.head.seq;
                (1..20).for_each(|n| {
                    let flood = chunks(seq + n, seq + 100, 1, 1 << 20);
                    eve.world.say_raw(eve.link, flood);
                });
                eve.world.run(secs(30));
                eve.world.store_delay = Duration::ZERO;
            },
            ChumError::CreditExceeded,
        ),
        (
            "GONE without end",
            |eve| {
                eve.world.store_delay = secs(3_600);
                let seq = eve.head.seq;
                for n in 1..100_u64 {
                    let ids = (0..1_024_u64).map(|at| Cid::of_chunk(&(n << 32 | at).to_be_bytes()));
                    let mut out = BytesMut::new();
                    wire::write_gone(wire::Label::default(), seq + n, seq + 100, ids, &mut out);
                    eve.world.say_raw(eve.link, out);
                }
                eve.world.run(secs(30));
                eve.world.store_delay = Duration::ZERO;
            },
            ChumError::CreditExceeded,
        ),
        (
            "REFUSED without end",
            |eve| {
                let id = object("shared 0").0;
                for _ in 0..10 {
                    eve.say(|out| wire::write_refused([(id, Refusal::Quota); 1_000].into_iter(), out));
                }
            },
            ChumError::RefusedUnsent,
        ),
        (
            "an object that is none",
            |eve| {
                let seq = eve.head.seq;
                eve.say(|out| {
                    let mut writer = ObjectsWriter::begin(out);
                    writer.push(Codec::DagCbor, b"\xa0\x00");
                    writer.finish(wire::Label::default(), seq + 1, seq + 1);
                });
            },
            ChumError::NotCanonical(lama_identity::EncodingError::Trailing),
        ),
        (
            "an acknowledgement of nothing",
            |eve| eve.say(|out| wire::ack(lama_chum::Lane::Blobs, 1 << 30, out)),
            ChumError::AckBeyondSent,
        ),
    ];
    for (name, attack, error) in cases {
        let mut scene = scene();
        attack(&mut scene);
        assert_eq!(scene.ended(), Some(EndReason::Chum(error)), "{name}");
        scene.ben_does_not_notice();
    }
}

#[test]
fn a_peer_that_answers_nothing_holds_up_nobody_else() {
    let mut scene = scene();
    // A round begins that eve never goes on with; ada has more for her meanwhile, which waits.
    scene.recon(24);
    let with = vec![scene.world.person(scene.eve)];
    let (id, bytes) = object("later");
    scene.world.ask(scene.ada, Command::Put { objects: vec![(id, bytes)] }).unwrap();
    scene.world.ask(scene.ada, Command::Share { root: id, with, note: None }).unwrap();
    scene.ben_does_not_notice();
    assert_eq!(scene.ended(), None);
}

#[test]
fn links_that_lead_nowhere_or_in_thousands_are_set_aside_and_give_nothing() {
    let mut scene = scene();
    let (nowhere, hidden, seq) = (Cid::of_chunk(b"nowhere"), scene.hidden, scene.head.seq);
    let link = |to: &Cid| [&[0xd8, 42, 0x58, 37, 0][..], &to.as_bytes()].concat();
    let array = |count: u16, links: Vec<u8>| [&[0x99][..], &count.to_be_bytes(), &links].concat();
    let many: Vec<u8> = (0..25_000_u32).flat_map(|n| link(&Cid::of_chunk(&n.to_be_bytes()))).collect();
    let nowhere = [array(1_000, link(&nowhere).repeat(1_000)), array(25_000, many)];
    let objects = nowhere.iter().cloned().chain([array(300, link(&hidden).repeat(300))]);
    for (n, object) in (1..).zip(objects) {
        scene.say(|out| {
            let mut writer = ObjectsWriter::begin(out);
            writer.push(Codec::DagCbor, &object);
            writer.finish(wire::Label::default(), seq + n, seq + 3);
        });
        scene.world.run(secs(5));
    }
    for object in nowhere {
        let id = Cid::of_object(&object);
        assert_eq!(scene.world.ask(scene.ada, Command::Object { id }), Ok(Reply::Object(None)), "set aside");
    }
    assert_eq!(scene.ended(), None);
    // What she links to is not given to her for that.
    let heard = &scene.world.puppets[&scene.link].heard;
    let objects = heard.iter().filter(|message| message[0] == wire::OBJECTS);
    assert_eq!(objects.count(), 0);
    scene.ben_does_not_notice();
}

#[test]
fn a_want_for_what_is_hidden_is_answered_as_one_for_nothing() {
    let answer = |wanted: fn(&Scene) -> Vec<Cid>| {
        let mut scene = scene();
        let (key, ids) = (scene.key(), wanted(&scene));
        let shorts: Vec<u64> = ids.iter().map(|id| key.short(id)).collect();
        scene.recon(24);
        scene.world.trace.clear();
        scene.say(|out| wire::write_want(WantFlags::Last, &shorts, out));
        let own = scene.head;
        let lie = Synced { own: own.seq, peer: 0, count: own.count, fingerprint: Fingerprint([1; 16]) };
        scene.say(|out| lie.write(out));
        scene.world.run(secs(10));
        assert_eq!(scene.ended(), None);
        let frames: Vec<_> = scene.world.trace.iter().map(|(at, link, len, _)| (*at, *link, *len)).collect();
        (frames, scene.world.puppets[&scene.link].heard.clone())
    };
    let hidden = answer(|scene| vec![scene.hidden]);
    let nothing = answer(|_| vec![object("nothing").0]);
    let shown = answer(|_| vec![object("shared 7").0]);
    assert_eq!(hidden, nothing);
    let objects = |(_, heard): &(Vec<_>, Vec<Bytes>)| heard.iter().any(|said| said[0] == wire::OBJECTS);
    assert!(!objects(&hidden) && objects(&shown), "what she may see she gets");
}
