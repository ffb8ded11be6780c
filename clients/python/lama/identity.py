"""Persons, instances and what they show of themselves: docs/protocol/identity.md, sections 5 to 7."""

import re
import secrets
from dataclasses import dataclass

from . import keys, objects
from .objects import ProtocolError, is_bytes, is_uint

CLOCK_TOLERANCE = 600
CERT_LABEL = "LAMA/cert/1"
CERT_BACK_LABEL = "LAMA/cert/1 back"


def normalise_email(text: str) -> str:
    text = text.strip(" \t\n\r\f\v")
    if len(text) > 254 or not text.isascii():
        raise ProtocolError("bad e-mail address")
    text = text.lower()
    atom = r"[a-z0-9!#$%&'*+\-/=?^_`{|}~]+"
    label = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
    match = re.fullmatch(rf"({atom}(?:\.{atom})*)@({label}(?:\.{label})*)", text)
    if not match or len(match.group(1)) > 64 or len(match.group(2)) > 253:
        raise ProtocolError("bad e-mail address")
    return text


def is_name(value) -> bool:
    return (isinstance(value, str) and 1 <= len(value.encode()) <= 64 and value.strip() == value
            and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value))


def person(email: str) -> dict:
    return {"$type$": "Person", "email": normalise_email(email)}


def instance(name: str, owner: bytes) -> dict:
    if not is_name(name):
        raise ProtocolError("bad instance name")
    return {"$type$": "Instance", "name": name, "owner": owner}


def keys_object(owner: bytes, sign_key: bytes, encryption_key: bytes) -> dict:
    return {"$type$": "Keys", "owner": owner, "signKey": sign_key, "encryptionKey": encryption_key}


def label(id_object: dict) -> bytes:
    return objects.sha256(objects.encode(id_object))


def reference(value: dict) -> bytes:
    return objects.cid(objects.encode(value))


def cert_body(person_keys: dict, instance_keys: dict, seq: int, not_before: int, prev_hash: bytes) -> bytes:
    return objects.encode([
        CERT_LABEL, "instance", person_keys["owner"], person_keys["signKey"], instance_keys["owner"],
        instance_keys["encryptionKey"], instance_keys["signKey"], 0, seq, not_before, None, prev_hash,
    ])


@dataclass(frozen=True)
class PublicIdentity:
    """The map `identity` of an Auth record."""

    fields: dict

    @property
    def person_id(self) -> bytes:
        return self.fields["personKeys"]["owner"]

    @property
    def instance_id(self) -> bytes:
        return self.fields["instanceKeys"]["owner"]

    @property
    def pin(self) -> bytes:
        return keys.pin(self.fields["personKeys"]["signKey"])

    @property
    def noise(self) -> bytes:
        return self.fields["instanceKeys"]["encryptionKey"]

    def endpoint(self, url: str) -> dict:
        return {
            "$type$": "OneInstanceEndpoint", "url": url, "personId": self.person_id, "instanceId": self.instance_id,
            "personKeys": reference(self.fields["personKeys"]),
            "instanceKeys": reference(self.fields["instanceKeys"]),
        }

    def check(self, now: int) -> None:
        """Everything that must hold within an identity: sections 5 to 7."""
        f = self.fields
        is_map = lambda value: isinstance(value, dict)
        objects.check_map(f, {
            "cert": lambda cert: isinstance(cert, bytes), "person": is_map, "instance": is_map,
            "logHead": is_map, "personKeys": is_map, "instanceKeys": is_map,
        })
        objects.check_map(f["person"], {"email": lambda e: isinstance(e, str) and normalise_email(e) == e}, "Person")
        objects.check_map(f["instance"], {"name": is_name, "owner": is_bytes(32)}, "Instance")
        objects.check_map(f["logHead"], {"seq": is_uint, "hash": is_bytes(32)})
        for name in ("personKeys", "instanceKeys"):
            objects.check_map(
                f[name], {"owner": is_bytes(32), "signKey": is_bytes(32), "encryptionKey": is_bytes(32)}, "Keys")
            keys.check_ed25519(f[name]["signKey"])
            keys.check_x25519(f[name]["encryptionKey"])
        if label(f["person"]) != self.person_id or label(f["instance"]) != self.instance_id:
            raise ProtocolError("Keys and their owner disagree")
        if f["instance"]["owner"] != self.person_id:
            raise ProtocolError("the instance belongs to another person")
        self._check_cert(now)

    def _check_cert(self, now: int) -> None:
        f = self.fields
        cert = objects.decode_map(
            f["cert"], {"sig": is_bytes(64), "tbs": lambda tbs: isinstance(tbs, bytes), "backSig": is_bytes(64)},
            "InstanceCert")
        body = objects.decode(cert["tbs"])
        if not isinstance(body, list) or len(body) != 12:
            raise ProtocolError("not the body of a certificate")
        _, _, _, _, _, _, _, caps, seq, not_before, not_after, prev = body
        expected = [
            CERT_LABEL, "instance", self.person_id, f["personKeys"]["signKey"], self.instance_id, self.noise,
            f["instanceKeys"]["signKey"],
        ]
        if body[:7] != expected or not all(map(is_uint, (caps, seq, not_before))) or not is_bytes(32)(prev):
            raise ProtocolError("the certificate is for other keys")
        if now + CLOCK_TOLERANCE < not_before or (not_after is not None and now >= not_after + CLOCK_TOLERANCE):
            raise ProtocolError("the certificate is not valid now")
        head = f["logHead"]
        if head["seq"] < seq or (head["seq"] == seq and head["hash"] != objects.sha256(f["cert"])):
            raise ProtocolError("the log head lies before the certificate")
        keys.verify(f["personKeys"]["signKey"], CERT_LABEL, cert["tbs"], cert["sig"])
        keys.verify(f["instanceKeys"]["signKey"], CERT_BACK_LABEL, cert["tbs"], cert["backSig"])


class LocalIdentity:
    """A person and its only instance, in memory. `seeds` are the four secrets, fresh unless a vector gives them:
    the person's signing and sealing keys, the instance's Noise and signing keys."""

    def __init__(self, email: str, name: str, now: int, seeds: list[bytes] | None = None):
        sign, seal, noise, back = seeds or [secrets.token_bytes(32) for _ in range(4)]
        self.person_sign = keys.SignSecret(sign)
        self.person_seal = keys.ExchangeSecret(seal)
        self.noise = keys.ExchangeSecret(noise)
        self.instance_sign = keys.SignSecret(back)
        who = person(email)
        what = instance(name, label(who))
        person_keys = keys_object(label(who), self.person_sign.public, self.person_seal.public)
        instance_keys = keys_object(label(what), self.instance_sign.public, self.noise.public)
        tbs = cert_body(person_keys, instance_keys, 1, now, bytes(32))
        cert = objects.encode({
            "$type$": "InstanceCert", "tbs": tbs, "sig": self.person_sign.sign(CERT_LABEL, tbs),
            "backSig": self.instance_sign.sign(CERT_BACK_LABEL, tbs),
        })
        self.public = PublicIdentity({
            "cert": cert, "person": who, "instance": what, "logHead": {"seq": 1, "hash": objects.sha256(cert)},
            "personKeys": person_keys, "instanceKeys": instance_keys,
        })
