"""Records and streams: docs/protocol/session.md. Pure: bytes in, bytes out."""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from .objects import ProtocolError

AUTH, READY, DATA, WINDOW, PING, PONG, REKEY, CLOSE, REJECT = range(1, 10)
BUCKETS = (64, 256, 1024, 4096, 16384, 65519)
AUTH_PLAINTEXT = 4096
TAG = 16
MAX_BODY = BUCKETS[-1] - 4
REKEY_RECORDS = 65_536
REKEY_BYTES = 1 << 30
STREAMS = 4
INITIAL_CREDIT = 256 << 10
MAX_CREDIT = 8 << 20
MAX_MESSAGE = (256 << 10, (1 << 20) + (64 << 10), (1 << 20) + (64 << 10), (1 << 20) + (64 << 10))
BEGIN, FIN = 1, 2


class Half:
    """One direction of records."""

    def __init__(self, key: bytes):
        self._key, self._n = key, 0
        self._aead = ChaCha20Poly1305(key)
        self._records = self._bytes = 0

    def _nonce(self, n: int) -> bytes:
        return bytes(4) + n.to_bytes(8, "little")

    def rekey(self) -> None:
        """Noise `REKEY()`: the first 32 bytes of zeros encrypted under the last nonce."""
        self._key = self._aead.encrypt(self._nonce(2**64 - 1), bytes(32), b"")[:32]
        self._aead = ChaCha20Poly1305(self._key)
        self._records = self._bytes = 0

    def _before(self) -> None:
        if self._records >= REKEY_RECORDS or self._bytes >= REKEY_BYTES:
            self.rekey()

    def _count(self, length: int) -> None:
        self._n += 1
        self._records += 1
        self._bytes += length

    def seal(self, plaintext: bytes) -> bytes:
        self._before()
        record = self._aead.encrypt(self._nonce(self._n), plaintext, b"")
        self._count(len(record))
        return record

    def open(self, record: bytes) -> bytes:
        if len(record) - TAG not in BUCKETS:
            raise ProtocolError("a record of a wrong length")
        self._before()
        try:
            plaintext = self._aead.decrypt(self._nonce(self._n), record, b"")
        except InvalidTag as error:
            raise ProtocolError("a record does not authenticate") from error
        self._count(len(record))
        return plaintext


class Channel:
    """Both directions."""

    def __init__(self, send_key: bytes, receive_key: bytes):
        self._send, self._receive = Half(send_key), Half(receive_key)

    def seal(self, kind: int, body: bytes, at_least: int = 0) -> bytes:
        length = max(4 + len(body), at_least)
        bucket = next((bucket for bucket in BUCKETS if bucket >= length), None)
        if bucket is None:
            raise ProtocolError("a body that fits into no record")
        plaintext = bytes([kind]) + len(body).to_bytes(3, "big") + body
        return self._send.seal(plaintext.ljust(bucket, b"\0"))

    def open(self, record: bytes) -> tuple[int, bytes]:
        plaintext = self._receive.open(record)
        kind, length = plaintext[0], int.from_bytes(plaintext[1:4], "big")
        if 4 + length > len(plaintext) or any(plaintext[4 + length:]):
            raise ProtocolError("bad length or padding")
        if not AUTH <= kind <= REJECT:
            raise ProtocolError("unknown type of record")
        if kind == REKEY:
            if length:
                raise ProtocolError("REKEY with a body")
            self._receive.rekey()
        return kind, plaintext[4:4 + length]


class Closed(Exception):
    """The peer has said its last."""

    def __init__(self, code: int):
        super().__init__(f"closed with code {code}")
        self.code = code


