"""Canonical encoding and ids: docs/protocol/identity.md, sections 1 and 2."""

import base64
import hashlib

import dag_cbor
from multiformats import CID

MAX_OBJECT = 1 << 20
DAG_CBOR = 0x71
RAW = 0x55


class ProtocolError(Exception):
    """The peer, or what was given, breaks a rule of docs/protocol."""


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def encode(value) -> bytes:
    """The canonical encoding of a value."""
    return dag_cbor.encode(value)


def decode(data: bytes):
    """Reads one canonical item and nothing after it."""
    if len(data) > MAX_OBJECT:
        raise ProtocolError("an object is longer than 1 MiB")
    try:
        value = dag_cbor.decode(data)
    except Exception as error:  # the library has many kinds
        raise ProtocolError(f"not DAG-CBOR: {error}") from error
    if dag_cbor.encode(value) != data:
        raise ProtocolError("not canonical")
    return value


def decode_map(data: bytes, fields: dict, type_name: str | None = None) -> dict:
    """Reads a map with exactly these fields; `fields` maps a name to a predicate."""
    value = decode(data)
    check_map(value, fields, type_name)
    return value


def check_map(value, fields: dict, type_name: str | None = None) -> None:
    expected = dict(fields)
    if type_name is not None:
        expected["$type$"] = lambda text: text == type_name
    if not isinstance(value, dict) or set(value) != set(expected):
        raise ProtocolError(f"not the fields of {type_name or 'this map'}")
    for name, holds in expected.items():
        if not holds(value[name]):
            raise ProtocolError(f"bad field {name}")


def is_bytes(length: int):
    return lambda value: isinstance(value, bytes) and len(value) == length


def is_uint(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64


def log_message(data: bytes) -> tuple:
    """A message about a person's log (log.md): kind, person id, head, entries."""
    message = decode(data)
    if not isinstance(message, list) or len(message) != 4:
        raise ProtocolError("not four fields")
    kind, person, head, entries = message
    check_map(head, {"seq": is_uint, "hash": is_bytes(32)})
    if not is_bytes(32)(person) or not isinstance(entries, list) or not all(isinstance(one, bytes) for one in entries):
        raise ProtocolError("bad fields")
    if kind not in ("want", "entries", "have") or (kind == "entries") != bool(entries):
        raise ProtocolError("not a message about a log")
    return kind, person, head, entries


def cid(data: bytes, codec: int = DAG_CBOR) -> bytes:
    """The id of an object, or of a chunk with the codec RAW: 36 bytes."""
    return bytes([0x01, codec, 0x12, 0x20]) + sha256(data)


def cid_text(identifier: bytes) -> str:
    return "b" + base32(identifier)


def base32(data: bytes) -> str:
    return base64.b32encode(data).decode().lower().rstrip("=")


def link(identifier: bytes) -> CID:
    """A content link to an id."""
    return CID.decode(identifier)


def without(data: bytes, keys: set[str]) -> bytes:
    """The exact bytes of a canonical map without some entries (identity.md, section 4)."""
    value = decode(data)
    if not isinstance(value, dict):
        raise ProtocolError("not a map")
    # The encoding is canonical, so encoding the rest gives the very bytes that stand in `data`.
    return encode({key: item for key, item in value.items() if key not in keys})
