//! The encoding itself: values, what another implementation wrote, and what is refused.

use ciborium::Value as Cbor;
use lama_identity::{Cid, cbor};
use serde_json::{Value, json};

use super::common;
use super::notation::{from_json, hex, to_json};

fn case(name: &str, value: &Cbor) -> Value {
    json!({"name": name, "value": to_json(value), "bytes": hex(&cbor::encode(value).unwrap())})
}

/// Values at the borders of the encoding.
pub(crate) fn values() -> Value {
    let text = |text: &str| Cbor::Text(text.into());
    let mut cases = Vec::new();
    for int in [0, 1, 23, 24, 255, 256, 65_535, 65_536, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
        cases.push(case(&format!("integer {int}"), &Cbor::from(int)));
    }
    for int in [-1, -24, -25, -256, -257, -65_536, -65_537, -0x1_0000_0000, -0x1_0000_0001, i64::MIN] {
        cases.push(case(&format!("integer {int}"), &Cbor::from(int)));
    }
    for float in [0.0, -0.0, 1.0, -1.5, 0.1, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
        cases.push(case(&format!("float {float:e}"), &Cbor::Float(float)));
    }
    for len in [0, 1, 23, 24, 255, 256] {
        cases.push(case(&format!("{len} bytes"), &Cbor::Bytes(vec![0xa5; len])));
        cases.push(case(&format!("text of {len}"), &Cbor::Text("x".repeat(len))));
        cases.push(case(&format!("array of {len}"), &Cbor::Array(vec![Cbor::Null; len])));
    }
    let link = |id: Cid| Cbor::Tag(42, Box::new(Cbor::Bytes([&[0], &id.as_bytes()[..]].concat())));
    let keys = ["", "a", "b", "aa", "ä", "$type$", "zzzzzz", "a longer key than twenty-three bytes"];
    let map =
        Cbor::Map(keys.iter().enumerate().map(|(at, key)| (text(key), Cbor::from(at as u64))).collect());
    cases.extend([
        case("booleans and null", &Cbor::Array(vec![Cbor::Bool(false), Cbor::Bool(true), Cbor::Null])),
        case("text of many scripts", &text("Grüße, שלום, 你好, 👩‍👩‍👧, \u{0}\u{7f}\u{ffff}")),
        case("link to an object", &link(Cid::of_object(b"object"))),
        case("link to a chunk", &link(Cid::of_chunk(b"chunk"))),
        case("map in canonical order", &map),
        case("nested 64 deep", &(0..64).fold(Cbor::Null, |inner, _| Cbor::Array(vec![inner]))),
        case(
            "maps in maps",
            &(0..20).fold(Cbor::Null, |inner, at| Cbor::Map(vec![(text(&at.to_string()), inner)])),
        ),
    ]);
    Value::Array(cases)
}

/// What the other implementation wrote, read here, and its bytes written by ours: the file stays as it is if both agree.
pub(crate) fn python_again() -> Value {
    let theirs: Value =
        serde_json::from_str(include_str!("../../../vectors/dag-cbor/from-python.json")).unwrap();
    let again = theirs.as_array().unwrap().iter().map(|theirs| {
        let value = from_json(&theirs["value"]);
        case(theirs["name"].as_str().unwrap(), &value)
    });
    Value::Array(again.collect())
}

pub(crate) fn refused() -> Value {
    let mut cases: Vec<Value> = common::deviations()
        .into_iter()
        .map(|(name, bytes, error)| {
            assert_eq!(cbor::check(&bytes), Err(error));
            json!({"name": name, "bytes": hex(&bytes), "code": error.code(), "narrower": false})
        })
        .collect();
    // What general DAG-CBOR has and LAMA has not.
    let id = Cid::of_object(b"x").as_bytes();
    let link = |id: &[u8]| [&[0xd8, 42, 0x58, id.len() as u8 + 1, 0], id].concat();
    let other_codec = [&[1, 0x70], &id[2..]].concat();
    let deep = [vec![0x81; 65], vec![0xf6]].concat();
    for (name, bytes) in [
        ("link of version 0", link(&id[2..])),
        ("link to dag-pb", link(&other_codec)),
        ("nested 65 deep", deep),
    ] {
        let error = cbor::check(&bytes).unwrap_err();
        cases.push(json!({"name": name, "bytes": hex(&bytes), "code": error.code(), "narrower": true}));
    }
    Value::Array(cases)
}
