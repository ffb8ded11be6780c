"""CHUM between two of these clients in memory, and its keyed hash against the reference."""

import json
import pathlib
import unittest
from unittest import mock

from lama import chum, objects, recon
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

    def test_reconciliation(self):
        text = lambda n: (DAG_CBOR, objects.encode({"n": n}))
        # Read from 32 cells; from more of them, in one table; a list.
        for shared, ours, theirs in ((200, 3, 2), (600, 20, 35), (30, 200, 90), (1, 1, 1)):
            both = [text(n) for n in range(shared)]
            a = chum.Sync(PAIR_KEY, [text(1000 + n) for n in range(ours)] + both)
            b = chum.Sync(PAIR_KEY, both[::-1] + [text(5000 + n) for n in range(theirs)])
            settle(a, b)
            self.assertTrue(a.in_sync and b.in_sync)
            self.assertEqual((len(a.received), len(b.received)), (theirs, ours))

    def test_cells_along_with_hello(self):
        text = lambda n: (DAG_CBOR, objects.encode({"n": n}))
        both = [text(n) for n in range(40)]
        a = chum.Sync(PAIR_KEY, both)
        key = recon.ShortKey(PAIR_KEY, 0, chum.siphash13_64)
        for theirs in ([], both[:30] + [text(99)]):
            b = chum.Sync(PAIR_KEY, theirs)
            # The other side says more than it would have to.
            b.handle(a.out[0])
            b.handle(recon.Round(key, 0, a._log).out[0])
            self.assertEqual(b.picks_known, bool(theirs))
        with self.assertRaises(ProtocolError):
            b = chum.Sync(PAIR_KEY, [])
            b.handle(a.out[0])
            for _ in range(2):
                b.handle(recon.Round(key, 0, a._log).out[0])

    def test_cells_in_several_ranges(self):
        key = recon.ShortKey(PAIR_KEY, 0, chum.siphash13_64)
        ids = lambda name, count: [objects.cid(b"%s %d" % (name, n), RAW) for n in range(count)]
        both, ours, theirs = ids(b"both", 1000), ids(b"ours", 300), ids(b"theirs", 301)
        a, b = recon.Round(key, 0, both + ours), recon.Round(key, 0, both + theirs)
        kinds = set()
        with mock.patch.object(recon, "plan", lambda d, smaller: ("cells", 3)):
            a.begin(b.out.pop(0)), b.begin(a.out.pop(0))
            while a.out or b.out:
                for one, other in ((a, b), (b, a)):
                    pending, one.out = one.out, []
                    for message in pending:
                        kinds.add(message[0])
                        other.handle(message)
        self.assertIn(recon.GOAL, kinds)
        self.assertEqual(a.picks, list(range(1001, 1301)))
        self.assertEqual(b.picks, list(range(1001, 1302)))

    def test_a_list_of_what_is_all_wanted_is_answered_without_bits(self):
        key = recon.ShortKey(PAIR_KEY, 0, chum.siphash13_64)
        ids = lambda name, count: [objects.cid(b"%s %d" % (name, n), RAW) for n in range(count)]
        for common, bits in ((0, 0), (100, 50)):
            both = ids(b"both", common)
            a, b = recon.Round(key, 0, both + ids(b"ours", 300)), recon.Round(key, 0, both + ids(b"theirs", 301))
            with mock.patch.object(recon, "plan", lambda d, smaller: ("list", 0)):
                a.begin(b.out.pop(0)), b.begin(a.out.pop(0))
                b.handle(a.out.pop(0))
                marks = b.out.pop(0)
                a.handle(marks)
            self.assertEqual((marks[0], len(marks)), (recon.MARKS, 3 + bits))
            self.assertEqual(a.picks, list(range(common + 1, common + 301)))
            self.assertEqual(b.picks, list(range(common + 1, common + 302)))

    def test_reconciliation_vectors(self):
        vector = json.loads((VECTORS / "reconciliation.json").read_text())
        keys = [recon.ShortKey(bytes.fromhex(vector["pair_key"]), salt, chum.siphash13_64) for salt in (0, 1)]
        ids = [objects.cid(b"id %d" % n, RAW) for n in range(200)]
        for cid, case in zip(ids, vector["short ids"]):
            self.assertEqual(objects.cid_text(cid), case["id"])
            for salt, key in enumerate(keys):
                short = key.short(cid)
                told = {"short": f"{short:016x}", "check": f"{key.check(short):08x}"}
                self.assertEqual(told, case[f"salt {salt}"])
        for case in vector["mapping"]:
            cells = sorted(recon.cells_of(int(case["short"], 16), 0, recon.MAX_CELLS))
            self.assertEqual(cells, case["cells"])
        key, shorts = keys[0], [keys[0].short(cid) for cid in ids]
        a, b = recon.fill(key, shorts[:160], 0, 32), recon.fill(key, shorts[30:], 0, 32)
        sketches = vector["sketches"]
        self.assertEqual(recon.write_cells(a, 0, 160).hex(), sketches["ids 0 to 159"])
        self.assertEqual(recon.write_cells(b, 0, 170).hex(), sketches["ids 30 to 199"])
        self.assertEqual(recon.read_cells(bytes.fromhex(sketches["ids 0 to 159"]), 0, 160, 160), a)
        self.assertEqual(recon.estimate(recon.minus(a, b)), sketches["estimate of the difference"])
        self.assertEqual(recon.write_cells(recon.fill(key, shorts, 100, 110), 100, 200).hex(),
                         vector["cells 100 to 109 of ids 0 to 199"])
        listed = sorted(recon.scale(short, 200) for short in shorts)
        self.assertEqual(recon.write_list(0, listed).hex(), vector["list of ids 0 to 199"]["bytes"])
        self.assertEqual(recon.read_list(recon.write_list(0, listed), 0, 200), listed)
        for case in vector["plans"]:
            how, ranges = recon.plan(case["estimate"], case["smaller"])
            self.assertEqual((how, 1 << ranges), (case["how"], case["ranges"]))

    def test_broken_messages(self):
        for message in (b"\x10" + bytes(43), b"\x20" + bytes(44), b"\x02" + bytes(4)):
            with self.assertRaises(ProtocolError):
                chum.Sync(PAIR_KEY, []).handle(message)

    def test_lanes(self):
        vector = json.loads((VECTORS / "lanes.json").read_text())
        hello = bytes([0x10]) + bytes([7] * 8) + (99).to_bytes(4, "big") + bytes(12) + (9).to_bytes(4, "big") + bytes(16)
        here = chum.Sync(PAIR_KEY, [])
        here.handle(hello)
        here.out.clear()
        for step in vector["received"]:
            here.handle(bytes.fromhex(step["message"]))
            self.assertEqual(here._their_lanes, step["positions"], step["name"])
            self.assertEqual(here.out.pop(0).hex(), step["acknowledged"], step["name"])
        for message in vector["refused"]:
            with self.assertRaises(ProtocolError):
                here.handle(bytes.fromhex(message["message"]))
        for case in json.loads((VECTORS / "hello.json").read_text()):
            chum.Sync(PAIR_KEY, []).handle(bytes.fromhex(case["message"]))

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
