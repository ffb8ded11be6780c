//! Contacts, tokens, peers, settings; groups of commits; lives of a store.

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::{Acked, Cursor, Lanes, NO_EPOCH, Positions};
use lama_core::Seed;
use lama_identity::ContactState;
use lama_invite::{StateTag, TokenRecord, TokenState, Use};

use super::Place;
use super::fixture::{NOW, contact, group, linked, note, peer, person, setting, storage_key, token, world};
use crate::engine::{Batch, Table};
use crate::layout::{kind, meta};
use crate::{Config, Engine, Opening, Read, Reply, Request, Store, StoreError, TrustRecord, Write};

fn tokens<P: Place>(world: &mut super::fixture::World<P>) -> Vec<TokenRecord> {
    let Reply::Tokens(tokens) = world.ask(Read::Tokens) else { panic!() };
    tokens
}

pub fn one_of_two_who_race_for_a_token_wins<P: Place>() {
    let mut world = world::<P>();
    let issued = token();
    world.commit(vec![Write::Token { record: issued.clone(), expect: None }]);
    let (a, b) = (person("a"), person("b"));
    let consume = |who: &lama_identity::LocalIdentity| {
        let mut record = issued.clone();
        record.state = TokenState::Consumed(Use {
            by_static: *who.public().noise(),
            by_person: who.person_id(),
            h: [0; 32],
            t: NOW.0,
        });
        vec![
            Write::Token { record, expect: Some(StateTag::Issued) },
            Write::Contact(contact(who, ContactState::Pending)),
        ]
    };
    let replies = group(world.s(), vec![consume(&a), consume(&b)]);
    assert!(matches!(replies[0], Ok(Reply::Committed(_))), "{replies:?}");
    let Ok(Reply::Conflict(Some(stands))) = &replies[1] else { panic!("{replies:?}") };
    assert_eq!(stands.state.tag(), StateTag::Consumed);
    world.again();
    assert_eq!(tokens(&mut world).len(), 1);
    let Reply::Contacts(contacts) = world.ask(Read::Contacts) else { panic!() };
    assert_eq!(contacts.iter().map(lama_identity::Contact::id).collect::<Vec<_>>(), [a.person_id()]);
}

pub fn a_conflict_changes_nothing<P: Place>() {
    let mut world = world::<P>();
    let writes = vec![setting("a", "1"), Write::Token { record: token(), expect: Some(StateTag::Issued) }];
    assert_eq!(world.s().commit(writes), Ok(Reply::Conflict(None)));
    assert_eq!(world.ask(Read::Setting("a".to_string())), Reply::Setting(None));
    assert!(tokens(&mut world).is_empty());
}

pub fn a_commit_that_fails_leaves_no_trace_and_disturbs_no_other<P: Place>() {
    let mut world = world::<P>();
    let (good, missing) = (note("good"), note("missing"));
    let bad = linked("bad", &[missing.0], &[]);
    let replies = group(
        world.s(),
        vec![
            vec![Write::Put { objects: vec![good.clone()] }, setting("first", "1")],
            vec![setting("second", "2"), Write::Put { objects: vec![note("also lost"), bad.clone()] }],
            vec![setting("third", "3")],
        ],
    );
    assert!(replies[0].is_ok() && replies[2].is_ok(), "{replies:?}");
    assert_eq!(replies[1], Err(StoreError::MissingLink { id: bad.0, missing: missing.0 }));
    world.again();
    assert_eq!(world.object(good.0), Some(good.1));
    assert_eq!(world.object(note("also lost").0), None);
    let Reply::Settings(settings) = world.ask(Read::Settings(alloc::string::String::new())) else { panic!() };
    assert_eq!(settings.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["first", "third"]);
}

pub fn reads_see_the_commits_before_them<P: Place>() {
    let mut world = world::<P>();
    let object = note("seen");
    let requests = [
        Request::Read(Read::Object(object.0)),
        Request::Commit(vec![Write::Put { objects: vec![object.clone()] }]),
        Request::Read(Read::Object(object.0)),
        Request::Read(Read::Stats),
    ];
    let replies = world.s().execute(&requests);
    assert_eq!(replies[0], Ok(Reply::Object(None)));
    assert_eq!(replies[2], Ok(Reply::Object(Some(object.1))));
    let Ok(Reply::Stats(stats)) = replies[3] else { panic!() };
    assert_eq!(stats.objects, 1);
}

