"""A person's log and the keys that are none, against vectors/identity (identity.md, sections 3 and 7)."""

import json
import pathlib
import unittest

from lama import keys, objects

VECTORS = pathlib.Path(__file__).parents[3] / "vectors" / "identity"


class WeakKeys(unittest.TestCase):
    def test_each_is_refused(self):
        cases = json.loads((VECTORS / "weak-keys.json").read_text())
        for name, check in (("x25519_refused", keys.check_x25519), ("ed25519_refused", keys.check_ed25519)):
            self.assertGreaterEqual(len(cases[name]), 8)
            for case in cases[name]:
                with self.subTest(case["key"]), self.assertRaises(keys.ProtocolError):
                    check(bytes.fromhex(case["key"]))


class Log(unittest.TestCase):
    def test_every_entry_continues_the_one_before(self):
        log = json.loads((VECTORS / "log.json").read_text())
        key, person_id = bytes.fromhex(log["first_key"]), bytes.fromhex(log["person_id"])
        previous, revoked = bytes(32), []
        for number, case in enumerate(log["entries"], 1):
            data = bytes.fromhex(case["bytes"])
            entry = objects.decode(data)
            body = objects.decode(entry["tbs"])
            self.assertEqual(body[2], person_id)
            seq, prev = (body[8], body[11]) if case["kind"] == "cert" else body[-2:]
            self.assertEqual((seq, prev), (number, previous))
            label = {"cert": "LAMA/cert/1", "revocation": "LAMA/revocation/1", "rotation": "LAMA/rotation/1"}[case["kind"]]
            self.assertEqual(body[0], label)
            keys.verify(key, label, entry["tbs"], entry["sig"])
            if case["kind"] == "cert":
                keys.verify(body[6], "LAMA/cert/1 back", entry["tbs"], entry["backSig"])
            elif case["kind"] == "revocation":
                revoked.append(body[4])
            else:
                self.assertEqual(body[3], key)
                key = body[4]
                keys.verify(key, label, entry["tbs"], entry["newSig"])
            previous = objects.sha256(data)
            self.assertEqual((case["seq"], bytes.fromhex(case["hash"])), (number, previous))
        self.assertEqual(key.hex(), log["last_key"])
        self.assertEqual([found.hex() for found in revoked], [log["revoked_noise"]])

    def test_messages_about_a_log(self):
        log = json.loads((VECTORS / "log.json").read_text())
        entries = [bytes.fromhex(case["bytes"]) for case in log["entries"]]
        self.assertEqual([case["kind"] for case in log["messages"]], ["want", "entries", "have"])
        for case in log["messages"]:
            data = bytes.fromhex(case["bytes"])
            kind, person, head, tail = objects.log_message(data)
            self.assertEqual((kind, person.hex()), (case["kind"], log["person_id"]))
            self.assertEqual(head, {"seq": case["seq"], "hash": bytes.fromhex(case["hash"])})
            self.assertEqual(tail, entries[: case["entries"]])
            self.assertEqual(objects.encode([kind, person, head, tail]), data)
        self.assertGreaterEqual(len(log["refused_messages"]), 5)
        for case in log["refused_messages"]:
            with self.subTest(case["name"]), self.assertRaises(keys.ProtocolError):
                objects.log_message(bytes.fromhex(case["bytes"]))


if __name__ == "__main__":
    unittest.main()
