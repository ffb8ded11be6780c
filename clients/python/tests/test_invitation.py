"""The invitation against vectors/invite."""

import json
import pathlib
import unittest

from lama import invitation, keys

VECTORS = pathlib.Path(__file__).parents[3] / "vectors" / "invite"


class Valid(unittest.TestCase):
    def test_every_vector(self):
        cases = json.loads((VECTORS / "valid.json").read_text())
        self.assertGreater(len(cases), 2)
        for case in cases:
            with self.subTest(case["name"]):
                found = invitation.parse(case["link"], case["exp"] - 1, lan=True)
                self.assertEqual(found.encode().hex(), case["encoded"])
                for name in ("token", "r_static", "r_person_id", "r_person_pin"):
                    self.assertEqual(found.fields[name].hex(), case[name])
                for name in ("v", "suite", "policy", "exp"):
                    self.assertEqual(found.fields[name], case[name])
                for route, expected in zip(found.fields["routes"], case["routes"], strict=True):
                    hex_or_none = lambda value: value and value.hex()
                    self.assertEqual(route[0], expected["url"])
                    self.assertEqual(hex_or_none(route[1]), expected["relay_pin"])
                    self.assertEqual(hex_or_none(route[2]), expected["route_id"])
                self.assertEqual(found.info.hex(), case["info"])
                self.assertEqual(found.psk.hex(), case["psk"])
                self.assertEqual(found.locator.hex(), case["locator"])
                self.assertEqual(found.link(case["link"].partition("#")[0]), case["link"])


class Refused(unittest.TestCase):
    def test_every_vector_with_its_code(self):
        cases = json.loads((VECTORS / "refused.json").read_text())
        self.assertGreater(len(cases), 10)
        for case in cases:
            with self.subTest(case["name"]):
                me = case["me"] and bytes.fromhex(case["me"])
                with self.assertRaises(invitation.LinkError) as caught:
                    invitation.parse(case["link"], case["now"], me, opened=case["opened_by_another_program"])
                self.assertEqual(caught.exception.code, case["code"])


class Keys(unittest.TestCase):
    def test_bad_keys_are_refused(self):
        for bad in (bytes(32), bytes([1]) + bytes(31), b"\xff" * 32, (keys.P).to_bytes(32, "little")):
            with self.assertRaises(keys.ProtocolError):
                keys.check_x25519(bad)
        for bad in (bytes([1]) + bytes(31), bytes(32), b"\xff" * 32):
            with self.assertRaises(keys.ProtocolError):
                keys.check_ed25519(bad)
        keys.check_ed25519(keys.SignSecret(bytes(32)).public)


if __name__ == "__main__":
    unittest.main()
