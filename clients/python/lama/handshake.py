"""Handshake, AUTH and pairing, the initiator's side and the responder's: docs/protocol/handshake.md.

Pure: bytes in, bytes out. `Handshake` holds what both sides have in common.
"""

import hashlib
import hmac
import secrets
import warnings
from dataclasses import dataclass

from noise.connection import Keypair, NoiseConnection

from . import keys, objects
from .identity import LocalIdentity, PublicIdentity
from .objects import ProtocolError, is_bytes, is_uint, sha256
from .session import AUTH, AUTH_PLAINTEXT, READY, REJECT, Channel

MESSAGE1 = 68
MESSAGE2 = 48
MESSAGE3 = 64
MAX_AUTH = 4092
VERSION = 1
INITIATOR = 1
RESPONDER = 2


class Rejected(ProtocolError):
    """The peer refuses, with a code of handshake.md, section 7."""

    def __init__(self, code: int):
        super().__init__(f"the other side refuses with code {code}")
        self.code = code


def prologue(tag: bytes, via: bytes | None = None) -> bytes:
    return b"LAMA/noise/1" + b"\x01" + tag + (b"\x00" if via is None else b"\x01" + via)


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    """One block of HKDF-Expand-SHA256 is all that is ever needed."""
    return hmac.digest(prk, info + b"\x01", hashlib.sha256)[:length]


@dataclass
class Endpoints:
    """Who is at the two ends, as the signature names them."""

    role: int
    h: bytes
    own_noise: bytes
    peer_noise: bytes
    own_pin: bytes
    peer_pin: bytes

    def signing_input(self, auth: dict) -> bytes:
        rest = {name: value for name, value in auth.items() if name not in ("sig", "group", "endpoint")}
        return (bytes([self.role]) + self.h + self.own_noise + self.peer_noise + self.own_pin + self.peer_pin
                + sha256(auth["group"].encode()) + sha256(objects.encode(auth["endpoint"]))
                + sha256(objects.encode(rest)))


AUTH_LABEL = "LAMA/auth/1"


def make_auth(me: LocalIdentity, ends: Endpoints, group: str, url: str, boot_id: bytes, sas: bytes | None) -> bytes:
    auth = {
        "sas": sas, "caps": 0, "role": ends.role, "group": group, "bootId": boot_id, "signer": "person",
        "endpoint": me.public.endpoint(url), "identity": me.public.fields, "versions": [VERSION, VERSION],
        "pairKeyId": None,
    }
    auth["sig"] = me.person_sign.sign(AUTH_LABEL, ends.signing_input(auth))
    body = objects.encode(auth)
    if len(body) > MAX_AUTH:
        raise ProtocolError("AUTH is too long")
    return body


@dataclass
class Peer:
    identity: PublicIdentity
    endpoint: dict
    auth: dict


def read_auth(body: bytes, ends: Endpoints, own: PublicIdentity, group: str, now: int,
              person: tuple[bytes, bytes] | None) -> Peer:
    """The receiver's checks, in the order of section 5. `ends` is seen from the receiver; its `peer_pin` is not used.

    `person` is the label and pin expected, None for the responder of a pairing.
    """
    if len(body) > MAX_AUTH:
        raise ProtocolError("AUTH is too long")
    pairing = group == "pairing"
    auth = objects.decode_map(body, {
        "sas": lambda sas: sas is None or is_bytes(32)(sas), "sig": is_bytes(64), "caps": is_uint, "role": is_uint,
        "group": lambda text: text in ("pairing", "chum"), "bootId": is_bytes(16),
        "signer": lambda text: text in ("person", "instance"), "endpoint": lambda value: isinstance(value, dict),
        "identity": lambda value: isinstance(value, dict),
        "versions": lambda value: isinstance(value, list) and len(value) == 2 and all(map(is_uint, value)),
        "pairKeyId": lambda value: value is None or is_bytes(8)(value),
    })
    identity = PublicIdentity(auth["identity"])
    identity.check(now)
    if auth["role"] != 3 - ends.role:
        raise ProtocolError("AUTH names one's own role")
    lowest, highest = auth["versions"]
    if not lowest <= VERSION <= highest:
        raise ProtocolError("no common version")
    if auth["group"] != group:
        raise ProtocolError("another connection group")
    if (auth["sas"] is not None) != pairing or (pairing and auth["signer"] != "person"):
        raise ProtocolError("not the fields of this kind of handshake")
    if identity.noise != ends.peer_noise:
        raise ProtocolError("AUTH is of another instance than the one that was proved")
    if identity.person_id == own.person_id or identity.pin == own.pin:
        raise ProtocolError("the same person on both sides")
    if person is not None and person != (identity.person_id, identity.pin):
        raise ProtocolError("another person than the one expected")
    url = auth["endpoint"].get("url")
    if not isinstance(url, str) or len(url) > 512 or any(not 33 <= ord(c) <= 126 for c in url):
        raise ProtocolError("bad URL in the endpoint")
    if auth["endpoint"] != identity.endpoint(url):
        raise ProtocolError("the endpoint names other keys")
    theirs = Endpoints(3 - ends.role, ends.h, ends.peer_noise, ends.own_noise, identity.pin, own.pin)
    signer = identity.fields["personKeys" if auth["signer"] == "person" else "instanceKeys"]["signKey"]
    keys.verify(signer, AUTH_LABEL, theirs.signing_input(auth), auth["sig"])
    return Peer(identity, auth["endpoint"], auth)


def check_code(h: bytes, n_i: bytes, n_r: bytes) -> str:
    prk = hmac.digest(h, n_i + n_r, hashlib.sha256)
    number = int.from_bytes(hkdf_expand(prk, b"LAMA/sas/1", 8), "big") % 1_000_000
    return f"{number // 1000:03} {number % 1000:03}"


