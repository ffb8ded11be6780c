"""CHUM between two of these clients in memory, and its keyed hash against the reference."""

import json
import pathlib
import unittest

from lama import chum, objects
from lama.objects import DAG_CBOR, RAW, ProtocolError

VECTORS = pathlib.Path(__file__).resolve().parents[3] / "vectors" / "chum"
PAIR_KEY = bytes(range(32))


def settle(a: chum.Sync, b: chum.Sync) -> None:
    for _ in range(20):
        for one, other in ((a, b), (b, a)):
            pending, one.out = one.out, []
            for message in pending:
                other.handle(message)


class Chum(unittest.TestCase):
    def test_two_sides_end_with_one_set(self):
        text = lambda n: (DAG_CBOR, objects.encode({"n": n}))
        a = chum.Sync(PAIR_KEY, [text(1), text(2), (RAW, b"chunk" * 40)])
        b = chum.Sync(PAIR_KEY, [text(n) for n in range(2, 400)])
        settle(a, b)
        self.assertTrue(a.in_sync and b.in_sync)
        self.assertEqual(a._set(), b._set())
        a.share(*text(1000))
        a._go_on()
        settle(a, b)
        self.assertTrue(a.in_sync and b.in_sync)
        self.assertIn(text(1000)[1], [data for _, data in b.received])

    def test_broken_messages(self):
        for message in (b"\x10" + bytes(43), b"\x20" + bytes(44), b"\x02" + bytes(4)):
            with self.assertRaises(ProtocolError):
                chum.Sync(PAIR_KEY, []).handle(message)

    def test_gone(self):
        vector = json.loads((VECTORS / "short.json").read_text())["gone"]
        here = chum.Sync(PAIR_KEY, [])
        hello = bytes([0x10]) + bytes([7] * 8) + (9).to_bytes(4, "big") + bytes(12) + (9).to_bytes(4, "big") + bytes(16)
        here.handle(hello)
        here.handle(bytes.fromhex(vector["message"]))
        self.assertEqual([objects.cid_text(cid) for cid in here.gone], vector["ids"])
        self.assertIn(b"\x02" + vector["upto"].to_bytes(4, "big"), here.out)
        for message in (vector["message"][:-2], vector["message"][:18], "05000000070000000970" + "00" * 32):
            with self.assertRaises(ProtocolError):
                other = chum.Sync(PAIR_KEY, [])
                other.handle(hello)
                other.handle(bytes.fromhex(message))

    def test_siphash(self):
        # Of nothing, under the key 00 01 .. 0f.
        expected = "e77ebcb22788a5befd62db6add303001"
        self.assertEqual(chum.siphash13_128(bytes(range(16)), b"").hex(), expected)


if __name__ == "__main__":
    unittest.main()
