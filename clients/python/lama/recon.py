"""Reconciliation: docs/protocol/chum.md, section 9. Short ids, cells, estimate, plan, lists; then one round of it."""

import struct

from .handshake import hkdf_expand
from .objects import ProtocolError

RECON, CELLS, LIST, WANT, MARKS, MORE, GOAL = range(0x20, 0x27)
MASK = (1 << 64) - 1
MAX_CELLS = 1 << 16
DENSE = (53150, 83231, 116261, 145359, 166330, 184549, 198377, 209650, 219546, 228983, 239206)
LIGHT = (34734, 41484, 45875, 48366, 49742, 48497, 47055, 45482, 43975, 42533, 41157)


def mix(z: int) -> int:
    z &= MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


class ShortKey:
    def __init__(self, pair_key: bytes, salt: int, siphash13_64):
        key = hkdf_expand(pair_key, b"LAMA/chum/1 short id" + struct.pack(">Q", salt), 24)
        self._sip, self._check, self._siphash = key[:16], int.from_bytes(key[16:], "little"), siphash13_64

    def short(self, cid: bytes) -> int:
        return self._siphash(self._sip, cid[4:] + cid[1:2])

    def check(self, short: int) -> int:
        return mix(short ^ self._check) >> 32


def cells_of(short: int, first: int, end: int):
    """The numbers of the cells in which a short id stands."""
    if first == 0:
        yield 0
    means = DENSE if mix(short) >> 48 < 22217 else LIGHT
    for g in range(16):
        if 1 << g >= end:
            return
        h = mix(short + (g + 1) * 0x9E3779B97F4A7C15)
        m = means[min(g, 10)]
        for t in range((m >> 16) + (h >> 48 < m & 0xFFFF)):
            cell = (1 << g) + (h + t * (h >> 24 | 1)) % (1 << g)
            if first <= cell < end:
                yield cell


def chance(cell: int) -> int:
    if not cell:
        return 1 << 32
    g = cell.bit_length() - 1
    return 22217 * DENSE[min(g, 10)] + 43319 * LIGHT[min(g, 10)] >> g


def fill(key: ShortKey, shorts, first: int, end: int) -> list[list[int]]:
    """Cells: XOR of short ids, XOR of checks, count."""
    cells = [[0, 0, 0] for _ in range(first, end)]
    for short in shorts:
        for number in cells_of(short, first, end):
            cell = cells[number - first]
            cell[0] ^= short
            cell[1] ^= key.check(short)
            cell[2] += 1
    return cells


def write_cells(cells, first: int, total: int) -> bytes:
    out = bytearray()
    for number, (xor, check, count) in enumerate(cells, first):
        above = count - (total * chance(number) >> 32)
        code = above << 1 if above >= 0 else -above * 2 - 1
        out += struct.pack(">QI", xor, check)
        while code > 0x7F:
            out.append(code & 0x7F | 0x80)
            code >>= 7
        out.append(code)
    return bytes(out)


def read_cells(data: bytes, first: int, total: int, most: int) -> list[list[int]]:
    cells, at = [], 0
    while at < len(data):
        number = first + len(cells)
        if number >= MAX_CELLS or at + 13 > len(data):
            raise ProtocolError("too many cells, or one is cut")
        xor, check = struct.unpack(">QI", data[at:at + 12])
        code, at = 0, at + 12
        for shift in range(0, 35, 7):
            if at >= len(data):
                raise ProtocolError("a cell is cut")
            byte, at = data[at], at + 1
            code |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        if byte >= 0x80 or (shift and not byte):
            raise ProtocolError("a count is not in its shortest form")
        count = (code >> 1 ^ -(code & 1)) + (total * chance(number) >> 32)
        if not 0 <= count <= most or (number == 0 and total == most and count != most):
            raise ProtocolError("a count that cannot be")
        cells.append([xor, check, count])
    return cells


def minus(ours, theirs) -> list[list[int]]:
    return [[a[0] ^ b[0], a[1] ^ b[1], a[2] - b[2]] for a, b in zip(ours, theirs, strict=True)]


def decode(key: ShortKey, difference) -> tuple[set[int], set[int]] | None:
    """What only we have and what only they have; None if the cells do not tell."""
    cells, found, peeled = [list(cell) for cell in difference], {1: set(), -1: set()}, set()
    queue = list(range(len(cells)))
    while queue:
        number = queue.pop()
        short, check, count = cells[number]
        if number in peeled or count not in found or key.check(short) != check:
            continue
        if number not in cells_of(short, 0, len(cells)):
            continue
        peeled.add(number)
        if short in found[1] or short in found[-1]:
            raise ProtocolError("the cells contradict themselves")
        found[count].add(short)
        for other in cells_of(short, 0, len(cells)):
            cell = cells[other]
            cell[0], cell[1], cell[2] = cell[0] ^ short, cell[1] ^ check, cell[2] - count
            queue.append(other)
    return None if any(map(any, cells)) else (found[1], found[-1])


