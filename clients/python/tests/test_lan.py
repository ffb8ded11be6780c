"""The local network against vectors/lan."""

import ipaddress
import json
import pathlib
import unittest

from lama import lan

VECTORS = pathlib.Path(__file__).parents[3] / "vectors" / "lan"


class Found(unittest.TestCase):
    def test_every_vector(self):
        cases = json.loads((VECTORS / "found.json").read_text())
        self.assertGreater(len(cases), 2)
        for case in cases:
            with self.subTest(case["unix_seconds"], asker=case["asker"]):
                key = lan.lan_key(bytes.fromhex(case["pair_key"]))
                asker, answerer = (bytes.fromhex(case[who]) for who in ("asker", "answerer"))
                seconds = case["unix_seconds"]
                asked = lan.question(key, asker, answerer, seconds)
                self.assertEqual(asked.hex(), case["question"])
                host, port = case["at"].split(":")
                address = ipaddress.IPv4Address(host).packed
                proof = lan.proof(key, asker, answerer, seconds, address, int(port))
                self.assertEqual(proof.hex(), case["proof"])
                tags = lan.read_questions(bytes.fromhex(case["question_packet"]))
                self.assertIn(asked, tags)
                self.assertEqual((tags, len(tags) % 8), (sorted(tags), 0))
                answer = lan.read_answer(bytes.fromhex(case["answer_packet"]))
                self.assertEqual(answer, (asked, address, int(port), proof))
