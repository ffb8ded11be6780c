"""Objects, ids, keys and signatures against vectors/identity."""

import json
import pathlib
import unittest

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lama import identity, keys, objects
from lama.objects import ProtocolError

VECTORS = pathlib.Path(__file__).parents[3] / "vectors" / "identity"


def load(name: str):
    return json.loads((VECTORS / name).with_suffix(".json").read_text())


class Identity(unittest.TestCase):
    def test_emails(self):
        cases = load("emails")
        for case in cases["good"]:
            self.assertEqual(identity.normalise_email(case["text"]), case["normalised"])
            self.assertEqual(identity.label(identity.person(case["text"])).hex(), case["person_id"])
        for text in cases["bad"]:
            with self.subTest(text), self.assertRaises(ProtocolError):
                identity.normalise_email(text)

    def test_objects_are_made_byte_for_byte(self):
        made, expected = load("keys"), {case["name"]: case for case in load("objects")}
        seeds = [bytes.fromhex(made[f"{key}_secret"]) for key in ("psk_sign", "p_seal", "i_noise", "i_sign")]
        me = identity.LocalIdentity("demo@lama.local", "browser", made["now"], seeds)
        fields = me.public.fields
        members = sorted([me.public.person_id, bytes.fromhex(made["other_person_id"])])
        chunk = objects.cid(b"chunk", objects.RAW)
        for name, value in {
            "person": fields["person"], "instance": fields["instance"], "person keys": fields["personKeys"],
            "instance keys": fields["instanceKeys"], "endpoint": me.public.endpoint("ws://localhost:8765"),
            "certificate": objects.decode(fields["cert"]),
            "channel": {"$type$": "Channel", "name": "chat", "members": members},
            "group": {"$type$": "Group", "name": "friends", "owner": me.public.person_id},
            "a link": [objects.link(chunk)], "a reference": [chunk],
        }.items():
            with self.subTest(name):
                data = objects.encode(value)
                self.assertEqual(data.hex(), expected[name]["bytes"])
                self.assertEqual(objects.cid_text(objects.cid(data)), expected[name]["id"])
        self.assertEqual(me.public.pin.hex(), made["pin"])
        self.assertEqual(me.public.instance_id.hex(), made["instance_id"])
        me.public.check(made["now"])
        with self.assertRaises(ProtocolError):
            me.public.check(made["now"] - 601)

    def test_signatures(self):
        for case in load("signed"):
            with self.subTest(case["name"]):
                data, key = bytes.fromhex(case["bytes"]), bytes.fromhex(case["key"])
                unsigned = objects.without(data, {"sig"})
                self.assertEqual(unsigned.hex(), case["without_sig"])
                signature = objects.decode(data)["sig"]
                keys.check_ed25519(key)
                keys.verify(key, case["label"], unsigned, signature)
                with self.assertRaises(ProtocolError):
                    keys.verify(key, case["label"], unsigned + b"\0", signature)
                with self.assertRaises(ProtocolError):
                    keys.verify(key, "LAMA/other/1", unsigned, signature)

    def test_sealed(self):
        case = {name: bytes.fromhex(value) for name, value in load("sealed").items()}
        secret = X25519PrivateKey.from_private_bytes(case["p_seal_secret"])
        ephemeral, body = case["sealed"][:32], case["sealed"][32:]
        shared = secret.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        info = ephemeral + secret.public_key().public_bytes_raw()
        key = HKDF(SHA256(), 32, b"LAMA/seal/1", info).derive(shared)
        opened = ChaCha20Poly1305(key).decrypt(bytes(12), body, case["context"])
        self.assertEqual(opened, case["plaintext"])

    def test_deviant_encodings_are_refused(self):
        for case in load("refused"):
            with self.subTest(case["name"]), self.assertRaises(ProtocolError):
                objects.decode(bytes.fromhex(case["bytes"]))


if __name__ == "__main__":
    unittest.main()