pub fn contacts_trust_peers_and_settings_come_back<P: Place>() {
    let mut world = world::<P>();
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    let trust = TrustRecord { person: a.person_id(), slot: [1; 8], body: Bytes::from_static(b"certificate") };
    let other = TrustRecord { person: b.person_id(), slot: [2; 8], body: Bytes::from_static(b"another") };
    world.commit(vec![
        Write::Trust(trust.clone()),
        Write::Trust(other.clone()),
        Write::Contact(contact(&b, ContactState::Pending)),
        setting("x/1", "one"),
        setting("x/2", "two"),
        setting("y", "three"),
    ]);
    world.commit(vec![Write::Setting { key: "y".to_string(), value: None }]);
    world.again();
    let Reply::Contacts(contacts) = world.ask(Read::Contacts) else { panic!() };
    assert_eq!(contacts.len(), 2);
    assert_eq!(world.ask(Read::Trust(Some(a.person_id()))), Reply::Trust(vec![trust.clone()]));
    let Reply::Trust(all) = world.ask(Read::Trust(None)) else { panic!() };
    assert_eq!(all.len(), 2);
    let record = peer(a.person_id(), a.instance_id(), 7);
    assert_eq!(world.ask(Read::Peers(Some(a.person_id()))), Reply::Peers(vec![record.clone()]));
    assert_eq!(world.ask(Read::Peers(None)), Reply::Peers(vec![record]));
    assert_eq!(world.ask(Read::Setting("y".to_string())), Reply::Setting(None));
    let Reply::Settings(rows) = world.ask(Read::Settings("x/".to_string())) else { panic!() };
    assert_eq!(rows.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x/1", "x/2"]);
}

pub fn a_removed_contact_takes_his_records_along<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    let trust = TrustRecord { person: a.person_id(), slot: [1; 8], body: Bytes::new() };
    world.commit(vec![Write::Trust(trust)]);
    world.put(&[note("secret")]);
    world.share(&[note("secret").0], a.person_id());
    world.commit(vec![Write::RemoveContact(a.person_id())]);
    for _ in 0..2 {
        assert_eq!(world.ask(Read::Contacts), Reply::Contacts(vec![]));
        assert_eq!(world.ask(Read::Trust(None)), Reply::Trust(vec![]));
        assert_eq!(world.ask(Read::Peers(None)), Reply::Peers(vec![]));
        assert_eq!(world.head(&a), None);
        let (person, instance) = (a.person_id(), a.instance_id());
        let page = Read::Page { person, instance, after: 0, lanes: Lanes::ALL, max_bytes: 1000, whole: true };
        assert_eq!(world.s().ask(page), Err(StoreError::UnknownPeer(instance)));
        world.again();
    }
    // A peer record alone does not open the view again.
    world.commit(vec![Write::Peer(peer(a.person_id(), a.instance_id(), 7))]);
    let (person, instance) = (a.person_id(), a.instance_id());
    let page = Read::Page { person, instance, after: 0, lanes: Lanes::ALL, max_bytes: 1000, whole: true };
    assert_eq!(world.s().ask(page), Err(StoreError::NotAContact(person)));
}

pub fn the_epoch_lives_until_a_crash_or_a_restore<P: Place>() {
    let mut world = world::<P>();
    let a = person("a");
    world.befriend(&a);
    let first = world.s().epoch();
    assert_ne!(first, lama_chum::NO_EPOCH);
    world.commit(vec![Write::Acked {
        instance: a.instance_id(),
        acked: Acked { cursor: Cursor::all(first, 3), life: NO_EPOCH },
    }]);
    world.again();
    assert_eq!(world.s().epoch(), first);
    assert_eq!(world.head(&a).unwrap().acked, Positions::all(3));
    world.crash();
    let second = world.s().epoch();
    assert_ne!(second, first);
    // What was acknowledged speaks of the life before.
    assert_eq!(world.head(&a).unwrap().acked, Positions::all(0));
    world.commit(vec![Write::Acked {
        instance: a.instance_id(),
        acked: Acked { cursor: Cursor::all(first, 3), life: NO_EPOCH },
    }]);
    assert_eq!(world.head(&a).unwrap().acked, Positions::all(0));
    let engine = world.store.take().unwrap().close().unwrap();
    world.place.keep(engine);
    world.open(Opening::Restored).unwrap();
    assert_ne!(world.s().epoch(), second);
    let engine = world.store.take().unwrap().danger_into_engine();
    world.place.keep(engine);
    world.config = Config { new_epoch_after_crash: false, ..Config::default() };
    world.open(Opening::Normal).unwrap();
    let third = world.s().epoch();
    world.crash();
    assert_eq!(world.s().epoch(), third);
}

pub fn limits_of_records_are_kept<P: Place>() {
    let mut world = world::<P>();
    let long = |length| Bytes::from(vec![0; length]);
    let mut record = peer(person("a").person_id(), person("a").instance_id(), 1);
    record.body = long((16 << 10) + 1);
    let trust = TrustRecord { person: record.person, slot: [0; 8], body: long((16 << 10) + 1) };
    let cases = [
        Write::Peer(record),
        Write::Trust(trust),
        Write::Setting { key: "k".to_string(), value: Some(long((64 << 10) + 1)) },
        Write::Setting { key: "k".repeat(256), value: None },
    ];
    for write in cases {
        assert!(matches!(world.fails(vec![write]), StoreError::Limit { .. }));
    }
}

pub fn a_newer_format_is_refused_and_so_is_what_is_no_store<P: Place>() {
    let open = |key: Vec<u8>, value: Vec<u8>| {
        let mut place = P::default();
        let mut engine = place.open().unwrap();
        let mut batch = Batch::default();
        batch.put(Table::Meta, key, value);
        engine.commit(&batch).unwrap();
        Store::open(engine, Config::default(), &storage_key(), Seed::danger_fixed([1; 32]), Opening::Normal)
            .map(|_| ())
    };
    let format = meta(kind::FORMAT, &[]);
    let newer = StoreError::NewerFormat { found: 5, supported: 4 };
    assert_eq!(open(format.clone(), b"lama-store\x05".to_vec()), Err(newer));
    assert_eq!(open(format, b"other-store\x01".to_vec()), Err(StoreError::NotAStore));
    assert_eq!(open(b"stray".to_vec(), vec![]), Err(StoreError::NotAStore));
}
