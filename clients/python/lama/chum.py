"""Synchronisation: docs/protocol/chum.md, as far as one session needs it. Pure: messages in, messages out.

Everything is "durable" at once here, in memory, so what was received is acknowledged right away.
"""

import secrets
import struct

from . import objects, recon
from .handshake import hkdf_expand
from .objects import DAG_CBOR, RAW, ProtocolError

STREAM = 2
OBJECTS, ACK, SYNCED, REFUSED, GONE, HELD = 1, 2, 3, 4, 5, 6
HELLO_LEN, HELLO_LONG = 45, 57
# The two highest bits of a type: how many lanes of the log move; the bit of those that someone waits for.
LANES, MOVED, URGENT = 0xC0, {0x00: 4, 0x40: 1, 0x80: 2, 0xC0: 3}, 0x08
MAX_REFUSED = MAX_GONE = 1024
NONE = bytes(8)


class _SipHash13:
    """SipHash-1-3 (Aumasson and Bernstein) after all input; `wide` for 128 bits of output."""

    def __init__(self, key: bytes, data: bytes, wide: bool):
        k0, k1 = struct.unpack("<QQ", key)
        self.v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ (0xEE if wide else 0),
                  k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
        whole = len(data) // 8 * 8
        last = data[whole:].ljust(7, b"\0") + bytes([len(data) & 0xFF])
        for at in range(0, whole + 8, 8):
            word = struct.unpack("<Q", data[at:at + 8] if at < whole else last)[0]
            self.v[3] ^= word
            self.rounds(1)
            self.v[0] ^= word

    def rounds(self, n: int) -> int:
        v, mask = self.v, (1 << 64) - 1
        rotate = lambda x, n: (x << n | x >> 64 - n) & mask
        for _ in range(n):
            v[0] = (v[0] + v[1]) & mask
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)
        return v[0] ^ v[1] ^ v[2] ^ v[3]


def siphash13_128(key: bytes, data: bytes) -> bytes:
    state = _SipHash13(key, data, wide=True)
    state.v[2] ^= 0xEE
    low = state.rounds(3)
    state.v[1] ^= 0xDD
    return struct.pack("<QQ", low, state.rounds(3))


def siphash13_64(key: bytes, data: bytes) -> int:
    state = _SipHash13(key, data, wide=False)
    state.v[2] ^= 0xFF
    return state.rounds(3)


class Fingerprinter:
    def __init__(self, pair_key: bytes):
        self._key = hkdf_expand(pair_key, b"LAMA/chum/1 fingerprint", 16)

    def of(self, cid: bytes) -> int:
        return int.from_bytes(siphash13_128(self._key, cid[4:] + cid[1:2]), "big")