class Streams:
    """Messages over records, with credit. `ready` tells whether the responder's READY has passed."""

    def __init__(self, channel: Channel, initiator: bool, pairing: bool):
        self.channel, self._initiator, self._pairing = channel, initiator, pairing
        self.ready = False
        self._out = [{"seq": 0, "credit": INITIAL_CREDIT} for _ in range(STREAMS)]
        self._in = [{"seq": 0, "credit": INITIAL_CREDIT, "size": None, "data": b"", "owed": 0} for _ in range(STREAMS)]
        self._pending: list[tuple[int, bytes]] = []
        self._records: list[bytes] = []

    def may_send(self) -> bool:
        return self.ready or (self._initiator and not self._pairing)

    def acknowledge(self) -> bytes:
        """The responder's READY."""
        self.ready = True
        return self.channel.seal(READY, b"")

    def send(self, stream: int, message: bytes) -> None:
        if len(message) > MAX_MESSAGE[stream]:
            raise ProtocolError("a message is too long for its stream")
        self._pending.append((stream, message, 0))

    def close(self, code: int = 0) -> bytes:
        counts = b"".join(struct.pack(">I", out["seq"]) for out in self._out)
        return self.channel.seal(CLOSE, bytes([code]) + counts)

    def poll(self) -> bytes | None:
        """The next record to send."""
        if self._records:
            return self._records.pop(0)
        if not self.may_send():
            return None
        for index, (stream, message, at) in enumerate(self._pending):
            if any(earlier == stream for earlier, _, _ in self._pending[:index]):
                continue
            out = self._out[stream]
            header = 6 if at else 10
            room = min(MAX_BODY, out["credit"]) - header
            piece = message[at:at + max(room, 0)]
            if not piece and (message or room < 0):
                continue
            end = at + len(piece)
            flags = (0 if at else BEGIN) | (FIN if end == len(message) else 0)
            body = struct.pack(">BBI", stream, flags, out["seq"])
            if not at:
                body += struct.pack(">I", len(message))
            body += piece
            out["seq"] += 1
            out["credit"] -= len(body)
            if end == len(message):
                del self._pending[index]
            else:
                self._pending[index] = (stream, message, end)
            return self.channel.seal(DATA, body)
        return None

    def receive(self, record: bytes) -> tuple[int, bytes] | None:
        """Opens a record: a whole message with its stream, or None."""
        kind, body = self.channel.open(record)
        if kind == DATA:
            return self._data(body)
        if kind == WINDOW:
            stream, credit = struct.unpack(">BI", body)
            self._out[self._stream(stream)]["credit"] += credit
            if not credit or self._out[stream]["credit"] > MAX_CREDIT:
                raise ProtocolError("too much credit")
        elif kind == PING:
            if len(body) != 8:
                raise ProtocolError("a PING of a wrong length")
            self._records.append(self.channel.seal(PONG, body))
        elif kind == PONG:
            raise ProtocolError("a PONG that was not asked for")  # this client sends no PING
        elif kind == READY and self._initiator and not self.ready and not body:
            self.ready = True
        elif kind == CLOSE:
            counts = b"".join(struct.pack(">I", stream["seq"]) for stream in self._in)
            if body[1:] != counts:
                raise ProtocolError("CLOSE counts other records than arrived")
            raise Closed(body[0])
        elif kind == REJECT and not self.ready and len(body) == 1:
            from .handshake import Rejected
            raise Rejected(body[0])
        elif kind != REKEY:
            raise ProtocolError("a record that has no place here")
        return None

    def _stream(self, number: int) -> int:
        if number >= STREAMS:
            raise ProtocolError("unknown stream")
        return number

    def _data(self, body: bytes) -> tuple[int, bytes] | None:
        if len(body) < 6 or not self.ready:
            raise ProtocolError("DATA too short, or before READY")
        number, flags, seq = struct.unpack(">BBI", body[:6])
        stream = self._in[self._stream(number)]
        stream["credit"] -= len(body)
        if stream["credit"] < 0 or seq != stream["seq"] or flags > BEGIN | FIN:
            raise ProtocolError("DATA breaks a rule of its stream")
        stream["seq"] += 1
        piece = body[6:]
        if flags & BEGIN:
            if stream["size"] is not None or len(body) < 10:
                raise ProtocolError("a message begins within another")
            stream["size"], stream["data"], piece = struct.unpack(">I", body[6:10])[0], b"", body[10:]
            if stream["size"] > MAX_MESSAGE[number]:
                raise ProtocolError("a message is too long for its stream")
        elif stream["size"] is None:
            raise ProtocolError("a piece of no message")
        stream["data"] += piece
        complete = len(stream["data"]) == stream["size"]
        if len(stream["data"]) > stream["size"] or complete != bool(flags & FIN) or (not piece and not complete):
            raise ProtocolError("the pieces do not add up")
        self._give_back(number, len(body))
        if not complete:
            return None
        message, stream["size"], stream["data"] = stream["data"], None, b""
        return number, message

    def _give_back(self, number: int, length: int) -> None:
        """Everything is worked off at once here, so credit goes back in quarters of the window."""
        stream = self._in[number]
        stream["owed"] += length
        if stream["owed"] >= INITIAL_CREDIT // 4:
            self._records.append(self.channel.seal(WINDOW, struct.pack(">BI", number, stream["owed"])))
            stream["credit"] += stream["owed"]
            stream["owed"] = 0
