//! How the vectors write a value of DAG-CBOR in JSON: text, booleans, null and arrays as they are; `{"int": "7"}`,
//! `{"float": bits in hex}`, `{"bytes": hex}`, `{"link": "b..."}`, `{"map": {...}}`.
#![allow(dead_code)]

use ciborium::Value as Cbor;
use lama_identity::Cid;
use serde_json::{Value, json};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && text.is_ascii());
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn to_json(value: &Cbor) -> Value {
    match value {
        Cbor::Integer(int) => json!({"int": i128::from(*int).to_string()}),
        Cbor::Float(float) => json!({"float": format!("{:016x}", float.to_bits())}),
        Cbor::Bytes(bytes) => json!({"bytes": hex(bytes)}),
        Cbor::Text(text) => json!(text),
        Cbor::Bool(value) => json!(value),
        Cbor::Null => Value::Null,
        Cbor::Tag(_, inner) => {
            json!({"link": Cid::try_from(&inner.as_bytes().unwrap()[1..]).unwrap().to_string()})
        }
        Cbor::Array(items) => items.iter().map(to_json).collect(),
        Cbor::Map(entries) => {
            let map = entries.iter().map(|(key, value)| (key.as_text().unwrap().to_owned(), to_json(value)));
            json!({"map": Value::Object(map.collect())})
        }
        _ => panic!("{value:?}"),
    }
}

pub(crate) fn from_json(value: &Value) -> Cbor {
    let Value::Object(tagged) = value else {
        return match value {
            Value::Null => Cbor::Null,
            Value::Bool(value) => Cbor::Bool(*value),
            Value::String(text) => Cbor::Text(text.clone()),
            Value::Array(items) => Cbor::Array(items.iter().map(from_json).collect()),
            _ => panic!("{value}"),
        };
    };
    let (kind, value) = tagged.iter().next().unwrap();
    let text = || value.as_str().unwrap();
    match kind.as_str() {
        "int" => Cbor::Integer(text().parse::<i128>().unwrap().try_into().unwrap()),
        "float" => Cbor::Float(f64::from_bits(u64::from_str_radix(text(), 16).unwrap())),
        "bytes" => Cbor::Bytes(unhex(text())),
        "link" => {
            let id: Cid = text().parse().unwrap();
            Cbor::Tag(42, Box::new(Cbor::Bytes([&[0], &id.as_bytes()[..]].concat())))
        }
        "map" => {
            let map = value.as_object().unwrap().iter();
            Cbor::Map(map.map(|(key, value)| (Cbor::Text(key.clone()), from_json(value))).collect())
        }
        _ => panic!("{kind}"),
    }
}
