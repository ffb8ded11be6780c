//! Writes the test vectors of CHUM: `cargo run -p lama-chum --example lama-chum-vectors -- DIR` makes
//! `DIR/chum/*.json`. The same bytes every time. `docs/protocol/chum.md` explains the fields.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use lama_chum::blob::{BlobConfig, Chunker, File, FolderBuilder};
use lama_chum::recon;
use lama_chum::wire::{self, Hello, Label, LogNews, ObjectsWriter, Synced};
use lama_chum::{Chum, Config, Cursor, Fingerprint, Input, Lane, PairKey, Positions, Refusal, ViewHead};
use lama_core::{Instant, Machine, Now, WallTime};
use lama_identity::{Cid, Codec, Object, cbor};
use serde_json::{Value, json};

const NOW: Now = Now { mono: Instant::ORIGIN, wall: WallTime(0) };

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn built(build: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    build(&mut out);
    hex(&out)
}

fn object(text: &str) -> Bytes {
    cbor::encode(&std::collections::BTreeMap::from([("$type$", "Example"), ("text", text)])).unwrap()
}

fn hello(name: &str, head: ViewHead, cursor: Cursor) -> Value {
    json!({
        "name": name,
        "epoch": hex(&head.epoch), "head": head.seq,
        "cursor_epoch": hex(&cursor.epoch), "cursor": cursor.upto.whole(),
        "cursor_objects": cursor.upto.of(Lane::Objects), "cursor_interactive": cursor.upto.of(Lane::Interactive),
        "count": head.count, "fingerprint": head.fingerprint.to_string(),
        "message": built(|out| Hello { head, cursor, news: LogNews::None }.write(out)),
    })
}

fn hellos() -> Value {
    let fingerprint = Fingerprint(core::array::from_fn(|n| n as u8));
    let head = ViewHead { epoch: *b"epoch--A", seq: 1_000_000, count: 999_999, fingerprint };
    json!([
        hello(
            "an empty log, nobody met",
            ViewHead { epoch: *b"epoch--A", ..ViewHead::default() },
            Cursor::default()
        ),
        hello("a known peer", head, Cursor::all(*b"epoch--B", 77)),
        hello(
            "a known peer, cut while a blob was on its way",
            head,
            Cursor { epoch: *b"epoch--B", upto: Positions::new([90, 80, 78, 77]).unwrap() }
        ),
    ])
}

fn objects_message(name: &str, upto: u64, head: u64, objects: &[(Codec, Bytes)]) -> Value {
    let message = built(|out| {
        let mut writer = ObjectsWriter::begin(out);
        objects.iter().for_each(|(codec, bytes)| writer.push(*codec, bytes));
        writer.finish(Label::default(), upto, head);
    });
    let objects: Vec<Value> = objects
        .iter()
        .map(|(codec, bytes)| json!({ "id": Cid::of(*codec, bytes).to_string(), "bytes": hex(bytes) }))
        .collect();
    json!({ "name": name, "upto": upto, "head": head, "objects": objects, "message": message })
}

fn objects() -> Value {
    let (small, chunk) = ((Codec::DagCbor, object("hello")), (Codec::Raw, Bytes::from_static(b"raw bytes")));
    let long = (Codec::Raw, Bytes::from(vec![0x5a; 300]));
    json!([
        objects_message("one object", 1, 1, std::slice::from_ref(&small)),
        objects_message("an object, a chunk, a chunk with a longer length", 7, 9, &[small, chunk, long]),
    ])
}

/// Messages that end the session, after HELLO of a peer whose log has 100 entries, and the code of the rule.
fn refused() -> Value {
    let objects = |count: &str, rest: &str| format!("010000000100000064{count}{rest}");
    let cases = [
        ("no bytes", String::new()),
        ("an unknown type", "06".to_owned()),
        ("OBJECTS of lanes that there are not", "c1".to_owned() + &"00".repeat(12)),
        ("ACK that is waited for", "0a00000000".to_owned()),
        ("HELLO again", "10".to_owned() + &"00".repeat(44)),
        ("ACK, too short", "02000000".to_owned()),
        ("ACK of what was not sent", "0200000001".to_owned()),
        ("SYNCED, too long", "03".to_owned() + &"00".repeat(29)),
        ("SYNCED below the head that HELLO named", "0300000063".to_owned() + &"00".repeat(24)),
        ("OBJECTS without an object", objects("0000", "")),
        ("OBJECTS that announce more than there is", objects("0002", "0361")),
        ("OBJECTS with more than announced", objects("0001", "036100")),
        ("an object that ends too soon", objects("0001", "0761")),
        ("an object without bytes", objects("0001", "0100")),
        ("a length not in its shortest form", objects("0001", "830061")),
        ("an object above 1 MiB", objects("0001", "8380800161")),
        ("an object that is not canonical", objects("0001", "041801")),
        ("a sequence number beyond the head", "0100000065000000640001036 1".replace(' ', "")),
        ("a head that fell", "010000000100000063000103 61".replace(' ', "")),
        ("GONE without an id", "050000000100000064".to_owned()),
        ("GONE with an id of an unknown codec", "05000000010000006470".to_owned() + &"00".repeat(32)),
        ("REFUSED though nothing was sent", "0471".to_owned() + &"00".repeat(32) + "01"),
    ];
    let case = |(name, message): (&str, String)| {
        let head = ViewHead { epoch: [1; 8], seq: 5, count: 5, fingerprint: Fingerprint([1; 16]) };
        let mut chum = Chum::new(Config::default(), head, Cursor::all([2; 8], 0), PairKey::new([0; 32]));
        let theirs = ViewHead { epoch: [2; 8], seq: 100, count: 100, fingerprint: Fingerprint([2; 16]) };
        let mut out = BytesMut::new();
        Hello { head: theirs, cursor: Cursor::all([1; 8], 0), news: LogNews::None }.write(&mut out);
        chum.handle(NOW, Input::Message(out.freeze())).unwrap();
        let bytes = HEXLOWER.decode(message.as_bytes()).unwrap();
        let error = chum.handle(NOW, Input::Message(bytes.into())).unwrap_err();
        json!({ "name": name, "message": message, "code": error.code() })
    };
    cases.into_iter().map(case).collect()
}