def estimate(difference) -> int:
    sign = -1 if difference[0][2] < 0 else 1
    c0, total = sign * difference[0][2], 0
    for number in range(1, 32):
        p = chance(number)
        distance = (sign * difference[number][2] << 16) - (c0 * p >> 16)
        total += distance * distance // (p * ((1 << 32) - p) >> 32)
    return max(total // 31, c0)


def plan(d: int, smaller: int) -> tuple[str, int]:
    """How the smaller set tells what it has, and the logarithm of the number of ranges."""
    def halvings(number: int, limit: int) -> int:
        return next((r for r in range(16) if number >> r <= limit), 16)
    if d * 100 > smaller * 13:
        return "list", halvings(smaller, 16384)
    return "cells", halvings(d, 1000) if d > 4000 else 0


def first_cells(d: int) -> int:
    return min(max(d * 7 // 5 + 8, 32), MAX_CELLS)


def range_cells(found: int) -> int:
    return min(max(found * 5 // 4 + 8, 32), MAX_CELLS)


def more_cells(have: int) -> int:
    return min(have + max(have // 2 if have < 256 else have // 8, 16), MAX_CELLS)


def scale(short: int, n: int) -> int:
    return short * (n << 20) >> 64


def write_list(base: int, ids) -> bytes:
    bits = ""
    for number in ids:
        gap, base = number - base, number
        bits += "1" * (gap >> 20) + "0" + format(gap & 0xFFFFF, "020b")
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""


def read_list(data: bytes, base: int, count: int) -> list[int]:
    bits = format(int.from_bytes(data, "big"), f"0{len(data) * 8}b") if data else ""
    ids, at = [], 0
    for _ in range(count):
        zero = bits.find("0", at)
        if zero < 0 or zero + 21 > len(bits):
            raise ProtocolError("a list is cut")
        base += (zero - at << 20) + int(bits[zero + 1:zero + 21], 2)
        at = zero + 21
        ids.append(base)
    if len(bits) - at >= 8 or "1" in bits[at:]:
        raise ProtocolError("bits after the last listed id")
    return ids


class Round:
    """One round. `items` are (short id, position in our log); `picks` is set once we know what the other side lacks."""

    def __init__(self, key: ShortKey, number: int, ids: list[bytes]):
        self.key, self.number, self.snapshot = key, number, len(ids)
        self.items = {key.short(cid): seq for seq, cid in enumerate(ids, 1)}
        self.shorts = sorted(self.items)
        self.sketch = fill(key, self.shorts, 0, 32)
        self.out = [struct.pack(">BBII", RECON, number, self.snapshot, len(ids))
                    + write_cells(self.sketch, 0, len(ids))]
        self.picks: list[int] | None = None
        self._work = None

    def _in_range(self, number: int) -> list[int]:
        return [short for short in self.shorts if short >> 64 - self._ranges == number] if self._ranges else self.shorts

    def _pick(self, shorts) -> None:
        self.picks = sorted(self.items[short] for short in shorts if short in self.items)

    def begin(self, message: bytes) -> int:
        """Takes the other side's RECON and tells its snapshot."""
        if len(message) < 10 or message[1] != self.number or self._work:
            raise ProtocolError("RECON out of turn")
        snapshot, self._count = struct.unpack(">II", message[2:10])
        theirs = read_cells(message[10:], 0, self._count, self._count)
        difference = minus(self.sketch, theirs)
        self._work = "done"
        if found := decode(self.key, difference):
            self._pick(found[0])
            return snapshot
        d, smaller = estimate(difference), min(len(self.shorts), self._count)
        how, self._ranges = plan(d, smaller)
        smaller_is_ours = (len(self.shorts), self.sketch[0][0]) < (self._count, theirs[0][0])
        self._next, self._marked, self._unlisted, self._ours, self._want = 0, [], [], set(), set()
        start = 0 if self._ranges else 32
        goal = max(first_cells(d >> self._ranges), more_cells(start))
        self._goals = [goal] + [0] * ((1 << self._ranges) - 1)  # those of other ranges follow from the first
        self._tables = [[] if self._ranges else theirs for _ in self._goals]
        self._left = set(range(len(self._goals)))
        self._work = how if smaller_is_ours else f"read {how}"
        if self._work == "cells":
            self._send_cells(0, start, goal)
        elif self._work == "list":
            n = len(self.shorts)
            for number in range(1 << self._ranges):
                part = self._in_range(number)
                base = scale(number << 64 - self._ranges, n)
                self.out.append(struct.pack(">BHH", LIST, number, len(part))
                                + write_list(base, [scale(short, n) for short in part]))
        return snapshot

    def _send_cells(self, number: int, first: int, end: int) -> None:
        cells = fill(self.key, self._in_range(number), first, end)
        for at in range(0, len(cells), 3000):
            self.out.append(struct.pack(">BH", CELLS, number)
                            + write_cells(cells[at:at + 3000], first + at, len(self.shorts) >> self._ranges))

    def handle(self, message: bytes) -> None:
        kind, number = message[0], int.from_bytes(message[1:3], "big")
        match self._work, kind:
            case "cells", k if k == GOAL and len(message) == 5 and self._goals[1:2] == [0]:
                goal = struct.unpack(">I", message[1:])[0]
                if not 32 <= goal <= MAX_CELLS:
                    raise ProtocolError("GOAL of fewer or more cells than there can be")
                self._goals[1:] = [goal] * (len(self._goals) - 1)
                for each in range(1, len(self._goals)):
                    self._send_cells(each, 0, goal)
            case "cells", k if k == MORE and len(message) == 3 and number < len(self._goals) and self._goals[number]:
                goal = more_cells(self._goals[number])
                self._send_cells(number, self._goals[number], goal)
                self._goals[number] = goal
            case "cells", k if k == WANT and len(message) >= 2 and (len(message) - 2) % 8 == 0:
                self._want.update(struct.unpack(f">{(len(message) - 2) // 8}Q", message[2:]))
                if message[1]:
                    self._pick(self._want if message[1] == 1 else self.shorts)
            case "read cells", k if k == CELLS and number < len(self._goals):
                self._read_cells(number, message[3:])
            case "list", k if k == MARKS and number == self._next:
                part = self._in_range(number)
                bits = message[3:]
                if bits and len(bits) != -(-len(part) // 8):
                    raise ProtocolError("marks of more or fewer ids than were listed")
                self._marked += [short for at, short in enumerate(part) if not bits or bits[at // 8] >> 7 - at % 8 & 1]
                self._next += 1
                if self._next == 1 << self._ranges:
                    self._pick(self._marked)
            case "read list", k if k == LIST and number == self._next and len(message) >= 5:
                self._read_list(number, message)
            case _:
                raise ProtocolError("a message of reconciliation out of turn")

    def _read_cells(self, number: int, data: bytes) -> None:
        if number not in self._left:
            return
        table = self._tables[number]
        table += read_cells(data, len(table), self._count >> self._ranges, self._count)
        if len(table) > self._goals[number]:
            raise ProtocolError("more cells than were to come")
        if len(table) < self._goals[number]:
            return
        found = decode(self.key, minus(fill(self.key, self._in_range(number), 0, len(table)), table))
        if found is None:
            self._goals[number] = more_cells(len(table))
            if len(table) == MAX_CELLS:
                self.out.append(bytes([WANT, 2]))
                self._pick(self.shorts)
            else:
                self.out.append(struct.pack(">BH", MORE, number))
            return
        self._left.remove(number)
        self._ours |= found[0]
        self._want |= found[1]
        wanted = sorted(found[1])
        while len(wanted) > 8000:
            self.out.append(bytes([WANT, 0]) + struct.pack(">8000Q", *wanted[:8000]))
            wanted = wanted[8000:]
        if wanted or not self._left:
            self.out.append(bytes([WANT, not self._left]) + struct.pack(f">{len(wanted)}Q", *wanted))
        if not self._left:
            self._pick(self._ours)
        elif number == 0:
            goal = range_cells(len(found[0]) + len(found[1]))
            self._goals = [goal] * len(self._goals)
            self.out.append(struct.pack(">BI", GOAL, goal))

    def _read_list(self, number: int, message: bytes) -> None:
        n, part = self._count, self._in_range(number)
        listed = read_list(message[5:], scale(number << 64 - self._ranges, n), struct.unpack(">H", message[3:5])[0])
        ours, theirs = {scale(short, n) for short in part}, set(listed)
        self._unlisted += [short for short in part if scale(short, n) not in theirs]
        bits = bytearray()
        if any(scaled in ours for scaled in listed):
            bits = bytearray(-(-len(listed) // 8))
            for at, scaled in enumerate(listed):
                bits[at // 8] |= (scaled not in ours) << 7 - at % 8
        self.out.append(struct.pack(">BH", MARKS, number) + bytes(bits))
        self._next += 1
        if self._next == 1 << self._ranges:
            self._pick(self._unlisted)