class Handshake:
    """One handshake, from message 1 to READY. Give `ephemeral` only to reproduce a vector."""

    def __init__(self, me: LocalIdentity, role: int, tag: bytes, psk: bytes | None, peer_noise: bytes | None = None,
                 boot_id: bytes | None = None, ephemeral: bytes | None = None, nonce: bytes | None = None):
        self.me, self.role, self.tag = me, role, tag
        self.group = "chum" if psk is None else "pairing"
        self.boot_id = boot_id or secrets.token_bytes(16)
        self.nonce = nonce or secrets.token_bytes(32)
        pattern = "XK" if psk is None else "XKpsk3"
        self._noise = NoiseConnection.from_name(f"Noise_{pattern}_25519_ChaChaPoly_SHA256".encode())
        if psk is not None:
            self._noise.set_psks(psk)
        self._noise.set_prologue(prologue(tag))
        self._noise.set_keypair_from_private_bytes(Keypair.STATIC, me.noise.private)
        if role == INITIATOR:
            self._noise.set_as_initiator()
            self._noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, peer_noise)
            self.peer_noise = peer_noise
        else:
            self._noise.set_as_responder()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if ephemeral is not None:
                self._noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, ephemeral)
            self._noise.start_handshake()
        self._state = self._noise.noise_protocol.handshake_state
        self._symmetric = self._noise.noise_protocol.symmetric_state

    # --- messages 1 to 3

    def message1(self) -> bytes:
        return b"LAM1" + self.tag + bytes(self._noise.write_message())

    def read_message1(self, message: bytes) -> None:
        if len(message) != MESSAGE1 or message[:4] != b"LAM1" or message[4:20] != self.tag:
            raise ProtocolError("not message 1")
        self._read(message[20:])

    def message2(self) -> bytes:
        return bytes(self._noise.write_message())

    def read_message2(self, message: bytes) -> bytes:
        """Reads message 2 and gives message 3."""
        if len(message) != MESSAGE2:
            raise ProtocolError("not message 2")
        self._read(message)
        out = bytes(self._noise.write_message())
        self._keyed()
        return out

    def read_message3(self, message: bytes) -> None:
        if len(message) != MESSAGE3:
            raise ProtocolError("not message 3")
        self._read(message)
        self.peer_noise = self._state.rs.public_bytes
        self._keyed()

    def _read(self, message: bytes) -> None:
        try:
            payload = self._noise.read_message(message)
        except Exception as error:
            raise ProtocolError("a handshake message does not authenticate") from error
        if payload:
            raise ProtocolError("a payload in the handshake")
        keys.check_x25519(self._state.re.public_bytes)

    def _keyed(self) -> None:
        """`Split()` with its third output (section 2)."""
        keys.check_x25519(self.peer_noise)
        if self.peer_noise == self.me.noise.public:
            raise ProtocolError("one's own key at the other end")
        self.h = self._noise.get_handshake_hash()
        temp = hmac.digest(self._symmetric.ck, b"", hashlib.sha256)
        k_i = hmac.digest(temp, b"\x01", hashlib.sha256)
        k_r = hmac.digest(temp, k_i + b"\x02", hashlib.sha256)
        third = hmac.digest(temp, k_r + b"\x03", hashlib.sha256)
        self.pair_key = hkdf_expand(third, b"LAMA/pair-key/1 key", 32)
        self.pair_key_id = hkdf_expand(third, b"LAMA/pair-key/1 id", 8)
        self.channel = Channel(*((k_i, k_r) if self.role == INITIATOR else (k_r, k_i)))

    # --- AUTH and READY

    def _ends(self, peer_pin: bytes) -> Endpoints:
        return Endpoints(self.role, self.h, self.me.noise.public, self.peer_noise, self.me.public.pin, peer_pin)

    def auth(self, peer_pin: bytes, url: str = "") -> bytes:
        """This side's AUTH record."""
        sas = None
        if self.group == "pairing":
            sas = sha256(b"LAMA/sas-commit\0", self.nonce) if self.role == INITIATOR else self.nonce
        body = make_auth(self.me, self._ends(peer_pin), self.group, url, self.boot_id, sas)
        return self.channel.seal(AUTH, body, AUTH_PLAINTEXT)

    def read_auth(self, record: bytes, now: int, person: tuple[bytes, bytes] | None) -> Peer:
        kind, body = self.channel.open(record)
        if kind == REJECT and len(body) == 1:
            raise Rejected(body[0])
        if kind != AUTH or len(record) != AUTH_PLAINTEXT + 16:
            raise ProtocolError("not AUTH")
        self.peer = read_auth(body, self._ends(bytes(32)), self.me.public, self.group, now, person)
        return self.peer

    def ready(self) -> bytes:
        """The initiator's READY."""
        return self.channel.seal(READY, self.nonce if self.group == "pairing" else b"")

    def read_ready(self, record: bytes) -> None:
        """The responder reads the initiator's READY."""
        kind, body = self.channel.open(record)
        if kind == REJECT and len(body) == 1:
            raise Rejected(body[0])
        if kind != READY or len(body) != (32 if self.group == "pairing" else 0):
            raise ProtocolError("not READY")
        self.peer_nonce = body
        if self.group == "pairing" and sha256(b"LAMA/sas-commit\0", body) != self.peer.auth["sas"]:
            raise ProtocolError("READY does not reveal what AUTH committed to")

    def check_code(self) -> str | None:
        if self.group != "pairing":
            return None
        if self.role == INITIATOR:
            return check_code(self.h, self.nonce, self.peer.auth["sas"])
        return check_code(self.h, self.peer_nonce, self.nonce)