/// Messages of a log of 100 entries of which nothing is there, how far each lane is with them, and what acknowledges
/// them once they are durable.
fn lanes() -> Value {
    let chunk = |text: &'static str| (Codec::Raw, Bytes::from_static(text.as_bytes()));
    let mut at = Positions::all(0);
    let mut step = |name: &str, covers, urgent, upto, objects: &[(Codec, Bytes)]| {
        let label = Label { covers, urgent };
        at.raise(covers, upto);
        let message = built(|out| {
            let mut writer = ObjectsWriter::begin(out);
            objects.iter().for_each(|(codec, bytes)| writer.push(*codec, bytes));
            writer.finish(label, upto, 100);
        });
        let acknowledged = built(|out| wire::ack(covers, upto, out));
        json!({ "name": name, "message": message, "positions": at.to_array(), "acknowledged": acknowledged })
    };
    let received = json!([
        step("a message before all else", Lane::Interactive, true, 100, &[(Codec::DagCbor, object("hello"))]),
        step("an object before a blob", Lane::Objects, false, 60, &[(Codec::DagCbor, object("an object"))]),
        step("a chunk, and nothing else up to there", Lane::LAST, false, 50, &[chunk("a chunk")]),
        step("the last chunk", Lane::LAST, false, 100, &[chunk("the last chunk")]),
    ]);
    let again = built(|out| {
        let mut writer = ObjectsWriter::begin(out);
        writer.push(Codec::DagCbor, &object("hello"));
        writer.finish(Label { covers: Lane::Interactive, urgent: true }, 100, 100);
    });
    json!({
        "received": received,
        "refused": [
            { "name": "a lane that does not move", "message": again },
            { "name": "lanes that there are not", "message": "c1".to_owned() + &again[2..] },
            { "name": "an acknowledgement that is waited for", "message": "0a00000000" },
        ],
    })
}

fn short() -> Value {
    let fingerprint = Fingerprint([0xf0; 16]);
    let synced = Synced { own: 1_000, peer: 2_000, count: 2_900, fingerprint };
    let ids = [Cid::of_object(b"a"), Cid::of_chunk(b"b")];
    let reasons = [Refusal::Quota, Refusal::Other(200)];
    json!({
        "ack": { "upto": 66_051, "message": built(|out| wire::ack(Lane::LAST, 66_051, out)) },
        "synced": {
            "own": 1_000, "peer": 2_000, "count": 2_900, "fingerprint": fingerprint.to_string(),
            "message": built(|out| synced.write(out)),
        },
        "gone": {
            "upto": 7, "head": 9, "ids": [ids[0].to_string(), ids[1].to_string()],
            "message": built(|out| {
                wire::write_gone(Label::default(), 7, 9, ids.into_iter(), out);
            }),
        },
        "refused": {
            "objects": [
                { "id": ids[0].to_string(), "reason": 1 },
                { "id": ids[1].to_string(), "reason": 200 },
            ],
            "message": built(|out| wire::write_refused(ids.into_iter().zip(reasons), out)),
        },
    })
}

fn fingerprints() -> Value {
    let pair_key: [u8; 32] = core::array::from_fn(|n| n as u8);
    let by = PairKey::new(pair_key).fingerprinter();
    let ids = [Cid::of_object(&object("one")), Cid::of_object(&object("two")), Cid::of_chunk(b"three")];
    let mut all = Fingerprint::default();
    let members: Vec<Value> = ids
        .iter()
        .map(|id| {
            all.add(&by, id);
            json!({ "id": id.to_string(), "fingerprint": by.of(id).to_string() })
        })
        .collect();
    json!({ "pair_key": hex(&pair_key), "members": members, "set": all.to_string() })
}

