"""Judges vectors/dag-cbor with another implementation of DAG-CBOR (PyPI `dag-cbor`), in both directions.

check.py           what Rust wrote must read and write alike there, what Rust refuses must be refused there
                   (but for what LAMA narrows); `lama-identity/tests/foreign.rs` reads from-python.json
check.py --write   writes from-python.json anew
"""

import json
import pathlib
import random
import struct
import sys

import dag_cbor
from multiformats import CID, multihash

HERE = pathlib.Path(__file__).parent


def to_json(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"float": struct.pack(">d", value).hex()}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, CID):
        return {"link": value.encode("base32")}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    return {"map": {key: to_json(item) for key, item in value.items()}}


def from_json(value):
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    read = {
        "int": int,
        "float": lambda text: struct.unpack(">d", bytes.fromhex(text))[0],
        "bytes": bytes.fromhex,
        "link": CID.decode,
        "map": lambda items: {key: from_json(item) for key, item in items.items()},
    }
    return read[kind](inner)


def make(rng: random.Random, depth: int):
    """Any value that LAMA's objects may hold."""
    kinds = ["int", "small", "negative", "float", "bytes", "text", "wide", "constant", "link"]
    kind = rng.choice(kinds + (["list", "map", "map"] if depth < 5 else []))
    if kind == "int":
        return rng.getrandbits(rng.randint(1, 64))
    if kind == "small":
        return rng.randint(0, 300)
    if kind == "negative":
        return -1 - rng.getrandbits(rng.randint(1, 64))
    if kind == "float":
        while True:
            value = struct.unpack(">d", rng.randbytes(8))[0]
            if value == value and abs(value) != float("inf"):
                return value
    if kind == "bytes":
        return rng.randbytes(rng.choice([0, 1, 23, 24, 32, 300]))
    if kind == "text":
        return "".join(rng.choice("abc xyz$-") for _ in range(rng.choice([0, 3, 23, 24, 256])))
    if kind == "wide":
        return "".join(rng.choice("äß€שд你👩\u0301") for _ in range(rng.randint(0, 12)))
    if kind == "constant":
        return rng.choice([None, True, False])
    if kind == "link":
        digest = multihash.digest(rng.randbytes(4), "sha2-256")
        return CID("base32", 1, rng.choice(["dag-cbor", "raw"]), digest)
    if kind == "list":
        return [make(rng, depth + 1) for _ in range(rng.randint(0, 6))]
    keys = ["", "a", "b", "aa", "ab", "$type$", "ä", "zz", "key", "another key of more than 24 bytes"]
    return {key: make(rng, depth + 1) for key in rng.sample(keys, rng.randint(0, 6))}


def written() -> list:
    rng = random.Random("LAMA dag-cbor vectors 1")
    cases = []
    for number in range(240):
        value = make(rng, 0 if number % 4 == 0 else 2)
        if number >= 60 and not isinstance(value, (list, dict)):
            value = {"value": value, "list": [make(rng, 3)], "map": {"inner": make(rng, 3)}}
        cases.append({"name": f"random {number}", "value": to_json(value), "bytes": dag_cbor.encode(value).hex()})
    return cases


def text(cases: list) -> str:
    return json.dumps(cases, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def check() -> None:
    theirs = json.loads((HERE / "from-python.json").read_text(encoding="utf-8"))
    ours = json.loads((HERE / "from-rust.json").read_text(encoding="utf-8"))
    for case in ours + theirs:
        data, value = bytes.fromhex(case["bytes"]), from_json(case["value"])
        assert dag_cbor.encode(value) == data, f"{case['name']}: the values differ in their bytes"
        assert to_json(dag_cbor.decode(data)) == case["value"], f"{case['name']}: the bytes differ in their value"
    refused = json.loads((HERE / "refused.json").read_text(encoding="utf-8"))
    for case in refused:
        try:
            dag_cbor.decode(bytes.fromhex(case["bytes"]))
            accepted = True
        except Exception:  # the library has many kinds
            accepted = False
        assert accepted <= case["narrower"], f"{case['name']}: accepted there, refused here"
    print(f"{len(ours)} and {len(theirs)} values agree, {len(refused)} encodings are refused")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        (HERE / "from-python.json").write_text(text(written()), encoding="utf-8")
    else:
        check()
