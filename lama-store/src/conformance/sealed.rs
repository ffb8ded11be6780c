//! What holds secrets is sealed before it reaches the engine, and an older store is brought to that.

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::Seed;
use lama_identity::cbor;

use super::Place;
use super::fixture::{World, ids, note, notes, peer, person, setting, storage_key, token, world};
use crate::codec::Writer;
use crate::engine::{Batch, Direction, Table};
use crate::layout::{kind, meta};
use crate::{
    Config, Engine, Opening, PeerRecord, Read, Reply, Secret32, StorageKey, Store, StoreError, Write,
};

/// What must not be read by whoever has the file.
pub const SECRET: &str = "the secret of an invitation that was taken";

/// The key of a pair of instances: no byte pattern that stands anywhere else.
pub const PAIR_KEY: [u8; 32] = *b"pair key of a test, thirty-two b";

/// Writes that carry a token, a pair key and a setting.
pub fn secrets() -> Vec<Write> {
    let who = person("a");
    vec![
        Write::Token { record: token(), expect: None },
        Write::Peer(PeerRecord {
            pair_key: Secret32::new(PAIR_KEY),
            body: Bytes::from_static(SECRET.as_bytes()),
            ..peer(who.person_id(), who.instance_id(), 0)
        }),
        setting("join/1", SECRET),
    ]
}

/// Whether any of the secrets stands in these bytes.
pub fn betrays(bytes: &[u8]) -> bool {
    let psk = token().psk.unwrap();
    let patterns: [&[u8]; 3] = [SECRET.as_bytes(), &PAIR_KEY, psk.expose()];
    patterns.iter().any(|pattern| bytes.windows(pattern.len()).any(|part| part == *pattern))
}

/// All keys and values.
pub fn everything(engine: &impl Engine) -> Vec<u8> {
    let mut all = Vec::new();
    for table in Table::ALL {
        engine
            .scan(table, &[], None, Direction::Up, &mut |key, value| {
                all.extend_from_slice(key);
                all.extend_from_slice(value);
                true
            })
            .unwrap();
    }
    all
}

/// That a store holds what [`secrets`] wrote.
pub fn holds_the_secrets<E: Engine>(store: &mut Store<E>) {
    assert_eq!(store.ask(Read::Tokens), Ok(Reply::Tokens(vec![token()])));
    let Ok(Reply::Peers(peers)) = store.ask(Read::Peers(None)) else { panic!() };
    assert_eq!(peers[0].pair_key.expose(), &PAIR_KEY);
    assert_eq!(peers[0].body, SECRET);
    let found = Ok(Reply::Setting(Some(Bytes::from_static(SECRET.as_bytes()))));
    assert_eq!(store.ask(Read::Setting("join/1".to_string())), found);
    let Ok(Reply::Settings(rows)) = store.ask(Read::Settings("join/".to_string())) else { panic!() };
    assert_eq!(rows.len(), 1);
}

/// Rows of a store as format 1 wrote them.
pub fn format_1() -> Batch {
    let mut batch = Batch::default();
    let mut put = |kind, rest: &[u8], value: Vec<u8>| batch.put(Table::Meta, meta(kind, &[rest]), value);
    put(kind::FORMAT, &[], b"lama-store\x01".to_vec());
    put(kind::EPOCH, &[], b"epoch 1!\x01".to_vec());
    let (who, number) = (person("a"), 1_u32.to_be_bytes());
    put(kind::PERSON, &number, who.person_id().0.to_vec());
    put(kind::INSTANCE, &number, Writer::default().raw(&who.instance_id().0).num(1).0);
    let row = Writer::default().raw(&who.instance_id().0).raw(&who.person_id().0).raw(&PAIR_KEY);
    put(kind::PEER, &number, row.bytes(SECRET.as_bytes()).0);
    put(kind::TOKEN, token().locator.as_bytes(), cbor::encode(&token()).unwrap().to_vec());
    put(kind::SETTING, b"join/1", SECRET.as_bytes().to_vec());
    batch
}

fn open<P: Place>(place: &mut P, key: &StorageKey) -> Result<Store<P::Engine>, StoreError> {
    let engine = place.open()?;
    Store::open(engine, Config::default(), key, Seed::danger_fixed([9; 32]), Opening::Normal)
}

fn closed<P: Place>(mut world: World<P>) -> P {
    let engine = world.store.take().unwrap().close().unwrap();
    world.place.keep(engine);
    world.place
}

pub fn secrets_reach_no_engine_in_clear<P: Place>() {
    let mut world = world::<P>();
    assert!(betrays(SECRET.as_bytes()), "what looks for the secrets finds them");
    world.commit(secrets());
    world.put(&[note("no secret")]);
    holds_the_secrets(world.s());
    let mut place = closed(world);
    let engine = place.open().unwrap();
    let all = everything(&engine);
    assert!(!betrays(&all));
    assert!(all.windows(9).any(|part| part == b"no secret"), "what is no secret is found");
    place.keep(engine);
    holds_the_secrets(&mut open(&mut place, &storage_key()).unwrap());
}

