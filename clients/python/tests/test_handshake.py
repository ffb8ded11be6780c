"""Handshake and session against vectors/handshake: both roles, every byte."""

import hashlib
import json
import pathlib
import unittest

from lama import invitation, session
from lama.handshake import INITIATOR, RESPONDER, Handshake
from lama.identity import LocalIdentity
from lama.objects import ProtocolError
from lama.session import Closed, Streams

VECTORS = pathlib.Path(__file__).parents[3] / "vectors" / "handshake"
LONG = bytes(n % 251 for n in range(70_000))


def load(name: str):
    case = json.loads((VECTORS / name).with_suffix(".json").read_text())
    unhex = lambda key, side=None: bytes.fromhex((side or case)[key])
    psk = invitation.parse(case["link"], case["now"]).psk if "link" in case else None
    identities, handshakes = [], []
    for role, name in ((INITIATOR, "initiator"), (RESPONDER, "responder")):
        side = case[name]
        seeds = [unhex(f"{key}_secret", side) for key in ("psk_sign", "p_seal", "i_noise", "i_sign")]
        me = LocalIdentity(side["email"], side["instance_name"], case["now"], seeds)
        peer = unhex("i_noise", case["responder"]) if role == INITIATOR else None
        handshakes.append(Handshake(me, role, unhex("tag"), psk, peer, unhex("boot_id", side),
                                    unhex("ephemeral_secret", side), unhex("sas_nonce", side)))
        identities.append((me, side))
    return case, identities, handshakes


class Transcripts(unittest.TestCase):
    def test_identities(self):
        for name in ("pairing", "known"):
            _, identities, _ = load(name)
            for me, side in identities:
                self.assertEqual(me.public.person_id.hex(), side["person_id"])
                self.assertEqual(me.public.instance_id.hex(), side["instance_id"])
                self.assertEqual(me.public.pin.hex(), side["person_pin"])
                self.assertEqual(me.public.noise.hex(), side["i_noise"])
                self.assertEqual(me.public.fields["cert"].hex(), side["cert"])

    def test_every_byte_in_both_roles(self):
        for name in ("pairing", "known"):
            with self.subTest(name):
                self.run_both(*load(name))

    def run_both(self, case, identities, handshakes):
        initiator, responder = handshakes
        (i, i_side), (r, r_side) = identities
        same = lambda made, key: self.assertEqual(made.hex(), case[key], key)
        message1 = initiator.message1()
        same(message1, "message1")
        responder.read_message1(message1)
        message2 = responder.message2()
        same(message2, "message2")
        message3 = initiator.read_message2(message2)
        same(message3, "message3")
        responder.read_message3(message3)
        for side in handshakes:
            same(side.h, "h")
            same(side.pair_key, "pair_key")
            same(side.pair_key_id, "pair_key_id")
        pairing = initiator.group == "pairing"
        auth_i = initiator.auth(r.public.pin, i_side["url"])
        same(auth_i, "auth_i")
        known = None if pairing else (i.public.person_id, i.public.pin)
        peer = responder.read_auth(auth_i, case["now"], known)
        auth_r = responder.auth(peer.identity.pin, r_side["url"])
        same(auth_r, "auth_r")
        peer = initiator.read_auth(auth_r, case["now"], (r.public.person_id, r.public.pin))
        self.assertEqual(peer.endpoint["url"], r_side["url"])
        ready_i = initiator.ready()
        same(ready_i, "ready_i")
        responder.read_ready(ready_i)
        for side in handshakes:
            self.assertEqual(side.check_code(), case["check_code"])
        self.run_records(case["records"], *(Streams(side.channel, side.role == INITIATOR, pairing) for side in handshakes))

    def run_records(self, records, i: Streams, r: Streams):
        """The records of the vectors: READY, a short message, a long one in two records, CLOSE."""
        expected = iter(records)

        def check(sender: str, record: bytes) -> bytes:
            vector = next(expected)
            self.assertEqual((sender, len(record)), (vector["from"], vector["len"]))
            self.assertEqual(hashlib.sha256(record).hexdigest(), vector["sha256"])
            if vector["record"]:
                self.assertEqual(record.hex(), vector["record"])
            return record

        self.assertIsNone(i.receive(check("responder", r.acknowledge())))
        i.send(0, b"hello from the initiator")
        self.assertEqual(r.receive(check("initiator", i.poll())), (0, b"hello from the initiator"))
        r.send(2, LONG)
        self.assertIsNone(i.receive(check("responder", r.poll())))
        self.assertEqual(i.receive(check("responder", r.poll())), (2, LONG))
        self.assertIsNone(r.poll())
        with self.assertRaises(Closed) as caught:
            i.receive(check("responder", r.close()))
        self.assertEqual(caught.exception.code, 0)
        self.assertIsNone(next(expected, None))


class Refusals(unittest.TestCase):
    def test_a_changed_bit_anywhere_ends_it(self):
        for at in (0, 3, 10, 25, 60):
            case, _, (initiator, responder) = load("pairing")
            message = bytearray(initiator.message1())
            message[at] ^= 1
            with self.assertRaises(ProtocolError):
                responder.read_message1(bytes(message))
                responder.message2()

    def test_auth_of_another_session_is_refused(self):
        case, _, (_, responder) = load("pairing")
        _, _, (initiator, _) = load("known")
        responder.read_message1(bytes.fromhex(case["message1"]))
        responder.message2()
        responder.read_message3(bytes.fromhex(case["message3"]))
        record = bytes.fromhex(json.loads((VECTORS / "known.json").read_text())["auth_i"])
        with self.assertRaises(ProtocolError):
            responder.read_auth(record, case["now"], None)

    def test_records_are_opened_once_and_in_order(self):
        one, two = session.Channel(bytes(32), b"\1" * 32), session.Channel(b"\1" * 32, bytes(32))
        first, second = one.seal(session.PING, bytes(8)), one.seal(session.PING, bytes(8))
        with self.assertRaises(ProtocolError):
            two.open(second)
        self.assertEqual(two.open(first), (session.PING, bytes(8)))
        with self.assertRaises(ProtocolError):
            two.open(first)
        with self.assertRaises(ProtocolError):
            two.open(b"x" * 81)

    def test_both_ends_rekey_at_the_same_record(self):
        one, two = session.Channel(bytes(32), b"\1" * 32), session.Channel(b"\1" * 32, bytes(32))
        one._send._records = two._receive._records = session.REKEY_RECORDS - 1
        for _ in range(3):
            self.assertEqual(two.open(one.seal(session.PING, bytes(8)))[1], bytes(8))
        self.assertEqual(one._send._records, 2)


if __name__ == "__main__":
    unittest.main()
