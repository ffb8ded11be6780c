"""The local network (docs/protocol/lan.md): names and proofs that two instances know, in packets of multicast DNS."""

import hashlib
import hmac
import struct

SLOT = 900


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand, of one block at most."""
    return hmac.digest(key, info + b"\x01", hashlib.sha256)[:length]


def lan_key(pair_key: bytes) -> bytes:
    return _expand(pair_key, b"LAMA/lan/1", 32)


def _side(who: bytes, other: bytes) -> bytes:
    return b"\x00" if who < other else b"\x01"


def question(key: bytes, asker: bytes, answerer: bytes, unix_seconds: int) -> bytes:
    slot = struct.pack(">Q", unix_seconds // SLOT)
    return _expand(key, b"question" + _side(asker, answerer) + slot, 16)


def proof(key: bytes, asker: bytes, answerer: bytes, unix_seconds: int, address: bytes, port: int) -> bytes:
    slot = struct.pack(">Q", unix_seconds // SLOT)
    return _expand(key, b"answer" + _side(answerer, asker) + slot + address + struct.pack(">H", port), 16)


def _name(packet: bytes, at: int) -> tuple[bytes, int]:
    """The name that begins there, and where it ends."""
    assert packet[at] == 32, "a name of another kind"
    tag, at = bytes.fromhex(packet[at + 1 : at + 33].decode()), at + 33
    if packet[at] & 0xC0:
        return tag, at + 2
    suffix = b"\x05_lama\x04_tcp\x05local\x00"
    assert packet[at : at + len(suffix)] == suffix
    return tag, at + len(suffix)


def read_questions(packet: bytes) -> list[bytes]:
    """The names that a packet asks for."""
    number, flags, count, *others = struct.unpack(">6H", packet[:12])
    assert (number, flags, others) == (0, 0, [0, 0, 0])
    tags, at = [], 12
    for _ in range(count):
        tag, at = _name(packet, at)
        assert packet[at : at + 4] == b"\x00\x10\x00\x01", "TXT, class IN"
        tags, at = [*tags, tag], at + 4
    assert at == len(packet)
    return tags


def read_answer(packet: bytes) -> tuple[bytes, bytes, int, bytes]:
    """Name, address, port and proof of a packet with one answer."""
    number, flags, *counts = struct.unpack(">6H", packet[:12])
    assert (number, flags, counts) == (0, 0x8400, [0, 1, 0, 0])
    tag, at = _name(packet, 12)
    kind, klass, _ttl, length = struct.unpack(">HHIH", packet[at : at + 10])
    text = packet[at + 10 :]
    assert (kind, klass, length, text[:4]) == (16, 0x8001, len(text), bytes([len(text) - 1]) + b"a=\x04")
    return tag, text[4:8], struct.unpack(">H", text[8:10])[0], text[10:]