pub fn another_key_is_told_and_changes_nothing<P: Place>() {
    let mut world = world::<P>();
    world.commit(secrets());
    let mut place = closed(world);
    let before = place.open().unwrap();
    let rows = everything(&before);
    place.keep(before);
    let error = open(&mut place, &StorageKey::danger_fixed([0xbb; 32])).map(drop).unwrap_err();
    assert_eq!(error, StoreError::WrongKey);
    assert!(error.to_string().contains("another key"), "{error}");
    let after = place.open().unwrap();
    assert_eq!(everything(&after), rows);
    place.keep(after);
    holds_the_secrets(&mut open(&mut place, &storage_key()).unwrap());
}

pub fn a_sealed_row_opens_in_its_own_place_alone<P: Place>() {
    let mut world = world::<P>();
    world.commit(vec![setting("a", "one"), setting("b", "two")]);
    let mut place = closed(world);
    let mut engine = place.open().unwrap();
    let key = |name: &str| meta(kind::SETTING, &[name.as_bytes()]);
    let mut row = Vec::new();
    engine.read(Table::Meta, &key("a"), &mut |value| row = value.to_vec()).unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Meta, key("b"), row);
    engine.commit(&batch).unwrap();
    place.keep(engine);
    let mut store = open(&mut place, &storage_key()).unwrap();
    let one = Ok(Reply::Setting(Some(Bytes::from_static(b"one"))));
    assert_eq!(store.ask(Read::Setting("a".to_string())), one);
    assert!(matches!(store.ask(Read::Setting("b".to_string())), Err(StoreError::Corrupt(_))));
}

pub fn a_store_of_format_1_is_brought_up_to_date<P: Place>() {
    let mut place = P::default();
    let mut engine = place.open().unwrap();
    engine.commit(&format_1()).unwrap();
    assert!(betrays(&everything(&engine)));
    place.keep(engine);
    let mut store = open(&mut place, &storage_key()).unwrap();
    holds_the_secrets(&mut store);
    assert_eq!(store.epoch(), *b"epoch 1!", "its life goes on");
    assert_eq!(store.is_stale(), Ok(true), "the file may hold old pages");
    let engine = store.close().unwrap();
    assert!(!betrays(&everything(&engine)));
    place.keep(engine);
    // The second time there is nothing to do, and the key counts.
    holds_the_secrets(&mut open(&mut place, &storage_key()).unwrap());
    let error = open(&mut place, &StorageKey::danger_fixed([0xbb; 32])).map(drop).unwrap_err();
    assert_eq!(error, StoreError::WrongKey);
}

pub fn a_copy_holds_what_the_store_says<P: Place>() {
    let mut place = P::default();
    let mut engine = place.open().unwrap();
    engine.commit(&format_1()).unwrap();
    place.keep(engine);
    let engine = open(&mut place, &storage_key()).unwrap().close().unwrap();
    let mut second = P::default();
    let mut copy = second.open().unwrap();
    crate::engine::copy(&engine, &mut copy).unwrap();
    second.keep(copy);
    let mut store = open(&mut second, &storage_key()).unwrap();
    holds_the_secrets(&mut store);
    assert_eq!(store.epoch(), *b"epoch 1!");
    assert_eq!(store.is_stale(), Ok(false));
    store.check().unwrap();
}

/// Turns a store into one of format 3: a row of the tree for each key of the index.
fn to_format_3<E: Engine>(store: &Store<E>) -> Batch {
    let mut batch = Batch::default();
    for table in [Table::Index, Table::Recent] {
        store
            .engine
            .scan(table, &[], None, Direction::Up, &mut |key, _| {
                batch.remove(table, key);
                true
            })
            .unwrap();
    }
    store
        .index
        .each(&store.engine, &mut |key, slot| {
            let mut row = Vec::new();
            key.write_to(&mut row);
            row.truncate(if key.view == 0 { 33 } else { 37 });
            batch.put(Table::Index, row, slot.to_bytes().to_vec());
            Ok(())
        })
        .unwrap();
    batch.put(Table::Meta, meta(kind::FORMAT, &[]), b"lama-store\x03".to_vec());
    batch
}

pub fn an_index_of_format_3_is_written_as_segments<P: Place>() {
    let mut world = world::<P>();
    let (a, b) = (person("a"), person("b"));
    world.befriend(&a);
    world.befriend(&b);
    let objects = notes("old", 300);
    world.put(&objects);
    world.share(&ids(&objects[..200]), a.person_id());
    world.share(&ids(&objects[100..]), b.person_id());
    let (checked, seen) = (world.s().check().unwrap(), world.view(b.person_id()));
    let batch = to_format_3(world.s());
    let mut engine = world.store.take().unwrap().close().unwrap();
    engine.commit(&batch).unwrap();
    world.place.keep(engine);
    // Few rows may be in memory, so that there are levels.
    world.config.recent_entries = 20;
    world.open(Opening::Normal).unwrap();
    assert_eq!(world.s().check().unwrap(), checked);
    assert_eq!(world.view(b.person_id()), seen);
    for (id, bytes) in &objects {
        assert_eq!(world.object(*id).as_ref(), Some(bytes));
    }
    let is_old = |engine: &P::Engine| engine.read(Table::Meta, &meta(kind::OLD_INDEX, &[]), &mut |_| {});
    assert_eq!(is_old(&world.s().engine), Ok(false));
    world.put(&notes("new", 100));
    world.again();
    world.s().check().unwrap();
}
