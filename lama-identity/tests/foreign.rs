//! DAG-CBOR of another implementation (PyPI `dag-cbor`): what it wrote reads here, and the same values give the same
//! bytes. The other direction, what we write read there, is `vectors/dag-cbor/check.py`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

#[path = "common/notation.rs"]
mod notation;

use ciborium::Value as Cbor;
use lama_identity::cbor;
use notation::{from_json, to_json, unhex};
use serde_json::Value;

fn agrees(file: &str, least: usize) {
    let cases: Value = serde_json::from_str(file).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= least, "{}", cases.len());
    for case in cases {
        let name = &case["name"];
        let bytes = unhex(case["bytes"].as_str().unwrap());
        let value = from_json(&case["value"]);
        assert_eq!(cbor::encode(&value).unwrap(), bytes, "{name}");
        cbor::check(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(to_json(&cbor::decode::<Cbor>(&bytes).unwrap()), case["value"], "{name}");
    }
}

#[test]
fn what_the_other_implementation_wrote_reads_here_and_is_what_we_write() {
    agrees(include_str!("../../vectors/dag-cbor/from-python.json"), 200);
}

#[test]
fn what_we_wrote_still_is_what_we_write() {
    agrees(include_str!("../../vectors/dag-cbor/from-rust.json"), 50);
}

#[test]
fn what_is_refused_has_its_code() {
    let cases: Value = serde_json::from_str(include_str!("../../vectors/dag-cbor/refused.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let refused = cbor::check(&unhex(case["bytes"].as_str().unwrap())).unwrap_err().code();
        assert_eq!(refused, case["code"], "{}", case["name"]);
    }
}
