"""Keys and signatures: docs/protocol/identity.md, sections 3 and 4."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from .objects import ProtocolError, sha256

P = 2**255 - 19
_SMALL_ORDER_X25519 = {
    0, 1, P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
}


def check_x25519(key: bytes) -> None:
    """Refuses what section 3 refuses."""
    value = int.from_bytes(key, "little")
    if len(key) != 32 or value >= P or value in _SMALL_ORDER_X25519:
        raise ProtocolError("not a good X25519 key")


# Edwards arithmetic, slow and simple: only for judging public keys.
_D = -121665 * pow(121666, P - 2, P) % P
_L = 2**252 + 27742317777372353535851937790883648493


def _decompress(key: bytes):
    y = int.from_bytes(key, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    xx = (y * y - 1) * pow(_D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if x * x % P != xx:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != xx or (x == 0 and sign):
        return None
    return (P - x if x & 1 != sign else x, y)


def _add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = _D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + t, P - 2, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - t, P - 2, P) % P
    return x, y


def _times(n: int, point):
    result = (0, 1)
    while n:
        if n & 1:
            result = _add(result, point)
        point = _add(point, point)
        n >>= 1
    return result


def check_ed25519(key: bytes) -> None:
    """Refuses keys that are not canonical, of small order, or with a torsion component."""
    point = _decompress(key) if len(key) == 32 else None
    if point is None or _times(8, point) == (0, 1) or _times(_L, point) != (0, 1):
        raise ProtocolError("not a good Ed25519 key")


def verify(key: bytes, label: str, data: bytes, signature: bytes) -> None:
    """Verifies `label 00 data`. The key must have passed `check_ed25519`."""
    r = _decompress(signature[:32])
    if r is None or _times(8, r) == (0, 1) or int.from_bytes(signature[32:], "little") >= _L:
        raise ProtocolError("a signature is not canonical")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, label.encode() + b"\0" + data)
    except InvalidSignature as error:
        raise ProtocolError(f"a signature ({label}) does not verify") from error


class SignSecret:
    def __init__(self, seed: bytes):
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, label: str, data: bytes) -> bytes:
        return self._key.sign(label.encode() + b"\0" + data)


class ExchangeSecret:
    def __init__(self, seed: bytes):
        self.private = seed
        self.public = X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def pin(sign_key: bytes) -> bytes:
    return sha256(sign_key)