fn blobs() -> Value {
    let cut = |data: &[u8], chunk_size: usize| {
        let mut chunker = Chunker::new(BlobConfig { chunk_size, ..BlobConfig::default() }).unwrap();
        let mut rest = data;
        while !rest.is_empty() {
            chunker.push(&mut rest).unwrap();
        }
        let finished = chunker.finish().unwrap();
        let manifest = &finished.objects.last().unwrap().1;
        let blob = json!({
            "data": hex(data), "chunk_size": chunk_size,
            "manifest": hex(manifest), "id": finished.root.to_string(),
        });
        (blob, finished.root)
    };
    let (empty, _) = cut(b"", 256 << 10);
    let (blob, root) = cut(b"twelve bytes and four", 8);
    let file = File::new("notes.txt", 21, false, root).unwrap().to_bytes().unwrap();
    let mut folder = FolderBuilder::new("shared").unwrap();
    folder.file("docs/notes.txt", 21, false, root).unwrap();
    folder.file("run.sh", 21, true, root).unwrap();
    let built = folder.finish().unwrap();
    let folders: Vec<Value> = built
        .objects
        .iter()
        .map(|(id, bytes)| json!({ "id": id.to_string(), "bytes": hex(bytes) }))
        .collect();
    json!({
        "blobs": [empty, blob],
        "file": { "id": Cid::of_object(&file).to_string(), "bytes": hex(&file) },
        "folders, children first": folders,
    })
}

fn reconciliation() -> Value {
    let pair_key: [u8; 32] = core::array::from_fn(|n| n as u8);
    let keys = [0, 1].map(|salt| PairKey::new(pair_key).short_key(salt));
    let ids: Vec<Cid> = (0..200).map(|n| Cid::of_chunk(format!("id {n}").as_bytes())).collect();
    let short_ids: Vec<Value> = ids[..4]
        .iter()
        .map(|id| {
            let of = |key: &recon::ShortKey| {
                let short = key.short(id);
                json!({ "short": format!("{short:016x}"), "check": format!("{:08x}", key.check(short)) })
            };
            json!({ "id": id.to_string(), "salt 0": of(&keys[0]), "salt 1": of(&keys[1]) })
        })
        .collect();
    let mapping: Vec<Value> = ids[..12]
        .iter()
        .map(|id| {
            let (short, mut cells) = (keys[0].short(id), Vec::new());
            recon::each_cell(short, 0, recon::MAX_CELLS, |cell| cells.push(cell));
            cells.sort_unstable();
            json!({ "short": format!("{short:016x}"), "cells": cells })
        })
        .collect();
    let shorts: Vec<u64> = ids.iter().map(|id| keys[0].short(id)).collect();
    let sketch = |shorts: &[u64]| {
        let mut sketch = recon::Sketch::default();
        shorts.iter().for_each(|short| sketch.add(&keys[0], *short));
        sketch
    };
    let (a, b) = (sketch(&shorts[..160]), sketch(&shorts[30..]));
    let mut ranked = shorts.clone();
    ranked.sort_unstable();
    let scaled: Vec<u64> = ranked.iter().map(|short| recon::scale(*short, 200)).collect();
    let plans: Vec<Value> = [
        (10, 100),
        (100, 1_000),
        (4_001, 1_000_000),
        (90_000, 1_000_000),
        (500, 1_000),
        (900_000, 800_000),
    ]
    .into_iter()
    .map(|(estimate, smaller)| {
        let plan = recon::Plan::new(estimate, smaller);
        let how = if matches!(plan, recon::Plan::List { .. }) { "list" } else { "cells" };
        json!({ "estimate": estimate, "smaller": smaller, "how": how, "ranges": 1_u32 << plan.ranges() })
    })
    .collect();
    json!({
        "pair_key": hex(&pair_key),
        "ids are chunks of the text": "id 0, id 1, ... id 199",
        "short ids": short_ids,
        "mapping": mapping,
        "sketches": {
            "ids 0 to 159": built(|out| a.write(160, out)),
            "ids 30 to 199": built(|out| b.write(170, out)),
            "estimate of the difference": a.minus(&b).estimate(),
        },
        "cells 100 to 109 of ids 0 to 199": built(|out| {
            recon::write_cells(&recon::cells(&keys[0], &shorts, 100, 110), 100, 200, out);
        }),
        "list of ids 0 to 199": {
            "first": scaled[0], "last": scaled[199],
            "bytes": built(|out| recon::write_list(0, scaled.iter().copied(), out)),
        },
        "plans": plans,
    })
}

/// Every file below `vectors/`, without its ending.
pub(crate) fn files() -> Vec<(&'static str, Value)> {
    vec![
        ("chum/hello", hellos()),
        ("chum/objects", objects()),
        ("chum/refused", refused()),
        ("chum/short", short()),
        ("chum/lanes", lanes()),
        ("chum/fingerprint", fingerprints()),
        ("chum/blob", blobs()),
        ("chum/reconciliation", reconciliation()),
    ]
}

/// Writes them; in another program's tests they are only compared.
#[allow(dead_code)]
fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("usage: vectors DIR"));
    for (name, value) in files() {
        let text = serde_json::to_string_pretty(&value).expect("plain data") + "\n";
        let path = dir.join(name).with_extension("json");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the directory can be made");
        std::fs::write(path, text).expect("the file can be written");
    }
}