def leb128(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


class Sync:
    """One session of CHUM. `mine` are objects to share, children before parents: (codec, bytes)."""

    def __init__(self, pair_key: bytes, mine: list[tuple[int, bytes]]):
        self._pair_key = pair_key
        self._print = Fingerprinter(pair_key)
        self._round: recon.Round | None = None  # the reconciliation with which the session starts
        self._epoch = secrets.token_bytes(8)
        self._log: list[bytes] = []  # ids, in the order of the view log
        self._ids: set[bytes] = set()
        self._fingerprint = 0
        self._mine: list[tuple[int, int, bytes]] = []  # (sequence number, codec, bytes) not yet sent
        self._sent = 0
        self._their_lanes = [0] * 4  # how much of the peer's log is here: what is waited for, objects, blobs, relayed
        self._their_hello = None
        self._spoken = 0  # messages of the peer after HELLO
        self._picked = False
        self._claimed = None
        self._their_claim = (0, b"")  # (own, count and fingerprint)
        self.received: list[tuple[bytes, bytes]] = []  # (id, bytes)
        self.gone: list[bytes] = []  # ids whose objects are not to be had any more
        self.acknowledged = 0
        for codec, data in mine:
            self.share(codec, data)
        self.out: list[bytes] = [self._hello()]

    def share(self, codec: int, data: bytes) -> bytes:
        """Adds an object to the view; it is sent as soon as the other side has said HELLO."""
        cid = objects.cid(data, codec)
        if self._append(cid):
            self._mine.append((len(self._log), codec, data))
        return cid

    def _append(self, cid: bytes) -> bool:
        if cid in self._ids:
            return False
        self._ids.add(cid)
        self._log.append(cid)
        self._fingerprint ^= self._print.of(cid)
        return True

    @property
    def picks_known(self) -> bool:
        """Whether a reconciliation has told what the other side lacks."""
        return self._picked

    @property
    def _their_upto(self) -> int:
        """Everything of the peer's log up to here is here, whatever its lane."""
        return self._their_lanes[3]

    @property
    def in_sync(self) -> bool:
        """The other side's last claim, in HELLO or SYNCED, equals the set here: section 5."""
        return self._their_claim[1] == self._set()

    def _set(self) -> bytes:
        return struct.pack(">I", len(self._ids)) + self._fingerprint.to_bytes(16, "big")

    def _hello(self) -> bytes:
        return (bytes([0x10]) + self._epoch + struct.pack(">I", len(self._log)) + NONE + struct.pack(">I", 0)
                + self._set())

    def handle(self, message: bytes) -> None:
        self._first = self._their_hello is not None and self._spoken == 0
        self._spoken += self._their_hello is not None
        if self._their_hello is None:
            self._read_hello(message)
        elif message[0] & ~(LANES | URGENT) in (OBJECTS, GONE):
            (self._objects if message[0] & 0x07 == OBJECTS else self._gone)(message)
        elif message[0] & ~LANES == ACK and len(message) == 5:
            self._acked(struct.unpack(">I", message[1:])[0], message[0] & LANES == 0)
        elif message[0] == SYNCED and len(message) == 29:
            self._synced(message)
        elif message[0] == HELD and len(message) == 21:
            pass  # asks whether we have what others wrote: we have nothing of others, so it will be sent
        elif message[0] in range(recon.RECON, recon.GOAL + 1):
            self._reconcile(message)
        elif message[0] == REFUSED and len(message) > 1 and (len(message) - 1) % 34 == 0:
            raise ProtocolError("the other side refused an object")
        else:
            raise ProtocolError("an unknown or malformed message")
        self._go_on()

    def _read_hello(self, message: bytes) -> None:
        if message[0] >> 4 != 1 or len(message) != (HELLO_LONG if message[0] & 1 else HELLO_LEN):
            raise ProtocolError("not HELLO")
        self._their_hello = message
        self._their_epoch, self._their_head = message[1:9], struct.unpack(">I", message[9:13])[0]
        self._their_claim = (self._their_head, message[25:45])
        # Nothing was ever seen of each other. If both sets are equal, nothing is sent but what changes no set (flag 2);
        # if one is empty, everything.
        if self.in_sync:
            self._their_lanes = [0 if message[0] & 2 else self._their_head] * 4
            self._mine = []
        elif self._log and message[25:29] != bytes(4):
            key = recon.ShortKey(self._pair_key, 0, siphash13_64)
            self._round = recon.Round(key, 0, self._log)

    def _reconcile(self, message: bytes) -> None:
        """One round, at the start of a session; this client never finds sets different after it."""
        if self._round is None:
            if message[0] == recon.CELLS:
                return  # they were under way when we had read enough
            if message[0] == recon.RECON and self._first and message[1:2] == b"\0":
                return  # it came along with HELLO, before anybody knew that it is not needed
            raise ProtocolError("reconciliation out of turn")
        if message[0] == recon.RECON:
            self._their_head = max(self._their_head, self._round.begin(message))
        else:
            self._round.handle(message)

    def _objects(self, message: bytes) -> None:
        if len(message) < 11:
            raise ProtocolError("OBJECTS is too short")
        upto, head, count = struct.unpack(">IIH", message[1:11])
        if not count or upto > head or upto <= self._reached(message):
            raise ProtocolError("OBJECTS contradicts itself or what came before")
        at = 11
        for _ in range(count):
            number, at = self._length(message, at)
            size, codec = number >> 1, RAW if number & 1 else DAG_CBOR
            data = message[at:at + size]
            if not size or size > objects.MAX_OBJECT or len(data) != size:
                raise ProtocolError("an object is empty, too long or cut")
            if codec == DAG_CBOR:
                objects.decode(data)
            at += size
            cid = objects.cid(data, codec)
            self._append(cid)
            self.received.append((cid, data))
        if at != len(message):
            raise ProtocolError("bytes after the last object")
        self._took(message, upto, head)

    def _gone(self, message: bytes) -> None:
        count, rest = divmod(len(message) - 9, 33)
        if rest or not 0 < count <= MAX_GONE:
            raise ProtocolError("GONE of another length")
        upto, head = struct.unpack(">II", message[1:9])
        if upto > head or upto <= self._reached(message):
            raise ProtocolError("GONE contradicts itself or what came before")
        for at in range(9, len(message), 33):
            if message[at] not in (RAW, DAG_CBOR):
                raise ProtocolError("GONE with an unknown codec")
            cid = bytes([0x01, message[at], 0x12, 0x20]) + message[at + 1:at + 33]
            self._append(cid)
            self.gone.append(cid)
        self._took(message, upto, head)

    def _reached(self, message: bytes) -> int:
        """Up to where the lane is that a message moves furthest behind."""
        return self._their_lanes[MOVED[message[0] & LANES] - 1]

    def _took(self, message: bytes, upto: int, head: int) -> None:
        lanes = message[0] & LANES
        self._their_lanes = [max(upto, at) if lane < MOVED[lanes] else at for lane, at in enumerate(self._their_lanes)]
        self._their_head = head
        if upto > self._their_claim[0]:
            self._their_claim = (0, b"")
        self.out.append(bytes([ACK | lanes]) + struct.pack(">I", upto))

    @staticmethod
    def _length(message: bytes, at: int) -> tuple[int, int]:
        number = 0
        for shift in (0, 7, 14, 21):
            if at >= len(message):
                raise ProtocolError("a length is cut")
            byte = message[at]
            number, at = number | (byte & 0x7F) << shift, at + 1
            if byte < 0x80:
                if not byte and shift:
                    raise ProtocolError("a length is not in its shortest form")
                return number, at
        raise ProtocolError("a length is too long")

    def _acked(self, upto: int, whole: bool = True) -> None:
        if upto > len(self._log):
            raise ProtocolError("an acknowledgement of what was never sent")
        if whole:
            self.acknowledged = max(self.acknowledged, upto)

    def _synced(self, message: bytes) -> None:
        own, peer = struct.unpack(">II", message[1:9])
        self._acked(peer)
        self._their_head = max(own, self._their_head)
        self._their_lanes = [self._their_head] * 4
        self._their_claim = (own, message[9:29])

    def _go_on(self) -> None:
        """Sends what is ours, then claims the set as it stands."""
        if self._round:
            self.out += self._round.out
            self._round.out = []
            if self._round.picks is None:
                return
            self._picked = True
            picks, snapshot, self._round = set(self._round.picks), self._round.snapshot, None
            self._mine = [entry for entry in self._mine if entry[0] in picks or entry[0] > snapshot]
            # What comes before the first that is lacking was found at the other side.
            self.acknowledged = max(self.acknowledged, self._mine[0][0] - 1 if self._mine else snapshot)
        while self._mine:
            batch, size = [], 0
            while self._mine and len(batch) < 0xFFFF and (not batch or size + len(self._mine[0][2]) < 60_000):
                batch.append(self._mine.pop(0))
                size += len(batch[-1][2]) + 4
            framed = b"".join(leb128(len(data) << 1 | (codec == RAW)) + data for _, codec, data in batch)
            # After the last of them nothing of the log needs sending.
            upto = batch[-1][0] if self._mine else len(self._log)
            self.out.append(bytes([OBJECTS]) + struct.pack(">IIH", upto, len(self._log), len(batch)) + framed)
        claim = (len(self._log), self._their_upto, self._set())
        if claim != self._claimed and self._their_upto == self._their_head:
            self._claimed = claim
            self.out.append(bytes([SYNCED]) + struct.pack(">II", claim[0], claim[1]) + claim[2])
